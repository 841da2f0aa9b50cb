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
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// The test's own program is the worker where this is set.
const asWorker = "CUTOVER_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		main()
	}
	os.Exit(m.Run())
}

// hosts are an old and a new host: directories of this one.
type hosts struct {
	t                    *testing.T
	source, target, home string
	order                order.Pass
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	t.Setenv(asWorker, "1")
	dir := t.TempDir()
	h := &hosts{t: t, source: filepath.Join(dir, "source"), target: filepath.Join(dir, "target"), home: filepath.Join(dir, "home")}
	for _, d := range []string{h.source, h.target, h.home, filepath.Join(h.home, "trash")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.order = order.Pass{
		Connect: []string{os.Args[0], "serve", h.source},
		Roots:   []order.Root{{Source: h.source, Target: h.target, Base: filepath.Join(h.home, "base"), Trash: filepath.Join(h.home, "trash")}},
		Delete:  "trash", Strangers: "fail", Conflict: "replace", Verify: "changed",
		Status: filepath.Join(h.home, "status"), Outcome: filepath.Join(h.home, "outcome"),
	}
	return h
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
	h.order.Connect = append(h.order.Connect, second.source)
	root := second.order.Roots[0]
	root.Number = 1
	h.order.Roots = append(h.order.Roots, root)
	cmd := h.start()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	o := h.outcome()
	if o.Error != "" || len(o.Roots) != 2 || o.Roots[0].Created != 2 || o.Roots[1].Created != 1 || o.Roots[1].Brought != 10000 ||
		o.Roots[0].Regular != 2 || o.Received < 10000 || o.Sent == 0 || o.Finished.Before(o.Started) {
		t.Errorf("the outcome is %+v", o)
	}
	if text, err := os.ReadFile(filepath.Join(second.target, "mail")); err != nil || len(text) != 10000 {
		t.Errorf("the mail has %d bytes, error %v", len(text), err)
	}
	var status order.Status
	text, err := os.ReadFile(h.order.Status)
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil || status.Files != 3 || status.Bytes != 10008 || status.Root != 1 || status.Phase != "finishing" {
		t.Errorf("the status is %s, error %v", text, err)
	}
	// Nobody else reads what it has left.
	for _, name := range []string{h.order.Status, h.order.Outcome, h.order.Roots[0].Base} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v", name, info.Mode(), err)
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
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", h.source}, strings.NewReader("/etc/shadow\n--help\n"), &bytes.Buffer{}, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "malformed message") {
		t.Errorf("words on the stream: %d, %q", code, &stderr)
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
		var s order.Status
		text, err := os.ReadFile(h.order.Status)
		if err == nil && json.Unmarshal(text, &s) == nil && s.Phase == "copying" {
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
