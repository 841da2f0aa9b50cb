package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// connect opens a connection to t over its bastions. While nothing has been
// sent that could be done twice, a refused or broken attempt is made again,
// until the connect timeout is used up: sshd drops logins when many come at
// once (MaxStartups), and a host that boots refuses for a moment.
func connect(ctx context.Context, t *target) (*link, error) {
	for _, hop := range append(slices.Clone(t.via), t) {
		if err := hop.readKeys(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout()*time.Duration(1+len(t.via)), t.timedOut())
	defer cancel()
	began := time.Now()
	pause := 200 * time.Millisecond
	var last error
	for {
		l, err := connectOnce(ctx, t)
		if err == nil {
			t.log(ctx, "connected", map[string]any{
				"address": t.addr(), "user": t.login, "hops": len(t.via), "duration": time.Since(began).String(),
			})
			return l, nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // an attempt that the timeout cut short says less than the one before
		}
		if ctx.Err() != nil || !transient(err) || time.Since(began)+pause > t.timeout() {
			return nil, last
		}
		t.log(ctx, "connecting failed, will try again", map[string]any{"error": err.Error()})
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

var errConnectTimeout = errors.New("no answer within connect_timeout")

func (t *target) timedOut() error { return fmt.Errorf("%w (%s)", errConnectTimeout, t.timeout()) }

func connectOnce(ctx context.Context, t *target) (_ *link, err error) {
	var under []*ssh.Client
	defer func() {
		if err != nil {
			closeClients(under)
		}
	}()
	var before *ssh.Client
	for i, hop := range append(slices.Clone(t.via), t) {
		client, key, err := hop.reach(ctx, before)
		if err != nil {
			if i < len(t.via) {
				return nil, fmt.Errorf("host %q: on the way, bastion %w", t.Name, err)
			}
			return nil, err
		}
		if hop == t {
			return newLink(t, client, under, key), nil
		}
		under = append(under, client)
		before = client
	}
	panic("unreachable: the last hop is t")
}

// reach opens a connection to one machine, through the one before.
func (t *target) reach(ctx context.Context, before *ssh.Client) (*ssh.Client, ssh.PublicKey, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout(), t.timedOut())
	defer cancel()
	tr, err := newTrust(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	creds, err := gather(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	defer creds.close()
	conn, err := t.dial(ctx, before)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	sshConn, channels, requests, err := ssh.NewClientConn(conn, t.addr(), t.clientConfig(tr, creds))
	if !stop() && err == nil {
		sshConn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		if proxy, ok := conn.(*proxyConn); ok && ctx.Err() == nil {
			err = proxy.explain(err)
		}
		conn.Close()
		return nil, nil, t.explain(ctx, err, creds)
	}
	return ssh.NewClient(sshConn, channels, requests), tr.key, nil
}

// dial opens the connection that SSH is to run on: through the machine before, by
// the ProxyCommand, or straight.
func (t *target) dial(ctx context.Context, before *ssh.Client) (net.Conn, error) {
	if before == nil && t.proxyCommand != "" {
		conn, err := t.dialProxyCommand()
		if err != nil {
			return nil, err // and not a *proxyConn that is nil
		}
		return conn, nil
	}
	if before == nil {
		dialer := net.Dialer{KeepAlive: 15 * time.Second}
		if t.from != "" {
			local, err := net.ResolveTCPAddr(t.family, net.JoinHostPort(t.from, "0"))
			if err != nil {
				return nil, fmt.Errorf("host %q: BindAddress of ssh_config: %w", t.Name, err)
			}
			dialer.LocalAddr = local
		}
		conn, err := dialer.DialContext(ctx, t.family, t.addr())
		if err != nil {
			return nil, &UnreachableError{t.Name, t.addr(), causeOf(ctx, err)}
		}
		return conn, nil
	}
	conn, err := before.DialContext(ctx, "tcp", t.addr())
	if err != nil {
		return nil, &UnreachableError{t.Name, t.addr() + " through the bastion", causeOf(ctx, forwardingError(err))}
	}
	return conn, nil
}

// forwardingError adds to sshd's refusal of a forward what to change.
func forwardingError(err error) error {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && refused.Reason == ssh.Prohibited {
		return fmt.Errorf("sshd there forbids it: AllowTcpForwarding is off, PermitOpen is narrower, or the key is restricted (%w)", err)
	}
	return err
}

func (t *target) clientConfig(tr *trust, creds *credentials) *ssh.ClientConfig {
	offered := ssh.SupportedAlgorithms()
	if t.LegacyAlgorithms {
		old := ssh.InsecureAlgorithms()
		offered.KeyExchanges = append(offered.KeyExchanges, old.KeyExchanges...)
		offered.Ciphers = append(offered.Ciphers, old.Ciphers...)
		offered.MACs = append(offered.MACs, old.MACs...)
	}
	return &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: offered.KeyExchanges, Ciphers: offered.Ciphers, MACs: offered.MACs},
		User:              t.login,
		Auth:              creds.methods(),
		AuthCallback:      creds.watch,
		HostKeyCallback:   tr.check,
		HostKeyAlgorithms: tr.algorithms,
		ClientVersion:     "SSH-2.0-cutover",
	}
}

// explain turns the error of a handshake into one that names the next step.
func (t *target) explain(ctx context.Context, err error, creds *credentials) error {
	var hostKey *HostKeyError
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &hostKey):
		return hostKey
	case errors.As(err, &negotiation) && !t.LegacyAlgorithms && needsLegacy(negotiation):
		return fmt.Errorf("host %q: sshd at %s speaks only algorithms that count as unsafe today; legacy_algorithms = true allows them for this host: %w", t.Name, t.addr(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("host %q: sshd at %s did not finish the handshake: %w", t.Name, t.addr(), causeOf(ctx, err))
	case len(creds.offered) > 0 || len(creds.tried) > 0:
		return &authError{fmt.Errorf("host %q: unable to log in as %q at %s: %w\n%s", t.Name, t.login, t.addr(), err, creds.explain())}
	}
	return fmt.Errorf("host %q: the handshake with sshd at %s failed: %w", t.Name, t.addr(), err)
}

// authError is a refused login. Trying again would only count against us.
type authError struct{ err error }

func (e *authError) Error() string { return e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

// needsLegacy tells whether the server offers one of the old algorithms.
func needsLegacy(err *ssh.AlgorithmNegotiationError) bool {
	old := ssh.InsecureAlgorithms()
	for _, algorithm := range slices.Concat(old.KeyExchanges, old.Ciphers, old.MACs, old.HostKeys) {
		if slices.Contains(err.RequestedAlgorithms, algorithm) {
			return true
		}
	}
	return false
}

// causeOf names our own timeout instead of what closing the connection gave.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// transient tells whether an attempt to connect is worth another one.
func transient(err error) bool {
	var auth *authError
	var dns *net.DNSError
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &auth):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound && dns.IsTemporary
	case errors.As(err, &refused):
		return refused.Reason == ssh.ConnectionFailed
	}
	for _, kind := range []error{
		io.EOF, io.ErrUnexpectedEOF, errConnectTimeout, errProxyEnded, syscall.ECONNREFUSED, syscall.ECONNRESET,
		syscall.ECONNABORTED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT, syscall.EPIPE,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// closeClients closes connections from the last to the first, each of which
// runs through the one before.
func closeClients(clients []*ssh.Client) {
	for _, client := range slices.Backward(clients) {
		client.Close()
	}
}

// UnreachableError is the error where nothing answers at a host's address.
type UnreachableError struct {
	Host    string // key under which the provider's block knows it
	Address string // that was dialled
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("host %q: unable to reach sshd at %s: %v", e.Host, e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }
