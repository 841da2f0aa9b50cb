package vhost

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/batch"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

const (
	// window is how long the first of several changes waits for the others.
	// Terraform starts ten resources within it, and a test of a configuration
	// takes as long.
	window = 100 * time.Millisecond
	// readWindow is the same for reads.
	readWindow = 10 * time.Millisecond
	// most bounds, in sites, how many share a test.
	most = 250
	// fresh is how long a snapshot answers reads: about as long as a refresh.
	fresh = 30 * time.Second
)

// Sites is the sites of one host. Changes of the same moment share a test and
// a reload, and reads share a round trip. Its methods may be called from
// several goroutines at once.
type Sites struct {
	host    host.Host
	now     func() time.Time
	reads   *batch.Queue[struct{}, *Snapshot]
	changes *batch.Queue[Order, outcome]

	mu       sync.Mutex
	changed  int // counts changes, so that a read begun before one is not kept
	snapshot *Snapshot
	readAt   time.Time
	servers  *Snapshot // the last that was read, also if sites have changed since
	knownAt  time.Time
}

// Order is what is to become of a site.
type Order struct {
	Site    Site   // Server "" is whichever the host has
	Text    string // of the file; "": as Render makes it
	Enabled bool
	Adopt   bool // takes over a file that somebody else has made, and keeps a copy of it

	// CreateRoot makes the document root where there is none, for RootOwner, a
	// login name; "": for whoever owns the directory above it.
	CreateRoot bool
	RootOwner  string

	// Ours is whether the file is known to be this one's already.
	Ours bool

	remove bool
}

// Placed is a site after a change.
type Placed struct {
	Server  string // Apache or Nginx
	Path    string // of the file
	Text    string
	Running bool // whether the server runs; if not, it takes the site over when it starts
}

// outcome is what came of one order.
type outcome struct {
	placed Placed
	err    error
}

// NewSites returns the sites of h. Nothing is asked before it is needed.
func NewSites(h host.Host) *Sites {
	s := &Sites{host: h, now: time.Now}
	s.reads = batch.New(readWindow, 0, s.load)
	s.changes = batch.New(window, most, s.apply).Gather()
	return s
}

// Snapshot returns the web servers with all their sites, at most half a minute
// old and never older than a change made through s.
func (s *Sites) Snapshot(ctx context.Context) (*Snapshot, error) {
	s.mu.Lock()
	snapshot, readAt := s.snapshot, s.readAt
	s.mu.Unlock()
	if snapshot != nil && s.now().Sub(readAt) < fresh {
		return snapshot, nil
	}
	return s.reads.Do(ctx, struct{}{})
}

// Servers returns a snapshot whose servers are at most half a minute old, and
// whose files may be older than a change made through s. Terraform plans each
// site once more just before it makes it, and would ask the host each time.
func (s *Sites) Servers(ctx context.Context) (*Snapshot, error) {
	s.mu.Lock()
	servers, knownAt := s.servers, s.knownAt
	s.mu.Unlock()
	if servers != nil && s.now().Sub(knownAt) < fresh {
		return servers, nil
	}
	return s.Snapshot(ctx)
}

// Put makes a site, or changes it to what the order says. Where it fails,
// nothing was changed, unless the error came from the connection: then the
// next Put finishes or undoes it.
func (s *Sites) Put(ctx context.Context, order Order) (Placed, error) {
	if err := order.Site.Check(); err != nil {
		return Placed{}, err
	}
	result, err := s.changes.Do(ctx, order)
	if err != nil {
		return Placed{}, err
	}
	return result.placed, result.err
}

// Remove turns a site off and takes its file away; what the file has replaced
// is put back. The document root stays. That the file is gone already is no
// error.
func (s *Sites) Remove(ctx context.Context, site Site) error {
	result, err := s.changes.Do(ctx, Order{Site: site, Ours: true, remove: true})
	if err != nil {
		return err
	}
	return result.err
}

func (s *Sites) load(ctx context.Context, waiting []struct{}) ([]*Snapshot, error) {
	s.mu.Lock()
	changed, started := s.changed, s.now()
	s.mu.Unlock()
	snapshot, err := s.ask(ctx, nil)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == changed {
		s.snapshot, s.readAt = snapshot, started
	}
	answers := make([]*Snapshot, len(waiting))
	for i := range answers {
		answers[i] = snapshot
	}
	return answers, nil
}

// ask reads the host, and has it answer questions about paths on the way.
func (s *Sites) ask(ctx context.Context, questions []string) (*Snapshot, error) {
	cmd := host.Sh(snapshotScript)
	cmd.Stdin = strings.NewReader(strings.Join(append(questions, ""), "\n"))
	result, err := s.host.Run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	snapshot, err := parseSnapshot(s.host.Name(), string(result.Stdout))
	if err != nil {
		return nil, err
	}
	if len(snapshot.answers) != len(questions) {
		return nil, fmt.Errorf("on host %q: %s answered %d of %d questions", s.host.Name(), snapshotScript.Name, len(snapshot.answers), len(questions))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers, s.knownAt = snapshot, s.now()
	return snapshot, nil
}

func (s *Sites) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed++
	s.snapshot = nil
}

// apply sees to several orders: looks at the host, decides for each alone what
// is to change, and changes it for all of a server together.
func (s *Sites) apply(ctx context.Context, orders []Order) ([]outcome, error) {
	var questions []string
	for _, order := range orders {
		questions = append(questions, order.questions()...)
	}
	snapshot, err := s.ask(ctx, questions)
	if err != nil {
		return nil, err
	}
	s.forget()
	defer s.forget()

	outcomes := make([]outcome, len(orders))
	due := map[string][]*item{}
	taken := map[string]bool{}
	answers := snapshot.answers
	for i, order := range orders {
		n := len(order.questions())
		it, err := decide(snapshot, order, answers[:n])
		answers = answers[n:]
		if err == nil && it.file != "" && taken[it.file] {
			err = &FieldError{"name", fmt.Errorf("on host %q, %s is made by two resources; each site needs a name of its own", s.host.Name(), it.file)}
		}
		if err != nil {
			outcomes[i].err = err
			continue
		}
		taken[it.file] = true
		it.outcome = &outcomes[i]
		due[it.server.Name] = append(due[it.server.Name], it)
	}
	for _, name := range []string{Apache, Nginx} {
		s.commit(ctx, due[name])
	}
	return outcomes, nil
}
