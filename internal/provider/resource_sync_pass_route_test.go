package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// parted makes the two hosts unreachable for each other until the test ends.
func parted(t *testing.T, one, other *lab.Host) {
	t.Helper()
	for h, far := range map[*lab.Host]*lab.Host{one: other, other: one} {
		for option, address := range map[string]string{"-4": far.Address, "-6": far.Address6} {
			run(t, h, "ip", option, "route", "add", "unreachable", address)
			t.Cleanup(func() { run(t, h, "ip", option, "route", "del", "unreachable", address) })
		}
	}
	if _, err := one.Run(context.Background(), "ping", "-c1", "-W1", other.Address); err == nil {
		t.Fatalf("%s still reaches %s", one.Name, other.Name)
	}
}

// forbidForwarding forbids TCP forwarding in a host's sshd, for new connections.
func forbidForwarding(t *testing.T, h *lab.Host) (allow func()) {
	t.Helper()
	const reload = "\nif [ -d /run/systemd/system ]; then systemctl reload ssh; else /etc/init.d/ssh reload >/dev/null; fi"
	run(t, h, "sh", "-c", "cp -p /etc/ssh/sshd_config /root/sshd_config.before; sed -i '1i AllowTcpForwarding no' /etc/ssh/sshd_config"+reload)
	allow = func() {
		run(t, h, "sh", "-c", "[ ! -f /root/sshd_config.before ] || mv /root/sshd_config.before /etc/ssh/sshd_config"+reload)
	}
	t.Cleanup(allow)
	return allow
}

// Hosts that cannot reach each other: the direct way is refused with the advice
// to take the other, which works through bastions too, and as another login.
func TestAccSyncPassByWayOfTheOperator(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		parted(t, host, w.trixie)
		between := w.bookworm
		if host == between {
			between = w.sysv
		}
		const excludes = "  excludes = [\"*.tmp\", \"/staying\"]\n"
		entry := func(h *lab.Host, more string) string {
			return fmt.Sprintf("    %s = { address = %q, private_key_path = %q, known_hosts_path = %q, agent = false, ssh_config_path = \"none\", %s }\n",
				h.Name, h.Address, w.lab.KeyPath(), w.lab.KnownHostsPath(), more)
		}
		hops := "provider \"cutover\" {\n  hosts = {\n" + entry(host, fmt.Sprintf("user = \"operator\", become = { method = \"sudo\" }, bastions = [%q]", between.Name)) +
			entry(w.trixie, `user = "root"`) + entry(between, `user = "root"`) + "  }\n}\n"
		done := func(more ...func() error) resource.TestCheckFunc {
			return check(t, func() error {
				failed := []error{w.sameTrees(t, host), w.keyGone(t, host)}
				for _, one := range more {
					failed = append(failed, one())
				}
				return errors.Join(failed...)
			})
		}
		clean := func() {
			if err := w.keyGone(t, host); err != nil {
				t.Error(err)
			}
		}
		var allow func()
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      passConfig(w, name, excludes),
					ExpectError: regexp.MustCompile(`(?s)no\s+connection\s+comes\s+about.*route\s+=\s+"operator"`),
				},
				{
					PreConfig:   func() { clean(); allow = forbidForwarding(t, host) },
					Config:      passConfig(w, name, excludes+"  route = \"operator\"\n"),
					ExpectError: regexp.MustCompile(`(?s)AllowTcpForwarding.*On\s+host\s+"` + name + `",\s+sshd\s+has\s+to\s+allow\s+"root"\s+local\s+forwarding`),
				},
				{
					PreConfig:   func() { clean(); allow(); allow = forbidForwarding(t, w.trixie) },
					Config:      passConfig(w, name, excludes+"  route = \"operator\"\n"),
					ExpectError: regexp.MustCompile(`(?s)AllowTcpForwarding.*On\s+host\s+"new",\s+sshd\s+has\s+to\s+allow\s+"root"\s+remote\s+forwarding`),
				},
				{
					PreConfig: func() { clean(); allow() },
					Config:    passConfig(w, name, excludes+"  route = \"operator\"\n"),
					Check: done(func() error {
						// No port of the way is left.
						_, err := w.trixie.Run(context.Background(), "sh", "-c", `! ss -Htlnp '( src 127.0.0.1 )' | grep sshd`)
						return err
					}),
				},
				{
					PreConfig: func() {
						run(t, host, "sh", "-c", `cd "/srv/pass data"; echo seven >deep/er/seven; mv mine "deep/mine, read"`)
					},
					Config: hops + passBlock(name, excludes+"  route = \"operator\"\n  triggers = { again = 1 }\n"),
					Check:  done(),
				},
				{
					Config:      hops + passBlock(name, excludes+"  route = \"operator\"\n  from_port = 9\n  triggers = { again = 2 }\n"),
					ExpectError: regexp.MustCompile(`(?s)operator's\s+route:.*127\.0\.0\.1:9.*set\s+from_address\s+and\s+from_port`),
				},
			},
		})
		if left := run(t, w.trixie, "find", "/srv", "-name", ".cutover-*"); strings.TrimSpace(left) != "" {
			t.Errorf("left: %s", left)
		}
	})
}
