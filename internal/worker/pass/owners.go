//go:build linux

package pass

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// owned are the owners of the old host's files, and who they are on the new one.
type owned struct {
	mu            sync.RWMutex
	users, groups map[uint32]*mapped
	fresh         []*mapped // who are not resolved yet

	// Names of numbers on the new host, as far as they were asked for; "" is none.
	userNames, groupNames map[uint32]string
}

// mapped is a user or group of the old host.
type mapped struct {
	owner
	local uint32 // its number on the new host
	// stranger says why the number stands for somebody else, or nobody, there.
	stranger string
	refused  bool   // it is somebody else's, or nobody's who has a name
	here     string // whose number it is on the new host, where it has no name on the old
	entries  int64  // that are his, of what was listed
}

// owner takes the name of an owner.
func (t *target) owner(o *owner) {
	w := &t.owners
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users == nil {
		w.users, w.groups = map[uint32]*mapped{}, map[uint32]*mapped{}
	}
	of := w.users
	if o.Group {
		of = w.groups
	}
	m := &mapped{owner: *o, local: o.ID}
	of[o.ID] = m
	w.fresh = append(w.fresh, m)
}

// resolveFresh asks the new host for all who came since it was called last.
func (t *target) resolveFresh() error {
	w := &t.owners
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fresh) == 0 {
		return nil
	}
	var users, groups []string
	var userNumbers, groupNumbers []uint32
	for _, m := range w.fresh {
		switch {
		case m.Name == "" && m.Group:
			groupNumbers = append(groupNumbers, m.ID)
		case m.Name == "":
			userNumbers = append(userNumbers, m.ID)
		case m.Group:
			groups = append(groups, m.Name)
		default:
			users = append(users, m.Name)
		}
	}
	userIDs, groupIDs, err := t.options.Owners.IDs(users, groups)
	if err != nil {
		return err
	}
	userNames, groupNames, err := t.options.Owners.Names(userNumbers, groupNumbers)
	if err != nil {
		return err
	}
	for _, m := range w.fresh {
		if m.Group {
			m.resolve("group", groupIDs, groupNames)
		} else {
			m.resolve("user", userIDs, userNames)
		}
	}
	w.fresh = nil
	return nil
}

func (m *mapped) resolve(kind string, ids map[string]uint32, names map[uint32]string) {
	if m.Name != "" {
		id, ok := ids[m.Name]
		if ok {
			m.local = id
			return
		}
		m.stranger, m.refused = fmt.Sprintf("%s %q does not exist on the target host", kind, m.Name), true
		return
	}
	if name := names[m.ID]; name != "" {
		m.stranger, m.refused, m.here = fmt.Sprintf("%s number %d has no name on the source host, and is %q on the target host", kind, m.ID, name), true, name
		return
	}
	m.stranger = fmt.Sprintf("%s number %d has no name on either host", kind, m.ID)
}

// user is the number of a user of the old host on the new one.
func (t *target) user(id uint32) uint32 { return t.owners.local(false, id) }

// group is the number of a group of the old host on the new one.
func (t *target) group(id uint32) uint32 { return t.owners.local(true, id) }

// told says whether the old host has said who an owner is.
func (w *owned) told(group bool, id uint32) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if group {
		return w.groups[id] != nil
	}
	return w.users[id] != nil
}

func (w *owned) local(group bool, id uint32) uint32 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	of := w.users
	if group {
		of = w.groups
	}
	if m := of[id]; m != nil {
		return m.local
	}
	return id
}

// strange says why an owner is a stranger on the new host; "" if he is none.
func (w *owned) strange(stat *tree.Stat) (why string, refused bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, m := range []*mapped{w.users[stat.UID], w.groups[stat.GID]} {
		if m != nil && m.stranger != "" && (why == "" || m.refused) {
			why, refused = m.stranger, refused || m.refused
		}
	}
	return why, refused
}

// count notes that a stranger has one more entry.
func (w *owned) count(stat *tree.Stat) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range []*mapped{w.users[stat.UID], w.groups[stat.GID]} {
		if m != nil && m.stranger != "" {
			m.entries++
		}
	}
}

// strangers are those who have entries, users first, by their numbers.
func (w *owned) strangers() []StrangeOwner {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var list []StrangeOwner
	for _, of := range []map[uint32]*mapped{w.users, w.groups} {
		for _, id := range slices.Sorted(maps.Keys(of)) {
			if m := of[id]; m.entries > 0 {
				list = append(list, StrangeOwner{Group: m.Group, ID: m.ID, Name: m.Name, Here: m.here, Count: m.entries})
			}
		}
	}
	return list
}

// resolve finds out who the owners of all that was listed are, before anything
// is done. By default a pass refuses to give files to somebody else.
func (t *target) resolve() error {
	if err := t.resolveFresh(); err != nil {
		return err
	}
	if t.options.Strangers == Ignore {
		return nil
	}
	refused, first := 0, ""
	leave := leaving{}
	var l tree.Listing
	for at := range t.listed {
		if err := t.loadListing(at, &l); err != nil {
			return err
		}
		look := func(path string, stat *tree.Stat) {
			why, bad := t.owners.strange(stat)
			if why != "" {
				t.report.find(Stranger, path, why)
				t.owners.count(stat)
			}
			if !bad {
				return
			}
			if said := path + ": " + why; refused == 0 || said < first {
				first = said
			}
			refused++
			leave[path] = true
		}
		if at.Piece.Number == 0 {
			look(at.Path, &l.Self)
		}
		for i := range l.Len() {
			if stat := l.Stat(i); !stat.IsDir() {
				look(tree.Join(at.Path, l.Name(i)), stat)
			}
		}
	}
	t.report.Strangers = t.owners.strangers()
	switch {
	case refused == 0 || t.options.Strangers == Warn:
		return nil
	case t.options.Strangers == Leave:
		return t.leave(leave)
	default:
		return fmt.Errorf("%w: %d entries belong to users or groups whom the target host does not know; the first is %s", ErrRefused, refused, first)
	}
}

// leaving are paths that are not copied.
type leaving map[string]bool

// above says whether one of them is the path, or is above it.
func (l leaving) above(path string) bool {
	for !l[path] {
		if path == "" {
			return false
		}
		path, _ = tree.Split(path)
	}
	return true
}

// leave makes paths, and what is below them, what the old host could not read: they are
// not copied, and what there is of them on the new host stays.
func (t *target) leave(left leaving) error {
	if left[""] {
		return fmt.Errorf("%w: the directory itself belongs to a user or group whom the target host does not know", ErrRefused)
	}
	var l tree.Listing
	for at := range t.listed {
		if left.above(at.Path) {
			delete(t.listed, at)
			delete(t.pieces, at.Path)
			delete(t.seen, at.Path)
			continue
		}
		if err := t.loadListing(at, &l); err != nil {
			return err
		}
		if l.Leave(func(name []byte) bool { return left[tree.Join(at.Path, name)] }) {
			t.listed[at] = l.Append(nil)
		}
	}
	return nil
}

// attributes gives the ACLs of the old host the new host's numbers.
func (t *target) attributes(attrs []attr.Attr) error {
	for i := range attrs {
		if !attrs[i].IsACL() {
			continue
		}
		value, err := attr.MapACL(attrs[i].Value,
			func(id uint32) (uint32, error) { return t.user(id), nil },
			func(id uint32) (uint32, error) { return t.group(id), nil })
		if err != nil {
			return fmt.Errorf("%s: %w", attrs[i].Name, err)
		}
		attrs[i].Value = value
	}
	return nil
}

// ownerName is the name of a number on the new host, or the number. To ask for one
// may take long: of more numbers than there are paths of a kind in a report nobody
// asks.
func (t *target) ownerName(group bool, id uint32) string {
	w := &t.owners
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.userNames == nil {
		w.userNames, w.groupNames = map[uint32]string{}, map[uint32]string{}
	}
	known := w.userNames
	if group {
		known = w.groupNames
	}
	name, ok := known[id]
	if !ok && len(known) < maxPaths && t.options.Owners != nil {
		ids := []uint32{id}
		var users, groups map[uint32]string
		var err error
		if group {
			_, groups, err = t.options.Owners.Names(nil, ids)
		} else {
			users, _, err = t.options.Owners.Names(ids, nil)
		}
		if err == nil {
			name = users[id] + groups[id] // one of them
		}
		known[id] = name
	}
	if name == "" {
		return strconv.FormatUint(uint64(id), 10)
	}
	return name
}
