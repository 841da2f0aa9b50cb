// Package wire is how the two workers of a pass talk: frames with a kind and a
// length, and in them numbers and texts. What is read comes from another host
// and is believed in nothing: a reader never panics, and takes no more memory
// than the bytes that it was given.
//
// It imports nothing of this project.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// MaxFrame is the length of the longest frame, in bytes without its header. A
// directory's entries, a file's signatures or a mebibyte of content and what
// goes with it have room in it.
const MaxFrame = 8 << 20

// header is the length of a frame's header: four bytes of length, least first,
// and the kind.
const header = 5

// ErrMalformed is the error of everything that cannot be a message of a worker.
var ErrMalformed = errors.New("malformed message")

// Begin appends a frame's header to b, for a frame of the given kind. What is
// appended after it is the frame's content; End completes it.
func Begin(b []byte, kind byte) []byte {
	return append(b, 0, 0, 0, 0, kind)
}

// End writes the length into the header of the frame that begins at start.
func End(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-header))
	return b
}

// ReadFrame reads the next frame into buffer, which it makes larger where that
// is needed, and returns its kind and content. The content is valid until buffer
// is used again. At the end of the stream the error is io.EOF, within a frame
// io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, buffer *[]byte) (kind byte, content []byte, err error) {
	var head [header]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := int64(binary.LittleEndian.Uint32(head[:]))
	if length > MaxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrMalformed, length)
	}
	if int64(cap(*buffer)) < length {
		*buffer = make([]byte, min(max(length, 2*int64(cap(*buffer))), MaxFrame))
	}
	content = (*buffer)[:length]
	if _, err := io.ReadFull(r, content); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return head[4], content, nil
}

// AppendText appends a text or other bytes with their length before them.
func AppendText[T ~string | ~[]byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// AppendNumber appends a number that is not negative.
func AppendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// AppendFlag appends a yes or no.
func AppendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader reads what the Append functions wrote. After the first error all that
// it returns is zero, so that a message is read to its end and asked once.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads content. What Bytes returns points into it.
func NewReader(content []byte) *Reader { return &Reader{rest: content} }

// Err is the first error, or nil.
func (r *Reader) Err() error { return r.err }

// Done is the first error, or that something is left over.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.Fail("%d bytes too many", len(r.rest))
	}
	return r.err
}

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.rest) }

// Fail sets the error, if there is none yet: what was read cannot be.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
		r.rest = nil
	}
}

// Uint reads a number that is not negative.
func (r *Reader) Uint() uint64 {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 {
		r.Fail("it ends within a number")
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

// Uint32 reads a number below 2^32.
func (r *Reader) Uint32() uint32 {
	n := r.Uint()
	if n > math.MaxUint32 {
		r.Fail("%d where 32 bits are expected", n)
		return 0
	}
	return uint32(n)
}

// Int reads a number with a sign.
func (r *Reader) Int() int64 {
	n, length := binary.Varint(r.rest)
	if length <= 0 {
		r.Fail("it ends within a number")
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

// Count reads how many elements of at least size bytes follow. A count for which
// there are not enough bytes left is an error, so that it is safe to make room
// for as many.
func (r *Reader) Count(size int) int {
	n := r.Uint()
	if n > uint64(len(r.rest)/size) {
		r.Fail("%d elements in %d bytes", n, len(r.rest))
		return 0
	}
	return int(n)
}

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail("it ends too early")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Flag reads a yes or no.
func (r *Reader) Flag() bool {
	switch r.Byte() {
	case 0:
		return false
	case 1:
		return true
	}
	r.Fail("neither yes nor no")
	return false
}

// Bytes reads a text with its length before it, without a copy.
func (r *Reader) Bytes() []byte {
	return r.Raw(r.Count(1))
}

// Text reads a text with its length before it.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Raw reads n bytes without a copy.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.Fail("%d bytes where %d are left", n, len(r.rest))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Rest is all that is left, without a copy.
func (r *Reader) Rest() []byte { return r.Raw(len(r.rest)) }
