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

// denials are whom sshd refuses, before any password or key is looked at.
// DenyUsers of several lines add up, so that an administrator's own stay in
// force.
func (s Spec) denials() string {
	s = s.sorted()
	var b strings.Builder
	for _, names := range chunks(s.Users) {
		fmt.Fprintf(&b, "DenyUsers %s\n", strings.Join(names, " "))
	}
	for _, names := range chunks(s.Groups) {
		fmt.Fprintf(&b, "DenyGroups %s\n", strings.Join(names, " "))
	}
	return b.String()
}

// banners are what they read before they are refused.
func (s Spec) banners() string {
	if s.Message == "" {
		return ""
	}
	s = s.sorted()
	var b strings.Builder
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
	text := fmt.Sprintf("# Managed by Terraform: cutover_login_lock %q.\n# Changes made here are undone by the next apply; destroying the resource removes this file.\n\n", s.Name) + s.denials()
	if s.Message != "" {
		text += s.banners() + "Match all\n"
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

// bannerBlock is the name of a lock's second block in sshd_config. What is for
// all connections must stand before any Match, that of another lock's message
// included; so the two are apart.
func (s Spec) bannerBlock() string { return s.Name + " message" }

// withoutBlocks is sshd_config without the lock.
func (s Spec) withoutBlocks(config string) (string, error) {
	// The later one first: the earlier may know of a missing end of line.
	config, _, err := cut(config, s.bannerBlock())
	if err != nil {
		return config, err
	}
	config, _, err = cut(config, s.Name)
	return config, err
}

// withBlocks is sshd_config with the lock in it, before the first Match. A
// block that is there already stays where it is, if that is a right place.
func (s Spec) withBlocks(config string) (string, error) {
	without, err := s.withoutBlocks(config)
	if err != nil {
		return config, err
	}
	lines := strings.SplitAfter(config, "\n")
	if begin, _, _, _ := locate(lines, s.Name); begin < 0 || begin > firstMatch(config) {
		config = insert(without, s.Name, s.denials(), firstMatch(without))
	} else {
		config = replace(config, s.Name, s.denials())
	}
	if s.Message == "" {
		config, _, err = cut(config, s.bannerBlock())
		return config, err
	}
	if begin, _, _, _ := locate(strings.SplitAfter(config, "\n"), s.bannerBlock()); begin < 0 {
		return insert(config, s.bannerBlock(), s.banners(), firstMatch(config)), nil
	}
	return replace(config, s.bannerBlock(), s.banners()), nil
}

// firstMatch is the number of the line before which all is for every
// connection: the first Match, or the mark of the block that begins with it.
func firstMatch(config string) int {
	lines := strings.Split(config, "\n")
	for i, line := range lines {
		if word, _ := keyword(line); word != "match" {
			continue
		}
		if i > 0 && strings.HasPrefix(lines[i-1], beginMark) {
			return i - 1
		}
		return i
	}
	return len(lines)
}
