//go:build linux

package pass

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// A pass the other way, from the new host back to the old one, goes on from what the
// passes of the chain have brought: it copies what the new host has received since, and
// takes away what is gone there. The base lies on the new host, which is the source then.
// It is swapped there and sent. Whoever goes first again takes it back the same way:
// Base.Turn says which of the two is right.

// openBase opens what passes the other way have brought, and says so in the answer.
func (s *source) openBase(h *hello, answer *hello) error {
	if h.Root >= uint64(len(s.served.Bases)) {
		return nil
	}
	base, err := tree.ReadBase(s.served.Bases[h.Root], s.served.Boot)
	if err != nil {
		return err
	}
	s.base = base
	answer.Seed, answer.Turn, answer.Broken = base.Seed, base.Turn, base.BrokeOff
	return nil
}

// lend sends what passes the other way have brought, as it is for this one. What may not
// have been on the disk when this host was restarted it leaves out: of that nothing is
// known then, and nothing is taken away.
func (s *source) lend() error {
	if s.base == nil || s.listed {
		return errUnexpected
	}
	var frame []byte
	for _, path := range s.base.Known() {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if s.base.Unsure(path) {
			continue
		}
		var err error
		if frame, err = s.lendDirectory(path, frame); err != nil {
			return fmt.Errorf("%s: %w", tree.Join(s.root.Path, path), err)
		}
	}
	return s.conn.say(saysLent, nil)
}

func (s *source) lendDirectory(path string, frame []byte) ([]byte, error) {
	dir, err := s.root.OpenDir(path)
	if err != nil && !tree.Gone(err) {
		return frame, err
	}
	var mount tree.Mount
	look := func([]byte) (tree.Stat, error) { return tree.Stat{}, unix.ENOENT }
	if err == nil {
		defer unix.Close(dir)
		if mount, err = tree.MountOf(dir); err != nil {
			return frame, err
		}
		look = func(name []byte) (tree.Stat, error) { return tree.StatAt(dir, name) }
	}
	var d tree.Brought
	for _, piece := range s.base.Pieces(path) {
		if err := s.base.Load(path, piece, &d); err != nil {
			return frame, err
		}
		if mount != (tree.Mount{}) && mount != d.TargetMount {
			s.trouble("lend", path, errors.New("another file system is mounted there than the one to which passes have copied"))
			return frame, nil
		}
		swapped, err := d.Swap(mount, look)
		if err != nil {
			return frame, err
		}
		frame = swapped.Append(wire.Begin(frame[:0], saysBrought))
		if err := s.conn.send(wire.End(frame, 0)); err != nil {
			return frame, err
		}
	}
	return frame, nil
}

// inherit takes what passes the other way have brought. Where something is not mounted
// there the pass is refused: what is in it would be taken for gone.
func (t *target) inherit(seed uint64) error {
	if err := t.conn.say(askBrought, nil); err != nil {
		return err
	}
	inheritance, err := t.base.Inherit(seed)
	if err != nil {
		return err
	}
	defer inheritance.Close()
	var d tree.Brought
	for {
		kind, r, err := t.conn.next()
		if err != nil {
			return fmt.Errorf("what passes the other way have brought broke off: %w", err)
		}
		switch kind {
		case saysBrought:
			if d.ReadBrought(r, seed); r.Err() == nil {
				err = inheritance.Put(&d)
			}
		case saysLent:
			if err := r.Done(); err != nil {
				return err
			}
			if found := t.report.Found[Unmount]; found != nil {
				return fmt.Errorf("%w: on the source host something else is mounted than passes have copied to, the first at %s",
					ErrRefused, tree.Readable(tree.Join(t.options.Source, found.Paths[0].Path)))
			}
			t.report.First = false
			return inheritance.Done()
		default:
			err = t.common(kind, r)
		}
		if err = errors.Join(err, r.Done()); err != nil {
			return err
		}
	}
}
