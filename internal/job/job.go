// Package job runs scripts on a host that go on when the connection to it has
// gone, and Terraform with it: they are started, followed by polling, taken
// over by another run that comes later, cancelled, and leave a result that one
// reader gets.
//
// On a host with systemd a job is a transient unit cutover-NAME.service, else a
// session of its own (setsid). What it needs and leaves is in
// /run/cutover/job-NAME, which is also its lock: of one name there is one job at
// a time, whoever starts it.
//
// It may import internal/host and internal/sh and nothing else of this module.
package job

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed start.sh
var startText string

//go:embed runner.sh
var runnerText string

//go:embed job.sh
var jobText string

var (
	startScript = host.Script{Name: "job/start.sh", Text: startText}
	jobScript   = host.Script{Name: "job/job.sh", Text: jobText}
)

// Spec is a job to be started.
type Spec struct {
	Name  string // lower-case letters, digits and '-'
	Token string // one line that tells this job from others of the name, and what it is for

	// Script runs with the job's directory as $1, with LC_ALL=C and without
	// input. It may write the files "status" (one line, replaced as a whole) and
	// "result" there. Ended by SIGTERM, it cleans up and exits.
	Script host.Script
	Files  map[string]string // further files of the directory

	// Writable are the only directories that the job can change, beside its own,
	// where the host's systemd can hold it to that. None is no such limit.
	Writable []string
}

// Phase is where a job is.
type Phase string

// The phases of a job, in their order. A job that died was killed or the host
// was: it has no exit code.
const (
	None     Phase = "none"
	Starting Phase = "starting"
	Running  Phase = "running"
	Ended    Phase = "ended"
	Died     Phase = "died"
)

// State is what a host says of a job.
type State struct {
	Phase  Phase
	Token  string
	Code   int    // the script's exit code, when it has ended
	Status string // what the job says of itself
	File   string // content of the file that was waited for
	Result string // when it has ended or died
	Errors string // likewise: the end of its stderr
}

// ErrTaken is the error of Start when there is a job of that name.
var ErrTaken = errors.New("a job of this name is there already")

// ErrGone is the error of Remove and Put when the job is not there, or not the
// one that was meant.
var ErrGone = errors.New("the job is gone")

// Exit codes of job.sh and start.sh.
const (
	exitGone  = 3
	exitTaken = 75
)

// Start starts a job and returns when it runs.
func Start(ctx context.Context, h host.Host, s Spec) error {
	confined := "free"
	if len(s.Writable) > 0 {
		confined = "confined"
	}
	args := []string{s.Name, s.Token, runnerText, confined, strconv.Itoa(len(s.Writable))}
	args = append(args, s.Writable...)
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		args = append(args, name, s.Files[name])
	}
	cmd := host.Sh(startScript, args...)
	cmd.Stdin = strings.NewReader(s.Script.Text)
	_, err := h.Run(ctx, cmd)
	if code, ok := host.ExitCode(err); ok && code == exitTaken {
		return ErrTaken
	}
	return err
}

// Look asks how a job is getting on. It waits for the job's end, or for its
// file awaited ("" for none), but not longer than wait.
func Look(ctx context.Context, h host.Host, name string, wait time.Duration, awaited string) (State, error) {
	answer, err := h.Run(ctx, host.Sh(jobScript, "look", name, strconv.Itoa(int(wait/time.Second)), awaited))
	if err != nil {
		return State{}, err
	}
	var s State
	for line := range strings.Lines(string(answer.Stdout)) {
		what, value, _ := strings.Cut(line, " ")
		line := strings.TrimSuffix(value, "\n")
		switch what {
		case "phase":
			s.Phase = Phase(line)
		case "token":
			s.Token = line
		case "code":
			if s.Code, err = strconv.Atoi(line); err != nil {
				return s, fmt.Errorf("on host %q: the job %s ended with the exit code %q", h.Name(), name, line)
			}
		case "status":
			s.Status = line
		case "file":
			s.File += value
		case "result":
			s.Result += value
		case "error":
			s.Errors += value
		}
	}
	if s.Phase == "" {
		return s, fmt.Errorf("on host %q: %s did not say where the job %s is; it printed:\n%s", h.Name(), jobScript.Name, name, answer.Stdout)
	}
	return s, nil
}

const (
	// glance is how long the host holds back its answer while a job runs.
	glance = 5 * time.Second
	// patience is how long a host may be out of reach while a job is followed.
	patience = 10 * time.Minute
)

// retryAfter is the pause after a question that did not reach the host.
var retryAfter = time.Second

// Follow returns when the job is no longer under way, or has the file awaited.
// It bears a connection that breaks off; show is told the job's status now and
// then and may be nil. When ctx ends, it returns and the job goes on.
func Follow(ctx context.Context, h host.Host, name, awaited string, show func(State)) (State, error) {
	reached := time.Now()
	for {
		s, err := Look(ctx, h, name, glance, awaited)
		_, ran := host.ExitCode(err)
		switch {
		case err == nil:
			reached = time.Now()
			if s.Phase != Starting && s.Phase != Running || s.File != "" {
				return s, nil
			}
			if show != nil {
				show(s)
			}
			continue
		case ctx.Err() != nil:
			return s, ctx.Err()
		case ran:
			return s, err
		case time.Since(reached) > patience:
			return s, fmt.Errorf("host %q has been out of reach for %s; the job %s may still run there, and the next apply goes on with it: %w",
				h.Name(), patience, name, err)
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// grace is how long a cancelled job may clean up.
const grace = 20 * time.Second

// Cancel ends a job that has this token, if it runs, also when ctx has ended.
// The next Look says what it has left.
func Cancel(ctx context.Context, h host.Host, name, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*grace)
	defer cancel()
	_, err := h.Run(ctx, host.Sh(jobScript, "cancel", name, token, strconv.Itoa(int(grace/time.Second))))
	return err
}

// Remove forgets a job that has ended or died. Of several callers one has no
// error, the others ErrGone: the job's result belongs to the one.
func Remove(ctx context.Context, h host.Host, name, token string) error {
	_, err := h.Run(ctx, host.Sh(jobScript, "remove", name, token))
	return gone(err)
}

// Put gives a running job a file.
func Put(ctx context.Context, h host.Host, name, token, file, content string) error {
	cmd := host.Sh(jobScript, "put", name, token, file)
	cmd.Stdin = strings.NewReader(content)
	_, err := h.Run(ctx, cmd)
	return gone(err)
}

func gone(err error) error {
	if code, ok := host.ExitCode(err); ok && code == exitGone {
		return ErrGone
	}
	return err
}
