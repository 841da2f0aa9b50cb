//go:build linux

package tree

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Piece is a part of a directory's entries: those whose names' hashes begin with
// so many bits, which are the number. Where a million files are in one directory,
// a change in it is a change of a piece. The first piece also stands for the
// directory itself.
type Piece struct {
	Bits   uint8
	Number uint32
}

const (
	// piecesFrom is how many entries a directory has that is in pieces.
	piecesFrom = 512
	// perPiece is about how many entries a piece has at first.
	perPiece = 128
	maxBits  = 20
)

// PieceBits is in how many pieces (2 to that power) a directory of n entries is,
// which was in as many at the last pass; -1 where there was none. It stays as it
// was until that is quite wrong.
func PieceBits(n, before int) int {
	if before >= 0 {
		if each := n >> before; each <= piecesFrom && (before == 0 || each >= perPiece/8) {
			return before
		}
	}
	if n <= piecesFrom {
		return 0
	}
	return min(bits.Len(uint(n/perPiece)), maxBits)
}

// Of is the number of the piece in which a name is.
func (p Piece) Of(name []byte, seed uint64) uint32 {
	if p.Bits == 0 {
		return 0
	}
	return uint32(xxh3.HashSeed(name, seed) >> (64 - p.Bits))
}

func (p Piece) append(b []byte) []byte {
	return binary.AppendUvarint(append(b, p.Bits), uint64(p.Number))
}

func (p *Piece) read(r *wire.Reader) {
	p.Bits, p.Number = r.Byte(), r.Uint32()
	if p.Bits > maxBits || p.Number >= 1<<p.Bits {
		r.Fail("piece %d of 2^%d", p.Number, p.Bits)
	}
}

// Pieces returns the listing in 2^n pieces, in order. They are made of its own
// memory, a million entries are not copied for it, and are in no order then.
func (l *Listing) Pieces(n int, seed uint64) []*Listing {
	if n == 0 {
		return []*Listing{l}
	}
	piece := Piece{Bits: uint8(n)}
	ends := l.arrange(piece, seed)
	pieces := make([]*Listing, 1<<n)
	start := 0
	for i, end := range ends {
		pieces[i] = &Listing{
			Path: l.Path, Self: l.Self, Mount: l.Mount, Piece: Piece{piece.Bits, uint32(i)},
			Partial: l.Partial, // what could not be read may be in any of them
			names:   l.names, entries: l.entries[start:end:end],
		}
		start = end
	}
	for _, u := range l.Unread {
		p := pieces[piece.Of([]byte(u.Name), seed)]
		p.Unread = append(p.Unread, u)
	}
	return pieces
}

// arrange puts the entries of each piece together, in the order of the pieces, and
// returns where each ends.
func (l *Listing) arrange(piece Piece, seed uint64) (ends []int) {
	numbers := make([]uint32, len(l.entries))
	ends = make([]int, 1<<piece.Bits)
	for i := range l.entries {
		numbers[i] = piece.Of(l.Name(i), seed)
		ends[numbers[i]]++
	}
	// Where the next entry of each piece comes, and where the piece ends.
	next := make([]int, len(ends))
	for i := 1; i < len(ends); i++ {
		next[i] = next[i-1] + ends[i-1]
	}
	for i := range ends {
		ends[i] += next[i]
	}
	for i := range ends {
		for next[i] < ends[i] {
			at := next[i]
			if to := numbers[at]; to != uint32(i) {
				other := next[to]
				l.entries[at], l.entries[other] = l.entries[other], l.entries[at]
				numbers[at], numbers[other] = numbers[other], to
				next[to]++
				continue
			}
			next[i]++
		}
	}
	return ends
}

// Split returns a directory of the base in 2^n pieces, in order, which share its
// names. Those in which nothing is are left out, but for the first: another host
// says how many there are.
func (d *Brought) Split(n int, seed uint64) []*Brought {
	piece := func(number uint32) *Brought {
		return &Brought{Path: d.Path, Source: d.Source, Mount: d.Mount, Target: d.Target, TargetMount: d.TargetMount, Piece: Piece{uint8(n), number}, names: d.names}
	}
	pieces := map[uint32]*Brought{0: piece(0)}
	for i := range d.entries {
		number := Piece{Bits: uint8(n)}.Of(d.Name(i), seed)
		p := pieces[number]
		if p == nil {
			p = piece(number)
			pieces[number] = p
		}
		p.entries = append(p.entries, d.entries[i])
	}
	return slices.SortedFunc(maps.Values(pieces), func(a, b *Brought) int {
		return cmp.Compare(a.Piece.Number, b.Piece.Number)
	})
}
