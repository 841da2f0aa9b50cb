package provider_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const foreseen = "data.cutover_sync_preview.next"

func TestSyncPreviewRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"relative path": {`paths = ["home"]`, `"home" is not absolute`},
		"same host":     {"paths = [\"/home\"]\nto = \"old\"", `a pass leads from one\s+host to another`},
		"verify":        {"paths = [\"/home\"]\nverify = \"none\"", `one of`},
	} {
		t.Run(name, func(t *testing.T) {
			to := "\nto = \"new\""
			if name == "same host" {
				to = ""
			}
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: "provider \"cutover\" { hosts = { old = {}, new = {} } }\ndata \"cutover_sync_preview\" \"t\" {\nfrom = \"old\"\n" +
						c.arguments + to + "\n}",
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// A preview says what a pass would do, and changes nothing on either host.
func TestAccSyncPreview(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		data := fmt.Sprintf(`
data "cutover_sync_preview" "next" {
  from     = %q
  to       = "new"
  paths    = ["/srv/pass data", "/srv/second"]
  excludes = ["*.tmp", "/staying"]
`, name)
		kind := func(kind, count, path string) resource.TestCheckFunc {
			checks := []resource.TestCheckFunc{resource.TestCheckResourceAttr(foreseen, "kinds."+kind+".count", count)}
			if path != "" {
				checks = append(checks, resource.TestCheckResourceAttr(foreseen, "kinds."+kind+".paths.0", path))
			}
			return resource.ComposeTestCheckFunc(checks...)
		}
		nothing := check(t, func() error {
			var failed []error
			for _, h := range []*lab.Host{host, w.trixie} {
				if left := run(t, h, "sh", "-c", "ls -A /var/lib/cutover /run/cutover /var/run/cutover 2>/dev/null; grep -l cutover-pass /root/.ssh/*; true"); left != "" {
					failed = append(failed, fmt.Errorf("left on %s: %s", h.Name, left))
				}
			}
			return errors.Join(failed...)
		})
		const show = `cd "/srv/pass data" && find . -printf '%p %i %m %u %s %T@ %C@\n' | sort; cd /var/lib/cutover && find . -type f ! -name 'worker-*' -exec sha256sum {} + | sort; find . | sort`
		before := ""
		pass := passBlock(name, "  excludes = [\"*.tmp\", \"/staying\"]")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: w.config(data + "}"),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(foreseen, "first", "true"),
						resource.TestCheckNoResourceAttr(foreseen, "estimate"),
						resource.TestMatchResourceAttr(foreseen, "kinds.created.count", regexp.MustCompile(`^2\d$`)),
						kind("deleted", "0", ""), kind("lost", "0", ""),
						resource.TestCheckResourceAttrPair(foreseen, "changes", foreseen, "kinds.created.count"),
						nothing,
						check(t, func() error {
							if there := run(t, w.trixie, "sh", "-c", `ls -d "/srv/pass data" /srv/second 2>/dev/null; true`); there != "" {
								return fmt.Errorf("the preview has made %s", there)
							}
							return nil
						}),
					),
				},
				{ // whose files they are, nobody there knows
					PreConfig: func() { run(t, host, "sh", "-c", "useradd -M onlyhere && chown onlyhere /srv/second/file") },
					Config:    w.config(data + "}"),
					Check:     kind("unknown_owners", "1", "/srv/second/file"),
				},
				{
					PreConfig: func() { run(t, host, "sh", "-c", "chown root /srv/second/file; userdel onlyhere") },
					Config:    w.config(pass),
				},
				{
					PreConfig: func() {
						run(t, host, "sh", "-c", `cd "/srv/pass data"; echo seven >deep/er/seven; mv mine "deep/mine, read"; chmod 640 acl; echo 7 >attr; rm suid; echo theirs >'a file.own'`)
						run(t, w.trixie, "sh", "-c", `cd "/srv/pass data"; rm dangling; echo own >'a file.own'; chmod 600 "quote" 2>/dev/null; true`)
						before = run(t, w.trixie, "sh", "-c", show)
					},
					Config: w.config(pass + data + "}"),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(foreseen, "first", "false"),
						kind("renamed", "1", "/srv/pass data/deep/mine, read"), kind("deleted", "1", "/srv/pass data/suid"),
						kind("lost", "1", "/srv/pass data/dangling"), kind("conflicts", "1", "/srv/pass data/a file.own"),
						kind("created", "2", ""), kind("updated", "2", ""), kind("unread", "0", ""),
						resource.TestCheckResourceAttr(foreseen, "bytes", "23"),
						check(t, func() error {
							if now := run(t, w.trixie, "sh", "-c", show); now != before {
								return fmt.Errorf("the preview has changed\n%s\nto\n%s", linesWithout(before, now), linesWithout(now, before))
							}
							return w.keyGone(t, host)
						}),
					),
				},
			},
		})
	})
}
