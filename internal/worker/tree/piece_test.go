//go:build linux

package tree

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

func TestPieceBits(t *testing.T) {
	for _, c := range []struct{ n, before, want int }{
		{0, -1, 0}, {piecesFrom, -1, 0}, {piecesFrom + 1, -1, 3}, {1 << 20, -1, 14}, {1 << 30, -1, maxBits},
		// It stays as it was while that is about right.
		{0, 0, 0}, {piecesFrom, 0, 0}, {piecesFrom + 1, 0, 3},
		{piecesFrom + 1, 4, 4}, {piecesFrom - 1, 4, 4}, {perPiece / 8 * 16, 4, 4}, {perPiece/8*16 - 1, 4, 0},
		{piecesFrom << 4, 4, 4}, {(piecesFrom + 1) << 4, 4, 7},
		{0, 4, 0}, {1 << 20, 20, 14},
		// Another host may say anything.
		{100, maxBits, 0}, {100, 255, 0}, {1 << 20, 255, 14},
	} {
		if got := PieceBits(c.n, c.before); got != c.want {
			t.Errorf("%d entries, before in 2^%d pieces, are in 2^%d and not in 2^%d", c.n, c.before, got, c.want)
		}
	}
}

// TestPieceBitsSettle: what they are once, they stay with the same number of
// entries, and with a few more or less.
func TestPieceBitsSettle(t *testing.T) {
	for n := 1; n < 1<<26; n += n/7 + 1 {
		bits := PieceBits(n, -1)
		for _, near := range []int{n, n + n/20, n - n/20} {
			if got := PieceBits(near, bits); got != bits && !(bits == 0 && near > piecesFrom) {
				t.Errorf("%d entries are in 2^%d pieces, and %d in 2^%d", n, bits, near, got)
			}
		}
		if each := n >> bits; each > piecesFrom || bits > 0 && each < perPiece/8 {
			t.Errorf("%d entries are in 2^%d pieces", n, bits)
		}
	}
}

// TestPieces of 20,000 entries, on the source, over the wire, and in the base.
func TestPieces(t *testing.T) {
	rng := random()
	l := randomListing(rng, "mail/new", 20000)
	l.Partial = unix.EIO
	for i := range 50 {
		l.Unread = append(l.Unread, Unread{fmt.Sprint("unread", i), unix.EACCES})
	}
	bits := PieceBits(l.Len(), -1)
	split := brought(l).Split(bits, seed)
	whole := overWire(t, l) // l itself is in no order when it is in pieces
	pieces := l.Pieces(bits, seed)
	if len(pieces) != 1<<bits || bits == 0 {
		t.Fatalf("%d pieces and 2^%d", len(pieces), bits)
	}
	entries, unread := map[string]bool{}, map[string]bool{}
	for number, piece := range pieces {
		piece.Sort()
		if want := (Piece{uint8(bits), uint32(number)}); piece.Piece != want || split[number].Piece != want {
			t.Errorf("piece %d is %v and %v", number, piece.Piece, split[number].Piece)
		}
		if piece.Len() < perPiece/8 || piece.Len() > piecesFrom {
			t.Errorf("piece %d has %d entries", number, piece.Len())
		}
		got := overWire(t, piece)
		sameListing(t, got, piece)
		if got.Digest(seed) != split[number].Digest(seed) {
			t.Errorf("piece %d has different digests on both sides", number)
		}
		for i := range got.Len() {
			name := string(got.Name(i))
			at, ok := whole.Find(got.Name(i))
			if entries[name] || !ok || *got.compared(i) != *whole.compared(at) || piece.Piece.Of(got.Name(i), seed) != uint32(number) {
				t.Errorf("%q in piece %d is wrong there, or twice", name, number)
			}
			entries[name] = true
		}
		for _, u := range got.Unread {
			if unread[u.Name] {
				t.Errorf("%q is in two pieces", u.Name)
			}
			unread[u.Name] = true
		}
		if got.Partial == nil {
			t.Errorf("piece %d is said to be whole", number)
		}
	}
	if len(entries) != l.Len() || len(unread) != len(l.Unread) {
		t.Errorf("%d of %d entries and %d of %d unread ones are in the pieces", len(entries), l.Len(), len(unread), len(l.Unread))
	}
}

func TestOnePiece(t *testing.T) {
	l := randomListing(random(), "a", 10)
	if pieces := l.Pieces(0, seed); len(pieces) != 1 || pieces[0] != l {
		t.Errorf("a small directory is in %d pieces", len(pieces))
	}
	split := brought(l).Split(0, seed)
	if len(split) != 1 || split[0].Len() != 10 || split[0].Digest(seed) != l.Digest(seed) {
		t.Errorf("a small directory of the base is in %d pieces", len(split))
	}
}

// TestSplitLeavesOut: another host says in how many pieces a directory is, and a
// small one in 2^20 takes no memory for each.
func TestSplitLeavesOut(t *testing.T) {
	l := randomListing(random(), "a", 10)
	split := brought(l).Split(maxBits, seed)
	n := 0
	for i, piece := range split {
		n += piece.Len()
		if i == 0 && piece.Piece.Number != 0 || i > 0 && (piece.Len() == 0 || piece.Piece.Number <= split[i-1].Piece.Number) {
			t.Errorf("the %d. piece is %v with %d entries", i+1, piece.Piece, piece.Len())
		}
	}
	if n != 10 || len(split) > 11 {
		t.Errorf("%d entries in %d pieces", n, len(split))
	}
	if empty := (&Brought{Path: "a"}).Split(maxBits, seed); len(empty) != 1 {
		t.Errorf("an empty directory is in %d pieces", len(empty))
	}
}

func TestPieceOverTheWire(t *testing.T) {
	for _, piece := range []Piece{{}, {1, 1}, {maxBits, 1<<maxBits - 1}} {
		r := wire.NewReader(piece.append(nil))
		var got Piece
		if got.read(r); got != piece || r.Done() != nil {
			t.Errorf("%v is %v: %v", piece, got, r.Err())
		}
	}
}
