package job

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// TestAccRealHosts is what only a real init and a real sshd can show: a job
// outlives the connection and sshd itself, and writes where it may.
func TestAccRealHosts(t *testing.T) {
	l, hosts := lab.Boot(t, "sysv=sysv", "trixie=trixie")
	for _, guest := range hosts {
		t.Run(guest.Name, func(t *testing.T) { onRealHost(t, l, guest) })
	}
}

func onRealHost(t *testing.T, l *lab.Lab, guest *lab.Host) {
	inside := func(text string) string {
		t.Helper()
		out, err := guest.Run(context.Background(), "sh", "-c", text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	agent := false
	config := host.Config{Name: guest.Name, Address: guest.Address, User: "operator", Become: host.Become{Method: "sudo"},
		PrivateKeyPath: l.KeyPath(), KnownHostsPath: l.KnownHostsPath(), SSHConfigPath: "none", Agent: &agent}
	connect := func() (host.Host, func()) {
		pool := host.NewPool(config)
		h, err := pool.Host(guest.Name)
		if err != nil {
			t.Fatal(err)
		}
		return h, func() { _ = pool.Close() }
	}
	systemd := guest.Kind != lab.SysV
	restart := "/etc/init.d/ssh restart"
	if systemd {
		restart = "systemctl restart ssh"
		// The strictest a host can be with what a login has started.
		inside("mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\\nKillUserProcesses=yes\\nKillExcludeUsers=\\n' >/etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind || true")
	}
	inside("mkdir -p '/srv/may \"write\" %h'")
	h, disconnect := connect()
	err := Start(context.Background(), h, Spec{
		Name: "lasting", Token: "t", Writable: []string{`/srv/may "write" %h`},
		Script: host.Script{Text: `
echo ready >"$1/status"
until [ -f "$1/go" ]; do sleep 0.1; done
echo in >'/srv/may "write" %h/file' && echo written >>"$1/result"
if echo out >/srv/outside 2>/dev/null; then echo outside >>"$1/result"; fi
ln -s /etc '/srv/may "write" %h/link'
if echo out >'/srv/may "write" %h/link/outside' 2>/dev/null; then echo "through a link" >>"$1/result"; fi
`},
	})
	if err != nil {
		t.Fatal(err)
	}
	disconnect()
	inside(restart + " >/dev/null 2>&1; for p in $(ps -eo pid,args | awk '/[s]shd.*operator/ { print $1 }'); do kill -9 $p; done; sleep 2")

	h, disconnect = connect()
	defer disconnect()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s, err := Look(ctx, h, "lasting", 0, ""); err != nil || s.Phase != Running || s.Status != "ready" {
		t.Fatalf("after the end of sshd: %+v, %v", s, err)
	}
	if err := Put(ctx, h, "lasting", "t", "go", "go\n"); err != nil {
		t.Fatal(err)
	}
	s, err := Follow(ctx, h, "lasting", "", nil)
	if err != nil || s.Phase != Ended || !strings.HasPrefix(s.Result, "written\n") {
		t.Errorf("%+v, %v", s, err)
	}
	if systemd && s.Result != "written\n" {
		t.Errorf("a confined job wrote: %q", s.Result)
	}
	if err := Remove(ctx, h, "lasting", "t"); err != nil {
		t.Error(err)
	}
	inside("rm -rf /srv/may* /srv/outside /etc/outside")

	// A cancelled job leaves nothing behind either.
	if err := Start(ctx, h, Spec{Name: "lasting", Token: "t", Script: host.Script{Text: "sleep 100"}}); err != nil {
		t.Fatal(err)
	}
	if err := Start(ctx, h, Spec{Name: "lasting", Token: "u"}); !errors.Is(err, ErrTaken) {
		t.Errorf("a second job: %v", err)
	}
	if err := Cancel(ctx, h, "lasting", "t"); err != nil {
		t.Error(err)
	}
	if err := Remove(ctx, h, "lasting", "t"); err != nil {
		t.Error(err)
	}
	if got := inside("ls -d /run/cutover* 2>/dev/null; ps -eo args | grep '[s]leep 100'; true"); got != "" {
		t.Errorf("left: %s", got)
	}
	if systemd {
		if got := inside("systemctl list-units --all --no-legend 'cutover*'; ls /run/systemd/transient | grep cutover; true"); got != "" {
			t.Errorf("units left: %s", got)
		}
	}
}
