package dnscheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameserver is a DNS server on this machine, which answers from its records.
type nameserver struct {
	address string // with the port

	mu      sync.Mutex
	records map[string][]dns.RR // by name
	// answer is what it does instead, where it is not nil.
	answer func(w dns.ResponseWriter, m *dns.Msg)
	// authoritative says that it answers for its own names, and is no resolver.
	authoritative bool
	asked         int
}

// serve starts a server at an address; port 0 is any that is free.
func serve(t *testing.T, ip, port string, authoritative bool, records ...string) *nameserver {
	t.Helper()
	s := &nameserver{authoritative: authoritative}
	s.set(t, records...)
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 { // a free port of UDP may be taken in TCP
		if udp, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp", net.JoinHostPort(ip, port)); err != nil {
			continue
		}
		s.address = udp.LocalAddr().String()
		if tcp, err = new(net.ListenConfig).Listen(t.Context(), "tcp", s.address); err == nil {
			break
		}
		udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
		go func() { _ = each.ActivateAndServe() }()
		t.Cleanup(func() { _ = each.Shutdown() })
	}
	return s
}

// set replaces the records, given as zone files have them.
func (s *nameserver) set(t *testing.T, records ...string) {
	t.Helper()
	all := map[string][]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all[rr.Header().Name] = append(all[rr.Header().Name], rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = all
}

func (s *nameserver) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.answer != nil {
		s.answer(w, m)
		return
	}
	reply := new(dns.Msg)
	reply.SetReply(m)
	reply.Authoritative, reply.RecursionAvailable = s.authoritative, !s.authoritative
	name, kind := strings.ToLower(m.Question[0].Name), m.Question[0].Qtype
	if len(s.records[name]) == 0 {
		reply.Rcode = dns.RcodeNameError
	}
	for range 30 {
		next := ""
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == kind || rr.Header().Rrtype == dns.TypeCNAME {
				reply.Answer = append(reply.Answer, rr)
			}
			if cname, ok := rr.(*dns.CNAME); ok {
				next = cname.Target
			}
		}
		if name = next; next == "" {
			break
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := 512
		if o := m.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

func (s *nameserver) port() string {
	_, port, _ := net.SplitHostPort(s.address)
	return port
}

var (
	expected = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:2::1")}
	former   = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1::1")}
)

// The zone before and after the move.
var (
	oldZone = []string{
		"example.test. 3600 IN NS ns1.example.test.", "ns1.example.test. 3600 IN A 127.0.0.1",
		"example.test. 600 IN A 192.0.2.1", "example.test. 600 IN AAAA 2001:db8:1::1",
		"example.test. 600 IN MX 10 mail.example.test.", "mail.example.test. 900 IN A 192.0.2.1",
		"www.example.test. 300 IN CNAME example.test.",
	}
	newZone = []string{
		"example.test. 3600 IN NS ns1.example.test.", "ns1.example.test. 3600 IN A 127.0.0.1",
		"example.test. 600 IN A 198.51.100.1", "example.test. 600 IN AAAA 2001:db8:2::1",
		"example.test. 600 IN MX 10 mail.example.test.", "mail.example.test. 900 IN A 198.51.100.1",
		"www.example.test. 300 IN CNAME example.test.",
	}
)

// moving are an authoritative server and a resolver, each with its records.
func moving(t *testing.T, authoritative, resolver []string) (Check, *nameserver, *nameserver) {
	t.Helper()
	auth := serve(t, "127.0.0.1", "0", true, authoritative...)
	cache := serve(t, "127.0.0.1", "0", false, resolver...)
	port, err := net.LookupPort("udp", auth.port())
	if err != nil {
		t.Fatal(err)
	}
	return Check{
		Names: []string{"example.test", "www.example.test"}, Types: []string{"A", "AAAA", "MX"}, Expected: expected, Former: former,
		Resolvers: []string{cache.address}, Authoritative: true, port: port,
	}, auth, cache
}

func do(t *testing.T, c Check) Report {
	t.Helper()
	report, err := c.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAMove(t *testing.T) {
	t.Parallel()
	c, auth, cache := moving(t, oldZone, oldZone)
	report := do(t, c)
	if report.Complete || !report.By.IsZero() || len(report.Behind) != 12 {
		t.Errorf("before it: %+v", report)
	}
	auth.set(t, newZone...)
	// What the resolver remembers has some time left.
	left := make([]string, len(oldZone))
	for i, record := range oldZone {
		left[i] = strings.NewReplacer(" 600 ", " 77 ", " 900 ", " 123 ", " 300 ", " 11 ").Replace(record)
	}
	cache.set(t, left...)
	before := time.Now()
	report = do(t, c)
	if by := report.By.Sub(before); report.Complete || by < 123*time.Second || by > 133*time.Second || len(report.Behind) != 6 {
		t.Errorf("while the resolver remembers: by %v\n%s", by, strings.Join(report.Behind, "\n"))
	}
	for _, want := range []string{
		"example.test A at resolver " + cache.address + ": still 192.0.2.1 (TTL 77 s)",
		"example.test MX at resolver " + cache.address + ": still 192.0.2.1, through mail.example.test (TTL 123 s)",
		"www.example.test AAAA at resolver " + cache.address + ": still 2001:db8:1::1, through example.test (TTL 77 s)",
	} {
		if !slices.Contains(report.Behind, want) {
			t.Errorf("missing: %s\n%s", want, strings.Join(report.Behind, "\n"))
		}
	}
	cache.set(t, newZone...)
	report = do(t, c)
	if !report.Complete || len(report.Behind) > 0 || !report.By.IsZero() {
		t.Errorf("after it: %s", strings.Join(report.Behind, "\n"))
	}
	for _, a := range report.Answers {
		if a.State != Moved {
			t.Errorf("%s is %s", a, a.State)
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	c, _, cache := moving(t, newZone, oldZone)
	told := 0
	report, err := c.Wait(t.Context(), 10*time.Millisecond, func(r Report) {
		if told++; told == 3 {
			cache.set(t, newZone...)
		}
	})
	if err != nil || !report.Complete || told != 4 {
		t.Errorf("told %d times, %v, %s", told, err, report.Behind)
	}
	cache.set(t, oldZone...)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("time is over"))
	defer cancel()
	report, err = c.Wait(ctx, 10*time.Millisecond, func(Report) {})
	if err == nil || err.Error() != "time is over" || report.Complete || len(report.Behind) == 0 {
		t.Errorf("in the end: %v, %+v", err, report)
	}
}

// What servers do wrong is said of the one that does it, and of no other.
func TestTrouble(t *testing.T) {
	t.Parallel()
	says := func(rcode int) func(dns.ResponseWriter, *dns.Msg) {
		return func(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(m, rcode)) }
	}
	for name, c := range map[string]struct {
		records []string // of the resolver
		answer  func(w dns.ResponseWriter, m *dns.Msg)
		wants   string // in what is behind
		states  []State
	}{
		"fails":   {answer: says(dns.RcodeServerFailure), wants: "it answers SERVFAIL", states: []State{Failed}},
		"refuses": {answer: says(dns.RcodeRefused), wants: "it refuses to answer (REFUSED)", states: []State{Failed}},
		"is silent": {
			answer: func(dns.ResponseWriter, *dns.Msg) {}, wants: "it does not answer within 3 s", states: []State{Failed},
		},
		"is something else": {
			answer: func(w dns.ResponseWriter, _ *dns.Msg) { _, _ = w.Write([]byte("220 mail.example.test ESMTP\r\n")) },
			wants:  "it does not answer", states: []State{Failed},
		},
		"answers another question": {
			answer: func(w dns.ResponseWriter, m *dns.Msg) {
				reply := new(dns.Msg).SetReply(m)
				reply.Question[0].Name = "another.test."
				_ = w.WriteMsg(reply)
			},
			wants: "it answers another question", states: []State{Failed},
		},
		"is no resolver": {
			answer: func(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetReply(m)) },
			wants:  "it is no resolver", states: []State{Failed},
		},
		"lies":           {records: []string{"example.test. 60 IN A 203.0.113.9"}, wants: "203.0.113.9, which is neither the new host nor the old one", states: []State{Elsewhere}},
		"knows no such":  {records: []string{"other.test. 60 IN A 198.51.100.1"}, wants: "there is no such record", states: []State{Absent}},
		"has both":       {records: []string{"example.test. 60 IN A 198.51.100.1", "example.test. 50 IN A 192.0.2.1"}, wants: "still 192.0.2.1, 198.51.100.1", states: []State{Former}},
		"goes in rounds": {records: []string{"example.test. 60 IN CNAME a.test.", "a.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME a.test."}, wants: "do not come to an end: example.test leads to a.test, to b.test, to a.test", states: []State{Failed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check, _, bad := moving(t, newZone, c.records)
			good := serve(t, "127.0.0.1", "0", false, newZone...)
			bad.mu.Lock()
			bad.answer = c.answer
			bad.mu.Unlock()
			check.Names, check.Types = []string{"example.test"}, []string{"A"}
			check.Resolvers = []string{good.address, bad.address}
			began := time.Now()
			report := do(t, check)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if report.Complete || len(report.Behind) != 1 || !strings.HasPrefix(report.Behind[0], "example.test A at resolver "+bad.address+": ") ||
				!strings.Contains(report.Behind[0], c.wants) {
				t.Errorf("behind: %q", report.Behind)
			}
			for _, a := range report.Answers {
				want := Moved
				if a.Server == bad.address {
					want = c.states[0]
				}
				if a.State != want {
					t.Errorf("%s: %s", a, a.State)
				}
			}
		})
	}
}

func TestAuthoritativeServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		second []string // what the second server of the zone has
		more   []string // of the resolver
		wants  []string // what is behind
	}{
		"one is not told yet": {
			second: []string{"example.test. 600 IN A 192.0.2.1"},
			wants:  []string{"example.test A at authoritative server ns2.example.test: still 192.0.2.1 (TTL 600 s)"},
		},
		"one does not know the zone": {
			second: []string{},
			wants:  []string{"example.test A at authoritative server ns2.example.test: there is no such record"},
		},
		"a CNAME leads to another zone": {
			second: []string{"example.test. 600 IN CNAME cdn.other.test.", "other.test. 60 IN NS ns1.example.test.", "cdn.other.test. 60 IN A 203.0.113.7"},
			more:   []string{"other.test. 60 IN NS ns2.example.test."},
			wants:  []string{"example.test A at authoritative server ns2.example.test: 203.0.113.7, through cdn.other.test, which is neither the new host nor the old one"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check, first, cache := moving(t, newZone, append(append([]string{}, newZone...), append(c.more,
				"example.test. 3600 IN NS ns2.example.test.", "ns2.example.test. 3600 IN A 127.0.0.2")...))
			serve(t, "127.0.0.2", first.port(), true, c.second...)
			check.Names, check.Types = []string{"example.test"}, []string{"A"}
			_ = cache
			report := do(t, check)
			if !slices.Equal(report.Behind, c.wants) || report.Complete || !report.By.IsZero() {
				t.Errorf("behind: %q, by %v", report.Behind, report.By)
			}
		})
	}
}

// Asked again, an address where nothing is gives the very same error: a plan shows no
// difference.
func TestNothingIsThere(t *testing.T) {
	t.Parallel()
	udp, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := udp.LocalAddr().String()
	udp.Close()
	c := Check{Names: []string{"example.test"}, Types: []string{"A"}, Former: former, Resolvers: []string{nobody}}
	want := []string{"example.test A at resolver " + nobody + ": it cannot be reached: read: connection refused"}
	for range 2 {
		if report := do(t, c); !slices.Equal(report.Behind, want) {
			t.Errorf("behind: %q", report.Behind)
		}
	}
}

// An answer that is too long for UDP is asked for by TCP.
func TestALongAnswer(t *testing.T) {
	t.Parallel()
	records := append([]string{}, newZone...)
	for i := range 40 {
		host := "mail" + strings.Repeat("x", 30) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example.test."
		records = append(records, "big.example.test. 60 IN MX 10 "+host, host+" 60 IN A 198.51.100.1")
	}
	c, _, _ := moving(t, records, records)
	c.Names, c.Types = []string{"big.example.test"}, []string{"MX"}
	report := do(t, c)
	if !report.Complete || len(report.Answers) != 2 || len(report.Answers[0].Targets) != 40 {
		t.Errorf("%+v", report)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Check{Names: []string{"example.test", "_dmarc.example.test", "bücher.example", "*.example.test"}, Types: []string{"A"}, Former: former, Resolvers: []string{"192.0.2.53", "[2001:db8::53]:5353"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for wants, change := range map[string]func(c *Check){
		"no name to ask for":                      func(c *Check) { c.Names = nil },
		"neither the new addresses":               func(c *Check) { c.Former = nil },
		"no resolver to ask":                      func(c *Check) { c.Resolvers = nil },
		"both an expected and a former":           func(c *Check) { c.Expected = former },
		`"https://example.test/" is not a domain`: func(c *Check) { c.Names = []string{"https://example.test/"} },
		`"" is not a domain`:                      func(c *Check) { c.Names = []string{""} },
		`"a.*.example.test" is not a domain`:      func(c *Check) { c.Names = []string{"a.*.example.test"} },
		"TXT":                                     func(c *Check) { c.Types = []string{"TXT"} },
		`"dns.example" is not the address`:        func(c *Check) { c.Resolvers = []string{"dns.example"} },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), wants) {
			t.Errorf("%s: %v", wants, err)
		}
	}
}
