package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// keys are what both sides make of the secret seed.
type keys struct {
	seed uint64
	base uint64 // of the polynomial that rolls
	nh   [pieceSize / 8]uint64
}

func newKeys(seed uint64) *keys {
	k := &keys{seed: seed}
	var in [16]byte
	binary.LittleEndian.PutUint64(in[:], seed)
	word := func(i int) uint64 {
		binary.LittleEndian.PutUint64(in[8:], uint64(i))
		sum := sha256.Sum256(in[:])
		return binary.LittleEndian.Uint64(sum[:])
	}
	for i := range k.nh {
		k.nh[i] = word(i)
	}
	k.base = baseFrom(word(len(k.nh)))
	return k
}

// pieceSize is how many bytes NH takes at once.
const pieceSize = 1 << 10

// HashSize is the length of a Hash in bytes.
const HashSize = 16

// Hash is the strong hash: NH, which is that of UMAC (Black, Halevi, Krawczyk,
// Krovetz and Rogaway, 1999) with words of 64 bits, over each KiB, and seeded
// xxh3-128 over what NH returns.
//
// A seed alone makes no secret of xxh3: pairs of blocks can be prepared that collide
// under one seed in 64. Who does not know the seed finds a pair that collides in NH
// with odds of 2^-64, and never gets to choose what xxh3 is given.
//
// A Hash is used by one goroutine at a time.
type Hash struct {
	keys    *keys
	outer   *xxh3.Hasher128
	length  uint64
	partial [pieceSize]byte // of which length%pieceSize bytes are filled
}

// NewHash returns the hash for a seed.
func NewHash(seed uint64) *Hash { return newHash(newKeys(seed)) }

func newHash(k *keys) *Hash { return &Hash{keys: k, outer: xxh3.NewSeed128(k.seed)} }

// Write adds data to what is hashed. It never fails.
func (h *Hash) Write(data []byte) (int, error) {
	n := len(data)
	if have := h.length % pieceSize; have > 0 {
		used := copy(h.partial[have:], data)
		data = data[used:]
		h.length += uint64(used)
		if h.length%pieceSize > 0 {
			return n, nil
		}
		h.piece(h.partial[:])
	}
	for len(data) >= pieceSize {
		h.piece(data[:pieceSize])
		h.length += pieceSize
		data = data[pieceSize:]
	}
	h.length += uint64(copy(h.partial[:], data))
	return n, nil
}

// Sum ends the hash, returns it, and begins the next one with the same seed.
func (h *Hash) Sum() [HashSize]byte {
	if have := h.length % pieceSize; have > 0 {
		end := (have + 15) &^ 15
		clear(h.partial[have:end])
		h.piece(h.partial[:end])
	}
	// The zeros above would make two lengths one.
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], h.length)
	_, _ = h.outer.Write(length[:])
	sum := h.outer.Sum128().Bytes()
	h.outer.Reset()
	h.length = 0
	return sum
}

// of hashes one block.
func (h *Hash) of(block []byte) [HashSize]byte {
	_, _ = h.Write(block)
	return h.Sum()
}

// piece adds up to pieceSize bytes, a multiple of 16.
func (h *Hash) piece(data []byte) {
	hi, lo := nh(data, h.keys.nh[:])
	var out [16]byte
	binary.LittleEndian.PutUint64(out[:], lo)
	binary.LittleEndian.PutUint64(out[8:], hi)
	_, _ = h.outer.Write(out[:])
}

// nh returns the sum, modulo 2^128, of the products of pairs of words of data that
// each had a word of key added. The length of data is a multiple of 16.
func nh(data []byte, key []uint64) (hi, lo uint64) {
	var carry uint64
	for len(data) >= 32 && len(key) >= 4 {
		h1, l1 := bits.Mul64(binary.LittleEndian.Uint64(data)+key[0], binary.LittleEndian.Uint64(data[8:])+key[1])
		h2, l2 := bits.Mul64(binary.LittleEndian.Uint64(data[16:])+key[2], binary.LittleEndian.Uint64(data[24:])+key[3])
		lo, carry = bits.Add64(lo, l1, 0)
		hi, _ = bits.Add64(hi, h1, carry)
		lo, carry = bits.Add64(lo, l2, 0)
		hi, _ = bits.Add64(hi, h2, carry)
		data, key = data[32:], key[4:]
	}
	if len(data) >= 16 && len(key) >= 2 {
		h1, l1 := bits.Mul64(binary.LittleEndian.Uint64(data)+key[0], binary.LittleEndian.Uint64(data[8:])+key[1])
		lo, carry = bits.Add64(lo, l1, 0)
		hi, _ = bits.Add64(hi, h1, carry)
	}
	return hi, lo
}
