//go:build linux

package pass

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// mountLine is what the kernel says of a mount, see proc_pid_mountinfo(5).
type mountLine struct {
	id      int
	device  string // the numbers of its file system: the same for all mounts of it
	point   string // where it is mounted
	kind    string // of its file system
	options string // of its file system
}

// readMounts reads the mounts of this process.
func readMounts() ([]mountLine, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(content)), nil
}

// parseMounts reads mounts in the kernel's order. A line that it does not
// understand it leaves out.
func parseMounts(content string) (mounts []mountLine) {
	for line := range strings.Lines(content) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 6 || len(rest) < 1 {
			continue
		}
		id, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}
		m := mountLine{id: id, device: fields[2], point: unescape(fields[4]), kind: rest[0]}
		if len(rest) > 2 {
			m.options = rest[2]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape decodes bytes that are written as a backslash and three octal digits.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		if text[0] == '\\' && len(text) >= 4 {
			if n, err := strconv.ParseUint(text[1:4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				text = text[4:]
				continue
			}
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}

// mountOf returns the mount in which an open directory is; nil where nothing says
// so. name is its path.
func mountOf(mounts []mountLine, fd int, name string) *mountLine {
	if id, err := mountID(fd); err == nil {
		for i := range mounts {
			if mounts[i].id == id {
				return &mounts[i]
			}
		}
	}
	// A kernel before 3.15 does not give the number. Of two mounts at one place the
	// later hides the other.
	var longest *mountLine
	for i := range mounts {
		if m := &mounts[i]; inside(name, m.point) && (longest == nil || len(m.point) >= len(longest.point)) {
			longest = m
		}
	}
	return longest
}

// mountID is the number of the mount in which an open file is.
func mountID(fd int) (int, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(content, []byte("mnt_id:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return strconv.Atoi(string(bytes.TrimSpace(line)))
}

// inside says whether an absolute path is dir or below it.
func inside(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// compresses says whether files may take less room than their data, so that
// nobody can say beforehand how much they take.
func (m *mountLine) compresses() bool {
	switch m.kind {
	case "zfs", "bcachefs", "erofs":
		return true
	case "btrfs", "f2fs", "ubifs", "jffs2":
		return strings.Contains(m.options, "compress") || m.kind == "ubifs" || m.kind == "jffs2"
	}
	return false
}

// fileSystem is one of the target: that of the target itself, or one that is
// mounted below it.
type fileSystem struct {
	key        string // the same for all of one file system
	point      string // where it is mounted
	kind       string
	block      int64 // bytes
	compresses bool
	need       need // of what is to be brought, at most
}

// fileSystems finds the file systems below a target when they are asked for: to
// look at one may have it mounted.
type fileSystems struct {
	mounts []mountLine
	path   string          // of the target, without symbolic links
	inner  map[string]bool // paths below the target at which something is mounted
	found  map[string]*fileSystem
}

func (t *target) openFileSystems() *fileSystems {
	f := &fileSystems{path: t.root.Path, inner: map[string]bool{}, found: map[string]*fileSystem{}}
	if real, err := os.Readlink(procPath(t.root.Handle())); err == nil {
		f.path = real
	}
	// Where /proc does not say it, all is the target's own file system.
	f.mounts, _ = readMounts()
	for _, m := range f.mounts {
		if m.point != f.path && inside(m.point, f.path) {
			f.inner[strings.TrimPrefix(strings.TrimPrefix(m.point, f.path), "/")] = true
		}
	}
	return f
}

// fileSystem is the one in which the directory at a path below the target is, or
// will be.
func (t *target) fileSystem(dir string) (*fileSystem, error) {
	f := t.fileSystems
	if len(f.inner) == 0 {
		dir = ""
	}
	for dir != "" && !f.inner[dir] {
		dir, _ = tree.Split(dir)
	}
	if known := f.found[dir]; known != nil {
		return known, nil
	}
	fd, err := t.root.OpenDir(dir)
	if err != nil && dir != "" {
		// It is hidden by what was mounted later, or cannot be entered.
		parent, _ := tree.Split(dir)
		outer, err := t.fileSystem(parent)
		f.found[dir] = outer
		return outer, err
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	found, err := f.of(fd, path.Join(f.path, dir))
	if err != nil {
		return nil, err
	}
	f.found[dir] = found
	return found, nil
}

// of is the file system of an open directory.
func (f *fileSystems) of(fd int, name string) (*fileSystem, error) {
	var k unix.Stat_t
	if err := unix.Fstat(fd, &k); err != nil {
		return nil, err
	}
	fs := &fileSystem{point: name, key: fmt.Sprintf("%d:%d", unix.Major(uint64(k.Dev)), unix.Minor(uint64(k.Dev)))} //nolint:unconvert // 32 bits on some processors
	// The numbers that a file of btrfs gives are those of its subvolume.
	if m := mountOf(f.mounts, fd, name); m != nil {
		fs.key, fs.point, fs.kind, fs.compresses = m.device, m.point, m.kind, m.compresses()
	}
	for _, known := range f.found {
		if known.key == fs.key {
			return known, nil
		}
	}
	free, err := freeIn(fd)
	if fs.block = free.block; fs.block > largestBlock {
		fs.block = usualBlock // NFS and others say how much they like to be sent at a time
	}
	return fs, err
}

// Sizes of blocks, in bytes.
const (
	usualBlock   = 4 << 10
	largestBlock = 64 << 10
)

// free is what a file system has left; -1 where it does not say, or has no limit.
type free struct {
	bytes, entries int64
	block          int64 // bytes
}

func freeIn(fd int) (free, error) {
	var s unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &s)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return free{}, err
		}
		break
	}
	left := free{bytes: -1, entries: -1, block: int64(s.Frsize)} //nolint:unconvert // 32 bits on some processors
	if left.block <= 0 {
		left.block = int64(s.Bsize) //nolint:unconvert // the same
	}
	left.block = max(left.block, 1)
	if s.Blocks > 0 {
		// What is kept for root is there for root.
		blocks := s.Bfree
		if maker != 0 {
			blocks = s.Bavail
		}
		left.bytes = int64(min(blocks, uint64(1<<62)/uint64(left.block))) * left.block
	}
	if s.Files > 0 {
		left.entries = int64(min(s.Ffree, 1<<62))
	}
	return left, nil
}
