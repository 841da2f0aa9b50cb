//go:build linux

package attr

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// fdFolder has the process's open files; proc(5). A variable for the tests.
var fdFolder = "/proc/self/fd"

// file is an open file with the calls that its kind of descriptor takes.
type file struct {
	fd int
	// path is the way to the file of an O_PATH descriptor, for which the calls
	// that take a descriptor give EBADF. It is a link that the kernel follows to
	// the very inode and no further, even where that is a symbolic link itself.
	// So it is for the calls that follow links: those that do not act on the
	// link in /proc.
	path string
}

func fileOf(fd int, path bool) file {
	if !path {
		return file{fd: fd}
	}
	return file{fd: fd, path: fdFolder + "/" + strconv.Itoa(fd)}
}

// names returns the list of names, in small if it fits. A file system without
// attributes has none.
func (f file) names(small []byte) ([]byte, error) {
	n, err := f.list(small)
	if errors.Is(err, unix.ERANGE) {
		// The kernel makes no longer list, so that one growing meanwhile needs no
		// third try. It is E2BIG then.
		small = make([]byte, maxList)
		n, err = f.list(small)
	}
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return small[:n], nil
}

func (f file) list(buf []byte) (n int, err error) {
	err = f.call(func() (err error) {
		if f.path == "" {
			n, err = unix.Flistxattr(f.fd, buf)
		} else {
			n, err = unix.Listxattr(f.path, buf)
		}
		return err
	})
	return n, err
}

func (f file) get(name string, buf []byte) (n int, err error) {
	err = f.call(func() (err error) {
		if f.path == "" {
			n, err = unix.Fgetxattr(f.fd, name, buf)
		} else {
			n, err = unix.Getxattr(f.path, name, buf)
		}
		return err
	})
	return n, err
}

func (f file) set(name string, value []byte) error {
	return f.call(func() error {
		if f.path == "" {
			return unix.Fsetxattr(f.fd, name, value, 0)
		}
		return unix.Setxattr(f.path, name, value, 0)
	})
}

func (f file) remove(name string) error {
	return f.call(func() error {
		if f.path == "" {
			return unix.Fremovexattr(f.fd, name)
		}
		return unix.Removexattr(f.path, name)
	})
}

// call repeats what a signal interrupts, as it may on NFS and FUSE, and says
// what is wrong where there is no /proc.
func (f file) call(try func() error) error {
	for {
		err := try()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if f.path != "" && errors.Is(err, unix.ENOENT) && unix.Access(fdFolder, unix.F_OK) != nil {
			return fmt.Errorf("%s is not there, and attributes of links and devices are read and set through it; is /proc mounted? %w", fdFolder, err)
		}
		return err
	}
}
