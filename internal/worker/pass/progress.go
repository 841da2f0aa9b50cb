//go:build linux

package pass

import (
	"sync/atomic"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// progress is how far a pass is. It may be asked while the pass goes on.
type progress struct {
	expectedEntries, expectedBytes atomic.Int64
	written                        atomic.Int64 // bytes, also of files that are not complete
	at                             atomic.Pointer[string]
}

func (p *progress) expect(entries, bytes int64) {
	p.expectedEntries.Store(entries)
	p.expectedBytes.Store(bytes)
}

// Expected is what the pass would bring, by what the old host has listed: entries
// that are new or changed, and the bytes of those files whose content is. It is
// known when the pass is prepared.
func (p *progress) Expected() (entries, bytes int64) {
	return p.expectedEntries.Load(), p.expectedBytes.Load()
}

// Written is how many bytes of files were written so far, also of files that are
// not complete yet, or were found to be there already.
func (p *progress) Written() int64 { return p.written.Load() }

// have notes that the target has the content of a file that was expected to come:
// what no pass has brought, and is there all the same.
func (t *target) have(source *tree.Stat, base *tree.Known) {
	if base == nil && source.IsRegular() {
		t.report.written.Add(source.Size)
	}
}

// Path is the path that was last begun to be copied; "" where there is none.
func (p *progress) Path() string {
	if path := p.at.Load(); path != nil {
		return *path
	}
	return ""
}
