package provider_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const mailData = "data.cutover_mail.old"

func TestMailOfAnUnknownHost(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: `provider "cutover" { hosts = { old = {}, new = {} } }
data "cutover_mail" "old" { host = "odl" }`,
			ExpectError: regexp.MustCompile(`(?s)Unable to read mail.*no host "odl"; its hosts are: "new", "old"`),
		}},
	})
}

// dovecotSays gives a host a file of Dovecot's that comes last, until the end of
// the test. Dovecot itself is not told: doveconf reads files.
func dovecotSays(t *testing.T, host *lab.Host, text string) {
	t.Helper()
	run(t, host, "sh", "-c", `printf '%s' "$1" >/etc/dovecot/conf.d/99-zz-mail.conf`, "sh", text)
}

// Dovecot's settings of Maildirs with folders as directories, and of users of its
// own with a password that nobody is to see, in both syntaxes.
var (
	mailInFS = map[string]string{
		"2.3": "mail_location = maildir:%h/mail/:LAYOUT=fs\n",
		"2.4": "mail_path = %{home}/mail\nmailbox_list_layout = fs\n",
	}
	mailOfVirtual = map[string]string{
		"2.3": "mail_location = mdbox:~/store\npassdb {\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%u /etc/dovecot/cutover-users\n}\n" +
			"userdb {\n  driver = static\n  args = uid=mail gid=8 home=/srv/vmail/%d/%n password=s3cret\n}\npassdb {\n  driver = static\n  args = password=s3cret\n}\n",
		"2.4": "mail_driver = mdbox\nmail_path = ~/store\npassdb passwd-file {\n  passwd_file_path = /etc/dovecot/cutover-users\n}\n" +
			"userdb static {\n  fields {\n    uid = mail\n    gid = 8\n    home = /srv/vmail/%{user | domain}/%{user | username}\n    password = s3cret\n  }\n}\npassdb static {\n  password = s3cret\n}\n",
	}
)

func TestAccMail(t *testing.T) {
	onEveryHost(t, func(t *testing.T, w *world, host *lab.Host) {
		untouched(t, host)
		people(t, host, "mona", "moss")
		t.Cleanup(func() { run(t, host, "rm", "-f", "/etc/dovecot/conf.d/99-zz-mail.conf", "/etc/dovecot/cutover-users") })
		run(t, host, "sh", "-c", `su mona -c 'echo "|/usr/bin/vacation mona, s3cret@private.example" >~/.forward' && su moss -c ': >~/.procmailrc'`)
		syntax, aliases := "2.3", "/etc/aliases"
		if host == w.trixie {
			syntax = "2.4"
		}
		last, steps := "home_mailbox", 1
		checks := []resource.TestCheckFunc{resource.TestCheckResourceAttr(mailData, "mta", "postfix")}
		if host == w.sysv {
			aliases, last, steps = "/etc/mail/aliases", "/etc/procmailrc:3", 2
			checks = []resource.TestCheckFunc{
				resource.TestCheckResourceAttr(mailData, "mta", "sendmail"),
				resource.TestCheckResourceAttr(mailData, "delivery.0.to", "procmail"),
				resource.TestCheckResourceAttr(mailData, "delivery.0.command", "/usr/bin/procmail"),
			}
		}
		// Sendmail's file is a link to the other.
		t.Cleanup(func() { run(t, host, "mv", "/etc/aliases.lab", "/etc/aliases") })
		run(t, host, "sh", "-c", `cd /etc && cp -p aliases aliases.lab && printf 'helpdesk: mona,\n\t"|/usr/bin/tickets s3cret", s3cret@private.example\n' >>aliases`)
		step := fmt.Sprintf("delivery.%d.", steps-1)
		for name, value := range map[string]string{
			"id": host.Name, "driver": "maildir", "path": "~/mail", "layout": "maildir++", "separator": ".", "problems.#": "0", "not_understood.#": "0", "virtual_users.#": "0",
			"namespaces.#": "1", "namespaces.0.name": "inbox", "namespaces.0.inbox": "true", "delivery.#": fmt.Sprint(steps), step + "to": "maildir", step + "path": "~/mail", step + "setting": last,
			"forwards.mona.#": "2", "forwards.mona.0": "pipe", "forwards.mona.1": "address", "filters.moss.0": ".procmailrc",
		} {
			checks = append(checks, resource.TestCheckResourceAttr(mailData, name, value))
		}
		checks = append(checks,
			resource.TestMatchResourceAttr(mailData, "dovecot_version", regexp.MustCompile("^"+regexp.QuoteMeta(syntax)+`\.\d`)),
			resource.TestCheckTypeSetElemNestedAttrs(mailData, "aliases.*", map[string]string{
				"name": "helpdesk", "file": aliases, "kinds.#": "3", "kinds.0": "user", "kinds.1": "pipe", "kinds.2": "address",
			}))
		for _, name := range []string{"inbox_path", "control_path", "index_path", "spool_directory", "forwards.moss.#"} {
			checks = append(checks, resource.TestCheckNoResourceAttr(mailData, name))
		}
		config := w.config(fmt.Sprintf("data \"cutover_mail\" \"old\" { host = %q }\n", host.Name))
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: config, Check: resource.ComposeAggregateTestCheckFunc(append(checks, noSecrets)...)},
				{
					PreConfig: func() { dovecotSays(t, host, mailInFS[syntax]) },
					Config:    config,
					Check: resource.ComposeAggregateTestCheckFunc(
						resource.TestCheckResourceAttr(mailData, "path", "~/mail"),
						resource.TestCheckResourceAttr(mailData, "layout", "fs"),
						resource.TestCheckResourceAttr(mailData, "separator", "/"),
						resource.TestCheckResourceAttr(mailData, "problems.#", "0"),
						resource.TestCheckResourceAttr(mailData, "not_understood.#", "0"),
					),
				},
				{
					PreConfig: func() {
						dovecotSays(t, host, mailOfVirtual[syntax])
						run(t, host, "sh", "-c", `printf 'anna@example.org:{PLAIN}s3cret::::::\n# bert\ncarl@example.org:{PLAIN}s3cret::::::\n' >/etc/dovecot/cutover-users`)
					},
					Config: config,
					Check: resource.ComposeAggregateTestCheckFunc(
						resource.TestCheckResourceAttr(mailData, "driver", "mdbox"),
						resource.TestCheckResourceAttr(mailData, "path", "~/store"),
						resource.TestCheckResourceAttr(mailData, "problems.#", "2"), // the format, and the place that mail is delivered to
						resource.TestMatchResourceAttr(mailData, "problems.0", regexp.MustCompile("has mail as mdbox")),
						resource.TestMatchResourceAttr(mailData, "problems.1", regexp.MustCompile(`delivered to ~/mail \(maildir\), and Dovecot's inbox is ~/store \(mdbox\)`)),
						resource.TestCheckResourceAttr(mailData, "virtual_users.0.source", "static"),
						resource.TestCheckResourceAttr(mailData, "virtual_users.0.file", "/etc/dovecot/cutover-users"),
						resource.TestCheckResourceAttr(mailData, "virtual_users.0.accounts", "2"),
						resource.TestCheckResourceAttr(mailData, "virtual_users.0.uid", "mail"),
						resource.TestCheckResourceAttr(mailData, "virtual_users.0.gid", "8"),
						noSecrets,
					),
				},
				{
					PreConfig: func() { dovecotSays(t, host, "no_such_setting = s3cret\n") },
					Config:    config,
					Check: resource.ComposeAggregateTestCheckFunc(
						resource.TestCheckNoResourceAttr(mailData, "path"),
						resource.TestMatchResourceAttr(mailData, "not_understood.0", regexp.MustCompile(`does not accept its own configuration \(/etc/dovecot/conf.d/99-zz-mail.conf:1\)`)),
						resource.TestCheckResourceAttr(mailData, "forwards.mona.#", "2"),
						noSecrets,
					),
				},
			},
		})
	})
}

// noSecrets wants none of what the test calls a secret in the state.
func noSecrets(state *terraform.State) error {
	for name, value := range state.RootModule().Resources[mailData].Primary.Attributes {
		if strings.Contains(value, "s3cret") || strings.Contains(value, "private.example") {
			return fmt.Errorf("%s is %q", name, value)
		}
	}
	return nil
}

// What the data source says of the old host makes the same of the new one.
func TestAccMailForMaildir(t *testing.T) {
	onOldHosts(t, func(t *testing.T, w *world, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		asInstalled(t, w.trixie)
		people(t, w.trixie, "mona")
		t.Cleanup(func() { run(t, host, "rm", "-f", "/etc/dovecot/conf.d/99-zz-mail.conf") })
		dovecotSays(t, host, mailInFS["2.3"])
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: w.config(fmt.Sprintf(`
data "cutover_mail" "old" { host = %q }
resource "cutover_maildir" "mail" {
  host    = %q
  path    = data.cutover_mail.old.path
  layout  = data.cutover_mail.old.layout
  users   = ["mona"]
  folders = ["Archive/2009"]
}
`, host.Name, w.trixie.Name)),
				Check: check(t, func() error {
					return errors.Join(
						prints(w.trixie, "mona 700", "stat", "-c", "%U %a", "/home/mona/mail/Archive/2009/cur"),
						imapSays(w, w.trixie, "mona", `LIST "" "*"`, "Archive/2009", "SELECT Archive/2009", "* 0 EXISTS"))
				}),
			}},
		})
	})
}
