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
)

const (
	edKey  = "ssh-ed25519 AAAAold"
	chain  = "36e554a1ca71"
	runDir = "/run/cutover/pass-" + chain
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
login	root		/root	.ssh/authorized_keys
hostkey	ssh-rsa BBBBold
hostkey	ssh-ed25519 AAAAold
path	1	directory	/home	5000	/	200
path	2	directory	/var/mail	5000	/	200
owner	user	root
owner	user	anna
owner	group	mail
`

const newAnswer = `os	debian
rsync	rsync  version 3.4.1  protocol version 32
rsync	    append, ACLs, xattrs, iconv
ssh	OpenSSH_10.0p2 Debian-7
address	127.0.0.1
address	192.0.2.2
address	2001:db8::2
address	fe80::1
address	::1
path	1	directory	/home	100000	/	9000	8000
path	2	missing	/var	100000	/	9000	8000
`

var thePass = Pass{ID: "ab12", Paths: []Path{{Source: "/home"}, {Source: "/var/mail", Target: "/var/spool/mail"}}}

const (
	surveyOld = "rsyncpass/survey_old.sh root '' new.example.net owners /home /var/mail"
	surveyNew = "rsyncpass/survey_new.sh /home /var/spool/mail"
	ran       = "cutover-started 2026-11-23T14:00:00Z\nNumber of files: 10 (reg: 8, dir: 2)\nNumber of regular files transferred: 4\nTotal bytes sent: 10\nTotal bytes received: 90\ncutover-finished 2026-11-23T14:00:05Z\n"
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

// expectStart expects all up to the first rsync.
func expectStart(t *testing.T, from, to *recorded, p Pass) {
	t.Helper()
	from.Expect(surveyOld).Prints(oldAnswer)
	to.Expect(surveyNew).WithStdin("group mail\nuser anna\nuser root\n").Prints(newAnswer)
	l := p.mustPlan(t, from, to)
	to.Expect(short(prepareScript, l.chain, LogPath(thePass.ID), "ed25519", "", l.comment, l.sshConfig, "/home", "/var/spool/mail")).
		WithStdin(l.knownHosts).Prints(runDir + "\nssh-ed25519 CCCC " + l.comment + "\n")
	from.Expect(l.admitted())
	to.Expect("ssh -F " + runDir + "/ssh_config cutover-old cutover-hello").Prints("cutover-pass is ready\n")
}

func expectPull(t *testing.T, from, to *recorded, p Pass, i int) *hosttest.Call {
	t.Helper()
	return to.Expect(short(pullScript, p.mustPlan(t, from, to).forPath(runDir, i, p.Paths[i].target())...))
}

// admitted is the command that lets the key in, as a Fake knows it.
func (l plan) admitted() string {
	return short(keysScript, "admit", l.chain, "root", "/root", ".ssh/authorized_keys", l.options+" ssh-ed25519 CCCC "+l.comment, strconv.FormatInt(l.until, 10), serveText)
}

func expectEnd(from, to *recorded) {
	from.Expect("rsyncpass/keys.sh dismiss " + chain)
	to.Expect("rsyncpass/clear.sh " + chain)
}

func TestRun(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	expectStart(t, from, to, thePass)
	expectPull(t, from, to, thePass, 0).Prints(ran)
	expectPull(t, from, to, thePass, 1).Prints(ran)
	expectEnd(from, to)
	result, err := Run(context.Background(), from, to, thePass)
	if err != nil {
		t.Fatal(err)
	}
	if result.Total.Files != 20 || result.Total.Transferred != 8 || result.Total.Rate() != 20 || len(result.Paths) != 2 || result.Paths[1].Target != "/var/spool/mail" {
		t.Errorf("result %+v", result)
	}
	if result.FromRsync != "3.2.3" || result.ToRsync != "3.4.1" || result.LogPath != "/var/lib/cutover/passes/ab12.log" || len(result.Warnings) != 0 {
		t.Errorf("result %+v", result)
	}

	const wantLine = `restrict,from="192.0.2.2,2001:db8::2",expiry-time="20261124151500",command="sh /var/lib/cutover/pass-` + chain + `/serve login" ssh-ed25519 CCCC cutover-pass-` + chain
	if admits := from.find(t, "rsyncpass/keys.sh"); len(admits) != 2 || admits[0][5] != wantLine || admits[0][6] != "1795529700" ||
		admits[0][7] != serveText || strings.Join(admits[0][8:], " ") != "/home /var/mail" {
		t.Errorf("the key is let in by\n%q\nwant the line\n%s", admits, wantLine)
	}
	const wantPull = "env RSYNC_PROTECT_ARGS=0 rsync -aHAX --sparse --partial-dir=.cutover-partial --stats --no-human-readable " +
		"--log-file=/var/lib/cutover/passes/ab12.log --rsh=ssh -F " + runDir + "/ssh_config cutover-old:2/ /var/spool/mail/"
	if pulls := to.find(t, "rsyncpass/pull.sh"); len(pulls) != 2 || strings.Join(pulls[1], " ") != wantPull {
		t.Errorf("pulls %q\nwant %s", pulls, wantPull)
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
ServerAliveCountMax 4`
	prepares := to.find(t, "rsyncpass/prepare.sh")
	if len(prepares) != 1 || prepares[0][5] != wantConfig {
		t.Errorf("ssh_config is\n%s\nwant\n%s", prepares[0][5], wantConfig)
	}
	const wantKnown = "cutover-pass-" + chain + " ssh-ed25519 AAAAold\ncutover-pass-" + chain + " ssh-rsa BBBBold\n"
	if got := thePass.mustPlan(t, from, to).knownHosts; got != wantKnown {
		t.Errorf("known_hosts is\n%s\nwant\n%s", got, wantKnown)
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
	if got := strings.Join(l.forPath("/d", 0, "/home"), "|"); !strings.Contains(got, "|--compress|--bwlimit=500|--exclude=*.tmp|--exclude=/a b'c|--rsh=ssh -F /d/ssh_config|cutover-old:1/|/home/") {
		t.Errorf("command %s", got)
	}
	if !strings.Contains(l.sshConfig, "\nHostName old.internal\nPort 2222\n") || !strings.Contains(l.options, `from="192.0.2.2,2001:db8::2,198.51.100.7"`) {
		t.Errorf("ssh_config\n%s\noptions %s", l.sshConfig, l.options)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	final := thePass
	final.Final = true
	vanished := "file has vanished: \"/home/anna/mail/new/1\"\ndirectory has vanished: \"/home/x\"\nrsync warning: some files vanished before they could be transferred (code 24) at main.c\n"
	tests := map[string]struct {
		pass     Pass
		code     int
		stderr   string
		measured bool
		second   bool   // whether the second path is still copied
		warns    string // in the result
		says     []string
	}{
		"vanished":       {thePass, 24, vanished, false, true, "2 files of /home", nil},
		"vanished final": {final, 24, vanished, false, true, "", []string{"2 files of /home on host \"old\" went away", "still writes"}},
		"partial": {thePass, 23, "rsync: [sender] read errors mapping \"/home/a\": Input/output error (5)\nrsync error: some files/attrs were not transferred (code 23)\n",
			false, true, "", []string{"a part of /home could not be copied", "Input/output error", "passes/ab12.log"}},
		"full": {thePass, 11, "rsync: [receiver] write failed on \"/home/a\": No space left on device (28)\nrsync error: error in file IO (code 11)\n",
			true, false, "", []string{"the file system of /home on host \"new\" is full: 97.7 MiB of 195.3 MiB are still to come", "No space left"}},
		"network": {thePass, 12, "rsync: connection unexpectedly closed (1234 bytes received so far) [receiver]\nrsync error: error in rsync protocol data stream (code 12)\n",
			false, false, "", []string{"the connection from host \"new\" to host \"old\" broke off", "connection unexpectedly closed"}},
		"ssh":    {thePass, 255, "Timeout, server 192.0.2.1 not responding.\n", false, false, "", []string{"broke off", "not responding"}},
		"killed": {thePass, 20, "rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20)\n", false, false, "", []string{"was cancelled while it copied /home"}},
		"usage":  {thePass, 1, "rsync: --foo: unknown option\n", false, false, "", []string{"exit code 1", "unknown option"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			expectStart(t, from, to, test.pass)
			expectPull(t, from, to, test.pass, 0).Prints(ran).Exits(test.code, test.stderr)
			if test.measured {
				from.Expect("rsyncpass/measure.sh /home").Prints("measured\t1\t200000\t50\n")
				to.Expect("rsyncpass/measure.sh /home").Prints("measured\t1\t100000\t50\n")
			}
			if test.second {
				expectPull(t, from, to, test.pass, 1).Prints(ran)
			}
			expectEnd(from, to)
			result, err := Run(context.Background(), from, to, test.pass)
			if (err == nil) != (len(test.says) == 0) {
				t.Fatalf("error %v", err)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q:\n%v", part, err)
				}
			}
			if err != nil {
				if code, ok := host.ExitCode(err); !ok || code != test.code {
					t.Errorf("the error has lost the exit code: %d, %t", code, ok)
				}
			}
			if got := strings.Join(result.Warnings, "\n"); !strings.Contains(got, test.warns) || test.warns == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, test.warns)
			}
			if wants := map[bool]int{true: 2, false: 1}[test.second]; len(result.Paths) != wants || result.Total.Files != int64(10*wants) {
				t.Errorf("%d paths done, %d files; want %d paths", len(result.Paths), result.Total.Files, wants)
			}
		})
	}
}

// However the pass ends, both hosts are cleaned, and what could not be cleaned
// is said.
func TestCleanedUpWhateverHappens(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	t.Run("admit fails", func(t *testing.T) {
		t.Parallel()
		from, to := twoHosts(t)
		from.Expect(surveyOld).Prints(oldAnswer)
		to.Expect(surveyNew).Prints(newAnswer)
		l := thePass.mustPlan(t, from, to)
		to.Expect(short(prepareScript, l.chain, LogPath(thePass.ID), "ed25519", "", l.comment, l.sshConfig)).Prints(runDir + "\nssh-ed25519 CCCC " + l.comment + "\n")
		from.Expect(l.admitted()).Fails(lost)
		from.Expect("rsyncpass/keys.sh dismiss " + chain).Fails(lost)
		to.Expect("rsyncpass/clear.sh " + chain)
		_, err := Run(context.Background(), from, to, thePass)
		if !errors.Is(err, lost) || !strings.Contains(err.Error(), "may still be let in on host \"old\", by the line that ends in cutover-pass-"+chain) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("way is blocked", func(t *testing.T) {
		t.Parallel()
		for stderr, says := range map[string]string{
			"ssh: connect to host 192.0.2.1 port 22: Connection timed out\n": "whether a firewall",
			"root@192.0.2.1: Permission denied (publickey).\n":               "let in from 192.0.2.2, 2001:db8::2 only",
			"Host key verification failed.\n":                                "another machine answers there",
		} {
			from, to := twoHosts(t)
			from.Expect(surveyOld).Prints(oldAnswer)
			to.Expect(surveyNew).Prints(newAnswer)
			l := thePass.mustPlan(t, from, to)
			to.Expect(short(prepareScript, l.chain, LogPath(thePass.ID), "ed25519", "", l.comment, l.sshConfig)).Prints(runDir + "\nssh-ed25519 CCCC " + l.comment + "\n")
			from.Expect(l.admitted())
			to.Expect("ssh -F "+runDir+"/ssh_config cutover-old cutover-hello").Exits(255, stderr)
			expectEnd(from, to)
			_, err := Run(context.Background(), from, to, thePass)
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "192.0.2.1:22") || !strings.Contains(err.Error(), strings.TrimSpace(stderr)) {
				t.Errorf("%s: error %v", stderr, err)
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		from, to := twoHosts(t)
		ctx, cancel := context.WithCancel(context.Background())
		expectStart(t, from, to, thePass)
		expectPull(t, from, to, thePass, 0).Fails(fmt.Errorf("on host new: %w", context.Canceled))
		expectEnd(from, to)
		cancelling := &cancelOn{recorded: to, script: pullScript.Name, cancel: cancel}
		_, err := Run(ctx, from, cancelling, thePass)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was cancelled while it copied /home") {
			t.Errorf("error %v", err)
		}
	})
}

// cancelOn cancels when a script is run.
type cancelOn struct {
	*recorded
	script string
	cancel context.CancelFunc
}

func (c *cancelOn) Run(ctx context.Context, cmd host.Command) (host.Result, error) {
	if cmd.Script.Name == c.script {
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
		"no ssh":         {thePass, replace(), replace("ssh\tOpenSSH", "nothing\t"), []string{`host "new" has no ssh or no ssh-keygen`, "apt-get install openssh-client"}},
		"missing":        {thePass, replace("path\t1\tdirectory", "path\t1\tmissing", "path\t2\tdirectory", "path\t2\tother"), replace(), []string{`host "old" has no directory /home`, "/var/mail on host \"old\" is not a directory"}},
		"target a file":  {thePass, replace(), replace("path\t1\tdirectory", "path\t1\tother"), []string{"/home on host \"new\" is there already, and is not a directory"}},
		"same place":     {thePass, replace("\t/var/mail\t", "\t/home/mail\t"), replace(), []string{"/home and /home/mail: what is in both"}},
		"link to root":   {thePass, replace("directory\t/home", "directory\t/"), replace(), []string{"a symbolic link to /"}},
		"no login":       {thePass, replace("login\t", "permitrootlogin\tno\nnothing\t"), replace(), []string{"PermitRootLogin is no", "NOPASSWD"}},
		"unknown owners": {thePass, replace(), replace("path\t1", "unknown\tuser\tanna\nunknown\tgroup\tmail\npath\t1"), []string{`host "new" does not know these owners of files in the paths: user anna, group mail`, `Create them on "new" first`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			from.Expect(surveyOld).Prints(test.old.Replace(oldAnswer))
			to.Expect(surveyNew).Prints(test.new.Replace(newAnswer))
			_, err := Run(context.Background(), from, to, test.pass)
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
		if _, err := Run(context.Background(), from, to, thePass); err == nil || !strings.Contains(err.Error(), "no full answer") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSpace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		free, inodes string // on the new host
		there, here  string
		says         string
	}{
		"fits when measured":   {"4000", "8000", "measured\t1\t3000\t10\nmeasured\t2\t900\t10\n", "measured\t1\t0\t0\nmeasured\t2\t0\t0\n", ""},
		"fits the second time": {"100", "8000", "measured\t1\t3000\t10\nmeasured\t2\t900\t10\n", "measured\t1\t2950\t10\nmeasured\t2\t900\t10\n", ""},
		"too small":            {"3500", "8000", "measured\t1\t3000\t10\nmeasured\t2\t900\t10\n", "measured\t1\t0\t0\nmeasured\t2\t0\t0\n", "the pass brings 3900 KiB, and 3500 KiB are free; 400 KiB are missing"},
		"too few inodes":       {"90000", "15", "measured\t1\t3000\t10\nmeasured\t2\t900\t10\n", "measured\t1\t0\t0\nmeasured\t2\t0\t0\n", "brings 20 files, and there is room for 15"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			s := survey{from: from.Ident, to: to.Ident}
			if err := s.old.parse(oldAnswer, 2); err != nil {
				t.Fatal(err)
			}
			if err := s.new.parse(strings.NewReplacer("\t100000\t", "\t"+test.free+"\t", "\t8000", "\t"+test.inodes).Replace(newAnswer), 2); err != nil {
				t.Fatal(err)
			}
			from.Expect("rsyncpass/measure.sh /home /var/mail").Prints(test.there)
			to.Expect("rsyncpass/measure.sh /home /var/spool/mail").Prints(test.here)
			err := thePass.checkSpace(context.Background(), from, to, s)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v, want %q", err, test.says)
			}
		})
	}
	// A file system without a fixed number of inodes says 0 of 0.
	var n newHost
	if err := n.parse("path\t1\tdirectory\t/home\t10\t/\t0\t0\n", 1); err != nil || n.paths[0].inodes != -1 {
		t.Errorf("%+v, %v", n.paths, err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	_, to := twoHosts(t)
	to.Expect("rsyncpass/forget.sh /var/lib/cutover/passes/ab12.log /home /var/spool/mail")
	if err := Forget(context.Background(), nil, to, thePass, false); err != nil {
		t.Error(err)
	}
	from, to := twoHosts(t)
	expectEnd(from, to)
	to.Expect("rsyncpass/forget.sh /var/lib/cutover/passes/ab12.log /home /var/spool/mail")
	if err := Forget(context.Background(), from, to, thePass, true); err != nil {
		t.Error(err)
	}
}
