package sh_test

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

func TestQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"":              "''",
		"plain-1.0/x_y": "plain-1.0/x_y",
		"a;reboot":      "'a;reboot'",
		"$(id)":         "'$(id)'",
		"it's":          `'it'\''s'`,
		"a b":           "'a b'",
		"new\nline":     "'new\nline'",
		"~root":         "'~root'",
		"A=b":           "'A=b'",
		"`id`":          "'`id`'",
		"*":             "'*'",
	} {
		if got := sh.Quote(word); got != want {
			t.Errorf("Quote(%q) = %s, want %s", word, got, want)
		}
	}
}

// shells are those of this machine that read a command as an sshd's login
// shell would; /bin/sh must be there, the others count where they exist.
func shells(t testing.TB) []string {
	t.Helper()
	if _, err := exec.LookPath("/bin/sh"); err != nil {
		t.Fatal("no /bin/sh on this machine")
	}
	found := []string{"/bin/sh"}
	for _, shell := range []string{"/bin/dash", "/bin/bash"} {
		if _, err := exec.LookPath(shell); err == nil {
			found = append(found, shell)
		}
	}
	return found
}

// roundTrip has a real shell print the arguments that it understood.
func roundTrip(t testing.TB, shell string, argv ...string) [][]byte {
	t.Helper()
	command := "printf '%s\\0' " + sh.Join(argv...)
	out, err := exec.Command(shell, "-c", command).Output()
	if err != nil {
		t.Fatalf("%s refused %q: %v", shell, command, err)
	}
	return bytes.Split(bytes.TrimSuffix(out, []byte{0}), []byte{0})
}

func TestHostileWordsNeverBecomeCode(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"a;reboot", "$(id)", "`id`", "a|b", "a&b", "a>b", "'", "''", `\`, `\'`, `"`, "$HOME", "${IFS}",
		"!!", "#x", "-n", "--", "a\nb", "\t", " ", "*", "?", "[a]", "{a,b}", "~", "~root", "A=b", "\xff\xfe", "ü", "",
	}
	for _, shell := range shells(t) {
		got := roundTrip(t, shell, hostile...)
		if len(got) != len(hostile) {
			t.Fatalf("%s saw %d arguments, want %d: %q", shell, len(got), len(hostile), got)
		}
		for i, word := range hostile {
			if string(got[i]) != word {
				t.Errorf("%s read %q as %q", shell, word, got[i])
			}
		}
	}
}

func FuzzJoin(f *testing.F) {
	f.Add("a;reboot", "$(id)")
	f.Add("it's", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !sh.Valid(a) || !sh.Valid(b) {
			t.Skip("a NUL byte cannot be part of an argument")
		}
		got := roundTrip(t, "/bin/sh", a, b)
		if len(got) != 2 || string(got[0]) != a || string(got[1]) != b {
			t.Fatalf("%q %q came back as %q", a, b, got)
		}
	})
}
