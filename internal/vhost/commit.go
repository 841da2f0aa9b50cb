package vhost

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/managedfile"
)

//go:embed hooks.sh
var hooksText string

var changeScript = managedfile.Script("vhost/change.sh", serverText+"\n"+hooksText)

// commit makes the changes of all items, which are of one server, with one test
// and one reload. Those that the server finds fault with fail alone; the others
// go on without them.
func (s *Sites) commit(ctx context.Context, items []*item) {
	items = slices.DeleteFunc(items, func(it *item) bool {
		if len(it.changes) == 0 {
			it.done(it.server.Running)
		}
		return len(it.changes) == 0
	})
	for len(items) > 0 {
		running, err := s.change(ctx, items)
		if err == nil {
			for _, it := range items {
				it.done(running)
			}
			return
		}
		var rejected *managedfile.Rejected
		bad := blamed(items, err)
		switch {
		case len(bad) > 0:
			items = slices.DeleteFunc(items, func(it *item) bool {
				at := slices.Index(bad, it)
				if at >= 0 {
					it.outcome.err = it.explain(s.host.Name(), err)
				}
				return at >= 0
			})
			continue
		case errors.As(err, &rejected):
			s.divide(ctx, items, rejected)
		default:
			fail(items, err)
		}
		return
	}
}

// divide finds out whose fault a rejection is that names none of the files.
func (s *Sites) divide(ctx context.Context, items []*item, rejected *managedfile.Rejected) {
	server := items[0].server
	_, err := managedfile.Apply(ctx, s.host, changeScript, server.tree, server.arguments(nil), nil)
	var before *managedfile.Rejected
	switch {
	case errors.As(err, &before):
		fail(items, fmt.Errorf("the configuration of %s was faulty before any change, and nothing was changed; mend it first. %w", display(server.Name), before))
	case err != nil:
		fail(items, err)
	case len(items) == 1:
		items[0].outcome.err = items[0].explain(s.host.Name(), rejected)
	default:
		half := len(items) / 2
		s.commit(ctx, slices.Clone(items[:half]))
		s.commit(ctx, slices.Clone(items[half:]))
	}
}

func fail(items []*item, err error) {
	for _, it := range items {
		it.outcome.err = err
	}
}

func (it *item) done(running bool) {
	it.outcome.placed = Placed{
		Server: it.server.Name, Path: it.server.Path(it.order.Site, it.order.Enabled), Text: it.order.Text, Running: running,
	}
}

// change hands everything to the host, and says whether the server runs there.
func (s *Sites) change(ctx context.Context, items []*item) (running bool, err error) {
	server := items[0].server
	var changes []managedfile.Change
	for _, it := range items {
		changes = append(changes, it.changes...)
	}
	said, err := managedfile.Apply(ctx, s.host, changeScript, server.tree, server.arguments(items), changes)
	return !slices.Contains(said, "running no"), err
}

// arguments are those of hooks.sh.
func (s *Server) arguments(items []*item) []string {
	var ports, logs []string
	for _, it := range items {
		if it.order.remove {
			continue
		}
		if it.order.Enabled {
			for _, port := range it.order.Site.ports() {
				if text := strconv.Itoa(port); !slices.Contains(ports, text) {
					ports = append(ports, text)
				}
			}
		}
		for _, log := range []string{it.order.Site.AccessLog, it.order.Site.ErrorLog} {
			if log != "" && !slices.Contains(logs, log) {
				logs = append(logs, log)
			}
		}
	}
	slices.Sort(ports)
	return append([]string{s.Name, s.program, s.unit(), strings.Join(ports, " ")}, logs...)
}

// places are what the servers say of where a fault is: Apache "line 3 of
// /etc/…" and "/etc/…:3:", nginx "in /etc/…:3".
var places = regexp.MustCompile(`line ([0-9]+) of (/[^\s:]+)|(/[^\s:]+):([0-9]+)`)

// faultyLine is the number of the line of the item's file that a server's
// words name; 0: another file's, or none.
func (it *item) faultyLine(said string) int {
	for _, found := range places.FindAllStringSubmatch(said, -1) {
		file, number := found[2], found[1]
		if file == "" {
			file, number = found[3], found[4]
		}
		if file == it.file || file == it.other {
			line, _ := strconv.Atoi(number)
			return line
		}
	}
	return 0
}

// blamed are the items that an error is about.
func blamed(items []*item, err error) []*item {
	var about func(*item) bool
	var rejected *managedfile.Rejected
	var inactive *managedfile.Inactive
	var taken *managedfile.Taken
	var refused *managedfile.Refused
	owns := func(path string) func(*item) bool {
		return func(it *item) bool {
			return slices.ContainsFunc(it.changes, func(c managedfile.Change) bool { return c.Path() == path })
		}
	}
	switch {
	case errors.As(err, &rejected):
		about = func(it *item) bool { return it.faultyLine(rejected.Said) > 0 }
	case errors.As(err, &taken):
		about = owns(taken.Path)
	case errors.As(err, &refused):
		about = owns(refused.Path)
	case errors.As(err, &inactive):
		silent := silentPorts(inactive)
		about = func(it *item) bool {
			return it.order.Enabled && slices.ContainsFunc(it.order.Site.ports(), func(port int) bool { return slices.Contains(silent, port) })
		}
	default:
		return nil
	}
	var bad []*item
	for _, it := range items {
		if about(it) {
			bad = append(bad, it)
		}
	}
	return bad
}

func silentPorts(inactive *managedfile.Inactive) []int {
	var ports []int
	for _, line := range inactive.Said {
		if text, ok := strings.CutPrefix(line, "silent "); ok {
			port, _ := strconv.Atoi(text)
			ports = append(ports, port)
		}
	}
	return ports
}

// explain turns an error about the item into one that names the place.
func (it *item) explain(hostName string, err error) error {
	name := display(it.server.Name)
	var rejected *managedfile.Rejected
	var inactive *managedfile.Inactive
	var refused *managedfile.Refused
	switch {
	case errors.As(err, &rejected):
		text := fmt.Sprintf("on host %q, %s does not accept the site %s; nothing was changed. Its test said:\n  %s",
			hostName, name, it.file, strings.ReplaceAll(rejected.Said, "\n", "\n  "))
		lines := strings.Split(it.order.Text, "\n")
		if n := it.faultyLine(rejected.Said); n > 0 && n <= len(lines) {
			text += fmt.Sprintf("\n\nLine %d of the file is:\n  %s", n, strings.TrimSpace(lines[n-1]))
		}
		problem := errors.New(text)
		if it.inExtra(it.faultyLine(rejected.Said)) {
			return &FieldError{"extra", problem}
		}
		return problem
	case errors.As(err, &inactive):
		for _, port := range silentPorts(inactive) {
			field := "ports"
			if slices.Contains(it.order.Site.TLSPorts, port) {
				field = "tls_ports"
			} else if !slices.Contains(it.order.Site.Ports, port) {
				continue
			}
			advice := fmt.Sprintf("is the port taken by another program? `ss -ltnp sport = :%d` says so", port)
			if it.server.Name == Apache {
				advice = fmt.Sprintf("a line `Listen %d` in its main configuration is needed (on Debian in /etc/apache2/ports.conf)", port)
			}
			return &FieldError{field, fmt.Errorf("on host %q, %s does not listen on port %d after the reload; the site was taken away again: %s%s",
				hostName, name, port, advice, logged(inactive.Text))}
		}
	case errors.As(err, &refused):
		if refused.Path == it.order.Site.DocumentRoot {
			return &FieldError{"document_root", err}
		}
	}
	return err
}

func logged(text string) string {
	if text == "" {
		return ""
	}
	return ". Its error log says:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// inExtra reports whether a line of the file came from the attribute extra.
func (it *item) inExtra(number int) bool {
	inside := false
	for i, line := range strings.Split(it.order.Text, "\n") {
		switch strings.TrimSpace(line) {
		case extraBegins:
			inside = true
		case extraEnds:
			inside = false
		}
		if i+1 == number {
			return inside
		}
	}
	return false
}
