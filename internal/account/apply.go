package account

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

var (
	//go:embed apply.sh
	applyText string
	//go:embed together.sh
	togetherText string
)

// applyScript changes accounts and then prints the snapshot after the changes,
// so that a change and its readback are one round trip. The part that makes
// several at once is in a variable in front: all of it is constant.
var applyScript = host.Script{
	Name: "account/apply.sh",
	Text: "together_script=" + sh.Quote(togetherText) + "\n" + applyText + "\n" + snapshotText,
}

// Leaving is what becomes of an account that is let go.
type Leaving string

// The ways of letting an account go.
const (
	Keep       Leaving = "keep"        // it stays as it is
	Lock       Leaving = "lock"        // it stays, and nobody gets in, by password or key
	Remove     Leaving = "remove"      // it goes; home and mail stay
	RemoveHome Leaving = "remove-home" // it goes with its home and mail spool
)

// change is one line of input of account/apply.sh.
type change struct {
	op    string // create, modify, or a Leaving
	spec  Spec
	flags string // s: system, h: make a home, a: adopt, r: resume an interrupted creation, u: undo Lock
}

// outcome is what account/apply.sh says of one change.
type outcome struct {
	user *User // the account afterwards; nil: there is none
	made bool  // it was made by this change, even where err is not nil
	err  error
}

// line gives a change in the form that the script reads: fields between
// colons, each with an = in front where it is given. No field can hold a colon
// or the end of a line; Check sees to that.
func (c change) line() string {
	given := func(value *string) string {
		if value == nil {
			return ""
		}
		return "=" + *value
	}
	num := func(value *int) string {
		if value == nil {
			return ""
		}
		return "=" + strconv.Itoa(*value)
	}
	s := c.spec
	groups, hash, lastChange := "", "", ""
	if s.Groups != nil {
		groups = "=" + strings.Join(s.inOrder(), ",")
	}
	var numbers []string
	for _, name := range slices.Sorted(maps.Keys(s.GroupIDs)) {
		numbers = append(numbers, name+"="+strconv.Itoa(s.GroupIDs[name]))
	}
	if s.Password != nil {
		hash = s.Password.hash()
		if !s.Password.today {
			lastChange = strconv.Itoa(s.Password.lastChange)
		}
	}
	return strings.Join([]string{
		c.op, s.Name, num(s.UID), num(s.GID), given(s.Group), groups,
		given(s.Gecos), given(s.Home), given(s.Shell), c.flags, lastChange, hash, strings.Join(numbers, ","),
	}, ":") + "\n"
}

// inOrder are the groups in the order of their given numbers: id(1) lists them
// as /etc/group does, where those that are made come at the end.
func (s Spec) inOrder() []string {
	return slices.SortedStableFunc(slices.Values(*s.Groups), func(a, b string) int {
		return cmp.Compare(s.GroupIDs[a], s.GroupIDs[b]) // those without one come first
	})
}

// parseOutcomes reads what the script prints before the snapshot: for each
// change "begin N NAME", lines that say what happened, "end N".
func parseOutcomes(hostName, out string, changes []change) ([]outcome, error) {
	outcomes := make([]outcome, len(changes))
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for i, c := range changes {
		if len(lines) < 2 || lines[0] != fmt.Sprintf("begin %d %s", i, c.spec.Name) {
			return nil, fmt.Errorf("on host %q: the script that changes accounts broke off before %s", hostName, c.spec.Name)
		}
		end := fmt.Sprintf("end %d", i)
		n := 1
		for n < len(lines) && lines[n] != end {
			n++
		}
		if n == len(lines) {
			return nil, fmt.Errorf("on host %q: the script that changes accounts broke off at %s", hostName, c.spec.Name)
		}
		outcomes[i] = judge(hostName, c.spec, lines[1:n])
		lines = lines[n+1:]
	}
	return outcomes, nil
}

// judge turns what the script says of one change into an outcome.
func judge(hostName string, s Spec, said []string) outcome {
	o := outcome{err: fmt.Errorf("on host %q: the script that changes accounts said nothing of %s", hostName, s.Name)}
	fail := func(field, format string, args ...any) {
		o.err = &FieldError{field, fmt.Errorf("on host %q: "+format, append([]any{hostName}, args...)...)}
	}
	var stderr []string
	var failed *host.ExitError
	for _, line := range said {
		if text, ok := strings.CutPrefix(line, "| "); ok {
			stderr = append(stderr, text)
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		first, second, _ := strings.Cut(rest, " ")
		switch word {
		case "made":
			o.made = true
		case "completed":
			o.err = nil
		case "absent":
			o.err = fmt.Errorf("on host %q: %s: %w", hostName, s.Name, ErrAbsent)
		case "exists":
			fail("name", "the account %s is there already, with uid %s; adopt = true takes it over, and so does terraform import", s.Name, first)
		case "elsewhere":
			fail("name", "%s is known already, with uid %s, but not from /etc/passwd: it comes from LDAP, NIS or the like, which useradd cannot change", s.Name, first)
		case "uid-taken":
			fail("uid", "uid %s is taken by %s; another number, or none, makes room", first, second)
		case "gid-taken":
			holder, group, _ := strings.Cut(second, " ")
			if _, supplementary := s.GroupIDs[group]; supplementary {
				fail("group_gids", "gid %s, which the group %s is to have, is taken by the group %s; give that one another number (`groupmod -g`), or leave %s out of group_gids to let it have any", first, group, holder, group)
			} else {
				fail("gid", "gid %s is taken by the group %s; another number, or none, makes room", first, holder)
			}
		case "group-has-gid":
			if wanted, supplementary := s.GroupIDs[first]; supplementary {
				fail("group_gids", "the group %s is there already, with gid %s and not %d; leave it out of group_gids to take it as it is", first, second, wanted)
			} else {
				fail("gid", "the group %s is there already, with gid %s", first, second)
			}
		case "no-shell":
			fail("shell", "there is no program %s to be the shell of %s; install it, or choose another shell", rest, s.Name)
		case "failed":
			code, err := strconv.Atoi(first)
			if err != nil {
				code = 1
			}
			failed = &host.ExitError{Host: hostName, Command: second, Code: code}
			o.err = failed
		}
	}
	if failed != nil {
		failed.Stderr = withoutHash(strings.Join(stderr, "\n"), s.Password)
		if next := nextStep(failed, o.made, s.Name); next != "" {
			o.err = fmt.Errorf("%w\n%s", failed, next)
		}
	}
	return o
}

// nextStep says what to do about a tool's failure, by the tool's name and its
// exit code (useradd(8), usermod(8), userdel(8), chpasswd(8)).
func nextStep(failed *host.ExitError, made bool, name string) string {
	tool, _, _ := strings.Cut(failed.Command, " ")
	switch {
	case (tool == "usermod" || tool == "userdel") && failed.Code == 8:
		return fmt.Sprintf("%s is logged in or has processes running: end them (`ps -u %s` lists them) and apply again.", name, name)
	case tool == "userdel" && failed.Code == 12:
		return fmt.Sprintf("The account %s is gone; its home or mail spool could not be removed.", name)
	case tool == "useradd" && failed.Code == 12:
		return "The home could not be made: the directory above it has to exist."
	case failed.Code == 1 && strings.Contains(failed.Stderr, "lock"):
		return "Another program is changing the accounts at the moment: apply again when it has ended."
	case made:
		return fmt.Sprintf("The account %s was made, but not completed: apply again.", name)
	}
	return ""
}

// withoutHash keeps a hash out of an error, should a tool ever repeat its input.
func withoutHash(text string, p *Password) string {
	if p == nil || p.hash() == "" {
		return text
	}
	return strings.ReplaceAll(text, p.hash(), p.String())
}

// errTwice is the error of a second creation of an account by the same run.
var errTwice = errors.New("the same account is made twice in this run; each account is one resource")
