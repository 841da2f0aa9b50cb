//go:build linux

package pass

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// decideAll goes through all directories in which there may be something to do,
// from the top, and asks for what is to be brought.
func (t *target) decideAll() error {
	places := slices.Collect(maps.Keys(t.listed))
	for _, path := range t.targetChanged() {
		places = append(places, t.unlisted(path)...)
	}
	for at := range t.base.Digests() {
		if t.base.Recent(at.Path, at.Piece) && t.seen[at.Path] && t.listed[at] == nil {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, comparePlaces)
	decided := map[tree.Place]bool{}
	for _, at := range places {
		if err := t.decideOnce(at, decided); err != nil {
			return err
		}
	}
	return nil
}

// decideOnce decides about a place, and then about what is in directories that were
// made for it.
func (t *target) decideOnce(at tree.Place, decided map[tree.Place]bool) error {
	if decided[at] {
		return nil
	}
	decided[at] = true
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if err := t.decide(at); err != nil {
		return err
	}
	delete(t.listed, at)
	remade := t.remade
	t.remade = nil
	for _, at := range remade {
		if err := t.decideOnce(at, decided); err != nil {
			return err
		}
	}
	return nil
}

// directory is a directory, or a piece of one, that is being decided about.
type directory struct {
	t      *target
	path   string
	handle int
	source tree.Listing
	base   tree.Brought
	// known says that its names are those that the base has: nobody has put or
	// taken one since.
	known    bool
	unsure   bool
	coarse   bool // the time of change says nothing
	content  bool // of each file the content is compared
	made     bool // by this pass: nothing is in it yet
	intended map[string][]tree.Stat
	batch    *batch
	size     int64 // of what the batch brings, in bytes
	intents  intents
	changes  int64 // of the source's, see Report.Changes
	verified int64 // of the target's, see Report.Verified
	changed  bool  // something in it
	bare     bool  // it may not have its own attributes yet

	mu      sync.Mutex
	next    tree.Brought // what the base is to have of it
	open    intents      // what is still to be brought when that is noted
	waiting int
	decided bool
}

func (t *target) decide(at tree.Place) error {
	d := &directory{t: t, path: at.Path}
	t.baseMu.Lock()
	err := t.base.Load(at.Path, at.Piece, &d.base)
	if err == nil {
		d.intended, err = t.base.IntendedIn(at.Path, at.Piece)
	}
	d.unsure = t.base.Unsure(at.Path)
	t.baseMu.Unlock()
	if err != nil {
		return err
	}
	fromSource := t.listed[at] != nil
	if fromSource {
		if err := t.loadListing(at, &d.source); err != nil {
			return err
		}
	} else {
		d.source.Same(&d.base)
	}
	if at.Path != "" && at.Piece.Number == 0 && d.source.Self != d.base.Source {
		d.changes++
	}
	defer func() {
		t.report.add(&t.report.Changes, d.changes)
		t.report.add(&t.report.Verified, d.verified)
	}()
	d.next.Reset(at.Path, at.Piece)
	d.next.Source, d.next.Mount = d.source.Self, d.source.Mount
	d.coarse, d.content = d.source.Mount.Coarse(), t.options.Look == LookContent
	var self tree.Stat // the directory on the target
	if d.handle, err = t.root.OpenDir(at.Path); err != nil {
		if t.options.Preview && t.wasMade(at.Path) {
			d.handle = -1 // it would have been made
		} else {
			t.report.find(Failed, at.Path, "its directory cannot be opened on the target host: "+err.Error())
			return nil
		}
	} else {
		defer unix.Close(d.handle)
		if self, err = tree.Fstat(d.handle); err != nil {
			return err
		}
		self = t.untried(at.Path, self)
		if d.next.TargetMount, err = tree.MountOf(d.handle); err != nil {
			return err
		}
		// Of a piece it is not noted yet: the others are still to be looked at.
		if d.next.Target = self; at.Piece.Bits > 0 {
			d.next.Target = d.base.Target
		}
		t.touch(at.Path, func(touched *touch) {
			d.made = touched.made
			if touched.before == (tree.Stat{}) {
				touched.before, touched.known = self, self == d.base.Target
			}
			d.known = touched.known
			// What another piece than the first has of the directory itself in the base may
			// be of an earlier pass.
			if fromSource || touched.self == (tree.Stat{}) && at.Piece.Number == 0 {
				touched.self = d.source.Self
			}
		})
		d.known = d.known && !d.unsure && !t.options.all() && !t.lacking[at.Path] && !t.stirred[at.Path]
	}
	// Until it was finished nothing is noted of it on the target: a pass that broke
	// off may have made it, and not more. Another number is another directory.
	d.bare = d.source.Self != d.base.Source || d.base.Target.Ino != self.Ino || d.base.Target == (tree.Stat{}) || t.wasMade(at.Path)
	if at.Piece.Number == 0 && d.bare {
		d.ask(&item{name: "", listed: d.source.Self, basis: -1, way: fetchWhole}, 0)
	} else if at.Piece.Number == 0 && t.options.all() {
		d.verifySelf(&self)
	}
	if err := d.merge(); err != nil {
		return err
	}
	if err := d.flush(); err != nil {
		return err
	}
	if d.changed {
		t.touch(at.Path, func(touched *touch) { touched.changed = true })
	}
	d.mu.Lock()
	d.decided = true
	finished := d.waiting == 0
	d.mu.Unlock()
	if finished {
		return d.put()
	}
	return nil
}

// merge goes through the names of the source and the base.
func (d *directory) merge() error {
	i, j := 0, 0
	for i < d.source.Len() || j < d.base.Len() {
		var order int
		switch {
		case i == d.source.Len():
			order = 1
		case j == d.base.Len():
			order = -1
		default:
			order = bytes.Compare(d.source.Name(i), d.base.Name(j))
		}
		var err error
		switch {
		case order < 0:
			err = d.entry(d.source.Name(i), d.source.Stat(i), nil)
			i++
		case order > 0:
			err = d.entry(d.base.Name(j), nil, d.base.Entry(j))
			j++
		default:
			err = d.entry(d.source.Name(i), d.source.Stat(i), d.base.Entry(j))
			i, j = i+1, j+1
		}
		if err != nil {
			return err
		}
	}
	// What a pass that broke off has made, and the source has no more.
	for name := range d.intended {
		if d.base.Find([]byte(name)) != nil {
			continue
		}
		if _, ok := d.source.Find([]byte(name)); !ok {
			if err := d.entry([]byte(name), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry decides about one name.
func (d *directory) entry(name []byte, source *tree.Stat, base *tree.Known) error {
	t := d.t
	if source == nil && d.unread(name) {
		d.remember(name)
		d.keep(name, base)
		return nil
	}
	if source == nil && t.excluded(tree.Join(d.path, name), base != nil && base.Source.IsDir()) {
		return nil
	}
	d.countChange(source, base)
	if source != nil && base != nil && d.known && base.Source == tree.SourceOf(source) && !base.Recent && !((d.coarse || d.content) && source.IsRegular()) {
		d.keep(name, base)
		return nil
	}
	if source != nil && source.HardLinked() {
		d.linked(name, source, base)
		return nil
	}
	there, err := d.lookFor(name, source)
	path := tree.Join(d.path, name)
	if err != nil {
		t.report.find(Failed, path, err.Error())
		d.remember(name)
		d.keep(name, base)
		return nil
	}
	q := tree.Question{Source: source, Base: base, Target: there, Intended: d.intended[string(name)], Unsure: d.unsure, Coarse: d.coarse, Content: d.content, Maker: maker}
	if source == nil && there != nil {
		d.remember(name) // until it is taken away
	}
	q.Chowned = t.chowned(source, there)
	v := tree.Decide(q)
	switch v.Action {
	case tree.Nothing:
		d.compared(source, there)
		d.keep(name, base)
	case tree.Adopt:
		if source.IsDir() {
			// What is in it is decided about by itself, and so is whether it stays.
			d.add(name, &tree.Known{Source: tree.SourceOf(source)})
			return nil
		}
		if q.Chowned || source.Mode != there.Mode || source.Mtime != there.Mtime {
			v.Likely, v.Conflict = true, true
			d.bring(name, source, base, there, v)
			return nil
		}
		t.have(source, base)
		d.compared(source, there)
		d.add(name, &tree.Known{Source: *source, Target: tree.StateOf(there), Adopted: base == nil || base.Adopted, Recent: t.recent(source)})
	case tree.Leave:
		d.compared(source, there)
		t.left(path, source, there)
		d.keep(name, base)
	case tree.Keep:
		if anyDirectory(q.Intended) && there.IsDir() {
			return nil // goneDirs has it
		}
		t.report.find(Kept, path, "")
	case tree.Forget:
	case tree.Remove:
		if base != nil && base.Source.IsDir() {
			return nil // goneDirs has it
		}
		d.keep(name, base)
		if t.options.Delete != None {
			t.removals = append(t.removals, removal{d.path, string(name), d.base.Piece, there})
		}
	case tree.Bring:
		d.bring(name, source, base, there, v)
	}
	return nil
}

// countChange counts an entry that the source has changed. Directories are counted
// where they are decided about themselves, and by goneDirectory; so is what was one.
func (d *directory) countChange(source *tree.Stat, base *tree.Known) {
	switch {
	case base != nil && base.Source.IsDir(), source != nil && source.IsDir():
	case source == nil:
		if base != nil && d.t.options.Delete != None {
			d.changes++
		}
	case base == nil || base.Source != *source:
		d.changes++
	}
}

// unread says whether the source could not look at an entry, or at all in the
// directory.
func (d *directory) unread(name []byte) bool {
	if d.source.Partial != nil || below(d.path, d.t.unmounted) {
		return true
	}
	return slices.ContainsFunc(d.source.Unread, func(u tree.Unread) bool { return u.Name == string(name) })
}

// look looks at a name on the target; nil where there is nothing.
func (d *directory) look(name []byte) (*tree.Stat, error) {
	if d.handle < 0 || d.made {
		return nil, nil
	}
	if d.t.options.Preview && d.t.away[tree.Join(d.path, name)] {
		return nil, nil
	}
	stat, err := tree.StatAt(d.handle, name)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &stat, nil
}

// lookFor is look where the source has the given entry. Of a directory that became
// something else it first takes away what was brought: what is left then is the
// target's own.
func (d *directory) lookFor(name []byte, source *tree.Stat) (*tree.Stat, error) {
	there, err := d.look(name)
	if err != nil || there == nil || !there.IsDir() || source == nil || source.IsDir() {
		return there, err
	}
	cleared, err := d.t.clear(tree.Join(d.path, name))
	if err != nil || !cleared {
		return there, err
	}
	d.changed = true
	return d.look(name)
}

func anyDirectory(stats []tree.Stat) bool {
	return slices.ContainsFunc(stats, func(s tree.Stat) bool { return s.IsDir() })
}

// remember keeps what passes that broke off were about to make of an entry: it may
// still be there, and is ours.
func (d *directory) remember(name []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	intended := d.intended[string(name)]
	for i := range intended {
		d.open.add(name, &intended[i])
	}
}

// keep leaves what the base has.
func (d *directory) keep(name []byte, base *tree.Known) {
	if base != nil {
		d.add(name, base)
	}
}

// keepFile is keep where the source has something else than a directory: what was
// brought into one is gone by now.
func (d *directory) keepFile(name []byte, base *tree.Known) {
	if base != nil && !base.Source.IsDir() {
		d.add(name, base)
	}
}

func (d *directory) add(name []byte, known *tree.Known) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next.Add(name, *known)
}
