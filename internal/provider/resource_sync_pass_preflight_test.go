package provider_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// What the new host's file systems have no room for stands in the way; what they
// cannot keep is said, and the rest is copied.
func TestAccLongSyncPassFileSystems(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		t.Cleanup(func() { run(t, w.trixie, "sh", "-c", "umount /srv/second 2>/dev/null; true") })
		mounted := func(options ...string) func() {
			return func() {
				run(t, w.trixie, "sh", "-c", "umount /srv/second 2>/dev/null; rm -rf /srv/second; mkdir /srv/second")
				run(t, w.trixie, append(append([]string{"mount"}, options...), "none", "/srv/second")...)
			}
		}
		run(t, host, "sh", "-c", `cd /srv/second && for i in 1 2 3 4 5 6; do echo $i >$i; done && setfacl -m u:passer:r 1 2 && setfattr -n user.origin -v old 3`)
		config := func(again int) string {
			return passConfig(w, name, fmt.Sprintf("  excludes = [\"*.tmp\", \"/staying\"]\n  triggers = { again = %d }\n", again))
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					PreConfig:   mounted("-t", "tmpfs", "-o", "nr_inodes=6"),
					Config:      config(0),
					ExpectError: regexp.MustCompile(`(?s)file\s+system\s+/srv/second\s+of\s+host\s+"new"\s+has\s+too\s+few\s+inodes:\s+the\s+pass\s+brings\s+7\s+files.*room\s+for\s+5.*Nothing\s+was\s+copied`),
				},
				{
					PreConfig: func() {
						if got := run(t, w.trixie, "sh", "-c", "ls -A /srv/second; ls -A '/srv/pass data'"); got != "" {
							t.Errorf("something was copied: %s", got)
						}
						mounted("-t", "ramfs")()
					},
					Config: config(0),
					Check: func(s *terraform.State) error {
						var warnings []string
						for key, value := range s.RootModule().Resources[pass].Primary.Attributes {
							if strings.HasPrefix(key, "warnings.") {
								warnings = append(warnings, value)
							}
						}
						said := strings.Join(warnings, "\n")
						for _, part := range []string{
							`the file system of /srv/second on host "new" cannot keep ACLs, which 2 entries have`,
							`the file system of /srv/second on host "new" cannot keep extended attributes, which 3 has`,
						} {
							if !strings.Contains(said, part) {
								return fmt.Errorf("no warning says %q:\n%s", part, said)
							}
						}
						return w.keyGone(t, host)
					},
				},
				{
					PreConfig: func() { run(t, host, "sh", "-c", "echo again >/srv/second/1") },
					Config:    config(1),
					Check: check(t, func() error {
						if got := run(t, w.trixie, "sh", "-c", "cat /srv/second/1 /srv/second/6; getfacl -s -p -R '/srv/pass data' | grep -c user:passer"); got != "again\n6\n1\n" {
							return fmt.Errorf("there is %q", got)
						}
						return nil
					}),
				},
			},
		})
	})
}
