package provider_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/miekg/dns"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const propagation = "data.cutover_dns_propagation.names"

func propagationBlock(arguments ...string) string {
	return "provider \"cutover\" {\n hosts = { old = {} }\n}\ndata \"cutover_dns_propagation\" \"names\" {\n" + strings.Join(arguments, "\n") + "\n}\n"
}

func TestDNSPropagationRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	const names, former = `names = ["example.test"]`, `former_addresses = ["192.0.2.1"]`
	for name, c := range map[string]struct{ arguments, says string }{
		"a URL":            {`names = ["https://example.test/"]` + "\n" + former, `"https://example.test/" is not a\s+domain name`},
		"nobody's names":   {former, `(?s)At least one.*\[names,host\]`},
		"unknown host":     {`host = "odl"` + "\n" + former, `no host "odl"`},
		"no name":          {"names = []\n" + former, `at least 1`},
		"no address":       {names + "\n" + `former_addresses = ["old"]`, `Not an IP address`},
		"a type":           {names + "\n" + former + "\n" + `types = ["TXT"]`, `must be one of`},
		"a resolver":       {names + "\n" + former + "\n" + `resolvers = ["dns.example"]`, `not\s+the\s+address of a resolver`},
		"what to wait for": {names + "\n" + former + "\n" + `wait_for = "done"`, `must be one of`},
		"both":             {names + "\n" + former + "\n" + `expected_addresses = ["192.0.2.1"]`, `both an\s+expected\s+and\s+a\s+former address`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps:                    []resource.TestStep{{Config: propagationBlock(c.arguments), ExpectError: regexp.MustCompile(c.says)}},
			})
		})
	}
}

// The address that a resolver gives changes while it is waited for.
func TestDNSPropagation(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	udp, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	server := &dns.Server{PacketConn: udp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		reply.RecursionAvailable = true
		if m.Question[0].Qtype == dns.TypeA {
			address := "192.0.2.1"
			if asked.Add(1) > 12 {
				address = "198.51.100.1"
			}
			rr, _ := dns.NewRR(fmt.Sprintf("%s 40 IN A %s", m.Question[0].Name, address))
			reply.Answer = append(reply.Answer, rr)
		}
		_ = w.WriteMsg(reply)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	at := udp.LocalAddr().String()
	common := []string{
		`names = ["example.test"]`, `former_addresses = ["192.0.2.1"]`, `expected_addresses = ["198.51.100.1"]`,
		fmt.Sprintf("resolvers = [%q]", at), "authoritative = false", `types = ["A"]`,
	}
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: propagationBlock(common...),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(propagation, "complete", "false"),
					resource.TestCheckNoResourceAttr(propagation, "complete_by"), // who is authoritative was not asked
					resource.TestCheckResourceAttr(propagation, "behind.#", "1"),
					resource.TestCheckResourceAttr(propagation, "behind.0", "example.test A at resolver "+at+": still 192.0.2.1 (TTL 40 s)"),
					resource.TestCheckResourceAttr(propagation, "answers.0.state", "former"),
					resource.TestCheckResourceAttr(propagation, "answers.0.ttl", "40"),
				),
			},
			{
				Config:      propagationBlock(append(common, `wait_for = "complete"`, `interval = "10s"`, `timeouts = { read = "2s" }`)...),
				ExpectError: regexp.MustCompile(`(?s)have\s+not moved everywhere.*still\s+192\.0\.2\.1.*time allowed for it is over`),
			},
			{
				Config: propagationBlock(append(common, `wait_for = "complete"`, `interval = "50ms"`)...),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(propagation, "complete", "true"),
					resource.TestCheckResourceAttr(propagation, "behind.#", "0"),
					resource.TestCheckResourceAttr(propagation, "answers.0.state", "moved"),
					resource.TestCheckResourceAttr(propagation, "answers.0.addresses.0", "198.51.100.1"),
				),
			},
		},
	})
}

// zoneOf is a zone in which the names lead to an address for a minute.
const zoneOf = `$ORIGIN example.test.
@ 3600 IN SOA ns1 hostmaster %[3]d 3600 600 86400 60
@ 3600 IN NS ns1
ns1 3600 IN A %[1]s
@ 60 IN A %[2]s
@ 60 IN MX 10 mail
mail 60 IN A %[2]s
www 60 IN CNAME @
`

const nsdConf = `server:
  ip-address: %s
  username: nsd
  zonesdir: /run/lab-dns
  pidfile: /run/lab-dns/nsd.pid
  xfrdfile: /run/lab-dns/xfrd.state
  zonelistfile: /run/lab-dns/zone.list
remote-control:
  control-enable: no
zone:
  name: example.test
  zonefile: example.test.zone
`

const unboundConf = `server:
  interface: %s
  access-control: 0.0.0.0/0 allow
  chroot: ""
  username: unbound
  directory: /run/lab-dns
  pidfile: /run/lab-dns/unbound.pid
  use-syslog: no
  do-ip6: no
  module-config: iterator
  local-zone: "test." nodefault
stub-zone:
  name: example.test
  stub-addr: %s
`

// daemon starts a program on a host that goes into the background, with files in a
// directory of its own, and stops it when the test ends.
func daemon(t *testing.T, h *lab.Host, user string, files map[string]string, command ...string) {
	t.Helper()
	must := func(input string, argv ...string) {
		t.Helper()
		if _, err := h.RunInput(context.Background(), input, argv...); err != nil {
			t.Fatal(err)
		}
	}
	must("", "install", "-d", "-o", user, "/run/lab-dns")
	t.Cleanup(func() {
		must("", "sh", "-c", `for f in /run/lab-dns/*.pid; do kill "$(cat "$f")"; kill -CONT "$(cat "$f")"; while kill -0 "$(cat "$f")" 2>/dev/null; do sleep 0.1; done; done; rm -r /run/lab-dns`)
	})
	for name, text := range files {
		must(text, "sh", "-c", `cat >"/run/lab-dns/$1"`, "sh", name)
	}
	must("", command...)
}

// NSD is authoritative for the zone, and Unbound remembers what it has said.
func TestAccDNSPropagation(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.bookworm)
	untouched(t, w.trixie)
	serial := 1
	zone := func(address string) string {
		serial++
		return fmt.Sprintf(zoneOf, w.trixie.Address, address, serial)
	}
	daemon(t, w.trixie, "nsd", map[string]string{
		"nsd.conf": fmt.Sprintf(nsdConf, w.trixie.Address), "example.test.zone": zone("192.0.2.1"),
	}, "nsd", "-c", "/run/lab-dns/nsd.conf")
	daemon(t, w.bookworm, "unbound", map[string]string{
		"unbound.conf": fmt.Sprintf(unboundConf, w.bookworm.Address, w.trixie.Address),
	}, "unbound", "-c", "/run/lab-dns/unbound.conf")
	// left is how long the resolver goes on to remember a name.
	left := func(name string) time.Duration {
		t.Helper()
		answer, err := dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), w.bookworm.Address+":53")
		if err != nil || len(answer.Answer) == 0 {
			t.Fatalf("the resolver does not know %s: %v, %v", name, err, answer)
		}
		return time.Duration(answer.Answer[len(answer.Answer)-1].Header().Ttl) * time.Second
	}
	config := func(resolvers string, more ...string) string {
		return w.config("data \"cutover_dns_propagation\" \"names\" {\n" + strings.Join(append([]string{
			`names = ["example.test", "www.example.test"]`, `former_addresses = ["192.0.2.1"]`, `expected_addresses = ["198.51.100.1"]`,
			"resolvers = " + resolvers,
		}, more...), "\n") + "\n}\n")
	}
	resolver := fmt.Sprintf("[%q]", w.bookworm.Address)
	has := func(attribute, value string) resource.TestCheckFunc {
		return resource.TestCheckResourceAttr(propagation, attribute, value)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{ // The authoritative server gives the old address: nobody knows until when.
				Config: config(resolver),
				Check: resource.ComposeAggregateTestCheckFunc(
					has("complete", "false"), resource.TestCheckNoResourceAttr(propagation, "complete_by"),
					has("answers.#", "12"), has("behind.#", "8"), // nothing has an IPv6 address
					has("behind.1", "example.test A at authoritative server ns1.example.test: still 192.0.2.1 (TTL 60 s)")),
			},
			{ // It has moved, and the resolver remembers.
				PreConfig: func() {
					for _, name := range []string{"example.test.", "mail.example.test.", "www.example.test."} {
						for left(name) < 40*time.Second {
							time.Sleep(time.Second)
						}
					}
					if _, err := w.trixie.RunInput(t.Context(), zone("198.51.100.1"), "sh", "-c",
						`cat >/run/lab-dns/example.test.zone; kill -HUP "$(cat /run/lab-dns/nsd.pid)"`); err != nil {
						t.Fatal(err)
					}
				},
				Config: config(resolver, `types = ["A"]`),
				Check: resource.ComposeAggregateTestCheckFunc(
					has("complete", "false"), has("answers.#", "4"), has("behind.#", "2"),
					resource.TestMatchResourceAttr(propagation, "complete_by", regexp.MustCompile(`^20\d\d-.*Z$`)),
					resource.TestMatchResourceAttr(propagation, "behind.0", regexp.MustCompile(`^example\.test A at resolver `+regexp.QuoteMeta(w.bookworm.Address)+`: still 192\.0\.2\.1 \(TTL [1-6]?[0-9] s\)$`))),
			},
			{ // Until it has forgotten.
				Config: config(resolver, `wait_for = "complete"`, `interval = "2s"`, `timeouts = { read = "5m" }`),
				Check: resource.ComposeAggregateTestCheckFunc(
					has("complete", "true"), has("behind.#", "0"), has("answers.#", "12"), resource.TestCheckNoResourceAttr(propagation, "complete_by")),
			},
			{ // A resolver that was shut down is named, and the others are asked.
				PreConfig: func() {
					if _, err := w.bookworm.Run(t.Context(), "sh", "-c", `kill -STOP "$(cat /run/lab-dns/unbound.pid)"`); err != nil {
						t.Fatal(err)
					}
				},
				Config: config(fmt.Sprintf("[%q, %q]", w.bookworm.Address, w.trixie.Address), `types = ["A"]`),
				Check: resource.ComposeAggregateTestCheckFunc(
					has("complete", "false"), has("answers.#", "6"), has("behind.#", "2"),
					has("behind.0", "example.test A at resolver "+w.bookworm.Address+": it does not answer within 3 s")),
			},
		},
	})
}

// The names of a host are those of its sites and its mail domains; more come on top.
func TestAccDNSPropagationOfAHost(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		t.Cleanup(func() { run(t, host, "sh", "-c", "rm /etc/*/sites-enabled/*.example.org*") })
		site := `printf 'server {\nlisten 80;\nserver_name shop.example.org *.example.org ~^x;\n}\n' >/etc/nginx/sites-enabled/shop.example.org`
		if name == "sysv" {
			site = `printf '<VirtualHost *:80>\nServerName shop.example.org\nServerAlias *.example.org\n</VirtualHost>\n' >/etc/apache2/sites-enabled/shop.example.org.conf`
		}
		run(t, host, "sh", "-c", site)
		names := []string{"example.test", "more.example.org", "shop.example.org"}
		if name == "bookworm" {
			names = []string{"bookworm.example.test", "example.test", "more.example.org", "shop.example.org"} // Postfix takes mail for its own name
		}
		checks := []resource.TestCheckFunc{
			resource.TestCheckResourceAttr(propagation, "complete", "false"), resource.TestCheckResourceAttr(propagation, "asked.#", fmt.Sprint(len(names))),
		}
		for i, each := range names {
			checks = append(checks, resource.TestCheckResourceAttr(propagation, fmt.Sprintf("asked.%d", i), each))
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				// Nobody answers on that port: what is asked for is the question here.
				Config: w.config(fmt.Sprintf(`
data "cutover_dns_propagation" "names" {
  host             = %q
  names            = ["more.example.org"]
  former_addresses = ["192.0.2.1"]
  types            = ["A"]
  resolvers        = ["127.0.0.1:9"]
  authoritative    = false
}`, name)),
				Check: resource.ComposeAggregateTestCheckFunc(checks...),
			}},
		})
	})
}
