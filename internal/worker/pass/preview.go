//go:build linux

package pass

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// A preview decides as the pass after it would, in the same order, and asks the old
// host for what a pass compares before it knows what to do: hashes, links, and the
// attributes of what has no content. It is not told what it would write.

// changesNothing is asked before each change in a preview: there is to be none.
func changesNothing(string, string) error { return errors.New("a preview changes nothing") }

// single says whether a file of the target has one name alone, as it would by now:
// of each name that becomes a file of its own the others know.
func (t *target) single(stat *tree.Stat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.severed[stat.Ino]++
	return t.severed[stat.Ino] >= stat.Nlink
}

// statAt looks at an entry of an open directory of the target, as it would be by now
// in a preview.
func (t *target) statAt(dir int, path, name string) (tree.Stat, error) {
	if t.options.Preview && t.away[tree.Join(path, name)] {
		return tree.Stat{}, unix.ENOENT
	}
	return tree.StatAt(dir, name)
}

// preview notes what would be brought, and leaves in the batch what is to be
// compared first.
func (d *directory) preview() {
	b := d.batch
	if b == nil {
		return
	}
	var compared []*item
	for _, i := range b.items {
		switch {
		case i.name == "": // a directory's own attributes are not counted
		case i.compared():
			compared = append(compared, i)
		default:
			d.t.previewed(tree.Join(d.path, i.name), i)
		}
	}
	if b.items = compared; len(compared) == 0 {
		d.batch, d.size = nil, 0
	}
}

// compared says whether it depends on what the source has how an item is brought.
func (i *item) compared() bool {
	return i.way == fetchHash || i.way == fetchSpecial && i.target != nil
}

// previewed notes an item that would be brought.
func (t *target) previewed(path string, i *item) {
	t.count(path, &incoming{item: i, size: i.listed.Size, literal: i.listed.Size})
	t.say(path, i.verdict)
}

// dressed says whether an entry has what it is to have, so that nothing would be
// changed.
func dressed(fd int, path bool, have, want *tree.Stat, attrs []attr.Attr) (bool, error) {
	if have.UID != want.UID || have.GID != want.GID || have.Mtime != want.Mtime || want.Kind() != unix.S_IFLNK && have.Mode != want.Mode {
		return false, nil
	}
	present, _, err := attr.Read(fd, path)
	return attr.Equal(present, attrs), err
}

// previewLead notes the leader of a group that need not be compared.
func (t *target) previewLead(group *linkGroup, i *item) {
	t.previewed(group.leader.path(), i)
	group.known = &tree.Known{} // another file than any that is there
}

// previewLink notes a name that would become one of the leader's file.
func (t *target) previewLink(group *linkGroup, n *linkName) {
	if n.there != nil && n.there.Ino == group.known.Target.Ino {
		return
	}
	verdict := n.verdict
	verdict.Likely = false
	if n.there != nil && t.refuses(n.path(), &n.source, n.there, verdict) {
		return
	}
	t.linkMade(n)
}

// previewRmdir notes a directory that would be taken away, if nothing is left in it.
func (t *target) previewRmdir(dir int, path string) error {
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !t.away[tree.Join(path, name)] {
			t.report.find(Kept, path, notEmpty)
			return nil
		}
	}
	t.away[path] = true
	t.report.did(Deleted, path)
	return nil
}
