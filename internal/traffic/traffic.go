// Package traffic counts who comes to the ports of a tunnel's old host: new
// connections, bytes, and clients with the time of their last connection.
//
// The host's kernel counts, by an nftables table of its own or by a chain of
// its own in iptables and ip6tables with the match "recent"; no process has to
// run for it. Counting does not load conntrack, and drops nothing. It begins
// anew with each boot. The package may import internal/host and internal/sh.
package traffic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keep is how long a client is remembered after its last connection, where
// nftables counts.
const Keep = 7 * 24 * time.Hour

// RecentClients is how many clients iptables remembers of a port and family:
// ip_list_tot, the default of xt_recent.
const RecentClients = 100

// Report is what was counted for a tunnel.
type Report struct {
	Since time.Time // when counting began, by the host's clock, as all times are
	Now   time.Time // when this was read
	Ports []Port    // by number
}

// Port is what came to one port.
type Port struct {
	Number      int
	Connections int64 // requests for one, repeated ones included
	Received    int64 // bytes from clients, with their headers
	Sent        int64 // bytes to clients; -1 where the kernel does not tell
	Clients     []Client
}

// Client is somebody who came.
type Client struct {
	Address string
	Last    time.Time // when it last opened a connection
}

// Last is the time of the last connection to the port; zero where there was none.
func (p Port) Last() time.Time {
	var last time.Time
	for _, client := range p.Clients {
		if client.Last.After(last) {
			last = client.Last
		}
	}
	return last
}

// counter is a tunnel's counting.
type counter struct {
	name  string // the tunnel's
	ports []int
}

func newCounter(name string, ports []int) counter {
	ports = slices.Clone(ports)
	slices.Sort(ports)
	return counter{name, slices.Compact(ports)}
}

func (c counter) directory() string { return "/etc/cutover/traffic-" + c.name }
func (c counter) unit() string      { return "cutover-traffic-" + c.name + ".service" }

// table is the counter's own in nftables, whose names know no '-'.
func (c counter) table() string { return "cutover_traffic_" + strings.ReplaceAll(c.name, "-", "_") }

// chain is the counter's own in iptables: at most 28 characters (iptables(8)),
// of which a tunnel's name takes 24.
func (c counter) chain() string { return "CVC-" + c.name }

// header opens every file, so that a sysadmin who meets one knows whose it is.
func (c counter) header() string {
	return fmt.Sprintf("# Managed by Terraform: counts for cutover_forwarding_tunnel %q.\n# Destroying the tunnel removes this file.\n", c.name)
}

func (c counter) list() string {
	var words []string
	for _, port := range c.ports {
		words = append(words, strconv.Itoa(port))
	}
	return strings.Join(words, " ")
}

// nftables are the rules for nft(8). Connections are counted as they come in,
// after a hold (-300) and before any DNAT (-100); what goes out, after DNAT was
// undone (100).
func (c counter) nftables() string {
	var counters, arriving, leaving strings.Builder
	for _, port := range c.ports {
		fmt.Fprintf(&counters, "\tcounter new_%[1]d { }\n\tcounter in_%[1]d { }\n\tcounter out_%[1]d { }\n", port)
		fmt.Fprintf(&arriving, "\t\ttcp dport %[1]d counter name \"in_%[1]d\"\n\t\ttcp dport %[1]d tcp flags & (fin | syn | rst | ack) == syn counter name \"new_%[1]d\"\n", port)
		fmt.Fprintf(&leaving, "\t\ttcp sport %[1]d counter name \"out_%[1]d\"\n", port)
	}
	return c.header() + fmt.Sprintf(`
table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
%[2]s
	set ports {
		type inet_service
		elements = { %[3]s }
	}
	set clients4 {
		type inet_service . ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout %[4]ds
	}
	set clients6 {
		type inet_service . ipv6_addr
		size 65535
		flags dynamic,timeout
		timeout %[4]ds
	}
	chain arriving {
		type filter hook prerouting priority -290; policy accept;
		iif lo return
		fib daddr type != local return
%[5]s		meta nfproto ipv4 tcp dport @ports tcp flags & (fin | syn | rst | ack) == syn update @clients4 { tcp dport . ip saddr }
		meta nfproto ipv6 tcp dport @ports tcp flags & (fin | syn | rst | ack) == syn update @clients6 { tcp dport . ip6 saddr }
	}
	chain leaving {
		type filter hook postrouting priority 150; policy accept;
		oif lo return
%[6]s	}
}
`, c.table(), counters.String(), strings.ReplaceAll(c.list(), " ", ", "), int(Keep.Seconds()), arriving.String(), leaving.String())
}

// iptables are the rules for iptables-restore(8) or ip6tables-restore(8), but
// for the jump to the chain and the COMMIT, which count adds. The list "now" is
// a clock, see state.sh; nobody comes from 255.255.255.255.
func (c counter) iptables(tool string) string {
	var b strings.Builder
	b.WriteString(c.header())
	fmt.Fprintf(&b, "*mangle\n:%[1]s - [0:0]\n-A %[1]s -i lo -j RETURN\n-A %[1]s -m addrtype ! --dst-type LOCAL -j RETURN\n", c.chain())
	list := "cvc-" + c.name
	if tool != iptables {
		list = "cvc6-" + c.name
	}
	for _, port := range c.ports {
		fmt.Fprintf(&b, "-A %[1]s -p tcp --dport %[2]d\n-A %[1]s -p tcp --dport %[2]d --syn -m recent --name %[3]s-%[2]d --rsource --set\n", c.chain(), port, list)
	}
	if tool == iptables {
		fmt.Fprintf(&b, "-A %s -s 255.255.255.255 -m recent --name %s-now --rsource --set\n", c.chain(), list)
	}
	return b.String()
}

// systemdUnit loads the rules at boot, after whoever else sets up a firewall.
func (c counter) systemdUnit() string {
	return c.header() + fmt.Sprintf(`
[Unit]
Description=Count who comes to port %[1]s
After=nftables.service netfilter-persistent.service firewalld.service ufw.service

[Service]
Type=oneshot
ExecStart=/bin/sh %[2]s/count %[3]s

[Install]
WantedBy=multi-user.target
`, strings.ReplaceAll(c.list(), " ", ", "), c.directory(), c.name)
}
