package syncpass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/deploy"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Run makes the pass from start to end, or sees one to its end that is under way and
// does the same. It leaves nothing but the copied files, the log, the trash, what the
// chain has brought, and the worker. With an error, the result holds what was done
// until then; a repeated pass goes on from there.
//
// When ctx ends, the pass is cancelled. When this process dies or the connection
// breaks, it goes on. show, which may be nil, is told now and then how far it is.
func Run(ctx context.Context, from, to host.Host, p Pass, show func(status string)) (Result, error) {
	return run(ctx, deploy.On(from), deploy.On(to), p, show)
}

func run(ctx context.Context, from, to worker, p Pass, show func(status string)) (Result, error) {
	w, err := arrange(ctx, from, to, p)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	w.show = show
	unlock, err := chains.lock(ctx, w.plan.prepare.Chain)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	done, result, err := w.run(ctx)
	if done {
		err = errors.Join(err, w.dismiss(ctx))
	}
	if err == nil && p.MaxChanges > 0 && result.Changes > p.MaxChanges {
		err = fmt.Errorf("the pass is done, but it found %d changes since the last pass of the chain, more than max_changes allows (%d): "+
			"some service of host %q may still write. The log names the files: %s on host %q",
			result.Changes, p.MaxChanges, w.fromName(), order.LogPath(p.ID), w.toName())
	}
	return result, err
}

// arrange asks both hosts, says what is in the way, and settles all that a pass needs.
// Nothing has been changed then.
func arrange(ctx context.Context, from, to worker, p Pass) (w *witness, err error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	w = &witness{pass: p, from: from, to: to}
	if w.survey, err = p.ask(ctx, from, to); err != nil {
		return nil, err
	}
	if err := p.check(from.At(), to.At(), w.survey); err != nil {
		return nil, err
	}
	if p.Route == Operator {
		if w.survey.relay, err = p.openRelay(ctx, from.At(), to.At(), w.survey); err != nil {
			return nil, err
		}
	}
	if w.plan, err = p.plan(ctx, w.survey); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *witness) close() {
	if w.survey.relay != nil {
		w.survey.relay.close()
	}
}

func (w *witness) fromName() string { return w.from.At().Name() }
func (w *witness) toName() string   { return w.to.At().Name() }

// witness knows enough of a pass to see it to its end, and to say what that means.
type witness struct {
	pass     Pass
	from, to worker
	survey   survey
	plan     plan
	show     func(status string) // may be nil
	// key is that of the pass that this run has seen, where it is known. When that
	// pass is over, the next of the chain may be under way, with a key of its own.
	key string
}

// run has the job of the chain make the pass. done is false while a job may still need
// the key.
func (w *witness) run(ctx context.Context) (done bool, result Result, err error) {
	there := w.survey.new.Job
	for {
		own := false  // begun by this run
		taken := true // its outcome is this run's
		if there.Phase == order.None {
			if there, own, taken, err = w.start(ctx); err != nil {
				return !errors.Is(err, errOutOfSight), result, err
			}
		}
		if there.Public != "" {
			// Its key is this run's to take away, if it sees the end of it: not any key of the
			// chain, for the next pass may have been let in by then.
			w.key = there.Public
		}
		// A pass by way of another process ends when that one does.
		same := own || strings.HasPrefix(there.Token, w.pass.digest()+" ") && w.pass.Route != Operator
		begun, seen := there.Phase.Alive(), there.Token
		switch {
		case own:
			seen = w.plan.prepare.Token
		case begun:
			there, taken, err = w.see(ctx, there, same)
		case there.Phase != order.None:
			taken, err = w.remove(ctx, there.Token)
		}
		if err != nil {
			// A pass that cannot be seen any more may still run.
			return !errors.Is(err, errOutOfSight), result, err
		}
		if there.Phase == order.None || there.Token != seen {
			continue // another run has its outcome, and the next pass may have begun
		}
		if !taken {
			if there, err = w.look(ctx); err != nil {
				return false, result, err
			}
			continue
		}
		if err := w.claim(ctx, there.Token); err != nil {
			return true, result, err
		}
		// One that nobody waited for says little of what is there now. And a pass that
		// began before this run may have begun before the services were stopped: for the
		// last pass that is not good enough.
		if !own && (!same || !begun || w.pass.Final || there.Phase == order.Ready) {
			there = order.Job{Phase: order.None}
			continue
		}
		result, err = w.outcome(there)
		return true, result, err
	}
}

// remove forgets a job that is over, or was never started. It says whether the job was
// there: of several who do it, one is told so.
func (w *witness) remove(ctx context.Context, token string) (was bool, err error) {
	var ended order.EndedJob
	err = w.to.Ask(ctx, "remove", order.EndJob{Job: w.plan.prepare.Job, Token: token}, &ended)
	return ended.Was, err
}

func (w *witness) look(ctx context.Context) (order.Job, error) {
	var answer order.NewAnswer
	err := w.to.Ask(ctx, "survey-new", order.NewQuestion{Job: w.plan.prepare.Job}, &answer)
	return answer.Job, err
}

// start prepares the pass, lets its key in, starts it, and sees it to its end. Where
// another pass of the chain was quicker, it says where that is, and own is false.
func (w *witness) start(ctx context.Context) (there order.Job, own, taken bool, err error) {
	var prepared order.Prepared
	if err := w.to.Ask(ctx, "prepare", w.plan.prepare, &prepared); err != nil {
		return there, false, false, err
	}
	if prepared.Taken {
		there, err = w.look(ctx)
		return there, false, false, err
	}
	token := w.plan.prepare.Token
	for _, id := range prepared.Claimed {
		var nothing struct{}
		if err := w.from.Ask(ctx, "claim", order.Claim{From: id, To: w.pass.ID}, &nothing); err != nil {
			return there, false, false, w.drop(ctx, token, err)
		}
	}
	if len(strings.Fields(prepared.Public)) != 3 {
		return there, false, false, w.drop(ctx, token, fmt.Errorf("on host %q: the worker made no key; it says %q", w.toName(), prepared.Public))
	}
	admit := w.plan.admit
	admit.Public, w.key = prepared.Public, prepared.Public
	var nothing struct{}
	if err := w.from.Ask(ctx, "admit", admit, &nothing); err != nil {
		return there, false, false, w.drop(ctx, token, err)
	}
	there, taken, err = w.watch(ctx, token, order.Follow{Job: w.plan.prepare.Job, Start: token, Writable: prepared.Writable})
	return there, true, taken, err
}

// drop forgets a job that was prepared and will not be started.
func (w *witness) drop(ctx context.Context, token string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	_, err := w.remove(ctx, token)
	return errors.Join(why, err)
}

// see sees a job to its end that was there already.
func (w *witness) see(ctx context.Context, there order.Job, same bool) (ended order.Job, taken bool, err error) {
	follow := order.Follow{Job: w.plan.prepare.Job}
	if same && there.Phase == order.Runs {
		return w.watch(ctx, there.Token, follow)
	}
	w.tell("waiting for another pass over the same paths")
	return w.follow(ctx, there.Token, follow, nil)
}

// errOutOfSight is the end of waiting for a job that may still run.
var errOutOfSight = errors.New("the pass goes on without being watched")

// watch sees a job of ours to its end, or cancels it when ctx ends.
func (w *witness) watch(ctx context.Context, token string, f order.Follow) (ended order.Job, taken bool, err error) {
	ended, taken, err = w.follow(ctx, token, f, w.show)
	_, ran := host.ExitCode(err)
	switch {
	case err == nil:
		return ended, taken, nil
	case ctx.Err() == nil && !ran:
		return ended, false, errors.Join(err, errOutOfSight)
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime+grace)
	defer cancel()
	var was order.EndedJob
	end := order.EndJob{Job: f.Job, Token: token, Grace: int(grace / time.Second)}
	if failed := w.to.Ask(after, "cancel", end, &was); failed != nil {
		return ended, false, errors.Join(err, failed, errOutOfSight)
	}
	if ctx.Err() != nil {
		err = &failure{fmt.Sprintf("the pass was cancelled while it copied %s; what it had copied is on host %q, and a repeated pass goes on from there",
			w.sources(), w.toName()), ctx.Err()}
	}
	_, failed := w.remove(after, token)
	return ended, false, errors.Join(err, failed)
}

const (
	// patience is how long a host may be out of reach while a job is followed.
	patience = 10 * time.Minute
	// grace is how long a cancelled job may clean up.
	grace = 20 * time.Second
	// cleanupTime bounds the cleaning up, which goes on after a cancellation.
	cleanupTime = time.Minute
)

// retryAfter is the pause after a question that did not reach the host.
var retryAfter = time.Second

// follow returns when the job is over, or nobody starts it. It bears a connection that
// breaks off. When ctx ends, it returns and the job goes on. The outcome of the job of
// that token it takes, and says whether that was still there to be taken.
func (w *witness) follow(ctx context.Context, token string, f order.Follow, show func(status string)) (there order.Job, taken bool, err error) {
	reached := time.Now()
	var last *order.Job
	for {
		var now *order.Job
		err := w.to.Talk(ctx, "follow", f, func(line []byte) (reply string, err error) {
			var event order.Event
			if err := json.Unmarshal(line, &event); err != nil {
				return "", fmt.Errorf("the worker says %q: %w", line, err)
			}
			reached = time.Now()
			switch {
			case event.Removed != nil:
				taken = *event.Removed
			case event.Job != nil && event.Job.Phase != order.None && event.Job.Token == token:
				now, last = event.Job, event.Job
				return order.Taken, nil
			case event.Job != nil:
				now = event.Job
				return "left\n", nil
			case show != nil && event.Status != "":
				show(event.Status)
			}
			return "", nil
		})
		_, ran := host.ExitCode(err)
		switch {
		case err == nil && now != nil && now.Phase == order.None && last != nil:
			return *last, true, nil // the connection broke off when its outcome had been taken
		case err == nil && now != nil:
			return *now, taken, nil
		case ctx.Err() != nil:
			return order.Job{}, false, ctx.Err()
		case ran:
			return order.Job{}, false, err
		case time.Since(reached) > patience:
			return order.Job{}, false, fmt.Errorf("host %q has been out of reach for %s; the pass may still run there, and the next apply goes on with it: %w",
				w.toName(), patience, err)
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return order.Job{}, false, ctx.Err()
		}
	}
}

func (w *witness) tell(status string) {
	if w.show != nil {
		w.show(status)
	}
}

func (w *witness) sources() string {
	var list []string
	for _, each := range w.pass.Paths {
		list = append(list, each.Source)
	}
	return strings.Join(list, ", ")
}

// claim makes what a pass of another ID has left this pass's own, whatever its
// settings: whoever started it is gone, or finds its outcome gone and runs again.
func (w *witness) claim(ctx context.Context, token string) error {
	_, id, _ := strings.Cut(token, " ")
	if id == w.pass.ID || !idForm.MatchString(id) {
		return nil
	}
	var nothing struct{}
	q := order.Claim{From: id, To: w.pass.ID}
	return errors.Join(w.to.Ask(ctx, "claim", q, &nothing), w.from.Ask(ctx, "claim", q, &nothing))
}

// dismiss keeps the key out again, also when ctx has ended: the one that this run has
// seen, or, where it has seen none, that of any pass of the chain.
func (w *witness) dismiss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var nothing struct{}
	err := w.from.Ask(ctx, "dismiss", order.Dismiss{Chain: w.plan.admit.Chain, Public: w.key}, &nothing)
	if err != nil {
		return fmt.Errorf("the key of the pass may still be let in on host %q, by the line that ends in %s; "+
			"the next apply takes it away, or do so by hand: %w", w.fromName(), w.plan.prepare.Comment, err)
	}
	return nil
}

// Forget takes away what a pass left on purpose: its log, its trash, and with the last
// pass of a chain what that has brought, and the worker. No file of users is touched. A
// pass that still runs is ended, whatever is known of it. After a pass that did not end
// well (unfinished) what it has brought and put aside stays known to the next.
//
// from is nil where the old host is retired. It returns what the user should know of
// although nothing stands in the way.
func Forget(ctx context.Context, from, to host.Host, p Pass, unfinished bool) (warnings []string, err error) {
	var old worker
	if from != nil {
		old = deploy.Where(from)
	}
	return forget(ctx, old, deploy.Where(to), p, unfinished)
}

func forget(ctx context.Context, from, to worker, p Pass, unfinished bool) (warnings []string, err error) {
	var forgotten order.Forgotten
	q := order.Forget{ID: p.ID, Unfinished: unfinished}
	if err := to.Ask(ctx, "forget", q, &forgotten); err != nil && !errors.Is(err, deploy.ErrNothing) {
		return nil, err
	}
	if len(forgotten.Ended) > 0 {
		warnings = append(warnings, fmt.Sprintf("the pass still ran on host %q and was ended; what it had copied is there", to.At().Name()))
	}
	if from == nil {
		return warnings, nil
	}
	q.Old, q.Keep = true, forgotten.Running
	if err := from.Ask(ctx, "forget", q, &forgotten); err != nil && !errors.Is(err, deploy.ErrNothing) {
		return warnings, err
	}
	return warnings, nil
}

// failure is an error with a text of its own that still is the command's.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// locks are locks by name; waiting for one ends with the context.
type locks struct {
	mu    sync.Mutex
	names map[string]chan struct{}
}

// chains: passes of a chain go one after the other.
var chains locks

func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.names == nil {
		l.names = map[string]chan struct{}{}
	}
	one, ok := l.names[name]
	if !ok {
		one = make(chan struct{}, 1)
		l.names[name] = one
	}
	l.mu.Unlock()
	select {
	case one <- struct{}{}:
		return func() { <-one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
