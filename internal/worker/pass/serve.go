//go:build linux

package pass

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/filter"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Namer gives users and groups of a host their names. A number without a name has
// "". It is asked for many at once: a name may be in a directory service.
type Namer interface {
	Names(users, groups []uint32) (userNames, groupNames map[uint32]string, err error)
}

// Served is what the old host lets a pass read.
type Served struct {
	// Paths are the directories, absolute. A pass asks for one by its place here.
	Paths []string
	Names Namer
	// Readers is how many files are read at a time; 0 is twice the processors.
	Readers int

	// clock is this host's, in tests; nil is the real one.
	clock func() time.Time
}

// Serve answers passes over the stream, one after the other, until it ends. It
// lists and reads the directories, and does nothing else. Its error is also told
// to the other end.
func Serve(ctx context.Context, stream io.ReadWriter, served Served) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer closeWith(ctx, stream)()
	c := &conn{r: bufio.NewReaderSize(stream, 64<<10), w: stream}
	for {
		s := &source{
			served: served, ctx: ctx, cancel: cancel, conn: c,
			signatures: map[uint64]*delta.Signature{},
			requests:   make(chan *fetch, 1024),
			frames:     sync.Pool{New: func() any { b := make([]byte, 0, frameSize+frameSize/8); return &b }},
			owners:     owners{namer: served.Names, told: map[owner]bool{}},
		}
		err := s.serve()
		if s.root != nil {
			s.root.Close()
		}
		if errors.Is(err, errNoMore) {
			return nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			// The other end may have gone; then nobody is to be told.
			_ = c.say(saysFailed, func(b []byte) []byte { return wire.AppendText(b, err.Error()) })
			return err
		}
	}
}

// errNoMore is for a stream that ends where another pass might begin.
var errNoMore = errors.New("there is no other pass")

// frameSize is about how long a frame of content is, in bytes: small files share
// one.
const frameSize = 1 << 20

// source is the state of Serve.
type source struct {
	served Served
	//nolint:containedctx // one talk, from its begin to its end
	ctx      context.Context
	cancel   context.CancelCauseFunc
	conn     *conn
	root     *tree.Root
	filter   *filter.Filter
	seed     uint64
	known    map[tree.Digest]place
	requests chan *fetch
	frames   sync.Pool
	owners   owners
	reading  sync.WaitGroup

	signatures    map[uint64]*delta.Signature // of files that are about to be asked for
	signatureSize int                         // bytes of all of them
}

// place is what the target has of a directory.
type place struct {
	number uint32
	digest tree.Digest
}

// maxSignatures is how many bytes of signatures wait for their fetch.
const maxSignatures = 256 << 20

func (s *source) serve() error {
	if err := s.greet(); err != nil {
		return err
	}
	readers := s.served.Readers
	if readers == 0 {
		readers = 2 * runtime.GOMAXPROCS(0)
	}
	for range readers {
		s.reading.Go(func() {
			reader := newReader(s)
			for f := range s.requests {
				if s.ctx.Err() == nil {
					if err := reader.fetch(f); err != nil {
						s.cancel(err)
					}
				}
			}
		})
	}
	err := s.listen()
	close(s.requests)
	if err != nil {
		s.cancel(err)
	}
	s.reading.Wait()
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.conn.say(saysEnd, nil)
}

// greet reads the target's hello, opens the root and answers.
func (s *source) greet() error {
	kind, r, err := s.conn.next()
	if errors.Is(err, io.EOF) {
		return errNoMore
	}
	if err != nil {
		return err
	}
	var h hello
	h.read(r)
	if kind != askHello || r.Done() != nil {
		return errors.Join(errUnexpected, r.Err())
	}
	if h.Version != version {
		return fmt.Errorf("the other worker speaks version %d, this one %d", h.Version, version)
	}
	if h.Root >= uint64(len(s.served.Paths)) {
		return fmt.Errorf("directory %d is asked for, and %d are served", h.Root+1, len(s.served.Paths))
	}
	if s.filter, err = filter.Compile(h.Excludes); err != nil {
		return err
	}
	if s.root, err = tree.OpenRoot(s.served.Paths[h.Root]); err != nil {
		return err
	}
	s.seed = h.Seed
	clock := s.served.clock
	if clock == nil {
		clock = time.Now
	}
	answer := hello{Version: version, Now: clock().UnixNano()}
	return s.conn.say(saysHello, answer.append)
}

// listen does what the target asks for, until it has asked for all.
func (s *source) listen() error {
	s.known = map[tree.Digest]place{}
	for {
		kind, r, err := s.conn.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch kind {
		case askKnown:
			for r.Err() == nil && r.Len() > 0 {
				var k known
				copy(k.path[:], r.Raw(len(k.path)))
				copy(k.digest[:], r.Raw(len(k.digest)))
				s.known[k.path] = place{uint32(len(s.known)), k.digest}
			}
		case askList:
			err = s.list()
		case askSignature:
			err = s.signature(r)
		case askFetch:
			// Names point into the message, whose memory is used again.
			f := &fetch{}
			f.read(wire.NewReader(append([]byte(nil), r.Rest()...)))
			if err = s.check(f); err == nil {
				select {
				case s.requests <- f:
				case <-s.ctx.Done():
					err = context.Cause(s.ctx)
				}
			}
		case askEnd:
			return r.Done()
		default:
			err = errUnexpected
		}
		if err == nil {
			err = r.Done()
		}
		if err != nil {
			return err
		}
	}
}

func (s *source) signature(r *wire.Reader) error {
	id, blockSize := r.Uint(), r.Uint32()
	chunk := r.Rest()
	if r.Err() != nil {
		return r.Err()
	}
	signature := s.signatures[id]
	if signature == nil {
		var err error
		if signature, err = delta.NewSignature(int(blockSize), signatureSeed(s.seed)); err != nil {
			return err
		}
		s.signatures[id] = signature
	}
	if s.signatureSize += len(chunk); s.signatureSize > maxSignatures {
		return fmt.Errorf("%w: signatures of %d bytes", wire.ErrMalformed, s.signatureSize)
	}
	return signature.Add(chunk)
}

// check completes a fetch of a file with a signature.
func (s *source) check(f *fetch) error {
	for i := range f.Items {
		if f.Items[i].Way != fetchDelta {
			continue
		}
		signature := s.signatures[f.ID]
		if signature == nil || len(f.Items) != 1 {
			return fmt.Errorf("%w: a fetch without its signature", wire.ErrMalformed)
		}
		delete(s.signatures, f.ID)
		if err := signature.Complete(f.Items[i].BasisSize); err != nil {
			return err
		}
		f.signature = signature
	}
	return nil
}

// list sends what is in the root: directories that the target knows as they are
// by their numbers, the others with all that is in them.
func (s *source) list() error {
	goroutines := max(2, runtime.GOMAXPROCS(0))
	lists := make([]lister, goroutines)
	for i := range lists {
		lists[i].source = s
	}
	err := tree.Walk(s.ctx, s.root, s.filter, goroutines,
		func(goroutine int, l *tree.Listing) error { return lists[goroutine].visit(l) },
		func(path string, err error) { s.trouble("open", path, err) })
	for i := range lists {
		if err == nil {
			err = lists[i].flush()
		}
	}
	if err == nil {
		err = s.conn.say(saysListed, nil)
	}
	s.known = nil
	return err
}

func (s *source) trouble(kind, path string, err error) {
	t := trouble{Kind: kind, Path: path, Text: err.Error()}
	if err := s.conn.say(saysTrouble, t.append); err != nil {
		s.cancel(err)
	}
}

// lister is what one goroutine of the walk gathers.
type lister struct {
	source *source
	same   []byte // numbers of directories
	counts Counts
	frame  []byte
}

func (l *lister) visit(d *tree.Listing) error {
	s := l.source
	var users, groups []uint32
	for i := range d.Len() {
		l.counts.count(d.Stat(i))
	}
	for _, u := range d.Unread {
		s.trouble("look at", tree.Join(d.Path, u.Name), u.Err)
	}
	if d.Partial != nil {
		s.trouble("list", d.Path, d.Partial)
	}
	hash := pathHash(d.Path, s.seed)
	before := -1
	if p, ok := s.known[hash]; ok {
		before = int(p.digest[0])
	}
	for _, piece := range d.Pieces(tree.PieceBits(d.Len(), before), s.seed) {
		p, ok := s.known[pieceHash(hash, piece.Piece)]
		if ok && len(piece.Unread) == 0 && piece.Partial == nil && p.digest == piece.Digest(s.seed) {
			l.same = binary.AppendUvarint(l.same, uint64(p.number))
			continue
		}
		piece.Sort()
		users, groups = append(users[:0], d.Self.UID), append(groups[:0], d.Self.GID)
		for i := range piece.Len() {
			// Most have the owner of the one before.
			if stat := piece.Stat(i); stat.UID != users[len(users)-1] || stat.GID != groups[len(groups)-1] {
				users, groups = append(users, stat.UID), append(groups, stat.GID)
			}
		}
		if err := s.owners.tell(s.conn, users, groups); err != nil {
			return err
		}
		l.frame = piece.Append(wire.Begin(l.frame[:0], saysDir))
		if err := s.conn.send(wire.End(l.frame, 0)); err != nil {
			return err
		}
	}
	if len(l.same) > 32<<10 {
		return l.flush()
	}
	return nil
}

// flush sends what was gathered.
func (l *lister) flush() error {
	l.frame = wire.AppendText(l.counts.append(wire.Begin(l.frame[:0], saysSame)), l.same)
	l.same, l.counts = l.same[:0], Counts{}
	return l.source.conn.send(wire.End(l.frame, 0))
}

// count adds an entry.
func (c *Counts) count(stat *tree.Stat) {
	switch stat.Kind() {
	case unix.S_IFREG:
		c.Regular++
		c.Bytes += uint64(stat.Size)
	case unix.S_IFDIR:
		c.Directories++
	case unix.S_IFLNK:
		c.Links++
	default:
		c.Special++
	}
}

// signatureSeed is the seed of signatures: another one than that of the hash which
// tells whether what they led to is right.
func signatureSeed(seed uint64) uint64 { return xxh3.HashStringSeed("signature", seed) }

// pathHash stands for a path in the table of what the target knows.
func pathHash(path string, seed uint64) tree.Digest {
	return tree.Digest(xxh3.HashString128Seed(path, seed).Bytes())
}

// pieceHash stands for a piece of the directory.
func pieceHash(path tree.Digest, piece tree.Piece) tree.Digest {
	path[0] ^= piece.Bits + 1
	binary.LittleEndian.PutUint32(path[4:], binary.LittleEndian.Uint32(path[4:])^piece.Number)
	return path
}

// owners are the users and groups whose names the target has been told.
type owners struct {
	namer Namer
	mu    sync.Mutex
	told  map[owner]bool // without names
}

// tell sends the names of those that were not told yet.
func (o *owners) tell(c *conn, users, groups []uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	users, groups = o.untold(users, false), o.untold(groups, true)
	if len(users)+len(groups) == 0 {
		return nil
	}
	userNames, groupNames, err := o.namer.Names(users, groups)
	if err != nil {
		return err
	}
	return c.say(saysNames, func(b []byte) []byte {
		for _, id := range users {
			b = (&owner{ID: id, Name: userNames[id]}).append(b)
		}
		for _, id := range groups {
			b = (&owner{Group: true, ID: id, Name: groupNames[id]}).append(b)
		}
		return b
	})
}

func (o *owners) untold(ids []uint32, group bool) (untold []uint32) {
	for _, id := range ids {
		if key := (owner{Group: group, ID: id}); !o.told[key] {
			o.told[key] = true
			untold = append(untold, id)
		}
	}
	return untold
}
