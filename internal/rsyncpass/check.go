package rsyncpass

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// check says all that stands in the way of the pass at once, and what the user
// should know of although it does not. Nothing has been changed yet.
func (p Pass) check(from, to host.Host, s survey) (warnings []string, err error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if s.old.rsync.version == "" {
		problem("host %q has no rsync; install it there: %s", from.Name(), installHint(s.old.os, "rsync"))
	}
	if s.new.rsync.version == "" {
		problem("host %q has no rsync; install it there: %s", to.Name(), installHint(s.new.os, "rsync"))
	}
	if s.new.ssh == "" {
		problem("host %q has no ssh or no ssh-keygen; install the client there: %s", to.Name(), installHint(s.new.os, "ssh"))
	}
	if s.old.login.user == "" {
		problem("%s", noLogin(from.Name(), s))
	}
	problems = append(problems, p.checkPaths(from, to, s)...)

	if len(problems) > 0 {
		return warnings, errors.Join(problems...)
	}
	if missing := s.unkept(); missing != "" {
		warnings = append(warnings, fmt.Sprintf("%s are not copied: rsync %s on host %q and %s on host %q do not both know them",
			missing, s.old.rsync.version, from.Name(), s.new.rsync.version, to.Name()))
	}
	return append(warnings, s.holes(from.Name(), to.Name())...), nil
}

func (p Pass) checkPaths(from, to host.Host, s survey) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	var sources, targets []string
	for i, each := range p.Paths {
		switch there := s.old.paths[i]; there.kind {
		case "directory":
			sources = append(sources, there.real)
		case "missing":
			problem("host %q has no directory %s", from.Name(), each.Source)
		default:
			problem("%s on host %q is not a directory", each.Source, from.Name())
		}
		switch here := s.new.paths[i]; here.kind {
		case "directory":
			targets = append(targets, here.real)
		case "other":
			problem("%s on host %q is there already, and is not a directory", each.target(), to.Name())
		}
	}
	if one, other, overlap := overlapping(sources); overlap {
		problem("on host %q two of the paths lead to the same place, %s and %s: what is in both would be copied twice", from.Name(), one, other)
	}
	if one, other, overlap := overlapping(targets); overlap {
		problem("on host %q two of the targets lead to the same place, %s and %s", to.Name(), one, other)
	}
	for _, list := range [][]string{sources, targets} {
		for _, real := range list {
			if real == "/" {
				problem("one of the paths is a symbolic link to /, which would copy the old system over the new one")
			}
		}
	}
	return problems
}

// unkept names what rsync cannot copy between these two, "" for nothing.
func (s survey) unkept() string {
	var missing []string
	if !s.acls() {
		missing = append(missing, "ACLs")
	}
	if !s.xattrs() {
		missing = append(missing, "extended attributes")
	}
	return strings.Join(missing, " and ")
}

// rsync before protocol 30 (3.0.0) sends neither.
func (s survey) acls() bool {
	return s.old.rsync.acls && s.new.rsync.acls && min(s.old.rsync.protocol, s.new.rsync.protocol) >= 30
}

func (s survey) xattrs() bool {
	return s.old.rsync.xattrs && s.new.rsync.xattrs && min(s.old.rsync.protocol, s.new.rsync.protocol) >= 30
}

func size(kib int64) string {
	switch {
	case kib >= 10<<20:
		return fmt.Sprintf("%.1f GiB", float64(kib)/(1<<20))
	case kib >= 10<<10:
		return fmt.Sprintf("%.1f MiB", float64(kib)/(1<<10))
	}
	return fmt.Sprintf("%d KiB", kib)
}

func noLogin(name string, s survey) string {
	permit := s.old.rootKeys
	return fmt.Sprintf("the new host cannot read host %q as root: %s asks the login %q for a password, which a key of a pass has none for, "+
		"and sshd does not let root in (PermitRootLogin is %s). Either let %s run this one command without a password, "+
		"by a line in /etc/sudoers.d such as\n  %s ALL=(root) NOPASSWD: ALL\n"+
		"or set \"PermitRootLogin forced-commands-only\" in its sshd_config, which lets root in for such keys alone",
		name, s.from.Become, s.from.User, permit, s.from.User, s.from.User)
}

// installHint is the command that installs rsync or the SSH client, by the ID
// and ID_LIKE of os-release(5).
func installHint(os, what string) string {
	client := map[string]string{"apt": "openssh-client", "dnf": "openssh-clients", "zypper": "openssh-clients", "apk": "openssh-client openssh-keygen", "pacman": "openssh"}
	commands := []struct{ id, tool, command string }{
		{"debian", "apt", "apt-get install "}, {"ubuntu", "apt", "apt-get install "},
		{"rhel", "dnf", "dnf install "}, {"fedora", "dnf", "dnf install "}, {"centos", "dnf", "yum install "},
		{"suse", "zypper", "zypper install "}, {"alpine", "apk", "apk add "}, {"arch", "pacman", "pacman -S "},
	}
	for _, each := range commands {
		for _, id := range strings.Fields(os) {
			if id != each.id {
				continue
			}
			if what == "ssh" {
				return each.command + client[each.tool]
			}
			return each.command + what
		}
	}
	if what == "ssh" {
		what = "OpenSSH client"
	}
	return "with its package manager, the package of the " + what
}
