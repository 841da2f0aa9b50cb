//go:build linux

package pass

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// wanted is what a file is to be on the new host.
func (t *target) wanted(stat *tree.Stat) tree.Stat {
	want := *stat
	want.UID, want.GID = t.user(stat.UID), t.group(stat.GID)
	return want
}

// wantedFrom is wanted where the old host may not have named the owner, for it has not
// listed the directory: he is believed to be whom the entry has, then.
func (t *target) wantedFrom(stat, has *tree.Stat) tree.Stat {
	want := t.wanted(stat)
	if !t.owners.told(false, stat.UID) {
		want.UID = has.UID
	}
	if !t.owners.told(true, stat.GID) {
		want.GID = has.GID
	}
	return want
}

// chowned says whether an entry of the target has another owner than the source's
// would have there.
func (t *target) chowned(source, there *tree.Stat) bool {
	if source == nil || there == nil {
		return false
	}
	want := t.wantedFrom(source, there)
	return want.UID != there.UID || want.GID != there.GID
}

// dress gives the new file its owner, its time, its attributes and, last, its mode:
// by that the part of a file is known that broke off.
func (w *writer) dress(b *batch, in *incoming) error {
	c := w.target.change
	want := w.target.wanted(&in.stat)
	inherits, group := true, noGroup
	if !in.staged {
		if _, err := w.directory(b); err != nil {
			return err
		}
		inherits, group = w.inherits, w.group
	}
	if want.UID != maker || want.GID != group {
		if err := c.chown(in.fd, want.UID, want.GID); err != nil {
			return err
		}
	}
	if err := c.times(in.fd, false, want.Mtime); err != nil {
		return err
	}
	if inherits || len(in.attrs) > 0 {
		lost, err := c.attributes(in.fd, false, in.attrs)
		if err == nil {
			want.Mode, err = kept(want.Mode, in.attrs, lost)
		}
		if err != nil {
			return err
		}
		w.target.omit(tree.Join(b.dir, in.item.name), lost)
	}
	return c.chmod(in.fd, false, want.Mode)
}

// noGroup is no number of a group: whose the group of a new file is, is not known.
const noGroup = ^uint32(0)

// create makes a file in the staging directory.
func (s *staging) create() (int, string, error) {
	dir, err := s.open()
	if err != nil {
		return -1, "", err
	}
	name := s.next()
	fd, err := s.target.change.create(dir, name)
	return fd, name, err
}

// place moves a complete entry from the staging directory into its place. What is
// there goes to the trash, if it is to be kept.
func (w *writer) place(b *batch, in *incoming) error {
	dir, err := w.directory(b)
	if err != nil {
		return err
	}
	return w.target.place(b.dir, dir, in.item, w.target.staging.fd, in.name)
}

// place moves the entry staged in the directory from to its place in dir.
func (t *target) place(path string, dir int, i *item, from int, staged string) error {
	// What is in the place now: a user may have put something there since it was
	// decided.
	now, err := tree.StatAt(dir, i.name)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err == nil {
		if i.verdict.Conflict && t.options.OnConflict == "fail" {
			return errOwn
		}
		asDecided := i.target != nil && tree.StateOf(i.target) == tree.StateOf(&now)
		if t.trash != nil && !i.part() || now.IsDir() || !asDecided && t.trash != nil {
			if err := t.takeAway(dir, path, i.name, &now); err != nil {
				return err
			}
		}
	}
	return t.moveOver(path, from, staged, dir, i)
}

// refuses says whether what is in a place stays there, and why in the report.
func (t *target) refuses(path string, source, there *tree.Stat, v tree.Verdict) bool {
	switch {
	case v.Conflict && !v.Likely && t.options.OnConflict == "fail":
		t.report.find(Refused, path, "")
	case there != nil && there.IsDir() && !source.IsDir() && t.options.Delete != ToTrash:
		t.report.find(Failed, path, "there is a directory in its place, and no trash to move it to")
	default:
		return false
	}
	return true
}

// errOwn is for what is not replaced because it is the new host's own.
var errOwn = errors.New("it is the target host's own, and on_conflict is \"fail\"")

// part says whether what is in the place is a part of the file that a pass which
// broke off has left: nobody needs it.
func (i *item) part() bool {
	return i.target != nil && i.before == nil && i.target.IsRegular() && i.target.Mode&0o7777 == tree.PartMode
}

// moveOver moves a staged entry. Where something else is mounted in the target,
// it cannot be moved there, and is made anew beside its place.
func (t *target) moveOver(path string, from int, staged string, dir int, i *item) error {
	err := t.change.rename(from, staged, dir, i.name)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	beside := "." + t.base.Token() + "." + staged
	mover := trash{change: t.change, omit: func(lost []string) { t.omit(tree.Join(path, i.name), lost) }}
	if err := mover.copyOver(from, staged, dir, beside); err != nil {
		_ = t.change.unlink(dir, beside)
		return err
	}
	i.anew = true
	return t.change.rename(dir, beside, dir, i.name)
}

// takeAway moves what is in a place to the trash, or removes it where there is
// none.
func (t *target) takeAway(dir int, path, name string, stat *tree.Stat) error {
	if t.trash != nil {
		size, err := t.trash.take(dir, path, name)
		t.report.add(&t.report.Trashed, size)
		return err
	}
	if stat.IsDir() {
		return errors.New("there is a directory in its place, and no trash to move it to")
	}
	return t.change.unlink(dir, name)
}

// link makes a symbolic link.
func (w *writer) link(b *batch, in *incoming, to string) error {
	if in.stat.Kind() != unix.S_IFLNK {
		return errors.New("it is said to be a symbolic link and to be none")
	}
	if in.item.target != nil && in.item.target.Kind() == unix.S_IFLNK {
		same, err := w.sameLink(b, in, to)
		if same || err != nil {
			return err
		}
	}
	if in.item.target != nil && in.item.verdict.Conflict && w.target.options.OnConflict == "fail" {
		return errOwn
	}
	return w.byName(b, in, func(dir int, name string) error { return w.target.change.symlink(dir, name, to) })
}

// sameLink gives a symbolic link that leads to the same place its attributes.
func (w *writer) sameLink(b *batch, in *incoming, to string) (bool, error) {
	dir, err := w.directory(b)
	if err != nil {
		return false, err
	}
	fd, err := unix.Openat(dir, in.item.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil // it is made anew then
	}
	defer unix.Close(fd)
	there, err := tree.ReadLink(fd)
	if err != nil || string(there) != to {
		return false, nil // it is no link any more, and is made anew
	}
	return true, w.sameSpecial(b, fd, in, func(dir int, name string) error { return w.target.change.symlink(dir, name, to) })
}

// special makes a device, a fifo or a socket, or notes what a directory is to be.
func (w *writer) special(b *batch, in *incoming) error {
	switch in.stat.Kind() {
	case unix.S_IFDIR:
		if in.item.name != "" {
			return tree.ErrSwapped
		}
		if in.stat.Ino != in.item.listed.Ino {
			return tree.ErrSwapped // another directory has its place now
		}
		w.target.touch(b.dir, func(t *touch) { t.stat, t.attrs, t.dress = in.stat, in.attrs, true })
		return nil
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK:
	default:
		return fmt.Errorf("it is of kind %o", in.stat.Kind()>>12)
	}
	anew := func(dir int, name string) error {
		return w.target.change.mknod(dir, name, in.stat.Mode, in.stat.Rdev)
	}
	if there := in.item.target; there != nil && there.Kind() == in.stat.Kind() && there.Rdev == in.stat.Rdev {
		dir, err := w.directory(b)
		if err != nil {
			return err
		}
		fd, err := unix.Openat(dir, in.item.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return w.sameSpecial(b, fd, in, anew)
	}
	return w.byName(b, in, anew)
}

// byName makes what has no handle of its own in the staging directory, where
// nobody can put something else in its place, and moves it.
func (w *writer) byName(b *batch, in *incoming, make func(dir int, name string) error) error {
	t := w.target
	if t.options.Preview {
		return nil
	}
	dir, err := t.staging.open()
	if err != nil {
		return err
	}
	name := t.staging.next()
	if err := make(dir, name); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	have, err := tree.Fstat(fd)
	if err != nil {
		return err
	}
	want := t.wanted(&in.stat)
	lost, err := t.change.dress(fd, true, &have, &want, in.attrs)
	if err != nil {
		_ = t.change.unlink(dir, name)
		return err
	}
	t.omit(tree.Join(b.dir, in.item.name), lost)
	in.name = name
	if in.alone {
		err = w.placeAlone(b, in)
	} else {
		err = w.place(b, in)
	}
	if err != nil {
		_ = t.change.unlink(dir, name)
	}
	return err
}

// sameAs compares the target's file with the hash of the source's, and gives it
// its attributes where they are the same.
func (w *writer) sameAs(b *batch, in *incoming, hash [delta.HashSize]byte) (bool, error) {
	if in.item.target == nil || !in.item.target.IsRegular() || in.item.target.Size != in.stat.Size {
		return false, nil
	}
	dir, err := w.directory(b)
	if err != nil {
		return false, err
	}
	fd, stat, _, err := open(dir, in.item.name, false)
	if err != nil {
		return false, nil // it is brought then
	}
	defer unix.Close(fd)
	if stat.Ino != in.item.target.Ino || stat.Size != in.stat.Size || !stat.IsRegular() {
		return false, nil
	}
	if w.buffer == nil {
		w.buffer = make([]byte, readSize)
	}
	own := w.newHash()
	_, err = io.CopyBuffer(struct{ io.Writer }{own}, struct{ io.Reader }{&basisReader{fd: fd}}, w.buffer)
	if w.sum(own) != hash || err != nil {
		return false, nil // it is brought then
	}
	in.item.verdict.Likely = true
	if !in.item.renamed {
		w.target.have(&in.stat, in.item.before)
	}
	if in.stat.Nlink == 1 && stat.Nlink > 1 {
		return w.alone(b, in, fd, &stat, hash)
	}
	return true, w.inPlace(b, fd, false, in)
}

// inPlace gives an entry of the target, which has the right content, the source's
// attributes.
func (w *writer) inPlace(b *batch, fd int, path bool, in *incoming) error {
	have, err := tree.Fstat(fd)
	if err != nil {
		return err
	}
	want := w.target.wanted(&in.stat)
	if w.target.options.Preview {
		in.same, err = dressed(fd, path, &have, &want, in.attrs)
		return err
	}
	lost, err := w.target.change.dress(fd, path, &have, &want, in.attrs)
	if err != nil {
		return err
	}
	w.target.omit(tree.Join(b.dir, in.item.name), lost)
	now, err := tree.Fstat(fd)
	in.same = now == have
	if err == nil && !in.same && now.Nlink > 1 {
		w.target.dressed(&have, &now)
	}
	return err
}

// complete ends an entry without content.
func (w *writer) complete(b *batch, in *incoming) { w.finish(b, in, false) }

// finish notes what became of an item.
func (w *writer) finish(b *batch, in *incoming, changed bool) {
	i, t := in.item, w.target
	path := i.path(b.dir)
	var state tree.Stat
	switch {
	case in.err != nil || i.name == "":
	case !t.options.Preview:
		state, in.err = w.stateOf(b, in)
	case i.verdict.Likely && !in.alone:
		state = *i.target
	}
	if in.err != nil {
		w.discard(b, in)
		if errors.Is(in.err, errOwn) {
			t.report.find(Refused, path, "")
		} else {
			t.report.find(Failed, path, in.err.Error())
		}
		w.done(b, i, i.before)
		return
	}
	if in.fd >= 0 {
		unix.Close(in.fd)
		in.fd = -1
	}
	t.meanwhile(path, &i.listed, &in.stat, changed)
	if i.name == "" {
		w.done(b, i, nil)
		return
	}
	t.count(path, in)
	if !i.verdict.Likely {
		t.say(path, i.verdict)
	}
	brought := &tree.Known{Source: in.stat, Target: tree.StateOf(&state), Recent: changed || t.recent(&in.stat)}
	brought.Fresh = !in.same || t.options.all()
	brought.Adopted = i.verdict.Likely && i.verdict.Conflict && (i.before == nil || i.before.Adopted)
	w.done(b, i, brought)
}

// stateOf is what the entry now is on the target.
func (w *writer) stateOf(b *batch, in *incoming) (tree.Stat, error) {
	if in.fd >= 0 && !in.staged {
		state, err := tree.Fstat(in.fd)
		if want := w.target.wanted(&in.stat); err == nil && state.GID != want.GID {
			// The file system gives new files the group of their directory (bsdgroups in
			// mount(8)), whatever it is.
			w.group = noGroup
			if err = w.dress(b, in); err == nil {
				state, err = tree.Fstat(in.fd)
			}
		}
		return state, err
	}
	dir, err := w.directory(b)
	if err != nil {
		return tree.Stat{}, err
	}
	state, err := tree.StatAt(dir, in.item.name)
	if err == nil && in.fd >= 0 && !in.item.anew {
		var mine tree.Stat
		if mine, err = tree.Fstat(in.fd); err == nil && mine.Ino != state.Ino {
			err = errors.New("somebody has put something else in its place meanwhile")
		}
	}
	return state, err
}

// count notes in the report what was done about an item.
func (t *target) count(path string, in *incoming) {
	var bytes, literal int64
	if in.item.way != fetchHash {
		bytes, literal = in.size, in.literal
	}
	switch {
	case in.item.renamed:
		// That was noted when it got its name.
		t.report.brought(bytes, literal)
	case in.item.verdict.Likely:
		if !in.same {
			t.report.did(Attributes, path)
		}
	case in.item.target == nil:
		t.report.didTo(Created, path, "", bytes, literal)
	default:
		t.report.didTo(Updated, path, "", bytes, literal)
	}
}

// say tells what is odd about a verdict.
func (t *target) say(path string, v tree.Verdict) {
	switch {
	case v.Lost:
		t.report.find(Lost, path, "")
	case v.Conflict:
		t.report.find(Conflict, path, "")
	}
}
