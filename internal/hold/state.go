package hold

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed state.sh
var stateText string

var stateScript = host.Script{Name: "hold/state.sh", Text: stateText}

// What makes rules.
const (
	nft      = "nft"
	iptables = "iptables"
	byClock  = "iptables-clock" // iptables whose rules end by the host's clock
)

// facts are a host as state.sh sees it.
type facts struct {
	now     time.Time
	uptime  time.Duration
	boot    string
	arrived int // port of the sshd through which the host was reached, 0 if not known
	ipv6    bool
	tools   []string          // of nft, iptables and ip6tables
	records map[string]State  // by name; Status is Released or ""
	nft     map[string]string // the hold's table as nft lists it, by the name of its table
	saved   map[string][]string
	lists   []string // of xt_recent, that have an entry
}

// look asks the host, in one round trip.
func look(ctx context.Context, h host.Host) (facts, error) {
	out, err := h.Run(ctx, host.Sh(stateScript))
	if err != nil {
		return facts{}, err
	}
	f, err := parse(string(out.Stdout))
	if err != nil {
		return f, fmt.Errorf("on host %q: %s printed %w", h.Name(), stateScript.Name, err)
	}
	return f, nil
}

func parse(out string) (facts, error) {
	f := facts{records: map[string]State{}, nft: map[string]string{}, saved: map[string][]string{}}
	for _, line := range strings.Split(out, "\n") {
		key, rest, _ := strings.Cut(line, " ")
		first, after, _ := strings.Cut(rest, " ")
		switch key {
		case "now":
			seconds, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				return f, fmt.Errorf("no time: %q", line)
			}
			f.now = time.Unix(seconds, 0)
		case "uptime":
			f.uptime = seconds(rest)
		case "boot":
			f.boot = rest
		case "arrived":
			f.arrived, _ = strconv.Atoi(rest)
		case "ipv6":
			f.ipv6 = true
		case "tool":
			f.tools = append(f.tools, rest)
		case "record":
			f.records[first] = f.records[first].with(first, after)
		case "nft":
			name := "cutover_hold_" + first
			f.nft[name] += after + "\n"
		case "iptables", "ip6tables":
			f.saved[key] = append(f.saved[key], rest)
		case "list":
			f.lists = append(f.lists, rest)
		}
	}
	if f.now.IsZero() || f.uptime == 0 {
		return f, fmt.Errorf("no time at all")
	}
	return f, nil
}

func seconds(text string) time.Duration {
	number, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(number) * time.Second
}

// with is the state with a line of its record read into it. What somebody has
// damaged is left at zero.
func (s State) with(name, line string) State {
	s.Name = name
	key, value, _ := strings.Cut(line, " ")
	number, _ := strconv.ParseInt(value, 10, 64)
	switch key {
	case "ports":
		s.Ports = nil
		for _, word := range strings.Fields(value) {
			if port, err := strconv.Atoi(word); err == nil {
				s.Ports = append(s.Ports, port)
			}
		}
	case "after":
		s.ExpiresAfter = seconds(value)
	case "made":
		s.made = time.Unix(number, 0)
	case "begun":
		s.Begun = time.Unix(number, 0)
	case "expires":
		s.Expires = time.Unix(number, 0)
	case "uptime":
		s.uptime = seconds(value)
	case "boot":
		s.boot = value
	case "tool":
		s.tool = value
	case "released_at":
		s.ReleasedAt = time.Unix(number, 0)
	case "released":
		if value == "yes" {
			s.Status = Released
		}
	}
	return s
}

var (
	elements = regexp.MustCompile(`(?s)elements = \{([^}]*)\}`)
	dropped  = regexp.MustCompile(`--dport ([0-9]+) .*(?:--datestop|--name) ([^ ]+) .*-j DROP`)
)

// booted reports whether the hold began before the host's last boot. A
// container that was started again has the boot ID of before, but not the uptime.
func (f facts) booted(s State) bool { return s.boot != f.boot || f.uptime < s.uptime }

// elapsed is how long ago a hold began. The clock, which may have been set,
// counts only across a boot: nothing else goes on counting there, and a
// container's uptime may be that of its machine.
func (f facts) elapsed(s State) time.Duration {
	if f.booted(s) {
		return f.now.Sub(s.Begun)
	}
	return f.uptime - s.uptime
}

// over reports whether the time of a hold has passed. That is how far apart its
// beginning and its end are written down: the ExpiresAfter of one that has
// expired may have been changed since.
func (f facts) over(s State) bool {
	if s.Expires.IsZero() {
		return false // nothing is written down
	}
	return f.elapsed(s) >= s.Expires.Sub(s.Begun) || s.ByClock() && !f.now.Before(s.Expires)
}

// holding are the ports at which a hold makes connections wait right now,
// whatever is written down of it. Where IPv4 and IPv6 have rules of their own,
// those that are held in both.
func (f facts) holding(s State) []int {
	var ports []int
	if table := f.nft[s.table()]; strings.Contains(table, "hook prerouting") && strings.Contains(table, "drop") {
		if set := elements.FindStringSubmatch(table); set != nil {
			for _, element := range strings.Split(set[1], ",") {
				word, _, _ := strings.Cut(strings.TrimSpace(element), " ")
				if port, err := strconv.Atoi(word); err == nil {
					ports = append(ports, port)
				}
			}
		}
		slices.Sort(ports)
		return ports
	}
	ports = f.dropping(iptables, s)
	if !f.ipv6 {
		return ports
	}
	six := f.dropping("ip6tables", s)
	return slices.DeleteFunc(ports, func(port int) bool { return !slices.Contains(six, port) })
}

// ranOut reports whether nftables has the hold's table with nothing in its set
// any more: its time is over, whatever has been done to the host's clock.
func (f facts) ranOut(h Hold) bool {
	table := f.nft[h.table()]
	return strings.Contains(table, "drop") && !elements.MatchString(table)
}

// dropping are the ports for which iptables or ip6tables has a rule of the hold
// that packets reach and whose time is not over.
func (f facts) dropping(tool string, s State) []int {
	var ports []int
	jump := false
	for _, rule := range f.saved[tool] {
		switch {
		case rule == "-A PREROUTING -j "+s.chain():
			jump = true
		case strings.HasPrefix(rule, "-A "+s.chain()+" "):
			found := dropped.FindStringSubmatch(rule)
			if found == nil {
				continue
			}
			port, _ := strconv.Atoi(found[1])
			until, err := time.Parse(dateStop, found[2])
			if err == nil && !f.now.After(until) || slices.Contains(f.lists, found[2]) && !f.over(s) {
				ports = append(ports, port)
			}
		}
	}
	if !jump {
		return nil
	}
	slices.Sort(ports)
	return ports
}

// state is what has become of a hold; found is false where the host has nothing
// of it. What the kernel does comes before what is written down.
func (f facts) state(name string) (s State, found bool) {
	s, recorded := f.records[name]
	s.Name = name
	holding := f.holding(s)
	missing := slices.DeleteFunc(s.sorted(), func(port int) bool { return slices.Contains(holding, port) })
	switch {
	case !recorded && len(holding) == 0:
		return s, false
	case !recorded:
		s.Ports = holding
		s.Status = Lost + ": what was written down of it in /var/lib/cutover is gone"
	case len(s.Ports) == 0 || s.Expires.IsZero() || s.uptime == 0:
		s.Status = Lost + ": what is written down of it in /var/lib/cutover was damaged"
	case len(missing) == 0:
		s.Status = Held
	case s.Status == Released:
	case f.over(s) || f.ranOut(s.Hold):
		s.Status = Expired
	case f.booted(s):
		s.Status = Lost + ": the host was booted, which ended it"
	default:
		s.Status = fmt.Sprintf("%s: its rules for port %s are gone, as after a reload of the firewall", Lost, list(missing, ", "))
	}
	return s, true
}
