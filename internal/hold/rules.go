package hold

import (
	"fmt"
	"strings"
	"time"
)

// Both rule sets are to run before any DNAT, or connections that are led
// elsewhere would pass; both ask for a SYN alone instead of conntrack's "new",
// which would load conntrack on a host that does without. A local destination,
// or a router would hold what it forwards for others.

// dateStop is how xt_time has dates, in UTC: iptables-extensions(8).
const dateStop = "2006-01-02T15:04:05"

// nftables are the rules for nft(8), in one transaction, whatever was there
// before. The elements of the set vanish by themselves after remaining.
func (h Hold) nftables(remaining time.Duration) string {
	var elements []string
	for _, port := range h.sorted() {
		elements = append(elements, fmt.Sprintf("%d timeout %ds", port, int(remaining.Seconds())))
	}
	return fmt.Sprintf(`table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	set held {
		type inet_service
		flags timeout
		elements = { %[2]s }
	}
	chain arriving {
		type filter hook prerouting priority -300; policy accept;
		iif lo accept
		fib daddr type local tcp dport @held tcp flags & (fin | syn | rst | ack) == syn drop
	}
}
`, h.table(), strings.Join(elements, ", "))
}

// iptables are the rules for iptables-restore(8) and ip6tables-restore(8) but
// for the jump to the chain, the names LIST and ANY, and the COMMIT, which are
// for hold.sh. The chain is emptied first if it is there already.
//
// xt_recent counts the time that has passed since an entry was made, whatever
// is done to the clock. The one entry of a list whose mask has no bits is found
// for every packet. Once its time is over, the first packet takes it away
// (--reap): the ticks of a kernel of 32 bits come round after some weeks, and it
// would look new again.
func (h Hold) iptables(remaining time.Duration) string {
	return h.dropping(fmt.Sprintf("-m recent --rcheck --seconds %d --reap --name LIST --mask ANY --rdest", int(remaining.Seconds())))
}

// byClock are the same rules for a host whose xt_recent has no --mask (before
// Linux 3.5 and iptables 1.4.15) or is not to be had. They end when the host's
// clock says so: later if it is set back, sooner if it is set forward.
func (h Hold) byClock(expires time.Time) string {
	return h.dropping("-m time --utc --datestop " + expires.UTC().Format(dateStop))
}

func (h Hold) dropping(inTime string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*mangle\n:%[1]s - [0:0]\n-A %[1]s -i lo -j RETURN\n", h.chain())
	for _, port := range h.sorted() {
		fmt.Fprintf(&b, "-A %s -p tcp --dport %d --syn -m addrtype --dst-type LOCAL %s -j DROP\n", h.chain(), port, inTime)
	}
	return b.String()
}

// record is what the host remembers of a hold, in /var/lib/cutover, so that
// one that was released or has expired is told from one that was lost.
func (s State) record() string {
	released := "no"
	if s.Status == Released {
		released = "yes"
		if !s.ReleasedAt.IsZero() {
			released += fmt.Sprintf("\nreleased_at %d", s.ReleasedAt.Unix())
		}
	}
	made := ""
	if !s.made.IsZero() {
		made = fmt.Sprintf("made %d\n", s.made.Unix())
	}
	return fmt.Sprintf(`# Managed by Terraform: cutover_connection_hold %q.
# Destroying the resource removes this file.
ports %s
after %d
%sbegun %d
expires %d
uptime %d
boot %s
tool %s
released %s
`, s.Name, list(s.sorted(), " "), int(s.ExpiresAfter.Seconds()), made, s.Begun.Unix(), s.Expires.Unix(), int(s.uptime.Seconds()), s.boot, s.tool, released)
}
