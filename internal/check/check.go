// Package check asks a service whether it works, before DNS points to it: what
// a temporary line in the hosts file is otherwise for. The connection comes
// from the operator's machine, or from a host through SSH.
//
// It may import internal/host and internal/probe and nothing else of this
// module.
package check

import (
	"context"
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

// Validate says what is wrong with a check before anybody is asked.
func (c Check) Validate() error {
	r := c.Request
	r.Protocol = protocol(r, c.Port)
	return r.Validate()
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
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return outcome, ctx.Err()
			}
			outcome.Err = fmt.Errorf("%s: %w (tried %d times in %s)", c.where(), outcome.Err, outcome.Attempts, c.Timeout)
			return outcome, nil
		case <-time.After(c.Interval):
		}
	}
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
		return answer, err
	}
	if c.Request.ExpectStatus == 0 && answer.Status >= 400 && (c.Request.Protocol == "http" || c.Request.Protocol == "https") {
		return answer, fmt.Errorf("%s: answered %q, expected a status below 400", c.Request.Protocol, answer.Greeting)
	}
	return answer, nil
}

func (c Check) dial(ctx context.Context) (net.Conn, error) {
	at := net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
	if c.Via != nil {
		return c.Via.Dial(ctx, "tcp", at)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", at)
}

// where names the service in errors.
func (c Check) where() string {
	at := net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
	if c.Via != nil {
		return fmt.Sprintf("%s, seen from host %q", at, c.Via.Name())
	}
	return at
}
