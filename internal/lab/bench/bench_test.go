package bench

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []time.Duration
		want time.Duration
	}{{nil, 0}, {[]time.Duration{7}, 7}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{8, 2, 4, 100}, 6}} {
		if got := Median(c.of); got != c.want {
			t.Errorf("of %v: %d, want %d", c.of, got, c.want)
		}
	}
}

func TestFiguresAreAList(t *testing.T) {
	t.Chdir(t.TempDir())
	name, err := Write("x", []Figure{{"create", "cutover", "duration", 1.5, "s"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var read []map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if name != "bench-results/x.json" || len(read) != 1 || read[0]["case"] != "create" || read[0]["value"] != 1.5 || len(read[0]) != 5 {
		t.Errorf("%s has %v", name, read)
	}
}
