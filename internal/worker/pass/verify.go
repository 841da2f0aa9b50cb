//go:build linux

package pass

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// all says whether every entry of the target is looked at.
func (o *Options) all() bool { return o.Look == LookAll || o.Look == LookContent }

// verify looks once more at an entry that this pass has brought into an open
// directory, or into one that is gone (-1). What it is to be is what was noted: the
// owner and mode of the source's, and the rest as it was when it had been written.
// Its content is not read again: end has compared the hash of what was written with
// the one that the old host took while it read.
func (t *target) verify(path string, dir int, name []byte, known *tree.Known) {
	t.report.add(&t.report.Verified, 1)
	path = tree.Join(path, name)
	if dir < 0 {
		t.report.find(Differs, path, "missing")
		return
	}
	have, err := tree.StatAt(dir, name)
	if err != nil {
		text := "missing"
		if !errors.Is(err, unix.ENOENT) {
			text = err.Error()
		}
		t.report.find(Differs, path, text)
		return
	}
	want := t.wanted(&known.Source)
	// The time that a file system can keep, and as much as could be read.
	want.Size, want.Mtime = known.Target.Size, known.Target.Mtime
	text := t.unlike(&want, &have)
	switch {
	case text != "":
	case have.Ino != known.Target.Ino:
		text = "another " + kindName(&have) + " is in its place"
	case !known.Is(&have):
		text = "changed since it was brought"
	default:
		return
	}
	t.report.find(Differs, path, text)
}

// verifyDirectory compares a directory that this pass has given its attributes.
func (t *target) verifyDirectory(path string, touched *touch, now *tree.Stat) {
	if !touched.dress || t.options.Look == LookNone {
		return
	}
	t.countVerified(path)
	want := t.wanted(&touched.stat)
	if text := t.unlike(&want, now); text != "" {
		t.report.find(Differs, path, text)
	}
}

// verifyGone is for a directory that went away, or became something else, after this
// pass had brought something into it.
func (t *target) verifyGone(path string, touched *touch) error {
	pieces := t.knownPieces(path)
	if t.options.Look == LookNone || len(pieces) == 0 {
		return nil
	}
	if touched.dress {
		t.countVerified(path)
		t.report.find(Differs, path, "missing")
	}
	var d tree.Brought
	for _, piece := range pieces {
		if err := t.load(path, piece, &d); err != nil {
			return err
		}
		t.verifyFresh(path, -1, &d)
	}
	return nil
}

// verifyFresh verifies what this pass has brought of a piece of a directory.
func (t *target) verifyFresh(path string, dir int, d *tree.Brought) {
	for i := range d.Len() {
		if known := d.Entry(i); known.Fresh && t.options.Look != LookNone {
			t.verify(path, dir, d.Name(i), known)
		}
	}
}

// countVerified counts a directory that was compared. The root is none of the entries
// that the old host counts.
func (t *target) countVerified(path string) {
	if path != "" {
		t.report.add(&t.report.Verified, 1)
	}
}

// verifySelf compares a directory that this pass does not give its attributes, for
// they are as they were on the source. What somebody has changed on the new host is
// left as it is. Its time is not compared: it is that of the last change in it.
func (d *directory) verifySelf(self *tree.Stat) {
	t := d.t
	t.countVerified(d.path)
	want := t.wantedFrom(&d.source.Self, &d.base.Target)
	want.Mtime = self.Mtime
	if text := t.unlike(&want, self); text != "" {
		t.report.find(Left, d.path, text)
	}
}

// left says that an entry which somebody has changed on the new host stays.
func (t *target) left(path string, source, there *tree.Stat) {
	want := t.wantedFrom(source, there)
	t.report.find(Left, path, t.unlike(&want, there))
}

// compared counts an entry that was looked at and is not brought.
func (d *directory) compared(source, there *tree.Stat) {
	if source != nil && !source.IsDir() && there != nil && d.t.options.all() {
		d.verified++
	}
}

// compared counts the names of a file that were looked at and are not brought, and
// says which of them somebody has changed on the new host.
func (t *target) compared(group *linkGroup) {
	if !t.options.all() {
		return
	}
	for _, n := range group.names {
		if n.noted || n.sibling || n.there == nil {
			continue // it is verified, or decided about by itself, or cannot be brought
		}
		switch {
		case n.verdict.Action == tree.Leave:
		case n.verdict.Action == tree.Nothing, n.linked:
			// Their time of change says nothing of them.
			want := t.wantedFrom(&n.source, n.there)
			if text := t.unlike(&want, n.there); text != "" {
				t.report.find(Left, n.path(), text)
			}
		default:
			continue
		}
		t.report.add(&t.report.Verified, 1)
	}
}

// meanwhile says of what was brought that the old host had changed it since it was
// listed. changed says that it did so while it was read. Of a directory only its
// owner and mode count.
func (t *target) meanwhile(path string, listed, read *tree.Stat, changed bool) {
	was := *listed
	if was.IsDir() {
		// Its time is that of the last name that came or went, and says no more.
		was.Mtime, was.Ctime = read.Mtime, read.Ctime
		changed = false
	}
	if !changed && was == *read {
		return
	}
	number := func(_ bool, id uint32) string { return strconv.FormatUint(uint64(id), 10) }
	text := unlike(&was, read, number)
	switch {
	case changed && text != "":
		text += ", and changed while it was read"
	case changed:
		text = "changed while it was read"
	case text == "" && listed.Ino != read.Ino:
		text = "another " + kindName(read) + " is in its place"
	case text == "":
		text = "changed"
	}
	t.report.find(Meanwhile, path, text)
}

// groupBits are the permissions of the group in a mode.
const groupBits = 0o070

// unlike says in which way an entry of the target is not what it is to be; "" where it
// is. Where the file system keeps no ACLs, the group may have less than the mode of the
// source's gives it: there that is the mask of an ACL.
func (t *target) unlike(want, have *tree.Stat) string {
	if less := want.Mode &^ have.Mode; want.Mode^have.Mode == less && less&^groupBits == 0 && less != 0 && !t.keepsACLs() {
		allowed := *want
		allowed.Mode = have.Mode
		want = &allowed
	}
	return unlike(want, have, t.ownerName)
}

// keepsACLs says whether the target's own file system does.
func (t *target) keepsACLs() bool {
	_, err := unix.Fgetxattr(t.root.Handle(), attr.ACLAccess, nil)
	return !errors.Is(err, unix.EOPNOTSUPP)
}

// unlike says in which way an entry is not what it is to be; "" where it is.
// Numbers and times of change are not compared: no two hosts have the same.
func unlike(want, have *tree.Stat, owner func(group bool, id uint32) string) string {
	if want.Kind() != have.Kind() {
		return fmt.Sprintf("a %s instead of a %s", kindName(have), kindName(want))
	}
	var all []string
	say := func(what string, have, want any) {
		all = append(all, fmt.Sprintf("%s %v instead of %v", what, have, want))
	}
	if want.Size != have.Size {
		say("size", have.Size, want.Size)
	}
	if want.Rdev != have.Rdev {
		say("device", fmt.Sprintf("%d:%d", unix.Major(have.Rdev), unix.Minor(have.Rdev)), fmt.Sprintf("%d:%d", unix.Major(want.Rdev), unix.Minor(want.Rdev)))
	}
	if want.UID != have.UID {
		say("user", owner(false, have.UID), owner(false, want.UID))
	}
	if want.GID != have.GID {
		say("group", owner(true, have.GID), owner(true, want.GID))
	}
	if want.Mode != have.Mode && want.Kind() != unix.S_IFLNK {
		say("mode", fmt.Sprintf("%o", have.Mode&0o7777), fmt.Sprintf("%o", want.Mode&0o7777))
	}
	if want.Mtime != have.Mtime {
		say("time", timeOf(have), timeOf(want))
	}
	return strings.Join(all, ", ")
}

func timeOf(stat *tree.Stat) string {
	return time.Unix(0, stat.Mtime).UTC().Format(time.RFC3339Nano)
}

func kindName(stat *tree.Stat) string {
	switch stat.Kind() {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}
