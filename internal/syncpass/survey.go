package syncpass

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// worker is the worker of one of the hosts; see the package deploy.
type worker interface {
	At() host.Host
	Ask(ctx context.Context, question string, asked, answer any) error
	Talk(ctx context.Context, question string, asked any, take func(line []byte) (reply string, err error)) error
}

// survey is what both hosts said before anything was changed.
type survey struct {
	from, to host.Identity
	old      order.OldAnswer
	new      order.NewAnswer
	relay    *relay // nil where the new host reaches the old one by itself
}

// ask surveys both hosts, side by side.
func (p Pass) ask(ctx context.Context, from, to worker) (survey, error) {
	var s survey
	err := both(
		func() (err error) { s.from, err = from.At().Identity(ctx); return err },
		func() (err error) { s.to, err = to.At().Identity(ctx); return err },
	)
	if err != nil {
		return s, err
	}
	return s, both(
		func() error { return p.askOld(ctx, from, &s) },
		func() error { return p.askNew(ctx, to, &s) },
	)
}

// both does something on the old host and on the new one at the same time. Where both
// fail, the error is the old host's.
func both(old, new func() error) error {
	var failed error
	var doing sync.WaitGroup
	doing.Go(func() { failed = new() })
	err := old()
	doing.Wait()
	if err != nil {
		return err
	}
	return failed
}

func (p Pass) askOld(ctx context.Context, from worker, s *survey) error {
	q := order.OldQuestion{User: s.from.User, Become: s.from.Become, Client: s.to.Address}
	if p.Route == Operator {
		q.Client = "127.0.0.1"
	}
	for _, each := range p.Paths {
		q.Paths = append(q.Paths, each.Source)
	}
	if err := from.Ask(ctx, "survey-old", q, &s.old); err != nil {
		return err
	}
	return answered(from.At(), len(s.old.Paths), len(q.Paths))
}

func (p Pass) askNew(ctx context.Context, to worker, s *survey) error {
	q := order.NewQuestion{Job: job(p.chain(endpoint(s.from), endpoint(s.to)))}
	for _, each := range p.Paths {
		q.Targets = append(q.Targets, each.target())
	}
	if err := to.Ask(ctx, "survey-new", q, &s.new); err != nil {
		return err
	}
	return answered(to.At(), len(s.new.Paths), len(q.Targets))
}

func answered(h host.Host, paths, asked int) error {
	if paths != asked {
		return fmt.Errorf("on host %q: the worker was asked for %d paths and answered for %d", h.Name(), asked, paths)
	}
	return nil
}

// listening is where the old host's sshd says that it listens.
func (s survey) listening() []netip.AddrPort {
	var list []netip.AddrPort
	for _, each := range s.old.Listening {
		if at, err := netip.ParseAddrPort(each); err == nil {
			list = append(list, at)
		}
	}
	return list
}
