package hold

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/xtables"
)

//go:embed hold.sh
var holdText string

//go:embed lift.sh
var liftText string

var (
	holdScript = host.Script{Name: "hold/hold.sh", Text: holdText}
	liftScript = host.Script{Name: "hold/lift.sh", Text: xtables.Unmake + liftText}
)

// undoFor bounds the undoing of a hold that could not be made.
const undoFor = time.Minute

// ErrLeftovers marks the error of a Begin that failed and could not clean up
// behind itself.
var ErrLeftovers = errors.New("parts of the hold may be left on the host, which ends it on time all the same; apply or destroy again once it can be reached")

// Holds are the connection holds of one host. Its methods may be called from
// several goroutines at once; changes are made one after the other, so that of
// two holds over the same port the second is told of the first.
type Holds struct {
	host host.Host
	mu   sync.Mutex
}

// NewHolds are the holds of a host.
func NewHolds(h host.Host) *Holds { return &Holds{host: h} }

// Read returns a hold as it is; found is false where the host has nothing of it.
func (h *Holds) Read(ctx context.Context, name string) (s State, found bool, err error) {
	f, err := look(ctx, h.host)
	if err != nil {
		return State{}, false, err
	}
	s, found = f.state(name)
	return s, found, nil
}

// Begin makes the hold, for its full time from now. One that a Begin of before
// has left behind is taken over.
func (h *Holds) Begin(ctx context.Context, wanted Hold) (State, error) {
	if err := wanted.validate(); err != nil {
		return State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := look(ctx, h.host)
	if err != nil {
		return State{}, err
	}
	if there, found := f.state(wanted.Name); found && there.Status == Held && !slices.Equal(there.sorted(), wanted.sorted()) {
		return there, fmt.Errorf("host %[1]q has a hold %[2]q already, over port %[3]s until %[4]s; import it (terraform import … %[1]s/%[2]s), or choose another name",
			h.host.Name(), wanted.Name, list(there.sorted(), ", "), there.Expires.UTC().Format(time.RFC3339))
	}
	begun := State{Hold: wanted, Begun: f.now, Expires: f.now.Add(wanted.ExpiresAfter), uptime: f.uptime, boot: f.boot}
	if begun, err = h.apply(ctx, f, begun, wanted.ExpiresAfter); err == nil {
		return begun, nil
	}
	var nothing *objection
	if errors.As(err, &nothing) {
		return begun, err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoFor)
	defer cancel()
	if left := h.lift(undo, begun, ""); left != nil {
		return begun, errors.Join(err, left, ErrLeftovers)
	}
	return begun, err
}

// Change gives a hold other ports or another time, counted from its beginning.
// Of one that is over, only what is written down changes: whoever wants it anew
// begins it anew.
func (h *Holds) Change(ctx context.Context, wanted Hold) (State, error) {
	if err := wanted.validate(); err != nil {
		return State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := look(ctx, h.host)
	if err != nil {
		return State{}, err
	}
	s, found := f.state(wanted.Name)
	if !found {
		return s, fmt.Errorf("host %q has nothing of the hold %q any more; the next plan makes it anew", h.host.Name(), wanted.Name)
	}
	s.Hold = wanted
	if s.Status == Released || s.Status == Expired {
		return s, h.run(ctx, s, "none", "", false)
	}
	if s.Begun.IsZero() || s.uptime == 0 {
		s.Begun, s.uptime, s.boot = f.now, f.uptime, f.boot
	}
	elapsed := f.elapsed(s)
	s.Expires, s.uptime, s.boot = s.Begun.Add(wanted.ExpiresAfter), f.uptime-elapsed, f.boot
	if elapsed >= wanted.ExpiresAfter { // the new time is over already
		s.Status = Expired
		return s, h.lift(ctx, s, s.record())
	}
	return h.apply(ctx, f, s, wanted.ExpiresAfter-elapsed)
}

// Release lets waiting connections in: what clients repeat now gets through.
// found is false where the host has no such hold, which then holds nothing.
// One that has expired stays so.
func (h *Holds) Release(ctx context.Context, name string) (s State, found bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := look(ctx, h.host)
	if err != nil {
		return State{}, false, err
	}
	s, found = f.state(name)
	if !found {
		return s, false, nil
	}
	if s.Status != Expired && s.Status != Released {
		s.Status, s.ReleasedAt = Released, f.now
	}
	return s, true, h.lift(ctx, s, s.record())
}

// Again holds the ports of a hold that was released once more, for its full time from
// now: who comes while a tunnel ends waits until the old services run. It stays the same
// hold, with the same ID. found is false where the host has no such hold.
func (h *Holds) Again(ctx context.Context, name string) (s State, found bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := look(ctx, h.host)
	if err != nil {
		return State{}, false, err
	}
	before, found := f.state(name)
	if !found || before.Status == Held {
		return before, found, nil
	}
	if err := before.validate(); err != nil {
		return before, true, err
	}
	s = State{Hold: before.Hold, made: before.made, Begun: f.now, Expires: f.now.Add(before.ExpiresAfter), uptime: f.uptime, boot: f.boot}
	if s.made.IsZero() {
		s.made = before.Begun
	}
	if s, err = h.apply(ctx, f, s, before.ExpiresAfter); err == nil {
		return s, true, nil
	}
	var nothing *objection
	if errors.As(err, &nothing) {
		return before, true, err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoFor)
	defer cancel()
	return before, true, errors.Join(err, h.lift(undo, s, before.record()))
}

// Lift ends a hold and removes all that the host has of it. What is gone
// already is no error.
func (h *Holds) Lift(ctx context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := look(ctx, h.host)
	if err != nil {
		return err
	}
	s, _ := f.state(name)
	return h.lift(ctx, s, "")
}

// objection is an error before anything was changed.
type objection struct{ error }

func (o *objection) Unwrap() error { return o.error }

// preflight finds out, without changing anything, whether the ports can be
// held. All that is in the way is in the error.
func (h *Holds) preflight(ctx context.Context, f facts, wanted Hold) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(makers(f)) == 0 {
		switch {
		case slices.Contains(f.tools, iptables):
			problem("host %q speaks IPv6 and has neither nftables nor ip6tables that work; install one there: apt-get install nftables", h.host.Name())
		default:
			problem("host %q has neither nftables nor iptables that work, one of which has to hold connections; install one there: apt-get install nftables. "+
				"A container may lack the right to use them", h.host.Name())
		}
	}
	identity, err := h.host.Identity(ctx)
	if err != nil {
		return err
	}
	for _, port := range []int{f.arrived, identity.Port} {
		if slices.Contains(wanted.Ports, port) {
			problem("port %d of host %q is the one through which Terraform itself comes in; held, it would lock out whoever is to lift the hold", port, h.host.Name())
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.records)) {
		other, _ := f.state(name)
		if name == wanted.Name || other.Status != Held {
			continue
		}
		both := slices.DeleteFunc(wanted.sorted(), func(port int) bool { return !slices.Contains(other.Ports, port) })
		if len(both) > 0 {
			problem("port %s of host %q is held already, by the hold %q until %s", list(both, ", "), h.host.Name(), name, other.Expires.UTC().Format(time.RFC3339))
		}
	}
	return errors.Join(problems...)
}

// makers are what can hold all that the host speaks, the better one first.
func makers(f facts) []string {
	var tools []string
	if slices.Contains(f.tools, nft) {
		tools = append(tools, nft)
	}
	if slices.Contains(f.tools, iptables) && (!f.ipv6 || slices.Contains(f.tools, "ip6tables")) {
		tools = append(tools, iptables, byClock)
	}
	return tools
}

// apply makes the rules with the first tool that can, for the time that remains,
// and has the host confirm that they hold.
func (h *Holds) apply(ctx context.Context, f facts, s State, remaining time.Duration) (State, error) {
	if err := h.preflight(ctx, f, s.Hold); err != nil {
		return s, &objection{err}
	}
	var failures []error
	for _, tool := range makers(f) {
		rules := s.nftables(remaining)
		switch tool {
		case iptables:
			rules = s.iptables(remaining)
		case byClock:
			rules = s.byClock(f.now.Add(remaining))
		}
		s.tool, s.Status = tool, Held
		err := h.run(ctx, s, tool, rules, f.ipv6)
		if err == nil {
			failures = nil
			break
		}
		failures = append(failures, err)
		if _, answered := host.ExitCode(err); !answered {
			break
		}
	}
	if len(failures) > 0 {
		return s, errors.Join(failures...)
	}
	after, err := look(ctx, h.host)
	if err != nil {
		return s, err
	}
	if there, _ := after.state(s.Name); there.Status != Held {
		return s, fmt.Errorf("host %q took the rules of the hold %q, but does not hold the ports (%s); look at its firewall: nft list ruleset, or iptables-save", h.host.Name(), s.Name, there.Status)
	}
	return s, nil
}

func (h *Holds) run(ctx context.Context, s State, tool, rules string, ipv6 bool) error {
	six := "no"
	if ipv6 {
		six = "yes"
	}
	command := host.Sh(holdScript, s.Name, tool, s.chain(), six)
	command.Stdin = strings.NewReader(s.record() + "rules\n" + rules)
	_, err := h.host.Run(ctx, command)
	return err
}

func (h *Holds) lift(ctx context.Context, s State, record string) error {
	command := host.Sh(liftScript, s.Name, s.table(), s.chain(), s.tool)
	command.Stdin = strings.NewReader(record)
	_, err := h.host.Run(ctx, command)
	return err
}
