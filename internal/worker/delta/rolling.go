package delta

import "math/bits"

// The rolling hash of a block b of n bytes is the polynomial
//
//	b[0]*base^(n-1) + b[1]*base^(n-2) + ... + b[n-1]
//
// modulo the prime 2^61-1, with a secret base. The sums of rsync are easy to collide,
// and a user who does that to many blocks makes the sender take the strong hash at
// every byte.
const (
	primeBits = 61
	prime     = 1<<primeBits - 1
)

// baseFrom makes a base of a random word: of 58 bits, for what step says, and one of the
// larger half of those.
func baseFrom(word uint64) uint64 { return word>>6 | 1<<57 }

// step returns h*base+add modulo the prime, but not reduced: below 2^63 for an h below
// 2^63, a base below 2^58 and an add of at most prime+255, so that it can be the next h.
// The base is given times 8. The high word of the product is then what is at and above
// bit 61, which counts once more, and takes no shifts of two words.
func step(h, base8, add uint64) uint64 {
	hi, lo := bits.Mul64(h, base8)
	return hi + add + lo>>3
}

// reduce returns h modulo the prime.
func reduce(h uint64) uint64 {
	h = h&prime + h>>primeBits
	if h >= prime {
		h -= prime
	}
	return h
}

// multiply returns a*b modulo the prime, for factors below the prime.
func multiply(a, b uint64) uint64 { return reduce(step(a, b<<3, 0)) }

// roller computes the rolling hash of blocks of one size.
type roller struct {
	base8 uint64
	// quarter is base to the power of a quarter of the size of a block.
	quarter uint64
	// leave is, for a byte that leaves the block, what is to be added: the prime less
	// its part of the sum.
	leave [256]uint64
}

func newRoller(base uint64, size int) *roller {
	r := &roller{base8: base << 3, quarter: base}
	for i := 4; i < size; i *= 2 { // a size is a power of two
		r.quarter = multiply(r.quarter, r.quarter)
	}
	half := multiply(r.quarter, r.quarter)
	whole := multiply(half, half)
	for b := range r.leave {
		r.leave[b] = prime - multiply(uint64(b), whole)
	}
	return r
}

// of returns the sum of a block. It adds up four quarters at once: one alone would
// wait for each multiplication.
func (r *roller) of(block []byte) uint64 {
	q, base8 := len(block)/4, r.base8
	b0, b1, b2, b3 := block[:q], block[q:][:q], block[2*q:][:q], block[3*q:][:q]
	var h0, h1, h2, h3 uint64
	for i := range b0 {
		h0 = step(h0, base8, uint64(b0[i]))
		h1 = step(h1, base8, uint64(b1[i]))
		h2 = step(h2, base8, uint64(b2[i]))
		h3 = step(h3, base8, uint64(b3[i]))
	}
	sum := reduce(h0)
	for _, h := range [...]uint64{h1, h2, h3} {
		sum = reduce(multiply(sum, r.quarter) + reduce(h))
	}
	return sum
}

// roll moves a block with the sum h along the data: the bytes of out leave one after
// the other, and those of in, which is as long, enter. It stops where the block may
// be one of the table, and returns how many bytes it moved and the sum there.
func (r *roller) roll(h uint64, out, in []byte, t *table) (moved int, sum uint64) {
	in = in[:len(out)]
	filter, base8 := t.filter, r.base8
	mask := uint64(len(filter) - 1)
	for i, b := range out {
		h = step(h, base8, uint64(in[i])+r.leave[b])
		sum = reduce(h)
		if filter[sum>>6&mask]>>(sum&63)&1 != 0 {
			return i + 1, sum
		}
	}
	return len(out), reduce(h)
}
