package provider_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// examples/codify, as it is, writes an empty new host from an old one: once
// from Apache and SysV init, once from nginx and systemd. It has resources with
// for_each, which terraform-plugin-testing cannot look at.
func TestAccCodify(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, _ string, old *lab.Host) {
		server, _, _ := serverOf(old)
		fresh := w.webHost(t)
		untouched(t, old)
		untouched(t, fresh)
		serving(t, fresh, server)
		people := fillForCodify(t, old)
		sites := namesOfSites(t, old)
		if len(people) != 14 || len(sites) != 17 {
			t.Fatalf("the old host was to have 14 people and 17 names of sites, and has %q and %q", people, sites)
		}

		text, err := os.ReadFile(filepath.Join(root, "examples/codify/main.tf"))
		if err != nil {
			t.Fatal(err)
		}
		config := strings.NewReplacer(`"old"`+"\n", fmt.Sprintf("%q\n", old.Name), `"new"`+"\n", "\"web\"\n").Replace(string(text))
		terraform := newCommandLine(t, w.config(config)+requires+"variable \"staying\" {\n  default = [\"admin\", \"operator\"]\n}\nvariable \"renumbered\" {\n  default = []\n}\n")
		t.Cleanup(func() { // after the destroy, which keeps accounts
			run(t, fresh, append([]string{"sh", "-c", `for user; do userdel -r "$user" 2>/dev/null; done; groupdel webteam 2>/dev/null; groupdel codifiers 2>/dev/null
					rm -rf /var/www && mv /root/www.saved /var/www`, "sh"}, people...)...)
		})
		run(t, fresh, "cp", "-a", "/var/www", "/root/www.saved")
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve") })
		terraform.run("apply", "-auto-approve")
		copyPages(t, old, fresh, people)

		for _, name := range sites {
			was, location, wasBody, err := page(w, old, "http", name)
			is, leadsTo, isBody, err2 := page(w, fresh, "http", name)
			if err != nil || err2 != nil || was != is || title(wasBody) != title(isBody) || location != leadsTo {
				t.Errorf("http://%s/: the old host answers %d %q %s, the new one %d %q %s (%v, %v)",
					name, was, title(wasBody), location, is, title(isBody), leadsTo, err, err2)
			}
		}
		for _, name := range people {
			for _, argv := range [][]string{{"id", name}, {"getent", "passwd", name}, {"sh", "-c", `getent shadow "$1" | cut -d: -f1-3`, "sh", name}} {
				was, is := run(t, old, argv...), run(t, fresh, argv...)
				t.Logf("%s", strings.TrimSpace(is))
				if was != is || was == "" {
					t.Errorf("%q is %q on the old host and %q on the new one", argv, was, is)
				}
			}
		}
		terraform.run("plan", "-detailed-exitcode") // 2, an error, where there is anything to change
	})
}

// serving has the host for the web serve with Apache or nginx until the end of
// the test.
func serving(t *testing.T, host *lab.Host, server string) {
	t.Helper()
	if server == "nginx" {
		return // as it always does
	}
	t.Cleanup(func() { run(t, host, "sh", "-c", "systemctl stop apache2 && systemctl start nginx") })
	run(t, host, "sh", "-c", "systemctl stop nginx && systemctl start apache2")
}

var titles = regexp.MustCompile(`(?s)<title>\s*(.*?)\s*</title>`)

func title(body string) string {
	if found := titles.FindStringSubmatch(body); found != nil {
		return found[1]
	}
	return ""
}

// fillForCodify gives a host people with sites, and takes them away again:
// those of every lab, and some whose groups and names are less usual.
func fillForCodify(t *testing.T, host *lab.Host) (people []string) {
	t.Helper()
	const more = `set -e
groupadd -g 1800 codifiers
useradd -m -u 1601 -s /bin/bash -c 'without a password' -g codifiers -G webteam,www-data,staff anton
useradd -m -u 1602 -s /bin/sh -c '' -U -G codifiers,webteam,games berta
printf 'berta:$1$salt$UsgiFB8nWoq9YMBrEl4GX.\n' | chpasswd -e
chage -d 2020-02-02 berta
chmod 711 /home/anton /home/berta
mkdir /home/anton/public_html /home/berta/public_html
printf '<title>Page of anton</title>\n' >/home/anton/public_html/index.html
`
	const apache = more + `cat >/etc/apache2/sites-enabled/010-codify.conf <<'SITES'
<VirtualHost *:80>
	ServerName anton.codify.example.test
	ServerAlias alias.codify.example.test
	DocumentRoot /home/anton/public_html
	<Directory /home/anton/public_html>
		Require all granted
	</Directory>
	Redirect 410 /gone
</VirtualHost>
<VirtualHost *:80>
	ServerName berta.codify.example.test
	DocumentRoot /home/berta/public_html
	<Location />
		Require all denied
	</Location>
</VirtualHost>
SITES
apache2ctl configtest && service apache2 reload`
	const nginx = more + `cat >/etc/nginx/conf.d/codify.conf <<'SITES'
server {
	listen 80;
	listen [::]:80;
	server_name anton.codify.example.test alias.codify.example.test;
	root /home/anton/public_html;
	location /gone { return 410; }
}
server {
	listen 80;
	server_name berta.codify.example.test;
	root /home/berta/public_html;
	deny all;
}
SITES
nginx -t && service nginx reload`
	people = append(lab.UserNames(12), "anton", "berta")
	server, directory, _ := serverOf(host)
	t.Cleanup(func() {
		run(t, host, append([]string{"sh", "-c", `server=$1 directory=$2 && shift 2
			rm -f "$directory"/sites-*/*.example.test* "$directory"/*/*codify.conf && service "$server" reload
			for user; do userdel -r "$user" 2>/dev/null; done; groupdel codifiers; groupdel webteam`, "sh", strings.TrimPrefix(directory, "/etc/"), directory}, people...)...)
	})
	if err := host.Fill(context.Background(), lab.Content{MailsPerUser: 1}); err != nil {
		t.Fatal(err)
	}
	run(t, host, "sh", "-c", map[string]string{"apache": apache, "nginx": nginx}[server])
	return people
}

// namesOfSites are all names in the files of the sites, and one that nobody has.
func namesOfSites(t *testing.T, host *lab.Host) []string {
	t.Helper()
	_, directory, _ := serverOf(host)
	names := strings.Fields(run(t, host, "sh", "-c", `cat "$1"/sites-enabled/* "$1"/conf.d/* 2>/dev/null | sed -n 's/;$//; s/^[[:blank:]]*\(ServerName\|ServerAlias\|server_name\) //p'`, "sh", directory))
	names = append(slices.DeleteFunc(names, func(name string) bool { return name == "_" }), "unknown.example.test")
	slices.Sort(names)
	return slices.Compact(names)
}

// copyPages does what a sync pass would, as far as the web is concerned.
func copyPages(t *testing.T, from, to *lab.Host, people []string) {
	t.Helper()
	packed := run(t, from, append([]string{"sh", "-c", `cd / && for user; do
			echo "home/$user"
			find "home/$user/public_html" "home/$user/www" 2>/dev/null
		done >/tmp/pages; find var/www >>/tmp/pages
		tar -cf - --no-recursion -T /tmp/pages | base64; rm /tmp/pages`, "sh"}, people...)...)
	if _, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(packed, "\n", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := to.RunInput(context.Background(), packed, "sh", "-c", "rm -rf /var/www && base64 -d | tar -C / -xpf -"); err != nil {
		t.Fatal(err)
	}
}
