//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bothWays runs a test with openat2 and without.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("openat2", func(t *testing.T) {
		fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: dirFlags})
		if err != nil {
			t.Skipf("needs openat2, of Linux 5.6: %v", err)
		}
		unix.Close(fd)
		test(t)
		if noOpenat2.Load() {
			t.Error("openat2 is not used any more")
		}
	})
	t.Run("by name", func(t *testing.T) {
		before := noOpenat2.Swap(true)
		defer noOpenat2.Store(before)
		test(t)
	})
}

// inode of a path, whose last name may be a link.
func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var k unix.Stat_t
	must(t, unix.Lstat(path, &k))
	return k.Ino
}

// opened is the inode of the directory that was opened, or 0.
func opened(t testing.TB, fd int, err error) uint64 {
	t.Helper()
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	stat, err := Fstat(fd)
	must(t, err)
	return stat.Ino
}

func TestOpenRoot(t *testing.T) {
	dir := mkdirs(t, "a/b", "c")
	must(t, os.Chdir(dir)) // a relative path would be found
	defer func() { must(t, os.Chdir("/")) }()
	write(t, filepath.Join(dir, "file"))
	for name, to := range map[string]string{
		"absolute": dir + "/a/b", "relative": "a/b", "up": "c/.././/a/../a/b", "further": "absolute", "way": "a", "top": "/", "beyond": "../../../../../../../../../../..",
		"loop": "loop", "loop1": "loop2", "loop2": "loop1/x", "lost": "nothing", "tofile": "file", "through": "file/b",
	} {
		symlink(t, to, filepath.Join(dir, name))
	}
	for i := range maxLinks + 1 {
		to := fmt.Sprint("chain", i-1)
		if i == 0 {
			to = "a/b"
		}
		symlink(t, to, filepath.Join(dir, fmt.Sprint("chain", i)))
	}
	for path, want := range map[string]string{
		"/": "/", dir: dir, dir + "/": dir, dir + "/a/../a/./b//": dir + "/a/b", dir + "/absolute": dir + "/a/b", dir + "/relative": dir + "/a/b",
		dir + "/up": dir + "/a/b", dir + "/further": dir + "/a/b", dir + "/way/b": dir + "/a/b", dir + "/top": "/", dir + "/beyond": "/",
		dir + "/chain39": dir + "/a/b",
	} {
		root, err := OpenRoot(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if stat, err := Fstat(root.Handle()); err != nil || stat.Ino != inode(t, want) || root.Path != filepath.Clean(path) {
			t.Errorf("%s is %s and not %s: %v", path, root.Path, want, err)
		}
		must(t, root.Close())
	}
	for path, want := range map[string]error{
		dir + "/nothing": unix.ENOENT, dir + "/nothing/b": unix.ENOENT, dir + "/file": unix.ENOTDIR, dir + "/file/b": unix.ENOTDIR,
		dir + "/loop": unix.ELOOP, dir + "/loop1": unix.ELOOP, dir + "/lost": unix.ENOENT, dir + "/tofile": unix.ENOTDIR, dir + "/through": unix.ENOTDIR,
		dir + "/chain40": unix.ELOOP, dir + "/" + strings.Repeat("x", 256): unix.ENAMETOOLONG,
	} {
		if root, err := OpenRoot(path); !errors.Is(err, want) {
			t.Errorf("%s is opened, or not for the right reason: %+v, %v", path, root, err)
		}
	}
	for _, path := range []string{"", "a", "a/b", "./a", "../" + filepath.Base(dir)} {
		if _, err := OpenRoot(path); err == nil {
			t.Errorf("%q is opened", path)
		}
	}
}

// TestOpenRootThroughAnothersLink: by the time at which it is used, his link may
// lead elsewhere.
func TestOpenRootThroughAnothersLink(t *testing.T) {
	needRoot(t)
	dir := mkdirs(t, "a/b")
	for _, name := range []string{"own", "others", "far"} {
		symlink(t, "a", filepath.Join(dir, name))
	}
	must(t, os.Lchown(filepath.Join(dir, "others"), 12345, 0))
	symlink(t, dir+"/others/b", filepath.Join(dir, "over"))
	for path, want := range map[string]bool{"own": true, "own/b": true, "others": false, "others/b": false, "over": false} {
		root, err := OpenRoot(filepath.Join(dir, path))
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			must(t, root.Close())
		}
	}
}

func TestOpenRootLeavesNoHandle(t *testing.T) {
	dir := mkdirs(t, "a/b")
	symlink(t, "loop", filepath.Join(dir, "loop"))
	symlink(t, dir+"/a", filepath.Join(dir, "link"))
	before := handles(t)
	for _, path := range []string{"a/b", "link/b", "loop", "nothing/b"} {
		if root, err := OpenRoot(filepath.Join(dir, path)); err == nil {
			must(t, root.Close())
		}
	}
	root := openRoot(t, dir)
	bothWays(t, func(t *testing.T) {
		for _, path := range []string{"", "a/b", "link/b", "nothing", "a/nothing/b", "../a"} {
			opened(t, -1, errors.New("only to close it"))
			if fd, err := root.OpenDir(path); err == nil {
				unix.Close(fd)
			}
		}
	})
	if after := handles(t); after != before+1 {
		t.Errorf("%d handles are open, and %d were", after, before)
	}
}

// handles are how many files the process has open.
func handles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

func TestOpenDir(t *testing.T) {
	dir := mkdirs(t, "root/a/b/c", "root/...", "outside/b")
	top := filepath.Join(dir, "root")
	write(t, filepath.Join(top, "file"))
	must(t, unix.Mkfifo(filepath.Join(top, "fifo"), 0o600))
	symlink(t, "a", filepath.Join(top, "inner"))
	symlink(t, "../outside", filepath.Join(top, "outer"))
	symlink(t, dir+"/outside", filepath.Join(top, "absolute"))
	symlink(t, "../../outside", filepath.Join(top, "a/out"))
	symlink(t, "b", filepath.Join(top, "a/in"))
	symlink(t, "nowhere", filepath.Join(top, "lost"))
	symlink(t, "/proc/self/root", filepath.Join(top, "magic"))
	root := openRoot(t, top)
	long := strings.Repeat("d/", MaxPath/2) + "de"
	bothWays(t, func(t *testing.T) {
		for _, path := range []string{"", "a", "a/b", "a/b/c", "..."} {
			fd, err := root.OpenDir(path)
			if got := opened(t, fd, err); got != inode(t, filepath.Join(top, path)) {
				t.Errorf("%q is %d: %v", path, got, err)
			}
		}
		for _, path := range []string{
			"inner", "outer", "absolute", "lost", "magic", "a/in", "a/out", "inner/b", "outer/b", "absolute/b", "a/in/c", "a/out/b", "lost/x", "magic/etc",
			"file", "file/b", "fifo", "fifo/b",
		} {
			if _, err := root.OpenDir(path); !errors.Is(err, ErrSwapped) || !Gone(err) {
				t.Errorf("%q: %v", path, err)
			}
		}
		for _, path := range []string{
			"..", "a/..", "../outside", "a/../../outside", "a/../a", "/", "/etc", "//etc", ".", "./a", "a/.", "a/", "a//b", "a\x00", dir + "/outside", long,
		} {
			if fd, err := root.OpenDir(path); err == nil || Gone(err) {
				t.Errorf("%.40q is opened as %d: %v", path, fd, err)
			}
		}
		for _, path := range []string{"nothing", "a/nothing", "nothing/b"} {
			if _, err := root.OpenDir(path); !errors.Is(err, unix.ENOENT) || !Gone(err) {
				t.Errorf("%q: %v", path, err)
			}
		}
		if _, err := root.OpenDir(long); !errors.Is(err, unix.ENAMETOOLONG) {
			t.Errorf("a path of %d bytes: %v", len(long), err)
		}
	})
}

// TestSwapped: a user swaps his directory for a link again and again, and leads
// nobody out.
func TestSwapped(t *testing.T) {
	dir := mkdirs(t, "root/home", "root/home/sub", "outside/sub")
	top := filepath.Join(dir, "root")
	symlink(t, "../outside", filepath.Join(top, "link"))
	root := openRoot(t, top)
	inside := map[string]uint64{"home": inode(t, filepath.Join(top, "home")), "home/sub": inode(t, filepath.Join(top, "home/sub"))}
	bothWays(t, func(t *testing.T) {
		stop, done := make(chan struct{}), make(chan error)
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := unix.Renameat2(root.Handle(), "home", root.Handle(), "link", unix.RENAME_EXCHANGE); err != nil {
					done <- err
					return
				}
			}
		}()
		got, refused := 0, 0
		for end := time.Now().Add(time.Minute); (got < 100 || refused < 100) && time.Now().Before(end); {
			for path, want := range inside {
				fd, err := root.OpenDir(path)
				switch ino := opened(t, fd, err); {
				case ino == want:
					got++
				case errors.Is(err, ErrSwapped):
					refused++
				default:
					t.Fatalf("%s is %d and not %d: %v", path, ino, want, err)
				}
			}
		}
		close(stop)
		must(t, <-done)
		if got < 100 || refused < 100 {
			t.Errorf("it was opened %d times and refused %d times", got, refused)
		}
	})
}
