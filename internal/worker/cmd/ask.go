//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/chain"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/job"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/key"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/pass"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/sshd"
)

// asker answers a question: JSON on standard input, JSON on standard output.
type asker func(ctx context.Context, stdin io.Reader, stdout io.Writer) error

// questions are what the provider asks; see the package order.
var questions = map[string]asker{
	"survey-old": answering(surveyOld),
	"survey-new": answering(surveyNew),
	"prepare":    answering(prepare),
	"follow":     follow,
	"cancel":     answering(cancelJob),
	"remove":     answering(removeJob),
	"admit":      answering(admit),
	"dismiss":    answering(dismiss),
	"claim":      answering(claim),
	"forget":     answering(forget),
	"brought":    answering(brought),
}

// state is where this host keeps what belongs to passes.
var state = chain.State{Dir: order.State, Sweep: pass.Sweep}

func answering[Q, A any](answer func(context.Context, Q) (A, error)) asker {
	return func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		var question Q
		if err := read(stdin, &question); err != nil {
			return err
		}
		answered, err := answer(ctx, question)
		if err != nil {
			return err
		}
		text, err := json.Marshal(answered)
		if err != nil {
			return err
		}
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(order.Answer{Worker: program, Answer: text})
	}
}

// read reads a question. What this worker does not know in it is an error.
func read(stdin io.Reader, question any) error {
	decoder := json.NewDecoder(stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(question); err != nil {
		return fmt.Errorf("the question on standard input: %w", err)
	}
	return nil
}

func surveyOld(ctx context.Context, q order.OldQuestion) (order.OldAnswer, error) {
	facts, err := sshd.Ask(ctx, sshd.Asked{User: q.User, Become: q.Become, Client: q.Client})
	if err != nil {
		return order.OldAnswer{}, err
	}
	answer := order.OldAnswer{
		OS: sshd.OS(), PermitRootLogin: facts.PermitRootLogin, HostKeys: facts.HostKeys, Listening: facts.Listening,
		Paths: directories(q.Paths),
	}
	if l := facts.Login; l != nil {
		answer.Login = &order.Login{User: l.User, Become: l.Become, Home: l.Home, Keys: l.Keys}
	}
	return answer, nil
}

func surveyNew(_ context.Context, q order.NewQuestion) (order.NewAnswer, error) {
	addresses, err := sshd.Addresses()
	if err != nil {
		return order.NewAnswer{}, err
	}
	host, err := job.Here()
	if err != nil {
		return order.NewAnswer{}, err
	}
	there, err := host.Look(q.Job)
	if err != nil {
		return order.NewAnswer{}, err
	}
	return order.NewAnswer{
		OS: sshd.OS(), Missing: sshd.Programs("ssh"), Addresses: addresses, Paths: directories(q.Targets), Job: there,
	}, nil
}

// directories says what is at paths.
func directories(paths []string) []order.Directory {
	var answers []order.Directory
	for _, path := range paths {
		d := order.Directory{Kind: order.KindMissing}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			d.Kind = order.KindDirectory
		} else if _, err := os.Lstat(path); err == nil {
			d.Kind = order.KindOther
		}
		// A directory that is missing is its nearest one that exists.
		for at := path; ; at = filepath.Dir(at) {
			real, err := filepath.EvalSymlinks(at)
			if err != nil {
				if at == "/" {
					break
				}
				continue
			}
			if info, err := os.Stat(real); err == nil && info.IsDir() {
				d.Real = real
				break
			}
		}
		answers = append(answers, d)
	}
	return answers
}

func prepare(ctx context.Context, q order.Prepare) (answer order.Prepared, err error) {
	host, err := job.Here()
	if err != nil {
		return answer, err
	}
	err = state.Locked(func() (err error) {
		if err := stays(); err != nil {
			return err
		}
		if q.Pass.Preview {
			answer, err = host.Prepare(ctx, q)
			return err
		}
		if err := state.Mark(q.Chain, q.ID, q.BackOf); err != nil {
			return err
		}
		if answer, err = host.Prepare(ctx, q); err != nil || answer.Taken {
			return err
		}
		answer.Claimed, err = claimLost(host, q.Chain, q.ID)
		return err
	})
	return answer, err
}

// claimLost gives a pass what others of its chain have left that nobody will ask for:
// they had begun, and there is no job of theirs, for the host was restarted.
func claimLost(host job.Host, name, id string) (claimed []string, err error) {
	begun, err := state.Begun(name)
	if err != nil {
		return nil, err
	}
	for _, other := range begun {
		if there, err := jobOf(host, other); err != nil || there || other == id {
			if err != nil {
				return claimed, err
			}
			continue
		}
		if err := state.Claim(other, id); err != nil {
			return claimed, err
		}
		claimed = append(claimed, other)
	}
	return claimed, nil
}

// jobOf says whether there is a job of a pass.
func jobOf(host job.Host, id string) (bool, error) {
	names, err := host.Jobs()
	if err != nil {
		return false, err
	}
	for _, name := range names {
		there, err := host.Look(name)
		if err != nil {
			return false, err
		}
		if _, of, _ := strings.Cut(there.Token, " "); of == id && there.Phase != order.None {
			return true, nil
		}
	}
	return false, nil
}

// done notes that somebody has the outcome of a job, which is gone now. After a preview
// there may be no chain that the worker is still needed for.
func done(token string) error {
	_, id, _ := strings.Cut(token, " ")
	return state.Locked(func() error { return errors.Join(state.Done(id), state.Tidy()) })
}

func follow(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	// Behind the question comes later whether the outcome is taken.
	heard := bufio.NewReader(stdin)
	text, err := heard.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var q order.Follow
	if err := read(bytes.NewReader(text), &q); err != nil {
		return err
	}
	host, err := job.Here()
	if err != nil {
		return err
	}
	lines := json.NewEncoder(stdout)
	token := ""
	return host.Follow(ctx, q, func(e order.Event) (taken bool, err error) {
		if e.Removed != nil && *e.Removed {
			if err := done(token); err != nil {
				return false, err
			}
		}
		if err := lines.Encode(e); err != nil || e.Job == nil {
			return false, err
		}
		token = e.Job.Token
		line, err := heard.ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line == order.Taken, err
	})
}

func cancelJob(_ context.Context, q order.EndJob) (order.EndedJob, error) {
	host, err := job.Here()
	if err != nil {
		return order.EndedJob{}, err
	}
	was, err := host.Cancel(q.Job, q.Token, time.Duration(q.Grace)*time.Second)
	return order.EndedJob{Was: was}, err
}

func removeJob(_ context.Context, q order.EndJob) (order.EndedJob, error) {
	host, err := job.Here()
	if err != nil {
		return order.EndedJob{}, err
	}
	was, err := host.Remove(q.Job, q.Token)
	if err != nil {
		return order.EndedJob{}, err
	}
	if !was {
		return order.EndedJob{}, nil
	}
	return order.EndedJob{Was: true}, done(q.Token)
}

type nothing struct{}

func admit(_ context.Context, q order.Admit) (nothing, error) {
	until := time.Now().Add(time.Duration(q.Seconds) * time.Second)
	if !q.Passing {
		if err := state.Locked(func() error { return state.Mark(q.Chain, q.ID, q.BackOf) }); err != nil {
			return nothing{}, err
		}
	}
	options, err := keyOptions(q, until)
	if err != nil {
		return nothing{}, err
	}
	keeper := key.Keeper{Base: order.State}
	err = keeper.Admit(key.Admission{
		Chain: q.Chain, User: q.Login.User, Home: q.Login.Home, File: q.Login.Keys, Options: options, Public: q.Public, Until: until,
	})
	if err != nil {
		return nothing{}, err
	}
	if err := state.SetServed(q.Chain, chain.Serves{Paths: q.Paths, Until: until, Lends: q.Lends}); err != nil {
		return nothing{}, err
	}
	// From now on nobody takes it away, and to do all this again changes nothing.
	return nothing{}, stays()
}

// keyOptions are those of the key's line: what sshd(8) has under AUTHORIZED_KEYS FILE
// FORMAT. "restrict" is known since OpenSSH 7.2, "expiry-time" since 7.7 (its release
// notes).
func keyOptions(q order.Admit, until time.Time) (string, error) {
	list := []string{"restrict"}
	if !q.Restrict {
		list = []string{"no-pty", "no-port-forwarding", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc"}
	}
	list = append(list, `from="`+strings.Join(q.From, ",")+`"`)
	if q.Expire {
		// In this host's own time zone: sshd takes UTC only since 9.1.
		list = append(list, `expiry-time="`+until.Local().Format("20060102150405")+`"`)
	}
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	command := []string{"exec", program, "serve", q.Chain}
	switch q.Login.Become {
	case "":
	case "sudo", "doas":
		command = slices.Insert(command, 1, q.Login.Become, "-n")
	default:
		return "", fmt.Errorf("%q is no way to become root", q.Login.Become)
	}
	return strings.Join(append(list, `command="`+strings.Join(command, " ")+`"`), ","), nil
}

func dismiss(_ context.Context, q order.Dismiss) (nothing, error) {
	return nothing{}, dismissKey(q.Chain, q.Public)
}

func dismissKey(name, public string) error {
	keeper := key.Keeper{Base: order.State}
	if err := keeper.Dismiss(name, public); err != nil {
		return err
	}
	// After a preview there may be no chain that the worker is still needed for.
	return state.Locked(state.Tidy)
}

// claim leaves a pass that has begun again its own: it has no need of an heir.
func claim(_ context.Context, q order.Claim) (nothing, error) {
	host, err := job.Here()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, state.Locked(func() error {
		if there, err := jobOf(host, q.From); err != nil || there {
			return err
		}
		return state.Claim(q.From, q.To)
	})
}

// graceOfForgotten is how long a pass that is forgotten may take to end.
const graceOfForgotten = 20 * time.Second

func forget(_ context.Context, q order.Forget) (order.Forgotten, error) {
	var answer order.Forgotten
	if q.Old {
		marked, err := state.Marked(q.ID)
		if err != nil {
			return answer, err
		}
		for _, each := range marked {
			if !slices.Contains(q.Keep, each) {
				if err := dismissKey(each, ""); err != nil {
					return answer, err
				}
			}
		}
		return answer, state.Locked(func() error { return state.Forget(q.ID, false) })
	}
	host, err := job.Here()
	if err != nil {
		return answer, err
	}
	names, err := host.Jobs()
	if err != nil {
		return answer, err
	}
	for _, name := range names {
		there, err := host.Look(name)
		if err != nil {
			return answer, err
		}
		if _, id, _ := strings.Cut(there.Token, " "); id != q.ID {
			if there.Phase.Alive() {
				answer.Running = append(answer.Running, strings.TrimPrefix(name, "pass-"))
			}
			continue
		}
		if there.Phase.Alive() {
			answer.Ended = append(answer.Ended, name)
		}
		if _, err := host.Cancel(name, there.Token, graceOfForgotten); err != nil {
			return answer, err
		}
		if _, err := host.Remove(name, there.Token); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return answer, err
		}
	}
	return answer, state.Locked(func() error { return state.Forget(q.ID, q.Unfinished) })
}
