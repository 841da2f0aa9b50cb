package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// patience is how long a client waits for an answer, as browsers and mail
// clients do at least.
const patience = 30 * time.Second

// crowd is how many requests of a sort are under way at most. It is far from
// reached; a host that hangs must not take this machine with it.
const crowd = 500

// Outcomes of a request.
const (
	served     = "served"
	refused    = "refused"
	reset      = "reset"       // the connection was there, and broke before the answer
	timedOut   = "timed out"   // no answer within the patience
	turnedAway = "turned away" // an answer that says: not now, such as SMTP's 4xx or HTTP's 503
	unsent     = "unsent"      // the crowd was too large; the figures are no good then
)

// request is what became of one request of a client.
type request struct {
	sort, outcome string
	port          int
	began, ended  time.Time
	by            string // host that answered
	id            string // of what was written; "" for one that only reads
	err           error
}

// sort is a sort of request: its port, how often it is made, and how. id is
// different for each. Each port is asked at least ten times a second: a time
// without service is known as exactly as that.
type sort struct {
	name  string
	port  int
	every time.Duration
	ask   func(ctx context.Context, l *load, id string) (by string, err error)
	// writes says that an answer acknowledges what the id names.
	writes bool
}

var sorts = []sort{
	{"http", 80, 50 * time.Millisecond, getPage, false},
	{"dav", 80, 100 * time.Millisecond, putFile, true},
	{"smtp", 25, 50 * time.Millisecond, sendMessage, true},
	{"submission", 587, 100 * time.Millisecond, greetSubmission, false},
	{"imap", 143, 100 * time.Millisecond, openInbox, false},
	{"pop3", 110, 100 * time.Millisecond, greetPOP3, false},
}

// load is clients that know only the old address. They come at a fixed pace,
// whether the ones before were served or not.
type load struct {
	client *lab.Client
	old    *lab.Host
	users  []string
	began  time.Time

	pause context.CancelFunc // ends the arrivals
	wg    sync.WaitGroup

	mu   sync.Mutex
	done []request
}

// startLoad begins with the clients. What is under way when ctx ends breaks off
// and is not noted.
func startLoad(ctx context.Context, client *lab.Client, old *lab.Host, users []string) *load {
	arrivals, pause := context.WithCancel(ctx)
	l := &load{client: client, old: old, users: users, began: time.Now(), pause: pause}
	for _, s := range sorts {
		l.wg.Go(func() { l.arrive(arrivals, ctx, s) })
	}
	return l
}

// stop lets nobody come any more, and waits for those who have.
func (l *load) stop() []request {
	l.pause()
	l.wg.Wait()
	return l.done
}

func (l *load) arrive(arrivals, ctx context.Context, s sort) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	places := make(chan struct{}, crowd)
	for number := 0; ; number++ {
		select {
		case <-arrivals.Done():
			return
		case <-tick.C:
		}
		r := request{sort: s.name, port: s.port, began: time.Now()}
		id := fmt.Sprintf("%s-%06d", s.name, number)
		if s.writes {
			r.id = id
		}
		select {
		case places <- struct{}{}:
		default:
			r.ended, r.outcome = r.began, unsent
			l.note(r)
			continue
		}
		l.wg.Go(func() {
			defer func() { <-places }()
			asking, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			r.by, r.err = s.ask(asking, l, id)
			r.ended, r.outcome = time.Now(), outcomeOf(r.err)
			if ctx.Err() == nil {
				l.note(r)
			}
		})
	}
}

func (l *load) note(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, r)
}

// answeredBy waits until every sort of request is answered by a host, until it
// has been for the time given.
func (l *load) answeredBy(ctx context.Context, host string, lasting time.Duration) error {
	deadline := time.Now().Add(2 * patience)
	for {
		since := l.since(host)
		switch {
		case !since.IsZero() && time.Since(since) >= lasting:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("not everything is answered by %s after %s: %s", host, 2*patience, l.latest())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// since is when the last of the sorts was first answered by a host; zero while
// one of them was not.
func (l *load) since(host string) time.Time {
	first := map[string]time.Time{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.done {
		if r.outcome == served && r.by == host && (first[r.sort].IsZero() || r.ended.Before(first[r.sort])) {
			first[r.sort] = r.ended
		}
	}
	var last time.Time
	for _, s := range sorts {
		if first[s.name].IsZero() {
			return time.Time{}
		}
		if first[s.name].After(last) {
			last = first[s.name]
		}
	}
	return last
}

// latest is what became of the latest request of each sort.
func (l *load) latest() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := map[string]string{}
	for _, r := range l.done {
		latest[r.sort] = fmt.Sprintf("%s %s by %q: %v", r.sort, r.outcome, r.by, r.err)
	}
	return strings.Join(slices.Sorted(maps.Values(latest)), "; ")
}

// notNow is an answer that puts a client off.
type notNow struct{ said string }

func (e *notNow) Error() string { return e.said }

func outcomeOf(err error) string {
	var off *notNow
	var network net.Error
	switch {
	case err == nil:
		return served
	case errors.As(err, &off):
		return turnedAway
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return timedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return reset
	}
	return "error: " + err.Error()
}

// dial connects to the old address; the connection ends with ctx's deadline.
func (l *load) dial(ctx context.Context, port int) (net.Conn, error) {
	conn, err := l.client.Dial(ctx, "tcp", net.JoinHostPort(l.old.Address, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// pick picks a user by the number in an id.
func pick(users []string, id string) string {
	number, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	return users[number%len(users)]
}

func getPage(ctx context.Context, l *load, _ string) (string, error) {
	return l.roundTrip(ctx, http.MethodGet, "/", "", http.StatusOK)
}

// putFile uploads a file that did not exist.
func putFile(ctx context.Context, l *load, id string) (string, error) {
	return l.roundTrip(ctx, http.MethodPut, "/dav/"+id, upload(id), http.StatusCreated)
}

// upload is the content of the file that an id names.
func upload(id string) string { return strings.Repeat(id+"\n", 300) }

func (l *load) roundTrip(ctx context.Context, method, path, body string, want int) (string, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return l.dial(ctx, 80)
		},
	}
	asked, err := http.NewRequestWithContext(ctx, method, "http://"+site+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	// RoundTrip, and not Client.Do, which would ask a second time.
	answer, err := transport.RoundTrip(asked)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", err
	}
	by := answer.Header.Get("X-Served-By")
	if answer.StatusCode != want {
		return by, &notNow{answer.Status}
	}
	return by, nil
}

// hostIn finds out from a greeting which host it is from.
func hostIn(greeting string) string {
	for _, name := range []string{"old", "new"} {
		if slices.Contains(strings.Fields(strings.ReplaceAll(greeting, ".", " ")), name) {
			return name
		}
	}
	return ""
}
