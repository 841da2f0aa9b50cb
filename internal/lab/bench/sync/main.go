// Command sync measures passes over large trees on two hosts of the lab, beside
// the rsync command of the original procedure, rsync -aHAX and tar over ssh in
// the same run. `make bench-sync` runs it.
//
// From the environment: SCALE, how large the trees are (1; 0.01 is enough to
// try it out); RUNS, how often all take their turns (3); CASES, a part of
// "small line large final folder spool", to leave the others out.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

func main() { bench.Main("bench-sync", run) }

//go:embed tree.pl
var treeProgram string

// changes is how many there are between two passes.
const changes = 500

// comparison is a run of the benchmark.
type comparison struct {
	from, to *lab.Host
	ours     *cutover
	all      []subject
	runs     int
	cases    []*outcome
	quiet    time.Time // until then making files may be slow, see reuse
}

// outcome is what one case came to: durations of each subject, one a run.
type outcome struct {
	label string
	took  map[string][]time.Duration
	alone []time.Duration // our passes without Terraform
	goals map[string]float64

	received []int64 // bytes that our passes had the old host send, one a run
	atMost   int64   // that may be; 0 is any number
}

func run(ctx context.Context) (err error) {
	scale, cases := 1.0, "small line large final folder spool"
	sizes := map[string]int{"RUNS": 3}
	if err := bench.Sizes(sizes); err != nil {
		return err
	}
	if text := os.Getenv("SCALE"); text != "" {
		if scale, err = strconv.ParseFloat(text, 64); err != nil || scale <= 0 || scale > 10 {
			return fmt.Errorf("SCALE is %q, and has to be a number above 0", text)
		}
	}
	if text := os.Getenv("CASES"); text != "" {
		cases = text
	}
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	started, err := lab.New(ctx, lab.Options{Progress: bench.Step})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, started.Close()) }()
	b := comparison{runs: sizes["RUNS"]}
	if scale >= 1 {
		b.quiet = time.Now().Add(reuse)
	}
	if b.from, err = started.StartHost(ctx, "old", lab.SysV); err != nil {
		return err
	}
	if b.to, err = started.StartHost(ctx, "new", lab.Trixie); err != nil {
		return err
	}
	if err := introduce(ctx, started, b.from, b.to); err != nil {
		return err
	}
	bench.Step("building the provider")
	if b.ours, err = newCutover(ctx, started, b.from, b.to, work); err != nil {
		return err
	}
	b.all = append([]subject{b.ours}, others(b.to)...)

	for _, each := range strings.Fields(cases) {
		switch each {
		case "small":
			err = b.small(ctx, scale)
		case "line":
			err = b.line(ctx, scale)
		case "large":
			err = b.large(ctx, scale)
		case "final":
			err = b.final(ctx, scale)
		case "folder":
			err = b.folder(ctx, scale)
		case "spool":
			err = b.spool(ctx, scale)
		default:
			err = fmt.Errorf("there is no case %q", each)
		}
		if err != nil {
			return err
		}
	}
	return b.report()
}

// turn is the order of a run: each time another subject comes first.
func turn(subjects []subject, run int) []subject {
	at := run % len(subjects)
	return append(append([]subject{}, subjects[at:]...), subjects[:at]...)
}

func (b *comparison) begin(label string, goals map[string]float64) *outcome {
	o := &outcome{label: label, took: map[string][]time.Duration{}, goals: goals}
	b.cases = append(b.cases, o)
	return o
}

// measure has one subject bring the source to its own target, and looks at what
// is there then.
func (b *comparison) measure(ctx context.Context, o *outcome, s subject, source, target string, final bool) error {
	// What others have written is on the disk before the next one starts.
	if err := b.settle(ctx); err != nil {
		return err
	}
	b.ours.passes, b.ours.received = nil, nil
	took, err := s.bring(ctx, source, target, final)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", o.label, s.name(), err)
	}
	bench.Step("%s: %s: %.1f s", o.label, s.name(), took.Seconds())
	o.took[s.name()] = append(o.took[s.name()], took)
	o.alone = append(o.alone, b.ours.passes...)
	o.received = append(o.received, b.ours.received...)
	if err := b.check(ctx, source, target, s.exact()); err != nil {
		return fmt.Errorf("%s: %s: %w", o.label, s.name(), err)
	}
	return nil
}

func (b *comparison) settle(ctx context.Context) error {
	_, err := b.to.Run(ctx, "sync")
	return err
}

// make makes a tree on the old host. Of what was written within a minute before a pass
// the next one compares the content: it may be written on through a mapping, without a
// new time. What lies on a server is older, so here that minute goes by.
func (b *comparison) make(ctx context.Context, arguments ...string) error {
	if err := b.change(ctx, arguments...); err != nil {
		return err
	}
	wait := max(62*time.Second, time.Until(b.quiet))
	bench.Step("waiting for %.0f s, until nothing is young", wait.Seconds())
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change changes a tree on the old host.
func (b *comparison) change(ctx context.Context, arguments ...string) error {
	_, err := b.from.RunInput(ctx, treeProgram, append([]string{"perl", "-"}, arguments...)...)
	return err
}

func (b *comparison) remove(ctx context.Context, host *lab.Host, directory string) error {
	_, err := host.Run(ctx, "rm", "-rf", directory)
	return err
}

// reuse is how long ext4 does not use an inode again that was freed: until then it
// looks at each of them when it makes a file, and takes several times as long
// (recently_deleted in fs/ext4/ialloc.c). An earlier run has freed millions.
const reuse = 6 * time.Minute

// targetOf is a directory of its own for each run. None is removed before the end, so
// that the first pass of another subject is not slower for it, see reuse.
func targetOf(s subject, source string, run int) string {
	return fmt.Sprintf("%s-%s-%d", source, strings.NewReplacer(" ", "", "|", "-").Replace(s.name()), run)
}

// listing is all of a tree that every subject keeps.
const listing = `cd "$1" && find . ! -name . \( -type f -printf '%p %y %m %s %T@\n' -o -type d -printf '%p %y %m\n' \) | LC_ALL=C sort >/root/bench.list
	wc -l </root/bench.list; sha256sum </root/bench.list`

// check compares the trees. A subject that is not exact keeps what is gone on
// the old host; then there are at least as many entries.
func (b *comparison) check(ctx context.Context, source, target string, exact bool) error {
	there, err := b.from.Run(ctx, "sh", "-c", listing, "sh", source)
	if err != nil {
		return err
	}
	here, err := b.to.Run(ctx, "sh", "-c", listing, "sh", target)
	if err != nil {
		return err
	}
	var want, got int
	if _, err := fmt.Sscan(there, &want); err != nil {
		return err
	}
	if _, err := fmt.Sscan(here, &got); err != nil {
		return err
	}
	if exact && there != here || got < want {
		return fmt.Errorf("the trees are not the same: %d entries, %d in the copy", want, got)
	}
	return nil
}
