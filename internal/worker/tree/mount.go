//go:build linux

package tree

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Mount is a file system as it is known again after it was mounted anew, or the
// host was: its kind and its own number, both of statfs(2). The number of its
// device would not do: some get another one each time.
type Mount struct {
	Type uint64
	ID   uint64
}

// MountOf returns the file system of an open file.
func MountOf(fd int) (Mount, error) {
	var s unix.Statfs_t
	_, err := retry(func() (int, error) { return 0, unix.Fstatfs(fd, &s) })
	if err != nil {
		return Mount{}, err
	}
	return Mount{
		Type: uint64(uint32(s.Type)),
		ID:   uint64(uint32(s.Fsid.Val[0])) | uint64(uint32(s.Fsid.Val[1]))<<32,
	}, nil
}

// Coarse says whether the time of change (ctime) of a file on it says nothing:
// the file system does not keep it, or another program makes it up. Types are
// from linux/magic.h and statfs(2).
func (m Mount) Coarse() bool {
	switch m.Type {
	case 0x4d44, // vfat
		0x2011bab0,             // exfat
		0x5346544e, 0x7366746e, // ntfs, ntfs3
		0x65735546,             // FUSE
		0xff534d42, 0xfe534d42, // cifs, smb2
		0x01021997: // 9p
		return true
	}
	return false
}

func (m Mount) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.Type)
	return binary.LittleEndian.AppendUint64(b, m.ID)
}

func (m *Mount) read(r *wire.Reader) {
	m.Type = r.Uint()
	if id := r.Raw(8); id != nil {
		m.ID = binary.LittleEndian.Uint64(id)
	}
}
