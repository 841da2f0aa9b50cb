package managedfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// hooks are a server that refuses files with the word bad in them, does not
// take over those with stale, and is killed over those with kill.
const hooks = `
try() {
	with=$1
	"$with" sh -c 'if grep -rl bad "$1"; then echo "in $(grep -rl bad "$1")" >&2; exit 3; fi' sh "$tree"
}
activate() {
	if grep -rq kill "$tree"; then kill -9 $$; fi
	if grep -rq stale "$tree"; then say "silent 80"; say "log line" | quoted; return 1; fi
	say "active"
}
revive() { echo revived >>"$tree/../revived"; }
undo() { :; }
`

// server is a configuration on this machine, changed by the real script.
type server struct {
	t         *testing.T
	dir, tree string
	script    host.Script
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "etc")
	if err := os.MkdirAll(filepath.Join(tree, "sites"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, tree: tree, script: Script("test", hooks)}
	// The journal is the test's own.
	s.script.Text = strings.ReplaceAll(s.script.Text, "/var/lib/cutover", filepath.Join(dir, "state"))
	s.write("sites/old", "old\n", 0o640)
	if err := os.Symlink("old", s.path("sites/link")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.tree, name) }

func (s *server) write(name, text string, mode fs.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

// apply is Apply on this machine; killed is whether the script was.
func (s *server) apply(changes ...Change) (said []string, killed bool, err error) {
	s.t.Helper()
	input, err := lines(changes)
	if err != nil {
		return nil, false, err
	}
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", s.script.Text, "test", s.tree)
	cmd.Stdin = strings.NewReader(string(input))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 {
		return nil, true, nil
	}
	if err != nil || stderr.Len() > 0 {
		s.t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	said, err = judge("here", "test", string(out))
	return said, false, err
}

// contents are all files, links and directories with their modes and texts.
func (s *server) contents() string {
	s.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, s.dir)
		switch {
		case name == "/revived":
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			b.WriteString(name + " -> " + target + "\n")
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b.WriteString(name + " " + info.Mode().String() + " " + info.ModTime().String() + " " + string(text) + "\n")
		default:
			b.WriteString(name + " " + info.Mode().String() + "\n")
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

func (s *server) all(text string) []Change {
	changes := []Change{
		Put(s.path("sites/new"), []byte(text), 0o644).IfNew(), Put(s.path("sites/old"), []byte("changed\n"), 0o644),
		Link(s.path("sites/on"), "new"), Remove(s.path("sites/link")),
	}
	if os.Geteuid() == 0 { // nobody else may make directories for others
		changes = append(changes, Directory(s.dir+"/root/deep", "", 0o755))
	}
	return changes
}

func TestChangesAreMade(t *testing.T) {
	s := newServer(t)
	// The copy comes first, so that it has what was there before.
	changes := append([]Change{Copy(s.path("sites/old"), s.dir+"/state/replaced/old")}, s.all("a line\n\nbackslash \\n and a tab\t.\n")...)
	said, _, err := s.apply(changes...)
	if err != nil || len(said) != 1 || said[0] != "active" {
		t.Fatalf("said %q, %v", said, err)
	}
	for name, want := range map[string]string{
		"etc/sites/new": "a line\n\nbackslash \\n and a tab\t.\n", "etc/sites/on": "a line\n\nbackslash \\n and a tab\t.\n",
		"etc/sites/old": "changed\n", "state/replaced/old": "old\n",
	} {
		if got, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if _, err := os.Lstat(s.path("sites/link")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the removed link: %v", err)
	}
	if info, err := os.Stat(s.dir + "/root/deep"); os.Geteuid() == 0 && (err != nil || !info.IsDir()) {
		t.Errorf("the directory: %v", err)
	}
	if left, _ := filepath.Glob(s.dir + "/state/change*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestNothingChangesWhereTheServerObjects(t *testing.T) {
	for text, check := range map[string]func(error) bool{
		"bad\n": func(err error) bool {
			var rejected *Rejected
			return errors.As(err, &rejected) && rejected.Code == 3 && strings.Contains(rejected.Said, "/etc/sites/new")
		},
		"stale\n": func(err error) bool {
			var inactive *Inactive
			return errors.As(err, &inactive) && len(inactive.Said) == 1 && inactive.Said[0] == "silent 80" && inactive.Text == "log line"
		},
	} {
		for _, mounts := range []bool{true, false} {
			s := newServer(t)
			if !mounts { // as in a container that may not mount
				s.script.Text = strings.ReplaceAll(s.script.Text, "unshare -m", "false")
			}
			before := s.contents()
			if _, _, err := s.apply(s.all(text)...); err == nil || !check(err) {
				t.Errorf("%q (mounts: %v): %v", text, mounts, err)
			}
			if after := s.contents(); after != before {
				t.Errorf("%q (mounts: %v): there was\n%s\nand there is\n%s", text, mounts, before, after)
			}
		}
	}
}

func TestKilledRunIsUndoneByTheNext(t *testing.T) {
	s := newServer(t)
	before := s.contents()
	if _, killed, err := s.apply(s.all("kill\n")...); !killed {
		t.Fatalf("the run was not killed: %v", err)
	}
	if s.contents() == before {
		t.Fatal("the killed run had changed nothing yet")
	}
	// The next one is refused; so what is left is the state before the first,
	// and the server learns of it.
	if _, _, err := s.apply(Put(s.path("sites/other"), []byte("bad\n"), 0o644)); err == nil {
		t.Error("bad content was no error")
	}
	if after := s.contents(); after != before {
		t.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	if _, err := os.Stat(s.dir + "/revived"); err != nil {
		t.Errorf("the server was not told of what was put back: %v", err)
	}
}

// Whoever began the change may be gone before it ends, and the connection with
// them: nobody reads what the script prints.
func TestChangeEndsWellWithNobodyListening(t *testing.T) {
	s := newServer(t)
	input, err := lines([]Change{Put(s.path("sites/new"), []byte("new\n"), 0o644)})
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", s.script.Text, "test", s.tree)
	cmd.Stdin, cmd.Stdout = strings.NewReader(string(input)), writer
	if err := errors.Join(cmd.Start(), writer.Close(), reader.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
	if after := s.contents(); !strings.Contains(after, "/sites/new ") || strings.Contains(after, "/state") {
		t.Errorf("the change did not come to its end:\n%s", after)
	}
}

func TestWhatIsThereIsNotOverwritten(t *testing.T) {
	s := newServer(t)
	before := s.contents()
	for _, name := range []string{"sites/old", "sites/link", "sites"} {
		_, _, err := s.apply(Put(s.path("sites/fine"), nil, 0o644), Put(s.path(name), []byte("x\n"), 0o644).IfNew())
		var taken *Taken
		if !errors.As(err, &taken) || taken.Path != s.path(name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := s.contents(); after != before {
		t.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
}

func TestDirectoryWhereEverybodyMayWriteIsRefused(t *testing.T) {
	s := newServer(t)
	if err := os.Mkdir(s.dir+"/open", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.dir+"/open", 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.apply(Directory(s.dir+"/open/root", "", 0o755))
	var refused *Refused
	if !errors.As(err, &refused) || !strings.Contains(refused.Said, "everybody may write") {
		t.Errorf("%v", err)
	}
}

func TestInputThatCannotBeALine(t *testing.T) {
	fake := hosttest.New(t)
	for _, change := range []Change{
		Put("/a\tb", nil, 0o644), Put("/a\nb", nil, 0o644), Put("relative", nil, 0o644), Put("/a", []byte("no end"), 0o644), Link("/a", "b\nc"),
	} {
		if _, err := Apply(t.Context(), fake, Script("x", hooks), "/etc", nil, []Change{change}); err == nil {
			t.Errorf("%+v was no error", change)
		}
	}
	if _, err := Apply(t.Context(), fake, Script("x", hooks), "/etc", nil, []Change{Remove("/a"), Remove("/a")}); err == nil {
		t.Error("two changes of a path were no error")
	}
}

func TestBrokenOffOutputIsAnError(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("x /etc").Prints("done\n")
	if _, err := Apply(t.Context(), fake, Script("x", hooks), "/etc", nil, []Change{Remove("/a")}); err == nil {
		t.Error("an output without its end was no error")
	}
}
