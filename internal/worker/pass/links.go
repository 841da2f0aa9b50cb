//go:build linux

package pass

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// fileNumber is what all names of a file on the source have in common. Two file
// systems give the same numbers.
type fileNumber struct {
	mount tree.Mount
	ino   uint64
}

func compareFiles(a, b fileNumber) int {
	return cmp.Or(cmp.Compare(a.ino, b.ino), cmp.Compare(a.mount.ID, b.mount.ID), cmp.Compare(a.mount.Type, b.mount.Type))
}

// linkGroup is a file of the source with several names, as far as they were
// listed. One of them leads: it is brought as any file, and the others become
// links to it.
type linkGroup struct {
	names  []*linkName
	leader *linkName
	known  *tree.Known // of the leader, when it was brought
	failed bool
}

type linkName struct {
	at      tree.Place
	name    string
	source  tree.Stat
	base    *tree.Known
	there   *tree.Stat
	verdict tree.Verdict
	refused bool // what is there stays
	fresh   bool // this pass has made it a name of the file
	linked  bool // it was one already
	sibling bool // it was not listed
	noted   bool // it is Fresh in the base
}

func (n *linkName) path() string { return tree.Join(n.at.Path, n.name) }

// linked puts an entry that has other names into its group.
func (d *directory) linked(name []byte, source *tree.Stat, base *tree.Known) {
	t := d.t
	d.keepFile(name, base)
	there, err := d.lookFor(name, source)
	if err != nil {
		t.report.find(Failed, tree.Join(d.path, name), err.Error())
		return
	}
	n := &linkName{at: tree.Place{Path: d.path, Piece: d.base.Piece}, name: string(name), source: *source, there: there}
	if base != nil {
		known := *base
		n.base = &known
	}
	q := tree.Question{Source: source, Base: n.base, Target: there, Intended: d.intended[n.name], Unsure: d.unsure, Coarse: d.coarse, Content: d.content, Maker: maker}
	q.Chowned = t.chowned(source, there)
	n.verdict = tree.Decide(q)
	if n.verdict.Action == tree.Leave {
		t.left(n.path(), source, there)
	} else if !n.verdict.Conflict || t.options.OnConflict != "fail" {
		d.remember(name)
		d.mu.Lock()
		d.open.add(name, &n.source)
		d.mu.Unlock()
	}
	d.changed = true
	t.replaces(d.path, name, base)
	number := fileNumber{d.source.Mount, source.Ino}
	group := t.groups[number]
	if group == nil {
		group = &linkGroup{}
		t.groups[number] = group
	}
	group.names = append(group.names, n)
}

// rank says how well a name leads: the target has it, or it can be made without
// taking something away.
func (n *linkName) rank() int {
	switch {
	case n.verdict.Action == tree.Nothing:
		return 0
	case n.verdict.Action == tree.Adopt:
		return 1
	case n.verdict.Action == tree.Leave, n.refused:
		return 5
	case n.verdict.Conflict:
		return 4
	case n.there != nil:
		return 2
	}
	return 3
}

// leaders picks the leader of each group and asks for it.
func (t *target) leaders() error {
	if err := t.siblings(); err != nil {
		return err
	}
	for _, number := range slices.SortedFunc(maps.Keys(t.groups), compareFiles) {
		group := t.groups[number]
		for _, n := range group.names {
			n.refused = n.verdict.Action == tree.Bring && t.refuses(n.path(), &n.source, n.there, n.verdict)
		}
		group.leader = slices.MinFunc(group.names, func(a, b *linkName) int { return cmp.Compare(a.rank(), b.rank()) })
		if err := t.lead(group); err != nil {
			return err
		}
	}
	return nil
}

// siblings adds, to files of which not all names were listed, those that the
// target has: the source has not changed them. A name may be new without a change
// of the file, in a directory that has another name now.
func (t *target) siblings() error {
	short := map[fileNumber]*linkGroup{}
	for number, group := range t.groups {
		if uint32(len(group.names)) < group.names[0].source.Nlink {
			short[number] = group
		}
	}
	if len(short) == 0 {
		return nil
	}
	var d tree.Brought
	for _, path := range t.base.Known() {
		for _, piece := range t.base.Pieces(path) {
			if err := t.load(path, piece, &d); err != nil {
				return err
			}
			for i := range d.Len() {
				e := d.Entry(i)
				group := short[fileNumber{d.Mount, e.Source.Ino}]
				// Another file may have had the number before.
				if group == nil || e.Source != group.names[0].source {
					continue
				}
				n := &linkName{at: tree.Place{Path: path, Piece: piece}, name: string(d.Name(i)), source: e.Source, base: new(tree.Known), sibling: true}
				*n.base = *e
				// What is left out now is the target's own.
				if t.excluded(n.path(), false) || slices.ContainsFunc(group.names, func(o *linkName) bool { return o.path() == n.path() }) {
					continue
				}
				if n.there = t.lookAt(path, n.name); n.there != nil && e.Is(n.there) {
					group.names = append(group.names, n)
				}
			}
		}
	}
	return nil
}

func (t *target) load(path string, piece tree.Piece, d *tree.Brought) error {
	t.baseMu.Lock()
	defer t.baseMu.Unlock()
	return t.base.Load(path, piece, d)
}

// knownPieces are the pieces of a directory that the base knows.
func (t *target) knownPieces(path string) []tree.Piece {
	t.baseMu.Lock()
	defer t.baseMu.Unlock()
	return t.base.Pieces(path)
}

// lookAt looks at an entry of the target; nil where there is none.
func (t *target) lookAt(dir, name string) *tree.Stat {
	handle, err := t.root.OpenDir(dir)
	if err != nil {
		return nil
	}
	defer unix.Close(handle)
	stat, err := tree.StatAt(handle, name)
	if err != nil {
		return nil
	}
	return &stat
}

// lead asks for the leader of a group, if it is not there as it is to be.
func (t *target) lead(group *linkGroup) error {
	n := group.leader
	switch n.verdict.Action {
	case tree.Nothing:
		group.known = n.base
		if n.base == nil {
			group.failed = true
		}
		return nil
	case tree.Leave:
		group.failed = true
		return nil
	}
	if n.refused {
		group.failed = true
		return nil
	}
	i := &item{name: n.name, verdict: n.verdict, listed: n.source, target: n.there, before: n.base, basis: -1, way: wayOf(&n.source)}
	if n.verdict.Action == tree.Adopt {
		i.verdict.Conflict, i.verdict.Likely = true, true
	}
	if n.there != nil {
		// What were names of one file are names of two now: the first that led there
		// has it.
		i.verdict.Likely = i.verdict.Likely && !t.led[n.there.Ino]
		t.led[n.there.Ino] = true
	}
	switch handle, err := t.root.OpenDir(n.at.Path); {
	case err != nil && !t.options.Preview:
		t.report.find(Failed, n.path(), err.Error())
		group.failed = true
		return nil
	case err == nil:
		if i.verdict.Likely && n.source.IsRegular() {
			i.way = fetchHash
		} else if !t.options.Preview {
			i.offer(handle)
		}
		unix.Close(handle)
	}
	i.verdict.Likely = false // until it was compared
	if t.options.Preview && !i.compared() {
		t.previewLead(group, i)
		return nil
	}
	i.done = func(brought *tree.Known) {
		t.mu.Lock()
		defer t.mu.Unlock()
		group.known = brought
		group.failed = brought == nil || brought == n.base
	}
	return t.ask(&batch{dir: n.at.Path, items: []*item{i}}, true)
}

// linkAll makes the other names of each group links to the leader.
func (t *target) linkAll() error {
	for _, number := range slices.SortedFunc(maps.Keys(t.groups), compareFiles) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		group := t.groups[number]
		if group.failed {
			continue
		}
		for _, n := range group.names {
			if n == group.leader || n.verdict.Action == tree.Leave || n.refused {
				continue
			}
			if t.options.Preview {
				t.previewLink(group, n)
			} else if err := t.linkTo(group.leader, n); err != nil {
				t.report.find(Failed, n.path(), err.Error())
			}
		}
	}
	return nil
}

func (t *target) linkTo(leader, n *linkName) error {
	from, err := t.root.OpenDir(leader.at.Path)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := t.root.OpenDir(n.at.Path)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	file, err := tree.StatAt(from, leader.name)
	if err != nil {
		return err
	}
	now, err := tree.StatAt(to, n.name)
	if err == nil && now.Ino == file.Ino {
		n.linked = true
		return nil
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	verdict := n.verdict
	verdict.Likely = false // it is another file, whatever is in it
	if err == nil && t.refuses(n.path(), &n.source, &now, verdict) {
		return nil
	}
	staged, stagedErr := t.staging.open()
	if stagedErr != nil {
		return stagedErr
	}
	name := t.staging.next()
	err = t.change.link(from, leader.name, staged, name)
	if errors.Is(err, unix.EXDEV) {
		// Something else is mounted in the target: beside its place then.
		staged, name = to, "."+t.base.Token()+"."+name
		err = t.change.link(from, leader.name, staged, name)
	}
	if err != nil {
		return err
	}
	// The name may have been given to something else in between.
	if linked, err := tree.StatAt(staged, name); err != nil || linked.Ino != file.Ino {
		_ = t.change.unlink(staged, name)
		return errors.Join(errors.New("the file was replaced while it was linked"), err)
	}
	i := &item{name: n.name, verdict: n.verdict, target: n.there, before: n.base}
	if err := t.place(n.at.Path, to, i, staged, name); err != nil {
		_ = t.change.unlink(staged, name)
		return err
	}
	n.fresh = true
	t.linkMade(n)
	t.touch(n.at.Path, func(touched *touch) { touched.changed = true })
	return nil
}

// linkMade notes a name of a file that was made.
func (t *target) linkMade(n *linkName) {
	t.say(n.path(), n.verdict)
	if n.there == nil {
		t.report.did(Created, n.path())
	} else {
		t.report.did(Updated, n.path())
	}
}

// settle notes in the base what became of all names of files with several: the
// time of change of each is that of the last change of any.
func (t *target) settle() error {
	byPlace := map[tree.Place]map[string]*tree.Known{}
	for _, group := range t.groups {
		if group.failed || group.known == nil {
			continue
		}
		leader := t.lookAtFile(group)
		if leader == nil {
			continue
		}
		for _, n := range group.names {
			now := t.lookAt(n.at.Path, n.name)
			if now == nil || now.Ino != leader.Ino || !t.seen[n.at.Path] {
				continue
			}
			known := *group.known
			known.Target = tree.StateOf(now)
			known.Fresh = known.Fresh || n.fresh
			n.noted = known.Fresh
			if n != group.leader {
				known.Source = n.source
				// What was read is the leader's; where its time is another one by now
				// the next pass looks again.
				known.Source.Size, known.Source.Mtime, known.Source.Ctime = group.known.Source.Size, group.known.Source.Mtime, group.known.Source.Ctime
			}
			if byPlace[n.at] == nil {
				byPlace[n.at] = map[string]*tree.Known{}
			}
			byPlace[n.at][n.name] = &known
		}
	}
	for _, group := range t.groups {
		t.compared(group)
	}
	for at, names := range byPlace {
		if err := t.replace(at, names); err != nil {
			return err
		}
	}
	return nil
}

// lookAtFile looks at the file of a group. Its leader may have been a name that the
// source has no more, so that it was taken away by now.
func (t *target) lookAtFile(group *linkGroup) *tree.Stat {
	stat := t.lookAt(group.leader.at.Path, group.leader.name)
	for _, n := range group.names {
		if stat == nil && (n.fresh || n.linked) {
			stat = t.lookAt(n.at.Path, n.name)
		}
	}
	return stat
}

// replace notes entries of a piece of a directory; those that are nil are not
// known any more.
func (t *target) replace(at tree.Place, names map[string]*tree.Known) error {
	t.baseMu.Lock()
	defer t.baseMu.Unlock()
	var old, next tree.Brought
	if err := t.base.Load(at.Path, at.Piece, &old); err != nil {
		return err
	}
	next.Reset(at.Path, at.Piece)
	next.Source, next.Mount, next.Target, next.TargetMount = old.Source, old.Mount, old.Target, old.TargetMount
	for i := range old.Len() {
		if _, ok := names[string(old.Name(i))]; !ok {
			next.Add(old.Name(i), *old.Entry(i))
		}
	}
	for name, known := range names {
		if known != nil {
			next.Add([]byte(name), *known)
		}
	}
	next.Sort()
	intended, err := t.base.IntendedIn(at.Path, at.Piece)
	if err != nil {
		return err
	}
	if err := t.base.Put(&next); err != nil {
		return err
	}
	// What could not be brought still is what it was.
	var left intents
	for name, stats := range intended {
		if _, ok := names[name]; ok {
			continue
		}
		for i := range stats {
			left.add([]byte(name), &stats[i])
		}
	}
	if len(left.names) == 0 {
		return nil
	}
	return t.base.Intend(at.Path, at.Piece, left.names, left.stats)
}
