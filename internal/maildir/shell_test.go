package maildir

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inHome runs the user's part of the script, through a real shell and as
// whoever runs the test, in a home, and returns what it says.
func inHome(t *testing.T, home string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", asUserText, "as_user", home}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestShellMakesATree(t *testing.T) {
	home := t.TempDir()
	folders := []string{".Sent", "Sent", ".Archive.a b", "Archive.a b"}
	make := append([]string{"make", "var/mail", "700", "-"}, folders...)
	look := append([]string{"look", "var/mail", "700", "-"}, folders...)
	if said := inHome(t, home, look...); strings.Count(said, "is missing") != 3 {
		t.Errorf("of an empty home it says\n%s", said)
	}
	if said := inHome(t, home, make...); said != "" {
		t.Fatal(said)
	}
	if said := inHome(t, home, look...); said != "" {
		t.Errorf("of a complete tree it says\n%s", said)
	}
	for _, name := range []string{"", ".Sent/", ".Archive.a b/"} {
		for _, part := range []string{"cur", "new", "tmp"} {
			info, err := os.Stat(filepath.Join(home, "var/mail", name+part))
			if err != nil || info.Mode() != os.ModeDir|0o700 {
				t.Errorf("%s%s: %v, %v", name, part, info, err)
			}
		}
	}
	subscriptions := filepath.Join(home, "var/mail/subscriptions")
	if content, err := os.ReadFile(subscriptions); err != nil || string(content) != "Sent\nArchive.a b\n" {
		t.Errorf("subscriptions: %q, %v", content, err)
	}

	// Mail stays, modes are put right, what a user has unsubscribed from stays so.
	mail := filepath.Join(home, "var/mail/cur/1:2,S")
	must(t, os.WriteFile(mail, []byte("mail"), 0o600))
	must(t, os.Chmod(filepath.Join(home, "var/mail/cur"), 0o755))
	must(t, os.WriteFile(subscriptions, []byte("V\t2\n\n"), 0o600))
	must(t, os.RemoveAll(filepath.Join(home, "var/mail/.Archive.a b")))
	if said := inHome(t, home, look...); said != "not var/mail/cur\thas the mode 755\nnot var/mail/.Archive.a b\tis missing\n" {
		t.Errorf("it says\n%s", said)
	}
	if said := inHome(t, home, make...) + inHome(t, home, look...); said != "" {
		t.Error(said)
	}
	if content, err := os.ReadFile(mail); err != nil || string(content) != "mail" {
		t.Errorf("mail: %q, %v", content, err)
	}
	// The folder that was made anew is subscribed to, in Dovecot's newer format.
	if content, err := os.ReadFile(subscriptions); err != nil || string(content) != "V\t2\n\nArchive\ta b\n" {
		t.Errorf("subscriptions: %q, %v", content, err)
	}
}

func TestShellOverwritesNothingThatIsInTheWay(t *testing.T) {
	home, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, "file"), []byte("theirs"), 0o600))
	must(t, os.Symlink(filepath.Join(outside, "nowhere"), filepath.Join(home, "dangling")))
	for _, maildir := range []string{"file", "file/x", "dangling"} {
		if said := inHome(t, home, "make", maildir, "700", "-"); !strings.HasPrefix(said, "not "+maildir+"\t") {
			t.Errorf("%s: it says %q", maildir, said)
		}
	}
	if content, err := os.ReadFile(filepath.Join(home, "file")); err != nil || string(content) != "theirs" {
		t.Errorf("file: %q, %v", content, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside there is %v, %v", entries, err)
	}
	// Subscriptions that are a link are the user's business.
	must(t, os.MkdirAll(filepath.Join(home, "mail"), 0o700))
	must(t, os.Symlink(filepath.Join(home, "file"), filepath.Join(home, "mail/subscriptions")))
	inHome(t, home, "make", "mail", "700", "-", ".Sent", "Sent")
	if content, err := os.ReadFile(filepath.Join(home, "file")); err != nil || string(content) != "theirs" {
		t.Errorf("file: %q, %v", content, err)
	}
}

func TestShellLinksSpools(t *testing.T) {
	home := t.TempDir()
	link := filepath.Join(home, ".cutover-spool/mail")
	if said := inHome(t, home, "look", "mail", "700", "/var/mail/anna"); !strings.Contains(said, ".cutover-spool/mail\tdoes not lead") {
		t.Errorf("it says %q", said)
	}
	inHome(t, home, "make", "mail", "700", "/var/mail/anna")
	if target, err := os.Readlink(link); err != nil || target != "/var/mail/anna" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	inHome(t, home, "make", "mail", "700", "/var/spool/mail/anna")
	if target, err := os.Readlink(link); err != nil || target != "/var/spool/mail/anna" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	for _, action := range []string{"make", "drop"} {
		inHome(t, home, action, "mail", "700", "-")
		if _, err := os.Lstat(filepath.Dir(link)); !os.IsNotExist(err) {
			t.Errorf("%s left %s: %v", action, link, err)
		}
		inHome(t, home, "make", "mail", "700", "/var/mail/anna")
	}
}
