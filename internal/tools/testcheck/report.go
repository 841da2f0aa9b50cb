package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json; "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// testID names a test.
type testID struct{ pkg, test string }

// try is one run of a test.
type try struct {
	result string // pass, fail or skip; "" where it never ended
	output []string
}

// results are the tries of each test, in the order in which the tests began.
type results struct {
	order []testID
	tries map[testID][]try
}

// read takes the events of a run and of the tests that ran again.
func read(events io.Reader) (*results, error) {
	r := &results{tries: map[testID][]try{}}
	lines := bufio.NewReader(events)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return nil, fmt.Errorf("line %d of the events: %w", n, err)
			}
			r.add(e)
		}
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (r *results) add(e event) {
	if e.Test == "" {
		return
	}
	id := testID{e.Package, e.Test}
	tries := r.tries[id]
	if e.Action == "run" {
		if tries == nil {
			r.order = append(r.order, id)
		}
		r.tries[id] = append(tries, try{})
		return
	}
	if len(tries) == 0 {
		return
	}
	last := &tries[len(tries)-1]
	switch e.Action {
	case "output":
		last.output = append(last.output, e.Output)
	case "pass", "fail", "skip":
		last.result = e.Action
	}
}

// flaky are the tests that failed and then passed, without those that failed for a subtest alone.
func (r *results) flaky() []testID {
	var found []testID
	for _, id := range r.order {
		tries := r.tries[id]
		if tries[0].result == "fail" && tries[len(tries)-1].result == "pass" {
			found = append(found, id)
		}
	}
	var leaves []testID
	for _, id := range found {
		leaf := true
		for _, other := range found {
			if other.pkg == id.pkg && strings.HasPrefix(other.test, id.test+"/") {
				leaf = false
			}
		}
		if leaf {
			leaves = append(leaves, id)
		}
	}
	return leaves
}

// isLab reports whether a test needs real hosts: lab.Require takes no other name.
func (id testID) isLab() bool { return strings.HasPrefix(id.test, "TestAcc") }

// summary returns what there is to tell, and whether the run is good as far as that goes.
func (r *results) summary(allowed []allowance, strict bool) (string, bool) {
	var b strings.Builder
	good := true
	counts := map[string]int{}
	for _, id := range r.order {
		last := r.tries[id][len(r.tries[id])-1]
		counts[last.result]++
		if last.result != "skip" {
			continue
		}
		what := "skipped"
		if !isAllowed(allowed, id) && strict {
			what, good = "UNEXPECTED SKIP", false
		}
		fmt.Fprintf(&b, "%s: %s %s: %s\n", what, id.pkg, id.test, reason(last.output))
	}
	flaky := r.flaky()
	for _, id := range flaky {
		what := "flaky"
		if !id.isLab() {
			what, good = "FAILED ONCE, AND NEEDS NO HOSTS THAT COULD EXCUSE IT", false
		}
		fmt.Fprintf(&b, "%s: %s %s\n", what, id.pkg, id.test)
		for n, each := range r.tries[id] {
			fmt.Fprintf(&b, "    try %d: %s\n", n+1, each.result)
			for _, line := range each.output {
				fmt.Fprintf(&b, "        %s", line)
			}
		}
	}
	if counts["pass"]+counts["fail"]+counts[""] == 0 {
		fmt.Fprintln(&b, "NOTHING TESTED: not one test ran to its end")
		good = false
	}
	fmt.Fprintf(&b, "%d passed (%d of them flaky), %d failed, %d skipped, %d never ended\n",
		counts["pass"], len(flaky), counts["fail"], counts["skip"], counts[""])
	return b.String(), good
}

// reason takes a skipped test's own words out of what go test wrote around them.
func reason(output []string) string {
	var words []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- SKIP") {
			continue
		}
		words = append(words, line)
	}
	if len(words) == 0 {
		return "(no reason given)"
	}
	return strings.Join(words, " ")
}
