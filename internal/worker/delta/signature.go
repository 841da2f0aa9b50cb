package delta

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// recordSize is the length of the signature of a block: its rolling hash and its
// strong one. The rolling one of a last, short block is 0: that block is only ever
// looked for at two places.
const recordSize = 8 + HashSize

// block is the signature of a block.
type block struct {
	sum    uint64 // the rolling hash
	strong [HashSize]byte
}

// Sign reads the basis to its end and hands its signature to emit, in chunks of at
// most MaxChunk bytes that are valid during the call only. The seed is random, new for
// each file, and secret from those who write the files. Sign returns how many bytes
// the basis has, which Signature.Complete is to be told. Its errors are those of
// reading, of ctx and, as they are, of emit.
func Sign(ctx context.Context, basis io.Reader, blockSize int, seed uint64, emit func(chunk []byte) error) (size int64, err error) {
	if err := checkBlockSize(blockSize); err != nil {
		return 0, err
	}
	k := newKeys(seed)
	strong, rolling := newHash(k), newRoller(k.base, blockSize)
	buf := make([]byte, MaxBlockSize) // whole blocks, as both are powers of two
	chunk := make([]byte, 0, MaxChunk/recordSize*recordSize)
	for done := false; !done; {
		n, err := fill(ctx, basis, buf)
		done = errors.Is(err, io.EOF)
		if err != nil && !done {
			return size, fmt.Errorf("reading the old version: %w", err)
		}
		size += int64(n)
		for data := buf[:n]; len(data) > 0; {
			next := data[:min(blockSize, len(data))]
			data = data[len(next):]
			var sum uint64
			if len(next) == blockSize {
				sum = rolling.of(next)
			}
			hash := strong.of(next)
			chunk = append(binary.LittleEndian.AppendUint64(chunk, sum), hash[:]...)
			if len(chunk) == cap(chunk) {
				if err := emit(chunk); err != nil {
					return size, err
				}
				chunk = chunk[:0]
			}
		}
	}
	if len(chunk) > 0 {
		return size, emit(chunk)
	}
	return size, nil
}

// Signature is the signature of a basis on the sender. Memory is taken as it arrives,
// at most about three times its length and once more for each Diff, and never for a
// number that is stated. The caller bounds how much it adds.
type Signature struct {
	keys      *keys
	blockSize int
	blocks    []block
	size      int64 // of the basis in bytes; -1 until it is complete
}

// NewSignature returns a signature to which nothing is added yet, of blocks of
// blockSize bytes. It fails, with ErrInvalid, on a size that no block may have.
func NewSignature(blockSize int, seed uint64) (*Signature, error) {
	if err := checkBlockSize(blockSize); err != nil {
		return nil, err
	}
	return &Signature{keys: newKeys(seed), blockSize: blockSize, size: -1}, nil
}

// Add adds a chunk that Sign emitted, in the same order. It fails, with ErrInvalid, on
// what Sign does not emit, and then the signature is of no use any more.
func (s *Signature) Add(chunk []byte) error {
	if s.size >= 0 {
		return fmt.Errorf("a signature goes on after its end: %w", ErrInvalid)
	}
	if len(chunk)%recordSize != 0 || len(chunk) == 0 {
		return fmt.Errorf("a piece of a signature of %d bytes is not of whole blocks: %w", len(chunk), ErrInvalid)
	}
	if len(s.blocks)+len(chunk)/recordSize > math.MaxInt32 { // an index has to fit into a slot of the table
		return fmt.Errorf("a signature of too many blocks: %w", ErrInvalid)
	}
	for ; len(chunk) > 0; chunk = chunk[recordSize:] {
		b := block{sum: binary.LittleEndian.Uint64(chunk)}
		if b.sum >= prime {
			return fmt.Errorf("a rolling hash of %#x: %w", b.sum, ErrInvalid)
		}
		copy(b.strong[:], chunk[8:])
		s.blocks = append(s.blocks, b)
	}
	return nil
}

// Complete says that all was added, and the length of the basis in bytes. It fails,
// with ErrInvalid, where a basis of that length has another number of blocks.
func (s *Signature) Complete(size int64) error {
	if size < 0 {
		return fmt.Errorf("an old version of %d bytes: %w", size, ErrInvalid)
	}
	count := size / int64(s.blockSize)
	if size%int64(s.blockSize) > 0 {
		count++
	}
	if int64(len(s.blocks)) != count {
		return fmt.Errorf("a signature of %d blocks for an old version of %d bytes, which has %d of %d bytes: %w", len(s.blocks), size, count, s.blockSize, ErrInvalid)
	}
	s.size = size
	return nil
}

// length returns the length of block i in bytes, and 0 where there is none.
func (s *Signature) length(i int) int {
	return int(min(max(s.size-int64(i)*int64(s.blockSize), 0), int64(s.blockSize)))
}
