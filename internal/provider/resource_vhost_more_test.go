package provider_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

var trustAnything = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // certificates of the test's own making

func TestAccVhostSpeaksHTTPS(t *testing.T) { onOldHosts(t, vhostSpeaksHTTPS) }

func TestAccLongVhostSpeaksHTTPS(t *testing.T) { onNewHost(t, vhostSpeaksHTTPS) }

func vhostSpeaksHTTPS(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	server, _, _ := serverOf(host)
	root := webRoot(t, host, "site three")
	run(t, host, "sh", "-c", `cd "$1" && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out pem -days 9 -subj /CN=three.example.test 2>/dev/null`, "sh", root)
	if server == "apache" {
		run(t, host, "sh", "-c", "a2enmod -q ssl && service apache2 restart >/dev/null 2>&1")
		t.Cleanup(func() {
			run(t, host, "sh", "-c", "a2dismod -q ssl socache_shmcb; service apache2 restart >/dev/null 2>&1; rm -rf /var/lib/apache2/module/disabled_by_admin")
		})
	}
	arguments := fmt.Sprintf("  server_name = \"three.example.test\"\n  document_root = %[1]q\n  certificate = \"%[1]s/pem\"\n  certificate_key = \"%[1]s/key\"\n", root)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: vhostConfig(w, host.Name, arguments),
				Check: check(t, func() error {
					return errors.Join(shows(w, host, "http", "three.example.test", "site three"), shows(w, host, "https", "three.example.test", "site three"))
				}),
			},
			{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/" + server + "/three.example.test"},
			{
				Config: vhostConfig(w, host.Name, arguments+"  redirect_to_https = true\n"),
				Check: check(t, func() error {
					status, location, _, err := page(w, host, "http", "three.example.test")
					if err == nil && (status != 301 || location != "https://three.example.test/") {
						err = fmt.Errorf("http answers %d to %q", status, location)
					}
					return errors.Join(err, shows(w, host, "https", "three.example.test", "site three"))
				}),
			},
			{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/" + server + "/three.example.test"},
		},
	})
}

// A document root is made, in the home of a user as that user and nobody else.
func TestAccVhostMakesDocumentRoot(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.trixie)
	t.Cleanup(func() { run(t, w.trixie, "rm", "-rf", "/home/admin/site", "/srv/made") })
	block := func(name, arguments string) string {
		return fmt.Sprintf("resource \"cutover_vhost\" %q {\n  host = \"new\"\n  server_name = \"%[1]s.example.test\"\n  create_document_root = true\n%s\n}\n", name, arguments)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: w.config(block("home", `document_root = "/home/admin/site/htdocs"`) + block("srv", "document_root = \"/srv/made/htdocs\"\ndocument_root_owner = \"www-data\"")),
				Check: check(t, func() error {
					owners := run(t, w.trixie, "stat", "-c", "%U %a", "/home/admin/site/htdocs", "/srv/made/htdocs", "/srv/made")
					if owners != "admin 755\nwww-data 755\nroot 755\n" {
						return fmt.Errorf("owners and modes are %q", owners)
					}
					return nil
				}),
			},
			{
				Config:      w.config(block("foreign", "document_root = \"/home/admin/theirs\"\ndocument_root_owner = \"operator\"")),
				ExpectError: regexp.MustCompile(`(?s)/home/admin\s+belongs\s+to\s+admin`),
			},
		},
	})
}

// What adopt takes over comes back.
func TestAccVhostAdopts(t *testing.T) { onOldHosts(t, vhostAdopts) }

func TestAccLongVhostAdopts(t *testing.T) { onNewHost(t, vhostAdopts) }

func vhostAdopts(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	server, _, _ := serverOf(host)
	name := map[string]string{"apache": "  name = \"default\"\n  priority = 0\n", "nginx": "  name = \"default\"\n  default_server = true\n"}[server]
	root := webRoot(t, host, "site four")
	arguments := name + fmt.Sprintf("  document_root = %q\n  adopt = true\n", root)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config: vhostConfig(w, host.Name, arguments),
				Check:  check(t, func() error { return shows(w, host, "http", "nobody.example.test", "site four") }),
			},
			{Config: vhostConfig(w, host.Name, arguments), PlanOnly: true},
		},
	})
}

// The layout without sites-available, as on Red Hat's and on SUSE's systems.
func TestAccVhostInOneDirectory(t *testing.T) {
	w := labWorld(t)
	for _, host := range []*lab.Host{w.bookworm, w.trixie} {
		t.Run(host.Name, func(t *testing.T) {
			untouched(t, host)
			server, directory, _ := serverOf(host)
			main := directory + "/" + map[string]string{"apache": "apache2.conf", "nginx": "nginx.conf"}[server]
			unit := map[string]string{"apache": "apache2", "nginx": "nginx"}[server]
			run(t, host, "sh", "-c", `cp -p "$1" /root/main.saved && mkdir -p "$2/conf.d" &&
				sed -i 's,^IncludeOptional sites-enabled/.*,IncludeOptional conf.d/*.conf,; s,include /etc/nginx/sites-enabled.*,,' "$1" && service "$3" reload`, "sh", main, directory, unit)
			t.Cleanup(func() {
				run(t, host, "sh", "-c", `cp -p /root/main.saved "$1" && rm /root/main.saved; [ "$3" = nginx ] || rmdir "$2/conf.d"; service "$3" reload`, "sh", main, directory, unit)
			})
			root := webRoot(t, host, "site five")
			arguments := fmt.Sprintf("  server_name = \"five.example.test\"\n  document_root = %q\n", root)
			file := directory + "/conf.d/five.example.test.conf"
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{
					{
						Config: vhostConfig(w, host.Name, arguments),
						Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(site, "path", file),
							check(t, func() error { return shows(w, host, "http", "five.example.test", "site five") })),
					},
					{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/" + server + "/five.example.test"},
					{
						Config: vhostConfig(w, host.Name, arguments+"  enabled = false\n"),
						Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(site, "path", file+".disabled"),
							check(t, func() error { return hides(w, host, "five.example.test", "site five") })),
					},
					{
						Config: vhostConfig(w, host.Name, arguments),
						Check:  check(t, func() error { return shows(w, host, "http", "five.example.test", "site five") }),
					},
				},
			})
		})
	}
}

// A hundred sites at once share tests and reloads, and a bad one among them
// keeps none of the others back.
func TestAccVhostsAtOnce(t *testing.T) { sitesAtOnce(t, 50) }

func TestAccLongVhostsAtOnce(t *testing.T) { sitesAtOnce(t, 100) }

// sitesAtOnce makes so many sites, more than 42, with at most one reload for four.
func sitesAtOnce(t *testing.T, sites int) {
	t.Helper()
	w := labWorld(t)
	untouched(t, w.trixie)
	root := webRoot(t, w.trixie, "site six")
	many := func(extra string) string {
		return w.config(fmt.Sprintf(`
resource "cutover_vhost" "many" {
  count         = %d
  host          = "new"
  server_name   = "n${count.index}.example.test"
  document_root = %q
  extra         = count.index == 42 ? %q : null
}
`, sites, root, extra))
	}
	reloads := func() int {
		return strings.Count(run(t, w.trixie, "sh", "-c", "cat /var/log/apache2/error.log"), "AH00493")
	}
	count := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(run(t, w.trixie, "sh", "-c", "ls /etc/apache2/sites-enabled | grep -c '^n[0-9]'; true")))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	before := reloads()
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config:      many("Nonsense on"),
				ExpectError: regexp.MustCompile(`(?s)n42\.example\.test.*Invalid command 'Nonsense'`),
			},
			{
				PreConfig: func() {
					if got := count(); got != sites-1 {
						t.Errorf("beside a bad one, %d of %d sites were made", got, sites-1)
					}
				},
				Config: many("ServerSignature Off"),
				Check: check(t, func() error {
					if got := count(); got != sites {
						return fmt.Errorf("%d of %d sites were made", got, sites)
					}
					if n := reloads() - before; n < 2 || n > sites/4 {
						return fmt.Errorf("%d sites took %d reloads", sites, n)
					}
					t.Logf("%d sites took %d reloads", sites, reloads()-before)
					return errors.Join(shows(w, w.trixie, "http", "n0.example.test", "site six"), shows(w, w.trixie, "http", fmt.Sprintf("n%d.example.test", sites-1), "site six"))
				}),
			},
		},
	})
}

// A run that was killed in the middle is undone by the next one.
func TestAccVhostRepairsWhatWasKilled(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.trixie)
	root := webRoot(t, w.trixie, "site seven")
	// As a run leaves things that is killed between swap and reload.
	run(t, w.trixie, "sh", "-c", `work=/var/lib/cutover/change-etc-apache2 && mkdir -p $work && cd /etc/apache2/sites-available &&
		cp -a 000-default.conf $work/old.1 && printf 'put\tany\t0644\t-\t1\t%s\nput\tany\t0644\t-\t1\t%s\n' $PWD/000-default.conf $PWD/half.conf >$work/list &&
		: >$work/armed && echo Half >000-default.conf && echo Half >half.conf`)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: vhostConfig(w, "new", fmt.Sprintf("  server_name = \"seven.example.test\"\n  document_root = %q\n", root)),
			Check: check(t, func() error {
				if _, err := w.trixie.Run(context.Background(), "test", "-e", "/etc/apache2/sites-available/half.conf"); err == nil {
					return errors.New("the half-made file is still there")
				}
				return shows(w, w.trixie, "http", "seven.example.test", "site seven")
			}),
		}},
	})
}
