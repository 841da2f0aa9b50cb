package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

func TestForwardingTunnelRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	block := `provider "cutover" { hosts = { old = {}, new = {} } }
resource "cutover_forwarding_tunnel" "t" {
%s
}`
	for name, c := range map[string]struct{ arguments, says string }{
		"no ports":       {`from = "old", to = "new"`, `(?s)one \(and only one\)|At least one attribute`},
		"port 0":         {`from = "old", to = "new", ports = [0]`, `between 1\s+and 65535`},
		"port 70000":     {`from = "old", to = "new", ports = [70000]`, `between 1\s+and 65535`},
		"port twice":     {`from = "old", to = "new", ports = [25, 25]`, `port 25 is listed twice|Port 25 is listed twice`},
		"same host":      {`from = "old", to = "old", ports = [25]`, `a tunnel leads from one\s+host to another`},
		"unknown host":   {`from = "old", to = "nwe", ports = [25]`, `(?s)no host "nwe";.*"new", "old"`},
		"bad name":       {`from = "old", to = "new", ports = [25], name = "a;reboot"`, `lower-case letters`},
		"bad source":     {`from = "old", to = "new", ports = [25], source_addresses = ["x,command"]`, `neither\s+an\s+IP\s+address`},
		"port in both":   {`from = "old", to = "new", ports = [25], forwards = [{ listen_port = 25, target_port = 26 }]`, `listed\s+twice`},
		"from and from":  {`from = "old", to = "new", ports = [25], from_address = "192.0.2.1"`, `leave\s+from_address\s+out`},
		"to and to":      {`from = "old", to = "new", ports = [25], initiate_from = "new", to_port = 22`, `leave\s+to_port\s+out`},
		"third host":     {`from = "old", to = "new", ports = [25], initiate_from = "me"`, `value must be one of`},
		"unknown option": {`from = "old", to = "new", ports = [25], mode = "vpn"`, `value must be one of`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf(block, strings.ReplaceAll(splitArguments(c.arguments), ";;", ",")),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// splitArguments puts each argument on a line of its own; HCL wants that.
func splitArguments(arguments string) string {
	return regexp.MustCompile(`, (\w+ = )`).ReplaceAllString(strings.ReplaceAll(arguments, "{ listen_port = 25, target_port = 26 }", "{ listen_port = 25;; target_port = 26 }"), "\n$1")
}

const relay = "cutover_forwarding_tunnel.relay"

func tunnelConfig(w *world, from, arguments string) string {
	return w.config(fmt.Sprintf(`
resource "cutover_forwarding_tunnel" "relay" {
  from = %q
  to   = "new"
%s
}
`, from, arguments))
}

func TestAccForwardingTunnel(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		t.Cleanup(func() { run(t, w.trixie, "rm", "-rf", "/home/admin/mail") })
		standDown(t, host)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: tunnelConfig(w, name, `  ports = [25, 80, 110, 143, 587]`),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(relay, "status", "running"),
						resource.TestCheckResourceAttr(relay, "id", name+"/new/relay"),
						check(t, func() error { return exchangeAll(w, host) }),
					),
				},
				{
					ResourceName: relay, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/new/relay",
				},
				{ // nothing to change after an import
					ResourceName: relay, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: name + "/new/relay",
				},
				{ // changed in place
					Config: tunnelConfig(w, name, `  ports    = [80, 25]
  forwards = [{ listen_port = 8143, target_port = 143 }]`),
					ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return errors.Join(
							served(w, host.Address, 80), served(w, host.Address, 25), served(w, host.Address, 8143),
							refused(w, host.Address, 110), refused(w, host.Address, 143))
					}),
				},
				{ // stopped, and not to be started at boot
					PreConfig:        func() { stopRelays(t, host) },
					Config:           tunnelConfig(w, name, "  ports = [25, 80]\n  forwards = [{ listen_port = 8143, target_port = 143 }]"),
					ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
					Check:            check(t, func() error { return served(w, host.Address, 25) }),
				},
				{ // a file changed by hand
					PreConfig: func() {
						run(t, host, "sed", "-i", "s/ServerAliveInterval 5/ServerAliveInterval 500/", "/etc/cutover/tunnel-relay/ssh_config")
					},
					Config:           tunnelConfig(w, name, "  ports = [25, 80]\n  forwards = [{ listen_port = 8143, target_port = 143 }]"),
					ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				},
				{ // the account on the new host gone
					PreConfig: func() {
						run(t, w.trixie, "sh", "-c", "pkill -u cutover-relay; sleep 1; userdel cutover-relay")
					},
					Config:           tunnelConfig(w, name, "  ports = [25, 80]\n  forwards = [{ listen_port = 8143, target_port = 143 }]"),
					ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
					Check:            check(t, func() error { return served(w, host.Address, 25) }),
				},
			},
		})
		for _, port := range []int{25, 80, 8143} {
			if err := refused(w, host.Address, port); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAccForwardingTunnelSaysWhatIsInItsWay(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		mta := map[string]string{"sysv": "sendmail", "bookworm": "master"}[name]
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{ // the old services still run
					Config:      tunnelConfig(w, name, `  ports = [25]`),
					ExpectError: regexp.MustCompile(`(?s)Unable to create forwarding tunnel.*ports\s+of\s+host\s+"` + name + `"\s+are\s+taken.*  25    by ` + mta),
				},
				{ // nothing is served there
					Config:      tunnelConfig(w, name, `  forwards = [{ listen_port = 8999, target_port = 8999 }]`),
					ExpectError: regexp.MustCompile(`(?s)nothing\s+useful\s+answers\s+on\s+localhost:8999\s+of\s+host\s+"new"`),
				},
				{ // the new host cannot be reached there
					Config:      tunnelConfig(w, name, "  forwards = [{ listen_port = 8080, target_port = 80 }]\n  to_port = 2"),
					ExpectError: regexp.MustCompile(`(?s)cannot\s+reach\s+host\s+"new".*refused`),
				},
				{ // the new host does not expect the old one from there
					Config:      tunnelConfig(w, name, "  forwards = [{ listen_port = 8080, target_port = 80 }]\n  source_addresses = [\"192.0.2.77\"]"),
					ExpectError: regexp.MustCompile(`(?s)Permission\s+denied.*source_addresses`),
				},
			},
		})
	})
}

func TestAccForwardingTunnelRefusesAnOpenRelay(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	untouched(t, w.trixie)
	trustLocalhost(t, w)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config:      tunnelConfig(w, "sysv", `  forwards = [{ listen_port = 8025, target_port = 25 }]`),
				ExpectError: regexp.MustCompile(`(?s)would\s+relay\s+mail\s+for\s+anybody.*mynetworks`),
			},
			{
				// It refuses the mail, but only because it finds no domain.
				PreConfig: func() {
					run(t, w.trixie, "sh", "-c", `postconf -e "smtpd_recipient_restrictions = reject_unknown_recipient_domain" && postfix reload`)
				},
				Config:      tunnelConfig(w, "sysv", `  forwards = [{ listen_port = 8025, target_port = 25 }]`),
				ExpectError: regexp.MustCompile(`(?s)would\s+relay\s+mail\s+for\s+anybody.*(not\s+found|does\s+not\s+accept)`),
			},
			{
				// The same inside TLS, on a port that nothing tells it of.
				PreConfig: func() {
					run(t, w.trixie, "sh", "-c", `cd /etc/postfix && openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=new -keyout lab.key -out lab.pem 2>/dev/null &&
						postconf -e smtpd_tls_cert_file=/etc/postfix/lab.pem smtpd_tls_key_file=/etc/postfix/lab.key &&
						postconf -M "8465/inet=8465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt" && postfix reload`)
				},
				Config:      tunnelConfig(w, "sysv", `  forwards = [{ listen_port = 8465, target_port = 8465 }]`),
				ExpectError: regexp.MustCompile(`(?s)would\s+relay\s+mail\s+for\s+anybody`),
			},
			{
				// Nobody knows what it would do.
				PreConfig: func() {
					run(t, w.trixie, "sh", "-c", `postconf -e "smtpd_relay_restrictions = defer" && postfix reload`)
				},
				Config:      tunnelConfig(w, "sysv", `  forwards = [{ listen_port = 8025, target_port = 25 }]`),
				ExpectError: regexp.MustCompile(`(?s)does\s+not\s+say\s+whether\s+it\s+relays.*allow_open_relay`),
			},
			{
				PreConfig: func() {
					run(t, w.trixie, "sh", "-c", `postconf -e "smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination" && postfix reload`)
				},
				Config: tunnelConfig(w, "sysv", "  forwards = [{ listen_port = 8025, target_port = 25 }]\n  allow_open_relay = true"),
				Check:  check(t, func() error { return served(w, w.sysv.Address, 8025) }),
			},
		},
	})
}

// trustLocalhost lets the new host's mail server relay for localhost until the
// end of the test.
func trustLocalhost(t *testing.T, w *world) {
	t.Helper()
	run(t, w.trixie, "sh", "-c", "cd /etc/postfix && cp -p main.cf main.cf.saved && cp -p master.cf master.cf.saved")
	t.Cleanup(func() {
		run(t, w.trixie, "sh", "-c", "cd /etc/postfix && mv main.cf.saved main.cf && mv master.cf.saved master.cf && rm -f lab.key lab.pem && postfix reload")
	})
	// As Debian installs it: whoever is in mynetworks may relay.
	run(t, w.trixie, "sh", "-c", `postconf -e "mynetworks = 127.0.0.0/8 [::1]/128" \
		"smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination" && postfix reload`)
}

func TestAccForwardingTunnelSurvives(t *testing.T) {
	survives(t, labWorld(t), "forward", killedAndBooted)
}

func TestAccLongForwardingTunnelSurvives(t *testing.T) {
	survives(t, labWorld(t), "forward", wholeLife)
}

// What relays go through in a test.
const (
	killedAndBooted = false
	wholeLife       = true
)

// survives is what happens to relays in their life: killed, the machine booted,
// and in a whole life the connections of the new host killed, the supervisor
// killed, the line cut, the new host booted. Both old hosts go through it at the
// same time, each with a tunnel of its own making and with one that the new host
// has initiated.
func survives(t *testing.T, w *world, mode string, whole bool) {
	t.Helper()
	olds := []*lab.Host{w.sysv, w.bookworm}
	for _, host := range append(olds, w.trixie) {
		untouched(t, host)
	}
	var blocks strings.Builder
	for _, host := range olds {
		fmt.Fprintf(&blocks, `
resource "cutover_forwarding_tunnel" "%[1]s" {
  from     = "%[1]s"
  to       = "new"
  name     = "%[1]s"
  mode     = "%[2]s"
  forwards = [{ listen_port = 8025, target_port = 25 }, { listen_port = 8080, target_port = 80 }]
}

resource "cutover_forwarding_tunnel" "%[1]s-from-new" {
  from          = "%[1]s"
  to            = "new"
  name          = "%[1]s-from-new"
  mode          = "%[2]s"
  initiate_from = "new"
  forwards      = [{ listen_port = 9025, target_port = 25 }, { listen_port = 9080, target_port = 80 }]
}
`, host.Name, mode)
	}
	both := w.config(blocks.String())
	atOnce := func(what string, within time.Duration) error {
		var wg sync.WaitGroup
		errs := make([]error, len(olds))
		for i, host := range olds {
			wg.Go(func() {
				start := time.Now()
				errs[i] = eventually(within, func() error {
					return errors.Join(served(w, host.Address, 8025), served(w, host.Address, 8080), served(w, host.Address, 9025), served(w, host.Address, 9080))
				})
				t.Logf("%s: %s: served again after %.1f s", what, host.Name, time.Since(start).Seconds())
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	step := func(happens func() error) resource.TestStep {
		return resource.TestStep{Config: both, Check: check(t, happens)}
	}
	steps := []resource.TestStep{
		step(func() error {
			for _, host := range olds {
				killRelay(t, host, host.Name)
				killRelay(t, host, host.Name+"-from-new")
			}
			return atOnce("relays killed", 5*time.Second)
		}),
	}
	if whole {
		steps = append(steps,
			step(func() error {
				for _, host := range olds {
					killRelay(t, w.trixie, host.Name+"-from-new")
				}
				return atOnce("connections of the new host killed", 10*time.Second)
			}),
			step(func() error {
				const supervisor = "^/bin/sh /etc/cutover/tunnel-sysv/supervise$"
				run(t, w.sysv, "sh", "-c", `kill -9 $(pgrep -f "$1")`, "sh", supervisor)
				err := eventually(5*time.Second, func() error {
					_, err := w.sysv.Run(context.Background(), "pgrep", "-f", supervisor)
					return err
				})
				// The relays that it left are its successor's.
				killRelay(t, w.sysv, "sysv")
				return errors.Join(err, atOnce("supervisor and then relays killed", 5*time.Second))
			}),
			step(func() error {
				if err := w.trixie.Cut(context.Background()); err != nil {
					return err
				}
				time.Sleep(60 * time.Second)
				if err := w.trixie.Mend(context.Background()); err != nil {
					return err
				}
				return atOnce("new host cut off for 60 s", 20*time.Second)
			}))
	}
	steps = append(steps, step(func() error {
		var wg sync.WaitGroup
		errs := make([]error, len(olds))
		for i, host := range olds {
			wg.Go(func() { errs[i] = host.Reboot(context.Background()) })
		}
		wg.Wait()
		return errors.Join(errors.Join(errs...), atOnce("rebooted", 60*time.Second))
	}))
	if whole {
		steps = append(steps, step(func() error {
			return errors.Join(w.trixie.Reboot(context.Background()), atOnce("new host rebooted", 60*time.Second))
		}))
	}
	// Nothing of all that is a change.
	steps = append(steps, resource.TestStep{Config: both, PlanOnly: true})
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
}

// check makes a function a check of terraform-plugin-testing.
func check(t *testing.T, f func() error) resource.TestCheckFunc {
	t.Helper()
	return func(*terraform.State) error { return f() }
}

// planned expects an action for every resource of the step's plan.
func planned(action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(relay, action)}}
}

// services are those that hold the five ports, by host.
var services = map[string][]string{
	"sysv":     {"sendmail", "apache2", "dovecot"},
	"bookworm": {"postfix", "nginx", "dovecot"},
}

// standDown stops the services of a host until the end of the test.
func standDown(t *testing.T, host *lab.Host) {
	t.Helper()
	for _, name := range services[host.Name] {
		run(t, host, "service", name, "stop")
		t.Cleanup(func() {
			// A daemon that keeps the output open would be waited for.
			run(t, host, "sh", "-c", `service "$1" start >/dev/null 2>&1`, "sh", name)
		})
	}
}

// stopRelays does what somebody would do who does not know Terraform.
func stopRelays(t *testing.T, host *lab.Host) {
	t.Helper()
	if host.Name == "bookworm" {
		run(t, host, "systemctl", "disable", "--now", "cutover-tunnel-relay")
		return
	}
	run(t, host, "sh", "-c", `sed -i '/cutover-tunnel-relay\|tunnel-relay/d' /etc/inittab; telinit q; sleep 2`)
}

func killRelay(t *testing.T, host *lab.Host, tunnel string) {
	t.Helper()
	run(t, host, "sh", "-c", `kill -9 $(pgrep -f "^[^ ]*ssh .*-F /etc/cutover/tunnel-$1/ssh_config relay")`, "sh", tunnel)
}

// ask has the lab's client exchange the first lines of a port's protocol with
// an address and returns who answered.
func ask(w *world, address string, port int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(5*time.Second))
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	protocol := probe.Guess(map[int]int{8025: 25, 8080: 80, 8143: 143, 9025: 25, 9080: 80}[port])
	if port < 1024 {
		protocol = probe.Guess(port)
	}
	answer, err := probe.Ask(ctx, conn, probe.Request{Protocol: protocol, ServerName: "www.example.test"})
	if by := answer.Header["X-Served-By"]; len(by) > 0 {
		return by[0], err
	}
	return answer.Greeting, err
}

// served is an error unless the new host answers on a port of the address.
func served(w *world, address string, port int) error {
	by, err := ask(w, address, port)
	if err == nil && !strings.Contains(by, "new") {
		err = fmt.Errorf("port %d of %s is served by %q", port, address, by)
	}
	return err
}

// refused is an error unless nothing listens on a port of the address.
func refused(w *world, address string, port int) error {
	if by, err := ask(w, address, port); !errors.Is(err, syscall.ECONNREFUSED) {
		return errors.Join(fmt.Errorf("port %d of %s is not closed: %q", port, address, by), err)
	}
	return nil
}

// patience is how many seconds curl waits.
func patience() string { return fmt.Sprint(pace.Limit(10 * time.Second).Seconds()) }

func eventually(within time.Duration, f func() error) error {
	deadline := time.Now().Add(pace.Limit(within))
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// exchangeAll has real clients use all five services of the old address, by
// IPv4 and IPv6, and finds the new host behind them.
func exchangeAll(w *world, host *lab.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(time.Minute))
	defer cancel()
	do := func(want string, argv ...string) error {
		out, err := w.client.Run(ctx, append([]string{"sh", "-c", `exec "$@" 2>&1`, "sh"}, argv...)...)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		if !strings.Contains(out, want) {
			return fmt.Errorf("%q said nothing with %q in it:\n%s", argv, want, out)
		}
		return nil
	}
	for _, address := range []string{host.Address, "[" + host.Address6 + "]"} {
		bare := strings.Trim(address, "[]")
		if err := errors.Join(
			do("X-Served-By: new", "curl", "-sS", "-i", "-m", patience(), "http://"+address+"/"),
			do("250 2.0.0", "swaks", "--server", bare, "--to", "admin@example.test", "--from", "friend@example.net", "--header", "Subject: to "+bare),
			do("250 2.0.0", "swaks", "--server", bare, "--port", "587", "--to", "admin@example.test", "--from", "admin@example.test",
				"--auth-user", "admin", "--auth-password", "admin-secret"),
			eventually(10*time.Second, func() error {
				return do("Subject: to "+bare, "curl", "-sS", "-m", patience(), "-u", "admin:admin-secret", "pop3://"+address+"/1")
			}),
			do("* SEARCH", "curl", "-sS", "-m", patience(), "-u", "admin:admin-secret", "imap://"+address+"/INBOX?SUBJECT%20to"),
		); err != nil {
			return fmt.Errorf("at %s: %w", address, err)
		}
		if _, err := w.trixie.Run(ctx, "rm", "-rf", "/home/admin/mail"); err != nil {
			return err
		}
	}
	return nil
}
