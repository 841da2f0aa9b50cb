package mailqueue

import (
	"context"
	_ "embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed parts.sh
var partsText string

//go:embed list.sh
var listText string

//go:embed spool.sh
var spoolText string

var (
	listScript  = host.Script{Name: "mailqueue/list.sh", Text: queuesText + partsText + listText}
	spoolScript = host.Script{Name: "mailqueue/spool.sh", Text: spoolText}
)

// spools is where the new host keeps what is moved to it, by the old host's name.
const spools = "/var/lib/cutover/queue"

// Spool is the directory of the new host for what comes from an old one.
func Spool(from string) string { return spools + "/" + from }

// States of a message in a queue of the old host; see list.sh.
const (
	queued = "queued"
	held   = "held"
	odd    = "odd"
	aside  = "aside"
)

// listed is a message in a queue of the old host.
type listed struct {
	kind  string // Sendmail, Postfix or Exim
	name  string // of the mail server; see Message.MTA
	key   string // tells messages of a host apart, also in file names
	state string
	path  string // its control file
}

// source is a message as the scripts of the old host read it.
func (l listed) source() string { return l.key + " " + l.kind + " " + l.name + " " + l.path }

// lines are texts for messages, a line each.
func lines(messages []listed, text func(listed) string) string {
	var b strings.Builder
	for _, message := range messages {
		b.WriteString(text(message) + "\n")
	}
	return b.String()
}

// oldQueues are the mail queues of the old host.
type oldQueues struct {
	names    []string // mail servers
	running  []string // those of them that work on their queue at this moment
	messages []listed
	problems []string
}

func (q oldQueues) in(states ...string) []listed {
	var found []listed
	for _, message := range q.messages {
		if slices.Contains(states, message.state) {
			found = append(found, message)
		}
	}
	return found
}

var keyForm = regexp.MustCompile(`^[a-z][A-Za-z0-9_-]*\.[A-Za-z0-9-]+$`)

// mark is what names of files begin with that were set aside for the new host.
func (m *mover) mark() string { return "cutover-" + m.to.Name() + "." }

// spool is the directory of the new host for what comes from the old one.
func (m *mover) spool() string { return m.spools + "/" + m.from.Name() }

// list asks the old host for its queues.
func (m *mover) list(ctx context.Context) (oldQueues, error) {
	var q oldQueues
	frozen := map[string]bool{}
	command := host.Sh(listScript, m.mark(), m.config)
	command.Stdout = &lineWriter{take: func(line []byte) error {
		word, rest, _ := strings.Cut(string(line), " ")
		switch word {
		case "queue":
			q.names = append(q.names, rest)
		case "running":
			q.running = append(q.running, rest)
		case "frozen":
			frozen[rest] = true
		case "message":
			words := strings.SplitN(rest, " ", 4)
			if len(words) < 4 {
				return fmt.Errorf("%s printed %q", listScript.Name, line)
			}
			message := listed{kind: words[0], name: words[1], state: words[2], path: words[3]}
			id := strings.TrimPrefix(path.Base(message.path), m.mark())
			switch message.kind {
			case Sendmail:
				id = id[min(2, len(id)):]
			case Exim:
				id = strings.TrimSuffix(id, "-H")
			}
			message.key = message.name + "." + id
			if !keyForm.MatchString(message.key) {
				q.problems = append(q.problems, message.name+": "+message.path+": no message has such a name")
				return nil
			}
			q.messages = append(q.messages, message)
		}
		return nil
	}}
	if _, err := m.from.Run(ctx, command); err != nil {
		return q, err
	}
	for i := range q.messages {
		if frozen[q.messages[i].path] && q.messages[i].state == queued {
			q.messages[i].state = held
		}
	}
	return q, nil
}

// spooled is what the new host has of a message; see inject.sh.
type spooled struct {
	copied, ready, injecting, next, done bool
	refused                              string
}

// newSpool is what the new host has of all messages.
type newSpool struct {
	found, job bool
	lacks      []string // programs that the move needs there
	messages   map[string]*spooled
}

// look asks the new host what it has.
func (m *mover) look(ctx context.Context) (newSpool, error) {
	s := newSpool{messages: map[string]*spooled{}}
	of := func(key string) *spooled {
		if s.messages[key] == nil {
			s.messages[key] = &spooled{}
		}
		return s.messages[key]
	}
	command := host.Sh(spoolScript, m.spool())
	command.Stdout = &lineWriter{take: func(line []byte) error {
		word, rest, _ := strings.Cut(string(line), " ")
		switch word {
		case "lacks":
			s.lacks = append(s.lacks, rest)
		case "spool":
			s.found = true
		case "job":
			s.job = true
		case "refused":
			key, said, _ := strings.Cut(rest, " ")
			of(key).refused = shortened(said)
		case "file":
			end := strings.LastIndexByte(rest, '.')
			if end < 0 {
				return nil // not of a message
			}
			switch key := rest[:end]; rest[end+1:] {
			case "envelope":
				of(key).copied = true
			case "ready":
				of(key).ready = true
			case "injecting":
				of(key).injecting = true
			case "next":
				of(key).next = true
			case "done":
				of(key).done = true
			}
		}
		return nil
	}}
	_, err := m.to.Run(ctx, command)
	return s, err
}

// has is what the new host has of a message.
func (s newSpool) has(key string) spooled {
	if there := s.messages[key]; there != nil {
		return *there
	}
	return spooled{}
}

// begun reports whether a message may have been handed over, or may be at any moment.
func (s spooled) begun() bool { return s.ready || s.injecting || s.next || s.done }
