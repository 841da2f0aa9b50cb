//go:build linux

package pass

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// gather tells the source what the base knows, and takes its list.
func (t *target) gather() error {
	if err := t.hello(); err != nil {
		return err
	}
	numbers, err := t.tellKnown()
	if err != nil {
		return err
	}
	if err := t.conn.say(askList, nil); err != nil {
		return err
	}
	var l tree.Listing
	for {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		kind, r, err := t.conn.next()
		if err != nil {
			return fmt.Errorf("the source host's list broke off: %w", err)
		}
		switch kind {
		case saysDir:
			content := r.Rest()
			whole := wire.NewReader(content)
			l.ReadListing(whole)
			if err := whole.Done(); err != nil {
				return err
			}
			if err := t.listing(&l, content); err != nil {
				return err
			}
		case saysSame:
			var counts Counts
			counts.read(r)
			t.report.Source.add(&counts)
			same := wire.NewReader(r.Bytes())
			for same.Len() > 0 {
				n := same.Uint()
				if same.Err() == nil && n >= uint64(len(numbers)) {
					same.Fail("directory %d of %d", n, len(numbers))
				}
				if same.Err() != nil {
					return same.Err()
				}
				t.seen[numbers[n]] = true
			}
		case saysListed:
			if !t.seen[""] {
				return fmt.Errorf("the source host cannot read the directory: %s", t.report.first(Unread))
			}
			return r.Done()
		default:
			if err := t.common(kind, r); err != nil {
				return err
			}
		}
		if err := r.Done(); err != nil {
			return err
		}
	}
}

// common takes messages that come at any time.
func (t *target) common(kind byte, r *wire.Reader) error {
	switch kind {
	case saysNames:
		for r.Len() > 0 && r.Err() == nil {
			var o owner
			o.read(r)
			t.owner(&o)
		}
	case saysTrouble:
		var p trouble
		p.read(r)
		if r.Err() != nil {
			return r.Err()
		}
		switch p.Kind {
		case "attributes":
			t.report.find(Omitted, p.Path, p.Text)
		case "lend":
			t.report.find(Unmount, p.Path, p.Text)
		default:
			t.report.find(Unread, p.Path, p.Kind+": "+p.Text)
		}
	case saysFailed:
		return failed(r)
	default:
		return fmt.Errorf("%w %d from the source host", errUnexpected, kind)
	}
	return r.Err()
}

// listing takes a directory of the source, or a piece of one.
func (t *target) listing(l *tree.Listing, content []byte) error {
	for i := range l.Len() {
		if l.Piece.Of(l.Name(i), t.base.Seed) != l.Piece.Number {
			return fmt.Errorf("%w: an entry in the wrong piece of its directory", wire.ErrMalformed)
		}
	}
	key := tree.Place{Path: l.Path, Piece: l.Piece}
	if t.listed[key] != nil {
		return fmt.Errorf("%w: a directory twice", wire.ErrMalformed)
	}
	t.listed[key] = slices.Clone(content)
	t.pieces[l.Path] = append(t.pieces[l.Path], l.Piece)
	t.seen[l.Path] = true
	return nil
}

// tellKnown sends the digests of what the base knows, and returns the paths by
// their numbers.
func (t *target) tellKnown() ([]string, error) {
	var numbers []string
	var frame []byte
	flush := func() error {
		if len(frame) == 0 {
			return nil
		}
		err := t.conn.send(wire.End(frame, 0))
		frame = frame[:0]
		return err
	}
	tell := func(path string, hash, digest tree.Digest) error {
		if len(frame) == 0 {
			frame = wire.Begin(frame, askKnown)
		}
		frame = append(append(frame, hash[:]...), digest[:]...)
		numbers = append(numbers, path)
		if len(frame) > 512<<10 {
			return flush()
		}
		return nil
	}
	for at, digest := range t.base.Digests() {
		hash := pathHash(at.Path, t.base.Seed)
		if at.Piece.Bits > 0 && at.Piece.Number == 0 {
			// In how many pieces it is.
			if err := tell(at.Path, hash, tree.Digest{at.Piece.Bits}); err != nil {
				return nil, err
			}
		}
		if err := tell(at.Path, pieceHash(hash, at.Piece), digest); err != nil {
			return nil, err
		}
	}
	return numbers, flush()
}

// survey finds out, before anything is done, what the source has no more, and
// what is not to be concluded because something is not mounted or not readable.
func (t *target) survey() error {
	t.moved = map[uint64]*gone{}
	var unmounted []string
	var l tree.Listing
	var d tree.Brought
	for _, path := range t.base.Known() {
		if !t.seen[path] {
			if !below(path, unmounted) && t.isGone(path) {
				t.goneDirs = append(t.goneDirs, path)
				t.gone[path] = true
				if err := t.goneDirectory(path, &d); err != nil {
					return err
				}
			}
			continue
		}
		for _, piece := range t.pieces[path] {
			if err := t.loadListing(tree.Place{Path: path, Piece: piece}, &l); err != nil {
				return err
			}
			if err := t.base.Load(path, piece, &d); err != nil {
				return err
			}
			if d.Len() > 0 && l.Mount != d.Mount {
				if !below(path, unmounted) {
					unmounted = append(unmounted, path)
					t.report.find(Unmount, path, "")
				}
				break
			}
			if l.Partial == nil {
				t.goneEntries(&l, &d)
			}
		}
	}
	t.unmounted = unmounted
	return t.brokenOff()
}

// brokenOff adds directories that a pass has made, or was about to make, when it
// broke off, and that the source has no more.
func (t *target) brokenOff() error {
	add := func(path string) {
		if t.seen[path] || below(path, t.unmounted) || !t.isGone(path) {
			return
		}
		// What is above was made as well, and may not have been noted.
		for ; !t.seen[path]; path, _ = tree.Split(path) {
			t.goneDirs = append(t.goneDirs, path)
			t.gone[path] = true
		}
	}
	for _, path := range t.base.Broken() {
		add(path)
		intended, err := t.base.Intended(path)
		if err != nil {
			return err
		}
		for name, stats := range intended {
			if anyDirectory(stats) {
				add(tree.Join(path, name))
			}
		}
	}
	slices.SortFunc(t.goneDirs, func(a, b string) int { return deepestFirst(b, a) })
	t.goneDirs = slices.Compact(t.goneDirs)
	return nil
}

// isGone says whether a directory that was not listed is there no more: the
// nearest one above that was listed says so, and was read whole.
func (t *target) isGone(path string) bool {
	if t.excluded(path, true) {
		return false
	}
	dir, name := tree.Split(path)
	for !t.seen[dir] {
		if t.gone[dir] {
			return true
		}
		dir, name = tree.Split(dir)
	}
	if path == "" {
		return false
	}
	var l tree.Listing
	listed := false
	for _, piece := range t.pieces[dir] {
		if piece.Of([]byte(name), t.base.Seed) != piece.Number {
			continue
		}
		listed = true
		if err := t.loadListing(tree.Place{Path: dir, Piece: piece}, &l); err != nil || l.Partial != nil {
			return false
		}
		if slices.ContainsFunc(l.Unread, func(u tree.Unread) bool { return u.Name == name }) {
			return false
		}
		if i, ok := l.Find([]byte(name)); ok && l.Stat(i).IsDir() {
			return false // it went away meanwhile, or could not be opened
		}
	}
	return listed || t.wasGone(dir, name)
}

// wasGone says whether a directory of which the base knows what was in it is not
// in its parent, as the base has that: a pass broke off before it took it away.
func (t *target) wasGone(dir, name string) bool {
	pieces := t.base.Pieces(dir)
	if len(pieces) == 0 {
		return false
	}
	piece := tree.Piece{Bits: pieces[0].Bits, Number: pieces[0].Of([]byte(name), t.base.Seed)}
	var d tree.Brought
	if err := t.base.Load(dir, piece, &d); err != nil {
		return false
	}
	e := d.Find([]byte(name))
	return e == nil || !e.Source.IsDir()
}

func (t *target) loadListing(at tree.Place, l *tree.Listing) error {
	r := wire.NewReader(t.listed[at])
	l.ReadListing(r)
	return r.Done()
}

// gone is a file that the source had under this name, and has no more.
type gone struct {
	dir   string
	name  string
	known tree.Known
}

// goneEntries notes regular files that went away: under another name there may be
// the same.
func (t *target) goneEntries(l *tree.Listing, d *tree.Brought) {
	for i := range d.Len() {
		e := d.Entry(i)
		if at, ok := l.Find(d.Name(i)); ok && l.Stat(at).Ino == e.Source.Ino {
			continue
		}
		t.goneEntry(d.Path, d.Name(i), e)
	}
}

func (t *target) goneEntry(dir string, name []byte, e *tree.Known) {
	// A pass may have made a directory and broken off before it noted what is in it.
	if child := tree.Join(dir, name); e.Source.IsDir() && !t.seen[child] && len(t.base.Pieces(child)) == 0 && t.isGone(child) {
		t.goneDirs = append(t.goneDirs, child)
		t.gone[child] = true
		t.countGone()
	}
	if e.Source.IsRegular() && e.Source.Nlink == 1 && !t.excluded(tree.Join(dir, name), false) {
		t.moved[e.Source.Ino] = &gone{dir, string(name), *e}
	}
}

// countGone counts an entry that the source has no more.
func (t *target) countGone() {
	if t.options.Delete != None {
		t.report.add(&t.report.Changes, 1)
	}
}

// goneDirectory is for a directory that the source has no more.
func (t *target) goneDirectory(path string, d *tree.Brought) error {
	t.countGone()
	for _, piece := range t.base.Pieces(path) {
		if err := t.base.Load(path, piece, d); err != nil {
			return err
		}
		for i := range d.Len() {
			t.goneEntry(path, d.Name(i), d.Entry(i))
			if !d.Entry(i).Source.IsDir() && !t.excluded(tree.Join(path, d.Name(i)), false) {
				t.countGone()
			}
		}
	}
	return nil
}

// targetChanged are the directories of the base that are not on the target as
// they were left, in order.
func (t *target) targetChanged() []string {
	paths := t.base.Known()
	all := t.options.all()
	t.lacking = map[string]bool{}
	paths = slices.DeleteFunc(paths, func(path string) bool {
		if !t.seen[path] {
			return true
		}
		if all || t.base.Unsure(path) {
			return false
		}
		var k unix.Stat_t
		name := path
		if name == "" {
			name = "."
		}
		var now tree.Stat
		if unix.Fstatat(t.root.Handle(), name, &k, unix.AT_SYMLINK_NOFOLLOW) == nil {
			now.FromKernel(&k)
		}
		if !now.IsDir() && path != "" {
			parent, _ := tree.Split(path)
			t.lacking[parent] = true
			return false
		}
		return t.untried(path, now) == t.base.Target(path)
	})
	for path := range t.lacking {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// unlisted are the pieces of a directory that the source has not sent: they are
// as the base has them.
func (t *target) unlisted(path string) []tree.Place {
	var places []tree.Place
	listed := t.pieces[path]
	for _, piece := range t.knownPieces(path) { // what was asked for is noted meanwhile
		if len(listed) > 0 && listed[0].Bits != piece.Bits || slices.Contains(listed, piece) {
			continue
		}
		places = append(places, tree.Place{Path: path, Piece: piece})
	}
	return places
}

// first is the first finding of a kind, in words.
func (r *Report) first(kind Finding) string {
	if f := r.Found[kind]; f != nil && len(f.Paths) > 0 {
		return strings.TrimPrefix(f.Paths[0].Path+": "+f.Paths[0].Text, ": ")
	}
	return "it says nothing"
}

// recent says whether a file was written so recently, by the source's clock, that
// it may be written on through a mapping without a new time.
func (t *target) recent(stat *tree.Stat) bool {
	return stat.IsRegular() && stat.Ctime > t.now-recentFor
}

// recentFor is a minute, in nanoseconds. The kernel writes a page that was written
// through a mapping to the disk after 30 s (vm.dirty_expire_centisecs) and up to
// 5 s more, and only then notices the next write to it.
const recentFor = int64(60_000_000_000)

// comparePlaces puts places into the order of their paths: a directory comes
// before what is in it.
func comparePlaces(a, b tree.Place) int {
	if n := strings.Compare(a.Path, b.Path); n != 0 {
		return n
	}
	return int(a.Piece.Number) - int(b.Piece.Number)
}
