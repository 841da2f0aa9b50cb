// Package tunnel keeps SSH relays running from one host to another: what
// arrives at ports of the old host is served by the new one.
//
// A transparent tunnel (the files link*) carries packets instead of
// connections, so that the new host sees each client's own address.
//
// The relays are one OpenSSH client on the old host, kept alive by its init
// system; it logs in to an account on the new host that can do nothing but open
// the connections it was made for. Where the old host cannot reach the new one,
// a line leads there that the new host lays (line.go). The package may import internal/host,
// internal/probe and internal/sh.
package tunnel

import (
	"fmt"
	"net"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Tunnel is what is wanted: which ports are relayed, and how the old host
// reaches the new one.
type Tunnel struct {
	Name      string    // tells tunnels of a host apart; see ValidName
	Forwards  []Forward // at least one
	ToAddress string    // name or address of the new host, as the old one calls it
	ToPort    int       // port of the new host's sshd
	// SourceAddresses are where the new host lets the relays come from:
	// addresses or networks in CIDR notation.
	SourceAddresses []string
	Mode            string // Relays or Transparent; "" is Relays
	// InitiateFrom is the host that opens the connection: OldHost or NewHost; ""
	// is OldHost. With NewHost, ToAddress and ToPort are found and not asked for,
	// and SourceAddresses are where the old host lets the new one come from.
	InitiateFrom string
	FromAddress  string // name or address of the old host, as the new one calls it
	FromPort     int    // port of the old host's sshd

	link    link   // of a transparent tunnel, once it is known
	ciphers string // as ssh_config(5) has them, the fastest first; "" leaves them to ssh
	line    *line  // of a tunnel that the new host initiates, once it is known
	legacy  bool   // of a line: to an sshd that knows no signatures but SHA-1's
}

// Modes of a tunnel.
const (
	// Relays are forwarded ports: the new host sees each client as coming from itself.
	Relays = "forward"
	// Transparent is a layer-3 tunnel: the new host sees the clients' own addresses.
	Transparent = "transparent"
)

// Forward is one relayed TCP port.
type Forward struct {
	ListenAddress string // on the old host; "*" is every address, IPv4 and IPv6
	ListenPort    int
	TargetHost    string // as the new host resolves it; "localhost" is the new host itself
	TargetPort    int
}

// Everywhere and Localhost are the defaults of a Forward.
const (
	Everywhere = "*"
	Localhost  = "localhost"
)

// Listen is where the forward accepts connections, as "address:port".
func (f Forward) Listen() string {
	return net.JoinHostPort(f.ListenAddress, strconv.Itoa(f.ListenPort))
}

// Target is where the forward's connections go, as "host:port".
func (f Forward) Target() string { return net.JoinHostPort(f.TargetHost, strconv.Itoa(f.TargetPort)) }

// dialAddress is where a program on the old host reaches the forward.
func (f Forward) dialAddress() string {
	address := f.ListenAddress
	switch address {
	case Everywhere, "0.0.0.0":
		address = "127.0.0.1"
	case "::":
		address = "::1"
	}
	return net.JoinHostPort(address, strconv.Itoa(f.ListenPort))
}

// maxName keeps "cutover-NAME" within the 32 characters of a login name
// (useradd(8)).
const maxName = 24

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// ValidName says what is wrong with a tunnel's name, which becomes part of an
// account's, a unit's and a directory's name.
func ValidName(name string) error {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return fmt.Errorf("a tunnel's name is up to %d lower-case letters, digits and '-', and starts with a letter; %q is not", maxName, name)
	}
	return nil
}

// targetPattern leaves out what ssh_config or authorized_keys would read as
// syntax: blanks, quotes, commas.
var targetPattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// Validate says what is wrong with the tunnel.
func (t Tunnel) Validate() error {
	if err := ValidName(t.Name); err != nil {
		return err
	}
	if len(t.Forwards) == 0 {
		return fmt.Errorf("a tunnel needs at least one port")
	}
	if err := DistinctListeners(t.Forwards); err != nil {
		return err
	}
	for _, f := range t.Forwards {
		if f.ListenAddress != Everywhere && net.ParseIP(f.ListenAddress) == nil {
			return fmt.Errorf("%q is no IP address to listen on; \"*\" is every address", f.ListenAddress)
		}
		if t.Mode == Transparent && f.TargetHost != Localhost {
			return fmt.Errorf("port %d cannot lead to %s: a transparent tunnel ends at the new host itself (target_host = %q)", f.ListenPort, f.TargetHost, Localhost)
		}
		if !targetPattern.MatchString(f.TargetHost) {
			return fmt.Errorf("%q is no host name or address", f.TargetHost)
		}
		for _, port := range []int{f.ListenPort, f.TargetPort} {
			if port < 1 || port > 65535 {
				return fmt.Errorf("%d is no TCP port; those are 1 to 65535", port)
			}
		}
	}
	if !targetPattern.MatchString(t.ToAddress) {
		return fmt.Errorf("%q is no host name or address of the new host", t.ToAddress)
	}
	if t.InitiateFrom == NewHost && !targetPattern.MatchString(t.FromAddress) {
		return fmt.Errorf("%q is no host name or address of the old host", t.FromAddress)
	}
	for _, address := range t.SourceAddresses {
		if !ValidSource(address) {
			return fmt.Errorf("%q is neither an IP address nor a network such as 192.0.2.0/24", address)
		}
	}
	return nil
}

// DistinctListeners says which address and port two of the forwards would both
// listen on.
func DistinctListeners(forwards []Forward) error {
	byPort := map[int][]Forward{}
	for _, f := range forwards {
		for _, other := range byPort[f.ListenPort] {
			if f.ListenAddress == other.ListenAddress || f.ListenAddress == Everywhere || other.ListenAddress == Everywhere {
				return fmt.Errorf("port %d is listed twice (%s and %s)", f.ListenPort, other.Listen(), f.Listen())
			}
		}
		byPort[f.ListenPort] = append(byPort[f.ListenPort], f)
	}
	return nil
}

// ValidSource reports whether sshd understands address in from="…" as an
// address or a network; host names and patterns are left out on purpose.
func ValidSource(address string) bool {
	if net.ParseIP(address) != nil {
		return true
	}
	_, _, err := net.ParseCIDR(address)
	return err == nil
}

// sorted are the forwards by port and address, so that equal tunnels are
// written equally.
func (t Tunnel) sorted() []Forward {
	forwards := append([]Forward(nil), t.Forwards...)
	sort.Slice(forwards, func(i, j int) bool {
		if forwards[i].ListenPort != forwards[j].ListenPort {
			return forwards[i].ListenPort < forwards[j].ListenPort
		}
		return forwards[i].ListenAddress < forwards[j].ListenAddress
	})
	return forwards
}

// account is the relays' login on the new host.
func (t Tunnel) account() string { return "cutover-" + t.Name }

// unit is the systemd unit on the old host.
func (t Tunnel) unit() string { return "cutover-tunnel-" + t.Name + ".service" }

// directory holds the relays' configuration and key on the old host.
func (t Tunnel) directory() string { return "/etc/cutover/tunnel-" + t.Name }

// home is the account's home on the new host.
func (t Tunnel) home() string { return "/var/lib/cutover/tunnel-" + t.Name }

func ports(forwards []Forward) string {
	var all []string
	for _, f := range forwards {
		all = append(all, strconv.Itoa(f.ListenPort))
	}
	return strings.Join(all, ", ")
}
