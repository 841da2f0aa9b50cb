//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asked is a filter that notes what it is asked.
type asked struct {
	excluded map[string]bool
	paths    []string
	dirs     []string
	then     func(path string)
}

func (f *asked) Excluded(path []byte, isDir bool) bool {
	f.paths = append(f.paths, string(path))
	if isDir {
		f.dirs = append(f.dirs, string(path))
	}
	if f.then != nil {
		f.then(string(path))
	}
	return f.excluded[string(path)]
}

// list reads a directory below dir.
func list(t testing.TB, dir, path string, filter Filter) *Listing {
	t.Helper()
	var l Listing
	must(t, openRoot(t, dir).NewLister(filter).List(path, &l))
	l.Sort()
	return &l
}

func names(l *Listing) (all []string) {
	for i := range l.Len() {
		all = append(all, string(l.Name(i)))
	}
	return all
}

// create makes empty files, quickly.
func create(t testing.TB, dir string, names ...string) {
	t.Helper()
	fd, err := unix.Open(dir, dirFlags, 0)
	must(t, err)
	defer unix.Close(fd)
	for _, name := range names {
		if err := unix.Mknodat(fd, name, unix.S_IFREG|0o600, 0); err != nil {
			t.Fatalf("making %.40q: %v", name, err)
		}
	}
}

func TestList(t *testing.T) {
	dir := mkdirs(t, "top/sub/below", "top/.hidden", "top/...")
	top := filepath.Join(dir, "top")
	odd := []string{
		strings.Repeat("x", maxName), "\xff\xfe not UTF-8", "line\nbreak", " ", "-rf", "*", "a\\b", "\x01", "a", "ü", "..a", "a..",
	}
	create(t, top, odd...)
	symlink(t, "nowhere", filepath.Join(top, "link"))
	must(t, unix.Mkfifo(filepath.Join(top, "fifo"), 0o600), unix.Mknod(filepath.Join(top, "socket"), unix.S_IFSOCK|0o600, 0))
	want := append([]string{"sub", ".hidden", "...", "link", "fifo", "socket"}, odd...)
	slices.Sort(want)
	for _, from := range []struct{ root, path string }{{top, ""}, {dir, "top"}, {filepath.Dir(dir), filepath.Base(dir) + "/top"}} {
		l := list(t, from.root, from.path, nil)
		if got := names(l); !slices.Equal(got, want) {
			t.Errorf("in it are %q, and not %q", got, want)
		}
		if l.Path != from.path || l.Self.Ino != inode(t, top) || l.Partial != nil || len(l.Unread) > 0 || l.Mount.Type == 0 {
			t.Errorf("it is %+v, unread %v", l.Self, l.Unread)
		}
		for i := range l.Len() {
			var k unix.Stat_t
			must(t, unix.Lstat(filepath.Join(top, string(l.Name(i))), &k))
			var stat Stat
			if stat.FromKernel(&k); *l.Stat(i) != stat {
				t.Errorf("%q is %+v, and not %+v", l.Name(i), l.Stat(i), stat)
			}
		}
		sameListing(t, overWire(t, l), l)
	}
	if l := list(t, top, ".hidden", nil); l.Len() > 0 || l.Path != ".hidden" {
		t.Errorf("in an empty directory are %q", names(l))
	}
}

// TestListOfMany also has more than one call of getdents.
func TestListOfMany(t *testing.T) {
	dir := t.TempDir()
	n := 10000
	if testing.Short() {
		n = 3000
	}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%05d%s", i, strings.Repeat("n", i%50)))
	}
	create(t, dir, all...)
	root := openRoot(t, dir)
	lister := root.NewLister(nil)
	var l Listing
	for range 2 { // its memory is used again
		must(t, lister.List("", &l))
		l.Sort()
		if !slices.Equal(names(&l), all) {
			t.Fatalf("%d of %d entries are listed", l.Len(), n)
		}
	}
	var digests []Digest
	for range 2 {
		must(t, root.NewLister(nil).List("", &l))
		digests = append(digests, l.Digest(seed))
	}
	must(t, os.Remove(filepath.Join(dir, all[n/2])))
	must(t, lister.List("", &l))
	if digests[0] != digests[1] || l.Digest(seed) == digests[0] || l.Len() != n-1 {
		t.Errorf("%d entries have the digests %x and then %x", l.Len(), digests, l.Digest(seed))
	}
}

func TestListErrors(t *testing.T) {
	dir := mkdirs(t, "a")
	write(t, filepath.Join(dir, "file"))
	symlink(t, "a", filepath.Join(dir, "link"))
	lister := openRoot(t, dir).NewLister(nil)
	for path, want := range map[string]error{"nothing": unix.ENOENT, "file": ErrSwapped, "link": ErrSwapped} {
		var l Listing
		if err := lister.List(path, &l); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFilterIsAskedFirst: what is excluded is not even looked at, since a file
// system that hangs may be mounted there.
func TestFilterIsAskedFirst(t *testing.T) {
	dir := mkdirs(t, "a/sub", "a/out")
	create(t, filepath.Join(dir, "a"), "file", "away", "left")
	symlink(t, "sub", filepath.Join(dir, "a/link"))
	f := &asked{excluded: map[string]bool{"a/out": true, "a/left": true, "sub": true}}
	f.then = func(path string) {
		// Had it been looked at before, it would be listed.
		if path == "a/away" {
			must(t, os.Remove(filepath.Join(dir, path)))
		}
	}
	l := list(t, dir, "a", f)
	if got := names(l); !slices.Equal(got, []string{"file", "link", "sub"}) || len(l.Unread) > 0 {
		t.Errorf("listed are %q, unread %v", got, l.Unread)
	}
	slices.Sort(f.paths)
	slices.Sort(f.dirs)
	if !slices.Equal(f.paths, []string{"a/away", "a/file", "a/left", "a/link", "a/out", "a/sub"}) || !slices.Equal(f.dirs, []string{"a/out", "a/sub"}) {
		t.Errorf("it was asked about %q, and about the directories %q", f.paths, f.dirs)
	}
	f = &asked{}
	if list(t, filepath.Join(dir, "a"), "", f); !slices.Contains(f.paths, "file") {
		t.Errorf("in the root it was asked about %q", f.paths)
	}
}

// withoutRights does something as a user who may only do what others may. It is
// this thread alone that does.
func withoutRights(t testing.TB, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.Setfsuid(65534))
	defer func() { must(t, unix.Setfsuid(0)) }()
	do()
}

// TestUnread: the names in a directory can be read, and what they are cannot.
func TestUnread(t *testing.T) {
	dir := mkdirs(t, "closed")
	closed := filepath.Join(dir, "closed")
	create(t, closed, "a", "b", "excluded")
	must(t, os.Chmod(closed, 0o444))               //nolint:gosec // nobody may look
	defer func() { _ = os.Chmod(closed, 0o700) }() //nolint:gosec // to be removed
	lister := openRoot(t, dir).NewLister(&asked{excluded: map[string]bool{"closed/excluded": true}})
	var l Listing
	withoutRights(t, func() { must(t, lister.List("closed", &l)) })
	slices.SortFunc(l.Unread, func(a, b Unread) int { return strings.Compare(a.Name, b.Name) })
	if l.Len() > 0 || len(l.Unread) != 2 || l.Unread[0].Name != "a" || !errors.Is(l.Unread[1].Err, unix.EACCES) || l.Partial != nil {
		t.Errorf("listed are %q, unread %v", names(&l), l.Unread)
	}
	sameListing(t, overWire(t, &l), &l)
}

// TestLongPaths: what no program can name is named by the list, and does not keep
// the rest from it.
func TestLongPaths(t *testing.T) {
	dir := mkdirs(t, "other")
	fd, err := unix.Open(dir, dirFlags, 0)
	must(t, err)
	name := strings.Repeat("d", maxName)
	for range MaxPath/(maxName+1) + 3 {
		must(t, unix.Mkdirat(fd, name, 0o755), unix.Mknodat(fd, "f", unix.S_IFREG|0o600, 0))
		next, err := unix.Openat(fd, name, dirFlags, 0)
		unix.Close(fd)
		must(t, err)
		fd = next
	}
	unix.Close(fd)
	root := openRoot(t, dir)
	bothWays(t, func(t *testing.T) {
		var paths []string
		unread := map[string]error{}
		must(t, Walk(t.Context(), root, nil, 2, visitor(func(_ int, l *Listing) {
			paths = append(paths, l.Path)
			for _, u := range l.Unread {
				unread[Join(l.Path, u.Name)] = u.Err
			}
		}), func(path string, err error) { t.Errorf("%d bytes: %v", len(path), err) }))
		longest := slices.MaxFunc(paths, func(a, b string) int { return len(a) - len(b) })
		if len(longest) != MaxPath || len(paths) != 1+1+16 || !slices.Contains(paths, "other") {
			t.Errorf("%d directories are listed, the longest path has %d bytes", len(paths), len(longest))
		}
		if len(unread) != 2 || !errors.Is(unread[longest+"/f"], unix.ENAMETOOLONG) || !errors.Is(unread[longest+"/"+name], unix.ENAMETOOLONG) {
			t.Errorf("unread are %v", unread)
		}
	})
}
