package provider_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestConnectionHoldRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ hcl, says string }{
		"no ports":          {`resource "cutover_connection_hold" "h" { host = "old" }`, `"ports" is required`},
		"empty ports":       {holdBlock("ports = []"), `at least 1`},
		"port 0":            {holdBlock("ports = [0]"), `between 1\s+and 65535`},
		"bad name":          {holdBlock("ports = [25]\nname = \"a;reboot\""), `lower-case letters`},
		"long name":         {holdBlock("ports = [25]\nname = \"abcdefghijklmnop\""), `up to 15`},
		"no duration":       {holdBlock("ports = [25]\nexpires_after = \"soon\""), `not a positive duration`},
		"part of a second":  {holdBlock("ports = [25]\nexpires_after = \"1500ms\""), `whole\s+seconds`},
		"days":              {holdBlock("ports = [25]\nexpires_after = \"48h\""), `1s\s+to\s+24h`},
		"unknown host":      {strings.ReplaceAll(holdBlock("ports = [25]"), `"old"`, `"odl"`), `no host "odl"`},
		"no hold's ID":      {releasingBlock("cutover"), `not HOST/NAME`},
		"another host's ID": {releasingBlock("new/cutover"), `clients arrive at\s+host "old"`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      "provider \"cutover\" {\n  hosts = { old = {}, new = {} }\n}\n" + c.hcl,
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

func holdBlock(arguments string) string {
	return "resource \"cutover_connection_hold\" \"h\" {\nhost = \"old\"\n" + arguments + "\n}\n"
}

func releasingBlock(id string) string {
	return fmt.Sprintf("resource \"cutover_forwarding_tunnel\" \"relay\" {\nfrom = \"old\"\nto = \"new\"\nports = [25]\nrelease_hold = %q\n}\n", id)
}

const held = "cutover_connection_hold.ports"

func holdConfig(w *world, host, arguments string) string {
	return w.config(fmt.Sprintf(`
resource "cutover_connection_hold" "ports" {
  host = %q
%s
}
`, host, arguments))
}

func TestAccConnectionHold(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		handWritten(t, host)
		sameFirewall(t, host)
		transfer := session(t, w, host)
		waiting := make(chan error, 1)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: holdConfig(w, name, `  ports = [25, 80, 110, 143, 587]`),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(held, "status", "held"),
						resource.TestMatchResourceAttr(held, "id", regexp.MustCompile("^"+name+"/cutover@20[0-9]{6}T[0-9]{6}Z$")),
						resource.TestCheckResourceAttr(held, "expires_after", "10m"),
						resource.TestCheckResourceAttr(held, "ends_by", "elapsed_time"),
						resource.TestMatchResourceAttr(held, "expires_at", regexp.MustCompile(`^20..-..-..T..:..:..Z$`)),
						check(t, func() error {
							errs := []error{transfer(), reachable(w, host.Address, 22), reachable(w, host.Address6, 22)}
							for _, port := range []int{25, 80, 143} {
								errs = append(errs, waits(w, host.Address, port), waits(w, host.Address6, port), onLoopback(host, port))
							}
							return errors.Join(errs...)
						}),
					),
				},
				{
					ResourceName: held, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/cutover",
				},
				{ // nothing to change after an import
					ResourceName: held, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: name + "/cutover",
				},
				{ // the same time in other words, and other ports; what waits goes on waiting
					Config: holdConfig(w, name, "  ports         = [80, 25]\n  expires_after = \"600s\""),
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
						plancheck.ExpectResourceAction(held, plancheck.ResourceActionUpdate)}},
					Check: check(t, func() error {
						return errors.Join(reachable(w, host.Address, 143), reachable(w, host.Address6, 143),
							waits(w, host.Address, 25), waits(w, host.Address6, 80), transfer())
					}),
				},
				{
					PreConfig: func() {
						go func() { waiting <- connects(w, host.Address, 80, pace.Limit(30*time.Second)) }()
						time.Sleep(500 * time.Millisecond)
					},
					Config: holdConfig(w, name, "  ports         = [80, 25]\n  expires_after = \"600s\""), PlanOnly: true,
				},
			},
		})
		if err := <-waiting; err != nil {
			t.Errorf("a client that waited was not served when the hold was destroyed: %v", err)
		}
	})
}

// The whole night: held, stopped, relayed, released. A client that comes all
// the time is never refused.
func TestAccConnectionHoldIsReleasedByTheTunnel(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		sameFirewall(t, host)
		web := map[string]string{"sysv": "apache2", "bookworm": "nginx"}[name]
		night := holdConfig(w, name, `  ports = [80]`) + fmt.Sprintf(`
resource "cutover_service" "old" {
  host       = %[1]q
  name       = %[2]q
  running    = false
  on_destroy = "restore"
  depends_on = [cutover_connection_hold.ports]
}

resource "cutover_forwarding_tunnel" "relay" {
  from         = %[1]q
  to           = "new"
  ports        = [80]
  release_hold = cutover_connection_hold.ports.id
  depends_on   = [cutover_service.old]
}
`, name, web)
		client := come(w, host.Address, 80)
		defer client.leave()
		done := func() error {
			if err := eventually(10*time.Second, func() error { return served(w, host.Address, 80) }); err != nil {
				return err
			}
			return served(w, host.Address6, 80)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: night, Check: check(t, done)},
				{ // what the tunnel has released is no drift
					Config:           night,
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
					Check:            resource.TestCheckResourceAttr(held, "status", "released"),
				},
				{ // made anew, it does not keep clients from a tunnel that stands
					PreConfig: func() { run(t, host, "rm", "/var/lib/cutover/hold-cutover") },
					Config:    night,
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
						plancheck.ExpectResourceAction(held, plancheck.ResourceActionCreate),
						plancheck.ExpectResourceAction(relay, plancheck.ResourceActionUpdate)}},
					Check: check(t, func() error {
						err := done()
						tries, refused, longest := client.leave() // the relays' end is no part of it
						t.Logf("%d connections, %d refused, longest wait %.1f s", tries, refused, longest.Seconds())
						if tries < 20 || refused > 0 || longest > pace.Limit(10*time.Second) {
							err = errors.Join(err, fmt.Errorf("of %d connections %d were refused, and one waited %s", tries, refused, longest))
						}
						return err
					}),
				},
			},
		})
	})
}

// Nobody is there to lift it: the host does so itself, and a reboot too.
func TestAccConnectionHoldEndsByItself(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		sameFirewall(t, host)
		short := pace.Limit(10 * time.Second).Round(time.Second)
		ten := fmt.Sprintf("  ports = [80, 25]\n  expires_after = %q", short)
		const long = "  ports = [80, 25]\n  name = \"two-words\""
		replaced := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectResourceAction(held, plancheck.ResourceActionDestroyBeforeCreate)}}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: holdConfig(w, name, ten),
					Check: check(t, func() error {
						start := time.Now()
						err := errors.Join(waits(w, host.Address, 80), waits(w, host.Address6, 25))
						for _, address := range []string{host.Address, host.Address6} {
							err = errors.Join(err, eventually(15*time.Second, func() error { return reachable(w, address, 80) }))
						}
						// It began before the check did.
						if after := time.Since(start); after > short+pace.Limit(2*time.Second) {
							err = errors.Join(err, fmt.Errorf("the hold of %s ended %s after its beginning", short, after))
						}
						return err
					}),
				},
				{
					Config:           holdConfig(w, name, ten),
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
					Check:            resource.TestCheckResourceAttr(held, "status", "expired"),
				},
				{ // a change of what is over holds nothing
					Config: holdConfig(w, name, "  ports = [80, 25, 110]\n  expires_after = \"1h\""),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(held, "status", "expired"),
						check(t, func() error { return reachable(w, host.Address, 80) })),
				},
				{
					Config: holdConfig(w, name, long),
					Check:  check(t, func() error { return waits(w, host.Address, 80) }),
				},
				{ // as a firewall manager does when it reloads
					PreConfig:        func() { reloadFirewall(t, host) },
					Config:           holdConfig(w, name, long),
					ConfigPlanChecks: replaced,
					Check:            check(t, func() error { return errors.Join(waits(w, host.Address, 80), waits(w, host.Address6, 25)) }),
				},
				{
					PreConfig: func() {
						if err := host.Reboot(context.Background()); err != nil {
							t.Fatal(err)
						}
						if err := eventually(30*time.Second, func() error { return reachable(w, host.Address, 80) }); err != nil {
							t.Errorf("held after a reboot: %v", err)
						}
					},
					Config:           holdConfig(w, name, long),
					ConfigPlanChecks: replaced,
					Check:            check(t, func() error { return waits(w, host.Address, 25) }),
				},
			},
		})
		if err := reachable(w, host.Address, 25); err != nil {
			t.Errorf("after destroy: %v", err)
		}
	})
}

// The clock of the lab is the machine's and is not set. But what is written down
// of the hold's beginning may lie an hour ahead, as after setting the clock back,
// and no rule of the hold has a date.
func TestAccConnectionHoldEndsWhateverTheClockSays(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		sameFirewall(t, host)
		setBack := func() {
			run(t, host, "sh", "-c", `file=/var/lib/cutover/hold-cutover
				awk '$1 == "begun" || $1 == "expires" { $2 += 3600 } { print }' $file >$file.new && mv $file.new $file`)
		}
		noDate := func() error {
			if rules := firewall(t, host); strings.Contains(rules, "-m time") || !strings.Contains(rules, "recent") && host.Kind == lab.SysV {
				return fmt.Errorf("the host's clock has a say in its rules:\n%s", rules)
			}
			return nil
		}
		short := pace.Limit(15 * time.Second).Round(time.Second)
		ends := holdConfig(w, name, fmt.Sprintf("  ports = [80, 25]\n  expires_after = %q", short))
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: holdConfig(w, name, "  ports = [80, 25]\n  expires_after = \"2h\""),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(held, "ends_by", "elapsed_time"),
						check(t, func() error { return errors.Join(noDate(), waits(w, host.Address, 80), waits(w, host.Address6, 25)) })),
				},
				{ // it ends so long after its beginning, and not after the time that is written down
					PreConfig:        setBack,
					Config:           ends,
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(held, plancheck.ResourceActionUpdate)}},
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(held, "status", "held"),
						check(t, func() error {
							err := errors.Join(noDate(), waits(w, host.Address, 80), waits(w, host.Address6, 25))
							for _, address := range []string{host.Address, host.Address6} {
								err = errors.Join(err, eventually(short, func() error { return reachable(w, address, 80) }))
							}
							setBack()
							return err
						})),
				},
				{
					Config:           ends,
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
					Check:            resource.TestCheckResourceAttr(held, "status", "expired"),
				},
			},
		})
	})
}

// Where xt_recent cannot be had, as before Debian 8, an end by the clock is better
// than none.
func TestAccConnectionHoldEndsByTheClockOfAnOldHost(t *testing.T) {
	w := labWorld(t)
	host := w.sysv
	untouched(t, host)
	sameFirewall(t, host)
	library := strings.TrimSpace(run(t, host, "sh", "-c", "ls /usr/lib/*/xtables/libxt_recent.so"))
	run(t, host, "mv", library, library+".hidden")
	t.Cleanup(func() { run(t, host, "mv", library+".hidden", library) })
	short := pace.Limit(10 * time.Second).Round(time.Second)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: holdConfig(w, "sysv", fmt.Sprintf("  ports = [80, 25]\n  expires_after = %q", short)),
			Check: resource.ComposeTestCheckFunc(
				resource.TestCheckResourceAttr(held, "ends_by", "clock"),
				check(t, func() error {
					err := errors.Join(waits(w, host.Address, 80), waits(w, host.Address6, 25))
					for _, address := range []string{host.Address, host.Address6} {
						err = errors.Join(err, eventually(short, func() error { return reachable(w, address, 80) }))
					}
					return err
				})),
		}},
	})
}

func TestAccConnectionHoldSaysWhatIsInItsWay(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		sameFirewall(t, host)
		first := holdConfig(w, name, `  ports = [80, 25]`)
		second := func(ports string) string {
			return first + fmt.Sprintf("resource \"cutover_connection_hold\" \"second\" {\n  host = %q\n  name = \"second\"\n  ports = %s\n  depends_on = [%s]\n}\n", name, ports, held)
		}
		// What holds connections on this host, and what is said where it is gone.
		tool, lacking := "/usr/sbin/nft", `neither\s+nftables\s+nor\s+iptables`
		if name == "sysv" {
			tool, lacking = "/usr/sbin/ip6tables-restore", `speaks\s+IPv6\s+and\s+has\s+neither`
		}
		hide := func() {
			run(t, host, "mv", tool, tool+".hidden")
			t.Cleanup(func() { run(t, host, "mv", tool+".hidden", tool) })
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      holdConfig(w, name, `  ports = [25, 22]`),
					ExpectError: regexp.MustCompile(`(?s)Unable to create connection hold.*port\s+22\s+of\s+host\s+"` + name + `"\s+is\s+the\s+one\s+through\s+which`),
				},
				{
					Config: first,
					Check:  check(t, func() error { return reachable(w, host.Address, 22) }),
				},
				{
					Config:      second(`[110, 25]`),
					ExpectError: regexp.MustCompile(`(?s)port\s+25\s+of\s+host\s+"` + name + `"\s+is\s+held\s+already,\s+by\s+the\s+hold\s+"cutover"`),
				},
				{ // one beside the other, and each ends alone
					Config: second(`[110]`),
					Check:  check(t, func() error { return errors.Join(waits(w, host.Address, 110), waits(w, host.Address, 25)) }),
				},
				{
					Config: first,
					Check:  check(t, func() error { return errors.Join(reachable(w, host.Address, 110), waits(w, host.Address, 25)) }),
				},
				{ // a hold that somebody else has under the name
					Config:      holdConfig(w, name, `  ports = [80, 25]`) + fmt.Sprintf("resource \"cutover_connection_hold\" \"same\" {\n  host = %q\n  ports = [110]\n  depends_on = [%s]\n}\n", name, held),
					ExpectError: regexp.MustCompile(`has\s+a\s+hold\s+"cutover"\s+already`),
				},
				{Config: w.config(""), Check: check(t, func() error { return reachable(w, host.Address, 25) })},
				{
					PreConfig:   hide,
					Config:      first,
					ExpectError: regexp.MustCompile(`(?s)` + lacking + `.*apt-get\s+install\s+nftables`),
				},
			},
		})
	})
}

// connects opens a connection to a port from the lab's client and closes it.
func connects(w *world, address string, port int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// reachable is an error unless a new connection is accepted at once.
func reachable(w *world, address string, port int) error {
	if err := connects(w, address, port, pace.Limit(time.Second)); err != nil {
		return fmt.Errorf("port %d of %s is not reached: %w", port, address, err)
	}
	return nil
}

// waits is an error unless a new connection is neither accepted nor refused.
func waits(w *world, address string, port int) error {
	err := connects(w, address, port, 1500*time.Millisecond)
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return errors.Join(fmt.Errorf("port %d of %s does not keep a client waiting", port, address), err)
}

// onLoopback is an error unless a program on the host itself reaches the port.
func onLoopback(host *lab.Host, port int) error {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(5*time.Second))
	defer cancel()
	for _, address := range []string{"127.0.0.1", "::1", host.Address} {
		if _, err := host.Run(ctx, "bash", "-c", `exec 3<>"/dev/tcp/$1/$2"`, "bash", address, fmt.Sprint(port)); err != nil {
			return fmt.Errorf("from the host itself: %w", err)
		}
	}
	return nil
}

// session is an IMAP connection that was there before, as that of a transfer
// in progress. What it returns is an error once the connection was cut.
func session(t *testing.T, w *world, host *lab.Host) func() error {
	t.Helper()
	conn, err := w.client.Dial(context.Background(), "tcp", net.JoinHostPort(host.Address, "143"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	answers := bufio.NewReader(conn)
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatalf("no greeting: %v", err)
	}
	return func() error {
		if err := conn.SetDeadline(time.Now().Add(pace.Limit(5 * time.Second))); err != nil {
			return err
		}
		if _, err := fmt.Fprint(conn, "a NOOP\r\n"); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err == nil && !strings.HasPrefix(answer, "a OK") {
			err = fmt.Errorf("it answered %q", answer)
		}
		return err
	}
}

// caller is a client that opens one connection after the other.
type caller struct {
	cancel  context.CancelFunc
	done    sync.WaitGroup
	tries   int
	refused int
	longest time.Duration
}

func come(w *world, address string, port int) *caller {
	ctx, cancel := context.WithCancel(context.Background())
	c := &caller{cancel: cancel}
	c.done.Go(func() {
		for ctx.Err() == nil {
			start := time.Now()
			conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, syscall.ECONNREFUSED):
				c.refused++
			case err == nil:
				conn.Close()
				c.longest = max(c.longest, time.Since(start))
			}
			c.tries++
			time.Sleep(100 * time.Millisecond)
		}
	})
	return c
}

func (c *caller) leave() (tries, refused int, longest time.Duration) {
	c.cancel()
	c.done.Wait()
	return c.tries, c.refused, c.longest
}

// handWritten gives the host rules of its own, as any server has, until the
// end of the test.
func handWritten(t *testing.T, host *lab.Host) {
	t.Helper()
	writeByHand(t, host)
	t.Cleanup(func() { reloadFirewall(t, host) })
}

func writeByHand(t *testing.T, host *lab.Host) {
	t.Helper()
	if host.Kind == lab.SysV {
		run(t, host, "sh", "-c", `for t in iptables ip6tables; do
			$t -t mangle -A PREROUTING -p tcp --dport 8999 -j ACCEPT && $t -A INPUT -p tcp --dport 8999 -j DROP || exit 1; done`)
		return
	}
	run(t, host, "nft", `table inet mine { set bad { type ipv4_addr; flags timeout; }; chain in { type filter hook input priority 0; policy accept; ip saddr @bad drop; tcp dport 8999 drop; }; }`)
}

// reloadFirewall sets the firewall up as at boot, and so takes away all other
// rules, whoever made them.
func reloadFirewall(t *testing.T, host *lab.Host) {
	t.Helper()
	if host.Kind == lab.SysV {
		run(t, host, "sh", "-c", `for t in iptables ip6tables; do for table in mangle filter; do printf '*%s\nCOMMIT\n' $table | $t-restore || exit 1; done; done`)
		return
	}
	run(t, host, "nft", "-f", "/etc/nftables.conf")
}

// sameFirewall compares the host's rules before the test with those after it,
// and its sysctls.
func sameFirewall(t *testing.T, host *lab.Host) {
	t.Helper()
	before := firewall(t, host)
	t.Cleanup(func() {
		if after := firewall(t, host); after != before {
			t.Errorf("of the firewall of %s these lines are gone:\n%s\nand these are new:\n%s", host.Name, linesWithout(before, after), linesWithout(after, before))
		}
	})
}

var counters = regexp.MustCompile(` ?\[[0-9]+:[0-9]+\]`)

// firewall is all that a host filters, without counters and comments.
func firewall(t *testing.T, host *lab.Host) string {
	t.Helper()
	said := run(t, host, "sh", "-c", `
		command -v nft >/dev/null && { nft -s list ruleset || exit 1; }
		for t in iptables ip6tables; do command -v $t-save >/dev/null && { echo "# $t"; $t-save || exit 1; }; done
		echo "# sysctl"; sysctl -a 2>/dev/null | grep -E '^net\.(ipv4|ipv6)\.(conf\.|ip_forward|tcp_syn)|^net\.netfilter\.nf_conntrack_tcp' | sort; true`)
	var kept []string
	for _, line := range strings.Split(counters.ReplaceAllString(said, ""), "\n") {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
