//go:build linux

package pass

import (
	"errors"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// writer writes what was asked for, of some directories.
type writer struct {
	target *target
	frames chan incomingFrame
	hashes []*delta.Hash // that nobody uses now
	buffer []byte
	// What unpacks content, and its memory; nil until some comes.
	unpacker *zstd.Decoder
	unpacked []byte

	// The directory that is open.
	dir    string
	handle int
	opened bool
	// What a new file in it has: its group, and whether it inherits an ACL.
	group    uint32
	inherits bool
}

func (w *writer) run() {
	for f := range w.frames {
		if w.target.ctx.Err() == nil {
			content, err := w.content(&f)
			if err == nil {
				err = w.frame(f.batch, wire.NewReader(content))
			}
			if err != nil {
				w.target.abort(err)
			}
		}
		framePool.Put(f.memory)
	}
	if w.opened {
		unix.Close(w.handle)
	}
	if w.unpacker != nil {
		w.unpacker.Close()
	}
}

// content is what is in a frame.
func (w *writer) content(f *incomingFrame) (content []byte, err error) {
	if !f.packed {
		return f.content, nil
	}
	if w.unpacker == nil {
		if w.unpacker, err = newUnpacker(); err != nil {
			return nil, err
		}
	}
	if w.unpacked, err = w.unpacker.DecodeAll(f.content, w.unpacked[:0]); err != nil {
		err = fmt.Errorf("%w: packed content: %w", wire.ErrMalformed, err)
	}
	return w.unpacked, err
}

// incoming is a file that is being received.
type incoming struct {
	item    *item
	stat    tree.Stat // what the source says that it is
	attrs   []attr.Attr
	fd      int    // of the new file; -1 where it is only read over
	name    string // of the new file
	staged  bool   // it is in the staging directory
	size    int64  // of what was written
	literal int64  // bytes of it that the target did not have
	hole    bool   // it ends in a hole
	alone   bool   // it becomes a file of its own, see alone
	same    bool   // the target has the very same, and nothing was changed
	err     error  // why it cannot be written
	builder *delta.Builder
	hash    *delta.Hash // of what was written
}

// newHash returns a hash for one file. Frames of several files come mixed.
func (w *writer) newHash() *delta.Hash {
	if n := len(w.hashes); n > 0 {
		hash := w.hashes[n-1]
		w.hashes = w.hashes[:n-1]
		return hash
	}
	return delta.NewHash(w.target.base.Seed)
}

// sum ends a hash and keeps it for the next file.
func (w *writer) sum(hash *delta.Hash) [delta.HashSize]byte {
	w.hashes = append(w.hashes, hash)
	return hash.Sum()
}

// frame takes content of a batch. An error is one of the stream; what cannot be
// written is told in the report.
func (w *writer) frame(b *batch, r *wire.Reader) error {
	for r.Len() > 0 {
		if b.file == nil {
			if err := w.begin(b, r); err != nil {
				return err
			}
			continue
		}
		if err := w.segment(b, r); err != nil {
			return err
		}
	}
	return r.Err()
}

// begin reads what becomes of an item.
func (w *writer) begin(b *batch, r *wire.Reader) error {
	n := r.Uint()
	what := r.Byte()
	if r.Err() != nil {
		return r.Err()
	}
	if n >= uint64(len(b.items)) || b.items[n] == nil {
		return fmt.Errorf("%w: item %d of %d", wire.ErrMalformed, n, len(b.items))
	}
	i := b.items[n]
	b.items[n] = nil
	path := i.path(b.dir)
	t := w.target
	if i.name != "" {
		t.report.at.Store(&path)
	}
	switch what {
	case isVanished:
		t.report.find(Vanished, path, "")
		w.done(b, i, i.before)
		return nil
	case isFailed:
		t.report.find(Unread, path, r.Text())
		w.done(b, i, i.before)
		return r.Err()
	}
	in := &incoming{item: i, fd: -1}
	in.stat.Read(r, &tree.Stat{})
	attrs, err := attr.Parse(r.Bytes())
	if err != nil {
		r.Fail("%v", err)
	}
	if r.Err() != nil {
		return r.Err()
	}
	in.attrs = attrs
	in.err = t.attributes(attrs)
	if what == isSpecial && in.stat.IsDir() && i.name != "" {
		t.report.find(Vanished, path, "it is a directory now")
		w.done(b, i, i.before)
		return nil
	}
	b.file = in
	switch what {
	case isLink:
		link := r.Text()
		if in.err == nil && r.Err() == nil {
			in.err = w.link(b, in, link)
		}
		w.complete(b, in)
	case isSpecial:
		if in.err == nil {
			in.err = w.special(b, in)
		}
		w.complete(b, in)
	case isHash:
	case isContent:
		in.hash = w.newHash()
		if !in.stat.IsRegular() {
			r.Fail("content of what is no file")
		} else if t.options.Preview {
			in.err = errors.New("it was no file when it was listed") // nothing else is asked for
		} else if in.err == nil {
			in.err = w.open(b, in)
		}
	default:
		r.Fail("what became of an item is %d", what)
	}
	return r.Err()
}

// done ends an item, and the batch with the last one.
func (w *writer) done(b *batch, i *item, brought *tree.Known) {
	i.closeBasis()
	b.file = nil
	if i.done != nil {
		i.done(brought)
	}
	for _, left := range b.items {
		if left != nil {
			return
		}
	}
	w.target.answered(b)
}

// directory opens the directory of a batch.
func (w *writer) directory(b *batch) (int, error) {
	if w.opened && w.dir == b.dir {
		return w.handle, nil
	}
	if w.opened {
		unix.Close(w.handle)
		w.opened = false
	}
	fd, err := w.target.root.OpenDir(b.dir)
	if err != nil {
		return -1, err
	}
	self, err := tree.Fstat(fd)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	w.dir, w.handle, w.opened = b.dir, fd, true
	w.group = uint32(os.Getegid())
	if self.Mode&unix.S_ISGID != 0 {
		w.group = self.GID
	}
	// What is made in it has an ACL then.
	_, err = unix.Fgetxattr(fd, attr.ACLDefault, nil)
	w.inherits = err == nil
	return fd, nil
}

// open makes the new file: in its place where there is nothing, else beside.
func (w *writer) open(b *batch, in *incoming) error {
	dir, err := w.directory(b)
	if err != nil {
		return err
	}
	in.name = in.item.name
	if in.item.target == nil {
		in.fd, err = w.target.change.create(dir, in.name)
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
		// Somebody was quicker. What he made goes to the trash.
		in.item.verdict.Conflict = true
	}
	if in.fd, in.name, err = w.target.staging.create(); err != nil {
		return err
	}
	in.staged = true
	if in.item.basis >= 0 {
		out := &output{w: w, in: in}
		in.builder = delta.NewBuilder(&basisReader{fd: in.item.basis}, in.item.basisLen, out, in.stat.Size)
	}
	return nil
}

// output is where a builder writes to.
type output struct {
	w  *writer
	in *incoming
}

func (o *output) Write(data []byte) (int, error) {
	if err := o.w.put(o.in, data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// put writes content.
func (w *writer) put(in *incoming, data []byte) error {
	if in.size+int64(len(data)) > in.stat.Size {
		return fmt.Errorf("%w: more content than the file has", wire.ErrMalformed)
	}
	_, _ = in.hash.Write(data)
	in.size += int64(len(data))
	in.hole = false
	w.target.report.written.Add(int64(len(data)))
	return w.target.change.write(in.fd, data)
}

// segment reads a piece of a file's content.
func (w *writer) segment(b *batch, r *wire.Reader) error {
	in := b.file
	switch kind := r.Byte(); kind {
	case segmentData:
		data := r.Bytes()
		if r.Err() == nil && in.err == nil {
			in.literal += int64(len(data))
			if in.builder != nil {
				in.err = in.builder.Literal(data)
			} else {
				in.err = w.put(in, data)
			}
		}
	case segmentHole:
		length := int64(r.Uint())
		if r.Err() == nil && in.err == nil {
			in.err = w.skip(in, length)
		}
	case segmentCopy:
		offset, length := int64(r.Uint()), int64(r.Uint())
		if r.Err() == nil && in.err == nil {
			if in.builder == nil {
				r.Fail("a copy of what was not offered")
				break
			}
			in.err = in.builder.Copy(offset, length)
		}
	case segmentPause:
		if r.Len() > 0 && r.Err() == nil {
			r.Fail("more after a pause")
		}
	case segmentFailed:
		text := r.Text()
		w.target.report.find(Unread, tree.Join(b.dir, in.item.name), text)
		w.discard(b, in)
		w.done(b, in.item, in.item.before)
	case segmentEnd:
		var hash [delta.HashSize]byte
		copy(hash[:], r.Raw(len(hash)))
		changed := r.Flag()
		if r.Err() == nil {
			w.end(b, in, hash, changed)
		}
	default:
		r.Fail("a segment of kind %d", kind)
	}
	return r.Err()
}

// skip leaves a hole.
func (w *writer) skip(in *incoming, length int64) error {
	if length < 0 || in.builder != nil || length > in.stat.Size-in.size {
		return fmt.Errorf("%w: a hole of %d bytes", wire.ErrMalformed, length)
	}
	hashZeros(in.hash, length)
	in.size += length
	in.hole = true
	w.target.report.written.Add(length)
	_, err := unix.Seek(in.fd, length, unix.SEEK_CUR)
	return err
}

// discard takes an unfinished file away.
func (w *writer) discard(b *batch, in *incoming) {
	if in.hash != nil {
		w.sum(in.hash)
		in.hash = nil
	}
	if in.fd < 0 {
		return
	}
	unix.Close(in.fd)
	in.fd = -1
	dir, err := w.target.staging.fd, error(nil)
	if !in.staged {
		dir, err = w.directory(b)
	}
	if err == nil {
		// Where it cannot be removed the next pass knows it as what broke off.
		_ = w.target.change.unlink(dir, in.name)
	}
}

// end ends a file whose content, or whose hash alone, has come whole.
func (w *writer) end(b *batch, in *incoming, hash [delta.HashSize]byte, changed bool) {
	i, t := in.item, w.target
	if in.hash == nil {
		same, err := w.sameAs(b, in, hash)
		switch {
		case err != nil && in.err == nil:
			in.err = err
		case !same && in.err == nil && i.verdict.Yield:
			t.report.find(Left, i.path(b.dir), "content")
			if t.options.all() && !t.options.Preview {
				t.report.add(&t.report.Verified, 1)
			}
			w.done(b, i, i.before)
			return
		case !same && in.err == nil && i.verdict.Conflict && t.options.OnConflict == "fail":
			in.err = errOwn
		case !same && in.err == nil && t.options.Preview:
			i.way, in.size, in.literal = fetchWhole, in.stat.Size, in.stat.Size
		case !same && in.err == nil:
			if i.verdict.Sound {
				t.report.find(Spoiled, i.path(b.dir), "")
			}
			b.file = nil
			w.again(b, i)
			return
		}
		w.finish(b, in, changed)
		return
	}
	written := w.sum(in.hash)
	in.hash = nil
	if in.err == nil && in.hole {
		in.err = t.change.truncate(in.fd, in.size)
	}
	if in.err == nil && written != hash {
		if i.basis >= 0 {
			// The older version was changed under way.
			w.discard(b, in)
			b.file = nil
			w.again(b, i)
			return
		}
		in.err = errors.New("what was written is not what the source host has read")
	}
	if in.err == nil {
		// Where it was cut short while it was read, it is what was read.
		in.err = w.dress(b, in)
	}
	if in.err == nil && in.staged {
		in.err = w.place(b, in)
	}
	w.finish(b, in, changed || in.size != in.stat.Size)
}

// again asks for an item that was not what it was likely to be.
func (w *writer) again(b *batch, i *item) {
	next := *i
	i.done, i.basis = nil, -1
	if next.basis >= 0 || next.way == fetchDelta || !w.offer(b, &next) {
		next.closeBasis()
		next.way = fetchWhole
	}
	if err := w.target.ask(&batch{dir: b.dir, items: []*item{&next}}, false); err != nil {
		w.target.abort(err)
	}
	w.done(b, i, nil)
}

// offer opens the older version of a large file, so that only what is new of it
// is sent.
func (w *writer) offer(b *batch, i *item) bool {
	dir, err := w.directory(b)
	return err == nil && i.offer(dir)
}

// offer does so in an open directory.
func (i *item) offer(dir int) bool {
	if i.target == nil || !i.target.IsRegular() || i.target.Size < deltaFrom || i.listed.Size < deltaFrom {
		return false
	}
	fd, stat, _, err := open(dir, i.name, false)
	if err != nil {
		return false
	}
	if !stat.IsRegular() {
		unix.Close(fd)
		return false
	}
	i.basis, i.way = fd, fetchDelta
	return true
}
