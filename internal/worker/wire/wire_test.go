package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// frame is a frame with content.
func frame(kind byte, content []byte) []byte {
	return End(append(Begin(nil, kind), content...), 0)
}

func TestFrames(t *testing.T) {
	contents := [][]byte{[]byte("one"), nil, bytes.Repeat([]byte("two"), 1000), {0}}
	var stream []byte
	for i, content := range contents {
		start := len(stream)
		stream = End(append(Begin(stream, byte(i)), content...), start)
	}
	for name, r := range map[string]io.Reader{
		"whole":          bytes.NewReader(stream),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(stream)),
		"end with bytes": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			var buffer []byte
			for i, want := range contents {
				kind, content, err := ReadFrame(r, &buffer)
				if err != nil || kind != byte(i) || !bytes.Equal(content, want) {
					t.Fatalf("frame %d is %q of kind %d: %v", i, content, kind, err)
				}
			}
			if _, _, err := ReadFrame(r, &buffer); err != io.EOF { //nolint:errorlint // io.EOF itself, as a Reader has it
				t.Errorf("after the last frame: %v", err)
			}
		})
	}
}

func TestReadFrameUsesItsBufferAgain(t *testing.T) {
	long, short := frame(1, make([]byte, 100)), frame(2, make([]byte, 10))
	r := bytes.NewReader(append(long, short...))
	var buffer []byte
	for range 2 {
		if _, _, err := ReadFrame(r, &buffer); err != nil {
			t.Fatal(err)
		}
	}
	if len(buffer) != 100 {
		t.Errorf("the buffer has %d bytes, and not the 100 of the longest frame", len(buffer))
	}
}

func TestTruncatedFrame(t *testing.T) {
	whole := frame(7, []byte("some content"))
	for n := range whole {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		var buffer []byte
		if _, _, err := ReadFrame(bytes.NewReader(whole[:n]), &buffer); !errors.Is(err, want) || n > 0 && errors.Is(err, io.EOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestBrokenStream(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int{0, 3, 5, 8} {
		r := io.MultiReader(bytes.NewReader(frame(7, []byte("content"))[:n]), iotest.ErrReader(broken))
		var buffer []byte
		if _, _, err := ReadFrame(r, &buffer); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestLongestFrame(t *testing.T) {
	var buffer []byte
	if _, content, err := ReadFrame(bytes.NewReader(frame(1, make([]byte, MaxFrame))), &buffer); err != nil || len(content) != MaxFrame {
		t.Errorf("the longest frame has %d bytes: %v", len(content), err)
	}
	for _, length := range []uint32{MaxFrame + 1, math.MaxInt32 + 1, math.MaxUint32} {
		head := append(binary.LittleEndian.AppendUint32(nil, length), 1)
		buffer = nil
		if _, _, err := ReadFrame(bytes.NewReader(head), &buffer); !errors.Is(err, ErrMalformed) || buffer != nil {
			t.Errorf("a frame of %d bytes: %v, and a buffer of %d", length, err, len(buffer))
		}
	}
}

// texts and numbers are what is hard about each kind of element.
var (
	texts   = []string{"", "a", "\x00\xff/\n", strings.Repeat("x", 127), strings.Repeat("y", 70000)}
	numbers = []uint64{0, 1, 127, 128, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	signed  = []int64{0, -1, 1, math.MaxInt64, math.MinInt64}
)

// everything is a message with each kind of element.
func everything() []byte {
	var b []byte
	for _, text := range texts {
		b = AppendText(b, text)
		b = AppendText(b, []byte(text))
	}
	for _, n := range numbers {
		b = AppendNumber(b, n)
	}
	for _, n := range signed {
		b = binary.AppendVarint(b, n)
	}
	b = AppendFlag(AppendFlag(b, true), false)
	b = append(b, 0xfe)
	return append(b, "raw, and the rest"...)
}

func TestReader(t *testing.T) {
	r := NewReader(everything())
	for _, want := range texts {
		if got := r.Text(); got != want {
			t.Errorf("text %.20q is %.20q", want, got)
		}
		if got := r.Bytes(); string(got) != want || cap(got) != len(got) {
			t.Errorf("bytes %.20q are %.20q, with room for %d", want, got, cap(got))
		}
	}
	for _, want := range numbers {
		if got := r.Uint(); got != want {
			t.Errorf("number %d is %d", want, got)
		}
	}
	for _, want := range signed {
		if got := r.Int(); got != want {
			t.Errorf("number %d is %d", want, got)
		}
	}
	if yes, no := r.Flag(), r.Flag(); !yes || no {
		t.Errorf("yes and no are %v and %v", yes, no)
	}
	if b := r.Byte(); b != 0xfe {
		t.Errorf("byte 0xfe is %#x", b)
	}
	if raw, left := r.Raw(5), r.Len(); string(raw) != "raw, " || left != 12 {
		t.Errorf("the raw bytes are %q, and %d are left", raw, left)
	}
	if rest := r.Rest(); string(rest) != "and the rest" || r.Done() != nil {
		t.Errorf("the rest is %q: %v", rest, r.Done())
	}
}

// TestTruncatedMessage ends a message at every byte of its last 200, where its
// elements are short, and asks for all of it.
func TestTruncatedMessage(t *testing.T) {
	whole := everything()
	for n := len(whole) - 200; n < len(whole)-len("and the rest"); n++ {
		r := NewReader(whole[:n])
		for range texts {
			_, _ = r.Text(), r.Bytes()
		}
		for range numbers {
			r.Uint()
		}
		for range signed {
			r.Int()
		}
		_, _, _, _ = r.Flag(), r.Flag(), r.Byte(), r.Raw(5)
		if !errors.Is(r.Err(), ErrMalformed) {
			t.Errorf("%d of %d bytes are taken for the whole: %v", n, len(whole), r.Err())
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name    string
		content []byte
		read    func(*Reader)
	}{
		{"no number", nil, func(r *Reader) { r.Uint() }},
		{"half a number", []byte{0x80}, func(r *Reader) { r.Uint() }},
		{"half a number with a sign", []byte{0x80}, func(r *Reader) { r.Int() }},
		{"a number of 65 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, func(r *Reader) { r.Uint() }},
		{"a number of 33 bits", AppendNumber(nil, math.MaxUint32+1), func(r *Reader) { r.Uint32() }},
		{"no byte", nil, func(r *Reader) { r.Byte() }},
		{"perhaps", []byte{2}, func(r *Reader) { r.Flag() }},
		{"a text longer than what is there", AppendNumber(nil, 1), func(r *Reader) { r.Text() }},
		{"a text longer than memory", append(AppendNumber(nil, math.MaxUint64), "abc"...), func(r *Reader) { r.Bytes() }},
		{"too many bytes", []byte{1, 2}, func(r *Reader) { r.Raw(3) }},
		{"a negative count of bytes", []byte{1, 2}, func(r *Reader) { r.Raw(-1) }},
		{"something left over", []byte{1, 2}, func(r *Reader) { r.Byte() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(c.content)
			c.read(r)
			if err := r.Done(); !errors.Is(err, ErrMalformed) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		claimed    uint64
		size, left int
		want       bool
	}{
		{0, 1, 0, true},
		{3, 1, 3, true},
		{4, 1, 3, false},
		{2, 5, 10, true},
		{2, 5, 9, false},
		{3, 5, 14, false},
		{math.MaxInt64, 1, 100, false},
		{math.MaxUint64, 7, 100, false},
		{math.MaxUint64/7 + 2, 7, 100, false}, // times 7 it is little
	} {
		r := NewReader(append(AppendNumber(nil, c.claimed), make([]byte, c.left)...))
		n := r.Count(c.size)
		if ok := r.Err() == nil; ok != c.want || ok && uint64(n) != c.claimed || !ok && n != 0 {
			t.Errorf("%d elements of %d bytes in %d are %d: %v", c.claimed, c.size, c.left, n, r.Err())
		}
	}
}

func TestAfterAnErrorAllIsZero(t *testing.T) {
	r := NewReader(bytes.Repeat([]byte{1}, 100))
	r.Byte()
	r.Fail("the %s one", "first")
	first := r.Err()
	r.Fail("another")
	if r.Byte() != 0 || r.Flag() || r.Uint() != 0 || r.Uint32() != 0 || r.Int() != 0 || r.Count(1) != 0 ||
		r.Text() != "" || len(r.Bytes()) != 0 || len(r.Raw(1)) != 0 || len(r.Rest()) != 0 || r.Len() != 0 {
		t.Error("something is read after an error")
	}
	if err := r.Done(); err != first || !strings.Contains(err.Error(), "the first one") { //nolint:errorlint // the very same
		t.Errorf("the error is %v", err)
	}
}
