package host

import (
	"context"
	"sync"
)

// slots counts the sessions open on one connection. sshd refuses more than
// MaxSessions of them (10 unless sshd_config says otherwise), and nothing
// tells the client how many that are.
type slots struct {
	mu      sync.Mutex
	limit   int
	used    int
	opened  int           // since the limit was last changed
	changed chan struct{} // closed and replaced when a slot becomes free
}

// maxSessions leaves two of sshd's default of 10 for ending commands.
const maxSessions = 8

func newSlots() *slots {
	return &slots{limit: maxSessions, changed: make(chan struct{})}
}

// acquire takes n slots, waiting until they are free. It gives n even above a
// lower limit when nothing else is open: waiting would never end.
func (s *slots) acquire(ctx context.Context, dead <-chan struct{}, n int) error {
	for {
		s.mu.Lock()
		if s.used == 0 || s.used+n <= s.limit {
			s.used += n
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-dead:
			return errLinkLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *slots) release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	close(s.changed)
	s.changed = make(chan struct{})
}

// regrow is after how many sessions a lowered limit is raised by one: sshd may
// have refused only because it was late in closing one.
const regrow = 16

// accepted tells that sshd opened a session in an acquired slot.
func (s *slots) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened++; s.opened >= regrow && s.limit < maxSessions {
		s.opened = 0
		s.limit++
	}
}

// tight tells whether something that keeps n slots may keep another n from
// ever being free.
func (s *slots) tight(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit < 2*n
}

// refused gives n slots back after sshd refused to open a session, and lowers
// the limit to what was open then. It returns how many are open.
func (s *slots) refused(n int) (open int) {
	s.release(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.opened = max(1, min(s.limit, s.used)), 0
	return s.used
}
