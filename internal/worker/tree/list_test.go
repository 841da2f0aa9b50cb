//go:build linux

package tree

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

func TestListingOverTheWire(t *testing.T) {
	rng := random()
	partial := randomListing(rng, "a/b", 20)
	partial.Partial = unix.EIO
	partial.Unread = []Unread{{"one", unix.EACCES}, {strings.Repeat("x", maxName), unix.EIO}}
	piece := randomListing(rng, "a", 5)
	piece.Piece = Piece{maxBits, 1<<maxBits - 1}
	longest := &Listing{Path: strings.TrimSuffix(strings.Repeat("d/", MaxPath/2+1), "/"), Self: directory(1)}
	for _, l := range []*Listing{
		{Self: directory(1)}, randomListing(rng, "", 1), randomListing(rng, "x", 1000), partial, piece, longest,
	} {
		sameListing(t, overWire(t, l), l)
	}
}

func TestReadListingUsesItsMemoryAgain(t *testing.T) {
	rng := random()
	first := randomListing(rng, "first", 100)
	first.Partial, first.Unread, first.Piece = unix.EIO, []Unread{{"x", unix.EIO}}, Piece{3, 2}
	second := randomListing(rng, "second", 50)
	var l Listing
	for _, want := range []*Listing{first, second, first} {
		l.ReadListing(wire.NewReader(want.Append(nil)))
		sameListing(t, &l, want)
	}
}

// listingOf writes a listing of any names in any order, with a claim of how many
// they are.
func listingOf(path string, self Stat, claimed uint64, names ...string) []byte {
	b := wire.AppendText(nil, path)
	b = self.Append(b, &Stat{})
	b = Mount{}.append(b)
	b = Piece{}.append(b)
	b = wire.AppendNumber(b, claimed)
	previous := Stat{}
	for i, name := range names {
		stat := Stat{Mode: unix.S_IFREG | 0o644, Ino: uint64(i)}
		b = stat.Append(wire.AppendText(b, name), &previous)
		previous = stat
	}
	return append(b, 0, 0)
}

func TestHostileListing(t *testing.T) {
	self := directory(1)
	good := listingOf("a", self, 3, "a", "b", "c")
	unread := func(names ...string) []byte {
		b := listingOf("a", self, 0)
		b = wire.AppendNumber(b[:len(b)-1], uint64(len(names)))
		for _, name := range names {
			b = wire.AppendText(b, name)
		}
		return b
	}
	piece := func(bits byte, number uint64) []byte {
		head := Mount{}.append(self.Append(wire.AppendText(nil, "a"), &Stat{}))
		return append(wire.AppendNumber(append(head, bits), number), 0, 0, 0)
	}
	for _, c := range []struct {
		name    string
		content []byte
		good    bool
	}{
		{"good", good, true},
		{"good with what could not be read", unread("a", "b"), true},
		{"the last piece", piece(maxBits, 1<<maxBits-1), true},
		{"slash", listingOf("a", self, 1, "a/b"), false},
		{"only a slash", listingOf("a", self, 1, "/"), false},
		{"NUL", listingOf("a", self, 1, "a\x00"), false},
		{"dot", listingOf("a", self, 1, "."), false},
		{"dots", listingOf("a", self, 1, ".."), false},
		{"no name", listingOf("a", self, 1, ""), false},
		{"a long name", listingOf("a", self, 1, strings.Repeat("x", 256)), false},
		{"out of order", listingOf("a", self, 2, "b", "a"), false},
		{"twice", listingOf("a", self, 2, "a", "a"), false},
		{"more than there are", listingOf("a", self, 4, "a", "b", "c"), false},
		{"fewer than there are", listingOf("a", self, 2, "a", "b", "c"), false},
		{"2^62 entries", listingOf("a", self, 1<<62, "a"), false},
		{"path with dots", listingOf("a/../../etc", self, 0), false},
		{"absolute path", listingOf("/etc", self, 0), false},
		{"path with NUL", listingOf("a\x00b", self, 0), false},
		{"path with an empty name", listingOf("a//b", self, 0), false},
		{"long path", listingOf(strings.Repeat("d/", 2048)+"d", self, 0), false},
		{"a file", listingOf("a", Stat{Mode: unix.S_IFREG | 0o644}, 0), false},
		{"no kind", listingOf("a", Stat{Mode: 0o755}, 0), false},
		{"unread with a slash", unread("a/b"), false},
		{"unread dots", unread(".."), false},
		{"unread without a name", unread(""), false},
		{"too many bits", piece(maxBits+1, 0), false},
		{"all bits", piece(0xff, 0), false},
		{"a piece too many", piece(4, 16), false},
		{"a piece of a whole", piece(0, 1), false},
		{"something left over", append(slices.Clone(good), 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := wire.NewReader(c.content)
			var l Listing
			l.ReadListing(r)
			if err := r.Done(); (err == nil) != c.good || err != nil && !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	for n := range good {
		r := wire.NewReader(good[:n])
		new(Listing).ReadListing(r)
		if r.Done() == nil {
			t.Errorf("%d of %d bytes are taken for the whole", n, len(good))
		}
	}
}

func TestFind(t *testing.T) {
	l := randomListing(random(), "", 300)
	d := brought(l)
	for i := range l.Len() {
		if at, ok := l.Find(l.Name(i)); !ok || at != i {
			t.Errorf("%q is at %d and not at %d", l.Name(i), at, i)
		}
		if e := d.Find(l.Name(i)); e == nil || *e != *d.Entry(i) || string(d.Name(i)) != string(l.Name(i)) {
			t.Errorf("the base has %+v at %q", e, l.Name(i))
		}
	}
	for _, name := range []string{"", "\xff\xff", string(l.Name(5)) + "x"} {
		if _, ok := l.Find([]byte(name)); ok || d.Find([]byte(name)) != nil {
			t.Errorf("%q is found", name)
		}
	}
}

// FuzzReadListing gives it any bytes. What it takes can be written again and read
// with the same result, and has taken memory by the length of the bytes.
func FuzzReadListing(f *testing.F) {
	f.Add([]byte{})
	f.Add(listingOf("a", directory(1), 3, "a", "b", "c"))
	f.Add(listingOf("", directory(1), 1<<62, "a"))
	f.Add(listingOf("a", directory(1), 2, "b", "a"))
	partial := randomListing(random(), "x/y", 10)
	partial.Partial, partial.Unread, partial.Piece = unix.EIO, []Unread{{"u", unix.EIO}}, Piece{4, 7}
	f.Add(partial.Append(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := wire.NewReader(content)
		var l Listing
		l.ReadListing(r)
		if n := max(len(content), 64); cap(l.entries) > n || cap(l.names) > 2*n || cap(l.Unread) > 2*n {
			t.Errorf("%d bytes have made room for %d entries, %d bytes of names and %d unread ones",
				len(content), cap(l.entries), cap(l.names), cap(l.Unread))
		}
		if r.Done() != nil {
			return
		}
		for i := range l.Len() {
			if CheckName(l.Name(i)) != nil || i > 0 && bytes.Compare(l.Name(i-1), l.Name(i)) >= 0 {
				t.Errorf("%q is believed", l.Name(i))
			}
		}
		if CheckPath(l.Path) != nil {
			t.Errorf("%q is believed", l.Path)
		}
		sameListing(t, overWire(t, &l), &l)
	})
}
