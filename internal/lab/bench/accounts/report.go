package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// row is one line of the table.
type row struct {
	name     string
	ours     time.Duration
	measured time.Duration // by Ansible, with as many accounts as it made
	theirs   time.Duration // the same for as many accounts as we made
	goal     float64       // how many times as fast it has to be; 0: any
}

// report prints the table, of medians, and leaves the figures behind.
func report(ours *cutover, theirs *ansible, us, them *times) error {
	n, m := ours.count, theirs.count
	idle := bench.Median(theirs.idle)
	// scaled is a time of m accounts for n: what it takes without any stays as it is.
	scaled := func(took time.Duration) time.Duration {
		return idle + time.Duration(float64(max(0, took-idle))*float64(n)/float64(m))
	}
	create, unchanged, change := bench.Median(them.create), bench.Median(them.unchanged), bench.Median(them.change)
	rows := []row{
		{name: "create", ours: bench.Median(us.create), measured: create, theirs: scaled(create), goal: 10},
		{name: "unchanged", ours: bench.Median(us.unchanged), measured: unchanged, theirs: scaled(unchanged), goal: 50},
		// Ten are changed, however many there are.
		{name: fmt.Sprintf("%d changed", changed), ours: bench.Median(us.change), measured: change, theirs: scaled(unchanged) + max(0, change-unchanged)},
	}

	fmt.Printf("\n%d accounts, each with one directory in its home, on one host; medians of %d runs each, taken in turns.\n", n, len(us.create))
	fmt.Printf("Terraform had them in groups of %d, and ran with %s.\n", ours.group, ours.settings())
	if n != m {
		fmt.Printf("Ansible made %d accounts (in brackets: measured); its times are scaled to %d, less the %.1f s that none at all take it.\n", m, n, idle.Seconds())
	}
	fmt.Printf("\n| case | cutover (%s) | %s | ratio |\n|---|---:|---:|---:|\n", ours.version, theirs.name())
	var figures []bench.Figure
	for _, r := range rows {
		ratio := r.theirs.Seconds() / r.ours.Seconds()
		beside := ""
		if n != m {
			beside = fmt.Sprintf(" (%.1f s for %d)", r.measured.Seconds(), m)
		}
		fmt.Printf("| %s | %.1f s | %.0f s%s | %.0f |\n", r.name, r.ours.Seconds(), r.theirs.Seconds(), beside, ratio)
		of := func(users int) string { return fmt.Sprintf("duration for %d accounts", users) }
		figures = append(figures, bench.Figure{Case: r.name, Subject: "cutover", Metric: of(n), Value: r.ours.Seconds(), Unit: "s"})
		figures = append(figures, bench.Figure{Case: r.name, Subject: theirs.name(), Metric: of(m), Value: r.measured.Seconds(), Unit: "s"})
		if n != m {
			figures = append(figures, bench.Figure{Case: r.name, Subject: theirs.name(), Metric: of(n) + ", scaled", Value: r.theirs.Seconds(), Unit: "s"})
		}
		figures = append(figures, bench.Figure{Case: r.name, Subject: "cutover", Metric: "ratio to " + theirs.name(), Value: ratio, Unit: "times faster"})
	}
	trips := slices.Max(ours.roundTrips)
	fmt.Printf("\nThe unchanged plan asked the host %d times.\n", trips)
	figures = append(figures, bench.Figure{Case: "unchanged", Subject: "cutover", Metric: "round trips", Value: float64(trips), Unit: "commands"})
	name, err := bench.Write("bench-accounts", figures)
	if err != nil {
		return err
	}
	fmt.Println("Figures:", name)
	for _, r := range rows {
		if ratio := r.theirs.Seconds() / r.ours.Seconds(); ratio < r.goal {
			return fmt.Errorf("%s: %.1f times as fast as %s, and should be %.0f times", r.name, ratio, theirs.name(), r.goal)
		}
	}
	return nil
}
