package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const listed = "data.cutover_vhosts.all"

// A site of certbot's speaks TLS by a file that it includes, and still includes
// it after its import.
func TestAccVhostImportReadsIncludes(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	run(t, w.sysv, "sh", "-c", `mkdir -p /etc/letsencrypt && echo "SSLEngine on" >/etc/letsencrypt/options-ssl-apache.conf &&
		printf '%s\n' "<VirtualHost *:443>" "ServerName certbot.example.test" "SSLCertificateFile /srv/pem" "SSLCertificateKeyFile /srv/key" \
			"Include /etc/letsencrypt/options-ssl-apache.conf" "</VirtualHost>" >/etc/apache2/sites-available/certbot.conf`)
	t.Cleanup(func() { run(t, w.sysv, "rm", "-r", "/etc/letsencrypt", "/etc/apache2/sites-available/certbot.conf") })
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config:       vhostConfig(w, "sysv", "  name = \"certbot\"\n"),
			ResourceName: "cutover_vhost.v", ImportState: true, ImportStateId: "sysv/apache/certbot",
			ImportStateCheck: func(states []*terraform.InstanceState) error {
				got := states[0].Attributes
				for name, want := range map[string]string{"ports.#": "0", "tls_ports.0": "443", "extra": "Include /etc/letsencrypt/options-ssl-apache.conf"} {
					if got[name] != want {
						return fmt.Errorf("%s is %q", name, got[name])
					}
				}
				return nil
			},
		}},
	})
}

// The sites of a host as people have them: several in a file, conditions,
// macros, includes, HTTP and HTTPS apart.
func TestAccVhostsAreRead(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	untouched(t, w.bookworm)
	put := func(host *lab.Host, path, text string) {
		run(t, host, "sh", "-c", `printf '%s' "$2" >"$1"`, "sh", path, text)
		t.Cleanup(func() { run(t, host, "rm", "-f", path) })
	}
	put(w.sysv, "/etc/apache2/conf-enabled/old.inc", "DirectoryIndex start.html\n")
	put(w.sysv, "/etc/apache2/sites-enabled/020-mixed.conf", `Define TOP /srv/mixed
<VirtualHost *:80>
    ServerName http://Mixed.example.test:80
    ServerAlias a.example.test b.example.test
    DocumentRoot "${TOP}/with blank/"
    CustomLog ${APACHE_LOG_DIR}/mixed.log combined
    Include conf-enabled/old.inc
    <IfModule mod_nowhere.c>
        Nonsense on
    </IfModule>
    <IfModule !mod_nowhere.c>
        ErrorDocument 404 \
            /nothing.html
    </IfModule>
    <Location "/private">
        Require ip 192.0.2.0/24
    </Location>
</VirtualHost>
<VirtualHost 192.0.2.1:80>
    ServerName moved.example.test
    Redirect permanent / https://elsewhere.example.test/
</VirtualHost>
`)
	// As Debian 7 and Ubuntu 12.04 have them: a directory of links, and a set of letters that begin no name.
	run(t, w.sysv, "mkdir", "/etc/apache2/linked")
	t.Cleanup(func() { run(t, w.sysv, "rm", "-rf", "/etc/apache2/linked") })
	put(w.sysv, "/srv/linked.conf", "Alias /old /srv/old\n<VirtualHost 127.0.0.1:80>\nServerName linked.example.test\n</VirtualHost>\n")
	put(w.sysv, "/srv/set.conf", "<VirtualHost *:80>\nServerName set.example.test\n</VirtualHost>\n")
	run(t, w.sysv, "ln", "-s", "/srv/linked.conf", "/etc/apache2/linked/010-linked")
	put(w.sysv, "/etc/apache2/conf-enabled/linked.conf", "Include linked/\nInclude /srv/[^.a-r]*.conf\n")
	put(w.bookworm, "/etc/nginx/conf.d/pair.conf", `server {
    listen 80;
    server_name pair.example.test www.pair.example.test;
    return 301 https://$host$request_uri; # everybody
}
server {
    listen 443 ssl http2;
    server_name pair.example.test;
    ssl_certificate /srv/pem; ssl_certificate_key /srv/key;
    root "/srv/pair";
    location ~ \.php$ { include fastcgi_params; try_files $uri =404; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass unix:/run/php.sock; }
    location /api {
        proxy_pass http://127.0.0.1:8000;
    }
}
`)
	site := func(name, attribute string) string { return fmt.Sprintf("sites.%s.%s", name, attribute) }
	config := func(host string) string {
		return w.config(fmt.Sprintf("data \"cutover_vhosts\" \"all\" {\n host = %q\n}\n", host))
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: config("sysv"),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(listed, "server", "apache"),
					resource.TestCheckResourceAttr(listed, "not_understood.#", "2"),
					resource.TestCheckResourceAttr(listed, "not_understood.0", "/etc/apache2/linked/010-linked:1: Alias /old /srv/old stands outside the sites and is left out"),
					resource.TestMatchResourceAttr(listed, site("010-linked", "problems.0"), regexp.MustCompile(`^/etc/apache2/linked/010-linked:2: it listens for this machine alone`)),
					resource.TestCheckResourceAttr(listed, site("set", "problems.#"), "0"),
					resource.TestCheckResourceAttr(listed, site("000-default", "document_root"), "/var/www/html"),
					resource.TestCheckResourceAttr(listed, site("000-default", "priority"), "0"),
					resource.TestCheckNoResourceAttr(listed, site("000-default", "server_name")),
					resource.TestCheckResourceAttr(listed, site("Mixed.example.test", "aliases.#"), "2"),
					resource.TestCheckResourceAttr(listed, site("Mixed.example.test", "document_root"), "/srv/mixed/with blank"),
					resource.TestCheckResourceAttr(listed, site("Mixed.example.test", "access_log"), "/var/log/apache2/mixed.log"),
					resource.TestCheckResourceAttr(listed, site("Mixed.example.test", "line"), "2"),
					resource.TestCheckResourceAttr(listed, site("Mixed.example.test", "extra"),
						"DirectoryIndex start.html\nErrorDocument 404 \\\n    /nothing.html\n<Location \"/private\">\n    Require ip 192.0.2.0/24\n</Location>"),
					resource.TestCheckResourceAttr(listed, site("moved.example.test", "extra"), "Redirect permanent / https://elsewhere.example.test/"),
					resource.TestCheckResourceAttr(listed, site("moved.example.test", "redirect_to_https"), "false"),
					resource.TestCheckResourceAttr(listed, site("moved.example.test", "addresses.0"), "192.0.2.1:80"),
				),
			},
			{
				Config: config("bookworm"),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(listed, "server", "nginx"),
					resource.TestCheckResourceAttr(listed, site("default", "default_server"), "true"),
					resource.TestCheckResourceAttr(listed, site("pair", "redirect_to_https"), "true"),
					resource.TestCheckResourceAttr(listed, site("pair", "ports.0"), "80"),
					resource.TestCheckResourceAttr(listed, site("pair", "tls_ports.0"), "443"),
					resource.TestCheckResourceAttr(listed, site("pair", "aliases.0"), "www.pair.example.test"),
					resource.TestCheckResourceAttr(listed, site("pair", "certificate_key"), "/srv/key"),
					resource.TestCheckResourceAttr(listed, site("pair", "php_fpm_socket"), "/run/php.sock"),
					resource.TestCheckResourceAttr(listed, site("pair", "extra"), "location /api {\n    proxy_pass http://127.0.0.1:8000;\n}"),
					resource.TestMatchResourceAttr(listed, "not_understood.0", regexp.MustCompile(`^/etc/nginx/conf.d/served-by.conf:1: add_header X-Served-By .*outside`)),
					resource.TestMatchResourceAttr(listed, "not_understood.1", regexp.MustCompile(`^/etc/nginx/conf.d/pair.conf:7: .*http2`)),
					resource.TestCheckNoResourceAttr(listed, "not_understood.2"),
					resource.TestCheckResourceAttr(listed, site("pair", "problems.#"), "0"),
				),
			},
			{
				PreConfig: func() {
					put(w.sysv, "/etc/apache2/sites-enabled/030-macro.conf", "<Macro Site $name>\n<VirtualHost *:80>\nServerName $name\n</VirtualHost>\n</Macro>\n\nUse Site made.example.test\n")
				},
				Config: config("sysv"),
				// mod_macro is not loaded, so that Apache refuses its files and names no module.
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestMatchResourceAttr(listed, "not_understood.0", regexp.MustCompile("Apache does not say which modules")),
					resource.TestMatchResourceAttr(listed, "not_understood.1", regexp.MustCompile(`^/etc/apache2/sites-enabled/030-macro.conf:7: Use Site made.example.test`)),
				),
			},
		},
	})
}
