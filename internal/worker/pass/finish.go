//go:build linux

package pass

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// touch is a directory of the target that was looked at, or changed.
type touch struct {
	before  tree.Stat // what it was, before anything was done in it
	self    tree.Stat // what the source's is
	made    bool
	changed bool // something in it was

	// What it is to be, where the source's was changed.
	dress bool
	stat  tree.Stat
	attrs []attr.Attr
}

// touch notes something about a directory.
func (t *target) touch(path string, note func(*touch)) {
	t.touchMu.Lock()
	defer t.touchMu.Unlock()
	touched := t.touched[path]
	if touched == nil {
		touched = &touch{}
		t.touched[path] = touched
	}
	if note != nil {
		note(touched)
	}
}

// wasMade says whether this pass has made a directory.
func (t *target) wasMade(path string) bool {
	t.touchMu.Lock()
	defer t.touchMu.Unlock()
	touched := t.touched[path]
	return touched != nil && touched.made
}

// finish gives directories their attributes and times when all is in them, and
// notes that all was brought.
func (t *target) finish() error {
	if err := t.settle(); err != nil {
		return err
	}
	t.touch("", func(touched *touch) { touched.changed = true }) // the staging directory was in it
	t.staging.close()
	paths := slices.SortedFunc(maps.Keys(t.touched), deepestFirst)
	for _, path := range paths {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if err := t.finishDirectory(path, t.touched[path]); err != nil {
			if tree.Gone(err) {
				continue // it was taken away, or somebody has replaced it
			}
			t.report.find(Failed, path, err.Error())
		}
	}
	if err := t.syncTarget(); err != nil {
		return err
	}
	if t.staging.left {
		// Who comes next has to know of it still.
		return t.base.Flush()
	}
	return t.base.Synced()
}

func (t *target) finishDirectory(path string, touched *touch) error {
	dir, err := t.root.OpenDir(path)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	have, err := tree.Fstat(dir)
	if err != nil {
		return err
	}
	switch {
	case touched.dress:
		want := t.wanted(&touched.stat)
		err = t.change.dress(dir, false, &have, &want, touched.attrs)
	case touched.made || touched.changed:
		err = t.finishTime(path, dir, &have, touched)
	}
	if err != nil {
		return err
	}
	now, err := tree.Fstat(dir)
	if err != nil {
		return err
	}
	if !touched.dress && !touched.made && !touched.changed && now != touched.before {
		return nil // somebody has changed something since it was looked at
	}
	return t.base.Seal(path, now)
}

// finishTime sets the time of a directory in which something was changed, which
// changed its time.
func (t *target) finishTime(path string, dir int, have *tree.Stat, touched *touch) error {
	self := touched.self
	if self == (tree.Stat{}) {
		// It was not among what was listed: it is as the base has it.
		var d tree.Brought
		pieces := t.base.Pieces(path)
		if len(pieces) == 0 {
			return nil
		}
		if err := t.load(path, pieces[0], &d); err != nil {
			return err
		}
		self = d.Source
	}
	if self == (tree.Stat{}) || self.Mtime == have.Mtime {
		return nil
	}
	return t.change.times(dir, false, self.Mtime)
}
