//go:build linux

package pass

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/filter"
)

// TestChains makes random chains of passes, with changes on both hosts between
// them, and passes that break off. CUTOVER_CHAIN_SEED repeats one.
func TestChains(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 40
	}
	chains(t, 0, seeds)
}

// TestLongChains makes many more.
func TestLongChains(t *testing.T) { chains(t, 1000, 5000) }

func chains(t *testing.T, first, n int) {
	eachSeed(t, first, n, func(t *testing.T, seed int) { newChain(t, seed).run() })
}

// eachSeed runs a test for n seeds, several at a time, or for the one that
// CUTOVER_CHAIN_SEED names.
func eachSeed(t *testing.T, first, n int, run func(t *testing.T, seed int)) {
	if seed := os.Getenv("CUTOVER_CHAIN_SEED"); seed != "" {
		var err error
		if first, err = strconv.Atoi(seed); err != nil {
			t.Fatal(err)
		}
		n = 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			run(t, seed)
		})
	}
}

// chain is one random chain.
type chain struct {
	*two
	r              *rand.Rand
	history        []string
	old, new       *changer
	skip           func(path string, isDir bool) bool
	targetChanges  bool
	previews       bool // before each pass
	readers        int
	ahead          time.Duration // of the old host's clock
	own            map[string]string
	said           map[string]bool // paths of the target's own that a pass said that it replaces
	adopted, loose map[string]bool
	looseFiles     map[uint64]bool // files with several names whose attributes somebody has changed on the target
	base           map[string]pair
	sure           bool // base is what the chain has brought
	torn           bool // the product's base may have lost something since that was so
	everTorn       bool
	unseen         bool // there may be something that a pass finds only when it looks closer
}

// pair is an entry as it was on both hosts after it was brought.
type pair struct{ source, target *seen }

func newChain(t *testing.T, seed int) *chain {
	c := &chain{
		two: newTwo(t), r: rand.New(rand.NewPCG(uint64(seed), 1)), //nolint:gosec // to be repeated
		own: map[string]string{}, said: map[string]bool{}, adopted: map[string]bool{}, loose: map[string]bool{}, looseFiles: map[uint64]bool{}, base: map[string]pair{}, sure: true,
	}
	dir := filepath.Dir(c.source)
	outside := filepath.Join(dir, "outside")
	c.old = &changer{t: t, r: c.r, root: c.source, outside: outside, mark: "old", history: &c.history}
	c.new = &changer{t: t, r: c.r, root: c.two.target, outside: outside, mark: "OWN", history: &c.history}
	c.old.must(os.MkdirAll(filepath.Join(outside, "a", "b"), 0o755))
	for _, name := range []string{"a/a", "b", "f1", "a/b/c"} {
		c.old.must(os.WriteFile(filepath.Join(outside, name), []byte("outside"), 0o600))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d\n%s", seed, strings.Join(c.history, "\n"))
		}
	})
	c.targetChanges = c.r.IntN(3) > 0
	c.options.Compress = Compress(seed % 3) //nolint:gosec // it is a small number
	switch seed % 4 {
	case 1: // each directory is in pieces
		c.pieceBits = func(int, int) int { return 2 }
	case 3: // in others each time that its number of entries is another
		c.pieceBits = func(entries, _ int) int { return entries % 4 }
	}
	c.options.Writers, c.readers = 1+c.r.IntN(4), 1+c.r.IntN(4)
	switch c.r.IntN(8) {
	case 0:
		c.options.Delete = Purge
	case 1:
		c.options.Delete = None
	}
	if c.r.IntN(6) == 0 {
		c.options.OnConflict = "fail"
	}
	if c.r.IntN(4) == 0 {
		c.exclude()
	}
	if c.r.IntN(3) > 0 {
		// Nothing is so young then that its time of change is not believed.
		c.ahead = 2 * time.Minute
	}
	c.note("delete %s, conflict %q, excludes %q, ahead %v", c.options.Delete, c.options.OnConflict, c.options.Excludes, c.ahead)
	if c.skip == nil {
		c.skip = func(string, bool) bool { return false }
	}
	return c
}

// exclude leaves something out from now on.
func (c *chain) exclude() {
	c.options.Excludes = [][]string{{"/a"}, {"f1"}, {"b/"}, {"c", "*x"}}[c.r.IntN(4)]
	c.note("excludes %q", c.options.Excludes)
	f, err := filter.Compile(c.options.Excludes)
	c.old.must(err)
	c.skip = func(path string, isDir bool) bool { return f.Excluded([]byte(path), isDir) }
}

func (c *chain) note(format string, args ...any) {
	c.history = append(c.history, fmt.Sprintf(format, args...))
}

func (c *chain) run() {
	for range 8 + c.r.IntN(20) {
		c.old.entry(c.old.free(c.old.dir()))
	}
	for range 10 {
		c.old.source()
	}
	if c.targetChanges && c.r.IntN(2) == 0 {
		c.changeTarget(1+c.r.IntN(5), false)
	}
	passes := 4 + c.r.IntN(4)
	for n := range passes {
		if n > 0 {
			// The times of files have the resolution of the kernel's clock.
			time.Sleep(12 * time.Millisecond)
			for range c.r.IntN(14) {
				c.old.source()
			}
			if c.targetChanges {
				c.changeTarget(c.r.IntN(5), !c.sure)
			}
			time.Sleep(12 * time.Millisecond)
		}
		if n > 0 && c.r.IntN(15) == 0 {
			// What is left out before or after is the target's own.
			everything := list(c.t, c.two.target, nil)
			kept := list(c.t, c.two.target, c.skip)
			c.exclude()
			keptNow := list(c.t, c.two.target, c.skip)
			for path := range everything {
				c.adopted[path] = c.adopted[path] || kept[path] == nil || keptNow[path] == nil
			}
			c.sure = false
		}
		c.options.Look = LookChanged
		if c.r.IntN(4) == 0 {
			c.options.Look = LookAll
		}
		if n < passes-1 && c.r.IntN(3) == 0 {
			c.broken()
		} else {
			c.quiet(n == passes-1)
		}
		if c.t.Failed() {
			return
		}
	}
}

// changeTarget changes the target, and notes what is its own now.
func (c *chain) changeTarget(n int, gentle bool) {
	before := list(c.t, c.two.target, nil)
	for range n {
		c.new.target(gentle)
	}
	after := list(c.t, c.two.target, nil)
	for path, a := range after {
		if b := before[path]; b == nil || !a.is(b, b.nlink > 1) {
			c.own[path] = a.own()
			delete(c.said, path)
		}
		if b := before[path]; b != nil && (a.nlink > 1 || b.nlink > 1) && b.ctime != a.ctime {
			c.looseFiles[a.ino] = true
		}
		if b := before[path]; a.isDir() && (b == nil || *b != *a) {
			c.loose[path] = true
		}
	}
	maps.DeleteFunc(c.own, func(path, _ string) bool { return after[path] == nil })
}

// talk makes a pass over a stream that can be cut, with an old host whose clock
// is ahead.
func (w *two) talk(ctx context.Context, ahead time.Duration, readers int, cut func(near, far net.Conn) (net.Conn, net.Conn)) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	near, far := net.Pipe()
	if cut != nil {
		near, far = cut(near, far)
	}
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, far, Served{
			Paths: []string{w.source}, Names: sameOwners{}, Bases: w.bases, Boot: w.options.Boot, Readers: readers, pieceBits: w.pieceBits,
			clock: func() time.Time { return time.Now().Add(ahead) },
		})
		far.Close()
	}()
	report, err := run(ctx, near, w.options)
	near.Close()
	if serving := <-served; err == nil && serving != nil {
		err = fmt.Errorf("the source: %w", serving)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		w.t.Errorf("the pass hangs: %v", err)
	}
	return report, err
}

func (c *chain) served(ctx context.Context, cut func(near, far net.Conn) (net.Conn, net.Conn)) (*Report, error) {
	return c.talk(ctx, c.ahead, c.readers, cut)
}

// broken is a pass that breaks off.
func (c *chain) broken() {
	at := int64(1 + c.r.IntN(1+c.r.IntN(150)))
	problem := []error{unix.ENOSPC, unix.EIO, unix.EACCES}[c.r.IntN(3)]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var calls atomic.Int64
	var cut func(near, far net.Conn) (net.Conn, net.Conn)
	torn := -1
	kind := c.r.IntN(5)
	var copied atomic.Pointer[[]byte]
	switch kind {
	case 0:
		c.note("pass: change %d fails with %v", at, problem)
		c.options.Fail = func(string, string) error {
			if calls.Add(1) == at {
				return problem
			}
			return nil
		}
	case 1:
		bytes := int64(c.r.IntN(1 << c.r.IntN(20)))
		side := c.r.IntN(2)
		c.note("pass: the stream of side %d is cut after %d bytes", side, bytes)
		cut = func(near, far net.Conn) (net.Conn, net.Conn) {
			if side == 0 {
				return cutAfter(near, bytes), far
			}
			return near, cutAfter(far, bytes)
		}
	case 2:
		c.note("pass: cancelled at change %d", at)
		c.options.Fail = func(string, string) error {
			if calls.Add(1) == at {
				cancel()
			}
			return nil
		}
	default:
		if c.r.IntN(3) == 0 {
			torn = c.r.IntN(200)
		}
		c.note("pass: killed at change %d, torn %d", at, torn)
		c.options.Fail = func(string, string) error {
			n := calls.Add(1)
			if n < at {
				return nil
			}
			if n == at {
				content, err := os.ReadFile(c.options.Base)
				if err != nil {
					c.t.Error(err)
				}
				copied.Store(&content)
			}
			return unix.EIO
		}
	}
	report, err := c.served(ctx, cut)
	c.options.Fail = nil
	if content := copied.Load(); content != nil {
		kept := *content
		if torn >= 0 {
			// What the pass began with was on the disk for long.
			begin := strings.LastIndex(string(kept), "cutover-") + len("cutover-") + 26 + 16
			kept = kept[:max(min(begin, len(kept)), len(kept)-torn)]
		}
		c.old.must(os.WriteFile(c.options.Base, kept, 0o600))
		if torn >= 0 || c.r.IntN(3) == 0 {
			c.options.Boot = fmt.Sprintf("boot %d", at)
			c.note("the new host is started anew")
		}
	}
	c.note("its report: %s, error %v", tell(report), err)
	c.sure, c.torn = false, c.torn || torn >= 0
	c.tellSaid(report)
	c.keptOwn(list(c.t, c.two.target, nil), kind > 2)
}

// tellSaid notes which of the target's own a pass says that it replaces.
func (c *chain) tellSaid(report *Report) {
	for _, kind := range []Finding{Conflict, Lost} {
		for path := range paths(report, kind) {
			c.said[path] = true
		}
	}
}

// keptOwn fails the test when something of the target's own is lost. A pass that
// was killed has said nothing.
func (c *chain) keptOwn(now listing, killed bool) {
	c.t.Helper()
	trash := map[string]bool{}
	for _, s := range list(c.t, c.options.Trash, nil) {
		trash[s.own()] = true
	}
	for path, own := range c.own {
		switch {
		case now[path] != nil && now[path].own() == own:
		case trash[own], own == "":
			delete(c.own, path)
		case c.options.Delete != ToTrash && (c.saidOf(path) || killed):
			delete(c.own, path)
		default:
			c.t.Errorf("%q was the target's own, and is lost", path)
		}
	}
}

// saidOf says whether a pass said that it replaces the path, or what it is in.
func (c *chain) saidOf(path string) bool {
	for p := path; p != "."; p = filepath.Dir(p) {
		if c.said[p] {
			return true
		}
	}
	return false
}

func paths(report *Report, kind Finding) map[string]bool {
	all := map[string]bool{}
	if f := report.Found[kind]; f != nil {
		for _, p := range f.Paths {
			all[p.Path] = true
		}
	}
	return all
}

func tell(r *Report) string {
	text := fmt.Sprintf("made %d, updated %d, attributes %d, renamed %d, deleted %d", r.Times(Created), r.Times(Updated), r.Times(Attributes), r.Times(Renamed), r.Times(Deleted))
	for _, kind := range slices.Sorted(maps.Keys(r.Found)) {
		text += fmt.Sprintf(", %s %d", kind, r.Found[kind].Count)
		for _, p := range r.Found[kind].Paths {
			text += strings.ReplaceAll(fmt.Sprintf(" %q %s", p.Path, p.Text), strings.Repeat("x", 255), "X255")
		}
	}
	return text
}

// quiet is a pass that nothing disturbs.
func (c *chain) quiet(last bool) {
	source := list(c.t, c.source, c.skip)
	before := list(c.t, c.two.target, nil)
	outside := c.outside()
	var previewed *Report
	if c.previews || c.r.IntN(6) == 0 {
		previewed = c.preview(before)
	}
	report, err := c.served(context.Background(), nil)
	c.note("pass: %s, error %v", tell(report), err)
	after := list(c.t, c.two.target, nil)
	if err != nil {
		c.t.Errorf("the pass failed: %v", err)
		return
	}
	if previewed != nil {
		c.samePreview(previewed, report, before)
	}
	for _, difference := range unchanged(outside, c.outside(), true) {
		c.t.Errorf("outside the target: %s", difference)
	}
	for path := range after {
		if strings.HasPrefix(filepath.Base(path), ".cutover-") {
			c.t.Errorf("the pass left %q", path)
		}
	}
	c.tellSaid(report)
	c.keptOwn(after, false)
	m := model{chain: c, source: source, before: before, after: after, report: report}
	m.judge()
	if c.t.Failed() {
		return
	}
	if (c.r.IntN(3) == 0 || last) && !c.unseen {
		c.again(after)
	}
	if !c.targetChanges && !c.everTorn && c.options.Delete != None && (last || c.r.IntN(5) == 0) && len(c.options.Excludes) == 0 && !c.t.Failed() {
		c.mustBeSame()
	}
}

// again makes a pass that has nothing to do.
func (c *chain) again(before listing) {
	var mu sync.Mutex
	var calls, tries []string
	trying := false
	c.options.Fail = func(call, name string) error {
		if call != "setxattr" && call != "syncfs" { // that looks first whether it has to
			mu.Lock()
			defer mu.Unlock()
			staging := strings.HasPrefix(name, ".cutover-")
			if trying = trying || staging; trying {
				tries = append(tries, fmt.Sprintf("%s %q", call, name))
			} else {
				calls = append(calls, fmt.Sprintf("%s %q", call, name))
			}
			// The last is the directory's own time, which the tries have changed.
			trying = trying && call != "utimensat"
		}
		return nil
	}
	report, err := c.served(context.Background(), nil)
	c.options.Fail = nil
	// Where something is refused it is still to come, and what the file system keeps is
	// tried before that, once.
	if report.Count(Refused)+report.Count(Failed) == 0 {
		calls = append(calls, tries...)
	}
	if len(calls) > 0 {
		c.t.Errorf("a pass without changes changes something: %q", calls)
	}
	c.note("another pass: %s, error %v", tell(report), err)
	if err != nil {
		c.t.Errorf("a pass without changes failed: %v", err)
		return
	}
	if report.Times(Created)+report.Times(Updated)+report.Times(Attributes)+report.Times(Renamed)+report.Times(Deleted) > 0 {
		c.t.Errorf("a pass without changes has something to do: %s", tell(report))
	}
	if report.Changes > 0 && report.Count(Refused)+report.Count(Failed) == 0 {
		c.t.Errorf("a pass without changes finds %d changes: %s", report.Changes, tell(report))
	}
	if all := report.Source.all(); c.options.all() && report.Verified != all && report.Count(Refused)+report.Count(Failed) == 0 {
		c.t.Errorf("a pass without changes verifies %d of %d", report.Verified, all)
	}
	for _, kind := range []Finding{Lost, Conflict, Kept, Vanished, Unread, Damaged, Unmount, Differs, Meanwhile} {
		if report.Count(kind) > 0 && !(kind == Kept && c.everTorn) {
			c.t.Errorf("a pass without changes finds something: %s", tell(report))
		}
	}
	for _, difference := range unchanged(before, list(c.t, c.two.target, nil), false) {
		c.t.Errorf("a pass without changes: %s", difference)
	}
}

// outside lists what is beside source, target and state.
func (c *chain) outside() listing {
	return list(c.t, filepath.Dir(c.source), func(path string, _ bool) bool {
		return slices.Contains([]string{"source", "target", "state", "elsewhere"}, path)
	})
}

// cutConn is a stream that breaks off.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

func cutAfter(conn net.Conn, bytes int64) net.Conn {
	c := &cutConn{Conn: conn}
	c.left.Store(bytes)
	return c
}

func (c *cutConn) Write(b []byte) (int, error) {
	left := c.left.Add(-int64(len(b)))
	if left >= 0 {
		return c.Conn.Write(b)
	}
	n := max(0, int64(len(b))+left)
	if n > 0 {
		_, _ = c.Conn.Write(b[:n])
	}
	c.Close()
	return 0, fs.ErrClosed
}
