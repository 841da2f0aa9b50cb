//go:build linux

package pass

import (
	"bytes"
	"errors"
	"fmt"
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
	for ; len(places) > 0; places, t.remade = t.remade, nil {
		for _, at := range places {
			if err := t.ctx.Err(); err != nil {
				return err
			}
			if decided[at] {
				continue
			}
			decided[at] = true
			if err := t.decide(at); err != nil {
				return err
			}
			delete(t.listed, at)
		}
	}
	return nil
}

// intents are what is about to be brought, or could not be: what the target has
// there is ours.
type intents struct {
	names [][]byte
	stats []*tree.Stat
}

func (n *intents) add(name []byte, stat *tree.Stat) {
	n.names, n.stats = append(n.names, name), append(n.stats, stat)
}

func (t *target) intend(path string, piece tree.Piece, n *intents) error {
	if len(n.names) == 0 {
		return nil
	}
	t.baseMu.Lock()
	defer t.baseMu.Unlock()
	return t.base.Intend(path, piece, n.names, n.stats)
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
	coarse   bool
	made     bool // by this pass: nothing is in it yet
	intended map[string]tree.Stat
	batch    *batch
	size     int64 // of what the batch brings, in bytes
	intents  intents
	changed  bool // something in it

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
		d.intended, err = t.base.Intended(at.Path)
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
	d.next.Reset(at.Path, at.Piece)
	d.next.Source, d.next.Mount = d.source.Self, d.source.Mount
	d.coarse = d.source.Mount.Coarse() || t.options.Look == LookContent
	if d.handle, err = t.root.OpenDir(at.Path); err != nil {
		if t.options.Preview && errors.Is(err, unix.ENOENT) {
			d.handle = -1 // it would have been made
		} else {
			t.report.find(Failed, at.Path, "its directory cannot be opened on the new host: "+err.Error())
			return nil
		}
	} else {
		defer unix.Close(d.handle)
		self, err := tree.Fstat(d.handle)
		if err != nil {
			return err
		}
		d.known = self == d.base.Target && !d.unsure && t.options.Look == LookChanged && !t.lacking[at.Path]
		d.next.Target = self
		t.touch(at.Path, func(touched *touch) {
			d.made = touched.made && at.Piece.Bits == 0
			if touched.before == (tree.Stat{}) {
				touched.before = self
			}
			if fromSource || touched.self == (tree.Stat{}) {
				touched.self = d.source.Self
			}
		})
	}
	// Until it was finished nothing is noted of it on the target: a pass that broke
	// off may have made it, and not more.
	if at.Piece.Number == 0 && (d.source.Self != d.base.Source || d.base.Target == (tree.Stat{}) || t.wasMade(at.Path)) {
		d.ask(&item{name: "", basis: -1, way: fetchWhole}, 0)
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
		if d.base.Piece.Of([]byte(name), d.t.base.Seed) != d.base.Piece.Number || d.base.Find([]byte(name)) != nil {
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
		d.keep(name, base)
		return nil
	}
	if source != nil && base != nil && d.known && base.Source == tree.SourceOf(source) && !base.Recent && !(d.coarse && source.IsRegular()) {
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
		d.keep(name, base)
		return nil
	}
	q := tree.Question{Source: source, Base: base, Target: there, Unsure: d.unsure, Coarse: d.coarse, Maker: maker()}
	if intended, ok := d.intended[string(name)]; ok {
		q.Intended = &intended
	}
	q.Chowned = t.chowned(source, there)
	v := tree.Decide(q)
	switch v.Action {
	case tree.Nothing:
		d.keep(name, base)
	case tree.Adopt:
		if source.IsDir() {
			// What is in it is decided about by itself, and so is whether it stays.
			d.add(name, &tree.Known{Source: tree.SourceOf(source)})
			return nil
		}
		if q.Chowned || source.Mode != there.Mode {
			v.Likely, v.Conflict = true, true
			d.bring(name, source, base, there, v)
			return nil
		}
		d.add(name, &tree.Known{Source: *source, Target: tree.StateOf(there), Adopted: base == nil || base.Adopted, Recent: t.recent(source)})
	case tree.Leave:
		t.report.find(Left, path, "")
		d.keep(name, base)
	case tree.Keep:
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
	if err != nil || there == nil || !there.IsDir() || source == nil || source.IsDir() || d.t.options.Preview {
		return there, err
	}
	cleared, err := d.t.clear(tree.Join(d.path, name))
	if err != nil || !cleared {
		return there, err
	}
	d.changed = true
	return d.look(name)
}

// keep leaves what the base has.
func (d *directory) keep(name []byte, base *tree.Known) {
	if base != nil {
		d.add(name, base)
	}
}

func (d *directory) add(name []byte, known *tree.Known) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next.Add(name, *known)
}

// bring asks for an entry, or makes a directory.
func (d *directory) bring(name []byte, source *tree.Stat, base *tree.Known, there *tree.Stat, v tree.Verdict) {
	t := d.t
	path := tree.Join(d.path, name)
	if v.Conflict && !v.Likely && t.options.OnConflict == "fail" {
		t.report.find(Refused, path, "")
		d.keep(name, base)
		return
	}
	d.changed = true
	if source.IsDir() {
		d.makeDirectory(name, source, base, there, v)
		return
	}
	i := &item{name: string(name), verdict: v, listed: *source, target: there, before: base, basis: -1, way: wayOf(source)}
	if there == nil && d.rename(i) {
		v.Likely = true
	}
	switch {
	case v.Likely && source.IsRegular():
		i.way = fetchHash
		i.verdict.Likely = false
	case there != nil && d.handle >= 0 && !t.options.Preview:
		i.offer(d.handle)
	}
	i.done = func(brought *tree.Known) {
		if brought == base {
			d.mu.Lock()
			d.open.add(name, source)
			d.mu.Unlock()
		}
		d.brought(name, brought)
	}
	// Also of what replaces something: after a kill it is to be known as ours.
	d.intents.add(name, source)
	d.ask(i, source.Size)
}

// wayOf is how an entry is fetched of which nothing is known.
func wayOf(source *tree.Stat) byte {
	if source.IsRegular() {
		return fetchWhole
	}
	return fetchSpecial
}

// ask puts an item into the batch.
func (d *directory) ask(i *item, size int64) {
	if i.done == nil {
		i.done = func(*tree.Known) { d.brought(nil, nil) }
	}
	d.mu.Lock()
	d.waiting++
	d.mu.Unlock()
	// A signature stands for one file.
	if i.way == fetchDelta {
		d.t.askOne(d, i)
		return
	}
	if d.batch == nil {
		d.batch = &batch{dir: d.path}
	}
	d.batch.items = append(d.batch.items, i)
	if d.size += size; d.size >= maxBytes || len(d.batch.items) >= maxItems {
		if err := d.flush(); err != nil {
			d.t.abort(err)
		}
	}
}

// askOne asks for one item.
func (t *target) askOne(d *directory, i *item) {
	if err := t.ask(&batch{dir: d.path, items: []*item{i}}, true); err != nil {
		t.abort(err)
	}
}

// flush notes what is about to be made, and asks for the batch.
func (d *directory) flush() error {
	t := d.t
	if t.options.Preview {
		return d.preview()
	}
	if err := t.intend(d.path, d.base.Piece, &d.intents); err != nil {
		return err
	}
	d.intents = intents{}
	if d.batch == nil {
		return nil
	}
	b := d.batch
	d.batch, d.size = nil, 0
	return t.ask(b, true)
}

// preview counts what would be asked for.
func (d *directory) preview() error {
	b := d.batch
	d.batch, d.size, d.intents = nil, 0, intents{}
	if b == nil {
		return nil
	}
	for _, i := range b.items {
		if i.name != "" {
			in := &incoming{item: i, size: i.listed.Size, literal: i.listed.Size}
			i.verdict.Likely = i.way == fetchHash
			d.t.count(in)
			if !i.verdict.Likely {
				d.t.say(tree.Join(d.path, i.name), i.verdict)
			}
		}
	}
	return nil
}

// brought notes what became of an item.
func (d *directory) brought(name []byte, known *tree.Known) {
	d.mu.Lock()
	if known != nil {
		d.next.Add(name, *known)
	}
	d.waiting--
	finished := d.decided && d.waiting == 0
	d.mu.Unlock()
	if finished {
		if err := d.put(); err != nil {
			d.t.abort(err)
		}
	}
}

// put notes in the base what the directory now is.
func (d *directory) put() error {
	t := d.t
	if t.options.Preview {
		return nil
	}
	d.next.Sort()
	if d.changed {
		d.next.Target = tree.Stat{} // until it is finished
	}
	t.baseMu.Lock()
	err := t.base.Put(&d.next)
	t.baseMu.Unlock()
	if err != nil {
		return err
	}
	return t.intend(d.path, d.next.Piece, &d.open)
}

// makeDirectory makes a directory that is root's alone until all is in it.
func (d *directory) makeDirectory(name []byte, source *tree.Stat, base *tree.Known, there *tree.Stat, v tree.Verdict) {
	t := d.t
	path := tree.Join(d.path, name)
	t.report.add(&t.report.Created, 1)
	t.say(path, v)
	if t.options.Preview {
		return
	}
	err := func() error {
		if err := t.intend(d.path, d.base.Piece, &intents{[][]byte{name}, []*tree.Stat{source}}); err != nil {
			return err
		}
		if there != nil {
			if err := t.takeAway(d.handle, d.path, string(name), there); err != nil {
				return err
			}
		}
		err := t.change.mkdir(d.handle, string(name))
		if errors.Is(err, unix.EEXIST) {
			// Somebody was quicker; what he made is looked at as what it is.
			if now, statErr := tree.StatAt(d.handle, name); statErr == nil && now.IsDir() {
				return nil
			}
		}
		return err
	}()
	if err != nil {
		t.report.find(Failed, path, fmt.Sprintf("its directory cannot be made: %v", err))
		d.keep(name, base)
		return
	}
	t.touch(path, func(touched *touch) { touched.made = true })
	// What the source has in it may be as it was, so that it is not among what was
	// listed; and the path may have led to it until now, through a link.
	t.remade = append(t.remade, t.unlisted(path)...)
	d.add(name, &tree.Known{Source: tree.SourceOf(source)})
}

// rename gives what the source has under another name now its new name on the
// target, too: a mail that was read, a log that was rotated.
func (d *directory) rename(i *item) bool {
	t := d.t
	old := t.moved[i.listed.Ino]
	if old == nil || !i.listed.IsRegular() || i.listed.Size != old.known.Source.Size || i.listed.Mtime != old.known.Source.Mtime || t.options.Delete == None {
		return false
	}
	from, err := t.root.OpenDir(old.dir)
	if err != nil {
		return false
	}
	defer unix.Close(from)
	stat, err := tree.StatAt(from, old.name)
	if err != nil || tree.StateOf(&stat) != old.known.Target {
		return false
	}
	if !t.options.Preview {
		err = t.intend(d.path, d.base.Piece, &intents{[][]byte{[]byte(i.name)}, []*tree.Stat{&i.listed}})
		if err == nil {
			err = t.change.move(from, old.name, d.handle, i.name)
		}
		if err != nil {
			return false
		}
		t.touch(old.dir, nil)
		t.touch(d.path, func(touched *touch) { touched.changed = true })
	}
	delete(t.moved, i.listed.Ino)
	t.report.add(&t.report.Renamed, 1)
	i.renamed, i.target = true, &stat
	return true
}
