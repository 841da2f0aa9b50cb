//go:build linux

package key

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
)

// folder is the open directory of a key file. Nothing is done by path any more.
type folder struct {
	dir, above *os.File // above is nil for the root
	place      place
	old        *os.File // the key file, after it was read
}

func (f *folder) close() {
	for _, file := range []*os.File{f.dir, f.above, f.old} {
		if file != nil {
			file.Close()
		}
	}
}

func (f *folder) fd() int { return int(f.dir.Fd()) }

// says puts the file's name before an error.
func (f *folder) says(err error) error {
	return fmt.Errorf("%s: %w", f.place.name(), err)
}

// errNoFile says that a directory or a fifo, say, has the key file's name.
var errNoFile = errors.New("it is no file")

// maxSize is how many bytes of a key file are taken: it is the user's, and goes into
// the memory of root's process.
const maxSize = 64 << 20

// read reads the key file, and says whether there is one.
func (f *folder) read() (text []byte, there bool, err error) {
	// A fifo in its place would keep the worker waiting.
	file, err := openat(f.fd(), f.place.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, false, nil
	}
	if errors.Is(err, unix.ELOOP) {
		err = errors.New("a symbolic link was put in its place meanwhile")
	}
	if err != nil {
		return nil, false, f.says(err)
	}
	if f.old != nil {
		f.old.Close()
	}
	f.old = file
	info, err := file.Stat()
	if err != nil {
		return nil, false, f.says(err)
	}
	if !info.Mode().IsRegular() {
		return nil, false, f.says(errNoFile)
	}
	text, err = io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(text) > maxSize {
		err = fmt.Errorf("it has more than %d bytes", maxSize)
	}
	if err != nil {
		return nil, false, f.says(err)
	}
	return text, true, nil
}

// temporary parts the name of the key file from the random end of a temporary one.
const temporary = ".cutover-"

// replace puts the text in the key file's place in one step. The file that was
// read gives owner, mode, ACL and labels; one that is made is for o alone.
func (f *folder) replace(text []byte, made bool, o owner) (err error) {
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	name := f.place.base + temporary + hex.EncodeToString(random[:])
	file, err := openat(f.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return f.says(err)
	}
	defer func() {
		file.Close()
		if err != nil {
			_ = unix.Unlinkat(f.fd(), name, 0)
			err = f.says(err)
		}
	}()
	if _, err := file.Write(text); err != nil {
		return err
	}
	fd := int(file.Fd())
	if made {
		err = errors.Join(unix.Fchown(fd, o.uid, o.gid), unix.Fchmod(fd, 0o600))
	} else {
		err = like(int(f.old.Fd()), fd)
	}
	if err != nil {
		return err
	}
	if err := toDisk(file); err != nil {
		return err
	}
	if err := unix.Renameat(f.fd(), name, f.fd(), f.place.base); err != nil {
		return err
	}
	return toDisk(f.dir)
}

// toDisk writes a file to the disk, where its file system can.
func toDisk(file *os.File) error {
	if err := file.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// like gives a file what another one has beside its content. The order is that of
// package attr.
func like(old, fresh int) error {
	var was, is unix.Stat_t
	if err := errors.Join(unix.Fstat(old, &was), unix.Fstat(fresh, &is)); err != nil {
		return err
	}
	if was.Uid != is.Uid || was.Gid != is.Gid {
		if err := unix.Fchown(fresh, int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	attrs, others, err := attr.Read(old, false)
	if err != nil {
		return err
	}
	if err := attr.Set(fresh, false, attrs); err != nil {
		return err
	}
	for _, name := range others {
		// btrfs.compression and the like: cp leaves them out, too.
		_ = copyAttr(old, fresh, name)
	}
	// Without its label sshd may not read the file any more.
	for _, name := range []string{"security.selinux", "security.SMACK64"} {
		if err := copyAttr(old, fresh, name); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return unix.Fchmod(fresh, was.Mode&0o7777)
}

// copyAttr sets an attribute that is not as that of the old file, if that has it.
func copyAttr(old, fresh int, name string) error {
	value := make([]byte, attr.MaxValue)
	n, err := unix.Fgetxattr(old, name, value)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	has := make([]byte, attr.MaxValue)
	if m, err := unix.Fgetxattr(fresh, name, has); err == nil && bytes.Equal(value[:n], has[:m]) {
		return nil
	}
	return unix.Fsetxattr(fresh, name, value[:n], 0)
}

// clean takes away the temporary files of changes that were killed.
func (f *folder) clean() error {
	if _, err := f.dir.Seek(0, io.SeekStart); err != nil {
		return err
	}
	names, err := f.dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		end, ok := strings.CutPrefix(name, f.place.base+temporary)
		if ok && len(end) == 6 {
			if err := unix.Unlinkat(f.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EISDIR) {
				return fmt.Errorf("%s/%s: %w", f.place.dir, name, err)
			}
		}
	}
	return nil
}

// remove removes the key file.
func (f *folder) remove() error {
	if err := unix.Unlinkat(f.fd(), f.place.base, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return f.says(err)
	}
	return toDisk(f.dir)
}

// removeSelf removes the directory if nothing lies in it.
func (f *folder) removeSelf() error {
	if f.above == nil {
		return nil
	}
	_, name := split(f.place.dir)
	err := unix.Unlinkat(int(f.above.Fd()), name, unix.AT_REMOVEDIR)
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil // it is in use, or not there any more
	}
	return err
}
