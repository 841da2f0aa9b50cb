package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestSyncPassRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"no path":            {`paths = []`, `at least 1`},
		"relative path":      {`paths = ["home"]`, `"home" is not absolute`},
		"root":               {`paths = ["/"]`, `would copy the old\s+system over the new one`},
		"dots":               {`paths = ["/srv/../home"]`, `not in its shortest form`},
		"overlap":            {`paths = ["/home", "/home/anna"]`, `overlap`},
		"same target":        {"paths = [\"/home\", \"/srv\"]\ntargets = { \"/srv\" = \"/home\" }", `overlap`},
		"target of no path":  {"paths = [\"/home\"]\ntargets = { \"/srv\" = \"/home\" }", `"/srv" is not one of paths`},
		"relative target":    {"paths = [\"/home\"]\ntargets = { \"/home\" = \"home\" }", `not absolute`},
		"empty exclude":      {"paths = [\"/home\"]\nexcludes = [\"\"]", `exclude pattern is empty`},
		"conflict":           {"paths = [\"/home\"]\non_conflict = \"keep\"", `one of`},
		"no bandwidth":       {"paths = [\"/home\"]\nbandwidth_limit = 0", `at least 1`},
		"verify":             {"paths = [\"/home\"]\nverify = \"all\"", `one of`},
		"vanished":           {"paths = [\"/home\"]\nvanished = \"ignore\"", `one of`},
		"address of options": {"paths = [\"/home\"]\nfrom_address = \"-oProxyCommand=reboot\"", `neither a host name nor an IP address`},
		"seen as a name":     {"paths = [\"/home\"]\nseen_as = [\"*\"]", `"\*" is no IP address`},
		"port":               {"paths = [\"/home\"]\nfrom_port = 70000", `between 1\s+and 65535`},
		"same host":          {"paths = [\"/home\"]\nto = \"old\"", `a pass leads from one\s+host to another`},
		"on destroy":         {"paths = [\"/home\"]\non_destroy = \"restore\"", `one of`},
		"back from no last":  {"paths = [\"/home\"]\non_destroy = \"bring_back\"", `needs final = true`},
		"back to options":    {"paths = [\"/home\"]\nto_address = \"-oProxyCommand=reboot\"", `neither a host name nor an IP address`},
		"unknown host":       {"paths = [\"/home\"]\nto = \"nwe\"", `(?s)no host "nwe";.*"new", "old"`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(c.arguments, "\nto =") {
				c.arguments += "\nto = \"new\""
			}
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: `provider "cutover" { hosts = { old = {}, new = {} } }
resource "cutover_sync_pass" "t" {
from = "old"
` + c.arguments + `
}`,
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

const pass = "cutover_sync_pass.pass"

var passUpdated = resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(pass, plancheck.ResourceActionUpdate)}}

// noWarnings is an error where a pass warns of something.
func noWarnings(s *terraform.State) error {
	for name, warning := range s.RootModule().Resources[pass].Primary.Attributes {
		if strings.HasPrefix(name, "warnings.") && name != "warnings.#" {
			return fmt.Errorf("the pass warns: %s", warning)
		}
	}
	return nil
}

func passConfig(w *world, from, arguments string) string {
	return w.config(passBlock(from, arguments))
}

func passBlock(from, arguments string) string {
	return fmt.Sprintf(`
resource "cutover_sync_pass" "pass" {
  from  = %q
  to    = "new"
  paths = ["/srv/pass data", "/srv/second"]
%s
}
`, from, arguments)
}

// fillTree makes what a copy can lose: odd names, links of both kinds, holes,
// ACLs, extended attributes, modes and owners of all sorts.
const fillTree = `set -e
useradd -u "$1" -m -s /bin/sh passer
[ "$2" = old ] || exit 0
mkdir -p "/srv/pass data/deep/er" "/srv/pass data/empty" /srv/second
cd "/srv/pass data"
echo one >'a file'; ln 'a file' deep/'the same'; ln -s /nowhere dangling; ln -s deep directory-link
echo two >"$(printf 'new\nline')"; echo three >'$(reboot)'; echo four >"'quote\""; echo five >-dash; echo six >"$(printf 'latin\351')"
echo long >"$(printf '%0255d' 1)"
truncate -s 10M holes; printf end >>holes
mkfifo deep/fifo
echo acl >acl; setfacl -m u:passer:rw acl; echo attr >attr; setfattr -n user.origin -v old attr
mkdir shared; chgrp passer shared; chmod 2775 shared; echo suid >suid; chmod 4755 suid
echo mine >mine; chown passer:passer mine; chmod 600 mine
chmod 751 deep; touch -d '2001-02-03 04:05:06.789' 'a file' deep
chown passer "/srv/pass data"; chmod 711 "/srv/pass data"
echo skipped >deep/skip.tmp; mkdir staying; echo stays >staying/file
echo second >/srv/second/file; touch -d 2001-01-01 deep/er . /srv/second`

// showTree is all of a tree that a pass has to keep, owners by name.
const showTree = `cd "$1" && find . \( -name '*.tmp' -o -path ./staying \) -prune -o -printf '%P|%y|%m|%u|%g|%T@|%l|%n|' \( -type f -printf %s -o -true \) -printf '\n' | LC_ALL=C sort
find . \( -name '*.tmp' -o -path ./staying \) -prune -o -type f -exec sha256sum {} + | LC_ALL=C sort
getfacl -R . 2>/dev/null | grep -A3 'user:passer'; getfattr -R -d . 2>/dev/null
du -k holes 2>/dev/null | cut -f1 | awk '{ print ($1 < 1000) ? "has holes" : "is filled" }'`

func (w *world) sameTrees(t *testing.T, host *lab.Host) error {
	t.Helper()
	var failed []error
	for _, dir := range []string{"/srv/pass data", "/srv/second"} {
		// The excluded directory makes its parent's number of links differ.
		count := regexp.MustCompile(`(?m)^\|d\|(.*\|)\d+\|$`)
		there := count.ReplaceAllString(run(t, host, "sh", "-c", showTree, "sh", dir), "|d|$1")
		here := count.ReplaceAllString(run(t, w.trixie, "sh", "-c", showTree, "sh", dir), "|d|$1")
		if there != here {
			failed = append(failed, fmt.Errorf("%s differs, on %s:\n%s\non new:\n%s", dir, host.Name, linesWithout(there, here), linesWithout(here, there)))
		}
	}
	return errors.Join(failed...)
}

// linesWithout are the lines of a text that another has not.
func linesWithout(text, other string) string {
	var left []string
	for _, line := range strings.Split(text, "\n") {
		if !slices.Contains(strings.Split(other, "\n"), line) {
			left = append(left, line)
		}
	}
	return strings.Join(left, "\n")
}

// keyGone is an error while anything of a pass is on either host but what is kept for
// the next: on both the worker and the chain, on the new one log and trash too.
func (w *world) keyGone(t *testing.T, host *lab.Host) error {
	t.Helper()
	const look = `ls -d /run/cutover /var/run/cutover 2>/dev/null; grep -l cutover-pass /root/.ssh/* /home/*/.ssh/* 2>/dev/null
ls -d /var/lib/cutover/pass-* 2>/dev/null; ps -eo args | grep '[w]orker-.* \(pass\|serve\|follow\) '; true`
	var failed []error
	for _, h := range []*lab.Host{host, w.trixie} {
		if left := run(t, h, "sh", "-c", look); left != "" {
			failed = append(failed, fmt.Errorf("left on %s: %s", h.Name, left))
		}
	}
	return errors.Join(failed...)
}

// passTrees gives the hosts what a pass copies, and takes it away after the test.
func passTrees(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	untouched(t, w.trixie)
	t.Cleanup(func() {
		for _, h := range []*lab.Host{host, w.trixie} {
			run(t, h, "sh", "-c", `rm -rf "/srv/pass data" /srv/second /srv/elsewhere; userdel -r passer 2>/dev/null; groupdel passer 2>/dev/null; cp -p /root/etc-before/* /etc/ && rm -r /root/etc-before`)
		}
	})
	for _, h := range []*lab.Host{host, w.trixie} {
		run(t, h, "sh", "-c", "mkdir /root/etc-before && cp -p /etc/passwd* /etc/shadow* /etc/group* /etc/gshadow* /etc/subuid* /etc/subgid* /root/etc-before")
	}
	run(t, host, "sh", "-c", fillTree, "sh", "4711", "old")
	run(t, w.trixie, "sh", "-c", fillTree, "sh", "4812", "new")
}

// bannered has a host's sshd greet whoever logs in, as a Banner does.
func bannered(t *testing.T, h *lab.Host) {
	t.Helper()
	const reload = "\nif [ -d /run/systemd/system ]; then systemctl reload ssh; else /etc/init.d/ssh reload >/dev/null; fi"
	run(t, h, "sh", "-c", "cp -p /etc/ssh/sshd_config /root/sshd_config.before; echo 'Whoever you are: we see you.' >/etc/ssh/greeting; sed -i '1i Banner /etc/ssh/greeting' /etc/ssh/sshd_config"+reload)
	t.Cleanup(func() {
		run(t, h, "sh", "-c", "rm /etc/ssh/greeting; mv /root/sshd_config.before /etc/ssh/sshd_config"+reload)
	})
}

// withoutRsync hides a host's rsync until the test ends.
func withoutRsync(t *testing.T, h *lab.Host) {
	t.Helper()
	run(t, h, "mv", "/usr/bin/rsync", "/usr/bin/rsync.away")
	t.Cleanup(func() { run(t, h, "mv", "/usr/bin/rsync.away", "/usr/bin/rsync") })
}

func TestAccSyncPass(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		bannered(t, host)
		withoutRsync(t, host)
		withoutRsync(t, w.trixie)
		started := ""
		remember := func(s *terraform.State) error {
			started = s.RootModule().Resources[pass].Primary.Attributes["started"]
			time.Sleep(1100 * time.Millisecond) // the times are whole seconds
			return nil
		}
		const base = "  excludes = [\"*.tmp\", \"/staying\"]\n"
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: passConfig(w, name, base),
					Check: resource.ComposeTestCheckFunc(
						check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
						resource.TestCheckResourceAttr(pass, "per_path.#", "2"),
						resource.TestCheckResourceAttr(pass, "per_path.0.special", "1"),
						resource.TestMatchResourceAttr(pass, "per_path.1.finished", regexp.MustCompile(`^20\d\d-.*Z$`)),
						resource.TestMatchResourceAttr(pass, "per_path.0.speedup", regexp.MustCompile(`^\d`)),
						resource.TestCheckResourceAttr(pass, "per_path.0.links", "2"),
						resource.TestCheckResourceAttr(pass, "per_path.1.files_transferred", "1"),
						resource.TestCheckResourceAttr(pass, "files_vanished", "0"),
						resource.TestCheckResourceAttrPair(pass, "verified", pass, "files"),
						noWarnings,
						resource.TestMatchResourceAttr(pass, "started", regexp.MustCompile(`^20\d\d-.*Z$`)),
						resource.TestMatchResourceAttr(pass, "bytes", regexp.MustCompile(`^104\d{5}$`)),
						remember,
					),
				},
				{ // a warm pass
					PreConfig: func() {
						run(t, host, "sh", "-c", `cd "/srv/pass data"; echo seven >deep/er/seven; mv mine "deep/mine, read"; chmod 640 acl; ln acl "another acl"; echo 7 >attr; rm suid`)
						run(t, w.trixie, "sh", "-c", `echo own >"/srv/pass data/only here.tmp"`)
					},
					Config:           passConfig(w, name, base+"  triggers = { again = 1 }\n"),
					ConfigPlanChecks: passUpdated,
					Check: resource.ComposeTestCheckFunc(
						check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
						resource.TestCheckResourceAttr(pass, "files_deleted", "1"),
						resource.TestCheckResourceAttr(pass, "files_renamed", "1"),
						resource.TestCheckResourceAttr(pass, "per_path.0.whole", "false"),
						resource.TestCheckResourceAttr(pass, "per_path.1.changes", "0"),
						resource.TestCheckResourceAttr(pass, "verify_changed_meanwhile", "0"),
						func(s *terraform.State) error {
							trash := s.RootModule().Resources[pass].Primary.Attributes["trash_path"]
							_, err := w.trixie.Run(context.Background(), "sh", "-c", `test "$(cat "$1"/*/1/suid)" = suid && test "$(cat "$1"/*/1/attr)" = attr && test -f "/srv/pass data/only here.tmp"`, "sh", trash)
							return err
						},
						func(s *terraform.State) error {
							if now := s.RootModule().Resources[pass].Primary.Attributes["started"]; now == started {
								return fmt.Errorf("the pass did not run again: started is still %s", now)
							}
							return nil
						},
						remember,
					),
				},
				{ // how a pass goes about it is no reason to run again
					Config:           passConfig(w, name, base+"  triggers = { again = 1 }\n  bandwidth_limit = 100000\n"),
					ConfigPlanChecks: passUpdated,
					Check: func(s *terraform.State) error {
						if now := s.RootModule().Resources[pass].Primary.Attributes["started"]; now != started {
							return fmt.Errorf("the pass ran again: started was %s and is %s", started, now)
						}
						return nil
					},
				},
				{ // nor is a slash at the end
					Config:           strings.Replace(passConfig(w, name, base+"  triggers = { again = 1 }\n"), `["/srv/pass data", "/srv/second"]`, `["/srv/pass data/", "/srv/second//"]`, 1),
					ConfigPlanChecks: passUpdated,
					Check: func(s *terraform.State) error {
						if now := s.RootModule().Resources[pass].Primary.Attributes["started"]; now != started {
							return fmt.Errorf("the pass ran again: started was %s and is %s", started, now)
						}
						return nil
					},
				},
				{ // the final one, elsewhere too
					Config:           passConfig(w, name, base+"  final = true\n  compress = true\n  targets = { \"/srv/second\" = \"/srv/elsewhere/deep\" }\n"),
					ConfigPlanChecks: passUpdated,
					Check: check(t, func() error {
						if got := run(t, w.trixie, "cat", "/srv/elsewhere/deep/file"); got != "second\n" {
							return fmt.Errorf("/srv/elsewhere/deep/file holds %q", got)
						}
						return w.keyGone(t, host)
					}),
				},
				{
					ResourceName: pass, ImportState: true, ImportStateId: "x",
					ExpectError: regexp.MustCompile(`something that\s+happened`),
				},
			},
		})
	})
}

// The login need not be root, on neither host, and sudo may ask for a password
// that a pass does not have.
func TestAccSyncPassWithBecome(t *testing.T) {
	for name, users := range map[string]struct{ from, to string }{
		"sudo and doas":      {`user = "operator", become = { method = "sudo" }`, `user = "doasfree", become = { method = "doas" }`},
		"sudo with password": {`user = "admin", become = { method = "sudo", password = "admin-secret" }`, `user = "admin", become = { method = "sudo", password = "admin-secret" }`},
	} {
		t.Run(name, func(t *testing.T) {
			onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
				passTrees(t, w, host)
				t.Cleanup(func() { // what sudo itself leaves: its greeting, and mails about refusals
					for _, h := range []*lab.Host{host, w.trixie} {
						run(t, h, "sh", "-c", "sleep 1; rm -rf /root/mail /var/mail/root /home/admin/.sudo_as_admin_successful")
					}
				})
				entry := func(name string, h *lab.Host, user string) string {
					return fmt.Sprintf("    %s = { address = %q, %s, private_key_path = %q, known_hosts_path = %q, agent = false, ssh_config_path = \"none\" }\n",
						name, h.Address, user, w.lab.KeyPath(), w.lab.KnownHostsPath())
				}
				config := "provider \"cutover\" {\n  hosts = {\n" + entry(name, host, users.from) + entry("new", w.trixie, users.to) + "  }\n}\n" +
					passBlock(name, "  excludes = [\"*.tmp\", \"/staying\"]")
				resource.Test(t, resource.TestCase{
					ProtoV6ProviderFactories: inProcess,
					Steps: []resource.TestStep{{
						Config: config,
						Check:  check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
					}},
				})
			})
		})
	}
}

// What is wrong is said before anything is copied, and nothing is left behind.
func TestAccSyncPassSaysWhatIsInItsWay(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		nobody := check(t, func() error { return w.keyGone(t, host) })
		clean := func() {
			if err := nobody(nil); err != nil {
				t.Error(err)
			}
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      strings.ReplaceAll(passConfig(w, name, ""), "/srv/second", "/srv/nowhere"),
					ExpectError: regexp.MustCompile(`has no directory\s+/srv/nowhere`),
				},
				{
					PreConfig:   func() { clean(); run(t, host, "sh", "-c", "useradd -M onlyhere && chown onlyhere /srv/second/file") },
					Config:      passConfig(w, name, ""),
					ExpectError: regexp.MustCompile(`(?s)does not know\s+these\s+owners.*user\s+onlyhere`),
				},
				{
					PreConfig:   func() { clean(); run(t, host, "sh", "-c", "chown root /srv/second/file; userdel onlyhere") },
					Config:      passConfig(w, name, "  from_address = \"127.0.0.1\""),
					ExpectError: regexp.MustCompile(`(?s)another\s+machine\s+answers\s+there`),
				},
				{
					PreConfig:   clean,
					Config:      passConfig(w, name, "  from_port = 9"),
					ExpectError: regexp.MustCompile(`(?s)no\s+connection\s+comes\s+about.*Connection\s+refused`),
				},
				{
					PreConfig: func() {
						clean()
						run(t, w.trixie, "sh", "-c", "rm -rf /srv/second; mkdir /srv/second; mount -t tmpfs -o size=64k none /srv/second")
						run(t, host, "sh", "-c", "head -c 300000 /dev/urandom >/srv/second/large")
					},
					Config:      passConfig(w, name, ""),
					ExpectError: regexp.MustCompile(`(?s)file\s+system\s+/srv/second\s+of\s+host\s+"new"\s+is\s+too\s+small`),
				},
				{
					PreConfig: func() { clean(); run(t, w.trixie, "umount", "/srv/second") },
					Config:    passConfig(w, name, "  excludes = [\"*.tmp\", \"/staying\"]"),
					Check:     check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
				},
			},
		})
	})
}

// A pass that is interrupted ends on both hosts, leaves no key, and goes on
// where it stopped.
func TestAccSyncPassInterrupted(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		run(t, host, "sh", "-c", "head -c 4000000 /dev/urandom >/srv/second/large")
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config:      passConfig(w, name, fmt.Sprintf("  excludes = [\"*.tmp\", \"/staying\"]\n  bandwidth_limit = 50\n  timeouts = { create = %q }", pace.Limit(8*time.Second).Round(time.Second))),
					ExpectError: regexp.MustCompile(`(?s)was cancelled while it\s+copied.*time allowed for it is over`),
				},
				{
					PreConfig: func() {
						if err := w.keyGone(t, host); err != nil {
							t.Error(err)
						}
					},
					Config: passConfig(w, name, "  excludes = [\"*.tmp\", \"/staying\"]"),
					Check:  check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) }),
				},
			},
		})
		if left := run(t, w.trixie, "find", "/srv", "-name", ".cutover-*"); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// A Terraform that is killed cleans nothing up, and the pass goes on without it,
// also where its provider lives a moment longer. The next one takes the pass over
// and cleans up after it.
func TestAccLongSyncPassAfterAKill(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, old *lab.Host) {
		passTrees(t, w, old)
		run(t, old, "sh", "-c", "head -c 12000000 /dev/urandom >/srv/second/large")
		terraform := newCommandLine(t, passConfig(w, name, "  excludes = [\"*.tmp\", \"/staying\"]\n  bandwidth_limit = 800")+requires+
			"output \"bytes\" {\n  value = cutover_sync_pass.pass.bytes_transferred\n}\n")
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve") })
		copying := func() bool {
			// A part of a file has this mode until it is complete.
			_, err := w.trixie.Run(context.Background(), "sh", "-c", "stat -c %a /srv/second/large | grep -x 1600")
			return err == nil
		}
		terraform.runUntil(copying, terraformAlone, "apply", "-auto-approve")
		time.Sleep(2 * time.Second) // for whatever its provider might do about it
		if !copying() || w.keyGone(t, old) == nil {
			t.Error("the pass ended with the Terraform that had begun it")
		}
		due := time.Now().Add(3 * time.Second)
		terraform.runUntil(func() bool { return time.Now().After(due) && copying() }, terraformWithProvider, "apply", "-auto-approve")
		if !copying() || w.keyGone(t, old) == nil {
			t.Error("the pass ended with the Terraform that had taken it over")
		}
		said := terraform.run("apply", "-auto-approve")
		if err := errors.Join(w.sameTrees(t, old), w.keyGone(t, old)); err != nil {
			t.Error(err)
		}
		// What the first one has copied is this one's: it has not run twice.
		if !regexp.MustCompile(`(?m)^bytes = 22485\d{3}$`).MatchString(said) {
			t.Errorf("the pass has run more than once:\n%s", said)
		}
	})
}

// Passes side by side take turns at the old host's authorized_keys.
func TestAccLongSyncPassesSideBySide(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		passTrees(t, w, host)
		var config strings.Builder
		for i, dir := range []string{"/srv/pass data/deep", "/srv/pass data/shared", "/srv/pass data/empty", "/srv/second"} {
			fmt.Fprintf(&config, "resource \"cutover_sync_pass\" \"p%d\" {\n  from = %q\n  to = \"new\"\n  paths = [%q]\n}\n", i, name, dir)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config: w.config(config.String()),
				Check:  check(t, func() error { return w.keyGone(t, host) }),
			}},
		})
		if _, err := w.trixie.Run(context.Background(), "test", "-d", "/srv/pass data/shared"); err == nil {
			return
		}
		t.Error("/srv/pass data/shared was not copied")
	})
}

// A pass that an update has begun, and whose Terraform was killed, is ended by the
// destroy, although the state knows of none that runs.
func TestAccSyncPassDestroyedWhileItRuns(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, old *lab.Host) {
		passTrees(t, w, old)
		terraform := newCommandLine(t, passConfig(w, name, "")+requires)
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve") })
		terraform.run("apply", "-auto-approve")
		run(t, old, "sh", "-c", "head -c 12000000 /dev/urandom >/srv/second/large")
		terraform.configure(passConfig(w, name, "  triggers = { again = 1 }\n  bandwidth_limit = 500") + requires)
		copying := func() bool {
			_, err := w.trixie.Run(context.Background(), "sh", "-c", "stat -c %a /srv/second/large | grep -x 1600")
			return err == nil
		}
		terraform.runUntil(copying, terraformWithProvider, "apply", "-auto-approve")
		if !copying() {
			t.Error("the pass ended with the Terraform that had begun it")
		}
		said := terraform.run("destroy", "-auto-approve")
		if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(said, "│", "")), " "), `The pass still ran on host "new" and was ended`) {
			t.Errorf("the destroy says nothing of it:\n%s", said)
		}
		if err := w.keyGone(t, old); err != nil {
			t.Error(err)
		}
		for _, h := range []*lab.Host{old, w.trixie} {
			if left := run(t, h, "sh", "-c", "ls -A /var/lib/cutover 2>/dev/null; find /srv -name '.cutover-*'; true"); left != "" {
				t.Errorf("left on %s: %s", h.Name, left)
			}
		}
		// What was copied in part is not taken for what the new host has of its own.
		terraform.configure(passConfig(w, name, "  triggers = { again = 2 }") + requires)
		terraform.run("apply", "-auto-approve")
		if one, other := run(t, old, "sha256sum", "/srv/second/large"), run(t, w.trixie, "sha256sum", "/srv/second/large"); one != other {
			t.Errorf("%s is not %s", other, one)
		}
	})
}

// A new host that is restarted under a pass knows afterwards what was brought.
func TestAccLongSyncPassReboot(t *testing.T) {
	w := labWorld(t)
	passTrees(t, w, w.sysv)
	run(t, w.sysv, "sh", "-c", "head -c 12000000 /dev/urandom >/srv/second/large")
	const base = "  excludes = [\"*.tmp\", \"/staying\"]\n"
	terraform := newCommandLine(t, passConfig(w, "sysv", base+"  bandwidth_limit = 500")+requires)
	t.Cleanup(func() { t.Log(terraform.run("destroy", "-auto-approve")) })
	copying := func() bool {
		_, err := w.trixie.Run(context.Background(), "sh", "-c", "stat -c %a /srv/second/large | grep -x 1600")
		return err == nil
	}
	terraform.runUntil(copying, terraformWithProvider, "apply", "-auto-approve")
	if err := w.trixie.Reboot(context.Background()); err != nil {
		t.Fatal(err)
	}
	terraform.configure(passConfig(w, "sysv", base) + requires)
	terraform.run("apply", "-auto-approve")
	if err := errors.Join(w.sameTrees(t, w.sysv), w.keyGone(t, w.sysv)); err != nil {
		t.Error(err)
	}
	if left := run(t, w.trixie, "sh", "-c", "find /srv -name '.cutover-*'"); left != "" {
		t.Errorf("left: %s", left)
	}
}
