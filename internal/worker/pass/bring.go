//go:build linux

package pass

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

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

// bring asks for an entry, or makes a directory.
func (d *directory) bring(name []byte, source *tree.Stat, base *tree.Known, there *tree.Stat, v tree.Verdict) {
	t := d.t
	path := tree.Join(d.path, name)
	if t.refuses(path, source, there, v) {
		if source.IsDir() {
			d.keep(name, base)
		} else {
			d.keepFile(name, base)
		}
		return
	}
	d.changed = true
	t.replaces(d.path, name, base)
	if source.IsDir() {
		d.makeDirectory(name, source, base, there, v)
		return
	}
	i := &item{name: string(name), verdict: v, listed: *source, target: there, before: base, basis: -1, way: wayOf(source)}
	if there == nil && d.rename(i) {
		if t.options.Preview {
			return
		}
		v.Likely = true
	}
	switch {
	case v.Likely && source.IsRegular():
		i.way = fetchHash
	case there != nil && d.handle >= 0 && !t.options.Preview:
		i.offer(d.handle)
	}
	i.verdict.Likely = false // until it was compared
	// What is never replaced is not ours if a pass breaks off.
	own := v.Conflict && t.options.OnConflict == "fail"
	i.done = func(brought *tree.Known) {
		if brought == base && !v.Conflict {
			d.remember(name)
			d.mu.Lock()
			d.open.add(name, source)
			d.mu.Unlock()
		}
		d.brought(name, brought)
	}
	// Also of what replaces something: after a kill it is to be known as ours.
	if !own {
		d.intents.add(name, source)
	}
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
		d.preview()
	} else if err := t.intend(d.path, d.base.Piece, &d.intents); err != nil {
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
	if d.changed || d.bare {
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
	err := func() error {
		if t.options.Preview {
			return nil
		}
		// Should the pass break off, its attributes are asked for again.
		t.baseMu.Lock()
		err := t.base.Seal(path, tree.Stat{})
		t.baseMu.Unlock()
		if err != nil {
			return err
		}
		if err := t.intend(d.path, d.base.Piece, &intents{[][]byte{name}, []*tree.Stat{source}}); err != nil {
			return err
		}
		if there != nil {
			if err := t.takeAway(d.handle, d.path, string(name), there); err != nil {
				return err
			}
		}
		err = t.change.mkdir(d.handle, string(name))
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
	t.report.did(Created, path)
	t.say(path, v)
	t.touch(path, func(touched *touch) { touched.made = true })
	// What the source has in it may be as it was, so that it is not among what was
	// listed; and the path may have led to it until now, through a link.
	t.remade = append(t.remade, t.unlisted(path)...)
	d.add(name, &tree.Known{Source: tree.SourceOf(source)})
}

// replaces notes that something else comes to a place: what was there cannot be
// moved elsewhere from now on, for the writers may have the new one there already.
func (t *target) replaces(dir string, name []byte, base *tree.Known) {
	if base == nil {
		return
	}
	if old := t.moved[base.Source.Ino]; old != nil && old.dir == dir && old.name == string(name) {
		delete(t.moved, base.Source.Ino)
	}
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
	stat, err := t.statAt(from, old.dir, old.name)
	if err != nil || tree.StateOf(&stat) != old.known.Target {
		return false
	}
	if t.options.Preview {
		t.away[tree.Join(old.dir, old.name)], t.stirred[old.dir] = true, true
	} else {
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
	t.report.didTo(Renamed, tree.Join(d.path, i.name), tree.Join(old.dir, old.name), 0, 0)
	i.renamed, i.target = true, &stat
	return true
}
