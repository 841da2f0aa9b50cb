package vhost

import "testing"

// redirect_to_https stands for the redirect that Render writes, and for no
// other; what is left a line is lost neither here nor there.
func TestRedirects(t *testing.T) {
	apache := func(line string) string {
		return "<VirtualHost *:80>\nServerName a.test\n" + line + "\n</VirtualHost>\n"
	}
	apacheTLS := func(ports string) string {
		return "<VirtualHost " + ports + ">\nServerName a.test\nSSLEngine on\nSSLCertificateFile /c\nSSLCertificateKeyFile /k\nDocumentRoot /srv\n</VirtualHost>\n"
	}
	nginx := func(line string) string { return "server { listen 80; server_name a.test; " + line + " }\n" }
	nginxTLS := func(port string) string {
		return "server { listen " + port + " ssl; server_name a.test; ssl_certificate /c; ssl_certificate_key /k; }\n"
	}
	for name, c := range map[string]struct {
		server *Server
		text   string
		extra  string // "": the attribute
	}{
		"Apache":                                  {apache24, apache("Redirect permanent / https://a.test/"), ""},
		"Apache, in another case and by number":   {apache24, apache("Redirect 301 / https://A.test/"), ""},
		"Apache, with the port of HTTPS":          {apache24, apache("RedirectPermanent / https://a.test:443/"), ""},
		"Apache, with lines that show nothing":    {apache24, apache("ServerAdmin x@a.test\nRedirect permanent / https://a.test/"), ""},
		"Apache, to another port":                 {apache24, apache("Redirect permanent / https://a.test:8443/"), "Redirect permanent / https://a.test:8443/"},
		"Apache, to the port of the site":         {apache24, apache("Redirect permanent / https://a.test:8443/") + apacheTLS("*:8443"), ""},
		"Apache, past the port of the site":       {apache24, apache("Redirect permanent / https://a.test/") + apacheTLS("*:8443"), "Redirect permanent / https://a.test/"},
		"Apache, to the first of several ports":   {apache24, apacheTLS("*:8443 *:443") + apache("Redirect permanent / https://a.test/"), ""},
		"Apache, for now":                         {apache24, apache("Redirect / https://a.test/"), "Redirect / https://a.test/"},
		"Apache, to HTTP":                         {apache24, apache("Redirect permanent / http://a.test/"), "Redirect permanent / http://a.test/"},
		"Apache, to a directory":                  {apache24, apache("Redirect permanent / https://a.test/shop/"), "Redirect permanent / https://a.test/shop/"},
		"Apache, without a slash before the path": {apache24, apache("Redirect permanent / https://a.test"), "Redirect permanent / https://a.test"},
		"Apache, beside lines that do something": {
			apache24, apache("Alias /.well-known /srv/acme\nRedirect permanent / https://a.test/"), "Alias /.well-known /srv/acme\nRedirect permanent / https://a.test/",
		},
		"nginx":                           {nginx122, nginx("return 301 https://$host$request_uri;"), ""},
		"nginx, in braces":                {nginx122, nginx("return 301 https://${host}${request_uri};"), ""},
		"nginx, with the port of HTTPS":   {nginx122, nginx("return 301 https://$host:443$request_uri;"), ""},
		"nginx, by its only name":         {nginx122, nginx("return 301 https://a.test$request_uri;"), ""},
		"nginx, by its name in a word":    {nginx122, nginx("return 301 https://$server_name$request_uri;"), ""},
		"nginx, by the name asked for":    {nginx122, nginx("return 301 https://$http_host$request_uri;"), ""},
		"nginx, to another port":          {nginx122, nginx("return 301 https://$host:8443$request_uri;"), "return 301 https://$host:8443$request_uri;"},
		"nginx, to the port of the site":  {nginx122, nginxTLS("8443") + nginx("return 301 https://$host:8443$request_uri;"), ""},
		"nginx, all to one of its names":  {nginx122, nginx("server_name b.test; return 301 https://a.test$request_uri;"), "return 301 https://a.test$request_uri;"},
		"nginx, to the start page":        {nginx122, nginx("return 301 https://$host/;"), "return 301 https://$host/;"},
		"nginx, for now":                  {nginx122, nginx("return 302 https://$host$request_uri;"), "return 302 https://$host$request_uri;"},
		"nginx, with the port asked for":  {nginx122, nginx("listen 8080; return 301 https://$http_host$request_uri;"), "return 301 https://$http_host$request_uri;"},
		"nginx, from HTTPS as well":       {nginx122, nginx("listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k; return 301 https://a.test$request_uri;"), "return 301 https://a.test$request_uri;"},
		"nginx, beside lines that matter": {nginx122, nginx("add_header A b; return 301 https://$host$request_uri;"), "add_header A b;\nreturn 301 https://$host$request_uri;"},
	} {
		sites, unclear := read(c.server, "/m", c.text)
		var found *Listed
		for i := range sites {
			if len(sites[i].Ports) > 0 {
				found = &sites[i]
			}
		}
		if found == nil || found.Extra != c.extra || found.RedirectToHTTPS != (c.extra == "") || len(unclear) > 0 {
			t.Errorf("%s: %+v\nnot understood: %q", name, sites, unclear)
		}
	}
}

// A second block that sends people to another port has no half that it leads to.
func TestSecondRedirectToAnotherPort(t *testing.T) {
	half := func(port string) string {
		return "server { listen " + port + "; server_name a.test; return 301 https://$host:8443$request_uri; }\n"
	}
	sites, _ := read(nginx122, "/m", half("80")+half("81")+"server { listen 8443 ssl; server_name a.test; ssl_certificate /c; ssl_certificate_key /k; }")
	if len(sites) != 2 || len(sites[0].Problems) != 0 || len(sites[1].Problems) != 1 {
		t.Errorf("%+v", sites)
	}
}
