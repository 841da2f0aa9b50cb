package mail

import (
	"slices"
	"testing"
)

func TestDomainsOfPostfix(t *testing.T) {
	m := newMachine(t)
	m.postfix("myhostname = mail.example.test\nmydomain = example.test\n" +
		"mydestination = $mydomain, ${myhostname} localhost.$mydomain,localhost, HERE/etc/more, Upper.Example\n" +
		"virtual_mailbox_domains = hash:HERE/etc/vdomains, mysql:/etc/postfix/domains.cf\n" +
		"virtual_alias_maps = hash:HERE/etc/virtual\nvirtual_alias_domains = $virtual_alias_maps\n")
	m.file("etc/more", "# ours\nmore.example   # and why\n\n")
	m.file("etc/vdomains", "boxes.example OK\nexample.test OK\n")
	m.file("etc/virtual", "aliases.example anything\ninfo@elsewhere.example anna\n@whole.example anna\n")
	found := m.inspect()
	want := []string{"aliases.example", "boxes.example", "example.test", "localhost.example.test", "mail.example.test", "more.example", "upper.example"}
	if !slices.Equal(found.Domains, want) {
		t.Errorf("%q, want %q", found.Domains, want)
	}
	if !slices.Contains(found.NotUnderstood, "postfix: virtual_mailbox_domains: mysql:/etc/postfix/domains.cf is no file whose domains can be read") {
		t.Errorf("%q", found.NotUnderstood)
	}
}

func TestDomainsOfSendmail(t *testing.T) {
	m := newMachine(t)
	m.program("sendmail", "")
	m.file("etc/mail/sendmail.cf", "Cwlocalhost cw.example\nFwHERE/etc/mail/local-host-names\nC{VirtHost}virt.example\nF{VirtHost}-o HERE/etc/mail/virt %[^\\#]\n"+
		"F{VirtHost}-o HERE/etc/mail/none\nF{w}HERE/etc/mail/lost\nF{VirtHost}@ldap:x\nDwmail\nCP.\nMlocal,\tP=/usr/bin/procmail, F=x\n")
	m.file("etc/mail/local-host-names", "# names\nexample.test other.example # two\n\nmail\n")
	m.file("etc/mail/virt", "file.example\n")
	found := m.inspect()
	want := []string{"cw.example", "example.test", "file.example", "other.example", "virt.example"}
	if !slices.Equal(found.Domains, want) {
		t.Errorf("%q, want %q", found.Domains, want)
	}
	for _, want := range []string{"sendmail: @ldap:x names domains, and is no file", m.dir + "/etc/mail/lost cannot be read"} {
		if !slices.Contains(found.NotUnderstood, want) {
			t.Errorf("%q is missing in %q", want, found.NotUnderstood)
		}
	}
}

func TestDomainsOfExim(t *testing.T) {
	m := newMachine(t)
	m.script("exim4", `case "$*" in "-bP domainlist local_domains") echo 'domainlist local_domains = @:localhost:example.test : other.example:/etc/exim4/more:lsearch;/etc/x:!not.example:' ;; esac`)
	m.program("uname", "mail.host.example\n")
	found := m.inspect()
	want := []string{"example.test", "mail.host.example", "other.example"}
	if !slices.Equal(found.Domains, want) {
		t.Errorf("%q, want %q", found.Domains, want)
	}
	for _, item := range []string{"/etc/exim4/more", "lsearch;/etc/x", "!not.example"} {
		if !slices.Contains(found.NotUnderstood, "exim: local_domains: "+item+" is no name") {
			t.Errorf("%s is missing in %q", item, found.NotUnderstood)
		}
	}
}

// A userdb inside another block is named: whose mail is where is not known.
func TestUserDatabaseOfAProtocol(t *testing.T) {
	m := newMachine(t)
	m.dovecot("2.3.19", "mail_location = maildir:~/mail\nuserdb {\n  driver = passwd\n}\nprotocol lmtp {\n  userdb {\n    args = password=s3cret\n    driver = static\n  }\n  mail_plugins = sieve\n}\nlocal 10.0.0.0/8 {\n  protocol imap {\n    userdb {\n      driver = passwd\n    }\n  }\n}\n")
	found := m.inspect()
	for _, want := range []string{"Dovecot: protocol lmtp has a userdb of its own, which was not read", "Dovecot: local 10.0.0.0/8 / protocol imap has a userdb of its own, which was not read"} {
		if !slices.Contains(found.NotUnderstood, want) {
			t.Errorf("%q is missing in %q", want, found.NotUnderstood)
		}
	}
	if len(found.NotUnderstood) != 2 {
		t.Errorf("not understood: %q", found.NotUnderstood)
	}
}
