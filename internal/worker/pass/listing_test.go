//go:build linux

package pass

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// seen is an entry of a tree as the tests list it: by paths, with calls of their
// own, and with all content read.
type seen struct {
	mode, uid, gid uint32
	ino            uint64
	nlink          uint64
	size           int64
	mtime, ctime   int64
	rdev           uint64
	content        string // hash of a file, text of a symbolic link
	attrs          string
	group          string // all names in the tree of the same file
}

func (s *seen) kind() uint32 { return s.mode & unix.S_IFMT }

func (s *seen) isDir() bool { return s != nil && s.kind() == unix.S_IFDIR }

// state is what shows whether an entry was changed.
func (s *seen) state() string {
	if s.isDir() {
		return fmt.Sprint("dir ", s.ino)
	}
	return fmt.Sprint(s.ino, s.size, s.mtime, s.ctime, s.mode, s.nlink, s.uid, s.gid)
}

// is says whether an entry is as it was. Of a file with several names nobody sees
// its time of change: any name that comes or goes changes it.
func (s *seen) is(was *seen, linked bool) bool {
	if linked && !s.isDir() {
		return fmt.Sprint(s.kind(), s.ino, s.size, s.mtime) == fmt.Sprint(was.kind(), was.ino, was.size, was.mtime)
	}
	return s.state() == was.state()
}

// looksLike is the quick check of size and time.
func (s *seen) looksLike(o *seen) bool {
	if s.kind() != o.kind() || s.rdev != o.rdev {
		return false
	}
	switch s.kind() {
	case unix.S_IFREG:
		return s.size == o.size && s.mtime == o.mtime
	case unix.S_IFLNK:
		return s.content == o.content
	}
	return true
}

// own is what of an entry must not be lost, if it is the target's own.
func (s *seen) own() string {
	switch s.kind() {
	case unix.S_IFREG, unix.S_IFLNK:
		return fmt.Sprintf("%o %s", s.kind()>>12, s.content)
	}
	return ""
}

type listing map[string]*seen

// list lists a tree. What skip says is left out, with all below it.
func list(t *testing.T, root string, skip func(path string, isDir bool) bool) listing {
	t.Helper()
	all := listing{}
	groups := map[uint64][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if rel != "" && skip != nil && skip(rel, d.IsDir()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		s, err := lookAt(path)
		if err != nil {
			return err
		}
		all[rel] = s
		if !s.isDir() && s.nlink > 1 {
			groups[s.ino] = append(groups[s.ino], rel)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list %s: %v", root, err)
	}
	for _, names := range groups {
		slices.Sort(names)
		for _, name := range names {
			all[name].group = strings.Join(names, "\x00")
		}
	}
	return all
}

func lookAt(path string) (*seen, error) {
	var k unix.Stat_t
	if err := unix.Lstat(path, &k); err != nil {
		return nil, err
	}
	s := &seen{
		mode: k.Mode, uid: k.Uid, gid: k.Gid, ino: k.Ino, nlink: uint64(k.Nlink), size: k.Size, //nolint:unconvert // 32 bits on some processors
		mtime: k.Mtim.Nano(), ctime: k.Ctim.Nano(), rdev: uint64(k.Rdev), //nolint:unconvert // 32 bits on some processors
	}
	switch s.kind() {
	case unix.S_IFREG:
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s.content = hashOf(string(content))
	case unix.S_IFLNK:
		to, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		s.content = to
	}
	if s.kind() == unix.S_IFREG || s.kind() == unix.S_IFDIR {
		s.attrs = attrsOf(path)
	}
	return s, nil
}

func hashOf(content string) string { return fmt.Sprintf("%x", xxh3.HashString128(content).Bytes()) }

// attrsOf are the attributes of a file that a pass copies, in one line.
func attrsOf(path string) string {
	buffer := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buffer)
	if err != nil || n == 0 {
		return ""
	}
	names := strings.Split(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00")
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		if !strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "system.posix_acl_") {
			continue
		}
		value := make([]byte, 4096)
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			fmt.Fprintf(&all, "%s=%x ", name, value[:n])
		}
	}
	return all.String()
}

// differs says in what two entries differ, links between names apart.
func (s *seen) differs(o *seen) string {
	var all []string
	add := func(what string, differs bool, a, b any) {
		if differs {
			all = append(all, fmt.Sprintf("%s %v, %v", what, a, b))
		}
	}
	if s.kind() != o.kind() {
		return fmt.Sprintf("kinds %o, %o", s.kind()>>12, o.kind()>>12)
	}
	add("mode", s.mode != o.mode, s.mode, o.mode)
	add("owner", s.uid != o.uid || s.gid != o.gid, [2]uint32{s.uid, s.gid}, [2]uint32{o.uid, o.gid})
	add("device", s.rdev != o.rdev, s.rdev, o.rdev)
	add("attributes", s.attrs != o.attrs, s.attrs, o.attrs)
	add("time", s.mtime != o.mtime, s.mtime, o.mtime)
	if !s.isDir() {
		add("size", s.size != o.size, s.size, o.size)
		add("content", s.content != o.content, s.content, o.content)
	}
	return strings.Join(all, "; ")
}

// linksOf are the names in a group for which keep says yes.
func linksOf(group string, keep func(string) bool) string {
	return strings.Join(slices.DeleteFunc(strings.Split(group, "\x00"), func(name string) bool { return !keep(name) }), "\x00")
}

// sameTree says how a tree differs from another in which nothing is its own.
func sameTree(source, target listing) (all []string) {
	paths := maps.Clone(source)
	maps.Copy(paths, target)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		s, d := source[path], target[path]
		switch {
		case d == nil:
			all = append(all, fmt.Sprintf("%q is missing", path))
		case s == nil:
			all = append(all, fmt.Sprintf("%q is too much", path))
		case s.differs(d) != "":
			all = append(all, fmt.Sprintf("%q: %s", path, s.differs(d)))
		case s.group != d.group:
			all = append(all, fmt.Sprintf("%q: names %q, %q", path, s.group, d.group))
		}
	}
	return all
}

// unchanged says what was changed between two listings of one tree, also for a
// moment. The root's own times do not count, nor, where files may have names
// elsewhere, what but the content was changed of those.
func unchanged(before, after listing, shared bool) (all []string) {
	for path, b := range before {
		switch a := after[path]; {
		case a == nil:
			all = append(all, fmt.Sprintf("%q is gone", path))
		case path != "" && (a.ino != b.ino || a.ctime != b.ctime) && !(shared && b.nlink > 1 && b.own() == a.own()):
			all = append(all, fmt.Sprintf("%q was changed: %s", path, b.differs(a)))
		}
	}
	for path := range after {
		if before[path] == nil {
			all = append(all, fmt.Sprintf("%q is new", path))
		}
	}
	slices.Sort(all)
	return all
}

// acl is an access control list for one more user, as the kernel keeps it.
func acl(mode, user, perm uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{
		{1, mode >> 6 & 7, ^uint32(0)}, {2, perm, user}, {4, mode >> 3 & 7, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, mode & 7, ^uint32(0)},
	} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}
