package filter

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// cases are lists of patterns with some of the paths that they leave out and that
// they do not. A path that ends in a slash is a directory's. The judge has rsync
// confirm the lists on its tree as well.
var cases = []struct {
	patterns []string
	out, in  []string
}{
	{patterns: nil, in: []string{"a", "a/"}},
	{patterns: []string{""}, in: []string{"a", "a/"}},

	// Where a plain pattern matches.
	{[]string{"a"}, []string{"a", "a/", "b/a", "b/c/a/"}, []string{"b", "ab", "ba", "a/b"}},
	{[]string{"/a"}, []string{"a", "a/"}, []string{"b/a", "ab", "a/b"}},
	{[]string{"a/b"}, []string{"a/b", "c/a/b", "c/d/a/b/"}, []string{"b", "ca/b", "a/c/b", "a/b/c"}},
	{[]string{"/a/b"}, []string{"a/b", "a/b/"}, []string{"c/a/b", "b", "a"}},
	{[]string{"a/"}, []string{"a/", "b/a/"}, []string{"a", "b/a"}},
	{[]string{"/a/"}, []string{"a/"}, []string{"a", "b/a/"}},
	{[]string{"a/b/"}, []string{"c/a/b/"}, []string{"c/a/b"}},
	{[]string{"."}, nil, []string{"a", "a/", ".a"}},
	{[]string{"./a"}, nil, []string{"a", "b/a"}},

	// Slashes too many match nothing.
	{[]string{"/", "//", "///", "a//", "/a//", "//a", "a//b", "*//"}, nil, []string{"a", "a/", "a/b", "a/b/"}},

	// Wildcards.
	{[]string{"*"}, []string{"a", "a/", "a/b", ".a"}, nil},
	{[]string{"*/"}, []string{"a/", "b/a/"}, []string{"a", "b/a"}},
	{[]string{"/*"}, []string{"a", "a/"}, []string{"a/b"}},
	{[]string{"*/*"}, []string{"a/b", "a/b/c"}, []string{"a", "a/"}},
	{[]string{"/*/*"}, []string{"a/b"}, []string{"a", "a/b/c"}},
	{[]string{"*.tmp"}, []string{"x.tmp", ".tmp", "a/x.tmp", "x.tmp.tmp"}, []string{"x.tmp2", "tmp", "x.tmp/a"}},
	{[]string{"a*"}, []string{"a", "ab", "c/ab"}, []string{"ba", "a/c"}},
	{[]string{"a?b"}, []string{"acb", "a\xffb"}, []string{"ab", "a/b", "aéb"}},
	{[]string{"a??b"}, []string{"aéb"}, []string{"acb"}},
	{[]string{"a/*/b"}, []string{"a/c/b", "d/a/c/b"}, []string{"a/b", "a/c/d/b"}},
	{[]string{"*a*b*c"}, []string{"abc", "xaybzc", "aabbcc"}, []string{"acb", "abcd", "a/bc"}},

	// "**" and "***".
	{[]string{"**"}, []string{"a", "a/", "a/b"}, nil},
	{[]string{"***"}, []string{"a", "a/", "a/b"}, nil},
	{[]string{"/**"}, []string{"a", "a/", "a/b"}, nil},
	{[]string{"**/a"}, []string{"a", "b/a", "b/c/a/"}, []string{"ba", "b"}},
	{[]string{"/**/a"}, []string{"b/a", "b/c/a"}, []string{"a"}},
	{[]string{"**a"}, []string{"a", "ba", "b/ba"}, []string{"ab"}},
	{[]string{"a/**"}, []string{"a/b", "a/b/c", "c/a/b"}, []string{"a", "a/", "ca/b"}},
	{[]string{"/a/**"}, []string{"a/b", "a/b/c/"}, []string{"a/", "c/a/b"}},
	{[]string{"a/***"}, []string{"a/", "a/b", "c/a/", "c/a/b/c"}, []string{"a", "c/a", "ca/"}},
	{[]string{"/a/***"}, []string{"a/", "a/b"}, []string{"a", "c/a/"}},
	{[]string{"a/***/"}, []string{"a/", "a/b/"}, []string{"a", "a/b"}},
	{[]string{"a/b/***"}, []string{"a/b/", "c/a/b/"}, []string{"a/b", "a/", "b/"}},
	{[]string{"a***"}, []string{"a", "ab/", "ab/c", "b/a"}, []string{"ba", "b/"}},
	{[]string{"**/a/***"}, []string{"a/", "b/a/", "b/a/c"}, []string{"a", "b/"}},
	{[]string{"a**b"}, []string{"ab", "axb", "a/b", "c/a/d/b"}, []string{"ca/b", "a/bc"}},
	{[]string{"/a/**/b"}, []string{"a/c/b", "a/c/d/b"}, []string{"a/b", "c/a/c/b"}},
	{[]string{"a/**/b/**/c"}, []string{"a/x/b/y/c", "x/a/x/b/b/y/c"}, []string{"a/b/c", "a/x/b/c"}},
	{[]string{"**/**/a"}, []string{"b/a", "b/c/a"}, []string{"a"}},

	// Classes.
	{[]string{"[ab]"}, []string{"a", "b", "c/a"}, []string{"c", "ab", "[ab]"}},
	{[]string{"[a-c]x"}, []string{"ax", "cx"}, []string{"dx", "-x", "x"}},
	{[]string{"[!a-c]x"}, []string{"dx", "\xffx"}, []string{"ax", "x", "d/x"}},
	{[]string{"[^a]"}, []string{"b", "^"}, []string{"a"}},
	{[]string{"[a^]"}, []string{"a", "^"}, []string{"b"}},
	{[]string{"[]a]"}, []string{"]", "a"}, []string{"b"}},
	{[]string{"[!]a]"}, []string{"b"}, []string{"]", "a"}},
	{[]string{"[a-]"}, []string{"a", "-"}, []string{"b"}},
	{[]string{"[c-a]"}, []string{"c"}, []string{"a", "b", "-"}},
	{[]string{"[a-c-e]"}, []string{"b", "-", "e"}, []string{"d"}},
	{[]string{`[\]]`}, []string{"]"}, []string{`\`, `\]`}},
	{[]string{`[\a-\c]`}, []string{"b"}, []string{`\`}},
	{[]string{"[[:alpha:]]"}, []string{"a", "Z"}, []string{"1", "\xe9", ":"}},
	{[]string{"[[:digit:][:upper:]_]"}, []string{"1", "A", "_"}, []string{"a"}},
	{[]string{"[![:space:]]"}, []string{"a", "\xff"}, []string{" ", "\n"}},
	{[]string{"[[:digit:]-z]"}, []string{"1", "-", "z"}, []string{"a"}},
	{[]string{"[[:]"}, []string{"[", ":"}, []string{"a"}},
	{[]string{"[[:a]"}, []string{"[", ":", "a"}, []string{"b"}},
	{[]string{"[[:]]"}, []string{"[]", ":]"}, []string{"["}},
	{[]string{"[\x80-\xff]"}, []string{"\x80", "\xc3", "\xff"}, []string{"a", "é"}},
	{[]string{"[é]"}, []string{"\xc3", "\xa9"}, []string{"é"}},
	{[]string{"[/]a", "b[/]a", "a[!x]b", "a[--0]b"}, []string{"a.b", "ayb"}, []string{"a", "b/a", "a/b"}},
	// Patterns that never match.
	{[]string{"[a", "[", "[]", "[!]", "[[:alpha:]", "[[:alpha", "[[:none:]]", "[[::]]", "[[:a:]", `[a\`, `[a-\`, `*\`}, nil,
		[]string{"a", "[a", "[", "[]", `a\`, `\`, ":"}},
	// A slash counts as one inside a class too, and makes it two names.
	{[]string{"[^/]a"}, nil, []string{"ba", "c/ba"}},
	{[]string{"/[^/]a"}, []string{"ba"}, []string{"c/ba"}},
	{[]string{"[^/]**"}, []string{"a", "b/a"}, nil},

	// A backslash escapes only beside a wildcard.
	{[]string{`a\b`}, []string{`a\b`}, []string{"ab"}},
	{[]string{`a\b*`}, []string{"ab", "abc"}, []string{`a\b`}},
	{[]string{`a\\b*`}, []string{`a\b`}, []string{"ab"}},
	{[]string{`a\*`}, []string{"a*"}, []string{"ab", `a\*`}},
	{[]string{`a\[b]`}, []string{"a[b]"}, []string{"ab"}},
	{[]string{`\**`}, []string{"*", "*a", "b/*a"}, []string{"a", "*a/b"}},
	{[]string{`*\/`}, nil, []string{"a/", `a\/`}},
	{[]string{`a\`}, []string{`a\`}, []string{"a"}},
	{[]string{`a\/***`}, []string{"a/", "a/b"}, []string{"a"}},

	// Prefixes, order and names that look like them.
	{[]string{"+ a", "*"}, []string{"b"}, []string{"a", "b/a"}},
	{[]string{"+ */", "+ *.c", "*"}, []string{"a.h"}, []string{"a/", "a.c"}},
	{[]string{"*", "+ a"}, []string{"a"}, nil},
	{[]string{"- a"}, []string{"a"}, []string{"- a"}},
	{[]string{"- - a"}, []string{"- a"}, []string{"a"}},
	{[]string{"- + a"}, []string{"+ a"}, []string{"a"}},
	{[]string{"+ - a", "*"}, []string{"a"}, []string{"- a"}},
	{[]string{"a", "!", "b"}, []string{"b"}, []string{"a"}},
	{[]string{"a", "! ", "!b"}, []string{"a", "! ", "!b"}, []string{"b"}},
	{[]string{"- !"}, []string{"!"}, []string{"a"}},
	{[]string{"-", "+", "-a", "+a"}, []string{"-", "+", "-a", "+a"}, []string{"a"}},
	{[]string{"a ", " b", "#c"}, []string{"a ", " b", "#c"}, []string{"a", "b", "c"}},
	{[]string{"\xff*", "é"}, []string{"\xff", "\xffa", "é"}, []string{"\xfe", "\xc3"}},
}

func TestCases(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		f := compiled(t, c.patterns)
		check := func(paths []string, want bool) {
			for _, path := range paths {
				name, dir := strings.CutSuffix(path, "/")
				if got := f.Excluded([]byte(name), dir); got != want {
					t.Errorf("%q: Excluded(%q) is %t", c.patterns, path, got)
				}
			}
		}
		check(c.out, true)
		check(c.in, false)
		check([]string{""}, false)
	}
}

func TestErrorsNameThePattern(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"- ":                                  `exclude pattern "- ": nothing`,
		"+ ":                                  `exclude pattern "+ ": nothing`,
		"a\x00":                               `exclude pattern "a\x00": it has a NUL`,
		strings.Repeat("a", maxPattern) + "/": `exclude pattern "aaaaa`,
		"+ " + strings.Repeat("a", 5000):      `it has 5000 bytes`,
	} {
		if _, err := Compile([]string{"a", pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, not %q", pattern, err, want)
		}
	}
	compiled(t, []string{"- " + strings.Repeat("a", maxPattern)})
}

// match goes back to few places only. It has to find what a search of all finds.
func TestMatchAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string, n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(from[random.IntN(len(from))])
		}
		return b.String()
	}
	matched := 0
	for range 100_000 {
		pattern := pick([]string{"a", "a", "b", "?", "/", "*", "*", "**", "[ab]"}, 9)
		text := pick([]string{"a", "a", "b", "/"}, 13)
		program, _ := tokens(pattern)
		for _, anywhere := range []bool{false, true} {
			want := defined(program, text)
			for i := range text {
				want = want || anywhere && text[i] == '/' && defined(program, text[i+1:])
			}
			if got := match(program, []byte(text), anywhere); got != want {
				t.Fatalf("%q against %q, anywhere %t, is %t", pattern, text, anywhere, got)
			}
			if want {
				matched++
			}
		}
	}
	if matched < 5000 {
		t.Errorf("%d matches only", matched)
	}
}

// defined says by the definition of each token whether program matches text.
func defined(program []token, text string) bool {
	if len(program) == 0 {
		return text == ""
	}
	first := program[0]
	if first.kind != some && first.kind != all {
		return text != "" && first.takes(text[0]) && defined(program[1:], text[1:])
	}
	return defined(program[1:], text) ||
		text != "" && (first.kind == all || text[0] != '/') && defined(program, text[1:])
}

// No pattern makes an entry take long: a server's users choose its names.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("a", 255)
	path := []byte(strings.Repeat(name+"/", 15) + name)
	var patterns []string
	for _, piece := range []string{"*a", "**a", "*a**", "**a*", "*?", "**/*a", "a**", "*" + strings.Repeat("a", 100)} {
		patterns = append(patterns, "**"+strings.Repeat(piece, 20)+"b*", strings.Repeat(piece, 20)+"b", strings.Repeat(piece, 20)+"/b**")
	}
	f := compiled(t, patterns)
	begin := time.Now()
	if f.Excluded(path, false) {
		t.Error("a path without a b is left out")
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzExcluded(f *testing.F) {
	f.Add("*a*a*a*a*b\n**/a/***", "aaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true)
	f.Add("[!]a-\\c[:alpha:]-]\n+ \\", "b", false)
	f.Fuzz(func(t *testing.T, patterns, path string, isDir bool) {
		filter, err := Compile(strings.Split(patterns, "\n"))
		if err != nil {
			return
		}
		before := []byte(path)
		got := filter.Excluded([]byte(path), isDir)
		if got != filter.Excluded(before, isDir) || string(before) != path {
			t.Error("asked twice, it says two things or changes the path")
		}
	})
}

func BenchmarkExcluded(b *testing.B) {
	paths := [][]byte{
		[]byte("home/user/mail/.Archive/cur/1700000000.M123P456.host,S=4321:2,S"),
		[]byte("home/user/www/wp-content/uploads/2024/05/picture-1024x768.jpg"),
	}
	for _, pattern := range []string{"lost+found", "/home/user/tmp/", "*.tmp", "cache/**/[0-9a-f]*", "**/node_modules/***"} {
		b.Run(strings.ReplaceAll(pattern, "/", "|"), func(b *testing.B) {
			f := compiled(b, []string{pattern})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.Excluded(paths[i&1], true)
			}
		})
	}
}

func TestNothingIsAllocated(t *testing.T) {
	f := compiled(t, []string{"a", "/b/c", "*.tmp", "c/**/[0-9]*", "**/d/***", "+ e?"})
	for _, path := range [][]byte{[]byte("b/c"), []byte("c/d/e/9x"), bytes.Repeat([]byte("x/"), 500)[:999]} {
		if n := testing.AllocsPerRun(100, func() { f.Excluded(path, true) }); n != 0 {
			t.Errorf("%q: %v allocations", path, n)
		}
	}
}

func compiled(t testing.TB, patterns []string) *Filter {
	t.Helper()
	f, err := Compile(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
