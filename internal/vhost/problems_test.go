package vhost

import (
	"slices"
	"strings"
	"testing"
)

func TestPorts(t *testing.T) {
	const certificate = "ssl_certificate /c; ssl_certificate_key /k; "
	for name, c := range map[string]struct {
		text       string
		ports, tls []int
		unclear    string // all of it has this in it
		problem    bool   // and it is the site's problem
	}{
		"QUIC beside TLS":                 {certificate + "listen 443 quic reuseport; listen 443 ssl;", nil, []int{443}, "listen 443: quic is left out", false},
		"QUIC before TLS on IPv6":         {certificate + "listen [::]:443 quic; listen [::]:443 ssl;", nil, []int{443}, "listen [::]:443: quic is left out", false},
		"QUIC alone":                      {certificate + "listen 443 quic;", nil, nil, "", true},
		"HTTP/2":                          {certificate + "listen 443 ssl http2;", nil, []int{443}, "http2 is left out", false},
		"both ways at two addresses":      {certificate + "listen 192.0.2.1:443 ssl; listen 192.0.2.2:443;", nil, []int{443}, "", true},
		"TLS said at one of two sockets":  {"listen 80; listen [::]:80; " + certificate + "listen 443 ssl; listen [::]:443 ssl;", []int{80}, []int{443}, "", false},
		"a Unix socket alone":             {"listen unix:/run/x.sock;", nil, nil, "", true},
		"a Unix socket beside a port":     {"listen unix:/run/x.sock; listen 8080;", []int{8080}, nil, "unix:/run/x.sock: it is left out", true},
		"a range of ports":                {"listen 8080-8090; listen 80;", []int{80}, nil, "8080-8090 is no port", true},
		"no port that there is":           {"listen 70000;", []int{70000}, nil, "70000 is no port", true},
		"the PROXY protocol":              {"listen 80 proxy_protocol;", []int{80}, nil, "proxy_protocol is left out", true},
		"nothing said":                    {"server_name a;", []int{80}, nil, "", false},
		"an address without a port":       {"listen 192.0.2.1;", []int{80}, nil, "the address 192.0.2.1 is left out", false},
		"this machine alone":              {"listen 127.0.0.1:8080; listen [::1]:8080;", []int{8080}, nil, "", true},
		"TLS without a certificate":       {"listen 443 ssl;", nil, []int{443}, "tls_ports need a certificate", true},
		"a certificate without its key":   {"listen 443 ssl; ssl_certificate /c;", nil, []int{443}, "a certificate needs its key", true},
		"a key of a module":               {"listen 443 ssl; ssl_certificate /c; ssl_certificate_key engine:x:y;", nil, []int{443}, "a certificate needs its key", true},
		"a certificate and no port of it": {certificate + "listen 80;", []int{80}, nil, "a certificate needs a port", true},
	} {
		sites, unclear := read(nginx122, "/m", "server { "+c.text+" }")
		if len(sites) != 1 {
			t.Errorf("%s: %+v", name, sites)
			continue
		}
		s := sites[0]
		if !slices.Equal(s.Ports, c.ports) || !slices.Equal(s.TLSPorts, c.tls) {
			t.Errorf("%s: ports %v, with TLS %v", name, s.Ports, s.TLSPorts)
		}
		for _, note := range unclear {
			if !strings.Contains(note, c.unclear) {
				t.Errorf("%s: %s", name, note)
			}
		}
		if c.unclear != "" && len(unclear) == 0 || c.problem != (len(s.Problems) > 0) {
			t.Errorf("%s: problems %q, not understood %q", name, s.Problems, unclear)
		}
	}
}

// One block that says ssl makes all blocks of a socket speak it.
func TestTLSBelongsToASocket(t *testing.T) {
	sites, unclear := read(nginx122, "/m", "http { ssl_certificate /c;\nserver { listen 443 ssl default_server; server_name a; ssl_certificate /c; ssl_certificate_key /k; }\n"+
		"server { listen 443; server_name b; ssl_certificate /c; ssl_certificate_key /k; }\nserver { listen 192.0.2.1:443; server_name c; } }")
	if len(sites) != 3 || !slices.Equal(sites[1].TLSPorts, []int{443}) || len(sites[1].Problems) > 0 || !slices.Equal(sites[2].Ports, []int{443}) {
		t.Errorf("%+v\n%q", sites, unclear)
	}
}

// What a site says in a way that no attribute takes stays a line.
func TestWhatNoAttributeTakesIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		server *Server
		text   string
		extra  string
	}{
		"PHP without a document root": {
			apache24, "<VirtualHost *:80>\n<FilesMatch \"\\.php$\">\n\tSetHandler proxy:unix:/run/x|fcgi://localhost\n</FilesMatch>\n</VirtualHost>",
			"<FilesMatch \"\\.php$\">\n\tSetHandler proxy:unix:/run/x|fcgi://localhost\n</FilesMatch>",
		},
		"a path with a quote":            {apache24, "<VirtualHost *:80>\nDocumentRoot \"/srv/it's\"\n</VirtualHost>", "DocumentRoot \"/srv/it's\""},
		"a variable that nobody defines": {apache24, "<VirtualHost *:80>\nErrorLog ${LOGS}/a\n</VirtualHost>", "ErrorLog ${LOGS}/a"},
		"a second certificate": {
			nginx122, "server {\nlisten 443 ssl;\nssl_certificate /rsa;\nssl_certificate_key /rsa.key;\nssl_certificate /ecdsa;\nssl_certificate_key /ecdsa.key;\n}",
			"ssl_certificate /ecdsa;\nssl_certificate_key /ecdsa.key;",
		},
		"a second log":                {nginx122, "server {\naccess_log /a.log;\naccess_log /b.log;\nerror_log /e.log;\nerror_log /f.log;\n}", "access_log /b.log;\nerror_log /f.log;"},
		"a root that depends":         {nginx122, "server {\nroot /srv/$host;\n}", "root /srv/$host;"},
		"a certificate that depends":  {nginx122, "server {\nlisten 443 ssl;\nssl_certificate /c/$ssl_server_name;\nssl_certificate_key /k;\n}", "ssl_certificate /c/$ssl_server_name;"},
		"SSLEngine for who wishes it": {apache24, "<VirtualHost *:80>\nSSLEngine optional\n</VirtualHost>", "SSLEngine optional"},
	} {
		sites, _ := read(c.server, "/m", c.text)
		if len(sites) != 1 || sites[0].Extra != c.extra {
			t.Errorf("%s: %+v", name, sites)
		}
	}
}

func TestNamesWithADotInFront(t *testing.T) {
	sites, unclear := read(nginx122, "/m", "server { server_name .example.test; }")
	if len(sites) != 1 || sites[0].ServerName != "example.test" || !slices.Equal(sites[0].Aliases, []string{"*.example.test"}) || len(unclear) > 0 {
		t.Errorf("%+v, %q", sites, unclear)
	}
}

// Bytes that are not in UTF-8 reach Terraform nowhere, and are a problem where
// they are part of a site.
func TestLatin1IsAProblem(t *testing.T) {
	for _, text := range []string{"DocumentRoot /srv/gr\xfcn", "ErrorDocument 404 \"Nicht gefunden: gr\xfcn\""} {
		site, unclear, err := apache24.parse(Found{Path: "/a.conf", Text: "<VirtualHost *:80>\n" + text + "\n</VirtualHost>"}, nil)
		if err != nil || len(unclear) != 1 || !strings.Contains(unclear[0], "not in UTF-8") || strings.Contains(site.Extra, "\xfc") {
			t.Errorf("%q: %+v, %q, %v", text, site, unclear, err)
		}
	}
}

// An Apache whose configuration is faulty does not name its modules. No site is
// lost over that.
func TestUnknownModules(t *testing.T) {
	sites, unclear := read(apache22, "/m", "<IfModule mod_ssl.c>\n<VirtualHost *:80>\nServerName a\n</VirtualHost>\n</IfModule>\n<IfModule !mod_ssl.c>\n<VirtualHost *:80>\nServerName b\n</VirtualHost>\n</IfModule>")
	if len(sites) != 1 || sites[0].ServerName != "a" || len(unclear) != 1 || !strings.HasPrefix(unclear[0], "/m:1: Apache does not say which modules") {
		t.Errorf("%+v, %q", sites, unclear)
	}
}
