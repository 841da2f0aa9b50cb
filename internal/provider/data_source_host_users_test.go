package provider_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

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
