package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// Accounts as hosts have them after many years: whom a host_user can be is handed
// over as it is, and the others are told.
func TestAccHostUsersHandedOver(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		t.Cleanup(func() { run(t, host, "mv", "/etc/passwd.lab", "/etc/passwd") })
		run(t, host, "sh", "-c", `cp -p /etc/passwd /etc/passwd.lab && cat >>/etc/passwd <<'END'
#carl:x:2203:100:gone:/home/carl:/bin/bash
slash:x:2204:100::/home/slash/:/bin/bash
slash:x:2205:100::/home/second:/bin/bash
eris:x:2206:100::/srv/jail/eris/./home/eris:/bin/bash
empty:x:2207:100::/home/empty:
7zip:x:2208:100::/home/7zip:/bin/bash
END`)
		const people = "data.cutover_host_users.all"
		config := w.config(fmt.Sprintf(`
data "cutover_host_users" "all" {
  host = %q
}

locals {
  people = [for name, user in data.cutover_host_users.all.users : merge(user, { name = name }) if length(user.problems) == 0 && user.uid > 2200]
}

resource "cutover_host_user" "each" {
  count       = length(local.people) # the checks of these tests know no for_each
  host        = "new"
  name        = local.people[count.index].name
  uid         = local.people[count.index].uid
  group       = local.people[count.index].group
  groups      = local.people[count.index].groups
  home        = local.people[count.index].home
  shell       = local.people[count.index].shell
  create_home = false
  on_destroy  = "remove"
}
`, name))
		const lines = "slash:2204:/home/slash/:/bin/bash\neris:2206:/srv/jail/eris/./home/eris:/bin/bash\nempty:2207:/home/empty:/bin/sh"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: config,
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckNoResourceAttr(people, "users.#carl.uid"),
					resource.TestCheckResourceAttr(people, "users.slash.uid", "2204"),
					resource.TestCheckResourceAttr(people, "users.slash.problems.#", "0"),
					resource.TestMatchResourceAttr(people, "users.7zip.problems.0", regexp.MustCompile(`^name: "7zip" is not a name that useradd takes`)),
					check(t, func() error {
						return prints(w.trixie, lines, "sh", "-c", `for name in slash eris empty; do getent passwd $name | cut -d: -f1,3,6,7; done; ! getent passwd carl 7zip`)
					}),
				),
			}, {
				Config: config, PlanOnly: true,
			}},
		})
	})
}

func TestAccHostUsers(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		t.Cleanup(func() { run(t, host, "userdel", "-r", "rosa") })
		run(t, host, "useradd", "-m", "-u", "2121", "-G", "staff,audio", "-c", "Rosa Müller,,,", "-s", "/bin/bash", "rosa")
		const people = "data.cutover_host_users.all"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: w.config(fmt.Sprintf("data \"cutover_host_users\" \"all\" {\n  host = %q\n}\n", name)),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(people, "id", name),
					resource.TestCheckResourceAttr(people, "users.rosa.uid", "2121"),
					resource.TestCheckResourceAttr(people, "users.rosa.group", "rosa"),
					resource.TestCheckResourceAttr(people, "users.rosa.groups.0", "audio"),
					resource.TestCheckResourceAttr(people, "users.rosa.groups.1", "staff"),
					resource.TestCheckResourceAttr(people, "users.rosa.group_gids.staff", "50"),
					resource.TestCheckResourceAttr(people, "users.rosa.gecos", "Rosa Müller,,,"),
					resource.TestCheckResourceAttr(people, "users.rosa.home", "/home/rosa"),
					resource.TestCheckResourceAttr(people, "users.rosa.shell", "/bin/bash"),
					resource.TestCheckResourceAttr(people, "users.rosa.password_state", "locked"),
					resource.TestCheckResourceAttr(people, "users.admin.password_state", "set"),
					resource.TestCheckNoResourceAttr(people, "users.root.uid"),
					resource.TestCheckNoResourceAttr(people, "users.nobody.uid"),
					resource.TestCheckNoResourceAttr(people, "users.dovecot.uid"),
				),
			}},
		})
	})
}
