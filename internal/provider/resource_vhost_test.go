package provider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestVhostRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"name with a blank":     {`server_name = "a b"`, `Not a server name`},
		"name with a quote":     {`server_name = "a\"b"`, `Not a server name`},
		"name with a line":      {`server_name = "a\nb"`, `Not a server name`},
		"name with a semicolon": {`server_name = "a;b"`, `Not a server name`},
		"name with a brace":     {`server_name = "a{b"`, `Not a server name`},
		"star as a name":        {`server_name = "*.example.test"`, `Not a server name`},
		"alias with a line":     {"server_name = \"a\"\naliases = [\"b\\nDocumentRoot /etc\"]", `Not an alias`},
		"no name":               {`document_root = "/srv"`, `server_name or name`},
		"file elsewhere":        {`name = "../../cron.d/x"`, `Not a file name`},
		"priority in the name":  {`name = "000-default"`, `priority = 0`},
		"relative root":         {"server_name = \"a\"\ndocument_root = \"srv\"", `not an absolute path`},
		"root with a quote":     {"server_name = \"a\"\ndocument_root = \"/srv/\\\"x\"", `no quotes`},
		"root above itself":     {"server_name = \"a\"\ndocument_root = \"/srv/../etc\"", `without \. and \.\.`},
		"port 0":                {"server_name = \"a\"\nports = [0]", `between 1\s+and 65535`},
		"no port":               {"server_name = \"a\"\nports = []", `a site needs a port|A site needs a port`},
		"port for both":         {"server_name = \"a\"\nports = [443]\ncertificate = \"/c\"\ncertificate_key = \"/k\"", `both HTTP and HTTPS`},
		"certificate alone":     {"server_name = \"a\"\ncertificate = \"/c\"", `needs its key`},
		"redirect from nowhere": {"server_name = \"a\"\nports = []\ncertificate = \"/c\"\ncertificate_key = \"/k\"\nredirect_to_https = true", `no port\s+to\s+redirect\s+from`},
		"unknown server":        {"server_name = \"a\"\nserver = \"iis\"", `value must be one of`},
		"another host":          {"server_name = \"a\"\nserver = \"apache\"\ndefault_server = true", `option\s+of\s+nginx`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" {\n hosts = { new = {} }\n}\nresource \"cutover_vhost\" \"v\" {\nhost = \"new\"\n%s\n}", c.arguments),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

const site = "cutover_vhost.v"

func vhostConfig(w *world, on, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_vhost\" \"v\" {\n  host = %q\n%s\n}\n", on, arguments))
}

// serverOf is the web server of a host, the directory of its configuration, and
// the ending of its files.
func serverOf(host *lab.Host) (name, directory, ending string) {
	if host.Kind == lab.Bookworm {
		return "nginx", "/etc/nginx", ""
	}
	return "apache", "/etc/apache2", ".conf"
}

// page asks a host for the start page of a site, or for "site/path".
func page(w *world, host *lab.Host, scheme, name string) (status int, location, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(10*time.Second))
	defer cancel()
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return w.client.Dial(ctx, network, net.JoinHostPort(host.Address, port))
			},
			TLSClientConfig: trustAnything, DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if !strings.Contains(name, "/") {
		name += "/"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+name, nil)
	if err != nil {
		return 0, "", "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header.Get("Location"), string(text), err
}

// shows is an error unless a site answers with 200 and a text.
func shows(w *world, host *lab.Host, scheme, name, want string) error {
	status, _, body, err := page(w, host, scheme, name)
	if err == nil && (status != http.StatusOK || !strings.Contains(body, want)) {
		err = fmt.Errorf("%s://%s/ on %s answers %d: %q", scheme, name, host.Name, status, body)
	}
	return err
}

// hides is an error where a site still answers with the text.
func hides(w *world, host *lab.Host, name, text string) error {
	_, _, body, err := page(w, host, "http", name)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // nginx without any site listens nowhere
	}
	if err == nil && strings.Contains(body, text) {
		err = fmt.Errorf("http://%s/ on %s still shows %q", name, host.Name, text)
	}
	return err
}

// webRoot makes a directory with a start page until the end of the test.
func webRoot(t *testing.T, host *lab.Host, text string) string {
	t.Helper()
	root := "/srv/" + strings.ReplaceAll(text, " ", "-")
	run(t, host, "sh", "-c", `mkdir -p "$1" && printf '<title>%s</title>\n' "$2" >"$1/index.html"`, "sh", root, text)
	t.Cleanup(func() { run(t, host, "rm", "-rf", root) })
	return root
}

func TestAccVhost(t *testing.T) {
	onEveryHost(t, func(t *testing.T, w *world, host *lab.Host) {
		untouched(t, host)
		server, directory, ending := serverOf(host)
		root := webRoot(t, host, "site one")
		file := directory + "/sites-available/one.example.test" + ending
		enabled := directory + "/sites-enabled/one.example.test" + ending
		arguments := fmt.Sprintf("  server_name = \"one.example.test\"\n  document_root = %q\n", root)
		changed := arguments + "  aliases = [\"uno.example.test\", \"*.one.example.test\"]\n  access_log = \"/var/log/one.log\"\n  extra = <<-EOT\n" +
			map[string]string{"apache": "    # A page for nothing.\n    ErrorDocument 404 \"nothing here\"\n", "nginx": "    # A page for nothing.\n    error_page 404 =404 @nothing;\n    location @nothing {\n      return 404 \"nothing here\";\n    }\n"}[server] + "  EOT\n"
		update := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(site, plancheck.ResourceActionUpdate)}}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: vhostConfig(w, host.Name, arguments),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(site, "id", host.Name+"/"+server+"/one.example.test"),
						resource.TestCheckResourceAttr(site, "path", file),
						check(t, func() error { return shows(w, host, "http", "one.example.test", "site one") }),
					),
				},
				{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/" + server + "/one.example.test"},
				{ // changed in place
					Config: vhostConfig(w, host.Name, changed), ConfigPlanChecks: update,
					Check: check(t, func() error {
						return errors.Join(shows(w, host, "http", "uno.example.test", "site one"), shows(w, host, "http", "any.one.example.test", "site one"))
					}),
				},
				{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/" + server + "/one.example.test"},
				{ // changed by hand
					PreConfig: func() { run(t, host, "sed", "-i", "s/uno/due/", file) },
					Config:    vhostConfig(w, host.Name, changed), ConfigPlanChecks: update,
					Check: check(t, func() error { return shows(w, host, "http", "uno.example.test", "site one") }),
				},
				{ // turned off by hand
					PreConfig: func() { run(t, host, "rm", enabled) },
					Config:    vhostConfig(w, host.Name, changed), ConfigPlanChecks: update,
					Check: check(t, func() error { return shows(w, host, "http", "one.example.test", "site one") }),
				},
				{ // removed by hand
					PreConfig: func() { run(t, host, "rm", enabled, file) },
					Config:    vhostConfig(w, host.Name, changed),
					Check:     check(t, func() error { return shows(w, host, "http", "one.example.test", "site one") }),
				},
				{ // turned off
					Config: vhostConfig(w, host.Name, changed+"  enabled = false\n"), ConfigPlanChecks: update,
					Check: check(t, func() error { return hides(w, host, "one.example.test", "site one") }),
				},
				{ // another name and no extra: the file keeps its name
					Config: vhostConfig(w, host.Name, strings.Replace(arguments, "one.example", "eins.example", 1)), ConfigPlanChecks: update,
					Check: check(t, func() error { return shows(w, host, "http", "eins.example.test", "site one") }),
				},
			},
		})
		if err := hides(w, host, "eins.example.test", "site one"); err != nil {
			t.Error(err)
		}
	})
}

// A refused site changes nothing at all, and the error has the server's words
// and the place.
func TestAccVhostRefused(t *testing.T) { onOldHosts(t, vhostRefused) }

func TestAccLongVhostRefused(t *testing.T) { onNewHost(t, vhostRefused) }

func vhostRefused(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	server, directory, ending := serverOf(host)
	root := webRoot(t, host, "site two")
	run(t, host, "sh", "-c", `ln -s /etc /srv/astray && printf 'x\n' >/srv/plain && mkdir -p /srv/pair && cd /srv/pair &&
		for n in 1 2; do openssl req -x509 -newkey rsa:2048 -nodes -keyout $n.key -out $n.pem -days 9 -subj /CN=x 2>/dev/null; done`)
	t.Cleanup(func() { run(t, host, "rm", "-rf", "/srv/astray", "/srv/plain", "/srv/pair") })
	taken := directory + "/sites-available/taken.example.test" + ending
	run(t, host, "sh", "-c", `printf '# by hand\n' >"$1"`, "sh", taken)
	t.Cleanup(func() { run(t, host, "rm", taken) })
	words := map[string]string{
		"apache": `(?s)Invalid command 'Nonsense'.*Line \d+ of the file is:\s+Nonsense on`,
		"nginx":  `(?s)unknown directive "Nonsense".*Line \d+ of the file is:\s+Nonsense on`,
	}
	silent := map[string]string{
		"apache": `(?s)does\s+not\s+listen\s+on\s+port\s+8099.*Listen 8099`,
		"nginx":  `(?s)does\s+not\s+listen\s+on\s+port\s+22`,
	}
	port := map[string]int{"apache": 8099, "nginx": 22}[server]
	start := fmt.Sprintf("  server_name = \"two.example.test\"\n  document_root = %q\n", root)
	before, err := host.Tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ arguments, says string }{
		"nonsense":        {start + "  extra = \"Nonsense on;\"\n", words[server]},
		"symbolic link":   {"  server_name = \"two.example.test\"\n  document_root = \"/srv/astray\"\n", `(?s)/srv/astray\s+is\s+a\s+link\s+that\s+leads.*/etc`},
		"no directory":    {"  server_name = \"two.example.test\"\n  document_root = \"/srv/plain\"\n", `(?s)/srv/plain\s+is\s+no\s+directory`},
		"wrong key":       {start + "  certificate = \"/srv/pair/1.pem\"\n  certificate_key = \"/srv/pair/2.key\"\n", `(?s)key\s+/srv/pair/2.key\s+does\s+not\s+belong`},
		"no certificate":  {start + "  certificate = \"/srv/pair/3.pem\"\n  certificate_key = \"/srv/pair/2.key\"\n", `(?s)there\s+is\s+no\s+file\s+/srv/pair/3.pem`},
		"no log":          {start + "  error_log = \"/srv/nowhere/error.log\"\n", `(?s)no\s+directory\s+/srv/nowhere`},
		"no socket":       {start + "  php_fpm_socket = \"/run/php/nowhere.sock\"\n", `(?s)no\s+socket\s+/run/php/nowhere.sock`},
		"silent port":     {start + fmt.Sprintf("  ports = [%d]\n", port), silent[server]},
		"somebody else's": {"  server_name = \"taken.example.test\"\n", `(?s)this\s+provider\s+did\s+not\s+make.*terraform import.*adopt`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: inProcess,
				Steps:                    []resource.TestStep{{Config: vhostConfig(w, host.Name, c.arguments), ExpectError: regexp.MustCompile(c.says)}},
			})
			after, err := host.Tree(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(before, after) {
				for path := range after {
					if before[path] != after[path] {
						t.Errorf("%s was %q and is %q", path, before[path], after[path])
					}
				}
				t.Error("the refused site has left its traces")
			}
		})
	}
	if server == "apache" {
		t.Run("no module", func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      vhostConfig(w, host.Name, start+"  certificate = \"/srv/pair/1.pem\"\n  certificate_key = \"/srv/pair/1.key\"\n"),
					ExpectError: regexp.MustCompile(`(?s)module\s+ssl.*a2enmod ssl`),
				}},
			})
		})
	}
}
