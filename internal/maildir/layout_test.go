package maildir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	// As Dovecot 2.3.13 prints them.
	lookUnnamed = "version 2.3.13 (89f716dc2)\nrunning yes\n> namespace {\n>   inbox = yes\n>   location = \n>   mailbox Drafts {\n>     inbox = no\n>     special_use = \\Drafts\n>   }\n>   prefix = \n> }\n"
	lookQuoted  = "version 2.3.13 (89f716dc2)\nrunning yes\n> namespace \"my inbox\" {\n>   inbox = yes\n>   location = \n>   prefix = \n>   separator = /\n> }\n"
)

func inFS() Spec {
	s := wanted()
	s.Layout, s.Folders = LayoutFS, []string{"Archive/2009", "Größe/R&D"}
	return s
}

func TestLayoutFS(t *testing.T) {
	for syntax, want := range map[string]string{
		"2.3": "mail_location = maildir:~/mail:LAYOUT=fs\n",
		"2.4": "mail_driver = maildir\nmail_path = ~/mail\nmail_inbox_path = ~/mail\nmaildir {\n  mailbox_list_layout = fs\n}\n",
	} {
		d := setup{syntax, "inbox", "/"}
		text := inFS().dropIn(d)
		if body(text) != want {
			t.Errorf("%s: the settings are\n%s", syntax, body(text))
		}
		back, _, untouched, err := parse("maildir", text)
		if err != nil || !untouched || back.Layout != LayoutFS || back.dropIn(d) != text {
			t.Errorf("%s: read back: %+v, untouched %v, %v", syntax, back, untouched, err)
		}
	}
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + "end\n")
	fake.Expect("maildir/trees.sh make mail 700 - Archive/2009 Archive/2009 'Gr&APYA3w-e/R&-D' 'Gr&APYA3w-e/R&-D'").Prints("user anna\nuser bert\nend\n")
	fake.Expect("maildir/drop_in.sh put " + dropInPath + " mail_location 'maildir:~/mail:LAYOUT=fs' namespace/inbox/location ''").
		WithStdin(inFS().dropIn(setup{"2.3", "inbox", "/"}))
	if err := inFS().Apply(t.Context(), fake, false, nil); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{"cur", "Archive/new", "tmp/x"} {
		s := inFS()
		s.Folders = []string{folder}
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), "no folder can be called") {
			t.Errorf("%s: %v", folder, err)
		}
		s.Layout = LayoutMaildirPP
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

// earlierDropIn is one from before there was a choice of layouts, byte for byte.
const earlierDropIn = "# Managed by Terraform: cutover_maildir \"maildir\".\n" +
	"# Changes made here are undone by the next apply; destroying the resource removes this file, never mail.\n#\n" +
	"# dovecot 2.4\n# inbox inbox\n# separator .\n# path ~/mail\n# mode 0700\n\n" +
	"mail_driver = maildir\nmail_path = ~/mail\nmail_inbox_path = ~/mail\n" +
	"\n# sha256 b1d3de569545f3165244175d292e912a419185558568aa83db5b8b5518ca67aa\n"

func TestDropInOfBeforeThereWereLayouts(t *testing.T) {
	s, d, untouched, err := parse("maildir", earlierDropIn)
	if err != nil || !untouched || s.Layout != LayoutMaildirPP || s.Path != "~/mail" || d != (setup{"2.4", "inbox", "."}) {
		t.Errorf("%+v, %+v, untouched %v, %v", s, d, untouched, err)
	}
}

func TestSeparatorFollowsTheLayout(t *testing.T) {
	for name, c := range map[string]struct {
		printed string
		want    Layout
		was     Layout
		there   setup
		sep     string
	}{
		"nothing said":                   {look23, LayoutFS, "", setup{}, "/"},
		"the host's own":                 {look24, LayoutMaildirPP, "", setup{}, "/"},
		"another layout":                 {look23, LayoutFS, LayoutMaildirPP, setup{"2.3", "inbox", "."}, "/"},
		"and back":                       {look23, LayoutMaildirPP, LayoutFS, setup{"2.3", "inbox", "/"}, "."},
		"hidden by the drop-in in force": {"version 2.3.13\n> namespace inbox {\n>   inbox = no\n> }\n", LayoutFS, LayoutMaildirPP, setup{"2.3", "inbox", "^"}, "^"},
	} {
		fake := hosttest.New(t)
		fake.Expect("maildir/facts.sh " + dropInPath).Prints(c.printed + "end\n")
		f, err := look(t.Context(), fake, dropInPath)
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.setup("fake", Spec{Layout: c.want}, Spec{Layout: c.was}, c.there)
		if err != nil || d.separator != c.sep {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestNamespaceWithoutAName(t *testing.T) {
	s := Spec{Name: "maildir", Path: "~/mail", Layout: LayoutMaildirPP, Mode: "0700", SpoolDirectory: "/var/mail"}
	put := "maildir/drop_in.sh put " + dropInPath + " mail_location 'maildir:~/mail'"
	for name, spool := range map[string]Spool{"alone": NoSpool, "with spools": SpoolNamespace} {
		t.Run(name, func(t *testing.T) {
			s.Spool = spool
			fake := hosttest.New(t)
			fake.Expect("maildir/facts.sh " + dropInPath).Prints(lookUnnamed + "end\n")
			fake.Expect(put).WithStdin(s.dropIn(setup{"2.3", unnamed, "."}))
			if err := s.Apply(t.Context(), fake, false, nil); err != nil {
				t.Fatal(err)
			}
			text := s.dropIn(setup{"2.3", unnamed, "."})
			if strings.Contains(text, "namespace  {") || strings.Contains(text, "namespace {") || strings.Contains(text, "namespace inbox") {
				t.Errorf("a namespace more:\n%s", text)
			}
			if _, d, untouched, err := parse("maildir", text); err != nil || !untouched || d != (setup{"2.3", unnamed, "."}) {
				t.Errorf("read back: %+v, %v, %v", d, untouched, err)
			}
		})
	}
	for name, c := range map[string]struct{ printed, says string }{
		"inbox for the spools": {lookUnnamed, `write "namespace inbox {" in its place`},
		"location of its own":  {strings.Replace(lookUnnamed, "location = ", "location = mbox:~/mail", 1), `("namespace {") has a place of its own, which counts more than a drop-in's; remove this from it in /etc/dovecot: location = mbox:~/mail`},
		"place of its own, 2.4": {strings.Replace(look24, "> }", ">   mail_path = ~/own\n>   mailbox_list_layout = fs\n> }", 1),
			`("namespace private {") has a place of its own, which counts more than a drop-in's; remove this from it in /etc/dovecot: mail_path = ~/own, mailbox_list_layout = fs`},
	} {
		s.Spool = SpoolInbox
		fake := hosttest.New(t)
		fake.Expect("maildir/facts.sh " + dropInPath).Prints(c.printed + "end\n")
		if err := s.Apply(t.Context(), fake, false, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamespaceWithABlankInItsName(t *testing.T) {
	s := Spec{Name: "maildir", Path: "~/mail", Layout: LayoutMaildirPP, Mode: "0700", Spool: SpoolNamespace, SpoolDirectory: "/var/mail"}
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(lookQuoted + "end\n")
	fake.Expect("maildir/drop_in.sh put " + dropInPath + " mail_location 'maildir:~/mail'").WithStdin(s.dropIn(setup{"2.3", "my inbox", "/"}))
	if err := s.Apply(t.Context(), fake, false, nil); err != nil {
		t.Fatal(err)
	}
	text := s.dropIn(setup{"2.3", "my inbox", "/"})
	if !strings.Contains(text, "\nnamespace \"my inbox\" {\n  inbox = yes\n") {
		t.Error(text)
	}
	if _, d, _, err := parse("maildir", text); err != nil || d.inbox != "my inbox" {
		t.Errorf("read back: %+v, %v", d, err)
	}
}

func TestShellMakesATreeInTheLayoutFS(t *testing.T) {
	home := t.TempDir()
	folders := []string{"Archive/2009/May", "Archive/2009/May", "Sent", "Sent"}
	arguments := func(action string) []string { return append([]string{action, "mail", "750", "-"}, folders...) }
	if said := inHome(t, home, arguments("make")...) + inHome(t, home, arguments("look")...); said != "" {
		t.Fatal(said)
	}
	for _, name := range []string{"", "Sent/", "Archive/2009/May/"} {
		for _, part := range []string{"cur", "new", "tmp"} {
			if info, err := os.Stat(filepath.Join(home, "mail", name+part)); err != nil || info.Mode() != os.ModeDir|0o750 {
				t.Errorf("%s%s: %v, %v", name, part, info, err)
			}
		}
	}
	// Directories on the way are no Maildirs, and as open as these; only maildir++ marks folders.
	if info, err := os.Stat(filepath.Join(home, "mail/Archive/2009")); err != nil || info.Mode() != os.ModeDir|0o750 {
		t.Errorf("%v, %v", info, err)
	}
	for _, none := range []string{"mail/Archive/cur", "mail/Sent/maildirfolder"} {
		if _, err := os.Lstat(filepath.Join(home, none)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", none, err)
		}
	}
	subscriptions := filepath.Join(home, "mail/subscriptions")
	if content, err := os.ReadFile(subscriptions); err != nil || string(content) != "Archive/2009/May\nSent\n" {
		t.Errorf("subscriptions: %q, %v", content, err)
	}
	must(t, os.WriteFile(subscriptions, []byte("V\t2\n\n"), 0o600))
	must(t, os.RemoveAll(filepath.Join(home, "mail/Archive")))
	if said := inHome(t, home, arguments("look")...); said != "not mail/Archive\tis missing\n" {
		t.Errorf("it says\n%s", said)
	}
	inHome(t, home, arguments("make")...)
	if content, err := os.ReadFile(subscriptions); err != nil || string(content) != "V\t2\n\nArchive\t2009\tMay\n" {
		t.Errorf("subscriptions: %q, %v", content, err)
	}
	must(t, os.RemoveAll(filepath.Join(home, "mail/Archive")))
	must(t, os.WriteFile(filepath.Join(home, "mail/Archive"), []byte("theirs"), 0o600))
	if said := inHome(t, home, arguments("make")...); said != "not mail/Archive\tis there, and is no directory\n" {
		t.Errorf("it says\n%s", said)
	}
}
