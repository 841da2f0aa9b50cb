//go:build linux

package tree

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

func regular(ino uint64, size, mtime, ctime int64) Stat {
	return Stat{Mode: unix.S_IFREG | 0o644, UID: 7, Nlink: 1, Ino: ino, Size: size, Mtime: mtime, Ctime: ctime}
}

func TestSwap(t *testing.T) {
	var d Brought
	d.Reset("anna", Piece{})
	d.Source, d.Target = Stat{Mode: unix.S_IFDIR | 0o700, Ino: 1}, Stat{Mode: unix.S_IFDIR | 0o700, Ino: 101}
	d.Mount, d.TargetMount = Mount{1, 1}, Mount{2, 2}
	known := func(ino uint64) Known {
		source := regular(ino, 10, 1000, 2000)
		return Known{Source: source, Target: State{Ino: ino + 100, Ctime: 3000, Mtime: 1000, Size: 10}, Adopted: true, Recent: true}
	}
	for name, e := range map[string]Known{"as it was": known(2), "changed": known(3), "gone": known(4), "dir": {Source: Stat{Mode: unix.S_IFDIR, Ino: 5}}, "linked": known(6)} {
		d.Add([]byte(name), e)
	}
	d.Sort()
	d.Find([]byte("linked")).Source.Nlink = 2
	asItWas := regular(102, 10, 1000, 3000)
	asItWas.UID = 1007 // another number on that host
	linked := regular(106, 10, 1000, 3500)
	linked.Nlink = 3
	swapped, err := d.Swap(Mount{3, 3}, func(name []byte) (Stat, error) {
		switch string(name) {
		case "as it was":
			return asItWas, nil
		case "changed":
			return regular(103, 11, 1500, 3500), nil
		case "dir":
			return Stat{Mode: unix.S_IFDIR | 0o755, Ino: 105}, nil
		case "linked":
			return linked, nil
		}
		return Stat{}, unix.ENOENT
	})
	if err != nil {
		t.Fatal(err)
	}
	if swapped.Source != d.Target || swapped.Target != d.Source || swapped.Mount != (Mount{3, 3}) || swapped.TargetMount != d.Mount || swapped.Path != "anna" {
		t.Errorf("the directory is %+v", swapped)
	}
	for name, want := range map[string]Known{
		"as it was": {Source: asItWas, Target: State{2, 2000, 1000, 10}},
		"changed":   {Source: regular(103, 10, 1000, 3000), Target: State{3, 2000, 1000, 10}},
		"gone":      {Source: regular(104, 10, 1000, 3000), Target: State{4, 2000, 1000, 10}},
		"dir":       {Source: Stat{Mode: unix.S_IFDIR, Ino: 105}},
	} {
		if got := swapped.Find([]byte(name)); got == nil || *got != want {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
	}
	if got := swapped.Find([]byte("linked")); got.Source == linked {
		t.Error("a file with several names and another time of change is taken for what was brought")
	}
	if _, err := d.Swap(Mount{}, func([]byte) (Stat, error) { return Stat{}, unix.EIO }); !errors.Is(err, unix.EIO) {
		t.Errorf("what cannot be looked at is %v", err)
	}
}

// What a hostile host sends in the place of what it has brought is an error.
func TestReadBroughtBelievesNothing(t *testing.T) {
	for name, spoil := range map[string]func(*Brought){
		"a path that leads out":         func(d *Brought) { d.Path = "../etc" },
		"an absolute path":              func(d *Brought) { d.Path = "/etc" },
		"a name with a slash":           func(d *Brought) { d.Add([]byte("x/y"), Known{}) },
		"a name of a directory above":   func(d *Brought) { d.Add([]byte(".."), Known{}) },
		"a name twice":                  func(d *Brought) { d.Add([]byte("b"), Known{}) },
		"names that are not in order":   func(d *Brought) { d.Add([]byte("a"), Known{}) },
		"a piece that is none":          func(d *Brought) { d.Piece = Piece{Bits: 3, Number: 9} },
		"names of another piece":        func(d *Brought) { d.Piece = Piece{Bits: 20, Number: 1} },
		"a size that is less than none": func(d *Brought) { s := regular(1, -1, 0, 0); d.Add([]byte("c"), Known{Source: s}) },
		"":                              func(*Brought) {},
	} {
		var d Brought
		d.Reset("anna", Piece{})
		d.Add([]byte("b"), Known{Source: regular(1, 2, 3, 4)})
		spoil(&d)
		var got Brought
		r := wire.NewReader(d.Append(nil))
		got.ReadBrought(r, 42)
		if err := r.Done(); (err == nil) != (name == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadBrought(f *testing.F) {
	var d Brought
	d.Reset("anna/mail", Piece{})
	d.Add([]byte("a"), Known{Source: regular(1, 2, 3, 4), Adopted: true})
	d.Add([]byte("b"), Known{Source: Stat{Mode: unix.S_IFDIR, Ino: 9}})
	f.Add(d.Append(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		var d, again Brought
		r := wire.NewReader(content)
		if d.ReadBrought(r, 1); r.Done() != nil {
			return
		}
		r = wire.NewReader(d.Append(nil))
		if again.ReadBrought(r, 1); r.Done() != nil || again.Len() != d.Len() || again.Path != d.Path {
			t.Errorf("%v: %+v is read as %+v", r.Err(), d, again)
		}
	})
}

// Until all has come the base is as it was; what comes then counts, and the turn is
// kept until a pass changes something.
func TestInherit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "base")
	b, err := OpenBase(file, "boot")
	if err != nil {
		t.Fatal(err)
	}
	old := Brought{Path: "old"}
	fail := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	fail(b.TakeTurn(5), b.Put(&old), b.Synced())
	inheritance, err := b.Inherit(77)
	fail(err, inheritance.Put(&Brought{Path: "new"}))
	inheritance.Close()
	fail(b.Close())
	if b, err = OpenBase(file, "boot"); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b.Known(), []string{"old"}) || b.Turn != 5 || b.BrokeOff {
		t.Errorf("a base that was not taken over knows %q, turn %d, broke off: %v", b.Known(), b.Turn, b.BrokeOff)
	}
	inheritance, err = b.Inherit(77)
	fail(err, inheritance.Put(&Brought{Path: "new"}), inheritance.Done())
	inheritance.Close()
	fail(b.Put(&Brought{Path: "more"}), b.Close())
	if b, err = OpenBase(file, "boot"); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b.Known(), []string{"more", "new"}) || b.Turn != 5 || b.BrokeOff || b.Seed != 77 || len(b.Tokens) != 2 {
		t.Errorf("it knows %q, turn %d, broke off: %v, seed %d, tokens %q", b.Known(), b.Turn, b.BrokeOff, b.Seed, b.Tokens)
	}
	fail(b.TakeTurn(9), b.Close())
	if b, err = OpenBase(file, "boot"); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Turn != 9 || !b.BrokeOff {
		t.Errorf("turn %d, broke off: %v", b.Turn, b.BrokeOff)
	}
}
