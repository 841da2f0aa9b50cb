package service

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

func ptr[T any](value T) *T { return &value }

const dovecot = "service dovecot\nrunning yes\nenabled no\nstate active (running), disabled\ntrigger dovecot.socket active enabled\ntrigger dovecot.path\nend dovecot\n"

func TestReadsOfTheSameMomentShareARoundTrip(t *testing.T) {
	fake := hosttest.New(t)
	services := NewServices(fake)
	fake.Expect("service/read.sh").WithStdin("dovecot\n").Prints("init systemd\n" + dovecot)
	got, err := services.Read(t.Context(), "dovecot")
	want := State{"dovecot", "systemd", true, false, "active (running), disabled", []Trigger{{"dovecot.socket", true, true}, {"dovecot.path", false, false}}, 0, nil}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}

	const together = 20
	out := "init sysv\n"
	for range together {
		out += "service cron\nrunning yes\nenabled yes\nend cron\n"
	}
	fake.Expect("service/read.sh").WithStdin(strings.Repeat("cron\n", together)).Prints(out)
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			if s, err := services.Read(t.Context(), "cron"); err != nil || !s.Running || !s.Enabled || s.Init != "sysv" {
				t.Errorf("cron: %+v, %v", s, err)
			}
		})
	}
	wg.Wait()
}

func TestUnknownServiceNamesSimilarOnes(t *testing.T) {
	fake := hosttest.New(t)
	known := "known ssh\nknown postfix\nknown postfix@\nknown dovecot\nknown apache2\nknown apache-htcacheclean\nunknown\n"
	for name, want := range map[string]string{"apache": "apache2", "postfx": "postfix", "sshd": "ssh", "dovecott": "dovecot"} {
		fake.Expect("service/read.sh").Prints("init systemd\nservice " + name + "\n" + known + "end " + name + "\n")
		_, err := NewServices(fake).Read(t.Context(), name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || len(unknown.Similar) == 0 || unknown.Similar[0] != want || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s first", name, err, want)
		}
	}
	fake.Expect("service/set.sh zzz yes - - 60 - - - -").Prints("init systemd\nservice zzz\n" + known + "end zzz\n")
	var unknown *UnknownError
	if _, err := NewServices(fake).Set(t.Context(), "zzz", Want{Running: ptr(true)}); !errors.As(err, &unknown) || len(unknown.Similar) != 0 {
		t.Errorf("zzz: %v", err)
	}
}

func TestSetGivesItsScriptTheWholeWish(t *testing.T) {
	triggers := []Trigger{{"a.socket", true, false}, {"b.socket", false, true}, {"c.path", true, true}}
	for _, c := range []struct {
		want    Want
		command string
	}{
		{Want{}, "service/set.sh dovecot - - - 60 - - - -"},
		{Want{Running: ptr(false), Enabled: ptr(false), Triggers: triggers}, "service/set.sh dovecot no no - 60 - - - -"},
		{Want{Running: ptr(true), Triggers: triggers}, "service/set.sh dovecot yes - - 60 a.socket,c.path - - -"},
		{Want{Enabled: ptr(true), Triggers: triggers}, "service/set.sh dovecot - yes - 60 - b.socket,c.path - -"},
		{Want{Running: ptr(false), Enabled: ptr(false), Triggers: triggers, Restore: true}, "service/set.sh dovecot no no - 60 a.socket,c.path b.socket,c.path - -"},
		{Want{Running: ptr(true), Restart: true}, "service/set.sh dovecot yes - yes 60 - - - -"},
		{Want{Running: ptr(false), Drain: true}, "service/set.sh dovecot no - - 60 - - yes -"},
	} {
		fake := hosttest.New(t)
		fake.Expect(c.command).Prints("init systemd\n" + dovecot)
		if s, err := NewServices(fake).Set(t.Context(), "dovecot", c.want); err != nil || !s.Running {
			t.Errorf("%s: %+v, %v", c.command, s, err)
		}
	}
}

func TestWhatIsMetAlready(t *testing.T) {
	runs := State{Running: true, Enabled: true}
	socket := State{Triggers: []Trigger{{"a.socket", true, true}}}
	for _, c := range []struct {
		want Want
		is   State
		met  bool
	}{
		{Want{Running: ptr(true), Enabled: ptr(true)}, runs, true},
		{Want{Enabled: ptr(true)}, runs, true},
		{Want{Running: ptr(true), Restart: true}, runs, false},
		{Want{Running: ptr(false)}, runs, false},
		{Want{Enabled: ptr(false)}, runs, false},
		{Want{Running: ptr(false)}, State{}, true},
		{Want{Running: ptr(false), Drain: true}, State{}, false},
		{Want{Running: ptr(false)}, socket, false},
		{Want{Enabled: ptr(false)}, socket, false},
	} {
		if got := c.want.Met(c.is); got != c.met {
			t.Errorf("%+v of %+v: %t", c.want, c.is, got)
		}
	}
}

func TestWhatWasFoundIsRemembered(t *testing.T) {
	fake := hosttest.New(t)
	found := State{Running: true, Triggers: []Trigger{{"a.socket", true, false}}}
	fake.Expect("service/set.sh dovecot no - - 60 - - - 'running yes\nenabled no\ntrigger a.socket active'").
		Prints("init systemd\nservice dovecot\nrunning no\nenabled no\nfound running yes\nfound enabled no\nfound trigger a.socket active\nend dovecot\n")
	after, err := NewServices(fake).Set(t.Context(), "dovecot", Want{Running: ptr(false), Remember: &found})
	if err != nil {
		t.Fatal(err)
	}
	if before := after.Before(); !before.Running || before.Enabled || len(before.Triggers) != 1 || before.Name != "dovecot" || before.Init != "systemd" {
		t.Errorf("before it: %+v", before)
	}
	fake.Expect("service/set.sh dovecot yes - - 60 - - - forget").Prints("init systemd\n" + dovecot)
	if s, err := NewServices(fake).Set(t.Context(), "dovecot", Want{Running: ptr(true), Forget: true}); err != nil || s.Found != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestUndeliveredMailIsCounted(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("service/set.sh dovecot no - - 60 - - yes -").Prints("init sysv\nqueued 12\n" + dovecot)
	if s, err := NewServices(fake).Set(t.Context(), "dovecot", Want{Running: ptr(false), Drain: true}); err != nil || s.Queued != 12 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, out := range []string{"init sysv\n", "init sysv\nqueued many\n" + dovecot, "init sysv\nqueued 1\n"} {
		fake.Expect("service/set.sh dovecot no - - 60 - - yes -").Prints(out)
		if s, err := NewServices(fake).Set(t.Context(), "dovecot", Want{Running: ptr(false), Drain: true}); err == nil {
			t.Errorf("%q was read as %+v", out, s)
		}
	}
}

func TestFailedStartHasItsWords(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("service/set.sh dovecot yes - - 60 - - - -").Exits(1, "doveconf: Fatal: line 7\ndovecot could not be started.\n")
	_, err := NewServices(fake).Set(t.Context(), "dovecot", Want{Running: ptr(true)})
	var exit *host.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "line 7") {
		t.Error(err)
	}
}

func TestBrokenOffAnswersSayNothing(t *testing.T) {
	for _, out := range []string{"", "init systemd\n", "init systemd\nservice cron\nrunning yes\n", "init systemd\n" + dovecot} {
		fake := hosttest.New(t)
		fake.Expect("service/read.sh").Prints(out)
		if s, err := NewServices(fake).Read(t.Context(), "cron"); err == nil {
			t.Errorf("%q was read as %+v", out, s)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"postfix", "postfix@-.service", "dovecot.socket", "php8.2-fpm", "getty@tty1"} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-x", "../cron", "a b", "a;reboot", "$(id)", "a\nb", "a/b", "*"} {
		if CheckName(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
