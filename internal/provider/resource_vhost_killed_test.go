package provider_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// Terraform and the provider are killed in the middle of a change, and in the
// worst case what they had going on the host with them. The next apply puts
// things right; meanwhile the server serves what it served before.
func TestAccLongVhostConvergesAfterAKill(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, _ string, host *lab.Host) {
		untouched(t, host)
		server, directory, _ := serverOf(host)
		roots := webRoot(t, host, "site eight")
		terraform := newCommandLine(t, w.config(fmt.Sprintf(`
resource "cutover_vhost" "sites" {
  count         = 5
  host          = %q
  server_name   = "k${count.index}.example.test"
  aliases       = ["k${count.index}.${var.alias}"]
  document_root = %q
}

variable "alias" {
  type = string
}
`, host.Name, roots))+requires)
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve", "-var", "alias=none.example.test") })
		journal := "/var/lib/cutover/change" + strings.ReplaceAll(directory, "/", "-")
		exists := func(name string) func() bool {
			return func() bool {
				_, err := host.Run(context.Background(), "test", "-e", path.Join(journal, name))
				return err == nil
			}
		}
		test := map[string][]string{"apache": {"apache2ctl", "-t"}, "nginx": {"nginx", "-t", "-q"}}[server]
		whole := func(aliases ...string) error {
			_, err := host.Run(context.Background(), test...)
			if exists("")() {
				err = errors.Join(err, fmt.Errorf("%s is still there", journal))
			}
			for _, domain := range append(aliases, "example.test") {
				for n := range 5 {
					err = errors.Join(err, shows(w, host, "http", fmt.Sprintf("k%d.%s", n, domain), "site eight"))
				}
			}
			return err
		}
		apply := func(alias string) []string { return []string{"apply", "-auto-approve", "-var", "alias=" + alias} }
		converge := func(alias string) {
			t.Helper()
			terraform.run(apply(alias)...)
			terraform.run("plan", "-detailed-exitcode", "-var", "alias="+alias)
			if err := whole(alias); err != nil {
				t.Error(err)
			}
		}

		// While the server tests the files, of which it has none yet.
		terraform.runUntil(exists("list"), terraformWithProvider, apply("one.example.test")...)
		converge("one.example.test")

		// While the files are live and the server does not know them yet. What
		// runs on the host goes on and ends well.
		terraform.runUntil(exists("armed"), terraformWithProvider, apply("two.example.test")...)
		if err := eventually(30*time.Second, func() error {
			if exists("")() {
				return errors.New("the change on the host does not end")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := whole(); err != nil {
			t.Error(err)
		}
		converge("two.example.test")

		// The same, and what runs on the host is killed too.
		terraform.runUntil(exists("armed"), terraformWithProvider, apply("three.example.test")...)
		run(t, host, "pkill", "-KILL", "-f", "vhost/change.sh")
		if !exists("armed")() {
			t.Error("the kill came too late: there is nothing to put right")
		}
		if err := shows(w, host, "http", "k0.example.test", "site eight"); err != nil {
			t.Error(err)
		}
		converge("three.example.test")
	})
}
