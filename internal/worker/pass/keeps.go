//go:build linux

package pass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// What a file system may not keep.
const (
	LackOwners    = "owners"    // owners and permissions
	LackLinks     = "links"     // symbolic links
	LackHardLinks = "hardlinks" // several names of one file
	LackCase      = "case"      // names that differ in capital letters alone
	LackACLs      = "acls"
	LackXattrs    = "xattrs" // extended attributes
)

// Lack is something that the target's file system does not keep.
type Lack struct {
	What string // one of the above
	// Count is how many entries of those that come it concerns, and Examples are some
	// of them. Of attributes it is known when they have come: 0 before.
	Count    int64
	Examples []string
	Fatal    bool // nothing is copied for it
}

// lack notes that something is not kept, and counts an entry that it concerns, or
// none for "".
func (r *Report) lack(what, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.Lacks, func(l Lack) bool { return l.What == what })
	if i < 0 {
		i = len(r.Lacks)
		r.Lacks = append(r.Lacks, Lack{What: what})
	}
	if l := &r.Lacks[i]; path != "" {
		l.Count++
		if len(l.Examples) < maxExamples {
			l.Examples = append(l.Examples, path[:min(len(path), tree.MaxPath)])
		}
	}
}

// try finds out, in the staging directory, what the file system does not keep of
// what is to come. It is of no use to copy what nobody could work with.
func (t *target) try() error {
	if t.options.Preview || t.coming.entries == 0 {
		return nil
	}
	if comes, err := t.comes(); err != nil || !comes {
		return err
	}
	before, err := tree.Fstat(t.root.Handle())
	if err != nil {
		return err
	}
	dir, err := t.staging.open()
	if err != nil {
		return nil //nolint:nilerr // the pass itself says of each file why it cannot be made
	}
	if t.tried, err = tree.Fstat(t.root.Handle()); err != nil {
		return err
	}
	t.before = before
	lacks := t.tryIn(dir)
	t.report.mu.Lock()
	t.report.Lacks = append(t.report.Lacks, lacks...)
	t.report.mu.Unlock()
	var said []string
	for i := range lacks {
		if lacks[i].Fatal {
			said = append(said, lacks[i].text())
		}
	}
	if len(said) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the file system of %s %s", ErrRefused, t.options.Target, strings.Join(said, ", and "))
}

// comes says whether anything is to be brought. What is refused for what the new
// host has in its place is new in every pass.
func (t *target) comes() (comes bool, err error) {
	inRefused := false
	begin := func(dir string) {
		fd, err := t.root.OpenDir(dir)
		if err == nil {
			unix.Close(fd)
		}
		// What is in its place is replaced, and then comes itself, or is not.
		inRefused = errors.Is(err, tree.ErrSwapped)
	}
	err = t.eachComer(begin, func(c *comer) bool {
		if inRefused {
			return true
		}
		there := t.lookAt(c.dir, string(c.name))
		v := tree.Decide(tree.Question{Source: c.source, Base: c.base, Target: there, Maker: maker})
		switch v.Action {
		case tree.Bring:
			own := v.Conflict && !v.Likely && t.options.OnConflict == "fail"
			directory := there != nil && there.IsDir() && !c.source.IsDir() && t.options.Delete != ToTrash
			comes = !own && !directory
		case tree.Adopt:
			comes = !c.source.IsDir()
		}
		return !comes
	})
	return comes, err
}

// text says what is not kept.
func (l *Lack) text() string {
	what := map[string]string{
		LackOwners: "keeps no owners and permissions", LackLinks: "takes no symbolic links", LackHardLinks: "takes no hard links",
		LackCase: "takes names for the same that differ in capital letters alone",
	}[l.What]
	var quoted []string
	for _, example := range l.Examples {
		quoted = append(quoted, fmt.Sprintf("%q", example))
	}
	return fmt.Sprintf("%s, and %d are to come, for example %s", what, l.Count, strings.Join(quoted, ", "))
}

// untried is what a directory of the target would be, had nothing been tried in it:
// only for that the names in it need no second look.
func (t *target) untried(path string, now tree.Stat) tree.Stat {
	if path == "" && now == t.tried {
		return t.before
	}
	return now
}

// untry gives the target's own directory the time back that it had before something
// was tried in it.
func (t *target) untry() {
	if t.tried != (tree.Stat{}) {
		_ = t.change.times(t.root.Handle(), false, t.before.Mtime)
	}
}

// refusal says whether a file system refuses something because it cannot keep it,
// rather than for want of room or a broken disk.
func refusal(err error) bool {
	for _, no := range []error{unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL, unix.EMLINK, unix.EOVERFLOW} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// tryIn makes a file in the staging directory and tries what is needed.
func (t *target) tryIn(dir int) (lacks []Lack) {
	c := &t.coming
	fatal := func(what string, y *tally) { lacks = append(lacks, Lack{what, y.count, y.examples, true}) }
	name := "try" + t.staging.next()
	fd, err := t.change.create(dir, name)
	if err != nil {
		return nil
	}
	defer func() {
		unix.Close(fd)
		_ = t.change.unlink(dir, name)
	}()
	if !t.keepsOwners(fd) {
		fatal(LackOwners, &c.all)
	}
	if c.links.count > 0 {
		other := name + ".link"
		err := t.change.symlink(dir, other, name)
		if refusal(err) {
			fatal(LackLinks, &c.links)
		} else if err == nil {
			_ = t.change.unlink(dir, other)
		}
	}
	if c.linked.count > 0 {
		other := name + ".hard"
		err := t.change.link(dir, name, dir, other)
		if refusal(err) {
			fatal(LackHardLinks, &c.linked)
		} else if err == nil {
			_ = t.change.unlink(dir, other)
		}
	}
	if _, err := tree.StatAt(dir, strings.ToUpper(name)); err == nil {
		collisions := t.collisions()
		lacks = append(lacks, Lack{LackCase, collisions.count, collisions.examples, collisions.count > 0})
	}
	if errors.Is(t.change.setxattr(fd, attr.ACLAccess, triedACL()), unix.EOPNOTSUPP) {
		lacks = append(lacks, Lack{What: LackACLs})
	}
	if errors.Is(t.change.setxattr(fd, "user.cutover", []byte("1")), unix.EOPNOTSUPP) {
		lacks = append(lacks, Lack{What: LackXattrs})
	}
	return lacks
}

// triedACL is an ACL that is more than permissions: it names a user.
func triedACL() []byte {
	const none = ^uint32(0)
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, permissions uint16
		id               uint32
	}{{1, 6, none}, {2, 4, maker}, {4, 0, none}, {0x10, 4, none}, {0x20, 0, none}} {
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.permissions)
		acl = binary.LittleEndian.AppendUint32(acl, e.id)
	}
	return acl
}

// keepsOwners says whether a file gets the owner and the permissions that it is
// given.
func (t *target) keepsOwners(fd int) bool {
	const same = ^uint32(0)
	user := func(id uint32) error { return t.change.chown(fd, id, same) }
	group := func(id uint32) error { return t.change.chown(fd, same, id) }
	t.owners.mu.RLock()
	users, groups := localIDs(t.owners.users), localIDs(t.owners.groups)
	t.owners.mu.RUnlock()
	// Who is not root gives files to nobody, on any file system.
	if maker == 0 && !(keepsOne(fd, users, user, func(s *tree.Stat) uint32 { return s.UID }) &&
		keepsOne(fd, groups, group, func(s *tree.Stat) uint32 { return s.GID })) {
		return false
	}
	const mode = 0o640
	if err := t.change.chmod(fd, false, mode); err != nil {
		return !refusal(err)
	}
	now, err := tree.Fstat(fd)
	return err != nil || now.Mode&0o7777 == mode
}

// maxTried is how many owners are tried.
const maxTried = 10

// localIDs are the first of the owners of what is to come, but for the maker, whose
// all is to begin with.
func localIDs(of map[uint32]*mapped) (ids []uint32) {
	for _, m := range of {
		if m.local != maker {
			ids = append(ids, m.local)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), maxTried)]
}

// keepsOne says whether the file can be given to one of the owners: in a container
// there may be a few whom it does not have.
func keepsOne(fd int, ids []uint32, give func(uint32) error, of func(*tree.Stat) uint32) bool {
	keeps := len(ids) == 0
	for _, id := range ids {
		err := give(id)
		if err != nil && !refusal(err) {
			return true // it is something else
		}
		if err == nil {
			now, err := tree.Fstat(fd)
			keeps = err != nil || of(&now) == id
		}
		if keeps {
			break
		}
	}
	return keeps
}

// collisions are names of the source that differ in capital letters alone from
// another one in the same directory.
func (t *target) collisions() *tally {
	var collide tally
	var l tree.Listing
	for path, pieces := range t.pieces {
		names := map[string]bool{}
		for _, piece := range pieces {
			if t.loadListing(tree.Place{Path: path, Piece: piece}, &l) != nil {
				continue
			}
			for i := range l.Len() {
				names[string(l.Name(i))] = true
			}
		}
		var d tree.Brought
		for _, at := range t.unlisted(path) {
			if t.load(path, at.Piece, &d) != nil {
				continue
			}
			for i := range d.Len() {
				names[string(d.Name(i))] = true
			}
		}
		folded := map[string]string{}
		for name := range names {
			key := strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, name)
			if other, ok := folded[key]; ok {
				collide.add(tree.Join(path, max(name, other)))
			}
			folded[key] = name
		}
	}
	return &collide
}

// kept is the mode of a file whose ACL is not kept: its group has what the ACL
// gives it. In the mode there is what the ACL gives to anybody whom it names.
func kept(mode uint32, attrs []attr.Attr, lost []string) (uint32, error) {
	if !slices.Contains(lost, attr.ACLAccess) {
		return mode, nil
	}
	i := slices.IndexFunc(attrs, func(a attr.Attr) bool { return a.Name == attr.ACLAccess })
	group, err := attr.GroupMode(attrs[i].Value)
	return mode&^0o070 | group, err
}

// omit reports attributes of an entry that the file system does not keep.
func (t *target) omit(path string, lost []string) {
	if len(lost) == 0 {
		return
	}
	var what []string
	acl := false
	for _, name := range lost {
		if (attr.Attr{Name: name}).IsACL() {
			acl = true
		} else {
			what = append(what, fmt.Sprintf("attribute %q", name))
		}
	}
	if len(what) > 0 {
		t.report.lack(LackXattrs, path)
	}
	if acl {
		t.report.lack(LackACLs, path)
		what = slices.Insert(what, 0, "ACL")
	}
	t.report.find(Omitted, path, "its "+strings.Join(what, ", ")+": the file system here keeps none")
}
