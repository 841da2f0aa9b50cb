//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/chain"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// The test's own program is the worker where this is set: to the directory in which a
// host keeps what belongs to passes.
const asWorker = "CUTOVER_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asWorker); dir != "" {
		state.Dir = dir
		main()
	}
	os.Exit(m.Run())
}

// hosts are an old and a new host: directories of this one.
type hosts struct {
	t                    *testing.T
	source, target, home string
	served               []string
	order                order.Pass
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	dir := t.TempDir()
	h := &hosts{t: t, source: filepath.Join(dir, "source"), target: filepath.Join(dir, "target"), home: filepath.Join(dir, "home")}
	for _, d := range []string{h.source, h.target, h.home, filepath.Join(h.home, "trash")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.order = order.Pass{
		Connect: []string{os.Args[0], "serve", servedChain},
		Roots:   []order.Root{{Source: h.source, Target: h.target, Base: filepath.Join(h.home, "base"), Trash: filepath.Join(h.home, "trash")}},
		Delete:  "trash", Strangers: "fail", Conflict: "replace", Verify: "changed",
		Status: filepath.Join(h.home, "status"), Outcome: filepath.Join(h.home, "outcome"),
	}
	h.served = []string{h.source}
	h.serve(h.source)
	return h
}

const servedChain = "0123456789ab"

// serve notes what the key of the chain can read.
func (h *hosts) serve(paths ...string) {
	h.t.Helper()
	h.t.Setenv(asWorker, h.home)
	if err := os.MkdirAll(filepath.Join(h.home, "pass-"+servedChain), 0o700); err != nil {
		h.t.Fatal(err)
	}
	served := chain.State{Dir: h.home}
	if err := served.SetServed(servedChain, chain.Serves{Paths: paths, Until: time.Now().Add(time.Hour)}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hosts) write(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.source, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// start starts a pass.
func (h *hosts) start() *exec.Cmd {
	h.t.Helper()
	file := filepath.Join(h.home, "order")
	if err := order.Write(file, h.order); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "pass", file)
	cmd.Stderr = &bytes.Buffer{}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return cmd
}

// outcome is what the pass has left.
func (h *hosts) outcome() order.Outcome {
	h.t.Helper()
	text, err := os.ReadFile(h.order.Outcome)
	if err != nil {
		h.t.Fatal(err)
	}
	var o order.Outcome
	if err := json.Unmarshal(text, &o); err != nil {
		h.t.Fatalf("%v in %s", err, text)
	}
	return o
}

func TestAPassOfTwoRoots(t *testing.T) {
	h := newHosts(t)
	h.write("one", "content")
	h.write("odd\xff\n", "x")
	second := newHosts(t)
	second.write("mail", strings.Repeat("m", 10000))
	h.serve(h.source, second.source)
	root := second.order.Roots[0]
	root.Number = 1
	h.order.Roots = append(h.order.Roots, root)
	cmd := h.start()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	o := h.outcome()
	if o.Error != "" || len(o.Roots) != 2 || o.Roots[0].Did["created"].Count != 2 || o.Roots[1].Did["created"].Count != 1 || o.Roots[1].Brought != 10000 ||
		o.Roots[0].Regular != 2 || o.Received < 10000 || o.Sent == 0 || o.Finished.Before(o.Started) {
		t.Errorf("the outcome is %+v", o)
	}
	if text, err := os.ReadFile(filepath.Join(second.target, "mail")); err != nil || len(text) != 10000 {
		t.Errorf("the mail has %d bytes, error %v", len(text), err)
	}
	text, err := os.ReadFile(h.order.Status)
	if want := regexp.MustCompile(`^finishing path 2 of 2: 100 %, 9 KiB of 9 KiB(, [0-9]+ K?i?B/s)?, at mail\n$`); err != nil || !want.Match(text) {
		t.Errorf("the status is %q, error %v", text, err)
	}
	// Nobody else reads what it has left.
	for _, name := range []string{h.order.Status, h.order.Outcome, h.order.Roots[0].Base} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v", name, info.Mode(), err)
		}
	}
}

// A log is appended to, also by a pass that cannot go on, and is root's alone.
func TestTheLog(t *testing.T) {
	h := newHosts(t)
	h.write("odd\n", "x")
	h.order.Log = filepath.Join(h.home, "log")
	if err := h.start().Wait(); err != nil {
		t.Fatal(err)
	}
	h.order.Roots[0].Number = 1
	if err := h.start().Wait(); err == nil {
		t.Error("it ended well")
	}
	text, err := os.ReadFile(h.order.Log)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 4 || !strings.HasPrefix(lines[0], "root ") ||
		lines[1] != `created odd\n` || !strings.HasSuffix(lines[2], " "+h.source+" -> "+h.target) {
		t.Errorf("the log is %q, error %v", text, err)
	}
	if info, err := os.Stat(h.order.Log); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it has mode %v, error %v", info.Mode(), err)
	}
}

// A log that cannot be written is said once, and stops nothing.
func TestALogThatCannotBeWritten(t *testing.T) {
	for _, name := range []string{"/dev/full", "/dev/null/log"} {
		h := newHosts(t)
		h.write("one", "x")
		second := newHosts(t)
		second.write("one", "x")
		h.add(second)
		h.order.Log = name
		if err := h.start().Wait(); err != nil {
			t.Fatal(err)
		}
		o := h.outcome()
		if d := o.Roots[0].Found["damaged"]; d.Count != 1 || d.Paths[0].Path != name || o.Roots[1].Found["damaged"].Count != 0 {
			t.Errorf("with %s the outcome is %+v", name, o)
		}
		if o.Roots[0].Changes != 1 || !o.Roots[0].First || !o.Roots[1].First {
			t.Errorf("changes are %+v", o.Roots)
		}
	}
}

// What is said of a path can be shown, whatever is in its name.
func TestAnOddName(t *testing.T) {
	h := newHosts(t)
	h.write("odd\xff\n\x1b[2J", "x")
	if err := h.start().Wait(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.target, "odd\xff\n\x1b[2J")); err != nil {
		t.Fatal(err)
	}
	if err := h.start().Wait(); err != nil {
		t.Fatal(err)
	}
	lost := h.outcome().Roots[0].Found["lost"]
	if lost.Count != 1 || lost.Paths[0].Path != `odd\xff\n\x1b[2J` {
		t.Errorf("lost is %+v", lost)
	}
}

func TestTheOldHostCannotBeReached(t *testing.T) {
	h := newHosts(t)
	h.order.Connect = []string{"sh", "-c", "echo 'ssh: no route to host' >&2; exit 255"}
	var exit *exec.ExitError
	if err := h.start().Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if text := h.outcome().Error; !strings.Contains(text, "no route to host") || !strings.Contains(text, h.source) {
		t.Errorf("the error is %q", text)
	}
}

func TestARootThatIsNotServed(t *testing.T) {
	h := newHosts(t)
	h.order.Roots[0].Number = 1
	if err := h.start().Wait(); err == nil {
		t.Error("it ended well")
	}
	if text := h.outcome().Error; !strings.Contains(text, "directory 2 is asked for, and 1 are served") {
		t.Errorf("the error is %q", text)
	}
}

// The key of a pass reads nothing but the directories that it names.
func TestServeTakesNoOptionFromTheStream(t *testing.T) {
	h := newHosts(t)
	for _, args := range [][]string{{"serve"}, {}, {"pass"}, {"pass", "a", "b"}, {"shell"}, {"version", "x"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &stderr); code != 2 || !strings.Contains(stderr.String(), "usage") {
			t.Errorf("%q ends with %d and says %q", args, code, &stderr)
		}
	}
	state.Dir = h.home
	t.Cleanup(func() { state.Dir = order.State })
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", servedChain}, strings.NewReader("/etc/shadow\n--help\n"), &bytes.Buffer{}, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "malformed message") {
		t.Errorf("words on the stream: %d, %q", code, &stderr)
	}
	for _, chain := range []string{h.source, "../pass-" + servedChain, "ffffffffffff"} {
		if code := run(t.Context(), []string{"serve", chain}, strings.NewReader(""), &bytes.Buffer{}, &stderr); code != 1 {
			t.Errorf("serve %q ends with %d", chain, code)
		}
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"version"}, nil, &out, &stderr); code != 0 || !strings.HasPrefix(out.String(), "cutover-worker") {
		t.Errorf("version: %d, %q", code, &out)
	}
}

func TestASignalEndsAPass(t *testing.T) {
	h := newHosts(t)
	h.write("big", strings.Repeat("0123456789abcdef", 1<<16))
	h.order.Limit = 100_000
	cmd := h.start()
	begun := time.Now()
	for {
		text, err := os.ReadFile(h.order.Status)
		if err == nil && strings.HasPrefix(string(text), "copying path 1 of 1: ") {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("it does not begin to copy: %s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	if o := h.outcome(); o.Error == "" {
		t.Errorf("the outcome is %+v", o)
	}
	// The next one goes on.
	h.order.Limit = 0
	if err := h.start().Wait(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(h.target)
	if err != nil || len(names) != 1 {
		t.Errorf("the target has %v, error %v", names, err)
	}
	if o := h.outcome(); len(o.Roots[0].Found) > 0 {
		t.Errorf("the outcome is %+v", o)
	}
}

// The limit is one: two megabytes at a megabyte a second are two seconds.
func TestTheLimit(t *testing.T) {
	h := newHosts(t)
	h.write("big", strings.Repeat("0123456789abcdef", 1<<17))
	h.order.Limit = 1 << 20
	begun := time.Now()
	if err := h.start().Wait(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 1800*time.Millisecond {
		t.Errorf("two megabytes took %v", took)
	}
}

func TestAnOrderOfAnotherVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order")
	if err := os.WriteFile(file, []byte(`{"connect": ["x"], "warp": 9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := order.ReadPass(file); err == nil || !strings.Contains(err.Error(), "warp") {
		t.Errorf("the error is %v", err)
	}
}

// A worker that was taken away while it waited says so, and has prepared nothing.
func TestAWorkerThatWasTakenAway(t *testing.T) {
	h := newHosts(t)
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	worker := filepath.Join(t.TempDir(), "worker")
	if err := os.WriteFile(worker, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(worker, "prepare")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(worker); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(stdin).Encode(order.Prepare{Chain: "ffffffffffff", ID: "taken-away", Job: "taken-away"}); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 127 || !strings.Contains(stderr.String(), "taken away") {
		t.Errorf("it ended with %v and said %q", err, &stderr)
	}
	if marked, err := (chain.State{Dir: h.home}).Marked("taken-away"); err != nil || len(marked) > 0 {
		t.Errorf("marked are %v, %v", marked, err)
	}
}
