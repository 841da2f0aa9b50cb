//go:build linux

package pass

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Serve answers passes over the stream until it ends. A pass may list several
// directories before it asks for what is in them: of each there is a talk. It
// lists and reads the directories, and does nothing else. Its error is also told
// to the other end.
func Serve(ctx context.Context, stream io.ReadWriter, served Served) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &talks{
		served: served, ctx: ctx, cancel: cancel, byRoot: map[uint64]*source{},
		conn:   &conn{r: bufio.NewReaderSize(stream, 64<<10), w: stream},
		frames: &sync.Pool{New: func() any { b := make([]byte, 0, frameSize+frameSize/8); return &b }},
	}
	defer context.AfterFunc(ctx, func() { t.giveUp(stream) })()
	err := t.answer()
	if err != nil {
		cancel(err) // so that nobody reads files any more
	}
	for _, s := range t.byRoot {
		s.stop()
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		t.tell(err)
	}
	return err
}

// giveUp tells the other end what has failed, which ends the stream then. Nobody here
// can end it while it waits for a message, unless it can be closed. Who does not
// listen is not waited for.
func (t *talks) giveUp(stream io.ReadWriter) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		t.tell(context.Cause(t.ctx))
	}()
	select {
	case <-told:
	case <-time.After(time.Second):
	}
	if c, ok := stream.(io.Closer); ok {
		c.Close()
	}
}

// tell tells the other end the first error.
func (t *talks) tell(err error) {
	t.told.Do(func() {
		// It may have gone; then nobody is to be told.
		_ = t.conn.say(saysFailed, func(b []byte) []byte { return wire.AppendText(b, err.Error()) })
	})
}

// talks are what Serve is asked for over one stream.
type talks struct {
	served Served
	//nolint:containedctx // one stream, from its begin to its end
	ctx     context.Context
	cancel  context.CancelCauseFunc
	conn    *conn
	packer  *packer // from the first hello on
	frames  *sync.Pool
	byRoot  map[uint64]*source // that have begun and not ended
	root    uint64             // of the current one
	current *source            // that the messages belong to; nil where none was chosen
	told    sync.Once          // the other end, that it has failed
}

// answer does what the target asks for, until the stream ends.
func (t *talks) answer() error {
	for {
		kind, r, err := t.conn.next()
		if errors.Is(err, io.EOF) && t.idle() {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		switch {
		case kind == askHello:
			err = t.hello(r)
		case kind == askRoot:
			err = t.choose(r.Uint())
		case t.current == nil:
			err = errUnexpected
		case kind == askEnd:
			err = t.end()
		default:
			err = t.current.message(kind, r)
		}
		if err == nil {
			err = r.Done()
		}
		if err != nil {
			return err
		}
	}
}

// idle says whether the stream may end: nothing is under way. A pass that was
// refused after its roots were listed asks for nothing more.
func (t *talks) idle() bool {
	for _, s := range t.byRoot {
		if s.requests != nil || !s.listed {
			return false
		}
	}
	return true
}

// hello begins a talk. An earlier one about the same root is over by that.
func (t *talks) hello(r *wire.Reader) error {
	var h hello
	h.read(r)
	if err := r.Done(); err != nil {
		return errors.Join(errUnexpected, err)
	}
	if h.Version != version {
		return fmt.Errorf("the other worker speaks version %d, this one %d", h.Version, version)
	}
	if h.Root >= uint64(len(t.served.Paths)) {
		return fmt.Errorf("directory %d is asked for, and %d are served", h.Root+1, len(t.served.Paths))
	}
	if old := t.byRoot[h.Root]; old != nil {
		delete(t.byRoot, h.Root)
		old.stop()
	}
	if t.packer == nil || t.packer.compress != h.Compress {
		t.packer = &packer{compress: h.Compress, clock: time.Now}
	}
	s := &source{
		served: t.served, ctx: t.ctx, cancel: t.cancel, conn: t.conn, packer: t.packer, frames: t.frames,
		known:      map[tree.Digest]place{},
		signatures: map[uint64]*delta.Signature{},
		owners:     owners{namer: t.served.Names, told: map[owner]bool{}},
	}
	if err := s.greet(&h); err != nil {
		s.close()
		return err
	}
	t.byRoot[h.Root], t.root, t.current = s, h.Root, s
	return nil
}

// choose goes back to the talk about a root.
func (t *talks) choose(root uint64) error {
	s := t.byRoot[root]
	if s == nil {
		return fmt.Errorf("%w: there is no talk about directory %d", wire.ErrMalformed, root+1)
	}
	t.root, t.current = root, s
	return nil
}

// end ends the current talk when all was sent that it has asked for.
func (t *talks) end() error {
	s := t.current
	delete(t.byRoot, t.root)
	t.current = nil
	s.stop()
	if err := context.Cause(t.ctx); err != nil {
		return err
	}
	return t.conn.say(saysEnd, nil)
}
