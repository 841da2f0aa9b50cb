package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// local is this machine with a /run of its own, for the scripts themselves.
type local struct {
	host.Host
	run string
}

func (l local) Name() string { return "local" }

func (l local) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	text := strings.ReplaceAll(cmd.Script.Text, "/run/systemd", l.run+"/systemd")
	text = strings.ReplaceAll(text, "run=/run\n", "run="+l.run+"\n")
	command := exec.CommandContext(ctx, "sh", append([]string{"-c", text, "sh"}, cmd.Argv...)...)
	command.Stdin = cmd.Stdin
	command.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = &host.ExitError{Host: "local", Command: cmd.String(), Code: exit.ExitCode(), Stderr: stderr.String()}
	}
	return host.Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, err
}

func (l local) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not here")
}

func newLocal(t *testing.T) local {
	t.Helper()
	for _, program := range []string{"setsid", "ps"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v: jobs run on Linux hosts", err)
		}
	}
	return local{run: t.TempDir()}
}

func mustStart(t *testing.T, h host.Host, s Spec) {
	t.Helper()
	if err := Start(context.Background(), h, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Cancel(context.Background(), h, s.Name, s.Token); err != nil {
			t.Error(err)
		}
	})
}

func mustFollow(t *testing.T, h host.Host, name, awaited string) State {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := Follow(ctx, h, name, awaited, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAJobFromStartToEnd(t *testing.T) {
	t.Parallel()
	h := newLocal(t)
	ctx := context.Background()
	mustStart(t, h, Spec{Name: "j", Token: "first", Files: map[string]string{"given": "line one\nline two", "it's": "x"}, Script: host.Script{Text: `
echo "at work" >"$1/status"
until [ -s "$1/go" ]; do sleep 0.05; done
{ cat "$1/given"; echo; cat "$1/go"; } >"$1/result"
echo complaint >&2
exit 7
`}})
	if s := mustFollow(t, h, "j", "status"); s.Phase != Running || s.File != "at work\n" || s.Status != "at work" || s.Token != "first" {
		t.Errorf("while it runs: %+v", s)
	}
	if err := Start(ctx, h, Spec{Name: "j", Token: "second"}); !errors.Is(err, ErrTaken) {
		t.Errorf("a second job of the name: %v", err)
	}
	if err := Put(ctx, h, "j", "second", "go", "x"); !errors.Is(err, ErrGone) {
		t.Errorf("a file for another job: %v", err)
	}
	if code, ok := host.ExitCode(Remove(ctx, h, "j", "first")); !ok || code != exitTaken {
		t.Errorf("a job that runs was removed")
	}
	// Two applies that follow the same job give it the same file at once.
	var givers sync.WaitGroup
	for range 8 {
		givers.Go(func() {
			if err := Put(ctx, h, "j", "first", "go", "go on\n"); err != nil && !errors.Is(err, ErrGone) {
				t.Error(err)
			}
		})
	}
	givers.Wait()
	s := mustFollow(t, h, "j", "")
	if s.Phase != Ended || s.Code != 7 || s.Result != "line one\nline two\ngo on\n" || s.Errors != "complaint\n" {
		t.Errorf("after its end: %+v", s)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = Remove(ctx, h, "j", "first") })
	}
	wg.Wait()
	got := 0
	for _, err := range errs {
		if err == nil {
			got++
		} else if !errors.Is(err, ErrGone) {
			t.Error(err)
		}
	}
	if got != 1 {
		t.Errorf("%d of 8 readers got the result", got)
	}
	if _, err := os.Stat(filepath.Join(h.run, "cutover")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if s := mustFollow(t, h, "j", ""); s.Phase != None {
		t.Errorf("after it was removed: %+v", s)
	}
}

// Of many that start a job at once, one does.
func TestOneOfMany(t *testing.T) {
	t.Parallel()
	h := newLocal(t)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			errs[i] = Start(context.Background(), h, Spec{Name: "j", Token: fmt.Sprint(i), Script: host.Script{Text: "sleep 60"}})
		})
	}
	wg.Wait()
	started := 0
	for i, err := range errs {
		if err == nil {
			started++
			if err := Cancel(context.Background(), h, "j", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
	}
	if started != 1 {
		t.Errorf("%d jobs began", started)
	}
}

// A cancelled job cleans up; one that does not want to end is killed with all
// that it has started.
func TestCancel(t *testing.T) {
	t.Parallel()
	h := newLocal(t)
	ctx := context.Background()
	mustStart(t, h, Spec{Name: "polite", Token: "t", Script: host.Script{Text: `
trap 'echo cleaned >"$1/result"; exit 143' TERM
echo ready >"$1/status"
sleep 61.25 & wait
`}})
	mustFollow(t, h, "polite", "status")
	if err := Cancel(ctx, h, "polite", "another"); err != nil {
		t.Error(err)
	}
	if s, err := Look(ctx, h, "polite", 0, ""); err != nil || s.Phase != Running {
		t.Errorf("cancelled with another's token: %+v, %v", s, err)
	}
	if err := Cancel(ctx, h, "polite", "t"); err != nil {
		t.Error(err)
	}
	if s := mustFollow(t, h, "polite", ""); s.Phase != Ended || s.Code != 143 || s.Result != "cleaned\n" {
		t.Errorf("after the cancellation: %+v", s)
	}
	if out, err := exec.Command("ps", "-eo", "args").Output(); err != nil || strings.Contains(string(out), "sleep 61.25") {
		t.Errorf("its child is left (%v)", err)
	}
}

func TestAJobThatIsKilled(t *testing.T) {
	t.Parallel()
	h := newLocal(t)
	mustStart(t, h, Spec{Name: "j", Token: "t", Script: host.Script{Text: `echo ready >"$1/status"; sleep 60`}})
	mustFollow(t, h, "j", "status")
	pid, err := os.ReadFile(filepath.Join(h.run, "cutover/job-j/pid"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("kill", "-KILL", "--", "-"+strings.Fields(string(pid))[0]).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s := mustFollow(t, h, "j", ""); s.Phase != Died {
		t.Errorf("%+v", s)
	}
	if err := Remove(context.Background(), h, "j", "t"); err != nil {
		t.Error(err)
	}
}

// A process ID that another process has by now is no sign of life.
func TestAPIDUsedAgain(t *testing.T) {
	t.Parallel()
	h := newLocal(t)
	dir := filepath.Join(h.run, "cutover/job-j")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), fmt.Appendf(nil, "%d 1\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := mustFollow(t, h, "j", ""); s.Phase != Died {
		t.Errorf("%+v", s)
	}
}
