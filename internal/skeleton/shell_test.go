package skeleton

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// inHome runs the user's part of the script, through a real shell and as
// whoever runs the test, in a home.
func inHome(t *testing.T, home string, requests ...string) answer {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", userText, "as_user", home, me.Username, me.Uid)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(strings.Join(append(requests, "end"), "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	said := errors.As(err, &exit) && exit.ExitCode() == 3
	if (err != nil && !said) || stderr.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	a, err := parseLines(strings.Split(strings.TrimSuffix("home "+home+"\n"+string(out), "\n"), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if said != (a.err != nil) {
		t.Errorf("exit code 3: %v, but it says %v", said, a.err)
	}
	return a
}

func TestShellMakesLooksAndRemoves(t *testing.T) {
	home := t.TempDir()
	spec := Spec{
		User:        "x",
		Directories: map[string]string{"mail": "0700", "www/a b/$(id)": "2755", "-r": "0755"},
		Files:       map[string]File{"www/index.html": {Content: []byte("hello\n"), Mode: "0640"}, "empty": {Mode: "0600"}},
	}
	b := making(spec, nil)
	a := inHome(t, home, append(b.requests, lookAt(downwards(spec.paths()))...)...)
	if a.err != nil {
		t.Fatal(a.err)
	}
	for path, want := range map[string]Entry{
		"mail": {Kind: Directory, Mode: "0700"}, "www/a b/$(id)": {Kind: Directory, Mode: "2755"}, "-r": {Kind: Directory, Mode: "0755"},
		"www/index.html": {Kind: Regular, Mode: "0640"},
	} {
		got := a.Entries[path]
		got.Owner = ""
		if got != want {
			t.Errorf("%s is %+v, want %+v", path, got, want)
		}
	}
	if len(a.made) != 7 || a.made["www"] != directory || a.made["www/index.html"] != digest+sumOfHello {
		t.Errorf("made %v", a.made)
	}
	if content, err := os.ReadFile(filepath.Join(home, "www/index.html")); err != nil || string(content) != "hello\n" {
		t.Errorf("index.html has %q, %v", content, err)
	}

	if again := inHome(t, home, b.requests...); again.err != nil || len(again.made)+len(again.left) != 0 {
		t.Errorf("a second time made %v, left %v, %v", again.made, again.left, again.err)
	}

	// Filled or changed entries stay, the others go.
	if err := os.WriteFile(filepath.Join(home, "mail/new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "empty"), []byte("not any more"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := inHome(t, home, removing(a.made)...)
	if gone.err != nil || len(gone.kept) != 2 {
		t.Errorf("kept %v, %v", gone.kept, gone.err)
	}
	left, _ := filepath.Glob(home + "/*")
	if len(left) != 2 {
		t.Errorf("left over: %v", left)
	}
}

func TestShellCorrectsModesAndKeepsContents(t *testing.T) {
	home := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(home, "mail"), 0o777))
	must(os.WriteFile(filepath.Join(home, "theirs"), []byte("their own"), 0o666))
	must(os.WriteFile(filepath.Join(home, "ours"), []byte("hello\n"), 0o666))
	spec := Spec{
		Directories: map[string]string{"mail": "0700"},
		Files:       map[string]File{"theirs": {Content: []byte("new"), Mode: "0600"}, "ours": {Content: []byte("new"), Mode: "0600"}},
	}
	b := making(spec, Created{"ours": digest + sumOfHello})
	a := inHome(t, home, append(b.requests, lookAt([]string{"mail", "theirs", "ours"})...)...)
	if a.err != nil || strings.Join(a.left, " ") != "theirs" {
		t.Errorf("left %v, %v", a.left, a.err)
	}
	if a.Entries["mail"].Mode != "0700" || a.Entries["theirs"].Mode != "0600" || a.Entries["ours"].Mode != "0600" {
		t.Errorf("found %v", a.Entries)
	}
	for path, want := range map[string]string{"theirs": "their own", "ours": "new"} {
		if content, err := os.ReadFile(filepath.Join(home, path)); err != nil || string(content) != want {
			t.Errorf("%s has %q, %v, want %q", path, content, err, want)
		}
	}
}

func TestShellFollowsNoLinkOutOfTheHome(t *testing.T) {
	home, outside := t.TempDir(), t.TempDir()
	for link, target := range map[string]string{"out": outside, "dangling": outside + "/nowhere", "up": "..", "in": "real", "passwd": "/etc/passwd"} {
		if err := os.Symlink(target, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{
		"directory 777 out", "directory 755 out/x", "file 644 - " + sumOfHello + " aGVsbG8K out/x",
		"directory 755 dangling", "directory 755 dangling/x", "file 644 - " + sumOfHello + " aGVsbG8K dangling",
		"directory 755 up/x", "file 666 - " + sumOfHello + " aGVsbG8K passwd",
	} {
		if a := inHome(t, home, request); a.err == nil || len(a.made) > 0 {
			t.Errorf("%q: made %v, %v", request, a.made, a.err)
		}
	}
	for _, request := range []string{"drop-directory out", "drop-directory in", "drop-file " + sumOfHello + " passwd"} {
		inHome(t, home, request)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside the home there is %v, %v", entries, err)
	}
	if links, _ := os.ReadDir(home); len(links) != 6 {
		t.Errorf("the home has %v", links)
	}
	// A link inside the home is the user's way of arranging it.
	if a := inHome(t, home, "directory 755 in", "directory 700 in/x"); a.err != nil || a.made["in/x"] != directory {
		t.Errorf("made %v, %v", a.made, a.err)
	}
	if a := inHome(t, home, "look out", "look in", "look up", "look dangling/x"); a.Entries["out"].Kind != Link || a.Entries["in"].Kind != Directory || a.Entries["up"].Kind != Link {
		t.Errorf("found %v, %v", a.Entries, a.err)
	}
}
