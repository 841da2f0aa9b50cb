// Package bench is what all benchmarks have in common: medians, the list of
// figures that a benchmark leaves behind, and the Terraform that it measures.
//
// It may import internal/lab; nothing but benchmarks may import it.
package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Figure is one measured figure.
type Figure struct {
	Case    string  `json:"case"`    // what was done
	Subject string  `json:"subject"` // "cutover", or the name of what it is compared with
	Metric  string  `json:"metric"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
}

// Median is the middle one of several durations, of an even number the mean of
// the two in the middle; 0 of none.
func Median(durations []time.Duration) time.Duration { return MedianOf(durations) }

// MedianOf is the same of numbers of any sort.
func MedianOf[N ~int64 | ~float64](numbers []N) N {
	n := len(numbers)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Write leaves figures in bench-results/TARGET.json of the working directory,
// as a list, and returns the file's name.
func Write(target string, figures []Figure) (string, error) {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return "", err
	}
	name := filepath.Join("bench-results", target+".json")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	return name, os.WriteFile(name, append(text, '\n'), 0o644)
}
