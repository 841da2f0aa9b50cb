//go:build linux

package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// The test's own program is the worker of these jobs: it does what the first exclude
// of its order says.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "pass" {
		os.Exit(work(os.Args[2]))
	}
	os.Exit(m.Run())
}

func work(file string) int {
	if err := Begin(file); err != nil {
		return 3
	}
	o, err := order.ReadPass(file)
	if err != nil {
		return 3
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, unix.SIGTERM)
	_ = order.Write(o.Status, "copying")
	outcome := order.Outcome{}
	switch o.Excludes[0] {
	case "panic":
		panic("it broke")
	case "wait":
		<-asked
		outcome.Error = "asked to end"
	case "stubborn":
		select {}
	case "short":
		time.Sleep(200 * time.Millisecond)
	}
	_ = order.Write(o.Outcome, outcome)
	return 0
}

func newHost(t *testing.T) Host {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Host{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), Program: program}
}

// prepared is a job that does what is said.
func (h Host) prepared(t *testing.T, does string) order.Prepare {
	t.Helper()
	p := order.Prepare{
		Job: "pass-0123456789ab", Token: "digest id1", Chain: "0123456789ab", ID: "id1", Comment: "cutover-pass-0123456789ab",
		SSHConfig: "IdentityFile %DIR%/key", KnownHosts: "old ssh-ed25519 AAAA\n", OldHost: "cutover-old",
		Pass: order.Pass{Excludes: []string{does}, Delete: "trash", Strangers: "fail", Conflict: "replace", Verify: "changed",
			Roots: []order.Root{{Source: "/srv/data", Target: filepath.Join(filepath.Dir(h.Run), "new", "data")}}},
	}
	answer, err := h.Prepare(t.Context(), p)
	if err != nil || answer.Taken || len(strings.Fields(answer.Public)) != 3 || len(answer.Writable) != 1 {
		t.Fatalf("the answer is %+v, %v", answer, err)
	}
	return p
}

// follow starts the job and returns what is last said of it.
func (h Host) follow(t *testing.T, f order.Follow) (last order.Job, statuses []string) {
	t.Helper()
	err := h.Follow(t.Context(), f, func(e order.Event) (bool, error) {
		if e.Job != nil {
			last = *e.Job
		} else if e.Status != "" {
			statuses = append(statuses, e.Status)
		}
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last, statuses
}

func (h Host) nothingLeft(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(h.Run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", h.Run, err)
	}
}

func TestAJobFromStartToEnd(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.prepared(t, "short")
	ready, err := h.Look(p.Job)
	if err != nil || ready.Phase != order.Ready || ready.Token != p.Token || len(strings.Fields(ready.Public)) != 3 {
		t.Fatalf("prepared, it is %+v, %v", ready, err)
	}
	dir := filepath.Join(h.Run, "job-"+p.Job)
	for name, want := range map[string]string{"ssh_config": "IdentityFile " + dir + "/key\n", "known_hosts": p.KnownHosts, "token": p.Token + "\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	for _, secret := range []string{"", "key", "order"} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q is %v, %v", secret, info.Mode(), err)
		}
	}
	if again, err := h.Prepare(t.Context(), p); err != nil || !again.Taken {
		t.Errorf("a second one of the name: %+v, %v", again, err)
	}
	last, _ := h.follow(t, order.Follow{Job: p.Job, Start: p.Token})
	if last.Phase != order.Ended || last.Token != p.Token || last.Outcome == nil || last.Outcome.Error != "" {
		t.Errorf("it ended as %+v", last)
	}
	if was, err := h.Remove(p.Job, "another id"); was || err != nil {
		t.Errorf("removed by another's token: %v, %v", was, err)
	}
	var winners sync.Map
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if was, err := h.Remove(p.Job, p.Token); err != nil {
				t.Error(err)
			} else if was {
				winners.Store(n, true)
			}
		})
	}
	all.Wait()
	count := 0
	winners.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d of eight were told that the outcome is theirs", count)
	}
	h.nothingLeft(t)
	// What outlives the job.
	for _, path := range []string{"chains/0123456789ab/targets", "trash/id1", "passes"} {
		if _, err := os.Stat(filepath.Join(h.State, path)); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(p.Pass.Roots[0].Target); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the target is %v, %v", info, err)
	}
}

func TestAJobIsCancelled(t *testing.T) {
	t.Parallel()
	for does, phase := range map[string]order.Phase{"wait": order.Ended, "stubborn": order.Died} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.prepared(t, does)
			ctx, cancel := context.WithCancel(t.Context())
			running := false
			// Whoever follows may go away: the job goes on.
			err := h.Follow(ctx, order.Follow{Job: p.Job, Start: p.Token}, func(e order.Event) (bool, error) {
				if strings.Contains(e.Status, "copying") {
					running = true
					cancel()
				}
				return false, nil
			})
			if !errors.Is(err, context.Canceled) || !running {
				t.Fatalf("running %v: %v", running, err)
			}
			if was, err := h.Remove(p.Job, p.Token); was || err == nil {
				t.Errorf("removed while it runs: %v, %v", was, err)
			}
			if was, err := h.Cancel(p.Job, "another id", time.Second); was || err != nil {
				t.Errorf("cancelled by another's token: %v, %v", was, err)
			}
			if was, err := h.Cancel(p.Job, p.Token, time.Second); !was || err != nil {
				t.Errorf("cancelled: %v, %v", was, err)
			}
			there, err := h.Look(p.Job)
			if err != nil || there.Phase != phase {
				t.Errorf("it is %+v, %v", there, err)
			}
			if was, err := h.Remove(p.Job, p.Token); !was || err != nil {
				t.Errorf("removed: %v, %v", was, err)
			}
			h.nothingLeft(t)
		})
	}
}

func TestAJobThatDied(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.prepared(t, "panic")
	last, _ := h.follow(t, order.Follow{Job: p.Job, Start: p.Token})
	if last.Phase != order.Died || !strings.Contains(last.Said, "it broke") {
		t.Errorf("it ended as %+v", last)
	}
}

// A job that another starts, or throws away, is seen as it is.
func TestTwoWhoStart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.prepared(t, "short")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if last, _ := h.follow(t, order.Follow{Job: p.Job, Start: p.Token}); last.Phase != order.Ended {
				t.Errorf("it ended as %+v", last)
			}
		})
	}
	all.Wait()
	if _, err := h.Remove(p.Job, p.Token); err != nil {
		t.Error(err)
	}
	if last, _ := h.follow(t, order.Follow{Job: p.Job, Start: p.Token}); last.Phase != order.None {
		t.Errorf("a job that was removed is %+v", last)
	}
	// One that nobody starts is nobody's after a while.
	p = h.prepared(t, "short")
	before := time.Now().Add(-2 * unattended)
	if err := os.Chtimes(filepath.Join(h.Run, "job-"+p.Job, fileToken), before, before); err != nil {
		t.Fatal(err)
	}
	if last, _ := h.follow(t, order.Follow{Job: p.Job}); last.Phase != order.Ready || last.Age < 60 {
		t.Errorf("a job that nobody starts is %+v", last)
	}
	if was, err := h.Remove(p.Job, p.Token); !was || err != nil {
		t.Errorf("removed: %v, %v", was, err)
	}
	h.nothingLeft(t)
}

// Of several who take the outcome, one is told that it is his.
func TestTheOutcomeIsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.prepared(t, "short")
	var mu sync.Mutex
	told := map[bool]int{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			err := h.Follow(t.Context(), order.Follow{Job: p.Job, Start: p.Token}, func(e order.Event) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if e.Removed != nil {
					told[*e.Removed]++
				}
				return e.Job != nil && e.Job.Phase == order.Ended, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if told[true] != 1 {
		t.Errorf("they were told %v", told)
	}
	h.nothingLeft(t)
}

func TestAPreparationThatBrokeOff(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := filepath.Join(h.Run, "job-pass-0123456789ab")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if answer, err := h.Prepare(t.Context(), order.Prepare{Job: "pass-0123456789ab"}); err != nil || !answer.Taken {
		t.Errorf("while it may still go on: %+v, %v", answer, err)
	}
	before := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(dir, before, before); err != nil {
		t.Fatal(err)
	}
	h.prepared(t, "short")
	for _, name := range []string{"", "../x", "a/b", "A"} {
		if _, err := h.Look(name); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestAPreviewMakesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := order.Prepare{
		Job: "preview-0123456789ab", Token: "digest preview", Chain: "ba9876543210", ID: "preview", Comment: "c", OldHost: "o",
		Pass: order.Pass{Excludes: []string{"short"}, Delete: "trash", Strangers: "fail", Conflict: "replace", Verify: "changed", Preview: true,
			Roots: []order.Root{{Source: "/srv/data", Target: filepath.Join(filepath.Dir(h.Run), "new", "data")}}},
	}
	if _, err := h.Prepare(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{h.State, filepath.Join(filepath.Dir(h.Run), "new")} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	last, _ := h.follow(t, order.Follow{Job: p.Job, Start: p.Token})
	text, _ := json.Marshal(last)
	if last.Phase != order.Ended {
		t.Errorf("it ended as %s", text)
	}
	// Nobody waited for it: the next one sweeps it away.
	dir := filepath.Join(h.Run, "job-"+p.Job)
	before := time.Now().Add(-2 * oldPreview)
	if err := os.Chtimes(dir, before, before); err != nil {
		t.Fatal(err)
	}
	h.prepared(t, "short")
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old preview: %v", err)
	}
}

func TestSystemdRunIsToldWhatTheJobMayChange(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var told string
	h.systemd = func(unit string, writable []string, argv ...string) error {
		told = fmt.Sprintf("%s %q %q", unit, writable, argv)
		return errors.New("no bus")
	}
	p := h.prepared(t, "short")
	err := h.Follow(t.Context(), order.Follow{Job: p.Job, Start: p.Token, Writable: []string{"/srv/a b"}}, func(order.Event) (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "no bus") {
		t.Errorf("the error is %v", err)
	}
	if want := fmt.Sprintf("cutover-%s %q %q", p.Job, []string{h.Run, h.State, "/srv/a b"}, []string{h.Program, "pass", filepath.Join(h.Run, "job-"+p.Job, "order")}); told != want {
		t.Errorf("systemd-run was told\n%s, want\n%s", told, want)
	}
	h.nothingLeft(t)
}
