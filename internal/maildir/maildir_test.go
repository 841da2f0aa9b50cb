package maildir

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	dropInPath = "/etc/dovecot/conf.d/99-cutover-maildir.conf"
	look23     = "version 2.3.19.1 (9b53102964)\nrunning yes\n> namespace inbox {\n>   inbox = yes\n>   location = \n>   mailbox Drafts {\n>     special_use = \\Drafts\n>   }\n>   prefix = \n> }\n"
	look24     = "version 2.4.1-4 (7d8c0e5759)\nrunning no\n> namespace private {\n>   inbox = yes\n>   separator = /\n> }\n"
	// put24 are what must hold in a Dovecot as in look24.
	put24 = "mail_driver maildir mail_path '~/mail' mail_inbox_path '~/mail' maildir/mailbox_list_layout maildir++"
)

func wanted() Spec {
	return Spec{
		Name: "maildir", Path: "~/mail", Layout: LayoutMaildirPP, Mode: "0700", SpoolDirectory: "/var/mail",
		Users: []string{"bert", "anna"}, Folders: []string{"Sent", "Größe/R&D"},
	}
}

func body(text string) string {
	_, after, _ := strings.Cut(text, "\n\n")
	before, _, _ := strings.Cut(after, digestMark)
	return before
}

func TestDropInIsInTheSyntaxOfTheVersion(t *testing.T) {
	for name, c := range map[string]struct {
		setup setup
		spool Spool
		want  string
	}{
		"2.3":       {setup{"2.3", "inbox", "."}, NoSpool, "mail_location = maildir:~/mail"},
		"2.4":       {setup{"2.4", "inbox", "."}, NoSpool, "mail_driver = maildir\nmail_path = ~/mail\nmail_inbox_path = ~/mail\nmaildir {\n  mailbox_list_layout = maildir++\n}"},
		"2.3 inbox": {setup{"2.3", "inbox", "."}, SpoolInbox, "mail_location = maildir:~/mail\n\nnamespace inbox {\n  inbox = no\n}\nnamespace cutover_spool {\n  prefix = \"#mbox.\"\n  inbox = yes\n  hidden = yes\n  list = no\n  separator = .\n  location = mbox:~/.cutover-spool:INBOX=/var/mail/%n:INDEX=MEMORY\n}"},
		"2.4 namespace": {setup{"2.4", "private", "/"}, SpoolNamespace, "mail_driver = maildir\nmail_path = ~/mail\nmail_inbox_path = ~/mail\nmaildir {\n  mailbox_list_layout = maildir++\n}\n\nnamespace private {\n  inbox = yes\n  separator = /\n}\nnamespace cutover_spool {\n  prefix = spool/\n  subscriptions = no\n  separator = /\n" +
			"  mail_driver = mbox\n  mail_path = ~/.cutover-spool\n  mail_inbox_path = /var/mail/%{user | username}\n  mail_index_path = MEMORY\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := wanted()
			s.Spool = c.spool
			text := s.dropIn(c.setup)
			if got := strings.TrimSuffix(body(text), "\n"); got != c.want {
				t.Errorf("the settings are\n%s\nwant\n%s", got, c.want)
			}
			back, d, untouched, err := parse("maildir", text)
			if err != nil || !untouched || d != c.setup {
				t.Errorf("read back: %+v, untouched %v, %v", d, untouched, err)
			}
			if back.dropIn(d) != text {
				t.Errorf("read back and written again it is\n%s\nand was\n%s", back.dropIn(d), text)
			}
			if _, _, untouched, _ := parse("maildir", strings.Replace(text, "~/mail", "~/Mail", 1)); untouched {
				t.Error("a change was not noticed")
			}
			if _, _, untouched, _ := parse("maildir", text+"mail_debug = yes\n"); untouched {
				t.Error("an addition was not noticed")
			}
		})
	}
}

func TestApplyMakesTreesAndThenTheDropIn(t *testing.T) {
	fake := hosttest.New(t)
	s := wanted()
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + "end\n")
	fake.Expect("maildir/trees.sh make mail 700 - '.Gr&APYA3w-e.R&-D' 'Gr&APYA3w-e.R&-D' .Sent Sent").
		WithStdin("anna\nbert\n").Prints("user anna\nuser bert\nend\n")
	fake.Expect("maildir/drop_in.sh put " + dropInPath + " mail_location 'maildir:~/mail' namespace/inbox/location ''").
		WithStdin(s.dropIn(setup{"2.3", "inbox", "."}))
	if err := s.Apply(t.Context(), fake, false, nil); err != nil {
		t.Fatal(err)
	}
}

func TestApplyDropsLinksOfUsersWhoAreGone(t *testing.T) {
	fake := hosttest.New(t)
	s := Spec{Name: "maildir", Path: "~/mail", Layout: LayoutMaildirPP, Mode: "0700"}
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look24 + "end\n")
	fake.Expect("maildir/trees.sh drop mail 700 -").WithStdin("anna\n").Prints("user anna\nend\n")
	fake.Expect("maildir/drop_in.sh put " + dropInPath + " " + put24).
		WithStdin(s.dropIn(setup{"2.4", "private", "/"}))
	if err := s.Apply(t.Context(), fake, true, []string{"anna"}); err != nil {
		t.Fatal(err)
	}
}

func TestApplyTellsDovecotNothingWhereMaildirsAreNotMade(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + "end\n")
	fake.Expect("maildir/trees.sh make mail 700 - '.Gr&APYA3w-e.R&-D' 'Gr&APYA3w-e.R&-D' .Sent Sent").
		Prints("user anna\nnot mail\tbelongs to bert\nuser bert\nno-user\nend\n")
	err := wanted().Apply(t.Context(), fake, false, nil)
	if err == nil || errors.Is(err, ErrUnsure) {
		t.Fatal(err)
	}
	for _, want := range []string{"anna: ~/mail: belongs to bert", "bert: there is no such user", "cutover_host_user"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestApplyExplainsWhyDovecotRefused(t *testing.T) {
	s := Spec{Name: "maildir", Path: "~/mail", Layout: LayoutMaildirPP, Mode: "0700"}
	for code, want := range map[int]string{exitRefused: "nothing was changed", exitOverridden: "last word", exitPutBack: "put back as it was"} {
		fake := hosttest.New(t)
		fake.Expect("maildir/facts.sh " + dropInPath).Prints(look24 + "end\n")
		fake.Expect("maildir/drop_in.sh put "+dropInPath+" "+put24).
			Exits(code, "Fatal: line 3: Unknown setting: foo")
		err := s.Apply(t.Context(), fake, false, nil)
		if err == nil || errors.Is(err, ErrUnsure) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "\n  Fatal: line 3") {
			t.Errorf("exit code %d: %v", code, err)
		}
	}
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look24 + "end\n")
	fake.Expect("maildir/drop_in.sh put " + dropInPath + " " + put24).Fails(errors.New("connection lost"))
	if err := s.Apply(t.Context(), fake, false, nil); !errors.Is(err, ErrUnsure) {
		t.Errorf("a lost connection: %v", err)
	}
}

func TestApplyLeavesAnotherDropInOfThatNameAlone(t *testing.T) {
	other := Spec{Name: "maildir", Path: "~/Maildir", Layout: LayoutMaildirPP, Mode: "0700"}.dropIn(setup{"2.3", "inbox", "."})
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + quote(other) + "end\n")
	if err := wanted().Apply(t.Context(), fake, false, nil); err == nil || !strings.Contains(err.Error(), "terraform import … fake/maildir") {
		t.Error(err)
	}
}

func quote(text string) string {
	return "| " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n| ") + "\n"
}

func TestApplyWithoutDovecot(t *testing.T) {
	for out, want := range map[string]string{
		"absent\n":                           "has no Dovecot",
		"version 1.2.15\nrunning yes\nend\n": "2.0 or later",
		"version 2.3.13\n":                   "broke off",
	} {
		fake := hosttest.New(t)
		fake.Expect("maildir/facts.sh " + dropInPath).Prints(out)
		if err := wanted().Apply(t.Context(), fake, false, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", out, err)
		}
	}
}

func TestInspect(t *testing.T) {
	s := wanted()
	text := s.dropIn(setup{"2.3", "inbox", "."})
	trees := "maildir/trees.sh look mail 700 - '.Gr&APYA3w-e.R&-D' 'Gr&APYA3w-e.R&-D' .Sent Sent"

	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + "end\n")
	if _, found, err := Inspect(t.Context(), fake, "maildir"); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + quote(text) + "end\n")
	fake.Expect(trees).Prints("user anna\nuser bert\nend\n")
	state, found, err := Inspect(t.Context(), fake, "maildir")
	if err != nil || !found || len(state.Problems) != 0 || !slices.Equal(state.Users, []string{"anna", "bert"}) || !slices.Contains(state.Folders, "Größe/R&D") {
		t.Errorf("%+v, %v, %v", state, found, err)
	}
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(strings.Replace(look24, "running no", "running yes", 1) + quote(text) + "end\n")
	fake.Expect(trees).Prints("user anna\nnot mail/cur\tis missing\nuser bert\nend\n")
	state, _, err = Inspect(t.Context(), fake, "maildir")
	if err != nil || len(state.Problems) != 2 || !strings.Contains(state.Problems[0], "2.4.1") || state.Problems[1] != "anna: ~/mail/cur: is missing" {
		t.Errorf("%+v, %v", state, err)
	}
	// A host that does not answer says nothing about the drop-in.
	fake.Expect("maildir/facts.sh " + dropInPath).Fails(errors.New("lost"))
	if _, found, err := Inspect(t.Context(), fake, "maildir"); found || err == nil {
		t.Errorf("found %v, %v", found, err)
	}
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + quote(text) + "end\n")
	fake.Expect(trees).Prints("user anna\nend\n")
	if _, _, err := Inspect(t.Context(), fake, "maildir"); err == nil {
		t.Error("a broken answer was taken")
	}
}

func TestRemove(t *testing.T) {
	s := wanted()
	s.Spool = SpoolNamespace
	fake := hosttest.New(t)
	fake.Expect("maildir/facts.sh " + dropInPath).Prints(look23 + quote(s.dropIn(setup{"2.3", "inbox", "."})) + "end\n")
	fake.Expect("maildir/drop_in.sh remove " + dropInPath)
	fake.Expect("maildir/trees.sh drop mail 700 /var/mail '.Gr&APYA3w-e.R&-D' 'Gr&APYA3w-e.R&-D' .Sent Sent").Prints("user anna\nuser bert\nend\n")
	if err := s.Remove(t.Context(), fake); err != nil {
		t.Error(err)
	}
	fake.Expect("maildir/facts.sh "+dropInPath).Exits(255, "gone")
	var exit *host.ExitError
	if err := s.Remove(t.Context(), fake); !errors.As(err, &exit) {
		t.Error(err)
	}
}

func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		check     func(string) error
		good, bad []string
	}{
		"name":   {CheckName, []string{"maildir", "a-1"}, []string{"", "A", "1a", "a/b", "a b", "a;b"}},
		"path":   {CheckPath, []string{"~/Maildir", "~/mail", "~/var/mail.d"}, []string{"", "~", "~/", "/var/mail", "mail", "~/../x", "~/a/../b", "~/a//b", "~/a b", "~/a:b", "~/%u", "~/a\nb", "~/.", "~//etc"}},
		"mode":   {CheckMode, []string{"0700", "700", "2770", "750"}, []string{"", "0600", "77", "u+x", "07000"}},
		"user":   {CheckUser, []string{"anna", "a.b", "_x"}, []string{"", "root", "-a", "a;b", "$(id)", "a b", "a\nb"}},
		"folder": {CheckFolder, []string{"Sent", "Archive/2009", "Größe", "a & b"}, []string{"", "/", "a/", "a.b", "a*", "inbox", "INBOX/x", "~a", " a", "a\nb"}},
		"spool":  {CheckSpoolDirectory, []string{"/var/mail"}, []string{"", "/", "var/mail", "/var/../mail", "/var/mail:x", "/a b"}},
	} {
		for _, text := range c.good {
			if err := c.check(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, text := range c.bad {
			if c.check(text) == nil {
				t.Errorf("%s: %q was taken", name, text)
			}
		}
	}
}

func TestModifiedUTF7(t *testing.T) {
	// The examples of RFC 3501, section 5.1.3, and of RFC 2152.
	for text, want := range map[string]string{"~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "Hi Mom ☺!": "Hi Mom &Jjo-!", "a&b": "a&-b"} {
		if got := modifiedUTF7(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
