// Command cutover measures what clients go through while a live web and mail
// server moves: the worked example's phase=cutover, beside the original
// procedure in a script, on equal fresh hosts in the same run.
// `make bench-cutover` runs it.
//
// All the time clients that know only the old address read pages and mail,
// upload files and deliver a message every 50 ms. In the end each message that
// was answered 250 and each upload that was answered 201 has to be on the new
// host once.
//
// From the environment: FILES, about how many the old host has (200000); RUNS,
// how often both take their turns (3); ONLY, the one that takes them ("cutover");
// LOG, where the provider's log goes, a file a phase.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

func main() { bench.Main("bench-cutover", run) }

// Names of the subjects.
const (
	ours   = "cutover"
	theirs = "rsync and ssh -L"
)

func run(ctx context.Context) (err error) {
	sizes := map[string]int{"FILES": 200_000, "RUNS": 3}
	if err := bench.Sizes(sizes); err != nil {
		return err
	}
	verdicts := map[string][]verdict{}
	for n := range sizes["RUNS"] {
		turns := []string{ours, theirs}
		if n%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, name := range turns {
			if only := os.Getenv("ONLY"); only != "" && only != name {
				continue
			}
			bench.Step("run %d of %d: %s", n+1, sizes["RUNS"], name)
			v, err := turn(ctx, name, sizes["FILES"])
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			bench.Step("%s: %s", name, v)
			verdicts[name] = append(verdicts[name], v)
		}
	}
	return report(sizes["FILES"], verdicts)
}

// turn has a subject move hosts of its own.
func turn(ctx context.Context, name string, files int) (v verdict, err error) {
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return v, err
	}
	defer os.RemoveAll(work)
	h, err := boot(ctx, files, bench.Step)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, h.lab.Close()) }()
	var s subject
	if name == ours {
		s, err = newProvider(ctx, h, ".", work)
	} else {
		s, err = newProcedure(ctx, h, work)
	}
	if err != nil {
		return v, err
	}
	bench.Step("first pass")
	if err := s.prepare(ctx); err != nil {
		return v, err
	}
	return h.night(ctx, s, bench.Step)
}

// calm is how long the load goes on before the night and after it.
const calm = 3 * time.Second

// night is the cutover under load, from the pass before it.
func (h *hosts) night(ctx context.Context, s subject, progress func(string, ...any)) (verdict, error) {
	progress("clients come, and go on coming to the end; the pass before the night")
	l := startLoad(ctx, h.client, h.old, h.users)
	defer l.stop()
	if err := l.answeredBy(ctx, "old", calm); err != nil {
		return verdict{}, err
	}
	if err := s.rehearse(ctx); err != nil {
		return verdict{}, err
	}
	began := time.Now()
	if err := s.cutover(ctx); err != nil {
		return verdict{}, err
	}
	progress("the night took %.1f s", time.Since(began).Seconds())
	if err := l.answeredBy(ctx, "new", calm); err != nil {
		return verdict{}, err
	}
	return h.judge(ctx, l, l.stop())
}
