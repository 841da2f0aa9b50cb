//go:build linux

package tree

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Brought is a directory as the passes of a chain have brought it: what the
// source was when it was read, and what the target was when that was written.
type Brought struct {
	Path string
	// Source and Mount are of the directory itself on the old host.
	Source Stat
	Mount  Mount
	// Piece is which of the directory's entries these are.
	Piece Piece
	// Target is the directory itself on the new host; the zero Stat where it is
	// not known, so that its names have to be looked at.
	Target Stat
	// TargetMount is the directory's file system there.
	TargetMount Mount

	names   []byte
	entries []known
}

// Known is what the base says of an entry.
type Known struct {
	Source Stat
	Target State
	// Adopted: the new host had it before any pass, and it was the same.
	Adopted bool
	// Recent: it may have been written, through a mapping, after it was read
	// without a new time of change. Its content has to be compared.
	Recent bool
	// Fresh: this pass has brought it. Of what an earlier pass has noted it is never
	// set.
	Fresh bool
}

// State is what shows whether an entry of the target was changed.
type State struct {
	Ino                uint64
	Ctime, Mtime, Size int64
}

// StateOf is the state of what stat was read of.
func StateOf(stat *Stat) State {
	return State{stat.Ino, stat.Ctime, stat.Mtime, stat.Size}
}

// Is says whether the target has the entry as it was brought. Of a file with
// several names the time of change does not count: it is another one when any
// name comes or goes, one in the trash, too.
func (k *Known) Is(target *Stat) bool {
	state := StateOf(target)
	if k.Source.HardLinked() {
		state.Ctime = k.Target.Ctime
	}
	return state == k.Target
}

type known struct {
	Known
	at     uint32
	length uint16
}

// Len is how many entries there are.
func (d *Brought) Len() int { return len(d.entries) }

// Name of entry i. It is valid as long as d.
func (d *Brought) Name(i int) []byte {
	e := &d.entries[i]
	return d.names[e.at : e.at+uint32(e.length) : e.at+uint32(e.length)]
}

// Entry i. What it points to can be changed.
func (d *Brought) Entry(i int) *Known { return &d.entries[i].Known }

// Reset makes d a piece of the directory at path without entries, and keeps its
// memory.
func (d *Brought) Reset(path string, piece Piece) {
	*d = Brought{Path: path, Piece: piece, names: d.names[:0], entries: d.entries[:0]}
}

// Add appends an entry. Sort has to follow the last one.
func (d *Brought) Add(name []byte, entry Known) {
	at := uint32(len(d.names))
	d.names = append(d.names, name...)
	d.entries = append(d.entries, known{entry, at, uint16(len(name))})
}

// Sort puts the entries into the order of their names' bytes.
func (d *Brought) Sort() {
	slices.SortFunc(d.entries, func(a, b known) int {
		return bytes.Compare(d.names[a.at:a.at+uint32(a.length)], d.names[b.at:b.at+uint32(b.length)])
	})
}

// Find returns an entry of a sorted directory, or nil.
func (d *Brought) Find(name []byte) *Known {
	i, ok := slices.BinarySearchFunc(d.entries, name, func(e known, name []byte) int {
		return bytes.Compare(d.names[e.at:e.at+uint32(e.length)], name)
	})
	if !ok {
		return nil
	}
	return &d.entries[i].Known
}

// Digest is that of the source's listing, if it still is as it was brought.
func (d *Brought) Digest(seed uint64) Digest {
	var s sum
	s.self(d.Piece, &d.Source, d.Mount, seed)
	record := make([]byte, 0, sizeOfRecord+maxName)
	for i := range d.entries {
		record = d.entries[i].Source.record(record[:0])
		s.add(append(record, d.Name(i)...), seed)
	}
	return s.digest()
}

// Marks of an entry in the base's file.
const (
	markAdopted = 1 << iota
	markRecent
	markSameTime // the target's mtime and size are the source's
	markFresh    // brought by the pass that has written the record
)

func (d *Brought) append(b []byte) []byte {
	b = wire.AppendText(b, d.Path)
	b = d.Piece.append(b)
	b = d.Source.Append(b, &Stat{})
	b = d.Mount.append(b)
	b = d.Target.Append(b, &Stat{})
	b = d.TargetMount.append(b)
	b = binary.AppendUvarint(b, uint64(len(d.entries)))
	previous := &known{}
	for i := range d.entries {
		e := &d.entries[i]
		var marks byte
		if e.Adopted {
			marks |= markAdopted
		}
		if e.Recent {
			marks |= markRecent
		}
		if e.Fresh {
			marks |= markFresh
		}
		if e.Target.Mtime == e.Source.Mtime && e.Target.Size == e.Source.Size {
			marks |= markSameTime
		}
		b = wire.AppendText(b, d.Name(i))
		b = append(b, marks)
		b = e.Source.Append(b, &previous.Source)
		b = binary.AppendVarint(b, int64(e.Target.Ino-previous.Target.Ino))
		b = binary.AppendVarint(b, e.Target.Ctime-previous.Target.Ctime)
		if marks&markSameTime == 0 {
			b = binary.AppendVarint(b, e.Target.Mtime)
			b = binary.AppendVarint(b, e.Target.Size)
		}
		previous = e
	}
	return b
}

// readHead reads what stands before the entries.
func (d *Brought) readHead(r *wire.Reader) {
	d.Reset(r.Text(), Piece{})
	d.Piece.read(r)
	d.Source.Read(r, &Stat{})
	d.Mount.read(r)
	d.Target.Read(r, &Stat{})
	d.TargetMount.read(r)
}

func (d *Brought) read(r *wire.Reader) {
	d.readHead(r)
	n := r.Count(smallestEntry + 3)
	d.entries = slices.Grow(d.entries, n)
	var previous Known
	for range n {
		name := r.Bytes()
		marks := r.Byte()
		var e Known
		e.Source.Read(r, &previous.Source)
		e.Target.Ino = previous.Target.Ino + uint64(r.Int())
		e.Target.Ctime = previous.Target.Ctime + r.Int()
		if marks&markSameTime == 0 {
			e.Target.Mtime, e.Target.Size = r.Int(), r.Int()
		} else {
			e.Target.Mtime, e.Target.Size = e.Source.Mtime, e.Source.Size
		}
		e.Adopted, e.Recent = marks&markAdopted != 0, marks&markRecent != 0
		e.Fresh = marks&markFresh != 0
		if r.Err() != nil {
			return
		}
		d.Add(name, e)
		previous = e
	}
}

// SourceOf is what the base notes of an entry of a listing: of a directory the
// kind and the number alone, as its digest has it.
func SourceOf(stat *Stat) Stat {
	if stat.IsDir() {
		return Stat{Mode: unix.S_IFDIR, Ino: stat.Ino}
	}
	return *stat
}

// Same makes l the listing of a directory, or a piece of one, that still is as it
// was brought. It shares its names.
func (l *Listing) Same(d *Brought) {
	*l = Listing{Path: d.Path, Self: d.Source, Mount: d.Mount, Piece: d.Piece, names: d.names}
	for i := range d.entries {
		e := &d.entries[i]
		l.entries = append(l.entries, entry{Stat: e.Source, at: e.at, length: e.length})
	}
}
