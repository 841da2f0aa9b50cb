package skeleton

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/batch"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// window is how long the first of several requests waits for the others.
const window = 10 * time.Millisecond

// most bounds, in homes, how much one run on the host does.
const most = 250

// Homes is the homes of one host. Requests of the same moment share one round
// trip, and all reads of half a minute share a survey. Its methods may be called
// from several goroutines at once.
type Homes struct {
	host    host.Host
	blocks  *batch.Queue[block, answer]
	surveys surveys
}

// NewHomes returns the homes of h. Nothing is asked before it is needed.
func NewHomes(h host.Host) *Homes {
	homes := &Homes{host: h}
	homes.blocks = batch.New(window, most, homes.run)
	homes.surveys.init(h)
	return homes
}

// Look reads entries of a home by their paths; it changes nothing. What it says
// is at most half a minute old and never older than a change made through h.
func (h *Homes) Look(ctx context.Context, user, home string, paths []string) (Found, error) {
	if err := (Spec{User: user, Home: home}).Check(); err != nil {
		return Found{}, err
	}
	for _, name := range paths {
		if err := CheckPath(name); err != nil {
			return Found{}, err
		}
	}
	a, surveyed, err := h.surveys.look(ctx, user, home, paths)
	if err == nil && !surveyed {
		a, err = h.blocks.Do(ctx, block{user: user, home: home, requests: lookAt(paths)})
	}
	if err != nil {
		return Found{}, err
	}
	return a.Found, a.err
}

// Make brings a home to what s says. before is what earlier calls made: of
// that, what s no longer wants is removed where it is empty or unchanged.
func (h *Homes) Make(ctx context.Context, s Spec, before Created) (Report, error) {
	report := Report{Created: maps.Clone(before)}
	if report.Created == nil {
		report.Created = Created{}
	}
	if err := s.Check(); err != nil {
		return report, err
	}
	wanted := s.paths()
	b := making(s, before)
	unwanted := Created{}
	for name, what := range before {
		if !wanted[name] && !holds(wanted, name) {
			unwanted[name] = what
		}
	}
	b.requests = append(b.requests, removing(unwanted)...)
	if s.Skel {
		b.requests = append(b.requests, "skel") // brings back what it had made
	}
	b.noted, b.paths = true, downwards(wanted)
	h.surveys.forget()
	a, err := h.blocks.Do(ctx, b)
	h.surveys.forget()
	if err != nil {
		return report, err
	}
	for name := range unwanted {
		if a.err == nil {
			delete(report.Created, name)
		}
	}
	maps.Copy(report.Created, a.made)
	report.Found, report.Left = a.Found, a.left
	if a.err == nil {
		a.err = missing(h.host.Name(), s.User, a.Found)
	}
	return report, a.err
}

// holds reports whether one of the paths is below the directory name.
func holds(paths map[string]bool, name string) bool {
	for other := range paths {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// Remove removes what was created, as far as it is still empty or unchanged,
// and returns what it left. A user or home that is gone is no error.
func (h *Homes) Remove(ctx context.Context, user, home string, created Created) (kept []string, err error) {
	if err := (Spec{User: user, Home: home}).Check(); err != nil {
		return nil, err
	}
	h.surveys.forget()
	a, err := h.blocks.Do(ctx, block{user: user, home: home, requests: removing(created), forget: true})
	h.surveys.forget()
	if err != nil {
		return nil, err
	}
	slices.Sort(a.kept)
	return a.kept, a.err
}

func missing(hostName, user string, found Found) error {
	switch {
	case !found.User:
		return fmt.Errorf("on host %q: there is no user %s; a cutover_host_user makes one", hostName, user)
	case !found.HasHome:
		return fmt.Errorf("on host %q: the home of %s, %s, is not there; create_home of cutover_host_user makes one", hostName, user, found.Home)
	}
	return nil
}

func (h *Homes) run(ctx context.Context, blocks []block) ([]answer, error) {
	var input strings.Builder
	for _, b := range blocks {
		input.WriteString(b.String())
	}
	cmd := host.Sh(script)
	cmd.Stdin = strings.NewReader(input.String())
	result, err := h.host.Run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return parse(h.host.Name(), string(result.Stdout), blocks)
}
