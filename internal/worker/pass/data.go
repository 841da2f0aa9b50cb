//go:build linux

package pass

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// data answers how many bytes of data are in files: what they take where holes are
// kept.
func (s *source) data(r *wire.Reader) error {
	answer := wire.Begin(nil, saysData)
	for r.Len() > 0 && r.Err() == nil {
		path := r.Text()
		if err := tree.CheckPath(path); err != nil || path == "" {
			r.Fail("%q is no file: %v", path, err)
		}
		if r.Err() != nil {
			return r.Err()
		}
		if err := s.ctx.Err(); err != nil {
			return context.Cause(s.ctx)
		}
		answer = binary.AppendUvarint(answer, uint64(s.dataOf(path)))
	}
	return s.conn.send(wire.End(answer, 0))
}

// dataOf is the bytes of data in a file; 0 of what is none any more.
func (s *source) dataOf(path string) int64 {
	parent, name := tree.Split(path)
	dir, err := s.root.OpenDir(parent)
	if err != nil {
		return 0
	}
	defer unix.Close(dir)
	var k unix.Stat_t
	if unix.Fstatat(dir, name, &k, unix.AT_SYMLINK_NOFOLLOW) != nil || k.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	// The blocks of one that has no holes are its size or more, unless its file
	// system compresses it; which it is, is told by the holes themselves.
	if k.Size < smallestHole || int64(k.Blocks)*blockUnit >= k.Size { //nolint:unconvert // 32 bits on some processors
		return k.Size
	}
	fd, stat, _, err := open(dir, name, false)
	if err != nil {
		return k.Size
	}
	defer unix.Close(fd)
	return dataIn(fd, stat.Size)
}

// blockUnit is the unit of st_blocks, in bytes; see inode(7).
const blockUnit = 512

// maxPieces is how many pieces of data are looked for in one file.
const maxPieces = 1 << 20

// dataIn adds up the pieces of data in an open file of that size, as content.next
// sends them.
func dataIn(fd int, size int64) (sum int64) {
	at := int64(0)
	for range maxPieces {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO || err == nil && data >= size {
			return sum
		}
		if err != nil || data < at {
			break
		}
		end, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil || end <= data || end > size {
			end = size
		}
		sum, at = sum+end-data, end
	}
	return sum + size - at
}

// askData asks the source how many bytes of data are in files.
func (t *target) askData(paths []string) ([]int64, error) {
	root := uint64(t.options.Number)
	err := t.conn.say(askRoot, func(b []byte) []byte { return binary.AppendUvarint(b, root) })
	if err == nil {
		err = t.conn.say(askData, func(b []byte) []byte {
			for _, path := range paths {
				b = wire.AppendText(b, path)
			}
			return b
		})
	}
	if err != nil {
		return nil, err
	}
	for {
		kind, r, err := t.conn.next()
		if err != nil {
			return nil, fmt.Errorf("the source host's worker broke off: %w", err)
		}
		if kind != saysData {
			if err := t.common(kind, r); err != nil {
				return nil, err
			}
			continue
		}
		sizes := make([]int64, len(paths))
		for i := range sizes {
			if sizes[i] = int64(r.Uint()); sizes[i] < 0 {
				r.Fail("a file of %d bytes", sizes[i])
			}
		}
		return sizes, r.Done()
	}
}
