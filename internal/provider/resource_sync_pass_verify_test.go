package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// What was damaged on the new host is found by the verification that can know,
// and the next pass mends it.
func TestAccLongSyncPassVerify(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		again := 0
		config := func(arguments string) string {
			again++
			return passConfig(w, name, fmt.Sprintf("  excludes = [\"*.tmp\", \"/staying\"]\n  triggers = { again = %d }\n%s", again, arguments))
		}
		onNew := func(script string) func() { return func() { run(t, w.trixie, "sh", "-c", script) } }
		same := check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) })
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: config(""),
					Check:  resource.ComposeTestCheckFunc(same, resource.TestCheckResourceAttrPair(pass, "verified", pass, "files")),
				},
				{ // what is seconds old, the next pass compares by content anyhow
					PreConfig: func() { time.Sleep(3 * time.Second) },
					Config:    config(`  verify = "metadata"`),
					Check:     resource.TestCheckResourceAttrPair(pass, "verified", pass, "files"),
				},
				{ // a byte, under the same size and time; a mode; a name that is gone
					PreConfig: onNew(`cd "/srv/pass data" && touch -r mine /root/ref && printf M | dd of=mine conv=notrunc 2>/dev/null && touch -r /root/ref mine && rm /root/ref && test "$(cat mine)" = Mine
						chmod 666 attr; rm "deep/the same"; echo own >own.tmp`),
					Config: config(`  verify = "checksum"`),
					ExpectError: regexp.MustCompile(`(?s)entries\s+on\s+host\s+"new"\s+are\s+not\s+as\s+they\s+are.*/srv/pass\s+data/attr:\s+mode\s+666\s+instead\s+of\s+644` +
						`.*data/deep/the\s+same:\s+missing.*data/mine:\s+content`),
				},
				{ // the next pass mends these; what it brings, something else spoils at once
					PreConfig: func() {
						run(t, host, "sh", "-c", `echo late >/srv/second/late`)
						onNew(`nohup sh -c 'until [ -f /srv/second/late ]; do sleep 0.02; done; chown daemon /srv/second/late' >/dev/null 2>&1 &`)()
					},
					Config:      config(""),
					ExpectError: regexp.MustCompile(`(?s)1\s+entries.*/srv/second/late:\s+user\s+daemon\s+instead\s+of\s+root`),
				},
				{
					Config: config(`  verify = "checksum"`),
					Check: resource.ComposeTestCheckFunc(same,
						resource.TestCheckResourceAttrPair(pass, "verified", pass, "files"),
						resource.TestCheckResourceAttr(pass, "verify_changed_meanwhile", "0"),
						resource.TestCheckResourceAttr(pass, "changes", "0")),
				},
			},
		})
		if _, err := w.trixie.Run(context.Background(), "test", "-f", "/srv/pass data/own.tmp"); err != nil {
			t.Error("what only the new host has is gone")
		}
	})
}
