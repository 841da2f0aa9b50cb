//go:build linux

package pass

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// small is a chain of which any step can fail: a source, and after the first pass
// a change of each kind.
type small struct{ *two }

func newSmall(t *testing.T) small {
	w := small{newTwo(t)}
	w.options.Writers = 2
	w.make(map[string]string{
		"one": "1", "a/two": "22", "a/b/three": "333", "a/b/empty": "", "e/four": "4", "gone/x": "x", "gone/y/z": "z",
		"big": strings.Repeat("0123456789abcde\n", 20<<10), "hole": "x",
	})
	w.must(os.Truncate(w.source+"/hole", 300<<10))
	w.must(os.Symlink("two", w.source+"/a/link"))
	w.must(unix.Mkfifo(w.source+"/fifo", 0o600))
	w.must(os.Link(w.source+"/one", w.source+"/a/hard"))
	w.must(os.Chmod(w.source+"/a/b", 0o700))
	w.must(os.Chmod(w.source+"/a/two", 0o4755))
	w.attribute("a/b/three", "1")
	w.attribute("a", "2")
	return w
}

func (w small) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w small) make(files map[string]string) {
	for name, content := range files {
		name = filepath.Join(w.source, name)
		w.must(os.MkdirAll(filepath.Dir(name), 0o755))
		w.must(os.WriteFile(name, []byte(content), 0o644))
	}
}

func (w small) attribute(name, value string) {
	err := unix.Setxattr(filepath.Join(w.source, name), "user.a", []byte(value), 0)
	if err != unix.ENOTSUP { //nolint:errorlint // an errno of a system call
		w.must(err)
	}
}

// change changes the source, and one file of the target.
func (w small) change() {
	time.Sleep(12 * time.Millisecond)
	w.must(os.Rename(w.source+"/a/two", w.source+"/e/moved"))
	w.must(os.Rename(w.source+"/a/b", w.source+"/a/c"))
	w.must(os.RemoveAll(w.source + "/gone"))
	w.must(os.Remove(w.source + "/fifo"))
	w.must(os.Remove(w.source + "/e/four"))
	w.must(os.Link(w.source+"/one", w.source+"/e/another"))
	w.make(map[string]string{"new": "new", "fifo/in": "a directory now", "e/four": "4444", "hole": "none"})
	w.must(os.Remove(w.source + "/a/link"))
	w.must(os.Symlink("elsewhere", w.source+"/a/link"))
	w.must(os.Chmod(w.source+"/a/c/three", 0o640))
	w.attribute("a/c/three", "3")
	big, err := os.OpenFile(w.source+"/big", os.O_WRONLY, 0)
	w.must(err)
	_, err = big.WriteAt([]byte("in the middle"), 100<<10)
	w.must(err)
	w.must(big.Close())
	w.must(os.WriteFile(w.two.target+"/e/four", []byte("the target's own"), 0o600))
	time.Sleep(12 * time.Millisecond)
}

func (w small) run(cut func(near, far net.Conn) (net.Conn, net.Conn)) (*Report, error) {
	return w.talk(context.Background(), 2*time.Minute, 2, cut)
}

// differences are those of both trees.
func (w small) differences() []string {
	return sameTree(list(w.t, w.source, nil), list(w.t, w.two.target, nil))
}

// settles fails the test unless a pass after the one that broke off brings all,
// and nothing is left to do then.
func (w small) settles(report *Report, err error, changed bool) {
	w.t.Helper()
	if differences := w.differences(); err == nil && len(report.Found) == 0 && len(differences) > 0 {
		w.t.Errorf("the pass said nothing of\n%s", strings.Join(differences, "\n"))
	}
	w.options.Fail = nil
	again, err := w.run(nil)
	if err != nil {
		w.t.Errorf("the next pass failed: %v", err)
		return
	}
	if again.Count(Failed)+again.Count(Damaged)+again.Count(Left)+again.Count(Kept) > 0 {
		w.t.Errorf("the next pass: %s", tell(again))
	}
	for _, difference := range w.differences() {
		w.t.Errorf("after the next pass: %s", difference)
	}
	before := list(w.t, w.two.target, nil)
	if third, err := w.run(nil); err != nil || len(third.Found) > 0 {
		w.t.Errorf("the third pass: %s, %v", tell(third), err)
	}
	for _, difference := range unchanged(before, list(w.t, w.two.target, nil), false) {
		w.t.Errorf("in the third pass: %s", difference)
	}
	own := (&seen{mode: unix.S_IFREG, content: hashOf("the target's own")}).own()
	for _, s := range list(w.t, w.options.Trash, nil) {
		changed = changed && s.own() != own
	}
	if changed {
		w.t.Error("what somebody had written on the target is lost")
	}
}

// TestEachChangeFails makes each system call that changes something fail once.
func TestEachChangeFails(t *testing.T) {
	for _, second := range []bool{false, true} {
		begin := func(t *testing.T) small {
			w := newSmall(t)
			if second {
				if report, err := w.run(nil); err != nil || len(report.Found) > 0 {
					t.Fatalf("%s, %v", tell(report), err)
				}
				w.change()
			}
			return w
		}
		var count atomic.Int64
		w := begin(t)
		w.options.Fail = func(string, string) error { count.Add(1); return nil }
		report, err := w.run(nil)
		w.settles(report, err, second)
		step := int64(1)
		if testing.Short() {
			step = 7
		}
		// The order is another one each time.
		for n := int64(1); n <= count.Load(); n += step {
			for _, lasting := range []bool{false, true} {
				if lasting && n%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("second %v, lasting %v, %d", second, lasting, n), func(t *testing.T) {
					t.Parallel()
					w := begin(t)
					var calls atomic.Int64
					problem := []error{unix.ENOSPC, unix.EIO, unix.ENOSPC, unix.EACCES, unix.ENOSPC, unix.ENOSPC}[n%6]
					var failed atomic.Pointer[string]
					w.options.Fail = func(call, name string) error {
						if at := calls.Add(1); at == n || lasting && at > n {
							if at == n {
								what := fmt.Sprintf("%s %q", call, name)
								failed.Store(&what)
							}
							return problem
						}
						return nil
					}
					report, err := w.run(nil)
					w.settles(report, err, second)
					if what := failed.Load(); t.Failed() && what != nil {
						t.Logf("%s failed with %v; %s, error %v", *what, problem, tell(report), err)
					}
				})
			}
		}
	}
}

// ends notes where the frames of a stream end.
type ends struct {
	net.Conn
	mu   sync.Mutex
	sum  int64
	ends []int64
}

func (e *ends) Write(b []byte) (int, error) {
	e.mu.Lock()
	e.sum += int64(len(b))
	e.ends = append(e.ends, e.sum)
	e.mu.Unlock()
	return e.Conn.Write(b)
}

// TestStreamIsCut cuts the stream after each frame and within each, on both sides.
func TestStreamIsCut(t *testing.T) {
	most := 40
	if testing.Short() {
		most = 6
	}
	w := newSmall(t)
	if _, err := w.run(nil); err != nil {
		t.Fatal(err)
	}
	w.change()
	var sides [2]*ends
	report, err := w.run(func(near, far net.Conn) (net.Conn, net.Conn) {
		sides[0], sides[1] = &ends{Conn: near}, &ends{Conn: far}
		return sides[0], sides[1]
	})
	w.settles(report, err, true)
	for side := range sides {
		var at []int64
		before := int64(0)
		for _, end := range sides[side].ends {
			at = append(at, before, before+3, (before+end)/2, end-1)
			before = end
		}
		for i, bytes := range at {
			if i%(1+len(at)/most) != 0 {
				continue
			}
			t.Run(fmt.Sprintf("side %d, byte %d", side, bytes), func(t *testing.T) {
				t.Parallel()
				w := newSmall(t)
				if _, err := w.run(nil); err != nil {
					t.Fatal(err)
				}
				w.change()
				report, err := w.run(func(near, far net.Conn) (net.Conn, net.Conn) {
					if side == 0 {
						return cutAfter(near, bytes), far
					}
					return near, cutAfter(far, bytes)
				})
				if err == nil && bytes < sides[side].sum-100 {
					t.Error("the pass did not notice")
				}
				w.settles(report, err, true)
			})
		}
	}
}
