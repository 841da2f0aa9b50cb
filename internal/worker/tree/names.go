package tree

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxPath is the length of the longest path below a root, in bytes: that of a
// path that programs can name at all (PATH_MAX in limits.h, less the NUL).
const MaxPath = 4095

// maxName is the length of the longest name in a directory, in bytes (NAME_MAX
// in limits.h).
const maxName = 255

// CheckName returns an error for what is no name in a directory.
func CheckName(name []byte) error {
	switch {
	case len(name) == 0, len(name) > maxName, string(name) == ".", string(name) == "..",
		bytes.IndexByte(name, '/') >= 0, bytes.IndexByte(name, 0) >= 0:
		return fmt.Errorf("%.80q is no name of a file", name)
	}
	return nil
}

// CheckPath returns an error for what is no path below a root: names with
// slashes between, or nothing for the root itself.
func CheckPath(path string) error {
	if path == "" {
		return nil
	}
	if len(path) > MaxPath {
		return fmt.Errorf("a path of %d bytes", len(path))
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := CheckName([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

// Join returns the path of an entry of a directory.
func Join[T ~string | ~[]byte](dir string, name T) string {
	if dir == "" {
		return string(name)
	}
	return dir + "/" + string(name)
}

// Split is the directory and the name of a path that is not the root's.
func Split(path string) (dir, name string) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return "", path
	}
	return path[:at], path[at+1:]
}

// Readable is text as it can be shown, in one line: what is not UTF-8, ends a
// line or moves a terminal's cursor is written with a backslash.
func Readable(text string) string {
	plain := true
	for i := 0; i < len(text) && plain; i++ {
		plain = text[i] >= ' ' && text[i] <= '~'
	}
	if plain || utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
