package vhost

import (
	"regexp"
	"strings"
	"testing"
)

var notePlace = regexp.MustCompile(`(?m)^(\S+:[0-9]+): `)

// placesOf are those that a list of what was not understood names.
func placesOf(notes []string) string {
	var all []string
	for _, found := range notePlace.FindAllStringSubmatch(strings.Join(notes, "\n"), -1) {
		all = append(all, found[1])
	}
	return strings.Join(all, " ")
}

// read reads a configuration of several files, the first of which is the main
// one. The name of a file is the pattern that includes it.
func read(server *Server, files ...string) (sites []Listed, unclear []string) {
	on := *server
	on.main = files[0]
	texts := map[string][]file{}
	for i := 0; i < len(files); i += 2 {
		texts[files[i]] = []file{{path: files[i], text: files[i+1]}}
	}
	parts, unclear := on.parts(texts[on.main], includes{files: func(pattern string) []file { return texts[pattern] }})
	sites, more := combine(parts)
	return sites, append(unclear, more...)
}

func TestWhatStandsBesideSitesIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		server *Server
		files  []string
		want   string // the places of all notes
	}{
		"Apache: beside a site": {
			apache24, []string{
				"/m", "Include /site\nInclude /phpmyadmin\n",
				"/site", "WSGIPythonHome /srv/venv\n<Directory /srv/a>\nRequire all granted\n</Directory>\nAlias /x /y\n<VirtualHost *:80>\nServerName a\n</VirtualHost>\n<Location /z>\n</Location>",
				"/phpmyadmin", "Alias /phpmyadmin /usr/share/phpmyadmin",
			}, "/site:1 /site:2 /site:5 /site:9",
		},
		"Apache: a port of its own": {
			apache24, []string{"/m", "Include /site", "/site", "Listen 80\nListen 443 https\nNameVirtualHost *:8080\nListen 8080\n<VirtualHost *:8080>\nServerName a\n</VirtualHost>"}, "/site:4",
		},
		"Apache: the main file of a distribution": {
			apache22, []string{"/m", "ServerRoot /etc/httpd\nListen 80\nLoadModule x y\nUser apache\nIndexOptions FancyIndexing\n<Directory />\nOptions None\n</Directory>\n<Files ~ \"^\\.ht\">\nDeny from all\n</Files>\n" +
				"Alias /icons/ /var/www/icons/\n<VirtualHost *:80>\nServerName a\n</VirtualHost>\n<Directory /srv/a>\n</Directory>\nRewriteEngine on"}, "/m:16 /m:18",
		},
		"Apache: Red Hat's ssl.conf": {
			apache24, []string{"/m", "Include /ssl.conf", "/ssl.conf", "Listen 443 https\nSSLPassPhraseDialog exec:/usr/libexec/httpd-ssl-pass-dialog\nSSLSessionCache shmcb:/run/x\nSSLSessionCacheTimeout 300\nSSLCryptoDevice builtin\n" +
				"<VirtualHost _default_:443>\nSSLEngine on\nSSLCertificateFile /c\nSSLCertificateKeyFile /k\n</VirtualHost>"}, "",
		},
		"Apache: sections that only the server can judge": {
			apache24, []string{"/m", "<IfFile /x>\n<VirtualHost *:80>\n</VirtualHost>\n</IfFile>\n<IfVersion >= 2.4>\n</IfVersion>"}, "/m:1 /m:5",
		},
		"Apache: a variable of the configuration in extra": {
			apache24, []string{"/m", "Include /site", "/site", "Define TOP /srv\n<VirtualHost *:80>\nServerName a\nDocumentRoot ${TOP}/a\nAlias /x ${TOP}/x\nAlias /y ${APACHE_LOG_DIR}/y\n</VirtualHost>"}, "/site:5",
		},
		"nginx: beside a server": {
			nginx122, []string{
				"/m", "user www;\nevents { worker_connections 9; }\nhttp {\n\tgzip on;\n\tinclude /types;\n\tinclude /site;\n\tinclude /proxy;\n}",
				"/types", "types { text/html html; }",
				"/site", "upstream app { server unix:/run/app.sock; }\nmap $a $b { default 1; }\nlimit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;\nserver { server_name a; }",
				"/proxy", "proxy_cache_path /var/cache levels=1:2 keys_zone=c:1m;\nclient_max_body_size 100m;",
			}, "/site:1 /site:2 /site:3 /proxy:1 /proxy:2",
		},
		"nginx: added to the main file": {
			nginx122, []string{"/m", "pid /run/nginx.pid;\nload_module x;\nstream { server { listen 25; } }\nhttp {\n\tlog_format main '$x';\n\tlog_format own '$x';\n\tupstream app { server a; }\n\tssl_certificate /c;\n" +
				"\tmap $http_upgrade $connection_upgrade { default upgrade; }\n\tclient_max_body_size 1m;\n\tserver { server_name a; }\n}"}, "/m:3 /m:6 /m:7 /m:8",
		},
	} {
		_, unclear := read(c.server, c.files...)
		if got := placesOf(unclear); got != c.want {
			t.Errorf("%s: %s\nwant %s\n%q", name, got, c.want, unclear)
		}
	}
}

func TestHowItIsNamed(t *testing.T) {
	_, unclear := read(apache24, "/m", "Include /site", "/site", "<Directory \"/srv/a b\">\n  Options None\n</Directory>\n<VirtualHost *:80>\n</VirtualHost>")
	if len(unclear) != 1 || unclear[0] != `/site:1: <Directory "/srv/a b"> stands outside the sites and is left out` {
		t.Errorf("%q", unclear)
	}
	_, unclear = read(nginx122, "/m", "http { include /site; }", "/site", "upstream app {\n\tserver a;\n}\nlimit_req_zone $x\n\tzone=one:1m;\nserver { }")
	if len(unclear) != 2 || unclear[0] != `/site:1: upstream app stands outside the sites and is left out` ||
		unclear[1] != `/site:4: limit_req_zone $x stands outside the sites and is left out` {
		t.Errorf("%q", unclear)
	}
}
