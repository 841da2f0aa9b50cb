package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Listen opens a port on the host; see Host.
func (h *remote) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" {
		return nil, fmt.Errorf("on host %q: unable to listen at %s %s: an IP address with a port is needed", h.cfg.Name, network, address)
	}
	var listener net.Listener
	err = h.withLink(ctx, func(l *link) (err error) {
		listener, err = l.listen(ctx, at)
		return err
	})
	if err != nil {
		return nil, h.named(err, "listen there at "+address)
	}
	return listener, nil
}

// errListening is sshd's refusal of a port. Its answer says no more than that.
var errListening = errors.New(`sshd there forbids it: AllowTcpForwarding is off or "local", PermitListen is narrower, or the key is restricted`)

// listen asks sshd for a port (RFC 4254, 7.1). The port goes with the connection.
func (l *link) listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	type answer struct {
		listener net.Listener
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		listener, err := l.client.ListenTCP(net.TCPAddrFromAddrPort(at))
		answers <- answer{listener, err}
	}()
	giveUp := func() {
		go func() {
			if a := <-answers; a.err == nil {
				a.listener.Close()
			}
		}()
	}
	timeout := time.NewTimer(l.target.timeout())
	defer timeout.Stop()
	select {
	case a := <-answers:
		switch {
		case a.err == nil:
			return a.listener, nil
		case l.gone():
			return nil, errors.Join(errLinkLost, a.err)
		}
		return nil, errListening
	case <-timeout.C:
		giveUp()
		l.shut()
		return nil, errLinkLost
	case <-ctx.Done():
		giveUp()
		return nil, ctx.Err()
	}
}
