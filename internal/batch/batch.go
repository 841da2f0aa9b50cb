// Package batch gathers requests that come in at the same time and answers
// them together, so that many users of a host cost one round trip instead of
// one each. It may import nothing of this module.
package batch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Queue gathers requests. Its zero value is not usable; see New.
type Queue[Request, Answer any] struct {
	run      func(context.Context, []Request) ([]Answer, error)
	window   time.Duration
	most     int
	gathered bool

	mu      sync.Mutex
	waiting []*item[Request, Answer]
	busy    bool
}

type item[Request, Answer any] struct {
	request Request
	answer  Answer
	err     error
	done    chan struct{}
	group   *group // nil while it waits
}

// group is the requests of one run: the run is cancelled when the last of
// those who wait for it has gone.
type group struct {
	left   int
	cancel context.CancelFunc
}

// New returns a queue whose run answers several requests at once: one answer
// for each request, in their order, or one error for all of them. Runs follow
// one another and never overlap. A run starts window after the first request,
// or as soon as the run before has ended, and takes at most most requests
// (0: no limit).
func New[Request, Answer any](window time.Duration, most int, run func(context.Context, []Request) ([]Answer, error)) *Queue[Request, Answer] {
	return &Queue[Request, Answer]{run: run, window: window, most: most}
}

// Gather makes each run, also one that follows another, wait until for a
// whole window no request has come, five windows at most: those whom the run
// before has answered come back with their next requests and are in it. It is
// for runs that cost far more than a window.
func (q *Queue[Request, Answer]) Gather() *Queue[Request, Answer] {
	q.gathered = true
	return q
}

// Do adds a request and waits for its answer. A caller whose ctx ends before
// the run leaves without a trace; during the run it leaves with ctx's error
// while the others go on, and the last to leave ends the run and waits for
// its end.
func (q *Queue[Request, Answer]) Do(ctx context.Context, request Request) (Answer, error) {
	it := &item[Request, Answer]{request: request, done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		return it.answer, err
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, it)
	if !q.busy {
		q.busy = true
		go q.drain(context.WithoutCancel(ctx))
	}
	q.mu.Unlock()

	select {
	case <-it.done:
		return it.answer, it.err
	case <-ctx.Done():
	}
	if q.leave(it) {
		<-it.done
		return it.answer, it.err
	}
	var none Answer
	return none, ctx.Err()
}

// leave takes a caller out of its queue or its run, and reports whether it was
// the last of a run, which is cancelled then.
func (q *Queue[Request, Answer]) leave(it *item[Request, Answer]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.group != nil {
		it.group.left--
		if it.group.left > 0 {
			return false
		}
		it.group.cancel()
		return true
	}
	for i, other := range q.waiting {
		if other == it {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			break
		}
	}
	return false
}

func (q *Queue[Request, Answer]) drain(ctx context.Context) {
	q.wait()
	for again := false; ; again = true {
		if again && q.gathered {
			q.wait()
		}
		run, cancel := context.WithCancel(ctx)
		items := q.take(cancel)
		if len(items) == 0 {
			cancel()
			return
		}
		q.answer(run, items)
		cancel()
	}
}

// wait lasts one window, or, where requests are gathered, until they have
// stopped coming.
func (q *Queue[Request, Answer]) wait() {
	const windows = 5
	before := -1
	for range windows {
		time.Sleep(q.window)
		q.mu.Lock()
		now := len(q.waiting)
		q.mu.Unlock()
		if !q.gathered || now == before || now == 0 {
			return
		}
		before = now
	}
}

func (q *Queue[Request, Answer]) take(cancel context.CancelFunc) []*item[Request, Answer] {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.waiting
	if len(items) == 0 {
		q.busy = false
		return nil
	}
	if q.most > 0 && len(items) > q.most {
		items = items[:q.most]
	}
	q.waiting = q.waiting[len(items):]
	together := &group{left: len(items), cancel: cancel}
	for _, it := range items {
		it.group = together
	}
	return items
}

func (q *Queue[Request, Answer]) answer(ctx context.Context, items []*item[Request, Answer]) {
	requests := make([]Request, len(items))
	for i, it := range items {
		requests[i] = it.request
	}
	answers, err := q.run(ctx, requests)
	if err == nil && len(answers) != len(items) {
		err = fmt.Errorf("got %d answers to %d requests", len(answers), len(items))
	}
	for i, it := range items {
		if err != nil {
			it.err = err
		} else {
			it.answer = answers[i]
		}
		close(it.done)
	}
}
