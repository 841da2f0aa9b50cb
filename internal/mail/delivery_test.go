package mail

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// inHomes is a Dovecot with Maildirs in ~/mail.
const inHomes = "dovecot\t2.3.19\nset\t\tmail_location\tmaildir:~/mail\n"

// What Postfix 3.7 prints where nothing of it is set.
const postfixDefaults = "server\tpostfix\npostfix\tmail_spool_directory\t/var/mail\npostfix\tlocal_transport\tlocal:$myhostname\npostfix\tvirtual_alias_maps\t$virtual_maps\n" +
	"postfix\tvirtual_mailbox_domains\t$virtual_mailbox_maps\npostfix\tvirtual_mailbox_maps\t\npostfix\tvirtual_transport\tvirtual\n"

func TestDelivery(t *testing.T) {
	local := func(program, to, path, command, setting string) Delivery {
		return Delivery{For: "local", Program: program, To: to, Path: path, Command: command, Setting: setting}
	}
	for name, c := range map[string]struct {
		printed string
		want    []Delivery
		differs bool   // from Dovecot's inbox
		unclear string // part of what was not understood
	}{
		"postfix, homes":    {postfixDefaults + "postfix\thome_mailbox\tmail/\n", []Delivery{local("postfix", "maildir", "~/mail", "", "home_mailbox")}, false, ""},
		"postfix, others":   {postfixDefaults + "postfix\thome_mailbox\tMaildir/\n", []Delivery{local("postfix", "maildir", "~/Maildir", "", "home_mailbox")}, true, ""},
		"postfix, mbox":     {postfixDefaults + "postfix\thome_mailbox\tmail\n", []Delivery{local("postfix", "mbox", "~/mail", "", "home_mailbox")}, true, ""},
		"postfix, spool":    {postfixDefaults, []Delivery{local("postfix", "mbox", "/var/mail/%u", "", "mail_spool_directory")}, true, ""},
		"postfix, lmtp":     {postfixDefaults + "postfix\tmailbox_transport\tlmtp:unix:private/dovecot-lmtp\npostfix\thome_mailbox\tx/\n", []Delivery{local("postfix", "lmtp", "unix:private/dovecot-lmtp", "", "mailbox_transport")}, false, ""},
		"postfix, lda":      {postfixDefaults + "postfix\tmailbox_command\t/usr/lib/dovecot/deliver\n", []Delivery{local("postfix", "dovecot", "", "/usr/lib/dovecot/deliver", "mailbox_command")}, false, ""},
		"postfix, cyrus":    {postfixDefaults + "postfix\tlocal_transport\tcyrus\n", []Delivery{local("postfix", "transport", "cyrus", "", "local_transport")}, false, "transport cyrus"},
		"postfix, some":     {postfixDefaults + "postfix\thome_mailbox\tmail/\npostfix\tmailbox_command_maps\thash:/etc/postfix/commands\n", []Delivery{local("postfix", "maildir", "~/mail", "", "home_mailbox")}, false, "users in hash:/etc/postfix/commands"},
		"postfix, procmail": {postfixDefaults + "postfix\tmailbox_command\t/usr/bin/procmail\n", []Delivery{local("postfix", "procmail", "", "/usr/bin/procmail", "mailbox_command"), local("procmail", "mbox", "/var/mail/%u", "", "procmail's default")}, true, ""},
		"sendmail": {"server\tsendmail\nsendmail\tlocal\t/usr/bin/procmail\tsendmail.cf:9\nprocmail\tMAILDIR\t$HOME/mail\trc:2\nprocmail\tDEFAULT\t$HOME/mail/\trc:3\n",
			[]Delivery{local("sendmail", "procmail", "", "/usr/bin/procmail", "sendmail.cf:9"), local("procmail", "maildir", "~/mail", "", "rc:3")}, false, ""},
		"procmail, relative": {"server\tsendmail\nsendmail\tlocal\t/usr/bin/procmail\tsendmail.cf:9\nprocmail\tMAILDIR\t$HOME\trc:2\nprocmail\tDEFAULT\t${MAILDIR}/mail/\trc:3\nprocmail\trecipes\t\trc:5\n",
			[]Delivery{local("sendmail", "procmail", "", "/usr/bin/procmail", "sendmail.cf:9"), local("procmail", "maildir", "~/mail", "", "rc:3")}, false, "rc:5: recipes"},
		"procmail, unknown": {"server\tsendmail\nsendmail\tlocal\t/usr/bin/procmail\tsendmail.cf:9\nprocmail\tDEFAULT\t$MBOXES/$LOGNAME\trc:3\n",
			[]Delivery{local("sendmail", "procmail", "", "/usr/bin/procmail", "sendmail.cf:9"), local("procmail", "mbox", "$MBOXES/%u", "", "rc:3")}, true, "$MBOXES/%u"},
		"mail.local":        {"server\tsendmail\nsendmail\tlocal\t/usr/libexec/mail.local\tsendmail.cf:9\n", []Delivery{local("sendmail", "mbox", "/var/mail/%u", "/usr/libexec/mail.local", "sendmail.cf:9")}, true, ""},
		"sensible-mda":      {"server\tsendmail\nsendmail\tlocal\t/usr/sbin/sensible-mda\tsendmail.cf:9\n", []Delivery{local("sendmail", "program", "", "/usr/sbin/sensible-mda", "sendmail.cf:9")}, false, "where /usr/sbin/sensible-mda"},
		"no mailer":         {"server\tsendmail\n", nil, false, `no mailer "local"`},
		"opensmtpd":         {"server\topensmtpd\n", nil, false, "opensmtpd: where it delivers to"},
		"none":              {"", nil, false, ""},
		"two, one in force": {"sendmail-program\t/usr/sbin/sendmail.postfix\nserver\tpostfix\nserver\texim\npostfix\thome_mailbox\tmail/\n", []Delivery{local("postfix", "maildir", "~/mail", "", "home_mailbox")}, false, ""},
		"two":               {"sendmail-program\t/usr/sbin/sendmail\nserver\tpostfix\nserver\tqmail\npostfix\thome_mailbox\tmail/\n", []Delivery{local("postfix", "maildir", "~/mail", "", "home_mailbox")}, false, "several mail servers (postfix, qmail)"},
	} {
		a, err := parse(inHomes + c.printed + "parent\t/home\t4\nend\n")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := a.mail()
		if !reflect.DeepEqual(m.Delivery, c.want) {
			t.Errorf("%s: %+v", name, m.Delivery)
		}
		if differs := len(m.Problems) == 1 && strings.Contains(m.Problems[0], "and Dovecot's inbox is ~/mail (maildir)"); differs != c.differs || len(m.Problems) > 1 {
			t.Errorf("%s: problems %q", name, m.Problems)
		}
		if c.unclear == "" && len(m.NotUnderstood) > 0 || c.unclear != "" && !strings.Contains(strings.Join(m.NotUnderstood, "\n"), c.unclear) {
			t.Errorf("%s: not understood %q", name, m.NotUnderstood)
		}
	}
}

func TestSpoolsUnderEitherName(t *testing.T) {
	a, err := parse("dovecot\t2.3.16\nset\t\tmail_location\tmbox:~/mail:INBOX=/var/spool/mail/%u\n" + postfixDefaults + "end\n")
	if err != nil {
		t.Fatal(err)
	}
	if m := a.mail(); len(m.Problems) != 1 || strings.Contains(m.Problems[0], "delivered") || m.SpoolDir != "/var/mail" {
		t.Errorf("%+v", m)
	}
}

// What Exim 4.96 prints of Debian's configuration; 4.98 prints the same routers
// and transports.
func TestExim(t *testing.T) {
	m := newMachine(t)
	m.file("said/routers", strings.ReplaceAll(captured(t, "exim-4.96-routers.txt"), "/etc/aliases", "HERE/etc/aliases"))
	m.file("said/transports", captured(t, "exim-4.96-transports.txt"))
	m.script("exim4", `cat "HERE/said/$2"`)
	m.file("etc/aliases", "postmaster: root\n")
	found := m.inspect()
	want := []Delivery{{For: "local", Program: "exim", To: "mbox", Path: "/var/mail/%u", Setting: "transport mail_spool"}}
	if found.Server != "exim" || !reflect.DeepEqual(found.Delivery, want) || found.SpoolDir != "/var/mail" || len(found.Aliases) != 1 || len(found.NotUnderstood) > 0 {
		t.Errorf("%+v", found)
	}
	// dc_localdelivery='maildir_home', and then a procmail for all.
	m.file("said/routers", strings.ReplaceAll(captured(t, "exim-4.96-routers.txt"), "transport = mail_spool", "transport = maildir_home"))
	want = []Delivery{{For: "local", Program: "exim", To: "maildir", Path: "~/Maildir", Setting: "transport maildir_home"}}
	if found := m.inspect(); !reflect.DeepEqual(found.Delivery, want) || found.SpoolDir != "" {
		t.Errorf("%+v", found)
	}
	m.file("etc/procmailrc", "DEFAULT=$HOME/Mail/inbox # theirs\n")
	found = m.inspect()
	if len(found.Delivery) != 2 || found.Delivery[0].Command != "/usr/bin/procmail" || found.Delivery[1].Path != "~/Mail/inbox" || found.Delivery[1].To != "mbox" {
		t.Errorf("%+v", found.Delivery)
	}
	// What is chosen by a lookup is not known, and its query stays on the host.
	m.file("said/routers", "aliases router:\ndriver = redirect\ndata = ${lookup mysql{SELECT s3cret}}\n\naccounts router:\ncheck_local_user\ndriver = accept\ntransport = ${lookup pgsql{s3cret}{a}{b}}\n")
	m.must(os.Remove(filepath.Join(m.dir, "etc/procmailrc")))
	found = m.inspect()
	if said := strings.Join(found.NotUnderstood, "\n"); len(found.Delivery) > 0 || !strings.Contains(said, "the router aliases looks up") || !strings.Contains(said, "none of a fixed name") || strings.Contains(said, "s3cret") {
		t.Errorf("%+v, %s", found.Delivery, said)
	}
}

// The lines of sendmail.cf of Debian 11, as sendmail.mc with local_procmail makes them.
func TestSendmail(t *testing.T) {
	m := newMachine(t)
	m.script("sendmail", "exit 1")
	m.file("etc/mail/sendmail.cf", "O AliasFile=HERE/etc/mail/aliases\nKvirtuser hash -o HERE/etc/mail/virtusertable\n"+
		"Mlocal,\t\tP=/usr/bin/procmail, F=lsDFMAw5:/|@qSPfhn9, S=EnvFromL/HdrFromL, R=EnvToL/HdrToL,\n\t\tT=DNS/RFC822/X-Unix,\n\t\tA=procmail -a $h -d $u\n"+
		"Mprog,\t\tP=/bin/sh, F=lsDFMoqeu9, S=EnvFromL/HdrFromL, R=EnvToL/HdrToL, D=$z:/,\n\t\tA=sh -c $u\n")
	m.file("etc/mail/aliases", "postmaster: root\n")
	m.file("etc/mail/virtusertable", "info@example.org\tanna\n")
	m.file("etc/procmailrc", "DROPPRIVS=yes\nMAILDIR=$HOME/mail\nDEFAULT=\"$HOME/mail/\"\n")
	found := m.inspect()
	want := []Delivery{
		{For: "local", Program: "sendmail", To: "procmail", Command: "/usr/bin/procmail", Setting: m.dir + "/etc/mail/sendmail.cf:3"},
		{For: "local", Program: "procmail", To: "maildir", Path: "~/mail", Setting: m.dir + "/etc/procmailrc:3"},
	}
	if found.Server != "sendmail" || !reflect.DeepEqual(found.Delivery, want) || len(found.Aliases) != 2 || len(found.NotUnderstood) > 0 {
		t.Errorf("%+v", found)
	}
}

func TestPostfixUsersWithoutAccounts(t *testing.T) {
	m := newMachine(t)
	m.postfix("home_mailbox = Maildir/\nvirtual_mailbox_domains = example.org, example.net\n" +
		"virtual_mailbox_maps = hash:$config_directory/vmailbox, proxy:mysql:/etc/postfix/mysql.cf\nvirtual_mailbox_base = /srv/vmail\n" +
		"virtual_uid_maps = static:5000\nvirtual_gid_maps = hash:/etc/postfix/gids\nvirtual_transport = lmtp:unix:private/dovecot-lmtp\n")
	m.file("etc/postfix/vmailbox", "# who\nanna@example.org example.org/anna/\n\nbert@example.org\texample.org/bert/\n")
	found := m.inspect()
	want := []VirtualUsers{
		{Program: "postfix", Source: "hash", File: m.dir + "/etc/postfix/vmailbox", UID: "5000", Home: "/srv/vmail", Accounts: 2},
		{Program: "postfix", Source: "proxy", UID: "5000", Home: "/srv/vmail", Accounts: -1},
	}
	if !reflect.DeepEqual(found.VirtualUsers, want) {
		t.Errorf("%+v", found.VirtualUsers)
	}
	if len(found.Delivery) != 2 || found.Delivery[1] != (Delivery{For: "virtual", Program: "postfix", To: "lmtp", Path: "unix:private/dovecot-lmtp", Setting: "virtual_transport"}) {
		t.Errorf("%+v", found.Delivery)
	}
	if !slices.Contains(found.NotUnderstood, "postfix: virtual_mailbox_maps: proxy:mysql:/etc/postfix/mysql.cf is no file whose entries can be read") {
		t.Errorf("%q", found.NotUnderstood)
	}
	m.must(os.Remove(filepath.Join(m.dir, "etc/postfix/vmailbox")))
	found = m.inspect()
	if found.VirtualUsers[0].Accounts != -1 || !slices.Contains(found.NotUnderstood, m.dir+"/etc/postfix/vmailbox cannot be read") {
		t.Errorf("%+v, %q", found.VirtualUsers, found.NotUnderstood)
	}
}
