package delta

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
)

func TestHashDoesNotDependOnTheWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	data := random(rng, 10*pieceSize)
	seen := map[[HashSize]byte]int{}
	h := NewHash(9)
	for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 33, 48, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize - 16, 10 * pieceSize} {
		for _, d := range [][]byte{data[:n], make([]byte, n)} {
			want := NewHash(9).of(d)
			for range 5 {
				for rest := d; len(rest) > 0; {
					k := 1 + rng.IntN(len(rest))
					h.Write(rest[:k])
					rest = rest[k:]
				}
				if h.Sum() != want {
					t.Errorf("%d bytes hash otherwise in parts", n)
				}
			}
			if NewHash(10).of(d) == want {
				t.Errorf("%d bytes have one hash with two seeds", n)
			}
			if m, ok := seen[want]; ok && n > 0 {
				t.Errorf("%d and %d bytes have one hash", m, n)
			}
			seen[want] = n
		}
	}
}

// Both sides may be of different versions and architectures.
func TestHashesStayWhatTheyAre(t *testing.T) {
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	sum := NewHash(0x0123456789abcdef).of(data)
	if got := hex.EncodeToString(sum[:]); got != "7be94b934a1fe2d4cd2cfa78e5b7da67" {
		t.Errorf("the strong hash is %s", got)
	}
	if got := newRoller(newKeys(0x0123456789abcdef).base, 4096).of(data[:4096]); got != 0x63ab5dce08f7ae9 {
		t.Errorf("the rolling hash is %#x", got)
	}
}

// The pair differs in the high bits of two words of one lane of xxh3. It collides
// where that lane multiplies both by the same, which is so for one seed in 64. The
// test is why Hash is not xxh3 alone.
func TestPairThatXXH3ConfusesIsToldApart(t *testing.T) {
	a := random(rand.New(rand.NewPCG(2, 2)), 4096)
	const first, second = 0, 768
	binary.LittleEndian.PutUint64(a[second:], binary.LittleEndian.Uint64(a[first:])^0x0a0a0410)
	b := bytes.Clone(a)
	b[first+7] ^= 0x80
	b[second+7] ^= 0x80
	rng := rand.New(rand.NewPCG(3, 3))
	confused := 0
	for range 4000 {
		seed := rng.Uint64()
		if xxh3.Hash128Seed(a, seed) != xxh3.Hash128Seed(b, seed) {
			continue
		}
		confused++
		if NewHash(seed).of(a) == NewHash(seed).of(b) {
			t.Errorf("the hash with seed %#x does not tell them apart", seed)
		}
	}
	if confused == 0 {
		t.Error("xxh3 tells them apart as well: the pair is not what it was")
	}
}

func TestRollingIsHashingAnew(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const n = MinBlockSize
	for _, data := range [][]byte{
		random(rng, 3*n), make([]byte, 3*n), bytes.Repeat([]byte{255}, 3*n),
		append(bytes.Repeat([]byte{255}, n), make([]byte, 2*n)...),
	} {
		r := newRoller(baseFrom(rng.Uint64()), n)
		// A table that stops nowhere, and one that stops at each byte.
		for _, filter := range [][]uint64{{0}, {1<<64 - 1}} {
			table := &table{filter: filter}
			sum := r.of(data[:n])
			for at := 0; at < 2*n; {
				to := min(at+1+rng.IntN(50), 2*n)
				var moved int
				moved, sum = r.roll(sum, data[at:to], data[at+n:to+n], table)
				if at += moved; sum != r.of(data[at:at+n]) {
					t.Fatalf("the rolling hash at %d is not that of the block", at)
				}
			}
		}
		var want uint64 // the definition, one byte at a time
		for _, b := range data[:n] {
			want = reduce(multiply(want, r.base8>>3) + uint64(b))
		}
		if got := r.of(data[:n]); got != want {
			t.Errorf("the rolling hash is %#x, not %#x", got, want)
		}
	}
}

func TestMultiply(t *testing.T) {
	for _, c := range [][3]uint64{
		{0, prime - 1, 0}, {1, prime - 1, prime - 1}, {prime - 1, prime - 1, 1}, {prime - 1, 2, prime - 2}, {1 << 60, 2, 1}, {1 << 60, 1 << 60, 1 << 59},
	} {
		if got := multiply(c[0], c[1]); got != c[2] {
			t.Errorf("%#x times %#x is %#x, not %#x", c[0], c[1], got, c[2])
		}
	}
	// The largest of each that step says it takes.
	if h := step(1<<63-1, (1<<58-1)<<3, prime+255); h >= 1<<63 {
		t.Errorf("a step leads to %#x", h)
	}
}
