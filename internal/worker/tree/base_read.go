//go:build linux

package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ReadBase is OpenBase for who changes nothing: a preview. No file is made where
// there is none, and the base is without entries then; what is noted stays in
// memory, and Synced is not for it. Damage at the end is in Dropped and stays
// where it is. While a pass is working with the base the error is ErrInUse. One
// that begins later is not kept from it: the file is locked while it is read and no
// longer, for what is read later a pass only appends to, or puts another file in its
// place.
func ReadBase(path, boot string) (*Base, error) {
	b := &Base{path: path, dirs: map[string]*place{}, boot: boot}
	file, err := os.Open(path)
	if err == nil {
		b.file = file
		err = b.readAll()
	} else if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	if err == nil {
		b.beside = &beside{file: b.file, from: b.size}
		b.out = bufio.NewWriter(b.beside)
		err = b.begin()
	}
	if err != nil {
		if b.file != nil {
			b.file.Close()
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (b *Base) readAll() error {
	if err := b.lock(unix.LOCK_SH); err != nil {
		return err
	}
	err := b.load()
	return errors.Join(err, unix.Flock(int(b.file.Fd()), unix.LOCK_UN))
}

// beside is a file to which nothing is written: what is appended is in memory.
type beside struct {
	file  *os.File // nil where from is 0
	from  int64    // where in the file that begins, in bytes
	added []byte
}

func (b *beside) Write(data []byte) (int, error) {
	b.added = append(b.added, data...)
	return len(data), nil
}

// ReadAt reads what is wholly in the file, or wholly in memory.
func (b *beside) ReadAt(data []byte, at int64) (int, error) {
	if at < b.from {
		return b.file.ReadAt(data, at)
	}
	if at -= b.from; at > int64(len(b.added)) {
		return 0, io.EOF
	}
	n := copy(data, b.added[at:])
	if n < len(data) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}
