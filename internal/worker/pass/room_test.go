//go:build linux

package pass

import (
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountAs mounts an empty file system of a kind.
func mountAs(t *testing.T, path, kind, options string) {
	t.Helper()
	if err := unix.Mount("cutover", path, kind, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// crowdedIn makes a pass that has no room, and returns what it says.
func (s *several) crowdedIn() (crowded []Crowded) {
	s.t.Helper()
	err := s.over(func(peer *Peer) {
		prepared, err := s.prepare(peer)
		if err != nil {
			s.t.Fatal(err)
		}
		if crowded, err = Check(prepared...); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no room on") {
			s.t.Errorf("it is checked with %v", err)
		}
		for _, p := range prepared {
			p.Close()
		}
	})
	if err != nil {
		s.t.Errorf("the old host: %v", err)
	}
	for _, w := range s.roots {
		w.sh(`test -z "$(find target -name '.cutover*')"`)
	}
	return crowded
}

func TestNoRoomForBytes(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	s := newSeveral(t, 1)
	w := s.roots[0]
	mountAs(t, w.target, "tmpfs", "size=1m")
	w.sh(`head -c 700000 /dev/urandom >source/a; head -c 700000 /dev/urandom >source/b; mkdir source/d; touch source/d/empty`)
	want := []Crowded{{Mount: w.target, Bytes: 2 * 700416, Free: 1 << 20, Entries: 4, FreeEntries: freeEntries(t, w.target)}}
	if got := s.crowdedIn(); !reflect.DeepEqual(got, want) {
		t.Errorf("crowded is %+v", got)
	}
	w.sh(`test -z "$(ls -A target)"`)
	// A preview says it, and goes on.
	w.options.Preview = true
	err := s.over(func(peer *Peer) {
		prepared, err := s.prepare(peer)
		w.must(err)
		if crowded, err := Check(prepared...); err != nil || !reflect.DeepEqual(crowded, want) {
			t.Errorf("a preview: %+v, %v", crowded, err)
		}
		w.must(prepared[0].Run())
	})
	w.must(err)
	w.options.Preview = false
	w.sh(`truncate -s 300000 source/b`)
	w.pass()
	w.mustBeSame()
	// What is there needs no room, whoever has put it there.
	w.options.Base += "2"
	w.sh(`chmod 600 target/a`) // it is compared
	report := w.pass()
	w.mustBeSame()
	if _, bytes := report.Expected(); report.Written() != bytes || bytes != 1000000 || report.Bytes > 0 {
		t.Errorf("%d bytes were to come, and %d are there", bytes, report.Written())
	}
	// A file that has another name now needs none, either.
	w.sh(`mv source/a source/c`)
	w.pass()
	w.mustBeSame()
}

func freeEntries(t *testing.T, path string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Ffree)
}

func TestNoRoomForEntries(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	s := newSeveral(t, 1)
	w := s.roots[0]
	mountAs(t, w.target, "tmpfs", "size=1m,nr_inodes=20")
	w.sh(`mkdir source/d; for n in $(seq 25); do echo $n >source/d/$n; done`)
	want := []Crowded{{Mount: w.target, Bytes: 25 * 4096, Free: 1 << 20, Entries: 26, FreeEntries: 19}}
	if got := s.crowdedIn(); !reflect.DeepEqual(got, want) {
		t.Errorf("crowded is %+v", got)
	}
	// Names of one file are one entry.
	w.sh(`cd source/d; ln -f 1 2; ln -f 1 3`)
	if got := s.crowdedIn(); len(got) != 1 || got[0].Entries != 24 || got[0].Bytes != 23*4096 {
		t.Errorf("crowded is %+v", got)
	}
	w.sh(`rm source/d/1*`)
	w.pass()
	w.mustBeSame()
}

// A file system without a limit has room for anything.
func TestNoLimit(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	mountAs(t, w.target, "ramfs", "")
	w.sh(`truncate -s 100T source/huge || truncate -s 10T source/huge`)
	fd, err := unix.Open(w.target, unix.O_PATH, 0)
	w.must(err)
	defer unix.Close(fd)
	if left, err := freeIn(fd); err != nil || left.bytes != -1 || left.entries != -1 {
		t.Errorf("ramfs has %+v, %v", left, err)
	}
	w.options.Preview = true
	w.pass()
}

// Holes need no room.
func TestRoomForASparseFile(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	s := newSeveral(t, 1)
	w := s.roots[0]
	mountAs(t, w.target, "tmpfs", "size=1m")
	w.sh(`mkdir source/d; cd source/d; truncate -s 50M f; printf x | dd of=f bs=1 seek=20M conv=notrunc status=none; head -c 300000 /dev/urandom >g; truncate -s 20M h; ln h i`)
	w.pass()
	w.mustBeSame()
	// What is beside them is too much.
	w.sh(`head -c 900000 /dev/urandom >source/more`)
	if got := s.crowdedIn(); len(got) != 1 || got[0].Bytes != 901120 {
		t.Errorf("crowded is %+v", got)
	}
	// The holes of a file that replaces another are written.
	w.sh(`rm source/more; head -c 300000 /dev/urandom >source/d/h`)
	w.pass()
	w.sh(`truncate -s 20M source/d/h`)
	if got := s.crowdedIn(); len(got) != 1 || got[0].Bytes < 20<<20 {
		t.Errorf("crowded is %+v", got)
	}
}

// What is replaced gives its room back where it does not go to a trash beside it.
func TestRoomOfWhatIsReplaced(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	s := newSeveral(t, 1)
	w := s.roots[0]
	mountAs(t, w.target, "tmpfs", "size=4m")
	fill := `for n in 1 2 3 4 5; do head -c 500000 /dev/urandom >source/$n; done`
	w.options.Writers = 1
	w.sh(fill)
	w.pass()
	w.sh(fill)
	w.pass() // the trash is elsewhere
	w.mustBeSame()
	w.sh(fill)
	w.options.Delete = Purge
	w.pass()
	w.mustBeSame()
	w.sh(fill + `; mkdir target/trash`)
	w.options.Delete, w.options.Trash = ToTrash, w.target+"/trash"
	if got := s.crowdedIn(); len(got) != 1 || got[0].Bytes != 5*503808 {
		t.Errorf("crowded is %+v", got)
	}
}

// What a pass that broke off has left beside the tree is taken away before it is
// said that there is no room.
func TestRoomOfLeftovers(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	mountAs(t, w.target, "tmpfs", "size=3m")
	w.sh(`head -c 1000000 /dev/urandom >source/f`)
	w.pass()
	w.sh(`head -c 1400000 /dev/urandom >source/f`)
	killed := false
	w.options.Fail = func(call, name string) error {
		// When it is complete and not in its place.
		if killed = killed || call == "rename" && name == "f"; killed {
			return unix.EIO
		}
		return nil
	}
	_, _ = w.try(t.Context())
	w.options.Fail = nil
	w.sh(`test "$(du -k target | tail -1 | cut -f1)" -gt 2000`)
	w.pass()
	w.mustBeSame()
}

// Roots on one file system share its room, and one may have others below it.
func TestRoomIsShared(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	s := newSeveral(t, 2)
	disk := t.TempDir() + `/a disk\with blanks`
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	mountAs(t, disk, "tmpfs", "size=1m")
	for i, w := range s.roots {
		w.sh(`head -c 600000 /dev/urandom >source/f`)
		w.target = disk + "/" + string(rune('a'+i))
		w.must(os.Mkdir(w.target, 0o700))
		w.options.Target = w.target
	}
	got := s.crowdedIn()
	if len(got) != 1 || got[0].Mount != disk || got[0].Bytes != 2*602112 || got[0].Entries != 2 {
		t.Errorf("crowded is %+v", got)
	}
	inner := s.roots[1].target + "/inner"
	s.roots[1].must(os.Mkdir(inner, 0o700))
	mountAs(t, inner, "tmpfs", "size=2m")
	s.roots[1].sh(`mkdir -p source/inner/deep; mv source/f source/inner/deep/f`)
	err := s.over(func(peer *Peer) {
		prepared, err := s.prepare(peer)
		if err == nil {
			_, err = Check(prepared...)
		}
		if err != nil {
			t.Error(err)
		}
		for _, p := range prepared {
			p.Close()
		}
	})
	s.roots[0].must(err)
	s.roots[1].sh(`head -c 3000000 /dev/urandom >source/inner/deep/f`)
	if got := s.crowdedIn(); len(got) != 1 || got[0].Mount != inner || got[0].Free != 2<<20 {
		t.Errorf("crowded is %+v", got)
	}
}

// Sizes that a user can give to a file of nothing but holes add up to no small one.
func TestHugeSizes(t *testing.T) {
	f := &fileSystem{block: usualBlock}
	sum := int64(0)
	for range 20 {
		sum = plus(sum, f.rounded(math.MaxInt64))
	}
	if sum != plenty || plus(1, 2) != 3 || f.rounded(1) != usualBlock || f.rounded(0) != 0 {
		t.Errorf("the sum is %d", sum)
	}
	x := exact{block: usualBlock}
	for range 20 {
		x.put(f.rounded(math.MaxInt64), 1<<40)
	}
	if x.need().bytes != plenty {
		t.Errorf("the need is %d", x.need().bytes)
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts(`23 28 0:21 / /proc rw,relatime shared:14 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
40 28 0:45 /sub /srv/a\040b\134c rw - btrfs /dev/sdb rw,compress=zstd:3
nonsense
x 28 0:45 / /y rw - btrfs /dev/sdb rw
41 28 0:46 / /srv rw,relatime - tmpfs
`)
	want := []mountLine{
		{23, "0:21", "/proc", "proc", "rw"},
		{28, "8:1", "/", "ext4", "rw,errors=remount-ro"},
		{40, "0:45", `/srv/a b\c`, "btrfs", "rw,compress=zstd:3"},
		{41, "0:46", "/srv", "tmpfs", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("they are %+v", got)
	}
	for path, id := range map[string]int{"/srv/x": 41, "/srv/a b\\c/d": 40, "/srvx": 28, "/": 28, "/proc": 23} {
		if m := mountOf(got, -1, path); m == nil || m.id != id {
			t.Errorf("%s is in %+v", path, m)
		}
	}
	if !want[2].compresses() || want[1].compresses() {
		t.Error("what compresses is not known")
	}
	for text, want := range map[string]string{`\04`: `\04`, `\x41`: `\x41`, `a\`: `a\`, `\101\777`: `A\777`} {
		if got := unescape(text); got != want {
			t.Errorf("%s is %s", text, got)
		}
	}
}
