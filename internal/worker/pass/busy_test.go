//go:build linux

package pass

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBusyChains changes both trees while passes run: directories become others,
// and links that lead out of the tree, and files are cut short.
func TestBusyChains(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 6
	}
	busyChains(t, 0, seeds)
}

// TestLongBusyChains makes many more.
func TestLongBusyChains(t *testing.T) { busyChains(t, 1000, 1000) }

func busyChains(t *testing.T, first, n int) {
	eachSeed(t, first, n, func(t *testing.T, seed int) { newBusy(t, seed).run() })
}

type busy struct {
	*chain
	ended chan struct{}
	work  sync.WaitGroup
}

func newBusy(t *testing.T, seed int) *busy {
	b := &busy{chain: newChain(t, seed)}
	b.options.Delete, b.options.OnConflict, b.options.Excludes = ToTrash, "", nil
	b.ahead = 0 // what is read while it is written is not believed
	b.skip = nil
	return b
}

func (b *busy) run() {
	b.old.must(os.MkdirAll(filepath.Join(filepath.Dir(b.source), "elsewhere", "a", "b"), 0o755))
	for range 20 + b.r.IntN(20) {
		b.old.entry(b.old.free(b.old.dir()))
	}
	for range 2 + b.r.IntN(3) {
		outside := b.outside()
		b.begin(b.source, uint64(b.r.Uint32()))
		b.begin(b.two.target, uint64(b.r.Uint32()))
		var report *Report
		var err error
		for range 1 + b.r.IntN(3) {
			report, err = b.served(b.t.Context(), nil)
			b.note("pass: %s, error %v", tell(report), err)
		}
		close(b.ended)
		b.work.Wait()
		for _, difference := range unchanged(outside, b.outside(), true) {
			b.t.Errorf("outside the target: %s", difference)
		}
		time.Sleep(12 * time.Millisecond)
		// What was noted of a directory while it was another may need a second look.
		for range 2 {
			report, err = b.served(b.t.Context(), nil)
			b.note("a quiet pass: %s, error %v", tell(report), err)
		}
		if err != nil {
			b.t.Errorf("the quiet pass failed: %v", err)
		}
		b.same()
		if b.t.Failed() {
			return
		}
		for range 5 {
			b.old.source()
		}
	}
}

// same fails the test unless the target has all that the source has, and besides
// it only what was made there.
func (b *busy) same() {
	b.t.Helper()
	source, target := list(b.t, b.source, nil), list(b.t, b.two.target, nil)
	for path := range target {
		if strings.HasPrefix(filepath.Base(path), ".cutover-") {
			b.t.Errorf("left: %q", path)
		}
	}
	for path, s := range source {
		switch d := target[path]; {
		case d == nil:
			b.t.Errorf("%q is missing", path)
		case s.differs(d) != "" && path != "" && !s.isDir():
			b.t.Errorf("%q: %s", path, s.differs(d))
		}
	}
}

// begin changes a tree until the end. What it does to directories it undoes, most
// of the time.
func (b *busy) begin(root string, seed uint64) {
	if b.ended == nil || isClosed(b.ended) {
		b.ended = make(chan struct{})
	}
	ended := b.ended
	b.work.Go(func() {
		r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // to be repeated
		for n := 0; !isClosed(ended); n++ {
			b.disturb(root, r, n)
			time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
		}
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// disturb does one thing; that it fails, for something is not there any more, is
// no matter.
func (b *busy) disturb(root string, r *rand.Rand, n int) {
	var dirs, files []string
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil, strings.HasPrefix(d.Name(), ".cutover-"):
			return fs.SkipDir
		case d.IsDir() && path != root:
			dirs = append(dirs, path)
		case d.Type().IsRegular():
			files = append(files, path)
		}
		return nil
	})
	pause := func() { time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) }
	if len(dirs) > 0 && r.IntN(3) > 0 {
		dir := dirs[r.IntN(len(dirs))]
		away := filepath.Join(filepath.Dir(dir), fmt.Sprintf("away%d", n))
		if os.Rename(dir, away) != nil {
			return
		}
		pause()
		// The source's links come to the target, where this test itself goes through them.
		to := "elsewhere"
		if root == b.two.target {
			to = "outside"
		}
		if r.IntN(2) == 0 && os.Symlink(filepath.Join(filepath.Dir(b.source), to), dir) == nil {
			pause()
			if r.IntN(8) > 0 {
				_ = os.Remove(dir)
			}
		}
		if r.IntN(8) > 0 {
			_ = unix.Renameat2(unix.AT_FDCWD, away, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
		}
		return
	}
	if len(files) == 0 {
		return
	}
	file := files[r.IntN(len(files))]
	if root == b.two.target {
		// A file that is there is put beside and back.
		_ = os.Rename(file, file+".b")
		pause()
		_ = unix.Renameat2(unix.AT_FDCWD, file+".b", unix.AT_FDCWD, file, unix.RENAME_NOREPLACE)
		return
	}
	switch r.IntN(3) {
	case 0:
		_ = os.Truncate(file, int64(r.IntN(1000)))
	case 1:
		_ = os.WriteFile(file, []byte(fmt.Sprint("busy ", n)), 0o600)
	default:
		_ = os.Rename(file, file+".r")
		pause()
		_ = os.Rename(file+".r", file)
	}
}
