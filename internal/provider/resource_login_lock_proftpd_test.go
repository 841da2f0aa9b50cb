package provider_test

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// ProFTPD itself refuses the users, by whichever list it looks up; their mail
// and pages are served.
func TestAccLoginLockWithProftpd(t *testing.T) { lockedByProftpd(t, 3) }

func TestAccLongLoginLockWithProftpd(t *testing.T) { lockedByProftpd(t, math.MaxInt) }

// lockedByProftpd takes so many steps: three are a lock and its end.
func lockedByProftpd(t *testing.T, most int) {
	t.Helper()
	w := labWorld(t)
	host := w.webHost(t)
	untouched(t, host)
	sshUsers(t, host, "lena", "lone", "lutz")
	t.Cleanup(func() {
		run(t, host, "sh", "-c", `cd /etc && mv ftpusers.lab ftpusers && rm -f proftpd/conf.d/lab.conf && mv pam.d/proftpd.lab pam.d/proftpd && systemctl reload proftpd
			gpasswd -d lone lena >/dev/null 2>&1 || :`)
	})
	run(t, host, "sh", "-c", "cd /etc && cp -p ftpusers ftpusers.lab && cp -p pam.d/proftpd pam.d/proftpd.lab && usermod -aG lena lone")
	// Failed logins are punished with a refusal of the whole address.
	sshdConfig(t, host, "sed -i '1i PerSourcePenalties no' sshd_config")
	change := func(command string) func() {
		return func() {
			run(t, host, "sh", "-c", "cd /etc && "+command+" && systemctl reload proftpd")
			if err := eventually(10*time.Second, func() error { return ftp(w, host, "lutz", true) }); err != nil {
				t.Error(err)
			}
		}
	}
	config := lockConfig(w, host, `  groups = ["lena"]`) // with its members by passwd and by group
	ftpShut := func() error {
		return errors.Join(ftp(w, host, "lena", false), ftp(w, host, "lone", false), ftp(w, host, "lutz", true))
	}
	shut := check(t, ftpShut)
	open := check(t, func() error { return errors.Join(ftp(w, host, "lena", true), ftp(w, host, "lone", true)) })
	none := w.config("")
	steps := []resource.TestStep{
		{Config: none, Check: open},
		{
			Config: config,
			Check: check(t, func() error {
				return errors.Join(ftpShut(), keptOut(w, host, "lena", ""), letIn(w, host, "lutz"), mailAndWeb(w, host, "lena"), mailAndWeb(w, host, "lone"))
			}),
		},
		{Config: none, Check: open},
		{ // the list is not there yet
			PreConfig: change("rm ftpusers"),
			Config:    config,
			Check:     shut,
		},
		{ // taken away with the whole file
			PreConfig:        func() { run(t, host, "rm", "/etc/ftpusers") },
			Config:           config,
			ConfigPlanChecks: actionOn(lockAddress, plancheck.ResourceActionUpdate),
			Check:            shut,
		},
		{Config: none, Check: open},
		{ // PAM's list is not the last word: ProFTPD asks /etc/shadow as well
			PreConfig:   change("printf 'UseFtpUsers off\\n' >>proftpd/conf.d/lab.conf"),
			Config:      config,
			ExpectError: regexp.MustCompile(`(?s)proftpd\s+looks\s+up\s+no\s+list`),
		},
		{ // unless it is told so
			PreConfig: change("printf 'AuthOrder mod_auth_pam.c* mod_auth_unix.c\\n' >>proftpd/conf.d/lab.conf"),
			Config:    config,
			Check:     shut,
		},
		{Config: none, Check: open},
		{
			PreConfig:   change("sed -i 's/^auth.*pam_listfile/#&/' pam.d/proftpd"),
			Config:      config,
			ExpectError: regexp.MustCompile(`(?s)proftpd\s+looks\s+up\s+no\s+list`),
		},
		{ // sessions are ended
			PreConfig: func() {
				change("rm proftpd/conf.d/lab.conf")()
				for _, user := range []string{"lone", "lutz"} {
					if _, err := overSSH(w, "((printf 'USER "+user+"\\r\\nPASS secret-"+user+"\\r\\n'; sleep 60) | nc -w 60 "+host.Address+" 21) >/dev/null 2>&1 &"); err != nil {
						t.Fatal(err)
					}
				}
				if err := eventually(10*time.Second, func() error {
					if proftpdSessions(t, w, "lone") == 0 || proftpdSessions(t, w, "lutz") == 0 {
						return errors.New("the FTP sessions have not begun")
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			},
			Config: lockConfig(w, host, "  groups = [\"lena\"]\n  end_sessions = true"),
			Check: check(t, func() error {
				if lone, lutz := proftpdSessions(t, w, "lone"), proftpdSessions(t, w, "lutz"); lone != 0 || lutz != 1 {
					return errors.New("the wrong FTP sessions were ended")
				}
				return nil
			}),
		},
	}
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess, Steps: steps[:min(most, len(steps))]})
}

// proftpdSessions counts a user's sessions.
func proftpdSessions(t *testing.T, w *world, user string) (n int) {
	t.Helper()
	processes, err := w.web.Processes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		if strings.Contains(process, "proftpd: "+user+" ") {
			n++
		}
	}
	return n
}
