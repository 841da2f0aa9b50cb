//go:build linux

package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// paceFile is how quick a pass has copied, for a preview to tell how long one would
// take.
type paceFile struct {
	Took    time.Duration `json:"took"` // for copying alone
	Entries int64         `json:"entries"`
	Bytes   int64         `json:"bytes"`
}

// shortest is what copying has to take at least to say something of what more would
// take.
const shortest = 100 * time.Millisecond

// pace notes how quick a pass was, or, for a preview, estimates how long one would take:
// as long as listing took now, and as the pass of the chain that copied for longest took
// for as many entries or as many bytes, whichever is more. A short pass says little: it
// mostly waits.
func (c *course) pace(outcome *order.Outcome) {
	if c.order.Pace == "" || c.copied.IsZero() {
		return
	}
	var known paceFile
	if content, err := os.ReadFile(c.order.Pace); err == nil {
		_ = json.Unmarshal(content, &known) // of another version, it is not known
	}
	now := paceFile{Took: c.copied.Sub(c.listed)}
	for _, r := range c.roots {
		if c.order.Preview {
			entries, bytes := r.report.Expected()
			now.Entries, now.Bytes = now.Entries+entries, now.Bytes+bytes
			continue
		}
		entries, bytes := r.report.Done()
		now.Entries, now.Bytes = now.Entries+entries, now.Bytes+bytes
	}
	if !c.order.Preview {
		if now.Entries > 0 && now.Took >= max(known.Took, shortest) {
			_ = order.Write(c.order.Pace, now) // without it the next preview knows no time
		}
		return
	}
	if known.Entries == 0 {
		return
	}
	share := float64(now.Entries) / float64(known.Entries)
	if known.Bytes > 0 {
		share = max(share, float64(now.Bytes)/float64(known.Bytes))
	}
	outcome.Estimate = c.listed.Sub(c.begun) + time.Duration(share*float64(known.Took))
}
