//go:build linux

package key

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keygen runs ssh-keygen on a private key.
func keygen(t *testing.T, private []byte, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("needs ssh-keygen, which reads what was made")
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", append(args, "-f", file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s\n%s", args, err, out, private)
	}
	return strings.TrimSpace(string(out))
}

// Comments of all lengths, so that each number of padding bytes comes up.
func TestSSHKeygenReadsTheKey(t *testing.T) {
	for n := range 9 {
		comment := "cutover-pass-0123456789ab" + strings.Repeat("x", n)
		private, public, err := Generate(comment)
		if err != nil {
			t.Fatal(err)
		}
		if got := keygen(t, private, "-y"); got != public {
			t.Errorf("ssh-keygen -y says\n%s, and it was\n%s", got, public)
		}
		if got := keygen(t, private, "-l"); !strings.HasPrefix(got, "256 SHA256:") || !strings.HasSuffix(got, comment+" (ED25519)") {
			t.Errorf("ssh-keygen -l says %s", got)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	private, public, err := Generate("a")
	if err != nil {
		t.Fatal(err)
	}
	other, otherPublic, err := Generate("a")
	if err != nil || string(private) == string(other) || public == otherPublic {
		t.Errorf("two keys are one, error %v", err)
	}
	if !strings.HasPrefix(public, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") || !strings.HasSuffix(public, " a") {
		t.Errorf("the public key is %q", public)
	}
	for line := range strings.Lines(string(private)) {
		if len(line) > 71 {
			t.Errorf("a line has %d characters", len(line))
		}
	}
	if _, public, err := Generate(""); err != nil || strings.HasSuffix(public, " ") {
		t.Errorf("without a comment it is %q, error %v", public, err)
	}
	if _, _, err := Generate("a\nssh-rsa AAAA"); err == nil {
		t.Error("a comment of two lines is taken")
	}
}

func TestRSA(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("needs ssh-keygen, which makes the key")
	}
	dir := t.TempDir()
	private, public, err := GenerateRSA(t.Context(), dir, 2048, "cutover-pass-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	if got := keygen(t, private, "-y"); !strings.HasPrefix(public, "ssh-rsa AAAA") || !strings.HasPrefix(public, got) {
		t.Errorf("ssh-keygen -y says\n%s, and it was\n%s", got, public)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, error %v", left, err)
	}
	t.Setenv("PATH", dir)
	if _, _, err := GenerateRSA(t.Context(), dir, 2048, "x"); err == nil {
		t.Error("there is a key without ssh-keygen")
	}
}
