package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
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
			t.Errorf("the network of %s was\n%s\nand is\n%s", host.Name, before, after)
		}
	})
}

func network(t *testing.T, host *lab.Host) string {
	t.Helper()
	// An empty chain that accepts is what iptables leaves when it has looked.
	// Counters, lifetimes and neighbours change by themselves.
	return run(t, host, "sh", "-c", `
		if command -v nft >/dev/null; then nft list ruleset; fi
		for save in iptables-save ip6tables-save; do
			if command -v $save >/dev/null; then $save | grep -v '^[#*]\|^COMMIT\|^:.* ACCEPT '; fi
		done
		ip link | sed 's/qlen.*//'; ip addr | grep inet | sed 's/valid_lft.*//'
		ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//'; ip rule; ip -6 rule
		grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv4/conf/*/rp_filter \
			/proc/sys/net/ipv4/conf/*/accept_redirects /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra
	`)
}

var _ = []any{context.Background, strings.Join, time.Now}
