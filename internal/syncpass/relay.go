package syncpass

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// Operator is the route of a pass whose hosts do not reach each other: the new
// host's ssh calls a port of its own loopback, which the provider's connection
// to the new host leads here, and the one to the old host on to the sshd there.
// Key, pin and forced command are those of any pass. It lasts as long as this
// process.
const Operator = "operator"

// relay leads connections of the new host to the old host's sshd.
type relay struct {
	from   host.Host
	listen net.Listener   // on the new host
	near   netip.AddrPort // of it
	far    string         // address of the old host's sshd, as seen there

	done sync.WaitGroup
	mu   sync.Mutex
	open map[io.Closer]bool // nil when the relay is closed
	last error              // of a connection that did not come about
}

// bannerTime bounds the wait for sshd's first line.
const bannerTime = 10 * time.Second

// openRelay finds the old host's sshd, and opens the port on the new host.
func (p Pass) openRelay(ctx context.Context, from, to host.Host, s survey) (*relay, error) {
	far, err := p.findSSHD(ctx, from, s)
	if err != nil {
		return nil, err
	}
	listener, err := to.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the pass cannot take the operator's route: %w. On host %q, sshd has to allow %q remote forwarding "+
			`(AllowTcpForwarding yes or remote in sshd_config, and no narrower PermitListen) until the last pass is done`, err, to.Name(), s.to.User)
	}
	near, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("on host %q: sshd listens at %q: %w", to.Name(), listener.Addr(), err)
	}
	r := &relay{from: from, listen: listener, near: near, far: far, open: map[io.Closer]bool{}}
	r.done.Go(r.serve)
	return r, nil
}

// findSSHD returns where the old host itself reaches the sshd that the provider
// is connected to.
func (p Pass) findSSHD(ctx context.Context, from host.Host, s survey) (string, error) {
	var failed []error
	for _, address := range p.sshdAddresses(s) {
		banner, err := bannerOf(ctx, from, address)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			failed = append(failed, err)
		case s.from.ServerVersion != "" && banner != s.from.ServerVersion:
			failed = append(failed, fmt.Errorf("on host %q: at %s answers %q, and not its sshd, %q", from.Name(), address, banner, s.from.ServerVersion))
		default:
			return address, nil
		}
	}
	return "", fmt.Errorf("the pass cannot take the operator's route: %w. On host %q, sshd has to allow %q local forwarding "+
		"(AllowTcpForwarding yes or local in sshd_config, and no narrower PermitOpen) until the last pass is done; "+
		"where it answers at another address than these, set from_address and from_port", errors.Join(failed...), from.Name(), s.from.User)
}

// sshdAddresses are where the old host's sshd may answer on the host itself.
func (p Pass) sshdAddresses(s survey) []string {
	var list []string
	add := func(address string, port int) {
		if one := net.JoinHostPort(address, strconv.Itoa(port)); !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	port := s.from.Port
	if p.FromPort != 0 {
		port = p.FromPort
	}
	if p.FromAddress != "" {
		add(p.FromAddress, port)
		return list
	}
	if p.FromPort == 0 {
		for _, listening := range s.listening() {
			address := listening.Addr().Unmap()
			switch {
			case !address.IsUnspecified():
				add(address.String(), int(listening.Port()))
			case address.Is4():
				add("127.0.0.1", int(listening.Port()))
			default:
				add("::1", int(listening.Port()))
			}
		}
	}
	add("127.0.0.1", port)
	add("::1", port)
	add(s.from.Address, port)
	return list
}

// bannerOf returns the line with which an sshd greets (RFC 4253, 4.2).
func bannerOf(ctx context.Context, from host.Host, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bannerTime)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// Connections that are forwarded know no deadline.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(conn, 255)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("on host %q: what listens at %s does not greet: %w", from.Name(), address, err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// serve passes connections on until the listener is closed.
func (r *relay) serve() {
	for {
		near, err := r.listen.Accept()
		if err != nil {
			return
		}
		r.done.Go(func() { r.pass(near) })
	}
}

// pass joins a connection with one to the old host's sshd.
func (r *relay) pass(near net.Conn) {
	defer r.keep(near)()
	// A connection that waits for this one must not wait for ever.
	ctx, cancel := context.WithTimeout(context.Background(), bannerTime)
	defer cancel()
	far, err := r.from.Dial(ctx, "tcp", r.far)
	if err != nil {
		r.mu.Lock()
		r.last = err
		r.mu.Unlock()
		return
	}
	defer r.keep(far)()
	var once sync.Once
	over := make(chan struct{})
	for to, from := range map[net.Conn]net.Conn{near: far, far: near} {
		r.done.Go(func() {
			_, _ = io.Copy(to, from) // SSH itself notices what is missing
			once.Do(func() { close(over) })
		})
	}
	<-over
}

// keep sees to it that a connection is closed with the relay, or by what it
// returns.
func (r *relay) keep(c io.Closer) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		c.Close()
		return func() {}
	}
	r.open[c] = true
	return func() {
		r.mu.Lock()
		delete(r.open, c)
		r.mu.Unlock()
		c.Close()
	}
}

// close ends the relay and all connections through it.
func (r *relay) close() {
	r.listen.Close()
	r.mu.Lock()
	open := r.open
	r.open = nil
	r.mu.Unlock()
	for c := range open {
		c.Close()
	}
	r.done.Wait()
}

// failure is why the last connection did not come about, or nil.
func (r *relay) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
