//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/names"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/pass"
)

// runPass makes the pass of an order, and writes how it ended. Its error is what
// the outcome says, too.
func runPass(ctx context.Context, file string) error {
	o, err := order.ReadPass(file)
	if err != nil {
		return err
	}
	outcome := order.Outcome{Started: time.Now().UTC()}
	passErr := connected(ctx, o, &outcome)
	outcome.Finished = time.Now().UTC()
	if passErr != nil {
		outcome.Error = passErr.Error()
	}
	return errors.Join(passErr, order.Write(o.Outcome, outcome))
}

// connected makes the pass over the order's command.
func connected(ctx context.Context, o *order.Pass, outcome *order.Outcome) error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	line, err := connect(ctx, o.Connect, o.Limit)
	if err != nil {
		return err
	}
	peer := pass.NewPeer(line)
	for i, root := range o.Roots {
		report := pass.NewReport()
		ended := watch(o.Status, i, report, outcome)
		r := order.RootOutcome{Started: time.Now().UTC()}
		err = peer.Run(ctx, options(o, root, strings.TrimSpace(string(boot))), report)
		ended()
		r.Finished = time.Now().UTC()
		fill(&r, report)
		outcome.Roots = append(outcome.Roots, r)
		if err != nil {
			err = fmt.Errorf("%s: %w", root.Source, err)
			break
		}
	}
	outcome.Sent, outcome.Received = line.counts()
	return line.end(err)
}

func options(o *order.Pass, root order.Root, boot string) pass.Options {
	look := pass.LookChanged
	switch o.Verify {
	case "metadata":
		look = pass.LookAll
	case "checksum":
		look = pass.LookContent
	}
	return pass.Options{
		Number: root.Number, Target: root.Target, Excludes: o.Excludes, Base: root.Base, Boot: boot,
		Delete: pass.Deletion(o.Delete), Trash: root.Trash, Strangers: pass.Strangers(o.Strangers), Owners: names.Host{},
		OnConflict: o.Conflict, Look: look, Preview: o.Preview,
	}
}

// watch writes every second how far the pass is, until the function that it
// returns is called.
func watch(file string, root int, report *pass.Report, outcome *order.Outcome) (ended func()) {
	var before order.Status
	for _, r := range outcome.Roots {
		before.Files += r.Created + r.Updated + r.Attributes + r.Renamed
		before.Bytes += r.Brought
	}
	say := func() {
		files, bytes := report.Done()
		// A status that cannot be written stops no pass.
		_ = order.Write(file, order.Status{Time: time.Now().UTC(), Phase: report.Phase(), Root: root, Files: before.Files + files, Bytes: before.Bytes + bytes})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			say()
			select {
			case <-ticker.C:
			case <-stop:
				say()
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// fill sets what was done about a root.
func fill(r *order.RootOutcome, report *pass.Report) {
	s := report.Source
	r.Regular, r.Directories, r.Links, r.Special, r.Bytes = s.Regular, s.Directories, s.Links, s.Special, s.Bytes
	r.Created, r.Updated, r.Attributes, r.Renamed, r.Deleted = report.Created, report.Updated, report.Attributes, report.Renamed, report.Deleted
	r.Brought, r.Literal, r.Trashed = report.Bytes, report.Literal, report.Trashed
	for kind, found := range report.Found {
		if r.Found == nil {
			r.Found = map[string]order.Found{}
		}
		f := order.Found{Count: found.Count}
		for _, p := range found.Paths {
			f.Paths = append(f.Paths, order.Path{Path: readable(p.Path), Text: readable(p.Text)})
		}
		r.Found[string(kind)] = f
	}
}

// readable is text as it can be shown: what is not UTF-8, or moves a terminal's
// cursor, is written with a backslash.
func readable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
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
		err = fmt.Errorf("%s: %w", l.cmd.Path, waited)
	}
	if said := l.stderr.String(); err != nil && said != "" {
		err = fmt.Errorf("%w; %s said: %s", err, l.cmd.Path, said)
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

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return readable(strings.ReplaceAll(strings.TrimSpace(string(t.kept)), "\n", "; "))
}
