package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	event := func(name string, downtime bool, from, to time.Time) audit.Event {
		return audit.Event{Name: name, Downtime: downtime, Started: from, Finished: to}
	}
	one := night(1, 0, 0)
	for name, c := range map[string]struct {
		events  []audit.Event
		seconds string
		want    []string
	}{
		"none":        {nil, "0.000", []string{"No events were recorded."}},
		"no downtime": {[]audit.Event{event("a", false, one, one.Add(time.Minute))}, "0.000", []string{"There was no downtime.", "1 min"}},
		"zero length": {[]audit.Event{event("a", true, one, one)}, "0.000", []string{"The downtime was 0 s.", "01:00:00"}},
		"one":         {[]audit.Event{event("a", true, one, one.Add(90*time.Second))}, "90.000", []string{"The downtime was 1 min 30 s."}},
		"overlapping": {[]audit.Event{
			event("b", true, one.Add(time.Minute), one.Add(3*time.Minute)), event("a", true, one, one.Add(2*time.Minute)),
			event("c", true, one.Add(time.Minute), one.Add(90*time.Second)), event("d", true, one.Add(time.Hour), one.Add(time.Hour)),
		}, "180.000", []string{"The downtime was 3 min in all. It came in 4 parts. The longest took 2 min."}},
		"no end": {[]audit.Event{event("a", true, one, time.Time{}), event("b", true, one, one.Add(time.Second)), event("c", true, time.Time{}, one)}, "1.000",
			[]string{"The downtime was 1 s. 2 downtimes without a recorded end are not in the sum.", "from 01:00:00, no end recorded", "no time recorded"}},
		"only no end": {[]audit.Event{event("a", true, one, one.Add(-time.Second))}, "0.000",
			[]string{"The length of the downtime is not known. 1 downtime without a recorded end is not in the sum."}},
		"other zone": {[]audit.Event{event("a", false, one.In(time.FixedZone("", 3600)), one.Add(time.Second))}, "0.000", []string{"01:00:00 to 01:00:01"}},
		"two days":   {[]audit.Event{event("a", false, night(23, 0, 0), night(1, 0, 0))}, "0.000", []string{"1 Dec 23:00:00 to 2 Dec 01:00:00", "2 Dec"}},
		"years":      {[]audit.Event{event("a", false, one, one.AddDate(40, 0, 0))}, "0.000", []string{"14,610 d"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, page := render(t, audit.Audit{}, "", c.events)
			checkForm(t, page)
			sum := page.all(with("data-downtime-seconds"))
			if len(sum) != 1 || !is("data-downtime-seconds", c.seconds)(sum[0]) {
				t.Errorf("the downtime is not %s s: %+v", c.seconds, sum)
			}
			for _, want := range c.want {
				if !strings.Contains(text(page.root), want) {
					t.Errorf("the page does not say %q: %s", want, text(page.root))
				}
			}
			if bars := page.all(with("data-event")); len(bars) != len(c.events) {
				t.Errorf("%d of %d events are on the page", len(bars), len(c.events))
			}
			checkBars(t, page)
		})
	}
}

// checkBars checks that every bar is where the times say.
func checkBars(t *testing.T, page document) {
	t.Helper()
	type point struct{ at, x float64 }
	var points []point
	for _, row := range page.all(with("data-event")) {
		for _, n := range below(row, func(n *html.Node) bool { return n.Data == "rect" }) {
			left, width := percentOf(t, n, "x"), percentOf(t, n, "width")
			if left < 0 || width < 0 || left+width > 100.01 {
				t.Errorf("a bar reaches from %g %% over %g %%", left, width)
			}
			started, _ := attribute(row, "data-started")
			from, err := time.Parse(time.RFC3339, started)
			if err != nil {
				t.Fatal(err)
			}
			points = append(points, point{float64(from.Unix()), left})
			if took, _ := attribute(row, "data-seconds"); took != "" {
				seconds, _ := strconv.ParseFloat(took, 64)
				points = append(points, point{float64(from.Unix()) + seconds, left + width})
			}
		}
	}
	// All points are on one straight line from time to position.
	for i := range points {
		for j := range points[:i] {
			a, b := points[j], points[i]
			if (b.at-a.at)*(b.x-a.x) < 0 || b.at == a.at && math.Abs(b.x-a.x) > 0.01 {
				t.Errorf("%g s is at %g %%, and %g s at %g %%", a.at, a.x, b.at, b.x)
			}
			if first, last := points[0], points[len(points)-1]; last.at > first.at {
				scale := (last.x - first.x) / (last.at - first.at)
				if math.Abs(first.x+(b.at-first.at)*scale-b.x) > 0.02 {
					t.Errorf("%g s is at %g %%, which is not to scale", b.at, b.x)
				}
			}
		}
	}
}

func percentOf(t *testing.T, n *html.Node, key string) float64 {
	t.Helper()
	value, _ := attribute(n, key)
	x, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	if err != nil {
		t.Fatalf("%s=%q: %v", key, value, err)
	}
	return x
}

func TestTicks(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, time.December, 1, 22, 13, 7, 0, time.UTC)
	for _, span := range []time.Duration{
		2 * time.Millisecond, 500 * time.Millisecond, time.Second, 7 * time.Second, time.Minute, 17 * time.Minute, time.Hour, 5 * time.Hour, day, 3 * day, 50 * day, 400 * day, 40 * 365 * day,
	} {
		all := ticks(start, start.Add(span))
		if len(all) > maxTicks+1 {
			t.Errorf("%s has %d ticks: %v", span, len(all), all)
		}
		if len(all) < 1 {
			t.Errorf("%s has no tick", span)
		}
		seen := map[string]bool{}
		for _, mark := range all {
			if mark.X < 0 || mark.X > 100 || seen[mark.Label] {
				t.Errorf("%s: tick %+v", span, mark)
			}
			seen[mark.Label] = true
		}
	}
	if got := fmt.Sprint(ticks(night(22, 0, 0), night(2, 0, 0))); got != "[{0 22:00 start} {25 23:00 middle} {50 2 Dec middle} {75 01:00 middle} {100 02:00 end}]" {
		t.Errorf("ticks of four hours: %s", got)
	}
}
