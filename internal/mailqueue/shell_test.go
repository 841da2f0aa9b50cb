package mailqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// machine is a host whose scripts run here, in a directory of its own, with stand-ins
// for the programs of a mail server.
type machine struct {
	host.Host
	t    *testing.T
	name string
	dir  string
	// before is asked before each command, and after after it: an error is that of the
	// command, as where the connection is lost.
	before, after func(script string) error
}

func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	m := &machine{t: t, name: name, dir: t.TempDir()}
	for _, dir := range []string{"bin", "etc", "mqueue", "spool"} {
		if err := os.Mkdir(filepath.Join(m.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("etc/sendmail.cf", "O QueueDirectory="+m.dir+"/mqueue\n", 0o644)
	return m
}

func (m *machine) write(name, content string, mode os.FileMode) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) files(dir string) []string {
	m.t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.dir, dir))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func (m *machine) Name() string { return m.name }

func (m *machine) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	if m.before != nil {
		if err := m.before(cmd.Script.Name); err != nil {
			return host.Result{}, err
		}
	}
	process := exec.CommandContext(ctx, "sh", append([]string{"-c", cmd.Script.Text, cmd.Script.Name}, cmd.Argv...)...)
	process.Env = []string{"PATH=" + m.dir + "/bin:/usr/bin:/bin", "LC_ALL=C", "MACHINE=" + m.dir, "TMPDIR=" + m.dir}
	process.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	process.Stdin, process.Stdout, process.Stderr = cmd.Stdin, &stdout, &stderr
	if cmd.Stdout != nil {
		process.Stdout = cmd.Stdout
	}
	err := process.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = &host.ExitError{Host: m.name, Command: cmd.String(), Code: exit.ExitCode(), Stderr: stderr.String()}
	}
	if m.after != nil && err == nil {
		err = m.after(cmd.Script.Name)
	}
	return host.Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, err
}

// takesMail is a sendmail that writes down what it is given. It refuses what is for
// refused@example.com as long as there is a file "refuse", and is killed with the
// program that has started it, before or after it has taken a message, where there is a
// file "die-before" or "die-after".
const takesMail = `#!/bin/sh
if [ -f "$MACHINE/refuse" ]; then case "$*" in *refused@*) echo "mailbox unavailable" >&2; exit 67 ;; esac; fi
if [ -f "$MACHINE/die-before" ]; then rm "$MACHINE/die-before"; kill -9 "$PPID"; exit 1; fi
{ for word; do printf '<%s>' "$word"; done; echo; cat; printf '\n====\n'; } >"$MACHINE/taking.$$"
cat "$MACHINE/taking.$$" >>"$MACHINE/taken"
rm "$MACHINE/taking.$$"
if [ -f "$MACHINE/die-after" ]; then
	rm "$MACHINE/die-after"
	mkdir -p "$MACHINE/postfix/incoming"
	cat "$MACHINE/taken" >"$MACHINE/postfix/incoming/ABC"
	kill -9 "$PPID"
fi
`

// pair is an old host with Sendmail and a new one that takes mail.
type pair struct {
	t        *testing.T
	old, new *machine
	want     []string // what the new host is to be given
}

func newPair(t *testing.T) *pair {
	t.Helper()
	for _, tool := range []string{"flock", "setsid", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	p := &pair{t: t, old: newMachine(t, "old"), new: newMachine(t, "new")}
	p.new.write("bin/sendmail", takesMail, 0o755)
	p.new.write("bin/postconf", "#!/bin/sh\necho \"$MACHINE/postfix\"\n", 0o755)
	p.new.write("bin/journalctl", "#!/bin/sh\nexit 1\n", 0o755)
	return p
}

// queue puts a message into the old host's queue.
func (p *pair) queue(id, sender, body string, recipients ...string) {
	p.t.Helper()
	control := "V8\nT1796090828\nK0\nN3\nS" + sender + "\n"
	for _, recipient := range recipients {
		control += "rRFC822; x\nRPFD:" + recipient + "\n"
	}
	control += "H?P?Return-Path: <\x81g>\nH?M?Message-Id: <" + id + "@old>\nH??Subject: " + id + "\n\tfolded\nH??Bcc: hidden@example.com\n.\n"
	p.old.write("mqueue/qf"+id, control, 0o600)
	p.old.write("mqueue/df"+id, body, 0o600)
	if sender == "" {
		sender = "<>"
	}
	p.want = append(p.want, fmt.Sprintf("<-odb><-i><-f><%s><--><%s>\nMessage-Id: <%s@old>\nSubject: %s\n\tfolded\n\n%s", strings.Trim(sender, "<>")+map[bool]string{true: "<>"}[sender == "<>"],
		strings.Join(recipients, "><"), id, id, body))
}

func (p *pair) mover() *mover {
	m := newMover(p.old, p.new, Options{})
	m.spools, m.config, m.poll = p.new.dir+"/spool/queue", p.old.dir+"/etc", 20*time.Millisecond
	return m
}

// taken are the messages that the new host was given.
func (p *pair) taken() []string {
	text, err := os.ReadFile(filepath.Join(p.new.dir, "taken"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	var all []string
	for _, message := range strings.Split(string(text), "\n====\n") {
		if message != "" {
			// Sendmail's header and body, with an empty line between.
			message = strings.Replace(message, " Message-Id", "Message-Id", 1)
			all = append(all, strings.ReplaceAll(message, "\nSubject:  ", "\nSubject: "))
		}
	}
	slices.Sort(all)
	return all
}

// exactly fails where the new host was given anything but what was queued, each once.
func (p *pair) exactly() {
	p.t.Helper()
	want := slices.Clone(p.want)
	slices.Sort(want)
	if got := p.taken(); !slices.Equal(got, want) {
		p.t.Errorf("the new host was given %q, want %q", got, want)
	}
}

// gone fails where anything is left on either host.
func (p *pair) gone() {
	p.t.Helper()
	if left := p.old.files("mqueue"); len(left) > 0 {
		p.t.Errorf("left in the queue of the old host: %q", left)
	}
	if left := p.new.files("spool"); len(left) > 0 {
		p.t.Errorf("left on the new host: %q", left)
	}
}

// fill queues messages of all kinds.
func (p *pair) fill() {
	p.t.Helper()
	p.queue("one", "anna@example.test", "Hello\n.\n..\nFrom here\n", "far@example.com", `"other user"@example.net`, "-dash@example.org")
	p.queue("null", "<>", "no end of a line", "far@example.com")
	p.queue("binary", "o'brien@example.test", "v\xe4\x00\r\n"+strings.Repeat("x", 200_000)+"\n", "$(reboot)@example.com")
	p.queue("empty", "anna@example.test", "", "far@example.com")
}

func TestMoveHandsOverEachMessageOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.fill()
	p.old.write("mqueue/hfquarantined", "V8\nT1\nSx\nRPFD:y\n.\n", 0o600)
	p.old.write("mqueue/qfbroken", "V8\nT1\nSx\n", 0o600)
	p.old.write("mqueue/dfbroken", "body", 0o600)
	p.old.write("mqueue/qfprogram", "V8\nT1\nSx\nRPFD:\"|/usr/bin/vacation\"\n.\n", 0o600)
	p.old.write("mqueue/dfprogram", "body", 0o600)
	p.old.write("mqueue/qfnobody", "V8\nT1\nSx\nRPFD:y\n.\n", 0o600)
	s, err := p.mover().run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.exactly()
	if s.Moved != 4 || s.Waiting != 0 || s.Left != 4 || s.Held != 1 || s.Status(false) == Complete {
		t.Errorf("moved: %+v", s)
	}
	for _, want := range []string{"qfbroken: it ends in the middle", `qfprogram: its recipient "|/usr/bin/vacation" is a program or a file`, "qfnobody: the file of its body is not there"} {
		if !slices.ContainsFunc(s.Problems, func(problem string) bool { return strings.Contains(problem, want) }) {
			t.Errorf("no word of %s: %q", want, s.Problems)
		}
	}
	// Once more: nothing is left to do, and new mail is moved.
	p.queue("later", "anna@example.test", "later\n", "far@example.com")
	for _, name := range []string{"qfbroken", "dfbroken", "qfprogram", "dfprogram", "qfnobody"} {
		os.Remove(filepath.Join(p.old.dir, "mqueue", name))
	}
	if s, err = p.mover().run(t.Context()); err != nil || s.Moved != 5 || s.Status(false) != Complete || s.Status(true) == Complete {
		t.Fatalf("moved again: %+v, %v", s, err)
	}
	p.exactly()
	os.Remove(filepath.Join(p.old.dir, "mqueue/hfquarantined"))
	if back, err := p.mover().undo(t.Context(), false, false); err != nil || len(back) > 0 {
		t.Fatalf("forgotten: %q, %v", back, err)
	}
	p.gone()
}

func TestMoveTakesHeldMessagesWhereAsked(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.queue("held", "anna@example.test", "x\n", "far@example.com")
	if err := os.Rename(p.old.dir+"/mqueue/qfheld", p.old.dir+"/mqueue/hfheld"); err != nil {
		t.Fatal(err)
	}
	m := p.mover()
	m.options.Held = true
	if s, err := m.run(t.Context()); err != nil || s.Moved != 1 || s.Left != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	p.exactly()
}

var errKilled = errors.New("the connection was lost")

// Whatever command on whatever host is the last before Terraform is killed, and whether
// it had run or not: applied again, each message is handed over once.
func TestMoveKilledAfterAnyCommandConverges(t *testing.T) {
	t.Parallel()
	for _, ran := range []bool{false, true} {
		t.Run(fmt.Sprintf("had run %v", ran), func(t *testing.T) {
			t.Parallel()
			killedAnywhere(t, ran)
		})
	}
}

func killedAnywhere(t *testing.T, ran bool) {
	t.Helper()
	for last := 1; ; last++ {
		p := newPair(t)
		p.queue("one", "anna@example.test", "Hello\n", "far@example.com")
		p.queue("null", "<>", "x", "far@example.com")
		var commands atomic.Int64 // both hosts are asked at once
		kill := func(string) error {
			if commands.Add(1) >= int64(last) {
				return errKilled
			}
			return nil
		}
		if ran {
			p.old.after, p.new.after = kill, kill
		} else {
			p.old.before, p.new.before = kill, kill
		}
		_, err := p.mover().run(t.Context())
		p.old.before, p.new.before, p.old.after, p.new.after = nil, nil, nil, nil
		if err == nil {
			if last < 6 {
				t.Fatalf("a move takes %d commands only", last)
			}
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("killed at command %d: %v", last, err)
		}
		s, err := p.mover().run(t.Context())
		if err != nil || s.Moved != 2 || s.Status(false) != Complete {
			t.Fatalf("killed at command %d (had run: %v), and applied again: %+v, %v", last, ran, s, err)
		}
		p.exactly()
		if back, err := p.mover().undo(t.Context(), false, false); err != nil || len(back) > 0 {
			t.Errorf("forgotten: %q, %v", back, err)
		}
		p.gone()
		if t.Failed() {
			t.Fatalf("killed at command %d (had run: %v)", last, ran)
		}
	}
}

// Destroyed after a kill, what was not handed over is in the old host's queue again.
func TestForgetAfterAKillPutsBack(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"mailqueue/receive.sh", "mailqueue/aside.sh"} {
		p := newPair(t)
		p.fill()
		before := p.old.files("mqueue")
		kill := func(name string) error {
			if name == script {
				return errKilled
			}
			return nil
		}
		p.old.after, p.new.after = kill, kill
		if _, err := p.mover().run(t.Context()); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		p.old.after, p.new.after = nil, nil
		if _, err := p.mover().undo(t.Context(), false, false); err != nil {
			t.Fatal(err)
		}
		if after := p.old.files("mqueue"); !slices.Equal(before, after) {
			t.Errorf("after %s the queue has %q, want %q", script, after, before)
		}
		if left := p.new.files("spool"); len(left) > 0 {
			t.Errorf("after %s, left on the new host: %q", script, left)
		}
		if got := p.taken(); len(got) > 0 {
			t.Errorf("handed over: %q", got)
		}
	}
}

// The program that hands over is killed in the one moment at which it cannot know.
func TestInjectKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"die-before", "die-after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			p.queue("one", "anna@example.test", "x\n", "far@example.com")
			p.new.write(when, "", 0o644)
			if s, err := p.mover().run(t.Context()); err != nil || s.Moved != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			p.exactly()
		})
	}
	// Two messages with one Message-ID cannot be told apart: twice is better than never.
	t.Run("not to be told apart", func(t *testing.T) {
		t.Parallel()
		p := newPair(t)
		for _, id := range []string{"aa", "bb"} {
			p.old.write("mqueue/qf"+id, "V8\nT1\nSx@example.test\nRPFD:"+id+"@example.com\nH??Message-ID: <same@old>\n.\n", 0o600)
			p.old.write("mqueue/df"+id, id, 0o600)
		}
		var killed bool
		p.new.after = func(script string) error {
			if script == "mailqueue/receive.sh" && !killed {
				killed = true
				// The first is handed over, and the second is killed before it is.
				p.new.write("bin/sendmail", strings.Replace(takesMail, `[ -f "$MACHINE/die-before" ]`, `case "$*" in *bb@*) true ;; *) false ;; esac && [ -f "$MACHINE/die-before" ]`, 1), 0o755)
				p.new.write("die-before", "", 0o644)
				if err := os.MkdirAll(p.new.dir+"/postfix/incoming", 0o755); err != nil {
					return err
				}
			}
			return nil
		}
		if s, err := p.mover().run(t.Context()); err != nil || s.Moved != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		got := strings.Join(p.taken(), "\n")
		if !strings.Contains(got, "aa@example.com") || !strings.Contains(got, "bb@example.com") {
			t.Errorf("got %s", got)
		}
	})
}

func TestRefusedMessagesStayAndAreTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.queue("bad", "anna@example.test", "x\n", "refused@example.com")
	p.queue("good", "anna@example.test", "x\n", "far@example.com")
	p.new.write("refuse", "", 0o644)
	s, err := p.mover().run(t.Context())
	want := []Refused{{"sendmail.bad", "exit code 67: mailbox unavailable"}}
	if err != nil || s.Moved != 1 || s.Waiting != 1 || s.Status(false) == Complete || !slices.Equal(s.Refused, want) {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := p.mover().undo(t.Context(), true, false); err == nil || !strings.Contains(err.Error(), "1 messages were not given to the mail server") {
		t.Errorf("forgotten without the old host: %v", err)
	}
	os.Remove(p.new.dir + "/refuse")
	if s, err = p.mover().run(t.Context()); err != nil || s.Moved != 2 || s.Status(false) != Complete || len(s.Refused) > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	p.exactly()

	// On the way back one that is refused is in the old host's queue again.
	p.queue("worse", "anna@example.test", "x\n", "refused@example.com")
	p.new.write("refuse", "", 0o644)
	if _, err = p.mover().run(t.Context()); err != nil {
		t.Fatal(err)
	}
	back, err := p.mover().undo(t.Context(), false, false)
	if err != nil || !slices.Equal(back, []string{"sendmail.worse"}) {
		t.Fatalf("%q, %v", back, err)
	}
	if left := p.old.files("mqueue"); !slices.Equal(left, []string{"dfworse", "qfworse"}) {
		t.Errorf("the queue has %q", left)
	}
	if left := p.new.files("spool"); len(left) > 0 {
		t.Errorf("left on the new host: %q", left)
	}
}

// Nobody knows what a new host that is gone has delivered: twice is better than never.
func TestForgetWithoutTheNewHostPutsAllBack(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.fill()
	before := p.old.files("mqueue")
	if _, err := p.mover().run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.new.before = func(string) error { return errors.New("it is gone, and was asked") }
	if back, err := p.mover().undo(t.Context(), false, true); err != nil || len(back) != 4 {
		t.Fatalf("%q, %v", back, err)
	}
	if after := p.old.files("mqueue"); !slices.Equal(before, after) {
		t.Errorf("the queue has %q, want %q", after, before)
	}
	if back, err := p.mover().undo(t.Context(), true, true); err != nil || len(back) > 0 {
		t.Errorf("with both gone: %q, %v", back, err)
	}
}

// What has the place of a message that is to go back stays there.
func TestPutBackReplacesNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.queue("one", "anna@example.test", "x\n", "refused@example.com")
	p.new.write("refuse", "", 0o644)
	if _, err := p.mover().run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.old.write("mqueue/qfone", "another", 0o600)
	if _, err := p.mover().undo(t.Context(), false, false); err == nil || !strings.Contains(err.Error(), "something else has the place of sendmail.one") {
		t.Errorf("got %v", err)
	}
	if content, _ := os.ReadFile(p.old.dir + "/mqueue/qfone"); string(content) != "another" {
		t.Errorf("the queue has %q", content)
	}
	if left := p.old.files("mqueue"); !slices.Contains(left, "cutover-new.qfone") {
		t.Errorf("the message is gone: %q", left)
	}
}

func TestManyRecipientsGoInGroups(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var all []string
	for i := range 1001 {
		all = append(all, fmt.Sprintf("r%d@example.com", i))
	}
	p.queue("many", "list@example.test", "x\n", all...)
	if s, err := p.mover().run(t.Context()); err != nil || s.Moved != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	var got []string
	for _, message := range p.taken() {
		first, _, _ := strings.Cut(message, "\n")
		_, recipients, _ := strings.Cut(first, "<-->")
		got = append(got, strings.Split(strings.Trim(recipients, "<>"), "><")...)
	}
	slices.Sort(got)
	slices.Sort(all)
	if len(p.taken()) != 3 || !slices.Equal(got, all) {
		t.Errorf("%d messages to %d recipients", len(p.taken()), len(got))
	}
}

func TestMoveOfAMessageThatChanges(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.queue("one", "anna@example.test", "x\n", "far@example.com")
	p.new.after = func(script string) error {
		if script == "mailqueue/receive.sh" { // meanwhile the old mail server has tried to deliver it
			p.old.write("mqueue/new", "V8\nT1\nN4\nSanna@example.test\nRPFD:far@example.com\n.\n", 0o600)
			return os.Rename(p.old.dir+"/mqueue/new", p.old.dir+"/mqueue/qfone")
		}
		return nil
	}
	s, err := p.mover().run(t.Context())
	if err != nil || s.Moved != 0 || s.Left != 1 || len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "has changed") {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := p.taken(); len(got) > 0 {
		t.Errorf("handed over: %q", got)
	}
}

func TestMoveRefusesBeforeItChangesAnything(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(p *pair)
		want    string
	}{
		"no queue":    {func(p *pair) { os.Remove(p.old.dir + "/etc/sendmail.cf") }, `host "old" has no mail queue that is understood`},
		"no sendmail": {func(p *pair) { os.Remove(p.new.dir + "/bin/sendmail") }, `host "new" has no program sendmail`},
		"running": {func(p *pair) {
			// A program that runs, under the name of the old host's mail server.
			sleep, err := exec.LookPath("sleep")
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(sleep)
			if err != nil {
				t.Fatal(err)
			}
			p.old.write("bin/sendmail", string(content), 0o755)
			running := exec.Command(p.old.dir+"/bin/sendmail", "60")
			if err := running.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { running.Process.Kill(); running.Wait() })
		}, `the mail server of host "old" runs (sendmail), and delivers what is in its queue itself: stop it first`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.fill()
			c.prepare(p)
			before := p.old.files("mqueue")
			if _, err := p.mover().run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if after := p.old.files("mqueue"); !slices.Equal(before, after) || len(p.new.files("spool")) > 0 {
				t.Errorf("the old queue has %q, the new host %q", after, p.new.files("spool"))
			}
		})
	}
}
