//go:build linux

package tree

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

func TestStatOverTheWire(t *testing.T) {
	rng := random()
	stats := []Stat{
		{},
		{Mode: unix.S_IFREG | 0o644, Size: math.MaxInt64, Mtime: math.MinInt64, Ctime: math.MaxInt64, Ino: math.MaxUint64},
		{Mode: unix.S_IFREG | 0o644, Mtime: math.MaxInt64, Ctime: math.MinInt64, Nlink: math.MaxUint32, UID: math.MaxUint32, GID: math.MaxUint32},
		{Mode: unix.S_IFCHR, Rdev: math.MaxUint64},
	}
	for range 2000 {
		stats = append(stats, randomStat(rng))
	}
	var b []byte
	previous := Stat{}
	for _, s := range stats {
		b = s.Append(b, &previous)
		previous = s
	}
	r := wire.NewReader(b)
	previous = Stat{}
	for i, want := range stats {
		var got Stat
		got.Read(r, &previous)
		if got != want {
			t.Fatalf("%d is %+v, and not %+v", i, got, want)
		}
		previous = got
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

func TestStatThatIsNone(t *testing.T) {
	whole := (&Stat{
		Mode: unix.S_IFCHR | 0o600, UID: 1000, GID: 1000, Nlink: 2, Rdev: 1 << 40, Ino: 1 << 40, Size: 1 << 40, Mtime: 1 << 60, Ctime: 1 << 61,
	}).Append(nil, &Stat{})
	for n := range whole {
		r := wire.NewReader(whole[:n])
		new(Stat).Read(r, &Stat{})
		if !errors.Is(r.Err(), wire.ErrMalformed) {
			t.Errorf("%d of %d bytes are taken for the whole", n, len(whole))
		}
	}
	r := wire.NewReader((&Stat{Mode: unix.S_IFREG, Size: -1}).Append(nil, &Stat{}))
	if new(Stat).Read(r, &Stat{}); r.Err() == nil {
		t.Error("a file of -1 bytes is believed")
	}
}

// TestStatOfTheKernel compares with what os.Lstat says.
func TestStatOfTheKernel(t *testing.T) {
	dir := mkdirs(t, "directory")
	write(t, filepath.Join(dir, "file"))
	if err := os.Link(filepath.Join(dir, "file"), filepath.Join(dir, "file2")); err != nil {
		t.Fatal(err)
	}
	symlink(t, "nowhere", filepath.Join(dir, "link"))
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o640); err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, dir)
	for _, name := range []string{"directory", "file", "link", "fifo", ".", "/dev/null"} {
		stat, err := StatAt(root.Handle(), name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if filepath.IsAbs(name) {
			path = name
		}
		var k unix.Stat_t
		if err := unix.Lstat(path, &k); err != nil {
			t.Fatal(err)
		}
		want := Stat{
			Mode: k.Mode, UID: k.Uid, GID: k.Gid, Nlink: uint32(k.Nlink), Ino: k.Ino, Size: k.Size, Mtime: k.Mtim.Nano(), Ctime: k.Ctim.Nano(),
		}
		switch {
		case want.IsDir():
			want.Nlink, want.Size = 0, 0
		case want.Kind() == unix.S_IFCHR:
			want.Rdev = uint64(k.Rdev) //nolint:unconvert // 32 bits on some processors
		}
		if stat != want {
			t.Errorf("%s is %+v, and not %+v", name, stat, want)
		}
		if stat.HardLinked() != (name == "file") {
			t.Errorf("%s is said to have several names, or not: %+v", name, stat)
		}
	}
	if self, err := Fstat(root.Handle()); err != nil || !self.IsDir() {
		t.Errorf("the directory is %+v: %v", self, err)
	}
}

func TestStatAtOfNothing(t *testing.T) {
	root := openRoot(t, t.TempDir())
	if _, err := StatAt(root.Handle(), "nothing"); err != unix.ENOENT { //nolint:errorlint // as it says
		t.Errorf("the error is %v", err)
	}
	if _, err := StatAt(root.Handle(), make([]byte, maxName+1)); err != unix.ENAMETOOLONG { //nolint:errorlint // as it says
		t.Errorf("the error is %v", err)
	}
}
