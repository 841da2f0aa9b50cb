package mailqueue

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed back.sh
var backText string

//go:embed forget.sh
var forgetText string

var (
	backScript   = host.Script{Name: "mailqueue/back.sh", Text: queuesText + partsText + backText}
	forgetScript = host.Script{Name: "mailqueue/forget.sh", Text: forgetText}
)

// exitBusy is forget.sh's exit code where messages are being handed over.
const exitBusy = 75

// Side is one of the hosts of a move that is undone.
type Side struct {
	Name string
	Host host.Host // nil where it is gone for good
}

// known is the host, or where it is gone one that has its name and nothing else.
func (s Side) known() host.Host {
	if s.Host == nil {
		return named{name: s.Name}
	}
	return s.Host
}

// Forget takes away what moving has left on both hosts. A message that the new host's
// mail server was not given goes back into the queue of the old host: back are those.
//
// Where it cannot go back, because the old host is gone or something else is in its
// place, it stays where it is, and the error says where that is. Where the new host is
// gone, nobody knows what it has delivered: all that was set aside goes back.
func Forget(ctx context.Context, from, to Side) (back []string, err error) {
	return newMover(from.known(), to.known(), Options{}).undo(ctx, from.Host == nil, to.Host == nil)
}

func (m *mover) undo(ctx context.Context, oldGone, newGone bool) (back []string, err error) {
	defer lock(m.from, m.to)()
	switch {
	case oldGone && newGone:
		return nil, nil
	case newGone:
		old, err := m.list(ctx)
		if err != nil {
			return nil, err
		}
		return m.putBack(ctx, old.in(aside))
	}
	if err := m.settle(ctx); err != nil {
		return nil, err
	}
	there, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	var open, partly []string
	for _, key := range slices.Sorted(maps.Keys(there.messages)) {
		switch message := there.messages[key]; {
		case message.done:
		case message.next:
			partly = append(partly, key)
		case message.copied:
			open = append(open, key)
		}
	}
	if len(partly) > 0 {
		return nil, fmt.Errorf("host %q has given its mail server %s for some of the recipients only; apply again to go on with it, or take it out of %s by hand",
			m.to.Name(), strings.Join(partly, ", "), m.spool())
	}
	if oldGone {
		if len(open) > 0 {
			return nil, fmt.Errorf("%d messages were not given to the mail server of host %q, and host %q is gone: they lie there in %s (%s). "+
				"Hand them over by hand, or move them away", len(open), m.to.Name(), m.from.Name(), m.spool(), strings.Join(open[:min(len(open), 5)], ", "))
		}
		return nil, m.forget(ctx, "forget", nil)
	}
	old, err := m.list(ctx)
	if err != nil {
		return nil, err
	}
	// What the old host has in its queue is there, whatever was copied of it.
	var away, undone []listed
	for _, message := range old.in(aside) {
		if there.has(message.key).done {
			away = append(away, message)
		} else {
			undone = append(undone, message)
		}
	}
	if back, err = m.putBack(ctx, undone); err != nil {
		return back, err
	}
	if _, err := m.back(ctx, "away", away); err != nil {
		return back, err
	}
	return back, m.forget(ctx, "forget", open)
}

// putBack puts messages back into the queue of the old host, and returns them.
func (m *mover) putBack(ctx context.Context, messages []listed) (back []string, err error) {
	taken, err := m.back(ctx, "back", messages)
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		if !slices.Contains(taken, message.key) {
			back = append(back, message.key)
		}
	}
	if len(taken) > 0 {
		err = fmt.Errorf("on host %q something else has the place of %s in the queue: they stay beside it, under names that begin with %s", m.from.Name(), strings.Join(taken, ", "), m.mark())
	}
	return back, err
}

// settle waits until nothing is handed over any more, and has the new host see to it
// that nothing is from now on.
func (m *mover) settle(ctx context.Context) error {
	for {
		err := m.forget(ctx, "settle", nil)
		if code, ok := host.ExitCode(err); !ok || code != exitBusy {
			return err
		}
		select {
		case <-time.After(m.poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *mover) forget(ctx context.Context, what string, keys []string) error {
	command := host.Sh(forgetScript, m.spool(), what)
	command.Stdin = strings.NewReader(strings.Join(append(slices.Clone(keys), ""), "\n"))
	_, err := m.to.Run(ctx, command)
	return err
}

// back puts messages back into their queues, or takes them away. taken are those whose
// place something else has.
func (m *mover) back(ctx context.Context, what string, messages []listed) (taken []string, err error) {
	if len(messages) == 0 {
		return nil, nil
	}
	command := host.Sh(backScript, m.mark(), what)
	command.Stdin = strings.NewReader(lines(messages, listed.source))
	command.Stdout = &lineWriter{take: func(line []byte) error {
		if key, ok := strings.CutPrefix(string(line), "taken "); ok {
			taken = append(taken, key)
		}
		return nil
	}}
	_, err = m.from.Run(ctx, command)
	return taken, err
}

// named is a host that is gone: it has a name, and nothing else of it is used.
type named struct {
	host.Host
	name string
}

func (n named) Name() string { return n.name }
