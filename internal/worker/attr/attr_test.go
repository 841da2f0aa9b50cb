//go:build linux

package attr

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUserAttributesGoFromFileToFile(t *testing.T) {
	t.Parallel()
	dir := userFolder(t)
	from, source := fresh(t, dir, "from")
	to, target := fresh(t, dir, "to")
	want := []Attr{
		{"user.\xff\n", []byte("any byte but NUL")},
		{"user.a", []byte("different")},
		{"user.empty", nil},
		{"user.long", bytes.Repeat([]byte("x"), 2000)}, // longer than the first buffer
		{"user.same", []byte("same")},
	}
	// Sorted as bytes, as Read does.
	want = append(want[1:], want[0])
	put(t, from, want...)
	put(t, to, Attr{"user.a", []byte("old")}, Attr{"user.same", []byte("same")},
		Attr{"user.zz.too much", []byte("x")}, Attr{"user.0.too much", nil})

	carries(t, source, false, want...)
	attrs, _, err := Read(source, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := Set(target, false, attrs); err != nil {
		t.Fatal(err)
	}
	carries(t, target, false, want...)
	carries(t, openAt(t, to, unix.O_PATH), true, want...)

	if err := Set(target, false, nil); err != nil {
		t.Fatal(err)
	}
	carries(t, target, false)
}

func TestSetChangesNothingWhereNothingDiffers(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, userFolder(t), "file")
	a := Attr{"user.a", []byte("x")}
	put(t, path, a)
	var before, after unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &before), Set(fd, false, []Attr{a}), unix.Fstat(fd, &after)); err != nil {
		t.Fatal(err)
	}
	if before.Ctim != after.Ctim {
		t.Error("ctime has changed")
	}
}

// More names than the first buffer has room for.
func TestManyNames(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, userFolder(t), "file")
	var want []Attr
	for i := range 40 {
		want = append(want, Attr{fmt.Sprintf("user.%02d.%s", i, strings.Repeat("n", 20)), []byte{byte(i)}})
	}
	put(t, path, want...)
	carries(t, fd, false, want...)
}

func TestTooManyAttributesAreAnError(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, userFolder(t), "file")
	for i := range MaxAttrs + 1 {
		err := unix.Setxattr(path, fmt.Sprintf("user.%d", i), nil, 0)
		if errors.Is(err, unix.ENOSPC) {
			// The file system holds fewer, so names that do not go to it either.
			list := bytes.Repeat([]byte("user.0\x00"), MaxAttrs+1)
			if _, _, err := fileOf(fd, false).read(list); err == nil {
				t.Error("no error")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Read(fd, false); err == nil {
		t.Error("no error")
	}
}

// Names that are gone when they are read, and those that are not copied.
func TestReadOfNames(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, userFolder(t), "file")
	put(t, path, Attr{"user.here", []byte("x")})
	list := "user.gone\x00system.nfs4_acl\x00security.selinux\x00user.here\x00trusted.SGI_ACL_FILE\x00btrfs.compression\x00user.here\x00"
	attrs, leftOut, err := fileOf(fd, false).read([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	if !Equal(attrs, []Attr{{"user.here", []byte("x")}}) {
		t.Errorf("read %q", attrs)
	}
	if got := strings.Join(leftOut, " "); got != "btrfs.compression system.nfs4_acl" {
		t.Errorf("left out %q", got)
	}
}

func TestSetRefusesWhatIsNotCopied(t *testing.T) {
	t.Parallel()
	_, fd := fresh(t, t.TempDir(), "file")
	for _, name := range []string{
		"", "user", "user.", "comment", "security.", "security.selinux", "security.ima", "security.evm", "security.apparmor",
		"security.SMACK64", "security.SMACK64EXEC", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT", "system.nfs4_acl",
		"system.posix_acl_access2", "btrfs.compression", "user.a\x00b", "user." + strings.Repeat("n", MaxName),
	} {
		if err := Set(fd, false, []Attr{{name, nil}}); err == nil || errors.As(err, new(unix.Errno)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What is refused is named, and keeps nothing else from being set.
func TestErrorsNameTheAttribute(t *testing.T) {
	t.Parallel()
	_, fd := fresh(t, aclFolder(t), "file")
	a := Attr{"user.a", []byte("x")}
	err := Set(fd, false, []Attr{{ACLDefault, sharedACL}, a})
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), `"`+ACLDefault+`"`) {
		t.Errorf("a default ACL on a file: %v", err)
	}
	carries(t, fd, false, a)

	if _, _, err := Read(-1, false); !errors.Is(err, unix.EBADF) {
		t.Errorf("reading a descriptor that is none: %v", err)
	}
}

func TestRootsAttributes(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := aclFolder(t)
	from, source := fresh(t, dir, "from")
	_, target := fresh(t, dir, "to")
	want := []Attr{
		{"security.capability", netRaw}, {"security.other", []byte("s")},
		{ACLAccess, sharedACL}, {"trusted.t", []byte("t")}, {"user.u", []byte("u")},
	}
	put(t, from, want...)
	carries(t, source, false, want...)

	put(t, filepath.Join(dir, "to"), Attr{"trusted.too much", nil}, Attr{"security.too much", []byte("x")})
	if err := Set(target, false, want); err != nil {
		t.Fatal(err)
	}
	carries(t, target, false, want...)

	// The order that the package demands: the owner drops the capability, and the mode does not.
	if err := errors.Join(unix.Fchmod(target, 0o6660), Set(target, false, want)); err != nil {
		t.Fatal(err)
	}
	carries(t, target, false, want...)
	if err := unix.Fchown(target, 0, 0); err != nil {
		t.Fatal(err)
	}
	carries(t, target, false, want[1:]...)
}

// The label of the host stays; on a host with SELinux it may be of its policy.
func TestLabelsStay(t *testing.T) {
	t.Parallel()
	needRoot(t)
	path, fd := fresh(t, userFolder(t), "file")
	if err := unix.Setxattr(path, "security.apparmor", []byte("x"), 0); err != nil {
		t.Skipf("needs a kernel that takes security.apparmor from anybody: %v", err)
	}
	carries(t, fd, false)
	if err := Set(fd, false, []Attr{{"user.a", nil}}); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Getxattr(path, "security.apparmor", make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("the label has %d bytes: %v", n, err)
	}
}

// A link's own attributes, never those of what it points to.
func TestLinksAndNodes(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := aclFolder(t)
	pointedTo, target := fresh(t, dir, "target")
	create := func(name string, kind uint32) string {
		path := filepath.Join(dir, name)
		var err error
		if kind == unix.S_IFLNK {
			err = os.Symlink(pointedTo, path)
		} else {
			err = unix.Mknod(path, kind|0o600, int(unix.Mkdev(1, 3)))
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, kind := range map[string]uint32{
		"link": unix.S_IFLNK, "fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "device": unix.S_IFCHR,
	} {
		want := []Attr{{"security.s", []byte("s")}, {"trusted.t", []byte("t")}}
		if kind != unix.S_IFLNK {
			want = []Attr{want[0], {ACLAccess, sharedACL}, want[1]}
		}
		from := create(name, kind)
		put(t, from, want...)
		carries(t, openAt(t, from, unix.O_PATH), true, want...)

		to := create("new "+name, kind)
		put(t, to, Attr{"trusted.too much", nil})
		fd := openAt(t, to, unix.O_PATH)
		if err := Set(fd, true, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		carries(t, fd, true, want...)

		if err := Set(fd, true, []Attr{{"user.u", nil}}); !errors.Is(err, unix.EPERM) {
			t.Errorf("user.u of %s: %v", name, err)
		}
		carries(t, fd, true)
	}
	carries(t, target, false)
}

// Not parallel: it has the process look for its descriptors elsewhere.
func TestWithoutProc(t *testing.T) {
	path, _ := fresh(t, t.TempDir(), "file")
	fd := openAt(t, path, unix.O_PATH)
	defer func(was string) { fdFolder = was }(fdFolder)
	fdFolder = filepath.Join(t.TempDir(), "proc/self/fd")
	_, _, err := Read(fd, true)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "is /proc mounted?") {
		t.Error(err)
	}
}

// Not parallel: allocations of all goroutines count.
func TestReadOfNothingTakesNoMemory(t *testing.T) {
	_, fd := fresh(t, t.TempDir(), "file")
	if n := testing.AllocsPerRun(100, func() {
		if attrs, _, err := Read(fd, false); len(attrs) > 0 || err != nil {
			t.Fatal(attrs, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadNothing(b *testing.B) {
	path, fd := fresh(b, b.TempDir(), "file")
	for name, c := range map[string]struct {
		fd   int
		path bool
	}{"open": {fd, false}, "O_PATH": {openAt(b, path, unix.O_PATH), true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Read(c.fd, c.path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadACL(b *testing.B) {
	path, fd := fresh(b, aclFolder(b), "file")
	if err := unix.Setxattr(path, ACLAccess, sharedACL, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(fd, false); err != nil {
			b.Fatal(err)
		}
	}
}
