package machine

import (
	"context"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const common = "kernel\t6.1.0\narchitecture\tx86_64\nhostname\told\n"

func TestInspect(t *testing.T) {
	t.Parallel()
	f := hosttest.New(t)
	f.Expect("machine/facts.sh").Prints("os_id\tdebian\nos_version\t11\nos_name\tDebian GNU/Linux 11 (bullseye)\ndebian_version\t11.11\n" + common +
		"init\tsysv\nsshd\t8.4p1\nrsync\t3.2.3\napache\t2.4.62\ndovecot\t2.3.13\nmta\texim 4.94\nmta\tsendmail 8.15.2\nfirewall\tiptables\n" +
		"ss4\tState  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n" +
		"ss4\tLISTEN 0 10 0.0.0.0:25 0.0.0.0:* users:((\"sendmail-mta\",pid=300,fd=4))\n" +
		"ss6\tLISTEN 0 511 *:80 *:* users:((\"apache2\",pid=412,fd=4),(\"apache2\",pid=411,fd=4))\n" +
		"ss6\tLISTEN 0 100 [::]:143 [::]:* users:((\"dovecot\",200,38))\n" +
		"ss4\tLISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*\n" +
		"ss4\tLISTEN 0 100 0.0.0.0:143 0.0.0.0:* users:((\"dovecot\",pid=200,fd=37))\n")
	got, err := Inspect(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	want := Machine{
		OSID: "debian", OSVersion: "11.11", OSName: "Debian GNU/Linux 11 (bullseye)",
		Kernel: "6.1.0", Architecture: "x86_64", Hostname: "old", Init: "sysv",
		SSHD: "8.4p1", Rsync: "3.2.3", Apache: "2.4.62", Dovecot: "2.3.13", MTA: "sendmail", MTAVersion: "8.15.2", Firewall: "iptables",
		Listeners: []Listener{
			{"0.0.0.0", 25, "sendmail-mta", 300}, {"127.0.0.53", 53, "", 0}, {"::", 80, "apache2", 411},
			{"0.0.0.0", 143, "dovecot", 200}, {"::", 143, "dovecot", 200},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	f := hosttest.New(t)
	f.Expect("machine/facts.sh").Prints("os_id\tdebian\n")
	if _, err := Inspect(context.Background(), f); err == nil || !strings.Contains(err.Error(), "no full answer") {
		t.Errorf("error %v", err)
	}
}

func TestListenersOfEveryTool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		printed string
		want    []Listener
	}{
		"ss before iproute2 4.18": {"ss4\tState      Recv-Q Send-Q     Local Address:Port       Peer Address:Port \n" +
			"ss4\tLISTEN     0      128                    *:22                    *:*      users:((\"sshd\",1234,3))\n" +
			"ss4\tLISTEN     0      50             127.0.0.1:25                    *:*      users:((\"master\",800,12))\n" +
			"ss6\tState      Recv-Q Send-Q     Local Address:Port       Peer Address:Port \n" +
			"ss6\tLISTEN     0      128                   :::22                   :::*      users:((\"sshd\",1234,4))\n" +
			"ss6\tLISTEN     0      50                   ::1:25                   :::*      users:((\"master\",800,13))\n",
			[]Listener{{"0.0.0.0", 22, "sshd", 1234}, {"::", 22, "sshd", 1234}, {"127.0.0.1", 25, "master", 800}, {"::1", 25, "master", 800}}},
		"ss, a socket of both families": {"ss4\tState Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n" +
			"ss6\tLISTEN 0 511 *:80 *:* users:((\"nginx\",pid=9,fd=6))\nss6\tLISTEN 0 511 [::1]:81 [::]:* users:((\"nginx\",pid=9,fd=7))\n",
			[]Listener{{"::", 80, "nginx", 9}, {"::1", 81, "nginx", 9}}},
		"netstat": {"netstat\tActive Internet connections (only servers)\n" +
			"netstat\tProto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name\n" +
			"netstat\ttcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      45/sshd: /usr/sbin/\n" +
			"netstat\ttcp6       0      0 :::80                   :::*                    LISTEN      9/apache2\n" +
			"netstat\ttcp6       0      0 ::1:25                  :::*                    LISTEN      -\n",
			[]Listener{{"0.0.0.0", 22, "sshd", 45}, {"::1", 25, "", 0}, {"::", 80, "apache2", 9}}},
		"proc": {"proc\t0100007F:0019\t111\nproc\t00000000000000000000000000000000:0050\t222\nproc\tB80D0120000000000000000001000000:0016\t333\n" +
			"process\t7\tmaster\nprocess\t8\tsome (odd) name\nprocess\t9\tapache2\n" +
			"socket\t111\t7\nsocket\t222\t9\nsocket\t222\t8\nsocket\t999\t9\n",
			[]Listener{{"2001:db8::1", 22, "", 0}, {"127.0.0.1", 25, "master", 7}, {"::", 80, "some (odd) name", 8}}},
		"garbage": {"ss4\tLISTEN\nss4\tLISTEN 0 1 nonsense x\nss4\tLISTEN 0 1 1.2.3.4:99999 x\nproc\tXYZ:0019\t1\nnetstat\ttcp\n", []Listener{}},
	} {
		if got := parse(common + test.printed).Listeners; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, test.want)
		}
	}
}

// The script on this machine, with and without the tools that print sockets.
func TestFactsOfThisMachine(t *testing.T) {
	for _, shell := range []string{"sh", "dash", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		without := strings.NewReplacer("has ss &&", "false &&", "has netstat &&", "false &&").Replace(factsText)
		for name, text := range map[string]string{"as it is": factsText, "without ss and netstat": without} {
			out, err := exec.Command(shell, "-c", text, "facts.sh").Output() //nolint:gosec // a test's own
			if err != nil {
				t.Fatalf("%s, %s: %v", shell, name, err)
			}
			m := parse(string(out))
			kernel, err := exec.Command("uname", "-r").Output()
			if err != nil {
				t.Fatal(err)
			}
			if m.Kernel != strings.TrimSpace(string(kernel)) || m.Init == "" || m.Hostname == "" {
				t.Errorf("%s, %s: %+v of\n%s", shell, name, m, out)
			}
		}
	}
}
