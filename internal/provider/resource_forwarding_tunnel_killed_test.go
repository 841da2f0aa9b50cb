package provider_test

import (
	"context"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// Terraform is killed while it makes or destroys a tunnel, alone or with its
// provider. The next apply, at once, makes the tunnel whole: nothing that was
// left undone is in its way, and nobody is left to undo what it makes.
func TestAccForwardingTunnelAfterAKill(t *testing.T) {
	afterKills(t, []kill{{terraformAlone, atAdmitted}, {terraformWithProvider, atStarted}})
}

// TestAccLongForwardingTunnelAfterAKill has the other two of both times two.
func TestAccLongForwardingTunnelAfterAKill(t *testing.T) {
	afterKills(t, []kill{{terraformAlone, atStarted}, {terraformWithProvider, atAdmitted}})
}

// kill is who is killed, and when.
type kill struct {
	who  int
	when string
}

// When a tunnel is far enough for a kill.
const (
	atAdmitted = "admitted" // the new host lets its key in
	atStarted  = "started"  // the old host has its unit, or its line of init
)

func afterKills(t *testing.T, kills []kill) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		terraform := newCommandLine(t, requires+tunnelConfig(w, name, `  forwards = [{ listen_port = 8080, target_port = 80 }]`))
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve") })
		has := func(host *lab.Host, what string) func() bool {
			return func() bool {
				_, err := host.Run(context.Background(), "sh", "-c", what)
				return err == nil
			}
		}
		prepared := has(host, "test -e /etc/cutover/tunnel-relay/id.pub")
		begun := map[string]func() bool{
			atAdmitted: has(w.trixie, "test -e /var/lib/cutover/tunnel-relay/.ssh/authorized_keys"),
			atStarted:  has(host, "grep -q supervise /etc/inittab || systemctl -q is-active cutover-tunnel-relay"),
		}
		for _, kill := range kills {
			terraform.runUntil(begun[kill.when], kill.who, "apply", "-auto-approve")
			terraform.run("apply", "-auto-approve")
			terraform.run("plan", "-detailed-exitcode")
			if err := served(w, host.Address, 8080); err != nil {
				t.Error(err)
			}
			terraform.runUntil(func() bool { return !prepared() }, kill.who, "destroy", "-auto-approve")
			terraform.run("apply", "-auto-approve")
			if err := served(w, host.Address, 8080); err != nil {
				t.Error(err)
			}
			terraform.run("destroy", "-auto-approve")
		}
	})
}
