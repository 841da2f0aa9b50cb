package tunnel

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// carried is a transparent tunnel of three ports, one of them on one address.
func carried() Tunnel {
	return Tunnel{
		Name: "mail-web", Mode: Transparent, ToAddress: "192.0.2.2", ToPort: 22, SourceAddresses: []string{"192.0.2.1"},
		Forwards: []Forward{
			{"*", 80, Localhost, 80}, {"*", 25, Localhost, 25}, {"2001:db8::7", 8143, Localhost, 143},
		},
		link: link{
			number: 7203, address4: "100.127.3.1", address6: "fd63:7574:6f76:1c23::1", confined4: true,
			own: []string{"192.0.2.2", "2001:db8::2"}, fromFirewall: nft, toFirewall: nft,
		},
	}
}

func TestRulesOfNft(t *testing.T) {
	t.Parallel()
	rules := carried().nftFrom()
	for _, want := range []string{
		"\ntable ip cutover_tunnel_mail_web\ndelete table ip cutover_tunnel_mail_web\ntable ip cutover_tunnel_mail_web {\n",
		"\t\tfib daddr type local tcp dport 25 dnat to 100.127.3.1:25\n",
		"\t\tfib daddr type local ip6 daddr != ::1 tcp dport 80 dnat to [fd63:7574:6f76:1c23::1]:80\n",
		"\t\tip6 daddr 2001:db8::7 tcp dport 8143 dnat to [fd63:7574:6f76:1c23::1]:143\n",
		"\t\toifname \"tun7203\" ip saddr { 127.0.0.0/8, 192.0.2.2 } masquerade\n",
		"\t\toifname \"tun7203\" ip6 saddr { 2001:db8::2 } masquerade\n",
		"\t\toifname \"tun7203\" tcp flags syn tcp option maxseg size set rt mtu\n",
	} {
		if !strings.Contains(rules, want) {
			t.Errorf("no %q in\n%s", want, rules)
		}
	}
	if strings.Contains(rules, "100.127.3.1:143") {
		t.Errorf("a port of an IPv6 address is translated for IPv4:\n%s", rules)
	}
	if got := strings.Count(rules, `iifname != "tun7*" oifname != "tun7*" drop`); got != 1 {
		t.Errorf("%d families confined, want IPv4 alone:\n%s", got, rules)
	}
	if to := carried().nftTo(); !strings.Contains(to, `iifname "tun7203" tcp dport { 25, 80, 143 } accept`) || !strings.Contains(to, "\t\tiifname \"tun7203\" drop\n") {
		t.Errorf("the old host reaches more than the ports:\n%s", to)
	}
}

func TestRulesOfIptables(t *testing.T) {
	t.Parallel()
	tunnel := carried()
	four, six := tunnel.iptablesFrom(tunnel.link.families()[0]), tunnel.iptablesFrom(tunnel.link.families()[1])
	for want, in := range map[string]string{
		"-A CUTOVER-7203 -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 25 -j DNAT --to-destination 100.127.3.1:25\n":      four,
		"-A CUTOVER-7203 -p tcp -d 2001:db8::7 -m tcp --dport 8143 -j DNAT --to-destination [fd63:7574:6f76:1c23::1]:143\n":    six,
		"-A CUTOVER-7203-POST -s 2001:db8::2 -o tun7203 -j MASQUERADE\nCOMMIT\n":                                               six,
		"-A CUTOVER-7203 -i tun7+ -j RETURN\n-A CUTOVER-7203 -o tun7+ -j RETURN\n-A CUTOVER-7203 -j DROP\n":                    four,
		"-A CUTOVER-7203 -o tun7203 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n":                     four,
		"-A CUTOVER-7203-IN -i tun7203 -p ipv6-icmp -j RETURN\n-A CUTOVER-7203-IN -i tun7203 -j DROP\n":                        tunnel.iptablesTo(tunnel.link.families()[1]),
		"-A CUTOVER-7203-IN -i tun7203 -p tcp -m tcp --dport 143 -j RETURN\n-A CUTOVER-7203-IN -i tun7203 -p icmp -j RETURN\n": tunnel.iptablesTo(tunnel.link.families()[0]),
	} {
		if !strings.Contains(in, want) {
			t.Errorf("no %q in\n%s", want, in)
		}
	}
	if strings.Contains(four, "8143") || strings.Contains(six, "-j DROP\nCOMMIT\n*") && strings.Contains(six, "tun7+") {
		t.Errorf("rules of one family in the other:\n%s\n%s", four, six)
	}
}

// The kernel's own tools read what is written for them.
func TestRulesAreRead(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed here; internal/lab/setup.sh installs it")
	}
	for name, rules := range map[string]string{"from": carried().nftFrom(), "to": carried().nftTo()} {
		check := exec.Command(program, "--check", "-f", "-")
		check.Stdin = strings.NewReader(rules)
		if out, err := check.CombinedOutput(); err != nil {
			if os.Geteuid() != 0 {
				t.Skipf("nft --check needs root: %s", out)
			}
			t.Errorf("%s: %v\n%s\n%s", name, err, out, rules)
		}
	}
}

func TestLinkIsReadBack(t *testing.T) {
	t.Parallel()
	want := carried()
	got := Tunnel{Name: want.Name}
	if err := got.parseLink(want.linkConf("from", nft)); err != nil {
		t.Fatal(err)
	}
	got.Mode, got.link.toFirewall = Transparent, nft
	if got.linkConf("to", nft) != want.linkConf("to", nft) || got.nftFrom() != want.nftFrom() || got.nftTo() != want.nftTo() {
		t.Errorf("read back as %+v", got)
	}
	if err := got.parse(want.sshConfig(), ""); err != nil || got.Mode != Transparent {
		t.Errorf("read back as a tunnel of mode %q, %v", got.Mode, err)
	}
	for name, conf := range map[string]string{
		"no number":       "number=\n",
		"foreign number":  "number=1\n",
		"no address":      "number=7200\naddress4=$(reboot)\n",
		"the wrong one":   "number=7200\naddress4=fd00::1\n",
		"no firewall":     "number=7200\naddress4=100.127.3.1\nfirewall=reboot\n",
		"port of letters": "number=7200\naddress4=100.127.3.1\nfirewall=nft\nforwards=\"*:http=80\"\n",
	} {
		if err := (&Tunnel{Name: "relay"}).parseLink(conf); err == nil {
			t.Errorf("%s: %q was taken", name, conf)
		}
	}
}

func TestKeyOfALinkDoesNothingElse(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"OpenSSH_9.9": `restrict,command="/bin/false",tunnel="7203",from="192.0.2.1" ssh-ed25519 KEY cutover-tunnel-mail-web`,
		"OpenSSH_6.6": `no-pty,no-agent-forwarding,no-X11-forwarding,no-user-rc,no-port-forwarding,command="/bin/false",tunnel="7203",from="192.0.2.1" ssh-ed25519 KEY cutover-tunnel-mail-web`,
	} {
		if got := carried().authorizedKeys("ssh-ed25519 KEY comment", version); !strings.HasSuffix(got, "\n"+want+"\n") {
			t.Errorf("%s: got %s", version, got)
		}
	}
	if config := carried().sshConfig(); !strings.Contains(config, "    Tunnel point-to-point\n    TunnelDevice 7203:7203\n") || strings.Contains(config, "LocalForward") {
		t.Errorf("the connection carries something else:\n%s", config)
	}
}

// oldFacts and freshFacts are what link_facts.sh prints of hosts that have
// nothing in the way.
const (
	oldFactsText   = "tun rw-\ntuntap present\nnft present\nforwarding4 0\nwritable4 yes\nforwarding6 0\nwritable6 yes\ndevice lo\ndevice eth0\nroute 192.0.2.0/24\nroute 2001:db8::/64\ntable local\n"
	freshFactsText = "init systemd\n" + oldFactsText + "include yes\nlistens *:80\nlistens 0.0.0.0:25\nlistens [::]:25\n"
)

func TestPickLinkLooksAtBothHosts(t *testing.T) {
	t.Parallel()
	pick := func(old, fresh string) link {
		t.Helper()
		oldFacts := parseHost(old)
		oldFacts.addresses = []string{"192.0.2.1", "2001:db8::1"}
		l, err := pickLink("relay", oldFacts, parseHost(fresh))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := pick(oldFactsText, freshFactsText)
	if again := pick(oldFactsText, freshFactsText); first.number != again.number || first.address4 != again.address4 {
		t.Error("two choices on equal hosts differ")
	}
	if first.address4 == "" || first.address6 == "" || !first.confined4 || !first.confined6 {
		t.Errorf("picked %+v", first)
	}
	for name, l := range map[string]link{
		"a device of that name": pick(oldFactsText+"device "+first.device()+"\n", freshFactsText),
		"a table of the number": pick(oldFactsText, freshFactsText+"table "+strings.TrimPrefix(first.device(), "tun")+"\n"),
		"a route to the IPv6":   pick(oldFactsText, freshFactsText+"route "+first.address6+"\n"),
		"a route to the IPv4":   pick(oldFactsText+"route 100.64.0.0/10\n", freshFactsText),
	} {
		if l.address4 == first.address4 || l.address4 == "" {
			t.Errorf("%s: picked %+v again", name, l)
		}
	}
	four := parseHost(oldFactsText)
	four.addresses = []string{"192.0.2.1"}
	if l, err := pickLink("relay", four, parseHost(freshFactsText)); err != nil || l.address6 != "" || len(l.families()) != 1 {
		t.Errorf("a host without IPv6 gets %+v, %v", l, err)
	}
	full := parseHost(oldFactsText + "route 100.64.0.0/10\nroute 172.16.0.0/12\nroute 192.168.0.0/16\nroute 10.0.0.0/8\n")
	full.addresses = []string{"192.0.2.1"}
	if _, err := pickLink("relay", full, parseHost(freshFactsText)); err == nil {
		t.Error("an address was found where all are taken")
	}
}

// startCarried starts a tunnel of ports 25 and 80 on hosts that say what is given.
func startCarried(t *testing.T, old, fresh, oldFacts, freshFacts string) error {
	t.Helper()
	from, to := fakes(t, old, fresh)
	from.Expect("tunnel/link_facts.sh relay").Prints(oldFacts)
	to.Expect("tunnel/link_facts.sh relay").Prints(freshFacts)
	to.OnDial(mailServer("250 fine: the localhost of the new host may relay"))
	_, err := Tunnel{Name: "relay", Mode: Transparent, Forwards: []Forward{forward(25)}}.Start(context.Background(), from, to, Options{})
	return err
}

func TestLinkPreflightChangesNothing(t *testing.T) {
	t.Parallel()
	without := func(text, line string) string {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %q", line, text)
		}
		return strings.Replace(text, line, "", 1)
	}
	for name, c := range map[string]struct{ old, fresh, oldFacts, freshFacts, says string }{
		"no TUN device":     {oldFacts: without(oldFactsText, "tun rw-\n"), says: `host "old" has no /dev/net/tun`},
		"no TUN on the new": {freshFacts: without(freshFactsText, "tun rw-\n"), says: `host "new" has no /dev/net/tun`},
		"TUN for root only": {freshFacts: strings.Replace(freshFactsText, "tun rw-", "tun ---", 1), says: "chmod 666 /dev/net/tun"},
		"no firewall":       {oldFacts: without(oldFactsText, "nft present\n"), says: `host "old" has neither nft nor iptables`},
		"read-only sysctl":  {oldFacts: without(oldFactsText, "writable4 yes\n"), says: "ip_forward is read-only"},
		"read-only IPv6":    {oldFacts: without(oldFactsText, "writable6 yes\n"), says: "ipv6/conf/all/forwarding is read-only"},
		"no IPv6 there":     {freshFacts: without(freshFactsText, "forwarding6 0\n"), says: "IPv6 is switched off on host \"new\""},
		"no systemd there":  {freshFacts: without(freshFactsText, "init systemd\n"), says: `host "new" has no systemd`},
		"forwards dropped":  {oldFacts: oldFactsText + "drops inet filter\n", says: "nft table inet filter"},
		"PermitTunnel no":   {freshFacts: freshFactsText + "forbids /etc/ssh/sshd_config\n", says: "PermitTunnel in /etc/ssh/sshd_config"},
		"DisableForwarding": {fresh: freshSshd + "sshd disableforwarding yes\n", says: "DisableForwarding yes"},
		"a second tunnel":   {old: "other web *:80=80 *:25=25\n" + oldSystemd, says: `a tunnel already that takes port 25: "web"`},
		"localhost only":    {freshFacts: strings.Replace(freshFactsText, "listens 0.0.0.0:25\nlistens [::]:25", "listens 127.0.0.1:25", 1), says: "  25    not for IPv4: on 127.0.0.1 only\n  25    not for IPv6: on 127.0.0.1 only"},
		"IPv4 only":         {freshFacts: without(freshFactsText, "listens [::]:25\n"), says: "  25    not for IPv6: on 0.0.0.0 only"},
		"taken port":        {old: oldSystemd + "*:25 users:((\"master\",pid=77,fd=4))\n", says: "25    by master (process 77)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := startCarried(t, firstOf(c.old, oldSystemd), firstOf(c.fresh, freshSshd), firstOf(c.oldFacts, oldFactsText), firstOf(c.freshFacts, freshFactsText))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want an error with %q, got %v", c.says, err)
			}
		})
	}
}

// A mail server that trusts localhost is no obstacle: clients are not localhost.
// What fails afterwards is taken back on both hosts.
func TestFailedLinkIsUndone(t *testing.T) {
	t.Parallel()
	from, to := fakes(t, oldSystemd, freshSshd)
	from.Expect("tunnel/link_facts.sh relay").Prints(oldFactsText)
	to.Expect("tunnel/link_facts.sh relay").Prints(freshFactsText)
	to.OnDial(mailServer("250 fine"))
	from.Expect("tunnel/from_prepare.sh relay").Prints("ssh-ed25519 RELAYKEY x\n")
	to.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin")
	to.Expect("mkdir -p -m 755 /etc/cutover/link-relay")
	to.Expect("tunnel/to_link.sh relay cutover-relay dropin").Exits(1, "sshd keeps PermitTunnel off")
	from.Expect("tunnel/from_stop.sh relay")
	to.Expect("tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay")
	_, err := Tunnel{Name: "relay", Mode: Transparent, Forwards: []Forward{forward(25)}}.Start(context.Background(), from, to, Options{})
	if err == nil || !strings.Contains(err.Error(), "keeps PermitTunnel off") {
		t.Errorf("want sshd's words, got %v", err)
	}
	if _, ok := to.Files()["/etc/cutover/link-relay/rules.nft"]; !ok {
		t.Error("no rules were written")
	}
}

func TestInspectOfALink(t *testing.T) {
	t.Parallel()
	want := carried()
	want.Name = "relay"
	for name, c := range map[string]struct {
		spoil            func(old, fresh string) (string, string)
		saysOld, saysNew string
		status           string
	}{
		"as it should be": {status: Running},
		"rules gone":      {saysOld: "firewall rules of nft are gone or changed\n", status: `on host "old" firewall rules`},
		"route gone":      {saysNew: "the default route of table 7203 is gone\n", status: `on host "new" the default route`},
		"sshd forgot": {spoil: func(o, f string) (string, string) {
			return o, strings.Replace(f, "permittunnel point-to-point", "permittunnel no", 1)
		}, status: "carries no tunnels for cutover-relay"},
		"not at boot": {spoil: func(o, f string) (string, string) {
			return o, strings.Replace(f, "link enabled", "link disabled", 1)
		}, status: "cutover-link-relay.service is not started at boot"},
		"rules rewritten": {spoil: func(o, f string) (string, string) {
			return strings.Replace(o, "dport 25 dnat to 100.127.3.1:25", "dport 25 dnat to 100.127.3.9:25", 1), f
		}, status: "rules.nft was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := running(want)
			fresh += "sshd permittunnel point-to-point\nlink enabled\n"
			for _, f := range want.newEnd() {
				fresh += shown(f)
			}
			if c.spoil != nil {
				old, fresh = c.spoil(old, fresh)
			}
			from, to := fakes(t, old, fresh)
			from.Expect("tunnel/link.sh status /etc/cutover/tunnel-relay").Prints(c.saysOld)
			to.Expect("tunnel/link.sh status /etc/cutover/link-relay").Prints(c.saysNew)
			actual, status, found, err := Inspect(context.Background(), from, to, "relay", "")
			if err != nil || !found || actual.Mode != Transparent {
				t.Fatalf("found %v as %q, error %v", found, actual.Mode, err)
			}
			if c.status == Running && status != Running || !strings.Contains(status, c.status) {
				t.Errorf("status %q, want %q", status, c.status)
			}
		})
	}
}

// The block that to_link.sh appends to an sshd_config without sshd_config.d is
// taken out again to the last byte.
func TestBlockInSshdConfigIsTakenOut(t *testing.T) {
	t.Parallel()
	begin := strings.Index(toDismissText, "begin=")
	end := strings.Index(toDismissText, "if [ -n \"$reload\" ]")
	if begin < 0 || end < begin {
		t.Fatal("to_dismiss.sh has no such part any more")
	}
	addBegin := strings.Index(toLinkText, "permission() {")
	addEnd := strings.Index(toLinkText, "if ! said=")
	if addBegin < 0 || addEnd < addBegin {
		t.Fatal("to_link.sh has no such part any more")
	}
	for name, text := range map[string]string{"whole": "Port 22\nMatch User bob\n    X11Forwarding no\n", "without an end": "Port 22\nUsePAM yes", "empty": ""} {
		config := filepath.Join(t.TempDir(), "sshd_config")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		head := "set -eu\nname=relay account=cutover-relay reload= config=$1 dropin=$1.d\n"
		for _, step := range []struct{ script, third string }{
			{"set -- \"$1\" x block\n" + head + toLinkText[addBegin:addEnd], "PermitTunnel point-to-point"},
			{head + toDismissText[begin:end], ""},
		} {
			if out, err := exec.Command("sh", "-c", step.script, "sh", config).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			got, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			if step.third != "" && !strings.Contains(string(got), step.third) || step.third == "" && string(got) != text {
				t.Errorf("%s: the file is now %q", name, got)
			}
		}
	}
}

// What an interrupted apply left on one host alone is not forgotten there.
func TestLinkKeepsItsNumber(t *testing.T) {
	t.Parallel()
	want := carried()
	want.link.toFirewall = iptables
	for name, c := range map[string]struct{ old, fresh map[string]string }{
		"on both":        {map[string]string{want.directory() + "/link.conf": want.linkConf("from", nft)}, map[string]string{want.linkDirectory() + "/link.conf": want.linkConf("to", iptables)}},
		"on the new one": {nil, map[string]string{want.linkDirectory() + "/link.conf": want.linkConf("to", iptables)}},
	} {
		from, to := hosttest.New(t), hosttest.New(t)
		from.Expect("tunnel/link_facts.sh mail-web").Prints(oldFactsText)
		to.Expect("tunnel/link_facts.sh mail-web").Prints(freshFactsText)
		fresh := want
		fresh.link = link{}
		joined, _, _, err := fresh.joined(context.Background(), from, to, fromFacts{files: c.old, addresses: []string{"192.0.2.1"}}, toFacts{files: c.fresh})
		if err != nil || joined.link.device() != "tun7203" || joined.link.toFirewall != iptables || joined.link.fromFirewall != nft {
			t.Errorf("%s: joined by %+v, %v", name, joined.link, err)
		}
	}
}

func TestTransparentTunnelEndsAtTheNewHost(t *testing.T) {
	t.Parallel()
	tunnel := carried()
	if err := tunnel.Validate(); err != nil {
		t.Error(err)
	}
	tunnel.Forwards[0].TargetHost = "10.0.0.5"
	if err := tunnel.Validate(); err == nil || !strings.Contains(err.Error(), "ends at the new host itself") {
		t.Errorf("a third host was taken: %v", err)
	}
	if dial := carried().trialAddresses(Forward{"*", 25, Localhost, 25}, []string{"192.0.2.1", "192.0.2.9", "2001:db8::1"}); strings.Join(dial, " ") != "192.0.2.1:25 [2001:db8::1]:25" {
		t.Errorf("tried at %v", dial)
	}
}
