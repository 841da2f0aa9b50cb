package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// What one question may take.
const (
	tryTimeout = 3 * time.Second
	tries      = 2
	// maxHops is how many CNAMEs are followed, and maxTargets how many mail or name
	// servers of a name are looked at.
	maxHops    = 16
	maxTargets = 50
	// udpSize is how large an answer may be that comes by UDP, in bytes: what passes
	// every network (DNS Flag Day 2020). A larger one is asked for by TCP.
	udpSize = 1232
)

// asker asks the questions of one check.
type asker struct {
	check Check

	mu    sync.Mutex
	zones map[string]*zone
}

// zone is who is authoritative for a name.
type zone struct {
	once    sync.Once
	servers []server
	err     error
}

// server is an authoritative server with its addresses.
type server struct {
	name      string
	addresses []netip.Addr
}

// toASCII is a name as it is asked for: with a dot at its end, in the letters of DNS. A
// star as its first label, as sites have it among their names, asks for the wildcard
// record (RFC 4592, 2.1).
func toASCII(name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		ascii, err := toASCII(rest)
		return "*." + ascii, err
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || ascii == "" {
		// Underscores are no part of a host's name, and of many a record's.
		ascii = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	if _, ok := dns.IsDomainName(ascii); !ok || ascii == "" || strings.ContainsAny(ascii, "/:@ \\*") {
		return "", fmt.Errorf("%q is not a domain name", name)
	}
	for _, r := range ascii {
		if r > 127 {
			return "", fmt.Errorf("%q is not a domain name", name)
		}
	}
	return dns.Fqdn(ascii), nil
}

// endpoint is an address with a port, which may be in it.
func endpoint(text string, port int) (string, error) {
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(address, uint16(port)).String(), nil
	}
	if address, err := netip.ParseAddrPort(text); err == nil && address.Port() != 0 {
		return address.String(), nil
	}
	return "", fmt.Errorf("%q is not the address of a resolver; it is an IP address, with a port as in 192.0.2.53:5353 or [2001:db8::53]:5353", text)
}

// question puts a question to a server, by UDP and, where the answer is too long for
// that, by TCP.
func question(ctx context.Context, at, name string, kind uint16, recursive bool) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.RecursionDesired = recursive
	m.SetEdns0(udpSize, false)
	var last error
	network := "udp"
	for range tries {
		answer, err := exchange(ctx, network, at, m)
		if err == nil && answer.Rcode == dns.RcodeFormatError && m.IsEdns0() != nil {
			m.Extra = nil // a server from before EDNS (RFC 6891, 7)
			answer, err = exchange(ctx, network, at, m)
		}
		if err == nil && answer.Truncated && network == "udp" {
			network = "tcp"
			answer, err = exchange(ctx, network, at, m)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			last = err
			continue
		}
		switch answer.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
			return answer, nil
		case dns.RcodeRefused:
			return nil, errors.New("it refuses to answer (REFUSED)")
		}
		last = fmt.Errorf("it answers %s", dns.RcodeToString[answer.Rcode])
	}
	return nil, last
}

func exchange(ctx context.Context, network, at string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: tryTimeout, UDPSize: udpSize}
	m.Id = dns.Id()
	answer, _, err := client.ExchangeContext(ctx, m, at)
	var timeout net.Error
	var failed *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, fmt.Errorf("it does not answer within %d s", int(tryTimeout.Seconds()))
	case errors.As(err, &failed):
		// Its own text has the port that the question came from, another one each time.
		return nil, fmt.Errorf("it cannot be reached: %w", failed.Err)
	case err != nil:
		return nil, fmt.Errorf("it does not answer as a DNS server: %w", err)
	case !answer.Response || len(answer.Question) != 1 || answer.Question[0].Qtype != m.Question[0].Qtype ||
		!strings.EqualFold(answer.Question[0].Name, m.Question[0].Name):
		return nil, errors.New("it answers another question")
	}
	return answer, nil
}

// records are those of a type in an answer, CNAMEs followed.
type records struct {
	name string   // where the CNAMEs lead, or what was asked for
	via  []string // the CNAMEs
	all  []dns.RR
	ttl  time.Duration // the longest
}

// read reads an answer to the question for a name.
func read(answer *dns.Msg, name string, kind uint16) (records, error) {
	r := records{name: name}
	for range maxHops {
		var next *dns.CNAME
		for _, rr := range answer.Answer {
			h := rr.Header()
			if !strings.EqualFold(h.Name, r.name) || h.Class != dns.ClassINET {
				continue
			}
			if cname, ok := rr.(*dns.CNAME); ok && kind != dns.TypeCNAME {
				next = cname
			}
			if h.Rrtype == kind {
				r.all = append(r.all, rr)
				r.ttl = max(r.ttl, time.Duration(h.Ttl)*time.Second)
			}
		}
		if len(r.all) > 0 || next == nil {
			return r, nil
		}
		r.name = strings.ToLower(next.Target)
		r.via = append(r.via, r.name)
		r.ttl = max(r.ttl, time.Duration(next.Hdr.Ttl)*time.Second)
	}
	return r, circle(name, r.via)
}

var errCircle = errors.New("its CNAMEs do not come to an end")

func circle(name string, via []string) error {
	if len(via) > 4 {
		via = via[:4]
	}
	return fmt.Errorf("%w: %s leads to %s and so on", errCircle, bare(name), strings.Join(bareAll(via), ", to "))
}

// bare is a name as people write it.
func bare(name string) string { return strings.TrimSuffix(name, ".") }

func bareAll(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = bare(name)
	}
	return all
}

// lookup is a way to ask for records: of a resolver, or of whoever is authoritative.
type lookup func(ctx context.Context, name string, kind uint16) (records, error)

// resolver asks a resolver.
func (a *asker) resolver(ctx context.Context, resolver, name, kind string) Answer {
	answer := Answer{Name: name, Type: kind, Server: resolver}
	at, err := endpoint(resolver, 53)
	if err != nil {
		return answer.failed(err)
	}
	return a.fill(ctx, answer, func(ctx context.Context, name string, kind uint16) (records, error) {
		m, err := question(ctx, at, name, kind, true)
		if err != nil {
			return records{}, err
		}
		if !m.RecursionAvailable && !m.Authoritative && len(m.Answer) == 0 {
			return records{}, errors.New("it is no resolver: it answers only for its own names")
		}
		return read(m, name, kind)
	})
}

// authoritative asks each server that is authoritative for a name.
func (a *asker) authoritative(ctx context.Context, name, kind string) []Answer {
	ascii, err := toASCII(name)
	if err != nil {
		return nil // Validate says it
	}
	servers, err := a.servers(ctx, ascii)
	if err != nil {
		return []Answer{Answer{Name: name, Type: kind, Server: "of " + name, Authoritative: true}.failed(err)}
	}
	var answers []Answer
	for _, each := range servers {
		answer := Answer{Name: name, Type: kind, Server: bare(each.name), Authoritative: true}
		answers = append(answers, a.fill(ctx, answer, func(ctx context.Context, asked string, kind uint16) (records, error) {
			if strings.EqualFold(asked, ascii) {
				return a.follow(ctx, each, asked, kind, 0)
			}
			return a.anyOf(ctx, asked, kind, 0)
		}))
	}
	return answers
}

// follow asks a server, and, where a CNAME leads out of its zone, those of the other.
// hops is how many zones it has come through.
func (a *asker) follow(ctx context.Context, s server, name string, kind uint16, hops int) (records, error) {
	m, err := a.ask(ctx, s, name, kind)
	if err != nil {
		return records{}, err
	}
	r, err := read(m, name, kind)
	if err != nil || len(r.all) > 0 || len(r.via) == 0 {
		return r, err
	}
	if hops == maxHops {
		return r, circle(name, r.via)
	}
	rest, err := a.anyOf(ctx, r.name, kind, hops+1)
	rest.via, rest.ttl = append(r.via, rest.via...), max(r.ttl, rest.ttl)
	return rest, err
}

// anyOf asks the first that answers of the servers that are authoritative for a name.
func (a *asker) anyOf(ctx context.Context, name string, kind uint16, hops int) (records, error) {
	servers, err := a.servers(ctx, name)
	if err != nil {
		return records{}, err
	}
	for _, s := range servers {
		var r records
		if r, err = a.follow(ctx, s, name, kind, hops); err == nil || errors.Is(err, errCircle) {
			return r, err
		}
	}
	return records{}, fmt.Errorf("%s: %w", bare(name), err)
}

// ask asks an authoritative server at the first of its addresses that answers: not
// everybody has IPv6.
func (a *asker) ask(ctx context.Context, s server, name string, kind uint16) (*dns.Msg, error) {
	err := errors.New("its name has no address")
	for _, address := range s.addresses {
		var m *dns.Msg
		if m, err = question(ctx, a.at(address), name, kind, false); err != nil {
			continue
		}
		if !m.Authoritative {
			err = errors.New("it is not authoritative for the name, though the zone above says so")
			continue
		}
		return m, nil
	}
	return nil, err
}

func (a *asker) at(address netip.Addr) string {
	port := a.check.port
	if port == 0 {
		port = 53
	}
	return net.JoinHostPort(address.String(), strconv.Itoa(port))
}

// servers are those that are authoritative for a name, as the resolvers say.
func (a *asker) servers(ctx context.Context, name string) ([]server, error) {
	a.mu.Lock()
	z := a.zones[strings.ToLower(name)]
	if z == nil {
		z = &zone{}
		a.zones[strings.ToLower(name)] = z
	}
	a.mu.Unlock()
	z.once.Do(func() {
		z.err = errors.New("there is no resolver to ask")
		for _, resolver := range a.check.Resolvers {
			if z.servers, z.err = a.zoneOf(ctx, resolver, name); z.err == nil {
				return
			}
		}
		z.err = fmt.Errorf("no resolver says who is authoritative: %w", z.err)
	})
	return z.servers, z.err
}

// zoneOf finds the zone that a name is in, from the name upwards.
func (a *asker) zoneOf(ctx context.Context, resolver, name string) ([]server, error) {
	at, err := endpoint(resolver, 53)
	if err != nil {
		return nil, err
	}
	for zone := name; ; {
		m, err := question(ctx, at, zone, dns.TypeNS, true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resolver, err)
		}
		var servers []server
		for _, rr := range m.Answer {
			if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, zone) && len(servers) < maxTargets {
				servers = append(servers, server{name: strings.ToLower(ns.Ns)})
			}
		}
		if len(servers) > 0 {
			for i := range servers {
				servers[i].addresses = addressesOf(ctx, at, servers[i].name)
			}
			slices.SortFunc(servers, func(a, b server) int { return strings.Compare(a.name, b.name) })
			return servers, nil
		}
		next, end := dns.NextLabel(zone, 0)
		if end {
			return nil, fmt.Errorf("%s knows no zone that %s is in", resolver, bare(name))
		}
		zone = zone[next:]
	}
}

// addressesOf are the addresses of a server, as a resolver knows them.
func addressesOf(ctx context.Context, at, name string) []netip.Addr {
	var all []netip.Addr
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if m, err := question(ctx, at, name, kind, true); err == nil {
			if r, err := read(m, name, kind); err == nil {
				all = append(all, addresses(r)...)
			}
		}
	}
	return all
}

func addresses(r records) []netip.Addr {
	var all []netip.Addr
	for _, rr := range r.all {
		var address netip.Addr
		var ok bool
		switch rr := rr.(type) {
		case *dns.A:
			address, ok = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			address, ok = netip.AddrFromSlice(rr.AAAA.To16())
		}
		if ok && !slices.Contains(all, address.Unmap()) {
			all = append(all, address.Unmap())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// fill completes an answer with what a lookup says.
func (a *asker) fill(ctx context.Context, answer Answer, find lookup) Answer {
	name, err := toASCII(answer.Name)
	if err != nil {
		return answer.failed(err)
	}
	add := func(name string, kind uint16) error {
		r, err := find(ctx, name, kind)
		if err != nil {
			return err
		}
		answer.Targets = append(answer.Targets, bareAll(r.via)...)
		answer.TTL = max(answer.TTL, r.ttl)
		for _, address := range addresses(r) {
			if !slices.Contains(answer.Addresses, address) {
				answer.Addresses = append(answer.Addresses, address)
			}
		}
		return nil
	}
	both := func(name string) error { return errors.Join(add(name, dns.TypeA), add(name, dns.TypeAAAA)) }
	switch answer.Type {
	case "A":
		err = add(name, dns.TypeA)
	case "AAAA":
		err = add(name, dns.TypeAAAA)
	default:
		var r records
		if r, err = find(ctx, name, dns.StringToType[answer.Type]); err != nil {
			break
		}
		targets := targetsOf(r)
		answer.TTL = r.ttl
		switch {
		case len(targets) > 0:
			answer.Targets = append(bareAll(r.via), bareAll(targets)...)
		case len(r.all) > 0: // a null MX (RFC 7505): it takes no mail
		case answer.Type == "MX":
			targets = []string{name} // whatever has no MX takes its mail itself (RFC 5321, 5.1)
		}
		for _, target := range targets {
			if err = both(target); err != nil {
				break
			}
		}
	}
	if err != nil {
		return answer.failed(err)
	}
	return answer
}

// targetsOf are the servers that MX or NS records name.
func targetsOf(r records) []string {
	var targets []string
	for _, rr := range r.all {
		target := ""
		switch rr := rr.(type) {
		case *dns.MX:
			target = rr.Mx
		case *dns.NS:
			target = rr.Ns
		}
		if target = strings.ToLower(target); target != "" && target != "." && !slices.Contains(targets, target) && len(targets) < maxTargets {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// failed is the answer where there was none.
func (a Answer) failed(err error) Answer {
	a.State, a.Error = Failed, strings.ReplaceAll(err.Error(), "\n", "; ")
	return a
}

// NameOf is the name of an address, as a resolver has it; "" where it has none.
func NameOf(ctx context.Context, resolver string, address netip.Addr) string {
	at, err := endpoint(resolver, 53)
	if err != nil {
		return ""
	}
	name, err := dns.ReverseAddr(address.Unmap().String())
	if err != nil {
		return ""
	}
	answer, err := question(ctx, at, name, dns.TypePTR, true)
	if err != nil {
		return ""
	}
	for _, rr := range answer.Answer {
		if ptr, ok := rr.(*dns.PTR); ok {
			return bare(ptr.Ptr)
		}
	}
	return ""
}
