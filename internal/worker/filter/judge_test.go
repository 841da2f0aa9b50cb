package filter

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What a Filter leaves out is what rsync leaves out, for the lists of the table
// and for lists made by chance.
func TestRsyncLeavesOutTheSame(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("rsync, the judge, is not installed")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the tree has names that other systems than Linux refuse")
	}
	const seed = 7
	made := 80
	if testing.Short() {
		made = 10
	}
	random := rand.New(rand.NewPCG(seed, 0))
	tree := t.TempDir()
	entries := grow(t, tree, random)

	var lists [][]string
	for i, c := range cases {
		if !testing.Short() || i%5 == 0 {
			lists = append(lists, c.patterns)
		}
	}
	for range made {
		lists = append(lists, makeList(random, entries))
	}

	empty := t.TempDir()
	work := make(chan []string)
	var judges sync.WaitGroup
	for range 4 {
		judges.Go(func() {
			for patterns := range work {
				judge(t, tree, empty, entries, patterns)
			}
		})
	}
	for _, patterns := range lists {
		work <- patterns
	}
	close(work)
	judges.Wait()
}

// judge compares what is copied of the tree, by rsync and by the filter.
func judge(t *testing.T, tree, empty string, entries, patterns []string) {
	f, err := Compile(patterns)
	if err != nil {
		t.Errorf("%q: %v", patterns, err)
		return
	}
	var want []string
	below := "" // the directory that was left out last
	for _, entry := range entries {
		if below != "" && strings.HasPrefix(entry, below) {
			continue
		}
		path, isDir := strings.CutSuffix(entry, "/")
		if !f.Excluded([]byte(path), isDir) {
			want = append(want, entry)
		} else if isDir {
			below = entry
		}
	}

	args := []string{"-rln", "--no-inc-recursive", "--out-format=%n"}
	for _, pattern := range patterns {
		args = append(args, "--exclude="+pattern)
	}
	rsync := exec.CommandContext(context.Background(), "rsync", append(args, tree+"/", empty+"/")...)
	rsync.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	var stderr bytes.Buffer
	rsync.Stderr = &stderr
	output, err := rsync.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%q: rsync: %v: %s", patterns, err, stderr.String())
		return
	}
	var got []string
	for line := range strings.Lines(string(output)) {
		if line = unescape(strings.TrimSuffix(line, "\n")); line != "./" {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, entry := range want {
		if _, found := slices.BinarySearch(got, entry); !found {
			t.Errorf("%q: rsync leaves out %q, the filter does not", patterns, entry)
		}
	}
	for _, entry := range got {
		if _, found := slices.BinarySearch(want, entry); !found {
			t.Errorf("%q: the filter leaves out %q, rsync does not", patterns, entry)
		}
	}
}

var escape = regexp.MustCompile(`\\#[0-7]{3}`)

// unescape turns a name back that rsync prints. It escapes a backslash too where
// what follows looks like an escape.
func unescape(name string) string {
	return escape.ReplaceAllStringFunc(name, func(text string) string {
		n, _ := strconv.ParseUint(text[2:], 8, 8)
		return string([]byte{byte(n)})
	})
}

// names are what entries are called, and what patterns are made of.
var names = []string{
	"a", "b", "c", "ab", "ba", "aab", "a.b", ".a", "a ", " b", "-a", "- a", "+ a", "!", "a*", "*a", "**", "a?", "?", "[a]", "[", "a]", `a\b`, `\`,
	`\*`, "A", "1", "é", "aé", "\xff", "a\xffb", "a\nb", `\#012`, "-", ":", "^", "ax", "bx", "ca",
}

// grow makes a tree, and returns its entries as rsync names them: directories end
// in a slash and come before what they hold.
func grow(t *testing.T, tree string, random *rand.Rand) []string {
	t.Helper()
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		here := []string{"a", "b"} // these are everywhere, so that patterns of some names match
		for range 4 - depth {
			here = append(here, names[random.IntN(len(names))])
		}
		if depth == 0 {
			here = names
		}
		for _, name := range here {
			path := dir + "/" + name
			if _, err := os.Lstat(path); err == nil {
				continue
			}
			var err error
			switch kind := random.IntN(10); {
			case kind == 0:
				err = os.Symlink(".", path)
			case kind < 5 && depth < 3:
				if err = os.Mkdir(path, 0o700); err == nil {
					fill(path, depth+1)
				}
			default:
				err = os.WriteFile(path, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(tree, 0)
	// One name of each byte, for the classes.
	for b := 1; b < 256; b++ {
		name := tree + "/" + string([]byte{byte(b)})
		if b == '/' || b == '.' {
			continue
		}
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			file.Close()
		} else if !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}

	var entries []string
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if path != tree && err == nil {
			name := path[len(tree)+1:]
			if entry.IsDir() {
				name += "/"
			}
			entries = append(entries, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func makeList(random *rand.Rand, entries []string) []string {
	list := make([]string, 1+random.IntN(6))
	for i := range list {
		var pattern string
		switch random.IntN(4) {
		case 0:
			pattern = makeClass(random)
		case 1:
			pattern = compose(random)
		default:
			pattern = blur(random, entries[random.IntN(len(entries))])
		}
		switch random.IntN(30) {
		case 0, 1, 2, 3:
			pattern = "+ " + pattern
		case 4:
			pattern = "- " + pattern
		case 5:
			pattern = "!"
		}
		if pattern == "+ " || pattern == "- " {
			pattern = ""
		}
		list[i] = pattern
	}
	return list
}

func pick(random *rand.Rand, from ...string) string { return from[random.IntN(len(from))] }

// pieces are what patterns have that names have not.
var pieces = []string{
	"*", "*", "**", "***", "?", "/", "/", `\`, "[", "]", "!", "^", "-", ":]", "[:", "[ab]", "[!a]", "[^b]", "[a-c]", "[^/]", "[a/]", "[**]",
	"/*/", "/**/", "/***", "**/", "*?", "?*",
}

// compose makes a pattern of pieces and names. Few match.
func compose(random *rand.Rand) string {
	var b strings.Builder
	for range 1 + random.IntN(5) {
		if random.IntN(3) == 0 {
			b.WriteString(pick(random, names...))
		} else {
			b.WriteString(pick(random, pieces...))
		}
	}
	return b.String()
}

// makeClass makes a class that may be none. The tree has a name for each byte.
func makeClass(random *rand.Rand) string {
	text := "[" + pick(random, "", "", "!", "^")
	for range 1 + random.IntN(4) {
		text += pick(random, "a", "c", "x", "]", "-", "-", "-", "[", "!", "^", ":", "?", "é", "\xf0", `\`, `\]`, `\c`, "a-e", "+-/", `\a-\c`, "[:", ":]",
			"[:alpha:]", "[:digit:]", "[:alnum:]", "[:punct:]", "[:space:]", "[:blank:]", "[:cntrl:]", "[:graph:]", "[:print:]", "[:upper:]", "[:lower:]", "[:xdigit:]", "[:word:]", "[::]")
	}
	return text + pick(random, "]", "]", "]", "]*", "")
}

// blur makes a pattern of an entry. Many match.
func blur(random *rand.Rand, entry string) string {
	if random.IntN(4) != 0 {
		entry = strings.TrimSuffix(entry, "/")
	}
	parts := strings.SplitAfter(entry, "/")
	parts = parts[random.IntN(len(parts)):]
	text := pick(random, "", "", "", "", "/", "/", "**/", "/**/", "*/")
	for _, part := range parts {
		switch random.IntN(8) {
		case 0:
			part = "*/"
		case 1:
			part = pick(random, "**", "**/", "*", part+"**/")
		}
		for i := range len(part) {
			switch random.IntN(14) {
			case 0:
				text += "?"
			case 1:
				text += `\` + part[i:i+1]
			case 2:
				text += "[" + part[i:i+1] + "-z]"
			case 3:
				text += pick(random, pieces...)
			default:
				text += part[i : i+1]
			}
		}
	}
	if random.IntN(5) == 0 {
		text += pick(random, "*", "**", "***", "/*", "/**", "/***", "/", "//")
	}
	return text
}
