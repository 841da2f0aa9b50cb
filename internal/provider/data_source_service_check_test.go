package provider_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
		"user alone":   {"port = 993\nusername = \"anna\"", `password_path`},
		"no file":      {"port = 993\nusername = \"anna\"\npassword_path = \"/no/such/file\"", `/no/such/file: no such file`},
		"in the clear": {"port = 143\nusername = \"anna\"\npassword_path = \"/dev/null\"", `the\s+password\s+would\s+cross\s+the\s+network`},
		"no password":  {"port = 993\nusername = \"anna\"\npassword_path = \"/dev/null\"", `/dev/null\s+is\s+to\s+have\s+a\s+password\s+in\s+one\s+line`},
		"IP version":   {"port = 80\nip_version = 6", `192\.0\.2\.1\s+is\s+no\s+address\s+of\s+IPv6`},
		"certificate":  {"port = 80\nexpect_certificate_days = 14", `Without\s+TLS\s+there\s+is\s+no\s+certificate`},
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

// Who has mail on a host logs in, from here through TLS, and on the host itself without.
// Which certificate the host has is told, and why nobody should take it.
func TestAccServiceCheckLogsIn(t *testing.T) {
	w := labWorld(t)
	for _, host := range []*lab.Host{w.sysv, w.bookworm, w.trixie} {
		t.Run(host.Name, func(t *testing.T) {
			untouched(t, host)
			t.Cleanup(func() { run(t, host, "userdel", "-r", "-f", "paula") })
			// Nobody has opened the mailbox yet when all checks come at once.
			run(t, host, "sh", "-c", `useradd -m -s /bin/bash paula && echo 'paula:paula-s3cret' | chpasswd
				install -d -o paula -m 700 ~paula/mail ~paula/mail/cur ~paula/mail/new ~paula/mail/tmp
				for n in 1 2 3; do printf 'Subject: %s\n\nHello.\n' $n >~paula/mail/new/$n.lab; done; chown paula ~paula/mail/new/*`)
			right, wrong := filepath.Join(t.TempDir(), "right"), filepath.Join(t.TempDir(), "wrong")
			if err := errors.Join(os.WriteFile(right, []byte("paula-s3cret\n"), 0o600), os.WriteFile(wrong, []byte("paula-wr0ng\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			local := []string{`address = "127.0.0.1"`, fmt.Sprintf("via = %q", host.Name)}
			far := []string{fmt.Sprintf("address = %q", host.Address), "insecure_tls = true"}
			type kind struct {
				arguments []string
				messages  string // "" where the protocol does not say
				encrypted bool
			}
			kinds := map[string]kind{
				"imap":  {append([]string{"port = 143"}, local...), "3", false},
				"pop3":  {append([]string{"port = 110"}, local...), "3", false},
				"imaps": {append([]string{"port = 993", "expect_certificate_days = 1"}, far...), "3", true},
				"stls":  {append([]string{"port = 110", "starttls = true"}, far...), "3", true},
			}
			if host == w.sysv { // the others have no FTP server
				kinds["ftp"] = kind{append([]string{"port = 21"}, local...), "", false}
			} else { // and this one's Sendmail has no AUTH
				kinds["submission"] = kind{append([]string{"port = 587"}, local...), "", false}
			}
			var all strings.Builder
			var answers []resource.TestCheckFunc
			var steps []resource.TestStep
			for name, kind := range kinds {
				block := func(password string) string {
					return checkBlock(append(kind.arguments, `username = "paula"`, fmt.Sprintf("password_path = %q", password), "fail = "+strconv.FormatBool(password == wrong))...)
				}
				each := "data.cutover_service_check." + name
				all.WriteString(strings.Replace(block(right), `"c"`, `"`+name+`"`, 1))
				answers = append(answers, resource.TestCheckResourceAttr(each, "ok", "true"), resource.TestCheckNoResourceAttr(each, "error"))
				if kind.messages == "" {
					answers = append(answers, resource.TestCheckNoResourceAttr(each, "messages"))
				} else {
					answers = append(answers, resource.TestCheckResourceAttr(each, "messages", kind.messages))
				}
				if kind.encrypted {
					answers = append(answers,
						resource.TestMatchResourceAttr(each, "tls_version", regexp.MustCompile(`^TLS 1\.`)),
						resource.TestMatchResourceAttr(each, "certificate.expires", regexp.MustCompile(`^20\d\d-.*Z$`)),
						resource.TestMatchResourceAttr(each, "certificate.problem", regexp.MustCompile(`^x509: `)))
				} else {
					answers = append(answers, resource.TestCheckNoResourceAttr(each, "certificate"))
				}
				steps = append(steps, resource.TestStep{Config: w.config(block(wrong)), ExpectError: regexp.MustCompile(`(?s)(PASS|LOGIN\s+"paula"|AUTH\s+PLAIN)\s+…:\s+the\s+server\s+said.*not\s+tried\s+again`)})
			}
			steps = append(steps, resource.TestStep{Config: w.config(all.String()), Check: resource.ComposeAggregateTestCheckFunc(answers...)})
			resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
		})
	}
}
