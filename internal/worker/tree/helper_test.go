//go:build linux

package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

const seed = 0x1234567890abcdef

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) } //nolint:gosec // the same each time

var kinds = []uint32{unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK}

// randomStat is a Stat with any kind, and often with what is at the ends of a
// field's range.
func randomStat(rng *rand.Rand) Stat {
	number := func() int64 {
		switch rng.IntN(6) {
		case 0:
			return math.MinInt64
		case 1:
			return math.MaxInt64
		case 2:
			return 0
		case 3:
			return -rng.Int64()
		}
		return rng.Int64N(2e18)
	}
	s := Stat{
		Mode: kinds[rng.IntN(len(kinds))] | rng.Uint32N(0o10000),
		UID:  rng.Uint32() >> rng.IntN(32), GID: rng.Uint32() >> rng.IntN(32),
		Ino: rng.Uint64() >> rng.IntN(64), Mtime: number(), Ctime: number(),
	}
	if s.IsDir() {
		return s
	}
	s.Nlink, s.Size = rng.Uint32()>>rng.IntN(32), max(0, number())
	if k := s.Kind(); k == unix.S_IFCHR || k == unix.S_IFBLK {
		s.Size, s.Rdev = 0, rng.Uint64()
	}
	return s
}

// directory is a Stat of one.
func directory(ino uint64) Stat {
	return Stat{Mode: unix.S_IFDIR | 0o755, Ino: ino, UID: 1, GID: 2, Mtime: 3e18, Ctime: 3e18 + 1}
}

// randomListing has n entries, in order.
func randomListing(rng *rand.Rand, path string, n int) *Listing {
	l := &Listing{Path: path, Self: directory(7), Mount: Mount{0xef53, rng.Uint64()}}
	for i := range n {
		stat := randomStat(rng)
		l.Add(fmt.Appendf(nil, "%x-\xff\n%d", rng.Uint32(), i), &stat)
	}
	l.Sort()
	return l
}

// brought is what the base has of a listing that was brought as it is.
func brought(l *Listing) *Brought {
	d := &Brought{Path: l.Path, Source: l.Self, Mount: l.Mount, Piece: l.Piece}
	for i := range l.Len() {
		d.Add(l.Name(i), Known{Source: SourceOf(l.Stat(i)), Target: StateOf(l.Stat(i))})
	}
	d.Sort()
	return d
}

// overWire is a listing as it comes out on the other host.
func overWire(t testing.TB, l *Listing) *Listing {
	t.Helper()
	r := wire.NewReader(l.Append(nil))
	var got Listing
	got.ReadListing(r)
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	return &got
}

// sameListing complains unless two listings have the same entries, as far as they
// are compared.
func sameListing(t testing.TB, got, want *Listing) {
	t.Helper()
	if got.Path != want.Path || got.Self != want.Self || got.Mount != want.Mount || got.Piece != want.Piece {
		t.Errorf("the directory is %+v, and not %+v", got, want)
	}
	if (got.Partial == nil) != (want.Partial == nil) || len(got.Unread) != len(want.Unread) || got.Len() != want.Len() {
		t.Fatalf("%d entries, %d unread, partial %v; and not %d, %d, %v",
			got.Len(), len(got.Unread), got.Partial, want.Len(), len(want.Unread), want.Partial)
	}
	for i := range want.Unread {
		if got.Unread[i].Name != want.Unread[i].Name {
			t.Errorf("unread is %q, and not %q", got.Unread[i].Name, want.Unread[i].Name)
		}
	}
	for i := range want.Len() {
		if string(got.Name(i)) != string(want.Name(i)) || *got.compared(i) != *want.compared(i) {
			t.Fatalf("entry %d is %q %+v, and not %q %+v", i, got.Name(i), got.Stat(i), want.Name(i), want.Stat(i))
		}
	}
}

// openRoot opens a directory for the test.
func openRoot(t testing.TB, path string) *Root {
	t.Helper()
	root, err := OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// mkdirs makes directories below a new one, whose path it returns.
func mkdirs(t testing.TB, paths ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil { //nolint:gosec // as most are
			t.Fatal(err)
		}
	}
	return dir
}

func write(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
