// Package skeleton makes directories and files in the home of a user, such as
// ~/mail and ~/public_html, keeps their owners and modes, and takes away again
// what it made and nobody has filled or changed.
//
// A home is its user's ground, with whatever links she has laid there. So
// everything in it is done as that user, by a shell with her rights; root only
// gives directories that were made here back to her. It may import
// internal/batch, internal/host and internal/sh.
package skeleton

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Spec is what a home is to have.
type Spec struct {
	User        string
	Home        string            // "": the home that the account has
	Directories map[string]string // mode in octal, such as "0755", by path
	Files       map[string]File   // by path
	Skel        bool              // what /etc/skel has and the home lacks
}

// File is a file of a Spec. Content is for files that are made: a file that is
// there already keeps its own.
type File struct {
	Content []byte
	Mode    string // octal, such as "0644"
}

// maxContent bounds a file's content in bytes; skeletons hold small files.
const maxContent = 64 << 10

// Created is what was made, by path: "directory", or "sha256:" and the hex
// digest of a file's content when it was made.
type Created map[string]string

const (
	directory = "directory"
	digest    = "sha256:"
)

// Kind is what an entry of a home is.
type Kind string

// The kinds of entries. A symbolic link to a directory of the same home counts
// as Directory.
const (
	Absent    Kind = "absent"
	Directory Kind = "directory"
	Regular   Kind = "file"
	Link      Kind = "link"
	Other     Kind = "other"
)

// Entry is an entry of a home as it is found.
type Entry struct {
	Kind  Kind
	Mode  string // octal with four digits, such as "0755"
	Owner string // name, or number where it has none
}

// Found is a home as it is found.
type Found struct {
	User    bool // the account is there
	Home    string
	HasHome bool
	Entries map[string]Entry // by path; of those that were looked at
}

// Report is what Make did. It is true to what happened also where Make fails.
type Report struct {
	Found
	Created Created  // now, after what was there before
	Left    []string // files that have another content than they were to be made with
}

// CheckPath says why a path cannot be an entry of a home.
func CheckPath(name string) error {
	switch {
	case name == "" || name == ".":
		return errors.New("a path cannot be empty or the home itself")
	case path.IsAbs(name) || strings.HasPrefix(name, "~"):
		return fmt.Errorf("%q is not relative to the home", name)
	case path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../"):
		return fmt.Errorf("%q has an empty step, . or .. in it, or a slash at its end", name)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q begins or ends with a blank, or has a control character", name)
	case strings.HasPrefix(path.Base(name), ".cutover-"):
		return fmt.Errorf("%q is a name for passing files of the provider", name)
	}
	return nil
}

var modes = regexp.MustCompile(`^0?[0-7]{3}$|^[0-7]{4}$`)

// CheckMode says why a text cannot be a mode.
func CheckMode(mode string) error {
	if !modes.MatchString(mode) {
		return fmt.Errorf("%q is not a mode in octal, such as \"0755\"", mode)
	}
	return nil
}

// NormalMode is a mode with four digits: "755" and "0755" are the same.
func NormalMode(mode string) string {
	return strings.Repeat("0", max(0, 4-len(mode))) + mode
}

var users = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)

// Check says what is wrong with a Spec as far as can be told without the host.
func (s Spec) Check() error {
	if !users.MatchString(s.User) {
		return fmt.Errorf("%q is not the name of a user", s.User)
	}
	if err := checkHome(s.Home); err != nil {
		return err
	}
	for name, mode := range s.Directories {
		if err := errors.Join(CheckPath(name), CheckMode(mode)); err != nil {
			return err
		}
	}
	for name, file := range s.Files {
		if err := errors.Join(CheckPath(name), CheckMode(file.Mode)); err != nil {
			return err
		}
		if len(file.Content) > maxContent {
			return fmt.Errorf("the content of %q has %d bytes, and a file of a skeleton has at most %d: larger ones are for rsync", name, len(file.Content), maxContent)
		}
		if _, both := s.Directories[name]; both {
			return fmt.Errorf("%q is both a directory and a file", name)
		}
		for other := range s.paths() {
			if strings.HasPrefix(other, name+"/") {
				return fmt.Errorf("%q is a file, so that %q cannot be in it", name, other)
			}
		}
	}
	return nil
}

// CleanHome is a home in its shortest form: /etc/passwd may have a slash at its end,
// or the /./ that marks what is below the root that a user sees.
func CleanHome(home string) string {
	if home == "" {
		return ""
	}
	return path.Clean(home)
}

func checkHome(home string) error {
	if home == "" {
		return nil
	}
	if !path.IsAbs(home) || path.Clean(home) != home || home == "/" || strings.ContainsAny(home, ":\n\t") || strings.TrimSpace(home) != home {
		return fmt.Errorf("%q is not an absolute path of a home", home)
	}
	return nil
}

// paths returns the paths of all entries.
func (s Spec) paths() map[string]bool {
	paths := map[string]bool{}
	for name := range s.Directories {
		paths[name] = true
	}
	for name := range s.Files {
		paths[name] = true
	}
	return paths
}

// downwards is the order in which entries are made: a directory before what
// is in it. Backwards, it is the order in which they are removed.
func downwards[T any](entries map[string]T) []string {
	return slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		if depth := strings.Count(a, "/") - strings.Count(b, "/"); depth != 0 {
			return depth
		}
		return strings.Compare(a, b)
	})
}
