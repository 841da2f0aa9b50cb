package maildir

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

var (
	//go:embed facts.sh
	factsText string
	//go:embed drop_in.sh
	dropInText string
	//go:embed trees.sh
	treesText string
	//go:embed as_user.sh
	asUserText string
)

var (
	factsScript  = host.Script{Name: "maildir/facts.sh", Text: factsText}
	dropInScript = host.Script{Name: "maildir/drop_in.sh", Text: dropInText}
	// treesScript is the part that runs as root, with the part that runs as
	// the user in a variable in front: both are constant.
	treesScript = host.Script{Name: "maildir/trees.sh", Text: "as_user=" + sh.Quote(asUserText) + "\n" + treesText}
)

// Exit codes of drop_in.sh.
const (
	exitRefused    = 10
	exitOverridden = 11
	exitPutBack    = 12
)

// facts are what a host says of its Dovecot.
type facts struct {
	installed  bool
	version    string // "2.3.13"
	namespaces string // as doveconf -n prints them
	dropIn     string // content; "" where there is none
	hasDropIn  bool
}

func look(ctx context.Context, h host.Host, dropIn string) (facts, error) {
	var f facts
	result, err := h.Run(ctx, host.Sh(factsScript, dropIn))
	if err != nil {
		return f, err
	}
	lines := strings.Split(strings.TrimSuffix(string(result.Stdout), "\n"), "\n")
	last := lines[len(lines)-1]
	if last == "absent" {
		return f, nil
	}
	if last != "end" {
		return f, fmt.Errorf("on host %q: %s broke off", h.Name(), factsScript.Name)
	}
	f.installed = true
	for _, line := range lines {
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "version":
			f.version, _, _ = strings.Cut(rest, " ")
		case ">":
			f.namespaces += rest + "\n"
		case "|":
			f.hasDropIn = true
			f.dropIn += rest + "\n"
		}
	}
	return f, nil
}

var versionPattern = regexp.MustCompile(`^(\d+)\.(\d+)`)

// syntax is the syntax of the installed version: 2.4 made mail_location
// several settings.
func (f facts) syntax(hostName string) (string, error) {
	if !f.installed {
		return "", fmt.Errorf("host %q has no Dovecot (no program doveconf): install it first, the package dovecot-imapd or dovecot-pop3d on Debian", hostName)
	}
	numbers := versionPattern.FindStringSubmatch(f.version)
	switch {
	case numbers == nil || numbers[1] == "0" || numbers[1] == "1":
		return "", fmt.Errorf("host %q has Dovecot %q; drop-ins need 2.0 or later", hostName, f.version)
	case numbers[1] == "2" && len(numbers[2]) == 1 && numbers[2] < "4":
		return "2.3", nil
	}
	return "2.4", nil
}

// State is a host as Inspect finds it.
type State struct {
	Spec
	// Problems are what is not as the drop-in says, in words; none means ready.
	Problems []string
}

// Inspect reads the drop-in of a name and the Maildirs of users in it. found is
// false where the host has no such drop-in.
func Inspect(ctx context.Context, h host.Host, name string) (state State, found bool, err error) {
	if err := CheckName(name); err != nil {
		return state, false, err
	}
	f, err := look(ctx, h, Spec{Name: name}.DropIn())
	if err != nil || !f.hasDropIn {
		return state, false, err
	}
	s, d, untouched, err := parse(name, f.dropIn)
	state.Spec = s
	if err != nil {
		state.Problems = append(state.Problems, err.Error())
		return state, true, nil
	}
	if !untouched {
		state.Problems = append(state.Problems, s.DropIn()+" was changed by hand")
	}
	if syntax, err := f.syntax(h.Name()); err == nil && syntax != d.syntax {
		state.Problems = append(state.Problems, fmt.Sprintf("%s is written for Dovecot %s, and %s is installed", s.DropIn(), d.syntax, f.version))
	}
	problems, err := s.trees(ctx, h, "look")
	state.Problems = append(state.Problems, problems...)
	return state, true, err
}

// ErrUnsure marks an error after which the host may have been changed.
var ErrUnsure = errors.New("the host may have been changed: apply again")

// Apply brings a host to s: first the Maildirs, then the drop-in. A drop-in of
// that name that says something else is an error unless changing is set.
// before are users of an earlier Apply.
func (s Spec) Apply(ctx context.Context, h host.Host, changing bool, before []string) error {
	if err := s.Check(); err != nil {
		return err
	}
	f, err := look(ctx, h, s.DropIn())
	if err != nil {
		return err
	}
	var was Spec
	var there setup
	if f.hasDropIn {
		was, there, _, err = parse(s.Name, f.dropIn)
		if !changing && (err != nil || was.dropIn(there) != s.dropIn(there)) {
			return fmt.Errorf("host %q has %s already, and it says something else; import it (terraform import … %s/%s), or choose another name",
				h.Name(), s.DropIn(), h.Name(), s.Name)
		}
	}
	d, err := f.setup(h.Name(), s, was, there)
	if err != nil {
		return err
	}
	problems, err := s.trees(ctx, h, "make")
	if err != nil {
		return errors.Join(err, ErrUnsure)
	}
	if len(problems) > 0 {
		return fmt.Errorf("on host %q, Maildirs could not be made, so Dovecot was told nothing:\n  %s", h.Name(), strings.Join(problems, "\n  "))
	}
	gone := slices.DeleteFunc(slices.Clone(before), func(user string) bool { return slices.Contains(s.Users, user) })
	if _, err := (Spec{Path: s.Path, Layout: s.Layout, Mode: s.Mode, Users: gone}).trees(ctx, h, "drop"); err != nil {
		return errors.Join(err, ErrUnsure)
	}
	args := []string{"put", s.DropIn()}
	for _, must := range s.settings(d) {
		args = append(args, must.key, must.value)
	}
	cmd := host.Sh(dropInScript, args...)
	cmd.Stdin = strings.NewReader(s.dropIn(d))
	_, err = h.Run(ctx, cmd)
	return s.explained(h.Name(), err)
}

// Remove takes the drop-in away, and links to spools; mail and Maildirs stay.
func (s Spec) Remove(ctx context.Context, h host.Host) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	f, err := look(ctx, h, s.DropIn())
	if err != nil {
		return err
	}
	if f.hasDropIn {
		_, err := h.Run(ctx, host.Sh(dropInScript, "remove", s.DropIn()))
		if err := s.explained(h.Name(), err); err != nil {
			return err
		}
	}
	if s.Spool != SpoolNamespace {
		return nil
	}
	_, err = s.trees(ctx, h, "drop")
	return err
}

// explained says what the exit codes of drop_in.sh mean.
func (s Spec) explained(hostName string, err error) error {
	code, ran := host.ExitCode(err)
	var exit *host.ExitError
	if err == nil || !ran || !errors.As(err, &exit) {
		if err != nil {
			return errors.Join(err, ErrUnsure)
		}
		return nil
	}
	said := "\n  " + strings.ReplaceAll(strings.TrimSpace(exit.Stderr), "\n", "\n  ")
	switch code {
	case exitRefused:
		return fmt.Errorf("host %q: Dovecot does not accept its configuration with this change, so nothing was changed. It says:%s", hostName, said)
	case exitOverridden:
		return fmt.Errorf("host %q: %s would not have the last word, so nothing was changed; remove the setting from the other file, or let that file sort before it:%s", hostName, s.DropIn(), said)
	case exitPutBack:
		return fmt.Errorf("host %q: Dovecot did not take the change up, so it was put back as it was. It says:%s", hostName, said)
	}
	return errors.Join(err, ErrUnsure)
}
