//go:build linux

package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// visitor makes a visit that is called by one goroutine at a time, and has no
// error.
func visitor(visit func(goroutine int, l *Listing)) func(int, *Listing) error {
	var mu sync.Mutex
	return func(goroutine int, l *Listing) error {
		mu.Lock()
		defer mu.Unlock()
		visit(goroutine, l)
		return nil
	}
}

func noTrouble(t testing.TB) func(string, error) {
	return func(path string, err error) { t.Errorf("%q: %v", path, err) }
}

// bush has directories in directories, each with some files. It returns the paths
// of all directories in order.
func bush(t testing.TB) (dir string, paths []string) {
	t.Helper()
	dir = t.TempDir()
	paths = []string{""}
	for i := 0; i < len(paths) && len(paths) < 120; i++ {
		for j := range 3 {
			path := Join(paths[i], fmt.Sprint("d", j))
			must(t, os.Mkdir(filepath.Join(dir, path), 0o755)) //nolint:gosec // as most are
			paths = append(paths, path)
		}
		create(t, filepath.Join(dir, paths[i]), "a", "b")
	}
	slices.Sort(paths)
	return dir, paths
}

func TestWalk(t *testing.T) {
	dir, want := bush(t)
	root := openRoot(t, dir)
	before := runtime.NumGoroutine()
	for _, goroutines := range []int{1, 2, 7} {
		for range 5 {
			var got []string
			files := 0
			must(t, Walk(t.Context(), root, nil, goroutines, visitor(func(goroutine int, l *Listing) {
				if goroutine < 0 || goroutine >= goroutines {
					t.Errorf("goroutine %d of %d", goroutine, goroutines)
				}
				got = append(got, l.Path)
				for i := range l.Len() {
					if l.Stat(i).IsRegular() {
						files++
					}
				}
			}), noTrouble(t)))
			if slices.Sort(got); !slices.Equal(got, want) || files != 80 {
				t.Fatalf("with %d goroutines %d of %d directories and %d files are listed", goroutines, len(got), len(want), files)
			}
		}
	}
	noneLeft(t, before)
}

// noneLeft complains of goroutines that do not end.
func noneLeft(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are there, and %d were", runtime.NumGoroutine(), before)
		}
	}
}

func TestWalkLeavesOut(t *testing.T) {
	dir, _ := bush(t)
	var mu sync.Mutex
	f := &locked{mu: &mu, asked: asked{excluded: map[string]bool{"d0": true, "d1/d1": true}}}
	var got []string
	must(t, Walk(t.Context(), openRoot(t, dir), f, 3, visitor(func(_ int, l *Listing) { got = append(got, l.Path) }), noTrouble(t)))
	for _, path := range got {
		if path == "d0" || below(path, "d0") || path == "d1/d1" || below(path, "d1/d1") {
			t.Errorf("%s is listed", path)
		}
	}
	if !slices.Contains(got, "d1/d0") || !slices.Contains(got, "d2/d0/d0") {
		t.Errorf("listed are %q", got)
	}
	for _, path := range f.paths {
		if below(path, "d0") || below(path, "d1/d1") {
			t.Errorf("it is asked about %s", path)
		}
	}
}

func below(path, dir string) bool { return len(path) > len(dir) && path[:len(dir)+1] == dir+"/" }

// locked is a filter for several goroutines.
type locked struct {
	asked
	mu *sync.Mutex
}

func (f *locked) Excluded(path []byte, isDir bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked.Excluded(path, isDir)
}

func TestWalkEndsWithAnError(t *testing.T) {
	dir, paths := bush(t)
	root := openRoot(t, dir)
	before := runtime.NumGoroutine()
	broken := errors.New("broken")
	for _, at := range []int{1, 2, 20, len(paths)} {
		var mu sync.Mutex
		n, late := 0, 0
		err := Walk(t.Context(), root, nil, 3, func(int, *Listing) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n > at {
				late++
			}
			if n >= at {
				return fmt.Errorf("%w at %d", broken, n)
			}
			return nil
		}, noTrouble(t))
		// What two others have begun they end.
		if !errors.Is(err, broken) || late > 2 {
			t.Errorf("at %d the error is %v, and %d were visited after it", at, err, late)
		}
	}
	noneLeft(t, before)
}

func TestWalkIsCancelled(t *testing.T) {
	dir, _ := bush(t)
	root := openRoot(t, dir)
	before := runtime.NumGoroutine()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := Walk(ctx, root, nil, 2, func(int, *Listing) error { return nil }, noTrouble(t)); err != nil && !errors.Is(err, cause) {
		t.Errorf("cancelled before it begins: %v", err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	err := Walk(ctx, root, nil, 2, func(int, *Listing) error {
		cancel(cause)
		<-ctx.Done()
		time.Sleep(10 * time.Millisecond)
		return nil
	}, noTrouble(t))
	if !errors.Is(err, cause) {
		t.Errorf("cancelled in the first directory: %v", err)
	}
	// At any moment, for the race detector.
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		if err := Walk(ctx, root, nil, 3, func(int, *Listing) error { return nil }, noTrouble(t)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
	noneLeft(t, before)
}

// TestWalkWhereThingsVanish: what goes away, or becomes a link, when its parent was
// read is as if it had gone before.
func TestWalkWhereThingsVanish(t *testing.T) {
	dir, _ := bush(t)
	outside := mkdirs(t, "secret")
	var got []string
	must(t, Walk(t.Context(), openRoot(t, dir), nil, 2, visitor(func(_ int, l *Listing) {
		if got = append(got, l.Path); l.Path != "" {
			return
		}
		for _, name := range []string{"d0", "d1"} {
			must(t, os.RemoveAll(filepath.Join(dir, name)))
		}
		symlink(t, outside, filepath.Join(dir, "d1"))
	}), noTrouble(t)))
	for _, path := range got {
		if path != "" && path != "d2" && !below(path, "d2") {
			t.Errorf("%s is listed", path)
		}
	}
	if !slices.Contains(got, "d2/d2/d2") {
		t.Errorf("listed are %q", got)
	}
}

// TestWalkIntoAClosedDirectory: it is named, and the rest is listed.
func TestWalkIntoAClosedDirectory(t *testing.T) {
	dir, want := bush(t)
	closed := filepath.Join(dir, "d1")
	must(t, os.Chmod(closed, 0))
	defer func() { _ = os.Chmod(closed, 0o700) }() //nolint:gosec // to be removed
	var filter Filter
	if os.Geteuid() == 0 {
		// Root may everything. The one goroutine keeps its thread, which ends with it.
		var once sync.Once
		filter = &asked{then: func(string) {
			once.Do(func() {
				runtime.LockOSThread()
				must(t, unix.Setfsuid(65534))
			})
		}}
	}
	troubles := map[string]error{}
	var got []string
	must(t, Walk(t.Context(), openRoot(t, dir), filter, 1, visitor(func(_ int, l *Listing) { got = append(got, l.Path) }),
		func(path string, err error) { troubles[path] = err }))
	want = slices.DeleteFunc(want, func(path string) bool { return path == "d1" || below(path, "d1") })
	if slices.Sort(got); len(troubles) != 1 || !errors.Is(troubles["d1"], unix.EACCES) || !slices.Equal(got, want) {
		t.Errorf("troubles are %v, and %d of %d directories are listed", troubles, len(got), len(want))
	}
}

// TestWalkOfNoRoot: that the root itself cannot be read is no matter of its having
// gone away.
func TestWalkOfNoRoot(t *testing.T) {
	root := openRoot(t, t.TempDir())
	file, err := os.Open("/dev/null")
	must(t, err)
	defer file.Close()
	must(t, unix.Dup3(int(file.Fd()), root.fd, unix.O_CLOEXEC))
	troubles := 0
	must(t, Walk(t.Context(), root, nil, 2, func(int, *Listing) error { return errors.New("it is listed") },
		func(path string, err error) {
			if troubles++; path != "" || err == nil {
				t.Errorf("%q: %v", path, err)
			}
		}))
	if troubles != 1 {
		t.Errorf("%d troubles", troubles)
	}
}
