package names

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are the ones in /etc until the test ends.
func files(t *testing.T, contents map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := etc
	etc = dir
	t.Cleanup(func() { etc = before })
}

const passwd = `root:x:0:0:root:/root:/bin/bash
# a comment

anna:x:1000:1001:Anna,,,:/home/anna:/bin/sh
second:x:1000:1001::/home/second:/bin/sh
anna:x:7000:7000::/home/again:/bin/sh
1234:x:1500:1500::/home/digits:/bin/sh
`

// Where all keys are in the files, no process starts.
func TestTheFilesComeFirst(t *testing.T) {
	for _, c := range []struct {
		name, nsswitch string
		asked          bool // getent is
	}{
		{"no file", "", false},
		{"files", "passwd: files systemd\n", false},
		{"files alone", "# passwd: sss\npasswd:\tfiles # sss\n", false},
		{"compat", "passwd:         compat\n", false},
		{"no line", "hosts: files dns\n", false},
		{"go on where there is no such source", "passwd: files [UNAVAIL=return] sss\n", false},
		{"sss", "passwd: sss files\n", true},
		{"filesystem", "passwd: filesystem\n", true},
		{"nobody", "passwd:\n", true},
		{"go on all the same", "passwd: files [SUCCESS=continue] sss\n", true},
		{"go on all the same, as the second", "passwd: files[notfound=continue success=continue] sss\n", true},
		{"go on all the same, as the contrary", "passwd: files\t[!NOTFOUND=continue] sss\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			starts := fakeGetent(t, "echo anna:x:5:5::/:; echo of-getent:x:1000:1000::/:; exit 2")
			contents := map[string]string{"passwd": passwd}
			if c.nsswitch != "" {
				contents["nsswitch.conf"] = c.nsswitch
			}
			files(t, contents)
			users, err := byNumber("passwd", []uint32{0, 1000})
			if err != nil {
				t.Fatal(err)
			}
			ids, err := byName("passwd", []string{"anna"})
			if err != nil {
				t.Fatal(err)
			}
			if !c.asked && (users[0] != "root" || users[1000] != "anna" || len(users) != 2 || ids["anna"] != 1000 || starts() > 0) {
				t.Errorf("0 and 1000 are %v, anna is %v, and getent was started %d times", users, ids, starts())
			}
			if c.asked && (users[1000] != "of-getent" || ids["anna"] != 5 || starts() != 2) {
				t.Errorf("0 and 1000 are %v, anna is %v, and getent was started %d times", users, ids, starts())
			}
		})
	}
}

// A line that is read in another way by others leaves the file to getent.
func TestLinesForGetent(t *testing.T) {
	for _, line := range []string{"+", "+@admins", "+::::::", "-mallory:x:5:5::/:", "short:x:9", "odd:x:-1:1::/:", " anna:x:1:1::/:", ":x:1:1::/:", "plus:x:+1:1::/:"} {
		starts := fakeGetent(t, "echo of-getent:x:0:0::/:; exit 2")
		files(t, map[string]string{"passwd": passwd + line + "\n"})
		users, err := byNumber("passwd", []uint32{0})
		if err != nil || users[0] != "of-getent" || starts() != 1 {
			t.Errorf("with %q, 0 is %v, error %v", line, users, err)
		}
	}
	// A group needs no more than three fields.
	starts := fakeGetent(t, "exit 3")
	files(t, map[string]string{"group": "mail:x:8\nroot:x:0:\n"})
	if groups, err := byNumber("group", []uint32{8, 0}); err != nil || len(groups) != 2 || starts() > 0 {
		t.Errorf("8 and 0 are %v, error %v", groups, err)
	}
}

// getent is asked for what is not in the file, and for nothing else.
func TestTheRestIsForGetent(t *testing.T) {
	dir := t.TempDir()
	starts := fakeGetent(t, `echo "$*" >`+dir+`/asked; echo 'far:x:90000:90000::/home/far:/bin/sh'; exit 2`)
	files(t, map[string]string{"passwd": passwd, "nsswitch.conf": "passwd: files sss\n"})
	users, err := byNumber("passwd", []uint32{0, 90000, 1234})
	if err != nil || len(users) != 2 || users[90000] != "far" || users[0] != "root" {
		t.Errorf("the users are %v, error %v", users, err)
	}
	asked, err := os.ReadFile(dir + "/asked")
	if err != nil || strings.TrimSpace(string(asked)) != "passwd 90000 1234" || starts() != 1 {
		t.Errorf("getent was asked for %q, error %v", asked, err)
	}
}

func TestFilesWithoutGetent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	files(t, map[string]string{"passwd": passwd, "group": "", "nsswitch.conf": "passwd: sss\n"})
	users, _, err := Host{}.Names([]uint32{0, 4, 1000, 1234}, nil)
	if err != nil || len(users) != 2 || users[1000] != "anna" {
		t.Errorf("the users are %v, error %v", users, err)
	}
	// It is not there: that is for getent to say, or else nobody.
	files(t, nil)
	if _, _, err := (Host{}).Names([]uint32{0}, nil); err == nil {
		t.Error("without a file and without getent, nobody has a name")
	}
}

func TestAccount(t *testing.T) {
	starts := fakeGetent(t, `[ "$2" = nobody-else ] || echo 'Far:*:90000:90001:Far:/home/far:/bin/sh'; exit 2`)
	files(t, map[string]string{"passwd": passwd, "nsswitch.conf": "passwd: files sss\n"})
	account, err := Host{}.Account("anna")
	if err != nil || account == nil || *account != (Account{1000, 1001, "/home/anna"}) || starts() > 0 {
		t.Errorf("anna is %+v, error %v", account, err)
	}
	// A directory service may not tell capitals from small letters.
	account, err = Host{}.Account("far")
	if err != nil || account == nil || *account != (Account{90000, 90001, "/home/far"}) {
		t.Errorf("far is %+v, error %v", account, err)
	}
	for _, name := range []string{"nobody-else", "", "1234", "-x"} {
		if account, err := (Host{}).Account(name); err != nil || account != nil {
			t.Errorf("%q is %+v, error %v", name, account, err)
		}
	}
}
