package rsyncpass

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/job"
)

//go:embed prepare.sh
var prepareText string

//go:embed chain.sh
var chainText string

//go:embed changes.sh
var changesText string

//go:embed progress.sh
var progressText string

//go:embed pass.sh
var passText string

//go:embed classify.awk
var classifyText string

//go:embed follow.awk
var followText string

//go:embed verdict.awk
var verdictText string

//go:embed remove.sh
var removeText string

//go:embed claim.sh
var claimText string

//go:embed forget.sh
var forgetText string

var (
	prepareScript = host.Script{Name: "rsyncpass/prepare.sh", Text: prepareText}
	passScript    = host.Script{Name: "rsyncpass/pass.sh", Text: chainText + changesText + progressText + compareText + verifyText + preflightText + passText}
	claimScript   = host.Script{Name: "rsyncpass/claim.sh", Text: claimText}
	forgetScript  = host.Script{Name: "rsyncpass/forget.sh", Text: forgetText}
)

// Run runs the pass from start to end, or sees one to its end that is under way
// and does the same. It leaves nothing but the copied files, the log, the trash
// and the chain's manifests. With an error, the result holds what was done until
// then; a repeated pass goes on from there.
//
// When ctx ends, the pass is cancelled. When this process dies or the connection
// breaks, it goes on. show, which may be nil, is told now and then how far it is.
func Run(ctx context.Context, from, to host.Host, p Pass, show func(status string)) (result Result, err error) {
	if err := p.Validate(); err != nil {
		return result, err
	}
	s, err := p.ask(ctx, from, to)
	if err != nil {
		return result, err
	}
	warnings, err := p.check(from, to, s)
	if err != nil {
		return result, err
	}
	if p.Route == Operator {
		if s.relay, err = p.openRelay(ctx, from, to, s); err != nil {
			return result, err
		}
		defer s.relay.close()
	}
	l, err := p.plan(s)
	if err != nil {
		return result, err
	}
	unlock, err := chains.lock(ctx, l.chain)
	if err != nil {
		return result, err
	}
	defer unlock()
	w := witness{pass: p, from: from, to: to, survey: s, plan: l, show: show}
	done, result, err := w.run(ctx)
	result.FromRsync, result.ToRsync, result.LogPath = s.old.rsync.version, s.new.rsync.version, LogPath(p.ID)
	result.Warnings = append(warnings, result.Warnings...)
	if done {
		err = errors.Join(err, l.dismiss(ctx, from, w.key))
	}
	if err == nil && p.MaxChanges > 0 && result.Changes > p.MaxChanges {
		err = fmt.Errorf("the pass is done, but it found %d changes since the last pass of the chain, more than max_changes allows (%d): "+
			"some service of host %q may still write. The log names the files: %s on host %q",
			result.Changes, p.MaxChanges, from.Name(), LogPath(p.ID), to.Name())
	}
	return result, err
}

// exitNoPlace is pass.sh's exit code for a pass that has not begun, because
// another resource that ended at that moment took the common directory away.
const exitNoPlace = 75

// run has the job of the chain do the pass. done is false while a job may still
// need the key.
func (w *witness) run(ctx context.Context) (done bool, result Result, err error) {
	name := w.plan.job()
	token := w.pass.digest() + " " + w.pass.ID
	started, starts := false, 0
	for {
		state, err := job.Look(ctx, w.to, name, 0, "public")
		if err != nil {
			return false, result, err
		}
		// A pass by way of another process ends when that one does.
		same := strings.HasPrefix(state.Token, w.pass.digest()+" ") && (started || w.pass.Route != Operator)
		switch state.Phase {
		case job.None:
			err = w.start(ctx)
			if errors.Is(err, job.ErrTaken) {
				continue
			}
			if err != nil {
				return true, result, err
			}
			state.Token, same, started = token, true, true
			starts++
		case job.Ended, job.Died:
			// One that nobody has waited for says little of what is there now.
			switch err := job.Remove(ctx, w.to, name, state.Token); {
			case errors.Is(err, job.ErrGone):
				continue // somebody does wait for it
			case err != nil:
				return false, result, err
			}
			if err := w.claim(ctx, state.Token); err != nil {
				return true, result, err
			}
			continue
		}
		seen := state.Token
		if same {
			state, err = w.see(ctx, state)
		} else {
			w.tell("waiting for another pass over the same paths")
			state, err = w.await(ctx)
		}
		if err != nil {
			// A pass that cannot be seen any more may still run.
			return !errors.Is(err, errOutOfSight), result, err
		}
		if state.Token != seen {
			continue // another run has its result, and the next pass may have begun
		}
		switch err := job.Remove(ctx, w.to, name, state.Token); {
		case errors.Is(err, job.ErrGone):
			continue // another one has its result
		case err != nil:
			return false, result, err
		}
		if err := w.claim(ctx, state.Token); err != nil {
			return true, result, err
		}
		if same && state.Phase == job.Ended && state.Code == exitNoPlace && starts < 5 {
			continue
		}
		// A pass that began before this run may have begun before the services
		// were stopped. For the last pass that is not good enough.
		if !same || !started && w.pass.Final {
			continue
		}
		result, err = w.outcome(state)
		return true, result, err
	}
}

// unattended is how long a pass may wait for its key to be let in, which takes
// whoever started it some seconds.
var unattended = 30 * time.Second

// await waits for the end of a pass that is not ours, and ends one that has lost
// whoever would let its key in.
func (w witness) await(ctx context.Context) (job.State, error) {
	name := w.plan.job()
	var since time.Time
	for {
		state, err := job.Follow(ctx, w.to, name, "public", nil)
		switch {
		case err != nil || state.File == "":
			return state, err
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > unattended:
			if err := job.Cancel(ctx, w.to, name, state.Token); err != nil {
				return state, err
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return state, ctx.Err()
		}
	}
}

func (w witness) remove(ctx context.Context, token string) error {
	if err := job.Remove(ctx, w.to, w.plan.job(), token); err != nil && !errors.Is(err, job.ErrGone) {
		return err
	}
	return nil
}

// claim makes what a pass of another ID has left this pass's own, whatever its
// settings: whoever started it is gone, or finds its result gone and runs again.
// Without an heir its mark and its log would stay for ever.
func (w witness) claim(ctx context.Context, token string) error {
	_, id, _ := strings.Cut(token, " ")
	if id == w.pass.ID || !idForm.MatchString(id) {
		return nil
	}
	_, err := w.to.Run(ctx, host.Sh(claimScript, id, w.pass.ID))
	return err
}

func (w witness) tell(status string) {
	if w.show != nil {
		w.show(status)
	}
}

// start makes the directories that the job may write to, and starts it.
func (w witness) start(ctx context.Context) error {
	var args []string
	for _, each := range w.pass.Paths {
		args = append(args, each.target())
	}
	answer, err := w.to.Run(ctx, host.Sh(prepareScript, args...))
	if err != nil {
		return err
	}
	targets := strings.Split(strings.TrimSuffix(string(answer.Stdout), "\n"), "\n")
	if len(targets) != len(args) {
		return fmt.Errorf("on host %q: %s did not name %d directories; it printed:\n%s", w.to.Name(), prepareScript.Name, len(args), answer.Stdout)
	}
	return job.Start(ctx, w.to, w.pass.job(w.plan, targets))
}

// errOutOfSight is the end of waiting for a job that may still run.
var errOutOfSight = errors.New("the pass goes on without being watched")

// see sees a job of ours to its end, or cancels it when ctx ends.
func (w *witness) see(ctx context.Context, state job.State) (job.State, error) {
	name, token := w.plan.job(), state.Token
	state, err := w.admitAndFollow(ctx, token)
	if err == nil {
		if key := keyOf(state.Result); key != "" {
			w.key = key
		}
		return state, nil
	}
	_, ran := host.ExitCode(err)
	if ctx.Err() == nil && !ran {
		var own *failure
		if !errors.As(err, &own) {
			return state, errors.Join(err, errOutOfSight)
		}
	}
	if failed := job.Cancel(ctx, w.to, name, token); failed != nil {
		return state, errors.Join(err, failed, errOutOfSight)
	}
	if ctx.Err() == nil {
		return state, errors.Join(err, w.remove(ctx, token))
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	err = &failure{fmt.Sprintf("the pass was cancelled while it copied %s; what it had copied is on host %q, and a repeated pass goes on from there",
		w.sources(), w.to.Name()), ctx.Err()}
	return state, errors.Join(err, w.remove(after, token))
}

func (w witness) sources() string {
	var list []string
	for _, each := range w.pass.Paths {
		list = append(list, each.Source)
	}
	return strings.Join(list, ", ")
}

// admitAndFollow lets the job's key in where it waits for that, and follows it.
func (w *witness) admitAndFollow(ctx context.Context, token string) (job.State, error) {
	name := w.plan.job()
	state, err := job.Follow(ctx, w.to, name, "public", w.progress)
	if err != nil || state.Phase != job.Running && state.Phase != job.Starting || state.File == "" {
		return state, err
	}
	public := strings.TrimSpace(state.File)
	if len(strings.Fields(public)) != 3 {
		return state, &failure{text: fmt.Sprintf("on host %q: the job %s gave no key; it gave:\n%s", w.to.Name(), name, state.File)}
	}
	w.key = strings.Fields(public)[1]
	if err := w.plan.admit(ctx, w.from, public); err != nil {
		return state, &failure{err.Error(), err}
	}
	if err := job.Put(ctx, w.to, name, token, "go", "go\n"); err != nil && !errors.Is(err, job.ErrGone) {
		return state, err
	}
	return job.Follow(ctx, w.to, name, "", w.progress)
}

func (w witness) progress(state job.State) {
	if state.Status != "" {
		w.tell(state.Status)
	}
}

// Forget takes away what a pass left on the new host on purpose: its log, its
// trash, and the half-transferred files of one that broke off. No whole file is
// touched. The chain's manifests go with the pass when it is the last to know of
// them. After a pass that did not end well (unfinished), it also ends what of
// that still runs, and looks for what it left on the old host; only then it
// needs from. What such a pass has brought and put aside stays known to the next:
// see forget.sh.
func Forget(ctx context.Context, from, to host.Host, p Pass, unfinished bool) error {
	if unfinished {
		there, err := from.Identity(ctx)
		if err != nil {
			return err
		}
		here, err := to.Identity(ctx)
		if err != nil {
			return err
		}
		l := plan{chain: p.chain(endpoint(there), endpoint(here))}
		l.comment = "cutover-pass-" + l.chain
		if err := l.endJob(ctx, from, to, p.ID); err != nil {
			return err
		}
	}
	args := []string{p.ID, "finished"}
	if unfinished {
		args[1] = "unfinished"
	}
	for _, each := range p.Paths {
		args = append(args, each.target())
	}
	_, err := to.Run(ctx, host.Sh(forgetScript, args...))
	return err
}

// endJob ends the job of a pass that nobody waits for, unless another pass of
// the chain is under way.
func (l plan) endJob(ctx context.Context, from, to host.Host, id string) error {
	state, err := job.Look(ctx, to, l.job(), 0, "")
	if err != nil {
		return err
	}
	if _, owner, _ := strings.Cut(state.Token, " "); state.Phase != job.None && owner != id && state.Token != "" {
		return nil
	}
	if state.Phase != job.None {
		if err := job.Cancel(ctx, to, l.job(), state.Token); err != nil {
			return err
		}
		if err := job.Remove(ctx, to, l.job(), state.Token); err != nil && !errors.Is(err, job.ErrGone) {
			return err
		}
	}
	return l.dismiss(ctx, from, "")
}
