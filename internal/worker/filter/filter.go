// Package filter says which entries of a tree are left out, and reads patterns as
// rsync reads those of --exclude. The rules are those of rsync(1), "PATTERN
// MATCHING RULES", and where the manual is silent those of rsync itself, which
// the tests ask. Rules of merge files and of --filter are not known here.
//
// One entry more or less is data lost or data leaked, so nothing is approximated.
// The question is asked for every entry of a tree: a Filter is compiled once, and
// an answer allocates nothing and takes a time that is bounded by the length of
// the path times that of the patterns.
//
// Imports nothing of this project.
package filter

import (
	"bytes"
	"fmt"
	"strings"
)

// maxPattern is the longest pattern that rsync takes, in bytes and without its
// prefix. It drops a longer one with a message and copies what it would have left
// out.
const maxPattern = 4095

// Filter is a list of compiled patterns. The zero Filter leaves nothing out. It
// does not change, so many goroutines may ask it.
type Filter struct {
	rules []rule
}

// Compile reads the patterns in order: the first that matches an entry decides,
// and an entry that none matches is not left out. As with --exclude,
//
//   - "- " in front of a pattern changes nothing,
//   - "+ " in front makes it an include: what it matches stays,
//   - "!" alone forgets all patterns before it,
//   - an empty pattern says nothing.
//
// A pattern that cannot match, such as one with a class that does not end, is no
// error, since it is none to rsync. Errors are a prefix without a pattern, which
// rsync refuses; a NUL byte, which no argument can hold; and a pattern that is too
// long for rsync, which would go on without it.
func Compile(patterns []string) (*Filter, error) {
	f := &Filter{}
	for _, pattern := range patterns {
		switch {
		case pattern == "":
		case pattern == "!":
			f.rules = nil
		case pattern == "- ", pattern == "+ ":
			return nil, fmt.Errorf("exclude pattern %q: nothing follows the prefix", pattern)
		case strings.IndexByte(pattern, 0) >= 0:
			return nil, fmt.Errorf("exclude pattern %q: it has a NUL byte", pattern)
		default:
			text, include := strings.CutPrefix(pattern, "+ ")
			if !include {
				text = strings.TrimPrefix(pattern, "- ")
			}
			if len(text) > maxPattern {
				return nil, fmt.Errorf("exclude pattern %.40q...: it has %d bytes, and rsync takes %d", pattern, len(text), maxPattern)
			}
			for _, r := range compile(text) {
				r.include = include
				f.rules = append(f.rules, r)
			}
		}
	}
	return f, nil
}

// Excluded says whether the entry at path is left out. path is relative to the
// root of the transfer, which for "DIR/" is DIR itself, with slashes between its
// names and none at either end. A name may have any bytes. What is below a
// directory that is left out is left out too, but Excluded does not look upwards:
// do not ask for it.
func (f *Filter) Excluded(path []byte, isDir bool) bool {
	if len(f.rules) == 0 || len(path) == 0 {
		return false // The root of the transfer has no name that a pattern matches.
	}
	name := path[bytes.LastIndexByte(path, '/')+1:]
	for i := range f.rules {
		r := &f.rules[i]
		if r.dirs && !isDir {
			continue
		}
		if r.matches(path, name) {
			return !r.include
		}
	}
	return false
}

// scope is the part of a path that a pattern has to match.
type scope uint8

const (
	// whole is the path from the root of the transfer.
	whole scope = iota
	// last is so many names at the end of the path.
	last
	// anywhere is the path from the start of any of its names.
	anywhere
)

// rule is one pattern, or one half of a pattern that ends in "/***".
type rule struct {
	include bool
	// dirs says that only directories match.
	dirs  bool
	scope scope
	// names is how many names the scope last has.
	names int
	// wild says that the pattern is a program and not a plain text.
	wild  bool
	plain string
	// tail is the text that everything which program matches ends in. Most entries
	// are told apart by it alone.
	tail    string
	program []token
}

// matches has name, the last one of path, beside path so that it is looked for
// once and not for every rule.
func (r *rule) matches(path, name []byte) bool {
	text := path
	if r.scope == last {
		if r.names == 1 {
			text = name
		} else if text = lastNames(path, r.names); text == nil {
			return false
		}
	}
	if !r.wild {
		return string(text) == r.plain
	}
	if len(text) < len(r.tail) || string(text[len(text)-len(r.tail):]) != r.tail {
		return false
	}
	return match(r.program, text, r.scope == anywhere)
}

// lastNames is the last n names of path, or nil where it has fewer.
func lastNames(path []byte, n int) []byte {
	i := len(path)
	for ; n > 0; n-- {
		if i < 0 {
			return nil
		}
		i = bytes.LastIndexByte(path[:i], '/')
	}
	return path[i+1:]
}
