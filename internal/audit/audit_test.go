package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/machine"
)

func TestLeadsTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines string
		at    int
		want  []string
	}{
		"one":                  {"postmaster: root", 1, []string{"root"}},
		"several, sorted":      {"a: c,  b ,a", 1, []string{"a", "b", "c"}},
		"goes on":              {"# x\nhelp: anna,\n\t bert\nnext: x", 2, []string{"anna", "bert"}},
		"comma inside":         {`x: "|/bin/tickets a,b", anna`, 1, []string{`"|/bin/tickets a,b"`, "anna"}},
		"name in marks":        {`"odd: name": anna`, 1, []string{"anna"}},
		"virtual":              {"info@example.org\tanna bert@x", 1, []string{"anna bert@x"}},
		"blank before colon":   {"root : anna", 1, []string{"anna"}},
		"nothing":              {"root", 1, nil},
		"beyond the file":      {"root: anna", 2, nil},
		"an unterminated name": {`"root: anna`, 1, []string{"anna"}},
	} {
		if got := leadsTo(strings.Split(c.lines, "\n"), c.at); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzLeadsTo(f *testing.F) {
	f.Add("a: b\n c", 1)
	f.Add(`"`, 1)
	f.Fuzz(func(_ *testing.T, text string, at int) { leadsTo(strings.Split(text, "\n"), at) })
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"~/mail": "/home/anna/mail", "/var/mail/%u": "/var/mail/anna", "/srv/%n/Maildir/": "/srv/anna/Maildir", "~/": "/home/anna",
		"/var/vmail/%d/%n": "", "Maildir": "", "": "",
	} {
		got, known := expand(pattern, "anna", "/home/anna/")
		if known != (want != "") || known && got != want {
			t.Errorf("expand %q: %q, %t, want %q", pattern, got, known, want)
		}
	}
	for pattern, want := range map[string]struct {
		root  string
		parts int
	}{
		"/var/vmail/%d/%n": {"/var/vmail", 2}, "/srv/%{user | domain}/x/%n/Maildir": {"/srv", 4}, "/%d": {"/", 1}, "/srv/mail": {"/srv/mail", 0},
	} {
		if root, parts := constant(pattern); root != want.root || parts != want.parts {
			t.Errorf("constant %q: %q, %d", pattern, root, parts)
		}
	}
	for directory, want := range map[string]string{"": "INBOX", ".Archive.2009": "Archive.2009", "Archive/2009": "Archive.2009"} {
		if got := folderName(directory); got != want {
			t.Errorf("folder %q: %q", directory, got)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	f := &facts{mails: places{
		{user: "anna", root: "/home/anna/mail", control: "/var/control/anna"}, {user: "anna", root: "/var/mail/anna", isSpool: true},
		{user: "bert", root: "/var/mail/bert", isSpool: true}, {root: "/srv/vmail", parts: 2},
	}, own: collected{
		folders: map[string]map[string]int64{"/home/anna/mail": {"": 3, ".Sent": 1}, "/srv/vmail": {"example.org": 1, "example.org/carl": 2, "example.org/carl/.Sent": 4}},
		spools:  map[string]int64{"/var/mail/anna": 5}, validity: map[string]string{"/var/control/anna/.Sent": "7", "/home/anna/mail/.Sent": "8"},
	}}
	got := f.folders()
	if got["anna"]["INBOX"].messages != 3 || got["anna"]["Sent"] != (folder{1, "7"}) || got["anna"]["spool"].messages != 5 || len(got["anna"]) != 3 {
		t.Errorf("anna: %v", got["anna"])
	}
	if got["example.org/carl"]["INBOX"].messages != 2 || got["example.org/carl"]["Sent"].messages != 4 || len(got) != 2 {
		t.Errorf("all: %v", got)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"homes/anna", "homes/anna", true}, {"homes/anna", "homes/anna/mode", false}, {"homes/*", "homes/anna/mode", true}, {"*/anna*", "accounts/anna/shell", true},
		{"*/anna*", "accounts/hanna/shell", false}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"*", "", true}, {"", "", true}, {"x*", "y", false},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("%q in %q: %t", c.pattern, c.text, got)
		}
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	listeners := []machine.Listener{
		{Address: "0.0.0.0", Port: 80}, {Address: "::", Port: 81}, {Address: "192.0.2.1", Port: 82}, {Address: "127.0.0.1", Port: 83}, {Address: "192.0.2.1", Port: 83}, {Address: "::", Port: 84}, {Address: "0.0.0.0", Port: 84},
	}
	for port, want := range map[int]string{80: "127.0.0.1", 81: "::1", 82: "192.0.2.1", 83: "127.0.0.1", 84: "127.0.0.1", 85: ""} {
		if got, listens := local(listeners, port); got != want || listens != (want != "") {
			t.Errorf("port %d: %q, %t", port, got, listens)
		}
	}
}

// comparing is a comparison of two hosts of which only what own has is known.
func comparing(was, is collected) *comparison {
	return &comparison{
		old: &facts{side: Side{Name: "old"}, own: was, failed: map[string]string{}}, new: &facts{side: Side{Name: "new"}, own: is, failed: map[string]string{}},
		audit: &Audit{Taken: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
}

// findings are those of an audit, as "severity area/subject".
func (c *comparison) findings() []string {
	var all []string
	for _, f := range c.audit.Findings {
		all = append(all, string(f.Severity)+" "+f.Area+"/"+f.Subject)
	}
	return all
}

func TestServices(t *testing.T) {
	t.Parallel()
	c := comparing(
		collected{boot: []string{"cron", "rsyslog", "sudo", "apache2", "sendmail", "memcached", "old-script"}},
		collected{boot: []string{"old-script"}, units: map[string]string{
			"apache2.service": "disabled", "cron.service": "enabled", "memcached.socket": "enabled", "memcached.service": "static", "postfix.service": "enabled", "old-script.service": "generated",
		}},
	)
	c.add(services, "Services", (*comparison).services)
	if got := c.findings(); !slices.Equal(got, []string{"warning services/apache2", "notice services/sendmail"}) {
		t.Errorf("findings: %q", got)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	good := certificate{"CN=a.example", now.AddDate(1, 0, 0), ""}
	for name, c := range map[string]struct {
		was, is certificate
		want    string
	}{
		"the same":           {good, good, ""},
		"renewed":            {good, certificate{"CN=a.example", now.AddDate(1, 2, 0), ""}, ""},
		"refused by both":    {certificate{good.subject, good.expires, "unknown authority"}, certificate{good.subject, good.expires, "unknown authority"}, ""},
		"refused by one":     {good, certificate{good.subject, good.expires, "unknown authority"}, "error"},
		"another name":       {good, certificate{"CN=localhost", good.expires, ""}, "warning"},
		"expired":            {good, certificate{good.subject, now.AddDate(0, 0, -1), ""}, "error"},
		"expired on both":    {certificate{good.subject, now.AddDate(0, 0, -1), ""}, certificate{good.subject, now.AddDate(0, 0, -1), ""}, ""},
		"expires soon":       {good, certificate{good.subject, now.AddDate(0, 0, 3), ""}, "warning"},
		"expires after soon": {good, certificate{good.subject, now.AddDate(0, 0, 15), ""}, ""},
	} {
		made := comparing(collected{}, collected{})
		made.add(certificates, "Certificates", func(made *comparison) { made.certificate("x", c.was, c.is) })
		got := ""
		for _, f := range made.audit.Findings {
			got += string(f.Severity)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAnAreaThatIsNotKnown(t *testing.T) {
	t.Parallel()
	c := comparing(collected{}, collected{})
	c.new.failed[queue] = "mailq: command not found"
	c.old.unclear = map[string][]string{queue: {"qmail: its queue was not read"}}
	c.add(queue, "Mail queue", (*comparison).queue)
	if a := c.audit.Areas[0]; a.Compared != 0 || a.Skipped != `host "new": mailq: command not found` {
		t.Errorf("area: %+v", a)
	}
	if !slices.Equal(c.audit.NotCompared, []string{`host "old": qmail: its queue was not read`, `host "new": mailq: command not found`}) {
		t.Errorf("not compared: %q", c.audit.NotCompared)
	}
	if summary := c.audit.Summary(); !strings.Contains(summary, "nothing differs, 2 things not compared") {
		t.Errorf("summary: %s", summary)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	file := func(path string, lines ...string) text { return text{"cron", path, lines} }
	c := comparing(
		collected{packages: []string{"sendmail", "both"}, texts: []text{
			file("/etc/cron.d/sendmail", "* * * * * smmsp x"), file("/etc/cron.d/both", "1"), file("/etc/cron.d/mine", "1"), file("/etc/cron.d/empty", "# nothing"),
			file("/var/spool/cron/crontabs/anna", "0 3 * * * a", "# b"), file("/var/spool/cron/bert", "x"), file("/etc/cron.daily/tidy", "#!/bin/sh", "tidy"),
		}},
		collected{packages: []string{"both"}, texts: []text{
			file("/var/spool/cron/tabs/anna", "0  3 * * *  a"), file("/var/spool/cron/crontabs/bert", "y"), file("/etc/cron.daily/tidy", "#!/bin/sh", "tidy --all"),
		}},
	)
	c.add(cron, "Scheduled jobs", (*comparison).cron)
	want := []string{"error cron//etc/cron.d/both", "error cron//etc/cron.d/mine", "warning cron//etc/cron.daily/tidy", "warning cron/crontab of bert", "notice cron//etc/cron.d/sendmail"}
	if got := c.findings(); !slices.Equal(got, want) {
		t.Errorf("findings: %q, want %q", got, want)
	}
}
