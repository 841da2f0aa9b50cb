//go:build linux

package pass

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// removal is an entry that was brought and that the source has no more.
type removal struct {
	dir   string
	name  string
	piece tree.Piece
	there *tree.Stat // what it was when that was decided
}

// remove takes away what the source has no more. It comes last, so that what only
// has another name there was moved by now.
func (t *target) remove() error {
	if t.options.Delete == None {
		return t.forgetDirectories()
	}
	slices.SortStableFunc(t.removals, func(a, b removal) int {
		return comparePlaces(tree.Place{Path: a.dir, Piece: a.piece}, tree.Place{Path: b.dir, Piece: b.piece})
	})
	for len(t.removals) > 0 {
		at := tree.Place{Path: t.removals[0].dir, Piece: t.removals[0].piece}
		n := 0
		for n < len(t.removals) && t.removals[n].dir == at.Path && t.removals[n].piece == at.Piece {
			n++
		}
		if err := t.removeFrom(at, t.removals[:n]); err != nil {
			return err
		}
		t.removals = t.removals[n:]
	}
	for _, path := range slices.Backward(t.goneDirs) {
		if err := t.removeDirectory(path); err != nil {
			return err
		}
	}
	return nil
}

// clear takes away a directory that the source has no more, with those in it, as
// far as they were brought. It says whether there was something to do.
func (t *target) clear(path string) (bool, error) {
	if t.options.Delete == None || !t.gone[path] {
		return false, nil
	}
	for _, gone := range slices.Backward(t.goneDirs) {
		if gone == path || strings.HasPrefix(gone, path+"/") {
			if err := t.removeDirectory(gone); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// removeFrom takes entries of one directory away.
func (t *target) removeFrom(at tree.Place, removals []removal) error {
	dir, err := t.root.OpenDir(at.Path)
	if err != nil {
		t.report.find(Failed, at.Path, err.Error())
		return nil
	}
	defer unix.Close(dir)
	gone := map[string]*tree.Known{}
	for _, r := range removals {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if t.takeEntry(dir, at.Path, r.name, r.there) {
			gone[r.name] = nil
		}
	}
	if t.options.Preview {
		return nil
	}
	t.touch(at.Path, func(touched *touch) { touched.changed = true })
	return t.replace(at, gone)
}

// takeEntry takes an entry away that is as it was when that was decided, and says
// whether it is gone.
func (t *target) takeEntry(dir int, path, name string, decided *tree.Stat) bool {
	now, err := t.statAt(dir, path, name)
	if errors.Is(err, unix.ENOENT) {
		return true
	}
	was := t.beforeDress(now)
	is := tree.Known{Source: *decided, Target: tree.StateOf(decided)}
	if err == nil && !is.Is(&was) {
		t.report.find(Kept, tree.Join(path, name), "")
		return true // of what is there now the base knows nothing
	}
	switch {
	case err != nil:
	case t.options.Preview:
		t.away[tree.Join(path, name)] = true
	default:
		err = t.takeAway(dir, path, name, &now)
	}
	if err != nil {
		t.report.find(Failed, tree.Join(path, name), err.Error())
		return false
	}
	t.report.did(Deleted, tree.Join(path, name))
	return true
}

// dress is what a file of the target with several names was before this pass gave it
// other attributes by one of them, and is since.
type dress struct{ before, after tree.Stat }

func (t *target) dressed(before, after *tree.Stat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, again := t.dresses[before.Ino]
	if d.after = *after; !again {
		d.before = *before
	}
	t.dresses[before.Ino] = d
}

// beforeDress is what an entry was before this pass gave it other attributes by another
// of its names, so that it is not taken for one that somebody has changed.
func (t *target) beforeDress(now tree.Stat) tree.Stat {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.dresses[now.Ino]
	// A name more or less changes its time of change.
	after := d.after
	after.Nlink, after.Ctime = now.Nlink, now.Ctime
	if ok && after == now {
		return d.before
	}
	return now
}

// removeDirectory takes away what was brought into a directory that the source
// has no more, and then the directory, if nothing of the target's own is in it.
func (t *target) removeDirectory(path string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if t.cleared[path] {
		return nil
	}
	t.cleared[path] = t.options.Preview
	dir, err := t.root.OpenDir(path)
	if tree.Gone(err) {
		return t.forget(path)
	}
	parent, name := tree.Split(path)
	if err != nil {
		t.report.find(Failed, path, err.Error())
		t.unfinished[parent] = true
		return nil
	}
	whole, err := t.removeKnown(dir, path)
	if t.options.Preview {
		defer unix.Close(dir)
		if err == nil && whole && !t.unfinished[path] {
			err = t.previewRmdir(dir, path)
		}
		return err
	}
	unix.Close(dir)
	if err != nil {
		return err
	}
	if !whole || t.unfinished[path] {
		// The base has to know of those above, too, for the next pass.
		t.unfinished[parent] = true
		return nil
	}
	up, err := t.root.OpenDir(parent)
	if err != nil {
		t.report.find(Failed, path, err.Error())
		t.unfinished[parent] = true
		return nil
	}
	defer unix.Close(up)
	switch err := t.change.rmdir(up, name); {
	case err == nil:
		t.report.did(Deleted, path)
		t.touch(parent, func(touched *touch) { touched.changed = true })
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		t.report.find(Kept, path, notEmpty)
		t.cleared[path] = true // once
	case errors.Is(err, unix.ENOENT):
	default:
		t.report.find(Failed, path, err.Error())
		t.unfinished[parent] = true
		return nil
	}
	return t.forget(path)
}

// notEmpty is said of a directory that cannot be taken away.
const notEmpty = "something of the target host's own is in it"

// removeKnown takes away what the base knows of a directory, and says whether all
// could be.
func (t *target) removeKnown(dir int, path string) (whole bool, err error) {
	whole = true
	var d tree.Brought
	t.baseMu.Lock()
	pieces, unsure := t.base.Pieces(path), t.base.Unsure(path)
	intended, err := t.base.Intended(path)
	t.baseMu.Unlock()
	if err != nil {
		return false, err
	}
	for _, piece := range pieces {
		if err := t.load(path, piece, &d); err != nil {
			return false, err
		}
		for i := range d.Len() {
			name := string(d.Name(i))
			q := tree.Question{Base: d.Entry(i), Intended: intended[name], Unsure: unsure}
			if !q.Base.Source.IsDir() {
				delete(intended, name)
				whole = t.removeGone(dir, path, name, q) && whole
			}
		}
	}
	for name, stats := range intended {
		if !anyDirectory(stats) {
			whole = t.removeGone(dir, path, name, tree.Question{Intended: stats, Unsure: unsure}) && whole
		}
	}
	return whole, nil
}

// removeGone takes an entry away that the source has no more, if it is as it was
// brought, and says whether nothing is left to do about it.
func (t *target) removeGone(dir int, path, name string, q tree.Question) bool {
	if t.cleared[tree.Join(path, name)] {
		return true // it is a directory that stays
	}
	now, err := t.statAt(dir, path, name)
	if err != nil {
		return errors.Is(err, unix.ENOENT)
	}
	if t.excluded(tree.Join(path, name), false) {
		return true
	}
	was := t.beforeDress(now)
	q.Target, q.Maker = &was, maker
	switch tree.Decide(q).Action {
	case tree.Remove:
		return t.takeEntry(dir, path, name, &was)
	case tree.Keep:
		t.report.find(Kept, tree.Join(path, name), "")
	}
	return true
}

func (t *target) forget(path string) error {
	if t.options.Preview {
		return nil
	}
	dir, name := tree.Split(path)
	t.baseMu.Lock()
	err := t.base.Forget(path)
	intended, intendedErr := t.base.Intended(dir)
	pieces := t.base.Pieces(dir)
	t.baseMu.Unlock()
	if err = errors.Join(err, intendedErr); err != nil {
		return err
	}
	if _, ok := intended[name]; !ok || len(pieces) == 0 {
		return nil
	}
	// It was made by a pass that broke off, and nobody has to know of it any more.
	piece := tree.Piece{Bits: pieces[0].Bits, Number: pieces[0].Of([]byte(name), t.base.Seed)}
	return t.replace(tree.Place{Path: dir, Piece: piece}, map[string]*tree.Known{name: nil})
}

// forgetDirectories is for a pass that takes nothing away.
func (t *target) forgetDirectories() error {
	if t.options.Preview {
		return nil
	}
	for _, path := range t.goneDirs {
		if err := t.forget(path); err != nil {
			return err
		}
	}
	return nil
}

// deepestFirst sorts paths so that what is in a directory comes before it.
func deepestFirst(a, b string) int {
	if n := depth(b) - depth(a); n != 0 {
		return n
	}
	return strings.Compare(a, b)
}
