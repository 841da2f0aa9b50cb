// Package check asks a service whether it works, before DNS points to it: what
// a temporary line in the hosts file is otherwise for. The connection comes
// from the operator's machine, or from a host through SSH.
//
// It may import internal/host and internal/probe and nothing else of this
// module.
package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

// Request is what is asked; package probe says what its fields mean.
type Request = probe.Request

// Protocols are the values of Request.Protocol.
var Protocols = probe.Protocols

// Check is a question to a service.
type Check struct {
	Address string  // name or IP address to connect to
	Port    int     // TCP port
	Request Request // with an empty Protocol the port says which

	Via host.Host // the connection comes from there; nil is the operator's machine
	// Family is 4 or 6: which of a name's addresses count. 0 is any of them.
	Family int

	Timeout  time.Duration // of everything together
	Interval time.Duration // between two tries
	Attempt  time.Duration // of one try at the most
}

// Outcome is the answer of the last try.
type Outcome struct {
	Answer   probe.Answer
	Protocol string
	Attempts int
	// Err says why the check failed; nil where it did not.
	Err error
}

func protocol(r Request, port int) string {
	if r.Protocol == "" {
		return probe.Guess(port)
	}
	return r.Protocol
}

// Validate says what is wrong with a check before anybody is asked. via says that it is
// asked from another host.
func (c Check) Validate(via bool) error {
	r := c.Request
	r.Protocol = protocol(r, c.Port)
	if err := r.Validate(); err != nil {
		return err
	}
	address := net.ParseIP(c.Address)
	if via && c.Family != 0 && address == nil {
		return fmt.Errorf("which addresses %q has is for the host to say from which it is asked: give an address instead of a name and an IP version", c.Address)
	}
	if address != nil && (c.Family == 4) != (address.To4() != nil) && c.Family != 0 {
		return fmt.Errorf("%s is no address of IPv%d", c.Address, c.Family)
	}
	if here := via && (address.IsLoopback() || c.Address == "localhost"); r.Username != "" && !r.Encrypted() && !here {
		return fmt.Errorf("by %s the password would cross the network for everybody to read: change to TLS, or ask the service on its own host, by 127.0.0.1", r.Protocol)
	}
	return nil
}

// Do asks until the service answers as it should, or until the time is over.
// It returns an error only where the question could not be asked for good: a
// cancelled context. That the service fails is in the outcome.
func (c Check) Do(ctx context.Context) (Outcome, error) {
	c.Request.Protocol = protocol(c.Request, c.Port)
	outcome := Outcome{Protocol: c.Request.Protocol}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	end, _ := limited.Deadline()
	for {
		outcome.Attempts++
		answer, err := c.try(limited)
		// A try that the end of the time cut short knows less than the one
		// before. The clock says it sooner than the context.
		if outcome.Attempts == 1 || err == nil || time.Now().Before(end) {
			outcome.Answer, outcome.Err = answer, err
		}
		if ctx.Err() != nil {
			return outcome, ctx.Err()
		}
		if outcome.Err == nil {
			return outcome, nil
		}
		if errors.Is(outcome.Err, probe.ErrLogin) {
			outcome.Err = fmt.Errorf("%s: %w (not tried again, so that the account is not locked for it)", c.where(), outcome.Err)
			return outcome, nil
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return outcome, ctx.Err()
			}
			outcome.Err = fmt.Errorf("%s: %w (%s in %s)", c.where(), outcome.Err, tries(outcome.Attempts), c.Timeout)
			return outcome, nil
		case <-time.After(c.Interval):
		}
	}
}

func tries(n int) string {
	if n == 1 {
		return "tried once"
	}
	return fmt.Sprintf("tried %d times", n)
}

func (c Check) try(ctx context.Context) (probe.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Attempt)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return probe.Answer{}, err
	}
	defer func() { _ = conn.Close() }()
	answer, err := probe.Ask(ctx, conn, c.Request)
	if err != nil {
		return answer, c.hint(err)
	}
	if c.Request.ExpectStatus == 0 && answer.Status >= 400 && (c.Request.Protocol == "http" || c.Request.Protocol == "https") {
		return answer, fmt.Errorf("%s: answered %q, expected a status below 400", c.Request.Protocol, answer.Greeting)
	}
	return answer, nil
}

// hint adds to an error what may be wrong with the question.
func (c Check) hint(err error) error {
	usual := probe.Guess(c.Port)
	if usual == c.Request.Protocol || (probe.Request{Protocol: usual}).Encrypted() == c.Request.Encrypted() {
		return err
	}
	return fmt.Errorf("%w; port %d is known for %s", err, c.Port, usual)
}

func (c Check) dial(ctx context.Context) (net.Conn, error) {
	at := net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
	if c.Via != nil {
		return c.Via.Dial(ctx, "tcp", at)
	}
	network := "tcp"
	if c.Family != 0 {
		network += strconv.Itoa(c.Family)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, at)
}

// where names the service in errors.
func (c Check) where() string {
	at := net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
	if c.Via != nil {
		return fmt.Sprintf("%s, seen from host %q", at, c.Via.Name())
	}
	return at
}
