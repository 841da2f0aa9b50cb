package mailqueue

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed aside.sh
var asideText string

//go:embed start.sh
var startText string

//go:embed inject.sh
var injectText string

var (
	asideScript = host.Script{Name: "mailqueue/aside.sh", Text: queuesText + partsText + asideText}
	startScript = host.Script{Name: "mailqueue/start.sh", Text: startText}
)

// idleFor is how long the new host may do nothing although messages are to be handed
// over, each time after it was told to.
const idleFor = 20 * time.Second

// batch is how many messages are copied and set aside together: what has to be done
// again at most where it breaks off.
const batch = 50

// Options are how messages are moved.
type Options struct {
	// Held are moved too: messages that somebody has put on hold (Postfix), in
	// quarantine (Sendmail), or that are frozen (Exim).
	Held bool
	// Begun, which may be nil, is called before anything is changed, once nothing is in
	// the way.
	Begun func()
	// Show, which may be nil, is told now and then how far it is.
	Show func(status string)
}

// mover moves the messages of an old host.
type mover struct {
	from, to host.Host
	options  Options
	spools   string // see there; tests have one of their own
	config   string // see sendmailConfig
	// poll is how often the new host is asked whether it has handed over everything.
	poll time.Duration
}

func newMover(from, to host.Host, options Options) *mover {
	return &mover{from: from, to: to, options: options, spools: spools, config: sendmailConfig, poll: time.Second}
}

// moving has of two runs with the same hosts the second wait.
var moving sync.Map

func lock(from, to host.Host) func() {
	mu, _ := moving.LoadOrStore(from.Name()+"/"+to.Name(), &sync.Mutex{})
	mu.(*sync.Mutex).Lock()
	return mu.(*sync.Mutex).Unlock
}

func (m *mover) show(format string, args ...any) {
	if m.options.Show != nil {
		m.options.Show(fmt.Sprintf(format, args...))
	}
}

// Move moves what is in the queues of the old host, whose mail server is stopped, to the
// mail server of the new one, and goes on where an earlier Move has broken off. Each
// message is handed over once; see inject.sh for the one moment at which that is not
// certain.
//
// A message is copied to the new host, set aside on the old one, and only then handed
// over: at no moment is it in the queues of both, and at no moment in none. What was
// read and could not be moved is in the state, and is no error.
func Move(ctx context.Context, from, to host.Host, options Options) (State, error) {
	return newMover(from, to, options).run(ctx)
}

func (m *mover) run(ctx context.Context) (State, error) {
	defer lock(m.from, m.to)()
	old, there, err := m.both(ctx)
	if err != nil {
		return State{}, err
	}
	if err := m.check(old, there); err != nil {
		return state(old, there), err
	}
	if m.options.Begun != nil {
		m.options.Begun()
	}
	if err := m.start(ctx, nil, true); err != nil {
		return state(old, there), err
	}
	problems, err := m.move(ctx, old, there)
	if err == nil {
		err = m.wait(ctx)
	}
	if err != nil {
		return state(old, there), err
	}
	if old, there, err = m.both(ctx); err != nil {
		return State{}, err
	}
	s := state(old, there)
	// What cannot be read now may be mended: it is still to be moved.
	s.Problems = append(s.Problems, problems[:min(len(problems), maxOdd)]...)
	return s, nil
}

// Errors before anything is changed, of a host whose queue is not for a move.
var (
	ErrNoQueue = errors.New("has no mail queue that is understood: neither Sendmail's nor Postfix's nor Exim's")
	ErrRuns    = errors.New("and delivers what is in its queue itself: stop it first (cutover_service with running = false)")
)

// check says what is in the way before anything is changed.
func (m *mover) check(old oldQueues, there newSpool) error {
	switch {
	case len(old.names) == 0:
		return fmt.Errorf("host %q %w", m.from.Name(), ErrNoQueue)
	case slices.Contains(there.lacks, "sendmail"):
		return fmt.Errorf("host %q has no program sendmail, which takes mail: install its mail server first", m.to.Name())
	case len(there.lacks) > 0:
		return fmt.Errorf("host %q has no program %s: install it there", m.to.Name(), strings.Join(there.lacks, ", "))
	case len(old.running) > 0 && state(old, there).Waiting == 0:
		return fmt.Errorf("the mail server of host %q runs (%s), %w", m.from.Name(), strings.Join(old.running, ", "), ErrRuns)
	}
	return nil
}

// move copies messages and sets them aside, batch by batch.
func (m *mover) move(ctx context.Context, old oldQueues, there newSpool) (problems []string, err error) {
	var ready []string
	var again, fresh []listed
	for _, message := range old.in(aside) {
		switch has := there.has(message.key); {
		case has.begun():
		case has.copied:
			ready = append(ready, message.key) // its copy was complete before it was set aside
		default: // the new host has lost it
			again = append(again, message)
		}
	}
	states := []string{queued}
	if m.options.Held {
		states = append(states, held)
	}
	for _, message := range old.in(states...) {
		// What was copied may have changed since: it is copied again.
		if !slices.Contains(old.running, message.name) && !there.has(message.key).begun() {
			fresh = append(fresh, message)
		}
	}
	if len(ready) > 0 {
		if err := m.start(ctx, ready, false); err != nil {
			return nil, err
		}
	}
	for i, messages := range [][]listed{again, fresh} {
		done := 0
		for some := range slices.Chunk(messages, batch) {
			m.show("copied %d of %d messages", done, len(messages))
			found, err := m.moveSome(ctx, some, i == 0)
			problems = append(problems, found...)
			if err != nil {
				return problems, err
			}
			done += len(some)
		}
	}
	return problems, nil
}

// moveSome copies messages, sets them aside where they are not, and has them handed over.
func (m *mover) moveSome(ctx context.Context, messages []listed, areAside bool) (problems []string, err error) {
	done, err := m.transfer(ctx, messages)
	if err != nil {
		return nil, err
	}
	ready := slices.Sorted(maps.Keys(done.stamps))
	problems = done.problems
	if !areAside {
		var more []string
		if ready, more, err = m.setAside(ctx, messages, done.stamps); err != nil {
			return problems, err
		}
		problems = append(problems, more...)
	}
	if len(ready) == 0 {
		return problems, nil
	}
	return problems, m.start(ctx, ready, false)
}

// setAside sets messages aside on the old host that are as they were copied.
func (m *mover) setAside(ctx context.Context, messages []listed, stamps map[string]string) (ready, problems []string, err error) {
	var started []string
	messages = slices.DeleteFunc(slices.Clone(messages), func(l listed) bool { _, ok := stamps[l.key]; return !ok })
	command := host.Sh(asideScript, m.mark())
	command.Stdin = strings.NewReader(lines(messages, func(l listed) string {
		return l.key + " " + l.kind + " " + l.name + " " + stamps[l.key] + " " + l.path
	}))
	command.Stdout = &lineWriter{take: func(line []byte) error {
		word, key, _ := strings.Cut(string(line), " ")
		switch word {
		case "aside":
			ready = append(ready, key)
		case "changed":
			problems = append(problems, key+" has changed while it was copied; the next apply moves it")
		case "running":
			started = append(started, key)
		}
		return nil
	}}
	if _, err := m.from.Run(ctx, command); err != nil {
		return nil, nil, err
	}
	if i := slices.IndexFunc(messages, func(l listed) bool { return slices.Contains(started, l.name) }); i >= 0 {
		return ready, problems, fmt.Errorf("the mail server of host %q was started while its queue was moved (%s): stop it, and apply again", m.from.Name(), messages[i].name)
	}
	return ready, problems, nil
}

// start has the new host hand over what is ready, and more that is. again is whether
// what was refused is tried once more.
func (m *mover) start(ctx context.Context, ready []string, again bool) error {
	if again {
		ready = append([]string{"again"}, ready...)
	}
	command := host.Sh(startScript, m.spool(), injectText)
	command.Stdin = strings.NewReader(strings.Join(append(ready, ""), "\n"))
	_, err := m.to.Run(ctx, command)
	return err
}

// wait waits until the new host has handed over everything, or was refused.
func (m *mover) wait(ctx context.Context) error {
	before, idleSince := -1, time.Now()
	for {
		there, err := m.look(ctx)
		if err != nil {
			return err
		}
		waiting := 0
		for _, message := range there.messages {
			if !message.done && message.refused == "" && (message.ready || message.injecting) {
				waiting++
			}
		}
		if waiting == 0 && !there.job {
			return nil
		}
		m.show("%d messages are still to be handed over", waiting)
		if there.job || waiting != before {
			idleSince = time.Now()
		}
		if !there.job {
			if time.Since(idleSince) > idleFor {
				return fmt.Errorf("on host %q messages are not handed over, and nothing says why: run sh %s/inject %[2]s inject there", m.to.Name(), m.spool())
			}
			if err := m.start(ctx, nil, false); err != nil {
				return err
			}
		}
		before = waiting
		select {
		case <-time.After(m.poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
