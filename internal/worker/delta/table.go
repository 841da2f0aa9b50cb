package delta

import "math/bits"

// table finds a block of the basis by its rolling hash.
//
// Of blocks with the same hash it has the first only. They are the same data but for
// odds that do not matter, so another would help only to continue a copy, and Diff
// tries the block after the last before it asks here. A basis of zeros has one entry.
type table struct {
	// filter has bit sum%64 of word sum/64 set for the sums that are in the table, sum/64
	// cut to the length. It is small enough for a cache, and says no to nearly all.
	filter []uint64
	// slots are indexes of blocks plus one, found by linear probing; 0 is free.
	slots  []uint32
	blocks []block
}

// probes is how many slots are looked at for one sum. Sums of an honest host do not
// come near it; a hostile one that crowds its sums together hides its own blocks.
const probes = 32

// removed is a slot that was taken and may have others behind it. An index never gets there.
const removed = 1<<32 - 1

// newTable makes a table of whole blocks. It takes 12 to 24 bytes for each.
func newTable(blocks []block) *table {
	size := 1 << bits.Len(uint(len(blocks)))
	t := &table{blocks: blocks, slots: make([]uint32, 2*size), filter: make([]uint64, max(1, size/2))}
	for i, b := range blocks {
		at, free := t.find(b.sum)
		if at >= 0 || free < 0 {
			continue
		}
		t.slots[free] = uint32(i) + 1
		t.filter[b.sum>>6&uint64(len(t.filter)-1)] |= 1 << (b.sum & 63)
	}
	return t
}

// find returns the slot of the block with a sum, or -1, and then a free slot for it,
// or -1 where there is none in reach.
func (t *table) find(sum uint64) (at, free int) {
	mask := uint64(len(t.slots) - 1)
	// The high bits, as the low ones chose the bit of the filter.
	for i := sum >> 24; i < sum>>24+probes; i++ {
		slot := t.slots[i&mask]
		if slot == 0 {
			return -1, int(i & mask)
		}
		if slot != removed && t.blocks[slot-1].sum == sum {
			return int(i & mask), -1
		}
	}
	return -1, -1
}
