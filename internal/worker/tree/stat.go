//go:build linux

package tree

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Stat is what the kernel says of an entry, as far as a pass compares it.
// Times are nanoseconds since 1970, the size is bytes. For a directory Nlink and
// Size are 0: they say how its file system keeps it, not what is in it.
type Stat struct {
	Mode     uint32 // kind and permissions, as st_mode in inode(7)
	UID, GID uint32
	Nlink    uint32
	Ino      uint64
	Size     int64
	Mtime    int64
	Ctime    int64
	Rdev     uint64 // of a device
}

// Kind is the kind of the entry: unix.S_IFREG and so on.
func (s *Stat) Kind() uint32 { return s.Mode & unix.S_IFMT }

// IsDir says whether it is a directory.
func (s *Stat) IsDir() bool { return s.Kind() == unix.S_IFDIR }

// IsRegular says whether it is a regular file.
func (s *Stat) IsRegular() bool { return s.Kind() == unix.S_IFREG }

// HardLinked says whether it may be one of several names of a file.
func (s *Stat) HardLinked() bool { return s.Nlink > 1 && !s.IsDir() }

// FromKernel sets s to what the kernel said.
func (s *Stat) FromKernel(k *unix.Stat_t) {
	*s = Stat{
		Mode: k.Mode, UID: k.Uid, GID: k.Gid, Ino: k.Ino,
		// What an int64 cannot hold (before 1677 and after 2262, which a user can set)
		// becomes another time. It is compared alone, and both hosts do the same.
		Mtime: k.Mtim.Nano(),
		Ctime: k.Ctim.Nano(),
	}
	switch s.Kind() {
	case unix.S_IFDIR:
	case unix.S_IFCHR, unix.S_IFBLK:
		s.Rdev = uint64(k.Rdev) //nolint:unconvert // 32 bits on some processors
		s.Nlink = uint32(k.Nlink)
	default:
		s.Size = k.Size
		s.Nlink = uint32(k.Nlink)
	}
}

// Fstat returns what the kernel says of an open file.
func Fstat(fd int) (Stat, error) {
	stat, _, err := fstatDev(fd)
	return stat, err
}

// fstatDev also returns the number of its file system.
func fstatDev(fd int) (Stat, uint64, error) {
	var k unix.Stat_t
	for {
		err := unix.Fstat(fd, &k)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Stat{}, 0, err
		}
		var s Stat
		s.FromKernel(&k)
		return s, uint64(k.Dev), nil //nolint:unconvert // 32 bits on some processors
	}
}

// statName is lstat(2) of a name, with a NUL at its end, in a directory. It makes
// no garbage: it is called for every file of a server.
func statName(fd int, name *byte, k *unix.Stat_t) error {
	for {
		_, _, errno := unix.Syscall6(sysFstatat, uintptr(fd), uintptr(unsafe.Pointer(name)), //nolint:gosec // a system call
			uintptr(unsafe.Pointer(k)), unix.AT_SYMLINK_NOFOLLOW, 0, 0) //nolint:gosec // a system call
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}

// sizeOfRecord is the length of what is hashed of an entry before its name.
const sizeOfRecord = 8*5 + 4*4

// record appends all of s in a form in which equal is equal.
func (s *Stat) record(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Mtime))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Ctime))
	b = binary.LittleEndian.AppendUint64(b, s.Rdev)
	b = binary.LittleEndian.AppendUint32(b, s.Mode)
	b = binary.LittleEndian.AppendUint32(b, s.UID)
	b = binary.LittleEndian.AppendUint32(b, s.GID)
	return binary.LittleEndian.AppendUint32(b, s.Nlink)
}

// Fields of a Stat that differ from those of the one before it in a list.
const (
	differsMode = 1 << iota
	differsOwner
	differsLinks
	differsRdev
)

// Append appends s for the wire or the base; most of what follows previous in a
// list has the same mode and owner. Read reads it.
func (s *Stat) Append(b []byte, previous *Stat) []byte {
	var differs byte
	if s.Mode != previous.Mode {
		differs |= differsMode
	}
	if s.UID != previous.UID || s.GID != previous.GID {
		differs |= differsOwner
	}
	if s.Nlink != previous.Nlink {
		differs |= differsLinks
	}
	if s.Rdev != previous.Rdev {
		differs |= differsRdev
	}
	b = append(b, differs)
	if differs&differsMode != 0 {
		b = binary.AppendUvarint(b, uint64(s.Mode))
	}
	if differs&differsOwner != 0 {
		b = binary.AppendUvarint(b, uint64(s.UID))
		b = binary.AppendUvarint(b, uint64(s.GID))
	}
	if differs&differsLinks != 0 {
		b = binary.AppendUvarint(b, uint64(s.Nlink))
	}
	if differs&differsRdev != 0 {
		b = binary.AppendUvarint(b, s.Rdev)
	}
	b = binary.AppendVarint(b, int64(s.Ino-previous.Ino))
	b = binary.AppendVarint(b, s.Size)
	b = binary.AppendVarint(b, s.Mtime-previous.Mtime)
	// A file that was written and left alone has both times nearly the same.
	return binary.AppendVarint(b, s.Ctime-s.Mtime)
}

// Read reads what Append wrote after the same previous.
func (s *Stat) Read(r *wire.Reader, previous *Stat) {
	*s = *previous
	differs := r.Byte()
	if differs&differsMode != 0 {
		s.Mode = r.Uint32()
	}
	if differs&differsOwner != 0 {
		s.UID, s.GID = r.Uint32(), r.Uint32()
	}
	if differs&differsLinks != 0 {
		s.Nlink = r.Uint32()
	}
	if differs&differsRdev != 0 {
		s.Rdev = r.Uint()
	}
	s.Ino += uint64(r.Int())
	s.Size = r.Int()
	s.Mtime += r.Int()
	s.Ctime = s.Mtime + r.Int()
	if s.Size < 0 {
		r.Fail("a size of %d", s.Size)
	}
}
