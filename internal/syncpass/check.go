package syncpass

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// check says all that stands in the way of the pass at once. Nothing has been changed
// yet.
func (p Pass) check(from, to host.Host, s survey) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, program := range s.new.Missing {
		problem("host %q has no %s; install the SSH client there: %s", to.Name(), program, installHint(s.new.OS))
	}
	if s.old.Login == nil {
		problem("%s", noLogin(from.Name(), to.Name(), s))
	}
	return errors.Join(append(problems, p.checkPaths(from, to, s)...)...)
}

func (p Pass) checkPaths(from, to host.Host, s survey) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	var sources, targets []string
	for i, each := range p.Paths {
		switch there := s.old.Paths[i]; there.Kind {
		case order.KindDirectory:
			sources = append(sources, there.Real)
		case order.KindMissing:
			problem("host %q has no directory %s", from.Name(), each.Source)
		default:
			problem("%s on host %q is not a directory", each.Source, from.Name())
		}
		switch here := s.new.Paths[i]; here.Kind {
		case order.KindDirectory:
			targets = append(targets, here.Real)
		case order.KindOther:
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

func noLogin(name, reader string, s survey) string {
	permit := s.old.PermitRootLogin
	return fmt.Sprintf("host %q cannot read host %q as root: %s asks the login %q for a password, which a key of a pass has none for, "+
		"and sshd does not let root in (PermitRootLogin is %s). Either let %s run this one command without a password, "+
		"by a line in /etc/sudoers.d such as\n  %s ALL=(root) NOPASSWD: ALL\n"+
		"or set \"PermitRootLogin forced-commands-only\" in its sshd_config, which lets root in for such keys alone",
		reader, name, s.from.Become, s.from.User, permit, s.from.User, s.from.User)
}

// installHint is the command that installs the SSH client, by the ID and ID_LIKE of
// os-release(5).
func installHint(os string) string {
	commands := []struct{ id, command string }{
		{"debian", "apt-get install openssh-client"}, {"ubuntu", "apt-get install openssh-client"},
		{"rhel", "dnf install openssh-clients"}, {"fedora", "dnf install openssh-clients"}, {"centos", "yum install openssh-clients"},
		{"suse", "zypper install openssh-clients"}, {"alpine", "apk add openssh-client"}, {"arch", "pacman -S openssh"},
	}
	for _, each := range commands {
		for _, id := range strings.Fields(os) {
			if id == each.id {
				return each.command
			}
		}
	}
	return "with its package manager, the package of the OpenSSH client"
}
