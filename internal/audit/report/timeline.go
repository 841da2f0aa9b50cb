package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// timeline is the events of the night on one axis. Positions are percent of its width,
// so that the drawing needs no fixed size.
type timeline struct {
	Parts  []part[bar]
	Ticks  []tick
	Span   string // what the axis reaches over
	Night  string // the downtime, in a sentence
	Detail string // more about it
	// Seconds is all downtime. Times that overlap count once.
	Seconds string
}

// bar is an event. It has no place on the axis where its beginning is unknown.
type bar struct {
	Name                 string
	Downtime, Placed     bool
	Started, Finished    moment
	Seconds, Length      string // "" where it has no end
	Left, Right, Width   float64
	Ticks                []tick // of the axis, to be drawn behind it
	started, finished    time.Time
	hasBeginning, hasEnd bool
}

// When says from when until when it took.
func (b bar) When() string {
	switch {
	case !b.hasBeginning:
		return "no time recorded"
	case !b.hasEnd:
		return "from " + b.Started.Text + ", no end recorded"
	case b.Started.Stamp == b.Finished.Stamp:
		return b.Started.Text
	}
	return b.Started.Text + " to " + b.Finished.Text
}

// tick is a mark of the axis.
type tick struct {
	X      float64
	Label  string
	Anchor string // text-anchor of SVG
}

const (
	clock = "15:04:05"
	day   = 24 * time.Hour
	// maxTicks labels fit beside each other on a telephone.
	maxTicks = 5
)

// steps are distances between ticks that people reckon in.
var steps = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	day, 2 * day, 7 * day, 14 * day, 30 * day, 60 * day, 90 * day, 180 * day,
}

func newTimeline(events []audit.Event) timeline {
	var bars []bar
	for _, e := range events {
		bars = append(bars, newBar(e))
	}
	slices.SortStableFunc(bars, func(a, b bar) int {
		return cmp.Or(a.started.Compare(b.started), a.finished.Compare(b.finished))
	})
	first, last := reach(bars)
	layout := clock
	if !first.IsZero() && first.Truncate(day) != last.Truncate(day) {
		layout = "2 Jan 15:04:05"
	}
	var t timeline
	if !first.IsZero() {
		t.Span = "From " + first.Format("2 January 2006, 15:04:05") + " to " + last.Format("2 January 2006, 15:04:05 UTC.")
		// Air at both ends, so that no bar is at the edge; and where nothing took any time, something to divide by.
		air := max(last.Sub(first)/50, time.Millisecond)
		first, last = first.Add(-air), last.Add(air)
		t.Ticks = ticks(first, last)
	}
	for i := range bars {
		b := &bars[i]
		b.Ticks = t.Ticks
		if !b.hasBeginning {
			continue
		}
		b.Placed = true
		b.Started = at(b.started, layout)
		b.Left = percent(first, last, b.started)
		b.Right = b.Left
		if b.hasEnd {
			b.Finished = at(b.finished, layout)
			if b.started.Truncate(day).Equal(b.finished.Truncate(day)) {
				b.Finished.Text = b.finished.Format(clock)
			}
			b.Right = percent(first, last, b.finished)
			b.Width = rounded(b.Right - b.Left)
			b.Length = duration(b.finished.Sub(b.started))
			b.Seconds = seconds(b.finished.Sub(b.started))
		}
	}
	t.Parts = parts(bars, nil, "Events")
	t.sum(bars)
	return t
}

func newBar(e audit.Event) bar {
	return bar{
		Name: name(e.Name), Downtime: e.Downtime,
		started: e.Started.UTC(), finished: e.Finished.UTC(),
		hasBeginning: !e.Started.IsZero(),
		// A clock that was set back in between knows no end.
		hasEnd: !e.Started.IsZero() && !e.Finished.Before(e.Started),
	}
}

// reach is from the first event to the last; zero times where none has a time.
func reach(bars []bar) (first, last time.Time) {
	for _, b := range bars {
		if !b.hasBeginning {
			continue
		}
		end := b.started
		if b.hasEnd {
			end = b.finished
		}
		if first.IsZero() || b.started.Before(first) {
			first = b.started
		}
		if last.IsZero() || end.After(last) {
			last = end
		}
	}
	return first, last
}

func percent(first, last, t time.Time) float64 {
	return rounded(100 * t.Sub(first).Seconds() / last.Sub(first).Seconds())
}

func rounded(x float64) float64 { return math.Round(1000*x) / 1000 }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func ticks(first, last time.Time) []tick {
	span := last.Sub(first)
	step := (span/maxTicks/(365*day) + 1) * 365 * day
	for _, s := range steps {
		if span/s <= maxTicks {
			step = s
			break
		}
	}
	layout := "15:04"
	switch {
	case step >= 30*day:
		layout = "Jan 2006"
	case step >= day:
		layout = "2 Jan"
	case step < time.Second:
		layout = "15:04:05.000"
	case step < time.Minute:
		layout = clock
	}
	var all []tick
	for t := first.Truncate(step); !t.After(last); t = t.Add(step) {
		if t.Before(first) {
			continue
		}
		mark := tick{X: percent(first, last, t), Label: t.Format(layout), Anchor: "middle"}
		if step < day && t.Truncate(day).Equal(t) {
			mark.Label = t.Format("2 Jan")
		}
		switch {
		case mark.X < 7:
			mark.Anchor = "start"
		case mark.X > 93:
			mark.Anchor = "end"
		}
		all = append(all, mark)
	}
	return all
}

// sum adds up the downtime of bars, which are in the order of their beginning.
func (t *timeline) sum(bars []bar) {
	var all, longest time.Duration
	var count, unknown int
	var until time.Time // of what was counted
	for _, b := range bars {
		switch {
		case !b.Downtime:
			continue
		case !b.hasEnd:
			unknown++
			continue
		}
		count++
		longest = max(longest, b.finished.Sub(b.started))
		from := b.started
		if from.Before(until) {
			from = until
		}
		if b.finished.After(from) {
			all += b.finished.Sub(from)
			until = b.finished
		}
	}
	t.Seconds = seconds(all)
	switch {
	case len(bars) == 0:
		t.Night = "No events were recorded."
	case count == 0 && unknown == 0:
		t.Night = "There was no downtime."
	case count == 0:
		t.Night = "The length of the downtime is not known."
	case count == 1:
		t.Night = "The downtime was " + duration(all) + "."
	default:
		t.Night = "The downtime was " + duration(all) + " in all."
		t.Detail = fmt.Sprintf("It came in %d parts. The longest took %s.", count, duration(longest))
	}
	if unknown > 0 && len(t.Detail) > 0 {
		t.Detail += " "
	}
	if unknown > 0 {
		t.Detail += counted(unknown, "downtime") + " without a recorded end " + map[bool]string{true: "is", false: "are"}[unknown == 1] + " not in the sum."
	}
}
