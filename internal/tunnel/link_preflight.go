package tunnel

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// hostFacts is one host of a transparent tunnel as link_facts.sh sees it.
type hostFacts struct {
	systemd     bool
	tun         string // what everybody may do with /dev/net/tun, as ls shows it; "" where there is none
	tuntap      bool   // ip can make devices
	nft         bool
	iptables    bool
	forwarding4 string          // 0 or 1
	forwarding6 string          // 0 or 1; "" where IPv6 is switched off
	readOnly4   bool            // forwarding cannot be switched on
	readOnly6   bool            // the same of IPv6
	devices     map[string]bool // names of network devices
	tables      map[string]bool // numbers of routing tables and rules
	routes      []netip.Prefix
	drops       []string         // tables of nft that drop what is forwarded
	forbids     []string         // files of sshd that switch PermitTunnel off
	include     bool             // sshd_config includes sshd_config.d
	listens     map[int][]string // addresses by port
	addresses   []string         // the old host's own, from from_state.sh
}

func askHost(ctx context.Context, h host.Host, name string) (hostFacts, error) {
	result, err := h.Run(ctx, host.Sh(linkFacts, name))
	if err != nil {
		return hostFacts{}, err
	}
	return parseHost(string(result.Stdout)), nil
}

func parseHost(out string) hostFacts {
	f := hostFacts{
		readOnly4: true, readOnly6: true,
		devices: map[string]bool{}, tables: map[string]bool{}, listens: map[int][]string{},
	}
	for _, line := range strings.Split(out, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "init":
			f.systemd = value == systemd
		case "tun":
			f.tun = value
		case "tuntap":
			f.tuntap = true
		case "nft":
			f.nft = true
		case "iptables":
			f.iptables = true
		case "forwarding4":
			f.forwarding4 = value
		case "forwarding6":
			f.forwarding6 = value
		case "writable4":
			f.readOnly4 = false
		case "writable6":
			f.readOnly6 = false
		case "address":
			f.addresses = append(f.addresses, value)
		case "device":
			f.devices[value] = true
		case "table":
			f.tables[value] = true
		case "route":
			if prefix, err := netip.ParsePrefix(value); err == nil {
				f.routes = append(f.routes, prefix)
			} else if address, err := netip.ParseAddr(value); err == nil {
				f.routes = append(f.routes, netip.PrefixFrom(address, address.BitLen()))
			}
		case "drops":
			f.drops = append(f.drops, value)
		case "forbids":
			f.forbids = append(f.forbids, value)
		case "include":
			f.include = true
		case "listens":
			if colon := strings.LastIndexByte(value, ':'); colon >= 0 {
				if port, err := strconv.Atoi(value[colon+1:]); err == nil {
					f.listens[port] = append(f.listens[port], strings.Trim(value[:colon], "[]"))
				}
			}
		}
	}
	return f
}

// firewall is the one a link on the host uses. A firewall that drops what is
// forwarded can only be told otherwise in its own tables; those of iptables
// are shared, those of nft are not.
func (f hostFacts) firewall() string {
	switch {
	case f.iptables && len(f.drops) > 0, f.iptables && !f.nft:
		return iptables
	case f.nft:
		return nft
	}
	return ""
}

// closed are the tables that would keep out the tunnel's packets. Those of
// iptables would not: our rules come first there.
func (f hostFacts) closed() []string {
	var closed []string
	for _, table := range f.drops {
		if f.firewall() != iptables || table != "ip filter" && table != "ip6 filter" {
			closed = append(closed, table)
		}
	}
	return unique(closed)
}

// Numbers of links: firstNumber and the following ones.
const (
	firstNumber = 7200
	numbers     = 256
)

// networks4 are where the IPv4 addresses of links are looked for, each with
// room for one address a number: space that few use (RFC 6598, RFC 1918).
var networks4 = []string{"100.127.%d.1", "172.31.%d.1", "192.168.%d.1", "10.127.%d.1"}

// network6 is a unique local prefix (RFC 4193) with room for one address a number.
const network6 = "fd63:7574:6f76:%x::1"

// pickLink chooses number and addresses that are free on both hosts. Where the
// search begins depends on name and host, so that tunnels which are made at
// the same time do not choose the same.
func pickLink(name string, old, fresh hostFacts) (link, error) {
	sum := fnv.New32a()
	fmt.Fprint(sum, name, old.addresses)
	start := int(sum.Sum32() % numbers)
	for i := range numbers {
		slot := (start + i) % numbers
		l := link{number: firstNumber + slot, own: fresh.addresses, fromFirewall: old.firewall(), toFirewall: fresh.firewall()}
		if old.devices[l.device()] || fresh.devices[l.device()] || fresh.tables[strconv.Itoa(l.number)] {
			continue
		}
		if hasFamily(old.addresses, 4) {
			for _, network := range networks4 {
				if address := fmt.Sprintf(network, slot); l.address4 == "" && !old.routed(address) && !fresh.routed(address) {
					l.address4 = address
				}
			}
			if l.address4 == "" {
				continue
			}
			l.confined4 = old.forwarding4 == "0"
		}
		if hasFamily(old.addresses, 6) && old.forwarding6 != "" {
			l.address6 = fmt.Sprintf(network6, l.number)
			if old.routed(l.address6) || fresh.routed(l.address6) {
				continue
			}
			l.confined6 = old.forwarding6 == "0"
		}
		return l, nil
	}
	return link{}, errors.New("no number from tun7200 to tun7455 is free on both hosts with addresses that neither has a route to")
}

func hasFamily(addresses []string, version int) bool {
	for _, address := range addresses {
		if strings.Contains(address, ":") == (version == 6) {
			return true
		}
	}
	return false
}

// routed reports whether the host has a route, other than the default one, for
// an address.
func (f hostFacts) routed(address string) bool {
	wanted := netip.MustParseAddr(address)
	for _, route := range f.routes {
		if route.Bits() > 0 && route.Contains(wanted) {
			return true
		}
	}
	return false
}

// linkObjections finds out, without changing anything, what is in the way of a
// transparent tunnel beside what is in the way of any.
func (t Tunnel) linkObjections(from, to host.Host, old, fresh hostFacts) []error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	for _, end := range []struct {
		host.Host
		facts hostFacts
	}{{from, old}, {to, fresh}} {
		name := end.Name()
		switch {
		case end.facts.tun == "":
			problem("host %q has no /dev/net/tun, as many containers have not; mode = \"forward\" needs none", name)
		case !end.facts.tuntap:
			problem("host %q cannot make TUN devices: its `ip` knows no `ip tuntap` (package iproute2)", name)
		}
		if end.facts.firewall() == "" {
			problem("host %q has neither nft nor iptables with ip6tables; install one of them: apt-get install nftables", name)
		}
	}
	if fresh.tun != "" && !strings.HasPrefix(fresh.tun, "rw") {
		problem("on host %q only root may open /dev/net/tun, and the tunnel's account is not root; allow it, as udev does elsewhere: chmod 666 /dev/net/tun", to.Name())
	}
	if !fresh.systemd {
		problem("host %q has no systemd, which has to bring the tunnel's end up at boot", to.Name())
	}
	if old.readOnly4 && old.forwarding4 != "1" {
		problem("host %q cannot be told to forward: /proc/sys/net/ipv4/ip_forward is read-only, as in many containers; set net.ipv4.ip_forward=1 from outside, or use mode = \"forward\"", from.Name())
	}
	if t.link.address6 != "" {
		if old.readOnly6 && old.forwarding6 != "1" {
			problem("host %q cannot be told to forward: /proc/sys/net/ipv6/conf/all/forwarding is read-only", from.Name())
		}
		if fresh.forwarding6 == "" {
			problem("host %q has IPv6 addresses, but IPv6 is switched off on host %q (net.ipv6.conf.all.disable_ipv6): whoever comes by IPv6 would find nobody", from.Name(), to.Name())
		}
	}
	if closed := old.closed(); len(closed) > 0 && !old.devices[t.link.device()] {
		problem("the firewall of host %q keeps out what is forwarded (nft table %s); accept there what enters or leaves by \"tun7*\" first", from.Name(), strings.Join(closed, ", "))
	}
	if len(fresh.forbids) > 0 {
		problem("sshd of host %q forbids layer-3 tunnels (PermitTunnel in %s); take that line out (off is what sshd does without it): the tunnel allows them to its own account only", to.Name(), strings.Join(fresh.forbids, ", "))
	}
	if hidden := t.unreachable(fresh); len(hidden) > 0 {
		problem("services of host %q do not listen on every address, and clients come in on one of the tunnel's; let them listen on all (0.0.0.0 and ::):\n%s",
			to.Name(), strings.Join(hidden, "\n"))
	}
	return problems
}

// unreachable says which target ports do not listen on every address of a
// family that the link carries.
func (t Tunnel) unreachable(fresh hostFacts) []string {
	var hidden []string
	for _, forward := range t.sorted() {
		on := fresh.listens[forward.TargetPort]
		if len(on) == 0 || contains(on, "*") {
			continue // nobody at all is said elsewhere
		}
		for _, f := range t.link.families() {
			if all := map[int]string{4: "0.0.0.0", 6: "::"}[f.version]; f.carries(forward) && !contains(on, all) {
				hidden = append(hidden, fmt.Sprintf("  %-5d not for IPv%d: on %s only", forward.TargetPort, f.version, strings.Join(on, ", ")))
			}
		}
	}
	return hidden
}

// trialAddresses are where a program on the old host reaches a forward as a
// client would, with a source address that the new host's routes know.
func (t Tunnel) trialAddresses(forward Forward, addresses []string) []string {
	if !everyAddress(forward) {
		return []string{forward.Listen()}
	}
	var dial []string
	for _, f := range t.link.families() {
		for _, address := range addresses {
			if f.carries(forward) && strings.Contains(address, ":") == (f.version == 6) {
				dial = append(dial, net.JoinHostPort(address, strconv.Itoa(forward.ListenPort)))
				break
			}
		}
	}
	return dial
}
