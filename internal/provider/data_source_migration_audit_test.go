package provider_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const auditData = "data.cutover_migration_audit.move"

func TestMigrationAuditConfiguration(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ attributes, says string }{
		"unknown host":    {`from = "odl"`, `no host "odl"; its hosts are: "new", "old"`},
		"unknown area":    {`areas = ["accounts", "crontabs"]`, `areas\[Value\("crontabs"\)\] value must be one of`},
		"unknown ignored": {`ignore = ["crontabs/anna"]`, `"crontabs" is no area; the areas are accounts, homes`},
		"no subject":      {`ignore = ["accounts"]`, `names no subject`},
		"no time":         {`timeline = [{ name = "first", started = "yesterday", finished = "2026-01-01T00:00:00Z" }]`, `"yesterday" is no time as in RFC 3339`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attributes := c.attributes
			if !strings.HasPrefix(attributes, "from") {
				attributes += "\n  from = \"old\""
			}
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: "provider \"cutover\" { hosts = { old = {}, new = {} } }\ndata \"cutover_migration_audit\" \"move\" {\n  to = \"new\"\n  " + attributes + "\n}",
					// The CLI breaks lines where it likes.
					ExpectError: regexp.MustCompile(`(?s)` + strings.ReplaceAll(c.says, " ", `\s+`)),
				}},
			})
		})
	}
}

// planted is a difference between two hosts that were equal: a command on one or both of
// them, and the finding that it makes.
type planted struct {
	finding string // "severity area/subject"
	old     string // commands on the old host, in sh
	new     string // on the new one
}

// differences are planted all at once. None of them makes another one's finding.
func differences(ca *lab.CA) []planted {
	return []planted{
		{"error accounts/frida", "", "userdel frida"},
		{"warning accounts/anna/shell", "", "usermod -s /bin/dash anna"},
		{"warning accounts/bert/home", "", "usermod -d /home/bert2 bert && mv /home/bert /home/bert2"},
		{"warning accounts/anna/groups", "", "gpasswd -d anna webteam"},
		{"notice accounts/carl/gecos", "", "usermod -c 'Somebody else' carl"},
		{"warning accounts/dora/group", "", `sed -i "s/^\(dora:x:[0-9]*\):[0-9]*:/\1:100:/" /etc/passwd`},
		{"warning accounts/emil/password", "", "echo emil:s3cret | chpasswd"},
		{"error accounts/carl/locked", "", "usermod --expiredate 1 --lock carl"},
		{"notice accounts/emil/uid", "", "usermod -u 3333 emil"},
		{"error accounts/vmail", `useradd -r -d /srv/vmail -s /usr/sbin/nologin vmail && printf 'userdb {\n  driver = static\n  args = uid=vmail gid=vmail home=/srv/vmail/%%d/%%n\n}\n' >/etc/dovecot/conf.d/98-virtual.conf`, ""},

		{"warning homes/anna", "", "rm '/home/anna/public_html/about me.html'"},
		{"notice homes/bert", "", "echo more >/home/bert2/more"},
		{"warning homes/ivan/mode", "", "chmod 751 /home/ivan"},
		{"error homes/dora/owner", "", "chown emil /home/dora"},
		{"error homes/gustav", "", "mv /home/gustav /srv"},

		{"error mailboxes/anna/INBOX", "", "rm \"$(ls -d /home/anna/mail/new/* | head -n 1)\""},
		{"notice mailboxes/bert/Archive", "", "echo 'Subject: more' >/home/bert2/mail/.Archive/new/1.more"},
		{"warning mailboxes/carl/INBOX", "echo '3 V1236000000 N8' >/home/carl/mail/dovecot-uidlist", "echo '3 V1799999999 N8' >/home/carl/mail/dovecot-uidlist"},
		{"error mailboxes/dora", "", "mv /home/dora/mail /home/dora/post"},

		{"error aliases/sales", "echo 'sales: anna' >>/etc/aliases", ""},
		{"warning aliases/support", `printf 'support: anna,\n\t"|/bin/tickets a,b"\n' >>/etc/aliases`, `printf 'support: "|/bin/tickets a,c", anna\n' >>/etc/aliases`},
		{"error forwards/ivan/.forward", "echo ivan@private.example >/home/ivan/.forward", ": >/home/ivan/.forwarded; head -c 21 /dev/zero >/home/ivan/.forwarded"},
		{"warning forwards/emil/.procmailrc", "echo MAILDIR=a >/home/emil/.procmailrc", "echo MAILDIR=b >/home/emil/.procmailrc"},
		{"warning queue/queue", "postconf -e defer_transports=smtp && postfix reload && echo hello | sendmail far@elsewhere.test", ""},

		{"error sites/anna.example.test:80", "", "chmod 000 /home/anna/public_html/index.html"},
		{"warning sites/bert.example.test:80", "", "sed -i 's/<title>bert/<title>treb/' /home/bert2/public_html/index.html && sed -i 's,/home/bert/,/home/bert2/,' /etc/nginx/sites-available/bert.example.test && nginx -s reload"},
		{"error sites/dora.example.test:80", "", "rm /etc/nginx/sites-enabled/dora.example.test && nginx -s reload"},
		{"warning sites/moved.example.test:80", redirect("https://here.example/"), redirect("https://there.example/")},
		{"error sites/shop.example.test:443/certificate", certified(ca, "2040-01-01"), certified(ca, "2020-01-01")},
		{"error certificates/renewal/shop.example.test", "mkdir -p /etc/letsencrypt/renewal && : >/etc/letsencrypt/renewal/shop.example.test.conf", ""},
		{"warning certificates/smtp:25", smtpd(ca, "mail.example.test"), smtpd(ca, "localhost")},

		{"error cron/crontab of anna", "mkdir -p /var/spool/cron/crontabs && echo '0 3 * * * tidy' >/var/spool/cron/crontabs/anna", ""},
		{"warning cron//etc/cron.d/backup", "mkdir -p /etc/cron.d && echo '0 4 * * * root backup' >/etc/cron.d/backup", "mkdir -p /etc/cron.d && printf '# by hand\n0 5 * * * root backup\n' >/etc/cron.d/backup"},
		{"warning cron/at", "mkdir -p /var/spool/cron/atjobs && echo job >/var/spool/cron/atjobs/a0000101c0ffee", ""},
		{"warning cron/time zone", "ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime", ""},
		{"warning sudo/webteam/%webteam", `printf '# who may\n%%webteam ALL = (root) \\\n\t/usr/sbin/nginx -s reload\n' >/etc/sudoers.d/webteam`, ""},

		{"error ports/2525/tcp", "echo '2525 inet n - n - - smtpd' >>/etc/postfix/master.cf && postfix reload", ""},
		{"error ports/2526/tcp", "echo '2526 inet n - n - - smtpd' >>/etc/postfix/master.cf && postfix reload", "echo '127.0.0.1:2526 inet n - n - - smtpd' >>/etc/postfix/master.cf && postfix reload"},
		{"warning ports/2527/tcp", "echo '2527 inet n - n - - smtpd' >>/etc/postfix/master.cf && postfix reload", "echo '0.0.0.0:2527 inet n - n - - smtpd' >>/etc/postfix/master.cf && postfix reload"},
		{"warning services/unbound", "systemctl enable unbound", ""},
		{"notice services/panel", `printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/panel.service && systemctl enable panel`, ""},
		{"error databases/mysql/shop", "mkdir -p /var/lib/mysql/shop /var/lib/mysql/mysql", ""},
		{"error databases/postgresql//var/lib/postgresql/15/main", "mkdir -p /var/lib/postgresql/15/main/base/16384 /var/lib/postgresql/15/main/base/1", ""},
	}
}

// redirect is a site of nginx that leads elsewhere.
func redirect(to string) string {
	return fmt.Sprintf(`printf 'server {\n listen 80;\n server_name moved.example.test;\n return 301 %s;\n}\n' >/etc/nginx/sites-enabled/moved && nginx -s reload`, to)
}

// certified is a site with HTTPS, and a certificate of its own until then.
func certified(ca *lab.CA, until string) string {
	return "cd /etc/ssl && " + pemFor(ca, "shop.example.test", until, "shop") +
		`printf 'server {\n listen 443 ssl;\n server_name shop.example.test;\n ssl_certificate /etc/ssl/shop.pem;\n ssl_certificate_key /etc/ssl/shop.pem;\n return 204;\n}\n' >/etc/nginx/sites-enabled/shop && nginx -s reload`
}

// smtpd gives Postfix a certificate for a name.
func smtpd(ca *lab.CA, name string) string {
	return "cd /etc/ssl && " + pemFor(ca, name, "2040-01-01", "smtpd") +
		"postconf -e smtpd_tls_cert_file=/etc/ssl/smtpd.pem smtpd_tls_key_file=/etc/ssl/smtpd.pem smtpd_tls_security_level=may && postconf -P submission/inet/smtpd_tls_security_level=none && postfix reload"
}

// pemFor writes NAME.pem in the working directory: a key and its certificate, by an
// authority that neither host trusts.
func pemFor(ca *lab.CA, subject, until, name string) string {
	notAfter, err := time.Parse(time.DateOnly, until)
	if err != nil {
		panic(err)
	}
	text, err := ca.Issue(notAfter, subject)
	if err != nil {
		panic(err)
	}
	return "printf %s '" + text + "' >" + name + ".pem && "
}

// twins are two hosts of the lab that are the same, with the same content.
func twins(t *testing.T) (theLab *lab.Lab, from, to *lab.Host) {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	t.Cleanup(cancel)
	theLab, err := lab.New(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := theLab.Close(); err != nil {
			t.Error(err)
		}
	})
	var passwords strings.Builder
	for _, name := range lab.UserNames(9) {
		passwords.WriteString(name + ":$6$salt$abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl\n")
	}
	hosts := make([]*lab.Host, 2)
	errs := make(chan error, 2)
	for i, name := range []string{"old", "new"} {
		go func() {
			host, err := theLab.StartHost(ctx, name, lab.Bookworm)
			if err == nil {
				// The mails have the host's name in them.
				_, err = host.Run(ctx, "hostname", "twin")
			}
			if err == nil {
				err = host.Fill(ctx, lab.Content{Users: 9})
			}
			if err == nil {
				// The same salts: all passwords are equal.
				_, err = host.RunInput(ctx, passwords.String(), "chpasswd", "-e")
			}
			if err == nil {
				_, err = host.Run(ctx, "sh", "-c", "rm -rf /home/gustav/mail /etc/nginx/sites-enabled/gustav.example.test && touch /home/emil/.procmailrc && newaliases")
			}
			hosts[i] = host
			errs <- err
		}()
	}
	for range hosts {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	return theLab, hosts[0], hosts[1]
}

// found are the findings in the state, as planted has them.
func found(s *terraform.State) (findings []string, told map[string]string) {
	attributes := s.RootModule().Resources[auditData].Primary.Attributes
	told = map[string]string{}
	for i := 0; attributes[fmt.Sprintf("findings.%d.area", i)] != ""; i++ {
		at := fmt.Sprintf("findings.%d.", i)
		finding := attributes[at+"severity"] + " " + attributes[at+"area"] + "/" + attributes[at+"subject"]
		findings = append(findings, finding)
		told[finding] = fmt.Sprintf("%q, %q: %s %s", attributes[at+"old"], attributes[at+"new"], attributes[at+"text"], attributes[at+"mend"])
	}
	return findings, told
}

// TestAccMigrationAudit compares two hosts that are equal, and then differ in forty ways.
func TestAccMigrationAudit(t *testing.T) {
	t.Parallel()
	theLab, from, to := twins(t)
	report := filepath.Join(t.TempDir(), "audit.html")
	config := func(more string) string {
		w := &world{lab: theLab, sysv: from, bookworm: to}
		return w.config(fmt.Sprintf(`
data "cutover_migration_audit" "move" {
  from        = "old"
  to          = "new"
  report_path = %q
  timeline    = [{ name = "the night", started = "2026-01-01T01:00:00Z", finished = "2026-01-01T01:00:07Z", downtime = true }, { name = "never" }]
%s
}`, report, more))
	}
	trees := func() map[*lab.Host]map[string]string {
		t.Helper()
		all := map[*lab.Host]map[string]string{}
		for _, host := range []*lab.Host{from, to} {
			var err error
			if all[host], err = host.Tree(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	ca, err := theLab.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	differences := differences(ca)
	want := []string{}
	for _, each := range differences {
		want = append(want, each.finding)
	}
	if len(want) < 40 {
		t.Fatalf("%d differences", len(want))
	}
	var before map[*lab.Host]map[string]string
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				PreConfig: func() { before = trees() },
				Config:    config(""),
				Check: resource.ComposeAggregateTestCheckFunc(
					func(s *terraform.State) error {
						findings, told := found(s)
						for _, finding := range findings {
							t.Errorf("equal hosts, and still: %s: %s", finding, told[finding])
						}
						for host, tree := range trees() {
							for _, change := range changesOf(before[host], tree) {
								t.Errorf("reading has changed %s: %s", host.Name, change)
							}
						}
						return nil
					},
					resource.TestCheckResourceAttr(auditData, "not_compared.#", "0"),
					resource.TestCheckResourceAttr(auditData, "compared.accounts", "11"),
					resource.TestCheckResourceAttr(auditData, "homes.#", "11"),
					resource.TestCheckResourceAttr(auditData, "mailboxes.#", "8"),
					resource.TestCheckResourceAttr(auditData, "mailboxes.0.user", "anna"),
					resource.TestCheckResourceAttr(auditData, "mailboxes.0.old_messages", "7"),
					resource.TestCheckResourceAttr(auditData, "mailboxes.0.new_messages", "7"),
					resource.TestMatchResourceAttr(auditData, "summary", regexp.MustCompile(`^old \(Debian GNU/Linux 12 \(bookworm\)\) and new \(.*\): nothing differs\n$`)),
				),
			},
			{
				PreConfig: func() {
					for _, each := range differences {
						for host, command := range map[*lab.Host]string{from: each.old, to: each.new} {
							if command != "" {
								run(t, host, "sh", "-c", command)
							}
						}
					}
				},
				Config: config(""),
				Check: func(s *terraform.State) error {
					findings, told := found(s)
					for _, finding := range findings {
						if !slices.Contains(want, finding) {
							t.Errorf("nobody has planted %s: %s", finding, told[finding])
						}
					}
					if len(findings) != len(want) {
						t.Errorf("%d findings of %d differences", len(findings), len(want))
					}
					for _, finding := range want {
						if !slices.Contains(findings, finding) {
							t.Errorf("not found: %s", finding)
						}
					}
					page, err := os.ReadFile(report)
					if err != nil {
						return err
					}
					for _, secret := range []string{"private.example", "tickets", "s3cret"} {
						for finding, text := range told {
							if strings.Contains(text, secret) {
								t.Errorf("%s tells what is nobody's business: %s", finding, text)
							}
						}
						if strings.Contains(string(page), secret) {
							t.Errorf("the report has %q", secret)
						}
					}
					return nil
				},
			},
			{
				Config: config("  areas = [\"accounts\", \"homes\"]\n  ignore = [\"accounts/anna/*\", \"homes/*\"]"),
				Check: resource.ComposeAggregateTestCheckFunc(
					func(s *terraform.State) error {
						rest := slices.DeleteFunc(slices.Clone(want), func(finding string) bool {
							return !strings.Contains(finding, " accounts/") || strings.Contains(finding, "accounts/anna/")
						})
						findings, _ := found(s)
						slices.Sort(rest)
						if slices.Sort(findings); !slices.Equal(findings, rest) {
							return fmt.Errorf("found are %q, want %q", findings, rest)
						}
						return nil
					},
					resource.TestCheckResourceAttr(auditData, "ignored", "7"),
					resource.TestCheckResourceAttr(auditData, "compared.%", "2"),
				),
			},
			{
				// What a pass has brought stands beside what is there.
				Config: config("  areas      = [\"homes\"]\n  depends_on = [cutover_sync_pass.home]") + `
resource "cutover_sync_pass" "home" {
  from  = "old"
  to    = "new"
  paths = ["/home/hanna"]
}`,
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckNoResourceAttr(auditData, "homes.0.brought_files"),
					func(s *terraform.State) error {
						attributes := s.RootModule().Resources[auditData].Primary.Attributes
						for i := 0; attributes[fmt.Sprintf("homes.%d.user", i)] != ""; i++ {
							at := fmt.Sprintf("homes.%d.", i)
							if attributes[at+"user"] != "hanna" {
								continue
							}
							if files, bytes := attributes[at+"brought_files"], attributes[at+"brought_bytes"]; files != attributes[at+"old_files"] || bytes != attributes[at+"new_bytes"] || files == "0" {
								return fmt.Errorf("a pass has brought %s files of %s, %s bytes of %s", files, attributes[at+"old_files"], bytes, attributes[at+"new_bytes"])
							}
							return nil
						}
						return errors.New("hanna has no home")
					},
				),
			},
		},
	})
}

// Old hosts of either init beside a new one of another release: what was planted is found,
// and that a package has other files there is not.
func TestAccMigrationAuditOfAnOlderHost(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		aliases, site := "/etc/aliases", "printf 'server {\\nlisten 80;\\nserver_name shop.example.org;\\nreturn 204;\\n}\\n' >/etc/nginx/sites-enabled/shop && nginx -s reload"
		undo := "rm /etc/nginx/sites-enabled/shop && nginx -s reload"
		more := []string{"notice services/nginx"}
		if name == "sysv" {
			site = "printf '<VirtualHost *:80>\\nServerName shop.example.org\\nRedirect / http://elsewhere.example/\\n</VirtualHost>\\n' >/etc/apache2/sites-enabled/shop.conf && service apache2 reload"
			undo = "rm /etc/apache2/sites-enabled/shop.conf && service apache2 reload"
			more = []string{"notice services/sendmail", "notice services/vsftpd", "error ports/21/tcp"}
		}
		people(t, host, "mona", "moss")
		people(t, w.trixie, "moss")
		t.Cleanup(func() {
			run(t, host, "sh", "-c", "mv "+aliases+".lab "+aliases+"; rm -f /var/spool/cron/crontabs/moss /etc/sudoers.d/moss; "+undo)
		})
		run(t, host, "sh", "-c", "cp -p "+aliases+" "+aliases+".lab && echo 'helpdesk: moss' >>"+aliases+
			" && echo '0 3 * * * tidy' >/var/spool/cron/crontabs/moss && echo 'moss ALL=(ALL) /bin/true' >/etc/sudoers.d/moss && "+site)
		want := append(more, "error accounts/mona", "error aliases/helpdesk", "error cron/crontab of moss", "warning sudo/moss/moss", "error sites/shop.example.org:80")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: w.config(fmt.Sprintf("data \"cutover_migration_audit\" \"move\" {\n  from = %q\n  to   = \"new\"\n}\n", name)),
				Check: func(s *terraform.State) error {
					findings, told := found(s)
					for _, finding := range want {
						if !slices.Contains(findings, finding) {
							t.Errorf("not found: %s, but %q", finding, findings)
						}
					}
					for _, finding := range findings {
						if strings.Contains(finding, " cron/") && !strings.Contains(finding, "crontab of moss") && strings.HasPrefix(finding, "error") || strings.Contains(finding, " sudo/") && !strings.Contains(finding, "moss") {
							t.Errorf("nobody has planted %s: %s", finding, told[finding])
						}
					}
					return nil
				},
			}},
		})
	})
}
