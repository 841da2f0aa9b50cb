//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openBase opens a base for the test.
func openBase(t testing.TB, path, boot string) *Base {
	t.Helper()
	b, err := OpenBase(path, boot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.file.Close() }) // where the test has not closed it
	return b
}

func newBase(t testing.TB) (*Base, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base")
	return openBase(t, path, "boot"), path
}

// must ends the test at an error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// known1 is a directory of the base with n entries of every sort.
func known1(path string, n int) *Brought {
	rng := random()
	d := brought(randomListing(rng, path, n))
	d.Target = directory(70)
	for i := range n {
		e := d.Entry(i)
		e.Adopted, e.Recent = i%3 == 1, i%5 == 4
		if i%2 == 0 {
			e.Target = State{rng.Uint64(), -rng.Int64(), rng.Int64(), rng.Int64()}
		}
	}
	return d
}

// sameBrought complains unless the base gives back what was noted.
func sameBrought(t testing.TB, b *Base, want *Brought) {
	t.Helper()
	var got Brought
	must(t, b.Load(want.Path, want.Piece, &got))
	if got.Path != want.Path || got.Source != want.Source || got.Mount != want.Mount || got.Piece != want.Piece || got.Target != want.Target {
		t.Errorf("%s is %+v, and not %+v", want.Path, got, want)
	}
	if got.Len() != want.Len() {
		t.Fatalf("%s has %d entries, and not %d", want.Path, got.Len(), want.Len())
	}
	for i := range want.Len() {
		if string(got.Name(i)) != string(want.Name(i)) || *got.Entry(i) != *want.Entry(i) {
			t.Fatalf("entry %d of %s is %q %+v, and not %q %+v", i, want.Path, got.Name(i), got.Entry(i), want.Name(i), want.Entry(i))
		}
	}
}

func unknown(t testing.TB, b *Base, path string) {
	t.Helper()
	var d Brought
	must(t, b.Load(path, Piece{}, &d))
	if d.Len() > 0 || d.Target != (Stat{}) || len(b.Pieces(path)) > 0 || slices.Contains(b.Known(), path) || b.Recent(path, Piece{}) {
		t.Errorf("%s is known: %+v", path, d)
	}
}

func TestBase(t *testing.T) {
	b, path := newBase(t)
	root, a, empty := known1("", 10), known1("a", 300), known1("a/empty", 0)
	must(t, b.Put(known1("a", 5)), b.Put(root), b.Put(a), b.Put(empty), b.Put(known1("gone", 4)))
	a.Target = directory(71)
	must(t, b.Seal("a", a.Target), b.Seal("not known", a.Target), b.Forget("gone"), b.Forget("not known"))
	check := func(b *Base) {
		t.Helper()
		for _, d := range []*Brought{root, a, empty} {
			sameBrought(t, b, d)
		}
		unknown(t, b, "gone")
		unknown(t, b, "not known")
		if got := b.Known(); !slices.Equal(got, []string{"", "a", "a/empty"}) {
			t.Errorf("known are %q", got)
		}
		digests := map[Place]Digest{}
		for at, digest := range b.Digests() {
			digests[at] = digest
		}
		want := map[Place]Digest{
			{"", Piece{}}: root.Digest(b.Seed), {"a", Piece{}}: a.Digest(b.Seed), {"a/empty", Piece{}}: empty.Digest(b.Seed),
		}
		if !reflect.DeepEqual(digests, want) {
			t.Errorf("the digests are %v, and not %v", digests, want)
		}
		for range b.Digests() {
			break // it can be left
		}
		if !b.Recent("a", Piece{}) || b.Recent("a/empty", Piece{}) || b.Recent("a", Piece{1, 0}) {
			t.Error("recent are others than were noted")
		}
		if b.Target("a") != a.Target || b.Target("not known") != (Stat{}) || b.Unsure("a") || b.Dropped != 0 {
			t.Errorf("a is %+v on the target, %v; %d bytes dropped", b.Target("a"), b.Unsure("a"), b.Dropped)
		}
	}
	check(b)
	seed := b.Seed
	must(t, b.Close())
	for range 2 {
		b = openBase(t, path, "boot")
		check(b)
		if b.Seed != seed {
			t.Error("the seed is another one")
		}
		must(t, b.Close())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v: %v", info.Mode(), err)
	}
}

func TestSeedsDiffer(t *testing.T) {
	a, _ := newBase(t)
	b, _ := newBase(t)
	if a.Seed == b.Seed || a.Seed == 0 || a.Token() == b.Token() {
		t.Errorf("two bases have the seeds %x and %x, the tokens %s and %s", a.Seed, b.Seed, a.Token(), b.Token())
	}
}

// TestTokens: those of passes that broke off are known until one was synced.
func TestTokens(t *testing.T) {
	b, path := newBase(t)
	first := b.Token()
	must(t, b.Close())
	b = openBase(t, path, "boot")
	second := b.Token()
	if !slices.Equal(b.Tokens, []string{first, second}) || first == second || !strings.HasPrefix(first, "cutover-") {
		t.Errorf("the tokens are %q", b.Tokens)
	}
	must(t, b.Synced())
	if !slices.Equal(b.Tokens, []string{second}) {
		t.Errorf("after it was synced the tokens are %q", b.Tokens)
	}
	must(t, b.Close())
	if b = openBase(t, path, "boot"); len(b.Tokens) != 1 || b.Token() == second {
		t.Errorf("in the next pass the tokens are %q", b.Tokens)
	}
}

func TestInUse(t *testing.T) {
	b, path := newBase(t)
	must(t, b.Put(known1("a", 3)))
	if _, err := OpenBase(path, "boot"); !errors.Is(err, ErrInUse) {
		t.Errorf("opened a second time: %v", err)
	}
	must(t, b.rewrite())
	if _, err := OpenBase(path, "boot"); !errors.Is(err, ErrInUse) {
		t.Errorf("opened a second time, after it was written anew: %v", err)
	}
	sameBrought(t, b, known1("a", 3))
	must(t, b.Close())
	sameBrought(t, openBase(t, path, "boot"), known1("a", 3))
}

// TestInUseByARewrite: a pass opens the file just before the other puts a new one
// in its place.
func TestInUseByARewrite(t *testing.T) {
	b, path := newBase(t)
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer old.Close()
	must(t, b.rewrite())
	late := &Base{path: path, file: old, dirs: map[string]*place{}}
	if err := late.open(); !errors.Is(err, ErrInUse) {
		t.Errorf("a file that is no longer the base is opened: %v", err)
	}
}

func TestIntended(t *testing.T) {
	b, path := newBase(t)
	rng := random()
	want := map[string][]Stat{}
	intend := func(dir string, names ...string) {
		t.Helper()
		var all [][]byte
		var stats []*Stat
		for _, name := range names {
			stat := randomStat(rng)
			want[dir+"/"+name] = append(want[dir+"/"+name], stat)
			all, stats = append(all, []byte(name)), append(stats, &stat)
		}
		must(t, b.Intend(dir, Piece{}, all, stats))
	}
	intend("new", "a", "b")
	intend("new", "b", "c") // of b either may be there
	must(t, b.Put(known1("old", 3)))
	intend("old", "d")
	intend("done", "e")
	must(t, b.Put(known1("done", 1)))
	intend("gone", "f")
	must(t, b.Forget("gone"))
	check := func(b *Base) {
		t.Helper()
		for dir, names := range map[string][]string{"new": {"a", "b", "c"}, "old": {"d"}, "done": nil, "gone": nil, "nothing": nil} {
			got, err := b.Intended(dir)
			must(t, err)
			if len(got) != len(names) || names == nil && got != nil {
				t.Errorf("intended in %s is %v", dir, got)
			}
			for _, name := range names {
				if !slices.Equal(got[name], want[dir+"/"+name]) {
					t.Errorf("%s/%s is intended to be %+v, and not %+v", dir, name, got[name], want[dir+"/"+name])
				}
			}
		}
		if got := b.Broken(); !slices.Equal(got, []string{"new", "old"}) {
			t.Errorf("broken off are %q", got)
		}
		if got := b.Known(); !slices.Equal(got, []string{"done", "old"}) {
			t.Errorf("known are %q", got)
		}
	}
	check(b)
	// It is in the file at once: a kill loses nothing of it.
	content, err := os.ReadFile(path)
	must(t, err)
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(copied, content, 0o600), b.Close())
	check(openBase(t, copied, "boot"))
	b = openBase(t, path, "boot")
	check(b)
	must(t, b.rewrite())
	check(b)
	must(t, b.Close())
	check(openBase(t, path, "boot"))
}

func TestUnsure(t *testing.T) {
	b, path := newBase(t)
	must(t, b.Put(known1("synced", 3)), b.Put(known1("sealed", 3)), b.Synced())
	must(t, b.Put(known1("written", 3)), b.Seal("sealed", directory(99)), b.Put(known1("gone", 3)), b.Forget("gone"), b.Close())
	check := func(boot string, want ...string) *Base {
		t.Helper()
		b := openBase(t, path, boot)
		for _, dir := range []string{"synced", "sealed", "written", "gone", "nothing"} {
			unsure := slices.Contains(want, dir)
			if b.Unsure(dir) != unsure || unsure && b.Target(dir) != (Stat{}) {
				t.Errorf("with %s, %s is unsure: %v, %+v", boot, dir, b.Unsure(dir), b.Target(dir))
			}
		}
		var d Brought
		must(t, b.Load("written", Piece{}, &d))
		if d.Len() != 3 || (d.Target == (Stat{})) != slices.Contains(want, "written") {
			t.Errorf("with %s, what was written is %d entries, and the target %+v", boot, d.Len(), d.Target)
		}
		return b
	}
	must(t, check("boot").Close())
	must(t, check("boot 2", "sealed", "written").Close())
	// That pass has noted nothing: it is as it was for the next.
	b = check("boot 2", "sealed", "written")
	must(t, b.Synced())
	if b.Unsure("written") || b.Target("written") != directory(70) {
		t.Error("unsure after it was synced")
	}
	must(t, b.Close())
	must(t, check("boot 3").Close())
}

// TestUnsurePieces: a piece that was noted after the host was started anew says
// nothing of the others.
func TestUnsurePieces(t *testing.T) {
	b, path := newBase(t)
	pieces := known1("a", 100).Split(2, b.Seed)
	for _, piece := range pieces {
		must(t, b.Put(piece))
	}
	must(t, b.Close())
	b = openBase(t, path, "boot 2")
	must(t, b.Put(pieces[1]), b.Close())
	b = openBase(t, path, "boot 2")
	if !b.Unsure("a") {
		t.Error("what an earlier start has noted is believed")
	}
	// Nor does it when the pieces become others.
	var d Brought
	must(t, b.Load("a", Piece{}, &d), b.Close())
	if b = openBase(t, path, "boot 2"); !b.Unsure("a") || b.Target("a") != (Stat{}) {
		t.Error("what an earlier start has noted is believed in other pieces")
	}
}

// TestOtherPieces: a directory is loaded in other pieces than it was noted in.
func TestOtherPieces(t *testing.T) {
	b, path := newBase(t)
	whole := known1("a", 500)
	must(t, b.Put(whole), b.Put(known1("", 3)))
	for _, bits := range []int{3, 5, 1, 0, maxBits, 2} {
		for _, want := range whole.Split(bits, b.Seed) {
			sameBrought(t, b, want)
			if got := b.Recent("a", want.Piece); got != slices.ContainsFunc(want.entries, func(e known) bool { return e.Recent }) {
				t.Errorf("%v of 2^%d is recent: %v", want.Piece, bits, got)
			}
		}
		must(t, b.Close())
		b = openBase(t, path, "boot")
		if pieces := b.Pieces("a"); len(pieces) != len(whole.Split(bits, b.Seed)) || int(pieces[0].Bits) != bits {
			t.Errorf("in 2^%d pieces it is in %d of 2^%d", bits, len(pieces), pieces[0].Bits)
		}
		sameBrought(t, b, known1("", 3))
	}
}

// TestOtherPiecesWithoutTheFirst: a pass broke off before it had noted the piece
// that also stands for the directory.
func TestOtherPiecesWithoutTheFirst(t *testing.T) {
	b, _ := newBase(t)
	pieces := known1("a", 100).Split(2, b.Seed)
	must(t, b.Put(known1("", 2)), b.Put(pieces[2]), b.Put(pieces[3]))
	if got := b.Pieces("a"); !slices.Equal(got, []Piece{{2, 2}, {2, 3}}) {
		t.Errorf("known are the pieces %v", got)
	}
	var d Brought
	must(t, b.Load("a", Piece{2, 1}, &d))
	if d.Len() > 0 {
		t.Errorf("a piece that was not noted has %d entries", d.Len())
	}
	must(t, b.Load("a", Piece{}, &d))
	if d.Len() != pieces[2].Len()+pieces[3].Len() || d.Source != (Stat{}) {
		t.Errorf("it has %d entries, and is %+v", d.Len(), d.Source)
	}
	sameBrought(t, b, known1("", 2))
}

// TestIntendedInOtherPieces: it is still known what broke off, and no more when it
// is done.
func TestIntendedInOtherPieces(t *testing.T) {
	for _, noted := range []bool{false, true} {
		b, path := newBase(t)
		whole := known1("a", 50)
		if noted {
			must(t, b.Put(whole))
		}
		var names [][]byte
		var stats []*Stat
		for i := range 40 {
			stat := directory(uint64(i))
			names, stats = append(names, fmt.Append(nil, "new", i)), append(stats, &stat)
		}
		must(t, b.Intend("a", Piece{}, names, stats))
		for _, bits := range []uint8{3, 0, 2} {
			var d Brought
			must(t, b.Load("a", Piece{bits, 0}, &d))
			got, err := b.Intended("a")
			if must(t, err); len(got) != 40 || !slices.Equal(got["new7"], []Stat{directory(7)}) {
				t.Errorf("in 2^%d pieces %d entries are intended", bits, len(got))
			}
			must(t, b.Close())
			b = openBase(t, path, "boot")
		}
		for i, piece := range whole.Split(2, b.Seed) {
			if got := b.Broken(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("before piece %d is noted broken off are %q", i, got)
			}
			must(t, b.Put(piece))
		}
		if got := b.Broken(); len(got) > 0 {
			t.Errorf("after all was done broken off are %q", got)
		}
	}
}

func TestHostileBits(t *testing.T) {
	b, _ := newBase(t)
	// As many as another host can name with a few bytes each.
	n := testing.AllocsPerRun(1, func() {
		for i := range 200 {
			d := known1(fmt.Sprint("a", i), 1)
			must(t, b.Put(d))
			var loaded Brought
			must(t, b.Load(d.Path, Piece{maxBits, 77}, &loaded))
		}
	})
	if n > 1e5 || b.size > 1<<20 {
		t.Errorf("%.0f allocations and a file of %d bytes for 200 directories", n, b.size)
	}
}

func TestAFileThatIsNoBase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"x", "hello", "cutover bas-", "0123456789abcdef", strings.Repeat("something else\n", 1000), "cutover base 1\n\x00more"} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := OpenBase(path, "boot"); err == nil || errors.Is(err, ErrInUse) {
			t.Errorf("%.20q is taken for a base: %v", content, err)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != content {
			t.Errorf("of %.20q %.20q is left: %v", content, left, err)
		}
	}
	if _, err := OpenBase(filepath.Dir(path), "boot"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a directory is opened: %v", err)
	}
	if _, err := OpenBase(filepath.Join(path, "below"), "boot"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("what is below a file is opened: %v", err)
	}
}
