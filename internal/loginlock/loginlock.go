// Package loginlock keeps named users and groups from logging in by SSH, SFTP
// and FTP, while their mail and web logins go on: sshd is told in a drop-in or
// in a marked block of sshd_config, FTP servers in the lists that they look up.
//
// It never locks out root or the account that the provider itself came with.
// What it wrote it takes away again, and the files are then as they were, byte
// for byte. The package may import internal/host.
package loginlock

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Spec is a lock.
type Spec struct {
	Name   string // tells locks of a host apart; see CheckName
	Users  []string
	Groups []string
	// Message is what SSH clients show to those who try; "" is none.
	Message string
}

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	// accountPattern leaves out what sshd_config reads as patterns or lists.
	accountPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)
)

// maxMessage bounds a message, in bytes; clients show it before every login.
const maxMessage = 4096

// CheckName says why a text cannot be a lock's name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q is not up to 32 lower-case letters, digits and '-' that start with a letter", name)
	}
	return nil
}

// CheckAccount says why a text cannot be the name of a user or group to lock.
func CheckAccount(name string) error {
	switch {
	case !accountPattern.MatchString(name):
		return fmt.Errorf("%q is not the name of a user or group", name)
	case name == "root":
		return errors.New("root is not locked out by this; \"PermitRootLogin no\" in sshd_config is the way, once nothing depends on it")
	case strings.HasPrefix(name, "cutover-"):
		return fmt.Errorf("%q is the account of a forwarding tunnel, which needs to log in", name)
	}
	return nil
}

// CheckMessage says why a text cannot be a message.
func CheckMessage(message string) error {
	switch {
	case strings.TrimSpace(message) == "":
		return errors.New("a message has something to say")
	case len(message) > maxMessage:
		return fmt.Errorf("the message has %d bytes, more than %d", len(message), maxMessage)
	case !utf8.ValidString(message) || strings.ContainsFunc(message, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		return errors.New("the message has a control character other than the end of a line and the tab")
	}
	return nil
}

// Check says what is wrong with s as far as can be told without the host.
func (s Spec) Check() error {
	problems := []error{CheckName(s.Name)}
	if len(s.Users)+len(s.Groups) == 0 {
		problems = append(problems, errors.New("a lock needs a user or a group"))
	}
	for _, account := range slices.Concat(s.Users, s.Groups) {
		problems = append(problems, CheckAccount(account))
	}
	if s.Message != "" {
		problems = append(problems, CheckMessage(s.Message))
	}
	return errors.Join(problems...)
}

// sorted is s with its sets in order and each once, so that equal locks are
// written equally.
func (s Spec) sorted() Spec {
	s.Users = slices.Compact(slices.Sorted(slices.Values(s.Users)))
	s.Groups = slices.Compact(slices.Sorted(slices.Values(s.Groups)))
	return s
}

// messageFile is where sshd finds the message.
func (s Spec) messageFile() string { return "/etc/cutover/login-lock-" + s.Name + ".txt" }

// messageText is the message as its file has it: with one end of line.
func (s Spec) messageText() string {
	if s.Message == "" {
		return ""
	}
	return strings.TrimRight(s.Message, "\n") + "\n"
}

// SameMessage reports whether two messages make the same file.
func SameMessage(a, b string) bool {
	return Spec{Message: a}.messageText() == Spec{Message: b}.messageText()
}

// dropIn is sshd's drop-in. It sorts before others: of what several Match
// blocks say, sshd takes the first (sshd_config(5)).
func (s Spec) dropIn() string {
	return "/etc/ssh/sshd_config.d/00-cutover-login-lock-" + s.Name + ".conf"
}
