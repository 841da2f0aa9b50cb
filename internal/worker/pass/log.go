//go:build linux

package pass

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// logbook writes a line for all that a pass does and finds.
type logbook struct {
	name   string // of the file, where it has one
	failed func(name string, err error)

	mu      sync.Mutex
	out     *bufio.Writer
	flushed time.Time
	err     error // after it nothing more is written
}

// logBuffer is how many bytes are written at a time.
const logBuffer = 64 << 10

// logDelay is how long a line waits for others at most, if others come: who looks
// on sees what goes on.
const logDelay = time.Second

// newLogbook returns a log that goes to w. failed is called once, when it cannot
// be written.
func newLogbook(w io.Writer, failed func(name string, err error)) *logbook {
	l := &logbook{out: bufio.NewWriterSize(w, logBuffer), failed: failed, flushed: time.Now()}
	if named, ok := w.(interface{ Name() string }); ok {
		l.name = named.Name()
	}
	return l
}

// begin writes of which root the lines that follow are.
func (l *logbook) begin(o *Options) {
	what := "root"
	if o.Preview {
		what = "preview"
	}
	l.write(fmt.Sprintf("%s %s %s -> %s\n", what, time.Now().UTC().Format(time.RFC3339), tree.Readable(o.Source), tree.Readable(o.Target)))
}

func (l *logbook) did(action Action, path, text string) {
	if action == Renamed {
		l.write(string(action) + " " + shown(text) + " -> " + shown(path) + "\n")
		return
	}
	l.write(string(action) + " " + shown(path) + "\n")
}

func (l *logbook) found(kind Finding, path, text string) {
	if text == "" {
		l.write(string(kind) + " " + shown(path) + "\n")
		return
	}
	l.write(string(kind) + " " + shown(path) + ": " + tree.Readable(text) + "\n")
}

// shown is a path as a line has it: the root is a dot.
func shown(path string) string {
	if path == "" {
		return "."
	}
	return tree.Readable(path)
}

// write writes a line. It is made before, so that writers wait for each other only
// while it is copied.
func (l *logbook) write(line string) {
	now := time.Now()
	l.use(func() error {
		_, err := l.out.WriteString(line)
		if err == nil && now.Sub(l.flushed) > logDelay {
			l.flushed = now
			err = l.out.Flush()
		}
		return err
	})
}

// flush writes what is still in memory.
func (l *logbook) flush() { l.use(l.out.Flush) }

func (l *logbook) use(f func() error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = f()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		l.failed(l.name, err)
	}
}

// keepLog begins the log that the options ask for; what it returns ends it.
func (r *Report) keepLog(o *Options) (end func()) {
	if o.Log == nil {
		return func() {}
	}
	r.log = newLogbook(o.Log, func(name string, err error) {
		r.find(Damaged, name, "the log cannot be written: "+err.Error())
	})
	r.log.begin(o)
	return r.log.flush
}
