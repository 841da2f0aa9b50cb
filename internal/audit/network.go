package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/machine"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

// reach is from where a port can be reached: by IPv4, by IPv6, or from the host alone.
type reach struct {
	v4, v6, here bool
	process      string
}

func (r reach) String() string {
	var by []string
	if r.v4 {
		by = append(by, "IPv4")
	}
	if r.v6 {
		by = append(by, "IPv6")
	}
	if len(by) == 0 {
		by = append(by, "this host only")
	}
	return strings.TrimSpace(r.process + " (" + list(by) + ")")
}

// reaches are all ports that somebody listens on.
func reaches(listeners []machine.Listener) map[int]reach {
	all := map[int]reach{}
	for _, l := range listeners {
		at, err := netip.ParseAddr(l.Address)
		if err != nil {
			continue
		}
		r := all[l.Port]
		switch {
		case at.IsLoopback():
			r.here = true
		case at.Is4():
			r.v4 = true
		default:
			r.v6 = true
		}
		if r.process == "" {
			r.process = l.Process
		}
		all[l.Port] = r
	}
	return all
}

func (c *comparison) ports() {
	was, is := reaches(c.old.machine.Listeners), reaches(c.new.machine.Listeners)
	for port := range 65536 {
		before, listened := was[port]
		if !listened || !before.v4 && !before.v6 {
			continue
		}
		c.compared(1)
		after, listens := is[port]
		subject := fmt.Sprintf("%d/tcp", port)
		switch {
		case !listens:
			c.find(Error, subject, before.String(), "", "Nothing listens on port %d of the new host.", port).
				mend("Start the service that does the work of %s there.", orUnknown(before.process))
		case !after.v4 && !after.v6:
			c.find(Error, subject, before.String(), after.String(), "Port %d of the new host answers to that host alone.", port).
				mend("Let %s listen on all addresses (inet_interfaces of Postfix, listen of Dovecot, Listen of Apache).", orUnknown(after.process))
		case before.v4 && !after.v4:
			// An IPv6 socket mostly takes IPv4 too: what counts is whether it answers.
			if !after.v6 {
				c.find(Error, subject, before.String(), after.String(), "Port %d of the new host does not answer to IPv4.", port).
					mend("Let %s listen on 0.0.0.0 too.", orUnknown(after.process))
			}
		case before.v6 && !after.v6:
			c.find(Warning, subject, before.String(), after.String(), "Port %d of the new host does not answer to IPv6.", port).
				mend("Let %s listen on :: too, if the names have AAAA records.", orUnknown(after.process))
		}
	}
}

func orUnknown(process string) string {
	if process == "" {
		return "the old service"
	}
	return process
}

// ofTheSystem are services that belong to a way of booting, and not to what a host does.
var ofTheSystem = []string{
	"bootlogs", "bootmisc.sh", "console-setup", "console-setup.sh", "dbus", "getty", "halt", "hwclock.sh", "keyboard-setup", "keyboard-setup.sh", "killprocs", "kmod", "motd", "networking",
	"procps", "rc.local", "reboot", "rmnologin", "sendsigs", "single", "stop-bootlogd", "sudo", "udev", "umountfs", "umountnfs.sh", "umountroot", "urandom", "x11-common", "e2scrub_reap", "remote-fs",
	"haveged", "ifupdown", "local", "netmount", "rsyslog", "syslog", "syslog-ng", "inetutils-syslogd", "apparmor", "plymouth", "acpid",
}

// enabled are the services that a host starts at boot.
func (f *facts) enabled() []string {
	var names []string
	for _, name := range f.own.boot {
		// Of a systemd host these links count where there is no unit beside them.
		state, unit := f.own.units[name+".service"]
		if f.own.units == nil || !unit || state == "generated" {
			names = append(names, name)
		}
	}
	for unit, state := range f.own.units {
		if name, ending, _ := cutLast(unit, "."); state == "enabled" && ending != "path" {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(ofTheSystem, name) || strings.HasPrefix(name, "systemd-") || strings.HasPrefix(name, "getty@")
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

func (c *comparison) services() {
	enabled := c.new.enabled()
	for _, name := range c.old.enabled() {
		c.compared(1)
		if slices.Contains(enabled, name) {
			continue
		}
		state := ""
		for _, ending := range []string{".service", ".socket", ".timer"} {
			if found, there := c.new.own.units[name+ending]; there && state != "static" {
				state = found
			}
		}
		switch state {
		case "static", "alias", "indirect", "enabled-runtime", "linked":
			continue
		case "":
			c.find(Notice, name, "enabled", "", "%s is started at boot on the old host, and is not on the new one.", name).
				mend("Install it, unless another service does its work.")
		default:
			c.find(Warning, name, "enabled", state, "%s is started at boot on the old host, and not on the new one.", name).
				mend("Set enabled of its cutover_service.")
		}
	}
}

// mailService is a service of mail, with the certificate that each host shows there.
type mailService struct {
	protocol string
	port     int
	certs    [2]*certificate // nil where it shows none
}

// mailPorts are the services of mail and FTP that show a certificate.
var mailPorts = []struct {
	protocol string
	port     int
	startTLS bool
}{{"smtp", 25, true}, {"smtps", 465, false}, {"submission", 587, true}, {"pop3", 110, true}, {"pop3s", 995, false}, {"imap", 143, true}, {"imaps", 993, false}, {"ftp", 21, true}}

// askMail asks both hosts for the certificates of their services of mail.
func askMail(ctx context.Context, before, after *facts) []mailService {
	all := make([]mailService, len(mailPorts))
	for n, each := range mailPorts {
		all[n].protocol, all[n].port = each.protocol, each.port
	}
	_ = both(func(i int) error {
		f := []*facts{before, after}[i]
		var asked sync.WaitGroup
		for n, each := range mailPorts {
			address, listens := local(f.machine.Listeners, each.port)
			if !listens {
				continue
			}
			asked.Go(func() {
				said, _ := f.ask(ctx, address, each.port, probe.Request{Protocol: each.protocol, StartTLS: each.startTLS, ServerName: before.machine.Hostname, SkipVerify: true})
				if shows := said.TLS; shows != nil {
					all[n].certs[i] = &certificate{shows.Subject, shows.NotAfter, ""}
				}
			})
		}
		asked.Wait()
		return nil
	})
	return all
}

func (c *comparison) certificates() {
	for _, service := range c.mails {
		was, is := service.certs[0], service.certs[1]
		if was == nil {
			continue
		}
		c.compared(1)
		subject := fmt.Sprintf("%s:%d", service.protocol, service.port)
		if _, listens := local(c.new.machine.Listeners, service.port); !listens {
			continue // nobody answers there: the ports say so
		}
		if is == nil {
			c.find(Error, subject, was.String(), "", "%s on port %d offers TLS on the old host, and not on the new one.", service.protocol, service.port).
				mend("Give the service of the new host a certificate, and turn TLS on.")
			continue
		}
		c.certificate(subject, *was, *is)
	}
	for _, each := range c.old.own.renews {
		c.compared(1)
		if slices.ContainsFunc(c.new.own.renews, func(other [2]string) bool { return other[1] == each[1] }) {
			continue
		}
		c.find(Error, "renewal/"+each[1], each[0], "", "%s renews the certificate of %s on the old host; nothing does on the new one.", each[0], each[1]).
			mend("Copy the account, the certificate and its renewal of %s, or have one issued on the new host; with HTTP-01 that works through the relay.", each[0])
	}
}
