package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// start makes a lab with hosts "NAME=KIND", booted at once, which ends with
// the test and must then leave nothing.
func start(t *testing.T, specs ...string) (*lab.Lab, []*lab.Host) {
	t.Helper()
	var l *lab.Lab
	t.Cleanup(func() { // after the lab's own end
		if l != nil {
			nothingLeft(t, l.Dir())
		}
	})
	var hosts []*lab.Host
	l, hosts = lab.Boot(t, specs...)
	return l, hosts
}

// nothingLeft fails the test for whatever a lab has left on the machine.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
	bridge := "cvl" + filepath.Base(dir)
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if rest, ours := strings.CutPrefix(link.Name, bridge); ours && strings.Trim(rest, "hc0123456789") == "" && (rest == "" || rest[0] > '9') {
			t.Errorf("link %s is still there", link.Name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir+"/") {
		t.Errorf("a mount below %s is still there:\n%s", dir, mounts)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range processes {
		text, err := os.ReadFile(name)
		// A zombie that nobody has reaped yet is in a group that is "(deleted)".
		if err == nil && !strings.Contains(string(text), "(deleted)") && strings.Contains(string(text), "/cutover-lab/"+filepath.Base(dir)+"/") {
			t.Errorf("a process is still there: %s %s", name, text)
		}
	}
	named, err := filepath.Glob("/run/netns/cvl*")
	if err != nil || len(named) > 0 {
		t.Errorf("network namespaces are still there: %v %v", named, err)
	}
}

func must(t *testing.T) func(out string, err error) string {
	return func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// TestAccCutAndReboot takes a host away in the two ways in which hosts go.
func TestAccCutAndReboot(t *testing.T) {
	l, hosts := start(t, "old=sysv", "new=trixie")
	c, err := l.StartClient(t.Context(), "visitor")
	if err != nil {
		t.Fatal(err)
	}
	reach := func(h *lab.Host) error {
		ctx, cancel := context.WithTimeout(t.Context(), pace.Limit(time.Second))
		defer cancel()
		conn, err := c.Dial(ctx, "tcp", net.JoinHostPort(h.Address, "22"))
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, h := range hosts {
		t.Run(h.Name, func(t *testing.T) {
			if err := h.Cut(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := reach(h); err == nil {
				t.Error("reached a host that is cut off")
			}
			// Inspection does not need the network.
			must(t)(h.Run(t.Context(), "true"))
			if err := h.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.WaitPorts(t.Context(), 22); err != nil {
				t.Fatal(err)
			}

			before, err := h.Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			boot := must(t)(h.Run(t.Context(), "stat", "-c", "%Z", "/proc/1"))
			must(t)(h.Run(t.Context(), "sh", "-c", "echo kept >/root/kept; echo gone >/run/gone; ip route add blackhole 192.0.2.0/24"))
			if err := h.Reboot(t.Context()); err != nil {
				t.Fatal(err)
			}
			if again := must(t)(h.Run(t.Context(), "stat", "-c", "%Z", "/proc/1")); again == boot {
				t.Error("init is the same as before the reboot")
			}
			if out := must(t)(h.Run(t.Context(), "sh", "-c", "cat /root/kept; echo written >/root/kept; ls /run/gone 2>/dev/null; ip route show 192.0.2.0/24")); out != "kept\n" {
				t.Errorf("after the reboot: %q", out)
			}
			if err := h.WaitPorts(t.Context(), 22, 25, 80, 110, 143, 587); err != nil {
				t.Error(err)
			}
			if err := reach(h); err != nil {
				t.Error(err)
			}
			after, err := h.Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := difference(before, after); !slices.Equal(got, []string{"/root/kept"}) {
				t.Errorf("changed over a reboot: %q", got)
			}
		})
	}
}

// TestAccCrash kills a process in the middle of its lab: the next New must leave
// nothing of it, and must not touch a lab that lives.
func TestAccCrash(t *testing.T) {
	lab.Require(t)
	if os.Getenv("LAB_TEST_CRASH") != "" {
		l, err := lab.New(t.Context(), lab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.StartHost(t.Context(), "doomed", lab.Trixie); err != nil {
			t.Fatal(err)
		}
		if _, err := l.StartClient(t.Context(), "doomed"); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("DIR %s\n", l.Dir())
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	l, hosts := start(t, "living=bookworm")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestAccCrash$")
	cmd.Env = append(os.Environ(), "LAB_TEST_CRASH=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child was to be killed: %v\n%s", err, out)
	}
	_, dir, _ := strings.Cut(strings.TrimSpace(string(out)), "DIR ")
	if dir == l.Dir() || dir == "" {
		t.Fatalf("two labs in one directory: %s, %s", dir, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "hosts", "doomed")); err != nil {
		t.Fatalf("a killed process cannot have cleaned up: %v", err)
	}

	next, err := lab.New(t.Context(), lab.Options{Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	// The new lab may well have the number of the dead one.
	if _, err := os.Stat(filepath.Join(dir, "hosts", "doomed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead lab's host is still there (%v)", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, dir)
	nothingLeft(t, next.Dir())
	if err := hosts[0].WaitPorts(t.Context(), 22); err != nil {
		t.Errorf("the living lab has suffered: %v", err)
	}
}

// TestAccTwoLabs runs two labs side by side, with hosts of the same name.
func TestAccTwoLabs(t *testing.T) {
	one, hostsOne := start(t, "new=trixie")
	two, hostsTwo := start(t, "new=trixie")
	if one.Dir() == two.Dir() || hostsOne[0].Address == hostsTwo[0].Address || hostsOne[0].HostKey == hostsTwo[0].HostKey {
		t.Errorf("labs share: %s %s, %s %s", one.Dir(), two.Dir(), hostsOne[0].Address, hostsTwo[0].Address)
	}
	if out, err := ssh(t, one, "root@"+hostsTwo[0].Address, "", "true"); err == nil {
		t.Errorf("one lab's files open the other's host: %s", out)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := ssh(t, two, "root@"+hostsTwo[0].Address, "", "true"); err != nil {
		t.Errorf("after the other lab's end: %v %s", err, out)
	}
	if _, err := one.StartHost(t.Context(), "late", lab.Trixie); err == nil {
		t.Error("a closed lab has started a host")
	}
}

// TestAccBadNames refuses what cannot be a host's name, before anything is made.
func TestAccBadNames(t *testing.T) {
	l, _ := start(t)
	for _, name := range []string{"", "a;reboot", "$(id)", "../up", "Old", "a b", strings.Repeat("x", 40)} {
		if _, err := l.StartHost(t.Context(), name, lab.Trixie); err == nil || !strings.Contains(err.Error(), "is no name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := l.StartHost(t.Context(), "host", "plan9"); err == nil || !strings.Contains(err.Error(), "plan9") {
		t.Errorf("unknown kind: %v", err)
	}
}
