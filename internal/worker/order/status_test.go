package order

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	const mib = 1 << 20
	for want, s := range map[string]Status{
		"listing path 1 of 2":  {Phase: "listing", Root: 1, Roots: 2},
		"checking path 2 of 2": {Phase: "checking", Root: 2, Roots: 2},
		"copying path 1 of 2: 41 %, 1.2 MiB of 2.9 MiB, 200 KiB/s, 0:00:08 left, at large": {
			Phase: "copying", Root: 1, Roots: 2, Bytes: 1258291, AllBytes: 3040870, Rate: 200 << 10, Path: "large",
		},
		"copying path 1 of 1: 0 %, 0 B of 3.1 GiB": {Phase: "copying", Root: 1, Roots: 1, AllBytes: 3174 * mib},
		"copying path 1 of 1: 50 %, 10.0 GiB of 20.0 GiB, 1.0 MiB/s, 2:50:40 left": {
			Phase: "copying", Root: 1, Roots: 1, Bytes: 10240 * mib, AllBytes: 20480 * mib, Rate: mib,
		},
		"copying path 1 of 1: 50 %, 2 of 4 files, at a": {Phase: "copying", Root: 1, Roots: 1, Entries: 2, AllEntries: 4, Rate: 7, Path: "a"},
		// It was more than was listed.
		"finishing path 1 of 1: 100 %, 1 KiB of 1 KiB, 5 B/s": {Phase: "finishing", Root: 1, Roots: 1, Bytes: 5000, AllBytes: 1024, Rate: 5},
		"comparing path 1 of 1":                               {Phase: "comparing", Root: 1, Roots: 1},
	} {
		if got := s.String(); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}

func TestStatusIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "status")
	for _, phase := range []string{"listing", "copying"} {
		if err := (Status{Phase: phase, Root: 1, Roots: 1}).Write(file); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil || string(text) != phase+" path 1 of 1\n" {
			t.Errorf("it is %q, %v", text, err)
		}
	}
	if names, err := filepath.Glob(file + "*"); err != nil || len(names) != 1 {
		t.Errorf("there are %v", names)
	}
}

func TestRate(t *testing.T) {
	var r Rate
	begin := time.Unix(1e9, 0)
	if got := r.Add(begin, 0); got != 0 {
		t.Errorf("at first it is %d", got)
	}
	for second := range 30 {
		r.Add(begin.Add(time.Duration(second+1)*time.Second), int64(second+1)*100)
	}
	if got := r.Add(begin.Add(31*time.Second), 3100); got != 100 {
		t.Errorf("it is %d", got)
	}
	// What was long ago does not count.
	for second := range 10 {
		r.Add(begin.Add(time.Duration(second+32)*time.Second), 3100)
	}
	if got := r.Add(begin.Add(42*time.Second), 3100); got != 0 || len(r.sums) > 12 {
		t.Errorf("when nothing comes it is %d of %d", got, len(r.sums))
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1<<20 - 1: "1023 KiB", 1 << 20: "1.0 MiB", 3 << 29: "1.5 GiB", 5 << 40: "5.0 TiB", 1 << 62: "4096.0 PiB"} {
		if got := Size(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
	}
}
