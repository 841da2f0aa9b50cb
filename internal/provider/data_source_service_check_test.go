package provider_test

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const checked = "data.cutover_service_check.c"

func checkBlock(arguments ...string) string {
	return "data \"cutover_service_check\" \"c\" {\n" + strings.Join(arguments, "\n") + "\n}\n"
}

func TestServiceCheckRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"port 0":       {"port = 0", `between 1 and\s+65535`},
		"port 70000":   {"port = 70000", `between 1 and\s+65535`},
		"protocol":     {"port = 80\nprotocol = \"gopher\"", `must be one of`},
		"path":         {"port = 80\npath = \"index.html\"", `does not start with /`},
		"second line":  {"port = 80\nserver_name = \"a\\nX-Forwarded-For: b\"", `contains a line end`},
		"timeout":      {"port = 80\ntimeout = \"soon\"", `not a positive duration`},
		"unknown host": {"port = 80\nvia = \"nwe\"", `no host "nwe"`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      "provider \"cutover\" {\n hosts = { old = {}, new = {} }\n}\n" + checkBlock(`address = "192.0.2.1"`, c.arguments),
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// A service that is not there is an error, or an answer where that is wished.
func TestServiceCheckOfNothing(t *testing.T) {
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
	arguments := []string{`address = "127.0.0.1"`, "port = " + port, `protocol = "smtp"`, `timeout = "300ms"`, `interval = "100ms"`}
	provider := "provider \"cutover\" {\n hosts = { old = {} }\n}\n"
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config:      provider + checkBlock(arguments...),
				ExpectError: regexp.MustCompile(`(?s)Unable to read service check.*127\.0\.0\.1:` + port + `.*connection\s+refused`),
			},
			{
				Config: provider + checkBlock(append(arguments, "fail = false")...),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(checked, "ok", "false"),
					resource.TestMatchResourceAttr(checked, "error", regexp.MustCompile("connection refused")),
					resource.TestCheckNoResourceAttr(checked, "greeting"),
				),
			},
		},
	})
}

// Every service of every host answers in its own language, from here and from
// another host.
func TestAccServiceCheck(t *testing.T) {
	w := labWorld(t)
	for _, host := range []*lab.Host{w.sysv, w.bookworm, w.trixie} {
		t.Run(host.Name, func(t *testing.T) {
			untouched(t, host)
			var all strings.Builder
			var answers []resource.TestCheckFunc
			for _, c := range []struct {
				port               int
				protocol, greeting string
				more               []string
			}{
				{25, "smtp", `^220 `, nil},
				{587, "submission", `^220 `, nil},
				{110, "pop3", `^\+OK`, nil},
				{143, "imap", `^\* OK`, nil},
				{80, "http", `^HTTP/1\.1 200`, []string{`server_name = "www.example.test"`}},
				{22, "tcp", `^SSH-2\.0-`, []string{`expect_text = "OpenSSH"`}},
			} {
				for name, from := range map[string]string{"here": "", "new": `via = "new"`} {
					name = fmt.Sprintf("from_%s_%d", name, c.port)
					all.WriteString(strings.Replace(checkBlock(append(c.more, fmt.Sprintf("address = %q\nport = %d", host.Address, c.port), from)...), `"c"`, `"`+name+`"`, 1))
					each := "data.cutover_service_check." + name
					answers = append(answers,
						resource.TestCheckResourceAttr(each, "ok", "true"),
						resource.TestCheckResourceAttr(each, "protocol", c.protocol),
						resource.TestMatchResourceAttr(each, "greeting", regexp.MustCompile(c.greeting)),
						resource.TestCheckNoResourceAttr(each, "error"))
				}
			}
			steps := []resource.TestStep{
				{Config: w.config(all.String()), Check: resource.ComposeAggregateTestCheckFunc(answers...)},
				{ // a web server is no mail server
					Config: w.config(checkBlock(fmt.Sprintf("address = %q", host.Address), "port = 80", `protocol = "pop3"`, `timeout = "3s"`)),
					// A web server waits for a question, as a mail server's client does for a greeting.
					ExpectError: regexp.MustCompile(`(?s)pop3.*(no\s+answer|no\s+POP3\s+reply|closed)`),
				},
			}
			resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
		})
	}
}
