package host

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
)

// stream is one output of a remote command. What comes before the line with
// which run.sh says that it has begun is not the command's: greetings of a
// login shell, prompts and complaints of sudo.
type stream struct {
	mark *regexp.Regexp
	sink io.Writer // gets the command's own output; nil drops it

	onBefore func(before string)  // called with all that came before the mark so far
	onBegin  func(group int)      // called once, with the process group
	onError  func(writeErr error) // called once, when sink refuses

	mu     sync.Mutex
	begun  bool
	before []byte
	failed bool
}

// maxBefore bounds, in bytes, what is kept from before the mark.
const maxBefore = 64 << 10

// markPattern matches the line of run.sh: the nonce and the process group.
func markPattern(nonce string) *regexp.Regexp {
	return regexp.MustCompile(regexp.QuoteMeta(nonce) + ` ([0-9]+)\r?\n`)
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		s.pass(p)
		return len(p), nil
	}
	s.before = append(s.before, p...)
	found := s.mark.FindSubmatchIndex(s.before)
	if found == nil {
		if len(s.before) > maxBefore {
			s.before = bytes.Clone(s.before[len(s.before)-maxBefore/2:])
		}
		if s.onBefore != nil {
			s.onBefore(string(s.before))
		}
		return len(p), nil
	}
	group, err := strconv.Atoi(string(s.before[found[2]:found[3]]))
	rest := s.before[found[1]:]
	s.before = s.before[:found[0]:found[0]]
	s.begun = true
	if s.onBegin != nil && err == nil {
		s.onBegin(group)
	}
	if len(rest) > 0 {
		s.pass(rest)
	}
	return len(p), nil
}

// stop makes sure that sink is not written to any more: a process that the
// command left behind may go on printing.
func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = nil
}

func (s *stream) pass(p []byte) {
	if s.sink == nil || s.failed {
		return
	}
	if _, err := s.sink.Write(p); err != nil {
		s.failed = true
		if s.onError != nil {
			s.onError(err)
		}
	}
}

// state returns whether the command has begun, and what came before it did.
func (s *stream) state() (begun bool, before string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun, string(s.before)
}

// headTail keeps the first and the last part of what is written to it.
type headTail struct {
	head, tail []byte
	dropped    int64
}

// keptStderr is how many bytes of a command's stderr are kept, half of it from
// the start and half from the end.
const keptStderr = 64 << 10

func (h *headTail) Write(p []byte) (int, error) {
	n := len(p)
	if room := keptStderr/2 - len(h.head); room > 0 {
		room = min(room, len(p))
		h.head = append(h.head, p[:room]...)
		p = p[room:]
	}
	h.tail = append(h.tail, p...)
	if extra := len(h.tail) - keptStderr/2; extra > keptStderr/2 {
		h.dropped += int64(extra)
		h.tail = append(h.tail[:0], h.tail[extra:]...)
	}
	return n, nil
}

func (h *headTail) Bytes() []byte {
	if extra := len(h.tail) - keptStderr/2; extra > 0 {
		h.dropped += int64(extra)
		h.tail = h.tail[extra:]
	}
	if h.dropped == 0 {
		return append(bytes.Clone(h.head), h.tail...)
	}
	return fmt.Appendf(bytes.Clone(h.head), "\n… (%d bytes left out) …\n%s", h.dropped, h.tail)
}
