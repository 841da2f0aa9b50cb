package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestsOfTheSameMomentShareARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		q := New(20*time.Millisecond, 0, func(_ context.Context, in []int) ([]int, error) {
			runs.Add(1)
			out := make([]int, len(in))
			for i, n := range in {
				out[i] = n * n
			}
			return out, nil
		})
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				if got, err := q.Do(t.Context(), n); err != nil || got != n*n {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
		}
		wg.Wait()
		if n := runs.Load(); n > 1 {
			t.Errorf("200 requests took %d runs", n)
		}
	})
}

// Ten callers with ten requests each, one after the other, need ten runs, and
// not the twenty of two groups that take turns.
func TestGatheredRunsWaitForThoseWhoComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		q := New(60*time.Millisecond, 0, func(_ context.Context, in []int) ([]int, error) {
			runs.Add(1)
			time.Sleep(20 * time.Millisecond)
			return in, nil
		}).Gather()
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() {
				if n >= 5 {
					time.Sleep(65 * time.Millisecond) // too late for the first run
				}
				for range 10 {
					if _, err := q.Do(t.Context(), n); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second) // for the queue, which waits for more requests
		if n := runs.Load(); n > 13 {
			t.Errorf("10 times 10 requests took %d runs", n)
		}
	})
}

func TestRunTakesAtMostItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most atomic.Int32
		q := New(10*time.Millisecond, 7, func(_ context.Context, in []int) ([]int, error) {
			if n := int32(len(in)); n > most.Load() {
				most.Store(n)
			}
			return in, nil
		})
		var wg sync.WaitGroup
		for n := range 30 {
			wg.Go(func() {
				if got, err := q.Do(t.Context(), n); err != nil || got != n {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
		}
		wg.Wait()
		if got := most.Load(); got > 7 || got < 2 {
			t.Errorf("the largest run took %d requests", got)
		}
	})
}

func TestErrorReachesAllOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		q := New(10*time.Millisecond, 0, func(context.Context, []int) ([]int, error) { return nil, broken })
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				if _, err := q.Do(t.Context(), n); !errors.Is(err, broken) {
					t.Errorf("Do(%d): %v", n, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestMissingAnswersAreAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(0, 0, func(context.Context, []int) ([]int, error) { return nil, nil })
		if _, err := q.Do(t.Context(), 1); err == nil {
			t.Error("a request without an answer was no error")
		}
	})
}

func TestRunEndsWhenTheLastCallerHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, ended := make(chan int, 1), make(chan struct{})
		q := New(10*time.Millisecond, 0, func(ctx context.Context, in []int) ([]int, error) {
			started <- len(in)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		})
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		defer leaveSecond()
		results := make(chan error, 2)
		go func() { _, err := q.Do(first, 1); results <- err }()
		go func() { _, err := q.Do(second, 2); results <- err }()
		if n := <-started; n != 2 {
			t.Fatalf("the run has %d requests, want 2", n)
		}
		leaveFirst()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("first caller: %v", err)
		}
		select {
		case <-ended:
			t.Fatal("the run ended although somebody still waited for it")
		case <-time.After(50 * time.Millisecond):
		}
		leaveSecond()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("second caller: %v", err)
		}
		<-ended
	})
}

func TestCallerWhoLeavesBeforeTheRunIsNotPartOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, sizes := make(chan struct{}), make(chan int, 2)
		q := New(0, 0, func(_ context.Context, in []int) ([]int, error) {
			sizes <- len(in)
			<-release
			return in, nil
		})
		firstDone := make(chan struct{})
		go func() { defer close(firstDone); _, _ = q.Do(t.Context(), 1) }()
		if n := <-sizes; n != 1 {
			t.Fatalf("the first run has %d requests", n)
		}
		gone, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := q.Do(gone, 2); left <- err }()
		for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
			q.mu.Lock()
			waiting = len(q.waiting)
			q.mu.Unlock()
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("caller who left: %v", err)
		}
		close(release)
		<-firstDone
		if got, err := q.Do(t.Context(), 3); err != nil || got != 3 {
			t.Errorf("Do(3) = %d, %v", got, err)
		}
		if n := <-sizes; n != 1 {
			t.Errorf("the second run has %d requests, want only that of the caller who stayed", n)
		}
	})
}
