//go:build linux

package key

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a change of the key files waits for another one.
const patience = time.Minute

// between is how long it waits between two tries.
const between = 20 * time.Millisecond

// locked does what f does while nobody else on this host changes the key files.
// The lock is on the directory Base itself: nothing of it is left behind, and the
// kernel takes it away with the process. Base goes with what lies in it.
func (k Keeper) locked(f func() error) (err error) {
	wait := k.wait
	if wait == 0 {
		wait = patience
	}
	dir, err := k.lock(time.Now().Add(wait))
	if err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("another process has been changing the key files of this host for %v: it holds the lock on %s", wait, k.Base)
		}
		return fmt.Errorf("locking %s: %w", k.Base, err)
	}
	defer dir.Close()
	defer func() {
		// It stays where anything lies in it.
		_ = unix.Rmdir(k.Base)
	}()
	return f()
}

// lock returns the locked directory. The error is EWOULDBLOCK if another has it
// until the deadline.
func (k Keeper) lock(deadline time.Time) (*os.File, error) {
	for {
		dir, err := k.tryLock()
		if dir != nil {
			return dir, nil
		}
		if err != nil && (!errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline)) {
			return nil, err
		}
		if err != nil {
			time.Sleep(between)
		}
	}
}

// tryLock returns neither a directory nor an error where Base has gone, or
// another has taken its place, since it was opened.
func (k Keeper) tryLock() (*os.File, error) {
	if err := mkdirOpen(k.Base); err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(k.Base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	held, err := dir.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(k.Base); err == nil && os.SameFile(held, there) {
			return dir, nil
		}
	}
	dir.Close()
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return nil, err
}

// mkdirOpen makes a directory and those above it, which all may look into: the
// login's user runs the forced command from there.
func mkdirOpen(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	err := os.Chmod(dir, 0o755) //nolint:gosec // see above; the umask does not count
	if errors.Is(err, unix.ENOENT) {
		return nil // another has taken it away already
	}
	return err
}
