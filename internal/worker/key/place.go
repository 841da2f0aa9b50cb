//go:build linux

package key

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/names"
)

// expand gives sshd's AuthorizedKeysFile its %h, %u and %%, and puts a relative
// one below the home; sshd_config(5).
func expand(a Admission) (string, error) {
	if a.File == "none" || a.File == "" {
		return "", fmt.Errorf("sshd reads no AuthorizedKeysFile for %s", a.User)
	}
	var b strings.Builder
	for rest := a.File; rest != ""; {
		before, after, token := strings.Cut(rest, "%")
		b.WriteString(before)
		if !token {
			break
		}
		switch {
		case strings.HasPrefix(after, "h"):
			b.WriteString(a.Home)
		case strings.HasPrefix(after, "u"):
			b.WriteString(a.User)
		case strings.HasPrefix(after, "%"):
			b.WriteString("%")
		default:
			return "", fmt.Errorf("AuthorizedKeysFile %s holds a token that is not %%h, %%u or %%%%", a.File)
		}
		rest = after[1:]
	}
	name := b.String()
	if !strings.HasPrefix(a.File, "/") && !strings.HasPrefix(a.File, "%h") {
		name = a.Home + "/" + name
	}
	if !strings.HasPrefix(a.File, "/") && !strings.HasPrefix(a.Home, "/") {
		return "", fmt.Errorf("the home of %s is %q, so nobody knows where AuthorizedKeysFile %s is", a.User, a.Home, a.File)
	}
	return name, nil
}

// place is where a file is, or will be: no part of it was a link when it was
// resolved.
type place struct{ dir, base string }

func (p place) name() string { return join(p.dir, p.base) }

// join leaves the parts as they are: of ".." after a link only the kernel knows
// where it leads.
func join(dir, name string) string { return strings.TrimRight(dir, "/") + "/" + name }

// split parts the last word of a path from the directory.
func split(name string) (dir, base string) {
	name = strings.TrimRight(name, "/")
	at := strings.LastIndexByte(name, '/')
	if at <= 0 {
		return "/", name[at+1:]
	}
	return name[:at], name[at+1:]
}

// maxLinks is how many links the kernel follows for one path; path_resolution(7).
const maxLinks = 40

// resolve follows the links of a path, also where it leads to a file that is not
// there, or not the directory of it. The error wraps ErrNotExist where what is above
// that is not there either.
func resolve(name string) (place, error) {
	first := name
	for range maxLinks {
		if strings.HasSuffix(name, "/") {
			break
		}
		dir, base := split(name)
		if base == "" || base == "." || base == ".." {
			break
		}
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, os.ErrNotExist) {
			above, missing := split(dir)
			if real, err = filepath.EvalSymlinks(above); err == nil {
				return place{join(real, missing), base}, nil
			}
		}
		if err != nil {
			return place{}, err
		}
		target, err := os.Readlink(join(real, base))
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR): // no link, or not there
			return place{real, base}, nil
		case err != nil:
			return place{}, err
		case strings.HasPrefix(target, "/"):
			name = target
		default:
			name = join(real, target)
		}
	}
	return place{}, fmt.Errorf("%s leads to no place where a file could be", first)
}

// walk opens a directory by its path without following a link, and returns the one
// above it, too, which is nil for the root.
func walk(path string) (dir, above *os.File, err error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	path = strings.Trim(path, "/")
	at, err := openat(unix.AT_FDCWD, "/", flags|unix.O_RDONLY, 0)
	if err != nil || path == "" {
		return at, nil, err
	}
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		how := flags | unix.O_PATH
		if !more {
			how = flags | unix.O_RDONLY // to list it, and to write it to the disk
		}
		next, err := openat(int(at.Fd()), name, how, 0)
		if err != nil {
			at.Close()
			return nil, nil, &os.PathError{Op: "open", Path: "/" + strings.TrimSuffix(path, "/"+rest), Err: err}
		}
		if !more {
			return next, at, nil
		}
		at.Close()
		at = next
	}
	return nil, nil, unix.ENOENT // not reached
}

func openat(dir int, name string, flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// open opens the directory of the place. The error wraps ErrNotExist where it is
// not there.
func (p place) open() (*folder, error) {
	dir, above, err := walk(p.dir)
	if err != nil {
		return nil, err
	}
	return &folder{dir: dir, above: above, place: p}, nil
}

// openRecorded opens the directory of a record, or returns nil where it has gone.
func openRecorded(r *record) (*folder, error) {
	p, err := resolve(r.File)
	var f *folder
	if err == nil {
		f, err = p.open()
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		// A file took its place; or a link, just now, and the next try follows that.
		if info, gone := os.Lstat(p.dir); gone == nil && info.Mode().IsRegular() {
			return nil, nil
		}
	}
	return f, err
}

// owner is a user and a group by number.
type owner struct{ uid, gid int }

func ownerOf(user string) (owner, error) {
	account, err := names.Host{}.Account(user)
	if err != nil {
		return owner{}, err
	}
	if account == nil {
		return owner{}, fmt.Errorf("there is no user %s here", user)
	}
	return owner{int(account.ID), int(account.Group)}, nil
}

// make makes the directory of the place, for its owner alone.
func (p place) make(o owner) (*folder, error) {
	aboveName, name := split(p.dir)
	above, beyond, err := walk(aboveName)
	if err != nil {
		return nil, err
	}
	if beyond != nil {
		beyond.Close()
	}
	failed := func(dir *os.File, err error) (*folder, error) {
		above.Close()
		if dir != nil {
			dir.Close()
		}
		return nil, fmt.Errorf("making %s: %w", p.dir, err)
	}
	if err := unix.Mkdirat(int(above.Fd()), name, 0o700); err != nil {
		return failed(nil, err)
	}
	dir, err := openat(int(above.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(nil, err)
	}
	// The user may have put another directory of root's there, to be given it.
	if within, err := dir.Readdirnames(-1); err != nil || len(within) > 0 {
		return failed(dir, errors.Join(errors.New("another was put in its place"), err))
	}
	fd := int(dir.Fd())
	if err := errors.Join(unix.Fchown(fd, o.uid, o.gid), unix.Fchmod(fd, 0o700)); err != nil {
		return failed(dir, err)
	}
	if program, err := exec.LookPath(restorecon); err == nil {
		// Without SELinux it has nothing to do. It follows no link at the end.
		_ = exec.Command(program, p.dir).Run() //nolint:noctx // no network, and a lock that is held
	}
	return &folder{dir: dir, above: above, place: p}, nil
}

// restorecon gives a directory the label that SELinux's policy has for its path. A
// variable for the tests.
var restorecon = "restorecon"
