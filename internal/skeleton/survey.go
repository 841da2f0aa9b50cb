package skeleton

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/batch"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// fresh is how long a survey answers. It spans the reads of a refresh, and is
// short enough for an apply of hours to see the host.
const fresh = 30 * time.Second

// surveys look at all homes of a host that skeletons were made in, in one round
// trip: Terraform asks for a few at a time, and does not say how many will come.
type surveys struct {
	host  host.Host
	now   func() time.Time
	queue *batch.Queue[struct{}, survey]

	mu      sync.Mutex
	changed int // counts changes, so that a survey begun before one is not kept
	last    survey
	takenAt time.Time
}

// survey is what was found, by user and home.
type survey map[place]answer

// place is a home as a resource names it: "" is the home of the account.
type place struct{ user, home string }

func (s *surveys) init(h host.Host) {
	s.host, s.now = h, time.Now
	s.queue = batch.New(window, 0, s.take)
}

// look returns what a survey says of entries of a home. found is false where it
// does not know them all: a skeleton that was never made to its end, say.
func (s *surveys) look(ctx context.Context, user, home string, paths []string) (a answer, found bool, err error) {
	last := s.kept()
	if last == nil {
		if last, err = s.queue.Do(ctx, struct{}{}); err != nil {
			return answer{}, false, err
		}
	}
	a, found = last[place{user, home}]
	for _, name := range paths {
		if _, known := a.Entries[name]; !known && a.HasHome && a.err == nil {
			return answer{}, false, nil
		}
	}
	return a, found, nil
}

// kept returns the last survey where it is fresh, else nil.
func (s *surveys) kept() survey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.takenAt) >= fresh {
		return nil
	}
	return s.last
}

// forget drops what was found before a change.
func (s *surveys) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed++
	s.last = nil
}

func (s *surveys) take(ctx context.Context, waiting []struct{}) ([]survey, error) {
	if last := s.kept(); last != nil { // taken while these waited
		return slices.Repeat([]survey{last}, len(waiting)), nil
	}
	s.mu.Lock()
	changed, started := s.changed, s.now()
	s.mu.Unlock()
	result, err := s.host.Run(ctx, host.Sh(surveyScript))
	if err != nil {
		return nil, err
	}
	taken, err := parseSurvey(s.host.Name(), string(result.Stdout))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == changed {
		s.last, s.takenAt = taken, started
	}
	return slices.Repeat([]survey{taken}, len(waiting)), nil
}

// parseSurvey reads what skeleton/survey.sh prints: blocks as parse reads them,
// in any order, and "over".
func parseSurvey(hostName, out string) (survey, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	taken := survey{}
	for len(lines) > 1 {
		f := strings.SplitN(lines[0], " ", 4)
		if len(f) != 4 || f[0] != "begin" {
			return nil, fmt.Errorf("on host %q: the survey of homes has the unexpected line %q", hostName, lines[0])
		}
		end := slices.Index(lines, "end "+f[1])
		if end < 0 {
			return nil, fmt.Errorf("on host %q: the survey of homes broke off at the home of %s", hostName, f[2])
		}
		a, err := parseBlock(hostName, f[2], lines[1:end])
		if err != nil {
			return nil, err
		}
		if f[3] == none {
			f[3] = ""
		}
		taken[place{f[2], f[3]}] = a
		lines = lines[end+1:]
	}
	if len(lines) != 1 || lines[0] != "over" {
		return nil, fmt.Errorf("on host %q: the survey of homes broke off after %d bytes", hostName, len(out))
	}
	return taken, nil
}
