package pace

import (
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	median, factor := Measure()
	t.Log(String(median, factor))
	if median <= 0 || factor < least || factor > most {
		t.Errorf("%s, factor %v", median, factor)
	}
	if limit := Limit(time.Second); limit < time.Second || limit > most*time.Second {
		t.Errorf("a limit of a second becomes %s", limit)
	}
}

func TestBounded(t *testing.T) {
	for given, want := range map[float64]float64{0: 1, 0.6: 1, 2.5: 2.5, 400: 10} {
		if got := bounded(given); got != want {
			t.Errorf("%v becomes %v, want %v", given, got, want)
		}
	}
}
