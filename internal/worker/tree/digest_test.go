//go:build linux

package tree

import (
	"testing"

	"golang.org/x/sys/unix"
)

// small is a listing with each kind of entry.
func small() *Listing {
	l := &Listing{Path: "a", Self: directory(5), Mount: Mount{1, 2}}
	for i, kind := range kinds {
		stat := Stat{Mode: kind | 0o644, UID: 10, GID: 20, Nlink: 1, Ino: uint64(100 + i), Size: 1000, Mtime: 1e18, Ctime: 2e18}
		if kind == unix.S_IFCHR || kind == unix.S_IFBLK {
			stat.Rdev = 5
		}
		l.Add([]byte{'n', byte('0' + i)}, &stat)
	}
	return l
}

func TestDigestsOfBothSides(t *testing.T) {
	rng := random()
	for _, n := range []int{0, 1, 2, 500} {
		l := randomListing(rng, "a/b", n)
		if l.Digest(seed) != brought(l).Digest(seed) || l.Digest(seed) != overWire(t, l).Digest(seed) {
			t.Errorf("%d entries have different digests on both sides", n)
		}
		if l.Digest(seed) == l.Digest(seed+1) {
			t.Errorf("the seed does not matter for %d entries", n)
		}
		var same Listing
		same.Same(brought(l))
		sameListing(t, &same, l)
		if same.Digest(seed) != l.Digest(seed) {
			t.Errorf("%d entries have another digest when they come from the base", n)
		}
		for _, piece := range l.Pieces(3, seed) {
			if piece.Digest(seed) != brought(piece).Digest(seed) {
				t.Errorf("%v of %d entries has different digests on both sides", piece.Piece, n)
			}
		}
	}
}

func TestDigestWithoutOrder(t *testing.T) {
	rng := random()
	l := randomListing(rng, "", 200)
	want := l.Digest(seed)
	rng.Shuffle(len(l.entries), func(i, j int) { l.entries[i], l.entries[j] = l.entries[j], l.entries[i] })
	if l.Digest(seed) != want {
		t.Error("the order matters")
	}
}

// TestDigestOfAnyChange makes one change at a time, and expects another digest of
// each on both sides.
func TestDigestOfAnyChange(t *testing.T) {
	want := small().Digest(seed)
	seen := map[Digest]string{want: "nothing"}
	check := func(what string, change func(l *Listing)) {
		t.Helper()
		l := small()
		change(l)
		d := l.Digest(seed)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", what, other)
		}
		seen[d] = what
		if brought(l).Digest(seed) != d {
			t.Errorf("%s has different digests on both sides", what)
		}
	}
	fields := map[string]func(s *Stat){
		"mode":  func(s *Stat) { s.Mode ^= 0o100 },
		"kind":  func(s *Stat) { s.Mode ^= 0o30000 },
		"user":  func(s *Stat) { s.UID++ },
		"group": func(s *Stat) { s.GID++ },
		"links": func(s *Stat) { s.Nlink++ },
		"inode": func(s *Stat) { s.Ino++ },
		"size":  func(s *Stat) { s.Size++ },
		"mtime": func(s *Stat) { s.Mtime++ },
		"ctime": func(s *Stat) { s.Ctime++ },
		"rdev":  func(s *Stat) { s.Rdev++ },
	}
	for name, change := range fields {
		if name != "kind" { // it is a directory always
			check(name+" of the directory itself", func(l *Listing) { change(&l.Self) })
		}
		for i, kind := range kinds {
			// The rest of a directory is compared with its own listing.
			if kind != unix.S_IFDIR || name == "inode" || name == "kind" {
				check(name+" of "+string(l0.Name(i)), func(l *Listing) { change(l.Stat(i)) })
			}
		}
	}
	check("the type of the mount", func(l *Listing) { l.Mount.Type++ })
	check("the number of the mount", func(l *Listing) { l.Mount.ID++ })
	check("another name", func(l *Listing) { l.names[0] = 'm' })
	check("two names changed for each other", func(l *Listing) { l.names[1], l.names[3] = l.names[3], l.names[1] })
	check("one entry more", func(l *Listing) { l.Add([]byte("more"), &Stat{Mode: unix.S_IFREG}) })
	check("the same entry again", func(l *Listing) { l.entries = append(l.entries, l.entries[0]) })
	check("an entry called as what stands for the directory", func(l *Listing) { l.Add([]byte("."), &l.Self) })
	for i := range kinds {
		check("without "+string(l0.Name(i)), func(l *Listing) { l.entries = append(l.entries[:i:i], l.entries[i+1:]...) })
	}
	check("nothing in it", func(l *Listing) { l.entries = nil })
}

var l0 = small()

// TestDigestOfADirectoryInIt: what a directory has is its own digest's.
func TestDigestOfADirectoryInIt(t *testing.T) {
	l := small()
	want := l.Digest(seed)
	i, _ := l.Find([]byte("n1"))
	*l.Stat(i) = Stat{Mode: unix.S_IFDIR | 0o700, Ino: l.Stat(i).Ino, UID: 99, GID: 99, Mtime: 99, Ctime: 99}
	if l.Digest(seed) != want {
		t.Error("what is known of a directory counts in the one above")
	}
}

// TestDigestOfPieces: a change is a change of its piece alone, and one of the
// directory itself of the first.
func TestDigestOfPieces(t *testing.T) {
	digests := func(l *Listing) (all []Digest) {
		for _, piece := range l.Pieces(4, seed) {
			all = append(all, piece.Digest(seed))
		}
		return all
	}
	l := randomListing(random(), "a", 1000)
	before := digests(l)
	changed := Piece{Bits: 4}.Of(l.Name(300), seed)
	l.Stat(300).Ino++
	for i, d := range digests(l) {
		if (d != before[i]) != (uint32(i) == changed) {
			t.Errorf("piece %d after a change in piece %d: %v", i, changed, d != before[i])
		}
	}
	l.Stat(300).Ino--
	l.Self.Mtime++
	for i, d := range digests(l) {
		if (d != before[i]) != (i == 0) {
			t.Errorf("piece %d after a change of the directory itself: %v", i, d != before[i])
		}
	}
}
