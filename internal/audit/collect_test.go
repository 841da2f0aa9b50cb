package audit

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes files below a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// runHere runs collect.sh on this machine.
func runHere(t *testing.T, want wanted) collected {
	t.Helper()
	for _, tool := range []string{"find", "xargs", "md5sum", "awk"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("collect.sh needs %s", tool)
		}
	}
	var stdin strings.Builder
	for word, paths := range want {
		for _, path := range paths {
			stdin.WriteString(word + " " + path + "\n")
		}
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", collectText)
	cmd.Stdin = strings.NewReader(stdin.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(out), "\nend\n") {
		t.Fatalf("collect.sh broke off:\n%s", out)
	}
	return parse(string(out))
}

func TestCollectHomes(t *testing.T) {
	t.Parallel()
	top := tree(t, map[string]string{
		"anna/a": "12345", "anna/deep/in/b": "678", "anna/odd\nname\twith % in it": "1", "bert/empty/.keep": "",
	})
	if err := os.Symlink("a", top+"/anna/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("bert", top+"/carl"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(top+"/dora", 0o700); err != nil {
		t.Fatal(err)
	}
	c := runHere(t, wanted{"home": {top + "/anna", top + "/bert", top + "/carl", top + "/dora", top + "/nobody"}})
	for name, want := range map[string]Amount{"anna": {4, 9}, "bert": {1, 0}, "carl": {1, 0}, "dora": {0, 0}} {
		if got, there := c.homes[top+"/"+name]; !there || got.Amount != want {
			t.Errorf("%s: %v, %t, want %v", name, got, there, want)
		}
	}
	if _, there := c.homes[top+"/nobody"]; there {
		t.Error("a home that is not there was counted")
	}
	if mode := c.homes[top+"/dora"].mode; mode != "700" {
		t.Errorf("mode %q", mode)
	}
	if len(c.unread) > 0 {
		t.Errorf("not read: %q", c.unread)
	}
	if c.zone.winter == "" || c.zone.summer == "" {
		t.Errorf("time zone: %v", c.zone)
	}
}

func TestCollectMail(t *testing.T) {
	t.Parallel()
	top := tree(t, map[string]string{
		"anna/mail/cur/1:2,S": "x", "anna/mail/new/2": "x", "anna/mail/tmp/3": "x", "anna/mail/dovecot-uidlist": "3 V1236000000 N8 Gabc\n1 :1\n",
		"anna/mail/.Archive.2009/cur/1": "x", "anna/mail/.Archive.2009/dovecot-uidlist": "1 1236000001 8\n", "anna/mail/.With blank/cur/1": "x",
		"anna/mail/cur/not/a/mail": "x", "vmail/example.org/bert/cur/1": "x", "vmail/example.org/bert/Archive/2009/new/1": "x",
		"control/anna/dovecot-uidlist": "3 V1236000002 N8 Gabc\n", "spool/anna": "From a\n\nFrom b\n\n>From c\n", "spool/bert": "",
	})
	if err := os.MkdirAll(top+"/anna/mail/.Empty/cur", 0o755); err != nil {
		t.Fatal(err)
	}
	c := runHere(t, wanted{
		"maildir": {top + "/anna/mail", top + "/vmail", top + "/missing"}, "control": {top + "/control/anna"}, "spool": {top + "/spool/anna", top + "/spool/bert", top + "/spool/missing"},
		"dot": {top + "/spool/bert"},
	})
	want := map[string]int64{"": 2, ".Archive.2009": 1, ".With blank": 1, ".Empty": 0}
	if got := c.folders[top+"/anna/mail"]; !maps.Equal(got, want) {
		t.Errorf("folders: %v, want %v", got, want)
	}
	if got, want := c.folders[top+"/vmail"], map[string]int64{"example.org/bert": 1, "example.org/bert/Archive/2009": 1}; !maps.Equal(got, want) {
		t.Errorf("virtual folders: %v, want %v", got, want)
	}
	if got, want := c.validity, map[string]string{top + "/anna/mail": "1236000000", top + "/control/anna": "1236000002"}; !maps.Equal(got, want) {
		t.Errorf("UIDVALIDITY: %v, want %v", got, want)
	}
	if got, want := c.spools, map[string]int64{top + "/spool/anna": 2, top + "/spool/bert": 0}; !maps.Equal(got, want) {
		t.Errorf("spools: %v, want %v", got, want)
	}
	if sum := c.sums[top+"/spool/bert"]; sum != "d41d8cd98f00b204e9800998ecf8427e" {
		t.Errorf("sum of an empty file: %q", sum)
	}
	if len(c.unread) > 0 {
		t.Errorf("not read: %q", c.unread)
	}
}

func TestParseWhatNobodyHasAskedFor(t *testing.T) {
	t.Parallel()
	c := parse("find: '/home/anna/x': Permission denied\nfind: '/home/anna/y': No such file or directory\nhome\t/home/anna\nspool\tnonsense\n| a line of no file\nend\n")
	if !slices.Equal(c.unread, []string{"find: '/home/anna/x': Permission denied", "home\t/home/anna"}) {
		t.Errorf("not read: %q", c.unread)
	}
}

func TestOwnFiles(t *testing.T) {
	t.Parallel()
	c := parse("text\tcron\t/etc/crontab\n| # as packaged\n| 1 * * * * root run\nsum\tabc  /etc/crontab\nconffile\t/etc/crontab\tabc\n" +
		"text\tcron\t/etc/cron.d/mine\n| #\n| \n| 2  *\t* * * root  mine\nsum\tdef  /etc/cron.d/mine\n" +
		"text\tcron\t/etc/cron.d/changed\n| 3 * * * * root it\nsum\tnew  /etc/cron.d/changed\nconffile\t/etc/cron.d/changed\told\n" +
		"text\tcron\t/etc/cron.d/old.dpkg-old\n| 4 * * * * root it\ntext\tsudo\t/etc/sudoers\n| x\nend\n")
	own := c.own("cron")
	if got := slices.Sorted(maps.Keys(own)); !slices.Equal(got, []string{"/etc/cron.d/changed", "/etc/cron.d/mine"}) {
		t.Errorf("own files: %q", got)
	}
	if !slices.Equal(own["/etc/cron.d/mine"], []string{"2 * * * * root mine"}) {
		t.Errorf("lines: %q", own["/etc/cron.d/mine"])
	}
}
