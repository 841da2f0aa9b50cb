package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Pool holds the hosts of one provider configuration, each with at most one
// connection, which is made when it is first needed.
type Pool struct {
	hosts map[string]*remote

	commands atomic.Int64
	fileOps  atomic.Int64
}

// Stats counts what a pool has asked of its hosts.
type Stats struct {
	Commands int64 // calls of Run and WriteFile
	FileOps  int64 // calls of ReadFile, Rename and Remove
}

// NewPool returns a pool of the given hosts. It connects to none of them.
func NewPool(configs ...Config) *Pool {
	p := &Pool{hosts: map[string]*remote{}}
	for _, cfg := range configs {
		p.hosts[cfg.Name] = &remote{cfg: cfg, pool: p, connecting: make(chan struct{}, 1)}
	}
	return p
}

// Host returns a host by its name. It does not connect.
func (p *Pool) Host(name string) (Host, error) {
	if h, ok := p.hosts[name]; ok {
		return h, nil
	}
	var known []string
	for name := range p.hosts {
		known = append(known, fmt.Sprintf("%q", name))
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("there is no host %q: the provider's block has no hosts", name)
	}
	slices.Sort(known)
	return nil, fmt.Errorf("there is no host %q in the provider's block, which has %s", name, strings.Join(known, ", "))
}

// Stats returns what was counted since the pool was made.
func (p *Pool) Stats() Stats {
	return Stats{Commands: p.commands.Load(), FileOps: p.fileOps.Load()}
}

// Close closes all connections. Commands that still run lose theirs.
func (p *Pool) Close() error {
	for _, h := range p.hosts {
		h.mu.Lock()
		l := h.link
		h.link, h.closed = nil, true
		h.mu.Unlock()
		if l != nil {
			l.close()
		}
	}
	return nil
}

// remote is a Host reached over SSH.
type remote struct {
	cfg        Config
	pool       *Pool
	connecting chan struct{} // held while connecting

	mu     sync.Mutex
	link   *link
	closed bool
	failed failure
}

// failure is the last attempt to connect, where it failed. It is believed for as long as
// it took to find out: of fifty resources on a host that is out of reach not each one
// waits, nor tries a login that is refused.
type failure struct {
	err   error
	until time.Time
	ended time.Time
}

// holds says whether whoever began to wait at that time is told the same.
func (f failure) holds(asked time.Time) bool {
	return f.err != nil && (asked.Before(f.ended) || asked.Before(f.until))
}

var _ Host = (*remote)(nil)

var errPoolClosed = errors.New("the connections are closed already")

// Name returns the host's name; see Host.
func (h *remote) Name() string { return h.cfg.Name }

// connectError is a host that was not reached. Its text names the host.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// connected returns the live connection, and makes one where there is none.
func (h *remote) connected(ctx context.Context) (*link, error) {
	asked := time.Now()
	select {
	case h.connecting <- struct{}{}:
		defer func() { <-h.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	l, closed, failed := h.link, h.closed, h.failed
	h.mu.Unlock()
	if closed {
		return nil, errPoolClosed
	}
	if l != nil && !l.lost() {
		return l, nil
	}
	if failed.holds(asked) {
		return nil, &connectError{failed.err}
	}
	began := time.Now()
	t, err := resolve(ctx, h.cfg)
	if err == nil {
		l, err = connect(ctx, t)
	}
	if err != nil {
		if ctx.Err() == nil {
			h.mu.Lock()
			ended := time.Now()
			h.failed = failure{err, ended.Add(ended.Sub(began)), ended}
			h.mu.Unlock()
		}
		return nil, &connectError{err}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = failure{}
	if h.closed {
		l.shut()
		return nil, errPoolClosed
	}
	h.link = l
	return l, nil
}

// withLink does something on the connection. Where that turns out to be gone
// before anything was sent, it is done on a new one, for as long as a connect
// may take.
func (h *remote) withLink(ctx context.Context, do func(*link) error) error {
	began := time.Now()
	for {
		l, err := h.connected(ctx)
		if err != nil {
			return err
		}
		err = do(l)
		if !errors.Is(err, errLinkLost) || isSent(err) || ctx.Err() != nil || time.Since(began) > h.cfg.timeout() {
			return err
		}
		l.shut()
		<-l.dead
	}
}

// isSent tells whether err is of a command that had been sent.
func isSent(err error) bool {
	var sent *runError
	return errors.As(err, &sent) || errors.Is(err, errLostWhileSending)
}

// Dial opens a connection from the host; see Host.
func (h *remote) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := h.withLink(ctx, func(l *link) (err error) {
		conn, err = l.dial(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, h.named(err, "connect from there to "+address)
	}
	return conn, nil
}

// Identity says how the host was reached; see Host.
func (h *remote) Identity(ctx context.Context) (Identity, error) {
	l, err := h.connected(ctx)
	if err != nil {
		return Identity{}, err
	}
	return l.identity(ctx)
}

func (l *link) identity(ctx context.Context) (Identity, error) {
	found, err := l.findRights(ctx)
	if err != nil {
		return Identity{}, err
	}
	port, err := strconv.Atoi(l.target.port)
	if err != nil {
		return Identity{}, fmt.Errorf("host %q: port %q: %w", l.target.Name, l.target.port, err)
	}
	return Identity{
		Address: l.target.host, Port: port, User: l.target.login, Become: found.method,
		HostKey: authorizedForm(l.hostKey), ServerVersion: string(l.client.ServerVersion()),
	}, nil
}
