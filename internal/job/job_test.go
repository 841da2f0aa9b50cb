package job

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

func TestFollowBearsALostConnection(t *testing.T) {
	retryAfter = time.Millisecond
	h := hosttest.New(t)
	const look = "job/job.sh look j 5 ''"
	h.Expect(look).Prints("phase running\ntoken t\nstatus 5 %\n")
	h.Expect(look).Fails(errors.New("connection lost"))
	h.Expect(look).Fails(errors.New("connection refused"))
	h.Expect(look).Prints("phase running\ntoken t\nstatus 9 %\n")
	h.Expect(look).Prints("phase ended\ntoken t\ncode 23\nresult a\nresult \nerror b c\n")
	var seen []string
	s, err := Follow(context.Background(), h, "j", "", func(s State) { seen = append(seen, s.Status) })
	if err != nil || s.Phase != Ended || s.Code != 23 || s.Result != "a\n\n" || s.Errors != "b c\n" {
		t.Errorf("%+v, %v", s, err)
	}
	if len(seen) != 2 || seen[1] != "9 %" {
		t.Errorf("status %q", seen)
	}
}

// A command that ran and failed is an answer; asking again would not change it.
func TestFollowGivesUpOnAnAnswer(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t)
	h.Expect("job/job.sh look j 5 ''").Exits(127, "sh: not found")
	if _, err := Follow(context.Background(), h, "j", "", nil); err == nil {
		t.Error("no error")
	}
	h.Expect("job/job.sh look j 5 ''").Prints("nothing of ours\n")
	if _, err := Look(context.Background(), h, "j", glance, ""); err == nil {
		t.Error("no phase, and no error")
	}
}

// Cancelling works when the context has ended, which is why one cancels.
func TestCancelAfterTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t)
	h.Expect("job/job.sh cancel j t 20")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Cancel(ctx, h, "j", "t"); err != nil {
		t.Error(err)
	}
	if _, err := Follow(ctx, h, "j", "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestStartArguments(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t)
	s := Spec{Name: "j", Token: "t", Script: host.Script{Text: "exit 0"}, Files: map[string]string{"b": "2", "a": "1"}, Writable: []string{"/home", "/srv/a b"}}
	h.Expect(host.Sh(startScript, "j", "t", runnerText, "confined", "2", "/home", "/srv/a b", "a", "1", "b", "2").String()).WithStdin("exit 0")
	if err := Start(context.Background(), h, s); err != nil {
		t.Error(err)
	}
	h.Expect(host.Sh(startScript, "j", "t", runnerText, "free", "0").String()).Exits(75, "")
	if err := Start(context.Background(), h, Spec{Name: "j", Token: "t"}); !errors.Is(err, ErrTaken) {
		t.Errorf("error %v", err)
	}
}
