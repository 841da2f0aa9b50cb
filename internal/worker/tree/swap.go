//go:build linux

package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// A pass the other way goes on from what the passes of this chain have brought. The
// base is on the host that was their target and is the source now, and so it is swapped
// there, a piece at a time, and sent.

// Swap makes of a piece of a directory what a chain the other way knows of it: source
// and target change places. now is the directory itself as it is on the host that was
// the target; look looks at one of its names, and its error wraps unix.ENOENT where there
// is none.
//
// An entry that is as it was brought is what look says. One that somebody has changed
// since is what was noted of it when it was brought, so that the next listing differs.
func (d *Brought) Swap(now Mount, look func(name []byte) (Stat, error)) (*Brought, error) {
	swapped := &Brought{Path: d.Path, Piece: d.Piece, Source: d.Target, Mount: now, Target: d.Source, TargetMount: d.Mount}
	for i := range d.entries {
		name, e := d.Name(i), d.Entry(i)
		there, err := look(name)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
		swapped.Add(name, e.swap(there, err == nil))
	}
	return swapped, nil
}

// swap is the entry for a chain the other way, of which is known what it now is on
// the host that was the target.
func (k *Known) swap(now Stat, exists bool) Known {
	if k.Source.IsDir() {
		directory := Stat{Mode: unix.S_IFDIR}
		if exists && now.IsDir() {
			directory.Ino = now.Ino
		}
		return Known{Source: directory}
	}
	swapped := Known{Source: k.Source, Target: StateOf(&k.Source)}
	// Not Is: whether somebody has written a file with several names only its time of
	// change says. Where that is another for a name more or less, it is compared.
	if exists && now.Kind() == k.Source.Kind() && StateOf(&now) == k.Target {
		swapped.Source = now
		return swapped
	}
	swapped.Source.Ino, swapped.Source.Size = k.Target.Ino, k.Target.Size
	swapped.Source.Mtime, swapped.Source.Ctime = k.Target.Mtime, k.Target.Ctime
	return swapped
}

// Append appends d for the wire. ReadBrought reads it.
func (d *Brought) Append(b []byte) []byte { return d.append(b) }

// ReadBrought reads what Append wrote. What could be no piece of a directory below a
// root is an error.
func (d *Brought) ReadBrought(r *wire.Reader, seed uint64) {
	d.read(r)
	if r.Err() != nil {
		return
	}
	if err := CheckPath(d.Path); err != nil {
		r.Fail("%v", err)
		return
	}
	for i := range d.entries {
		switch name := d.Name(i); {
		case CheckName(name) != nil:
			r.Fail("%v", CheckName(name))
		case i > 0 && bytes.Compare(d.Name(i-1), name) >= 0:
			r.Fail("names out of order")
		case d.Piece.Of(name, seed) != d.Piece.Number:
			r.Fail("an entry in the wrong piece of its directory")
		default:
			continue
		}
		return
	}
}

// TakeTurn notes that a pass changes the target from now on, and that this is its turn.
func (b *Base) TakeTurn(turn uint64) error {
	b.Turn, b.BrokeOff = turn, true
	b.record = binary.AppendUvarint(b.record[:0], turn)
	return b.write(recordTurn)
}

// Inheritance is a base that takes the place of another when all of it has come.
type Inheritance struct {
	base *Base // whose place it takes
	next *Base
}

// Inherit begins to take over what a chain the other way has brought. Until Done the
// base is as it was, also where the process is killed.
func (b *Base) Inherit(seed uint64) (*Inheritance, error) {
	next := &Base{Seed: seed, path: b.path, dirs: map[string]*place{}, boot: b.boot}
	if b.beside != nil {
		next.beside = &beside{}
		next.out = bufio.NewWriter(next.beside)
	} else {
		file, err := os.OpenFile(b.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		next.file, next.out = file, bufio.NewWriterSize(file, bufferSize)
		if err := lock(file, unix.LOCK_EX); err != nil {
			return nil, fmt.Errorf("%s.new: %w", b.path, err)
		}
	}
	if _, err := next.out.Write(magic); err != nil {
		return nil, err
	}
	next.size = int64(len(magic))
	next.record = next.appendBegin(nil, b.Token())
	return &Inheritance{b, next}, next.write(recordBegin)
}

// Put notes a piece of a directory.
func (i *Inheritance) Put(d *Brought) error { return i.next.Put(d) }

// Done puts what has come in the place of the base. What passes that broke off were
// about to make stays known.
func (i *Inheritance) Done() error {
	b, next := i.base, i.next
	for _, path := range b.Broken() {
		intended, err := b.Intended(path)
		if err != nil {
			return err
		}
		// In the pieces in which the directory is now.
		bits := uint8(0)
		if p := next.dirs[path]; p != nil {
			bits = p.bits
		}
		if err := next.intendAgain(path, bits, intended); err != nil {
			return err
		}
	}
	// The turn is not the pass's before it changes something.
	if err := next.TakeTurn(b.Turn); err != nil {
		return err
	}
	next.record, next.BrokeOff = next.record[:0], false
	if err := next.write(recordSynced); err != nil {
		return err
	}
	// Tokens that count still are noted again: Synced is the end of them.
	for _, token := range b.Tokens {
		next.record = next.appendBegin(next.record[:0], token)
		if err := next.write(recordBegin); err != nil {
			return err
		}
	}
	next.begun = next.size
	if err := next.out.Flush(); err != nil {
		return err
	}
	if next.file != nil {
		if err := next.file.Sync(); err != nil {
			return err
		}
		if err := os.Rename(b.path+".new", b.path); err != nil {
			return err
		}
	}
	if b.file != nil {
		b.file.Close()
	}
	next.Tokens, next.Dropped = b.Tokens, b.Dropped
	*b = *next
	return nil
}

// Close gives up what Done has not put in the place of the base.
func (i *Inheritance) Close() {
	if i.base.out == i.next.out {
		return // Done has
	}
	if i.next.file != nil {
		i.next.file.Close()
		_ = os.Remove(i.next.path + ".new")
	}
}
