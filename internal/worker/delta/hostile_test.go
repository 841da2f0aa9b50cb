package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func record(sum uint64, strong byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, sum), bytes.Repeat([]byte{strong}, HashSize)...)
}

func TestHostileSignatures(t *testing.T) {
	for _, size := range []int{math.MinInt, -2048, 0, 1, 1024, 2049, 3072, 512 << 10, math.MaxInt} {
		if _, err := NewSignature(size, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("blocks of %d bytes: %v", size, err)
		}
		if _, err := Sign(context.Background(), bytes.NewReader(nil), size, 0, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("signing blocks of %d bytes: %v", size, err)
		}
	}
	for _, chunk := range [][]byte{nil, {1}, make([]byte, recordSize-1), make([]byte, recordSize+1), record(prime, 0), record(math.MaxUint64, 0)} {
		s, _ := NewSignature(MinBlockSize, 0)
		if err := s.Add(chunk); !errors.Is(err, ErrInvalid) {
			t.Errorf("a chunk % x: %v", chunk, err)
		}
	}
	s, _ := NewSignature(MinBlockSize, 0)
	if err := s.Diff(context.Background(), bytes.NewReader(nil), &tally{}); !errors.Is(err, errIncomplete) {
		t.Errorf("a difference of an incomplete signature: %v", err)
	}
	if err := s.Add(append(record(1, 1), record(prime-1, 2)...)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{math.MinInt64, -1, 0, 1, 2048, 4097, math.MaxInt64 - 1, math.MaxInt64} {
		if err := s.Complete(size); !errors.Is(err, ErrInvalid) {
			t.Errorf("two blocks for %d bytes: %v", size, err)
		}
	}
	if err := s.Complete(4096); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(record(1, 1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a block after the end: %v", err)
	}
}

// Without the limits of the table the test does not come to its end.
func TestHostileSignaturesCostLittle(t *testing.T) {
	made := func(blockSize, n int, sum func(i int) uint64) *Signature {
		s, err := NewSignature(blockSize, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := s.Add(record(sum(i), byte(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Complete(int64(blockSize) * int64(n)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	n := 1 << 16
	if testing.Short() {
		n = 1 << 13
	}
	zeros := make([]byte, 1<<20)
	for name, s := range map[string]*Signature{
		// The sum of the zeros that are sent, with another strong hash, or with many.
		"one block that is not there":     made(MaxBlockSize, 1, func(int) uint64 { return 0 }),
		"blocks that are not there":       made(MaxBlockSize, 100, func(int) uint64 { return 0 }),
		"sums that crowd into a few slot": made(MinBlockSize, n, func(i int) uint64 { return uint64(i&0xffffff) << 1 }),
	} {
		var got tally
		if err := s.Diff(context.Background(), bytes.NewReader(zeros), &got); err != nil || got.literal != int64(len(zeros)) {
			t.Errorf("%s: %d literal bytes, %v", name, got.literal, err)
		}
	}
}

func TestBlocksThatRepeatTakeOneSlot(t *testing.T) {
	s := signature(t, make([]byte, 300*MinBlockSize), MinBlockSize, 0)
	taken := 0
	for _, slot := range newTable(s.blocks).slots {
		if slot != 0 {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("%d slots", taken)
	}
}

func TestHostileOps(t *testing.T) {
	basis := []byte("0123456789")
	for _, c := range [][2]int64{
		{-1, 1}, {0, -1}, {0, 0}, {10, 0}, {0, 11}, {10, 1}, {11, 1}, {9, 2}, {1, math.MaxInt64}, {math.MaxInt64, 1},
		{math.MaxInt64, math.MaxInt64}, {math.MinInt64, math.MinInt64}, {math.MinInt64, 5}, {5, math.MinInt64},
	} {
		var out bytes.Buffer
		b := NewBuilder(bytes.NewReader(basis), 10, &out, math.MaxInt64)
		err := b.Copy(c[0], c[1])
		if !errors.Is(err, ErrInvalid) || out.Len() > 0 || b.buf != nil {
			t.Errorf("a copy of %d at %d: %v, and %d bytes written", c[1], c[0], err, out.Len())
		}
		if again := b.Literal(basis); !errors.Is(again, err) {
			t.Errorf("after an error: %v", again)
		}
		if again := b.Copy(0, 1); !errors.Is(again, err) || b.Written() != 0 {
			t.Errorf("after an error: %v", again)
		}
	}
	var out bytes.Buffer
	b := NewBuilder(bytes.NewReader(basis), 10, &out, 15)
	if err := errors.Join(b.Copy(3, 7), b.Literal([]byte("ab")), b.Literal(nil), b.Copy(0, 6)); err != nil || out.String() != "3456789ab012345" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := b.Literal([]byte("c")); !errors.Is(err, ErrInvalid) || b.Written() != 15 {
		t.Errorf("a literal beyond the limit: %v", err)
	}
	for _, limit := range []int64{9, 0, -1, math.MinInt64} {
		out.Reset()
		if err := NewBuilder(bytes.NewReader(basis), 10, &out, limit).Copy(0, 10); !errors.Is(err, ErrInvalid) || out.Len() > 0 {
			t.Errorf("a copy beyond the limit of %d: %v", limit, err)
		}
	}
}

var errTest = errors.New("the disk is gone")

// failingOps fails at its nth call.
type failingOps struct{ left int }

func (f *failingOps) Copy(int64, int64) error { return f.Literal(nil) }

func (f *failingOps) Literal([]byte) error {
	if f.left--; f.left < 0 {
		return errTest
	}
	return nil
}

func TestErrorsArePassedOn(t *testing.T) {
	ctx := context.Background()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	rng := rand.New(rand.NewPCG(6, 6))
	data := random(rng, 1<<20)
	file := append(random(rng, 5000), data...)
	s := signature(t, data, MinBlockSize, 0)
	emit := func([]byte) error { return nil }

	for _, want := range []error{errTest, io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 1, MinBlockSize, 300_000, len(data)} {
			broken := func() io.Reader { return io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(want)) }
			if size, err := Sign(ctx, broken(), MinBlockSize, 0, emit); !errors.Is(err, want) || size > int64(n) {
				t.Errorf("signing %d bytes: %d, %v", n, size, err)
			}
			if err := s.Diff(ctx, broken(), &tally{}); !errors.Is(err, want) {
				t.Errorf("the difference of %d bytes: %v", n, err)
			}
		}
	}
	if _, err := Sign(ctx, bytes.NewReader(data), MinBlockSize, 0, func([]byte) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("an error of emit: %v", err)
	}
	for i := range 3 {
		if err := s.Diff(ctx, bytes.NewReader(append(file, file...)), &failingOps{i}); !errors.Is(err, errTest) {
			t.Errorf("an error of call %d: %v", i, err)
		}
	}
	if _, err := Sign(cancelled, bytes.NewReader(data), MinBlockSize, 0, emit); !errors.Is(err, context.Canceled) {
		t.Errorf("signing when cancelled: %v", err)
	}
	if err := s.Diff(cancelled, bytes.NewReader(data), &tally{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the difference when cancelled: %v", err)
	}
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	if err := s.Diff(ctx, idle, &tally{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that returns nothing: %v", err)
	}
	// All data along with the end, as a reader may.
	if err := s.Diff(ctx, iotest.DataErrReader(bytes.NewReader(data)), &tally{}); err != nil {
		t.Error(err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type readerAtFunc func(p []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestBuilderErrorsArePassedOn(t *testing.T) {
	basis := bytes.NewReader(make([]byte, 10))
	if err := NewBuilder(basis, 20, io.Discard, 20).Copy(0, 20); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrInvalid) {
		t.Errorf("a basis that is shorter than it was: %v", err)
	}
	failing := readerAtFunc(func([]byte, int64) (int, error) { return 0, errTest })
	if err := NewBuilder(failing, 20, io.Discard, 20).Copy(0, 20); !errors.Is(err, errTest) {
		t.Errorf("an error of reading: %v", err)
	}
	eager := readerAtFunc(func(p []byte, _ int64) (int, error) { return len(p), io.EOF })
	if err := NewBuilder(eager, 20, io.Discard, 20).Copy(0, 20); err != nil {
		t.Errorf("the end along with the last bytes: %v", err)
	}
	full := writerFunc(func([]byte) (int, error) { return 3, errTest })
	b := NewBuilder(basis, 10, full, 20)
	if err := b.Copy(0, 10); !errors.Is(err, errTest) || b.Written() != 3 {
		t.Errorf("an error of writing after %d bytes: %v", b.Written(), err)
	}
	short := writerFunc(func([]byte) (int, error) { return 3, nil })
	if err := NewBuilder(basis, 10, short, 20).Literal(make([]byte, 10)); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: %v", err)
	}
}
