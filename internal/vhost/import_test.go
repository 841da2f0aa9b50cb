package vhost

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// Site files as certbot and people leave them: what makes the site speak TLS is
// in a file that the site includes.
func TestImportReadsWhatASiteIncludes(t *testing.T) {
	const certbot = "SSLEngine on\nSSLProtocol all -SSLv2 -SSLv3\n<IfModule mod_headers.c>\nHeader set A b\n</IfModule>"
	for name, c := range map[string]struct {
		server  *Server
		text    string
		fetch   []string // patterns, files and texts, see fetched
		want    Site
		unclear string // what the only note has in it
	}{
		"SSLEngine in certbot's file": {
			server: apache24,
			text: "<IfModule mod_ssl.c>\n<VirtualHost *:443>\n\tServerName a\n\tSSLCertificateFile /c.pem\n\tSSLCertificateKeyFile /k.pem\n" +
				"\tInclude /etc/letsencrypt/options-ssl-apache.conf\n</VirtualHost>\n</IfModule>",
			fetch: []string{"/etc/letsencrypt/options-ssl-apache.conf", "/etc/letsencrypt/options-ssl-apache.conf", certbot},
			want: Site{
				ServerName: "a", TLSPorts: []int{443}, Certificate: "/c.pem", CertificateKey: "/k.pem",
				Extra: "Include /etc/letsencrypt/options-ssl-apache.conf",
			},
		},
		"SSLEngine two files deep, off again in the site": {
			server: apache24,
			text:   "<VirtualHost *:80>\nServerName a\nInclude outer.conf\nSSLEngine off\n</VirtualHost>",
			fetch: []string{
				"/etc/apache2/outer.conf", "/etc/apache2/outer.conf", "Include inner.conf",
				"/etc/apache2/inner.conf", "/etc/apache2/inner.conf", "SSLEngine on",
			},
			want: Site{ServerName: "a", Ports: []int{80}, Extra: "Include outer.conf"},
		},
		"certificate and key in the file as well": {
			server: apache24,
			text:   "<VirtualHost *:443>\nServerName a\nDocumentRoot /srv/a\nInclude tls.conf\n</VirtualHost>",
			fetch:  []string{"/etc/apache2/tls.conf", "/etc/apache2/tls.conf", "SSLEngine on\nSSLCertificateFile /c.pem\nSSLCertificateKeyFile /k.pem\nDocumentRoot /srv/other"},
			want: Site{
				ServerName: "a", TLSPorts: []int{443}, Certificate: "/c.pem", CertificateKey: "/k.pem",
				DocumentRoot: "/srv/a", Extra: "Include tls.conf",
			},
		},
		"a certificate of its own goes before that of the file": {
			server: apache24,
			text:   "<VirtualHost *:443>\nServerName a\nInclude tls.conf\nSSLCertificateFile /own.pem\nSSLCertificateKeyFile /own.key\n</VirtualHost>",
			fetch:  []string{"/etc/apache2/tls.conf", "/etc/apache2/tls.conf", "SSLEngine on\nSSLCertificateFile /c.pem\nSSLCertificateKeyFile /k.pem"},
			want:   Site{ServerName: "a", TLSPorts: []int{443}, Certificate: "/own.pem", CertificateKey: "/own.key", Extra: "Include tls.conf"},
		},
		"a file that cannot be read": {
			server:  apache24,
			text:    "<VirtualHost *:80>\nServerName a\nInclude gone.conf\nIncludeOptional perhaps.conf\n</VirtualHost>",
			fetch:   []string{"/etc/apache2/gone.conf", "missing", "", "/etc/apache2/perhaps.conf", "missing", ""},
			want:    Site{ServerName: "a", Ports: []int{80}, Extra: "Include gone.conf\nIncludeOptional perhaps.conf"},
			unclear: "/sites-available/a.conf:3: the included file /etc/apache2/gone.conf is unknown: there is no such file",
		},
		"nginx: the certificate in a snippet": {
			server: nginx122,
			text:   "server {\n\tlisten 443 ssl;\n\tserver_name a;\n\tinclude snippets/tls.conf;\n}",
			fetch:  []string{"/etc/nginx/snippets/tls.conf", "/etc/nginx/snippets/tls.conf", "ssl_certificate /c.pem;\nssl_certificate_key /k.pem;\nroot /srv/other;"},
			want:   Site{ServerName: "a", TLSPorts: []int{443}, Certificate: "/c.pem", CertificateKey: "/k.pem", Extra: "include snippets/tls.conf;"},
		},
		"nginx: ssl on in a snippet": {
			server: nginx122,
			text:   "server {\n\tlisten 443;\n\tserver_name a;\n\tssl_certificate /c.pem;\n\tssl_certificate_key /k.pem;\n\tinclude snippets/tls.conf;\n}",
			fetch:  []string{"/etc/nginx/snippets/tls.conf", "/etc/nginx/snippets/tls.conf", "ssl on;"},
			want:   Site{ServerName: "a", TLSPorts: []int{443}, Certificate: "/c.pem", CertificateKey: "/k.pem", Extra: "include snippets/tls.conf;"},
		},
		"nginx: listen in a snippet": {
			server:  nginx122,
			text:    "server {\n\tserver_name a;\n\tinclude snippets/listen.conf;\n}",
			fetch:   []string{"/etc/nginx/snippets/listen.conf", "/etc/nginx/snippets/listen.conf", "listen 8080;"},
			want:    Site{ServerName: "a", Ports: []int{8080}, Extra: "include snippets/listen.conf;"},
			unclear: "listen.conf:1: nginx refuses this listen beside that of an attribute",
		},
		"what stands beside the site": {
			server:  nginx122,
			text:    "upstream app { server unix:/run/app.sock; }\nserver {\n\tserver_name a;\n\tlocation / { proxy_pass http://app; }\n}",
			want:    Site{ServerName: "a", Ports: []int{80}, Extra: "location / { proxy_pass http://app; }"},
			unclear: ":1: upstream app stands outside the sites and is left out",
		},
		"an include beside the site": {
			server:  apache24,
			text:    "Include other.conf\n<VirtualHost *:80>\nServerName a\n</VirtualHost>",
			fetch:   []string{"/etc/apache2/other.conf", "/etc/apache2/other.conf", "Alias /x /y\n<VirtualHost *:80>\nServerName other\n</VirtualHost>"},
			want:    Site{ServerName: "a", Ports: []int{80}},
			unclear: ":1: Include other.conf stands outside the sites and is left out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			rounds := [][]string{c.fetch}
			if len(c.fetch) == 6 && c.fetch[1] != "missing" { // one in the other
				rounds = [][]string{c.fetch[:3], c.fetch[3:]}
			}
			for _, round := range rounds {
				patterns := ""
				for i := 0; i < len(round); i += 3 {
					patterns += " " + round[i]
				}
				if patterns != "" {
					fake.Expect("vhost/fetch.sh" + patterns).Prints(fetched(round...))
				}
			}
			site, unclear, err := NewSites(fake).Parse(t.Context(), c.server, Found{Path: c.server.available + "/a.conf", Text: c.text})
			if err != nil {
				t.Fatal(err)
			}
			c.want.Server, c.want.Name, c.want.Priority = c.server.Name, "a", NoPriority
			if len(site.Ports) == 0 {
				site.Ports = nil
			}
			if !reflect.DeepEqual(site, c.want) {
				t.Errorf("got\n%+v\nwant\n%+v", site, c.want)
			}
			if notes := strings.Join(unclear, "\n"); len(unclear) > 1 || (c.unclear == "") != (notes == "") || !strings.Contains(notes, c.unclear) {
				t.Errorf("not understood: %q", unclear)
			}
		})
	}
}

// An old nginx takes one certificate, and says so where it finds the second.
func TestOldNginxTakesOneCertificate(t *testing.T) {
	files := func(string) []file {
		return []file{{path: "/tls.conf", text: "ssl_certificate /c;\nssl_certificate_key /k;"}}
	}
	_, unclear, err := nginx07.parse(Found{Path: "/a", Text: "server { listen 443 ssl; server_name a; include /tls.conf; }"}, files)
	if err != nil || len(unclear) != 2 || !strings.HasPrefix(unclear[0], "/tls.conf:1: nginx refuses this ssl_certificate beside") {
		t.Errorf("%q, %v", unclear, err)
	}
}
