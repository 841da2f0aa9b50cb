//go:build linux

package pass

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// touch is a directory of the target that was looked at, or changed.
type touch struct {
	before  tree.Stat // what it was, before anything was done in it
	known   bool      // that is what the base has
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
	if t.staging.opened {
		t.touch("", func(touched *touch) { touched.changed = true })
	}
	t.staging.close()
	if err := t.finishDirectories(slices.SortedFunc(maps.Keys(t.touched), deepestFirst)); err != nil {
		return err
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

// finishDirectories finishes directories, those that are deepest first, and several at a
// time of those that are equally deep: to read the names in all that were changed takes
// as long as the rest of a pass with few changes.
func (t *target) finishDirectories(paths []string) error {
	for len(paths) > 0 && t.ctx.Err() == nil {
		level := paths
		if shallower := slices.IndexFunc(paths, func(path string) bool { return depth(path) < depth(paths[0]) }); shallower > 0 {
			level = paths[:shallower]
		}
		paths = paths[len(level):]
		var next atomic.Int64
		var finishing sync.WaitGroup
		for range min(t.writersCount(), len(level)) {
			finishing.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(level)) && t.ctx.Err() == nil; i = next.Add(1) - 1 {
					path := level[i]
					// One that is gone was taken away, or somebody has replaced it.
					if err := t.finishDirectory(path, t.touched[path]); err != nil && !tree.Gone(err) {
						t.report.find(Failed, path, err.Error())
					}
				}
			})
		}
		finishing.Wait()
	}
	return t.ctx.Err()
}

func (t *target) finishDirectory(path string, touched *touch) error {
	dir, err := t.root.OpenDir(path)
	if err != nil {
		if tree.Gone(err) {
			err = errors.Join(err, t.verifyGone(path, touched))
		}
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
		var lost []string
		lost, err = t.change.dress(dir, false, &have, &want, touched.attrs)
		t.omit(path, lost)
	case touched.made || touched.changed:
		err = t.finishTime(path, dir, &have, touched)
	}
	if err != nil {
		_, verifyErr := t.hasBrought(path, dir)
		return errors.Join(err, verifyErr)
	}
	now, err := tree.Fstat(dir)
	if err != nil {
		return err
	}
	t.verifyDirectory(path, touched, &now)
	// Where it is not as it was when its names were looked at, the pass may not have
	// been the only one who has changed something.
	if have != touched.before || touched.made || touched.changed {
		all, err := t.hasBrought(path, dir)
		if err != nil || !all {
			return err
		}
		if last, err := tree.Fstat(dir); err != nil || last != now {
			return err
		}
	}
	t.baseMu.Lock()
	defer t.baseMu.Unlock()
	return t.base.Seal(path, now)
}

// hasBrought says whether the names in an open directory, with their numbers, are
// those that the base has. Where somebody has added one they are looked at again. It
// verifies what this pass has brought on the way.
func (t *target) hasBrought(path string, dir int) (bool, error) {
	var there names
	var readErr error
	var reading sync.WaitGroup
	reading.Go(func() { there, readErr = sumOfNames(dir) })
	brought, err := t.broughtInto(path, dir)
	reading.Wait()
	if err == nil {
		err = readErr
	}
	return err == nil && brought == there, err
}

// broughtInto are the names that the base has of a directory.
func (t *target) broughtInto(path string, dir int) (brought names, err error) {
	var d tree.Brought
	for _, piece := range t.knownPieces(path) {
		if err := t.load(path, piece, &d); err != nil {
			return brought, err
		}
		for i := range d.Len() {
			brought.add(d.Name(i), d.Entry(i).Target.Ino)
		}
		t.verifyFresh(path, dir, &d)
	}
	return brought, nil
}

// sumOfNames is the sum over the names in an open directory.
func sumOfNames(dir int) (there names, err error) {
	buffer := make([]byte, 32<<10)
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return there, err
	}
	for {
		n, err := unix.ReadDirent(dir, buffer)
		if err != nil || n == 0 {
			return there, err
		}
		for record := buffer[:n]; len(record) > 0; record = record[binary.NativeEndian.Uint16(record[16:]):] {
			// As in getdents64(2): number, offset, length, kind, and the name.
			name, _, _ := bytes.Cut(record[19:], []byte{0})
			number := binary.NativeEndian.Uint64(record)
			if record[18] == unix.DT_DIR {
				number = 0
			}
			if string(name) != "." && string(name) != ".." {
				there.add(name, number)
			}
		}
	}
}

// names is a sum over names with the numbers of what they are of, in any order.
type names struct {
	count int
	sum   uint64
}

func (n *names) add(name []byte, number uint64) {
	n.count++
	n.sum += xxh3.HashSeed(name, number)
}

// finishTime sets the time of a directory in which something was changed, which
// changed its time.
func (t *target) finishTime(path string, dir int, have *tree.Stat, touched *touch) error {
	self := touched.self
	if self == (tree.Stat{}) {
		// It was not among what was listed: it is as the base has it.
		var d tree.Brought
		pieces := t.knownPieces(path)
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
