package account

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Password is an account's password hash. It keeps itself out of logs and
// errors: no way of printing it shows the hash.
type Password struct {
	// hidden is behind a pointer, for fmt follows none inside a struct, and
	// calls no method of what is in an unexported field.
	hidden *string
	// lastChange is the day of its last change, in days since 1 January 1970;
	// -1: unknown. today lets the host set the day.
	lastChange int
	today      bool
}

var (
	_ fmt.Stringer   = Password{}
	_ fmt.GoStringer = Password{}
	_ fmt.Formatter  = Password{}
)

func hide(hash string, lastChange int) Password {
	return Password{hidden: &hash, lastChange: lastChange}
}

// hash is the hash itself, for an account's line on a host's stdin.
func (p Password) hash() string {
	if p.hidden == nil {
		return ""
	}
	return *p.hidden
}

// String hides the hash.
func (p Password) String() string { return "(password hash)" }

// GoString hides the hash.
func (p Password) GoString() string { return p.String() }

// Format hides the hash, also from %+v and %x.
func (p Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// hashes are the forms of crypt(5): $id$…, the 13 characters of DES, the
// extended DES with its underscore; each may be behind the ! of a lock.
var hashes = regexp.MustCompile(`^!*(\$[0-9A-Za-z]+\$[!-9;-\[\]-~]+|[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}|\*)$`)

// NewPassword is the password with a hash as crypt(3) makes it, changed today.
// The error does not show what was given: it may be the password itself.
func NewPassword(hash string) (*Password, error) {
	if !hashes.MatchString(hash) {
		return nil, errors.New("this is not a hash as crypt(3) makes it, such as $6$salt$…; `openssl passwd -6` and `mkpasswd` make one")
	}
	return &Password{hidden: &hash, today: true}, nil
}

func (p Password) check() error {
	if p.hash() == "" {
		return errors.New("an empty password hash would let everybody in")
	}
	if strings.ContainsFunc(p.hash(), func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == '\\' }) {
		return errors.New("the password hash has characters that crypt(3) does not use")
	}
	return nil
}

// Newer reports whether p, the password on the host that it is copied from,
// must be copied over copied, which an earlier copy put on another host: they
// differ, and the copy was not changed on a later day than p. A password that
// a user has changed on the new host since is hers.
func (p Password) Newer(copied Password) bool {
	return p.hash() != copied.hash() && p.lastChange >= copied.lastChange
}

// Same reports whether two hosts have the same hash. Two hashes of one password are not
// the same where their salts differ.
func (p Password) Same(other Password) bool { return p.hash() == other.hash() }

// parsePasswords reads /etc/shadow (shadow(5)).
func parsePasswords(shadow []byte) map[string]Password {
	passwords := map[string]Password{}
	for line := range strings.Lines(string(shadow)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(fields) < 3 {
			continue
		}
		passwords[fields[0]] = hide(fields[1], number(fields[2], -1))
	}
	return passwords
}

// number reads a number of an account file, where an empty field means none.
func number(field string, none int) int {
	n, err := strconv.Atoi(field)
	if err != nil {
		return none
	}
	return n
}
