//go:build linux

package pass

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// reader reads files for the target. Each goroutine has its own.
type reader struct {
	source *source
	hash   *delta.Hash
	buffer []byte
	attrs  []byte

	// The frame that is being filled.
	frame *[]byte
	start int // of the content in it
	id    uint64
}

func newReader(s *source) *reader {
	return &reader{source: s, hash: delta.NewHash(s.seed), buffer: make([]byte, readSize)}
}

// fetch answers one request. Its errors are those of the stream: what is wrong
// with a file is told in its place.
func (r *reader) fetch(f *fetch) error {
	r.id = f.ID
	r.begin()
	defer func() { r.source.frames.Put(r.frame); r.frame = nil }()
	dir, err := r.source.root.OpenDir(f.Dir)
	if err == nil {
		defer unix.Close(dir)
	}
	for i := range f.Items {
		r.add(binary.AppendUvarint(nil, uint64(i)))
		if err != nil {
			r.fail(err)
		} else if err := r.item(dir, f, &f.Items[i]); err != nil {
			return err
		}
		if len(*r.frame) >= frameSize {
			if err := r.send(); err != nil {
				return err
			}
			r.begin()
		}
	}
	return r.send()
}

func (r *reader) begin() {
	if r.frame == nil {
		r.frame = r.source.frames.Get().(*[]byte)
	}
	*r.frame = binary.AppendUvarint(wire.Begin((*r.frame)[:0], saysContent), r.id)
	r.start = len(*r.frame)
}

func (r *reader) add(b []byte)  { *r.frame = append(*r.frame, b...) }
func (r *reader) byte(b byte)   { *r.frame = append(*r.frame, b) }
func (r *reader) uint(n uint64) { *r.frame = binary.AppendUvarint(*r.frame, n) }

// send sends the frame, packed where that is of use.
func (r *reader) send() error {
	s, content := r.source, (*r.frame)[r.start:]
	frame := *r.frame
	if s.packer.wants() {
		memory := s.frames.Get().(*[]byte)
		defer s.frames.Put(memory)
		packed, smaller := pack(binary.AppendUvarint(wire.Begin((*memory)[:0], saysPacked), r.id), content)
		if *memory = packed; smaller {
			frame = packed
		}
	}
	if err := s.conn.send(wire.End(frame, 0)); err != nil {
		return err
	}
	s.packer.sent(len(content))
	return nil
}

// fail tells that an item cannot be read.
func (r *reader) fail(err error) {
	if tree.Gone(err) {
		r.byte(isVanished)
		return
	}
	r.byte(isFailed)
	r.add(wire.AppendText(nil, err.Error()))
}

// open opens an entry. Reading mail does not mark it as read: the time of access
// stays, where the caller may see to it. special says that it was no regular file:
// such a one is not opened to be read, for a device does things then.
func open(dir int, name string, special bool) (fd int, stat tree.Stat, path bool, err error) {
	if name == "" {
		name = "."
	}
	if special {
		fd, err = unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	} else {
		// A fifo that a user has put there meanwhile does not make it wait.
		const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
		fd, err = unix.Openat(dir, name, flags|unix.O_NOATIME, 0)
		if errors.Is(err, unix.EPERM) {
			fd, err = unix.Openat(dir, name, flags, 0)
		}
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // a link, a socket
			return open(dir, name, true)
		}
	}
	if err != nil {
		return -1, stat, false, err
	}
	stat, err = tree.Fstat(fd)
	if err == nil && (stat.IsRegular() || stat.IsDir()) == special {
		unix.Close(fd)
		return open(dir, name, !special) // it is something else now
	}
	if err != nil {
		unix.Close(fd)
		return -1, stat, false, err
	}
	return fd, stat, special, nil
}

func (r *reader) item(dir int, f *fetch, item *fetchItem) error {
	fd, stat, path, err := open(dir, string(item.Name), item.Way == fetchSpecial)
	if err != nil {
		r.fail(err)
		return nil
	}
	defer unix.Close(fd)
	attrs, leftOut, err := attr.Read(fd, path)
	if err != nil {
		r.fail(err)
		return nil
	}
	if len(leftOut) > 0 {
		r.source.trouble("attributes", tree.Join(f.Dir, item.Name), errors.New(leftOut[0]))
	}
	if err := r.names(&stat, attrs); err != nil {
		return err
	}
	var link []byte
	kind := byte(isSpecial)
	switch {
	case stat.Kind() == unix.S_IFLNK:
		kind = isLink
		if link, err = tree.ReadLink(fd); err != nil {
			r.fail(err)
			return nil
		}
	case stat.IsRegular() && item.Way == fetchHash:
		kind = isHash
	case stat.IsRegular():
		kind = isContent
	}
	r.byte(kind)
	*r.frame = stat.Append(*r.frame, &tree.Stat{})
	r.attrs = attr.AppendTo(r.attrs[:0], attrs)
	*r.frame = wire.AppendText(*r.frame, r.attrs)
	switch kind {
	case isLink:
		*r.frame = wire.AppendText(*r.frame, link)
	case isHash:
		return r.hashOf(fd, &stat)
	case isContent:
		return r.content(fd, &stat, f.signature)
	}
	return nil
}

// names tells the names of the file's owners, and of those in its ACLs.
func (r *reader) names(stat *tree.Stat, attrs []attr.Attr) error {
	users, groups := []uint32{stat.UID}, []uint32{stat.GID}
	for _, a := range attrs {
		if !a.IsACL() {
			continue
		}
		// What is malformed the target says.
		more, moreGroups, err := attr.IDsInACL(a.Value)
		if err == nil {
			users, groups = append(users, more...), append(groups, moreGroups...)
		}
	}
	return r.source.owners.tell(r.source.conn, users, groups)
}

// hashOf answers with the hash of a file's content.
func (r *reader) hashOf(fd int, stat *tree.Stat) error {
	file := &content{r: r, fd: fd, size: stat.Size}
	_, err := io.CopyBuffer(struct{ io.Writer }{r.hash}, file, r.buffer)
	return r.end(fd, stat, err)
}

// end ends a file with its hash, or with the error.
func (r *reader) end(fd int, stat *tree.Stat, err error) error {
	hash := r.hash.Sum()
	now, statErr := tree.Fstat(fd)
	if err == nil {
		err = statErr
	}
	if err != nil {
		r.byte(segmentFailed)
		r.add(wire.AppendText(nil, err.Error()))
		return nil
	}
	r.byte(segmentEnd)
	r.add(hash[:])
	*r.frame = wire.AppendFlag(*r.frame, now != *stat)
	return nil
}

// pause sends the frame within a file.
func (r *reader) pause() error {
	r.byte(segmentPause)
	if err := r.send(); err != nil {
		return err
	}
	r.begin()
	return nil
}

// content sends what is in a file: its data and its holes, or what differs from
// the file of a signature.
func (r *reader) content(fd int, stat *tree.Stat, signature *delta.Signature) error {
	if signature != nil {
		file := io.TeeReader(&content{r: r, fd: fd, size: stat.Size}, r.hash)
		sender := &differences{r: r}
		err := signature.Diff(r.source.ctx, file, sender)
		if sender.err != nil {
			return sender.err
		}
		return r.end(fd, stat, err)
	}
	file := &content{r: r, fd: fd, size: stat.Size, holes: true}
	for {
		// It is read into the frame, behind room for its length.
		r.byte(segmentData)
		at := len(*r.frame)
		*r.frame = slices.Grow(*r.frame, lengthSize+readSize)
		data := (*r.frame)[at+lengthSize : at+lengthSize+readSize]
		n, hole, err := file.next(data)
		if n == 0 {
			*r.frame = (*r.frame)[:at-1]
		}
		if errors.Is(err, io.EOF) {
			return r.end(fd, stat, nil)
		}
		if err != nil {
			return r.end(fd, stat, err)
		}
		if hole > 0 {
			hashZeros(r.hash, hole)
			r.byte(segmentHole)
			r.uint(uint64(hole))
			continue
		}
		_, _ = r.hash.Write(data[:n])
		*r.frame = (*r.frame)[:at+lengthSize+n]
		putLength((*r.frame)[at:], n)
		if len(*r.frame) >= frameSize {
			if err := r.pause(); err != nil {
				return err
			}
		}
	}
}

const (
	// readSize is how many bytes are read from a file at a time.
	readSize = 256 << 10
	// lengthSize is the room for the length of a segment.
	lengthSize = 4
)

// putLength writes a length below 2^28 as an unsigned varint of four bytes.
func putLength(b []byte, n int) {
	for i := range lengthSize {
		b[i] = byte(n>>(7*i)) & 0x7f
		if i < lengthSize-1 {
			b[i] |= 0x80
		}
	}
}

var zeros [64 << 10]byte

// hashZeros adds a hole to a hash.
func hashZeros(hash *delta.Hash, length int64) {
	for ; length > 0; length -= int64(len(zeros)) {
		_, _ = hash.Write(zeros[:min(length, int64(len(zeros)))])
	}
}

// differences sends what Diff finds.
type differences struct {
	r   *reader
	err error // of the stream
}

func (d *differences) Copy(offset, length int64) error {
	d.r.byte(segmentCopy)
	d.r.uint(uint64(offset))
	d.r.uint(uint64(length))
	return d.room()
}

func (d *differences) Literal(data []byte) error {
	d.r.byte(segmentData)
	*d.r.frame = wire.AppendText(*d.r.frame, data)
	return d.room()
}

func (d *differences) room() error {
	if len(*d.r.frame) < frameSize {
		return nil
	}
	d.err = d.r.pause()
	return d.err
}

// content reads a file up to the size that it had when it was opened: what grows
// while it is read would never end.
type content struct {
	r     *reader
	fd    int
	at    int64
	size  int64
	holes bool  // tell holes apart
	data  int64 // up to where there is data
}

// next reads some data, or says how long the hole is in its place.
func (c *content) next(b []byte) (n int, hole int64, err error) {
	if err := c.r.source.ctx.Err(); err != nil {
		return 0, 0, err
	}
	if c.at >= c.size {
		return 0, 0, io.EOF
	}
	end := c.size
	if c.holes && c.size >= smallestHole {
		if c.at >= c.data {
			if hole = c.seek(); hole > 0 {
				c.at += hole
				return 0, hole, nil
			}
		}
		end = c.data
	}
	for {
		n, err = unix.Pread(c.fd, b[:min(int64(len(b)), end-c.at)], c.at)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil && n == 0 {
		err = io.EOF // it was cut short meanwhile; its time says so
	}
	if err != nil {
		return 0, 0, err
	}
	c.at += int64(n)
	return n, 0, nil
}

// smallestHole is the size of a file, in bytes, from which holes are worth the
// question where they are.
const smallestHole = 64 << 10

// seek finds where the data ends that begins here, or how long the hole is.
func (c *content) seek() (hole int64) {
	data, err := unix.Seek(c.fd, c.at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return c.size - c.at
	}
	if err != nil || data < c.at { // the file system does not know
		c.data = c.size
		return 0
	}
	if data = min(data, c.size); data > c.at {
		return data - c.at
	}
	end, err := unix.Seek(c.fd, c.at, unix.SEEK_HOLE)
	if err != nil || end <= c.at || end > c.size {
		end = c.size
	}
	c.data = end
	return 0
}

// Read reads all, holes as zeros.
func (c *content) Read(b []byte) (int, error) {
	n, _, err := c.next(b)
	return n, err
}
