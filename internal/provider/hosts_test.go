package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"
)

// aTunnel needs the provider's hosts without touching one while planning.
const aTunnel = `
resource "cutover_forwarding_tunnel" "t" {
  from  = "old"
  to    = "new"
  ports = [25]
}
`

func TestProviderBlockRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ hosts, says string }{
		"no hosts":         {`{}`, `at least 1`},
		"bad name":         {`{ "old host" = {}, new = {} }`, `a\s+host's\s+name\s+is\s+letters`},
		"bad port":         {`{ old = { port = 70000 }, new = {} }`, `between 1 and\s+65535`},
		"bad method":       {`{ old = { become = { method = "su" } }, new = {} }`, `"sudo" "doas"|sudo`},
		"bad duration":     {`{ old = { connect_timeout = "soon" }, new = {} }`, `positive\s+duration`},
		"unknown bastion":  {`{ old = { bastions = ["gate"] }, new = {} }`, `no host\s+"gate"`},
		"circular bastion": {`{ old = { bastions = ["new"] }, new = { bastions = ["old"] } }`, `lead\s+back\s+to\s+itself`},
		"bad private key":  {`{ old = { private_key = "not a key" }, new = {} }`, `(?i)host "old".*private_key`},
		"bad host key":     {`{ old = { host_key = ["ssh-ed25519 nonsense"] }, new = {} }`, `(?is)host "old".*host_key`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" {\n  hosts = %s\n}\n%s", c.hosts, aTunnel),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

func TestProviderReadsTheEnvironment(t *testing.T) {
	needsCLI(t)
	t.Setenv("CUTOVER_HOST_OLD_PORT", "ssh")
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config:      "provider \"cutover\" {\n  hosts = { old = {}, new = {} }\n}\n" + aTunnel,
				PlanOnly:    true,
				ExpectError: regexp.MustCompile(`CUTOVER_HOST_OLD_PORT\s+is\s+"ssh",\s+not\s+a\s+port`),
			},
			{ // what the block says comes first
				Config:             "provider \"cutover\" {\n  hosts = { old = { port = 22 }, new = {} }\n}\n" + aTunnel,
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
		},
	})
}

// A host's address may come from a machine that the same plan creates.
func TestAccHostUnknownWhilePlanning(t *testing.T) {
	w := takeWorld(t) // alone: it sets the environment of this process
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_4_0)},
		Steps: []resource.TestStep{{
			Config: fmt.Sprintf(`
resource "terraform_data" "machine" {
  input = %q
}
provider "cutover" {
  hosts = {
    sysv = { address = %q }
    new  = { address = terraform_data.machine.output }
  }
}
resource "cutover_forwarding_tunnel" "relay" {
  from     = "sysv"
  to       = "new"
  forwards = [{ listen_port = 8080, target_port = 80 }]
}
`, w.trixie.Address, w.sysv.Address),
			PreConfig: func() {
				t.Setenv("CUTOVER_USER", "root")
				t.Setenv("CUTOVER_PRIVATE_KEY_PATH", w.lab.KeyPath())
				t.Setenv("CUTOVER_KNOWN_HOSTS_PATH", w.lab.KnownHostsPath())
				t.Setenv("CUTOVER_SSH_CONFIG_PATH", "none")
			},
			Check: check(t, func() error { return served(w, w.sysv.Address, 8080) }),
		}},
	})
}

// What a user sees who has never been on the host: the fingerprint, and the
// line to add.
func TestAccUnknownHostKey(t *testing.T) {
	w := labWorld(t)
	empty := t.TempDir() + "/known_hosts"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: fmt.Sprintf(`
provider "cutover" {
  hosts = {
    old = { address = %q, user = "root", private_key_path = %q, known_hosts_path = %q, ssh_config_path = "none" }
    new = { address = %q, user = "root", private_key_path = %[2]q, known_hosts_path = %[3]q, ssh_config_path = "none" }
  }
}
`, w.sysv.Address, w.lab.KeyPath(), empty, w.trixie.Address) + aTunnel,
			ExpectError: regexp.MustCompile(`(?s)SHA256:.*` + regexp.QuoteMeta(w.sysv.Address) + `\s+ssh-ed25519\s+AAAA`),
		}},
	})
}
