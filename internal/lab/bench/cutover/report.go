package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// row is one line of the table: a figure of each run.
type row struct {
	title, metric, unit string
	of                  func(verdict) float64
	whole               bool // a count, of which the worst run counts too
}

func count(outcome string) func(verdict) float64 {
	return func(v verdict) float64 { return float64(v.outcomes[outcome]) }
}

var rows = []row{
	{"connections refused", "refused", "connections", count(refused), true},
	{"connections reset", "reset", "connections", count(reset), true},
	{"requests timed out", "timed out", "requests", count(timedOut), true},
	{"requests put off by a server", "turned away", "requests", count(turnedAway), true},
	{"longest wait of a client that was served", "longest wait", "s", func(v verdict) float64 { return v.longest.Seconds() }, false},
	{"acknowledged writes lost", "lost", "writes", func(v verdict) float64 { return float64(len(v.lost)) }, true},
	{"acknowledged writes doubled", "doubled", "writes", func(v verdict) float64 { return float64(len(v.doubled)) }, true},
}

func init() {
	for _, port := range relayed {
		rows = append(rows, row{
			fmt.Sprintf("port %d: from the last answer of the old host to the first of the new one", port), fmt.Sprintf("without service, port %d", port), "s",
			func(v verdict) float64 { return v.gaps[port].Seconds() }, false,
		})
	}
}

// report prints the table and leaves the figures behind.
func report(files int, verdicts map[string][]verdict) error {
	fmt.Printf("\nAn old host with %d files under load. Medians of %d runs, taken in turns; of counts, the worst run in brackets.\n", files, len(verdicts[ours]))
	fmt.Printf("\n| | %s | %s, by hand |\n|---|---:|---:|\n", ours, theirs)
	var figures []bench.Figure
	for _, r := range rows {
		fmt.Printf("| %s", r.title)
		for _, subject := range []string{ours, theirs} {
			var values []float64
			for _, v := range verdicts[subject] {
				values = append(values, r.of(v))
			}
			if len(values) == 0 {
				continue
			}
			median, worst := bench.MedianOf(values), slices.Max(values)
			figures = append(figures, bench.Figure{Case: "cutover under load", Subject: subject, Metric: r.metric, Value: median, Unit: r.unit})
			if r.whole {
				fmt.Printf(" | %.0f (%.0f)", median, worst)
				figures = append(figures, bench.Figure{Case: "cutover under load", Subject: subject, Metric: r.metric + ", worst run", Value: worst, Unit: r.unit})
			} else {
				fmt.Printf(" | %.1f s", median)
			}
		}
		fmt.Println(" |")
	}
	var longest []float64
	for _, subject := range []string{ours, theirs} {
		var values []float64
		for _, v := range verdicts[subject] {
			values = append(values, v.longestGap().Seconds())
		}
		longest = append(longest, bench.MedianOf(values))
	}
	ratio := longest[1] / longest[0]
	figures = append(figures, bench.Figure{Case: "cutover under load", Subject: ours, Metric: "without service, " + theirs + " to it", Value: ratio, Unit: "times as long"})
	fmt.Printf("\nBy hand, the port that was longest without service was so %.1f times as long.\n", ratio)
	acked := 0
	for _, v := range verdicts[ours] {
		acked += v.acked
	}
	fmt.Printf("\nThe %d messages and uploads that were acknowledged while cutover was at work are on the new host, each once, unless the table says otherwise.\n", acked)
	name, err := bench.Write("bench-cutover", figures)
	if err != nil {
		return err
	}
	fmt.Println("Figures:", name)
	return goals(verdicts, ratio)
}

// goals says what is not as it has to be.
func goals(verdicts map[string][]verdict, ratio float64) error {
	var missed []error
	miss := func(format string, args ...any) { missed = append(missed, fmt.Errorf(format, args...)) }
	if ratio < 2 && len(verdicts[theirs]) > 0 {
		miss("by hand it took %.1f times as long, and should twice", ratio)
	}
	for n, v := range verdicts[ours] {
		if v.outcomes[refused] > 0 {
			miss("run %d: %d connections were refused", n+1, v.outcomes[refused])
		}
		if v.outcomes[unsent] > 0 {
			miss("run %d: this machine could not keep up with its own clients", n+1)
		}
		if v.longest.Seconds() >= 10 {
			miss("run %d: a client waited for %.1f s", n+1, v.longest.Seconds())
		}
		if len(v.lost) > 0 || len(v.doubled) > 0 {
			miss("run %d: lost %s; doubled %s", n+1, some(v.lost), some(v.doubled))
		}
	}
	return errors.Join(missed...)
}

// some are the first of many.
func some(ids []string) string {
	if len(ids) > 10 {
		return fmt.Sprintf("%s and %d others", strings.Join(ids[:10], " "), len(ids)-10)
	}
	return strings.Join(ids, " ")
}
