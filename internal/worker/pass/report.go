//go:build linux

package pass

import (
	"slices"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// Action is a kind of thing that a pass does about single paths.
type Action string

// Actions.
const (
	Created    Action = "created"    // made where there was nothing
	Updated    Action = "updated"    // given other content, or replaced
	Attributes Action = "attributes" // given another owner, time, mode or attribute alone
	Renamed    Action = "renamed"    // given another name; the text is the old path
	Deleted    Action = "deleted"    // taken away
)

// Finding is a kind of thing that a pass says of single paths.
type Finding string

// Findings.
const (
	Lost     Finding = "lost"       // brought earlier, and the new host had lost it: brought again
	Conflict Finding = "conflict"   // the new host's own was in its place, and was replaced
	Refused  Finding = "refused"    // the same, and not replaced
	Left     Finding = "left"       // changed on the new host alone: left as it is
	Kept     Finding = "kept"       // gone on the old host, the new host's own: kept
	Vanished Finding = "vanished"   // went away while it was copied
	Unread   Finding = "unread"     // could not be read on the old host
	Failed   Finding = "failed"     // could not be written on the new host
	Unmount  Finding = "unmounted"  // what was mounted there is not, or is another: nothing below it was taken away
	Stranger Finding = "stranger"   // of an owner whom the new host does not know
	Omitted  Finding = "attributes" // with an attribute that is not copied
	Spoiled  Finding = "spoiled"    // its content was another than was brought, and nobody had written it: brought again
	Damaged  Finding = "damaged"    // what the chain knew was damaged, or could not be written
	// Differs: what this pass has brought was not what it should be when it was looked
	// at once more.
	Differs Finding = "differs"
	// Meanwhile: the old host has changed it between its listing and its copying, or
	// while it was read. What was read then is what was brought. A name that came or went
	// in a directory does not count as a change of it.
	Meanwhile Finding = "meanwhile"
)

// maxPaths is how many paths of a kind a report names.
const maxPaths = 50

// maxText is how much is said of a path, in bytes.
const maxText = 500

// Found are the paths of one kind.
type Found struct {
	Count int64
	Paths []Path // the first of them
}

// Path is a path below the root, and what is said of it.
type Path struct {
	Path string
	Text string
}

// StrangeOwner is a user or group whom the new host does not know.
type StrangeOwner struct {
	Group bool
	ID    uint32 // on the old host
	Name  string // there; "" is a number without a name
	Here  string // whose number it is on the new host, where it has no name on the old
	Count int64  // entries of his
}

// Report is what a pass did.
type Report struct {
	// Source is what the old host has, without the root itself.
	Source Counts
	// First says that the base knew nothing of this root before the pass.
	First bool
	// Changes is how many entries of the source are new, other or gone, against what
	// the base has of it: what the passes before have brought. It counts names below
	// the root, each once: a file that has another name now is two, one gone and one
	// new. An entry is another one where anything that is compared of it is: kind,
	// owner, mode, size, times, number. Of a directory this is its own; a name that
	// came or went in it changed its time, so that it counts besides. What could not
	// be brought earlier is not in the base and counts again. In a first pass it is
	// the sum of Source. Not counted are what the new host alone has lost or changed,
	// what could not be read, what is left out, and, where nothing is taken away
	// (None), what is gone.
	Changes int64
	// Verified is how many entries below the root were compared on the new host with
	// what they should be. Where what was changed is looked at (LookChanged), these are
	// those that this pass has brought: each is looked at once more when its directory
	// is finished, and what is not as it was noted is a finding, Differs. Where all is
	// looked at they are all; where nothing is wrong it is the sum of Source then. What
	// was compared and is left because it is the new host's own counts too, and is a
	// finding, Left. It is 0 in a preview, and for LookNone.
	Verified int64
	// Did are the entries that were made, replaced, given other attributes alone, given
	// another name, and taken away.
	Did map[Action]*Found
	// Bytes of the files that were brought, and of these what the new host did not
	// have already.
	Bytes, Literal int64
	// Transferred is how many files content was brought of.
	Transferred int64
	// Trashed is what was moved to the trash, in bytes.
	Trashed int64
	Found   map[Finding]*Found
	// Strangers are owners of what would be brought whom the new host does not know.
	Strangers []StrangeOwner
	// Lacks are what the target's file system does not keep of what is to come.
	Lacks []Lack

	progress

	log *logbook // nil is none; it has a lock of its own

	mu    sync.Mutex
	phase string
}

// Phase is what the pass is doing: listing, checking, copying or finishing.
func (r *Report) Phase() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase
}

func (r *Report) begin(phase string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = phase
}

// NewReport returns a report of nothing.
func NewReport() *Report {
	return &Report{Did: map[Action]*Found{}, Found: map[Finding]*Found{}}
}

// Done is how many entries were made, replaced or renamed so far, and the bytes
// that were brought. It may be asked while the pass goes on.
func (r *Report) Done() (entries, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range []Action{Created, Updated, Attributes, Renamed} {
		entries += r.Times(a)
	}
	return entries, r.Bytes
}

// did notes something that was done about a path. All is counted, and the first
// are named.
func (r *Report) did(action Action, path string) { r.didTo(action, path, "", 0, 0) }

// didTo is did with a text and with the bytes that were brought.
func (r *Report) didTo(action Action, path, text string, bytes, literal int64) {
	r.mu.Lock()
	r.Bytes += bytes
	r.Literal += literal
	if bytes > 0 {
		r.Transferred++
	}
	count(r.Did, action, path, text)
	r.mu.Unlock()
	if r.log != nil {
		r.log.did(action, path, text)
	}
}

// count adds a path to those of its kind.
func count[K comparable](kinds map[K]*Found, kind K, path, text string) {
	f := kinds[kind]
	if f == nil {
		f = &Found{}
		kinds[kind] = f
	}
	f.add(path, text)
}

// find notes a finding. Of a kind that comes a hundred thousand times the first
// are named, and all are counted.
func (r *Report) find(kind Finding, path, text string) {
	text = text[:min(len(text), maxText)] // the old host may say anything
	r.mu.Lock()
	count(r.Found, kind, path, text)
	r.mu.Unlock()
	if r.log != nil {
		r.log.found(kind, path, text)
	}
}

// brought adds to the bytes that were.
func (r *Report) brought(bytes, literal int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Bytes += bytes
	r.Literal += literal
	if bytes > 0 {
		r.Transferred++
	}
}

func (f *Found) add(path, text string) {
	f.Count++
	if len(f.Paths) < maxPaths {
		f.Paths = append(f.Paths, Path{path[:min(len(path), tree.MaxPath)], text[:min(len(text), tree.MaxPath)]})
	}
}

// Times is how many entries something was done about. It is not for the time while
// the pass goes on.
func (r *Report) Times(action Action) int64 {
	if f := r.Did[action]; f != nil {
		return f.Count
	}
	return 0
}

// Count is how many findings of a kind there are.
func (r *Report) Count(kind Finding) int64 {
	if f := r.Found[kind]; f != nil {
		return f.Count
	}
	return 0
}

// add changes one of the numbers.
func (r *Report) add(number *int64, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*number += n
}

func (r *Report) sort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	byPath := func(a, b Path) int { return strings.Compare(a.Path, b.Path) }
	for _, f := range r.Found {
		slices.SortStableFunc(f.Paths, byPath)
	}
	for _, f := range r.Did {
		slices.SortStableFunc(f.Paths, byPath)
	}
}
