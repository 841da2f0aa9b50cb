//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/job"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/names"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/pass"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// runPass makes the pass of an order, and writes how it ended. Its error is what
// the outcome says, too.
func runPass(ctx context.Context, file string) error {
	if err := job.Begin(file); err != nil {
		return err
	}
	o, err := order.ReadPass(file)
	if err != nil {
		return err
	}
	outcome := order.Outcome{Started: time.Now().UTC()}
	passErr := connected(ctx, o, &outcome)
	if passErr != nil {
		outcome.Error, outcome.Reason = passErr.Error(), reason(passErr, &outcome)
	}
	if o.ID != "" {
		// What cannot be told of the trash is no reason to lose the rest.
		outcome.TrashBytes, _ = state.TidyTrash(o.ID)
		_ = os.Remove(o.Status)
	}
	outcome.Finished = time.Now().UTC()
	return errors.Join(passErr, order.Write(o.Outcome, outcome))
}

// reason is what kind of error a pass ended with.
func reason(err error, outcome *order.Outcome) order.Reason {
	switch {
	case errors.Is(err, pass.ErrRefused):
		return order.Refused
	case errors.Is(err, pass.ErrGreeting):
		return order.Greeting
	case errors.Is(err, pass.ErrSilent) && outcome.Received == 0:
		return order.Unreachable
	case errors.Is(err, unix.ENOSPC):
		return order.NoRoom
	}
	return ""
}

// connected makes the pass over the order's command.
func connected(ctx context.Context, o *order.Pass, outcome *order.Outcome) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	line, err := connect(ctx, o.Connect, o.Limit)
	if err != nil {
		return err
	}
	log := newLog(o.Log)
	defer log.close()
	c := &course{order: o, boot: boot, peer: pass.NewPeer(line), counts: line.counts, log: log}
	ended := c.watch()
	err = c.run(ctx)
	ended()
	c.fill(outcome)
	outcome.Sent, outcome.Received = line.counts()
	err = line.end(err)
	outcome.Said = line.stderr.String()
	return err
}

func options(o *order.Pass, root order.Root, boot string) pass.Options {
	look := pass.LookChanged
	switch o.Verify {
	case "none":
		look = pass.LookNone
	case "metadata":
		look = pass.LookAll
	case "checksum":
		look = pass.LookContent
	}
	compress := pass.CompressAuto
	switch o.Compress {
	case "always":
		compress = pass.CompressAlways
	case "never":
		compress = pass.CompressNever
	}
	return pass.Options{
		Number: root.Number, Source: root.Source, Target: root.Target, Excludes: o.Excludes, Compress: compress, Base: root.Base, Boot: boot,
		Delete: pass.Deletion(o.Delete), Trash: root.Trash, Strangers: pass.Strangers(o.Strangers), Owners: names.Host{},
		OnConflict: o.Conflict, Look: look, Preview: o.Preview,
	}
}

// fill sets what was done about a root.
func fill(r *order.RootOutcome, report *pass.Report) {
	s := report.Source
	r.Regular, r.Directories, r.Links, r.Special, r.Bytes = s.Regular, s.Directories, s.Links, s.Special, s.Bytes
	r.First, r.Changes, r.Verified = report.First, report.Changes, report.Verified
	r.Transferred, r.Brought, r.Literal, r.Trashed = report.Transferred, report.Bytes, report.Literal, report.Trashed
	entries, bytes := report.Expected()
	done, _ := report.Done()
	r.ToCome, r.ToComeBytes = max(0, entries-done), max(0, bytes-report.Written())
	for _, s := range report.Strangers {
		s := order.Stranger{Group: s.Group, ID: s.ID, Name: tree.Readable(s.Name), Here: tree.Readable(s.Here), Count: s.Count}
		r.Strangers = append(r.Strangers, s)
	}
	for _, l := range report.Lacks {
		lack := order.Lack{What: l.What, Count: l.Count, Fatal: l.Fatal}
		for _, path := range l.Examples {
			lack.Examples = append(lack.Examples, tree.Readable(path))
		}
		r.Lacks = append(r.Lacks, lack)
	}
	r.Did, r.Found = readable(report.Did), readable(report.Found)
}

// readable are the paths of each kind as they can be shown.
func readable[K ~string](kinds map[K]*pass.Found) map[string]order.Found {
	all := map[string]order.Found{}
	for kind, found := range kinds {
		f := order.Found{Count: found.Count}
		for _, p := range found.Paths {
			f.Paths = append(f.Paths, order.Path{Path: tree.Readable(p.Path), Text: tree.Readable(p.Text)})
		}
		all[string(kind)] = f
	}
	return all
}

// line is the command that leads to the old host.
type line struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr *tail
	limit  int64 // bytes a second

	mu             sync.Mutex
	sent, received int64
	begun          time.Time
}

func connect(ctx context.Context, command []string, limit int64) (*line, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	// It is asked to end, and has a moment for that.
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	l := &line{cmd: cmd, stderr: &tail{}, limit: limit, begun: time.Now()}
	cmd.Stderr = l.stderr
	var err error
	if l.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if l.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	widen(l.in, l.out)
	return l, cmd.Start()
}

func (l *line) Write(b []byte) (int, error) {
	n, err := l.in.Write(b)
	l.mu.Lock()
	l.sent += int64(n)
	l.mu.Unlock()
	return n, err
}

// Read reads no faster than the limit allows. The other end waits then, by TCP.
func (l *line) Read(b []byte) (int, error) {
	if l.limit > 0 {
		b = b[:min(int64(len(b)), max(l.limit/8, 512))]
	}
	n, err := l.out.Read(b)
	l.mu.Lock()
	l.received += int64(n)
	received := l.received
	l.mu.Unlock()
	if l.limit > 0 {
		due := time.Duration(float64(received) / float64(l.limit) * float64(time.Second))
		// What was not used in a pause is lost: a burst would exceed the limit.
		if ahead := due - time.Since(l.begun); ahead > 0 {
			time.Sleep(ahead)
		} else if ahead < -time.Second {
			l.begun = time.Now().Add(-due)
		}
	}
	return n, err
}

// Close ends the command's input, so that it ends.
func (l *line) Close() error { return l.in.Close() }

func (l *line) counts() (sent, received int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, l.received
}

// end waits for the command, and adds to an error what it has said.
func (l *line) end(err error) error {
	l.in.Close()
	if err != nil {
		// It may still be sending what nobody reads any more.
		_ = l.cmd.Process.Signal(unix.SIGTERM)
	}
	waited := l.cmd.Wait()
	if err == nil && waited != nil {
		err = fmt.Errorf("%s: %w", filepath.Base(l.cmd.Path), waited)
	}
	if said := l.stderr.String(); err != nil && said != "" {
		err = fmt.Errorf("%w; %s said: %s", err, filepath.Base(l.cmd.Path), strings.ReplaceAll(said, "\n", "; "))
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// tailSize is how many bytes it keeps.
const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// String is what was kept, as it can be shown.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(string(t.kept)), "\n") {
		lines = append(lines, tree.Readable(strings.TrimRight(line, "\r")))
	}
	return strings.Join(lines, "\n")
}
