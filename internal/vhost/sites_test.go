package vhost

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// facts is what vhost/snapshot.sh prints of an Apache with one site of
// somebody else, followed by answers.
func facts(more ...string) string {
	return strings.Join(append([]string{
		"ipv6 yes", "server apache", "program /usr/sbin/apache2ctl", "version 2.4.62", "tree /etc/apache2", "main /etc/apache2/apache2.conf", "running yes",
		"layout sites", "available /etc/apache2/sites-available", "enabled /etc/apache2/sites-enabled", "ending .conf", "module alias_module",
		"is /etc/apache2/sites-available/theirs.conf", "link /etc/apache2/sites-enabled/theirs.conf", "| /etc/apache2/sites-available/theirs.conf",
		"file /etc/apache2/sites-available/theirs.conf", "| # by hand",
	}, append(more, "end", "")...), "\n")
}

func named(name string) Site {
	return Site{Name: name, Priority: NoPriority, ServerName: name, Ports: []int{80}}
}

const change = "vhost/change.sh /etc/apache2 apache /usr/sbin/apache2ctl apache2 80"

// input is what vhost/change.sh gets for new sites.
func input(t *testing.T, names ...string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range names {
		text, err := Render(Site{Server: Apache, Name: name, Priority: NoPriority, ServerName: name, Ports: []int{80}}, apache24)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "put\tnew\t0644\t-\t%d\t/etc/apache2/sites-available/%s.conf\n%s", strings.Count(text, "\n"), name, text)
		fmt.Fprintf(&b, "link\tany\t0000\t-\t../sites-available/%s.conf\t/etc/apache2/sites-enabled/%s.conf\n", name, name)
	}
	return b.String()
}

// together puts sites at the same moment, in order.
func together(t *testing.T, s *Sites, names ...string) []outcome {
	t.Helper()
	orders := make([]Order, len(names))
	for i, name := range names {
		orders[i] = Order{Site: named(name), Enabled: true}
	}
	outcomes, err := s.apply(t.Context(), orders)
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func TestSitesOfAMomentShareATest(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(change).Prints("done\nend\n")
	s := NewSites(fake)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			placed, err := s.Put(t.Context(), Order{Site: named(fmt.Sprintf("n%d", n)), Enabled: true})
			if err != nil || placed.Server != Apache || !placed.Running || placed.Path != fmt.Sprintf("/etc/apache2/sites-available/n%d.conf", n) {
				t.Errorf("n%d: %+v, %v", n, placed, err)
			}
		})
	}
	wg.Wait()
}

func TestOnlyTheFaultySiteFails(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(change).WithStdin(input(t, "a", "b", "c")).Prints(
		"rejected 1\n| AH00526: Syntax error on line 3 of /etc/apache2/sites-enabled/b.conf:\n| Invalid command 'X'\nunchanged\nend\n")
	fake.Expect(change).WithStdin(input(t, "a", "c")).Prints("done\nend\n")
	outcomes := together(t, NewSites(fake), "a", "b", "c")
	if outcomes[0].err != nil || outcomes[2].err != nil {
		t.Errorf("the others: %v, %v", outcomes[0].err, outcomes[2].err)
	}
	if err := outcomes[1].err; err == nil || !strings.Contains(err.Error(), "Invalid command 'X'") || !strings.Contains(err.Error(), "Line 3 of the file is:\n  ServerName b") {
		t.Errorf("the faulty one: %v", err)
	}
}

func TestFaultWithoutAPlaceIsLookedFor(t *testing.T) {
	const rejected = "rejected 1\n| something is wrong\nunchanged\nend\n"
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(change).WithStdin(input(t, "a", "b", "c")).Prints(rejected)
	unchanged := strings.TrimSuffix(change, "80") + "''"
	fake.Expect(unchanged).WithStdin("").Prints("done\nend\n") // the configuration was fine before
	fake.Expect(change).WithStdin(input(t, "a")).Prints("done\nend\n")
	fake.Expect(change).WithStdin(input(t, "b", "c")).Prints(rejected)
	fake.Expect(unchanged).WithStdin("").Prints("done\nend\n")
	fake.Expect(change).WithStdin(input(t, "b")).Prints("done\nend\n")
	fake.Expect(change).WithStdin(input(t, "c")).Prints(rejected)
	fake.Expect(unchanged).WithStdin("").Prints("done\nend\n")
	outcomes := together(t, NewSites(fake), "a", "b", "c")
	if outcomes[0].err != nil || outcomes[1].err != nil || outcomes[2].err == nil || !strings.Contains(outcomes[2].err.Error(), "something is wrong") {
		t.Errorf("%v", outcomes)
	}
}

func TestFaultOfBefore(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(change).Prints("rejected 1\n| line 1 of /etc/apache2/apache2.conf\nunchanged\nend\n")
	fake.Expect(strings.TrimSuffix(change, "80") + "''").Prints("rejected 1\n| line 1 of /etc/apache2/apache2.conf\nunchanged\nend\n")
	for _, o := range together(t, NewSites(fake), "a", "b") {
		if o.err == nil || !strings.Contains(o.err.Error(), "faulty before any change") {
			t.Errorf("%v", o.err)
		}
	}
}

func TestSilentPortIsTheSitesOwnFault(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(strings.TrimSuffix(change, "80") + "'80 8099'").Prints("silent 8099\ninactive\nunchanged\nend\n")
	fake.Expect(change).WithStdin(input(t, "a")).Prints("done\nend\n")
	bad := named("b")
	bad.Ports = []int{8099}
	outcomes, err := NewSites(fake).apply(t.Context(), []Order{{Site: named("a"), Enabled: true}, {Site: bad, Enabled: true}})
	if err != nil || outcomes[0].err != nil {
		t.Fatalf("%v, %v", err, outcomes)
	}
	var on *FieldError
	if err := outcomes[1].err; !errors.As(err, &on) || on.Field != "ports" || !strings.Contains(err.Error(), "Listen 8099") {
		t.Errorf("%v", err)
	}
}

func TestExistingSites(t *testing.T) {
	ours, err := Render(Site{Server: Apache, Name: "ours", Priority: NoPriority, ServerName: "ours", Ports: []int{80}}, apache24)
	if err != nil {
		t.Fatal(err)
	}
	file := "/etc/apache2/sites-available/ours.conf"
	present := []string{"is " + file, "link /etc/apache2/sites-enabled/ours.conf", "| " + file, "file " + file}
	for _, line := range strings.Split(strings.TrimSuffix(ours, "\n"), "\n") {
		present = append(present, "| "+line)
	}
	put := func(order Order, expect func(*hosttest.Fake)) error {
		fake := hosttest.New(t)
		fake.Expect("vhost/snapshot.sh").Prints(facts(present...))
		expect(fake)
		order.Enabled = true
		_, err := NewSites(fake).Put(t.Context(), order)
		return err
	}
	nothing := func(*hosttest.Fake) {}
	if err := put(Order{Site: named("ours")}, nothing); err != nil {
		t.Errorf("the same file again, as after a run that was killed: %v", err)
	}
	other := named("ours")
	other.ServerName = "another"
	var on *FieldError
	if err := put(Order{Site: other}, nothing); !errors.As(err, &on) || on.Field != "name" || !strings.Contains(err.Error(), "not in this state") {
		t.Errorf("a file of another state: %v", err)
	}
	if err := put(Order{Site: named("theirs")}, nothing); !errors.As(err, &on) || !strings.Contains(err.Error(), "terraform import … fake/apache/theirs") {
		t.Errorf("somebody else's file: %v", err)
	}
	if err := put(Order{Site: named("theirs"), Adopt: true}, func(fake *hosttest.Fake) {
		text := strings.Split(input(t, "theirs"), "link\t")[0]
		fake.Expect(change).WithStdin("copy\tany\t0000\t-\t/etc/apache2/sites-available/theirs.conf\t/var/lib/cutover/replaced/apache-theirs.conf.on\n" +
			strings.Replace(text, "put\tnew", "put\tany", 1)).Prints("done\nend\n")
	}); err != nil {
		t.Errorf("adopting: %v", err)
	}
}

func TestMissingModuleIsNamed(t *testing.T) {
	site := named("a")
	site.TLSPorts, site.Certificate, site.CertificateKey = []int{443}, "/c", "/k"
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").WithStdin("pair\t/c\t/k\n").Prints(facts("answer 0 fits"))
	var on *FieldError
	_, err := NewSites(fake).Put(t.Context(), Order{Site: site, Enabled: true})
	if !errors.As(err, &on) || on.Field != "certificate" || !strings.Contains(err.Error(), "`a2enmod ssl`") {
		t.Errorf("%v", err)
	}
}

func TestRemovePutsBackWhatWasAdopted(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints("saved apache-theirs.conf.on\n" + facts())
	fake.Expect(strings.TrimSuffix(change, "80") + "''").WithStdin(
		"copy\tany\t0000\t-\t/var/lib/cutover/replaced/apache-theirs.conf.on\t/etc/apache2/sites-available/theirs.conf\n" +
			"remove\tany\t0000\t-\t-\t/var/lib/cutover/replaced/apache-theirs.conf.on\n").Prints("done\nend\n")
	if err := NewSites(fake).Remove(t.Context(), named("theirs")); err != nil {
		t.Error(err)
	}
}

func TestRemoveOfWhatIsGone(t *testing.T) {
	for _, out := range []string{facts(), "end\n"} {
		fake := hosttest.New(t)
		fake.Expect("vhost/snapshot.sh").Prints(out)
		if err := NewSites(fake).Remove(t.Context(), named("gone")); err != nil {
			t.Error(err)
		}
	}
}

func TestBrokenOffSnapshotIsAnError(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(strings.TrimSuffix(facts(), "end\n"))
	if _, err := NewSites(fake).Snapshot(t.Context()); err == nil {
		t.Error("half a list was no error")
	}
}

// Planning needs to know the server, not its sites.
func TestServersAreKnownAfterAChange(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	fake.Expect(change).Prints("done\nend\n")
	s := NewSites(fake)
	if _, err := s.Put(t.Context(), Order{Site: named("a"), Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if snapshot, err := s.Servers(t.Context()); err != nil || snapshot.servers[Apache] == nil {
		t.Errorf("%v, %v", snapshot, err)
	}
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	if _, err := s.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReadsShareASnapshot(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("vhost/snapshot.sh").Prints(facts())
	s := NewSites(fake)
	for range 100 {
		if _, err := s.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
