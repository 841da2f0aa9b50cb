package tunnel

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// joined gives a transparent tunnel its link: the one that it has already, or
// one that is free on both hosts. It changes nothing.
func (t Tunnel) joined(ctx context.Context, from, to host.Host, old fromFacts, fresh toFacts) (joined Tunnel, objections []error, dropin bool, err error) {
	oldFacts, err := askHost(ctx, from, t.Name)
	if err != nil {
		return t, nil, false, err
	}
	freshFacts, err := askHost(ctx, to, t.Name)
	if err != nil {
		return t, nil, false, err
	}
	oldFacts.addresses = old.addresses
	// An apply that was interrupted may have left one end alone.
	here, there := Tunnel{Name: t.Name}, Tunnel{Name: t.Name}
	hereErr := here.parseLink(old.files[t.directory()+"/link.conf"])
	thereErr := there.parseLink(fresh.files[t.linkDirectory()+"/link.conf"])
	switch {
	case hereErr == nil:
		t.link = here.link
	case thereErr == nil:
		t.link = there.link
	default:
		if t.link, err = pickLink(t.Name, oldFacts, freshFacts); err != nil {
			return t, nil, false, err
		}
	}
	// The firewall that has the rules already, so that none are left in another.
	t.link.fromFirewall = firstOf(here.link.fromFirewall, oldFacts.firewall())
	t.link.toFirewall = firstOf(there.link.fromFirewall, freshFacts.firewall())
	return t, t.linkObjections(from, to, oldFacts, freshFacts), freshFacts.include, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// admitLink brings up the new host's end.
func (t Tunnel) admitLink(ctx context.Context, to host.Host, fresh toFacts) error {
	if _, err := to.Run(ctx, host.Exec("mkdir", "-p", "-m", "755", t.linkDirectory())); err != nil {
		return err
	}
	if err := write(ctx, to, t.newEnd()); err != nil {
		return err
	}
	place := "block"
	if fresh.dropin {
		place = "dropin"
	}
	_, err := to.Run(ctx, host.Sh(toLink, t.Name, t.account(), place))
	return err
}

// supervised reports whether the supervisor that runs is the one that was
// written, so that it need not end, and the link with it.
func (t Tunnel) supervised(old fromFacts, files []textFile) bool {
	for _, file := range files {
		if file.path == t.directory()+"/supervise" && old.files[file.path] != file.content {
			return false
		}
	}
	return true
}

// tryLink waits until both ends are in order, and then until every port
// answers to a program on the old host that calls the host's own addresses: its
// connections go through the translation and the tunnel, and their replies come
// back like a client's.
func (t Tunnel) tryLink(ctx context.Context, from, to host.Host, old fromFacts) error {
	deadline := time.Now().Add(startFor)
	for {
		_, status, _, err := Inspect(ctx, from, to, t.Name, t.InitiateFrom)
		if err != nil {
			return err
		}
		if status == Running {
			break
		}
		if time.Now().After(deadline) {
			return t.withLog(ctx, from, old.init, fmt.Errorf("the tunnel between host %q and host %q was started, but is not in order: %s", from.Name(), to.Name(), status))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	for _, forward := range t.sorted() {
		for _, address := range t.trialAddresses(forward, old.addresses) {
			if err := t.tryForward(ctx, from, to, forward, address, old.init, deadline); err != nil {
				return err
			}
		}
	}
	return nil
}
