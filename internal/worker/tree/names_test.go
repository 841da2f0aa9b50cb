//go:build linux

package tree

import (
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("n", maxName)
	deep := strings.TrimSuffix(strings.Repeat("d/", MaxPath/2+1), "/")
	for path, want := range map[string]bool{
		"": true, "a": true, "a/b": true, "...": true, "a/..b": true, "a\nb/\xff": true, long + "/" + long: true, deep: true,
		".": false, "..": false, "a/..": false, "../a": false, "a/../b": false, "a/./b": false, "/": false, "/a": false, "a/": false,
		"a//b": false, "a\x00": false, long + "n": false, deep + "e": false,
	} {
		if err := CheckPath(path); (err == nil) != want {
			t.Errorf("%.40q: %v", path, err)
		}
	}
	for name, want := range map[string]bool{"a": true, long: true, "": false, ".": false, "..": false, "a/b": false, "\x00": false, long + "n": false} {
		if err := CheckName([]byte(name)); (err == nil) != want {
			t.Errorf("%.40q: %v", name, err)
		}
	}
}

func TestJoinAndSplit(t *testing.T) {
	for _, c := range []struct{ path, dir, name string }{{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/c", "a/b", "c"}} {
		if dir, name := Split(c.path); dir != c.dir || name != c.name || Join(dir, []byte(name)) != c.path {
			t.Errorf("%q is %q and %q", c.path, dir, name)
		}
	}
}
