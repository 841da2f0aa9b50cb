package rsyncpass

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/job"
)

const (
	edKey = "ssh-ed25519 AAAAold"
	chain = "36e554a1ca71"
	name  = "pass-" + chain
)

// recorded is a Fake that keeps the commands in full; as the Fake shows them,
// they are shortened.
type recorded struct {
	*hosttest.Fake
	mu   sync.Mutex
	seen [][]string
}

func (r *recorded) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	r.mu.Lock()
	r.seen = append(r.seen, append([]string{cmd.Script.Name}, cmd.Argv...))
	r.mu.Unlock()
	return r.Fake.Run(ctx, cmd)
}

// find returns the arguments of the one command of that script.
func (r *recorded) find(t *testing.T, script string) [][]string {
	t.Helper()
	var found [][]string
	for _, argv := range r.seen {
		if argv[0] == script {
			found = append(found, argv[1:])
		}
	}
	return found
}

func twoHosts(t *testing.T) (from, to *recorded) {
	t.Helper()
	from, to = &recorded{Fake: hosttest.New(t)}, &recorded{Fake: hosttest.New(t)}
	from.HostName, to.HostName = "old", "new"
	from.Ident = host.Identity{Address: "192.0.2.1", Port: 22, User: "root", HostKey: edKey, ServerVersion: "SSH-2.0-OpenSSH_8.4p1 Debian-5"}
	to.Ident = host.Identity{Address: "new.example.net", Port: 22, User: "admin", Become: "sudo", HostKey: "ssh-ed25519 AAAAnew"}
	return from, to
}

const oldAnswer = `os	debian
clock	20261123151500
epoch	1795443300
rsync	rsync  version 3.2.3  protocol version 31
rsync	    append, ACLs, xattrs, iconv
fixed	CVE-2024-12747
fixed	CVE-2026-53797
login	root		/root	.ssh/authorized_keys
hostkey	ssh-rsa BBBBold
hostkey	ssh-ed25519 AAAAold
path	1	directory	/home
path	2	directory	/var/mail
`

const newAnswer = `os	debian
rsync	rsync  version 3.4.1  protocol version 32
rsync	    append, ACLs, xattrs, iconv
fixed	CVE-2026-53799
ssh	OpenSSH_10.0p2 Debian-7
address	127.0.0.1
address	192.0.2.2
address	2001:db8::2
address	fe80::1
address	::1
path	1	directory	/home
path	2	missing	/var
`

var thePass = Pass{ID: "ab12", Paths: []Path{{Source: "/home"}, {Source: "/var/mail", Target: "/var/spool/mail"}}}

const (
	surveyOld = "rsyncpass/survey_old.sh root '' new.example.net /home /var/mail"
	surveyNew = "rsyncpass/survey_new.sh /home /var/spool/mail"
	ran       = "key\tCCCC\nbegin\t1\t1795442400\nhow\t1\tchanges\nchanges\t1\t7\nstat\t1\tNumber of regular files transferred: 4\nstat\t1\tTotal bytes sent: 10\nstat\t1\tTotal bytes received: 90\n" +
		"ran\t1\tnew\t0\nseen\t1\t10\t8\t2\t0\t0\t5000\nend\t1\t1795442405\n"
)

// short is a command as a Fake knows it, however long it is.
func short(script host.Script, args ...string) string { return host.Sh(script, args...).String() }

func (p Pass) mustPlan(t *testing.T, from, to *recorded) plan {
	t.Helper()
	s := survey{from: from.Ident, to: to.Ident}
	if err := s.old.parse(oldAnswer, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.new.parse(newAnswer, 2); err != nil {
		t.Fatal(err)
	}
	l, err := p.plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// expectStart expects all up to the job's start.
func expectStart(t *testing.T, from, to *recorded, p Pass) {
	t.Helper()
	from.Expect(surveyOld).Prints(oldAnswer)
	to.Expect(surveyNew).Prints(newAnswer)
	to.Expect(look(0, "public")).Prints("phase none\n")
	to.Expect("rsyncpass/prepare.sh /home /var/spool/mail").Prints("/home\n/var/spool/mail\n")
	to.Expect(startOf(t, from, to, p))
	expectAdmission(t, from, to, p)
}

// expectAdmission expects that the job's key is let in, and the job told so.
func expectAdmission(t *testing.T, from, to *recorded, p Pass) {
	t.Helper()
	l := p.mustPlan(t, from, to)
	to.Expect(look(5, "public")).Prints("phase running\ntoken " + p.token() + "\nfile ssh-ed25519 CCCC " + l.comment + "\n")
	from.Expect(l.admitted())
	to.Expect("job/job.sh put " + name + " '" + p.token() + "' go").WithStdin("go\n")
}

// startOf is the command that starts the job, as a Fake knows it.
func startOf(t *testing.T, from, to *recorded, p Pass) string {
	t.Helper()
	h := &recorded{Fake: hosttest.New(t)}
	starting := &seeing{h}
	_ = job.Start(context.Background(), starting, p.job(p.mustPlan(t, from, to), []string{"/home", "/var/spool/mail"}))
	return starting.seen[0][0]
}

// seeing notes commands as a Fake knows them, and runs none.
type seeing struct{ *recorded }

func (s *seeing) Run(_ context.Context, cmd host.Command) (host.Result, error) {
	s.seen = append(s.seen, []string{cmd.String()})
	return host.Result{}, nil
}

func (p Pass) token() string { return p.digest() + " " + p.ID }

func look(seconds int, awaited string) string {
	if awaited == "" {
		awaited = "''"
	}
	return fmt.Sprintf("job/job.sh look %s %d %s", name, seconds, awaited)
}

// ended is what a job that has ended says.
func ended(p Pass, code int, result string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "phase ended\ntoken %s\ncode %d\n", p.token(), code)
	for line := range strings.Lines(result) {
		b.WriteString("result " + line)
	}
	return b.String()
}

func expectResult(to *recorded, p Pass, code int, result string) {
	to.Expect(look(5, "")).Prints(ended(p, code, result))
	to.Expect("job/job.sh remove " + name + " '" + p.token() + "'")
}

// admitted is the command that lets the key in, as a Fake knows it.
func (l plan) admitted() string {
	return short(keysScript, "admit", l.chain, "root", "/root", ".ssh/authorized_keys", l.options+" ssh-ed25519 CCCC "+l.comment, strconv.FormatInt(l.until, 10), serveText, l.excludes)
}

func TestRun(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	expectStart(t, from, to, thePass)
	to.Expect(look(5, "")).Prints("phase running\ntoken " + thePass.token() + "\nstatus copying path 1 of 2\n")
	expectResult(to, thePass, 0, ran+strings.ReplaceAll(ran, "\t1\t", "\t2\t")+"trash\t12\n")
	from.Expect(dismissalOf)
	var shown []string
	result, err := Run(context.Background(), from, to, thePass, func(status string) { shown = append(shown, status) })
	if err != nil {
		t.Fatal(err)
	}
	if result.Total.Files != 20 || result.Total.Transferred != 8 || result.Total.Rate() != 40 || len(result.Paths) != 2 || result.Paths[1].Target != "/var/spool/mail" {
		t.Errorf("result %+v", result)
	}
	if result.FromRsync != "3.2.3" || result.ToRsync != "3.4.1" || result.LogPath != "/var/lib/cutover/passes/ab12.log" || len(result.Warnings) != 0 ||
		result.Changes != 14 || result.TrashBytes != 12288 || result.TrashPath != "/var/lib/cutover/trash/ab12" {
		t.Errorf("result %+v", result)
	}
	if strings.Join(shown, "") != "copying path 1 of 2" {
		t.Errorf("shown %q", shown)
	}

	const wantLine = `restrict,from="192.0.2.2,2001:db8::2",expiry-time="20261124151500",command="sh /var/lib/cutover/pass-` + chain + `/serve login" ssh-ed25519 CCCC cutover-pass-` + chain
	if admits := from.find(t, "rsyncpass/keys.sh"); len(admits) != 2 || admits[0][5] != wantLine || admits[0][6] != "1795529700" ||
		admits[0][7] != serveText || admits[0][8] != "" || strings.Join(admits[0][9:], " ") != "/home /var/mail" {
		t.Errorf("the key is let in by\n%q\nwant the line\n%s", admits, wantLine)
	}
	files := thePass.job(thePass.mustPlan(t, from, to), []string{"/home", "/var/spool/mail"}).Files
	if got := files["options"]; got != "-aHAX\n--sparse\n--partial-dir=.cutover-partial\n--stats\n--no-human-readable\n--modify-window=-1\n" {
		t.Errorf("rsync's options:\n%s", got)
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
ConnectTimeout 20
ServerAliveInterval 15
ServerAliveCountMax 4
Ciphers ^aes128-gcm@openssh.com,aes256-gcm@openssh.com
`
	if files["ssh_config"] != wantConfig {
		t.Errorf("ssh_config is\n%s\nwant\n%s", files["ssh_config"], wantConfig)
	}
	const wantKnown = "cutover-pass-" + chain + " ssh-ed25519 AAAAold\ncutover-pass-" + chain + " ssh-rsa BBBBold\n"
	if files["known_hosts"] != wantKnown || files["delete"] != "trash" || files["owners"] != "fail" {
		t.Errorf("known_hosts is\n%s\nwant\n%s", files["known_hosts"], wantKnown)
	}
}

func init() { unattended = 0 }

const (
	dismissal   = "rsyncpass/keys.sh dismiss " + chain
	dismissalOf = dismissal + " CCCC"
)

// A pass that another run has begun is taken over, where it does the same; a
// last pass runs once more, for that one may have begun too early.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	other, final, different := thePass, thePass, thePass
	other.ID = "zz99"
	final.Final = true
	different.ID = "zz99"
	different.Compress = true
	otherFinal := final
	otherFinal.ID = "zz99"
	running := func(p Pass) string { return "phase running\ntoken " + p.token() + "\n" }
	begin := func(from, to *recorded) {
		from.Expect(surveyOld).Prints(oldAnswer)
		to.Expect(surveyNew).Prints(newAnswer)
	}
	const claim = "rsyncpass/claim.sh zz99 ab12"
	again := func(t *testing.T, from, to *recorded, p Pass) {
		t.Helper()
		to.Expect(look(0, "public")).Prints("phase none\n")
		to.Expect("rsyncpass/prepare.sh /home /var/spool/mail").Prints("/home\n/var/spool/mail\n")
		to.Expect(startOf(t, from, to, p))
		expectAdmission(t, from, to, p)
		expectResult(to, p, 0, ran)
	}
	for what, c := range map[string]struct {
		pass   Pass
		expect func(t *testing.T, from, to *recorded)
	}{
		"one that runs": {thePass, func(_ *testing.T, _, to *recorded) {
			to.Expect(look(0, "public")).Prints(running(other))
			to.Expect(look(5, "public")).Prints(ended(other, 0, ran))
			to.Expect("job/job.sh remove " + name + " '" + other.token() + "'")
			to.Expect(claim)
		}},
		"one that waits for its key": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(running(thePass) + "file ssh-ed25519 CCCC x\n")
			expectAdmission(t, from, to, thePass)
			expectResult(to, thePass, 0, ran)
		}},
		"a last one": {final, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(running(otherFinal))
			to.Expect(look(5, "public")).Prints(ended(otherFinal, 0, ran))
			to.Expect("job/job.sh remove " + name + " '" + otherFinal.token() + "'")
			to.Expect(claim)
			again(t, from, to, final)
		}},
		"one that does something else": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(running(different))
			to.Expect(look(5, "public")).Prints(ended(different, 0, ran))
			to.Expect("job/job.sh remove " + name + " '" + different.token() + "'")
			to.Expect(claim)
			again(t, from, to, thePass)
		}},
		"one that does something else and that nobody lets in": {thePass, func(t *testing.T, from, to *recorded) {
			waits := running(different) + "file ssh-ed25519 CCCC x\n"
			to.Expect(look(0, "public")).Prints(waits)
			to.Expect(look(5, "public")).Prints(waits)
			to.Expect(look(5, "public")).Prints(waits)
			to.Expect("job/job.sh cancel " + name + " '" + different.token() + "' 20")
			to.Expect(look(5, "public")).Prints("phase ended\ntoken " + different.token() + "\ncode 143\n")
			to.Expect("job/job.sh remove " + name + " '" + different.token() + "'")
			to.Expect(claim)
			again(t, from, to, thePass)
		}},
		"one that has ended": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(ended(other, 0, ran))
			to.Expect("job/job.sh remove " + name + " '" + other.token() + "'")
			to.Expect(claim)
			again(t, from, to, thePass)
		}},
		"one that did something else and has ended": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(ended(different, 0, ran))
			to.Expect("job/job.sh remove " + name + " '" + different.token() + "'")
			to.Expect(claim)
			again(t, from, to, thePass)
		}},
		"one whose result another run got": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints(running(thePass))
			to.Expect(look(5, "public")).Prints(ended(thePass, 0, ran))
			to.Expect("job/job.sh remove "+name+" '"+thePass.token()+"'").Exits(3, "")
			again(t, from, to, thePass)
		}},
		"none, and the place for it went meanwhile": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints("phase none\n")
			to.Expect("rsyncpass/prepare.sh /home /var/spool/mail").Prints("/home\n/var/spool/mail\n")
			to.Expect(startOf(t, from, to, thePass))
			to.Expect(look(5, "public")).Prints(ended(thePass, 75, ""))
			to.Expect("job/job.sh remove " + name + " '" + thePass.token() + "'")
			again(t, from, to, thePass)
		}},
		"one that was quicker to start": {thePass, func(t *testing.T, from, to *recorded) {
			to.Expect(look(0, "public")).Prints("phase none\n")
			to.Expect("rsyncpass/prepare.sh /home /var/spool/mail").Prints("/home\n/var/spool/mail\n")
			to.Expect(startOf(t, from, to, thePass)).Exits(75, "")
			again(t, from, to, thePass)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			begin(from, to)
			c.expect(t, from, to)
			from.Expect(dismissalOf)
			if result, err := Run(context.Background(), from, to, c.pass, nil); err != nil || result.Total.Files != 10 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// What old sshds do not know is left out of the line, and what new clients no
// longer do by themselves is asked for.
func TestPlanForOldHosts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		banner, key, options string
		legacy               bool
	}{
		"9.2": {"SSH-2.0-OpenSSH_9.2p1", "ed25519", `restrict,from="192.0.2.2,2001:db8::2",expiry-time="20261124151500",`, false},
		"7.4": {"SSH-2.0-OpenSSH_7.4", "ed25519", `restrict,from="192.0.2.2,2001:db8::2",`, false},
		"6.7": {"SSH-2.0-OpenSSH_6.7p1 Debian-5", "ed25519", `no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc,from="192.0.2.2,2001:db8::2",`, true},
		"5.5": {"SSH-2.0-OpenSSH_5.5p1 Debian-6", "rsa", `no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc,from="192.0.2.2,2001:db8::2",`, true},
	}
	for name, test := range tests {
		from, to := twoHosts(t)
		from.Ident.ServerVersion = test.banner
		l := thePass.mustPlan(t, from, to)
		want := test.options + `command="sh /var/lib/cutover/pass-` + chain + `/serve login"`
		if l.keyType != test.key || l.options != want || strings.Contains(l.sshConfig, "HostKeyAlgorithms +ssh-rsa") != test.legacy {
			t.Errorf("%s: key %s, options %s\nwant %s\n%s", name, l.keyType, l.options, want, l.sshConfig)
		}
	}
}

func TestOptionsReachRsync(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	p := thePass
	p.Compress, p.BandwidthLimit, p.Excludes = true, 500, []string{"*.tmp", "/a b'c"}
	p.FromAddress, p.FromPort, p.SeenAs = "old.internal", 2222, []string{"198.51.100.7"}
	l := p.mustPlan(t, from, to)
	if got := strings.Join(l.rsync, "|"); !strings.HasSuffix(got, "|--compress|--bwlimit=500") || l.excludes != `a \./(.*/)?[^/]*\.tmp`+"\n"+`a \./a b'c`+"\n" {
		t.Errorf("options %s, excludes %s", got, l.excludes)
	}
	if !strings.Contains(l.sshConfig, "\nHostName old.internal\nPort 2222\n") || !strings.Contains(l.options, `from="192.0.2.2,2001:db8::2,198.51.100.7"`) {
		t.Errorf("ssh_config\n%s\noptions %s", l.sshConfig, l.options)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	final := thePass
	final.Final = true
	few := thePass
	few.MaxChanges = 6
	warn := thePass
	warn.UnknownOwners = "warn"
	vanished := "file has vanished: \"/home/anna/mail/new/1\"\nrsync: [sender] link_stat \"/home/x\" failed: No such file or directory (2)\nrsync error: some files/attrs were not transferred (code 23) at main.c\n"
	const unknown = "unknown\tuser\tanna\t12\nunknown\tgroup\tmail\t1\n"
	tests := map[string]struct {
		pass   Pass
		what   string
		code   int // of the step
		stderr string
		more   string // of the result
		warns  string
		says   []string
	}{
		"vanished":       {thePass, "new", 23, vanished, "", "2 files of /home", nil},
		"vanished final": {final, "new", 24, vanished, "", "", []string{"2 files of /home on host \"old\" went away", "still writes"}},
		"partial": {thePass, "new", 23, "rsync: [sender] read errors mapping \"/home/a\": Input/output error (5)\nrsync error: some files/attrs were not transferred (code 23)\n", "",
			"", []string{"a part of /home could not be copied", "Input/output error", "passes/ab12.log"}},
		"full": {thePass, "new", 11, "rsync: [receiver] write failed on \"/home/a\": No space left on device (28)\nrsync error: error in file IO (code 11)\n", "short\t1\t102400000\t7\t1000\n",
			"", []string{"the file system of /home on host \"new\" is full: 97.7 MiB in 7 files are still to come, 1000 KiB are free, and so 96.7 MiB are missing", "No space left"}},
		"no room for a directory": {thePass, "new", 23, "rsync: [generator] recv_generator: mkdir \"/home/a\" failed: No space left on device (28)\n", "", "", []string{"the file system of /home on host \"new\" is full."}},
		"no room for lists":       {thePass, "list", 1, "sort: write failed: No space left on device\n", "", "", []string{"no room left for the lists and the trash", "/var/lib/cutover", "No space left"}},
		"network": {thePass, "new", 12, "rsync: connection unexpectedly closed (1234 bytes received so far) [receiver]\nrsync error: error in rsync protocol data stream (code 12)\n", "",
			"", []string{"the connection from host \"new\" to host \"old\" broke off", "connection unexpectedly closed"}},
		"ssh":      {thePass, "list", 255, "Timeout, server 192.0.2.1 not responding.\n", "", "", []string{"broke off", "not responding"}},
		"greeting": {thePass, "greeting", 1, "Welcome to old!\n", "", "", []string{`host "old" prints something of its own when "root" logs in`, "Welcome to old!"}},
		"listing":  {thePass, "list", 1, "find: './x': Permission denied\n", "", "", []string{"could not be listed as a whole, so nothing was copied", "Permission denied"}},
		"delete":   {thePass, "delete", 1, "rm: cannot remove './x': Read-only file system\n", "", "", []string{"not all that is gone from /home", "Read-only"}},
		"usage":    {thePass, "new", 1, "rsync: --foo: unknown option\n", "", "", []string{"exit code 1", "unknown option"}},
		"changes":  {few, "new", 0, "", "", "", []string{"the pass is done, but it found 7 changes", "max_changes allows (6)"}},
		"owners": {thePass, "new", 0, "", unknown, "", []string{
			`host "new" does not know these owners of files in the paths: user anna (12 files), group mail (1 files)`, `Create them on "new" first`}},
		"owners to warn of": {warn, "new", 0, "", unknown, "user anna (12 files)", nil},
		"lost manifest":     {thePass, "new", 0, "", "how\t1\tlost\n", "cannot be read any more; everything was compared anew", nil},
		"other tree":        {thePass, "new", 0, "", "how\t1\tother\n", "another directory", nil},
		"kind":              {thePass, "new", 0, "", "kind\t1\tnfs4\nhow\t1\tuntrusted\n", "of the kind nfs4", nil},
		"final and first":   {final, "new", 0, "", "how\t1\tfirst\n", "no earlier pass over the same paths, targets and excludes has brought /home", nil},
		"kept":              {thePass, "new", 0, "", "deleted\t1\t0\t0\t1\nkept\t1\t./a\n", "stay on the new one, where they have been changed since: a", nil},
		"garbage":           {thePass, "new", 0, "", "stat\t9\tx\n", "", []string{"a result that cannot be read"}},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			expectStart(t, from, to, test.pass)
			var result strings.Builder
			result.WriteString(ran)
			for line := range strings.Lines(test.stderr) {
				result.WriteString("said\t1\t" + line)
			}
			fmt.Fprintf(&result, "ran\t1\t%s\t%d\n%s", test.what, test.code, test.more)
			exit := min(test.code, 1)
			if test.stderr == vanished {
				exit = 0 // the pass counts as done, and its manifest as good
			}
			expectResult(to, test.pass, exit, result.String())
			from.Expect(dismissalOf)
			got, err := Run(context.Background(), from, to, test.pass, nil)
			if (err == nil) != (len(test.says) == 0) {
				t.Fatalf("error %v", err)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q:\n%v", part, err)
				}
			}
			if code, ok := host.ExitCode(err); test.code != 0 && err != nil && (!ok || code != test.code) {
				t.Errorf("the error has lost the exit code: %d, %t", code, ok)
			}
			if warned := strings.Join(got.Warnings, "\n"); !strings.Contains(warned, test.warns) || test.warns == "" && warned != "" {
				t.Errorf("warnings %q, want %q", warned, test.warns)
			}
		})
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		from, to := twoHosts(t)
		expectStart(t, from, to, thePass)
		to.Expect(look(5, "")).Prints("phase died\ntoken " + thePass.token() + "\nresult begin\t1\t1795442400\n")
		to.Expect("job/job.sh remove " + name + " '" + thePass.token() + "'")
		from.Expect(dismissalOf)
		if _, err := Run(context.Background(), from, to, thePass, nil); err == nil || !strings.Contains(err.Error(), "was killed on host \"new\"") {
			t.Errorf("error %v", err)
		}
	})
}

// However the pass ends, both hosts are cleaned, and what could not be cleaned
// is said.
func TestCleanedUpWhateverHappens(t *testing.T) {
	t.Parallel()
	cancel := "job/job.sh cancel " + name + " '" + thePass.token() + "' 20"
	remove := "job/job.sh remove " + name + " '" + thePass.token() + "'"
	begin := func(t *testing.T, from, to *recorded) {
		t.Helper()
		from.Expect(surveyOld).Prints(oldAnswer)
		to.Expect(surveyNew).Prints(newAnswer)
		to.Expect(look(0, "public")).Prints("phase none\n")
		to.Expect("rsyncpass/prepare.sh /home /var/spool/mail").Prints("/home\n/var/spool/mail\n")
		to.Expect(startOf(t, from, to, thePass))
		to.Expect(look(5, "public")).Prints("phase running\ntoken " + thePass.token() + "\nfile ssh-ed25519 CCCC cutover-pass-" + chain + "\n")
		from.Expect(thePass.mustPlan(t, from, to).admitted())
	}
	t.Run("way is blocked", func(t *testing.T) {
		t.Parallel()
		for stderr, says := range map[string]string{
			"ssh: connect to host 192.0.2.1 port 22: Connection timed out\n": "whether a firewall",
			"root@192.0.2.1: Permission denied (publickey).\n":               "let in from 192.0.2.2, 2001:db8::2 only",
			"Host key verification failed.\n":                                "another machine answers there",
		} {
			from, to := twoHosts(t)
			begin(t, from, to)
			to.Expect("job/job.sh put " + name + " '" + thePass.token() + "' go").WithStdin("go\n")
			expectResult(to, thePass, 1, "key\tCCCC\nsaid\t1\t"+stderr+"ran\t1\treach\t255\n")
			from.Expect(dismissalOf)
			_, err := Run(context.Background(), from, to, thePass, nil)
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "192.0.2.1:22") || !strings.Contains(err.Error(), strings.TrimSpace(stderr)) {
				t.Errorf("%s: error %v", stderr, err)
			}
		}
	})
	t.Run("dismissal fails", func(t *testing.T) {
		t.Parallel()
		lost := errors.New("connection lost")
		from, to := twoHosts(t)
		expectStart(t, from, to, thePass)
		expectResult(to, thePass, 0, ran)
		from.Expect(dismissalOf).Fails(lost)
		_, err := Run(context.Background(), from, to, thePass, nil)
		if !errors.Is(err, lost) || !strings.Contains(err.Error(), "may still be let in on host \"old\", by the line that ends in cutover-pass-"+chain) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		from, to := twoHosts(t)
		ctx, stop := context.WithCancel(context.Background())
		begin(t, from, to)
		to.Expect("job/job.sh put " + name + " '" + thePass.token() + "' go").WithStdin("go\n")
		to.Expect(cancel)
		to.Expect(remove)
		from.Expect(dismissalOf)
		_, err := Run(ctx, from, &cancelOn{recorded: to, command: "put", cancel: stop}, thePass, nil)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was cancelled while it copied /home") {
			t.Errorf("error %v", err)
		}
	})
}

// cancelOn cancels when the job is told something.
type cancelOn struct {
	*recorded
	command string // of job.sh
	cancel  context.CancelFunc
}

func (c *cancelOn) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	if len(cmd.Argv) > 0 && cmd.Argv[0] == c.command {
		result, err := c.recorded.Run(ctx, cmd)
		c.cancel()
		return result, err
	}
	return c.recorded.Run(ctx, cmd)
}

// Everything that stands in the way is said at once, before anything is made.
func TestPreflight(t *testing.T) {
	t.Parallel()
	replace := strings.NewReplacer
	tests := map[string]struct {
		pass     Pass
		old, new *strings.Replacer
		says     []string
	}{
		"no rsync": {thePass, replace("rsync\trsync", "nothing\trsync"), replace("rsync\trsync", "nothing\trsync", "os\tdebian", "os\trocky rhel centos fedora"),
			[]string{`host "old" has no rsync; install it there: apt-get install rsync`, `host "new" has no rsync; install it there: dnf install rsync`}},
		"no ssh":        {thePass, replace(), replace("ssh\tOpenSSH", "nothing\t"), []string{`host "new" has no ssh or no ssh-keygen`, "apt-get install openssh-client"}},
		"missing":       {thePass, replace("path\t1\tdirectory", "path\t1\tmissing", "path\t2\tdirectory", "path\t2\tother"), replace(), []string{`host "old" has no directory /home`, "/var/mail on host \"old\" is not a directory"}},
		"target a file": {thePass, replace(), replace("path\t1\tdirectory", "path\t1\tother"), []string{"/home on host \"new\" is there already, and is not a directory"}},
		"same place":    {thePass, replace("\t/var/mail\n", "\t/home/mail\n"), replace(), []string{"/home and /home/mail: what is in both"}},
		"link to root":  {thePass, replace("directory\t/home", "directory\t/"), replace(), []string{"a symbolic link to /"}},
		"no login":      {thePass, replace("login\t", "permitrootlogin\tno\nnothing\t"), replace(), []string{"PermitRootLogin is no", "NOPASSWD"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			from.Expect(surveyOld).Prints(test.old.Replace(oldAnswer))
			to.Expect(surveyNew).Prints(test.new.Replace(newAnswer))
			_, err := Run(context.Background(), from, to, test.pass, nil)
			for _, part := range test.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q:\n%v", part, err)
				}
			}
		})
	}
	t.Run("half an answer", func(t *testing.T) {
		t.Parallel()
		from, to := twoHosts(t)
		from.Expect(surveyOld).Prints("os\tdebian\n")
		to.Expect(surveyNew).Prints(newAnswer)
		if _, err := Run(context.Background(), from, to, thePass, nil); err == nil || !strings.Contains(err.Error(), "no full answer") {
			t.Errorf("error %v", err)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	_, to := twoHosts(t)
	to.Expect("rsyncpass/forget.sh ab12 finished /home /var/spool/mail")
	if err := Forget(context.Background(), nil, to, thePass, false); err != nil {
		t.Error(err)
	}
	from, to := twoHosts(t)
	to.Expect(look(0, "")).Prints("phase running\ntoken " + thePass.token() + "\n")
	to.Expect("job/job.sh cancel " + name + " '" + thePass.token() + "' 20")
	to.Expect("job/job.sh remove " + name + " '" + thePass.token() + "'")
	from.Expect(dismissal)
	to.Expect("rsyncpass/forget.sh ab12 unfinished /home /var/spool/mail")
	if err := Forget(context.Background(), from, to, thePass, true); err != nil {
		t.Error(err)
	}
	// Another pass of the chain that is under way needs its key.
	from, to = twoHosts(t)
	to.Expect(look(0, "")).Prints("phase running\ntoken aaaa zz99\n")
	to.Expect("rsyncpass/forget.sh ab12 unfinished /home /var/spool/mail")
	if err := Forget(context.Background(), from, to, thePass, true); err != nil {
		t.Error(err)
	}
}
