//go:build linux

package pass

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// trash is where what is taken away goes, under the same path. It is root's
// alone.
type trash struct {
	root   *tree.Root
	change changes
	mu     sync.Mutex
	omit   func(lost []string) // takes attributes that are not kept; nil for nobody
}

func openTrash(path string, change changes) (*trash, error) {
	root, err := tree.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("the trash: %w", err)
	}
	return &trash{root: root, change: change}, nil
}

func (t *trash) close() { t.root.Close() }

// directory opens the directory of a path, and makes those on the way. Where a
// file of that name was taken away before, it is one with a number.
func (t *trash) directory(path string) (int, error) {
	fd, err := t.root.OpenDir("")
	if err != nil || path == "" {
		return fd, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := t.enter(fd, name)
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

func (t *trash) enter(dir int, name string) (int, error) {
	for suffix := 0; ; suffix++ {
		fd, err := openDirAt(dir, numbered(name, suffix))
		if errors.Is(err, unix.ENOENT) {
			if err := t.change.mkdir(dir, numbered(name, suffix)); err != nil && !errors.Is(err, unix.EEXIST) {
				return -1, err
			}
			fd, err = openDirAt(dir, numbered(name, suffix))
		}
		if !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
			return fd, err
		}
	}
}

// openDirAt opens a directory in an open one.
func openDirAt(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// numbered is a name with a number, for what has the name of something else.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s.%d", strings.ToValidUTF8(name[:min(len(name), 240)], ""), n)
}

// take moves an entry of a directory into the trash. Where the trash is on another
// file system it is copied, and then removed. It returns the bytes of a file.
func (t *trash) take(dir int, path, name string) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stat, err := tree.StatAt(dir, name)
	if err != nil {
		return 0, err
	}
	to, err := t.directory(path)
	if err != nil {
		return 0, fmt.Errorf("the trash: %w", err)
	}
	defer unix.Close(to)
	for suffix := 0; ; suffix++ {
		newName := numbered(name, suffix)
		err := t.change.move(dir, name, to, newName)
		if errors.Is(err, unix.EEXIST) {
			continue // something of that path was taken away before
		}
		if errors.Is(err, unix.EXDEV) {
			err = t.copyOver(dir, name, to, newName)
			if errors.Is(err, unix.EEXIST) {
				continue
			}
		}
		if err != nil {
			return 0, fmt.Errorf("to the trash: %w", err)
		}
		return stat.Size, nil
	}
}

// copyOver copies an entry into the trash and removes it.
func (t *trash) copyOver(dir int, name string, to int, newName string) error {
	looked, err := tree.StatAt(dir, name)
	if err != nil {
		return err
	}
	fd, stat, path, err := open(dir, name, !looked.IsRegular() && !looked.IsDir())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch stat.Kind() {
	case unix.S_IFDIR:
		if err := t.change.mkdir(to, newName); err != nil {
			return err
		}
		inner, err := openDirAt(to, newName)
		if err != nil {
			return err
		}
		defer unix.Close(inner)
		names, err := namesIn(fd)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := t.copyOver(fd, name, inner, name); err != nil {
				return err
			}
		}
		if err := t.dress(fd, inner, false, &stat); err != nil {
			return err
		}
		return t.change.rmdir(dir, name)
	case unix.S_IFREG:
		if err := t.copyFile(fd, &stat, to, newName); err != nil {
			return err
		}
	case unix.S_IFLNK:
		link, err := tree.ReadLink(fd)
		if err != nil {
			return err
		}
		if err := t.change.symlink(to, newName, string(link)); err != nil {
			return err
		}
	default:
		if err := t.change.mknod(to, newName, stat.Mode, stat.Rdev); err != nil {
			return err
		}
	}
	if path {
		made, err := unix.Openat(to, newName, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = t.dress(fd, made, true, &stat)
		unix.Close(made)
		if err != nil {
			return err
		}
	}
	return t.change.unlink(dir, name)
}

func (t *trash) copyFile(fd int, stat *tree.Stat, to int, newName string) error {
	made, err := t.change.create(to, newName)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	buffer := make([]byte, 256<<10)
	for {
		n, err := unix.Read(fd, buffer)
		if err == nil && n > 0 {
			err = t.change.write(made, buffer[:n])
		}
		if err != nil {
			_ = t.change.unlink(to, newName)
			return err
		}
		if n == 0 {
			return t.dress(fd, made, false, stat)
		}
	}
}

// dress gives a copy the owner, attributes, permissions and time of the original.
func (t *trash) dress(from, to int, path bool, stat *tree.Stat) error {
	attrs, _, err := attr.Read(from, path)
	if err != nil {
		return err
	}
	have, err := tree.Fstat(to)
	if err != nil {
		return err
	}
	lost, err := t.change.dress(to, path, &have, stat, attrs)
	if t.omit != nil {
		t.omit(lost)
	}
	return err
}
