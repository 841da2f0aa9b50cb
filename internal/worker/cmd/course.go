//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/pass"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// course is a pass of several roots: all are prepared before the first is copied,
// so that what one of them is refused for keeps all from being copied.
type course struct {
	order   *order.Pass
	boot    string
	peer    *pass.Peer
	log     *logFile                      // nil is none
	counts  func() (sent, received int64) // over the wire, so far
	crowded []pass.Crowded
	// When all was listed, and when all was copied; zero as long as it is not.
	begun, listed, copied time.Time

	mu      sync.Mutex
	roots   []*rootCourse
	current int // which of them
}

// rootCourse is what is done about one root.
type rootCourse struct {
	report            *pass.Report
	started, finished time.Time
	sent, received    int64 // over the wire, for this root
}

// run makes the pass. What is refused about any of the roots is in the error.
func (c *course) run(ctx context.Context) error {
	c.begun = time.Now()
	var prepared []*pass.Prepared
	defer func() {
		for _, p := range prepared {
			p.Close()
		}
	}()
	var refused []error
	for i, root := range c.order.Roots {
		o := options(c.order, root, c.boot)
		if c.log != nil {
			o.Log = c.log
		}
		p, err := c.peer.Prepare(ctx, o, c.begin(i).report)
		c.end(i)
		switch {
		case errors.Is(err, pass.ErrRefused):
			refused = append(refused, fmt.Errorf("%s: %w", root.Source, err))
		case err != nil:
			return errors.Join(append(refused, fmt.Errorf("%s: %w", root.Source, err))...)
		default:
			prepared = append(prepared, p)
		}
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	var err error
	if c.crowded, err = pass.Check(prepared...); err != nil {
		return err
	}
	c.listed = time.Now()
	for i, p := range prepared {
		c.begin(i)
		err := p.Run()
		c.end(i)
		if err != nil {
			return fmt.Errorf("%s: %w", c.order.Roots[i].Source, err)
		}
	}
	c.copied = time.Now()
	return nil
}

// begin notes that something is done about a root now.
func (c *course) begin(i int) *rootCourse {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = i
	if i == len(c.roots) {
		c.roots = append(c.roots, &rootCourse{report: pass.NewReport(), started: time.Now().UTC()})
	}
	return c.roots[i]
}

// end notes that what begin has noted is done.
func (c *course) end(i int) {
	sent, received := c.counts()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.roots {
		sent, received = sent-r.sent, received-r.received
	}
	r := c.roots[i]
	r.finished = time.Now().UTC()
	r.sent, r.received = r.sent+sent, r.received+received
}

// status is how far the pass is.
func (c *course) status() order.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := order.Status{Phase: "listing", Root: c.current + 1, Roots: len(c.order.Roots)}
	if len(c.roots) > 0 {
		now := c.roots[c.current].report
		s.Phase, s.Path = now.Phase(), tree.Readable(now.Path())
	}
	for _, r := range c.roots {
		entries, _ := r.report.Done()
		s.Entries += entries
		s.Bytes += r.report.Written()
		allEntries, allBytes := r.report.Expected()
		s.AllEntries += allEntries
		s.AllBytes += allBytes
	}
	if s.Phase == "listing" || s.Phase == "checking" {
		// What is to come of the other roots is not known yet.
		s.AllEntries, s.AllBytes = 0, 0
	}
	return s
}

// watch writes every second how far the pass is, until the function that it
// returns is called.
func (c *course) watch() (ended func()) {
	var rate order.Rate
	say := func() {
		s := c.status()
		s.Rate = rate.Add(time.Now(), s.Bytes)
		// A status that cannot be written stops no pass.
		_ = s.Write(c.order.Status)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			say()
			select {
			case <-ticker.C:
			case <-stop:
				say()
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// fill sets what was done about the roots.
func (c *course) fill(outcome *order.Outcome) {
	for _, r := range c.roots {
		o := order.RootOutcome{Started: r.started, Finished: r.finished, Sent: r.sent, Received: r.received}
		fill(&o, r.report)
		outcome.Roots = append(outcome.Roots, o)
	}
	c.pace(outcome)
	for _, f := range c.crowded {
		f := order.Crowded{Mount: tree.Readable(f.Mount), Bytes: f.Bytes, Free: f.Free, Entries: f.Entries, FreeEntries: f.FreeEntries}
		outcome.Crowded = append(outcome.Crowded, f)
	}
}
