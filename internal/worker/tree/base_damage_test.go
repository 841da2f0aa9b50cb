//go:build linux

package tree

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// contents is all that a base says, in a form that can be compared.
func contents(t testing.TB, b *Base) string {
	t.Helper()
	var s strings.Builder
	for _, path := range b.Known() {
		for _, piece := range b.Pieces(path) {
			var d Brought
			must(t, b.Load(path, piece, &d))
			fmt.Fprintf(&s, "%q %v %v %v %v %v\n", path, piece, d.Source, d.Mount, d.Target, b.Recent(path, piece))
			for i := range d.Len() {
				fmt.Fprintf(&s, "  %q %v\n", d.Name(i), *d.Entry(i))
			}
		}
	}
	for _, path := range b.Broken() {
		intended, err := b.Intended(path)
		must(t, err)
		for _, name := range slices.Sorted(maps.Keys(intended)) {
			fmt.Fprintf(&s, "%q: %q %v\n", path, name, intended[name])
		}
	}
	return s.String()
}

// history is the file of a base, and what it said when it was so long.
type history struct {
	file  []byte
	sizes []int
	says  []string
}

// at is the last record that is whole in the first n bytes, and what the base says
// there.
func (h *history) at(n int) (size int, says string) {
	for i := range h.sizes {
		if h.sizes[i] <= n {
			size, says = h.sizes[i], h.says[i]
		}
	}
	return size, says
}

// newHistory notes some of everything.
func newHistory(t *testing.T) *history {
	t.Helper()
	b, path := newBase(t)
	h := &history{sizes: []int{len(magic)}, says: []string{""}}
	note := func(errs ...error) {
		t.Helper()
		must(t, append(errs, b.Flush())...)
		h.sizes, h.says = append(h.sizes, int(b.size)), append(h.says, contents(t, b))
	}
	note()
	stat := directory(5)
	pieces := known1("p", 4).Split(1, b.Seed)
	note(b.Put(known1("", 2)))
	note(b.Intend("new", Piece{}, [][]byte{[]byte("x"), []byte("y")}, []*Stat{&stat, &stat}))
	note(b.Put(known1("a", 2)))
	note(b.Seal("a", directory(6)))
	for _, piece := range slices.Backward(pieces) {
		note(b.Put(piece))
	}
	note(b.Put(known1("new", 1)))
	note(b.Put(known1("a", 1)))
	note(b.Synced())
	note(b.Forget("new"))
	note(b.Intend("p", Piece{1, 0}, [][]byte{[]byte("z")}, []*Stat{&stat}))
	must(t, b.Close())
	var err error
	h.file, err = os.ReadFile(path)
	must(t, err)
	if last := h.sizes[len(h.sizes)-1]; last != len(h.file) {
		t.Fatalf("the file has %d bytes, and %d were written", len(h.file), last)
	}
	return h
}

// damaged opens a file with the content, and compares what it says with what it is
// to say up to n bytes.
func (h *history) damaged(t *testing.T, path string, file []byte, n int) {
	t.Helper()
	must(t, os.WriteFile(path, file, 0o600))
	size, says := h.at(n)
	b := openBase(t, path, "boot")
	if b.Dropped != int64(len(file)-size) {
		t.Errorf("%d bytes are dropped, and not %d", b.Dropped, len(file)-size)
	}
	if got := contents(t, b); got != says {
		t.Errorf("it says\n%sand not\n%s", got, says)
	}
	if b.Seed == 0 {
		t.Error("its seed is 0")
	}
	if must(t, b.Put(known1("later", 1)), b.Close()); n%8 > 0 && n < len(h.file) {
		return
	}
	b = openBase(t, path, "boot")
	if b.Dropped != 0 || !slices.Contains(b.Known(), "later") || len(b.Pieces("a")) != strings.Count(says, `"a" `) {
		t.Errorf("opened again it drops %d bytes and knows %q", b.Dropped, b.Known())
	}
	must(t, b.Close())
}

// step is how many bytes further the next one is tried.
func step() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// TestTruncatedBase ends the file at every byte: a pass was killed, or the disk was
// full.
func TestTruncatedBase(t *testing.T) {
	h := newHistory(t)
	path := filepath.Join(t.TempDir(), "base")
	for n := 0; n < len(h.file); n += step() {
		h.damaged(t, path, h.file[:n], n)
		if t.Failed() {
			t.Fatalf("at %d of %d bytes", n, len(h.file))
		}
	}
}

// TestDamagedBase changes every byte.
func TestDamagedBase(t *testing.T) {
	h := newHistory(t)
	path := filepath.Join(t.TempDir(), "base")
	rng := random()
	for n := 0; n < len(h.file); n += step() {
		file := slices.Clone(h.file)
		file[n] ^= byte(1 + rng.IntN(255))
		if n < len(magic) {
			must(t, os.WriteFile(path, file, 0o600))
			if _, err := OpenBase(path, "boot"); err == nil {
				t.Errorf("byte %d of the beginning does not matter", n)
			}
			continue
		}
		h.damaged(t, path, file, n)
		if t.Failed() {
			t.Fatalf("byte %d of %d", n, len(h.file))
		}
	}
}

// TestChangedBelowUs: somebody writes into the file of a base that is open.
func TestChangedBelowUs(t *testing.T) {
	b, path := newBase(t)
	must(t, b.Put(known1("a", 10)), b.Flush())
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	p := b.dirs["a"].pieces[0]
	for what, at := range map[string]int64{"length": p.at + 3, "kind": p.at + 4, "checksum": p.at + 5, "content": p.at + 50} {
		var was [1]byte
		_, err := file.ReadAt(was[:], at)
		must(t, err)
		_, err = file.WriteAt([]byte{was[0] ^ 0x40}, at)
		must(t, err)
		var d Brought
		if err := b.Load("a", Piece{}, &d); err == nil {
			t.Errorf("the %s was changed, and it is believed", what)
		}
		_, err = file.WriteAt(was[:], at)
		must(t, err)
	}
	sameBrought(t, b, known1("a", 10))
}

// TestRewrite: what does not count any more does not make the file grow for ever,
// and all that counts stays.
func TestRewrite(t *testing.T) {
	b, path := newBase(t)
	// What a pass has left that was killed before it renamed the new file.
	must(t, os.WriteFile(path+".new", make([]byte, 3<<20), 0o600))
	large := brought(randomListing(random(), "large", 7000))
	for _, piece := range large.Split(3, b.Seed) {
		must(t, b.Put(piece))
	}
	must(t, b.Put(known1("", 3)), b.Seal("", directory(99)), b.Put(known1("gone", 100)), b.Forget("gone"))
	stat := directory(5)
	must(t, b.Intend("new", Piece{}, [][]byte{[]byte("x")}, []*Stat{&stat}))
	again := known1("again", 1000)
	for b.size <= 2*b.live {
		must(t, b.Put(again))
	}
	before, want := b.size, contents(t, b)
	if before < 1<<20 {
		t.Fatalf("the file has only %d bytes", before)
	}
	must(t, b.Synced())
	check := func(what string) {
		t.Helper()
		if got := contents(t, b); got != want {
			t.Errorf("%s it says other things", what)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > before*2/3 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s the file has %d of %d bytes and mode %v: %v", what, info.Size(), before, info.Mode(), err)
		}
		if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
			t.Errorf("%s the new file lies there: %v", what, err)
		}
		var live int64
		for _, p := range b.dirs {
			live += p.length()
		}
		if b.live != live || b.Target("") != directory(99) {
			t.Errorf("%s %d bytes count, and not %d", what, b.live, live)
		}
	}
	check("written anew")
	token, seed := b.Token(), b.Seed
	must(t, b.Put(known1("more", 5)), b.Forget("more"), b.Flush())
	check("written on")
	must(t, b.Synced(), b.Close())
	b = openBase(t, path, "another boot")
	check("opened again")
	if b.Dropped != 0 || b.Seed != seed || b.Unsure("again") || slices.Contains(b.Tokens, token) {
		t.Errorf("opened again: %d bytes dropped, seed %x, unsure %v, tokens %q", b.Dropped, b.Seed, b.Unsure("again"), b.Tokens)
	}
}

// TestRewriteThatFails leaves all as it was.
func TestRewriteThatFails(t *testing.T) {
	b, path := newBase(t)
	must(t, b.Put(known1("a", 10)), os.Mkdir(path+".new", 0o700))
	if b.rewrite() == nil {
		t.Error("a directory lies where the new file is made, and nothing is said")
	}
	must(t, b.Put(known1("b", 10)))
	sameBrought(t, b, known1("a", 10))
	must(t, b.Close())
	b = openBase(t, path, "boot")
	sameBrought(t, b, known1("a", 10))
	sameBrought(t, b, known1("b", 10))
}

// TestHalfANewFile: a pass was killed while it wrote the file anew.
func TestHalfANewFile(t *testing.T) {
	h := newHistory(t)
	path := filepath.Join(t.TempDir(), "base")
	must(t, os.WriteFile(path+".new", h.file[:len(h.file)/2], 0o600))
	h.damaged(t, path, h.file, len(h.file))
}

// FuzzBase opens a file with any records, whose checksums are right, or one with
// any bytes at all.
func FuzzBase(f *testing.F) {
	b, path := newBase(f)
	stat := directory(5)
	must(f, b.Put(known1("", 2)), b.Put(known1("a", 4).Split(1, b.Seed)[0]), b.Seal("a", stat),
		b.Intend("new", Piece{}, [][]byte{[]byte("x")}, []*Stat{&stat}), b.Synced(), b.Forget("a"), b.Close())
	file, err := os.ReadFile(path)
	must(f, err)
	f.Add(true, file)
	f.Add(true, file[:len(file)-3])
	f.Add(true, []byte("something else"))
	var records []byte // kind, length, content
	for at := len(magic); at < len(file); {
		length := int(binary.LittleEndian.Uint32(file[at:]))
		records = append(append(records, file[at+4], byte(min(length, 255))), file[at+recordHeader:][:min(length, 255)]...)
		at += recordHeader + length
	}
	f.Add(false, records)
	f.Add(false, append([]byte{recordIntent, 6, 1, 'a', 20, 255, 255, 63}, records...))
	path = filepath.Join(f.TempDir(), "base")
	f.Fuzz(func(t *testing.T, raw bool, data []byte) {
		file := data
		if !raw {
			file = slices.Clone(magic)
			for len(data) >= 2 {
				kind, length := data[0], min(int(data[1]), len(data)-2)
				content := data[2 : 2+length]
				file = binary.LittleEndian.AppendUint32(file, uint32(length))
				file = binary.LittleEndian.AppendUint32(append(file, kind), checksum(kind, content))
				file, data = append(file, content...), data[2+length:]
			}
		}
		must(t, os.WriteFile(path, file, 0o600))
		b, err := OpenBase(path, "boot")
		if err != nil {
			return
		}
		pieces := 0
		for _, p := range b.dirs {
			pieces += len(p.pieces) + len(p.intents)
		}
		if pieces > len(file)/recordHeader {
			t.Errorf("%d bytes have %d pieces", len(file), pieces)
		}
		known, broken := b.Known(), b.Broken()
		must(t, b.Close())
		b = openBase(t, path, "boot")
		if b.Dropped != 0 || !slices.Equal(b.Known(), known) || !slices.Equal(b.Broken(), broken) {
			t.Errorf("opened again it drops %d bytes and knows %q and %q, and not %q and %q", b.Dropped, b.Known(), b.Broken(), known, broken)
		}
		for path, p := range b.dirs {
			var d Brought
			// What is in a record is read only now, and may be anything.
			_ = b.Load(path, Piece{p.bits, 0}, &d)
			_, _ = b.Intended(path)
			_ = b.Load(path, Piece{5, 3}, &d)
		}
		if len(file)%8 == 0 { // it waits for the disk
			_ = b.rewrite()
		}
		if !slices.Equal(b.Known(), known) {
			t.Errorf("then it knows %q, and not %q", b.Known(), known)
		}
		must(t, b.Close())
	})
}
