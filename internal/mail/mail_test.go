package mail

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

func TestInspectAsksOnce(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("mail/facts.sh /etc").Prints("dovecot\t2.3.13\nset\t\tmail_location\tmaildir:~/mail\nparent\t/home\t4\nhome-unreadable\tanna\t/srv/anna\nfile-unreadable\tbert\t/home/bert/.forward\nend\n")
	m, err := Inspect(t.Context(), fake)
	if err != nil || m.Path != "~/mail" || len(m.NotUnderstood) != 2 || !strings.Contains(m.NotUnderstood[1], "/srv/anna cannot be entered") {
		t.Errorf("%+v, %v", m, err)
	}
	for name, out := range map[string]string{"cut off": "dovecot\t2.3.13\n", "in mid-line": "set\t\tmail_loc\nend\n", "another": "hello\nend\n", "nothing": ""} {
		fake.Expect("mail/facts.sh /etc").Prints(out)
		if m, err := Inspect(t.Context(), fake); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	fake.Expect("mail/facts.sh /etc").Fails(errors.New("lost"))
	if _, err := Inspect(t.Context(), fake); err == nil {
		t.Error("a lost connection is no host without mail")
	}
}

func TestHostWithoutMail(t *testing.T) {
	host := newMachine(t)
	if m := host.inspect(); m.Version != "" || m.Server != "" || m.Driver != "" || len(m.NotUnderstood) > 0 || len(m.Problems) != 1 || !strings.Contains(m.Problems[0], "no Dovecot") {
		t.Errorf("%+v", m)
	}
	host.file("etc/courier/imapd", "MAILDIRPATH=Maildir\n")
	host.file("etc/cyrus.conf", "")
	if m := host.inspect(); !slices.Equal(m.NotUnderstood, []string{"the host has Courier: where it has mail was not read", "the host has Cyrus: where it has mail was not read"}) {
		t.Errorf("%q", m.NotUnderstood)
	}
}

// What three Dovecots print of Maildirs in ~/mail.
func TestMaildirsInHomes(t *testing.T) {
	for _, version := range dovecots {
		m := newMachine(t)
		m.dovecot(version, captured(t, "doveconf-"+version+"-homes.txt"))
		s := m.inspect()
		if s.Version != version || s.Driver != "maildir" || s.Path != "~/mail" || s.Layout != "maildir++" || s.Separator != "." || len(s.Problems)+len(s.NotUnderstood)+len(s.VirtualUsers) > 0 {
			t.Errorf("%s: %+v", version, s)
		}
		if !reflect.DeepEqual(s.Namespaces, []Namespace{{Name: "inbox", Type: "private", Inbox: true, Listed: true, Subscriptions: true}}) {
			t.Errorf("%s: %+v", version, s.Namespaces)
		}
	}
}

// What three Dovecots print of about everything that can be odd.
func TestVirtualUsers(t *testing.T) {
	for _, version := range dovecots {
		m := newMachine(t)
		config := strings.ReplaceAll(captured(t, "doveconf-"+version+"-virtual.txt"), "/etc/dovecot/users", m.dir+"/etc/dovecot/users")
		m.dovecot(version, config)
		m.file("etc/dovecot/users", "# comment\nanna@example.org:{PLAIN}s3cret:5000:5000::/srv/vmail/example.org/anna::\nbert@example.org:{PLAIN}x:5000:5000::::userdb_mail=maildir:~/other\n\n")
		s := m.inspect()
		home, path, index := "/srv/vmail/%d/%n", "/srv/vmail/%d/%u", "/var/idx/%d/%u"
		if version == "2.4.1" {
			home, path, index = "/srv/vmail/%{user | domain}/%{user | username}", "/srv/vmail/%{user | domain}/%u", "/var/idx/%u"
		}
		if s.Driver != "mdbox" || s.Path != path || s.IndexPath != index || s.ControlPath != "/var/ctl/%u" || s.Separator != "/" || len(s.Namespaces) != 2 {
			t.Errorf("%s: %+v", version, s.Store)
		}
		file := m.dir + "/etc/dovecot/users"
		want := []VirtualUsers{
			{Program: "dovecot", Source: "static", File: file, UID: "vmail", GID: "5000", Home: home, Accounts: 2},
			{Program: "dovecot", Source: "passwd-file", File: file, UID: "vmail", GID: "vmail", Accounts: 2},
		}
		if !reflect.DeepEqual(s.VirtualUsers, want) {
			t.Errorf("%s: %+v", version, s.VirtualUsers)
		}
		for _, want := range []string{"protocol pop3 has its own mail_", "userdb static gives its users a place of mail of their own", "1 accounts have a place of mail"} {
			if !slices.ContainsFunc(s.NotUnderstood, func(text string) bool { return strings.Contains(text, want) }) {
				t.Errorf("%s: %q is missing in %q", version, want, s.NotUnderstood)
			}
		}
		for _, want := range []string{"Dovecot has mail as mdbox", "namespace inbox: prefix = INBOX/"} {
			if !slices.ContainsFunc(s.Problems, func(text string) bool { return strings.Contains(text, want) }) {
				t.Errorf("%s: %q is missing in %q", version, want, s.Problems)
			}
		}
	}
}

// Files of those who are refused and of masters are not those of the users.
func TestPasswdFilesAsideAreNotCounted(t *testing.T) {
	m := newMachine(t)
	m.dovecot("2.3.13", "mail_location = maildir:/srv/vmail/%d/%n\npassdb {\n  args = HERE/deny\n  deny = yes\n  driver = passwd-file\n}\npassdb {\n  args = HERE/masters\n  driver = passwd-file\n  master = yes\n}\n"+
		"passdb {\n  args = HERE/users\n  driver = passwd-file\n}\nuserdb {\n  args = uid=vmail gid=vmail home=/srv/vmail/%d/%n\n  driver = static\n}\n")
	m.file("users", "anna@example.org:x::::::\n")
	m.file("deny", "eve:x\n")
	found := m.inspect()
	want := []VirtualUsers{{Program: "dovecot", Source: "static", File: m.dir + "/users", UID: "vmail", GID: "vmail", Home: "/srv/vmail/%d/%n", Accounts: 1}}
	if !reflect.DeepEqual(found.VirtualUsers, want) || len(found.NotUnderstood) > 0 {
		t.Errorf("%+v, %q", found.VirtualUsers, found.NotUnderstood)
	}
	if len(found.Problems) != 2 || !strings.Contains(found.Problems[1], "users with the home /srv/vmail/%d/%n who need have no account") {
		t.Errorf("%q", found.Problems)
	}
}

func TestLocations(t *testing.T) {
	one := func(location string) string { return "dovecot\t2.3.19\nset\t\tmail_location\t" + location + "\n" }
	several := func(pairs ...string) string {
		text := "dovecot\t2.4.1\n"
		for i := 0; i < len(pairs); i += 2 {
			text += "set\t\t" + pairs[i] + "\t" + pairs[i+1] + "\n"
		}
		return text
	}
	for name, c := range map[string]struct {
		printed      string
		driver, path string
		layout       string
		inbox        string
		problem      string // "" for none
		unclear      string
	}{
		"home by letter":        {one("maildir:%h/Maildir/"), "maildir", "~/Maildir", "maildir++", "", "", ""},
		"home by name":          {one("maildir:%{home}/a/../b"), "maildir", "~/b", "maildir++", "", "", ""},
		"where all homes are":   {one("maildir:/home/%u/Maildir"), "maildir", "~/Maildir", "maildir++", "", "", ""},
		"the same by the part":  {one("maildir:/home/%Ln/Maildir"), "maildir", "~/Maildir", "maildir++", "", "", ""},
		"where no home is":      {one("maildir:/srv/%u/Maildir"), "maildir", "/srv/%u/Maildir", "maildir++", "", "not in the users' homes", ""},
		"beside a home":         {one("maildir:/home/%u.mail"), "maildir", "/home/%u.mail", "maildir++", "", "not in the users' homes", ""},
		"domain":                {one("maildir:~/%d/mail"), "maildir", "~/%d/mail", "maildir++", "", "not the same in each home", ""},
		"the home":              {one("maildir:~"), "maildir", "~", "maildir++", "", "the home itself", ""},
		"fs":                    {one("maildir:~/mail:LAYOUT=fs"), "maildir", "~/mail", "fs", "", "", ""},
		"Maildir++ in capitals": {one("maildir:~/mail:LAYOUT=Maildir++:INDEX=MEMORY"), "maildir", "~/mail", "maildir++", "", "", ""},
		"a third layout":        {one("maildir:~/mail:LAYOUT=index"), "maildir", "~/mail", "index", "", "neither maildir++ nor fs", ""},
		"the inbox elsewhere":   {one("maildir:~/mail:INBOX=~/Inbox"), "maildir", "~/mail", "maildir++", "~/Inbox", "the inbox is ~/Inbox", ""},
		"the inbox in place":    {one("maildir:~/mail:INBOX=%h/mail/"), "maildir", "~/mail", "maildir++", "", "", ""},
		"control elsewhere":     {one("maildir:~/mail:CONTROL=/var/c/%u"), "maildir", "~/mail", "maildir++", "", "load all mail once more", ""},
		"names in UTF-8":        {one("maildir:~/mail:UTF-8"), "maildir", "~/mail", "maildir++", "", "UTF-8 changes where", ""},
		"an unknown option":     {one("maildir:~/mail:NEW=x"), "maildir", "~/mail", "maildir++", "", "", "the option NEW=x"},
		"a colon in the path":   {one("maildir:~/a::b"), "maildir", "~/a:b", "maildir++", "", "", ""},
		"Debian's":              {one("mbox:~/mail:INBOX=/var/mail/%u"), "mbox", "~/mail", "fs", "/var/mail/%u", "has mail as mbox", ""},
		"nothing":               {one(""), "auto", "", "", "", "not told where mail is", ""},
		"no driver":             {one("~/Maildir"), "auto", "", "", "", "not told where mail is", ""},
		"2.4":                   {several("mail_driver", "maildir", "mail_path", "%{home}/mail"), "maildir", "~/mail", "maildir++", "", "", ""},
		"2.4, by name":          {several("mail_driver", "maildir", "mail_path", "/home/%{user | username}/mail"), "maildir", "~/mail", "maildir++", "", "", ""},
		"2.4, its own path":     {several("mail_driver", "maildir"), "maildir", "~/Maildir", "maildir++", "", "", ""},
		"2.4, fs for all":       {several("mail_driver", "maildir", "mail_path", "~/mail") + "layout-line\t/etc/dovecot/conf.d/10-mail.conf:3\tfs\n", "maildir", "~/mail", "fs", "", "", ""},
		"2.4, fs for maildir":   {several("mail_driver", "maildir", "mail_path", "~/mail") + "set\tmaildir\tmailbox_list_layout\tfs\n", "maildir", "~/mail", "fs", "", "", ""},
		"2.4, Debian's":         {several("mail_driver", "mbox", "mail_home", "/home/%{user | username}", "mail_path", "%{home}/mail", "mail_inbox_path", "/var/mail/%{user}"), "mbox", "~/mail", "fs", "/var/mail/%u", "has mail as mbox", ""},
		"2.4, nothing":          {several(), "auto", "", "", "", "not told where mail is", ""},
		"of the namespace":      {one("mbox:~/x") + "set\tnamespace inbox\t\t\nset\tnamespace inbox\tinbox\tyes\nset\tnamespace inbox\tlocation\tmaildir:~/own\n", "maildir", "~/own", "maildir++", "", "", ""},
		"2.4, of the namespace": {several("mail_driver", "maildir", "mail_path", "~/x") + "set\tnamespace inbox\t\t\nset\tnamespace inbox\tinbox\tyes\nset\tnamespace inbox\tmail_path\t~/own\n", "maildir", "~/own", "maildir++", "", "", ""},
		"Courier's folders":     {one("maildir:~/Maildir") + "set\tnamespace\t\t\nset\tnamespace\tinbox\tyes\nset\tnamespace\tprefix\tINBOX.\nset\tnamespace\tseparator\t.\n", "maildir", "~/Maildir", "maildir++", "", "prefix = INBOX.", ""},
		"another separator":     {one("maildir:~/Maildir") + "set\tnamespace inbox\t\t\nset\tnamespace inbox\tinbox\tyes\nset\tnamespace inbox\tseparator\t/\n", "maildir", "~/Maildir", "maildir++", "", "separator = /", ""},
		"before doveconf":       {"dovecot-old\t1.0.15\n", "", "", "", "", "older than 2.0", "before 2.0"},
	} {
		a, err := parse(c.printed + "parent\t/home\t4\nend\n")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := a.mail()
		if m.Driver != c.driver || m.Path != c.path || m.Layout != c.layout || m.InboxPath != c.inbox {
			t.Errorf("%s: %+v", name, m.Store)
		}
		said := func(list []string, want string) bool {
			return len(list) == 0 && want == "" || len(list) == 1 && want != "" && strings.Contains(list[0], want)
		}
		if !said(m.Problems, c.problem) || !said(m.NotUnderstood, c.unclear) {
			t.Errorf("%s: problems %q, not understood %q", name, m.Problems, m.NotUnderstood)
		}
	}
}

// A name in a path is a home only where all homes are so.
func TestNamesInPathsWhereHomesDiffer(t *testing.T) {
	a, err := parse("dovecot\t2.3.19\nset\t\tmail_location\tmaildir:/home/%u/Maildir\nparent\t/home\t4\nparent\t-\t1\nend\n")
	if err != nil {
		t.Fatal(err)
	}
	if m := a.mail(); m.Path != "/home/%u/Maildir" || len(m.Problems) != 1 || !strings.Contains(m.Problems[0], "not all in one directory") {
		t.Errorf("%+v", m)
	}
}

func TestNamespacesWithoutNamesAreSeveral(t *testing.T) {
	m := newMachine(t)
	m.dovecot("2.3.13", "mail_location = maildir:~/mail\nnamespace {\n  inbox = yes\n  location = \n  mailbox Drafts {\n    auto = no\n  }\n  prefix = \n}\nnamespace {\n  location = maildir:/srv/shared\n  prefix = \"shared folders/\"\n  type = public\n}\n")
	want := []Namespace{{Type: "private", Inbox: true, Listed: true, Subscriptions: true}, {Type: "public", Prefix: "shared folders/", Location: "maildir:/srv/shared", Listed: true, Subscriptions: true}}
	if found := m.inspect(); !reflect.DeepEqual(found.Namespaces, want) {
		t.Errorf("%+v", found.Namespaces)
	}
}
