package sh_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

// every is each byte that an argument can hold, and what has broken login
// shells before: a history mark, both quotes, newlines, escapes at the end.
func every() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		b.WriteByte(byte(c))
	}
	return b.String() + "!! !x 'a' \"b\" `id` $(id) %s %b \\n \\\\ \\0101\n\n\\"
}

func TestProgramReachesTheScriptUnchanged(t *testing.T) {
	t.Parallel()
	want := every()
	line := sh.Program("printf %s "+sh.Quote(want)+"x", "LC_ALL=C")
	if strings.Contains(line, "\n") {
		t.Fatalf("a newline is left in %q", line)
	}
	login := shells(t)
	// csh, tcsh and fish are the login shells that quoting alone breaks on.
	for _, name := range []string{"tcsh", "csh", "fish", "zsh", "mksh", "busybox"} {
		if path, err := exec.LookPath(name); err == nil {
			login = append(login, path)
		}
	}
	for _, shell := range login {
		argv := []string{"-c", line}
		if strings.HasSuffix(shell, "busybox") {
			argv = append([]string{"sh"}, argv...)
		}
		out, err := exec.Command(shell, argv...).Output()
		if err != nil {
			t.Errorf("%s: %v", shell, err)
			continue
		}
		if string(out) != want+"x" {
			t.Errorf("%s gave %q\nwant %q", shell, out, want+"x")
		}
	}
}

func FuzzProgram(f *testing.F) {
	f.Add("a;reboot")
	f.Add("\x81\x88 ü\n\n")
	f.Fuzz(func(t *testing.T, word string) {
		if !sh.Valid(word) {
			t.Skip("a NUL byte cannot be part of an argument")
		}
		out, err := exec.Command("/bin/sh", "-c", sh.Program("printf %s "+sh.Quote(word)+"x")).Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != word+"x" {
			t.Fatalf("%q came back as %q", word, out)
		}
	})
}
