package tunnel

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// nftName is a tunnel's name as nft allows it in the name of a table; names of
// tunnels have no '_', so that they stay distinct.
func (t Tunnel) nftName() string { return strings.ReplaceAll(t.Name, "-", "_") }

// nftFrom translates the ports of the old host. Each table is replaced as a
// whole and in one step. The chains of type nat that may be empty are there for kernels
// before 4.18, which translate replies back only where both ends have a chain.
// One rule a line: link counts them.
func (t Tunnel) nftFrom() string {
	var b strings.Builder
	b.WriteString(t.header())
	for _, f := range t.link.families() {
		name := map[int]string{4: "ip", 6: "ip6"}[f.version]
		var translations strings.Builder
		for _, forward := range t.sorted() {
			if !f.carries(forward) {
				continue
			}
			match := "fib daddr type local"
			if !everyAddress(forward) {
				match = name + " daddr " + forward.ListenAddress
			}
			if f.version == 6 && everyAddress(forward) {
				match += " ip6 daddr != ::1"
			}
			fmt.Fprintf(&translations, "\t\t%s tcp dport %d dnat to %s\n", match, forward.ListenPort, net.JoinHostPort(f.address, strconv.Itoa(forward.TargetPort)))
		}
		hidden := ""
		if hide := t.link.hidden(f); len(hide) > 0 {
			hidden = fmt.Sprintf("\t\toifname \"%s\" %s saddr { %s } masquerade\n", t.link.device(), name, strings.Join(hide, ", "))
		}
		confined := ""
		if f.confined {
			// "tun7*": other tunnels of the kind.
			confined = "\t\tiifname != \"tun7*\" oifname != \"tun7*\" drop\n"
		}
		fmt.Fprintf(&b, `
table %[1]s cutover_tunnel_%[2]s
delete table %[1]s cutover_tunnel_%[2]s
table %[1]s cutover_tunnel_%[2]s {
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
%[3]s	}

	chain output {
		type nat hook output priority -100; policy accept;
%[3]s	}

	chain input {
		type nat hook input priority 100; policy accept;
	}

	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
%[4]s	}

	chain arriving {
		type filter hook input priority 0; policy accept;
		iifname "%[5]s" ct state new drop
	}

	chain forwarded {
		type filter hook forward priority -150; policy accept;
		iifname "%[5]s" ct state new drop
%[6]s		oifname "%[5]s" tcp flags syn tcp option maxseg size set rt mtu
		iifname "%[5]s" tcp flags syn tcp option maxseg size set rt mtu
	}
}
`, name, t.nftName(), translations.String(), hidden, t.link.device(), confined)
	}
	return b.String()
}

// hidden are the sources that cannot come through the tunnel under their own
// address: 127.0.0.1, and the new host itself, which would take a packet from
// its own address for a forgery. It sees the old host instead. There is no such
// way for ::1: the kernel lets it out by no device.
func (l link) hidden(f family) []string {
	var sources []string
	if f.version == 4 {
		sources = append(sources, "127.0.0.0/8")
	}
	for _, address := range l.own {
		if strings.Contains(address, ":") == (f.version == 6) {
			sources = append(sources, address)
		}
	}
	return sources
}

// everyAddress reports whether a forward is for all addresses of its families.
func everyAddress(f Forward) bool {
	return f.ListenAddress == Everywhere || f.ListenAddress == "0.0.0.0" || f.ListenAddress == "::"
}

// nftTo lets the old host reach the tunnel's ports and nothing else.
func (t Tunnel) nftTo() string {
	return t.header() + fmt.Sprintf(`
table inet cutover_link_%[1]s
delete table inet cutover_link_%[1]s
table inet cutover_link_%[1]s {
	chain arriving {
		type filter hook input priority 0; policy accept;
		iifname "%[2]s" tcp dport { %[3]s } accept
		iifname "%[2]s" meta l4proto { icmp, ipv6-icmp } accept
		iifname "%[2]s" drop
	}

	chain forwarded {
		type filter hook forward priority 0; policy accept;
		iifname "%[2]s" drop
	}
}
`, t.nftName(), t.link.device(), strings.Join(t.targetPorts(), ", "))
}

func (t Tunnel) targetPorts() []string {
	var all []string
	for _, forward := range t.sorted() {
		all = append(all, strconv.Itoa(forward.TargetPort))
	}
	return unique(all)
}

// iptablesFrom is nftFrom for iptables-restore or ip6tables-restore.
func (t Tunnel) iptablesFrom(f family) string {
	chain, device := fmt.Sprintf("CUTOVER-%d", t.link.number), t.link.device()
	var b strings.Builder
	b.WriteString(t.header())
	fmt.Fprintf(&b, "*nat\n:%[1]s - [0:0]\n:%[1]s-POST - [0:0]\n", chain)
	for _, forward := range t.sorted() {
		if !f.carries(forward) {
			continue
		}
		match := "-m addrtype --dst-type LOCAL"
		if !everyAddress(forward) {
			match = "-d " + forward.ListenAddress
		} else if f.version == 6 {
			match += " ! -d ::1"
		}
		fmt.Fprintf(&b, "-A %s -p tcp %s -m tcp --dport %d -j DNAT --to-destination %s\n",
			chain, match, forward.ListenPort, net.JoinHostPort(f.address, strconv.Itoa(forward.TargetPort)))
	}
	for _, source := range t.link.hidden(f) {
		fmt.Fprintf(&b, "-A %s-POST -s %s -o %s -j MASQUERADE\n", chain, source, device)
	}
	b.WriteString("COMMIT\n")

	fmt.Fprintf(&b, "*mangle\n:%s - [0:0]\n", chain)
	for _, direction := range []string{"-o", "-i"} {
		fmt.Fprintf(&b, "-A %s %s %s -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n", chain, direction, device)
	}
	b.WriteString("COMMIT\n")

	fmt.Fprintf(&b, `*filter
:%[1]s - [0:0]
:%[1]s-IN - [0:0]
-A %[1]s -i %[2]s -m conntrack --ctstate NEW -j DROP
-A %[1]s -i %[2]s -j ACCEPT
-A %[1]s -o %[2]s -j ACCEPT
-A %[1]s-IN -i %[2]s -m conntrack --ctstate NEW -j DROP
`, chain, device)
	if f.confined {
		// "tun7+": other tunnels of the kind.
		fmt.Fprintf(&b, "-A %[1]s -i tun7+ -j RETURN\n-A %[1]s -o tun7+ -j RETURN\n-A %[1]s -j DROP\n", chain)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// iptablesTo is nftTo for iptables-restore or ip6tables-restore.
func (t Tunnel) iptablesTo(f family) string {
	chain, device := fmt.Sprintf("CUTOVER-%d", t.link.number), t.link.device()
	var b strings.Builder
	b.WriteString(t.header())
	fmt.Fprintf(&b, "*filter\n:%[1]s - [0:0]\n:%[1]s-IN - [0:0]\n-A %[1]s -i %[2]s -j DROP\n", chain, device)
	for _, port := range t.targetPorts() {
		fmt.Fprintf(&b, "-A %s-IN -i %s -p tcp -m tcp --dport %s -j RETURN\n", chain, device, port)
	}
	fmt.Fprintf(&b, "-A %[1]s-IN -i %[2]s -p %[3]s -j RETURN\n-A %[1]s-IN -i %[2]s -j DROP\nCOMMIT\n",
		chain, device, map[int]string{4: "icmp", 6: "ipv6-icmp"}[f.version])
	return b.String()
}
