package syncpass

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

func init() { retryAfter = time.Millisecond }

func moment(second int) time.Time { return time.Date(2026, 11, 23, 15, 15, second, 0, time.UTC) }

// ran is the outcome of a pass over both paths.
func ran() order.Outcome {
	root := order.RootOutcome{
		Started: moment(0), Finished: moment(5), Regular: 8, Directories: 2, Bytes: 5000, Transferred: 4, Changes: 7, Verified: 6,
		Did: map[string]order.Found{"created": {Count: 3}, "updated": {Count: 2}, "deleted": {Count: 1}},
	}
	return order.Outcome{Started: moment(0), Finished: moment(10), Sent: 10, Received: 90, TrashBytes: 12288, Roots: []order.RootOutcome{root, root}}
}

const wantConfig = `# Written for one cutover sync pass, and gone after it.
IgnoreUnknown UpdateHostKeys,IdentityAgent,RequestTTY
Host cutover-old
HostName 192.0.2.1
Port 22
User root
HostKeyAlias cutover-pass-` + chain + `
StrictHostKeyChecking yes
UserKnownHostsFile %DIR%/known_hosts
GlobalKnownHostsFile /dev/null
UpdateHostKeys no
IdentityFile %DIR%/key
IdentitiesOnly yes
IdentityAgent none
PreferredAuthentications publickey
BatchMode yes
RequestTTY no
ControlPath none
ForwardAgent no
ForwardX11 no
Compression no
Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr
ConnectTimeout 20
ServerAliveInterval 15
ServerAliveCountMax 4`

func TestRun(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	p := thePass
	p.Excludes, p.BandwidthLimit, p.Compress, p.OnConflict = []string{"*.tmp"}, 50, "always", "fail"
	from.expect("survey-old", oldAnswer).checks(func(text json.RawMessage) {
		want := order.OldQuestion{User: "root", Client: "new.example.net", Paths: []string{"/home", "/var/mail"}}
		if got := asked[order.OldQuestion](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("the old host is asked %+v, want %+v", got, want)
		}
	})
	to.expect("survey-new", newAnswer).checks(func(text json.RawMessage) {
		want := order.NewQuestion{Job: "pass-" + chain, Targets: []string{"/home", "/var/spool/mail"}}
		if got := asked[order.NewQuestion](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("the new host is asked %+v, want %+v", got, want)
		}
	})
	expectPass(from, to, p, ran())
	to.want[1].checks(func(text json.RawMessage) {
		want := order.Prepare{
			Job: "pass-" + chain, Token: p.digest() + " ab12", Chain: chain, ID: "ab12", Comment: "cutover-pass-" + chain, SSHConfig: wantConfig,
			KnownHosts: "cutover-pass-" + chain + " ssh-ed25519 AAAAold\ncutover-pass-" + chain + " ssh-rsa BBBBold\n", OldHost: "cutover-old",
			Pass: order.Pass{
				Roots:    []order.Root{{Source: "/home", Target: "/home"}, {Source: "/var/mail", Target: "/var/spool/mail"}},
				Excludes: []string{"*.tmp"}, Delete: "trash", Strangers: "fail", Conflict: "fail", Verify: "changed", Limit: 51200, Compress: "always",
			},
		}
		if got := asked[order.Prepare](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("the new host prepares\n%+v, want\n%+v", got, want)
		}
	})
	from.want[1].checks(func(text json.RawMessage) {
		got := asked[order.Admit](t, text)
		if got.Seconds < 3600 || got.Seconds > 3660 {
			t.Errorf("the key is let in for %d s", got.Seconds)
		}
		got.Seconds = 0
		want := order.Admit{Chain: chain, ID: "ab12", Login: *oldAnswer.Login, From: []string{"192.0.2.2", "2001:db8::2"},
			Restrict: true, Expire: true, Public: public, Paths: []string{"/home", "/var/mail"}, Lends: "a011b4f31b1c"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the key is let in by\n%+v, want\n%+v", got, want)
		}
	})
	to.want[2].checks(func(text json.RawMessage) {
		want := order.Follow{Job: "pass-" + chain, Start: p.token(), Writable: []string{"/home", "/var/spool/mail"}}
		if got := asked[order.Follow](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("the new host follows %+v, want %+v", got, want)
		}
	})
	from.expect("dismiss", nothing).checks(func(text json.RawMessage) {
		if got := asked[order.Dismiss](t, text); got != (order.Dismiss{Chain: chain, Public: public}) {
			t.Errorf("the key is kept out by %+v", got)
		}
	})
	var shown []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	result, err := run(ctx, from, to, p, func(status string) { shown = append(shown, status) })
	if err != nil {
		t.Fatal(err)
	}
	total := Figures{Files: 20, Regular: 16, Directories: 4, Bytes: 10000, Created: 6, Updated: 4, Deleted: 2, Transferred: 8, Changes: 14, Verified: 12}
	if result.Total != total || result.Rate() != 10 || result.Speedup() != 100 || len(result.Paths) != 2 || result.Paths[1].Target != "/var/spool/mail" {
		t.Errorf("result %+v", result)
	}
	if result.LogPath != "/var/lib/cutover/passes/ab12.log" || len(result.Warnings) != 0 || result.Changes != 14 || result.TrashBytes != 12288 ||
		result.TrashPath != "/var/lib/cutover/trash/ab12" {
		t.Errorf("result %+v", result)
	}
	if strings.Join(shown, "") != "copying path 1 of 2" {
		t.Errorf("shown %q", shown)
	}
}

// A pass that another run has begun is taken over, where it does the same; a last pass
// runs once more, for that one may have begun too early.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	other, final, different, otherFinal := thePass, thePass, thePass, thePass
	other.ID, different.ID, otherFinal.ID = "zz99", "zz99", "zz99"
	final.Final, otherFinal.Final = true, true
	different.Compress = "never"
	job := func(p Pass, phase order.Phase) order.Job {
		there := order.Job{Phase: phase, Token: p.token(), Public: public}
		if phase == order.Ended {
			outcome := ran()
			there.Outcome = &outcome
		}
		return there
	}
	claimed := func(from, to *fakeWorker) {
		for _, h := range []*fakeWorker{to, from} {
			h.expect("claim", nothing).checks(func(text json.RawMessage) {
				if got := asked[order.Claim](t, text); got != (order.Claim{From: "zz99", To: "ab12"}) {
					t.Errorf("claimed: %+v", got)
				}
			})
		}
	}
	unattended := order.Job{Phase: order.Ready, Token: different.token(), Age: 40}
	for what, c := range map[string]struct {
		pass   Pass
		there  order.Job
		expect func(from, to *fakeWorker)
	}{
		"one that runs": {thePass, job(other, order.Runs), func(from, to *fakeWorker) {
			expectEnd(to, true, job(other, order.Ended))
			claimed(from, to)
		}},
		"one that is about to start": {thePass, job(other, order.Ready), func(from, to *fakeWorker) {
			expectEnd(to, true, job(other, order.Ended))
			claimed(from, to)
		}},
		"one whose outcome another gets": {thePass, job(other, order.Runs), func(from, to *fakeWorker) {
			expectEnd(to, false, job(other, order.Ended))
			to.expect("survey-new", newAnswer)
			expectPass(from, to, thePass, ran())
		}},
		"a last one": {final, job(otherFinal, order.Runs), func(from, to *fakeWorker) {
			expectEnd(to, true, job(otherFinal, order.Ended))
			claimed(from, to)
			expectPass(from, to, final, ran())
		}},
		"a last one of the same resource": {final, job(final, order.Runs), func(from, to *fakeWorker) {
			expectEnd(to, true, job(final, order.Ended))
			expectPass(from, to, final, ran())
		}},
		"one that does something else": {thePass, job(different, order.Runs), func(from, to *fakeWorker) {
			expectEnd(to, true, job(different, order.Ended))
			claimed(from, to)
			expectPass(from, to, thePass, ran())
		}},
		"one that nobody starts": {thePass, unattended, func(from, to *fakeWorker) {
			expectEnd(to, true, unattended)
			claimed(from, to)
			expectPass(from, to, thePass, ran())
		}},
		"one that has ended": {thePass, job(other, order.Ended), func(from, to *fakeWorker) {
			to.expect("remove", order.EndedJob{Was: true})
			claimed(from, to)
			expectPass(from, to, thePass, ran())
		}},
		"one that a restart has ended": {thePass, newAnswer.Job, func(from, to *fakeWorker) {
			expectPass(from, to, thePass, ran())
			to.want[1].answer = order.Prepared{Public: public, Claimed: []string{"zz99"}}
			from.want = append(from.want[:1:1], append([]*question{{name: "claim", answer: nothing}}, from.want[1:]...)...)
		}},
		"one that was quicker": {thePass, newAnswer.Job, func(from, to *fakeWorker) {
			to.expect("prepare", order.Prepared{Taken: true})
			to.expect("survey-new", with(job(other, order.Runs)))
			expectEnd(to, true, job(other, order.Ended))
			claimed(from, to)
		}},
		"the next one, when it could be seen again": {thePass, job(other, order.Runs), func(from, to *fakeWorker) {
			to.expect("follow", nil).events = []order.Event{{Job: &order.Job{Phase: order.Runs, Token: different.token()}}}
			expectEnd(to, true, job(different, order.Ended))
			claimed(from, to)
			expectPass(from, to, thePass, ran())
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			expectSurvey(from, to, c.there)
			c.expect(from, to)
			// Not any key: another run's next pass may be let in by now.
			from.expect("dismiss", nothing).checks(func(text json.RawMessage) {
				if got := asked[order.Dismiss](t, text); got.Public != public {
					t.Errorf("the key %q is kept out", got.Public)
				}
			})
			result, err := run(t.Context(), from, to, c.pass, nil)
			if err != nil || result.Total.Transferred != 8 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// A connection that breaks off ends nothing.
func TestAConnectionThatBreaksOff(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	expectSurvey(from, to, newAnswer.Job)
	expectPass(from, to, thePass, ran())
	broken := &question{name: "follow", err: errors.New("the connection was lost")}
	to.want = append(to.want[:2:2], append([]*question{broken, broken}, to.want[2:]...)...)
	from.expect("dismiss", nothing)
	if result, err := run(t.Context(), from, to, thePass, nil); err != nil || result.Changes != 14 {
		t.Errorf("%+v, %v", result, err)
	}
	// Also one that breaks off when the outcome was taken.
	from, to = twoHosts(t)
	expectSurvey(from, to, newAnswer.Job)
	expectPass(from, to, thePass, ran())
	to.want[2].removed, to.want[2].after = nil, errors.New("the connection was lost")
	to.expect("follow", nil).events = []order.Event{{Job: &order.Job{Phase: order.None}}}
	from.expect("dismiss", nothing)
	if result, err := run(t.Context(), from, to, thePass, nil); err != nil || result.Changes != 14 {
		t.Errorf("%+v, %v", result, err)
	}
}

// Whatever happens, no key and no job is left.
func TestCleanedUpWhateverHappens(t *testing.T) {
	t.Parallel()
	refused := &host.ExitError{Host: "old", Command: "worker", Code: 1, Stderr: "cutover-worker: no"}
	cancelled := func(t *testing.T, to *fakeWorker) {
		to.expect("cancel", order.EndedJob{Was: true}).checks(func(text json.RawMessage) {
			want := order.EndJob{Job: "pass-" + chain, Token: thePass.token(), Grace: 20}
			if got := asked[order.EndJob](t, text); got != want {
				t.Errorf("cancelled: %+v", got)
			}
		})
		to.expect("remove", order.EndedJob{Was: true})
	}
	for what, c := range map[string]struct {
		expect func(t *testing.T, from, to *fakeWorker, cancel func())
		says   string
	}{
		"it cannot be prepared": {func(_ *testing.T, from, to *fakeWorker, _ func()) {
			to.expect("prepare", nil).err = &host.ExitError{Host: "new", Command: "worker", Code: 1, Stderr: "no space left on device"}
			from.expect("dismiss", nothing)
		}, "no space left"},
		"its key cannot be let in": {func(_ *testing.T, from, to *fakeWorker, _ func()) {
			to.expect("prepare", order.Prepared{Public: public})
			from.expect("admit", nil).err = refused
			to.expect("remove", order.EndedJob{Was: true})
			from.expect("dismiss", nothing)
		}, "cutover-worker: no"},
		"no key": {func(_ *testing.T, from, to *fakeWorker, _ func()) {
			to.expect("prepare", order.Prepared{Public: "nonsense"})
			to.expect("remove", order.EndedJob{Was: true})
			from.expect("dismiss", nothing)
		}, "made no key"},
		"it cannot be started": {func(t *testing.T, from, to *fakeWorker, _ func()) {
			to.expect("prepare", order.Prepared{Public: public})
			from.expect("admit", nothing)
			to.expect("follow", nil).err = refused
			cancelled(t, to)
			from.expect("dismiss", nothing)
		}, "cutover-worker: no"},
		"the time is over": {func(t *testing.T, from, to *fakeWorker, cancel func()) {
			to.expect("prepare", order.Prepared{Public: public})
			from.expect("admit", nothing)
			to.expect("follow", nil).checks(func(json.RawMessage) { cancel() }).forever = true
			cancelled(t, to)
			from.expect("dismiss", nothing)
		}, "was cancelled while it copied /home, /var/mail"},
		"it died": {func(_ *testing.T, from, to *fakeWorker, _ func()) {
			to.expect("prepare", order.Prepared{Public: public})
			from.expect("admit", nothing)
			expectEnd(to, true, order.Job{Phase: order.Died, Token: thePass.token(), Said: "panic: it broke"})
			from.expect("dismiss", nothing)
		}, "was killed on host \"new\", or could not begin there; apply again: the pass goes on where it stopped. It said:\n  panic: it broke"},
		"the key cannot be kept out": {func(_ *testing.T, from, to *fakeWorker, _ func()) {
			expectPass(from, to, thePass, ran())
			from.expect("dismiss", nil).err = refused
		}, "by the line that ends in cutover-pass-" + chain},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			expectSurvey(from, to, newAnswer.Job)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.expect(t, from, to, cancel)
			if _, err := run(ctx, from, to, thePass, nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// What is in the way is said at once, and nothing is changed.
func TestWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	old, here := oldAnswer, newAnswer
	old.Login, old.PermitRootLogin = nil, "no"
	old.Paths = []order.Directory{{Kind: order.KindMissing, Real: "/"}, {Kind: order.KindOther, Real: "/var"}}
	here.Missing = []string{"ssh"}
	from.Ident.User, from.Ident.Become = "admin", "sudo"
	from.expect("survey-old", old)
	to.expect("survey-new", here)
	_, err := run(t.Context(), from, to, thePass, nil)
	for _, says := range []string{
		`host "old" has no directory /home`, `/var/mail on host "old" is not a directory`, "PermitRootLogin is no", "admin ALL=(root) NOPASSWD: ALL",
		`host "new" has no ssh; install the SSH client there: apt-get install openssh-client`,
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q: %v", says, err)
		}
	}
	from, to = twoHosts(t)
	old, here = oldAnswer, newAnswer
	old.Paths = []order.Directory{{Kind: order.KindDirectory, Real: "/"}, {Kind: order.KindDirectory, Real: "/srv/mail"}}
	here.Paths = []order.Directory{{Kind: order.KindDirectory, Real: "/srv"}, {Kind: order.KindDirectory, Real: "/srv/mail"}}
	from.expect("survey-old", old)
	to.expect("survey-new", here)
	_, err = run(t.Context(), from, to, thePass, nil)
	for _, says := range []string{"two of the targets lead to the same place, /srv and /srv/mail", "symbolic link to /"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q: %v", says, err)
		}
	}
}

func TestMaxChanges(t *testing.T) {
	t.Parallel()
	p := thePass
	p.MaxChanges = 13
	from, to := twoHosts(t)
	expectSurvey(from, to, newAnswer.Job)
	expectPass(from, to, p, ran())
	from.expect("dismiss", nothing)
	if _, err := run(t.Context(), from, to, p, nil); err == nil || !strings.Contains(err.Error(), "found 14 changes") || !strings.Contains(err.Error(), "passes/ab12.log") {
		t.Errorf("the error is %v", err)
	}
}

// What an sshd of long ago does not know is not asked of it.
func TestPlanForOldHosts(t *testing.T) {
	t.Parallel()
	for banner, c := range map[string]struct {
		restrict, expire, rsa bool
		config                string
	}{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2": {true, true, false, ""},
		"SSH-2.0-OpenSSH_7.4":            {true, false, false, ""},
		"SSH-2.0-OpenSSH_6.7p1":          {false, false, false, "HostKeyAlgorithms +ssh-rsa"},
		"SSH-2.0-OpenSSH_5.1p1 Debian-5": {false, false, true, "HostKeyAlgorithms +ssh-rsa"},
		"SSH-2.0-dropbear_2020.81":       {false, false, true, "HostKeyAlgorithms +ssh-rsa"},
	} {
		from, to := twoHosts(t)
		from.Ident.ServerVersion = banner
		l, err := thePass.plan(t.Context(), survey{from: from.Ident, to: to.Ident, old: oldAnswer, new: newAnswer})
		if err != nil {
			t.Fatal(err)
		}
		if l.admit.Restrict != c.restrict || l.admit.Expire != c.expire || l.prepare.RSA != c.rsa || !strings.Contains(l.prepare.SSHConfig, c.config) {
			t.Errorf("%s: %+v", banner, l)
		}
		if l.admit.Seconds != 24*3600 {
			t.Errorf("without an end the key is let in for %d s", l.admit.Seconds)
		}
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	to.expect("forget", order.Forgotten{Ended: []string{"pass-" + chain}, Running: []string{"0123456789ab"}}).checks(func(text json.RawMessage) {
		if got := asked[order.Forget](t, text); !reflect.DeepEqual(got, order.Forget{ID: "ab12", Unfinished: true}) {
			t.Errorf("the new host forgets %+v", got)
		}
	})
	from.expect("forget", order.Forgotten{}).checks(func(text json.RawMessage) {
		want := order.Forget{ID: "ab12", Unfinished: true, Old: true, Keep: []string{"0123456789ab"}}
		if got := asked[order.Forget](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("the old host forgets %+v", got)
		}
	})
	warnings, err := forget(t.Context(), from, to, thePass, true)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "still ran") {
		t.Errorf("%q, %v", warnings, err)
	}
	// A host that is retired is not asked.
	_, to = twoHosts(t)
	to.expect("forget", order.Forgotten{})
	if warnings, err := forget(t.Context(), nil, to, thePass, false); err != nil || len(warnings) != 0 {
		t.Errorf("%q, %v", warnings, err)
	}
}
