// Package delta sends a large file to a host that has an older version of it. It
// is the algorithm of Andrew Tridgell and Paul Mackerras, "The rsync algorithm",
// 1996: the receiver sends a signature of each block of its old version, the
// basis; the sender finds those blocks in its current file wherever they are now,
// and sends which blocks to copy and the data between them.
//
// It does input and output through what it is given, and knows neither messages nor
// files: Sign, Signature and its Diff, and Builder are the three steps, and the
// caller carries what they emit. A Hash over the whole file, with a seed of its own
// on both sides, tells whether the new file is right; a basis that changes
// under way is a reason why it may not be.
//
// Each side takes the other for one that may be broken or hostile: what it is told
// is checked, and costs memory and time in proportion to what was received.
//
// Imports nothing of this project.
package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Sizes of a block in bytes. A block size is a power of two between them, so that
// the pages of a database do not lie across two blocks.
const (
	MinBlockSize = 2 << 10
	MaxBlockSize = 256 << 10
)

// MaxChunk is the most bytes that Sign or Diff hands to the caller at once.
const MaxChunk = 256 << 10

// ErrInvalid is wrapped by every error about what the other host stated or sent, as
// against one of reading or writing here.
var ErrInvalid = errors.New("not what the other host may send")

// Ops takes the difference in the order of the new file. A Builder is one; so is
// whatever sends the calls to a Builder on the other host. The first error ends the
// difference and is returned as it is.
type Ops interface {
	// Copy appends length bytes of the basis from offset, both in bytes. The length
	// is that of one block or of many.
	Copy(offset, length int64) error
	// Literal appends data, 1 to MaxChunk bytes that are valid during the call only.
	Literal(data []byte) error
}

// BlockSize is the size of block in bytes for a basis of size bytes: its square
// root, up to the next power of two, within MinBlockSize and MaxBlockSize. Signatures of
// 2 GiB are 768 KiB then.
func BlockSize(size int64) int {
	block := int64(MinBlockSize)
	for block < MaxBlockSize && block*block < size {
		block *= 2
	}
	return int(block)
}

func checkBlockSize(size int) error {
	if size < MinBlockSize || size > MaxBlockSize || size&(size-1) != 0 {
		return fmt.Errorf("a block size of %d bytes is no power of two from %d to %d: %w", size, MinBlockSize, MaxBlockSize, ErrInvalid)
	}
	return nil
}

// fill reads until buf is full or r ends, and says how many bytes it read. Its error
// is io.EOF at the end only. It is not io.ReadFull, which has one error for a short
// file and for a reader that failed with io.ErrUnexpectedEOF.
func fill(ctx context.Context, r io.Reader, buf []byte) (int, error) {
	const patience = 100 // reads of nothing, as in bufio
	n := 0
	for empty := 0; n < len(buf); {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		read, err := r.Read(buf[n:])
		n += read
		if err != nil {
			return n, err
		}
		if read > 0 {
			empty = 0
		} else if empty++; empty == patience {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
