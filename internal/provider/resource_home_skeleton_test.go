package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

func TestHomeSkeletonRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"nothing":         {``, `One of directories, files and skel`},
		"absolute path":   {`directories = { "/etc" = {} }`, `not relative to the home`},
		"path upwards":    {`directories = { "../bert" = {} }`, `a path in a home|empty step`},
		"mode":            {`directories = { mail = { mode = "u+rwx" } }`, `not a mode in octal`},
		"both":            {"directories = { a = {} }\nfiles = { a = { content = \"\" } }", `both a directory and a file`},
		"file above file": {"files = { a = { content = \"\" }, \"a/b\" = { content = \"\" } }", `is a file, so that`},
		"user":            {"user = \"a;reboot\"\nskel = true", `Not a login name`},
	} {
		t.Run(name, func(t *testing.T) {
			user := "user = \"anna\"\n"
			if name == "user" {
				user = ""
			}
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" {\n  hosts = { new = {} }\n}\nresource \"cutover_home_skeleton\" \"s\" {\nhost = \"new\"\n%s%s\n}", user, c.arguments),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

const homeSkeleton = "cutover_home_skeleton.s"

func skeletonConfig(w *world, on, arguments string) string {
	return w.config(fmt.Sprintf(`
resource "cutover_home_skeleton" "s" {
  host = %q
  user = "sara"
%s
}
`, on, arguments))
}

func TestAccHomeSkeleton(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		t.Cleanup(func() { run(t, host, "userdel", "-r", "sara") })
		run(t, host, "useradd", "-M", "-s", "/usr/sbin/nologin", "sara")
		run(t, host, "install", "-d", "-o", "sara", "-g", "sara", "/home/sara", "/home/sara/old", "/home/sara/old/sub")
		run(t, host, "sh", "-c", "echo theirs >/home/sara/.forward; chown sara /home/sara/.forward; ln -s /etc /home/sara/out")

		const all = `
  directories = { mail = { mode = "0700" }, "public_html/cgi-bin/" = {}, old = { mode = "2750" } }
  files       = { "public_html/index.html" = { content = "hello\n" }, ".forward" = { content = "ours\n", mode = "0600" } }
  skel        = true
`
		step := func(arguments string, action plancheck.ResourceActionType, checks ...resource.TestCheckFunc) resource.TestStep {
			s := resource.TestStep{
				Config: skeletonConfig(w, name, arguments),
				Check:  resource.ComposeTestCheckFunc(checks...),
			}
			if action != "" {
				s.ConfigPlanChecks = changes(homeSkeleton, action)
			}
			return s
		}
		after := func(s resource.TestStep, script string) resource.TestStep {
			s.PreConfig = func() { run(t, host, "sh", "-c", "cd /home/sara && "+script) }
			return s
		}
		modes := is(host, "drwx------ sara\ndrwxr-s--- sara\ndrwxr-xr-x sara\ndrwxr-xr-x sara\n-rw-r--r-- sara\n-rw------- sara",
			"sh", "-c", "cd /home/sara && stat -c '%A %U' mail old public_html public_html/cgi-bin public_html/index.html .forward")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				step(all, plancheck.ResourceActionCreate, modes,
					resource.TestCheckResourceAttr(homeSkeleton, "id", name+"/sara"),
					resource.TestCheckResourceAttr(homeSkeleton, "created.mail", "directory"),
					resource.TestCheckNoResourceAttr(homeSkeleton, "created.old"),
					is(host, "theirs", "cat", "/home/sara/.forward"),
					is(host, "sara", "stat", "-c", "%U", "/home/sara/.profile")),
				after(step(all, plancheck.ResourceActionUpdate, modes), "chmod 755 mail"),
				after(step(all, plancheck.ResourceActionUpdate, modes), "mkdir mail/cur && chown root mail"),
				after(step(all, plancheck.ResourceActionUpdate, modes), "rm -r public_html"),
				after(step(all, plancheck.ResourceActionNoop, is(host, "changed", "cat", "/home/sara/public_html/index.html")), "echo changed >public_html/index.html"),
				{ // a link that leads out of the home is not followed
					Config:      skeletonConfig(w, name, `  directories = { mail = { mode = "0700" }, news = {}, "out/cron.d/x" = {} }`),
					ExpectError: regexp.MustCompile(`(?s)Unable to update home skeleton.*out/cron.d/x.*leads\s+out\s+of\s+the\s+home`),
				},
				// No longer wanted: what is empty and unchanged goes, and so does what
				// the failed update had made (news).
				step(`  directories = { mail = { mode = "0700" } }`, plancheck.ResourceActionUpdate,
					is(host, "mail\nold\nout\npublic_html", "ls", "/home/sara"),
					is(host, "index.html", "ls", "/home/sara/public_html")),
			},
		})
		// mail was filled meanwhile; it stays.
		if got := run(t, host, "ls", "/home/sara/mail"); got != "cur\n" {
			t.Errorf("mail has %q", got)
		}
		run(t, host, "sh", "-c", "[ ! -e /etc/cron.d/x ]")
	})
}

func TestAccHomeSkeletonWithoutUserOrHome(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      skeletonConfig(w, name, `  skel = true`),
					ExpectError: regexp.MustCompile(`there is no user\s+sara`),
				},
				{
					PreConfig:   func() { run(t, host, "useradd", "-M", "sara") },
					Config:      skeletonConfig(w, name, `  skel = true`),
					ExpectError: regexp.MustCompile(`create_home`),
				},
			},
		})
		run(t, host, "userdel", "sara")
	})
}
