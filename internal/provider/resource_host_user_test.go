package provider_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

func TestHostUserRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"code as name":       {`name = "a;reboot"`, `Not a login name`},
		"command as name":    {`name = "$(id)"`, `Not a login name`},
		"option as name":     {`name = "-r"`, `Not a login name`},
		"long name":          {`name = "a23456789012345678901234567890123"`, `at most\s+32`},
		"uid":                {"name = \"anna\"\nuid = -1", `not a number of a user`},
		"groups":             {"name = \"anna\"\ngroups = [\"a,b\"]", `Not the name of a group`},
		"number of no group": {"name = \"anna\"\ngroups = [\"a\"]\ngroup_gids = { b = 1 }", `b is none of the\s+account's\s+groups`},
		"number of a group":  {"name = \"anna\"\ngroups = [\"a\"]\ngroup_gids = { a = -1 }", `Not a number of a group`},
		"gecos":              {"name = \"anna\"\ngecos = \"a:b\"", `colon`},
		"relative home":      {"name = \"anna\"\nhome = \"home/anna\"", `not an absolute path`},
		"shell":              {"name = \"anna\"\nshell = \"bash\"", `not an absolute path`},
		"password as hash":   {"name = \"anna\"\npassword_hash_wo = \"secret\"", `not a hash`},
		"two passwords":      {"name = \"anna\"\npassword_hash_wo = \"$6$a$b\"\npassword_from = \"old\"", `cannot be specified when`},
		"from itself":        {"name = \"anna\"\npassword_from = \"new\"", `the host of the account\s+itself`},
		"unknown source":     {"name = \"anna\"\npassword_from = \"odl\"", `no host "odl"`},
		"home of a keeper":   {"name = \"anna\"\nremove_home_on_destroy = true", `an account that stays\s+needs its home`},
		"unknown behaviour":  {"name = \"anna\"\non_destroy = \"purge\"", `value must be one of`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: fmt.Sprintf(`provider "cutover" { hosts = { old = {}, new = {} } }
resource "cutover_host_user" "u" {
host = "new"
%s
}`, strings.ReplaceAll(c.arguments, "$(", "$$(")),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

const user = "cutover_host_user.u"

func userConfig(w *world, on, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_host_user\" \"u\" {\n  host = %q\n%s\n}\n", on, arguments))
}

// changes expects an action for a resource of the step's plan.
func changes(address string, action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)}}
}

// is is a check that a command in a host prints a line.
func is(host *lab.Host, want string, argv ...string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		got, err := host.Run(context.Background(), argv...)
		if err == nil && strings.TrimSpace(got) != want {
			err = fmt.Errorf("on %s, %q prints %q, want %q", host.Name, argv, got, want)
		}
		return err
	}
}

const lena = `  name           = "lena"
  uid            = 2101
  groups         = ["staff", "cutover-test"]
  gecos          = "Lena Öhlund, room 7"
  shell          = "/bin/sh"
  password_hash_wo = "$6$abcdefgh$KgLXy2Fe6eoNFNlwVzz4TT0hIbIYSzWQoOXqYB6R4SYnMJ5zRBjJZJ8QxFGnWBRQ5TmvyzKFfjBx4qMhZrEBb1"
  on_destroy     = "remove"
  remove_home_on_destroy = true
`

func TestAccHostUser(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		kept, _, _ := strings.Cut(lena, "  on_destroy")
		changed := strings.NewReplacer("2101", "2102", "room 7", "room 8", `"staff", `, "", "/bin/sh", "/bin/bash").Replace(lena) + "  home = \"/home/lena2\"\n"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: userConfig(w, name, lena),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(user, "id", name+"/lena"),
						resource.TestCheckResourceAttr(user, "gid", "2101"),
						resource.TestCheckResourceAttr(user, "home", "/home/lena"),
						resource.TestCheckResourceAttr(user, "password_state", "set"),
						is(host, "lena:x:2101:2101:Lena Öhlund, room 7:/home/lena:/bin/sh", "getent", "passwd", "lena"),
						is(host, "lena staff cutover-test", "id", "-Gn", "lena"),
						is(host, "lena", "stat", "-c", "%U", "/home/lena/.profile"),
					),
				},
				{
					ResourceName: user, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/lena",
					// What no host knows.
					ImportStateVerifyIgnore: []string{"on_destroy", "remove_home_on_destroy"},
				},
				{ // nothing to change after an import of an account with the defaults
					Config: userConfig(w, name, kept),
				},
				{
					ResourceName: user, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: name + "/lena",
				},
				{ // changed in place, and the home moves along
					PreConfig:        func() { run(t, host, "touch", "/home/lena/mine") },
					Config:           userConfig(w, name, changed),
					ConfigPlanChecks: changes(user, plancheck.ResourceActionUpdate),
					Check: resource.ComposeTestCheckFunc(
						is(host, "lena:x:2102:2101:Lena Öhlund, room 8:/home/lena2:/bin/bash", "getent", "passwd", "lena"),
						is(host, "lena cutover-test", "id", "-Gn", "lena"),
						is(host, "lena", "stat", "-c", "%U", "/home/lena2/.profile"),
						is(host, "", "sh", "-c", "ls -d /home/lena 2>/dev/null || :"),
					),
				},
				{ // changed by hand
					PreConfig: func() {
						run(t, host, "usermod", "-s", "/bin/sh", "-c", "somebody", "-G", "staff", "lena")
					},
					Config:           userConfig(w, name, changed),
					ConfigPlanChecks: changes(user, plancheck.ResourceActionUpdate),
					Check:            is(host, "lena:x:2102:2101:Lena Öhlund, room 8:/home/lena2:/bin/bash", "getent", "passwd", "lena"),
				},
				{ // gone
					PreConfig:        func() { run(t, host, "userdel", "-r", "lena") },
					Config:           userConfig(w, name, changed),
					ConfigPlanChecks: changes(user, plancheck.ResourceActionCreate),
					Check:            is(host, "2102", "id", "-u", "lena"),
				},
			},
		})
	})
}

func TestAccHostUserPasswordFrom(t *testing.T) {
	w := takeWorld(t) // alone: it sets the environment of this process
	for _, host := range []*lab.Host{w.sysv, w.bookworm} {
		name := host.Name
		t.Run(name, func(t *testing.T) {
			untouched(t, w.trixie)
			untouched(t, host)
			const first, second = "$6$firstsalt$Zm9vYmFyZm9vYmFyZm9vYmFy", "$6$othersalt$YmFyZm9vYmFyZm9vYmFyZm9v"
			t.Cleanup(func() { run(t, host, "userdel", "-r", "mona") })
			run(t, host, "useradd", "-m", "mona")
			setHash := func(on *lab.Host, hash string) {
				if _, err := on.RunInput(context.Background(), "mona:"+hash+"\n", "chpasswd", "-e"); err != nil {
					t.Fatal(err)
				}
			}
			hash := func(want string) resource.TestCheckFunc {
				return is(w.trixie, want, "sh", "-c", "getent shadow mona | cut -d: -f2")
			}
			setHash(host, first)

			log := filepath.Join(t.TempDir(), "log")
			t.Setenv("TF_LOG", "TRACE")
			t.Setenv("TF_ACC_LOG_PATH", log)
			watched := watchProcesses(t, host, w.trixie)
			config := userConfig(w, "new", fmt.Sprintf("  name = \"mona\"\n  password_from = %q\n  on_destroy = \"remove\"\n  remove_home_on_destroy = true", name))
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{
					{
						Config: config,
						Check: resource.ComposeTestCheckFunc(hash(first), func(s *terraform.State) error {
							for _, salt := range []string{"firstsalt", "othersalt"} {
								if strings.Contains(s.String(), salt) {
									return fmt.Errorf("the hash is in the state")
								}
							}
							return nil
						}),
					},
					{ // a user changes her password on the old host
						PreConfig:        func() { setHash(host, second) },
						Config:           config,
						ConfigPlanChecks: changes(user, plancheck.ResourceActionUpdate),
						Check:            hash(second),
					},
					{ // later she changes it on the new one: that is hers
						PreConfig: func() {
							setHash(w.trixie, first)
							run(t, w.trixie, "chage", "-d", time.Now().Add(48*time.Hour).Format(time.DateOnly), "mona")
						},
						Config:           config,
						ConfigPlanChecks: changes(user, plancheck.ResourceActionNoop),
						Check:            hash(first),
					},
				},
			})
			for where, text := range watched() {
				if strings.Contains(text, "firstsalt") || strings.Contains(text, "othersalt") {
					t.Errorf("the hash was in the process list of %s", where)
				}
				if !strings.Contains(text, "account/apply.sh") && where == "new" {
					t.Errorf("the watch of %s saw nothing of the provider", where)
				}
			}
			content, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(content), "mona") {
				t.Error("the log has nothing of the run")
			}
			if strings.Contains(string(content), "firstsalt") || strings.Contains(string(content), "othersalt") {
				t.Error("the hash is in the log")
			}
		})
	}
}

// watchProcesses records the command lines of hosts until the returned
// function is called, which returns them by host.
func watchProcesses(t *testing.T, hosts ...*lab.Host) func() map[string]string {
	t.Helper()
	const loop = `: >/tmp/watch-stop.no; rm -f /tmp/watch-stop /tmp/watch
while [ ! -e /tmp/watch-stop ]; do cat /proc/[0-9]*/cmdline; done >/tmp/watch 2>/dev/null &`
	for _, host := range hosts {
		run(t, host, "sh", "-c", loop+" sleep 0.2")
	}
	return func() map[string]string {
		seen := map[string]string{}
		for _, host := range hosts {
			run(t, host, "sh", "-c", "touch /tmp/watch-stop; sleep 0.5")
			seen[host.Name] = run(t, host, "sh", "-c", `tr '\0' '\n' </tmp/watch | grep -aE 'account/|salt|mona' | sort -u; rm -f /tmp/watch*`)
		}
		return seen
	}
}

func TestAccHostUserThatIsThereAlready(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		run(t, host, "useradd", "-m", "-u", "2111", "-s", "/bin/sh", "nina")
		t.Cleanup(func() { run(t, host, "userdel", "-r", "nina") })
		if _, err := host.RunInput(context.Background(), "nina:nina-secret\n", "chpasswd"); err != nil {
			t.Fatal(err)
		}
		before := run(t, host, "sh", "-c", "getent shadow nina | cut -d: -f2")
		adopted := "  name = \"nina\"\n  gecos = \"Nina\"\n  adopt = true\n"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      userConfig(w, name, `  name = "nina"`),
					ExpectError: regexp.MustCompile(`(?s)Unable to create host user.*` + name + `.*nina is there already, with uid 2111; adopt\s+=\s+true`),
				},
				{
					Config:      userConfig(w, name, "  name = \"otto\"\n  uid = 2111"),
					ExpectError: regexp.MustCompile(`uid 2111 is taken by nina`),
				},
				{
					Config:      userConfig(w, name, "  name = \"otto\"\n  gid = 2111"),
					ExpectError: regexp.MustCompile(`gid 2111 is taken by the group nina`),
				},
				{
					Config:      userConfig(w, name, "  name = \"otto\"\n  shell = \"/bin/fish\""),
					ExpectError: regexp.MustCompile(`no program\s+/bin/fish`),
				},
				{
					Config: userConfig(w, name, adopted+"  on_destroy = \"lock\""),
					Check: resource.ComposeTestCheckFunc(
						is(host, "nina:x:2111:2111:Nina:/home/nina:/bin/sh", "getent", "passwd", "nina"),
						is(host, strings.TrimSpace(before), "sh", "-c", "getent shadow nina | cut -d: -f2"),
					),
				},
				{ // locked by the destroy
					Config: w.config(""),
					Check:  is(host, "!:1", "sh", "-c", `getent shadow nina | sed 's/^[^:]*:\(.\)[^:]*:.*:\([^:]*\):$/\1:\2/'`),
				},
				{ // unlocked by being adopted again, and kept by the next destroy
					Config: userConfig(w, name, adopted),
					Check:  is(host, strings.TrimSpace(before)+"::", "sh", "-c", "getent shadow nina | cut -d: -f2,8,9"),
				},
			},
		})
		run(t, host, "id", "nina")
	})
}

// An apply that was killed after useradd leaves an account that no state
// knows. The next apply goes on with it.
func TestAccHostUserOfAKilledApply(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		run(t, host, "sh", "-c", "mkdir -p /var/lib/cutover/accounts && : >/var/lib/cutover/accounts/pia && useradd -M pia")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: userConfig(w, name, "  name = \"pia\"\n  gecos = \"Pia\"\n  on_destroy = \"remove\"\n  remove_home_on_destroy = true"),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(user, "gecos", "Pia"),
					is(host, "pia", "stat", "-c", "%U", "/home/pia"),
				),
			}},
		})
	})
}

// What a failed creation has made is in the state; the next apply makes it anew.
func TestAccHostUserHalfMade(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		config := userConfig(w, name, strings.ReplaceAll(lena, `"remove"`, `"remove"`+"\n  home = \"/home/lena3\""))
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					PreConfig: func() {
						run(t, host, "sh", "-c", `cd /usr/sbin && mv chpasswd chpasswd.away && printf '#!/bin/sh\necho no entropy today; exit 1\n' >chpasswd && chmod 755 chpasswd`)
					},
					Config:      config,
					ExpectError: regexp.MustCompile(`(?s)chpasswd -e.*no entropy today.*lena was made, but\s+not\s+completed`),
				},
				{
					PreConfig:        func() { run(t, host, "mv", "/usr/sbin/chpasswd.away", "/usr/sbin/chpasswd") },
					Config:           config,
					ConfigPlanChecks: changes(user, plancheck.ResourceActionReplace),
					Check:            resource.TestCheckResourceAttr(user, "password_state", "set"),
				},
			},
		})
	})
}

// Many users are few round trips, made or refreshed: see also the unit tests
// of the directory.
func TestAccHostUsersTogether(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		const many = 40
		start := time.Now()
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: w.config(fmt.Sprintf(`
resource "cutover_host_user" "u" {
  count                  = %d
  host                   = %q
  name                   = "many${count.index}"
  groups                 = ["cutover-many"]
  on_destroy             = "remove"
  remove_home_on_destroy = true
}
`, many, name)),
				Check: func(*terraform.State) error {
					t.Logf("%d users were made after %s", many, time.Since(start).Round(100*time.Millisecond))
					members := strings.Count(run(t, host, "getent", "group", "cutover-many"), "many") - 1
					if members != many {
						return fmt.Errorf("the group has %d members", members)
					}
					return nil
				},
			}},
		})
	})
}

// The numbers of groups are held, or it is said who is in the way.
func TestAccHostUserGroupNumbers(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		t.Cleanup(func() { run(t, host, "groupdel", "inside") })
		run(t, host, "groupadd", "-g", "2700", "inside")
		config := func(gids string) string {
			return userConfig(w, name, "  name = \"nele\"\n  groups = [\"crew\", \"staff\"]\n  on_destroy = \"remove\"\n  remove_home_on_destroy = true\n  group_gids = "+gids)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{Config: config("{ crew = 2700 }"), ExpectError: regexp.MustCompile(`(?s)group_gids = .*gid 2700, which the group crew is to\s+have,\s+is\s+taken\s+by\s+the\s+group\s+inside`)},
				{Config: config("{ crew = 2701, staff = 51 }"), ExpectError: regexp.MustCompile(`(?s)the group staff is\s+there already, with gid\s+50\s+and\s+not\s+51`)},
				{
					Config: config("{ crew = 2701, staff = 50 }"),
					Check:  is(host, "crew:x:2701:nele", "getent", "group", "crew"),
				},
				{ // renumbered by hand
					PreConfig:   func() { run(t, host, "groupmod", "-g", "2702", "crew") },
					Config:      config("{ crew = 2701, staff = 50 }"),
					ExpectError: regexp.MustCompile(`(?s)the group crew is\s+there already, with gid\s+2702\s+and\s+not\s+2701`),
				},
				{
					Config: config("{ crew = 2702 }"),
					Check:  resource.TestCheckResourceAttr(user, "group_gids.crew", "2702"),
				},
			},
		})
	})
}
