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
				{ // of what was written within the last minute nobody can say later who has changed it
					PreConfig: func() { time.Sleep(62 * time.Second) },
					Config:    config(`  verify = "metadata"`),
					Check:     resource.TestCheckResourceAttrPair(pass, "verified", pass, "files"),
				},
				{ // a byte, under the same size and time; a mode; a name that is gone
					PreConfig: onNew(`cd "/srv/pass data" && touch -r mine /root/ref && printf M | dd of=mine conv=notrunc 2>/dev/null && touch -r /root/ref mine && rm /root/ref && test "$(cat mine)" = Mine
						chmod 666 attr; rm "deep/the same"; echo own >own.tmp`),
					Config: config(`  verify = "checksum"`),
					ExpectError: regexp.MustCompile(`(?s)2\s+entries\s+on\s+host\s+"new"\s+are\s+not\s+as\s+on\s+host.*changed\s+there\s+since\s+a\s+pass\s+brought\s+them.*/srv/pass\s+data/attr:\s+mode\s+666\s+instead\s+of\s+644` +
						`.*data/mine:\s+content`),
				},
				{ // what is removed, the next pass brings anew; what it brings, something else spoils meanwhile
					PreConfig: func() {
						run(t, host, "sh", "-c", `echo late >/srv/second/late; head -c 3000000 /dev/urandom >/srv/second/zlarge`)
						onNew(`cd "/srv/pass data"; rm attr mine
							nohup sh -c 'until [ "$(stat -c %a /srv/second/late 2>/dev/null)" = 644 ]; do sleep 0.02; done; chown daemon /srv/second/late' >/dev/null 2>&1 &`)()
					},
					Config:      config("  bandwidth_limit = 1000\n"),
					ExpectError: regexp.MustCompile(`(?s)1\s+entry.*/srv/second/late:\s+user\s+daemon\s+instead\s+of\s+root`),
				},
				{
					PreConfig: onNew("rm /srv/second/late"),
					Config:    config(`  verify = "checksum"`),
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
