// Package pace fits the time limits of tests to the machine that runs them. It is
// for tests alone, and imports the standard library only.
package pace

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Environment is the variable with a factor that was measured before: make test
// measures once, while nothing else of it runs yet.
const Environment = "CUTOVER_TEST_PACE"

// usual is how long a process takes to begin and end on a machine for which the
// limits in the tests are written.
const usual = time.Millisecond

// Limits of the factor: no limit gets shorter than it is written, and a machine
// that is slower than the slowest has a fault.
const least, most = 1, 10

// Limit is how long a test waits on this machine for what may take d on an
// ordinary one.
func Limit(d time.Duration) time.Duration { return time.Duration(float64(d) * Factor()) }

// Factor is how many times as long as written the limits are.
var Factor = sync.OnceValue(func() float64 {
	if text := os.Getenv(Environment); text != "" {
		if factor, err := strconv.ParseFloat(text, 64); err == nil {
			return bounded(factor)
		}
	}
	_, factor := Measure()
	return factor
})

// Measure starts some processes, one after the other. It returns how long the
// median of them took to begin and end, and the factor that follows.
func Measure() (time.Duration, float64) {
	var took []time.Duration
	for range 40 {
		began := time.Now()
		if err := exec.CommandContext(context.Background(), "true").Run(); err != nil { // nothing to measure with, as on Windows
			return usual, least
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median := took[len(took)/2]
	return median, bounded(float64(median) / float64(usual))
}

func bounded(factor float64) float64 { return min(max(factor, least), most) }

// String says what was measured, for people.
func String(median time.Duration, factor float64) string {
	return fmt.Sprintf("A process takes %.1f ms to begin and end here; time limits in tests are %.1f times as long as written.",
		median.Seconds()*1000, factor)
}
