package provider_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// manyAccounts are accounts whose homes have something in common and
// something of their own. Terraform reads ten resources at a time: were each ten
// a round trip, a refresh of forty would take eight.
const manyAccounts = `
locals {
  on     = %q
  people = [for n in range(%d) : format("load%%03d", n)]
}

resource "cutover_host_user" "people" {
  count                  = length(local.people)
  host                   = local.on
  name                   = local.people[count.index]
  on_destroy             = "remove"
  remove_home_on_destroy = true
}

resource "terraform_data" "accounts" {
  depends_on = [cutover_host_user.people]
}

resource "cutover_home_skeleton" "homes" {
  count       = length(local.people)
  host        = local.on
  user        = local.people[count.index]
  directories = { mail = { mode = "0700" }, "sites/${local.people[count.index]}.example.test/htdocs" = {} }
  files       = { "sites/${local.people[count.index]}.example.test/index.html" = { content = local.people[count.index] } }
  depends_on  = [terraform_data.accounts]
}
`

// mostRoundTrips is what a refresh of any number of accounts and skeletons may
// take: one for each kind, and another where the reads of a kind begin in the
// same moment.
const mostRoundTrips = 4

func TestAccRoundTripsDoNotGrowWithUsers(t *testing.T) { roundTrips(t, 40) }

func TestAccLongRoundTripsDoNotGrowWithUsers(t *testing.T) { roundTrips(t, 100) }

func roundTrips(t *testing.T, users int) {
	t.Helper()
	onBothInits(t, func(t *testing.T, w *world, name string, on *lab.Host) {
		untouched(t, on)
		var mu sync.Mutex
		var pools []*host.Pool
		counted := map[string]func() (tfprotov6.ProviderServer, error){
			"cutover": providerserver.NewProtocol6WithError(provider.NewCounted(func(pool *host.Pool) {
				mu.Lock()
				defer mu.Unlock()
				pools = append(pools, pool)
			})),
		}
		config := w.config(fmt.Sprintf(manyAccounts, name, users))
		var from, to int
		mark := func(at *int) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				*at = len(pools)
			}
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: counted,
			Steps: []resource.TestStep{
				{Config: config},
				{PreConfig: mark(&from), Config: config, PlanOnly: true},
				{ // what is not plain is seen as well
					PreConfig: func() {
						mark(&to)()
						run(t, on, "sh", "-c", "cd /home/load007 && mv mail elsewhere && ln -s elsewhere mail; chmod 711 /home/load008/mail; rm -r /home/load009/sites")
					},
					Config: config,
					Check: resource.ComposeTestCheckFunc(
						is(on, "700", "stat", "-c", "%a", "/home/load008/mail"),
						is(on, "load009", "cat", "/home/load009/sites/load009.example.test/index.html"),
						is(on, "elsewhere", "readlink", "/home/load007/mail")),
				},
			},
		})
		asked := 0
		for _, pool := range pools[from:to] {
			stats := pool.Stats()
			if trips := stats.Commands + stats.FileOps; trips > mostRoundTrips {
				t.Errorf("a plan of %d accounts with skeletons took %d round trips, and may take %d", users, trips, mostRoundTrips)
			} else if trips > 0 {
				asked++
			}
		}
		if asked == 0 {
			t.Error("no plan asked the host anything: what was counted?")
		}
	})
}
