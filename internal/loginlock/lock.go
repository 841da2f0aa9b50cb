package loginlock

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed change.sh
	changeText string
	//go:embed sessions.sh
	sessionsText string
)

var (
	changeScript   = host.Script{Name: "loginlock/change.sh", Text: host.SSHDSettings + changeText}
	sessionsScript = host.Script{Name: "loginlock/sessions.sh", Text: sessionsText}
)

// Exit codes of change.sh.
const (
	exitRefused = 10
	exitNoForce = 11
	exitPutBack = 12
	exitChanged = 13
)

// ErrUnsure marks an error after which the lock may be there or not.
var ErrUnsure = errors.New("it is not known what of the lock is in force: apply again")

// desired is what the files are to hold: with the lock where on is set, without
// it otherwise. nil stands for no file. Files that need no change are in it too.
func (s Spec) desired(f facts, on bool) (map[string]*string, error) {
	want := map[string]*string{}
	without, err := s.withoutBlocks(f.files[sshdConfig])
	if err != nil {
		return nil, fmt.Errorf("%s was changed by hand: %w; mend or remove that block", sshdConfig, err)
	}
	config := without
	want[s.dropIn()], want[s.messageFile()] = nil, nil
	if on {
		if includes(without, s.dropIn()) {
			text := s.dropInText()
			want[s.dropIn()] = &text
		} else if config, err = s.withBlocks(f.files[sshdConfig]); err != nil {
			return nil, err
		}
		if s.Message != "" {
			text := s.messageText()
			want[s.messageFile()] = &text
		}
	}
	want[sshdConfig] = &config
	var people []string
	if on {
		people = s.people(f)
	}
	for _, list := range f.deny {
		var is *string
		if content, there := f.files[list]; there {
			is = &content
		}
		if want[list], err = denied(is, s.Name, people); err != nil {
			return nil, fmt.Errorf("%s was changed by hand: %w; mend or remove that block", list, err)
		}
	}
	for _, list := range f.allow {
		if content, there := f.files[list]; there {
			text := allowed(content, s.Name, people)
			want[list] = &text
		}
	}
	return want, nil
}

// differing are the paths whose files are not as wanted.
func differing(f facts, want map[string]*string) []string {
	var paths []string
	for path, text := range want {
		is, there := f.files[path]
		if there != (text != nil) || there && is != *text {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// request is what change.sh reads.
func (s Spec) request(f facts, want map[string]*string, on bool) string {
	var b strings.Builder
	for _, path := range differing(f, want) {
		sum := "none"
		if is, there := f.files[path]; there {
			digest := sha256.Sum256([]byte(is))
			sum = hex.EncodeToString(digest[:])
		}
		if text := want[path]; text != nil {
			fmt.Fprintf(&b, "write %s 644 %s %s\n", path, sum, base64.StdEncoding.EncodeToString([]byte(*text)))
		} else {
			fmt.Fprintf(&b, "remove %s %s\n", path, sum)
		}
	}
	// Always: an apply before may have been cut off between file and reload.
	b.WriteString("reload\n")
	if !on {
		return b.String()
	}
	// A sample is enough to notice a Match that has the last word on DenyUsers.
	const sample = 50
	for i, user := range s.Users {
		if i < sample {
			fmt.Fprintf(&b, "check %s denyusers %s\n", user, user)
		}
	}
	for _, group := range s.Groups {
		if members := f.members[group]; len(members) > 0 {
			fmt.Fprintf(&b, "check %s denygroups %s\n", members[0], group)
		}
	}
	return b.String()
}

// change brings the files of the host to what is wanted, and sshd to know it.
func (s Spec) change(ctx context.Context, h host.Host, on bool, may func(facts) error) (facts, error) {
	s = s.sorted()
	const attempts = 5
	for attempt := 1; ; attempt++ {
		f, err := s.look(ctx, h)
		if err != nil {
			return f, err
		}
		if err := may(f); err != nil {
			return f, err
		}
		want, err := s.desired(f, on)
		if err != nil {
			return f, fmt.Errorf("host %q: %w", h.Name(), err)
		}
		if !on && len(differing(f, want)) == 0 {
			return f, nil
		}
		cmd := host.Sh(changeScript)
		cmd.Stdin = strings.NewReader(s.request(f, want, on))
		_, err = h.Run(ctx, cmd)
		// Another lock of the same host was quicker.
		if code, ok := host.ExitCode(err); ok && code == exitChanged && attempt < attempts {
			continue
		}
		return f, explained(h.Name(), err)
	}
}

func explained(hostName string, err error) error {
	code, ran := host.ExitCode(err)
	var exit *host.ExitError
	if err == nil {
		return nil
	}
	if !ran || !errors.As(err, &exit) {
		return errors.Join(err, ErrUnsure)
	}
	said := "\n  " + strings.ReplaceAll(strings.TrimSpace(exit.Stderr), "\n", "\n  ")
	switch code {
	case exitRefused:
		return fmt.Errorf("host %q: sshd does not accept its configuration with this change, so nothing was changed. It says:%s", hostName, said)
	case exitNoForce:
		return fmt.Errorf("host %q: the lock would have no effect, so nothing was changed; DenyUsers and DenyGroups in a Match block replace those for all, so name the accounts there too:%s", hostName, said)
	case exitPutBack:
		return fmt.Errorf("host %q: sshd did not take the change up, so all files were put back as they were. It says:%s", hostName, said)
	case exitChanged:
		return fmt.Errorf("host %q: somebody else is changing the same files, so nothing was changed; apply again:%s", hostName, said)
	}
	return errors.Join(err, ErrUnsure)
}

// LocksOut returns an ErrLockedOut where the lock would lock out who must be
// able to log in; it changes nothing.
func (s Spec) LocksOut(ctx context.Context, h host.Host) error {
	if err := s.Check(); err != nil {
		return err
	}
	f, err := s.look(ctx, h)
	if err != nil {
		return err
	}
	return s.locksOut(h.Name(), f)
}

// Apply makes the lock, or changes it. A lock of that name that says something
// else is an error unless changing is set. With endSessions, the sessions of
// the locked users are ended once nobody can open another.
func (s Spec) Apply(ctx context.Context, h host.Host, changing, endSessions bool) error {
	if err := s.Check(); err != nil {
		return err
	}
	f, err := s.change(ctx, h, true, func(f facts) error {
		there, found := f.parse(s.Name)
		if found && !changing && there.dropInText() != s.dropInText() {
			return fmt.Errorf("host %q has a login lock %q already, and it says something else; import it (terraform import … %s/%s), or choose another name",
				h.Name(), s.Name, h.Name(), s.Name)
		}
		return s.refusal(h.Name(), f)
	})
	if err != nil || !endSessions {
		return err
	}
	people := s.people(f)
	if len(people) == 0 {
		return nil
	}
	cmd := host.Sh(sessionsScript)
	cmd.Stdin = strings.NewReader(strings.Join(people, "\n") + "\n")
	if _, err := h.Run(ctx, cmd); err != nil {
		return errors.Join(err, errors.New("the lock is in force, but sessions from before go on"), ErrUnsure)
	}
	return nil
}

// Remove lets everybody in again. That the lock is gone already is no error.
func (s Spec) Remove(ctx context.Context, h host.Host) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	_, err := s.change(ctx, h, false, func(facts) error { return nil })
	return err
}

// parse reads back from sshd's files what the lock of a name is.
func (f facts) parse(name string) (s Spec, found bool) {
	s = Spec{Name: name}
	lines := inside(f.files[sshdConfig], name)
	if text, there := f.files[s.dropIn()]; there {
		lines = append(lines, strings.Split(text, "\n")...)
	}
	s.Users, s.Groups = parseDirectives(lines)
	s.Message = strings.TrimSuffix(f.files[s.messageFile()], "\n")
	s = s.sorted()
	return s, len(lines) > 0
}

// State is a lock as Inspect finds it.
type State struct {
	Spec
	// Problems are what is not as it should be, in words; none means locked.
	Problems []string
}

// Inspect reads the lock of known's name. known is what is known of it
// already, with the name alone at the least; it stands where sshd's files say
// nothing. found is false where the host has nothing of such a lock.
func Inspect(ctx context.Context, h host.Host, known Spec) (state State, found bool, err error) {
	if err := CheckName(known.Name); err != nil {
		return state, false, err
	}
	known = known.sorted()
	f, err := known.look(ctx, h)
	if err != nil {
		return state, false, err
	}
	there, found := f.parse(known.Name)
	if found && !slices.Equal(slices.Concat(there.Users, there.Groups), slices.Concat(known.Users, known.Groups)) && there.Check() == nil {
		// Whom the lists of FTP servers must name depends on who is locked.
		if f, err = there.look(ctx, h); err != nil {
			return state, false, err
		}
	}
	state.Spec = there
	if !found || there.Check() != nil {
		for _, list := range slices.Concat(f.deny, f.allow, slices.Collect(maps.Keys(f.files))) {
			found = found || strings.Contains(f.files[list], beginMark+known.Name) || strings.Contains(f.files[list], lockedLine(known.Name))
		}
		state.Spec = known
		if !found || len(known.Users)+len(known.Groups) == 0 {
			return state, false, nil
		}
	}
	want, err := state.desired(f, true)
	if err != nil {
		state.Problems = append(state.Problems, err.Error())
		return state, true, nil
	}
	for _, path := range differing(f, want) {
		switch _, there := f.files[path]; {
		case want[path] == nil:
			state.Problems = append(state.Problems, path+" is there and should not be")
		case !there:
			state.Problems = append(state.Problems, path+" is gone")
		default:
			state.Problems = append(state.Problems, path+" was changed, or does not hold the lock")
		}
	}
	for _, open := range f.open {
		state.Problems = append(state.Problems, strings.Fields(open)[0]+" looks up no list of users to deny")
	}
	return state, true, nil
}
