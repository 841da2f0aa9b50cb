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
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestAccLoginLockLocksOutNobodyWhoMustGetIn(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.trixie)
	sshUsers(t, w.trixie, "lina")
	t.Cleanup(func() { run(t, w.trixie, "userdel", "-f", "toor") })
	run(t, w.trixie, "useradd", "-o", "-u", "0", "-M", "toor")
	// As a login that is not root's.
	config := func(arguments string) string {
		return fmt.Sprintf(`provider "cutover" {
  hosts = { new = { address = %q, user = "operator", become = { method = "sudo" }, private_key_path = %q, known_hosts_path = %q, agent = false, ssh_config_path = "none" } }
}
resource "cutover_login_lock" "lock" {
  host = "new"
%s
}
`, w.trixie.Address, w.lab.KeyPath(), w.lab.KnownHostsPath(), arguments)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{Config: config(`  users = ["lina", "operator"]`), PlanOnly: true, ExpectError: regexp.MustCompile(`(?s)Unable to plan login lock.*provider\s+itself\s+logs\s+in\s+as\s+operator`)},
			{Config: config(`  groups = ["operator"]`), PlanOnly: true, ExpectError: regexp.MustCompile(`(?s)operator\s+is\s+in\s+the\s+group\s+operator`)},
			{Config: config(`  users = ["toor"]`), PlanOnly: true, ExpectError: regexp.MustCompile(`(?s)uid 0`)},
			{Config: config(`  users = ["lima"]`), ExpectError: regexp.MustCompile(`(?s)Unable to create login lock.*has\s+no\s+user\s+lima`)},
			{Config: config(`  groups = ["lima"]`), ExpectError: regexp.MustCompile(`(?s)has\s+no\s+group\s+lima`)},
			{
				Config: config(`  users = ["lina"]`),
				Check:  check(t, func() error { return errors.Join(keptOut(w, w.trixie, "lina", ""), letIn(w, w.trixie, "operator")) }),
			},
		},
	})
}

func TestAccLoginLockLeavesAFailureWithoutATrace(t *testing.T) {
	onOldHosts(t, loginLockLeavesAFailureWithoutATrace)
}

func TestAccLongLoginLockLeavesAFailureWithoutATrace(t *testing.T) {
	onNewHost(t, loginLockLeavesAFailureWithoutATrace)
}

func loginLockLeavesAFailureWithoutATrace(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	untouched(t, host)
	sshUsers(t, host, "lisa")
	sshdConfig(t, host, ":")
	before, asBefore := remembered(t, host)
	change := func(command string) func() {
		return func() {
			t.Helper()
			asBefore()
			run(t, host, "sh", "-c", command)
			before()
		}
	}
	// A reload that fails: the unit's, or the init script's.
	breakReload, mendReload := `mkdir -p /run/systemd/system/ssh.service.d && printf '[Service]\nExecReload=\nExecReload=/bin/false\n' >/run/systemd/system/ssh.service.d/lab.conf && systemctl daemon-reload`,
		`rm -r /run/systemd/system/ssh.service.d && systemctl daemon-reload`
	if host.Kind == lab.SysV {
		breakReload, mendReload = `cp -p /etc/init.d/ssh /etc/init.d/ssh.lab && printf '#!/bin/sh\n[ "$1" != reload ] || { echo "no reload today"; exit 1; }\nexec /etc/init.d/ssh.lab "$@"\n' >/etc/init.d/ssh`,
			`mv /etc/init.d/ssh.lab /etc/init.d/ssh`
	}
	config := lockConfig(w, host, "  users = [\"lisa\"]\n  message = \"Closed.\"")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				PreConfig:   change("echo 'NoSuchKeyword yes' >>/etc/ssh/sshd_config"),
				Config:      config,
				ExpectError: regexp.MustCompile(`(?s)Unable to create login lock.*does\s+not\s+accept.*  /etc/ssh/sshd_config: line \d+: Bad configuration option: NoSuchKeyword`),
			},
			{ // sshd would not heed the lock
				PreConfig:   change("sed -i '/NoSuchKeyword/d' /etc/ssh/sshd_config && printf 'Match User lisa\n    DenyUsers nobody\n' >>/etc/ssh/sshd_config"),
				Config:      config,
				ExpectError: regexp.MustCompile(`(?s)would\s+have\s+no\s+effect.*  for lisa, sshd has no "denyusers lisa" in force`),
			},
			{
				PreConfig:   change("sed -i '/^Match User lisa/,$d' /etc/ssh/sshd_config && " + breakReload),
				Config:      config,
				ExpectError: regexp.MustCompile(`(?s)did\s+not\s+take\s+the\s+change\s+up,\s+so\s+all\s+files\s+were\s+put\s+back`),
			},
			{ // a block that somebody has damaged is not guessed at
				PreConfig:   change(mendReload + "; printf '# BEGIN cutover_login_lock login\nDenyUsers x\n' >>/etc/ssh/sshd_config"),
				Config:      config,
				ExpectError: regexp.MustCompile(`(?s)/etc/ssh/sshd_config\s+was\s+changed\s+by\s+hand.*mend`),
			},
			{
				PreConfig: change("sed -i '/^# BEGIN cutover/,$d' /etc/ssh/sshd_config"),
				Config:    config,
				Check:     check(t, func() error { return keptOut(w, host, "lisa", "Closed.") }),
			},
			{ // a change that fails leaves the lock in force
				PreConfig:   func() { run(t, host, "sh", "-c", breakReload); before() },
				Config:      lockConfig(w, host, "  users = [\"lisa\"]\n  message = \"Another.\""),
				ExpectError: regexp.MustCompile(`(?s)Unable to update login lock.*put\s+back`),
			},
			{
				PreConfig: change(mendReload), Config: config, PlanOnly: true,
			},
		},
	})
}

// A timeout ends the change on the host too, and what it had done is undone.
func TestAccLoginLockEndsWithItsTimeout(t *testing.T) {
	w := labWorld(t)
	host := w.sysv
	untouched(t, host)
	sshUsers(t, host, "lisa")
	t.Cleanup(func() { run(t, host, "rm", "-f", "/tmp/slept") })
	// The first reload never ends.
	run(t, host, "sh", "-c", `cp -p /etc/init.d/ssh /etc/init.d/ssh.lab && printf '#!/bin/sh\n[ "$1" != reload ] || [ -e /tmp/slept ] || { touch /tmp/slept; sleep 120; }\nexec /etc/init.d/ssh.lab "$@"\n' >/etc/init.d/ssh`)
	mended := false
	mend := func() {
		if !mended {
			mended = true
			run(t, host, "mv", "/etc/init.d/ssh.lab", "/etc/init.d/ssh")
		}
	}
	t.Cleanup(mend)
	_, asBefore := remembered(t, host)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				Config:      lockConfig(w, host, fmt.Sprintf("  users = [\"lisa\"]\n  timeouts = { create = %q }", pace.Limit(15*time.Second).Round(time.Second))),
				ExpectError: regexp.MustCompile(`(?s)Unable to create login lock.*The\s+time\s+allowed\s+for\s+it\s+is\s+over`),
			},
			{
				PreConfig: func() {
					if err := eventually(20*time.Second, func() error { return prints(host, "", "sh", "-c", "ls /run/cutover 2>/dev/null || :") }); err != nil {
						t.Error(err)
					}
					asBefore()
					if err := letIn(w, host, "lisa"); err != nil {
						t.Error(err)
					}
					mend()
				},
				Config: lockConfig(w, host, `  users = ["lisa"]`),
				Check:  check(t, func() error { return keptOut(w, host, "lisa", "") }),
			},
		},
	})
}

// remembered are two functions: one that remembers the host's tree, the other
// fails the test where it is no longer that.
func remembered(t *testing.T, host *lab.Host) (remember, asBefore func()) {
	t.Helper()
	var before map[string]string
	remember = func() {
		tree, err := host.Tree(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		before = tree
	}
	remember()
	return remember, func() {
		t.Helper()
		is := before
		remember()
		for path, now := range before {
			if is[path] != now {
				t.Errorf("%s was %q and is %q", path, is[path], now)
			}
		}
		for path, was := range is {
			if _, there := before[path]; !there {
				t.Errorf("%s (%s) is gone", path, was)
			}
		}
	}
}

// vsftpd's own lists, with PAM's out of the way.
func TestAccLoginLockInVsftpdsLists(t *testing.T) {
	w := labWorld(t)
	host := w.sysv
	untouched(t, host)
	sshUsers(t, host, "lena", "lone")
	t.Cleanup(func() {
		run(t, host, "sh", "-c", "cd /etc && mv vsftpd.conf.lab vsftpd.conf && mv pam.d/vsftpd.lab pam.d/vsftpd && rm -f vsftpd.user_list && service vsftpd restart >/dev/null 2>&1")
	})
	run(t, host, "sh", "-c", "cd /etc && cp -p vsftpd.conf vsftpd.conf.lab && cp -p pam.d/vsftpd pam.d/vsftpd.lab && sed -i 's/^auth.*pam_listfile/#&/' pam.d/vsftpd")
	lists := func(settings, list string) func() {
		return func() {
			run(t, host, "sh", "-c", `cd /etc && cp -p vsftpd.conf.lab vsftpd.conf && printf "$1" >>vsftpd.conf && printf "$2" >vsftpd.user_list && service vsftpd restart >/dev/null 2>&1; sleep 1`, "sh", settings, list)
		}
	}
	config := lockConfig(w, host, `  users = ["lena"]`)
	shut := check(t, func() error { return errors.Join(ftp(w, host, "lena", false), ftp(w, host, "lone", true)) })
	open := func(list string) resource.TestCheckFunc {
		return check(t, func() error {
			return errors.Join(ftp(w, host, "lena", true), prints(host, list, "cat", "/etc/vsftpd.user_list"))
		})
	}
	none := w.config("")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{PreConfig: lists("", ""), Config: config, ExpectError: regexp.MustCompile(`(?s)vsftpd\s+looks\s+up\s+no\s+list.*userlist_enable=YES`)},
			{PreConfig: lists("userlist_enable=YES\n", "zoe"), Config: config, Check: shut},
			{Config: none, Check: open("zoe")},
			{PreConfig: lists("userlist_enable=Yes\nuserlist_deny=No\nuserlist_file=/etc/vsftpd.user_list\n", "lena\nlone\n"), Config: config, Check: shut},
			{Config: none, Check: open("lena\nlone")},
		},
	})
}
