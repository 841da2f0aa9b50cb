//go:build linux

package tree

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkWalk lists 100,000 entries with a digest for each directory.
func BenchmarkWalk(b *testing.B) {
	if testing.Short() {
		b.Skip("makes 100,000 files")
	}
	const dirs, each = 1000, 100
	dir := b.TempDir()
	var names []string
	for i := range each {
		names = append(names, fmt.Sprintf("%d.M%dP%d.host,S=%d", 1700000000+i, i*7919, i, i*100))
	}
	for i := range dirs {
		path := filepath.Join(dir, fmt.Sprint("user", i/10), fmt.Sprint("folder", i%10))
		must(b, os.MkdirAll(path, 0o755)) //nolint:gosec // as most are
		create(b, path, names...)
	}
	root := openRoot(b, dir)
	for _, goroutines := range []int{1, max(2, runtime.GOMAXPROCS(0))} {
		b.Run(fmt.Sprint(goroutines, " goroutines"), func(b *testing.B) {
			b.ReportAllocs()
			entries := make([]int, goroutines)
			for b.Loop() {
				must(b, Walk(context.Background(), root, nil, goroutines, func(goroutine int, l *Listing) error {
					l.Digest(seed)
					entries[goroutine] += l.Len()
					return nil
				}, noTrouble(b)))
			}
			all := 0
			for _, n := range entries {
				all += n
			}
			if all < b.N*dirs*each {
				b.Errorf("%d entries in %d walks", all, b.N)
			}
			b.ReportMetric(float64(all)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	l := randomListing(random(), "a", 1000)
	b.ReportAllocs()
	for b.Loop() {
		l.Digest(seed)
	}
	b.ReportMetric(float64(b.N*l.Len())/b.Elapsed().Seconds(), "entries/s")
}
