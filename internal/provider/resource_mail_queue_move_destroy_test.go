package provider_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// A move for the way back does nothing before it is destroyed, and then moves all.
func TestAccMailQueueMoveAtDestroy(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		mailWorld(t, w, name, host)
		waits := func(subject string) resource.TestCheckFunc {
			return is(host, "1", "sh", "-c", "find "+queues[name]+` -type f ! -name '*cutover*' -exec grep -l -a 'Subject: `+subject+`' {} + | wc -l`)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					PreConfig: func() { enqueue(t, host, "anna@example.test", "Subject: back\n\nText\n", "anna@example.test") },
					Config:    moveConfig(w, name, `  when = "destroy"`),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theMove, "status", "not yet"), resource.TestCheckResourceAttr(theMove, "moved", "0"), waits("back"),
					),
				},
				{ // the way back is closed, and open again
					Config:           moveConfig(w, name, `  when = "never"`),
					ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
					Check:            waits("back"),
				},
				{
					Config:           moveConfig(w, name, `  when = "destroy"`),
					ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
					Check:            waits("back"),
				},
			},
		})
		if err := eventually(30*time.Second, func() error {
			return is(w.trixie, "Subject: back", "sh", "-c", "grep -h '^Subject:' /home/anna/mail/new/*")(nil)
		}); err != nil {
			t.Error(err)
		}

		// Destroyed with never, it moves nothing.
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				PreConfig: func() { enqueue(t, host, "anna@example.test", "Subject: stays\n\nText\n", "anna@example.test") },
				Config:    moveConfig(w, name, `  when = "never"`),
			}},
		})
		if err := waits("stays")(nil); err != nil {
			t.Error(err)
		}

		// The queue of a mail server that runs is left to it, and the destroy goes on.
		terraform := newCommandLine(t, moveConfig(w, name, `  when = "destroy"`)+requires)
		terraform.run("apply", "-auto-approve")
		run(t, host, "sh", "-c", `service "$0" start >/dev/null 2>&1; if [ "$0" = sendmail ]; then sendmail -q >/dev/null 2>&1; fi`, mailService[name])
		if said := terraform.run("destroy", "-auto-approve"); !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(said, "│", "")), " "), "delivers what is in its queue itself") {
			t.Errorf("destroy does not say that the mail server runs:\n%s", said)
		}
		if err := eventually(30*time.Second, func() error {
			return is(host, "Subject: stays", "sh", "-c", "grep -h '^Subject:' /home/anna/mail/new/*")(nil)
		}); err != nil {
			t.Error(err)
		}
	})
}
