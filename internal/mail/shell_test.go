package mail

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a host of files: what is in bin is all that its PATH has beside the
// tools of every Debian.
type machine struct {
	t        *testing.T
	dir, bin string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t, t.TempDir(), ""}
	m.bin = filepath.Join(m.dir, "bin")
	for _, dir := range []string{"bin", "etc/mail", "etc/dovecot/conf.d", "home"} {
		m.must(os.MkdirAll(filepath.Join(m.dir, dir), 0o755))
	}
	for _, tool := range []string{"awk", "sed", "grep", "cut", "head", "sort", "cat", "tr", "readlink"} {
		at, err := exec.LookPath(tool)
		m.must(err)
		m.must(os.Symlink(at, filepath.Join(m.bin, tool)))
	}
	m.passwd("root:x:0:0:root:/nonexistent:/bin/bash")
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// file writes a file; HERE in its content is the machine's directory.
func (m *machine) file(name, content string) {
	m.t.Helper()
	at := filepath.Join(m.dir, name)
	m.must(os.MkdirAll(filepath.Dir(at), 0o755))
	m.must(os.WriteFile(at, []byte(strings.ReplaceAll(content, "HERE", m.dir)), 0o644))
}

// program is one that prints a text, whatever it is asked.
func (m *machine) program(name, prints string) {
	m.t.Helper()
	m.file("said/"+name, prints)
	m.script(name, `cat "HERE/said/`+name+`"`)
}

func (m *machine) script(name, text string) {
	m.t.Helper()
	m.file("bin/"+name, "#!/bin/sh\n"+text+"\n")
	m.must(os.Chmod(filepath.Join(m.bin, name), 0o755))
}

func (m *machine) passwd(lines ...string) { m.program("getent", strings.Join(lines, "\n")+"\n") }

func (m *machine) dovecot(version, config string) {
	m.program("dovecot", version+" (abc)\n")
	m.program("doveconf", config)
}

// postfix is a Postfix with settings "KEY = VALUE", and its files in HERE/etc/postfix.
func (m *machine) postfix(settings string) {
	m.file("said/postconf", settings)
	m.script("postconf", `if [ "$1" = -h ]; then echo HERE/etc/postfix; else cat "HERE/said/postconf"; fi`)
}

func (m *machine) run() (string, error) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "/bin/sh", "-c", factsScript.Text, "facts.sh", filepath.Join(m.dir, "etc"))
	cmd.Env = []string{"PATH=" + m.bin, "LC_ALL=C"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil && stderr.Len() > 0 {
		m.t.Errorf("it says on standard error:\n%s", &stderr)
	}
	return string(out), err
}

// inspect is what the host is found to be.
func (m *machine) inspect() Mail {
	m.t.Helper()
	out, err := m.run()
	m.must(err)
	a, err := parse(out)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return a.mail()
}

func captured(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var dovecots = []string{"2.3.13", "2.3.19", "2.4.1"}

// The passwords that doveconf hides are put back: an older one shows them.
func TestSecretsStayOnTheHost(t *testing.T) {
	for _, version := range dovecots {
		m := newMachine(t)
		config := captured(t, "doveconf-"+version+"-virtual.txt")
		config = strings.NewReplacer("#hidden_use-P_to_show#", "s3cret", "# hidden, use -P to show it", "s3cret").Replace(config)
		if !strings.Contains(config, "s3cret") {
			t.Fatal("no secret to keep")
		}
		m.dovecot(version, config)
		m.postfix("mailbox_command = /usr/bin/deliver --password s3cret\nalias_maps = hash:HERE/etc/aliases, inline:{ {a = s3cret}, {b=|s3cret} }\nvirtual_alias_maps = hash:HERE/etc/virtual\n")
		m.file("etc/aliases", "list: \"|/bin/list s3cret\", s3cret@private.example\n\ts3cret2@private.example, :include:/s3cret\n")
		m.file("etc/virtual", "a@example.org s3cret@private.example\n")
		m.file("etc/procmailrc", ":0\n| /bin/x s3cret\n")
		m.program("exim4", "r router:\ndriver = redirect\ndata = ${lookup mysql{SELECT s3cret}}\n\nt transport:\ndriver = pipe\ncommand = /bin/x s3cret\ndirectory = ${lookup pgsql{s3cret}}\n")
		m.file("home/anna/.forward", "s3cret@private.example, |s3cret\n")
		m.passwd("anna:s3cret:1001:1001:s3cret:" + m.dir + "/home/anna:/bin/bash")
		out, err := m.run()
		m.must(err)
		if strings.Contains(out, "s3cret") || strings.Contains(out, "private.example") {
			t.Errorf("%s: it tells\n%s", version, out)
		}
		found := m.inspect()
		if shown := strings.Join(append(found.Problems, found.NotUnderstood...), "\n"); strings.Contains(shown, "s3cret") || !strings.Contains(shown, "alias_maps: inline") {
			t.Errorf("%s: it shows\n%s", version, shown)
		}
	}
}

func TestErrorsInDovecotsConfigurationTellNoLine(t *testing.T) {
	m := newMachine(t)
	m.program("dovecot", "2.3.19.1 (9b53102964)\n")
	m.script("doveconf", `echo 'doveconf: Fatal: Error in configuration file /etc/dovecot/conf.d/10-auth.conf line 12: Expecting "=": s3cret' >&2; exit 89`)
	out, err := m.run()
	m.must(err)
	if strings.Contains(out, "s3cret") || !strings.Contains(out, "dovecot-broken\t/etc/dovecot/conf.d/10-auth.conf:12\n") {
		t.Error(out)
	}
	found := m.inspect()
	if found.Path != "" || len(found.Problems) != 1 || !strings.Contains(found.NotUnderstood[0], "10-auth.conf:12") {
		t.Errorf("%+v", found)
	}
}

func TestAccountsThatCannotBeListedAreNotNone(t *testing.T) {
	m := newMachine(t)
	m.script("getent", "echo 'the directory server is down' >&2; exit 1")
	if out, err := m.run(); err == nil {
		t.Errorf("it says\n%s", out)
	}
}

func TestForwardsAndFilters(t *testing.T) {
	m := newMachine(t)
	for name, content := range map[string]string{
		"pipe": "\"|/usr/bin/vacation anna, away\"\n", "address": "anna@example.org", "keep": "\\keep, anna@example.org\n", "file": "/home/file/Mail/inbox\n# anna@example.org\n",
		"include": ":include:/etc/lists/x\n", "exim": "# Exim filter\nsave $home/x\n", "sieve": "#Sieve filter\nkeep;\n", "empty": "\n\n", "many": "one\ntwo, |three\n",
		"quoted": "\"with, comma@example.org\"",
	} {
		m.file("home/"+name+"/.forward", content)
	}
	m.file("home/filters/.procmailrc", ":0\n/dev/null\n")
	m.file("home/filters/.dovecot.sieve", "keep;\n")
	m.file("home/none/file", "")
	m.must(os.Symlink("/nowhere", filepath.Join(m.dir, "home/none/.forward")))
	lines := []string{"#gone:x:1:1::" + m.dir + "/home/pipe:/bin/sh", "daemon:x:1:1::/:/bin/sh", "absent:x:1500:1500::" + m.dir + "/home/absent:/bin/sh"}
	for _, name := range []string{"pipe", "address", "keep", "file", "include", "exim", "sieve", "empty", "many", "quoted", "filters", "none"} {
		lines = append(lines, name+":x:1001:1001::"+m.dir+"/home/"+name+":/bin/bash")
	}
	m.passwd(lines...)
	found := m.inspect()
	for name, want := range map[string][]string{
		"pipe": {"pipe"}, "address": {"address"}, "keep": {"user", "address"}, "file": {"file"}, "include": {"include"}, "exim": {"filter"}, "sieve": {"filter"},
		"empty": {}, "many": {"user", "pipe"}, "quoted": {"address"},
	} {
		if got, ok := found.Forwards[name]; !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if len(found.Forwards) != 10 || len(found.Filters) != 1 || !slices.Equal(found.Filters["filters"], []string{".procmailrc", ".dovecot.sieve"}) {
		t.Errorf("%v, %v", found.Forwards, found.Filters)
	}
}

func TestAliases(t *testing.T) {
	m := newMachine(t)
	m.postfix("alias_maps = hash:HERE/etc/aliases, hash:HERE/etc/none, nis:mail.aliases\nvirtual_alias_maps = hash:HERE/etc/virtual, mysql:/etc/postfix/mysql.cf\n")
	m.file("etc/aliases", "# comment\npostmaster:    root\n\nlist: anna,\n  bert@example.org, \"|/bin/x, y\"\n\"odd: name\" : /var/mail/odd\nnot an alias\nvoid: :blackhole:\nlast:root")
	m.file("etc/virtual", "@example.net anna\ninfo@example.org\tbert,\n\tcarl@example.com\n")
	found := m.inspect()
	aliases, virtual := m.dir+"/etc/aliases", m.dir+"/etc/virtual"
	want := []Alias{
		{"postmaster", aliases, 2, []string{"user"}}, {"list", aliases, 4, []string{"user", "address", "pipe"}},
		{"odd: name", aliases, 6, []string{"file"}}, {"void", aliases, 8, []string{"special"}}, {"last", aliases, 9, []string{"user"}},
		{"@example.net", virtual, 1, []string{"user"}}, {"info@example.org", virtual, 2, []string{"user", "address"}},
	}
	if !slices.EqualFunc(found.Aliases, want, func(a, b Alias) bool {
		return a.Name == b.Name && a.File == b.File && a.Line == b.Line && slices.Equal(a.Kinds, b.Kinds)
	}) {
		t.Errorf("%+v", found.Aliases)
	}
	for _, want := range []string{
		"postfix: alias_maps: nis:mail.aliases is no file whose entries can be read", "postfix: virtual_alias_maps: mysql:/etc/postfix/mysql.cf is no file whose entries can be read",
		m.dir + "/etc/none cannot be read",
	} {
		if !slices.Contains(found.NotUnderstood, want) {
			t.Errorf("%q is missing in %q", want, found.NotUnderstood)
		}
	}
}
