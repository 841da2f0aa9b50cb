package provider_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/miekg/dns"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

func TestForwardingTunnelRefusesBadRetirement(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ when, says string }{
		"nothing":      {``, `neither\s+domains\s+nor\s+idle_for`},
		"no addresses": {`domains = ["example.test"]`, `need\s+each\s+other`},
		"no domains":   {`former_addresses = ["192.0.2.1"]` + "\n" + `idle_for = "1h"`, `need\s+each\s+other`},
		"a URL":        {`domains = ["http://example.test"]` + "\n" + `former_addresses = ["192.0.2.1"]`, `not a\s+domain name`},
		"an address":   {`domains = ["example.test"]` + "\n" + `former_addresses = ["old"]`, `Not an IP address`},
		"a resolver":   {`idle_for = "1h"` + "\n" + `resolvers = ["dns.example"]`, `not\s+the\s+address of a resolver`},
		"a day":        {`idle_for = "1d"`, `not a positive duration`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: "provider \"cutover\" {\n hosts = { old = {}, new = {} }\n}\nresource \"cutover_forwarding_tunnel\" \"relay\" {\n" +
						"from = \"old\"\nto = \"new\"\nports = [25]\nretire_when = {\n" + c.when + "\n}\n}\n",
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// The tunnel stays while a resolver remembers the old address, and while clients come.
func TestAccForwardingTunnelRetires(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		zone := func(address string, serial int) string { return fmt.Sprintf(zoneOf, w.trixie.Address, address, serial) }
		daemon(t, w.trixie, "nsd", map[string]string{
			"nsd.conf": fmt.Sprintf(nsdConf, w.trixie.Address), "example.test.zone": zone(host.Address, 1),
		}, "nsd", "-c", "/run/lab-dns/nsd.conf")
		daemon(t, w.bookworm, "unbound", map[string]string{
			"unbound.conf": fmt.Sprintf(unboundConf, w.bookworm.Address, w.trixie.Address),
		}, "unbound", "-c", "/run/lab-dns/unbound.conf")
		config := func(when, more string) string {
			return tunnelConfig(w, name, "  forwards = [{ listen_port = 8080, target_port = 80 }]\n  retire_when = {\n    resolvers = [\""+w.bookworm.Address+"\"]\n"+when+"\n  }\n"+more)
		}
		names := fmt.Sprintf("    domains = [\"www.example.test\", \"example.test\"]\n    former_addresses = [%q]", host.Address)
		const long, short = "\n    idle_for = \"1h\"", "\n    idle_for = \"5s\""
		hasTunnel := check(t, func() error { return served(w, host.Address, 8080) })
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: config(names, ""), Check: hasTunnel},
				{ // The zone has the old address.
					Config: config(names, ""), Destroy: true,
					ExpectError: regexp.MustCompile(`(?s)Unable to delete forwarding tunnel.*still\s+needed.*www\.example\.test\s+A\s+at\s+authoritative\s+server\s+ns1\.example\.test:\s+still\s+` + regexp.QuoteMeta(host.Address)),
				},
				{ // It has moved, and the resolver remembers.
					PreConfig: func() {
						if _, err := w.trixie.RunInput(t.Context(), zone("192.0.2.80", 2), "sh", "-c", `cat >/run/lab-dns/example.test.zone; kill -HUP "$(cat /run/lab-dns/nsd.pid)"`); err != nil {
							t.Fatal(err)
						}
						// The zone is read anew; the resolver was asked a moment ago.
						time.Sleep(2 * time.Second)
					},
					Config: config(names, ""), Destroy: true,
					ExpectError: regexp.MustCompile(`(?s)www\.example\.test\s+A\s+at\s+resolver\s+` + regexp.QuoteMeta(w.bookworm.Address) + `:\s+still.*TTL\s+[0-9]+\s+s.*will\s+have\s+forgotten\s+it\s+at`),
				},
				{ // It has forgotten. Changed in place, without ending the relays; a client comes.
					PreConfig: func() {
						for _, name := range []string{"example.test.", "mail.example.test.", "www.example.test."} {
							for !strings.Contains(resolved(t, w.bookworm, name), "192.0.2.80") {
								time.Sleep(time.Second)
							}
						}
					},
					Config: config(names+long, ""), Check: hasTunnel,
				},
				{
					Config: config(names+long, ""), Destroy: true,
					ExpectError: regexp.MustCompile(`(?s)port\s+8080:\s+` + regexp.QuoteMeta(w.client.Address) + `\s+came\s+[0-9ms]+\s+ago.*has\s+been\s+counted.*only.*force_destroy`),
				},
				{Config: config(names+short, ""), Check: hasTunnel},
				{ // The hosts know nothing of all that.
					Config: config(names+short, ""), PlanOnly: true,
				},
				{ // And nobody comes any more.
					PreConfig: func() { time.Sleep(6 * time.Second) },
					Config:    config(names+short, ""), Destroy: true,
				},
			},
		})
	})
}

// resolved is what a resolver says of a name.
func resolved(t *testing.T, resolver *lab.Host, name string) string {
	t.Helper()
	answer, err := dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), resolver.Address+":53")
	if err != nil {
		t.Fatalf("the resolver does not answer for %s: %v", name, err)
	}
	return answer.String()
}

// Who has to go back does not wait for the names.
func TestAccForwardingTunnelForced(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	untouched(t, w.trixie)
	config := func(provider, tunnel string) string {
		text := tunnelConfig(w, "sysv", "  forwards = [{ listen_port = 8080, target_port = 80 }]\n  retire_when = { idle_for = \"720h\" }\n"+tunnel)
		return strings.Replace(text, "provider \"cutover\" {\n", "provider \"cutover\" {\n"+provider, 1)
	}
	notYet := regexp.MustCompile(`(?s)counted\s+for\s+.*only`)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{Config: config("", "")},
			{Config: config("", ""), Destroy: true, ExpectError: notYet},
			{Config: config("  force_destroy = true\n", ""), Destroy: true},
			{Config: config("", "")},
			{Config: config("", "  force_destroy = true\n")},
			{Config: config("", "  force_destroy = true\n"), Destroy: true},
		},
	})
}
