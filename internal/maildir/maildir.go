// Package maildir tells Dovecot where mail is, in the syntax of the version
// that is installed, and makes the Maildirs of users.
//
// The setting is one drop-in in /etc/dovecot/conf.d, which counts only when
// Dovecot itself has read it without complaint. A Maildir is its user's ground,
// so everything in it is done with that user's rights. No mail is ever removed.
// The package may import internal/host and internal/sh.
package maildir

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Spec is what is wanted on a host.
type Spec struct {
	Name    string   // tells drop-ins apart; see CheckName
	Path    string   // "~/" and the Maildir's path in each home
	Layout  Layout   // where a Maildir has its folders
	Mode    string   // of the Maildirs' directories, in octal: "0700"
	Users   []string // whose Maildirs are made
	Folders []string // beside the inbox, such as "Archive/2009"
	Spool   Spool
	// SpoolDirectory holds the mbox spools, one file a user, such as /var/mail.
	SpoolDirectory string
}

// Layout is where a Maildir has its folders.
type Layout string

// LayoutMaildirPP has the folder Archive/2009 in ".Archive.2009" of the
// Maildir, LayoutFS in "Archive/2009". The inbox is the Maildir itself in both.
const (
	LayoutMaildirPP Layout = "maildir++"
	LayoutFS        Layout = "fs"
)

// Layouts are all that there are.
var Layouts = []string{string(LayoutMaildirPP), string(LayoutFS)}

// separator is what Dovecot has between the parts of a folder's name where its
// configuration does not say.
func (l Layout) separator() string {
	if l == LayoutFS {
		return "/"
	}
	return "."
}

// Spool is what becomes of the mbox spools.
type Spool string

// NoSpool leaves them alone. With SpoolInbox they are the inbox, and the
// folders are in the Maildir; with SpoolNamespace the inbox is the Maildir, and
// the spool is a folder, "spool.mail".
const (
	NoSpool        Spool = ""
	SpoolInbox     Spool = "inbox"
	SpoolNamespace Spool = "namespace"
)

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	// pathPattern leaves out what Dovecot gives a meaning to: colons, percent
	// signs, blanks.
	pathPattern = regexp.MustCompile(`^(~/)?[A-Za-z0-9._/+-]+$`)
	userPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	modePattern = regexp.MustCompile(`^[0-7]?7[0-7]{2}$`)
)

// CheckName says why a text cannot be a drop-in's name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q is not up to 32 lower-case letters, digits and '-' that start with a letter", name)
	}
	return nil
}

// CheckPath says why a text cannot be the place of Maildirs.
func CheckPath(location string) error {
	rest, inHome := strings.CutPrefix(location, "~/")
	if !inHome || !pathPattern.MatchString(location) || path.Clean(rest) != rest || path.IsAbs(rest) || rest == "." || rest == ".." || strings.HasPrefix(rest, "../") {
		return fmt.Errorf("%q is not a path in a home, such as ~/Maildir: \"~/\", and then letters, digits, '.', '_', '+', '-' and '/', without an empty step or \"..\"", location)
	}
	return nil
}

// CheckSpoolDirectory says why a text cannot be the directory of the spools.
func CheckSpoolDirectory(directory string) error {
	if !path.IsAbs(directory) || path.Clean(directory) != directory || directory == "/" || !pathPattern.MatchString(directory) {
		return fmt.Errorf("%q is not the absolute path of a directory", directory)
	}
	return nil
}

// CheckMode says why a text cannot be the mode of a Maildir.
func CheckMode(mode string) error {
	if !modePattern.MatchString(mode) {
		return fmt.Errorf("%q is not an octal mode with all rights for the user, such as \"0700\"", mode)
	}
	return nil
}

// CheckUser says why a text cannot be a user's name.
func CheckUser(user string) error {
	if !userPattern.MatchString(user) {
		return fmt.Errorf("%q is not the name of a user", user)
	}
	if user == "root" {
		return errors.New("root has no mail of its own to read: send it to a person in /etc/aliases")
	}
	return nil
}

// CheckFolder says why a text cannot be a folder's name.
func CheckFolder(folder string) error {
	for _, part := range strings.Split(folder, "/") {
		switch {
		case part == "" || strings.TrimSpace(part) != part:
			return fmt.Errorf("the folder %q has an empty part, or one that begins or ends with a blank", folder)
		case strings.ContainsAny(part, ".~*%") || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
			return fmt.Errorf("the folder %q has one of the characters . ~ * %% or a control character; a folder in a folder is written with a slash", folder)
		}
	}
	if first, _, _ := strings.Cut(folder, "/"); strings.EqualFold(first, "INBOX") {
		return fmt.Errorf("the folder %q: the inbox is there without being named", folder)
	}
	return nil
}

// CheckFolder says why a folder cannot be in that layout.
func (l Layout) CheckFolder(folder string) error {
	for _, part := range strings.Split(folder, "/") {
		if l == LayoutFS && (part == "cur" || part == "new" || part == "tmp") {
			return fmt.Errorf("the folder %q: with the layout fs no folder can be called %s, because each Maildir has a directory of that name", folder, part)
		}
	}
	return nil
}

// Check says what is wrong with s as far as can be told without the host.
func (s Spec) Check() error {
	problems := []error{CheckName(s.Name), CheckPath(s.Path), CheckMode(s.Mode)}
	if !slices.Contains(Layouts, string(s.Layout)) {
		problems = append(problems, fmt.Errorf("%q is not a layout: it is one of %s", s.Layout, strings.Join(Layouts, ", ")))
	}
	for _, user := range s.Users {
		problems = append(problems, CheckUser(user))
	}
	for _, folder := range s.Folders {
		problems = append(problems, CheckFolder(folder), s.Layout.CheckFolder(folder))
	}
	if s.Spool != NoSpool {
		problems = append(problems, CheckSpoolDirectory(s.SpoolDirectory))
	}
	return errors.Join(problems...)
}

// DropIn is the file that tells Dovecot.
func (s Spec) DropIn() string { return "/etc/dovecot/conf.d/99-cutover-" + s.Name + ".conf" }

// sorted is s with its sets in order, so that equal ones are written equally.
func (s Spec) sorted() Spec {
	s.Users, s.Folders = slices.Sorted(slices.Values(s.Users)), slices.Sorted(slices.Values(s.Folders))
	return s
}

// folder is a folder's directory in the Maildir, and its line in subscriptions:
// modified UTF-7 (RFC 3501, section 5.1.3).
func (l Layout) folder(folder string) (directory, line string) {
	name := modifiedUTF7(folder)
	if l == LayoutFS {
		return name, name
	}
	name = strings.ReplaceAll(name, "/", ".")
	return "." + name, name
}

func modifiedUTF7(text string) string {
	var b strings.Builder
	var wide []uint16
	flush := func() {
		if len(wide) == 0 {
			return
		}
		octets := make([]byte, 0, 2*len(wide))
		for _, unit := range wide {
			octets = append(octets, byte(unit>>8), byte(unit))
		}
		b.WriteString("&" + modifiedBase64.EncodeToString(octets) + "-")
		wide = nil
	}
	for _, r := range text {
		if r >= ' ' && r < 0x7f {
			flush()
			if r == '&' {
				b.WriteString("&-")
			} else {
				b.WriteRune(r)
			}
			continue
		}
		wide = utf16.AppendRune(wide, r)
	}
	flush()
	return b.String()
}

// modifiedBase64 has a comma where others have a slash.
var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)
