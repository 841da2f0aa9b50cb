package provider_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

const mailAddress = "cutover_maildir.mail"

func TestMaildirRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"absolute path":    {`path = "/var/mail"`, `is not a path in a home`},
		"path with ..":     {`path = "~/../x"`, `is not a path in a home`},
		"variable":         {`path = "~/%u"`, `is not a path in a home`},
		"bad user":         {`users = ["a;reboot"]`, `is not the name of a user`},
		"root":             {`users = ["root"]`, `Root\s+has\s+no\s+mail`},
		"no user":          {`users = []`, `at least 1`},
		"dot in folder":    {`folders = ["a.b"]`, `written\s+with\s+a\s+slash`},
		"inbox":            {`folders = ["INBOX"]`, `without\s+being\s+named`},
		"closed mode":      {`mode = "0600"`, `all\s+rights\s+for\s+the\s+user`},
		"unknown spool":    {`mbox_spool = "folder"`, `value must be one of`},
		"nobody's spool":   {`mbox_spool = "namespace"`, `users\s+says\s+whose`},
		"spool's place":    {`spool_directory = "mail"`, `absolute\s+path`},
		"unknown layout":   {`layout = "index"`, `value must be one of`},
		"folder of fs":     {"layout = \"fs\"\nfolders = [\"Archive/new\"]", `no\s+folder\s+can\s+be\s+called\s+new`},
		"bad name":         {`name = "../x"`, `lower-case\s+letters`},
		"host not in list": {`host = "elsewhere"`, `no\s+host\s+"elsewhere"`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.HasPrefix(c.arguments, "host") {
				c.arguments += "\nhost = \"new\""
			}
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" { hosts = { new = {} } }\nresource \"cutover_maildir\" \"mail\" {\n%s\n}", c.arguments),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

func maildirConfig(w *world, host *lab.Host, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_maildir\" \"mail\" {\n  host = %q\n%s\n}\n", host.Name, arguments))
}

// asInstalled gives Dovecot the mail location that Debian's package has, until
// the end of the test: the lab's own file comes early, and its lines in
// 10-mail.conf count again.
func asInstalled(t *testing.T, host *lab.Host) {
	t.Helper()
	t.Cleanup(func() {
		run(t, host, "sh", "-c", `cd /etc/dovecot/conf.d && mv 05-site.conf 99-site.conf && mv 10-mail.conf.lab 10-mail.conf && doveadm reload`)
	})
	run(t, host, "sh", "-c", `cd /etc/dovecot/conf.d && cp -p 10-mail.conf 10-mail.conf.lab && mv 99-site.conf 05-site.conf &&
		sed -i 's/^#\(mail_inbox_path\|mail_driver\|mail_path\|mail_home\) *=/\1 =/' 10-mail.conf && doveadm reload`)
}

// people makes accounts with the password "secret-NAME" until the end of the test.
func people(t *testing.T, host *lab.Host, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Cleanup(func() {
			run(t, host, "sh", "-c", `pkill -KILL -u "$1"; sleep 0.2; userdel -r "$1" 2>/dev/null; rm -f "/var/mail/$1"`, "sh", name)
		})
		run(t, host, "sh", "-c", `useradd -m -s /bin/bash "$1" && echo "$1:secret-$1" | chpasswd`, "sh", name)
	}
}

// imap is one connection to a host's IMAP server, from the lab's client.
type imap struct {
	conn net.Conn
	read *bufio.Reader
	tag  int
}

func openIMAP(w *world, host *lab.Host, user string) (*imap, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(10*time.Second))
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(host.Address, "143"))
	if err != nil {
		return nil, err
	}
	c := &imap{conn: conn, read: bufio.NewReader(conn)}
	if _, err := c.read.ReadString('\n'); err != nil {
		return nil, err
	}
	_, err = c.do("LOGIN " + user + " secret-" + user)
	return c, err
}

// do sends a command and returns all that the server says to it; an error
// unless it ends in OK.
func (c *imap) do(command string) (string, error) {
	c.tag++
	_ = c.conn.SetDeadline(time.Now().Add(pace.Limit(10 * time.Second)))
	fmt.Fprintf(c.conn, "a%d %s\r\n", c.tag, command)
	var said strings.Builder
	for {
		line, err := c.read.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			return said.String(), err
		}
		if rest, ok := strings.CutPrefix(line, fmt.Sprintf("a%d ", c.tag)); ok {
			if !strings.HasPrefix(rest, "OK") {
				return said.String(), fmt.Errorf("%s: %s", command, rest)
			}
			return said.String(), nil
		}
	}
}

// use says NOOP again and again until it is called idle, which returns the first
// error. At a reload Dovecot ends sessions that have said nothing for a few seconds.
func (c *imap) use() (idle func() error) {
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if _, err := c.do("NOOP"); err != nil {
				failed <- err
				return
			}
			select {
			case <-stop:
				failed <- nil
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() error {
		close(stop)
		return <-failed
	}
}

// imapSays logs in, and wants each command's answer to hold a text.
func imapSays(w *world, host *lab.Host, user string, pairs ...string) error {
	// A reload is asynchronous: Dovecot answers with the old settings for a moment.
	return eventually(5*time.Second, func() error {
		c, err := openIMAP(w, host, user)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		for ; len(pairs) > 1; pairs = pairs[2:] {
			said, err := c.do(pairs[0])
			if err != nil {
				return err
			}
			if !strings.Contains(said, pairs[1]) {
				return fmt.Errorf("%s: nothing with %q in\n%s", pairs[0], pairs[1], said)
			}
		}
		return nil
	})
}

// prints wants a command on the host to print exactly that.
func prints(host *lab.Host, want string, argv ...string) error {
	out, err := host.Run(context.Background(), argv...)
	if err == nil && strings.TrimSpace(out) != want {
		err = fmt.Errorf("on %s, %q prints %q, not %q", host.Name, argv, out, want)
	}
	return err
}

func actionOn(address string, action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)}}
}

// spool puts an mbox with one mail into /var/mail.
func spool(t *testing.T, host *lab.Host, user string) {
	t.Helper()
	run(t, host, "sh", "-c", `printf 'From a@b Mon Mar  2 10:00:00 2009\nFrom: a@b\nSubject: Spooled\n\nText\n\n' >"/var/mail/$1" &&
		chown "$1:mail" "/var/mail/$1" && chmod 660 "/var/mail/$1"`, "sh", user)
}

func TestAccMaildir(t *testing.T) {
	onEveryHost(t, func(t *testing.T, w *world, host *lab.Host) {
		untouched(t, host)
		asInstalled(t, host)
		people(t, host, "mila", "milo")
		spool(t, host, "mila")
		// Mail from before stays; a directory that root has made becomes its user's.
		run(t, host, "sh", "-c", `su mila -c 'mkdir -m 755 ~/Maildir ~/Maildir/cur && printf "Subject: kept\n\nText\n" >~/Maildir/cur/1.a.b:2,S' && mkdir /home/milo/Maildir`)
		const both = "  users   = [\"mila\", \"milo\"]\n  folders = [\"Sent\", \"Archive/Größe\"]\n"
		var session *imap
		var idle func() error
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: maildirConfig(w, host, both),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(mailAddress, "id", host.Name+"/maildir"),
						resource.TestCheckResourceAttr(mailAddress, "status", "ready"),
						check(t, func() (err error) {
							if err := errors.Join(
								imapSays(w, host, "mila", "STATUS INBOX (MESSAGES)", "MESSAGES 1", `LIST "" "*"`, "Archive.Gr&APYA3w-e", `LSUB "" "*"`, "Sent"),
								imapSays(w, host, "milo", "STATUS INBOX (MESSAGES)", "MESSAGES 0", "SELECT Sent", "OK"),
								prints(host, "mila 700\nmilo 700\nmila 700\nmilo 700", "sh", "-c",
									"stat -c '%U %a' /home/mila/Maildir/cur /home/milo/Maildir /home/mila/Maildir/.Sent/new /home/milo/Maildir/.Archive.Gr*/tmp"),
								prints(host, "0 77", "sh", "-c", `doveadm auth test mila secret-mila >/dev/null 2>&1; a=$?; doveadm auth test mila wrong >/dev/null 2>&1; echo $a $?`),
							); err != nil {
								return err
							}
							session, err = openIMAP(w, host, "mila")
							return err
						}),
					),
				},
				{Config: maildirConfig(w, host, both), PlanOnly: true},
				{ResourceName: mailAddress, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/maildir"},
				{ // the spool beside the Maildir; a session that is in use goes on
					PreConfig:        func() { idle = session.use() },
					Config:           maildirConfig(w, host, both+"  mbox_spool = \"namespace\"\n"),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return errors.Join(idle(), imapSays(w, host, "mila",
							`LIST "" "*"`, "spool.mail", "STATUS INBOX (MESSAGES)", "MESSAGES 1", "SELECT spool.mail", "* 1 EXISTS", "FETCH 1 BODY[HEADER]", "Spooled"))
					}),
				},
				{ResourceName: mailAddress, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/maildir"},
				{ // the spool as the inbox
					Config:           maildirConfig(w, host, both+"  mbox_spool = \"inbox\"\n"),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return errors.Join(
							imapSays(w, host, "mila", "SELECT INBOX", "* 1 EXISTS", "FETCH 1 BODY[HEADER]", "Spooled", `LIST "" "*"`, "Sent"),
							prints(host, "", "sh", "-c", "ls -d /home/mila/.cutover-spool 2>/dev/null || :"))
					}),
				},
				{ // back, elsewhere, for one user less
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/post/in\"\n  mode  = \"0750\""),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return errors.Join(
							imapSays(w, host, "mila", "STATUS INBOX (MESSAGES)", "MESSAGES 0"),
							prints(host, "mila 750", "stat", "-c", "%U %a", "/home/mila/post/in/cur"))
					}),
				},
				{ // folders as directories in directories
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/tree\"\n  layout = \"fs\"\n  folders = [\"Archive/Größe\"]"),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return errors.Join(
							imapSays(w, host, "mila", `LIST "" "*"`, "Archive/Gr&APYA3w-e", "SELECT Archive/Gr&APYA3w-e", "* 0 EXISTS", "CREATE Sent/2009", "OK", `LSUB "" "*"`, "Archive/Gr&APYA3w-e"),
							prints(host, "mila 700\nmila 700", "sh", "-c", "stat -c '%U %a' /home/mila/tree/Archive/Gr*/new /home/mila/tree/Sent/2009/cur"))
					}),
				},
				{ResourceName: mailAddress, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/maildir"},
				{ // and back, where the inbox still is
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/post/in\"\n  mode  = \"0750\""),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
				},
				{ // changed by hand
					PreConfig: func() {
						run(t, host, "sh", "-c", "echo '# mine' >>/etc/dovecot/conf.d/99-cutover-maildir.conf")
					},
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/post/in\"\n  mode  = \"0750\""),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
				},
				{ // a Maildir gone, and another open to all
					PreConfig:        func() { run(t, host, "sh", "-c", "rm -r /home/mila/post/in/new; chmod 777 /home/mila/post/in/cur") },
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/post/in\"\n  mode  = \"0750\""),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionUpdate),
					Check: check(t, func() error {
						return prints(host, "mila 750\nmila 750", "stat", "-c", "%U %a", "/home/mila/post/in/cur", "/home/mila/post/in/new")
					}),
				},
				{ // the drop-in gone
					PreConfig:        func() { run(t, host, "rm", "/etc/dovecot/conf.d/99-cutover-maildir.conf") },
					Config:           maildirConfig(w, host, "  users = [\"mila\"]\n  path  = \"~/post/in\"\n  mode  = \"0750\""),
					ConfigPlanChecks: actionOn(mailAddress, plancheck.ResourceActionCreate),
				},
			},
		})
		if err := errors.Join(
			prints(host, "Subject: kept", "head", "-n", "1", "/home/mila/Maildir/cur/1.a.b:2,S"),
			prints(host, "", "sh", "-c", "ls /etc/dovecot/conf.d | grep cutover || :"),
		); err != nil {
			t.Error(err)
		}
		if session != nil {
			session.conn.Close()
		}
	})
}

// Up to Dovecot 2.3 a namespace need not have a name. No other file can then
// change it, and a second one with the same prefix lets nobody log in.
func TestAccMaildirWithANamespaceWithoutAName(t *testing.T) {
	onOldHosts(t, func(t *testing.T, w *world, host *lab.Host) {
		t.Helper()
		untouched(t, host)
		asInstalled(t, host)
		people(t, host, "mina")
		spool(t, host, "mina")
		t.Cleanup(func() {
			run(t, host, "sh", "-c", `cd /etc/dovecot/conf.d && rm -f 20-unnamed.conf && mv 15-mailboxes.conf.lab 15-mailboxes.conf`)
		})
		// 10-mail.conf is put back by asInstalled, whose clean-up runs after this one.
		run(t, host, "sh", "-c", `cd /etc/dovecot/conf.d && cp -p 15-mailboxes.conf 15-mailboxes.conf.lab &&
			sed -i '/^namespace inbox {/,/^}/d' 10-mail.conf 15-mailboxes.conf && printf 'namespace {\n  inbox = yes\n}\n' >20-unnamed.conf && doveadm reload`)
		const mina = "  users = [\"mina\"]\n  path = \"~/post\"\n"
		asWritten := func() error {
			return prints(host, "namespace {", "sh", "-c", "doveconf -n namespace | grep '^namespace' | grep -v cutover_spool")
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: maildirConfig(w, host, mina),
					Check: check(t, func() error {
						return errors.Join(asWritten(), imapSays(w, host, "mina", "STATUS INBOX (MESSAGES)", "MESSAGES 0", "CREATE Sent.2009", "OK"),
							prints(host, "mina 700", "stat", "-c", "%U %a", "/home/mina/post/.Sent.2009/cur"))
					}),
				},
				{
					Config: maildirConfig(w, host, mina+"  mbox_spool = \"namespace\"\n"),
					Check: check(t, func() error {
						return errors.Join(asWritten(), imapSays(w, host, "mina", `LIST "" "*"`, "spool.mail", "SELECT spool.mail", "* 1 EXISTS", "STATUS INBOX (MESSAGES)", "MESSAGES 0"))
					}),
				},
				{ResourceName: mailAddress, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/maildir"},
				{
					Config:      maildirConfig(w, host, mina+"  mbox_spool = \"inbox\"\n"),
					ExpectError: regexp.MustCompile(`(?s)Unable to update maildir.*has\s+no\s+name.*write\s+"namespace\s+inbox\s+\{"`),
				},
				{ // written so, it can
					PreConfig: func() {
						run(t, host, "sh", "-c", "cd /etc/dovecot/conf.d && sed -i 's/^namespace {/namespace inbox {/' 20-unnamed.conf && doveadm reload")
					},
					Config: maildirConfig(w, host, mina+"  mbox_spool = \"inbox\"\n"),
					Check: check(t, func() error {
						return imapSays(w, host, "mina", "SELECT INBOX", "* 1 EXISTS", "FETCH 1 BODY[HEADER]", "Spooled")
					}),
				},
			},
		})
	})
}

func TestAccMaildirLeavesAFailureWithoutATrace(t *testing.T) {
	onOldHosts(t, maildirLeavesAFailureWithoutATrace)
}

func TestAccLongMaildirLeavesAFailureWithoutATrace(t *testing.T) {
	onNewHost(t, maildirLeavesAFailureWithoutATrace)
}

func maildirLeavesAFailureWithoutATrace(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	people(t, host, "mira")
	run(t, host, "sh", "-c", "ln -s /root /home/mira/Maildir && mkdir -m 700 /home/mira/own && ln -s /etc /home/mira/own/cur")
	t.Cleanup(func() { run(t, host, "rm", "-f", "/etc/dovecot/conf.d/50-broken.conf") })
	remember, asBefore := remembered(t, host)
	// doveadm that fails to reload, as when its socket is gone.
	withoutReload := func() {
		run(t, host, "sh", "-c", `d=$(command -v doveadm) && mv "$d" "$d.real" && printf '#!/bin/sh\n[ "$1" != reload ] || { echo "no reload today" >&2; exit 75; }\nexec "%s.real" "$@"\n' "$d" >"$d" && chmod 755 "$d"`)
	}
	withReload := func() { run(t, host, "sh", "-c", `d=$(command -v doveadm) && mv "$d.real" "$d"`) }
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{ // another file comes later and says otherwise
				PreConfig:   remember,
				Config:      maildirConfig(w, host, ""),
				ExpectError: regexp.MustCompile(`(?s)Unable to create maildir.*last\s+word.*  /etc/dovecot/conf.d/99-site.conf:\d+:mail_`),
			},
			{
				PreConfig: func() {
					asBefore()
					run(t, host, "sh", "-c", "echo 'no_such_setting = 1' >/etc/dovecot/conf.d/50-broken.conf")
					remember()
				},
				Config:      maildirConfig(w, host, `  path = "~/mail"`),
				ExpectError: regexp.MustCompile(`(?s)does\s+not\s+accept\s+its\s+configuration.*  .*/etc/dovecot/conf.d/50-broken.conf[^\n]*no_such_setting`),
			},
			{
				PreConfig: func() {
					asBefore()
					run(t, host, "rm", "/etc/dovecot/conf.d/50-broken.conf")
					withoutReload()
					remember()
				},
				Config:      maildirConfig(w, host, `  path = "~/mail"`),
				ExpectError: regexp.MustCompile(`(?s)put\s+back\s+as\s+it\s+was.*  no reload today`),
			},
			{ // a home's links lead root nowhere
				PreConfig: func() {
					asBefore()
					withReload()
					remember()
				},
				Config:      maildirConfig(w, host, `  users = ["mira"]`),
				ExpectError: regexp.MustCompile(`(?s)Maildirs\s+could\s+not\s+be\s+made.*mira: ~/Maildir`),
			},
			{
				PreConfig:   asBefore,
				Config:      maildirConfig(w, host, "  users = [\"mira\"]\n  path = \"~/own\""),
				ExpectError: regexp.MustCompile(`(?s)mira: ~/own/cur: belongs to root`),
			},
			{
				Config:      maildirConfig(w, host, `  users = ["nobody-of-that-name"]`),
				ExpectError: regexp.MustCompile(`(?s)there is no such user; a cutover_host_user makes one`),
			},
			{ // there, and a change that fails leaves it as it is
				Config: maildirConfig(w, host, `  path = "~/mail"`),
			},
			{
				PreConfig: func() {
					withoutReload()
					remember()
				},
				Config:      maildirConfig(w, host, "  path = \"~/mail\"\n  mode = \"0750\""),
				ExpectError: regexp.MustCompile(`(?s)Unable to update maildir.*put\s+back\s+as\s+it\s+was`),
			},
			{
				PreConfig: func() {
					asBefore()
					withReload()
				},
				Config: maildirConfig(w, host, `  path = "~/mail"`), PlanOnly: true,
			},
		},
	})
}
