package traffic

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed state.sh
var stateText string

var stateScript = host.Script{Name: "traffic/state.sh", Text: stateText}

// What can count.
const (
	nft       = "nft"
	iptables  = "iptables"
	ip6tables = "ip6tables"
)

// facts are a host as state.sh sees it.
type facts struct {
	now, since     time.Time
	init           string // "systemd", "sysv" or ""
	tools          []string
	files          []string
	ports          []int
	table          string // as nft lists it
	saved          []string
	recent         map[string][]string // lines of a list, by its name
	jiffies, later int64
}

func look(ctx context.Context, h host.Host, c counter) (facts, error) {
	out, err := h.Run(ctx, host.Sh(stateScript, c.name, c.table()))
	if err != nil {
		return facts{}, err
	}
	f := facts{recent: map[string][]string{}}
	for _, line := range strings.Split(string(out.Stdout), "\n") {
		key, value, _ := strings.Cut(line, " ")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "now":
			f.now = time.Unix(number, 0)
		case "since":
			f.since = time.Unix(number, 0)
		case "init":
			f.init = value
		case "tool":
			f.tools = append(f.tools, value)
		case "file":
			f.files = append(f.files, value)
		case "ports":
			for _, word := range strings.Fields(value) {
				if port, err := strconv.Atoi(word); err == nil {
					f.ports = append(f.ports, port)
				}
			}
		case nft:
			f.table += value + "\n"
		case iptables, ip6tables:
			f.saved = append(f.saved, value)
		case "recent":
			list, entry, _ := strings.Cut(value, " ")
			f.recent[list] = append(f.recent[list], entry)
		case "jiffies":
			f.jiffies = number
		case "later":
			f.later = number
		}
	}
	if f.now.Unix() <= 0 {
		return f, fmt.Errorf("on host %q: %s did not say what time it is", h.Name(), stateScript.Name)
	}
	return f, nil
}

// counting reports whether the rules of the counter are there.
func (f facts) counting() bool { return f.table != "" || len(f.saved) > 0 }

// report is what was counted for each of the ports.
func (f facts) report(c counter) Report {
	r := Report{Since: f.since, Now: f.now}
	for _, number := range f.ports {
		port := Port{Number: number, Sent: -1}
		if f.table != "" {
			port.Connections, _ = f.named("new", number)
			_, port.Received = f.named("in", number)
			_, port.Sent = f.named("out", number)
			port.Clients = f.members(number)
		} else {
			port.Connections, port.Received = f.rules(number)
			port.Clients = append(f.listed("cvc-"+c.name, number), f.listed("cvc6-"+c.name, number)...)
		}
		slices.SortFunc(port.Clients, func(a, b Client) int {
			return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Address, b.Address))
		})
		r.Ports = append(r.Ports, port)
	}
	return r
}

// named is a counter of the table.
func (f facts) named(what string, port int) (packets, bytes int64) {
	pattern := regexp.MustCompile(fmt.Sprintf(`counter %s_%d \{\s*(?:comment "[^"]*"\s*)?packets ([0-9]+) bytes ([0-9]+)`, what, port))
	return numbers(pattern.FindStringSubmatch(f.table))
}

func numbers(found []string) (first, second int64) {
	if len(found) == 3 {
		first, _ = strconv.ParseInt(found[1], 10, 64)
		second, _ = strconv.ParseInt(found[2], 10, 64)
	}
	return first, second
}

// member is an element of the sets of clients: "25 . 192.0.2.7 expires 6d23h59m58s996ms".
var member = regexp.MustCompile(`([0-9]+) \. ([0-9a-f.:]+)(?: timeout [0-9a-z]+)? expires ([0-9a-z]+)`)

// members are the clients of a port in the table's sets. An element lives for
// Keep from its last update: so when it expires tells when that was.
func (f facts) members(port int) []Client {
	var clients []Client
	for _, found := range member.FindAllStringSubmatch(f.table, -1) {
		if found[1] != strconv.Itoa(port) {
			continue
		}
		clients = append(clients, Client{found[2], f.now.Add(span(found[3]) - Keep)})
	}
	return clients
}

var spanPart = regexp.MustCompile(`([0-9]+)(ms|[wdhms])`)

// span reads a time as nft writes it, such as 6d23h59m58s996ms.
func span(text string) time.Duration {
	units := map[string]time.Duration{
		"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
	}
	var total time.Duration
	for _, part := range spanPart.FindAllStringSubmatch(text, -1) {
		number, _ := strconv.ParseInt(part[1], 10, 64)
		total += time.Duration(number) * units[part[2]]
	}
	return total
}

// counted is a rule as iptables-save -c has it.
var counted = regexp.MustCompile(`^\[([0-9]+):([0-9]+)\] .*--dport ([0-9]+)\b(.*)$`)

// rules are the counters of a port's rules, of both families together.
func (f facts) rules(port int) (connections, received int64) {
	for _, rule := range f.saved {
		found := counted.FindStringSubmatch(rule)
		if found == nil || found[3] != strconv.Itoa(port) {
			continue
		}
		packets, bytes := numbers(found[:3])
		if strings.Contains(found[4], "-m recent") {
			connections += packets
		} else {
			received += bytes
		}
	}
	return connections, received
}

var entry = regexp.MustCompile(`src=([0-9a-f.:]+) .*last_seen: ([0-9]+)`)

// listed are the clients of a port in a list of xt_recent.
func (f facts) listed(list string, port int) []Client {
	var clients []Client
	for _, line := range f.recent[fmt.Sprintf("%s-%d", list, port)] {
		found := entry.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		address := found[1]
		if parsed, err := netip.ParseAddr(address); err == nil {
			address = parsed.String() // xt_recent writes all zeros of IPv6
		}
		tick, _ := strconv.ParseInt(found[2], 10, 64)
		clients = append(clients, Client{address, f.now.Add(-f.ago(tick))})
	}
	return clients
}

// ticks are how many a second kernels have: CONFIG_HZ.
var ticks = []int64{100, 250, 300, 1000}

// ago is how long ago a tick of the kernel's clock was.
func (f facts) ago(tick int64) time.Duration {
	second := f.later - f.jiffies
	nearest := slices.MinFunc(ticks, func(a, b int64) int { return cmp.Compare(max(a-second, second-a), max(b-second, second-b)) })
	return time.Duration(max(f.jiffies-tick, 0)) * time.Second / time.Duration(nearest)
}
