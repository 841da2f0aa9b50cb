package service

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/batch"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed systemd.sh
	systemdText string
	//go:embed sysv.sh
	sysvText string
	//go:embed openrc.sh
	openrcText string
	//go:embed detect.sh
	detectText string
	//go:embed read.sh
	readText string
	//go:embed drain.sh
	drainText string
	//go:embed set.sh
	setText string
)

var (
	kindsText  = strings.Join([]string{systemdText, sysvText, openrcText, detectText}, "\n")
	readScript = host.Script{Name: "service/read.sh", Text: kindsText + "\n" + readText}
	setScript  = host.Script{Name: "service/set.sh", Text: kindsText + "\n" + drainText + "\n" + setText}
)

const (
	// window is how long the first of several reads waits for the others.
	window = 10 * time.Millisecond
	// patience is how long a service may take to start or to stop after its
	// init has said that it did.
	patience = 60 * time.Second
)

// Services is the services of one host. Reads of the same moment share one
// round trip. Its methods may be called from several goroutines at once.
type Services struct {
	host  host.Host
	reads *batch.Queue[string, reading]
}

type reading struct {
	state State
	err   error
}

// NewServices returns the services of h. Nothing is asked before it is needed.
func NewServices(h host.Host) *Services {
	s := &Services{host: h}
	s.reads = batch.New(window, 0, s.read)
	return s
}

// Read returns what a service is doing. The error of a service that the host
// does not have is an *UnknownError.
func (s *Services) Read(ctx context.Context, name string) (State, error) {
	if err := CheckName(name); err != nil {
		return State{}, err
	}
	r, err := s.reads.Do(ctx, name)
	if err != nil {
		return State{}, err
	}
	return r.state, r.err
}

func (s *Services) read(ctx context.Context, names []string) ([]reading, error) {
	cmd := host.Sh(readScript)
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	result, err := s.host.Run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	states, problems, err := parseStates(s.host.Name(), string(result.Stdout), names)
	if err != nil {
		return nil, err
	}
	readings := make([]reading, len(names))
	for i := range readings {
		readings[i] = reading{states[i], problems[i]}
	}
	return readings, nil
}

// Set brings a service to what w wants, waits until it is so, and returns what
// it is then. The error of a service that the host does not have is an
// *UnknownError; that of one that does not start or stop has its last words.
func (s *Services) Set(ctx context.Context, name string, w Want) (State, error) {
	if err := CheckName(name); err != nil {
		return State{}, err
	}
	restart := none
	if w.Restart {
		restart = "yes"
	}
	drain := none
	if w.Drain {
		drain = "yes"
	}
	result, err := s.host.Run(ctx, host.Sh(setScript,
		name, yesOrNo(w.Running), yesOrNo(w.Enabled), restart, strconv.Itoa(int(patience.Seconds())),
		w.units(w.Running, func(t Trigger) bool { return t.Active }),
		w.units(w.Enabled, func(t Trigger) bool { return t.Enabled }),
		drain, w.memory(),
	))
	if err != nil {
		return State{}, err
	}
	states, problems, err := parseStates(s.host.Name(), string(result.Stdout), []string{name})
	if err != nil {
		return State{}, err
	}
	return states[0], problems[0]
}

// none stands for "as it is".
const none = "-"

func yesOrNo(wanted *bool) string {
	switch {
	case wanted == nil:
		return none
	case *wanted:
		return "yes"
	}
	return "no"
}

// units lists the triggers that come along with one side of the wish.
func (w Want) units(side *bool, pick func(Trigger) bool) string {
	var picked []string
	for _, trigger := range w.Triggers {
		if side != nil && (*side || w.Restore) && pick(trigger) {
			picked = append(picked, trigger.Unit)
		}
	}
	if len(picked) == 0 {
		return none
	}
	return strings.Join(picked, ",")
}
