package delta

import (
	"errors"
	"fmt"
	"io"
)

// Builder writes the new version from the basis and the difference. It is the Ops of
// the receiver. Each error of it is final: the later calls return it again.
type Builder struct {
	basis     io.ReaderAt
	basisSize int64
	out       io.Writer
	limit     int64
	written   int64
	buf       []byte
	err       error
}

// NewBuilder returns a builder that reads from a basis of basisSize bytes and writes
// to out, in order, at most limit bytes.
func NewBuilder(basis io.ReaderAt, basisSize int64, out io.Writer, limit int64) *Builder {
	return &Builder{basis: basis, basisSize: basisSize, out: out, limit: limit}
}

// Written is how many bytes were written to the new version.
func (b *Builder) Written() int64 { return b.written }

// Copy writes length bytes of the basis from offset on, MaxChunk at a time: to end a
// long one, let the writer fail. It fails, with ErrInvalid and before it writes, where
// they are not within the basis or would exceed the limit, and with the errors of
// reading and writing.
func (b *Builder) Copy(offset, length int64) error {
	switch {
	case b.err != nil:
		return b.err
	case offset < 0 || length <= 0 || offset > b.basisSize || length > b.basisSize-offset:
		return b.fail(fmt.Errorf("a copy of %d bytes at %d is not within the old version of %d bytes: %w", length, offset, b.basisSize, ErrInvalid))
	}
	if err := b.admit(length); err != nil {
		return err
	}
	if b.buf == nil {
		b.buf = make([]byte, MaxChunk)
	}
	for length > 0 {
		chunk := b.buf[:min(length, MaxChunk)]
		// A reader may return io.EOF along with the last bytes it has.
		if n, err := b.basis.ReadAt(chunk, offset); n < len(chunk) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return b.fail(fmt.Errorf("reading the old version at %d: %w", offset+int64(n), err))
		}
		if err := b.write(chunk); err != nil {
			return err
		}
		offset += int64(len(chunk))
		length -= int64(len(chunk))
	}
	return nil
}

// Literal writes data. It fails, with ErrInvalid and before it writes, where that would
// exceed the limit, and with the errors of writing.
func (b *Builder) Literal(data []byte) error {
	if b.err != nil {
		return b.err
	}
	if err := b.admit(int64(len(data))); err != nil {
		return err
	}
	return b.write(data)
}

func (b *Builder) admit(length int64) error {
	if length > b.limit-b.written {
		return b.fail(fmt.Errorf("%d more bytes after %d are more than the %d that the new version may have: %w", length, b.written, b.limit, ErrInvalid))
	}
	return nil
}

func (b *Builder) write(data []byte) error {
	n, err := b.out.Write(data)
	b.written += int64(n)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return b.fail(fmt.Errorf("writing the new version: %w", err))
	}
	return nil
}

func (b *Builder) fail(err error) error {
	b.err = err
	return err
}
