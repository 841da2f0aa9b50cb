package tunnel

import (
	_ "embed"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/xtables"
)

//go:embed link.sh
var linkText string

//go:embed link_facts.sh
var linkFactsText string

//go:embed to_link.sh
var toLinkText string

var (
	linkScript = host.Script{Name: "tunnel/link.sh", Text: xtables.Unmake + linkText}
	linkFacts  = host.Script{Name: "tunnel/link_facts.sh", Text: linkFactsText}
	toLink     = host.Script{Name: "tunnel/to_link.sh", Text: host.SSHDSettings + toLinkText}
)

// Firewalls that a link can use.
const (
	nft      = "nft"
	iptables = "iptables"
)

// link is what a transparent tunnel consists of beside its SSH connection: a
// device on each host, an address at the new host's end, and firewall rules.
type link struct {
	// number names the device (tunN) on both hosts, and the routing table and
	// rule on the new one. 0 is no link.
	number int
	// address4 and address6 are the new host's end, to which the old host
	// translates its ports; "" where the old host has no address of that family.
	address4, address6 string
	// confined4 and confined6: the old host forwarded nothing before the tunnel,
	// and goes on to forward nothing else.
	confined4, confined6 bool
	// own are the new host's addresses, by which it may call the old host.
	own []string
	// The firewall of each host: nft or iptables.
	fromFirewall, toFirewall string
}

// device is the link's name on both hosts. sshd opens no device of another
// name for a "tunnel" option of authorized_keys.
func (l link) device() string { return "tun" + strconv.Itoa(l.number) }

// families are the addresses of the link by IP version, 4 first.
func (l link) families() []family {
	var all []family
	if l.address4 != "" {
		all = append(all, family{4, l.address4, l.confined4})
	}
	if l.address6 != "" {
		all = append(all, family{6, l.address6, l.confined6})
	}
	return all
}

// family is one IP version of a link.
type family struct {
	version  int
	address  string // of the new host's end
	confined bool
}

// carries reports whether a forward's listening address is of the family.
func (f family) carries(forward Forward) bool {
	return forward.ListenAddress == Everywhere || strings.Contains(forward.ListenAddress, ":") == (f.version == 6)
}

// linkDirectory holds the link's files on the new host.
func (t Tunnel) linkDirectory() string { return "/etc/cutover/link-" + t.Name }

// linkUnit is the systemd unit on the new host.
func (t Tunnel) linkUnit() string { return "cutover-link-" + t.Name + ".service" }

// linkPaths are all files that a link may have in a directory.
func linkPaths(directory string) []string {
	var paths []string
	for _, name := range []string{"link", "link.conf", "rules.nft", "rules4", "rules6"} {
		paths = append(paths, directory+"/"+name)
	}
	return paths
}

// oldEnd are the link's files on the old host, to be seen beside relayFiles.
func (t Tunnel) oldEnd() []textFile {
	files := []textFile{
		{t.directory() + "/link", 0o755, t.linkProgram()},
		{t.directory() + "/link.conf", 0o644, t.linkConf("from", t.link.fromFirewall)},
	}
	if t.link.fromFirewall == nft {
		return append(files, textFile{t.directory() + "/rules.nft", 0o644, t.nftFrom()})
	}
	for _, f := range t.link.families() {
		files = append(files, textFile{fmt.Sprintf("%s/rules%d", t.directory(), f.version), 0o644, t.iptablesFrom(f)})
	}
	return files
}

// newEnd are the link's files on the new host.
func (t Tunnel) newEnd() []textFile {
	files := []textFile{
		{t.linkDirectory() + "/link", 0o755, t.linkProgram()},
		{t.linkDirectory() + "/link.conf", 0o644, t.linkConf("to", t.link.toFirewall)},
		{"/etc/systemd/system/" + t.linkUnit(), 0o644, t.linkSystemdUnit()},
	}
	if t.link.toFirewall == nft {
		return append(files, textFile{t.linkDirectory() + "/rules.nft", 0o644, t.nftTo()})
	}
	for _, f := range t.link.families() {
		files = append(files, textFile{fmt.Sprintf("%s/rules%d", t.linkDirectory(), f.version), 0o644, t.iptablesTo(f)})
	}
	return files
}

func (t Tunnel) linkProgram() string { return "#!/bin/sh\n" + t.header() + "#\n" + linkScript.Text }

// linkConf is what the link's program knows of one end; it is read by sh.
func (t Tunnel) linkConf(end, firewall string) string {
	var forwards []string
	for _, f := range t.sorted() {
		forwards = append(forwards, bracketed(f.ListenAddress, f.ListenPort)+"="+strconv.Itoa(f.TargetPort))
	}
	yes := map[bool]string{true: "yes", false: "no"}
	return t.header() + fmt.Sprintf(`
end=%s
name=%s
account=%s
number=%d
address4=%s
address6=%s
firewall=%s
# Whether the old host forwarded nothing (IPv4, IPv6) before the tunnel.
confined4=%s
confined6=%s
# The new host's own addresses.
own="%s"
# Where clients come in, and the port of the new host that serves them.
forwards="%s"
`, end, t.Name, t.account(), t.link.number, t.link.address4, t.link.address6, firewall,
		yes[t.link.confined4], yes[t.link.confined6], strings.Join(t.link.own, " "), strings.Join(forwards, " "))
}

// parseLink reads link.conf back.
func (t *Tunnel) parseLink(conf string) error {
	settings := map[string]string{}
	for _, line := range strings.Split(conf, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			settings[key] = strings.Trim(value, `"`)
		}
	}
	number, err := strconv.Atoi(settings["number"])
	if err != nil || number < firstNumber || number >= firstNumber+numbers {
		return fmt.Errorf("%s/link.conf has no number of a device", t.directory())
	}
	for key, four := range map[string]bool{"address4": true, "address6": false} {
		ip := net.ParseIP(settings[key])
		if settings[key] != "" && (ip == nil || (ip.To4() != nil) != four) {
			return fmt.Errorf("%s/link.conf: %s is no address: %q", t.directory(), key, settings[key])
		}
	}
	t.link = link{
		number: number, address4: settings["address4"], address6: settings["address6"],
		confined4: settings["confined4"] == "yes", confined6: settings["confined6"] == "yes",
		fromFirewall: settings["firewall"],
	}
	if t.link.fromFirewall != nft && t.link.fromFirewall != iptables {
		return fmt.Errorf("%s/link.conf: %q is no firewall", t.directory(), t.link.fromFirewall)
	}
	for _, address := range strings.Fields(settings["own"]) {
		if net.ParseIP(address) == nil {
			return fmt.Errorf("%s/link.conf: %q is no address", t.directory(), address)
		}
		t.link.own = append(t.link.own, address)
	}
	t.Forwards = nil
	for _, word := range strings.Fields(settings["forwards"]) {
		listen, target, _ := strings.Cut(word, "=")
		forward, err := parseForward(listen, net.JoinHostPort(Localhost, target))
		if err != nil {
			return fmt.Errorf("%s/link.conf: %w", t.directory(), err)
		}
		t.Forwards = append(t.Forwards, forward)
	}
	return nil
}

// linkSystemdUnit brings up the new host's end at boot, before sshd, so that
// the device is there when the old host logs in.
func (t Tunnel) linkSystemdUnit() string {
	return t.header() + fmt.Sprintf(`
[Unit]
Description=Layer-3 tunnel through which clients of the old host arrive (ports %[1]s)
After=network.target nftables.service
Before=ssh.service sshd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh %[2]s/link up %[2]s
ExecStop=/bin/sh %[2]s/link down %[2]s

[Install]
WantedBy=multi-user.target
`, ports(t.sorted()), t.linkDirectory())
}
