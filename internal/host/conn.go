package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// link is one live SSH connection, shared by all that goes on with a host.
type link struct {
	target  *target
	client  *ssh.Client
	under   []*ssh.Client // bastions
	hostKey ssh.PublicKey // verified
	slots   *slots
	dead    chan struct{} // closed when the connection is gone

	closing sync.Once
	done    sync.WaitGroup

	becoming chan struct{} // held while rights is being found out
	rights   *rights       // how commands get root's rights; nil until known

	opening chan struct{} // held while files is being opened or used up
	files   *fileSession
}

// errLinkLost is a connection that went away before a command was sent on it.
var errLinkLost = errors.New("the connection was lost")

// maxMissed is how many keepalives may stay unanswered.
const maxMissed = 3

func newLink(t *target, client *ssh.Client, under []*ssh.Client, key ssh.PublicKey) *link {
	l := &link{
		target: t, client: client, under: under, hostKey: key,
		slots: newSlots(), dead: make(chan struct{}),
		becoming: make(chan struct{}, 1), opening: make(chan struct{}, 1),
	}
	l.done.Add(2)
	go func() {
		defer l.done.Done()
		defer close(l.dead)
		client.Wait() //nolint:errcheck // that it ended is all that counts; the readers get the error
		closeClients(under)
	}()
	go func() {
		defer l.done.Done()
		l.keepalive(t.keepalive())
	}()
	return l
}

// keepalive asks the server for a sign of life, and closes the connection when
// several questions in a row stay unanswered: TCP alone notices a dead peer
// only after a quarter of an hour.
func (l *link) keepalive(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	answered := make(chan struct{}, 1)
	asked, missed := false, 0
	for {
		select {
		case <-l.dead:
			return
		case <-answered:
			asked, missed = false, 0
		case <-ticker.C:
			if asked {
				if missed++; missed >= maxMissed {
					l.target.log(context.Background(), "no answer to keepalives, connection closed", nil)
					l.shut()
					return
				}
				continue
			}
			asked = true
			go func() {
				l.ping() //nolint:errcheck // any answer, also "no such request", is a sign of life
				answered <- struct{}{}
			}()
		}
	}
}

func (l *link) ping() error {
	_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
	return err
}

func (l *link) shut() {
	l.closing.Do(func() {
		l.client.Close()
		closeClients(l.under)
	})
}

func (l *link) close() {
	l.closeFiles()
	l.shut()
	l.done.Wait()
}

func (l *link) lost() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// gone asks the server where lost cannot know yet: a session ends a moment
// before its connection does.
func (l *link) gone() bool { return l.lost() || l.ping() != nil }

// session takes n slots and opens n sessions in them. While sshd refuses
// because too many are open, it waits for one to end and tries again.
func (l *link) session(ctx context.Context, n int) ([]*session, error) {
	var refusedSince time.Time
	pause := 50 * time.Millisecond
	for {
		if l.slots.tight(n) {
			l.closeIdleFiles()
		}
		if err := l.slots.acquire(ctx, l.dead, n); err != nil {
			return nil, err
		}
		opened, err := l.openAll(ctx, n)
		if err == nil {
			l.slots.accepted()
			return opened, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			l.slots.release(n)
			return nil, err
		}
		open := l.slots.refused(n)
		if refusedSince.IsZero() {
			refusedSince = time.Now()
			l.target.log(ctx, "sshd refuses another session, waiting for one to end", map[string]any{"open": open})
		}
		if open == 0 && time.Since(refusedSince) > l.target.timeout() {
			return nil, fmt.Errorf("host %q: sshd opens no session (MaxSessions of its sshd_config is too low for %d): %w", l.target.Name, n, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		pause = min(2*pause, time.Second)
	}
}

func (l *link) openAll(ctx context.Context, n int) ([]*session, error) {
	var opened []*session
	for range n {
		s, err := l.open(ctx)
		if err != nil {
			for _, s := range opened {
				s.ch.Close()
			}
			return nil, err
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// open opens one session, without a slot. A connection on which that takes
// longer than a connect may take counts as lost.
func (l *link) open(ctx context.Context) (*session, error) {
	type answer struct {
		s   *session
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		ch, requests, err := l.client.OpenChannel("session", nil)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		answers <- answer{s: newSession(l, ch, requests)}
	}()
	giveUp := func() {
		go func() {
			if a := <-answers; a.s != nil {
				a.s.ch.Close()
			}
		}()
	}
	timeout := time.NewTimer(l.target.timeout())
	defer timeout.Stop()
	select {
	case a := <-answers:
		var refused *ssh.OpenChannelError
		if a.err != nil && !errors.As(a.err, &refused) {
			return nil, errors.Join(errLinkLost, a.err)
		}
		return a.s, a.err
	case <-timeout.C:
		giveUp()
		l.shut()
		return nil, errLinkLost
	case <-ctx.Done():
		giveUp()
		return nil, ctx.Err()
	}
}

// dial opens a connection from the host, as seen from there.
func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.client.DialContext(ctx, network, address)
	if err != nil {
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) && ctx.Err() == nil {
			err = errors.Join(errLinkLost, err)
		}
		return nil, forwardingError(err)
	}
	return conn, nil
}
