package deploy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/release"
)

// builds are the digests of the workers that the sources have, as worker.sh takes them,
// and one of them with the machine that it is for. The test is skipped where there is none.
func builds(t *testing.T) (digests, machine string, build release.Build) {
	t.Helper()
	known, err := release.Digests()
	if err != nil {
		t.Skipf("make worker was not run here: %v", err)
	}
	machine = slices.Sorted(maps.Keys(known))[0]
	if build, err = release.For(machine); err != nil {
		t.Fatal(err)
	}
	cmd, err := On(hosttest.New(t)).command("survey-new")
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Argv[1], machine, build
}

// looks is the command that looks whether the worker is there, as a fake host knows it.
func looks(digests, question string) string {
	return host.Sh(workerScript, order.State, digests, question).String()
}

type answer struct {
	OS string `json:"os"`
}

func said(t *testing.T, worker string) string {
	t.Helper()
	text, err := json.Marshal(order.Answer{Worker: worker, Answer: json.RawMessage(`{"os":"debian"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestAWorkerIsPutOnceAndAskedThen(t *testing.T) {
	t.Parallel()
	digests, machine, build := builds(t)
	file := order.State + "/worker-" + build.SHA256[:16]
	h := hosttest.New(t)
	h.Expect(looks(digests, "survey-new")).WithStdin(`{"q":1}`).Prints(machine+" 6.1.0-18-amd64 \n").Exits(exitAbsent, "")
	h.Expect("mkdir -p " + order.State)
	h.Expect(looks(digests, "survey-new")).Exits(exitCannotRun, "exec: Text file busy")
	h.Expect(looks(digests, "survey-new")).WithStdin(`{"q":1}`).Prints(said(t, file))
	h.Expect(file + " survey-new").WithStdin(`{"q":1}`).Prints(said(t, file))
	// Another chain's last pass takes it away, once more between the look and the call.
	h.Expect(file+" survey-new").Exits(exitNotThere, "not found")
	h.Expect(looks(digests, "survey-new")).Exits(exitNotThere, "exec: "+file+": not found")
	h.Expect(looks(digests, "survey-new")).Prints(said(t, file))
	w := On(h)
	for range 3 {
		var got answer
		if err := w.Ask(t.Context(), "survey-new", map[string]int{"q": 1}, &got); err != nil || got.OS != "debian" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if put := h.Files()[file]; put.Content != string(build.Program) || put.Attr.Mode != 0o700 {
		t.Errorf("%s has %d bytes and the mode %v", file, len(put.Content), put.Attr.Mode)
	}
}

func TestWhatCannotRunAWorkerIsNamed(t *testing.T) {
	t.Parallel()
	digests, machine, _ := builds(t)
	for says, expect := range map[string]func(*hosttest.Fake){
		"Linux 2.6.32-5-amd64, and a pass needs 3.6": func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Prints(machine+" 2.6.32-5-amd64 \n").Exits(exitAbsent, "")
		},
		`processor of kind "mips"`: func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Prints("mips 4.9.0 kept\n").Exits(exitAbsent, "")
		},
		"is mounted noexec": func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Prints(machine+" 6.1.0 \n").Exits(exitAbsent, "")
			h.Expect("mkdir -p " + order.State)
			h.Expect(looks(digests, "x")).Exits(exitCannotRun, "Permission denied")
		},
		"does not say what machine": func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Prints("").Exits(exitAbsent, "")
		},
		"the worker did not answer x": func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Prints("hello\n")
		},
		"it broke": func(h *hosttest.Fake) {
			h.Expect(looks(digests, "x")).Exits(1, "it broke")
		},
	} {
		h := hosttest.New(t)
		expect(h)
		var got answer
		if err := On(h).Ask(t.Context(), "x", struct{}{}, &got); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in %v", says, err)
		}
		if files := h.Files(); len(files) != 0 {
			t.Errorf("%q: left are %d files", says, len(files))
		}
	}
}

// Where nothing of passes is, nothing is put to find that out.
func TestNothingIsPutWhereNothingIs(t *testing.T) {
	t.Parallel()
	digests, machine, _ := builds(t)
	h := hosttest.New(t)
	h.Expect(looks(digests, "forget")).Prints(machine+" 6.1.0 \n").Exits(exitAbsent, "")
	if err := Where(h).Ask(t.Context(), "forget", struct{}{}, &struct{}{}); !errors.Is(err, ErrNothing) {
		t.Errorf("the error is %v", err)
	}
	h.Expect(looks(digests, "forget")).Prints(machine+" 6.1.0 kept\n").Exits(exitAbsent, "")
	h.Expect("mkdir -p " + order.State)
	h.Expect(looks(digests, "forget")).Prints(said(t, ""))
	if err := Where(h).Ask(t.Context(), "forget", struct{}{}, &struct{}{}); err != nil {
		t.Errorf("the error is %v", err)
	}
}

func TestLinesComeWhole(t *testing.T) {
	t.Parallel()
	var got []string
	l := &lines{take: func(line []byte) error {
		got = append(got, string(line))
		if len(got) == 3 {
			return errors.New("enough")
		}
		return nil
	}}
	for _, part := range []string{"x86_64 6.1.0 \n{\"a\":1}\n{\"b", "\":2}\n", "{\"c\":3}\n"} {
		if _, err := l.Write([]byte(part)); err != nil && err.Error() != "enough" {
			t.Error(err)
		}
	}
	if strings.Join(got, "") != `{"a":1}{"b":2}{"c":3}` {
		t.Errorf("the lines are %q", got)
	}
	if l.other != "x86_64 6.1.0 " {
		t.Errorf("the other line is %q", l.other)
	}
}

// What is said of a line reaches the worker while it talks.
func TestATalk(t *testing.T) {
	t.Parallel()
	digests, _, _ := builds(t)
	h := &answering{Fake: hosttest.New(t)}
	h.Expect(looks(digests, "follow"))
	var got []string
	err := On(h).Talk(t.Context(), "follow", struct{}{}, func(line []byte) (string, error) {
		got = append(got, string(line))
		return map[string]string{`{"a":1}`: "taken\n"}[string(line)], nil
	})
	if err != nil || strings.Join(got, "") != `{"a":1}{"heard":"taken"}` || h.asked != "{}\n" {
		t.Errorf("asked %q, heard %q, %v", h.asked, got, err)
	}
}

// What was said to a worker that is put once more is heard by the new one.
func TestATalkWithAWorkerThatWasGone(t *testing.T) {
	t.Parallel()
	digests, machine, build := builds(t)
	file := order.State + "/worker-" + build.SHA256[:16]
	h := &forgetful{answering: &answering{Fake: hosttest.New(t)}}
	h.Expect(looks(digests, "survey-new")).Prints(said(t, file))
	h.Expect(looks(digests, "follow")).Prints(machine+" 6.1.0-18-amd64 \n").Exits(exitAbsent, "")
	h.Expect("mkdir -p " + order.State)
	h.Expect(looks(digests, "follow"))
	w := On(h)
	if err := w.Ask(t.Context(), "survey-new", struct{}{}, &answer{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := w.Talk(t.Context(), "follow", struct{}{}, func(line []byte) (string, error) {
		got = append(got, string(line))
		return map[string]string{`{"a":1}`: "taken\n"}[string(line)], nil
	})
	if err != nil || strings.Join(got, "") != `{"a":1}{"heard":"taken"}` || h.tries != 3 {
		t.Errorf("heard %q at try %d, %v", got, h.tries, err)
	}
}

// forgetful is a host that lacks the worker when it is asked to follow, and whose
// connection goes on taking the input of a command that has ended, as a real one does.
type forgetful struct {
	*answering
	tries int
}

func (h *forgetful) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	if !strings.HasSuffix(cmd.String(), "follow") {
		return h.Fake.Run(ctx, cmd)
	}
	if h.tries++; h.tries == 3 {
		return h.answering.Run(ctx, cmd)
	}
	go io.Copy(io.Discard, cmd.Stdin) //nolint:errcheck // until it ends
	time.Sleep(10 * time.Millisecond) // it waits for the reply by then
	cmd.Stdin = nil
	if h.tries == 1 {
		return host.Result{}, &host.ExitError{Code: exitNotThere}
	}
	return h.Fake.Run(ctx, cmd)
}

// answering is a host whose worker says something, and then what it was told.
type answering struct {
	*hosttest.Fake
	asked string
}

func (h *answering) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	stdin := bufio.NewReader(cmd.Stdin)
	h.asked, _ = stdin.ReadString('\n')
	fmt.Fprintln(cmd.Stdout, `{"a":1}`)
	heard, _ := stdin.ReadString('\n')
	fmt.Fprintf(cmd.Stdout, "{\"heard\":%q}\n", strings.TrimSpace(heard))
	cmd.Stdin, cmd.Stdout = nil, nil
	return h.Fake.Run(ctx, cmd)
}

// The script itself, in every shell that is here.
func TestScript(t *testing.T) {
	t.Parallel()
	const program = "#!/bin/sh\necho ran \"$@\"; cat; exit 7\n"
	dir := t.TempDir()
	sum, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s' "$1" | sha256sum`, "sh", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(sum))[0]
	machine, err := exec.CommandContext(t.Context(), "uname", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	digests := "other=0000 " + strings.TrimSpace(string(machine)) + "=" + want
	run := func(shell []string, digests string) (string, int) {
		cmd := exec.CommandContext(context.Background(), shell[0], append(shell[1:], "-c", workerText, "worker.sh", dir, digests, "survey", "a b")...) //nolint:gosec // a test
		cmd.Stdin = strings.NewReader("input")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		file := filepath.Join(dir, "worker-"+want[:16])
		os.Remove(file)
		if out, code := run(shell, digests); code != exitAbsent || len(strings.Fields(out)) != 2 {
			t.Errorf("%s, nothing there: %q, %d", shell, out, code)
		}
		if err := os.WriteFile(file, []byte(program+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if out, code := run(shell, digests); code != exitAbsent || len(strings.Fields(out)) != 3 {
			t.Errorf("%s, another one there: %q, %d", shell, out, code)
		}
		if err := os.WriteFile(file, []byte(program), 0o700); err != nil {
			t.Fatal(err)
		}
		if out, code := run(shell, digests); code != 7 || out != "ran survey a b\ninput" {
			t.Errorf("%s, it is there: %q, %d", shell, out, code)
		}
	}
}
