package provider_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
	"github.com/cutover-dev/terraform-provider-cutover/internal/service"
)

func TestServiceRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"code as name": {"name = \"a;reboot\"\nrunning = true", `Not the name of a service`},
		"path as name": {"name = \"../cron\"\nrunning = true", `Not the name of a service`},
		"nothing":      {`name = "cron"`, `At least one attribute`},
		"on_destroy":   {"name = \"cron\"\nrunning = true\non_destroy = \"remove\"", `value must be one of`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" {\n  hosts = { new = {} }\n}\nresource \"cutover_service\" \"s\" {\nhost = \"new\"\n%s\n}", c.arguments),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

const theService = "cutover_service.s"

func serviceConfig(w *world, on, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_service\" \"s\" {\n  host = %q\n%s\n}\n", on, arguments))
}

// mailService is the mail server of a host: Sendmail's init script answers
// status with 0 whether it runs or not, and Debian 12's postfix.service is
// active whether Postfix is or not.
var mailService = map[string]string{"sysv": "sendmail", "bookworm": "postfix"}

func TestAccService(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		mta := mailService[name]
		arguments := func(running, enabled bool) string {
			return fmt.Sprintf("  name = %q\n  running = %t\n  enabled = %t\n  on_destroy = \"restore\"", mta, running, enabled)
		}
		port := func(open string) resource.TestCheckFunc {
			return is(host, open, "bash", "-c", "if (: </dev/tcp/127.0.0.1/25) 2>/dev/null; then echo open; else echo closed; fi")
		}
		boots := func(answer string) resource.TestCheckFunc {
			if name == "sysv" {
				return is(host, answer, "sh", "-c", "if ls /etc/rc2.d/S??sendmail >/dev/null 2>&1; then echo enabled; else echo disabled; fi")
			}
			return is(host, answer, "sh", "-c", "systemctl is-enabled postfix || :")
		}
		by := func(action string) func() {
			return func() { run(t, host, "sh", "-c", `service "$0" "$1" >/dev/null 2>&1`, mta, action) }
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: serviceConfig(w, name, arguments(false, false)),
					Check: resource.ComposeTestCheckFunc(port("closed"), boots("disabled"),
						resource.TestCheckResourceAttr(theService, "found_running", "true"),
						resource.TestCheckResourceAttr(theService, "found_enabled", "true"),
						resource.TestCheckResourceAttr(theService, "init", map[string]string{"sysv": "sysv", "bookworm": "systemd"}[name])),
				},
				{ // somebody starts it
					PreConfig:        by("start"),
					Config:           serviceConfig(w, name, arguments(false, false)),
					ConfigPlanChecks: changes(theService, plancheck.ResourceActionUpdate),
					Check:            port("closed"),
				},
				{
					Config:           serviceConfig(w, name, arguments(true, false)),
					ConfigPlanChecks: changes(theService, plancheck.ResourceActionUpdate),
					Check:            resource.ComposeTestCheckFunc(port("open"), boots("disabled")),
				},
				{ // somebody stops it
					PreConfig:        by("stop"),
					Config:           serviceConfig(w, name, arguments(true, false)),
					ConfigPlanChecks: changes(theService, plancheck.ResourceActionUpdate),
					Check:            port("open"),
				},
				{
					Config:           serviceConfig(w, name, arguments(false, false)),
					ConfigPlanChecks: changes(theService, plancheck.ResourceActionUpdate),
					Check:            port("closed"),
				},
			},
		})
		if err := resource.ComposeTestCheckFunc(port("open"), boots("enabled"))(nil); err != nil {
			t.Errorf("not restored by destroy: %v", err)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: serviceConfig(w, name, strings.ReplaceAll(arguments(true, true), `"restore"`, `"leave"`)),
				},
				{
					ResourceName: theService, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/" + mta,
				},
				{ // nothing to change after an import
					ResourceName: theService, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: name + "/" + mta,
				},
			},
		})
	})
}

// TestAccServiceDeliversFirst stops a mail server while messages that it has
// accepted wait for a filter that takes its time.
func TestAccServiceDeliversFirst(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		run(t, host, "sh", "-c", `useradd -m drained && printf ':0\n| sleep 2 && cat >>$HOME/got\n' >/home/drained/.procmailrc &&
			printf '"|sleep 2; cat >>/home/drained/got"\n' >/home/drained/.forward
			if [ -d /etc/procmailrc ] || [ -f /etc/procmailrc ]; then rm /home/drained/.forward; fi
			chown drained: /home/drained/.[pf]*`)
		defer run(t, host, "userdel", "-rf", "drained")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				PreConfig: func() {
					run(t, host, "sh", "-c", `for n in 1 2 3 4 5 6; do printf 'Subject: Number %s\n\nText\n' "$n" | sendmail drained@example.test || exit 1; done
						for n in 7 8; do printf 'Subject: Number %s\n\nText\n' "$n" | sendmail -Am -odq drained@example.test || exit 1; done # not even tried`)
				},
				Config: serviceConfig(w, name, fmt.Sprintf("name = %q\nrunning = false\non_destroy = \"restore\"", mailService[name])),
				Check:  is(host, "8", "sh", "-c", "grep -c '^Subject: Number' /home/drained/got"),
			}},
		})
	})
}

// A change restarts it, and where it is to be stopped by a destroy it is, however it was found.
func TestAccServiceRestartsOnChange(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		pid := func() string { return strings.TrimSpace(run(t, host, "cat", "/var/run/crond.pid")) }
		before := pid()
		config := func(digest string) string {
			return serviceConfig(w, name, fmt.Sprintf("  name = \"cron\"\n  running = true\n  restart_on = { config = %q }\n  on_destroy = \"stop\"", digest))
		}
		t.Cleanup(func() { run(t, host, "sh", "-c", "service cron start >/dev/null 2>&1") })
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			CheckDestroy: check(t, func() error {
				const look = `pgrep -x cron >/dev/null && echo runs; ls -d /etc/rc2.d/S*cron /etc/systemd/system/multi-user.target.wants/cron.service 2>/dev/null | wc -l`
				if got := strings.TrimSpace(run(t, host, "sh", "-c", look)); got == "0" || strings.Contains(got, "runs") {
					return fmt.Errorf("cron was to be stopped, and to start at boot as before: %s", got)
				}
				return nil
			}),
			Steps: []resource.TestStep{
				{Config: config("a"), Check: check(t, func() error {
					if pid() != before {
						return fmt.Errorf("cron was restarted without need")
					}
					return nil
				})},
				{Config: config("b"), Check: check(t, func() error {
					if pid() == before {
						return fmt.Errorf("cron was not restarted")
					}
					return nil
				})},
			},
		})
	})
}

func TestAccServiceThatFails(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		t.Cleanup(func() {
			run(t, host, "rm", "-f", "/etc/dovecot/conf.d/99-broken.conf")
			run(t, host, "sh", "-c", "service dovecot start >/dev/null 2>&1")
		})
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      serviceConfig(w, name, "  name = \"dovecott\"\n  running = true"),
					ExpectError: regexp.MustCompile(`(?s)Unable to create service.*` + name + `.*no service dovecott; similar ones\s+are dovecot`),
				},
				{
					PreConfig: func() {
						run(t, host, "sh", "-c", "service dovecot stop >/dev/null 2>&1; echo 'bogus line {' >/etc/dovecot/conf.d/99-broken.conf")
					},
					Config:      serviceConfig(w, name, "  name = \"dovecot\"\n  running = true"),
					ExpectError: regexp.MustCompile(`(?s)99-broken.conf line\s+1.*dovecot could not be started`),
				},
			},
		})
	})
}

// A stop may be over while its script still sleeps: then nothing is left that
// could write, and the script does no harm to what is started right after it.
func TestAccServiceStoppedAndStartedAtOnce(t *testing.T) { stoppedAndStarted(t, 1) }

func TestAccLongServiceStoppedAndStartedAtOnce(t *testing.T) { stoppedAndStarted(t, 5) }

func stoppedAndStarted(t *testing.T, rounds int) {
	t.Helper()
	onBothInits(t, func(t *testing.T, w *world, name string, h *lab.Host) {
		untouched(t, h)
		pool := host.NewPool(hostConfig(w, h))
		t.Cleanup(func() { pool.Close() })
		there, err := pool.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		services := service.NewServices(there)
		no, yes := false, true
		for server, c := range map[string]struct{ writers, port string }{
			"apache2": {`ps -e -o stat=,args= | awk '!/^Z/ && $2 == "/usr/sbin/apache2"'`, "80"},
			"dovecot": {`ps -e -o stat=,args= | awk '!/^Z/ && $2 ~ /^dovecot\//' | grep -v 'dovecot/log$' || :`, "143"},
		} {
			if server == "apache2" && name != "sysv" {
				continue // there it is nginx
			}
			for round := range rounds {
				if round%2 == 0 { // with a client that would stay, and has nothing to lose yet
					client, err := net.Dial("tcp", net.JoinHostPort(h.Address, c.port))
					if err != nil {
						t.Fatal(err)
					}
					defer client.Close()
				}
				began := time.Now()
				stopped, err := services.Set(t.Context(), server, service.Want{Running: &no})
				if took := time.Since(began); took > pace.Limit(8*time.Second) {
					t.Errorf("%s, round %d: the stop waited for a client: %s", server, round, took)
				}
				if err != nil || stopped.Running {
					t.Fatalf("%s, round %d: stopped: %+v, %v", server, round, stopped, err)
				}
				if left := run(t, h, "sh", "-c", c.writers); left != "" {
					t.Errorf("%s, round %d: still there:\n%s", server, round, left)
				}
				if found, err := services.Read(t.Context(), server); err != nil || found.Running {
					t.Errorf("%s, round %d: read after the stop: %+v, %v", server, round, found, err)
				}
				if round == 1 { // a stop of what is being stopped is one more look
					if again, err := services.Set(t.Context(), server, service.Want{Running: &no}); err != nil || again.Running {
						t.Errorf("%s, stopped again: %+v, %v", server, again, err)
					}
				}
				if started, err := services.Set(t.Context(), server, service.Want{Running: &yes}); err != nil || !started.Running {
					t.Fatalf("%s, round %d: started: %+v, %v", server, round, started, err)
				}
				time.Sleep(2 * time.Second) // longer than any script sleeps
				if found, err := services.Read(t.Context(), server); err != nil || !found.Running {
					t.Errorf("%s, round %d: two seconds after the start: %+v, %v", server, round, found, err)
				}
			}
		}
		if left := run(t, h, "sh", "-c", "ls /tmp/cutover-service.* 2>/dev/null || :"); left != "" {
			t.Errorf("left:\n%s", left)
		}
	})
}

// A socket unit would start what was stopped as soon as a client comes.
func TestAccServiceWithASocket(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.trixie)
	run(t, w.trixie, "sh", "-c", `cat >/etc/systemd/system/greeter.socket <<'END'
[Socket]
ListenStream=127.0.0.1:7007
[Install]
WantedBy=sockets.target
END
cat >/etc/systemd/system/greeter.service <<'END'
[Service]
ExecStart=/bin/sleep 600
END
systemctl daemon-reload && systemctl enable --now greeter.socket 2>/dev/null`)
	t.Cleanup(func() {
		run(t, w.trixie, "sh", "-c", "systemctl disable --now greeter.socket greeter.service 2>/dev/null; rm /etc/systemd/system/greeter.*; systemctl daemon-reload")
	})
	stopped := "  name = \"greeter\"\n  running = false\n  enabled = false\n  on_destroy = \"restore\""
	active := func(want string) resource.TestCheckFunc {
		return is(w.trixie, want, "sh", "-c", "systemctl is-active greeter.socket; systemctl is-enabled greeter.socket || :")
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: serviceConfig(w, "new", stopped),
				Check: resource.ComposeTestCheckFunc(active("inactive\ndisabled"),
					resource.TestCheckResourceAttr(theService, "found_triggers.0.unit", "greeter.socket")),
			},
			{
				PreConfig:        func() { run(t, w.trixie, "systemctl", "start", "greeter.socket") },
				Config:           serviceConfig(w, "new", stopped),
				ConfigPlanChecks: changes(theService, plancheck.ResourceActionUpdate),
				Check:            active("inactive\ndisabled"),
			},
		},
	})
	if err := active("active\nenabled")(nil); err != nil {
		t.Errorf("not restored by destroy: %v", err)
	}
}
