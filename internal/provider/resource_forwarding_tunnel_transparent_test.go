package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

const transparent = `  mode  = "transparent"
  ports = [25, 80, 110, 143, 587]`

func TestAccTransparentTunnel(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		unrouted(t, host)
		unrouted(t, w.trixie)
		t.Cleanup(func() { run(t, w.trixie, "rm", "-rf", "/home/admin/mail") })
		standDown(t, host)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: tunnelConfig(w, name, transparent),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(relay, "status", "running"),
						check(t, func() error { return exchangeAll(w, host) }),
						check(t, func() error { return clientsAreSeen(t, w) }),
					),
				},
				{
					ResourceName: relay, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/new/relay",
				},
			},
		})
		for _, port := range []int{25, 80, 143} {
			if err := refused(w, host.Address, port); err != nil {
				t.Error(err)
			}
		}
	})
}

// Docker, libvirt and VPNs rely on a setting that they find to be as they need it.
func TestAccTransparentTunnelLeavesForwardingToOthers(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		unrouted(t, host)
		t.Cleanup(func() { run(t, host, "rm", "-rf", "/root/link") })
		settings := func() string {
			return strings.Join(strings.Fields(run(t, host, "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")), " ")
		}
		if settings() != "0 0" {
			t.Fatalf("the host forwards before the test: %s", settings())
		}
		// What is made, as Docker does, and how it goes again.
		const bridge, noBridge = "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up", "ip link del docker0"
		rule := `if command -v nft; then nft "table ip docker { chain post { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade; }; }"
			else iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE; fi`
		noRule := `if command -v nft; then nft delete table ip docker; else printf '*nat\nCOMMIT\n' | iptables-restore; fi`
		through := strings.NewReplacer("nat hook postrouting priority 100", "filter hook forward priority 0", `ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade`, `iifname \"docker0\" accept`,
			"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "-A FORWARD -i docker0 -j ACCEPT").Replace(rule)
		notThrough := strings.Replace(noRule, "*nat", "*filter", 1)
		const file, noFile = "echo net.ipv4.ip_forward = 1 >/etc/sysctl.d/99-kubernetes.conf", "rm /etc/sysctl.d/99-kubernetes.conf"
		off := func() {
			run(t, host, "sh", "-c", `echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
				for setting in /proc/sys/net/ipv6/conf/*/accept_ra; do
					if [ "$(cat $setting)" = 2 ]; then echo 1 >$setting; fi
				done
				rm -f /var/run/cutover/forwarding.*; rmdir /var/run/cutover 2>/dev/null || true`)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: tunnelConfig(w, name, "  mode = \"transparent\"\n  forwards = [{ listen_port = 8080, target_port = 80 }]"),
					Check: check(t, func() error {
						run(t, host, "cp", "-r", "/etc/cutover/tunnel-relay", "/root/link")
						return served(w, host.Address, 8080)
					}),
				},
				{
					PreConfig: func() { run(t, host, "sh", "-ec", bridge+"\n"+rule) },
					Config:    w.config(""),
					Check: check(t, func() error {
						defer off()
						defer run(t, host, "sh", "-c", noBridge+"\n"+noRule)
						if now := settings(); now != "1 1" {
							return fmt.Errorf("Docker was cut off: forwarding is %s", now)
						}
						return nil
					}),
				},
			},
		})
		// The old host's end alone, once for each thing that counts by itself.
		for _, c := range []struct{ does, make, undo, left string }{
			{"nothing", ":", ":", "0 0"},
			{"a bridge", bridge, noBridge, "1 1"},
			{"a bridge that is gone again", bridge + "\n" + noBridge, ":", "0 0"},
			{"a rule that translates", rule, noRule, "1 1"},
			{"a rule that lets through", through, notThrough, "1 1"},
			{"a file", file, noFile, "1 1"},
			{"a bridge that goes after the first stop", bridge + "\n/root/link/link down /root/link\n" + noBridge, ":", "0 0"},
			{"a bridge before a restart", bridge + "\n/root/link/link down /root/link\n/root/link/link up /root/link", noBridge, "1 1"},
			{"a bridge, forwarding off", bridge + "\necho 0 >/proc/sys/net/ipv6/conf/all/forwarding", noBridge, "1 0"},
		} {
			run(t, host, "/root/link/link", "up", "/root/link")
			if now := settings(); now != "1 1" {
				t.Fatalf("%s: up, forwarding is %s", c.does, now)
			}
			run(t, host, "sh", "-ec", c.make)
			run(t, host, "/root/link/link", "down", "/root/link")
			if now := settings(); now != c.left {
				t.Errorf("%s came meanwhile, and now forwarding is %s, want %s", c.does, now, c.left)
			}
			run(t, host, "sh", "-ec", c.undo)
			off()
		}
		// What was on before, and is switched off meanwhile, stays off.
		run(t, host, "sh", "-ec", "echo 1 >/proc/sys/net/ipv4/ip_forward; /root/link/link up /root/link; echo 0 >/proc/sys/net/ipv4/ip_forward; /root/link/link down /root/link")
		if now := settings(); now != "0 0" {
			t.Errorf("somebody switched forwarding off, and now it is %s", now)
		}
	})
}

func TestAccLongTransparentTunnelSurvives(t *testing.T) {
	w := labWorld(t)
	for _, host := range []*lab.Host{w.sysv, w.bookworm, w.trixie} {
		unrouted(t, host)
	}
	survives(t, w, "transparent", wholeLife)
}

// A connection that a client has open outlives the death of ssh, and another
// port; what somebody takes away from either host is put back.
func TestAccTransparentTunnelIsPutRight(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		for _, host := range []*lab.Host{host, w.trixie} {
			untouched(t, host)
			unrouted(t, host)
		}
		one := tunnelConfig(w, name, "  mode = \"transparent\"\n  forwards = [{ listen_port = 8025, target_port = 25 }]")
		two := tunnelConfig(w, name, "  mode = \"transparent\"\n  forwards = [{ listen_port = 8025, target_port = 25 }, { listen_port = 8080, target_port = 80 }]")
		var open net.Conn
		defer func() {
			if open != nil {
				open.Close()
			}
		}()
		spoilt := func(on *lab.Host, script string) resource.TestStep {
			return resource.TestStep{
				PreConfig:        func() { run(t, on, "sh", "-c", script) },
				Config:           two,
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				Check: check(t, func() error {
					return errors.Join(served(w, host.Address, 8080), served(w, host.Address6, 8025), stillAnswers(open))
				}),
			}
		}
		steps := []resource.TestStep{
			{
				Config: one,
				Check: check(t, func() error {
					var err error
					if open, err = greeted(w, host.Address); err != nil {
						return err
					}
					killRelay(t, host, "relay")
					return stillAnswers(open)
				}),
			},
			{
				Config:           two,
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				Check: check(t, func() error {
					// The two hosts themselves call the old name, too.
					for on, address := range map[*lab.Host]string{host: "127.0.0.1", w.trixie: host.Address} {
						if said := run(t, on, "timeout", "10", "bash", "-c", `exec 3<>"/dev/tcp/$1/8025"; head -n 1 <&3`, "bash", address); !strings.Contains(said, "220 new") {
							return fmt.Errorf("%s calls %s:8025 and hears %q", on.Name, address, said)
						}
					}
					return errors.Join(served(w, host.Address, 8080), served(w, host.Address6, 8080), stillAnswers(open))
				}),
			},
			// A firewall that is loaded anew takes the rules of others with it.
			spoilt(host, `if command -v nft >/dev/null; then systemctl restart nftables; else iptables -t nat -F; ip6tables -t nat -F PREROUTING; fi`),
			spoilt(host, `echo 0 >/proc/sys/net/ipv4/ip_forward`),
			spoilt(w.trixie, `systemctl restart nftables; ip rule del pref $(ip rule | grep -o '^72[0-9]*\|^73[0-9]*\|^74[0-9]*')`),
			spoilt(w.trixie, `rm /etc/ssh/sshd_config.d/cutover-link-relay.conf; systemctl reload ssh`),
			spoilt(w.trixie, `systemctl disable --now cutover-link-relay`),
			{ // booted, the new host lets the tunnel in again
				Config: two,
				Check: check(t, func() error {
					err := w.trixie.Reboot(context.Background())
					return errors.Join(err, eventually(30*time.Second, func() error { return served(w, host.Address, 8080) }))
				}),
			},
		}
		resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
	})
}

// The mail server that forward mode refuses, because it trusts localhost,
// relays nothing for clients of a transparent tunnel.
func TestAccTransparentTunnelMakesNoOpenRelay(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	untouched(t, w.trixie)
	trustLocalhost(t, w)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: tunnelConfig(w, "sysv", "  mode = \"transparent\"\n  forwards = [{ listen_port = 8025, target_port = 25 }]"),
			Check: check(t, func() error {
				for _, address := range []string{w.sysv.Address, w.sysv.Address6} {
					said, _ := w.client.Run(context.Background(), "swaks", "--server", address, "--port", "8025", "--quit-after", "RCPT",
						"--from", "spammer@example.net", "--to", "victim@example.org")
					if !strings.Contains(said, "Relay access denied") {
						return fmt.Errorf("the mail server behind %s would relay:\n%s", address, said)
					}
				}
				return nil
			}),
		}},
	})
}

// greeted opens an SMTP connection to port 8025 of an address.
func greeted(w *world, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(10*time.Second))
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(address, "8025"))
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(pace.Limit(10 * time.Second))); err != nil {
		return conn, err
	}
	_, err = conn.Read(make([]byte, 512))
	return conn, err
}

// stillAnswers says NOOP on an SMTP connection and waits for the reply.
func stillAnswers(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(pace.Limit(20 * time.Second))); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("NOOP\r\n")); err != nil {
		return fmt.Errorf("the connection that was open: %w", err)
	}
	reply := make([]byte, 512)
	n, err := conn.Read(reply)
	if err != nil {
		return fmt.Errorf("the connection that was open: %w", err)
	}
	if !strings.HasPrefix(string(reply[:n]), "250") {
		return fmt.Errorf("the connection that was open answered %q", reply[:n])
	}
	return nil
}

func TestAccTransparentTunnelSaysWhatIsInItsWay(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		for _, host := range []*lab.Host{host, w.trixie} {
			untouched(t, host)
			unrouted(t, host)
		}
		t.Cleanup(func() {
			run(t, w.trixie, "sh", "-c", `rm -f /etc/ssh/sshd_config.d/hardened.conf
				if [ -f /etc/postfix/main.cf.saved ]; then mv /etc/postfix/main.cf.saved /etc/postfix/main.cf; systemctl restart postfix; fi`)
		})
		on := func(script string) func() { return func() { run(t, w.trixie, "sh", "-c", script) } }
		// A firewall that lets nothing through is in the way where it is nft's; in
		// that of iptables our rules come first.
		const shut, unshut = "table inet shut { chain through { type filter hook forward priority 0; policy drop; }; }", "nft delete table inet shut"
		t.Cleanup(func() {
			uncontain(t, host)
			run(t, host, "sh", "-c", `[ -c /dev/net/tun ] || mknod -m 666 /dev/net/tun c 10 200
				if command -v nft >/dev/null; then nft delete table inet shut 2>/dev/null || true; else printf '*filter\nCOMMIT\n' | iptables-restore; fi`)
		})
		old := func(script string, args ...string) func() {
			return func() { run(t, host, append([]string{"sh", "-c", script, "sh"}, args...)...) }
		}
		mode := "  mode = \"transparent\"\n"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{ // a container without the device, without a firewall, and with settings that cannot be changed
					PreConfig: func() { contain(t, host) },
					Config:    tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 80 }]"),
					ExpectError: regexp.MustCompile(`(?s)host\s+"` + name + `"\s+has\s+no\s+/dev/net/tun.*neither\s+nft\s+nor\s+iptables.*` +
						`/proc/sys/net/ipv4/ip_forward\s+is\s+read-only.*ipv6/conf/all/forwarding\s+is\s+read-only`),
				},
				{
					PreConfig:   old(uncontained+`mknod -m 666 /dev/net/tun c 10 200; if command -v nft >/dev/null; then nft "$1"; fi`, shut),
					Config:      tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 8998 }]"),
					ExpectError: regexp.MustCompile(map[string]string{"bookworm": `(?s)keeps\s+out\s+what\s+is\s+forwarded\s+\(nft\s+table\s+inet\s+shut\)`, "sysv": "nothing\\s+useful"}[name]),
				},
				{ // the old services still run
					PreConfig:   old(`if command -v nft >/dev/null; then $1; else iptables -P FORWARD DROP; fi`, unshut),
					Config:      tunnelConfig(w, name, mode+"  ports = [25]"),
					ExpectError: regexp.MustCompile(`(?s)ports\s+of\s+host\s+"` + name + `"\s+are\s+taken`),
				},
				{
					Config:      tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 80, target_host = \"192.0.2.1\" }]"),
					ExpectError: regexp.MustCompile(`(?s)ends\s+at\s+the\s+new\s+host\s+itself`),
				},
				{
					PreConfig:   on("echo 'PermitTunnel no' >/etc/ssh/sshd_config.d/hardened.conf"),
					Config:      tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 80 }]"),
					ExpectError: regexp.MustCompile(`(?s)forbids\s+layer-3\s+tunnels.*hardened\.conf`),
				},
				{
					PreConfig:   on("rm /etc/ssh/sshd_config.d/hardened.conf; cp -p /etc/postfix/main.cf /etc/postfix/main.cf.saved; postconf -e inet_interfaces=loopback-only; systemctl restart postfix"),
					Config:      tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8025, target_port = 25 }]"),
					ExpectError: regexp.MustCompile(`(?s)do\s+not\s+listen\s+on\s+every\s+address.*  25    not for IPv4`),
				},
				{
					PreConfig: on("mv /etc/postfix/main.cf.saved /etc/postfix/main.cf; systemctl restart postfix"),
					Config:    tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 80 }]"),
					Check:     check(t, func() error { return served(w, host.Address, 8080) }),
				},
				{ // a second one over the same port
					Config: tunnelConfig(w, name, mode+"  forwards = [{ listen_port = 8080, target_port = 80 }]") + fmt.Sprintf(`
resource "cutover_forwarding_tunnel" "second" {
  from     = %q
  to       = "new"
  name     = "second"
  mode     = "transparent"
  forwards = [{ listen_port = 8080, target_port = 80 }]
}
`, name),
					ExpectError: regexp.MustCompile(`(?s)has\s+a\s+tunnel\s+already\s+that\s+takes\s+port\s+8080:\s+"relay"`),
				},
			},
		})
	})
}

// contain makes of a host what a container of little privilege is.
func contain(t *testing.T, host *lab.Host) {
	t.Helper()
	run(t, host, "sh", "-c", `umount /dev/net/tun; rm /dev/net/tun
		for tool in nft iptables-restore; do
			if [ -e /usr/sbin/$tool ]; then mv /usr/sbin/$tool /usr/sbin/$tool.hidden; fi
		done
		for setting in ipv4/ip_forward ipv6/conf/all/forwarding; do
			mount --bind /proc/sys/net/$setting /proc/sys/net/$setting && mount -o remount,ro,bind /proc/sys/net/$setting || exit 1
		done`)
}

// uncontained undoes contain, but for the device.
const uncontained = `for tool in nft iptables-restore; do
		if [ -e /usr/sbin/$tool.hidden ]; then mv /usr/sbin/$tool.hidden /usr/sbin/$tool; fi
	done
	for setting in ipv4/ip_forward ipv6/conf/all/forwarding; do
		while grep -q " /proc/sys/net/$setting " /proc/mounts; do umount /proc/sys/net/$setting; done
	done
	`

func uncontain(t *testing.T, host *lab.Host) {
	t.Helper()
	run(t, host, "sh", "-c", uncontained)
}

// clientsAreSeen looks for the client's own addresses in the logs of the new
// host's services.
func clientsAreSeen(t *testing.T, w *world) error {
	t.Helper()
	logs := run(t, w.trixie, "sh", "-c", `cat /var/log/apache2/*access.log; journalctl --no-pager -q -u 'postfix*' -u dovecot`)
	var errs []error
	for _, address := range []string{w.client.Address, w.client.Address6} {
		for service, pattern := range map[string]string{
			"Apache":  `(?m)^` + regexp.QuoteMeta(address) + ` .*"GET / `,
			"Postfix": `postfix/smtpd.* connect from \S*\[` + regexp.QuoteMeta(address) + `\]`,
			"Dovecot": `dovecot.*imap-login.*rip=` + regexp.QuoteMeta(address) + `,`,
			"POP3":    `dovecot.*pop3-login.*rip=` + regexp.QuoteMeta(address) + `,`,
		} {
			if !regexp.MustCompile(pattern).MatchString(logs) {
				errs = append(errs, fmt.Errorf("%s on the new host never saw the client's address %s", service, address))
			}
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("its logs:\n%s", logs))
	}
	return errors.Join(errs...)
}

// unrouted compares what a host's kernel has of firewall rules, routes,
// devices and settings before the test with that after it.
func unrouted(t *testing.T, host *lab.Host) {
	t.Helper()
	before := network(t, host)
	t.Cleanup(func() {
		if after := network(t, host); after != before {
			t.Errorf("the network of %s has changed:\n%s", host.Name, differing(before, after))
		}
	})
}

// differing are the lines that only one of two texts has.
func differing(before, after string) string {
	var lines []string
	for mark, pair := range map[string][2]string{"gone: ": {before, after}, "new: ": {after, before}} {
		has := map[string]bool{}
		for _, line := range strings.Split(pair[1], "\n") {
			has[line] = true
		}
		for _, line := range strings.Split(pair[0], "\n") {
			if !has[line] {
				lines = append(lines, mark+line)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func network(t *testing.T, host *lab.Host) string {
	t.Helper()
	// Lifetimes change by themselves, and the number of a link's other end at boot.
	return run(t, host, "sh", "-c", `
		if command -v nft >/dev/null; then nft list ruleset; fi
		for save in iptables-save ip6tables-save; do
			if command -v $save >/dev/null; then $save | sed '/^#/d; s/\[.*\]//'; fi
		done
		ip link | sed 's/qlen.*//; s/@if[0-9]*//'; ip addr | grep inet | sed 's/valid_lft.*//'
		ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//'; ip rule; ip -6 rule
		grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv4/conf/*/rp_filter \
			/proc/sys/net/ipv4/conf/*/accept_redirects /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra
	`)
}
