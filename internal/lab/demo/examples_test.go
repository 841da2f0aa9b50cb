package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// Who moves mail alone, or sites alone, applies the smaller examples: there, back and
// there again, to the end.
func TestAccLongOtherExamples(t *testing.T) {
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	for example, c := range map[string]struct {
		variables string
		ports     []int
		file      string // of the user, that comes to the new host and back
	}{
		"mail-only": {"", []int{25, 110, 143, 587}, "mail/new/1.received"},
		"web-only":  {"ports = [80]\n", []int{80}, "public_html/upload.html"},
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(15*time.Minute))
			defer cancel()
			started, err := lab.New(ctx, lab.Options{Progress: t.Logf})
			must(t, err)
			defer func() { must(t, started.Close()) }()
			old, fresh, client, err := boot(ctx, started, lab.SysV)
			must(t, err)
			tf, err := newTerraform(ctx, "../../..", example, c.variables, t.TempDir(), started, old, fresh)
			must(t, err)
			tf.say = func(line string) { t.Log(line) }
			servedBy := func(name string) {
				t.Helper()
				w := &witness{client: client, old: old}
				for _, port := range relayed {
					want := "old"
					for _, moved := range c.ports {
						if port == moved {
							want = name
						}
					}
					if by, err := w.ask(ctx, port); err != nil || by != want {
						t.Errorf("port %d of the old address is served by %q (%v), want %s", port, by, err, want)
					}
				}
			}
			apply := func(phase string) {
				t.Helper()
				must(t, tf.apply(ctx, phase))
				must(t, tf.unchanged(ctx, phase))
			}
			apply("prepare")
			servedBy("old")
			apply("cutover")
			servedBy("new")
			_, err = fresh.Run(ctx, "su", user, "-c", "echo received >~/"+c.file)
			must(t, err)
			apply("prepare")
			servedBy("old")
			if got, err := old.Run(ctx, "cat", "/home/"+user+"/"+c.file); err != nil || got != "received\n" {
				t.Errorf("the old host has %q (%v)", got, err)
			}
			apply("cutover")
			servedBy("new")
			apply("retire")
			must(t, tf.run(ctx, func(string) bool { return false }, "destroy", "-no-color", "-auto-approve", "-var", "phase=retire"))
			for _, host := range []*lab.Host{old, fresh} {
				for path := range tree(t, host) {
					if strings.Contains(path, "cutover") {
						t.Errorf("%s was left on %s", path, host.Name)
					}
				}
			}
		})
	}
}
