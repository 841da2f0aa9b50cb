// Package account is the people of a host: local accounts with their groups,
// read all at once, and changed in groups of those who wait at the same time.
//
// It looks at the host's own files, /etc/passwd, /etc/group and /etc/shadow,
// and leaves accounts of LDAP, NIS and the like alone. It may import
// internal/batch, internal/host and internal/sh.
package account

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// User is an account as the host has it.
type User struct {
	Name     string
	UID, GID int
	Group    string         // name of the primary group; its number where the group has no name
	Groups   []string       // names of the supplementary groups, sorted
	GroupIDs map[string]int // their numbers, by name
	Gecos    string
	Home     string
	Shell    string // where the host says none, /bin/sh: login(1) takes that
	Password PasswordState
	// LastChange is the day of the last change of the password, in days since
	// 1 January 1970 (shadow(5)); -1 where the host does not know.
	LastChange int
	Locked     bool // nobody gets in by any means: what Leave with Lock does
}

// PasswordState is what an account's password field allows.
type PasswordState string

// The password states.
const (
	PasswordSet    PasswordState = "set"    // a password lets in
	PasswordLocked PasswordState = "locked" // no password lets in, a key may
	PasswordNone   PasswordState = "none"   // lets in without any password
)

// Spec is what an account is to be. Nil leaves the choice to the host when the
// account is made, and what there is as it is otherwise.
type Spec struct {
	Name   string
	UID    *int
	GID    *int      // number of the primary group, where it has to be made
	Group  *string   // primary group; nil at creation: one of the user's name
	Groups *[]string // all supplementary groups; those that are missing are made
	// GroupIDs are the numbers that groups among Groups have to have. A group
	// that is there already with another one is an error.
	GroupIDs map[string]int
	Gecos    *string
	Home     *string
	Shell    *string

	System     bool // numbers from the host's range for system accounts, at creation
	CreateHome bool // makes a home from /etc/skel where there is none, at creation
	Adopt      bool // takes over an account that is there already

	// Password becomes the account's password where not nil.
	Password *Password
}

// FieldError is an error with the part of a Spec at fault: "name", "uid",
// "gid", "group", "groups", "group_gids", "gecos", "home", "shell" or
// "password".
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// ErrAbsent is the error of a change of an account that the host does not have.
var ErrAbsent = errors.New("there is no such account")

// maxID is the largest number of a user or group; the one after it means
// "none" in chown(2).
const maxID = 1<<32 - 2

// names are those that useradd takes on all hosts since Debian 6; the shadow
// tools of today refuse more than Debian's of then did.
var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)

// maxName is the longest name, in bytes, that the tools take (useradd(8)).
const maxName = 32

// CheckName says why useradd or groupadd would refuse a name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a name cannot be empty")
	case len(name) > maxName:
		return fmt.Errorf("%q has %d characters, and a name has at most %d", name, len(name), maxName)
	case !names.MatchString(name):
		return fmt.Errorf("%q is not a name that useradd takes: letters, digits, and _ . - after a first letter or _", name)
	}
	return nil
}

// CheckID says why a number cannot be that of a user or group.
func CheckID(id int64) error {
	if id < 0 || id > maxID {
		return fmt.Errorf("%d is not a number of a user or group, which go from 0 to %d", id, uint64(maxID))
	}
	return nil
}

// CheckGecos says why a text cannot be an account's comment.
func CheckGecos(gecos string) error {
	if strings.ContainsFunc(gecos, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%q has a colon or a control character, which a line of /etc/passwd cannot hold", gecos)
	}
	return nil
}

// CheckHome says why a path cannot be an account's home. A slash at its end is
// part of it, and so is the /./ by which vsftpd and others mark what is below the
// root that a user sees.
func CheckHome(name string) error {
	if !path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), "..") {
		return fmt.Errorf("%q is not an absolute path, or it has .. in it", name)
	}
	return CheckGecos(name)
}

// CheckShell says why a path cannot be an account's shell.
func CheckShell(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return fmt.Errorf("%q is not an absolute path without . and .. and a slash at its end", name)
	}
	return CheckGecos(name)
}

// Check says what is wrong with a Spec as far as can be told without the host.
// Its error is a *FieldError.
func (s Spec) Check() error {
	if problems := s.problems(); len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// problems is all that is wrong with a Spec; each is a *FieldError.
func (s Spec) problems() []error {
	check := func(field string, err error) error {
		if err == nil {
			return nil
		}
		return &FieldError{field, err}
	}
	problems := []error{check("name", CheckName(s.Name))}
	if s.UID != nil {
		problems = append(problems, check("uid", CheckID(int64(*s.UID))))
	}
	if s.GID != nil {
		problems = append(problems, check("gid", CheckID(int64(*s.GID))))
	}
	if s.Group != nil {
		problems = append(problems, check("group", CheckName(*s.Group)))
	}
	if s.Groups != nil {
		for _, group := range *s.Groups {
			problems = append(problems, check("groups", CheckName(group)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.GroupIDs)) {
		problems = append(problems, check("group_gids", s.checkGroupID(name)))
	}
	if s.Gecos != nil {
		problems = append(problems, check("gecos", CheckGecos(*s.Gecos)))
	}
	if s.Home != nil {
		problems = append(problems, check("home", CheckHome(*s.Home)))
	}
	if s.Shell != nil {
		problems = append(problems, check("shell", CheckShell(*s.Shell)))
	}
	if s.Password != nil {
		problems = append(problems, check("password", s.Password.check()))
	}
	return slices.DeleteFunc(problems, func(problem error) bool { return problem == nil })
}

// checkGroupID says what is wrong with the number of a group.
func (s Spec) checkGroupID(name string) error {
	if s.Groups == nil || !slices.Contains(*s.Groups, name) {
		return fmt.Errorf("there is a number for %q, which is none of the groups; the number of the primary group is gid", name)
	}
	return CheckID(int64(s.GroupIDs[name]))
}
