//go:build linux

package pass

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// changes are all system calls by which a pass changes the target. They take
// handles and names, and follow no symbolic link.
type changes struct {
	// fail is asked before each, in tests; nil does nothing.
	fail func(call, name string) error
}

func (c changes) do(call, name string, f func() error) error {
	if c.fail != nil {
		if err := c.fail(call, name); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	for {
		err := f()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
		return nil
	}
}

// create makes a regular file that is its maker's alone, and opens it. Its mode
// says that it is not complete.
func (c changes) create(dir int, name string) (fd int, err error) {
	fd = -1
	err = c.do("create", name, func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, tree.PartMode)
		return err
	})
	return fd, err
}

func (c changes) mkdir(dir int, name string) error {
	return c.do("mkdir", name, func() error { return unix.Mkdirat(dir, name, 0o700) })
}

func (c changes) symlink(dir int, name, to string) error {
	return c.do("symlink", name, func() error { return unix.Symlinkat(to, dir, name) })
}

func (c changes) mknod(dir int, name string, mode uint32, rdev uint64) error {
	return c.do("mknod", name, func() error { return unix.Mknodat(dir, name, mode&unix.S_IFMT|0o600, int(rdev)) })
}

func (c changes) rename(from int, name string, to int, newName string) error {
	return c.do("rename", newName, func() error { return unix.Renameat(from, name, to, newName) })
}

// move is rename where nothing of the new name may be there.
func (c changes) move(from int, name string, to int, newName string) error {
	return c.do("rename", newName, func() error {
		err := unix.Renameat2(from, name, to, newName, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
			return err
		}
		// A kernel before 3.15, or a file system that cannot.
		if err := unix.Faccessat(to, newName, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			return unix.EEXIST
		}
		return unix.Renameat(from, name, to, newName)
	})
}

func (c changes) link(from int, name string, to int, newName string) error {
	return c.do("link", newName, func() error { return unix.Linkat(from, name, to, newName, 0) })
}

func (c changes) unlink(dir int, name string) error {
	return c.do("unlink", name, func() error { return unix.Unlinkat(dir, name, 0) })
}

func (c changes) rmdir(dir int, name string) error {
	return c.do("rmdir", name, func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

func (c changes) write(fd int, b []byte) error {
	for len(b) > 0 {
		var n int
		err := c.do("write", "", func() (err error) { n, err = unix.Write(fd, b); return err })
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c changes) truncate(fd int, size int64) error {
	return c.do("truncate", "", func() error { return unix.Ftruncate(fd, size) })
}

// chown sets the owner of the file of a handle, also an O_PATH one.
func (c changes) chown(fd int, uid, gid uint32) error {
	return c.do("chown", "", func() error {
		return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
	})
}

// chmod sets the permissions. An O_PATH handle needs /proc.
func (c changes) chmod(fd int, path bool, mode uint32) error {
	return c.do("chmod", "", func() error {
		if path {
			return unix.Fchmodat(unix.AT_FDCWD, procPath(fd), mode&0o7777, 0)
		}
		return unix.Fchmod(fd, mode&0o7777)
	})
}

// times sets the time of modification, in nanoseconds since 1970, and leaves that
// of access alone. Of a symbolic link it needs /proc.
func (c changes) times(fd int, path bool, mtime int64) error {
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
	return c.do("utimensat", "", func() error {
		if path {
			return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), times[:], 0)
		}
		// Without a name it is for the handle itself, see futimens(3).
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0) //nolint:gosec // a system call
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// attributes sets the attributes of an entry, and returns the names of those that
// its file system does not keep.
func (c changes) attributes(fd int, path bool, attrs []attr.Attr) (lost []string, err error) {
	err = c.do("setxattr", "", func() (err error) { lost, err = attr.SetKept(fd, path, attrs); return err })
	return lost, err
}

func (c changes) setxattr(fd int, name string, value []byte) error {
	return c.do("setxattr", "", func() error { return unix.Fsetxattr(fd, name, value, 0) })
}

// dress gives an entry its owner, time, attributes and permissions, in the order
// in which none undoes another; the package attr says why. The permissions come
// last: until then the mode says that it is not complete. What is right is left
// alone: each call would give it a new time of change. have is what it has.
// lost are the names of attributes that its file system does not keep.
func (c changes) dress(fd int, path bool, have, want *tree.Stat, attrs []attr.Attr) (lost []string, err error) {
	chowned := have.UID != want.UID || have.GID != want.GID
	if chowned {
		if err := c.chown(fd, want.UID, want.GID); err != nil {
			return nil, err
		}
	}
	if have.Mtime != want.Mtime {
		if err := c.times(fd, path, want.Mtime); err != nil {
			return nil, err
		}
	}
	if lost, err = c.attributes(fd, path, attrs); err != nil {
		return nil, err
	}
	wantMode, err := kept(want.Mode, attrs, lost)
	if err != nil {
		return nil, err
	}
	// A change of the owner takes the bits of set-user-ID away; an ACL that came or
	// went sets those of the group.
	mode := have.Mode
	if chowned || slices.ContainsFunc(attrs, attr.Attr.IsACL) {
		now, err := tree.Fstat(fd)
		if err != nil {
			return nil, err
		}
		mode = now.Mode
	}
	if want.Kind() != unix.S_IFLNK && mode != wantMode {
		return lost, c.chmod(fd, path, wantMode)
	}
	return lost, nil
}

// maker is the user to whom what a pass makes belongs until it is complete: root,
// on a real host.
var maker = uint32(os.Geteuid())

// procPath is a name of the file of a handle, for calls that take no O_PATH one.
func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
