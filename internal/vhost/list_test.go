package vhost

import (
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// fetched is what vhost/fetch.sh prints for patterns of one file each: pattern,
// path ("": none, "missing": not even the plain path), text.
func fetched(files ...string) string {
	var b strings.Builder
	for i := 0; i < len(files); i += 3 {
		b.WriteString("pattern " + files[i] + "\n")
		switch files[i+1] {
		case "missing":
			b.WriteString("missing " + files[i] + "\n")
			continue
		case "":
			continue
		}
		b.WriteString("is " + files[i+1] + "\n")
		for _, line := range strings.Split(files[i+2], "\n") {
			b.WriteString("| " + line + "\n")
		}
	}
	return b.String() + "end\n"
}

func TestListFollowsIncludes(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect("vhost/fetch.sh /etc/apache2/apache2.conf").Prints(fetched("/etc/apache2/apache2.conf", "/etc/apache2/apache2.conf",
		"Include ports.conf\nIncludeOptional sites-enabled/*.conf\n<IfModule mod_missing.c>\nInclude never.conf\n</IfModule>"))
	fake.Expect("vhost/fetch.sh /etc/apache2/ports.conf '/etc/apache2/sites-enabled/*.conf'").Prints(fetched(
		"/etc/apache2/ports.conf", "/etc/apache2/ports.conf", "Listen 80",
		"/etc/apache2/sites-enabled/*.conf", "/etc/apache2/sites-enabled/a.conf",
		"<VirtualHost *:80>\n  ServerName a\n  Include inner.conf\n  Use Thing b\n</VirtualHost>"))
	fake.Expect("vhost/fetch.sh /etc/apache2/inner.conf").Prints(fetched("/etc/apache2/inner.conf", "/etc/apache2/inner.conf", "DocumentRoot /srv/a"))
	fake.Expect("vhost/dump.sh /etc/apache2").Prints(
		"*:80  is a NameVirtualHost\n  port 80 namevhost a (/etc/apache2/sites-enabled/a.conf:1)\n  port 80 namevhost hidden (/etc/apache2/sites-enabled/m.conf:4)\n")
	server, sites, unclear, err := NewSites(fake).List(t.Context(), "")
	if err != nil || server != Apache || len(sites) != 1 {
		t.Fatalf("%s: %+v, %v", server, sites, err)
	}
	if s := sites[0]; s.ServerName != "a" || s.DocumentRoot != "/srv/a" || s.Extra != "" || s.Name != "a" || s.File != "/etc/apache2/sites-enabled/a.conf" || s.Line != 1 {
		t.Errorf("%+v", s)
	}
	if len(unclear) != 2 || !strings.HasPrefix(unclear[0], "/etc/apache2/sites-enabled/m.conf:4: Apache has a site hidden") ||
		!strings.HasPrefix(unclear[1], "/etc/apache2/sites-enabled/a.conf:4: Use Thing b") {
		t.Errorf("not understood: %q", unclear)
	}
}

func TestFileThatIncludesItselfEnds(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect("vhost/fetch.sh /etc/apache2/apache2.conf").Prints(fetched("/etc/apache2/apache2.conf", "/etc/apache2/apache2.conf", "Include apache2.conf\nInclude apache2.conf"))
	fake.Expect("vhost/dump.sh /etc/apache2").Exits(1, "Exceeded the maximum number of recursive includes")
	if _, sites, _, err := NewSites(fake).List(t.Context(), ""); err != nil || len(sites) != 0 {
		t.Errorf("%v, %v", sites, err)
	}
}

// What cutover_vhost would refuse is taken out and named, so that for_each over
// the rest works.
func TestOddSites(t *testing.T) {
	for name, c := range map[string]struct {
		server  *Server
		text    string
		labels  string // of the sites that come of it
		unclear int
		first   Site
	}{
		"two in a file, and a bad alias": {
			apache24, "<VirtualHost 192.0.2.1:80>\nServerName a\nServerAlias b $x\n</VirtualHost>\n<VirtualHost *:80>\nServerName c\n</VirtualHost>",
			"a c", 1, Site{ServerName: "a", Aliases: []string{"b"}},
		},
		"HTTP and HTTPS that differ": {
			apache24, "<VirtualHost *:80>\nServerName a\nDocumentRoot /a\n</VirtualHost>\n<VirtualHost *:443>\nServerName a\nSSLEngine on\nDocumentRoot /b\n</VirtualHost>",
			"a a-2", 1, Site{ServerName: "a", DocumentRoot: "/a"},
		},
		"HTTP and HTTPS alike": {
			apache24, "<VirtualHost *:80>\nServerName a\nDocumentRoot /a\n</VirtualHost>\n<VirtualHost *:443>\nServerName a\nSSLEngine on\nSSLCertificateFile /c\nSSLCertificateKeyFile /k\nDocumentRoot /a\n</VirtualHost>",
			"file", 0, Site{ServerName: "a", DocumentRoot: "/a", Certificate: "/c", CertificateKey: "/k"},
		},
		"a redirect elsewhere is a line like others": {
			nginx122, "server { server_name a; return 301 https://b$request_uri; }", "file", 0,
			Site{ServerName: "a", Extra: "return 301 https://b$request_uri;"},
		},
		"names by pattern and a Unix socket": {
			nginx122, "server { listen unix:/x; listen 80; server_name ~^a$ b; }", "file", 2, Site{ServerName: "b"},
		},
		"a brace in quotes and in a comment": {
			nginx122, "server {\n\tserver_name a; # }\n\tadd_header X \"}\";\n\troot /srv/a/;\n}", "file", 0,
			Site{ServerName: "a", DocumentRoot: "/srv/a", Extra: "add_header X \"}\";"},
		},
	} {
		parts, unclear := c.server.parts([]file{{path: "/etc/file.conf", text: c.text}}, includes{})
		sites, more := combine(parts)
		unclear = append(unclear, more...)
		var labels []string
		for _, site := range sites {
			labels = append(labels, site.Label())
		}
		if got := strings.Join(labels, " "); got != c.labels || len(unclear) != c.unclear {
			t.Errorf("%s: %q, not understood: %q", name, got, unclear)
			continue
		}
		got := sites[0].Site
		if got.ServerName != c.first.ServerName || strings.Join(got.Aliases, " ") != strings.Join(c.first.Aliases, " ") || got.DocumentRoot != c.first.DocumentRoot ||
			got.Extra != c.first.Extra || got.Certificate != c.first.Certificate || got.CertificateKey != c.first.CertificateKey {
			t.Errorf("%s: %+v", name, got)
		}
		for _, site := range sites {
			if err := site.Check(); err != nil && !strings.Contains(err.Error(), "certificate") {
				t.Errorf("%s: a cutover_vhost would refuse it: %v", name, err)
			}
		}
	}
}

// What cannot be read is said, of the site where one includes it.
func TestListNamesFilesThatCannotBeRead(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect("vhost/fetch.sh /etc/apache2/apache2.conf").Prints(fetched("/etc/apache2/apache2.conf", "/etc/apache2/apache2.conf",
		"Include gone.conf\n<VirtualHost *:80>\nServerName a\nInclude d/*.conf\n</VirtualHost>"))
	fake.Expect("vhost/fetch.sh /etc/apache2/gone.conf '/etc/apache2/d/*.conf'").Prints(
		"pattern /etc/apache2/gone.conf\nmissing /etc/apache2/gone.conf\npattern /etc/apache2/d/*.conf\nunreadable /etc/apache2/d/secret.conf\nend\n")
	fake.Expect("vhost/dump.sh /etc/apache2").Exits(1, "")
	_, sites, unclear, err := NewSites(fake).List(t.Context(), "")
	const top, inSite = "/etc/apache2/apache2.conf:1: the included file /etc/apache2/gone.conf is unknown: there is no such file",
		"/etc/apache2/apache2.conf:4: the included file /etc/apache2/d/secret.conf is unknown: it cannot be opened"
	if err != nil || len(sites) != 1 || !slices.Equal(sites[0].Problems, []string{inSite}) || !slices.Equal(unclear, []string{top, inSite}) {
		t.Errorf("%+v\n%q\n%v", sites, unclear, err)
	}
}
