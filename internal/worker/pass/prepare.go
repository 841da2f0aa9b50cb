//go:build linux

package pass

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/filter"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Prepared is a pass of which is known what it would bring. It has changed nothing
// on the target.
type Prepared struct {
	t       *target
	unwatch func() bool // that closes the stream when the context ends
	flush   func()      // the log
}

// Prepare begins a pass: it lists the root and finds out what would be brought, and
// from whom. Several roots may be prepared over one stream before the first is run.
// What it returns is to be closed; ctx counts until then. The report is filled while
// the pass goes on, and says also with an error how far it came.
//
// An error that wraps ErrRefused says why nothing of this root may be copied; others
// can be prepared still. After any other error the stream is of no use any more.
func (p *Peer) Prepare(ctx context.Context, o Options, report *Report) (*Prepared, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &target{
		options: o, ctx: ctx, cancel: cancel,
		conn:   p.conn,
		report: report,
		change: changes{fail: o.Fail},
		listed: map[tree.Place][]byte{},
		seen:   map[string]bool{},
		pieces: map[string][]tree.Piece{},
		groups: map[fileNumber]*linkGroup{}, led: map[uint64]bool{}, dresses: map[uint64]dress{},
		touched: map[string]*touch{}, unfinished: map[string]bool{}, gone: map[string]bool{},
		cleared: map[string]bool{}, away: map[string]bool{}, stirred: map[string]bool{}, severed: map[uint64]uint32{},
		asked: map[uint64]*batch{},
	}
	t.quiet = sync.NewCond(&t.mu)
	prepared := &Prepared{t: t, unwatch: closeWith(ctx, p.stream), flush: report.keepLog(&o)}
	defer prepared.flush() // the log of the next root follows
	if err := t.because(t.prepare()); err != nil {
		prepared.Close()
		return nil, err
	}
	return prepared, nil
}

// Run makes the pass, once, after Check. An error is one of the stream, the target
// or the base as a whole; what is wrong with single files is in the report. After an
// error the stream is of no use any more.
func (p *Prepared) Run() error {
	if !p.t.opened {
		return errors.New("the pass is over")
	}
	err := p.t.because(p.t.run())
	p.t.tried = tree.Stat{} // the pass itself sees to the time of the directory
	p.Close()
	return err
}

// Close ends a pass that is not run: nothing on the target is another than before.
// It does nothing after Run.
func (p *Prepared) Close() {
	p.t.closeAll()
	p.flush()
	p.unwatch()
	p.t.cancel(nil)
	p.t.report.sort()
}

// because is the reason why the pass was ended, where an error comes of that.
func (t *target) because(err error) error {
	if cause := context.Cause(t.ctx); err != nil && cause != nil && !errors.Is(err, ErrRefused) {
		return cause
	}
	return err
}

func (t *target) prepare() error {
	if err := t.openAll(); err != nil {
		return err
	}
	t.report.begin("listing")
	if err := t.gather(); err != nil {
		return err
	}
	t.report.begin("checking")
	if err := t.survey(); err != nil {
		return err
	}
	if err := t.resolve(); err != nil {
		return err
	}
	return t.reckon()
}

func (t *target) run() error {
	// Other roots may have been listed since.
	root := uint64(t.options.Number)
	if err := t.conn.say(askRoot, func(b []byte) []byte { return binary.AppendUvarint(b, root) }); err != nil {
		return err
	}
	if err := t.base.TakeTurn(t.turn); err != nil {
		return err
	}
	t.sweep()
	t.report.begin("copying")
	t.start()
	err := t.decideAll()
	if err == nil {
		err = t.wait()
	}
	if err == nil {
		err = t.leaders()
	}
	if err == nil {
		err = t.wait()
	}
	if err == nil {
		err = t.conn.say(askEnd, nil)
	}
	t.report.begin("finishing")
	if stopped := t.stop(err); err == nil {
		err = stopped
	}
	if err == nil {
		err = t.linkAll()
	}
	if err == nil {
		err = t.remove()
	}
	if err == nil && !t.options.Preview {
		err = t.finish()
	}
	return err
}

// openAll opens the target, the base and the trash.
func (t *target) openAll() (err error) {
	o := &t.options
	if t.filter, err = filter.Compile(o.Excludes); err != nil {
		return err
	}
	if t.root, err = tree.OpenRoot(o.Target); err != nil {
		return err
	}
	open := tree.OpenBase
	if o.Preview {
		open, t.change.fail = tree.ReadBase, changesNothing
	}
	if t.base, err = open(o.Base, o.Boot); err != nil {
		t.root.Close()
		return err
	}
	t.opened = true
	t.report.First = len(t.base.Known()) == 0 && len(t.base.Broken()) == 0
	if t.base.Dropped > 0 {
		t.report.find(Damaged, o.Base, fmt.Sprintf("%d bytes at its end", t.base.Dropped))
	}
	if o.Delete == ToTrash && !o.Preview {
		if t.trash, err = openTrash(o.Trash, t.change); err != nil {
			return err
		}
	}
	t.staging = &staging{target: t, name: "." + t.base.Token()}
	return nil
}

// sweep takes away what passes that broke off have left, once.
func (t *target) sweep() {
	if !t.options.Preview && !t.swept {
		t.leftovers()
		if len(t.base.Tokens) > 1 {
			// What broke off has had its staging directory here, which changed the time.
			t.touch("", func(touched *touch) { touched.changed = true })
		}
	}
	t.swept = true
}

// closeAll closes what openAll has opened.
func (t *target) closeAll() {
	if !t.opened {
		return
	}
	t.opened = false
	if t.staging != nil {
		t.staging.close()
		t.untry()
	}
	if t.trash != nil {
		t.trash.close()
	}
	if err := t.base.Close(); err != nil {
		t.report.find(Damaged, t.options.Base, err.Error())
	}
	t.root.Close()
}

// ErrGreeting is the error where something else than a worker answers first, and
// ErrSilent where nothing does.
var (
	ErrGreeting = errors.New("this is not what a worker says")
	ErrSilent   = errors.New("the source host's worker did not answer")
)

// hello begins the talk. Where passes the other way know more of the two hosts than the
// chain, it goes on from what they have brought.
func (t *target) hello() error {
	answer, err := t.greet()
	if err != nil {
		return err
	}
	t.turn = t.base.Turn + 1
	if answer.Turn > t.base.Turn {
		if answer.Broken {
			return fmt.Errorf("%w: the last pass the other way broke off, so that parts of files may lie on the source host; "+
				"it has to come to its end first", ErrRefused)
		}
		if err := t.inherit(answer.Seed); err != nil {
			return err
		}
		t.turn = answer.Turn + 1
		// The digests that the other end makes are of the other seed now.
		if answer, err = t.greet(); err != nil {
			return err
		}
	}
	t.now = answer.Now
	return nil
}

// greet says hello, and returns the answer.
func (t *target) greet() (answer hello, err error) {
	h := hello{Version: version, Root: uint64(t.options.Number), Seed: t.base.Seed, Excludes: t.options.Excludes, Compress: t.options.Compress}
	if err := t.conn.say(askHello, h.append); err != nil {
		return answer, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	kind, r, err := t.conn.next()
	switch {
	case errors.Is(err, wire.ErrMalformed):
		return answer, fmt.Errorf("%w: %w", ErrGreeting, err)
	case err != nil:
		return answer, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	if kind == saysFailed {
		return answer, failed(r)
	}
	answer.read(r)
	if kind != saysHello || r.Done() != nil {
		return answer, fmt.Errorf("%w: %w", ErrGreeting, errors.Join(errUnexpected, r.Err()))
	}
	if answer.Version != version {
		return answer, fmt.Errorf("the source host's worker speaks version %d, this one %d", answer.Version, version)
	}
	return answer, nil
}
