package vhost

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

var (
	apache24 = &Server{Name: Apache, Version: "2.4.62", available: "/etc/apache2/sites-available", enabled: "/etc/apache2/sites-enabled", ending: ".conf", tree: "/etc/apache2", program: "/usr/sbin/apache2ctl", modules: map[string]bool{"ssl_module": true, "headers_module": true}}
	apache22 = &Server{Name: Apache, Version: "2.2.16"}
	nginx122 = &Server{Name: Nginx, Version: "1.22.1", hostHasIPv6: true, available: "/etc/nginx/conf.d", enabled: "/etc/nginx/conf.d", ending: ".conf", tree: "/etc/nginx"}
	nginx07  = &Server{Name: Nginx, Version: "0.7.67", hostHasIPv6: true}
)

func whole(server string) Site {
	return Site{
		Server: server, Name: "shop", Priority: 7, ServerName: "shop.example.test", Aliases: []string{"www.shop.example.test", "*.shop.example.test"},
		Ports: []int{80, 8080}, TLSPorts: []int{443}, DocumentRoot: "/srv/the shop", Certificate: "/etc/ssl/c.pem", CertificateKey: "/etc/ssl/k.pem",
		AccessLog: "/var/log/a.log", ErrorLog: "/var/log/e.log", PHPSocket: "/run/php.sock",
	}
}

func TestRender(t *testing.T) {
	redirecting := whole(Apache)
	redirecting.RedirectToHTTPS, redirecting.PHPSocket, redirecting.Extra = true, "", "# a word\nHeader set A b\n"
	small := Site{Server: Nginx, Name: "default", Priority: NoPriority, Ports: []int{80}, DefaultServer: true}
	php := whole(Nginx)
	php.RedirectToHTTPS, php.TLSPorts = true, []int{8443}
	for name, c := range map[string]struct {
		site   Site
		server *Server
		want   string
	}{
		"redirect": {redirecting, apache24, `
<VirtualHost *:80 *:8080>
	ServerName shop.example.test
	ServerAlias www.shop.example.test *.shop.example.test
	Redirect permanent / https://shop.example.test/
	ErrorLog /var/log/e.log
	CustomLog /var/log/a.log combined
</VirtualHost>
<VirtualHost *:443>
	ServerName shop.example.test
	ServerAlias www.shop.example.test *.shop.example.test
	SSLEngine on
	SSLCertificateFile /etc/ssl/c.pem
	SSLCertificateKeyFile /etc/ssl/k.pem
	DocumentRoot "/srv/the shop"
	<Directory "/srv/the shop">
		Options SymLinksIfOwnerMatch
		Require all granted
	</Directory>
	ErrorLog /var/log/e.log
	CustomLog /var/log/a.log combined
	# Lines of the attribute extra.
	# a word
	Header set A b
	# End of the attribute extra.
</VirtualHost>
`},
		"apache of old": {Site{Server: Apache, Name: "a", Priority: NoPriority, ServerName: "a", Ports: []int{80}, DocumentRoot: "/srv"}, apache22, `
<VirtualHost *:80>
	ServerName a
	DocumentRoot /srv
	<Directory /srv>
		Options SymLinksIfOwnerMatch
		Order allow,deny
		Allow from all
	</Directory>
</VirtualHost>
`},
		"nginx with all": {php, nginx122, `
server {
	listen 80;
	listen [::]:80;
	listen 8080;
	listen [::]:8080;
	server_name shop.example.test www.shop.example.test *.shop.example.test;
	return 301 https://$host:8443$request_uri;
	error_log /var/log/e.log;
	access_log /var/log/a.log combined;
}
server {
	listen 8443 ssl;
	listen [::]:8443 ssl;
	server_name shop.example.test www.shop.example.test *.shop.example.test;
	ssl_certificate /etc/ssl/c.pem;
	ssl_certificate_key /etc/ssl/k.pem;
	root "/srv/the shop";
	index index.php index.html;
	location ~ \.php$ {
		try_files $uri =404;
		include fastcgi_params;
		fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:/run/php.sock;
	}
	error_log /var/log/e.log;
	access_log /var/log/a.log combined;
}
`},
		"nginx of old": {small, nginx07, `
server {
	listen 80 default_server;
	server_name _;
}
`},
	} {
		got, err := Render(c.site, c.server)
		header, body, _ := strings.Cut(got, "\n")
		if err != nil || "\n"+body != c.want || !strings.HasPrefix(header, "# Managed by Terraform (cutover_vhost \"") {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

// What was rendered is read back as what it was made from: an import depends
// on it.
func TestRenderedSitesAreReadBack(t *testing.T) {
	for _, server := range []*Server{apache24, nginx122} {
		variants := map[string]func(*Site){
			"as it is":  func(*Site) {},
			"redirect":  func(s *Site) { s.RedirectToHTTPS = true },
			"plain":     func(s *Site) { s.TLSPorts, s.Certificate, s.CertificateKey = nil, "", "" },
			"TLS alone": func(s *Site) { s.Ports = nil },
			"no PHP":    func(s *Site) { s.PHPSocket = "" },
			"nothing":   func(s *Site) { *s = Site{Server: s.Server, Name: "a", Priority: NoPriority, Ports: []int{80}} },
			"extra": func(s *Site) {
				s.Extra = map[string]string{
					Apache: "# word\n\n<Location \"/x\">\n\tRequire ip 192.0.2.1\n</Location>\n", Nginx: "# word\n\nlocation /x {\n\tdeny all; # }\n}\n",
				}[s.Server]
			},
		}
		for name, change := range variants {
			site := whole(server.Name)
			change(&site)
			text, err := Render(site, server)
			if err != nil {
				t.Fatalf("%s, %s: %v", server.Name, name, err)
			}
			read, unclear, err := server.parse(Found{Path: server.available + "/" + site.Label() + ".conf", Text: text, Managed: Managed(text)}, nil)
			if err != nil || len(unclear) > 0 {
				t.Errorf("%s, %s: %v, not understood: %q", server.Name, name, err, unclear)
			}
			for _, list := range []*[]string{&read.Aliases} {
				if len(*list) == 0 {
					*list = nil
				}
			}
			if len(read.Ports) == 0 {
				read.Ports = nil
			}
			if len(read.TLSPorts) == 0 {
				read.TLSPorts = nil
			}
			if !reflect.DeepEqual(read, site) {
				t.Errorf("%s, %s: read back as\n%+v\nwas\n%+v\nfrom\n%s", server.Name, name, read, site, text)
			}
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for field, change := range map[string]func(*Site){
		"name":              func(s *Site) { s.Name = "a/b" },
		"server_name":       func(s *Site) { s.ServerName = "a b" },
		"aliases":           func(s *Site) { s.Aliases = []string{"a;b"} },
		"document_root":     func(s *Site) { s.DocumentRoot = "/srv\nDocumentRoot /etc" },
		"certificate":       func(s *Site) { s.Certificate = "" },
		"certificate_key":   func(s *Site) { s.CertificateKey = "" },
		"access_log":        func(s *Site) { s.AccessLog = "|/bin/sh" },
		"error_log":         func(s *Site) { s.ErrorLog = "/var/log/$host" },
		"php_fpm_socket":    func(s *Site) { s.PHPSocket = "/run/x|fcgi" },
		"ports":             func(s *Site) { s.Ports, s.TLSPorts, s.Certificate, s.CertificateKey = nil, nil, "", "" },
		"tls_ports":         func(s *Site) { s.TLSPorts = []int{80} },
		"redirect_to_https": func(s *Site) { s.RedirectToHTTPS, s.Ports = true, nil },
		"extra":             func(s *Site) { s.Extra = "a\x00b" },
		"default_server":    func(s *Site) { s.DefaultServer = true },
	} {
		site := whole(Apache)
		change(&site)
		var on *FieldError
		if err := site.Check(); !errors.As(err, &on) || on.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := whole(Apache).Check(); err != nil {
		t.Errorf("a good site: %v", err)
	}
}

func TestSplitLabel(t *testing.T) {
	for label, want := range map[string]struct {
		priority int
		name     string
	}{"000-default": {0, "default"}, "010-x": {10, "x"}, "999-a-b": {999, "a-b"}, "www.example.test": {NoPriority, "www.example.test"}, "10-x": {NoPriority, "10-x"}} {
		priority, name := SplitLabel(label)
		if priority != want.priority || name != want.name || (Site{Name: name, Priority: priority}).Label() != label {
			t.Errorf("%s is %d and %s", label, priority, name)
		}
	}
}
