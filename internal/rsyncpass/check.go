package rsyncpass

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// check says all that stands in the way of the pass at once, and what the user
// should know of although it does not. Nothing has been changed yet.
func (p Pass) check(ctx context.Context, from, to host.Host, s survey) (warnings []string, err error) {
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
	return warnings, p.checkSpace(ctx, from, to, s)
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

// checkSpace compares what the paths need on each file system of the new host
// with what is free there. The file systems' own figures settle it nearly
// always; only where they do not are the trees measured.
func (p Pass) checkSpace(ctx context.Context, from, to host.Host, s survey) error {
	if !p.tight(s) {
		return nil
	}
	there, here, err := p.measure(ctx, from, to)
	if err != nil {
		return err
	}
	type sum struct{ kib, inodes int64 }
	need, free := map[string]sum{}, map[string]sum{}
	for i := range p.Paths {
		target := s.new.paths[i]
		more := need[target.mount]
		more.kib += max(0, there[i][0]-here[i][0])
		more.inodes += max(0, there[i][1]-here[i][1])
		need[target.mount] = more
		free[target.mount] = sum{target.kib, target.inodes}
	}
	var problems []error
	for mount, more := range need {
		if has := free[mount].kib; has >= 0 && more.kib > has {
			problems = append(problems, fmt.Errorf("the file system %s of host %q is too small: the pass brings %s, and %s are free; %s are missing",
				mount, to.Name(), size(more.kib), size(has), size(more.kib-has)))
		}
		if has := free[mount].inodes; has >= 0 && more.inodes > has {
			problems = append(problems, fmt.Errorf("the file system %s of host %q has too few inodes: the pass brings %d files, and there is room for %d",
				mount, to.Name(), more.inodes, has))
		}
	}
	sort.Slice(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
	return errors.Join(problems...)
}

// tight reports whether any file system of the new host has less free than the
// file systems that the paths come from have in use.
func (p Pass) tight(s survey) bool {
	kib, inodes := map[string]int64{}, map[string]int64{}
	counted := map[[2]string]bool{}
	for i := range p.Paths {
		source, target := s.old.paths[i], s.new.paths[i]
		if pair := [2]string{source.mount, target.mount}; !counted[pair] {
			counted[pair] = true
			kib[target.mount] += source.kib
			inodes[target.mount] += source.inodes
		}
	}
	for i := range p.Paths {
		target := s.new.paths[i]
		if target.kib >= 0 && kib[target.mount] > target.kib || target.inodes >= 0 && inodes[target.mount] > target.inodes {
			return true
		}
	}
	return false
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
