package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Names and subnets follow from a lab's number, so that a teardown needs
// nothing else. A bridge and the machine's link to it have the same name, in
// two namespaces. The prefix keeps link names below the kernel's 15 characters.
func bridgeName(index int) string { return "cvl" + strconv.Itoa(index) }

// subnet4 is the first three bytes of a lab's /24.
func subnet4(index int) string { return "10.231." + strconv.Itoa(index) }

// subnet6 is a lab's /64, a unique local one, up to the "::".
func subnet6(index int) string { return fmt.Sprintf("fd63:766c:6162:%x", index) }

// Hosts have the numbers from 10, clients those from 100.
const (
	firstHost   = 10
	firstClient = 100
	lastClient  = 250
)

func (l *Lab) address(number int) (v4, v6 string) {
	// In canonical form, as ssh and every log writes it.
	return fmt.Sprintf("%s.%d", subnet4(l.index), number), netip.MustParseAddr(fmt.Sprintf("%s::%d", subnet6(l.index), number)).String()
}

// plugArguments are what guest.sh and client.sh want to know of the network,
// for the link on the bridge's side of a host ('h') or client ('c').
func (l *Lab) plugArguments(kind rune, number int) []string {
	v4, v6 := l.address(number)
	// 02 is a locally administered address; the rest says whose it is.
	mac := fmt.Sprintf("02:63:76:6c:%02x:%02x", l.index, number)
	return []string{bridgeName(l.index), l.linkName(kind, number), mac, v4 + "/24", v6 + "/64"}
}

func (l *Lab) linkName(kind rune, number int) string {
	return fmt.Sprintf("%s%c%d", bridgeName(l.index), kind, number)
}

// createBridge makes the bridge in a network namespace of its own and joins
// the machine to it with a link that has the bridge's name.
func (l *Lab) createBridge(ctx context.Context) error {
	name := bridgeName(l.index)
	v4, v6 := l.address(1)
	var err error
	l.bridge, err = startSleeper(ctx, exec.Command("unshare", "--mount", "--net", "sh", "-c", script("switch.sh"), "switch.sh",
		cgroupOf(l.index)+"/bridge", name))
	if err != nil {
		return fmt.Errorf("making the bridge: %w", err)
	}
	for _, argv := range [][]string{
		{"ip", "link", "add", name, "type", "veth", "peer", "name", "uplink", "netns", strconv.Itoa(l.bridge.pid)},
		{"nsenter", l.bridgeNamespace(), "ip", "link", "set", "uplink", "master", name, "up"},
		{"ip", "address", "add", v4 + "/24", "dev", name},
		{"ip", "address", "add", v6 + "/64", "dev", name, "nodad"},
		{"ip", "link", "set", name, "up"},
	} {
		if _, err := output(ctx, argv[0], argv[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// bridgeNamespace is nsenter's option for the network namespace of the bridge.
func (l *Lab) bridgeNamespace() string { return fmt.Sprintf("--net=/proc/%d/ns/net", l.bridge.pid) }

// removeLink removes the machine's link to a lab. All other links of the lab
// went with their namespaces, and this one is about to.
func removeLink(ctx context.Context, index int) error {
	name := bridgeName(index)
	if _, err := net.InterfaceByName(name); err != nil {
		return nil //nolint:nilerr // no such link: it is gone
	}
	_, err := output(ctx, "ip", "link", "delete", name)
	if _, gone := net.InterfaceByName(name); gone != nil {
		return nil //nolint:nilerr // no such link: it is gone
	}
	return err
}

// inNetwork calls f on a thread that is in the network namespace of a process.
// Sockets that f makes on its own goroutine belong to that namespace for good.
func inNetwork(pid int, f func() error) error {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer there.Close()
	done := make(chan error, 1)
	go func() {
		// The thread is brought back: its end would end, too, what terraform-exec
		// has started from it (PR_SET_PDEATHSIG in prctl(2)). Only where that
		// fails does it stay locked and end with this goroutine.
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer here.Close()
		defer func() {
			if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering the network namespace of process %d: %w", pid, err)
			return
		}
		done <- f()
	}()
	return <-done
}
