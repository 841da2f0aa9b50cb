package syncpass

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// fakeWorker answers the questions that a test expects, in their order, and refuses
// all others. It complains of expected ones that did not come.
type fakeWorker struct {
	*hosttest.Fake
	t  *testing.T
	mu sync.Mutex

	want []*question
}

// question is one that is expected.
type question struct {
	name    string
	answer  any
	events  []order.Event
	err     error
	took    func(asked json.RawMessage)
	removed *bool // what is said when the outcome is taken
	after   error // when all was said
	forever bool  // it is answered when the context ends
}

func (f *fakeWorker) At() host.Host { return f.Fake }

// expect adds a question to the expected ones.
func (f *fakeWorker) expect(name string, answer any) *question {
	q := &question{name: name, answer: answer}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want = append(f.want, q)
	return q
}

// checks looks at what was asked.
func (q *question) checks(look func(asked json.RawMessage)) *question { q.took = look; return q }

func (f *fakeWorker) next(name string, asked any) (*question, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.want) == 0 || f.want[0].name != name {
		next := "none"
		if len(f.want) > 0 {
			next = f.want[0].name
		}
		f.t.Errorf("host %s: unexpected question %s, expected next: %s", f.Name(), name, next)
		return nil, fmt.Errorf("fake worker: unexpected question %s", name)
	}
	q := f.want[0]
	f.want = f.want[1:]
	text, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	if q.took != nil {
		q.took(text)
	}
	return q, q.err
}

func (f *fakeWorker) Ask(ctx context.Context, name string, asked, answer any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q, err := f.next(name, asked)
	if err != nil {
		return err
	}
	text, err := json.Marshal(q.answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (f *fakeWorker) Talk(ctx context.Context, name string, asked any, take func(line []byte) (string, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q, err := f.next(name, asked)
	if err != nil {
		return err
	}
	for _, event := range q.events {
		text, err := json.Marshal(event)
		if err != nil {
			return err
		}
		reply, err := take(text)
		if err != nil {
			return err
		}
		if (reply != "") != (event.Job != nil) {
			f.t.Errorf("host %s: to %s the reply is %q", f.Name(), text, reply)
		}
		if reply == order.Taken && q.removed != nil {
			text, err := json.Marshal(order.Event{Removed: q.removed})
			if err != nil {
				return err
			}
			if _, err := take(text); err != nil {
				return err
			}
		}
	}
	if q.forever {
		<-ctx.Done()
		return ctx.Err()
	}
	return q.after
}

func twoHosts(t *testing.T) (from, to *fakeWorker) {
	t.Helper()
	from, to = &fakeWorker{Fake: hosttest.New(t), t: t}, &fakeWorker{Fake: hosttest.New(t), t: t}
	from.HostName, to.HostName = "old", "new"
	from.Ident = host.Identity{Address: "192.0.2.1", Port: 22, User: "root", HostKey: "ssh-ed25519 AAAAold", ServerVersion: "SSH-2.0-OpenSSH_8.4p1 Debian-5"}
	to.Ident = host.Identity{Address: "new.example.net", Port: 22, User: "admin", Become: "sudo", HostKey: "ssh-ed25519 AAAAnew"}
	t.Cleanup(func() {
		for _, f := range []*fakeWorker{from, to} {
			for _, q := range f.want {
				t.Errorf("host %s: expected question never came: %s", f.Name(), q.name)
			}
		}
	})
	return from, to
}

const (
	chain  = "36e554a1ca71"
	public = "ssh-ed25519 CCCC cutover-pass-" + chain
)

var (
	thePass = Pass{ID: "ab12", Paths: []Path{{Source: "/home"}, {Source: "/var/mail", Target: "/var/spool/mail"}}}

	oldAnswer = order.OldAnswer{
		OS: "debian", Login: &order.Login{User: "root", Home: "/root", Keys: ".ssh/authorized_keys"},
		HostKeys: []string{"ssh-rsa BBBBold", "ssh-ed25519 AAAAold"},
		Paths:    []order.Directory{{Kind: order.KindDirectory, Real: "/home"}, {Kind: order.KindDirectory, Real: "/var/mail"}},
	}
	newAnswer = order.NewAnswer{
		OS: "debian", Addresses: []string{"192.0.2.2", "2001:db8::2"},
		Paths: []order.Directory{{Kind: order.KindDirectory, Real: "/home"}, {Kind: order.KindMissing, Real: "/var"}},
		Job:   order.Job{Phase: order.None},
	}
)

// with is what the new host answers where there is a job.
func with(there order.Job) order.NewAnswer {
	answer := newAnswer
	answer.Job = there
	return answer
}

// expectSurvey expects the first questions.
func expectSurvey(from, to *fakeWorker, there order.Job) {
	from.expect("survey-old", oldAnswer)
	to.expect("survey-new", with(there))
}

// expectPass expects a pass from its preparation to its end.
func expectPass(from, to *fakeWorker, p Pass, outcome order.Outcome) {
	to.expect("prepare", order.Prepared{Public: public, Writable: []string{"/home", "/var/spool/mail"}})
	from.expect("admit", nothing)
	expectEnd(to, true, order.Job{Phase: order.Ended, Token: p.token(), Outcome: &outcome})
}

// expectEnd expects that a job is followed, and its outcome taken. was is whether that
// was there still.
func expectEnd(to *fakeWorker, was bool, there order.Job) *question {
	q := to.expect("follow", nil)
	q.events, q.removed = []order.Event{{Status: "copying path 1 of 2"}, {Job: &there}}, &was
	return q
}

var nothing struct{}

func asked[T any](t *testing.T, text json.RawMessage) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Error(err)
	}
	return value
}
