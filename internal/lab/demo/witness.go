package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

// witness is a client that knows only the old address: it asks every relayed
// port all the time and notes who answered.
type witness struct {
	client *lab.Client
	old    *lab.Host
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	phase  string
	phases []string
	tally  map[string]*tally     // by phase
	gaps   map[int]time.Duration // longest time without an answer, by port
	last   map[int]string        // who answered last, by port
}

// tally is what happened in a phase: whom requests were answered by, how many
// were not, and how long the slowest answer took.
type tally struct {
	old, new, refused, failed int
	wait                      time.Duration
}

// patience is how long the client waits for an answer, as browsers and mail
// clients do at least.
const patience = 30 * time.Second

// askEvery is the pause between two questions to a port.
const askEvery = 200 * time.Millisecond

func startWitness(ctx context.Context, client *lab.Client, old *lab.Host) *witness {
	ctx, cancel := context.WithCancel(ctx)
	w := &witness{client: client, old: old, cancel: cancel, tally: map[string]*tally{}, gaps: map[int]time.Duration{}, last: map[int]string{}}
	w.begin("before")
	for _, port := range relayed {
		w.done.Go(func() { w.watch(ctx, port) })
	}
	return w
}

func (w *witness) stop() {
	w.cancel()
	w.done.Wait()
}

// settle waits until whoever waited is served: until every port was last
// served by the host of that name, for as long as clients wait.
func (w *witness) settle(ctx context.Context, name string) {
	for start := time.Now(); ctx.Err() == nil && time.Since(start) < patience; sleep(ctx, askEvery) {
		w.mu.Lock()
		waiting := false
		for _, port := range relayed {
			waiting = waiting || w.last[port] != name
		}
		w.mu.Unlock()
		if !waiting {
			return
		}
	}
}

// begin counts requests that are asked from now on under a phase.
func (w *witness) begin(phase string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = phase
	if w.tally[phase] == nil {
		w.phases = append(w.phases, phase)
		w.tally[phase] = &tally{}
	}
}

func (w *witness) watch(ctx context.Context, port int) {
	served := time.Now()
	for ctx.Err() == nil {
		w.mu.Lock()
		asked, count := time.Now(), w.tally[w.phase]
		w.mu.Unlock()
		by, err := w.ask(ctx, port)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		switch {
		case err == nil && by == "new":
			count.new++
		case err == nil:
			count.old++
		case errors.Is(err, syscall.ECONNREFUSED):
			count.refused++
		default:
			count.failed++
		}
		if err == nil {
			count.wait = max(count.wait, time.Since(asked))
			w.gaps[port] = max(w.gaps[port], time.Since(served)-askEvery)
			w.last[port] = by
			served = time.Now()
		}
		w.mu.Unlock()
		sleep(ctx, askEvery)
	}
}

// ask asks the old address and returns which host answered: its web server
// says so in a header, its mail servers in their greetings.
func (w *witness) ask(ctx context.Context, port int) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(w.old.Address, strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer, err := probe.Ask(ctx, conn, probe.Request{Protocol: probe.Guess(port), ServerName: site})
	if err != nil {
		return "", err
	}
	if port == 80 {
		if by := answer.Header["X-Served-By"]; len(by) == 1 {
			return by[0], nil
		}
		return "", fmt.Errorf("port 80 answered %q without saying who it is", answer.Greeting)
	}
	for _, name := range []string{"old", "new"} {
		if strings.Contains(answer.Greeting, name+".") {
			return name, nil
		}
	}
	return "", fmt.Errorf("port %d greeted %q without saying who it is", port, answer.Greeting)
}

// report prints the tallies. It is an error when the client is not served by
// the new host on every port in the end.
func (w *witness) report() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Printf("  %-10s %14s %14s %9s %7s %13s\n", "phase", "served by old", "served by new", "refused", "failed", "longest wait")
	for _, phase := range w.phases {
		t := w.tally[phase]
		fmt.Printf("  %-10s %14d %14d %9d %7d %11.1f s\n", phase, t.old, t.new, t.refused, t.failed, t.wait.Seconds())
	}
	var problems []error
	fmt.Println()
	for _, port := range relayed {
		fmt.Printf("  port %-4d longest time without an answer: %5.1f s\n", port, w.gaps[port].Seconds())
		if w.last[port] != "new" {
			problems = append(problems, fmt.Errorf("port %d of the old address was last served by %q, not by the new host", port, w.last[port]))
		}
	}
	if t := w.tally["tunnels"]; t != nil && t.refused+t.failed > 0 {
		problems = append(problems, fmt.Errorf("with the tunnels up, %d requests were refused and %d failed", t.refused, t.failed))
	}
	for phase, when := range map[string]string{"cutover": "during the cutover", "back": "on the way back", "again": "during the second cutover"} {
		if t := w.tally[phase]; t != nil && t.refused > 0 {
			problems = append(problems, fmt.Errorf("%d requests were refused %s, in spite of the hold", t.refused, when))
		}
	}
	return errors.Join(problems...)
}
