//go:build linux

package pass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// version is that of the messages. Both ends are of one build, so that another
// version is somebody else's program.
const version = 4

// Kinds of frames from the target.
const (
	askHello     = iota + 1 // hello: a talk about a root begins
	askKnown                // digests of directories that the target has
	askList                 // list a root, now
	askSignature            // of a file that a fetch with the same number will ask for
	askFetch                // fetch
	askEnd                  // that was all
	askRoot                 // what follows is of the talk about that root
	askData                 // how much data is in files
	askBrought              // what passes the other way have brought of a root
)

// Kinds of frames from the source.
const (
	saysHello   = iota + 0x41
	saysDir     // a listing
	saysSame    // directories that are as the target has them
	saysNames   // names of owners
	saysTrouble // something that could not be read
	saysListed  // the list is complete
	saysContent // content
	saysPacked  // content that is packed, see Compress
	saysEnd
	saysFailed  // why it cannot go on, in words
	saysData    // bytes of each file that was asked for
	saysBrought // a piece of a directory that passes the other way have brought
	saysLent    // that was all of them
)

// maxExcludes is how many patterns a pass may have: each takes far more memory
// than it has bytes.
const maxExcludes = 16 << 10

// hello begins the talk in either direction.
type hello struct {
	Version uint64
	// From the target.
	Root     uint64   // which of the served directories
	Seed     uint64   // of digests and hashes
	Excludes []string // patterns of what is left out
	Compress Compress
	// From the source.
	Now int64 // its clock, in nanoseconds since 1970
	// Of the base of passes the other way: its turn, 0 where there is none, and whether
	// the last of them broke off. Seed is its own, too.
	Turn   uint64
	Broken bool
}

func (h *hello) append(b []byte) []byte {
	b = binary.AppendUvarint(b, h.Version)
	b = binary.AppendUvarint(b, h.Root)
	b = binary.LittleEndian.AppendUint64(b, h.Seed)
	b = binary.AppendUvarint(b, uint64(len(h.Excludes)))
	for _, pattern := range h.Excludes {
		b = wire.AppendText(b, pattern)
	}
	b = append(b, byte(h.Compress))
	b = binary.AppendVarint(b, h.Now)
	b = binary.AppendUvarint(b, h.Turn)
	return wire.AppendFlag(b, h.Broken)
}

func (h *hello) read(r *wire.Reader) {
	h.Version = r.Uint()
	h.Root = r.Uint()
	if seed := r.Raw(8); seed != nil {
		h.Seed = binary.LittleEndian.Uint64(seed)
	}
	n := r.Count(1)
	if n > maxExcludes {
		r.Fail("%d patterns", n)
		return
	}
	for range n {
		h.Excludes = append(h.Excludes, r.Text())
	}
	if h.Compress = Compress(r.Byte()); h.Compress > CompressNever {
		r.Fail("a way %d to compress", h.Compress)
	}
	h.Now = r.Int()
	h.Turn, h.Broken = r.Uint(), r.Flag()
}

// known is a directory of the base: a hash of its path, and its digest.
type known struct {
	path   tree.Digest
	digest tree.Digest
}

// Counts are what a tree holds.
type Counts struct {
	Regular, Directories, Links, Special uint64
	Bytes                                uint64 // of regular files
}

func (c *Counts) add(o *Counts) {
	c.Regular += o.Regular
	c.Directories += o.Directories
	c.Links += o.Links
	c.Special += o.Special
	c.Bytes += o.Bytes
}

func (c *Counts) append(b []byte) []byte {
	for _, n := range []uint64{c.Regular, c.Directories, c.Links, c.Special, c.Bytes} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (c *Counts) read(r *wire.Reader) {
	for _, n := range []*uint64{&c.Regular, &c.Directories, &c.Links, &c.Special, &c.Bytes} {
		*n = r.Uint()
	}
}

// trouble is something that the source could not read, or does not send.
type trouble struct {
	Kind string // what was tried: "open", "read", "list"
	Path string
	Text string
}

func (t *trouble) append(b []byte) []byte {
	return wire.AppendText(wire.AppendText(wire.AppendText(b, t.Kind), t.Path), t.Text)
}

func (t *trouble) read(r *wire.Reader) {
	t.Kind, t.Path, t.Text = r.Text(), r.Text(), r.Text()
}

// owner is the name of a user or a group of the old host; "" if it has none.
type owner struct {
	Group bool
	ID    uint32
	Name  string
}

func (o *owner) append(b []byte) []byte {
	b = wire.AppendFlag(b, o.Group)
	return wire.AppendText(binary.AppendUvarint(b, uint64(o.ID)), o.Name)
}

func (o *owner) read(r *wire.Reader) {
	o.Group, o.ID, o.Name = r.Flag(), r.Uint32(), r.Text()
}

// Ways to fetch an entry.
const (
	fetchWhole   = iota // a file with its content
	fetchHash           // a file's attributes, and a hash of its content
	fetchDelta          // what of a file differs from the signature's
	fetchSpecial        // what was no regular file when it was listed
)

// fetch asks for files of one directory.
type fetch struct {
	ID    uint64
	Dir   string
	Items []fetchItem

	signature *delta.Signature // on the source, of the one item
}

type fetchItem struct {
	Name []byte // "" for the directory itself
	Way  byte
	// Of the file whose signature was sent, in bytes.
	BlockSize uint32
	BasisSize int64
}

func (f *fetch) append(b []byte) []byte {
	b = binary.AppendUvarint(b, f.ID)
	b = wire.AppendText(b, f.Dir)
	b = binary.AppendUvarint(b, uint64(len(f.Items)))
	for i := range f.Items {
		item := &f.Items[i]
		b = wire.AppendText(b, item.Name)
		b = append(b, item.Way)
		if item.Way == fetchDelta {
			b = binary.AppendUvarint(b, uint64(item.BlockSize))
			b = binary.AppendVarint(b, item.BasisSize)
		}
	}
	return b
}

func (f *fetch) read(r *wire.Reader) {
	f.ID = r.Uint()
	f.Dir = r.Text()
	if err := tree.CheckPath(f.Dir); err != nil {
		r.Fail("%v", err)
	}
	for range r.Count(2) {
		item := fetchItem{Name: r.Bytes(), Way: r.Byte()}
		if len(item.Name) > 0 {
			if err := tree.CheckName(item.Name); err != nil {
				r.Fail("%v", err)
			}
		}
		switch item.Way {
		case fetchWhole, fetchHash, fetchSpecial:
		case fetchDelta:
			item.BlockSize = r.Uint32()
			item.BasisSize = r.Int()
		default:
			r.Fail("way %d to fetch a file", item.Way)
		}
		if r.Err() != nil {
			return
		}
		f.Items = append(f.Items, item)
	}
}

// What becomes of an item that was asked for.
const (
	isContent  = iota // segments follow
	isHash            // its hash
	isLink            // where a symbolic link leads
	isSpecial         // nothing more: a device, fifo, socket or directory
	isVanished        // it is not there any more
	isFailed          // it could not be read; a text says why
)

// Segments of content.
const (
	segmentEnd    = iota // with the hash, and whether it was changed meanwhile
	segmentData          // bytes
	segmentHole          // so many zeros
	segmentCopy          // so many bytes of the signature's file, from an offset
	segmentPause         // the rest is in the next frame
	segmentFailed        // the rest could not be read; a text says why
)

// conn is a stream of frames, one direction for one goroutine each.
type conn struct {
	r      io.Reader
	buffer []byte

	mu sync.Mutex
	w  io.Writer
}

// failed is the error that the source says it has.
func failed(r *wire.Reader) error {
	text := r.Text()
	return fmt.Errorf("the worker on the source host: %.1000s", text)
}

// errUnexpected is for a frame that does not come at this point.
var errUnexpected = errors.New("unexpected message")

// take gives away the memory of the frame that was read last, for other memory.
func (c *conn) take(instead []byte) []byte {
	taken := c.buffer
	c.buffer = instead
	return taken
}

// next reads a frame; its content is valid until the next one.
func (c *conn) next() (byte, *wire.Reader, error) {
	kind, content, err := wire.ReadFrame(c.r, &c.buffer)
	if err != nil {
		return 0, nil, err
	}
	return kind, wire.NewReader(content), nil
}

// send writes a complete frame.
func (c *conn) send(frame []byte) error {
	if len(frame) > wire.MaxFrame {
		return fmt.Errorf("a message of %d bytes is too long", len(frame))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.w.Write(frame)
	return err
}

// say writes a frame of a kind with what fill appends.
func (c *conn) say(kind byte, fill func([]byte) []byte) error {
	frame := wire.Begin(nil, kind)
	if fill != nil {
		frame = fill(frame)
	}
	return c.send(wire.End(frame, 0))
}
