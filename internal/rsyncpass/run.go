package rsyncpass

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed pull.sh
var pullText string

//go:embed forget.sh
var forgetText string

var (
	pullScript   = host.Script{Name: "rsyncpass/pull.sh", Text: pullText}
	forgetScript = host.Script{Name: "rsyncpass/forget.sh", Text: forgetText}
)

// Run runs the pass from start to end and leaves nothing but the copied files
// and the log. With an error, the result holds what was done until then; a
// repeated pass goes on from there.
func Run(ctx context.Context, from, to host.Host, p Pass) (result Result, err error) {
	if err := p.Validate(); err != nil {
		return result, err
	}
	s, err := p.ask(ctx, from, to)
	if err != nil {
		return result, err
	}
	result.FromRsync, result.ToRsync, result.LogPath = s.old.rsync.version, s.new.rsync.version, LogPath(p.ID)
	if result.Warnings, err = p.check(ctx, from, to, s); err != nil {
		return result, err
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
	defer func() {
		if failed := l.cleanUp(ctx, from, to); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	dir, public, err := p.prepare(ctx, to, l)
	if err != nil {
		return result, err
	}
	if err := l.admit(ctx, from, public); err != nil {
		return result, err
	}
	w := witness{pass: p, from: from, to: to, survey: s, plan: l}
	if err := w.hello(ctx, dir); err != nil {
		return result, err
	}
	return w.pullAll(ctx, dir, result)
}

// hello goes the whole way to the old host once without copying anything, so
// that what is wrong with the way is said as such.
func (w witness) hello(ctx context.Context, dir string) error {
	answer, err := w.to.Run(ctx, host.Exec("ssh", "-F", dir+"/ssh_config", oldAlias, "cutover-hello"))
	if err != nil {
		return w.unreachable(err)
	}
	if got := strings.TrimSpace(string(answer.Stdout)); got != "cutover-pass is ready" {
		return fmt.Errorf("host %q prints something of its own when %q logs in, which rsync cannot bear; "+
			"look into the start files of its shell (~/.bashrc and the like). It printed:\n%s", w.from.Name(), w.plan.login.user, got)
	}
	return nil
}

// pullAll copies the paths one after the other. It goes on after a path of
// which a part could not be copied, and stops where the way itself is broken.
func (w witness) pullAll(ctx context.Context, dir string, result Result) (Result, error) {
	var failed []error
	for i, each := range w.pass.Paths {
		each.Target = each.target()
		cmd := host.Sh(pullScript, w.plan.forPath(dir, i, each.Target)...)
		answer, err := w.to.Run(ctx, cmd)

		done := PathResult{Path: each}
		done.Stats, done.Started, done.Finished = parseRun(answer.Stdout)
		if !done.Started.IsZero() {
			result.Paths = append(result.Paths, done)
			result.Total = result.Total.plus(done.Stats)
			result.Finished = done.Finished
			if result.Started.IsZero() {
				result.Started = done.Started
			}
		}
		verdict := w.judge(ctx, i, err)
		result.Vanished += verdict.vanished
		result.Warnings = append(result.Warnings, verdict.warnings...)
		if verdict.err != nil {
			failed = append(failed, verdict.err)
		}
		if verdict.stop {
			break
		}
	}
	return result, errors.Join(failed...)
}

// Forget takes away what a pass left on the new host on purpose: its log, and
// the half-transferred files of one that broke off. No whole file is touched.
// After a pass that did not end well (unfinished), it also looks for what that
// may have left on either host when it was cut off; only then it needs from.
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
		if err := l.cleanUp(ctx, from, to); err != nil {
			return err
		}
	}
	args := []string{LogPath(p.ID)}
	for _, each := range p.Paths {
		args = append(args, each.target())
	}
	_, err := to.Run(ctx, host.Sh(forgetScript, args...))
	return err
}

// measureTime bounds the search for the size of what did not fit.
const measureTime = 2 * time.Minute
