// Command testreport runs go test and tells what a reader of a long run wants to know: how far it is,
// each package's ordinary result line, the whole output of what failed, and every skipped test with
// its reason, which go test keeps to itself.
//
//	go run ./internal/tools/testreport [-strict] [-allowed FILE] [-summary FILE] PACKAGES... [-- GO TEST FLAGS...]
//
// With -strict a skipped test that the allow-list does not name fails the run. Exit code: that of go
// test; 1 for an unexpected skip or where not one test ran; 2 for wrong usage.
//
// It imports the standard library only.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// progressInterval is how long the run may be silent before it says what it is doing.
const progressInterval = 30 * time.Second

func main() {
	code, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	os.Exit(code)
}

// run does one go test run and returns the exit code of the command.
func run(args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	strict := flags.Bool("strict", false, "fail on a skipped test that the allow-list does not name")
	allowedPath := flags.String("allowed", "", "file that lists the tests that may be skipped")
	summaryPath := flags.String("summary", "", "file to write the closing summary to as well")

	var testFlags []string
	if at := slices.Index(args, "--"); at >= 0 {
		args, testFlags = args[:at], args[at+1:]
	}
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	packages := flags.Args()
	if len(packages) == 0 {
		return 2, errors.New("name the packages to test, ./... for all")
	}
	allowed, err := readAllowed(*allowedPath)
	if err != nil {
		return 2, err
	}
	total, err := countPackages(packages)
	if err != nil {
		return 1, err
	}

	r := newReport(out, total, time.Now)
	testCode, err := goTest(r, append(append([]string{}, testFlags...), packages...))
	if err != nil {
		return 1, err
	}
	summary, passed := r.summary(allowed, *strict)
	fmt.Fprint(out, summary)
	if *summaryPath != "" {
		if err := os.WriteFile(*summaryPath, []byte(summary), 0o644); err != nil {
			return 1, err
		}
	}
	if testCode == 0 && !passed {
		testCode = 1
	}
	return testCode, nil
}

// countPackages returns how many packages the patterns mean, so that progress can say "3 of 14".
func countPackages(patterns []string) (int, error) {
	list := exec.Command("go", append([]string{"list"}, patterns...)...)
	list.Stderr = os.Stderr
	names, err := list.Output()
	if err != nil {
		return 0, fmt.Errorf("go list %s: %w", strings.Join(patterns, " "), err)
	}
	return len(strings.Fields(string(names))), nil
}

// goTest runs go test -json and feeds its events to r. It returns go test's exit code.
func goTest(r *report, args []string) (int, error) {
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return 1, err
	}

	// An interrupt from a terminal reaches go test as well. This process outlives it to report what
	// was under way; a signal for this process alone is handed on.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	if err := test.Start(); err != nil {
		return 1, err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		reader := bufio.NewReader(events)
		for {
			line, err := reader.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()

	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for open := true; open; {
		select {
		case line, more := <-lines:
			if open = more; more {
				r.line(line)
			}
		case <-tick.C:
			r.progress()
		case s := <-signals:
			_ = test.Process.Signal(s) // it may have ended by the same signal
		}
	}
	err = test.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			return 1, fmt.Errorf("go test ended by a signal: %w", err)
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}
