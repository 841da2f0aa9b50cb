package mailqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// State is how far the messages of an old host are moved to a new one.
type State struct {
	Found    bool  // whether anything was ever moved, as far as the new host knows
	Moved    int64 // messages that the new host's mail server was given
	Waiting  int64 // set aside on the old host, and not yet given to the new one's mail server; refused ones too
	Left     int64 // still in a queue of the old host, held and unreadable ones too
	Held     int64 // of these, those that are held
	Refused  []Refused
	Problems []string // what stays in the queue of the old host, and why
	Running  []string // mail servers of the old host that work on their queue
	problems int      // messages that cannot be moved, whatever is done on the new host
}

// Refused is a message that the new host's mail server did not take.
type Refused struct{ ID, Reason string }

// Complete is the status of a move that has nothing left to do.
const Complete = "complete"

// Status says in a sentence what is still to be moved, after "incomplete: ", or is
// Complete. held is whether held messages are moved. What is in the queue of a mail
// server that runs, it delivers itself.
func (s State) Status(held bool) string {
	left := s.Left - int64(s.problems)
	if !held {
		left -= s.Held
	}
	var open []string
	if refused := int64(len(s.Refused)); refused > 0 {
		open = append(open, fmt.Sprintf("the new host's mail server did not accept %d", refused))
	}
	if more := s.Waiting - int64(len(s.Refused)); more > 0 {
		open = append(open, fmt.Sprintf("%d of those that were set aside are to be handed over", more))
	}
	if left > 0 && len(s.Running) == 0 {
		open = append(open, fmt.Sprintf("%d are in the old host's queue", left))
	}
	if len(open) == 0 {
		return Complete
	}
	return "incomplete: of the messages, " + strings.Join(open, "; ")
}

// Look says how far the messages are moved. It changes nothing.
func Look(ctx context.Context, from, to host.Host) (State, error) {
	old, there, err := newMover(from, to, Options{}).both(ctx)
	if err != nil {
		return State{}, err
	}
	return state(old, there), nil
}

// both asks both hosts at once.
func (m *mover) both(ctx context.Context) (oldQueues, newSpool, error) {
	var old oldQueues
	var failed error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		old, failed = m.list(ctx)
	}()
	there, err := m.look(ctx)
	<-asked
	return old, there, errors.Join(failed, err)
}

// state puts together what both hosts say.
func state(old oldQueues, there newSpool) State {
	s := State{Found: there.found, Running: old.running}
	waiting := map[string]bool{}
	for key, message := range there.messages {
		switch {
		case message.done:
			s.Moved++
		case message.ready || message.injecting || message.next:
			waiting[key] = true
		}
		if message.refused != "" && !message.done {
			s.Refused = append(s.Refused, Refused{ID: key, Reason: message.refused})
		}
	}
	slices.SortFunc(s.Refused, func(a, b Refused) int { return strings.Compare(a.ID, b.ID) })
	for _, problem := range old.problems {
		s.problem("%s", problem)
	}
	for _, message := range old.messages {
		if message.state == aside {
			if !there.has(message.key).done {
				waiting[message.key] = true
			}
			continue
		}
		s.Left++
		switch {
		case message.state == odd:
			s.problem("%s: %s: the mail server has put it away as one that it does not understand", message.name, message.path)
		case there.has(message.key).begun():
			s.problem("%s: %s is in the queue again, although it was moved; whoever has put it there may delete it", message.name, message.path)
		case message.state == held:
			s.Held++
		}
	}
	s.Left += int64(len(old.problems))
	s.Waiting = int64(len(waiting))
	return s
}

func (s *State) problem(format string, args ...any) {
	s.problems++
	if s.problems <= maxOdd {
		s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
	}
}
