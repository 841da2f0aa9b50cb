package host

import (
	"errors"
	"fmt"
	"strings"
)

// ExitError is the error of a command that ran on the host and ended with
// another exit code than 0, or by a signal. Only such an error is an answer of
// the machine: see ExitCode.
type ExitError struct {
	Host    string // name of the host
	Command string // as String of the Command gives it: no input, so no secret
	Code    int    // exit code, 1 to 255; 0 where Signal is set
	Signal  string // signal name without "SIG", such as "TERM" (RFC 4254, section 6.10), or ""
	Stderr  string // all of it
}

// stderrLines is how much of a command's stderr an error message shows; its
// last lines say why it failed. ExitError.Stderr keeps the whole.
const stderrLines = 12

func (e *ExitError) Error() string {
	var b strings.Builder
	how := fmt.Sprintf("ended with exit code %d", e.Code)
	if e.Signal != "" {
		how = "was ended by signal " + e.Signal
	}
	fmt.Fprintf(&b, "on host %q: %s %s", e.Host, e.Command, how)
	if said := lastLines(e.Stderr, stderrLines); said != "" {
		fmt.Fprintf(&b, ", and said:\n%s", indent(said))
	} else {
		b.WriteString(", and said nothing")
	}
	return b.String()
}

// ExitCode returns the exit code of a command that ran and failed. ok is false
// for every other error, also for a command ended by a signal: those are no
// answers, and nobody may conclude from them that something is absent.
func ExitCode(err error) (code int, ok bool) {
	var exit *ExitError
	if errors.As(err, &exit) && exit.Signal == "" {
		return exit.Code, true
	}
	return 0, false
}

// maxShownCommand bounds, in bytes, how much of a command an error shows.
const maxShownCommand = 240

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = append([]string{fmt.Sprintf("(%d lines before)", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
