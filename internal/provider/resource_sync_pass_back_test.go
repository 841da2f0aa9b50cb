package provider_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// received is what a new host that is live makes of what was copied: mail that comes and
// is read, a file that is edited, one that is removed, a user of its own.
const received = `set -e
cd "/srv/pass data"
echo upload >upload; chown passer upload; mv mine deep/read; echo more >>attr; rm suid; chmod 700 shared; ln acl 'one more'
mkdir -p new/dir; echo deep >new/dir/file; ln -sfn /elsewhere dangling
useradd -m -s /bin/sh newcomer; mkdir /srv/second/newcomer; echo x >/srv/second/newcomer/file; chown -R newcomer /srv/second/newcomer`

// Destroying the last pass brings back to the old host what the new one has received
// since. The next pass knows what came back, and all traces go with the last pass.
func TestAccSyncPassBringsBack(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		t.Cleanup(func() { run(t, w.trixie, "sh", "-c", "userdel -r newcomer 2>/dev/null; rm -rf /srv/second/newcomer") })
		const excludes = "  excludes = [\"*.tmp\", \"/staying\"]\n"
		first := strings.Replace(passBlock(name, excludes), `"pass"`, `"first"`, 1)
		last := passBlock(name, excludes+"  final = true\n  on_destroy = \"bring_back\"\n  depends_on = [cutover_sync_pass.first]\n")
		// What came back, and what of it the next pass knows, the trash on the old host included.
		back := func() error {
			// What stayed there is not to differ, nor is the time of its directory.
			run(t, w.trixie, "sh", "-c", "cd /srv && touch -r second /root/then && rm -r second/newcomer && touch -r /root/then second && rm /root/then")
			const look = `cd "$1"; cat upload deep/read new/dir/file; readlink dangling; stat -c %U upload; test ! -e suid && test ! -e mine && test ! -e /srv/second/newcomer
grep -l more attr; cat /var/lib/cutover/trash/back-*/*/1/suid`
			if got, want := run(t, host, "sh", "-c", look, "sh", "/srv/pass data"), "upload\nmine\ndeep\n/elsewhere\npasser\nattr\nsuid\n"; got != want {
				return fmt.Errorf("the old host has\n%s, want\n%s", got, want)
			}
			return errors.Join(w.sameTrees(t, host), w.keyGone(t, host))
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: w.config(first + last), Check: check(t, func() error { return w.sameTrees(t, host) })},
				{ // the way back
					PreConfig: func() { run(t, w.trixie, "sh", "-c", received) },
					Config:    w.config(first),
					Check:     check(t, back),
				},
				{ // and once more: what came back is known, so that it goes when it goes
					PreConfig: func() {
						run(t, host, "sh", "-c", `cd "/srv/pass data"; rm upload deep/read; echo again >again`)
					},
					Config: w.config(first + last),
					Check: resource.ComposeTestCheckFunc(
						check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
						resource.TestCheckResourceAttr(pass, "files_deleted", "2"),
						resource.TestCheckResourceAttr(pass, "files_created", "1"),
						noWarnings,
					),
				},
				{ // nothing that the new host has is lost where the old one has no room for it
					PreConfig: func() {
						run(t, w.trixie, "sh", "-c", `echo late >"/srv/pass data/late"`)
						run(t, host, "sh", "-c", `mv /srv/second /srv/second.away; echo >/srv/second`)
					},
					Config:      w.config(first),
					ExpectError: regexp.MustCompile(`(?s)could\s+not\s+all\s+be\s+brought\s+back.*is\s+not\s+a\s+directory`),
				},
				{
					PreConfig: func() { run(t, host, "sh", "-c", `rm /srv/second; mv /srv/second.away /srv/second`) },
					Config:    w.config(first),
					Check: check(t, func() error {
						if got := run(t, host, "cat", "/srv/pass data/late"); got != "late\n" {
							return fmt.Errorf("late is %q", got)
						}
						return w.sameTrees(t, host)
					}),
				},
			},
		})
		if got := run(t, host, "sh", "-c", `ls -A /var/lib/cutover 2>/dev/null; true`); got != "" {
			t.Errorf("after the last pass the old host still has %s", got)
		}
	})
}
