package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

const lockAddress = "cutover_login_lock.lock"

func TestLoginLockRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"nobody":            {``, `One of users and groups must be given`},
		"no users":          {`users = []`, `at least 1`},
		"root":              {`users = ["root"]`, `Root\s+is\s+not\s+locked\s+out`},
		"root's group":      {`groups = ["root"]`, `Root\s+is\s+not\s+locked\s+out`},
		"everybody":         {`users = ["*"]`, `not\s+the\s+name\s+of\s+a\s+user`},
		"pattern":           {`users = ["!anna"]`, `not\s+the\s+name\s+of\s+a\s+user`},
		"list":              {`users = ["anna,bert"]`, `not\s+the\s+name\s+of\s+a\s+user`},
		"line":              {`users = ["anna\nPermitRootLogin no"]`, `not\s+the\s+name\s+of\s+a\s+user`},
		"tunnel's account":  {`users = ["cutover-relay"]`, `account\s+of\s+a\s+forwarding\s+tunnel`},
		"empty message":     {"users = [\"anna\"]\nmessage = \" \"", `has\s+something\s+to\s+say`},
		"message with bell": {"users = [\"anna\"]\nmessage = \"\\u0007\"", `control\s+character`},
		"bad name":          {"users = [\"anna\"]\nname = \"a b\"", `lower-case\s+letters`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      fmt.Sprintf("provider \"cutover\" { hosts = { old = {} } }\nresource \"cutover_login_lock\" \"lock\" {\nhost = \"old\"\n%s\n}", c.arguments),
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

func lockConfig(w *world, host *lab.Host, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_login_lock\" \"lock\" {\n  host = %q\n%s\n}\n", host.Name, arguments))
}

// sshUsers makes accounts that the lab's key may log in to.
func sshUsers(t *testing.T, host *lab.Host, names ...string) {
	t.Helper()
	people(t, host, names...)
	for _, name := range names {
		run(t, host, "sh", "-c", `mkdir -m 700 "/home/$1/.ssh" && cp /root/.ssh/authorized_keys "/home/$1/.ssh/" && chown -R "$1:$1" "/home/$1/.ssh"`, "sh", name)
	}
}

// sshdConfig lets an sh command change sshd_config until the end of the test.
func sshdConfig(t *testing.T, host *lab.Host, change string) {
	t.Helper()
	t.Cleanup(func() {
		run(t, host, "sh", "-c", "mv /etc/ssh/sshd_config.lab /etc/ssh/sshd_config; kill -HUP $(cat /run/sshd.pid); sleep 1")
	})
	run(t, host, "sh", "-c", "cd /etc/ssh && cp -p sshd_config sshd_config.lab && "+change+" && sshd -t && kill -HUP $(cat /run/sshd.pid); sleep 1")
}

// ssh logs in from the lab's client and runs a command; sftp does the same by SFTP.
func ssh(w *world, host *lab.Host, user, command string) (string, error) {
	return overSSH(w, fmt.Sprintf("ssh $options %s@%s %q 2>&1", user, host.Address, command))
}

func sftp(w *world, host *lab.Host, user string) (string, error) {
	return overSSH(w, fmt.Sprintf("echo pwd | sftp -b - $options %s@%s 2>&1", user, host.Address))
}

func overSSH(w *world, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(20*time.Second))
	defer cancel()
	out, err := w.client.Run(ctx, "sh", "-c", fmt.Sprintf(`options="-F none -i %s -o UserKnownHostsFile=%s -o IdentitiesOnly=yes -o BatchMode=yes"; %s`, w.lab.KeyPath(), w.lab.KnownHostsPath(), command))
	return out, err
}

// letIn wants users to be able to log in by SSH and SFTP.
func letIn(w *world, host *lab.Host, users ...string) error {
	for _, user := range users {
		if out, err := ssh(w, host, user, "id -un"); err != nil || !strings.Contains(out, user) {
			return fmt.Errorf("%s cannot log in by SSH: %w\n%s", user, err, out)
		}
		if out, err := sftp(w, host, user); err != nil {
			return fmt.Errorf("%s cannot log in by SFTP: %w\n%s", user, err, out)
		}
	}
	return nil
}

// keptOut wants a user to be refused by SSH and SFTP, and to be told so or not.
func keptOut(w *world, host *lab.Host, user, message string) error {
	for what, try := range map[string]func() (string, error){
		"SSH": func() (string, error) { return ssh(w, host, user, "id -un") }, "SFTP": func() (string, error) { return sftp(w, host, user) },
	} {
		out, err := try()
		switch {
		case err == nil:
			return fmt.Errorf("%s logged in by %s:\n%s", user, what, out)
		case !strings.Contains(out, "Permission denied"):
			return fmt.Errorf("%s was not refused by %s, but: %w\n%s", user, what, err, out)
		case !strings.Contains(out, message) || message == "" && strings.Contains(out, "moving"):
			return fmt.Errorf("%s was told by %s, instead of %q:\n%s", user, what, message, out)
		}
	}
	return nil
}

// curl has the lab's client fetch an URL with a user's password.
func curl(w *world, user, url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(20*time.Second))
	defer cancel()
	return w.client.Run(ctx, "curl", "-sS", "-m", patience(), "-u", user+":secret-"+user, url)
}

// ftp wants a user to be let in by FTP, or not.
func ftp(w *world, host *lab.Host, user string, in bool) error {
	if host.Kind != lab.SysV && host.Kind != lab.Web {
		return nil // no FTP server
	}
	_, err := curl(w, user, "ftp://"+host.Address+"/")
	if in != (err == nil) || err != nil && !strings.Contains(err.Error(), "530") {
		return fmt.Errorf("FTP as %s: wanted in: %v, got %w", user, in, err)
	}
	return nil
}

// mailAndWeb wants a user's mail and pages to be served.
func mailAndWeb(w *world, host *lab.Host, user string) error {
	_, imap := curl(w, user, "imap://"+host.Address+"/INBOX?ALL")
	_, pop := curl(w, user, "pop3://"+host.Address+"/")
	_, submission := w.client.Run(context.Background(), "swaks", "--silent", "3", "--server", host.Address, "--port", "587", "--to", user+"@example.test",
		"--from", user+"@example.test", "--auth-user", user, "--auth-password", "secret-"+user)
	if host.Kind == lab.SysV {
		submission = nil // its Sendmail asks nobody for a password
	}
	_, web := curl(w, user, "http://"+host.Address+"/")
	return errors.Join(imap, pop, submission, web)
}

const locked = "  users   = [\"lena\"]\n  groups  = [\"lockers\"]\n  message = \"We are moving.\\nFiles: new.example.test\"\n"

// The lock is a block in sshd_config on the oldest host and a drop-in on the
// others.
func TestAccLoginLock(t *testing.T) {
	onEveryHost(t, func(t *testing.T, w *world, host *lab.Host) {
		lockedBy(t, w, host, host.Kind == lab.SysV)
	})
}

// The other way on the same hosts.
func TestAccLongLoginLock(t *testing.T) {
	onHosts(t, func(t *testing.T, w *world, host *lab.Host) {
		lockedBy(t, w, host, host.Kind != lab.SysV)
	}, "sysv", "new")
}

func lockedBy(t *testing.T, w *world, host *lab.Host, block bool) {
	t.Helper()
	change := ":"
	if block {
		change = "sed -i 's/^Include/#&/' sshd_config"
	}
	if host.Kind == lab.Trixie {
		// Failed logins are punished there with a refusal of the whole address.
		change += " && sed -i '1i PerSourcePenalties no' sshd_config"
	}
	untouched(t, host)
	sshUsers(t, host, "lena", "lars", "lone", "lutz")
	t.Cleanup(func() { run(t, host, "groupdel", "lockers") })
	run(t, host, "sh", "-c", "groupadd lockers && usermod -aG lockers lars")
	// The administrator's own: somebody denied, and a Match at the end.
	sshdConfig(t, host, change+` && printf 'DenyUsers lutz\nMatch User lars\n    X11Forwarding no\n' >>sshd_config`)
	lifeOfALock(t, w, host)
}

// atOnce does several things side by side, as many as sshd takes before they have
// logged in.
func atOnce(things ...func() error) error {
	turns := make(chan struct{}, 6)
	errs := make([]error, len(things))
	var all sync.WaitGroup
	for i, thing := range things {
		all.Go(func() {
			turns <- struct{}{}
			errs[i] = thing()
			<-turns
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func lifeOfALock(t *testing.T, w *world, host *lab.Host) {
	const message = "We are moving.\nFiles: new.example.test"
	in := func(users ...string) func() error { return func() error { return letIn(w, host, users...) } }
	out := func(user, message string) func() error {
		return func() error { return keptOut(w, host, user, message) }
	}
	byFTP := func(user string, in bool) func() error { return func() error { return ftp(w, host, user, in) } }
	works := func(user string) func() error { return func() error { return mailAndWeb(w, host, user) } }
	everything := func() error {
		return atOnce(
			in("lone", "admin", "operator", "root"),
			out("lena", message), out("lars", message), out("lutz", ""),
			byFTP("lena", false), byFTP("lars", false), byFTP("lone", true),
			works("lena"), works("lars"),
		)
	}
	var session *imap
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				PreConfig: func() {
					if err := atOnce(in("lena", "lars"), byFTP("lena", true), out("lutz", "")); err != nil {
						t.Fatal(err)
					}
				},
				Config: lockConfig(w, host, locked),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(lockAddress, "id", host.Name+"/login"),
					resource.TestCheckResourceAttr(lockAddress, "status", "locked"),
					check(t, everything),
				),
			},
			{Config: lockConfig(w, host, locked), PlanOnly: true},
			{ResourceName: lockAddress, ImportState: true, ImportStateVerify: true, ImportStateId: host.Name + "/login"},
			{ // a user taken out by hand, and sshd told
				PreConfig: func() {
					run(t, host, "sh", "-c", `sed -i '/^DenyUsers lena/d' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf && kill -HUP $(cat /run/sshd.pid) && sleep 1`)
					if err := letIn(w, host, "lena"); err != nil {
						t.Fatal(err)
					}
				},
				Config:           lockConfig(w, host, locked),
				ConfigPlanChecks: actionOn(lockAddress, plancheck.ResourceActionUpdate),
				Check:            check(t, func() error { return keptOut(w, host, "lena", message) }),
			},
			{ // the message changed, and lines of ftpusers gone
				PreConfig: func() {
					run(t, host, "sh", "-c", `echo nonsense >/etc/cutover/login-lock-login.txt; [ ! -f /etc/ftpusers ] || sed -i '/lena/d; /lars/d' /etc/ftpusers`)
				},
				Config:           lockConfig(w, host, locked),
				ConfigPlanChecks: actionOn(lockAddress, plancheck.ResourceActionUpdate),
				Check:            check(t, func() error { return atOnce(out("lars", message), byFTP("lars", false)) }),
			},
			{ // somebody joins the group: FTP's lists know no groups
				PreConfig: func() { run(t, host, "usermod", "-aG", "lockers", "lone") },
				Config:    lockConfig(w, host, locked),
				Check: check(t, func() error {
					run(t, host, "gpasswd", "-d", "lone", "lockers")
					return ftp(w, host, "lone", false)
				}),
				ExpectNonEmptyPlan: host.Kind == lab.SysV,
			},
			{ // nobody is told, the group is let in again, and sessions are ended
				PreConfig: func() {
					var err error
					if session, err = openIMAP(w, host, "lone"); err != nil {
						t.Fatal(err)
					}
					beginSessions(t, w, host)
				},
				Config:           lockConfig(w, host, "  users = [\"lena\", \"lone\"]\n  end_sessions = true"),
				ConfigPlanChecks: actionOn(lockAddress, plancheck.ResourceActionUpdate),
				Check: check(t, func() error {
					_, err := session.do("NOOP")
					session.conn.Close()
					return errors.Join(err, sessionsEnded(host),
						atOnce(in("lars", "root"), out("lena", ""), out("lone", ""), out("lutz", ""),
							byFTP("lars", true), byFTP("lone", false), works("lone")))
				}),
			},
			{ // the lock gone altogether
				PreConfig: func() {
					run(t, host, "sh", "-c", `rm -f /etc/ssh/sshd_config.d/00-cutover-*; sed -i '/BEGIN cutover/,/END cutover/d' /etc/ssh/sshd_config; [ ! -f /etc/ftpusers ] || sed -i '/BEGIN cutover/,/END cutover/d' /etc/ftpusers`)
				},
				Config:           lockConfig(w, host, "  users = [\"lena\"]"),
				ConfigPlanChecks: actionOn(lockAddress, plancheck.ResourceActionCreate),
				Check:            check(t, func() error { return atOnce(in("lone"), out("lena", "")) }),
			},
			{ // two at once
				Config: lockConfig(w, host, locked) + fmt.Sprintf("resource \"cutover_login_lock\" \"other\" {\n  host = %q\n  name = \"other\"\n  users = [\"lone\"]\n  message = \"Closed.\"\n}\n", host.Name),
				Check: check(t, func() error {
					return atOnce(out("lone", "Closed."), out("lars", message), out("lena", message),
						out("lutz", ""), byFTP("lone", false), byFTP("lars", false), in("admin"))
				}),
			},
		},
	})
	if err := atOnce(in("lena", "lars", "lone"), byFTP("lena", true), byFTP("lone", true), out("lutz", "")); err != nil {
		t.Error(err)
	}
}

// beginSessions has lone log in by SSH, with and without a terminal, by SFTP
// and FTP, and leave something running; root logs in too.
func beginSessions(t *testing.T, w *world, host *lab.Host) {
	t.Helper()
	for _, command := range []string{
		"ssh $options lone@HOST sleep 1001", "ssh -tt $options lone@HOST sleep 1002 </dev/null", "ssh $options root@HOST sleep 1003",
		"(sleep 60; echo pwd) | sftp -b - $options lone@HOST",
		"(printf 'USER lone\\r\\nPASS secret-lone\\r\\n'; sleep 60) | nc -w 60 HOST 21",
	} {
		if strings.HasPrefix(command, "(printf") && host.Kind != lab.SysV {
			continue
		}
		if _, err := overSSH(w, "("+strings.ReplaceAll(command, "HOST", host.Address)+") >/dev/null 2>&1 &"); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := ssh(w, host, "lone", "setsid nohup sleep 1004 >/dev/null 2>&1 </dev/null &"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{"sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sftp-server"}
	if host.Kind == lab.SysV {
		want = append(want, "vsftpd")
	}
	if err := eventually(10*time.Second, func() error {
		processes, err := host.Processes(context.Background())
		for _, command := range want {
			if !holdsProcess(processes, "lone", command) && !holdsProcess(processes, "root", command) {
				err = errors.Join(err, fmt.Errorf("no process %q in\n%s", command, strings.Join(processes, "\n")))
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func holdsProcess(processes []string, user, command string) bool {
	for _, process := range processes {
		fields := strings.Fields(process)
		if len(fields) > 2 && fields[1] == user && strings.Contains(process, command) {
			return true
		}
	}
	return false
}

// sessionsEnded wants lone's sessions to be gone, and everything else to be there.
func sessionsEnded(host *lab.Host) error {
	processes, err := host.Processes(context.Background())
	for _, command := range []string{"sleep 1001", "sleep 1002", "sshd", "sftp-server", "vsftpd"} {
		if holdsProcess(processes, "lone", command) {
			err = errors.Join(err, fmt.Errorf("lone still has %q", command))
		}
	}
	if !holdsProcess(processes, "lone", "sleep 1004") {
		err = errors.Join(err, errors.New("what lone left running is gone"))
	}
	if !holdsProcess(processes, "root", "sleep 1003") {
		err = errors.Join(err, errors.New("root's session is gone"))
	}
	_, killed := host.Run(context.Background(), "pkill", "-f", "^sleep 100[34]$")
	return errors.Join(err, killed)
}
