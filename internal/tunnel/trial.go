package tunnel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed from_login.sh
var fromLoginText string

//go:embed from_log.sh
var fromLogText string

var (
	fromLogin = host.Script{Name: "tunnel/from_login.sh", Text: fromLoginText}
	fromLog   = host.Script{Name: "tunnel/from_log.sh", Text: fromLogText}
)

// startFor is how long relays that were just started may take to answer.
const startFor = 30 * time.Second

// tryLogin has the old host log in to the new one as the relays will and open
// one connection, so that what is wrong with it is heard from ssh itself.
func (t Tunnel) tryLogin(ctx context.Context, from, to host.Host) error {
	target := ""
	if first := t.sorted()[0]; t.Mode != Transparent && t.Mode != overLine {
		target = bracketed(first.TargetHost, first.TargetPort)
	}
	_, err := from.Run(ctx, host.Sh(fromLogin, t.directory()+"/ssh_config", target))
	if err == nil {
		return nil
	}
	if _, ran := host.ExitCode(err); !ran {
		return err
	}
	if t.InitiateFrom == NewHost {
		return fmt.Errorf("host %q cannot log in to host %q over the connection that leads there: %w", from.Name(), to.Name(), err)
	}
	address := "to"
	if t.Mode == overLine {
		address = "from"
	}
	return fmt.Errorf("host %[1]q cannot reach host %[2]q as %[3]s at %[4]s: %[5]w\n"+
		"A connection that times out or is refused: %[6]s_address and %[6]s_port must be what host %[1]q can reach, through any firewall. "+
		"Permission denied: source_addresses must hold the address under which host %[2]q sees host %[1]q (the log of its sshd says which). "+
		"Host key verification failed: another machine answers at that address",
		from.Name(), to.Name(), t.account(), net.JoinHostPort(t.ToAddress, strconv.Itoa(t.ToPort)), err, address)
}

// tryRelays waits until every port of the tunnel answers, end to end, to a
// program on the old host.
func (t Tunnel) tryRelays(ctx context.Context, from, to host.Host, init string) error {
	deadline := time.Now().Add(startFor)
	// All at once: behind a hold, clients wait for the last of them.
	forwards := t.sorted()
	failed := make([]error, len(forwards))
	var all sync.WaitGroup
	for i, forward := range forwards {
		all.Go(func() { failed[i] = t.tryForward(ctx, from, to, forward, forward.dialAddress(), init, deadline) })
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return err // one tells enough; the others mostly say the same
		}
	}
	return nil
}

// doubtAfter is how long new relays may be silent before the way to the new host
// is tried by itself.
const doubtAfter = 2 * time.Second

// tryRelaysAndWay is tryRelays for relays whose login was not tried before.
func (t Tunnel) tryRelaysAndWay(ctx context.Context, from, to host.Host, init string) error {
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- t.tryRelays(trying, from, to, init) }()
	select {
	case err := <-answered:
		return err
	case <-time.After(doubtAfter):
	}
	if err := t.tryLogin(ctx, from, to); err != nil {
		cancel()
		if <-answered == nil {
			return nil // in this moment
		}
		return err
	}
	return <-answered
}

// tryForward waits until a forward answers at an address of the old host.
func (t Tunnel) tryForward(ctx context.Context, from, to host.Host, forward Forward, address, init string, deadline time.Time) error {
	// Clients wait for the first answer; an sshd writes each failure to its log.
	pause := 20 * time.Millisecond
	for ; ; pause = min(pause*5/4, 250*time.Millisecond) {
		_, err := converse(ctx, from, address, forward.ListenPort)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("while port %d of host %q was being tried: %w", forward.ListenPort, from.Name(), ctx.Err())
		}
		if time.Now().After(deadline) {
			return t.silent(ctx, from, to, forward, init, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// silent is the error of a port that does not answer, with what the relays said.
func (t Tunnel) silent(ctx context.Context, from, to host.Host, forward Forward, init string, cause error) error {
	if t.Mode == Transparent {
		return t.withLog(ctx, from, init, fmt.Errorf("the tunnel stands, but port %d of host %q does not lead to %s of host %q: %w; the firewall of host %[4]q has to accept that port on the device %[6]s, too",
			forward.ListenPort, from.Name(), forward.Target(), to.Name(), cause, t.link.device()))
	}
	return t.withLog(ctx, from, init, fmt.Errorf("the relays were started, but port %d of host %q does not lead to %s of host %q: %w",
		forward.ListenPort, from.Name(), forward.Target(), to.Name(), cause))
}

// withLog adds to an error what the relays said.
func (t Tunnel) withLog(ctx context.Context, from host.Host, init string, err error) error {
	said, logErr := from.Run(ctx, host.Sh(fromLog, t.Name, init))
	if logErr != nil {
		return errors.Join(err, logErr)
	}
	return fmt.Errorf("%w\nThe relays' log says:\n%s", err, said.Stdout)
}
