package traffic

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const now = 1_800_000_000

// byNft is what state.sh prints of a host with nft 1.0 on which one client came
// to port 80 twice, 90 s and 30 s ago, and one by IPv6 an hour ago.
const byNft = `now 1800000000
since 1799990000
init systemd
file count
file ports
file rules.nft
ports 25 80
tool nft
nft table inet cutover_traffic_web {
nft 	counter new_25 {
nft 		packets 0 bytes 0
nft 	}
nft 	counter in_25 {
nft 		packets 0 bytes 0
nft 	}
nft 	counter out_25 {
nft 		packets 0 bytes 0
nft 	}
nft 	counter new_80 {
nft 		packets 3 bytes 180
nft 	}
nft 	counter in_80 {
nft 		packets 17 bytes 1234
nft 	}
nft 	counter out_80 {
nft 		packets 20 bytes 56789
nft 	}
nft 	set clients4 {
nft 		type inet_service . ipv4_addr
nft 		size 65535
nft 		flags dynamic,timeout
nft 		timeout 7d
nft 		elements = { 80 . 192.0.2.7 timeout 7d expires 6d23h59m30s,
nft 			     8080 . 192.0.2.8 expires 6d }
nft 	}
nft 	set clients6 {
nft 		elements = { 80 . 2001:db8::7 expires 6d22h59m59s996ms }
nft 	}
nft }
`

// byIptables is the same host, had it iptables and 250 ticks a second.
const byIptables = `now 1800000000
since 1799990000
init sysv
file count
file ports
file rules.ip6tables
file rules.iptables
ports 25 80
tool iptables
iptables [9:999] -A CVC-web -i lo -j RETURN
iptables [0:0] -A CVC-web -p tcp -m tcp --dport 25
iptables [0:0] -A CVC-web -p tcp -m tcp --dport 25 --tcp-flags FIN,SYN,RST,ACK SYN -m recent --set --name cvc-web-25 --mask 255.255.255.255 --rsource
iptables [10:1000] -A CVC-web -p tcp -m tcp --dport 80
iptables [2:120] -A CVC-web -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m recent --set --name cvc-web-80 --mask 255.255.255.255 --rsource
tool ip6tables
ip6tables [7:234] -A CVC-web -p tcp -m tcp --dport 80
ip6tables [1:60] -A CVC-web -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m recent --set --name cvc6-web-80 --rsource
recent cvc-web-80 src=192.0.2.7 ttl: 63 last_seen: 4296338868 oldest_pkt: 2 4296323868, 4296338868
recent cvc-web-now src=192.0.2.1 ttl: 0 last_seen: 4296346368 oldest_pkt: 1 4296346368
recent cvc6-web-80 src=2001:0db8:0000:0000:0000:0000:0000:0007 ttl: 63 last_seen: 4295446368 oldest_pkt: 1 4295446368
jiffies 4296346368
later 4296346621
`

func TestReadTellsTheSameWhoeverCounted(t *testing.T) {
	for name, c := range map[string]struct {
		out  string
		sent int64
	}{"nft": {byNft, 56789}, "iptables": {byIptables, -1}} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Expect("traffic/state.sh web cutover_traffic_web").Prints(c.out)
			r, err := Read(t.Context(), fake, "web")
			if err != nil || r.Since.Unix() != now-10000 || len(r.Ports) != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			quiet, busy := r.Ports[0], r.Ports[1]
			if quiet.Number != 25 || quiet.Connections != 0 || len(quiet.Clients) != 0 || !quiet.Last().IsZero() {
				t.Errorf("port 25: %+v", quiet)
			}
			if busy.Number != 80 || busy.Connections != 3 || busy.Received != 1234 || busy.Sent != c.sent {
				t.Errorf("port 80: %+v", busy)
			}
			if len(busy.Clients) != 2 || busy.Clients[0].Address != "192.0.2.7" || busy.Clients[1].Address != "2001:db8::7" {
				t.Fatalf("port 80 was used by %+v", busy.Clients)
			}
			for i, ago := range []time.Duration{30 * time.Second, time.Hour} {
				if off := busy.Clients[i].Last.Sub(time.Unix(now, 0).Add(-ago)).Abs(); off > time.Second {
					t.Errorf("%s came %s too early or late", busy.Clients[i].Address, off)
				}
			}
			if !busy.Last().Equal(busy.Clients[0].Last) {
				t.Errorf("last at %s", busy.Last())
			}
		})
	}
}

func TestReadSaysWhyThereIsNothing(t *testing.T) {
	for name, c := range map[string]struct{ out, says string }{
		"flushed":     {"now 1800000000\nfile count\nfile ports\nports 80\ntool nft\n", "sh /etc/cutover/traffic-web/count web"},
		"no tool":     {"now 1800000000\n", "neither nftables nor iptables"},
		"no tunnel":   {"now 1800000000\ntool nft\n", `nothing counts for a tunnel "web"`},
		"broken off":  {"", "did not say what time it is"},
		"not a clock": {"now soon\n", "did not say what time it is"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Expect("traffic/state.sh web cutover_traffic_web").Prints(c.out)
			if _, err := Read(t.Context(), fake, "web"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	fake := hosttest.New(t)
	lost := errors.New("connection lost")
	fake.Expect("traffic/state.sh web cutover_traffic_web").Fails(lost)
	if _, err := Read(t.Context(), fake, "web"); !errors.Is(err, lost) {
		t.Error(err)
	}
}

func TestBegin(t *testing.T) {
	const state, begin, end = "traffic/state.sh web cutover_traffic_web", "traffic/begin.sh web", "traffic/end.sh web cutover_traffic_web"
	c := newCounter("web", []int{80, 25})
	files := func(more ...string) string {
		return "== /etc/cutover/traffic-web/count\n" + countText + "== /etc/cutover/traffic-web/ports\n25 80\n" + strings.Join(more, "")
	}
	byIptables := "== /etc/cutover/traffic-web/rules.iptables\n" + c.iptables(iptables)
	unit := "== /etc/systemd/system/cutover-traffic-web.service\n" + c.systemdUnit()
	t.Run("by nft", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect(state).Prints("now 1800000000\ninit systemd\ntool nft\ntool iptables\ntool ip6tables\n")
		fake.Expect(begin).WithStdin(files("== /etc/cutover/traffic-web/rules.nft\n"+c.nftables(), unit))
		if err := Begin(t.Context(), fake, "web", []int{80, 25, 80}); err != nil {
			t.Error(err)
		}
	})
	t.Run("by iptables", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect(state).Prints("now 1800000000\ninit sysv\ntool iptables\ntool ip6tables\n")
		fake.Expect(begin).WithStdin(files("== /etc/cutover/traffic-web/rules.ip6tables\n"+c.iptables(ip6tables), byIptables))
		if err := Begin(t.Context(), fake, "web", []int{80, 25}); err != nil {
			t.Error(err)
		}
	})
	t.Run("by iptables where nft cannot", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect(state).Prints("now 1800000000\ninit systemd\ntool nft\ntool iptables\n")
		fake.Expect(begin).Exits(1, "Could not process rule")
		fake.Expect(end)
		fake.Expect(begin).WithStdin(files(byIptables, unit))
		if err := Begin(t.Context(), fake, "web", []int{80, 25}); err != nil {
			t.Error(err)
		}
	})
	t.Run("by nothing", func(t *testing.T) { // a tunnel works without
		fake := hosttest.New(t)
		fake.Expect(state).Prints("now 1800000000\n")
		if err := Begin(t.Context(), fake, "web", []int{80, 25}); err != nil {
			t.Error(err)
		}
	})
	t.Run("counting already", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect(state).Prints(byNft)
		if err := Begin(t.Context(), fake, "web", []int{80, 25}); err != nil {
			t.Error(err)
		}
	})
	t.Run("other ports", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect(state).Prints(byNft)
		fake.Expect(end)
		fake.Expect(begin)
		if err := Begin(t.Context(), fake, "web", []int{80}); err != nil {
			t.Error(err)
		}
	})
	t.Run("connection lost", func(t *testing.T) {
		fake := hosttest.New(t)
		lost := errors.New("connection lost")
		fake.Expect(state).Prints("now 1800000000\ntool nft\ntool iptables\n")
		fake.Expect(begin).Fails(lost) // and no second tool
		if err := Begin(t.Context(), fake, "web", []int{80}); !errors.Is(err, lost) {
			t.Error(err)
		}
	})
}

func TestRulesOfIptables(t *testing.T) {
	got := newCounter("two-words", []int{80}).iptables(iptables)
	want := `*mangle
:CVC-two-words - [0:0]
-A CVC-two-words -i lo -j RETURN
-A CVC-two-words -m addrtype ! --dst-type LOCAL -j RETURN
-A CVC-two-words -p tcp --dport 80
-A CVC-two-words -p tcp --dport 80 --syn -m recent --name cvc-two-words-80 --rsource --set
-A CVC-two-words -s 255.255.255.255 -m recent --name cvc-two-words-now --rsource --set
`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
	// Lists are shared by both families; the clock is one of IPv4.
	if six := newCounter("two-words", []int{80}).iptables(ip6tables); !strings.Contains(six, "--name cvc6-two-words-80 ") || strings.Contains(six, "now") {
		t.Errorf("got\n%s", six)
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"6d23h59m58s996ms": 7*24*time.Hour - 1004*time.Millisecond,
		"1w":               7 * 24 * time.Hour,
		"604800s":          7 * 24 * time.Hour,
		"4ms":              4 * time.Millisecond,
		"2m3s":             123 * time.Second,
	} {
		if got := span(text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
