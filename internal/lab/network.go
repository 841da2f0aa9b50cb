package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names and subnets follow from a lab's number, so that a teardown needs
// nothing else. The prefix keeps link names below the kernel's 15 characters.
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

func (l *Lab) createBridge(ctx context.Context) error {
	bridge := bridgeName(l.index)
	v4, v6 := l.address(1)
	for _, args := range [][]string{
		// No spanning tree and no snooping: a link that comes up forwards at once.
		{"link", "add", bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0", "mcast_snooping", "0"},
		{"link", "set", bridge, "up"},
		{"address", "add", v4 + "/24", "dev", bridge},
		{"address", "add", v6 + "/64", "dev", bridge, "nodad"},
	} {
		if _, err := output(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// removeLinks removes a lab's bridge and what is left of its links.
func removeLinks(ctx context.Context, index int) error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	var failed []error
	bridge := bridgeName(index)
	for _, link := range links {
		rest, ours := strings.CutPrefix(link.Name, bridge)
		if !ours || rest != "" && rest[0] != 'h' && rest[0] != 'c' {
			continue
		}
		if _, err := output(ctx, "ip", "link", "delete", link.Name); err != nil {
			// The kernel may have been quicker, now that the other end's namespace is gone.
			if _, gone := net.InterfaceByName(link.Name); gone == nil {
				failed = append(failed, err)
			}
		}
	}
	return errors.Join(failed...)
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
		// Never unlocked: the thread is of no use to others and ends with this
		// goroutine, which is safer than bringing it back.
		runtime.LockOSThread()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering the network namespace of process %d: %w", pid, err)
			return
		}
		done <- f()
	}()
	return <-done
}
