// Package hold makes new TCP connections to a host's ports wait instead of
// being refused, while nothing serves them: for the minutes of a cutover.
//
// The host drops what opens a connection from outside (a SYN), so that clients
// repeat it, as TCP does of itself after 1, 3 and 7 s or sooner. Established
// connections and loopback pass. The kernel itself ends the hold on time, by
// the timeout of an nftables set's elements or of an entry of xt_recent; no
// process has to live for that, and nothing that is done to the host's clock
// counts. Only where xt_recent cannot do it, iptables rules have an end by the
// clock. Rules do not outlive a reboot.
// The package may import internal/host.
package hold

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hold is what is wanted: which ports, and for how long at most.
type Hold struct {
	Name  string // tells holds of a host apart; see CheckName
	Ports []int  // TCP, at least one
	// ExpiresAfter is when the host lifts the hold if nobody does, counted
	// from its beginning; see CheckExpiry.
	ExpiresAfter time.Duration
}

// What a hold is doing, in one word. A fourth status, which begins with Lost,
// says in a sentence that nothing holds although it should.
const (
	Held     = "held"
	Released = "released"
	Expired  = "expired"
	Lost     = "lost"
)

// State is a hold as its host has it.
type State struct {
	Hold
	Begun   time.Time // by the host's clock, as Expires is: for people, and no other
	Expires time.Time
	// ReleasedAt is when it was released, by the host's clock; the zero time where it was not.
	ReleasedAt time.Time
	Status     string // Held, Released, Expired, or Lost with the reason

	made   time.Time     // when a hold that was begun again was begun first
	boot   string        // the host's, in which the hold began
	uptime time.Duration // the host's at that time; less than 0 for a hold of the boot before
	tool   string        // what made the rules: nft, iptables, byClock, or "" where that is not known
}

// ByClock reports whether the host's clock ends the hold, for want of anything
// there that counts the time which has passed.
func (s State) ByClock() bool { return s.tool == byClock }

// maxName keeps CUTOVER-HOLD-NAME within the 28 characters of a chain's name
// (iptables(8)).
const maxName = 15

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// CheckName says why a text cannot be the name of a hold, which becomes part of
// a table's, a chain's and a file's name.
func CheckName(name string) error {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return fmt.Errorf("a hold's name is up to %d lower-case letters, digits and '-', and starts with a letter; %q is not", maxName, name)
	}
	return nil
}

// CheckExpiry says why a hold cannot last that long at most.
func CheckExpiry(after time.Duration) error {
	if after < time.Second || after > 24*time.Hour || after%time.Second != 0 {
		return fmt.Errorf("a hold expires after whole seconds, from 1s to 24h; %s is not that", after)
	}
	return nil
}

// instant is the form of a time in an ID.
const instant = "20060102T150405Z"

// ID names a hold among those of all hosts, as "host/name@begun". The time makes
// a hold that was made anew another one: who is to release it must notice.
func (s State) ID(hostName string) string {
	made := s.made
	if made.IsZero() {
		made = s.Begun
	}
	return hostName + "/" + s.Name + "@" + made.UTC().Format(instant)
}

// ParseID takes an ID apart. The time need not be there.
func ParseID(id string) (hostName, name string, err error) {
	hostName, rest, ok := strings.Cut(id, "/")
	if !ok || hostName == "" {
		return "", "", fmt.Errorf("the ID %q is not HOST/NAME, such as old/cutover", id)
	}
	name, begun, timed := strings.Cut(rest, "@")
	if _, err := time.Parse(instant, begun); timed && err != nil {
		return "", "", fmt.Errorf("the ID %q is not HOST/NAME@TIME: %w", id, err)
	}
	return hostName, name, CheckName(name)
}

// validate says what is wrong with the hold.
func (h Hold) validate() error {
	if err := CheckName(h.Name); err != nil {
		return err
	}
	if len(h.Ports) == 0 {
		return fmt.Errorf("a hold needs at least one port")
	}
	for _, port := range h.Ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%d is no TCP port; those are 1 to 65535", port)
		}
	}
	return CheckExpiry(h.ExpiresAfter)
}

// sorted are the ports, each once.
func (h Hold) sorted() []int {
	ports := slices.Clone(h.Ports)
	slices.Sort(ports)
	return slices.Compact(ports)
}

// table is the hold's own in nftables, whose names know no '-'.
func (h Hold) table() string { return "cutover_hold_" + strings.ReplaceAll(h.Name, "-", "_") }

// chain is the hold's own in iptables and ip6tables.
func (h Hold) chain() string { return "CUTOVER-HOLD-" + h.Name }

func list(ports []int, separator string) string {
	var words []string
	for _, port := range ports {
		words = append(words, strconv.Itoa(port))
	}
	return strings.Join(words, separator)
}
