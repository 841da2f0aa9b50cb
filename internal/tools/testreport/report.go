package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"
)

// event is one line of go test -json; "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	// ImportPath stands in for Package in the events of a build.
	ImportPath string
	Test       string
	Output     string
}

// testID names a test or, with an empty test, a package.
type testID struct{ pkg, test string }

// skip is a skipped test and the words it gave.
type skip struct {
	testID
	reason string
}

// report gathers the events of one run and writes what is worth reading as it comes.
type report struct {
	out     io.Writer
	now     func() time.Time
	started time.Time

	total   int // packages
	done    int
	running map[testID]time.Time
	output  map[testID][]string

	results  []string // the result line of each package
	failures []testID
	skips    []skip
	passed   int // tests
}

func newReport(out io.Writer, total int, now func() time.Time) *report {
	return &report{
		out: out, now: now, started: now(), total: total,
		running: map[testID]time.Time{}, output: map[testID][]string{},
	}
}

// line takes one line of go test -json. What is no event (go itself complaining) is passed on.
func (r *report) line(text string) {
	var e event
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Action == "" {
		fmt.Fprint(r.out, text)
		return
	}
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "run", "cont":
		r.running[id] = r.now()
	case "pause": // a parallel test that waits for its turn
		delete(r.running, id)
	case "output":
		if id.test == "" && isResult(e.Output) {
			r.results = append(r.results, strings.TrimRight(e.Output, "\n"))
			return
		}
		r.output[id] = append(r.output[id], e.Output)
	case "pass", "fail", "skip":
		if id.test == "" {
			r.packageEnded(id, e.Action)
		} else {
			r.testEnded(id, e.Action)
		}
	}
}

// isResult tells the line that go test prints for a package from other output of that package.
func isResult(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}

func (r *report) testEnded(id testID, action string) {
	delete(r.running, id)
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.failures = append(r.failures, id)
		r.print(id)
	case "skip":
		r.skips = append(r.skips, skip{id, reason(r.output[id])})
	}
	delete(r.output, id)
}

func (r *report) packageEnded(id testID, action string) {
	r.done++
	// A panic or a timeout ends the binary before the tests under way can report.
	for _, left := range r.runningIn(id.pkg) {
		delete(r.running, left)
		r.failures = append(r.failures, left)
		r.print(left)
		delete(r.output, left)
	}
	if action == "fail" {
		r.print(id)
	}
	delete(r.output, id)
	if len(r.results) > 0 {
		fmt.Fprintf(r.out, "%s  (%d of %d packages)\n", r.results[len(r.results)-1], r.done, r.total)
	}
}

// runningIn returns the tests of a package that have not ended, in the order of their names.
func (r *report) runningIn(pkg string) []testID {
	var ids []testID
	for id := range r.running {
		if id.pkg == pkg {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i].test < ids[j].test })
	return ids
}

func (r *report) print(id testID) {
	for _, line := range r.output[id] {
		fmt.Fprint(r.out, line)
	}
}

// progress writes what is under way: the innermost tests and how long they have been at it.
func (r *report) progress() {
	var under []string
	for id, since := range r.running {
		if !r.hasRunningSubtest(id) {
			under = append(under, fmt.Sprintf("%s %s (%d s)", path.Base(id.pkg), id.test, int(r.now().Sub(since).Seconds())))
		}
	}
	sort.Strings(under)
	what := "building"
	if len(under) > 0 {
		what = strings.Join(under, ", ")
	}
	fmt.Fprintf(r.out, "... %d s, %d of %d packages done; now: %s\n", int(r.now().Sub(r.started).Seconds()), r.done, r.total, what)
}

func (r *report) hasRunningSubtest(id testID) bool {
	for other := range r.running {
		if other.pkg == id.pkg && strings.HasPrefix(other.test, id.test+"/") {
			return true
		}
	}
	return false
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

// summary returns the closing text, which ends in the packages' result lines as go test prints them,
// and whether the run is good as far as skips go.
func (r *report) summary(allowed []allowance, strict bool) (string, bool) {
	var b strings.Builder
	good := true
	for _, s := range r.skips {
		verdict := "skipped"
		if !isAllowed(allowed, s.testID) && strict {
			verdict, good = "UNEXPECTED SKIP", false
		}
		fmt.Fprintf(&b, "%s: %s %s: %s\n", verdict, s.pkg, s.test, s.reason)
	}
	for _, id := range r.failures {
		fmt.Fprintf(&b, "failed: %s %s\n", id.pkg, id.test)
	}
	if r.passed == 0 && len(r.failures) == 0 {
		fmt.Fprintln(&b, "NOTHING TESTED: not one test ran to its end")
		good = false
	}
	fmt.Fprintf(&b, "%d tests passed, %d failed, %d skipped in %d s\n", r.passed, len(r.failures), len(r.skips), int(r.now().Sub(r.started).Seconds()))
	for _, line := range r.results {
		fmt.Fprintln(&b, line)
	}
	return b.String(), good
}

// allowance is one line of the allow-list: patterns of path.Match for the end of the package's import
// path and for the test's name.
type allowance struct{ pkg, test string }

// readAllowed reads an allow-list: "PACKAGE TEST reason" a line, # for comments. No path is no list.
func readAllowed(file string) ([]allowance, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []allowance
	for n, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want PACKAGE TEST and the reason why it may be skipped", file, n+1)
		}
		for _, pattern := range fields[:2] {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("%s:%d: %q: %w", file, n+1, pattern, err)
			}
		}
		list = append(list, allowance{fields[0], fields[1]})
	}
	return list, nil
}

func isAllowed(allowed []allowance, id testID) bool {
	for _, a := range allowed {
		_, below, _ := strings.Cut(id.pkg, "/internal/")
		pkg, _ := path.Match(a.pkg, below)
		test, _ := path.Match(a.test, id.test)
		if pkg && test {
			return true
		}
	}
	return false
}
