package loginlock

import (
	"fmt"
	"path"
	"strings"
)

const sshdConfig = "/etc/ssh/sshd_config"

// perLine bounds how many names stand on a line: an sshd of long ago reads
// lines of up to 1023 bytes, and a login name has up to 32.
const perLine = 16

// directives are what sshd is told: who is denied, before any password or key
// is looked at, and what they read first. DenyUsers of several lines add up, so
// that an administrator's own stay in force.
func (s Spec) directives() string {
	s = s.sorted()
	var b strings.Builder
	for _, names := range chunks(s.Users) {
		fmt.Fprintf(&b, "DenyUsers %s\n", strings.Join(names, " "))
	}
	for _, names := range chunks(s.Groups) {
		fmt.Fprintf(&b, "DenyGroups %s\n", strings.Join(names, " "))
	}
	if s.Message == "" {
		return b.String()
	}
	for _, names := range chunks(s.Users) {
		fmt.Fprintf(&b, "Match User %s\n    Banner %s\n", strings.Join(names, ","), s.messageFile())
	}
	for _, names := range chunks(s.Groups) {
		fmt.Fprintf(&b, "Match Group %s\n    Banner %s\n", strings.Join(names, ","), s.messageFile())
	}
	return b.String()
}

func chunks(names []string) [][]string {
	var all [][]string
	for len(names) > perLine {
		all, names = append(all, names[:perLine]), names[perLine:]
	}
	if len(names) > 0 {
		all = append(all, names)
	}
	return all
}

// dropInText is the drop-in's content.
func (s Spec) dropInText() string {
	text := fmt.Sprintf("# Managed by Terraform: cutover_login_lock %q.\n# Changes made here are undone by the next apply; destroying the resource removes this file.\n\n", s.Name) + s.directives()
	if s.Message != "" {
		text += "Match all\n"
	}
	return text
}

// parseDirectives reads back whom a lock denies.
func parseDirectives(lines []string) (users, groups []string) {
	for _, line := range lines {
		keyword, rest := keyword(line)
		switch keyword {
		case "denyusers":
			users = append(users, strings.Fields(rest)...)
		case "denygroups":
			groups = append(groups, strings.Fields(rest)...)
		}
	}
	return users, groups
}

// keyword splits a line of sshd_config into its keyword, in lower case, and
// the rest. Blanks and "=" may stand between (sshd_config(5)).
func keyword(line string) (word, rest string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), ""
	}
	return strings.ToLower(line[:end]), strings.TrimLeft(line[end:], " \t=")
}

// includes reports whether sshd reads a drop-in for all connections: an
// Include that names it stands before the first Match.
func includes(config, dropIn string) bool {
	for _, line := range strings.Split(config, "\n") {
		word, rest := keyword(line)
		switch word {
		case "match":
			return false
		case "include":
			for _, pattern := range strings.Fields(rest) {
				pattern = strings.Trim(pattern, `"`)
				if !path.IsAbs(pattern) {
					pattern = "/etc/ssh/" + pattern
				}
				if matched, err := path.Match(pattern, dropIn); err == nil && matched {
					return true
				}
			}
		}
	}
	return false
}

// withBlock is sshd_config with the lock in it: before the first Match, since
// all that follows one is only for some connections. The block of another lock
// may end with a Match, so it counts as one.
func (s Spec) withBlock(config string) string {
	at := 0
	lines := strings.Split(config, "\n")
	for at = 0; at < len(lines); at++ {
		word, _ := keyword(lines[at])
		if word == "match" || strings.HasPrefix(lines[at], beginMark) {
			break
		}
	}
	return insert(config, s.Name, s.directives(), at)
}
