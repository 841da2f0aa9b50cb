// Package dnscheck asks whether names have moved: the servers that are authoritative
// for them, and resolvers, which remember the old address for a while.
//
// It imports nothing of this module.
package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Check is what is asked.
type Check struct {
	Names []string // domain names
	Types []string // of Types
	// Expected are the addresses that the names are to have; empty: all but the former.
	Expected []netip.Addr
	Former   []netip.Addr // addresses of the old host
	// Resolvers are asked for what they remember: addresses, with a port where it is not
	// 53. The first that answers also says which servers are authoritative.
	Resolvers []string
	// Authoritative says that the servers that are authoritative are asked as well.
	Authoritative bool

	port int // of authoritative servers; 0 is 53
}

// Types are the types of records that can be asked for. Of MX and NS it is the servers'
// addresses that count.
var Types = []string{"A", "AAAA", "MX", "NS"}

// State is what an answer says.
type State string

// States.
const (
	Moved     State = "moved"     // nothing but expected addresses
	Former    State = "former"    // a former address is among them
	Elsewhere State = "elsewhere" // an address is neither
	Absent    State = "absent"    // there is no such record, or no such name
	Failed    State = "failed"    // the server gave no answer that could be used
)

// Answer is what one server says of one name.
type Answer struct {
	Name, Type    string
	Server        string // a resolver as it was given, or an authoritative server's name
	Authoritative bool
	State         State
	Targets       []string // mail servers or name servers, or where a CNAME leads
	Addresses     []netip.Addr
	// TTL is how long the server, or whoever asks it, may go on to give this answer.
	TTL   time.Duration
	Error string // why it is Failed
}

// Report is what all of them say.
type Report struct {
	Answers []Answer
	// Complete says that every server gives new addresses alone.
	Complete bool
	// By is when the last of the resolvers that were asked will have forgotten the former
	// address; zero where that is not known, for an authoritative server gives it, too,
	// or one gave no answer.
	By time.Time
	// Behind says of each answer that is not as it should be what it is, in words.
	Behind []string
}

// Do asks once. Its error is one of the question; what a server does wrong is in the
// report.
func (c Check) Do(ctx context.Context) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	a := &asker{check: c, zones: map[string]*zone{}}
	var tasks []func() []Answer
	for _, name := range c.Names {
		for _, kind := range c.Types {
			for _, resolver := range c.Resolvers {
				tasks = append(tasks, func() []Answer { return []Answer{a.resolver(ctx, resolver, name, kind)} })
			}
			if c.Authoritative {
				tasks = append(tasks, func() []Answer { return a.authoritative(ctx, name, kind) })
			}
		}
	}
	answers := make([][]Answer, len(tasks))
	slots := make(chan struct{}, maxAtOnce)
	var working sync.WaitGroup
	for i, task := range tasks {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			answers[i] = task()
		})
	}
	working.Wait()
	if err := ctx.Err(); err != nil {
		return Report{}, context.Cause(ctx)
	}
	report := Report{Answers: slices.Concat(answers...)}
	for i := range report.Answers {
		c.judge(&report.Answers[i])
	}
	report.conclude(time.Now())
	return report, nil
}

// maxAtOnce is how many questions are on their way at a time.
const maxAtOnce = 16

// Wait asks until the names have moved everywhere, or ctx ends. tell is given each
// report. The last one is returned with the error.
func (c Check) Wait(ctx context.Context, interval time.Duration, tell func(Report)) (Report, error) {
	var last Report
	for {
		report, err := c.Do(ctx)
		if err != nil {
			return last, err
		}
		last = report
		tell(report)
		if report.Complete {
			return report, nil
		}
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-time.After(interval):
		}
	}
}

// Validate says what is wrong with a check before anybody is asked.
func (c Check) Validate() error {
	if len(c.Names) == 0 {
		return errors.New("there is no name to ask for")
	}
	if len(c.Expected)+len(c.Former) == 0 {
		return errors.New("neither the new addresses are known nor the former ones: then no answer means anything")
	}
	if len(c.Resolvers) == 0 {
		return errors.New("there is no resolver to ask")
	}
	for _, address := range c.Former {
		if slices.Contains(c.Expected, address) {
			return fmt.Errorf("%s is both an expected and a former address", address)
		}
	}
	for _, name := range c.Names {
		if err := ValidName(name); err != nil {
			return err
		}
	}
	for _, kind := range c.Types {
		if !slices.Contains(Types, kind) {
			return fmt.Errorf("%q is no type of record that can be asked for; those are %s", kind, strings.Join(Types, ", "))
		}
	}
	for _, resolver := range c.Resolvers {
		if err := ValidResolver(resolver); err != nil {
			return err
		}
	}
	return nil
}

// ValidName says what is wrong with a name to ask for.
func ValidName(name string) error {
	_, err := toASCII(name)
	return err
}

// ValidResolver says what is wrong with the address of a resolver.
func ValidResolver(address string) error {
	_, err := endpoint(address, 53)
	return err
}

// SystemResolvers are the resolvers that this machine uses (resolv.conf(5)).
func SystemResolvers() ([]string, error) {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("this machine does not say which resolvers it uses: %w", err)
	}
	var all []string
	for _, server := range config.Servers {
		if address, err := endpoint(server, 53); err == nil {
			all = append(all, strings.TrimSuffix(address, ":53"))
		}
	}
	return all, nil
}

// judge sets the state of an answer that has none.
func (c Check) judge(a *Answer) {
	switch {
	case a.State != "":
	case slices.ContainsFunc(a.Addresses, func(x netip.Addr) bool { return slices.Contains(c.Former, x) }):
		a.State = Former
	case len(a.Addresses) == 0:
		a.State = Absent
	case len(c.Expected) > 0 && slices.ContainsFunc(a.Addresses, func(x netip.Addr) bool { return !slices.Contains(c.Expected, x) }):
		a.State = Elsewhere
	default:
		a.State = Moved
	}
}

// conclude says what all answers come to.
func (r *Report) conclude(now time.Time) {
	type key struct{ name, kind string }
	absent := map[key]bool{}      // an authoritative server says so
	known := map[key]bool{}       // an authoritative server was asked
	there := map[[2]string]bool{} // name and server: some type of it has an address there
	for _, a := range r.Answers {
		if a.Authoritative {
			absent[key{a.Name, a.Type}] = absent[key{a.Name, a.Type}] || a.State == Absent
			known[key{a.Name, a.Type}] = true
		}
		if len(a.Addresses) > 0 {
			there[[2]string{a.Name, a.Server}] = true
		}
	}
	var by time.Duration
	waiting := len(known) > 0 // is all that is left to do
	for _, a := range r.Answers {
		k := key{a.Name, a.Type}
		switch {
		case a.State == Moved:
			continue
		case a.State == Absent && there[[2]string{a.Name, a.Server}] && (absent[k] || !known[k]):
			continue // such as AAAA of a name that has no IPv6 address
		case a.State == Former && !a.Authoritative:
			by = max(by, a.TTL)
		default:
			waiting = false
		}
		r.Behind = append(r.Behind, a.String())
	}
	r.Complete = len(r.Behind) == 0 && len(r.Answers) > 0
	if !r.Complete && waiting {
		r.By = now.Add(by)
	}
}

// String is the answer in words.
func (a Answer) String() string {
	whose := "resolver"
	if a.Authoritative {
		whose = "authoritative server"
	}
	text := fmt.Sprintf("%s %s at %s %s: ", a.Name, a.Type, whose, a.Server)
	through := ""
	if len(a.Targets) > 0 {
		through = ", through " + strings.Join(a.Targets, ", ")
	}
	switch a.State {
	case Failed:
		return text + a.Error
	case Absent:
		return text + "there is no such record" + through
	case Former:
		return text + "still " + list(a.Addresses) + through + fmt.Sprintf(" (TTL %d s)", int(a.TTL.Seconds()))
	case Elsewhere:
		return text + list(a.Addresses) + through + ", which is neither the new host nor the old one"
	}
	return text + list(a.Addresses) + through
}

func list(addresses []netip.Addr) string {
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}
