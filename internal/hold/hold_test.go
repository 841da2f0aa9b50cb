package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// start is when the holds of these tests begin.
const start = 1_800_000_000 // 2027-01-15T08:00:00Z

var web = Hold{Name: "web", Ports: []int{443, 80}, ExpiresAfter: 10 * time.Minute}

// saying is what state.sh prints of a host: the time in seconds since start,
// then lines. The host was booted 5000 s before.
func saying(seconds int, lines ...string) string { return clock(0, seconds, lines...) }

// clock is saying of a host whose clock was set meanwhile, by so many seconds.
func clock(set, seconds int, lines ...string) string {
	return fmt.Sprintf("now %d\nuptime %d\nboot b1\narrived 22\nipv6\n%s\n", start+seconds+set, 5000+seconds, strings.Join(lines, "\n"))
}

const hour = 3600

var (
	tools = "tool nft\ntool iptables\ntool ip6tables"
	// written is the record of web, as state.sh prints it.
	written = "record web ports 80 443\nrecord web after 600\nrecord web begun 1800000000\nrecord web expires 1800000600\nrecord web uptime 5000\nrecord web boot b1\nrecord web tool nft\nrecord web released no"
	over    = strings.Replace(written, "released no", "released yes", 1)
	// listed is its table, as nft 1.0 lists it.
	listed = table("80 timeout 10m expires 9m59s996ms,\n\t\t\t     443 timeout 10m expires 9m59s996ms")
)

func table(elements string) string {
	set := ""
	if elements != "" {
		set = "\t\telements = { " + elements + " }\n"
	}
	text := "table inet cutover_hold_web {\n\tset held {\n\t\ttype inet_service\n\t\tflags timeout\n" + set +
		"\t}\n\n\tchain arriving {\n\t\ttype filter hook prerouting priority -300; policy accept;\n\t\tiif \"lo\" accept\n" +
		"\t\tfib daddr type local tcp dport @held tcp flags syn / fin,syn,rst,ack drop\n\t}\n}"
	return "nft web " + strings.ReplaceAll(text, "\n", "\nnft web ")
}

// saved is what iptables-save has of web, each line after a tool's name, and the
// list that has begun.
func saved(tool string, ports ...int) string {
	list := map[string]string{"iptables": "CUTOVER-HOLD-web --mask 0.0.0.0", "ip6tables": "CUTOVER-HOLD6-web --mask ::"}[tool]
	name, _, _ := strings.Cut(list, " ")
	return savedUntil(tool, "recent --rcheck --seconds 600 --reap --name "+list+" --rdest", ports...) + "\nlist " + name
}

// savedByClock is saved on a host without xt_recent.
func savedByClock(tool string, ports ...int) string {
	return savedUntil(tool, "time --datestop 2027-01-15T08:10:00", ports...)
}

func savedUntil(tool, inTime string, ports ...int) string {
	lines := []string{"-A PREROUTING -j CUTOVER-HOLD-web", "-A CUTOVER-HOLD-web -i lo -j RETURN"}
	for _, port := range ports {
		lines = append(lines, fmt.Sprintf("-A CUTOVER-HOLD-web -p tcp -m tcp --dport %d --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m %s -j DROP", port, inTime))
	}
	return tool + " " + strings.Join(lines, "\n"+tool+" ")
}

func TestTheKernelSaysWhatAHoldIsDoing(t *testing.T) {
	byIptables := strings.Replace(written, "tool nft", "tool iptables", 1)
	byTheClock := strings.Replace(written, "tool nft", "tool iptables-clock", 1)
	both := saved("iptables", 80, 443) + "\n" + saved("ip6tables", 80, 443)
	bothByClock := savedByClock("iptables", 80, 443) + "\n" + savedByClock("ip6tables", 80, 443)
	bootedAgain := strings.Replace(written, "boot b1", "boot b0", 1)
	for name, c := range map[string]struct{ out, want string }{
		"nothing there":           {saying(0, tools), "not found"},
		"held by nft":             {saying(5, tools, written, listed), "held"},
		"held by iptables":        {saying(5, byIptables, saved("iptables", 80, 443), saved("ip6tables", 80, 443)), "held"},
		"iptables' time is over":  {saying(601, byIptables, both), "expired"},
		"its clock set back":      {clock(-hour, 300, byIptables, both), "held"},
		"set back, and over":      {clock(-hour, 601, byIptables, both), "expired"},
		"its clock set forward":   {clock(+hour, 300, byIptables, both), "held"},
		"forward, rules gone":     {clock(+hour, 300, byIptables), "lost: its rules for port 80, 443 are gone"},
		"set back, lifted since":  {clock(-hour, 601, byIptables), "expired"},
		"no list has begun":       {saying(5, byIptables, strings.ReplaceAll(both, "\nlist ", "\nother ")), "lost: its rules for port 80, 443 are gone"},
		"reaped by a packet":      {clock(-hour, 601, byIptables, strings.ReplaceAll(both, "\nlist ", "\nother ")), "expired"},
		"held by the clock":       {saying(5, byTheClock, bothByClock), "held"},
		"the clock's last second": {saying(600, byTheClock, bothByClock), "held"},
		"the clock's time is up":  {saying(601, byTheClock, bothByClock), "expired"},
		"the clock holds on":      {clock(-hour, 601, byTheClock, bothByClock), "held"},
		"the clock ended it":      {clock(+hour, 300, byTheClock, bothByClock), "expired"},
		"not in IPv6":             {saying(5, byIptables, saved("iptables", 80, 443)), "lost: its rules for port 80, 443 are gone"},
		"one port of IPv6":        {saying(5, byIptables, saved("iptables", 80, 443), saved("ip6tables", 80)), "lost: its rules for port 443 are gone"},
		"no jump to the chain":    {saying(5, byIptables, strings.ReplaceAll(saved("iptables", 80, 443), "-A PREROUTING", "-A INPUT"), saved("ip6tables", 80, 443)), "lost"},
		"one port of nft":         {saying(5, written, table("80 timeout 10m expires 9m")), "lost: its rules for port 443 are gone"},
		"no chain":                {saying(5, written, strings.ReplaceAll(listed, "drop", "accept")), "lost"},
		"nft's time is over":      {saying(601, written, table("")), "expired"},
		"a clock set back":        {saying(-3000, written, table("")), "expired"},
		"expired, then booted":    {saying(700, bootedAgain), "expired"},
		"a container's restart":   {strings.Replace(saying(50, written), "uptime 5050", "uptime 20", 1), "lost: the host was booted"},
		"flushed":                 {saying(5, written), "lost: its rules for port 80, 443 are gone"},
		"booted":                  {saying(50, bootedAgain), "lost: the host was booted"}, // the uptime is that of the container's machine
		"changed when over":       {saying(700, strings.Replace(byIptables, "after 600", "after 7200", 1)), "expired"},
		"released":                {saying(5, over), "released"},
		"released and booted":     {saying(5, strings.Replace(over, "boot b1", "boot b0", 1)), "released"},
		"released long ago":       {saying(5000, over), "released"},
		"released, yet it holds":  {saying(5, over, listed), "held"},
		"unknown to the record":   {saying(5, listed), "lost: what was written down of it"},
		"unknown, by iptables":    {saying(5, both), "lost: what was written down of it"},
		"damaged record":          {saying(5, "record web ports eighty"), "lost: what is written down of it in /var/lib/cutover was damaged"},
		"of another name":         {saying(5, strings.ReplaceAll(written, "web", "mail")), "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Expect("hold/state.sh").Prints(c.out)
			s, found, err := NewHolds(fake).Read(t.Context(), "web")
			if err != nil {
				t.Fatal(err)
			}
			got := s.Status
			if !found {
				got = "not found"
			}
			if !strings.HasPrefix(got, c.want) || c.want == Held && got != Held {
				t.Errorf("the status is %q, want %q", got, c.want)
			}
		})
	}
}

func TestReadKnowsThePortsAndTheTime(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(5, tools, written, listed))
	s, _, err := NewHolds(fake).Read(t.Context(), "web")
	if err != nil || !slices.Equal(s.Ports, []int{80, 443}) || s.ExpiresAfter != 10*time.Minute || s.Expires.Unix() != start+600 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAnAnswerThatBreaksOffIsNoAnswer(t *testing.T) {
	for _, out := range []string{"", "boot b1\n", "now soon\n"} {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(out)
		if _, _, err := NewHolds(fake).Read(t.Context(), "web"); err == nil || !strings.Contains(err.Error(), "fake") {
			t.Errorf("after %q: %v", out, err)
		}
	}
	fake := hosttest.New(t)
	lost := errors.New("connection lost")
	fake.Expect("hold/state.sh").Fails(lost)
	if _, _, err := NewHolds(fake).Read(t.Context(), "web"); !errors.Is(err, lost) {
		t.Error(err)
	}
}

const recordOfWeb = `# Managed by Terraform: cutover_connection_hold "web".
# Destroying the resource removes this file.
ports 80 443
after 600
begun 1800000000
expires 1800000600
uptime 5000
boot b1
tool nft
released no
`

const rulesOfWeb = `table inet cutover_hold_web
delete table inet cutover_hold_web
table inet cutover_hold_web {
	set held {
		type inet_service
		flags timeout
		elements = { 80 timeout 600s, 443 timeout 600s }
	}
	chain arriving {
		type filter hook prerouting priority -300; policy accept;
		iif lo accept
		fib daddr type local tcp dport @held tcp flags & (fin | syn | rst | ack) == syn drop
	}
}
`

const iptablesOfWeb = `*mangle
:CUTOVER-HOLD-web - [0:0]
-A CUTOVER-HOLD-web -i lo -j RETURN
-A CUTOVER-HOLD-web -p tcp --dport 80 --syn -m addrtype --dst-type LOCAL -m recent --rcheck --seconds 600 --reap --name LIST --mask ANY --rdest -j DROP
-A CUTOVER-HOLD-web -p tcp --dport 443 --syn -m addrtype --dst-type LOCAL -m recent --rcheck --seconds 600 --reap --name LIST --mask ANY --rdest -j DROP
`

func TestBegin(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(0, tools))
	fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").WithStdin(recordOfWeb + "rules\n" + rulesOfWeb)
	fake.Expect("hold/state.sh").Prints(saying(1, tools, written, listed))
	s, err := NewHolds(fake).Begin(t.Context(), web)
	if err != nil || s.Status != Held || s.Expires.Unix() != start+600 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A kernel may lack what the rules need although nft itself works.
func TestBeginFallsBackToIptables(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(0, tools))
	fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").Exits(1, "Error: Could not process rule")
	fake.Expect("hold/hold.sh web iptables CUTOVER-HOLD-web yes").
		WithStdin(strings.Replace(recordOfWeb, "tool nft", "tool iptables", 1) + "rules\n" + iptablesOfWeb)
	fake.Expect("hold/state.sh").Prints(saying(1, tools, written, saved("iptables", 80, 443), saved("ip6tables", 80, 443)))
	if s, err := NewHolds(fake).Begin(t.Context(), web); err != nil || s.Status != Held {
		t.Errorf("%+v, %v", s, err)
	}
}

// Debian 7 has iptables 1.4.14, whose xt_recent has no --mask.
func TestBeginFallsBackToTheClock(t *testing.T) {
	byTheClock := strings.NewReplacer("-m recent --rcheck --seconds 600 --reap --name LIST --mask ANY --rdest", "-m time --utc --datestop 2027-01-15T08:10:00")
	record := strings.Replace(recordOfWeb, "tool nft", "tool iptables-clock", 1)
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(0, "tool iptables\ntool ip6tables"))
	fake.Expect("hold/hold.sh web iptables CUTOVER-HOLD-web yes").Exits(2, "iptables-restore v1.4.14: unknown option \"--mask\"")
	fake.Expect("hold/hold.sh web iptables-clock CUTOVER-HOLD-web yes").WithStdin(record + "rules\n" + byTheClock.Replace(iptablesOfWeb))
	fake.Expect("hold/state.sh").Prints(saying(1, strings.Replace(written, "tool nft", "tool iptables-clock", 1), savedByClock("iptables", 80, 443), savedByClock("ip6tables", 80, 443)))
	if s, err := NewHolds(fake).Begin(t.Context(), web); err != nil || s.Status != Held || !s.ByClock() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBeginUndoesWhatItCouldNotFinish(t *testing.T) {
	const lift = "hold/lift.sh web cutover_hold_web CUTOVER-HOLD-web nft"
	t.Run("refused", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(0, "tool nft"))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").Exits(1, "Operation not permitted")
		fake.Expect(lift).WithStdin("")
		if _, err := NewHolds(fake).Begin(t.Context(), web); err == nil || !strings.Contains(err.Error(), "not permitted") || errors.Is(err, ErrLeftovers) {
			t.Error(err)
		}
	})
	t.Run("no effect", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(0, tools))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes")
		fake.Expect("hold/state.sh").Prints(saying(1, tools, written))
		fake.Expect(lift).WithStdin("")
		if _, err := NewHolds(fake).Begin(t.Context(), web); err == nil || !strings.Contains(err.Error(), "does not hold the ports") {
			t.Error(err)
		}
	})
	t.Run("connection lost", func(t *testing.T) {
		fake := hosttest.New(t)
		lost := errors.New("connection lost")
		fake.Expect("hold/state.sh").Prints(saying(0, tools))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").Fails(lost) // and not a second tool
		fake.Expect(lift).Fails(lost)
		if _, err := NewHolds(fake).Begin(t.Context(), web); !errors.Is(err, lost) || !errors.Is(err, ErrLeftovers) {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		fake := hosttest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		fake.Expect("hold/state.sh").Prints(saying(0, tools))
		fake.Expect(lift)
		if _, err := NewHolds(cancelling{fake, cancel}).Begin(ctx, web); !errors.Is(err, context.Canceled) || errors.Is(err, ErrLeftovers) {
			t.Error(err)
		}
	})
}

// cancelling is a host at which the operator gives up once its state is known.
type cancelling struct {
	*hosttest.Fake
	cancel func()
}

func (c cancelling) Run(ctx context.Context, command host.Command) (host.Result, error) {
	result, err := c.Fake.Run(ctx, command)
	c.cancel()
	return result, err
}

// Nothing is run after the look: hosttest fails on it.
func TestBeginRefusesBeforeAnythingHasChanged(t *testing.T) {
	other := strings.ReplaceAll(written, "web", "night")
	for name, c := range map[string]struct {
		wanted    Hold
		out, says string
	}{
		"the provider's own port": {Hold{"web", []int{80, 22}, time.Minute}, saying(0, tools), "port 22 of host \"fake\" is the one through which"},
		"its port before NAT":     {Hold{"web", []int{80, 2222}, time.Minute}, saying(0, tools), "port 2222"},
		"held by another":         {web, saying(0, tools, other, strings.ReplaceAll(listed, "web", "night")), `port 80, 443 of host "fake" is held already, by the hold "night" until 2027-01-15T08:10:00Z`},
		"the name is taken":       {Hold{"web", []int{81}, time.Minute}, saying(0, tools, written, listed), `has a hold "web" already`},
		"no tool":                 {web, saying(0), "neither nftables nor iptables"},
		"no ip6tables":            {web, saying(0, "tool iptables"), "neither nftables nor ip6tables"},
		"no port":                 {Hold{"web", nil, time.Minute}, "", "at least one port"},
		"port 0":                  {Hold{"web", []int{0}, time.Minute}, "", "no TCP port"},
		"no name":                 {Hold{"", []int{80}, time.Minute}, "", "a hold's name"},
		"no time":                 {Hold{"web", []int{80}, 0}, "", "expires after"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Ident.Port = 2222
			if c.out != "" {
				fake.Expect("hold/state.sh").Prints(c.out)
			}
			if _, err := NewHolds(fake).Begin(t.Context(), c.wanted); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// What an apply that was killed has left: it is the same hold, and gets its full
// time.
func TestBeginTakesOverWhatAKilledApplyHasLeft(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(100, tools, written, listed))
	fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").WithStdin(
		strings.NewReplacer("begun 1800000000", "begun 1800000100", "expires 1800000600", "expires 1800000700", "uptime 5000", "uptime 5100").Replace(recordOfWeb) + "rules\n" + rulesOfWeb)
	fake.Expect("hold/state.sh").Prints(saying(101, tools, written, listed))
	if s, err := NewHolds(fake).Begin(t.Context(), web); err != nil || s.Status != Held {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAPortIsFreeAgainOnceItsHoldIsOver(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(0, tools, strings.ReplaceAll(over, "web", "night")))
	fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes")
	fake.Expect("hold/state.sh").Prints(saying(1, tools, written, listed))
	if _, err := NewHolds(fake).Begin(t.Context(), web); err != nil {
		t.Error(err)
	}
}

func TestChange(t *testing.T) {
	wanted := Hold{"web", []int{80}, 5 * time.Minute}
	t.Run("held", func(t *testing.T) { // what is left of the new time counts from the beginning
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(100, tools, written, listed))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").WithStdin(
			strings.NewReplacer("ports 80 443", "ports 80", "after 600", "after 300", "expires 1800000600", "expires 1800000300").Replace(recordOfWeb) + "rules\n" +
				strings.Replace(rulesOfWeb, "80 timeout 600s, 443 timeout 600s", "80 timeout 200s", 1))
		fake.Expect("hold/state.sh").Prints(saying(101, tools, strings.Replace(written, "80 443", "80", 1), table("80 timeout 200s expires 199s")))
		if s, err := NewHolds(fake).Change(t.Context(), wanted); err != nil || s.Status != Held || s.Expires.Unix() != start+300 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("held, and the clock set back", func(t *testing.T) {
		fake := hosttest.New(t)
		byIptables := strings.Replace(written, "tool nft", "tool iptables", 1)
		fake.Expect("hold/state.sh").Prints(clock(-hour, 100, "tool iptables\ntool ip6tables", byIptables, saved("iptables", 80, 443), saved("ip6tables", 80, 443)))
		fake.Expect("hold/hold.sh web iptables CUTOVER-HOLD-web yes").WithStdin(
			strings.NewReplacer("after 600", "after 300", "expires 1800000600", "expires 1800000300", "tool nft", "tool iptables").Replace(recordOfWeb) + "rules\n" +
				strings.ReplaceAll(iptablesOfWeb, "--seconds 600", "--seconds 200"))
		fake.Expect("hold/state.sh").Prints(clock(-hour, 101, byIptables, saved("iptables", 80, 443), saved("ip6tables", 80, 443)))
		if s, err := NewHolds(fake).Change(t.Context(), Hold{"web", []int{80, 443}, 5 * time.Minute}); err != nil || s.Status != Held {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("the new time is over, by no clock", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(clock(-hour, 400, tools, written, listed))
		fake.Expect("hold/lift.sh web cutover_hold_web CUTOVER-HOLD-web nft")
		if s, err := NewHolds(fake).Change(t.Context(), wanted); err != nil || s.Status != Expired {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("of the boot before", func(t *testing.T) { // the rest of its time, counted on in this one
		fake := hosttest.New(t)
		booted := func(seconds int, lines ...string) string {
			return strings.Replace(saying(seconds, lines...), fmt.Sprintf("uptime %d", 5000+seconds), "uptime 30", 1)
		}
		fake.Expect("hold/state.sh").Prints(booted(100, tools, strings.Replace(written, "boot b1", "boot b0", 1)))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").WithStdin(
			strings.NewReplacer("uptime 5000", "uptime -70").Replace(recordOfWeb) + "rules\n" + strings.ReplaceAll(rulesOfWeb, "timeout 600s", "timeout 500s"))
		fake.Expect("hold/state.sh").Prints(booted(101, tools, written, listed))
		if s, err := NewHolds(fake).Change(t.Context(), web); err != nil || s.Status != Held {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("the new time is over", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(400, tools, written, listed))
		fake.Expect("hold/lift.sh web cutover_hold_web CUTOVER-HOLD-web nft")
		if s, err := NewHolds(fake).Change(t.Context(), wanted); err != nil || s.Status != Expired {
			t.Errorf("%+v, %v", s, err)
		}
	})
	for name, c := range map[string]struct{ out, status string }{
		"released": {saying(100, tools, over), Released},
		"expired":  {saying(700, tools, written), Expired},
	} {
		t.Run(name, func(t *testing.T) { // holds nothing again, and reads the same afterwards
			fake := hosttest.New(t)
			fake.Expect("hold/state.sh").Prints(c.out)
			fake.Expect("hold/hold.sh web none CUTOVER-HOLD-web no")
			s, err := NewHolds(fake).Change(t.Context(), Hold{"web", []int{80}, time.Hour})
			if err != nil || s.Status != c.status || s.Expires.Unix() != start+600 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(100, tools))
		if _, err := NewHolds(fake).Change(t.Context(), wanted); err == nil {
			t.Error("a hold that is gone was changed")
		}
	})
}

func TestRelease(t *testing.T) {
	const lift = "hold/lift.sh web cutover_hold_web CUTOVER-HOLD-web nft"
	for name, c := range map[string]struct{ out, record, status string }{
		"held":             {saying(5, tools, written, listed), strings.Replace(recordOfWeb, "released no", "released yes\nreleased_at 1800000005", 1), Released},
		"released already": {saying(5, tools, over), strings.Replace(recordOfWeb, "released no", "released yes", 1), Released},
		"released before":  {saying(50, tools, over+"\nrecord web released_at 1800000005"), strings.Replace(recordOfWeb, "released no", "released yes\nreleased_at 1800000005", 1), Released},
		"expired":          {saying(700, tools, written), recordOfWeb, Expired}, // which the user is to know
	} {
		t.Run(name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Expect("hold/state.sh").Prints(c.out)
			fake.Expect(lift).WithStdin(c.record)
			s, found, err := NewHolds(fake).Release(t.Context(), "web")
			if err != nil || !found || s.Status != c.status {
				t.Errorf("%+v, %v, %v", s, found, err)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(5, tools))
		if _, found, err := NewHolds(fake).Release(t.Context(), "web"); found || err != nil {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// asWritten is a record as state.sh prints it.
func asWritten(record string) string {
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(record), "\n") {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, "record web "+line)
		}
	}
	return strings.Join(lines, "\n")
}

// A hold that was released holds again when its tunnel ends, for its full time, and is
// still the same one.
func TestAgain(t *testing.T) {
	record := strings.NewReplacer("begun 1800000000", "made 1800000000\nbegun 1800000900", "expires 1800000600", "expires 1800001500", "uptime 5000", "uptime 5900").Replace(recordOfWeb)
	t.Run("released", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(900, tools, over))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").WithStdin(record + "rules\n" + rulesOfWeb)
		fake.Expect("hold/state.sh").Prints(saying(901, tools, asWritten(record), listed))
		s, found, err := NewHolds(fake).Again(t.Context(), "web")
		if err != nil || !found || s.Status != Held || s.Expires.Unix() != start+1500 || s.ID("old") != "old/web@20270115T080000Z" {
			t.Errorf("%+v, %v, %v", s, found, err)
		}
	})
	t.Run("again", func(t *testing.T) { // a third time it is the same one still
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(2000, tools, asWritten(strings.Replace(record, "released no", "released yes", 1))))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes")
		fake.Expect("hold/state.sh").Prints(saying(2001, tools, asWritten(record), listed))
		if s, _, err := NewHolds(fake).Again(t.Context(), "web"); err != nil || s.ID("old") != "old/web@20270115T080000Z" {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("held", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(5, tools, written, listed))
		if s, found, err := NewHolds(fake).Again(t.Context(), "web"); err != nil || !found || s.Status != Held {
			t.Errorf("%+v, %v, %v", s, found, err)
		}
	})
	t.Run("not there", func(t *testing.T) {
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(5, tools))
		if _, found, err := NewHolds(fake).Again(t.Context(), "web"); found || err != nil {
			t.Errorf("%v, %v", found, err)
		}
	})
	t.Run("in vain", func(t *testing.T) { // what is written down stays as it was
		fake := hosttest.New(t)
		fake.Expect("hold/state.sh").Prints(saying(900, "tool nft", over))
		fake.Expect("hold/hold.sh web nft CUTOVER-HOLD-web yes").Exits(1, "no such table")
		fake.Expect("hold/lift.sh web cutover_hold_web CUTOVER-HOLD-web nft").WithStdin(strings.Replace(recordOfWeb, "released no", "released yes", 1))
		if s, found, err := NewHolds(fake).Again(t.Context(), "web"); err == nil || !found || s.Status != Released {
			t.Errorf("%+v, %v, %v", s, found, err)
		}
	})
}

func TestLift(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("hold/state.sh").Prints(saying(5, tools)) // also where nothing is known of it
	fake.Expect("hold/lift.sh two-words cutover_hold_two_words CUTOVER-HOLD-two-words ''").WithStdin("")
	if err := NewHolds(fake).Lift(t.Context(), "two-words"); err != nil {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	id := State{Hold: web, Begun: time.Unix(start, 0)}.ID("old")
	if id != "old/web@20270115T080000Z" {
		t.Error(id)
	}
	for _, id := range []string{id, "old/web"} {
		if hostName, name, err := ParseID(id); hostName != "old" || name != "web" || err != nil {
			t.Error(hostName, name, err)
		}
	}
	for _, bad := range []string{"", "old", "/web", "old/", "old/Web", "old/a;b", "old/a/b", "old/web@", "old/web@noon", "old/@20270115T080000Z"} {
		if _, _, err := ParseID(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}
