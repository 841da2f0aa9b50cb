// Command testcheck reads what gotestsum has recorded of a test run (--jsonfile) and says what gotestsum
// does not: each skipped test with its reason, and each test that failed and then passed, with both
// outputs.
//
//	go run ./internal/tools/testcheck [-strict] [-allowed FILE] [-summary FILE] EVENTS
//
// Exit code: 0 where the run is good. 1 where not one test ran, where a test failed that is no lab test
// (TestAcc...) and so must not need a second try, and, with -strict, where a test was skipped that the
// allow-list does not name. 2 for wrong usage. Tests that failed in their last try are gotestsum's to
// tell.
//
// It imports the standard library only.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcheck:", err)
	}
	os.Exit(code)
}

// run reads one run's events and returns the exit code of the command.
func run(args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("testcheck", flag.ContinueOnError)
	strict := flags.Bool("strict", false, "fail on a skipped test that the allow-list does not name")
	allowedPath := flags.String("allowed", "", "file that lists the tests that may be skipped")
	summaryPath := flags.String("summary", "", "file to write the result to as well")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() != 1 {
		return 2, errors.New("name the file that gotestsum --jsonfile has written")
	}
	allowed, err := readAllowed(*allowedPath)
	if err != nil {
		return 2, err
	}
	events, err := os.Open(flags.Arg(0))
	if err != nil {
		return 2, err
	}
	defer events.Close()
	results, err := read(events)
	if err != nil {
		return 2, err
	}
	summary, good := results.summary(allowed, *strict)
	fmt.Fprint(out, summary)
	if *summaryPath != "" {
		if err := os.WriteFile(*summaryPath, []byte(summary), 0o644); err != nil {
			return 1, err
		}
	}
	if !good {
		return 1, nil
	}
	return 0, nil
}
