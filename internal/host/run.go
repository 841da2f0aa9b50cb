package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Run runs a command on the host; see Host.
func (h *remote) Run(ctx context.Context, cmd Command) (Result, error) {
	argv, err := cmd.words()
	if err != nil {
		return Result{}, fmt.Errorf("host %q: %w", h.cfg.Name, err)
	}
	h.pool.commands.Add(1)
	var stdout bytes.Buffer
	var stderr headTail
	t := task{argv: argv, stdin: cmd.Stdin, stdout: &stdout, stderr: &stderr}
	if cmd.Stdout != nil {
		t.stdout = cmd.Stdout
	}
	began := time.Now()
	err = h.withLink(ctx, func(l *link) error {
		p, err := l.launch(ctx, t)
		if err != nil {
			return err
		}
		return l.target.finish(ctx, p, cmd.String())
	})
	result := Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit *ExitError
	if errors.As(err, &exit) {
		exit.Stderr = string(result.Stderr)
	}
	fields := map[string]any{"command": cmd.String(), "duration": time.Since(began).String()}
	if err != nil {
		fields["error"] = err.Error()
	}
	h.cfg.log(ctx, "ran a command", fields)
	return result, h.named(err, "run "+cmd.String())
}

// named makes sure that an error names the host and what was being done.
func (h *remote) named(err error, what string) error {
	var exit *ExitError
	var sent *runError
	var become *becomeError
	var connect *connectError
	if err == nil || errors.As(err, &exit) || errors.As(err, &sent) || errors.As(err, &become) || errors.As(err, &connect) {
		return err
	}
	return fmt.Errorf("on host %q: unable to %s: %w", h.cfg.Name, what, err)
}

// runError is a command that was sent and of which no exit status came.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// finish waits for a process, or ends it when ctx does, and says how it ended.
func (t *target) finish(ctx context.Context, p *process, what string) error {
	defer p.close()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		p.wait()
	}()
	var why error
	select {
	case <-finished:
		select {
		case why = <-p.broken: // the output ended because nobody took it
		default:
			return t.outcome(p, what)
		}
		return &runError{fmt.Errorf("on host %q: %s: %w", t.Name, what, why)}
	case why = <-p.broken:
	case <-ctx.Done():
		why = ctx.Err()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(why, cause) {
			why = fmt.Errorf("%w (%w)", why, cause)
		}
	}
	if err := p.end(context.WithoutCancel(ctx), finished); err != nil {
		return &runError{fmt.Errorf("on host %q: %s was given up: %w; whether it has ended on the host is not known (%w)", t.Name, what, why, err)}
	}
	return &runError{fmt.Errorf("on host %q: %s was ended: %w", t.Name, what, why)}
}

// outcome is the error of a process that is over.
func (t *target) outcome(p *process, what string) error {
	begun, said := p.err.state()
	s := p.main
	switch {
	case !s.reported && p.link.gone():
		return &runError{fmt.Errorf("on host %q: the connection was lost while %s ran; how it ended is not known", t.Name, what)}
	case !s.reported && begun:
		return &runError{fmt.Errorf("on host %q: sshd closed the session of %s without an exit status; how it ended is not known", t.Name, what)}
	case !begun:
		how := "exit code " + strconv.Itoa(int(s.status))
		if s.signal != "" {
			how = "signal " + s.signal
		} else if !s.reported {
			how = "no exit status"
		}
		_, printed := p.out.state()
		return t.refusal(p.rights, printed+said, how)
	case s.signal != "":
		return &ExitError{Host: t.Name, Command: what, Signal: s.signal}
	case s.status != 0:
		return &ExitError{Host: t.Name, Command: what, Code: int(s.status)}
	}
	return nil
}

// endGrace is how long a command may take to end when it is asked to.
const endGrace = 5 * time.Second

// end ends the process and its children on the host. finished is closed when
// its session is over.
func (p *process) end(ctx context.Context, finished <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, p.link.target.timeout()+endGrace)
	defer cancel()
	begin := time.NewTimer(beginTimeout)
	defer begin.Stop()
	select {
	case <-p.begun:
	case <-finished:
		return p.lostTouch()
	case <-begin.C:
		p.main.ch.Close()
		return errors.New("it had not begun, and its session was closed")
	}
	kill := task{
		argv:   []string{"sh", "-c", endScript, "cutover-end", strconv.Itoa(p.group), strconv.Itoa(int(endGrace / (100 * time.Millisecond)))},
		stdout: io.Discard, stderr: io.Discard, rights: &p.rights, spare: true,
	}
	killer, err := p.link.launch(ctx, kill)
	if err != nil && !p.link.lost() {
		// No session is free: a connection of its own.
		var other *link
		if other, err = connect(ctx, p.link.target); err == nil {
			defer other.close()
			killer, err = other.launch(ctx, kill)
		}
	}
	if err == nil {
		err = p.link.target.finish(ctx, killer, "ending the command")
	}
	if err != nil {
		p.main.kill("TERM")
		p.main.ch.Close()
		return errors.Join(p.lostTouch(), err)
	}
	select {
	case <-finished:
	case <-time.After(endGrace): // killed, but something holds its output
	}
	return nil
}

// lostTouch is an error where the connection has gone and the command with it
// out of sight.
func (p *process) lostTouch() error {
	if !p.main.reported && p.link.gone() {
		return errLinkLost
	}
	return nil
}
