//go:build linux

package tree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadBase: it says what the base says, takes what is noted, and leaves the
// file as it is.
func TestReadBase(t *testing.T) {
	b, path := newBase(t)
	want := known1("a", 50)
	must(t, b.Put(want), b.Put(known1("", 3)), b.Synced(), b.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	for _, damage := range []int{0, 5, recordHeader + 40} {
		must(t, os.WriteFile(path, append(content[:len(content):len(content)], make([]byte, damage)...), 0o400))
		before, err := os.Stat(path)
		must(t, err)
		r, err := ReadBase(path, "boot")
		must(t, err)
		if r.Dropped != int64(damage) || r.Token() == "" || r.Seed != b.Seed {
			t.Errorf("with %d bytes too much %d are dropped", damage, r.Dropped)
		}
		sameBrought(t, r, want)
		// In other pieces, and with something new.
		var d Brought
		must(t, r.Load("a", Piece{1, 0}, &d))
		stat := directory(7)
		must(t, r.Intend("a", Piece{1, 0}, [][]byte{[]byte("new")}, []*Stat{&stat}), r.Put(known1("b", 5)))
		sameBrought(t, r, known1("b", 5))
		must(t, r.Load("a", Piece{}, &d))
		if d.Len() != want.Len() {
			t.Errorf("after it was noted in pieces it has %d entries", d.Len())
		}
		must(t, r.Close())
		after, err := os.Stat(path)
		must(t, err)
		if left, err := os.ReadFile(path); err != nil || string(left) != string(content)+string(make([]byte, damage)) || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("the file was changed, error %v", err)
		}
	}
}

// TestReadNoBase: where there is none, none is made.
func TestReadNoBase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base")
	for _, content := range []string{"", "cutover"} {
		if content != "" {
			must(t, os.WriteFile(path, []byte(content), 0o600))
		}
		r, err := ReadBase(path, "boot")
		must(t, err)
		must(t, r.Put(known1("a", 5)))
		sameBrought(t, r, known1("a", 5))
		if len(r.Known()) != 1 || r.Dropped != int64(len(content)) {
			t.Errorf("it knows %q and drops %d bytes", r.Known(), r.Dropped)
		}
		must(t, r.Close())
		if left, err := os.ReadFile(path); string(left) != content || (content == "") != errors.Is(err, unix.ENOENT) {
			t.Errorf("%q is left, error %v", left, err)
		}
	}
	must(t, os.WriteFile(path, []byte("something else"), 0o600))
	if _, err := ReadBase(path, "boot"); err == nil {
		t.Error("another file is taken for a base")
	}
	if _, err := ReadBase(filepath.Join(path, "below"), "boot"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("what is below a file is opened: %v", err)
	}
}

// TestReadBaseOfAPass: while a pass is working with it it is not read; a pass that
// begins meanwhile is not kept from it, and changes nothing of what was read.
func TestReadBaseOfAPass(t *testing.T) {
	b, path := newBase(t)
	want := known1("a", 50)
	must(t, b.Put(want))
	if _, err := ReadBase(path, "boot"); !errors.Is(err, ErrInUse) {
		t.Errorf("while a pass is working with it the error is %v", err)
	}
	must(t, b.Put(known1("b", 1)), b.Close())
	r, err := ReadBase(path, "boot")
	must(t, err)
	b = openBase(t, path, "boot")
	must(t, b.Put(known1("a", 3)), b.Synced(), b.rewrite(), b.Close())
	sameBrought(t, r, want)
	must(t, r.Close())
}
