package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
)

// within checks that what a difference copies is in the basis.
type within struct {
	tally
	t    *testing.T
	size int64
}

func (w *within) Copy(offset, length int64) error {
	if offset < 0 || length <= 0 || offset+length > w.size {
		w.t.Errorf("a copy of %d at %d of %d", length, offset, w.size)
	}
	return w.tally.Copy(offset, length)
}

// FuzzSignature gives the sender any bytes for a signature. What it accepts gives a
// difference of the length of the file.
func FuzzSignature(f *testing.F) {
	f.Add([]byte{}, 2048, int64(0), []byte("file"))
	f.Add(record(0, 0), 2048, int64(2048), []byte{0})
	f.Add(append(record(0, 0), record(5, 5)...), 4096, int64(4097), []byte{0, 1})
	f.Add(make([]byte, 10*recordSize), 256<<10, int64(10*256<<10), []byte{0})
	f.Fuzz(func(t *testing.T, data []byte, blockSize int, size int64, file []byte) {
		s, err := NewSignature(blockSize, 1)
		if err != nil {
			return
		}
		half := len(data) / recordSize / 2 * recordSize
		if half > 0 && s.Add(data[:half]) != nil || s.Add(data[half:]) != nil || s.Complete(size) != nil {
			return
		}
		if len(s.blocks) != len(data)/recordSize || cap(s.blocks) > 2*len(s.blocks)+16 {
			t.Errorf("%d blocks, with room for %d, of %d bytes", len(s.blocks), cap(s.blocks), len(data))
		}
		file = bytes.Repeat(file, 500) // a few blocks
		ops := &within{t: t, size: size}
		if err := s.Diff(context.Background(), bytes.NewReader(file), ops); err != nil {
			t.Fatal(err)
		}
		if ops.literal+ops.copied != int64(len(file)) {
			t.Errorf("%d literal bytes and %d copied ones of %d", ops.literal, ops.copied, len(file))
		}
	})
}

// FuzzBuilder gives the receiver any operations, and compares with what slices do.
func FuzzBuilder(f *testing.F) {
	op := func(offset, length int64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(offset)), uint64(length))
	}
	basis := bytes.Repeat([]byte("0123456789"), 10)
	f.Add(append(op(0, 10), op(90, 10)...), int64(100))
	f.Add(op(91, 10), int64(100))
	f.Add(op(-1, 1<<62), int64(1<<62))
	f.Add(op(1<<62, 1<<62), int64(-1))
	f.Fuzz(func(t *testing.T, data []byte, limit int64) {
		var out bytes.Buffer
		var want []byte
		b := NewBuilder(bytes.NewReader(basis), int64(len(basis)), &out, limit)
		for ; len(data) >= 16 && len(want) < 1<<16; data = data[16:] {
			offset, length := int64(binary.LittleEndian.Uint64(data)), int64(binary.LittleEndian.Uint64(data[8:]))
			var err error
			var valid bool
			next := want
			if offset%4 == 3 { // one in four is a literal
				valid, next = true, append(next, data[:16]...)
				err = b.Literal(data[:16])
			} else {
				n := int64(len(basis))
				if valid = offset >= 0 && offset <= n && length > 0 && length <= n && offset+length <= n; valid {
					next = append(next, basis[offset:offset+length]...)
				}
				err = b.Copy(offset, length)
			}
			if valid = valid && int64(len(next)) <= limit; valid {
				want = next
			}
			if valid != (err == nil) || err != nil && !errors.Is(err, ErrInvalid) {
				t.Fatalf("offset %d, length %d after %d bytes of %d: %v", offset, length, len(want), limit, err)
			}
			if err != nil {
				break
			}
		}
		if !bytes.Equal(out.Bytes(), want) || b.Written() != int64(len(want)) {
			t.Errorf("%q, not %q", out.Bytes(), want)
		}
	})
}
