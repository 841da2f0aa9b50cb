package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// memoryGoals are what each may have in memory at the most, in MiB.
var memoryGoals = []struct {
	what string
	most int64
}{{ofProvider, 60}, {ofOld, 200}, {ofNew, 200}}

// report prints the table, of medians, and leaves the figures behind. It fails
// where a goal is not met.
func (b *comparison) report() error {
	columns := []string{nameOurs, nameOriginal, nameArchive, nameTar, nameFind}
	fmt.Printf("\nMedians of the runs (%d of each, taken in turns; %s), and in brackets how many times as fast cutover is.\n"+
		"cutover is a whole apply by the CLI. Nothing is dropped from the caches. Only cutover takes away what is gone.\n\n", b.runs, b.ours.version)
	fmt.Printf("| case | %s |\n|---|%s\n", strings.ReplaceAll(strings.ReplaceAll(strings.Join(columns, "\t"), "|", `\|`), "\t", " | "), strings.Repeat("---:|", len(columns)))
	var list []bench.Figure
	var missed []string
	for _, o := range b.cases {
		ours := bench.Median(o.took[nameOurs])
		cells := []string{o.label}
		for _, name := range columns {
			if len(o.took[name]) == 0 {
				cells = append(cells, "")
				continue
			}
			took := bench.Median(o.took[name])
			list = append(list, bench.Figure{Case: o.label, Subject: name, Metric: "duration", Value: took.Seconds(), Unit: "s"})
			if name == nameOurs {
				cells = append(cells, fmt.Sprintf("%.1f s", took.Seconds()))
				continue
			}
			ratio := took.Seconds() / ours.Seconds()
			cells = append(cells, fmt.Sprintf("%.1f s (%.2g)", took.Seconds(), ratio))
			list = append(list, bench.Figure{Case: o.label, Subject: nameOurs, Metric: "ratio to " + name, Value: ratio, Unit: "times faster"})
			if goal := o.goals[name]; ratio < goal {
				missed = append(missed, fmt.Sprintf("%s: %.2f times as fast as %s, and should be %.1f times", o.label, ratio, name, goal))
			}
		}
		list = append(list, bench.Figure{Case: o.label, Subject: nameOurs, Metric: "duration of the pass alone", Value: bench.Median(o.alone).Round(time.Second / 10).Seconds(), Unit: "s"})
		fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Printf("\nOf these, the pass alone, without Terraform, took by its own attributes:\n")
	for _, o := range b.cases {
		fmt.Printf("  %s: %.1f s\n", o.label, bench.Median(o.alone).Seconds())
	}
	for _, o := range b.cases {
		if o.atMost == 0 {
			continue
		}
		most := slices.Max(o.received)
		fmt.Printf("%s: the old host sent %s bytes at the most.\n", o.label, thousands(int(most)))
		list = append(list, bench.Figure{Case: o.label, Subject: nameOurs, Metric: "bytes that the old host sent", Value: float64(most), Unit: "bytes"})
		if most > o.atMost {
			missed = append(missed, fmt.Sprintf("%s: the old host sent %d bytes, and should send %d at the most", o.label, most, o.atMost))
		}
	}
	for _, goal := range memoryGoals {
		memory := b.ours.memory[goal.what]
		fmt.Printf("In memory %s had at most %d MiB.\n", goal.what, memory>>10)
		list = append(list, bench.Figure{Case: "all", Subject: nameOurs, Metric: "memory of " + goal.what, Value: float64(memory) / 1024, Unit: "MiB"})
		if memory > goal.most<<10 {
			missed = append(missed, fmt.Sprintf("%s had %d MiB in memory, and should have %d at the most", goal.what, memory>>10, goal.most))
		}
	}
	name, err := bench.Write("bench-sync", list)
	if err != nil {
		return err
	}
	fmt.Println("Figures:", name)
	if len(missed) > 0 {
		return fmt.Errorf("goals that were missed:\n  %s", strings.Join(missed, "\n  "))
	}
	return nil
}
