package loginlock

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed facts.sh
var factsText string

var factsScript = host.Script{Name: "loginlock/facts.sh", Text: factsText}

// facts are what a host says that a lock has to do with.
type facts struct {
	files   map[string]string   // content by path; a file that is not there has no entry
	own     map[string][]string // groups of accounts that must be able to log in
	uids    map[string]string   // of the users, where they exist
	members map[string][]string // of the groups, where they exist
	deny    []string            // lists of users whom FTP servers deny
	allow   []string            // lists of the only users whom FTP servers let in
	open    []string            // "SERVER FILE": FTP servers that look up no list
}

// look asks the host.
func (s Spec) look(ctx context.Context, h host.Host) (facts, error) {
	f := facts{files: map[string]string{}, own: map[string][]string{}, uids: map[string]string{}, members: map[string][]string{}}
	identity, err := h.Identity(ctx)
	if err != nil {
		return f, err
	}
	cmd := host.Sh(factsScript, identity.User, sshdConfig, s.dropIn(), s.messageFile())
	var input strings.Builder
	for _, user := range s.Users {
		input.WriteString("user " + user + "\n")
	}
	for _, group := range s.Groups {
		input.WriteString("group " + group + "\n")
	}
	cmd.Stdin = strings.NewReader(input.String())
	result, err := h.Run(ctx, cmd)
	if err != nil {
		return f, err
	}
	lines := strings.Split(strings.TrimSuffix(string(result.Stdout), "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return f, fmt.Errorf("on host %q: %s broke off", h.Name(), factsScript.Name)
	}
	for _, line := range lines[:len(lines)-1] {
		if err := f.take(line); err != nil {
			return f, fmt.Errorf("on host %q: %s: %w", h.Name(), factsScript.Name, err)
		}
	}
	return f, nil
}

func (f *facts) take(line string) error {
	words := strings.Fields(line)
	if len(words) < 2 {
		return fmt.Errorf("unexpected line %q", line)
	}
	subject, rest := words[1], words[2:]
	switch words[0] {
	case "file":
		content, err := base64.StdEncoding.DecodeString(strings.Join(rest, ""))
		if err != nil {
			return fmt.Errorf("the content of %s: %w", subject, err)
		}
		f.files[subject] = string(content)
	case "own":
		f.own[subject] = rest
	case "user":
		f.uids[subject] = strings.Join(rest, "")
	case "group":
		f.members[subject] = slices.Compact(slices.Sorted(slices.Values(rest)))
	case "deny":
		if !slices.Contains(f.deny, subject) {
			f.deny = append(f.deny, subject)
		}
	case "allow":
		f.allow = append(f.allow, subject)
	case "open":
		f.open = append(f.open, subject+" "+strings.Join(rest, " "))
	case "none", "no-user", "no-group":
	default:
		return fmt.Errorf("unexpected line %q", line)
	}
	return nil
}

// ErrLockedOut is the error of a lock that would lock out root, the login of
// the provider, or that of a tunnel.
type ErrLockedOut struct {
	Group bool // a group is at fault, not a user
	text  string
}

func (e *ErrLockedOut) Error() string { return e.text }

func (s Spec) locksOut(hostName string, f facts) error {
	for _, user := range s.Users {
		if _, own := f.own[user]; own {
			return &ErrLockedOut{false, fmt.Sprintf("host %q: the provider itself logs in as %s; locking it out would end this and every later apply", hostName, user)}
		}
		if f.uids[user] == "0" {
			return &ErrLockedOut{false, fmt.Sprintf("host %q: %s is root under another name (uid 0)", hostName, user)}
		}
	}
	for _, group := range s.Groups {
		for _, account := range slices.Sorted(maps.Keys(f.own)) {
			if slices.Contains(f.own[account], group) {
				return &ErrLockedOut{true, fmt.Sprintf("host %q: %s is in the group %s, and must be able to log in; lock the users instead, or another group", hostName, account, group)}
			}
		}
	}
	return nil
}

// refusal says why this lock is not made on this host.
func (s Spec) refusal(hostName string, f facts) error {
	if err := s.locksOut(hostName, f); err != nil {
		return err
	}
	for _, user := range s.Users {
		if _, there := f.uids[user]; !there {
			return fmt.Errorf("host %q has no user %s, so there is nobody to lock out", hostName, user)
		}
	}
	for _, group := range s.Groups {
		if _, there := f.members[group]; !there {
			return fmt.Errorf("host %q has no group %s, so there is nobody to lock out", hostName, group)
		}
	}
	if len(f.open) > 0 {
		server, file, _ := strings.Cut(f.open[0], " ")
		return fmt.Errorf("host %q: %s looks up no list of users to deny, so FTP would stay open (see %s). %s", hostName, server, file, remedy[server])
	}
	return nil
}

// remedy is what makes an FTP server look up a list.
var remedy = map[string]string{
	"vsftpd":    "Set userlist_enable=YES there, or name a list in its PAM service with pam_listfile (item=user sense=deny file=/etc/ftpusers)",
	"proftpd":   "Take \"UseFtpUsers off\" away there",
	"pure-ftpd": "Name a list there with pam_listfile (item=user sense=deny file=/etc/ftpusers)",
}

// people are all users of the lock, members of its groups included: FTP
// servers know no groups.
func (s Spec) people(f facts) []string {
	all := slices.Clone(s.Users)
	for _, group := range s.Groups {
		all = append(all, f.members[group]...)
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}
