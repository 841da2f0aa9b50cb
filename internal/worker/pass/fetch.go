//go:build linux

package pass

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// batch is some files of a directory that were asked for.
type batch struct {
	id    uint64
	dir   string
	items []*item
	file  *incoming // that is being received, by the writer
}

// item is a file that was asked for.
type item struct {
	name     string // "" for the directory itself
	way      byte
	verdict  tree.Verdict
	listed   tree.Stat   // what the source was when it was listed
	target   *tree.Stat  // what is in its place, or nil
	before   *tree.Known // what the base has of it, or nil
	basis    int         // handle of the older version, for fetchDelta; else -1
	basisLen int64
	blocks   int // size of a block of the signature, in bytes
	renamed  bool
	anew     bool // it was copied to another file system, and is not what was written
	// done takes what the base is to have of it: nil where it was not brought.
	done func(brought *tree.Known)
}

// path of an item of a directory.
func (i *item) path(dir string) string {
	if i.name == "" {
		return dir
	}
	return tree.Join(dir, i.name)
}

// What a batch is at most.
const (
	maxItems = 512
	maxBytes = 4 << 20
	// deltaFrom is the size in bytes from which of a file that has changed only
	// what is new is sent.
	deltaFrom = 256 << 10
	// maxAsked is how many batches are asked for at a time.
	maxAsked = 256
)

// start starts what receives and writes.
func (t *target) start() {
	t.unwatch = context.AfterFunc(t.ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.quiet.Broadcast()
	})
	t.sender = newSender(t)
	for range t.writersCount() {
		w := &writer{target: t, frames: make(chan incomingFrame, 8)}
		t.writers = append(t.writers, w)
		t.working.Go(w.run)
	}
	t.receiving.Go(func() {
		if err := t.receive(); err != nil {
			t.abort(err)
		}
		for _, w := range t.writers {
			close(w.frames)
		}
	})
}

// abort ends the pass with an error.
func (t *target) abort(err error) { t.cancel(err) }

// stop waits until all has ended that start began.
func (t *target) stop(err error) error {
	if err != nil {
		t.abort(err)
	}
	defer t.unwatch()
	t.receiving.Wait()
	t.working.Wait()
	t.sender.stop()
	return context.Cause(t.ctx)
}

// ask asks for a batch. wait is false for what a writer asks for: it must never
// wait for what it has to write itself.
func (t *target) ask(b *batch, wait bool) error {
	t.mu.Lock()
	for wait && len(t.asked) >= maxAsked && t.ctx.Err() == nil {
		t.quiet.Wait()
	}
	if err := context.Cause(t.ctx); err != nil {
		t.mu.Unlock()
		return err
	}
	t.lastID++
	b.id = t.lastID
	t.asked[b.id] = b
	t.mu.Unlock()
	t.sender.add(b)
	return nil
}

// answered notes that a batch is complete.
func (t *target) answered(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.asked, b.id)
	t.quiet.Broadcast()
}

// wait waits until all that was asked for has come and is written.
func (t *target) wait() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.asked) > 0 && t.ctx.Err() == nil {
		t.quiet.Wait()
	}
	return context.Cause(t.ctx)
}

// sender sends what is asked for, so that nobody who asks waits for the stream.
type sender struct {
	target *target
	mu     sync.Mutex
	wake   *sync.Cond
	queue  []*batch
	ended  bool
	done   chan struct{}
}

func newSender(t *target) *sender {
	s := &sender{target: t, done: make(chan struct{})}
	s.wake = sync.NewCond(&s.mu)
	go s.run()
	return s
}

func (s *sender) add(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, b)
	s.wake.Signal()
}

func (s *sender) stop() {
	s.mu.Lock()
	s.ended = true
	s.wake.Signal()
	s.mu.Unlock()
	<-s.done
}

func (s *sender) run() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.ended {
			s.wake.Wait()
		}
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return
		}
		b := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if s.target.ctx.Err() != nil {
			continue
		}
		if err := s.send(b); err != nil {
			s.target.abort(err)
		}
	}
}

func (s *sender) send(b *batch) error {
	t := s.target
	f := fetch{ID: b.id, Dir: b.dir}
	for _, i := range b.items {
		if i.way == fetchDelta {
			if err := s.sign(b.id, i); err != nil {
				// The older version cannot be read: it is asked for as if it were new.
				i.way = fetchWhole
				i.closeBasis()
			}
		}
		f.Items = append(f.Items, fetchItem{Name: []byte(i.name), Way: i.way, BlockSize: uint32(i.blocks), BasisSize: i.basisLen})
	}
	return t.conn.say(askFetch, f.append)
}

// sign sends the signature of an item's older version.
func (s *sender) sign(id uint64, i *item) error {
	t := s.target
	i.blocks = delta.BlockSize(i.target.Size)
	size, err := delta.Sign(t.ctx, &basisReader{fd: i.basis}, i.blocks, signatureSeed(t.base.Seed), func(chunk []byte) error {
		return t.conn.say(askSignature, func(b []byte) []byte {
			b = wire.AppendNumber(wire.AppendNumber(b, id), uint64(i.blocks))
			return append(b, chunk...)
		})
	})
	i.basisLen = size
	return err
}

func (i *item) closeBasis() {
	if i.basis >= 0 {
		unix.Close(i.basis)
		i.basis = -1
	}
}

// basisReader reads the older version of a file from its begin to its end.
type basisReader struct {
	fd int
	at int64
}

func (r *basisReader) Read(b []byte) (int, error) {
	n, err := r.ReadAt(b, r.at)
	r.at += int64(n)
	return n, err
}

func (r *basisReader) ReadAt(b []byte, at int64) (int, error) {
	n, err := unix.Pread(r.fd, b, at)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// incomingFrame is content for a batch.
type incomingFrame struct {
	batch   *batch
	content []byte
	packed  bool
	memory  *[]byte // in which the content is, to be used again
}

// receive reads the source's answers and gives them to the writers.
func (t *target) receive() error {
	for {
		kind, r, err := t.conn.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the source host's worker broke off: %w", err)
		}
		switch kind {
		case saysContent, saysPacked:
			id := r.Uint()
			t.mu.Lock()
			b := t.asked[id]
			t.mu.Unlock()
			if b == nil {
				return fmt.Errorf("%w: an answer that nobody asked for", wire.ErrMalformed)
			}
			f := incomingFrame{batch: b, content: r.Rest(), packed: kind == saysPacked, memory: framePool.Get().(*[]byte)}
			*f.memory = t.conn.take(*f.memory)
			// One writer has all of a directory: two that make files in one wait for
			// each other in the kernel.
			w := t.writers[xxh3.HashString(b.dir)%uint64(len(t.writers))]
			select {
			case w.frames <- f:
			case <-t.ctx.Done():
				return context.Cause(t.ctx)
			}
		case saysEnd:
			return r.Done()
		default:
			err = t.common(kind, r)
			if err == nil && kind == saysNames {
				err = t.resolveFresh()
			}
		}
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return err
		}
	}
}

var framePool = sync.Pool{New: func() any { b := make([]byte, 0, frameSize+frameSize/8); return &b }}
