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
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// retire says in a configuration that a host is switched off for good.
func retire(config, name string) string {
	return strings.Replace(config, "    "+name+" = { ", "    "+name+" = { retired = true, ", 1)
}

// cut pulls a host's cable until the test ends.
func cut(t *testing.T, h *lab.Host) {
	t.Helper()
	t.Cleanup(func() { mend(t, h) })
	if err := h.Cut(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func mend(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := h.Mend(context.Background()); err != nil {
		t.Fatal(err)
	}
}

const lastWishes = `
resource "cutover_host_user" "u" {
  host                   = "new"
  name                   = "mona"
  password_from          = %[1]q
  on_destroy             = "remove"
  remove_home_on_destroy = true
}

resource "cutover_forwarding_tunnel" "relay" {
  from          = %[1]q
  to            = "new"
  ports         = [25, 80]
  initiate_from = %[2]q
}
`

const lockOfGames = `
resource "cutover_login_lock" "lock" {
  host  = %q
  users = ["games"]
}
`

// The old machine is switched off before anybody thought of terraform destroy.
func TestAccRetiredHost(t *testing.T) { retiredHost(t, "old") }

// The same where the new host had begun the connection.
func TestAccLongRetiredHost(t *testing.T) { retiredHost(t, "new") }

func retiredHost(t *testing.T, initiator string) {
	t.Helper()
	onBothInits(t, func(t *testing.T, w *world, name string, h *lab.Host) {
		untouched(t, h)
		untouched(t, w.trixie)
		standDown(t, h)
		t.Cleanup(func() { run(t, h, "userdel", "-r", "mona") })
		run(t, h, "useradd", "-m", "mona")
		without := w.config(fmt.Sprintf(lastWishes, name, initiator))
		config := without + fmt.Sprintf(lockOfGames, name)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: config},
				{ // a password that nobody will get to see
					PreConfig: func() {
						if _, err := h.RunInput(context.Background(), "mona:$6$"+initiator+"$Zm9vYmFyZm9vYmFyZm9vYmFy\n", "chpasswd", "-e"); err != nil {
							t.Fatal(err)
						}
					},
					RefreshState:       true,
					ExpectNonEmptyPlan: true,
				},
				{ // what was there alone is gone, and cannot be made again
					PreConfig:   func() { cut(t, h) },
					Config:      retire(config, name),
					ExpectError: regexp.MustCompile(`(?s)Unable to create login lock.*is\s+retired.*Take\s+what\s+needs\s+that\s+out\s+of\s+the\s+configuration`),
				},
				{ // what is on the other host too stands, and what came from there is no change
					Config:   retire(without, name),
					PlanOnly: true,
				},
				{Config: retire(config, name), Destroy: true},
			},
		})
		if left := run(t, w.trixie, "sh", "-c", "getent passwd cutover-relay mona || :; ls -d /etc/cutover /var/lib/cutover 2>/dev/null || :"); left != "" {
			t.Errorf("on new: %s", left)
		}
		mend(t, h)
		// It was not retired after all: what still lies there is imported, and goes.
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: config, ResourceName: lockAddress, ImportState: true, ImportStateId: name + "/login", ImportStatePersist: true},
				{Config: config, ResourceName: relay, ImportState: true, ImportStateId: name + "/new/relay", ImportStatePersist: true},
			},
		})
	})
}

// A configuration that reads from the machine that is gone, and has a pass that
// broke off, is destroyed without reading first.
func TestAccRetiredHostIsDestroyedWithoutReading(t *testing.T) {
	w := labWorld(t)
	for _, h := range []*lab.Host{w.sysv, w.trixie} {
		untouched(t, h)
		t.Cleanup(func() { run(t, h, "rm", "-rf", "/srv/retired") })
	}
	run(t, w.sysv, "sh", "-c", "mkdir /srv/retired && head -c 20000000 /dev/urandom >/srv/retired/large")
	// What stays on a retired host: the account, and the note of who made it.
	t.Cleanup(func() { run(t, w.sysv, "sh", "-c", "userdel -r mona && rm -r /var/lib/cutover") })
	config := w.config(fmt.Sprintf(`
data "cutover_host" "old" {
  host = "sysv"
}

resource "cutover_host_user" "u" {
  host = "sysv"
  name = "mona"
}

resource "cutover_sync_pass" "pass" {
  from            = "sysv"
  to              = "new"
  paths           = ["/srv/retired"]
  bandwidth_limit = 50
  timeouts        = { create = %q }
  depends_on      = [cutover_host_user.u, data.cutover_host.old]
}
`, pace.Limit(15*time.Second).Round(time.Second))) + requires
	terraform := newCommandLine(t, config)
	says := func(out, want string) {
		t.Helper()
		if text := strings.Join(strings.Fields(strings.ReplaceAll(out, "│", "")), " "); !strings.Contains(text, want) {
			t.Errorf("Terraform does not say %q:\n%s", want, out)
		}
	}
	says(terraform.fails("apply", "-auto-approve"), "the pass was cancelled while it copied /srv/retired")
	if made := run(t, w.trixie, "sh", "-c", "ls /var/lib/cutover/chains"); strings.TrimSpace(made) == "" {
		t.Error("the pass left nothing on new: what is to be cleaned up?")
	}

	cut(t, w.sysv)
	terraform.configure(retire(config, "sysv"))
	says(terraform.fails("destroy", "-auto-approve"), `host "sysv" is retired (retired = true in the provider's block), so nothing is read from it`)
	out := terraform.run("destroy", "-auto-approve", "-refresh=false")
	says(out, `Host "sysv" is retired. What it has of the host user "sysv/mona" stays there.`)
	says(out, "Destroy complete! Resources: 2 destroyed.")
}

func TestRetiredHostIsNotAsked(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	const aLock = "resource \"cutover_login_lock\" \"l\" {\n  host  = \"old\"\n  users = [\"anna\"]\n}\n"
	const facts = "data \"cutover_host\" \"h\" {\n  host = \"old\"\n}\n"
	for name, c := range map[string]struct{ hosts, more, says string }{
		"to be changed":           {`{ old = { retired = true, private_key_path = "/gone" } }`, aLock, `(?s)Unable to create login lock.*host "old" is retired`},
		"to be read":              {`{ old = { retired = true } }`, facts, `(?s)Unable to read host.*host "old" is retired.*terraform\s+destroy\s+-refresh=false`},
		"reached through another": {`{ old = { retired = true, bastions = ["gate"] } }`, facts, `host "old" is retired`},
		"one end of a tunnel":     {`{ old = {}, new = { retired = true } }`, aTunnel, `(?s)Unable to create forwarding tunnel.*host "new" is retired`},
		"a bastion":               {`{ old = { bastions = ["gate"] }, gate = { retired = true } }`, facts, `Host "old": its bastion "gate" is retired`},
		"not in the block":        {`{ new = {} }`, facts, `(?s)no host\s+"old".*keeps\s+its\s+entry.*retired\s+=\s+true`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" {\n  hosts = %s\n}\n%s", c.hosts, c.more),
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// Of a host that is out of reach is said how to go on without it.
func TestHostOutOfReach(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: fmt.Sprintf("provider \"cutover\" {\n  hosts = { old = { address = \"127.0.0.1\", port = %s, ssh_config_path = \"none\", agent = false, password = \"x\" } }\n}\n", port) +
				"resource \"cutover_login_lock\" \"l\" {\n  host  = \"old\"\n  users = [\"anna\"]\n}\n",
			ResourceName: "cutover_login_lock.l", ImportState: true, ImportStateId: "old/lock",
			ExpectError: regexp.MustCompile(`(?s)host\s+"old":\s+unable\s+to\s+reach\s+sshd.*retired\s+=\s+true\s+in\s+the\s+entry\s+"old"`),
		}},
	})
}

// A destroy plans the whole configuration first, so nothing in a plan may fail for
// want of the machine.
func TestRetiredHostDoesNotKeepFromPlanning(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: `provider "cutover" { hosts = { old = { retired = true }, new = {} } }
resource "cutover_vhost" "v" {
  host          = "old"
  server_name   = "example.test"
  document_root = "/srv"
}
resource "cutover_login_lock" "l" {
  host  = "old"
  users = ["anna"]
}
` + aTunnel,
			PlanOnly:           true,
			ExpectNonEmptyPlan: true,
		}},
	})
}

// What is known only after apply: the machine's address, which went with what made
// the machine, and whether it is retired at all.
func TestRetiredHostAndTheUnknown(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ input, entry, says string }{
		"its address":       {`"192.0.2.1"`, `retired = true, address = terraform_data.unknown.output`, `host "old" is retired`},
		"whether it is one": {`true`, `retired = terraform_data.unknown.output`, `its retired is\s+known only after apply`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_4_0)},
				Steps: []resource.TestStep{{
					Config: fmt.Sprintf(`resource "terraform_data" "unknown" {
  input = %s
}
provider "cutover" {
  hosts = { old = { %s } }
}
data "cutover_host" "h" {
  host = "old"
}`, c.input, c.entry),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

func TestRetiredHostIsNotImportedFrom(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config:        "provider \"cutover\" {\n  hosts = { old = { retired = true }, new = {} }\n}\n" + aTunnel,
			ResourceName:  "cutover_forwarding_tunnel.t",
			ImportState:   true,
			ImportStateId: "old/new/relay",
			ExpectError:   regexp.MustCompile(`(?s)Unable to import forwarding tunnel.*host "old" is retired`),
		}},
	})
}
