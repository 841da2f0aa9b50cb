package provider_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// shutOut keeps the new host from being called by the old ones, as the firewall
// of an old network would, until the end of the test.
func shutOut(t *testing.T, w *world) {
	t.Helper()
	run(t, w.trixie, "sh", "-c", `for address; do case $address in *:*) family=ip6 ;; *) family=ip ;; esac
		rules="$rules iifname != \"tun*\" $family saddr $address tcp flags & (syn | ack) == syn reject;"; done
		nft "table inet shutout { chain in { type filter hook input priority -10; $rules }; }"`,
		"sh", w.sysv.Address, w.sysv.Address6, w.bookworm.Address, w.bookworm.Address6)
	t.Cleanup(func() { run(t, w.trixie, "nft", "delete table inet shutout") })
}

// An old host that cannot call the new one is called by it; all else is as in
// the tunnel that it would have opened itself.
func TestAccTunnelFromNew(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		for _, host := range []*lab.Host{host, w.trixie} {
			untouched(t, host)
			unrouted(t, host)
		}
		shutOut(t, w)
		t.Cleanup(func() { run(t, w.trixie, "rm", "-rf", "/home/admin/mail") })
		standDown(t, host)
		const fromNew = "  initiate_from = \"new\"\n"
		ports := fromNew + "  ports = [25, 80, 110, 143, 587]"
		spoilt := func(on *lab.Host, script string) resource.TestStep {
			return resource.TestStep{
				PreConfig:        func() { run(t, on, "sh", "-c", script) },
				Config:           tunnelConfig(w, name, ports),
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				Check:            check(t, func() error { return served(w, host.Address6, 25) }),
			}
		}
		steps := []resource.TestStep{
			{ // the old host gets nowhere by itself
				Config:      tunnelConfig(w, name, "  ports = [25, 80]"),
				ExpectError: regexp.MustCompile(`(?s)cannot\s+reach\s+host\s+"new".*refused`),
			},
			{
				Config: tunnelConfig(w, name, ports),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(relay, "status", "running"),
					resource.TestCheckResourceAttr(relay, "from_address", host.Address),
					check(t, func() error { return exchangeAll(w, host) }),
					// Programs of the old host are served, too.
					check(t, func() error {
						said := run(t, host, "timeout", "10", "bash", "-c", "exec 3<>/dev/tcp/localhost/25; head -n 1 <&3")
						if !regexp.MustCompile(`^220 new`).MatchString(said) {
							return fmt.Errorf("localhost:25 of %s says %q", name, said)
						}
						return nil
					}),
				),
			},
			{
				ResourceName: relay, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/new/relay",
			},
		}
		if host == w.sysv {
			steps = append(steps,
				// Somebody who does not know Terraform, on either host.
				spoilt(w.trixie, "systemctl disable --now cutover-tunnel-relay"),
				spoilt(w.trixie, "systemctl stop cutover-tunnel-relay; rm -r /etc/cutover/tunnel-relay"),
				spoilt(host, "rm -r /var/lib/cutover/tunnel-relay; userdel -f cutover-relay"))
		}
		steps = append(steps, resource.TestStep{ // the same with packets, made anew
			Config:           tunnelConfig(w, name, fromNew+transparent),
			ConfigPlanChecks: planned(plancheck.ResourceActionReplace),
			Check: resource.ComposeTestCheckFunc(
				check(t, func() error { return exchangeAll(w, host) }),
				check(t, func() error { return clientsAreSeen(t, w) }),
			),
		})
		resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
		for _, port := range []int{25, 80, 143} {
			if err := refused(w, host.Address, port); err != nil {
				t.Error(err)
			}
		}
	})
}

// What is in the way of the connection from the new host is said before
// anything changes.
func TestAccTunnelFromNewSaysWhatIsInItsWay(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		const config = "/etc/ssh/sshd_config"
		sshd := func(line string) func() {
			return func() {
				run(t, host, "sh", "-c", `[ -f "$2.saved" ] || cp -p "$2" "$2.saved"; { echo "$1"; cat "$2.saved"; printf 'Match LocalPort 2222\n    X11Forwarding no\n'; } >"$2"`, "sh", line, config)
			}
		}
		t.Cleanup(func() { run(t, host, "sh", "-c", `[ ! -f "$1.saved" ] || mv "$1.saved" "$1"`, "sh", config) })
		tunnel := tunnelConfig(w, name, "  initiate_from = \"new\"\n  forwards = [{ listen_port = 8080, target_port = 80 }]")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					PreConfig: sshd("AllowTcpForwarding local"), Config: tunnel,
					ExpectError: regexp.MustCompile(`(?s)sshd\s+of\s+host\s+"` + name + `"\s+forbids\s+forwarding\s+\(AllowTcpForwarding\s+local\)`),
				},
				{
					PreConfig: sshd("GatewayPorts yes"), Config: tunnel,
					ExpectError: regexp.MustCompile(`(?s)lets\s+the\s+whole\s+world\s+in.*Match\s+User\s+cutover-relay`),
				},
				{
					PreConfig: sshd("AllowUsers root"), Config: tunnel,
					ExpectError: regexp.MustCompile(`(?s)sshd\s+of\s+host\s+"` + name + `"\s+admits\s+only\s+certain\s+users\s+\(AllowUsers\s+root\);\s+add\s+cutover-relay`),
				},
				{ // sshd was not told of the last line: the port is the old host's own affair
					PreConfig:   sshd("# nothing"),
					Config:      tunnelConfig(w, name, "  initiate_from = \"new\"\n  from_port = 2\n  forwards = [{ listen_port = 8080, target_port = 80 }]"),
					ExpectError: regexp.MustCompile(`(?s)host\s+"new"\s+cannot\s+reach\s+host\s+"` + name + `".*refused.*from_address`),
				},
			},
		})
	})
}

// A new host without systemd calls, too, and keeps calling.
func TestAccTunnelFromNewWithoutSystemd(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.bookworm)
	untouched(t, w.sysv)
	answered := func() error {
		by, err := ask(w, w.bookworm.Address, 8080)
		if err == nil && by != "sysv" {
			err = fmt.Errorf("port 8080 is served by %q", by)
		}
		return err
	}
	config := w.config(`
resource "cutover_forwarding_tunnel" "relay" {
  from          = "bookworm"
  to            = "sysv"
  initiate_from = "new"
  forwards      = [{ listen_port = 8080, target_port = 80 }]
}
`)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{Config: config, Check: check(t, answered)},
			{
				PreConfig: func() {
					killRelay(t, w.sysv, "relay")
					if err := eventually(10*time.Second, answered); err != nil {
						t.Error(err)
					}
				},
				Config: config, PlanOnly: true,
			},
		},
	})
}
