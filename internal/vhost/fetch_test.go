package vhost

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fetchIn runs the script as a host does, and returns what it says of patterns
// below a directory: "is a.conf", "missing b".
func fetchIn(t *testing.T, shell, dir string, patterns ...string) string {
	t.Helper()
	args := []string{"-c", fetchScript.Text, "sh"}
	for _, pattern := range patterns {
		args = append(args, dir+"/"+pattern)
	}
	out, err := exec.CommandContext(t.Context(), shell, args...).Output() //nolint:gosec // a test's own
	if err != nil || !strings.HasSuffix(string(out), "\nend\n") {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	var said []string
	for line := range strings.Lines(strings.ReplaceAll(string(out), dir+"/", "")) {
		if !strings.HasPrefix(line, "pattern ") && !strings.HasPrefix(line, "| ") && line != "end\n" {
			said = append(said, strings.TrimSuffix(line, "\n"))
		}
	}
	return strings.Join(said, ", ")
}

// tree makes files, and links of "name -> target".
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && isLink {
			err = os.Symlink(target, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte("text of "+name+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFetchedFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files   []string
		pattern string
		want    string
	}{
		"a directory of links": {
			[]string{"available/b", "available/a.conf", "enabled/b -> ../available/b", "enabled/010-a.conf -> ../available/a.conf"},
			"enabled/", "is enabled/010-a.conf, is enabled/b",
		},
		"a directory without a slash at its end":     {[]string{"d/a"}, "d", "is d/a"},
		"a link to a directory":                      {[]string{"d/a", "l -> d"}, "l", "is l/a"},
		"directories in a directory, name by name":   {[]string{"d/a/z", "d/a/.hidden", "d/a.conf", "d/B", "d/b -> a"}, "d/", "is d/B, is d/a/.hidden, is d/a/z, is d/a.conf, is d/b/.hidden, is d/b/z"},
		"a directory that a pattern stands for":      {[]string{"d/a/z", "d/b"}, "d/*", "is d/a/z, is d/b"},
		"a link back to the directory":               {[]string{"d/a", "d/loop -> .", "d/up -> .."}, "d/", "is d/a"},
		"a link to itself and one to nothing":        {[]string{"d/a", "d/gone -> /nowhere/x", "d/self -> self"}, "d/", "is d/a, missing d/gone"},
		"links to nothing under a pattern":           {[]string{"d/a", "d/gone -> /nowhere/x"}, "d/*", "is d/a, missing d/gone"},
		"a set that is negated as in Apache's words": {[]string{"d/a", "d/#a", "d/.a", "d/^a"}, "d/[^.#]*", "is d/^a, is d/a"},
		"a set that is negated as in a shell":        {[]string{"d/a", "d/#a"}, "d/[!.#]*", "is d/a"},
		"two sets":                                   {[]string{"ab", "xb", "ay", "xy"}, "[^a][^b]", "is xy"},
		"a pattern that stands for nothing":          {[]string{"a"}, "b*", ""},
		"a file that is not there":                   {[]string{"a"}, "b", "missing b"},
		"a name with blanks":                         {[]string{"with  blank/a b"}, "with  blank/*", "is with  blank/a b"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, shell := range []string{"dash", "bash"} {
				if got := fetchIn(t, shell, tree(t, c.files...), c.pattern); got != c.want {
					t.Errorf("%s: %s\nwant %s", shell, got, c.want)
				}
			}
		})
	}
}
