// Package service looks at and changes the services of a host, under systemd,
// SysV init or OpenRC: running or not, started at boot or not.
//
// Stopped means that nothing of the service runs any more and that no socket
// starts it again; running means that it still does a moment after its start.
// It may import internal/batch and internal/host.
package service

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// State is what a service is doing.
type State struct {
	Name    string
	Init    string // "systemd", "sysv" or "openrc"
	Running bool
	Enabled bool   // starts at boot
	Words   string // systemd's words for it, such as "active (running), enabled"; "" elsewhere
	// Triggers are the socket and path units that start the service when
	// something happens; systemd alone has them.
	Triggers []Trigger
	// Queued is, of a mail server that Set has stopped and drained, how many
	// messages it has accepted and could not deliver.
	Queued int
	// Found is what was found before a change that asked to remember it; nil
	// where the host remembers nothing.
	Found *State
}

// Trigger is a unit that starts a service.
type Trigger struct {
	Unit    string
	Active  bool
	Enabled bool
}

// Want is what a service is to be. Nil leaves that side as it is.
type Want struct {
	Running *bool
	Enabled *bool
	Restart bool // restarts a service that runs, and would not be started anyway
	// Drain has a mail server (Sendmail, Postfix) deliver what it has accepted
	// before it is stopped.
	Drain bool
	// Triggers are those that Set or a former one has found: what was active
	// is started again with the service, what was enabled is enabled again.
	Triggers []Trigger
	// Restore puts them back also where the service itself is not to run, as
	// they are found where nobody has called it yet.
	Restore bool
	// Remember has the host keep what was found before the first change, Forget
	// drops that.
	Remember *State
	Forget   bool
}

// Met reports whether a service is as wanted already. Of one that is to be
// drained that is not known: whoever has stopped it may have been killed before
// its queue was empty.
func (w Want) Met(s State) bool {
	if w.Restart || w.Drain && w.Running != nil && !*w.Running || w.Running != nil && *w.Running != s.Running || w.Enabled != nil && *w.Enabled != s.Enabled {
		return false
	}
	for _, t := range s.Triggers {
		if w.Running != nil && !*w.Running && t.Active || w.Enabled != nil && !*w.Enabled && t.Enabled {
			return false
		}
	}
	return true
}

// Before is what a service did before anything was changed: what the host
// remembers, or else what it does now.
func (s State) Before() State {
	if s.Found == nil {
		return s
	}
	found := *s.Found
	found.Name, found.Init = s.Name, s.Init
	return found
}

// memory is what set.sh has the host remember, in describe's words.
func (w Want) memory() string {
	switch {
	case w.Forget:
		return "forget"
	case w.Remember == nil:
		return none
	}
	word := map[bool]string{true: "yes", false: "no"}
	lines := []string{"running " + word[w.Remember.Running], "enabled " + word[w.Remember.Enabled]}
	for _, t := range w.Remember.Triggers {
		line := "trigger " + t.Unit
		if t.Active {
			line += " active"
		}
		if t.Enabled {
			line += " enabled"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// UnknownError is the error for a service that the host does not have.
type UnknownError struct {
	Host, Name string
	Similar    []string // names of services that it has, the nearest first
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("on host %q there is no service %s", e.Host, e.Name)
	if len(e.Similar) > 0 {
		text += "; similar ones are " + strings.Join(e.Similar, ", ")
	}
	return text
}

var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@+-]*$`)

// CheckName says why a text cannot be the name of a service.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a name cannot be empty")
	case len(name) > 255 || !names.MatchString(name):
		return fmt.Errorf("%q is not the name of a service, such as postfix or dovecot.socket", name)
	}
	return nil
}

// parseStates reads what read.sh and set.sh print: "init KIND", and for each
// name the lines from "service NAME" to "end NAME".
func parseStates(hostName, out string, wanted []string) ([]State, []error, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	init, ok := strings.CutPrefix(lines[0], "init ")
	if !ok {
		return nil, nil, fmt.Errorf("on host %q: the script that looks at services did not say which init runs", hostName)
	}
	lines = lines[1:]
	queued := 0
	if len(lines) > 0 && strings.HasPrefix(lines[0], "queued ") {
		var err error
		if queued, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(lines[0], "queued "))); err != nil {
			return nil, nil, fmt.Errorf("on host %q: the script that stops services counted %q", hostName, lines[0])
		}
		lines = lines[1:]
	}
	states, problems := make([]State, len(wanted)), make([]error, len(wanted))
	for i, name := range wanted {
		end := slices.Index(lines, "end "+name)
		if end < 1 || lines[0] != "service "+name {
			return nil, nil, fmt.Errorf("on host %q: the script that looks at services broke off at %s", hostName, name)
		}
		var known []string
		var exists bool
		if states[i], known, exists = parseState(lines[1:end]); !exists {
			problems[i] = &UnknownError{hostName, name, similar(name, known)}
		}
		states[i].Name, states[i].Init, states[i].Queued = name, init, queued
		lines = lines[end+1:]
	}
	return states, problems, nil
}

func parseState(lines []string) (s State, known []string, exists bool) {
	exists = true
	var found []string
	defer func() {
		if found != nil {
			before, _, _ := parseState(found)
			s.Found = &before
		}
	}()
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "unknown":
			exists = false
		case "known":
			known = append(known, rest)
		case "found":
			found = append(found, rest)
		case "running":
			s.Running = rest == "yes"
		case "enabled":
			s.Enabled = rest == "yes"
		case "state":
			s.Words = rest
		case "trigger":
			f := strings.Fields(rest)
			if len(f) > 0 {
				s.Triggers = append(s.Triggers, Trigger{f[0], slices.Contains(f, "active"), slices.Contains(f, "enabled")})
			}
		}
	}
	return s, known, exists
}

// similar returns the names that somebody who wrote name may have meant, at
// most five.
func similar(name string, known []string) []string {
	var near []string
	for _, other := range known {
		if distance(name, other) <= 1+len(name)/4 ||
			(len(name) > 2 && strings.Contains(other, name)) || (len(other) > 2 && strings.Contains(name, other)) {
			near = append(near, other)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return distance(name, a) - distance(name, b) })
	near = slices.Compact(near)
	return near[:min(len(near), 5)]
}

// distance is the number of letters to insert, remove or change between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
