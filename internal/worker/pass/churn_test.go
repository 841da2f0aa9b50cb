//go:build linux

package pass

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/churn"
)

// The changes that a pass meets in the lab, without a lab: a tenth of the time. The first
// seeds are those that have found something.
func TestChurn(t *testing.T) {
	churnChains(t, []uint64{58, 88, 124, 184, 356, 1, 2, 3})
}

// CUTOVER_CHAIN_SEED repeats one.
func TestLongChurn(t *testing.T) {
	if text := os.Getenv("CUTOVER_CHAIN_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		churnChains(t, []uint64{seed})
		return
	}
	var seeds []uint64
	for seed := range uint64(2000) {
		seeds = append(seeds, seed)
	}
	churnChains(t, seeds)
}

func churnChains(t *testing.T, seeds []uint64) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("files of several owners take root")
	}
	for _, program := range []string{"setfacl", "getfacl", "setfattr", "getfattr"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the changes need a program: %v", err)
		}
	}
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			churnChain(t, seed)
		})
	}
}

// numbers are the accounts of churn: both trees are on one host, which has no such names.
var numbers = strings.NewReplacer("soak$user", "4711", "soaka", "4711", "soakb", "4712", "soakc", "4713")

func churnChain(t *testing.T, seed uint64) {
	t.Helper()
	w := newTwo(t)
	if seed%2 == 0 {
		w.pieceBits = func(entries, _ int) int { return entries % 4 }
	}
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not for secrets
	w.must(os.Remove(w.source))
	w.script(churn.Tree, w.source)
	for round := range 4 {
		if round > 0 {
			w.script(churn.Script(random, 400), w.source)
			w.script(churn.Own, w.target, fmt.Sprintf("own%d", round))
		}
		random.IntN(2) // whether it is a last pass, in the lab
		own := w.script(churn.OwnShow, w.target)
		report := w.pass()
		for _, kind := range []Finding{Differs, Failed, Damaged, Left, Lost, Spoiled, Unread, Vanished, Meanwhile} {
			if found := report.Found[kind]; found != nil {
				t.Errorf("round %d: %s %+v", round, kind, found.Paths)
			}
		}
		there, here := w.script(churn.Show, w.source), w.script(churn.Show, w.target)
		if there != here {
			t.Errorf("round %d: the trees differ. Only the source has:\n%s\nOnly the target has:\n%s", round, only(there, here), only(here, there))
		}
		if now := w.script(churn.OwnShow, w.target); now != own {
			t.Errorf("round %d: what the target has of its own was changed:\n%s\nit was:\n%s", round, only(now, own), only(own, now))
		}
		// The next pass finds nothing to do.
		if again := w.pass(); again.Changes > 0 || len(again.Did) > 0 {
			t.Errorf("round %d: the next pass: %s", round, tell(again))
		}
		if t.Failed() {
			t.Fatalf("CUTOVER_CHAIN_SEED=%d go test -run 'TestLongChurn$' repeats this", seed)
		}
	}
}

// script runs a script of churn with arguments, and returns what it prints.
func (w *two) script(script string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("sh", append([]string{"-s"}, args...)...) //nolint:gosec // a test's own
	cmd.Stdin = strings.NewReader(numbers.Replace(script))
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%v: %s", err, &said)
	}
	return string(out)
}

// only are the lines of one text that another one lacks.
func only(one, other string) string {
	has := map[string]bool{}
	for line := range strings.Lines(other) {
		has[line] = true
	}
	var lines strings.Builder
	for line := range strings.Lines(one) {
		if !has[line] {
			lines.WriteString(line)
		}
	}
	return lines.String()
}
