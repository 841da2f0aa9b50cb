// Package vhosttest makes up configurations of Apache and nginx for tests: what
// people and panels write, and what nobody should. It may import nothing of
// this project.
package vhosttest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var (
	names = []string{
		"a.test", "b.test", "A.test", "xn--grn-hoa.test", "123-a.test", "123-456-a.test", "*.a.test", ".a.test", "a.*", "_", "-", "a b", "it's", `"q"`, "a.test:8080",
		"http://a.test:80", "$host", "${NAME}", "gr\xfcn.test", "grün.test", "", "a..test", "192.0.2.1", "_default_", "~^(www\\.)?a\\.test$", strings.Repeat("long.", 60) + "test",
	}
	ports = []string{"80", "443", "8080", "8443", "0", "70000", "*", "x", "80-90", ""}
	hosts = []string{"*", "192.0.2.1", "127.0.0.1", "[::]", "[::1]", "[2001:db8::1]", "_default_", "a.test", "0.0.0.0"}
	paths = []string{
		"/srv/a", "/srv/b/", "/srv/with blank", "/srv/it's", `/srv/"q"`, "relative", "../up", "/srv/../etc", "/", "", "/srv/$host", "${TOP}/x", "/srv/gr\xfcn", "/srv/grün",
		"/srv/a;b", "/srv/{a}", "/srv/*", "|/bin/cat", "syslog:local7", "off", "engine:pkcs11:x", "data:$x", "/srv/a\\b", "/srv/\x1b[1m",
	}
	urls = []string{
		"https://a.test/", "https://a.test:443/", "https://a.test:8443/", "https://a.test", "http://a.test/", "https://b.test/", "https://a.test/x/", "/local",
		"https://$host$request_uri", "https://$host:8443$request_uri", "https://${host}${request_uri}", "https://$server_name$request_uri", "https://$http_host$request_uri",
	}
	codes = []string{"301", "302", "permanent", "temp", "308", ""}
)

type writer struct {
	*rand.Rand
	strings.Builder
}

func (w *writer) one(of []string) string  { return of[w.IntN(len(of))] }
func (w *writer) chance(percent int) bool { return w.IntN(100) < percent }

// some is one of the first good ones, most of the time.
func (w *writer) some(of []string, good int) string {
	if w.chance(70) {
		return of[w.IntN(good)]
	}
	return w.one(of)
}

func (w *writer) line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if w.chance(3) {
		line += "\r"
	}
	w.WriteString(line + "\n")
}

// Apache is the text of a file with a few sites.
func Apache(r *rand.Rand) string {
	w := &writer{Rand: r}
	for range 1 + w.IntN(4) {
		if w.chance(15) {
			w.line("%s", w.one([]string{"Define TOP /srv", "Alias /x /y", "<Directory /srv/x>\nOptions None\n</Directory>", "Use Site x", "<IfVersion >= 2.4>\n</IfVersion>", "Listen 8080"}))
		}
		w.WriteString("<VirtualHost")
		for range w.some1to3() {
			fmt.Fprintf(w, " %s:%s", w.some(hosts, 1), w.some(ports, 3))
		}
		w.line(">")
		for range w.IntN(10) {
			w.apacheLine()
		}
		w.line("</VirtualHost>")
	}
	return w.String()
}

func (w *writer) some1to3() int { return 1 + w.IntN(10)/8 + w.IntN(10)/9 }

func (w *writer) apacheLine() {
	path := func() string { return `"` + w.some(paths, 3) + `"` }
	switch w.IntN(16) {
	case 0, 1, 2:
		w.line("ServerName %s", w.some(names, 2))
	case 3:
		w.line("ServerAlias %s %s", w.some(names, 2), w.one(names))
	case 4:
		w.line("DocumentRoot %s", path())
	case 5:
		w.line("ErrorLog %s", path())
	case 6:
		w.line("CustomLog %s %s", path(), w.one([]string{"combined", "common", "combined env=x"}))
	case 7, 8:
		w.line("SSLEngine %s", w.one([]string{"on", "on", "on", "off", "optional"}))
	case 9, 10:
		w.line("SSLCertificateFile %s", path())
		if w.chance(80) {
			w.line("SSLCertificateKeyFile %s", path())
		}
	case 11:
		w.line("Redirect %s / %s", w.one(codes), w.some(urls, 3))
	case 12:
		w.line("<FilesMatch \"\\.php$\">\nSetHandler \"proxy:unix:%s|fcgi://localhost\"\n</FilesMatch>", w.some([]string{"/run/php.sock", "/run/a b", "run", "/run/x*"}, 1))
	case 13:
		w.line("Use Macro %s", w.one(names))
	case 14:
		w.line("%s", w.one([]string{"ServerAdmin a@a.test", "<If \"true\">\nSSLEngine on\n</If>", "Include x.conf", "Header set A \"b \\\nc\"", "ErrorDocument 404 \"\x07\"", "# Lines of the attribute extra.", "</Location>"}))
	case 15:
		w.line("# %s", w.one(names))
	}
}

// Nginx is the text of a file with a few sites.
func Nginx(r *rand.Rand) string {
	w := &writer{Rand: r}
	for range 1 + w.IntN(4) {
		if w.chance(15) {
			w.line("%s", w.one([]string{"upstream app { server unix:/run/app.sock; }", "map $a $b { default 1; }", "limit_req_zone $a zone=b:1m rate=1r/s;", "ssl_certificate /c;"}))
		}
		w.line("server {")
		for range w.IntN(10) {
			w.nginxLine()
		}
		w.line("}")
	}
	return w.String()
}

func (w *writer) nginxLine() {
	path := func() string { return strings.ReplaceAll(`"`+w.some(paths, 3)+`"`, `""`, `"`) }
	switch w.IntN(14) {
	case 0, 1:
		address := w.some(ports, 4)
		if w.chance(30) {
			address = w.one(hosts) + ":" + address
		}
		flags := w.one([]string{"", "", " ssl", " ssl http2", " quic reuseport", " default_server", " ssl default_server", " proxy_protocol", " backlog=9", " ipv6only=on"})
		w.line("listen %s%s;", w.one([]string{address, address, address, address, "unix:/run/x.sock"}), flags)
	case 2, 3:
		w.line("server_name %s %s;", w.some(names, 2), w.one([]string{"", "", w.one(names)}))
	case 4:
		w.line("root %s;", path())
	case 5:
		w.line("access_log %s%s;", path(), w.one([]string{"", " combined", " main"}))
	case 6:
		w.line("error_log %s;", path())
	case 7, 8:
		w.line("ssl_certificate %s;", path())
		if w.chance(80) {
			w.line("ssl_certificate_key %s;", path())
		}
	case 9:
		w.line("ssl %s;", w.one([]string{"on", "off"}))
	case 10:
		w.line("return %s %s;", w.one(codes), w.one(urls))
	case 11:
		w.line("location ~ \\.php$ { include fastcgi_params; fastcgi_pass unix:%s; }", w.some([]string{"/run/php.sock", "run", "/run/x*"}, 1))
	case 12:
		w.line("%s", w.one([]string{"include x.conf;", "add_header A \"}\";", "location / { proxy_pass http://app; }", "if ($host = a) { return 301 https://$host$request_uri; }", "index index.php index.html;", "# Lines of the attribute extra."}))
	case 13:
		w.line("# %s", w.one(names))
	}
}
