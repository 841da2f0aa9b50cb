package provider_test

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

// While a pass runs it says how far it is: to whoever watches it, and in a file
// on the new host.
func TestAccLongSyncPassProgress(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, old *lab.Host) {
		passTrees(t, w, old)
		run(t, old, "sh", "-c", "head -c 3000000 /dev/urandom >/srv/second/large")
		config := func(name string, h *lab.Host) host.Config {
			return host.Config{Name: name, Address: h.Address, User: "root", PrivateKeyPath: w.lab.KeyPath(), KnownHostsPath: w.lab.KnownHostsPath(), SSHConfigPath: "none"}
		}
		pool := host.NewPool(config(name, old), config("new", w.trixie))
		t.Cleanup(func() { _ = pool.Close() })
		from, err := pool.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		to, err := pool.Host("new")
		if err != nil {
			t.Fatal(err)
		}
		p := syncpass.Pass{ID: "progress", Paths: []syncpass.Path{{Source: "/srv/second"}}, BandwidthLimit: 200}
		t.Cleanup(func() {
			if _, err := syncpass.Forget(context.Background(), from, to, p, false); err != nil {
				t.Error(err)
			}
		})
		far := regexp.MustCompile(`copying path 1 of 1: [1-9]\d? %, \d.* [KM]iB of 2\.9 MiB, \d+ KiB/s, 0:00:\d\d left, at large`)
		var said, beside []string
		var reading sync.WaitGroup
		result, err := syncpass.Run(t.Context(), from, to, p, func(status string) {
			said = append(said, status)
			if far.MatchString(status) && beside == nil {
				beside = []string{}
				reading.Go(func() {
					answer, err := w.trixie.Run(context.Background(), "cat", "/var/lib/cutover/passes/progress.status")
					if err == nil {
						beside = append(beside, answer)
					}
				})
			}
		})
		reading.Wait()
		if err != nil || result.Total.Transferred != 2 || result.Total.Verified == 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if len(beside) != 1 || !far.MatchString(beside[0]) {
			t.Errorf("it said %q, and beside its log %q", said, beside)
		}
		if took := result.Finished.Sub(result.Started); took < 8*time.Second {
			t.Errorf("at 200 KiB/s it took %s", took)
		}
		if left := run(t, w.trixie, "sh", "-c", "ls /var/lib/cutover/passes"); left != "progress.log\n" && left != "progress.log" {
			t.Errorf("beside the log is left: %s", left)
		}
	})
}
