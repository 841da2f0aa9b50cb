package order

import (
	"fmt"
	"strings"
	"time"
)

// Status is how far a pass is, for people.
type Status struct {
	Phase string // listing, checking, copying, finishing or comparing
	// Root is which of so many roots, from 1.
	Root, Roots int
	// Bytes are those written, and Entries those brought, of all roots. What is to
	// come in all is 0 as long as it is not known.
	Bytes, AllBytes     int64
	Entries, AllEntries int64
	Rate                int64  // bytes a second, lately
	Path                string // that is being copied, as it can be shown
}

// String is a line such as "copying path 1 of 2: 12 %, 1.2 MiB of 2.9 MiB, 200 KiB/s,
// 0:00:12 left, at large".
func (s Status) String() string {
	line := fmt.Sprintf("%s path %d of %d", s.Phase, s.Root, s.Roots)
	var parts []string
	// What was changed meanwhile is more than was listed.
	bytes, entries := min(s.Bytes, s.AllBytes), min(s.Entries, s.AllEntries)
	switch {
	case s.AllBytes > 0:
		parts = append(parts, fmt.Sprintf("%d %%", int64(float64(bytes)/float64(s.AllBytes)*100)), Size(bytes)+" of "+Size(s.AllBytes))
	case s.AllEntries > 0:
		parts = append(parts, fmt.Sprintf("%d %%", int64(float64(entries)/float64(s.AllEntries)*100)), fmt.Sprintf("%d of %d files", entries, s.AllEntries))
	}
	if s.Rate > 0 && s.AllBytes > 0 {
		parts = append(parts, Size(s.Rate)+"/s")
		if left := (s.AllBytes - bytes) / s.Rate; left > 0 {
			parts = append(parts, fmt.Sprintf("%d:%02d:%02d left", left/3600, left/60%60, left%60))
		}
	}
	if s.Path != "" {
		parts = append(parts, "at "+s.Path)
	}
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line
}

// Write puts the line into a file in one step.
func (s Status) Write(path string) error { return put(path, []byte(s.String()+"\n")) }

// Size is a number of bytes for people.
func Size(bytes int64) string {
	const unit = 1 << 10
	switch {
	case bytes < unit:
		return fmt.Sprintf("%d B", bytes)
	case bytes < unit*unit:
		return fmt.Sprintf("%d KiB", bytes/unit)
	}
	size := float64(bytes) / (unit * unit)
	for _, name := range []string{"MiB", "GiB", "TiB"} {
		if size < unit {
			return fmt.Sprintf("%.1f %s", size, name)
		}
		size /= unit
	}
	return fmt.Sprintf("%.1f PiB", size)
}

// Rate is how fast something goes, by what was measured in the last seconds.
type Rate struct {
	times []time.Time
	sums  []int64
}

// lately is how far back a rate looks.
const lately = 10 * time.Second

// Add notes how much it was at a time, and returns by how much it grows a second.
func (r *Rate) Add(now time.Time, sum int64) int64 {
	r.times, r.sums = append(r.times, now), append(r.sums, sum)
	for len(r.times) > 2 && now.Sub(r.times[0]) > lately {
		r.times, r.sums = r.times[1:], r.sums[1:]
	}
	passed := now.Sub(r.times[0]).Seconds()
	if passed <= 0 {
		return 0
	}
	return int64(float64(sum-r.sums[0]) / passed)
}
