package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// errIncomplete is a mistake of the caller.
var errIncomplete = errors.New("a signature was not completed before the difference is sought")

// Diff reads the new version to its end and calls ops for what makes it of the basis.
// It fails with the errors of reading, of ctx and, as they are, of ops. It takes
// memory for a few blocks and a table of the signature, and may be called for
// several files at once.
func (s *Signature) Diff(ctx context.Context, r io.Reader, ops Ops) error {
	if s.size < 0 {
		return errIncomplete
	}
	whole := s.blocks[:s.size/int64(s.blockSize)]
	d := &differ{
		Signature: s, ops: ops, r: r,
		strong: newHash(s.keys), roller: newRoller(s.keys.base, s.blockSize), table: newTable(whole),
		buf: make([]byte, 2*s.blockSize+MaxChunk),
	}
	for {
		if err := d.need(ctx, s.blockSize); err != nil {
			return err
		}
		if d.pos == d.end {
			break
		}
		// Most of a file is where it was, and there the strong hash alone is enough.
		if d.is(d.next, d.pos) {
			if err := d.take(d.next); err != nil {
				return err
			}
			continue
		}
		if err := d.search(ctx); err != nil {
			return err
		}
	}
	return d.flush()
}

// differ is one run of Diff. What was read is buf[:end], what is dealt with is
// buf[:pos], and of that buf[literal:pos] is not in the basis and not yet emitted.
// The copy comes before those in the new file.
type differ struct {
	*Signature
	ops    Ops
	r      io.Reader
	strong *Hash
	roller *roller
	table  *table

	buf               []byte
	literal, pos, end int
	eof               bool
	next              int // the block that follows the last that was found

	copyOffset, copyLength int64
}

// need reads until n bytes are there from pos, or the end of the file is. Indexes
// into buf from before it are of no use afterwards.
func (d *differ) need(ctx context.Context, n int) error {
	if d.end-d.pos >= n || d.eof {
		return nil
	}
	if err := d.flushLiteral(); err != nil {
		return err
	}
	d.end = copy(d.buf, d.buf[d.pos:d.end])
	d.literal, d.pos = 0, 0
	read, err := fill(ctx, d.r, d.buf[d.end:])
	d.end += read
	if d.eof = errors.Is(err, io.EOF); err != nil && !d.eof {
		return fmt.Errorf("reading the new version: %w", err)
	}
	return nil
}

// is says whether block i is at an index of buf.
func (d *differ) is(i, at int) bool {
	n := d.length(i)
	return n > 0 && n <= d.end-at && d.strong.of(d.buf[at:at+n]) == d.blocks[i].strong
}

// take copies block i, which is at pos.
func (d *differ) take(i int) error {
	if err := d.flushLiteral(); err != nil {
		return err
	}
	offset, length := int64(i)*int64(d.blockSize), d.length(i)
	if d.copyLength == 0 || d.copyOffset+d.copyLength != offset {
		if err := d.flushCopy(); err != nil {
			return err
		}
		d.copyOffset = offset
	}
	d.copyLength += int64(length)
	d.pos += length
	d.literal, d.next = d.pos, i+1
	return nil
}

// search moves pos on to where the next block of the basis begins and takes it, or
// to the end of the file.
func (d *differ) search(ctx context.Context) error {
	if err := d.need(ctx, 2*d.blockSize); err != nil {
		return err
	}
	if d.end-d.pos < d.blockSize {
		return d.tail()
	}
	sum := d.roller.of(d.buf[d.pos : d.pos+d.blockSize])
	if i, ok := d.found(sum); ok {
		return d.take(i)
	}
	// A page of a database changes in its place. With the block behind it unchanged,
	// there is little to gain from a search of every byte between.
	if d.length(d.next+1) == d.blockSize && d.is(d.next+1, d.pos+d.blockSize) {
		d.pos += d.blockSize
		return d.take(d.next + 1)
	}
	for {
		if err := d.need(ctx, d.blockSize+1); err != nil {
			return err
		}
		if d.end-d.pos <= d.blockSize {
			return d.tail()
		}
		var moved int
		moved, sum = d.roller.roll(sum, d.buf[d.pos:d.end-d.blockSize], d.buf[d.pos+d.blockSize:d.end], d.table)
		d.pos += moved
		if i, ok := d.found(sum); ok {
			return d.take(i)
		}
	}
}

// found returns the block that is at pos, where the rolling hash is sum.
func (d *differ) found(sum uint64) (int, bool) {
	at, _ := d.table.find(sum)
	if at < 0 {
		return 0, false
	}
	i := int(d.table.slots[at] - 1)
	if d.is(i, d.pos) {
		return i, true
	}
	// Between honest hosts that does not happen. One that makes up the signature of data
	// it knows to be here would have the strong hash taken at every byte.
	d.table.slots[at] = removed
	return 0, false
}

// tail ends the file, of which less than a block or one that is not in the basis is
// left. The last block of the basis, if it is short, is sought at the end alone.
func (d *differ) tail() error {
	last := len(d.blocks) - 1
	if n := d.length(last); n < d.blockSize && d.end-n >= d.pos && d.is(last, d.end-n) {
		d.pos = d.end - n
		return d.take(last)
	}
	d.pos = d.end
	return nil
}

func (d *differ) flush() error {
	if err := d.flushLiteral(); err != nil {
		return err
	}
	return d.flushCopy()
}

func (d *differ) flushLiteral() error {
	if d.literal == d.pos {
		return nil
	}
	if err := d.flushCopy(); err != nil {
		return err
	}
	for d.literal < d.pos {
		n := min(d.pos-d.literal, MaxChunk)
		if err := d.ops.Literal(d.buf[d.literal : d.literal+n]); err != nil {
			return err
		}
		d.literal += n
	}
	return nil
}

func (d *differ) flushCopy() error {
	if d.copyLength == 0 {
		return nil
	}
	length := d.copyLength
	d.copyLength = 0
	return d.ops.Copy(d.copyOffset, length)
}
