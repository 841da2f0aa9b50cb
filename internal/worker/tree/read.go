//go:build linux

package tree

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Filter says which entries are left out, by their path below the root. It is
// asked before anything is done with the entry.
type Filter interface {
	Excluded(path []byte, isDir bool) bool
}

// Lister reads directories of a root. Each goroutine has one of its own.
type Lister struct {
	root   *Root
	filter Filter
	mounts *mounts
	buffer []byte
	path   []byte
	found  []found
	// idle is how many goroutines there are that would help; nil is none.
	idle *atomic.Int32
}

// found is an entry in the buffer.
type found struct {
	at, end int // its name
	kind    byte
	stat    Stat
	err     error // of looking at it
}

// NewLister returns a lister for one goroutine. The filter may be nil.
func (r *Root) NewLister(filter Filter) *Lister {
	return &Lister{root: r, filter: filter, mounts: &r.mounts, buffer: make([]byte, 64<<10)}
}

// mounts are the file systems that were met below a root, by device number.
type mounts struct {
	mu    sync.Mutex
	known map[uint64]Mount
}

func (m *mounts) of(fd int, dev uint64) (Mount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mount, ok := m.known[dev]; ok {
		return mount, nil
	}
	mount, err := MountOf(fd)
	if err != nil {
		return Mount{}, err
	}
	if m.known == nil {
		m.known = map[uint64]Mount{}
	}
	m.known[dev] = mount
	return mount, nil
}

// direntName is where the name begins in a record of getdents64(2): after the
// number of the entry (8 bytes), an offset (8), the record's length (2) and the
// kind (1).
const direntName = 19

// List reads the directory at path into l, whose memory it uses again. The error
// is that of opening it. An entry that cannot be looked at, and the rest of a
// directory that cannot be read to its end, are named in the listing. What goes
// away while the directory is read is as if it had gone before.
func (r *Lister) List(path string, l *Listing) error {
	l.reset(path)
	fd, err := r.root.OpenDir(path)
	if err != nil {
		return err
	}
	defer closeQuietly(fd)
	return r.list(fd, l)
}

func (r *Lister) list(fd int, l *Listing) error {
	self, dev, err := fstatDev(fd)
	if err != nil {
		return err
	}
	l.Self = self
	if l.Mount, err = r.mounts.of(fd, dev); err != nil {
		return err
	}
	r.path = append(r.path[:0], l.Path...)
	if len(r.path) > 0 {
		r.path = append(r.path, '/')
	}
	prefix := len(r.path)
	for {
		n, err := retry(func() (int, error) { return unix.ReadDirent(fd, r.buffer) })
		if err != nil {
			l.Partial = err
			return nil //nolint:nilerr // what was read is told, and that it is not all
		}
		if n == 0 {
			return nil
		}
		if len(l.entries) == 0 && n > len(r.buffer)/2 {
			l.reserve(fd)
		}
		r.find(n, prefix, l)
		r.lookAt(fd)
		for i := range r.found {
			r.add(&r.found[i], prefix, l)
		}
	}
}

// find finds the entries in the first n bytes of the buffer that are not left out.
func (r *Lister) find(n, prefix int, l *Listing) {
	r.found = r.found[:0]
	for at := 0; at < n; {
		record := r.buffer[at:n]
		length := int(binary.NativeEndian.Uint16(record[16:]))
		f := found{at: at + direntName, kind: record[18]}
		f.end = f.at + bytes.IndexByte(record[direntName:length], 0)
		at += length
		name := r.buffer[f.at:f.end]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if r.filter != nil && f.kind != unix.DT_UNKNOWN && r.filter.Excluded(r.join(prefix, name), f.kind == unix.DT_DIR) {
			continue
		}
		// Some file systems (vfat, FUSE) have longer names than this host has.
		if err := CheckName(name); err != nil {
			l.Partial = err
			continue
		}
		r.found = append(r.found, f)
	}
}

// join is the path of a name; the memory is used again.
func (r *Lister) join(prefix int, name []byte) []byte {
	r.path = append(r.path[:prefix], name...)
	return r.path
}

// halved is how many entries it pays to share with a goroutine that has nothing to do:
// those of a large directory, which has a buffer full of them.
const halved = 256

// lookAt looks at the entries that were found.
func (r *Lister) lookAt(fd int) {
	look := func(all []found) {
		var k unix.Stat_t
		for i := range all {
			f := &all[i]
			if f.err = statName(fd, &r.buffer[f.at], &k); f.err == nil {
				f.stat.FromKernel(&k)
			}
		}
	}
	if r.idle == nil || r.idle.Load() == 0 || len(r.found) < halved {
		look(r.found)
		return
	}
	var helper sync.WaitGroup
	helper.Go(func() { look(r.found[:len(r.found)/2]) })
	look(r.found[len(r.found)/2:])
	helper.Wait()
}

// add adds an entry that was looked at.
func (r *Lister) add(f *found, prefix int, l *Listing) {
	name, err := r.buffer[f.at:f.end], f.err
	if err == unix.ENOENT { //nolint:errorlint // an errno of a system call
		return
	}
	path := r.join(prefix, name)
	// Nobody can say what it is; a pattern for directories may mean it.
	if err != nil && f.kind == unix.DT_UNKNOWN && r.filter != nil && (r.filter.Excluded(path, false) || r.filter.Excluded(path, true)) {
		return
	}
	if err == nil && len(path) > MaxPath {
		err = unix.ENAMETOOLONG
	}
	if err != nil {
		l.Unread = append(l.Unread, Unread{string(name), err})
		return
	}
	if f.kind == unix.DT_UNKNOWN && r.filter != nil && r.filter.Excluded(path, f.stat.IsDir()) {
		return
	}
	l.Add(name, &f.stat)
}

// perEntry is about how many bytes of a directory's size stand for an entry. A
// guess that is too small costs one more growth.
const perEntry = 40

// reserve makes room for a large directory at once: to grow a step at a time takes
// several times the memory.
func (l *Listing) reserve(fd int) {
	var k unix.Stat_t
	if unix.Fstat(fd, &k) != nil {
		return
	}
	// A file system may say any size.
	n := int(min(max(k.Size, 0)/perEntry, 1<<21))
	l.entries = slices.Grow(l.entries, n)
	l.names = slices.Grow(l.names, n*perEntry/2)
}

// StatAt looks at one name in an open directory, "." being the directory itself.
// The error is unix.ENOENT where there is none.
func StatAt[T ~string | ~[]byte](dir int, name T) (Stat, error) {
	var buffer [maxName + 1]byte
	if len(name) > maxName {
		return Stat{}, unix.ENAMETOOLONG
	}
	copy(buffer[:], name)
	var k unix.Stat_t
	if err := statName(dir, &buffer[0], &k); err != nil {
		return Stat{}, err
	}
	var s Stat
	s.FromKernel(&k)
	return s, nil
}
