//go:build linux

package tree

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Digests are all pieces of directories that are known, with the digest that the
// source's listing has as long as it is as it was brought. The order is any.
func (b *Base) Digests() iter.Seq2[Place, Digest] {
	return func(yield func(Place, Digest) bool) {
		for path, p := range b.dirs {
			for _, piece := range p.pieces {
				if !yield(Place{path, Piece{p.bits, piece.number}}, piece.digest) {
					return
				}
			}
		}
	}
}

// Place is a piece of the directory at a path.
type Place struct {
	Path  string
	Piece Piece
}

// Known are the paths of all directories that are known, in order.
func (b *Base) Known() []string {
	paths := make([]string, 0, len(b.dirs))
	for path, p := range b.dirs {
		if p.known() {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Pieces are those of the directory at path that are known, in order.
func (b *Base) Pieces(path string) []Piece {
	p := b.dirs[path]
	if !p.known() {
		return nil
	}
	pieces := make([]Piece, len(p.pieces))
	for i := range pieces {
		pieces[i] = Piece{p.bits, p.pieces[i].number}
	}
	return pieces
}

// Recent says whether the piece has entries whose content is to be compared.
func (b *Base) Recent(path string, piece Piece) bool {
	p := b.dirs[path]
	if !p.known() || p.bits != piece.Bits {
		return false
	}
	i, ok := p.find(piece.Number)
	return ok && p.pieces[i].recent
}

// Target is what was noted of the directory at path on the target itself; the
// zero Stat where it is not known, or not believed.
func (b *Base) Target(path string) Stat {
	if p := b.dirs[path]; p.known() && !p.unsure {
		return p.target
	}
	return Stat{}
}

// Unsure says whether what is noted of the directory at path may not have
// reached the target's disk before the host was started anew.
func (b *Base) Unsure(path string) bool {
	p := b.dirs[path]
	return p != nil && p.unsure
}

// Load reads a piece of the directory at path into d, whose memory it uses again.
// Where it is not known, d is without entries. A directory that is known in other
// pieces is noted in the given ones first.
func (b *Base) Load(path string, piece Piece, d *Brought) error {
	d.Reset(path, piece)
	p := b.dirs[path]
	if p == nil {
		return nil
	}
	if p.known() && p.bits != piece.Bits || len(p.intents) > 0 && p.intents[0].piece.Bits != piece.Bits {
		if err := b.repartition(path, p, piece.Bits); err != nil {
			return err
		}
	}
	i, ok := p.find(piece.Number)
	if !ok {
		return nil
	}
	if err := b.load1(p.pieces[i], d); err != nil {
		return err
	}
	d.Target = b.Target(path)
	return nil
}

func (b *Base) load1(p piecePlace, d *Brought) error {
	content, err := b.read(recordDir, p.at)
	if err != nil {
		return err
	}
	r := wire.NewReader(content)
	r.Raw(len(Digest{}))
	r.Flag()
	d.read(r)
	if p.at < b.begun {
		for i := range d.entries {
			d.entries[i].Fresh = false
		}
	}
	return r.Done()
}

// repartition notes a directory, and what was about to be brought in it, in 2^bits
// pieces.
func (b *Base) repartition(path string, p *place, bits uint8) error {
	intended, err := b.Intended(path)
	if err != nil {
		return err
	}
	if p.known() && p.bits != bits {
		all := Brought{Path: path}
		for _, piece := range p.pieces {
			var d Brought
			if err := b.load1(piece, &d); err != nil {
				return err
			}
			// A pass that broke off may have noted others than the first alone.
			if all.Mount, all.TargetMount = d.Mount, d.TargetMount; piece.number == 0 {
				all.Source = d.Source
			}
			for i := range d.entries {
				all.Add(d.Name(i), d.entries[i].Known)
			}
		}
		all.Sort()
		all.Target = p.target
		for _, piece := range all.Split(int(bits), b.Seed) {
			if err := b.Put(piece); err != nil {
				return err
			}
		}
	}
	p.intents = nil
	return b.intendAgain(path, bits, intended)
}

// intendAgain notes in 2^bits pieces what was about to be brought.
func (b *Base) intendAgain(path string, bits uint8, intended map[string][]Stat) error {
	type group struct {
		names [][]byte
		stats []*Stat
	}
	groups := map[uint32]*group{}
	for name, stats := range intended {
		number := Piece{Bits: bits}.Of([]byte(name), b.Seed)
		g := groups[number]
		if g == nil {
			g = &group{}
			groups[number] = g
		}
		for i := range stats {
			g.names, g.stats = append(g.names, []byte(name)), append(g.stats, &stats[i])
		}
	}
	for number, g := range groups {
		if err := b.writeIntent(path, Piece{bits, number}, g.names, g.stats); err != nil {
			return err
		}
	}
	return nil
}

// read reads the content of the record at a place of the file.
func (b *Base) read(kind byte, at int64) ([]byte, error) {
	if err := b.out.Flush(); err != nil {
		return nil, err
	}
	file := io.ReaderAt(b.file)
	if b.beside != nil {
		file = b.beside
	}
	var header [recordHeader]byte
	if _, err := file.ReadAt(header[:], at); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(header[:]))
	if header[4] != kind || at+recordHeader+length > b.size {
		return nil, errors.New("the base was changed by somebody else")
	}
	content := make([]byte, length)
	if _, err := file.ReadAt(content, at+recordHeader); err != nil {
		return nil, err
	}
	if checksum(kind, content) != binary.LittleEndian.Uint32(header[5:]) {
		return nil, errors.New("the base was changed by somebody else")
	}
	return content, nil
}

// write appends b.record as a record.
func (b *Base) write(kind byte) error {
	var header [recordHeader]byte
	binary.LittleEndian.PutUint32(header[:], uint32(len(b.record)))
	header[4] = kind
	binary.LittleEndian.PutUint32(header[5:], checksum(kind, b.record))
	if _, err := b.out.Write(header[:]); err != nil {
		return err
	}
	if _, err := b.out.Write(b.record); err != nil {
		return err
	}
	b.size += int64(recordHeader + len(b.record))
	return nil
}

// Intend notes that entries are about to be brought in a piece of the directory at
// path, anew or in the place of something. It is in the file when Intend returns.
func (b *Base) Intend(path string, piece Piece, names [][]byte, stats []*Stat) error {
	if err := b.writeIntent(path, piece, names, stats); err != nil {
		return err
	}
	return b.out.Flush()
}

func (b *Base) writeIntent(path string, piece Piece, names [][]byte, stats []*Stat) error {
	b.record = wire.AppendText(b.record[:0], path)
	b.record = piece.append(b.record)
	b.record = binary.AppendUvarint(b.record, uint64(len(names)))
	previous := &Stat{}
	for i, name := range names {
		b.record = wire.AppendText(b.record, name)
		b.record = stats[i].Append(b.record, previous)
		previous = stats[i]
	}
	b.intend(path, intent{b.size, piece})
	return b.write(recordIntent)
}

// Intended is what passes were about to make in the directory at path since it
// was noted last, by name: what broke off. Of an entry that has changed between two
// of them either may be there. Nil where there is nothing.
func (b *Base) Intended(path string) (map[string][]Stat, error) {
	return b.intended(path, func(Piece) bool { return true })
}

// IntendedIn is Intended for one piece, in which the directory has been loaded.
func (b *Base) IntendedIn(path string, piece Piece) (map[string][]Stat, error) {
	return b.intended(path, func(p Piece) bool { return p == piece })
}

func (b *Base) intended(path string, in func(Piece) bool) (map[string][]Stat, error) {
	p := b.dirs[path]
	if p == nil || !slices.ContainsFunc(p.intents, func(i intent) bool { return in(i.piece) }) {
		return nil, nil
	}
	all := map[string][]Stat{}
	for _, i := range p.intents {
		if !in(i.piece) {
			continue
		}
		content, err := b.read(recordIntent, i.at)
		if err != nil {
			return nil, err
		}
		r := wire.NewReader(content)
		r.Text()
		new(Piece).read(r)
		var stat Stat
		for range r.Count(smallestEntry) {
			name := r.Text()
			previous := stat
			stat.Read(r, &previous)
			if !slices.Contains(all[name], stat) {
				all[name] = append(all[name], stat)
			}
		}
		if err := r.Done(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Broken are the paths of directories in which a pass was about to make
// something when it broke off, in order.
func (b *Base) Broken() []string {
	var paths []string
	for path, p := range b.dirs {
		if len(p.intents) > 0 {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Put notes a piece of a directory, whose entries have to be in order, as it now
// is.
func (b *Base) Put(d *Brought) error {
	at := piecePlace{at: b.size, digest: d.Digest(b.Seed)}
	for i := range d.entries {
		at.recent = at.recent || d.entries[i].Recent
	}
	b.record = append(b.record[:0], at.digest[:]...)
	b.record = wire.AppendFlag(b.record, at.recent)
	b.record = d.append(b.record)
	at.length = uint32(recordHeader + len(b.record))
	if err := b.write(recordDir); err != nil {
		return err
	}
	b.place(d, at)
	return nil
}

// Seal notes what the directory at path itself is on the target, after all in it
// was brought. It does nothing for a directory that is not known.
func (b *Base) Seal(path string, target Stat) error {
	p := b.dirs[path]
	if !p.known() || p.target == target {
		return nil
	}
	p.target = target
	b.record = wire.AppendText(b.record[:0], path)
	b.record = target.Append(b.record, &Stat{})
	return b.write(recordSeal)
}

// Forget notes that nothing is known of the directory at path any more.
func (b *Base) Forget(path string) error {
	if b.dirs[path] == nil {
		return nil
	}
	b.forget(path)
	b.record = wire.AppendText(b.record[:0], path)
	return b.write(recordGone)
}

// Flush hands all to the kernel: a kill of this process loses nothing of it.
func (b *Base) Flush() error { return b.out.Flush() }

// Synced notes that all that was brought is on the target's disk, and writes the
// base to its own. When more than half of the file does not count any more it is
// written anew.
func (b *Base) Synced() error {
	b.record = b.record[:0]
	if err := b.write(recordSynced); err != nil {
		return err
	}
	if err := b.out.Flush(); err != nil {
		return err
	}
	b.Tokens, b.BrokeOff = b.Tokens[len(b.Tokens)-1:], false
	for _, p := range b.dirs {
		p.unsure = false
	}
	if b.size > 1<<20 && b.size > 2*b.live {
		return b.rewrite()
	}
	return b.file.Sync()
}

// rewrite replaces the file by one without what does not count.
func (b *Base) rewrite() error {
	file, err := os.OpenFile(b.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	next := &Base{Seed: b.Seed, Turn: b.Turn, path: b.path, file: file, dirs: map[string]*place{}, boot: b.boot, out: bufio.NewWriterSize(file, bufferSize)}
	if err := b.copyTo(next); err != nil {
		file.Close()
		_ = os.Remove(b.path + ".new")
		return err
	}
	next.Tokens, next.begun = b.Tokens, next.size
	b.file.Close()
	*b = *next
	return nil
}

func (b *Base) copyTo(next *Base) error {
	if err := lock(next.file, unix.LOCK_EX); err != nil {
		return err
	}
	if _, err := next.out.Write(magic); err != nil {
		return err
	}
	next.size = int64(len(magic))
	next.record = next.appendBegin(nil, b.Token())
	if err := next.write(recordBegin); err != nil {
		return err
	}
	if err := next.TakeTurn(b.Turn); err != nil {
		return err
	}
	// In the order of the old file: one pass over it, and what belongs together
	// stays together.
	type from struct {
		path  string
		place *place
		piece piecePlace
	}
	var all []from
	for path, p := range b.dirs {
		for _, piece := range p.pieces {
			all = append(all, from{path, p, piece})
		}
	}
	slices.SortFunc(all, func(x, y from) int { return cmp.Compare(x.piece.at, y.piece.at) })
	for _, f := range all {
		content, err := b.read(recordDir, f.piece.at)
		if err != nil {
			return err
		}
		f.piece.at = next.size
		next.record = append(next.record[:0], content...)
		if err := next.write(recordDir); err != nil {
			return err
		}
		r := wire.NewReader(content)
		r.Raw(len(Digest{}))
		r.Flag()
		var d Brought
		d.readHead(r)
		next.place(&d, f.piece)
		if err := next.Seal(f.path, f.place.target); err != nil {
			return err
		}
	}
	for _, path := range b.Broken() {
		intended, err := b.Intended(path)
		if err != nil {
			return err
		}
		if err := next.intendAgain(path, b.dirs[path].intents[0].piece.Bits, intended); err != nil {
			return err
		}
	}
	next.record = next.record[:0]
	if err := next.write(recordSynced); err != nil {
		return err
	}
	if err := next.out.Flush(); err != nil {
		return err
	}
	if err := next.file.Sync(); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// Close ends the use of the base. What was noted since the last Synced stays in
// the file.
func (b *Base) Close() error {
	err := b.out.Flush()
	if b.file == nil {
		return err
	}
	// A process that is being started has the handle too, for a moment.
	_ = unix.Flock(int(b.file.Fd()), unix.LOCK_UN)
	if closing := b.file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}
