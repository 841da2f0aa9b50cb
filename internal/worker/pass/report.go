//go:build linux

package pass

import (
	"slices"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
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
	Damaged  Finding = "damaged"    // what the chain knew was damaged, or could not be written
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

// Report is what a pass did.
type Report struct {
	// Source is what the old host has.
	Source Counts
	// Entries that were made, replaced, given other attributes alone, given another
	// name, and taken away.
	Created, Updated, Attributes, Renamed, Deleted int64
	// Bytes of the files that were brought, and of these what the new host did not
	// have already.
	Bytes, Literal int64
	// Trashed is what was moved to the trash, in bytes.
	Trashed int64
	Found   map[Finding]*Found

	mu    sync.Mutex
	phase string
}

// Phase is what the pass is doing: listing, copying or finishing.
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
func NewReport() *Report { return &Report{Found: map[Finding]*Found{}} }

// Done is how many entries were made, replaced or renamed so far, and the bytes
// that were brought. It may be asked while the pass goes on.
func (r *Report) Done() (entries, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Created + r.Updated + r.Attributes + r.Renamed, r.Bytes
}

// find notes a finding. Of a kind that comes a hundred thousand times the first
// are named, and all are counted.
func (r *Report) find(kind Finding, path, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.Found[kind]
	if f == nil {
		f = &Found{}
		r.Found[kind] = f
	}
	f.Count++
	if len(f.Paths) < maxPaths {
		// The old host may say anything.
		f.Paths = append(f.Paths, Path{path[:min(len(path), tree.MaxPath)], text[:min(len(text), maxText)]})
	}
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
	for _, f := range r.Found {
		slices.SortFunc(f.Paths, func(a, b Path) int { return strings.Compare(a.Path, b.Path) })
	}
}
