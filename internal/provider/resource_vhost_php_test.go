package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// PHP-FPM itself answers behind the socket, for Apache and for nginx.
func TestAccVhostRunsPHP(t *testing.T) {
	w := labWorld(t)
	for _, server := range []string{"apache", "nginx"} {
		t.Run(server, func(t *testing.T) {
			host := w.webHost(t)
			untouched(t, host)
			serving(t, host, server)
			root := webRoot(t, host, "site nine")
			socket := strings.TrimSpace(run(t, host, "sh", "-c", "ls /run/php/php*.*-fpm.sock"))
			run(t, host, "sh", "-c", `rm "$1/index.html" && printf '<?php header("X-Speaks: PHP"); printf("site nine by %%s: %%d, %%s", PHP_SAPI, 6 * 7, $_SERVER["SCRIPT_FILENAME"]);' >"$1/index.php" &&
				printf 'never shown <?php echo "x";' >"$1/secret.php.txt"`, "sh", root)
			arguments := fmt.Sprintf("  server = %q\n  server_name = \"nine.example.test\"\n  document_root = %q\n  php_fpm_socket = %q\n", server, root, socket)
			speaks := check(t, func() error {
				var problems []error
				for _, name := range []string{"nine.example.test", "nine.example.test/index.php?x=1"} {
					problems = append(problems, shows(w, host, "http", name, "site nine by fpm-fcgi: 42, "+root+"/index.php"))
				}
				// What is not there does not reach PHP, nor what only ends like it.
				for _, name := range []string{"nine.example.test/nowhere.php", "nine.example.test/secret.php.txt/x.php"} {
					if status, _, body, err := page(w, host, "http", name); err != nil || status != http.StatusNotFound {
						problems = append(problems, fmt.Errorf("%s answers %d %q, %w", name, status, body, err))
					}
				}
				return errors.Join(problems...)
			})
			steps := []resource.TestStep{
				{Config: vhostConfig(w, "web", arguments), Check: speaks},
				{ResourceName: site, ImportState: true, ImportStateVerify: true, ImportStateId: "web/" + server + "/nine.example.test"},
			}
			if server == "apache" {
				lacks := resource.TestStep{Config: vhostConfig(w, "web", arguments), ExpectError: regexp.MustCompile(`(?s)module\s+proxy.*a2enmod proxy`)}
				steps = append([]resource.TestStep{lacks}, steps...)
				steps[1].PreConfig = func() { run(t, host, "sh", "-c", "a2enmod -q proxy_fcgi && systemctl restart apache2") }
				t.Cleanup(func() {
					run(t, host, "sh", "-c", "a2dismod -q proxy_fcgi proxy && systemctl restart apache2; rm -rf /var/lib/apache2/module/disabled_by_admin")
				})
			}
			resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps})
		})
	}
}
