//go:build linux

package tree

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Walk lists all directories of a root, several at a time. visit gets each with
// the number of the goroutine that has read it, from 0; the listing's memory is
// used again when it returns. The order is any. trouble gets the directories
// that cannot be opened; what goes away meanwhile is none. An error of visit ends
// the walk.
func Walk(ctx context.Context, root *Root, filter Filter, goroutines int,
	visit func(goroutine int, l *Listing) error, trouble func(path string, err error),
) error {
	w := walk{queue: []string{""}}
	w.wake = sync.NewCond(&w.mu)
	stop := context.AfterFunc(ctx, func() { w.end(context.Cause(ctx)) })
	defer stop()
	var running sync.WaitGroup
	for i := range goroutines {
		running.Go(func() {
			lister := root.NewLister(filter)
			lister.idle = &w.idle
			var l Listing
			for path, ok := w.next(); ok; path, ok = w.next() {
				var below []string
				err := lister.List(path, &l)
				switch {
				case err == nil:
					below = directories(&l)
					err = visit(i, &l)
				case path != "" && Gone(err):
					err = nil
				default:
					trouble(path, err)
					err = nil
				}
				w.done(below, err)
			}
		})
	}
	running.Wait()
	w.mu.Lock() // ctx may end at this very moment
	defer w.mu.Unlock()
	return w.err
}

// walk is the directories that are still to be read: a stack, so that it stays
// short.
type walk struct {
	mu    sync.Mutex
	wake  *sync.Cond
	queue []string
	busy  int          // directories that are being read
	idle  atomic.Int32 // goroutines that have none to read
	err   error
	ended bool
}

func (w *walk) next() (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && w.busy > 0 && !w.ended {
		w.idle.Add(1)
		w.wake.Wait()
		w.idle.Add(-1)
	}
	if len(w.queue) == 0 || w.ended {
		return "", false
	}
	path := w.queue[len(w.queue)-1]
	w.queue = w.queue[:len(w.queue)-1]
	w.busy++
	return path, true
}

func (w *walk) done(below []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.queue = append(w.queue, below...)
	if err != nil && !w.ended {
		w.err, w.ended = err, true
	}
	if len(below) > 0 || w.busy == 0 || w.ended {
		w.wake.Broadcast()
	}
}

func (w *walk) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.err, w.ended = err, true
	}
	w.wake.Broadcast()
}

// directories are the paths of the directories in a listing.
func directories(l *Listing) []string {
	var paths []string
	for i := range l.entries {
		if l.entries[i].IsDir() {
			paths = append(paths, Join(l.Path, l.Name(i)))
		}
	}
	return paths
}

// Gone says whether an error means that something went away, or became something
// else, since it was seen.
func Gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, ErrSwapped)
}
