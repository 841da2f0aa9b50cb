package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSudo makes a server whose sudo is a script. The real one is tried in the
// lab; this one misbehaves as those of the lab never do.
func fakeSudo(t *testing.T, text string, become Become) Host {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey()), Shell: []string{
		"/bin/sh", "-c", `exec /bin/sh -c "$(printf %s "$0" | sed "s#exec sudo #exec ` + program + ` #")"`,
	}}).start(t)
	cfg := s.reach(plain)
	cfg.User, cfg.Become = "admin", become
	_, h := one(t, cfg)
	return h
}

const asksOnce = `
[ "$3" != -n ] || { echo "sudo: a password is required" >&2; exit 1; }
echo "We trust you have received the usual lecture." >&2
printf %s "$5" >&2
IFS= read -r password
[ "$password" = secret ] || { echo "Sorry, try again." >&2; printf %s "$5" >&2; IFS= read -r password || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }; }
while [ "$1" != -- ]; do shift; done; shift; exec "$@"`

func TestSudoPassword(t *testing.T) {
	t.Parallel()
	h := fakeSudo(t, asksOnce, Become{Method: "sudo", Password: "secret"})
	for range 3 {
		result, err := h.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: strings.NewReader("input\nof two lines")})
		if err != nil || string(result.Stdout) != "input\nof two lines" || len(result.Stderr) != 0 {
			t.Errorf("%q, %q, %v", result.Stdout, result.Stderr, err)
		}
	}
	h = fakeSudo(t, asksOnce, Become{Method: "sudo", Password: "wrong-guess"})
	_, err := h.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: strings.NewReader("secret\n")})
	if err == nil || !strings.Contains(err.Error(), "become.password") || strings.Contains(err.Error(), "wrong-guess") || strings.Contains(err.Error(), "cutover-password") {
		t.Errorf("got %v", err)
	}
	h = fakeSudo(t, asksOnce, Become{Method: "sudo"})
	if _, err := h.Run(t.Context(), Exec("true")); err == nil || !strings.Contains(err.Error(), "asks user") {
		t.Errorf("got %v", err)
	}
}

// A text that looks like a question draws the password out of us; it must not
// become the command's input.
func TestPasswordNeverBecomesInput(t *testing.T) {
	t.Parallel()
	h := fakeSudo(t, `
[ "$3" != -n ] || { echo "sudo: a password is required" >&2; exit 1; }
printf 'Please note:' >&2; sleep 0.2; printf '\nstill:' >&2; sleep 0.2
while [ "$1" != -- ]; do shift; done; shift; exec "$@"`, Become{Method: "sudo", Password: "secret"})
	result, err := h.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: strings.NewReader("input")})
	if err != nil || string(result.Stdout) != "input" {
		t.Errorf("%q, %v", result.Stdout, err)
	}
}

func TestNoSilentDowngrade(t *testing.T) {
	t.Parallel()
	h := fakeSudo(t, `echo "admin is not in the sudoers file." >&2; exit 1`, Become{Method: "sudo", Password: "secret"})
	_, err := h.Run(t.Context(), Exec("true"))
	if _, ok := ExitCode(err); err == nil || ok || !strings.Contains(err.Error(), "add a rule") {
		t.Errorf("got %v", err)
	}
	if _, err := h.ReadFile(t.Context(), "/etc/passwd"); err == nil {
		t.Error("a file was read without root's rights")
	}
}
