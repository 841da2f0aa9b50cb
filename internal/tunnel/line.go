package tunnel

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// Ends of a tunnel that open the SSH connection between the hosts.
const (
	OldHost = "old"
	NewHost = "new"
)

// overLine is the mode of a line, which no user names.
const overLine = "line"

// line is the way of the old host to the new one where it cannot open a
// connection itself: the new host logs in to an account on the old one and has
// the sshd there listen on one port of 127.0.0.1, behind which is its own sshd.
// It is written as a tunnel whose hosts have changed places, so that files,
// accounts and supervision are the same. What runs over it, in either mode, is
// the tunnel that there would be without it.
//
// The other way, `ssh -R '*:25:localhost:25'`, has sshd listen where clients
// come in. It does that below port 1024 for root alone, so that a key to root's
// account would have to lie on the new host, and beside loopback only with
// GatewayPorts; sshd before 7.8 would let that key take any port there is. The
// same with unprivileged ports and a redirection needs GatewayPorts, too, a rule
// in a firewall that may drop what it redirects, and another for local clients.
// And either loses its ports to the sshd of a connection that broke off, until
// that notices, which its configuration decides. A line needs no more of the
// old host's sshd than that it forwards, of any version, and changes none of
// its settings; the relays, which are root's already, end what is left of a line.
type line struct {
	Tunnel
	near fromFacts // the new host, which calls
	far  toFacts   // the old host, which is called
}

// lineAddress is where the old host finds its end of the line.
const lineAddress = "127.0.0.1"

// askLine returns the line of a tunnel, the one that is there where there is
// one. old is what the old host says as the end that clients call.
func (t Tunnel) askLine(ctx context.Context, from, to host.Host, old fromFacts) (*line, error) {
	l := line{Tunnel: Tunnel{
		Name: t.Name, Mode: overLine, ToAddress: t.FromAddress, ToPort: t.FromPort, SourceAddresses: t.SourceAddresses,
	}}
	var err error
	if l.Tunnel, l.near, l.far, err = l.completed(ctx, to, from); err != nil {
		return nil, err
	}
	l.legacy = !atLeast(l.far.version, 7, 2)
	there := Tunnel{Name: t.Name}
	port := t.ToPort // known from an earlier apply
	if err := there.parse(l.near.files[t.directory()+"/ssh_config"], ""); err == nil && there.Mode == overLine && len(there.Forwards) == 1 {
		port = there.Forwards[0].ListenPort
	}
	if port == 0 {
		port = freePort(t.Name, old)
	}
	sshd, sshdPort, err := l.near.sshd(ctx, to)
	if err != nil {
		return nil, err
	}
	l.Forwards = []Forward{{ListenAddress: lineAddress, ListenPort: port, TargetHost: sshd, TargetPort: sshdPort}}
	return &l, nil
}

// freePort is a port on which nobody listens, out of the range from which
// kernels choose the ports of clients.
func freePort(name string, old fromFacts) int {
	sum := fnv.New32a()
	fmt.Fprint(sum, name)
	port := firstNumber + int(sum.Sum32()%numbers)
	for {
		if _, taken := old.holding(Forward{ListenAddress: Everywhere, ListenPort: port}); !taken {
			return port
		}
		port++
	}
}

// sshd is where the new host finds its own sshd: behind the port through which
// the provider came, or else 22 where that is another machine's.
func (f fromFacts) sshd(ctx context.Context, self host.Host) (address string, port int, err error) {
	identity, err := self.Identity(ctx)
	if err != nil {
		return "", 0, err
	}
	for _, port := range []int{identity.Port, 22} {
		var elsewhere string
		for _, l := range f.listeners {
			if l.port != port {
				continue
			}
			for _, loopback := range []string{lineAddress, "::1"} {
				if l.address == loopback || overlap(l.address, loopback) {
					return loopback, port, nil
				}
			}
			elsewhere = l.address
		}
		if elsewhere != "" {
			return elsewhere, port, nil
		}
	}
	return lineAddress, 22, nil
}

// over is the tunnel as it runs over a line.
func (t Tunnel) over(l *line) Tunnel {
	t.line = l
	t.FromAddress, t.FromPort, t.SourceAddresses = l.ToAddress, l.ToPort, l.SourceAddresses
	t.ToAddress, t.ToPort = lineAddress, l.Forwards[0].ListenPort
	return t
}

// callers are the addresses under which the new host sees the relays come.
func (t Tunnel) callers() []string {
	if t.InitiateFrom != NewHost {
		return t.SourceAddresses
	}
	callers := []string{lineAddress, "::1"}
	if t.line != nil {
		// A host that calls an address of its own comes from that address.
		callers = unique(append(callers, t.line.Forwards[0].TargetHost))
	}
	return callers
}

// lineObjections are what keeps a line from being laid. It changes nothing.
func (t Tunnel) lineObjections(from, to host.Host, old fromFacts) []error {
	l := t.line
	problems := callerObjections(to, l.near)
	problems = append(problems, l.sshdObjections(from, l.far)...)
	there := Tunnel{Name: t.Name}
	if err := there.parse(l.near.files[t.directory()+"/ssh_config"], ""); err == nil && there.Mode != "" && there.Mode != overLine {
		problems = append(problems, fmt.Errorf("host %q has a tunnel %q of its own, to %s, in whose files those of this one would lie; choose another name",
			to.Name(), t.Name, there.ToAddress))
	}
	for _, listener := range old.listeners {
		forward := l.Forwards[0]
		if listener.port == forward.ListenPort && overlap(listener.address, forward.ListenAddress) && !strings.Contains(listener.process, "sshd") {
			problems = append(problems, fmt.Errorf("%s of host %q, where the connection from host %q ends, is taken by %s", forward.Listen(), from.Name(), to.Name(), describe(listener)))
		}
	}
	return problems
}

// layLine brings the line up, unless it is up as it should be.
func (t Tunnel) layLine(ctx context.Context, from, to host.Host) error {
	l := t.line
	up, err := l.stands(ctx, to, from, l.near, l.far)
	if err != nil {
		return err
	}
	if up && l.greeted(ctx, from) == nil {
		return nil
	}
	return l.install(ctx, to, from, l.near, l.far)
}

// tryLine waits until the new host's sshd greets the old host. The hosts are
// those of a line: from is the new one.
func (t Tunnel) tryLine(ctx context.Context, from, to host.Host, init string) error {
	deadline := time.Now().Add(startFor)
	end := t.Forwards[0]
	for {
		err := t.greeted(ctx, to)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return t.withLog(ctx, from, init, fmt.Errorf("host %q has logged in to host %q, but its sshd (%s) does not answer there at %s: %w",
				from.Name(), to.Name(), end.Target(), end.Listen(), err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// lineGone is what readLine says of a line of which the new host has nothing.
const lineGone = "the connection from the new host is gone"

// greeted is an error unless an sshd answers a host at the line's end.
func (t Tunnel) greeted(ctx context.Context, at host.Host) error {
	end := t.Forwards[0]
	greeting, err := converse(ctx, at, end.Listen(), end.ListenPort)
	if err == nil && !strings.HasPrefix(greeting, "SSH-") {
		err = fmt.Errorf("it says %q, which no sshd does", greeting)
	}
	return err
}

// readLine adds to a tunnel that was read from its hosts what its line is, and
// says what is wrong with that.
func (t *Tunnel) readLine(ctx context.Context, from, to host.Host, old fromFacts) (wrong string, err error) {
	l := Tunnel{Name: t.Name}
	near, far, err := l.states(ctx, to, from)
	if err != nil {
		return "", err
	}
	if err := l.parse(near.files[l.directory()+"/ssh_config"], far.keys); err != nil {
		return fmt.Sprintf("the connection from host %q was altered: %s", to.Name(), err), nil
	}
	if l.Mode != overLine || len(l.Forwards) != 1 {
		return lineGone, nil
	}
	t.FromAddress, t.FromPort, t.SourceAddresses = l.ToAddress, l.ToPort, l.SourceAddresses
	t.line = &line{l, near, far}
	if status := l.status(near, far); status != Running {
		return fmt.Sprintf("the connection from host %q: %s", to.Name(), status), nil
	}
	if port := l.Forwards[0].ListenPort; t.ToPort != 0 && port != t.ToPort {
		return fmt.Sprintf("the connection from host %q ends at port %d of host %q, where the relays expect port %d", to.Name(), port, from.Name(), t.ToPort), nil
	}
	if _, up := old.holding(l.Forwards[0]); !up {
		return fmt.Sprintf("host %q has no connection to host %q", to.Name(), from.Name()), nil
	}
	return "", nil
}

// cutLine removes what a line has on both hosts.
func (t Tunnel) cutLine(ctx context.Context, from, to host.Host) error {
	if t.InitiateFrom != NewHost {
		return nil
	}
	l := Tunnel{Name: t.Name, Mode: overLine}
	_, err := l.Stop(ctx, to, from)
	return err
}

// endsLine is what the supervisor of the relays does when ssh has ended, at $began
// started, with an error (255, ssh(1)) after as long as it waits for a greeting (ConnectTimeout) and sooner
// than it gives a connection up. Then a port is open, and nobody behind it: the
// line broke off. Its sshd would keep the port until it notices, which may take
// hours, and the new host's next attempt would find it taken.
func (t Tunnel) endsLine() string {
	return fmt.Sprintf(`	ended=$?
	child=
	# No greeting for 5 s: the connection that should carry it broke off, and its
	# sshd keeps the port from the next one.
	lasted=$(($(date +%%s) - began))
	if [ "$ended" = 255 ] && [ "$lasted" -ge 4 ] && [ "$lasted" -lt 15 ]; then
		for process in $(ps -o pid= -u %s 2>/dev/null); do
			kill "$process" 2>/dev/null
		done
	fi
`, t.account())
}
