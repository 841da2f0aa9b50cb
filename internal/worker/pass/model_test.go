//go:build linux

package pass

import (
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// model judges one pass by the table of three trees. It knows the trees by
// listings of its own.
type model struct {
	*chain
	source, before, after listing
	report                *Report
}

// What a path is to be after a pass.
type outcome int

const (
	anything outcome = iota
	asSource
	asTarget // as it was on the target
	absent
	folder // a directory, whatever its attributes
)

func (m *model) judge() {
	m.unseen = false
	all := maps.Clone(m.source)
	maps.Copy(all, m.before)
	maps.Copy(all, m.after)
	found := map[Finding]map[string]bool{}
	for _, kind := range []Finding{Lost, Conflict, Left, Kept, Refused} {
		found[kind] = paths(m.report, kind)
	}
	for _, kind := range []Finding{Unread, Vanished, Unmount, Stranger, Omitted, Differs, Meanwhile} {
		if m.report.Count(kind) > 0 {
			m.t.Errorf("in a quiet pass: %s", tell(m.report))
		}
	}
	if m.report.Count(Failed) > 0 && m.options.Delete == ToTrash && m.options.OnConflict == "" {
		m.t.Errorf("in a quiet pass: %s", tell(m.report))
	}
	strict := map[string]bool{} // what is as on the source
	for _, p := range slices.Sorted(maps.Keys(all)) {
		want, finding := m.expect(p)
		if m.check(p, want) {
			strict[p] = true
		}
		if finding == "" {
			continue
		}
		for _, kind := range []Finding{Lost, Conflict, Kept, Refused, Left} {
			if has := found[kind][p]; has != (finding == kind) && m.report.Count(kind) < maxPaths && !(kind == Left && !has && m.options.Look == LookChanged) {
				m.t.Errorf("%q is said to be %s: %v, and it is: %v", p, kind, has, finding == kind)
			}
		}
	}
	for p := range strict {
		// Names of one file.
		is := func(p string) bool { return strict[p] }
		if s, d := m.source[p], m.after[p]; linksOf(s.group, is) != linksOf(d.group, is) && !(s.group == "" && linksOf(d.group, is) == p) && !(d.group == "" && linksOf(s.group, is) == p) {
			m.t.Errorf("%q has the names %q on the source, %q on the target", p, s.group, d.group)
		}
	}
	m.remember()
}

// check says whether what is there is the source's.
func (m *model) check(p string, want outcome) bool {
	s, d := m.source[p], m.after[p]
	equal := s != nil && d != nil && s.differs(d) == ""
	if s.isDir() && d.isDir() && (m.loose[p] || p == "") {
		equal = true
	}
	if s != nil && d != nil && m.looseFiles[d.ino] && s.content == d.content {
		return false // nobody can say which of its names counts
	}
	switch want {
	case asSource:
		switch {
		case d == nil:
			m.t.Errorf("%q is missing on the target", p)
		case !equal:
			m.t.Errorf("%q differs: %s", p, s.differs(d))
		}
	case asTarget:
		b := m.before[p]
		if d == nil || b.differs(d) != "" && !(b.isDir() && d.isDir()) && !(b.nlink > 1 && b.own() == d.own()) {
			m.t.Errorf("%q was the target's own, and is not as it was", p)
		}
	case absent:
		if d != nil {
			m.t.Errorf("%q is on the target, and is not to be", p)
		}
	case folder:
		if !d.isDir() {
			m.t.Errorf("%q is no directory on the target", p)
		}
	}
	return equal && want != folder && want != asTarget
}

// excluded says whether the filter leaves p out, or what it is in.
func (m *model) excluded(p string) bool {
	if s, d := m.source[p], m.before[p]; s != nil && d != nil && s.isDir() != d.isDir() {
		return false // what the source has there is not left out
	}
	isDir := m.before[p].isDir() || m.source[p].isDir() || m.after[p].isDir()
	for ; p != "."; p, isDir = path.Dir(p), true {
		if p != "" && m.skip(p, isDir) {
			return true
		}
		if p == "" {
			return false
		}
	}
	return false
}

// expect is DESIGN's table. The finding is "" where any will do, and none where
// there is to be none.
func (m *model) expect(p string) (outcome, Finding) {
	const none = Finding("none")
	s, d := m.source[p], m.before[p]
	pair, known := m.base[p]
	fail := m.options.OnConflict == "fail"
	if p == "" {
		return folder, ""
	}
	excluded := m.excluded(p)
	if excluded && d == nil {
		return absent, ""
	}
	for up := path.Dir(p); up != "."; up = path.Dir(up) {
		// What it is in is none on one side.
		su, bu := m.source[up], m.before[up]
		if su != nil && !su.isDir() {
			return anything, ""
		}
		if su != nil && bu != nil && !bu.isDir() && (fail || m.options.Delete != ToTrash) {
			return anything, ""
		}
	}
	if excluded {
		return asTarget, ""
	}
	if s != nil && d != nil && s.isDir() != d.isDir() && (m.options.Delete != ToTrash || fail) {
		if m.sure && known && d.isDir() && pair.target.isDir() && m.options.Delete != None && !m.ownBelow(p) {
			return asSource, none
		}
		return anything, ""
	}
	own, isOwn := m.own[p]
	if s == nil {
		return m.expectGone(p)
	}
	if !m.sure {
		switch {
		case isOwn && d != nil && d.own() == own:
			return anything, ""
		case s.isDir():
			return folder, ""
		}
		if fail && d != nil && (m.torn || m.adopted[p]) {
			return anything, "" // what the pass that was killed has made may seem the target's own
		}
		return asSource, ""
	}
	same := known && pair.source.state() == s.state()
	switch {
	case d == nil && same:
		return asSource, Lost
	case d == nil:
		return asSource, none
	case m.options.Delete == None && !known:
		return anything, "" // an earlier pass may have brought what is still there
	case s.isDir() && d.isDir():
		if m.loose[p] {
			return folder, ""
		}
		return asSource, none
	case s.isDir() || d.isDir():
		return asSource, ""
	case known && d.is(pair.target, pair.source.nlink > 1):
		if same && d.state() != pair.target.state() {
			return anything, "" // attributes alone, and of a file with several names
		}
		return asSource, none
	case s.looksLike(d):
		return anything, ""
	case same && s.kind() == unix.S_IFREG && d.kind() == unix.S_IFREG && d.mtime < s.mtime:
		if fail {
			return asTarget, ""
		}
		if m.options.Look == LookChanged {
			m.unseen = true
			return anything, ""
		}
		return asSource, Lost
	case same && m.options.Look == LookAll:
		return asTarget, Left
	case same:
		return asTarget, Left
	case s.kind() == unix.S_IFREG && d.kind() == unix.S_IFREG && s.content == d.content:
		return asSource, none // two small files of the two hosts may have the same in them
	case fail:
		return asTarget, Refused
	}
	return asSource, Conflict
}

// ownBelow says whether there is anything in a directory of the target that is not
// as it was brought.
func (m *model) ownBelow(p string) bool {
	for q, d := range m.before {
		if pair, known := m.base[q]; strings.HasPrefix(q, p+"/") && (!known || !d.is(pair.target, pair.source.nlink > 1) || m.adopted[q]) {
			return true
		}
	}
	return false
}

// expectGone is for what the source does not have.
func (m *model) expectGone(p string) (outcome, Finding) {
	const none = Finding("none")
	d := m.before[p]
	pair, known := m.base[p]
	own, isOwn := m.own[p]
	if m.options.Delete == None {
		return anything, ""
	}
	if d == nil {
		return absent, none
	}
	if d.isDir() {
		if (known || !m.sure) && !m.torn && !m.adopted[p] && !m.holds(p) {
			if isOwn || m.loose[p] {
				return anything, ""
			}
			return absent, ""
		}
		return anything, ""
	}
	switch {
	case !m.sure && isOwn && d.own() == own:
		return anything, ""
	case m.adopted[p], m.torn:
		return anything, ""
	case !m.sure:
		return absent, ""
	case !known:
		return asTarget, none
	case d.is(pair.target, pair.source.nlink > 1):
		return absent, none
	case pair.target.isDir():
		return asTarget, ""
	}
	return asTarget, Kept
}

// holds says whether there is anything in a directory of the target.
func (m *model) holds(p string) bool {
	for q := range m.after {
		if path.Dir(q) == p {
			return true
		}
	}
	return false
}

// remember notes what was brought.
func (m *model) remember() {
	base := map[string]pair{}
	for p, s := range m.source {
		d := m.after[p]
		old, known := m.base[p]
		switch {
		case d != nil && (s.differs(d) == "" || s.isDir() && d.isDir()):
			base[p] = pair{s, d}
			if before := m.before[p]; before != nil && before.ino == d.ino && (!known || m.own[p] != "") {
				m.adopted[p] = true
			}
			if s.differs(d) == "" {
				delete(m.own, p) // the source's is the same
			}
		case known:
			base[p] = old
		}
	}
	for _, kind := range []Finding{Left, Refused} {
		for p := range paths(m.report, kind) {
			m.adopted[p] = m.adopted[p] || m.torn
		}
	}
	for p := range m.after {
		if m.torn && m.source[p] == nil {
			m.adopted[p] = true // the product may have forgotten it
		}
	}
	m.base, m.sure, m.everTorn, m.torn = base, true, m.everTorn || m.torn, false
}
