package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// tally counts what a difference would send.
type tally struct {
	literal, copied, calls int64
}

func (t *tally) Copy(_, length int64) error {
	t.copied += length
	t.calls++
	return nil
}

func (t *tally) Literal(data []byte) error {
	t.literal += int64(len(data))
	t.calls++
	return nil
}

func random(rng *rand.Rand, n int) []byte {
	data := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], rng.Uint64())
	}
	return data[:n]
}

// text is lines of few words, which collide in bad rolling hashes.
func text(rng *rand.Rand, n int) []byte {
	words := []string{"Received: ", "from ", "by ", "with ", "the ", "and ", "\r\n", "> ", "-----", "0", "1", "aaaa"}
	data := make([]byte, 0, n+16)
	for len(data) < n {
		data = append(data, words[rng.IntN(len(words))]...)
	}
	return data[:n]
}

// signature signs a basis and reads what was sent.
func signature(t testing.TB, basis []byte, blockSize int, seed uint64) *Signature {
	t.Helper()
	s, err := NewSignature(blockSize, seed)
	if err != nil {
		t.Fatal(err)
	}
	size, err := Sign(context.Background(), bytes.NewReader(basis), blockSize, seed, func(chunk []byte) error {
		if len(chunk) > MaxChunk {
			t.Errorf("a chunk of %d bytes", len(chunk))
		}
		return s.Add(chunk)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Complete(size); err != nil {
		t.Fatal(err)
	}
	return s
}

// recorder builds the new version, and holds Diff to what Ops promises.
type recorder struct {
	*Builder
	tally
	t   testing.TB
	end int64 // of the last copy; -1 after a literal
}

func (r *recorder) Copy(offset, length int64) error {
	if offset == r.end {
		r.t.Errorf("a copy at %d goes on where the last one ended", offset)
	}
	r.end = offset + length
	_ = r.tally.Copy(offset, length)
	return r.Builder.Copy(offset, length)
}

func (r *recorder) Literal(data []byte) error {
	if len(data) == 0 || len(data) > MaxChunk {
		r.t.Errorf("a literal of %d bytes", len(data))
	}
	r.end = -1
	_ = r.tally.Literal(data)
	err := r.Builder.Literal(data)
	clear(data) // valid during the call only, so this may harm nobody
	return err
}

// transfer brings file to where basis is, fails the test unless it arrives, and says
// what that took. With a generator, the readers return short reads.
func transfer(t testing.TB, rng *rand.Rand, basis, file []byte, blockSize int) tally {
	t.Helper()
	s := signature(t, basis, blockSize, 7)
	out := bytes.NewBuffer(make([]byte, 0, len(file)))
	rec := &recorder{t: t, end: -1, Builder: NewBuilder(bytes.NewReader(basis), int64(len(basis)), out, int64(len(file)))}
	var r io.Reader = bytes.NewReader(file)
	if rng != nil {
		r = &shortReader{r, rng}
	}
	if err := s.Diff(context.Background(), r, rec); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), file) {
		t.Fatalf("%d bytes arrived that are not the %d bytes of the new version", out.Len(), len(file))
	}
	if rec.Written() != int64(len(file)) || rec.literal+rec.copied != int64(len(file)) {
		t.Errorf("%d bytes written, %d copied and %d literal ones for %d", rec.Written(), rec.copied, rec.literal, len(file))
	}
	return rec.tally
}

// shortReader returns less than it is asked for, and nothing now and then.
type shortReader struct {
	io.Reader
	rng *rand.Rand
}

func (s *shortReader) Read(p []byte) (int, error) {
	if s.rng.IntN(10) == 0 {
		return 0, nil
	}
	return s.Reader.Read(p[:min(len(p), 1+s.rng.IntN(100_000))])
}

func TestBlockSize(t *testing.T) {
	for size, want := range map[int64]int{
		-1: 2 << 10, 0: 2 << 10, 4 << 20: 2 << 10, 4<<20 + 1: 4 << 10, 64 << 20: 8 << 10,
		1 << 30: 32 << 10, 2 << 30: 64 << 10, 64 << 30: 256 << 10, 1 << 40: 256 << 10, 1<<63 - 1: 256 << 10,
	} {
		if got := BlockSize(size); got != want {
			t.Errorf("BlockSize(%d) = %d, not %d", size, got, want)
		}
	}
	if n := 2 << 30 / int64(BlockSize(2<<30)) * recordSize; n > 1<<20 {
		t.Errorf("signatures of 2 GiB are %d bytes", n)
	}
}

// edit changes a file as users and programs do.
func edit(rng *rand.Rand, file []byte) []byte {
	span := func(most int) (from, to int) {
		from = rng.IntN(len(file) + 1)
		return from, from + rng.IntN(min(len(file)-from, most)+1)
	}
	from, to := span(200_000)
	at := rng.IntN(len(file) + 1)
	switch rng.IntN(8) {
	case 0:
		return slices.Insert(file, at, random(rng, rng.IntN(3000))...)
	case 1:
		return slices.Delete(file, from, to)
	case 2:
		copy(file[from:to], random(rng, to-from))
		return file
	case 3: // move
		part := slices.Clone(file[from:to])
		file = slices.Delete(file, from, to)
		return slices.Insert(file, min(at, len(file)), part...)
	case 4:
		return append(file, random(rng, rng.IntN(20_000))...)
	case 5:
		return file[:len(file)-(to-from)]
	case 6: // duplicate
		return slices.Insert(file, at, slices.Clone(file[from:to])...)
	default: // pages in their places
		for i := from / 4096 * 4096; i+4096 <= to; i += 4096 * (1 + rng.IntN(8)) {
			copy(file[i:i+4096], random(rng, 4096))
		}
		return file
	}
}

func TestWhatIsEditedArrives(t *testing.T) {
	rounds := 120
	if testing.Short() {
		rounds = 25
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		blockSize := MinBlockSize << rng.IntN(8)
		n := rng.IntN(1 << (1 + rng.IntN(21)))
		if rng.IntN(3) == 0 { // at the end of a block, or beside it
			n = max(0, n/blockSize*blockSize+rng.IntN(3)-1)
		}
		basis := [](func() []byte){
			func() []byte { return random(rng, n) },
			func() []byte { return text(rng, n) },
			func() []byte { return make([]byte, n) },
			func() []byte { return bytes.Repeat(random(rng, 1+rng.IntN(5000)), n/2500+1)[:min(n, n/2500+1)] },
		}[rng.IntN(4)]()
		file := slices.Clone(basis)
		for range rng.IntN(6) {
			file = edit(rng, file)
		}
		transfer(t, rng, basis, file, blockSize)
	}
}

func TestSizesAtTheEndsOfBlocks(t *testing.T) {
	const b = MinBlockSize
	rng := rand.New(rand.NewPCG(3, 4))
	data := random(rng, 4*b)
	sizes := []int{0, 1, b - 1, b, b + 1, 2*b - 1, 2 * b, 2*b + 1, 3*b - 1, 3 * b}
	for _, from := range sizes {
		for _, to := range sizes {
			got := transfer(t, nil, data[:from], data[:to], b)
			// What was cut within a block of the basis, and what is new behind it.
			want := to - from
			if to <= from {
				want = to % b
			}
			if to == from {
				want = 0
			}
			if got.literal > int64(want) {
				t.Errorf("%d bytes to %d: %d literal ones, not %d", from, to, got.literal, want)
			}
		}
	}
}

func TestLittleIsSent(t *testing.T) {
	size := 8 << 20
	if testing.Short() {
		size = 1 << 20
	}
	rng := rand.New(rand.NewPCG(5, 6))
	block := BlockSize(int64(size))
	basis := random(rng, size+100) // a short block at the end
	added := random(rng, 10_000)
	pages := slices.Clone(basis)
	for i := 0; i < size; i += 64 * 4096 {
		copy(pages[i:], random(rng, 4096))
	}
	zeros := make([]byte, size)
	for _, c := range []struct {
		name        string
		basis, file []byte
		literal     int // at most
		calls       int64
	}{
		{"unchanged", basis, basis, 0, 1},
		{"appended", basis, slices.Concat(basis, added), len(added), 2},
		{"one byte at the front", basis, slices.Concat([]byte{1}, basis), 1, 2},
		{"one byte less at the front", basis, basis[1:], block, 2},
		{"one byte in the middle", basis, slices.Concat(basis[:size/2+5], []byte{1}, basis[size/2+5:]), block + 1, 3},
		{"inserted before the last block", basis, slices.Concat(basis[:size], added, basis[size:]), len(added), 4},
		{"truncated", basis, basis[:size/2+1], 1, 2},
		{"a page in 64", basis, pages, size / 64, int64(3 * size / 64 / 4096)},
		{"halves the other way round", basis, slices.Concat(basis[size/2:], basis[:size/2]), 100, 4},
		{"blocks the other way round", basis[:4*block], slices.Concat(basis[3*block:4*block], basis[2*block:3*block], basis[block:2*block], basis[:block]), 0, 4},
		{"twice", basis, slices.Concat(basis, basis), 0, 2},
		{"fewer zeros", zeros, zeros[:size/2+5], 5, 2},
		{"more zeros", zeros[:size/2], zeros, 0, 2},
		{"zeros between", zeros, slices.Concat(zeros[:size/2], added, zeros[size/2:]), len(added) + 2*block, 4},
	} {
		got := transfer(t, nil, c.basis, c.file, block)
		if got.literal > int64(c.literal) || got.calls > c.calls {
			t.Errorf("%s: %d literal bytes in %d calls, not %d in %d", c.name, got.literal, got.calls, c.literal, c.calls)
		}
	}
}

func TestDiffAllocatesNothingInTheLoop(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	basis, file := random(rng, 1<<20), random(rng, 1<<20)
	s := signature(t, basis, MinBlockSize, 1)
	file = slices.Concat(basis[:1<<19], file, basis[1<<19:])
	if n := testing.AllocsPerRun(3, func() {
		if err := s.Diff(context.Background(), bytes.NewReader(file), &tally{}); err != nil {
			t.Error(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}
