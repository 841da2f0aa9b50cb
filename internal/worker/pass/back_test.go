//go:build linux

package pass

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// back are the two hosts the other way round: what was the target is the source.
func (w *two) back() *two {
	other := *w
	other.source, other.target = w.target, w.source
	other.options.Target = w.source
	other.options.Base = w.options.Base + ".back"
	other.options.Trash = w.options.Trash + ".back"
	if err := os.MkdirAll(other.options.Trash, 0o755); err != nil {
		w.t.Fatal(err)
	}
	other.bases, w.bases = []string{w.options.Base}, []string{other.options.Base}
	return &other
}

// nothingOdd fails the test where a pass says anything of a path.
func nothingOdd(t *testing.T, report *Report) {
	t.Helper()
	if len(report.Found) > 0 {
		t.Errorf("the pass says %s", tell(report))
	}
}

const mailbox = `cd source
mkdir -p anna/mail/new anna/mail/cur anna/docs bert
for n in 1 2 3 4; do echo "mail $n" >anna/mail/new/$n; done
echo text >anna/docs/a; echo old >anna/docs/b; echo gone >bert/gone; head -c 300000 /dev/urandom >bert/big
ln anna/docs/a anna/docs/hard; ln -s docs anna/link; chmod 700 anna/mail`

// What the new host has received, changed and removed since the last pass comes back,
// once, and nothing else is touched.
func TestBackBringsWhatTheNewHostReceived(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.pass()
	w.pass()
	back := w.back()
	w.sh(`cd target
echo "mail 5" >anna/mail/new/5
mv anna/mail/new/1 anna/mail/cur/1:2,S
mv anna/mail/new/2 anna/mail/cur/2:2,
rm anna/mail/new/3 bert/gone
echo edited >>anna/docs/b; echo more >>bert/big
mkdir -p new/dir; echo upload >new/dir/upload; chmod 750 bert; rm anna/link; ln -s mail anna/link`)
	report := back.pass()
	back.mustBeSame()
	w.mustBeSame()
	nothingOdd(t, report)
	if report.First || report.Times(Renamed) != 2 || report.Times(Deleted) != 2 || report.Times(Created) != 4 {
		t.Errorf("the pass back reports %s", tell(report))
	}
	if report.Literal > 5000 {
		t.Errorf("the pass back has brought %d bytes that the old host had", report.Literal)
	}
	w.sh(`grep -rq 'mail 3' state/trash.back; grep -rq gone state/trash.back`)

	again := back.pass()
	nothingOdd(t, again)
	if again.Changes != 0 {
		t.Errorf("a second pass back finds %d changes", again.Changes)
	}

	// And forward once more: what came back is known, so that it goes when it goes.
	w.sh(`cd source; rm anna/mail/new/5 'anna/mail/cur/1:2,S'; echo "mail 6" >anna/mail/new/6; rm -r new`)
	report = w.pass()
	w.mustBeSame()
	nothingOdd(t, report)
	if report.Times(Deleted) == 0 || report.Times(Created) != 1 || report.Times(Updated) != 0 {
		t.Errorf("the pass forward reports %s", tell(report))
	}
}

// A pass back with nothing to bring lists nothing that both hosts know.
func TestBackKnowsWhatBothHave(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.pass()
	report := w.back().pass()
	nothingOdd(t, report)
	if report.Changes != 0 || report.Transferred != 0 {
		t.Errorf("the pass back reports %d changes, %d files with content", report.Changes, report.Transferred)
	}
}

// What was there on the old host alone stays, and so does what somebody has changed there.
func TestBackLeavesWhatTheOldHostHas(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.options.Excludes = []string{"/bert"}
	w.pass()
	back := w.back()
	w.sh(`cd source; echo local >anna/docs/local; echo both >anna/docs/b; cd ../target; echo here >anna/docs/b; mkdir bert; echo x >bert/x`)
	report := back.pass()
	if report.Times(Updated) != 1 || report.Count(Conflict) != 1 {
		t.Errorf("the pass back reports %s", tell(report))
	}
	w.sh(`test "$(cat source/anna/docs/b)" = here; test -e source/anna/docs/local; test -e source/bert/gone; test ! -e source/bert/x; grep -rq both state/trash.back`)
}

// A directory that somebody has replaced on the new host is what he has put there.
func TestBackOfAReplacedDirectory(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.pass()
	back := w.back()
	w.sh(`cd target; mv anna /tmp/$$.anna; mkdir anna; echo new >anna/new; rm -r /tmp/$$.anna`)
	report := back.pass()
	nothingOdd(t, report)
	w.mustBeSame()
	w.sh(`grep -rq 'mail 1' state/trash.back; test "$(cat source/anna/new)" = new`)
}

// After a pass that broke off nobody goes the other way: parts of files would be copied.
func TestBackIsRefusedAfterAPassThatBrokeOff(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.pass()
	w.sh(`cd source; head -c 300000 /dev/urandom >bert/big2`)
	var calls atomic.Int64
	w.options.Fail = func(string, string) error {
		if calls.Add(1) > 2 {
			return unix.EIO
		}
		return nil
	}
	if _, err := w.talk(context.Background(), 0, 1, func(near, far net.Conn) (net.Conn, net.Conn) { return cutAfter(near, 700), far }); err == nil {
		t.Fatal("the pass did not break off")
	}
	w.options.Fail = nil
	before := list(t, w.source, nil)
	if _, err := w.back().try(context.Background()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("the pass back ends with %v", err)
	}
	for _, difference := range unchanged(before, list(t, w.source, nil), true) {
		t.Error(difference)
	}
	w.pass()
	nothingOdd(t, w.back().pass())
	w.mustBeSame()
}

// Where something is not mounted on the new host any more, nothing is gone.
func TestBackIsRefusedWhereSomethingIsNotMounted(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	w.sh(mailbox + `; mkdir ../target/anna`)
	volume := filepath.Join(w.target, "anna")
	mount(t, volume)
	nothingOdd(t, w.pass())
	w.mustBeSame()
	back := w.back()
	mount(t, volume) // another one over it
	_, err := back.try(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "mounted") || !strings.Contains(err.Error(), "anna") {
		t.Errorf("the pass back ends with %v", err)
	}
	unmount(t, volume)
	nothingOdd(t, back.pass())
	w.mustBeSame()
}

// A preview of the way back changes nothing, not even the base.
func TestBackPreview(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox)
	w.pass()
	back := w.back()
	w.sh(`echo new >target/anna/new; rm target/bert/gone`)
	before, base := list(t, w.source, nil), list(t, w.state, nil)
	preview := *back
	preview.options.Preview = true
	report := preview.pass()
	if report.Times(Created) != 1 || report.Times(Deleted) != 1 {
		t.Errorf("the preview reports %s", tell(report))
	}
	for _, difference := range append(unchanged(before, list(t, w.source, nil), true), unchanged(base, list(t, w.state, nil), true)...) {
		t.Error(difference)
	}
	if report := back.pass(); report.Times(Created) != 1 || report.Times(Deleted) != 1 {
		t.Errorf("the pass reports %s", tell(report))
	}
}

// A pass that is killed changes the time of the target itself, and the next puts it right.
func TestTimeOfTheTargetAfterAKill(t *testing.T) {
	w := newTwo(t)
	w.sh(mailbox + `; touch -d 2001-02-03 .`)
	w.pass()
	w.sh(`cd source; echo more >>anna/docs/b; touch -d 2001-02-03 anna/docs`)
	w.options.Fail = func(call, _ string) error {
		if call == "rename" || call == "rmdir" || call == "utimensat" {
			return unix.EIO
		}
		return nil
	}
	if _, err := w.talk(context.Background(), 0, 1, nil); err != nil {
		t.Logf("the pass that was killed: %v", err)
	}
	w.options.Fail = nil
	w.sh(`test "$(stat -c %Y target)" != "$(stat -c %Y source)"`)
	w.pass()
	w.mustBeSame()
}

// TestBackChains goes to and fro, at random: what is live changes, and passes bring that
// to the other host, some of which break off. Neither host has anything of its own, so
// that both are the same after each pass that has come to its end, and it says nothing.
func TestBackChains(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 15
	}
	eachSeed(t, 0, seeds, backChain)
}

// TestLongBackChains makes many more.
func TestLongBackChains(t *testing.T) { eachSeed(t, 1000, 2000, backChain) }

func backChain(t *testing.T, seed int) {
	w := newTwo(t)
	r := rand.New(rand.NewPCG(uint64(seed), 2)) //nolint:gosec // to be repeated
	var history []string
	note := func(format string, args ...any) { history = append(history, fmt.Sprintf(format, args...)) }
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d\n%s", seed, strings.Join(history, "\n"))
		}
	})
	outside := filepath.Join(filepath.Dir(w.source), "outside")
	w.must(os.MkdirAll(outside, 0o755))
	switch seed % 3 {
	case 1:
		w.pieceBits = func(int, int) int { return 2 }
	case 2:
		w.pieceBits = func(entries, _ int) int { return entries % 4 }
	}
	w.options.Writers = 1 + r.IntN(3)
	ways := []*two{w, w.back()}
	changers := []*changer{
		{t: t, r: r, root: w.source, outside: outside, mark: "old", history: &history},
		{t: t, r: r, root: w.target, outside: outside, mark: "new", history: &history, count: 1000}, // names of its own
	}
	for range 8 + r.IntN(20) {
		changers[0].entry(changers[0].free(changers[0].dir()))
	}
	live := 0
	for range 4 + r.IntN(6) {
		time.Sleep(12 * time.Millisecond)
		for range r.IntN(14) {
			changers[live].source()
		}
		time.Sleep(12 * time.Millisecond)
		way := ways[live]
		if r.IntN(4) == 0 {
			at := int64(1 + r.IntN(40))
			note("%d: killed at change %d", live, at)
			var calls atomic.Int64
			way.options.Fail = func(string, string) error {
				if calls.Add(1) >= at {
					return unix.EIO
				}
				return nil
			}
			report, err := way.talk(context.Background(), 2*time.Minute, 2, nil)
			note("its report: %s, error %v", tell(report), err)
			way.options.Fail = nil
		}
		report, err := way.talk(context.Background(), 2*time.Minute, 2, nil)
		note("%d: %s, error %v", live, tell(report), err)
		if err != nil {
			t.Fatalf("the pass failed: %v", err)
		}
		nothingOdd(t, report)
		ways[0].mustBeSame()
		ways[1].mustBeSame()
		if t.Failed() {
			return
		}
		if r.IntN(2) == 0 {
			live = 1 - live
		}
	}
}
