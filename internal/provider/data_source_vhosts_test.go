package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const listed = "data.cutover_vhosts.all"

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
					resource.TestCheckResourceAttr(listed, "not_understood.#", "0"),
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
					resource.TestMatchResourceAttr(listed, "not_understood.0", regexp.MustCompile(`^/etc/nginx/conf.d/pair.conf:7: .*http2`)),
				),
			},
			{
				PreConfig: func() {
					put(w.sysv, "/etc/apache2/sites-enabled/030-macro.conf", "<Macro Site $name>\n<VirtualHost *:80>\nServerName $name\n</VirtualHost>\n</Macro>\n\nUse Site made.example.test\n")
				},
				Config: config("sysv"),
				Check:  resource.TestMatchResourceAttr(listed, "not_understood.0", regexp.MustCompile(`^/etc/apache2/sites-enabled/030-macro.conf:7: Use Site made.example.test`)),
			},
		},
	})
}
