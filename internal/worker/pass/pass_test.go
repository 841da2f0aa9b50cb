//go:build linux

package pass

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sameOwners is for two directories of one host.
type sameOwners struct{}

func (sameOwners) Names(users, groups []uint32) (map[uint32]string, map[uint32]string, error) {
	name := func(ids []uint32) map[uint32]string {
		names := map[uint32]string{}
		for _, id := range ids {
			names[id] = fmt.Sprintf("n%d", id)
		}
		return names
	}
	return name(users), name(groups), nil
}

func (sameOwners) IDs(users, groups []string) (map[string]uint32, map[string]uint32, error) {
	number := func(names []string) map[string]uint32 {
		ids := map[string]uint32{}
		for _, name := range names {
			var id uint32
			if _, err := fmt.Sscanf(name, "n%d", &id); err == nil {
				ids[name] = id
			}
		}
		return ids
	}
	return number(users), number(groups), nil
}

// two are an old and a new host: a directory each, and what the new one keeps.
type two struct {
	t                     *testing.T
	source, target, state string
	options               Options
	names                 Namer            // of the old host
	clock                 func() time.Time // of the old host; nil is the real one
	pieceBits             func(entries, before int) int
	bases                 []string // on the old host: what passes the other way have brought
}

func newTwo(t *testing.T) *two {
	t.Helper()
	dir := t.TempDir()
	w := &two{t: t, source: filepath.Join(dir, "source"), target: filepath.Join(dir, "target"), state: filepath.Join(dir, "state")}
	for _, d := range []string{w.source, w.target, w.state, filepath.Join(w.state, "trash")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.options = Options{
		Target: w.target, Base: filepath.Join(w.state, "base"), Boot: "boot", Delete: ToTrash, Trash: filepath.Join(w.state, "trash"),
		Owners: sameOwners{},
	}
	w.names = sameOwners{}
	return w
}

// pass makes a pass, and fails the test where it cannot.
func (w *two) pass() *Report {
	w.t.Helper()
	report, err := w.try(context.Background())
	if err != nil {
		w.t.Fatalf("the pass failed: %v", err)
	}
	return report
}

func (w *two) try(ctx context.Context) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, far, Served{Paths: []string{w.source}, Names: w.names, Bases: w.bases, Boot: w.options.Boot, clock: w.clock, pieceBits: w.pieceBits})
		far.Close()
	}()
	report, err := run(ctx, near, w.options)
	near.Close()
	if serving := <-served; err == nil && serving != nil {
		err = fmt.Errorf("the source: %w", serving)
	}
	return report, err
}

// run makes one pass over a stream.
func run(ctx context.Context, stream io.ReadWriter, o Options) (*Report, error) {
	report := NewReport()
	err := NewPeer(stream).Run(ctx, o, report)
	return report, err
}

func (w *two) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sh runs a script in the directory that holds source, target and state.
func (w *two) sh(script string) {
	w.t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = filepath.Dir(w.source)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// judge says what rsync finds different.
func (w *two) judge() string {
	w.t.Helper()
	out, err := exec.Command("rsync", "-aHAXn", "--checksum", "--delete", "--itemize-changes", w.source+"/", w.target+"/").CombinedOutput()
	if err != nil {
		w.t.Fatalf("rsync: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *two) mustBeSame() {
	w.t.Helper()
	if differences := w.judge(); differences != "" {
		w.t.Errorf("rsync finds differences:\n%s", differences)
	}
}

func TestAChain(t *testing.T) {
	w := newTwo(t)
	w.sh(`cd source
mkdir -p a/b/c 'd e' empty
echo one >a/one; echo two >a/b/two; printf '' >a/b/nothing; head -c 3000000 /dev/urandom >big; head -c 70000 /dev/zero >zeros
truncate -s 10M hole; echo x >>hole
ln -s ../a 'd e/link'; ln a/one a/b/hard; ln a/one hard2; mkfifo fifo
chmod 4755 a/one; chmod 700 a/b; touch -d '2001-02-03 04:05:06.789' a a/b/two`)
	report := w.pass()
	w.mustBeSame()
	if report.Times(Created) == 0 || len(report.Found) > 0 {
		t.Errorf("the first pass reports %+v, findings %v", report, report.Found)
	}
	again := w.pass()
	w.mustBeSame()
	if n := again.Times(Created) + again.Times(Updated) + again.Times(Deleted) + again.Times(Renamed); n > 0 || len(again.Found) > 0 {
		t.Errorf("a pass without changes reports %+v", again)
	}
	w.sh(`cd source
mv a/b/two a/two; echo new >a/b/new; echo more >>big; rm hard2; rm -r 'd e'; chmod 600 zeros; ln big a/big; rm fifo; mkdir fifo; echo y >fifo/y`)
	report = w.pass()
	w.mustBeSame()
	t.Logf("%+v", report)
	if report.Times(Renamed) != 1 || report.Literal > 300000 || len(report.Found) > 0 {
		t.Errorf("the second pass reports %+v", report)
	}
}
