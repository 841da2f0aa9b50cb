//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrSwapped is the error of a path in which a directory became something else
// while it was gone along, a symbolic link for example.
var ErrSwapped = errors.New("a directory on the way is none (any more)")

// Root is a directory that a pass copies, or to which it copies. Everything
// below it is reached from its handle, name by name, and never through a
// symbolic link: a user who puts a link in the place of his directory leads
// nobody out of the root.
type Root struct {
	Path   string
	fd     int
	mounts mounts
}

// OpenRoot opens the directory at an absolute path. A symbolic link in the path
// counts only where it belongs to root or to who asks: another user's link may
// lead elsewhere by the time at which it is used.
func OpenRoot(name string) (*Root, error) {
	if !path.IsAbs(name) {
		return nil, fmt.Errorf("%s is not an absolute path", name)
	}
	fd, err := unix.Open("/", dirFlags, 0)
	if err == nil {
		fd, err = openTrusted(fd, strings.Split(path.Clean(name), "/"), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &Root{Path: path.Clean(name), fd: fd}, nil
}

// Close closes the root's handle.
func (r *Root) Close() error { return unix.Close(r.fd) }

// Handle is the root's own handle, for as long as the root is open.
func (r *Root) Handle() int { return r.fd }

// maxLinks is how many symbolic links a root's path may lead through, as the
// kernel has it (path_resolution(7)).
const maxLinks = 40

// openTrusted opens the directory to which names lead from the directory fd,
// which it closes.
func openTrusted(fd int, names []string, links int) (int, error) {
	for i, name := range names {
		if name == "" || name == "." {
			continue
		}
		next, err := openat(fd, name, dirFlags)
		if err == nil {
			closeQuietly(fd)
			fd = next
			continue
		}
		to, linkErr := trustedLink(fd, name)
		if linkErr == nil && links >= maxLinks {
			linkErr = unix.ELOOP
		}
		if linkErr != nil {
			closeQuietly(fd)
			if errors.Is(linkErr, unix.EINVAL) { // it is no link
				linkErr = err
			}
			return -1, fmt.Errorf("%s: %w", name, linkErr)
		}
		if path.IsAbs(to) {
			closeQuietly(fd)
			if fd, err = unix.Open("/", dirFlags, 0); err != nil {
				return -1, err
			}
		}
		return openTrusted(fd, append(strings.Split(to, "/"), names[i+1:]...), links+1)
	}
	return fd, nil
}

// trustedLink reads a symbolic link that belongs to root or to who asks.
func trustedLink(dir int, name string) (string, error) {
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer closeQuietly(fd)
	stat, err := Fstat(fd)
	if err != nil {
		return "", err
	}
	if stat.Kind() != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	if stat.UID != 0 && int(stat.UID) != os.Geteuid() {
		return "", fmt.Errorf("it is a symbolic link that belongs to user number %d", stat.UID)
	}
	to, err := ReadLink(fd)
	return string(to), err
}

// ReadLink reads the symbolic link that an O_PATH handle is for.
func ReadLink(fd int) ([]byte, error) {
	buffer := make([]byte, 256)
	for {
		n, err := unix.Readlinkat(fd, "", buffer)
		if err != nil {
			return nil, err
		}
		if n < len(buffer) {
			return buffer[:n], nil
		}
		buffer = make([]byte, 2*len(buffer))
	}
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK

// noOpenat2 is set when the kernel (before 5.6) or a filter of system calls does
// not have openat2.
var noOpenat2 atomic.Bool

// OpenDir opens the directory at a path relative to the root, "" for the root
// itself. The error is ErrSwapped where something on the way is no directory.
func (r *Root) OpenDir(rel string) (int, error) {
	if len(rel) > MaxPath {
		return -1, unix.ENAMETOOLONG
	}
	if err := CheckPath(rel); err != nil {
		return -1, err
	}
	if rel == "" {
		rel = "."
	}
	fd, err := -1, error(unix.ENOSYS)
	if !noOpenat2.Load() {
		fd, err = retry(func() (int, error) {
			return unix.Openat2(r.fd, rel, &unix.OpenHow{
				Flags: dirFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
			})
		})
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
			noOpenat2.Store(true)
		}
	}
	if noOpenat2.Load() {
		fd, err = r.openByName(rel)
	}
	// What is no directory is told by either, a link by the first or the second.
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return -1, ErrSwapped
	}
	return fd, err
}

// openByName opens one directory after the other.
func (r *Root) openByName(rel string) (int, error) {
	fd, err := openat(r.fd, ".", dirFlags)
	for name := range strings.SplitSeq(rel, "/") {
		if err != nil {
			return -1, err
		}
		if name == "." {
			continue
		}
		next, err2 := openat(fd, name, dirFlags)
		closeQuietly(fd)
		fd, err = next, err2
	}
	return fd, err
}

func openat(dir int, name string, flags int) (int, error) {
	return retry(func() (int, error) { return unix.Openat(dir, name, flags, 0) })
}

// retry calls again what a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func closeQuietly(fd int) { _ = unix.Close(fd) }
