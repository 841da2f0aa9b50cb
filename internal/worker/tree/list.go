//go:build linux

package tree

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Listing is a directory with what is in it. It keeps all names in one piece of
// memory and all that is known of them in another: a server has a million.
type Listing struct {
	// Path is relative to the root, "" for the root itself.
	Path string
	// Self is what the kernel says of the directory itself.
	Self Stat
	// Mount is its file system.
	Mount Mount
	// Piece is which of the directory's entries are in the listing.
	Piece Piece
	// Unread are entries of which the kernel would not say what they are, by
	// name. They are not among the others.
	Unread []Unread
	// Partial says that the directory could not be read to its end, and why.
	Partial error

	names   []byte
	entries []entry
}

// Unread is an entry that could not be looked at.
type Unread struct {
	Name string
	Err  error
}

type entry struct {
	Stat
	at     uint32 // where the name begins
	length uint16
}

// Len is how many entries there are.
func (l *Listing) Len() int { return len(l.entries) }

// Name of entry i. It is valid as long as the listing.
func (l *Listing) Name(i int) []byte {
	e := &l.entries[i]
	return l.names[e.at : e.at+uint32(e.length) : e.at+uint32(e.length)]
}

// Stat of entry i. Of a directory only the kind and the number are compared:
// the rest is its own listing's.
func (l *Listing) Stat(i int) *Stat { return &l.entries[i].Stat }

// Add appends an entry.
func (l *Listing) Add(name []byte, stat *Stat) {
	at := uint32(len(l.names))
	l.names = append(l.names, name...)
	l.entries = append(l.entries, entry{Stat: *stat, at: at, length: uint16(len(name))})
}

// Sort puts the entries into the order of their names' bytes.
func (l *Listing) Sort() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return bytes.Compare(l.names[a.at:a.at+uint32(a.length)], l.names[b.at:b.at+uint32(b.length)])
	})
}

// Find returns the place of an entry in a sorted listing.
func (l *Listing) Find(name []byte) (int, bool) {
	return slices.BinarySearchFunc(l.entries, name, func(e entry, name []byte) int {
		return bytes.Compare(l.names[e.at:e.at+uint32(e.length)], name)
	})
}

// Leave makes entries what could not be looked at, and says whether there are any.
func (l *Listing) Leave(left func(name []byte) bool) bool {
	before := len(l.Unread)
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool {
		name := l.names[e.at : e.at+uint32(e.length)]
		if !left(name) {
			return false
		}
		l.Unread = append(l.Unread, Unread{string(name), errUnsaid})
		return true
	})
	return len(l.Unread) > before
}

// reset makes l an empty listing that keeps its memory.
func (l *Listing) reset(path string) {
	*l = Listing{Path: path, names: l.names[:0], entries: l.entries[:0]}
}

// Digest is that of a directory, or a piece of one, with all that is in it. Equal
// digests are equal directories: it is 128 bits, and the seed is a secret of the
// two hosts.
type Digest [16]byte

// sum adds up what is hashed, so that the order does not matter.
type sum struct{ hi, lo uint64 }

func (s *sum) add(record []byte, seed uint64) {
	h := xxh3.Hash128Seed(record, seed)
	s.hi += h.Hi
	s.lo += h.Lo
}

func (s *sum) digest() (d Digest) {
	binary.LittleEndian.PutUint64(d[:8], s.hi)
	binary.LittleEndian.PutUint64(d[8:], s.lo)
	return d
}

// self adds what a directory itself is, in its first piece.
func (s *sum) self(piece Piece, self *Stat, mount Mount, seed uint64) {
	if piece.Number == 0 {
		// A slash is in no name.
		s.add(mount.append(append(self.record(nil), '/')), seed)
	}
}

// Digest of the listing.
func (l *Listing) Digest(seed uint64) Digest {
	var s sum
	s.self(l.Piece, &l.Self, l.Mount, seed)
	record := make([]byte, 0, sizeOfRecord+maxName)
	for i := range l.entries {
		record = l.compared(i).record(record[:0])
		s.add(append(record, l.Name(i)...), seed)
	}
	return s.digest()
}

// compared is what of entry i is compared in its directory.
func (l *Listing) compared(i int) *Stat {
	stat := &l.entries[i].Stat
	if stat.IsDir() {
		return &Stat{Mode: unix.S_IFDIR, Ino: stat.Ino}
	}
	return stat
}

// smallestEntry is the length of the shortest entry on the wire: a name of one
// byte with its length, and a Stat.
const smallestEntry = 2 + 5

// Append appends the listing, whose entries have to be in order, for the wire.
// ReadListing reads it.
func (l *Listing) Append(b []byte) []byte {
	b = wire.AppendText(b, l.Path)
	b = l.Self.Append(b, &Stat{})
	b = l.Mount.append(b)
	b = l.Piece.append(b)
	b = binary.AppendUvarint(b, uint64(len(l.entries)))
	previous := &Stat{}
	for i := range l.entries {
		b = wire.AppendText(b, l.Name(i))
		b = l.compared(i).Append(b, previous)
		previous = l.compared(i)
	}
	b = wire.AppendFlag(b, l.Partial != nil)
	b = binary.AppendUvarint(b, uint64(len(l.Unread)))
	for _, u := range l.Unread {
		b = wire.AppendText(b, u.Name)
	}
	return b
}

// errUnsaid is the error of what another host could not read; it says why in a
// message of its own.
var errUnsaid = wire.ErrMalformed

// ReadListing reads what Append wrote, into l, whose memory it uses again. Names
// that a directory cannot have, twice the same one and paths that lead elsewhere
// are errors.
func (l *Listing) ReadListing(r *wire.Reader) {
	l.reset("")
	l.Path = r.Text()
	if err := CheckPath(l.Path); err != nil {
		r.Fail("%v", err)
	}
	l.Self.Read(r, &Stat{})
	l.Mount.read(r)
	l.Piece.read(r)
	if !l.Self.IsDir() {
		r.Fail("a directory of mode %o", l.Self.Mode)
	}
	n := r.Count(smallestEntry)
	l.entries = slices.Grow(l.entries, n)
	var previous Stat
	var before []byte
	for i := range n {
		name := r.Bytes()
		var stat Stat
		stat.Read(r, &previous)
		if r.Err() != nil {
			return
		}
		if err := CheckName(name); err != nil {
			r.Fail("%v", err)
			return
		}
		if i > 0 && bytes.Compare(before, name) >= 0 {
			r.Fail("names out of order")
			return
		}
		l.Add(name, &stat)
		previous, before = stat, name
	}
	if r.Flag() {
		l.Partial = errUnsaid
	}
	for range r.Count(2) {
		name := r.Text()
		if err := CheckName([]byte(name)); err != nil {
			r.Fail("%v", err)
			return
		}
		l.Unread = append(l.Unread, Unread{name, errUnsaid})
	}
}
