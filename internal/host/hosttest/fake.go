// Package hosttest is a host for the unit tests of the packages above
// internal/host: it answers the commands that a test expects, in their order,
// and fails the test on any other. It may import internal/host alone.
package hosttest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// Fake is a host.Host that knows a list of commands and a set of files. A
// command that was not expected fails the test, and so does one that was
// expected and never came.
type Fake struct {
	HostName string
	Ident    host.Identity

	mu    sync.Mutex
	t     testing.TB
	want  []*Call
	files map[string]File
	dial  func(network, address string) (net.Conn, error)
	hear  func(network, address string) (net.Listener, error)
}

// File is a file of a Fake.
type File struct {
	Content string
	Attr    host.FileAttr
}

// Call is a command that a test expects, and the answer to it.
type Call struct {
	command string
	stdin   *string
	stdout  string
	err     error
}

var _ host.Host = (*Fake)(nil)

// New returns a fake host named "fake" without files.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{HostName: "fake", t: t, files: map[string]File{}}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, call := range f.want {
			t.Errorf("expected command never came: %s", call.command)
		}
	})
	return f
}

// Expect adds a command to the expected ones. command is what
// host.Command.String gives for it: `getent passwd anna`, or
// `account/snapshot.sh anna` for a script.
func (f *Fake) Expect(command string) *Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := &Call{command: command}
	f.want = append(f.want, call)
	return call
}

// WithStdin makes the input part of what is expected.
func (c *Call) WithStdin(stdin string) *Call { c.stdin = &stdin; return c }

// Prints is what the command writes to its standard output.
func (c *Call) Prints(stdout string) *Call { c.stdout = stdout; return c }

// Exits makes the command fail with an exit code and a message.
func (c *Call) Exits(code int, stderr string) *Call {
	c.err = &host.ExitError{Host: "fake", Command: c.command, Code: code, Stderr: stderr}
	return c
}

// Fails makes the command not run at all, as when the connection is lost.
func (c *Call) Fails(err error) *Call { c.err = err; return c }

// SetFile gives the host a file.
func (f *Fake) SetFile(path, content string, mode fs.FileMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[path] = File{Content: content, Attr: host.FileAttr{Mode: mode}}
}

// Files returns a copy of the files that the host has now.
func (f *Fake) Files() map[string]File {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := make(map[string]File, len(f.files))
	for path, file := range f.files {
		files[path] = file
	}
	return files
}

// OnDial sets what Dial does; without it, dialling fails the test.
func (f *Fake) OnDial(dial func(network, address string) (net.Conn, error)) { f.dial = dial }

// OnListen sets what Listen does; without it, listening fails the test.
func (f *Fake) OnListen(listen func(network, address string) (net.Listener, error)) { f.hear = listen }

// Name returns HostName.
func (f *Fake) Name() string { return f.HostName }

// Identity returns Ident.
func (f *Fake) Identity(context.Context) (host.Identity, error) { return f.Ident, nil }

// Run answers the next expected command.
func (f *Fake) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	if err := ctx.Err(); err != nil {
		return host.Result{}, err
	}
	var stdin string
	if cmd.Stdin != nil {
		read, err := io.ReadAll(cmd.Stdin)
		if err != nil {
			return host.Result{}, err
		}
		stdin = string(read)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.want) == 0 || f.want[0].command != cmd.String() {
		next := "none"
		if len(f.want) > 0 {
			next = f.want[0].command
		}
		f.t.Errorf("unexpected command: %s\n     expected next: %s", cmd, next)
		return host.Result{}, fmt.Errorf("fake host: unexpected command: %s", cmd)
	}
	call := f.want[0]
	f.want = f.want[1:]
	if call.stdin != nil && *call.stdin != stdin {
		f.t.Errorf("command %s got the input %q, want %q", cmd, stdin, *call.stdin)
	}
	result := host.Result{Stdout: []byte(call.stdout)}
	if cmd.Stdout != nil {
		if _, err := io.Copy(cmd.Stdout, strings.NewReader(call.stdout)); err != nil {
			return host.Result{}, err
		}
		result.Stdout = nil
	}
	return result, call.err
}

// ReadFile returns a file of the host.
func (f *Fake) ReadFile(_ context.Context, path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(file.Content), nil
}

// WriteFile puts a file on the host.
func (f *Fake) WriteFile(_ context.Context, path string, content []byte, attr host.FileAttr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[path] = File{Content: string(content), Attr: attr}
	return nil
}

// Rename moves a file of the host.
func (f *Fake) Rename(_ context.Context, from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(f.files, from)
	f.files[to] = file
	return nil
}

// Remove deletes a file of the host.
func (f *Fake) Remove(_ context.Context, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.files, path)
	return nil
}

// Dial does what OnDial said.
func (f *Fake) Dial(_ context.Context, network, address string) (net.Conn, error) {
	if f.dial == nil {
		f.t.Errorf("unexpected connection to %s", address)
		return nil, fmt.Errorf("fake host: unexpected connection to %s", address)
	}
	return f.dial(network, address)
}

// Listen does what OnListen said.
func (f *Fake) Listen(_ context.Context, network, address string) (net.Listener, error) {
	if f.hear == nil {
		f.t.Errorf("unexpected listening at %s %s", network, address)
		return nil, fmt.Errorf("fake host: unexpected listening at %s", address)
	}
	return f.hear(network, address)
}
