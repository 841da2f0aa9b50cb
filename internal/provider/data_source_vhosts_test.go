package provider_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

// examples/codify, as it is, writes the new host from the old one. It has
// resources with for_each, which terraform-plugin-testing cannot look at; so
// this runs the CLI as a user does.
func TestAccCodify(t *testing.T) {
	w := labWorld(t)
	old := w.sysv
	untouched(t, w.trixie)
	if err := fillForCodify(t, old); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "examples/codify/main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(`host = "old"`, `host = "sysv"`, `password_from = "old"`, `password_from = "sysv"`).Replace(string(text))
	config = w.config(config) + `
variable "staying" {
  default = ["admin", "operator"]
}
terraform {
  required_providers {
    cutover = { source = "cutover-dev/cutover" }
  }
}
`
	terraform := commandLine(t, config)
	t.Cleanup(func() { // after the destroy, which keeps accounts
		run(t, w.trixie, "sh", "-c", `for user in anton berta; do userdel -r $user 2>/dev/null; done; groupdel codifiers 2>/dev/null; true`)
	})
	t.Cleanup(func() { terraform("destroy", "-auto-approve") })
	terraform("apply", "-auto-approve")
	copyPages(t, old, w.trixie)
	for _, name := range []string{"www.codify.example.test", "anton.codify.example.test", "alias.codify.example.test", "berta.codify.example.test", "unknown.example.test"} {
		was, _, wasBody, err := page(w, old, "http", name)
		is, _, isBody, err2 := page(w, w.trixie, "http", name)
		if err != nil || err2 != nil || was != is || title(wasBody) != title(isBody) {
			t.Errorf("http://%s/: the old host answers %d %q, the new one %d %q (%v, %v)", name, was, title(wasBody), is, title(isBody), err, err2)
		}
	}
	for _, name := range []string{"anton", "berta"} {
		for _, argv := range [][]string{{"id", "-u", name}, {"id", "-g", name}, {"id", "-Gn", name}, {"getent", "passwd", name}, {"sh", "-c", `getent shadow "$1" | cut -d: -f1,2`, "sh", name}} {
			if was, is := run(t, old, argv...), run(t, w.trixie, argv...); was != is {
				t.Errorf("%q is %q on the old host and %q on the new one", argv, was, is)
			}
		}
	}
	terraform("plan", "-detailed-exitcode") // 2, an error, where there is anything to change
}

// commandLine returns a function that runs Terraform with a configuration and
// the provider as it is built from this tree, and fails the test when it fails.
func commandLine(t *testing.T, config string) func(args ...string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/bin/terraform-provider-cutover", root)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the provider: %v\n%s", err, out)
	}
	overrides := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"cutover-dev/cutover\" = %q\n  }\n  direct {}\n}\n", dir+"/bin")
	for name, text := range map[string]string{"main.tf": config, "cli.tfrc": overrides} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if terraform == "" {
		terraform = "terraform"
	}
	return func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(context.Background(), terraform, append(args, "-no-color", "-input=false")...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+dir+"/cli.tfrc")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

var titles = regexp.MustCompile(`(?s)<title>\s*(.*?)\s*</title>`)

func title(body string) string {
	if found := titles.FindStringSubmatch(body); found != nil {
		return found[1]
	}
	return ""
}

// fillForCodify gives a host people with sites, and takes them away again.
func fillForCodify(t *testing.T, host *lab.Host) error {
	const fill = `set -e
groupadd -g 1600 codifiers
number=1600
for user in anton berta; do
	number=$((number + 1))
	useradd -m -u "$number" -s /bin/bash -c "$user of the example" -G codifiers "$user"
	printf '%s:secret-%s\n' "$user" "$user" | chpasswd
	chmod 711 "/home/$user"
	mkdir -p "/home/$user/public_html"
	printf '<title>Page of %s</title>\n' "$user" >"/home/$user/public_html/index.html"
	chown -R "$user:$user" "/home/$user"
	printf '<VirtualHost *:80>\n\tServerName %s.codify.example.test\n\tDocumentRoot /home/%s/public_html\n\t<Directory /home/%s/public_html>\n\t\tRequire all granted\n\t</Directory>\n</VirtualHost>\n' \
		"$user" "$user" "$user" >"/etc/apache2/sites-enabled/codify-$user.conf"
done
cat >/etc/apache2/sites-enabled/codify-www.conf <<'SITE'
<VirtualHost *:80>
	ServerName www.codify.example.test
	ServerAlias alias.codify.example.test
	DocumentRoot /home/anton/public_html
	<Directory /home/anton/public_html>
		Require all granted
	</Directory>
	ErrorDocument 404 "nothing"
</VirtualHost>
SITE
apache2ctl configtest && service apache2 reload`
	t.Cleanup(func() {
		run(t, host, "sh", "-c", `rm -f /etc/apache2/sites-enabled/codify-*; service apache2 reload; for user in anton berta; do userdel -r $user 2>/dev/null; done; groupdel codifiers`)
	})
	_, err := host.Run(context.Background(), "sh", "-c", fill)
	return err
}

// copyPages does what a sync pass would.
func copyPages(t *testing.T, from, to *lab.Host) {
	t.Helper()
	for _, user := range []string{"anton", "berta"} {
		text := run(t, from, "cat", "/home/"+user+"/public_html/index.html")
		run(t, to, "sh", "-c", `mkdir -p "/home/$1/public_html" && chmod 711 "/home/$1" && printf '%s' "$2" >"/home/$1/public_html/index.html"`, "sh", user, text)
	}
}
