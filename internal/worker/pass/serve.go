//go:build linux

package pass

import (
	"context"
	"encoding/binary"
	"fmt"
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
	// Bases are the files of what passes the other way have brought to the Paths, in the
	// same order, and Boot the start of this host. A file need not exist.
	Bases []string
	Boot  string
	// Readers is how many files are read at a time; 0 is twice the processors.
	Readers int

	// In tests: this host's clock, and in how many pieces a directory is; nil is the real
	// one.
	clock     func() time.Time
	pieceBits func(entries, before int) int
}

// frameSize is about how long a frame of content is, in bytes: small files share
// one.
const frameSize = 1 << 20

// source is a talk about one root.
type source struct {
	served Served
	//nolint:containedctx // one talk, from its begin to its end
	ctx      context.Context
	cancel   context.CancelCauseFunc
	conn     *conn
	packer   *packer
	root     *tree.Root
	base     *tree.Base // of passes the other way; nil where there is none
	filter   *filter.Filter
	seed     uint64
	known    map[tree.Digest]place
	requests chan *fetch // nil until the first
	frames   *sync.Pool
	listed   bool
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

// start starts what reads files, when the first is asked for.
func (s *source) start() {
	if s.requests != nil {
		return
	}
	s.requests = make(chan *fetch, 1024)
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
}

// stop waits for what reads files.
func (s *source) stop() {
	if s.requests != nil {
		close(s.requests)
		s.reading.Wait()
	}
	s.close()
}

func (s *source) close() {
	if s.base != nil {
		_ = s.base.Close() // it was only read
	}
	if s.root != nil {
		s.root.Close()
	}
}

// greet opens the root for which a hello asks, and answers.
func (s *source) greet(h *hello) (err error) {
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
	if err := s.openBase(h, &answer); err != nil {
		return err
	}
	return s.conn.say(saysHello, answer.append)
}

// message does what the target asks for, besides the end.
func (s *source) message(kind byte, r *wire.Reader) error {
	switch kind {
	case askKnown:
		for r.Err() == nil && r.Len() > 0 {
			var k known
			copy(k.path[:], r.Raw(len(k.path)))
			copy(k.digest[:], r.Raw(len(k.digest)))
			s.known[k.path] = place{uint32(len(s.known)), k.digest}
		}
	case askBrought:
		return s.lend()
	case askList:
		return s.list()
	case askData:
		return s.data(r)
	case askSignature:
		return s.signature(r)
	case askFetch:
		// Names point into the message, whose memory is used again.
		f := &fetch{}
		f.read(wire.NewReader(append([]byte(nil), r.Rest()...)))
		if err := s.check(f); err != nil {
			return err
		}
		s.start()
		select {
		case s.requests <- f:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	default:
		return errUnexpected
	}
	return nil
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
	s.known, s.listed = map[tree.Digest]place{}, true
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

	// Owners of a directory that may not be told yet, and the one who was seen last.
	users, groups []uint32
	uid, gid      uint32
	told          bool // the one who was
}

// owner notes the owner of an entry. Most have that of the one before.
func (l *lister) owner(stat *tree.Stat) {
	if len(l.users) == 0 || stat.UID != l.uid || stat.GID != l.gid {
		l.uid, l.gid = stat.UID, stat.GID
		l.users, l.groups = append(l.users, l.uid), append(l.groups, l.gid)
	}
}

func (l *lister) visit(d *tree.Listing) error {
	s := l.source
	// Also of what is as it was: the target compares its owners, too, when it looks at
	// all.
	l.owner(&d.Self)
	for i := range d.Len() {
		l.counts.count(d.Stat(i))
		l.owner(d.Stat(i))
	}
	// The last stays, and was told.
	if n := len(l.users) - 1; n > 0 || !l.told {
		if err := s.owners.tell(s.conn, l.users, l.groups); err != nil {
			return err
		}
		l.users, l.groups = append(l.users[:0], l.uid), append(l.groups[:0], l.gid)
		l.told = true
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
	pieceBits := tree.PieceBits
	if s.served.pieceBits != nil {
		pieceBits = s.served.pieceBits
	}
	for _, piece := range d.Pieces(pieceBits(d.Len(), before), s.seed) {
		p, ok := s.known[pieceHash(hash, piece.Piece)]
		if ok && len(piece.Unread) == 0 && piece.Partial == nil && p.digest == piece.Digest(s.seed) {
			l.same = binary.AppendUvarint(l.same, uint64(p.number))
			continue
		}
		piece.Sort()
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
