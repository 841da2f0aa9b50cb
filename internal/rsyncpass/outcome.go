package rsyncpass

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// witness knows enough of a pass to say what an ending means.
type witness struct {
	pass     Pass
	from, to host.Host
	survey   survey
	plan     plan
}

// verdict is what the ending of one rsync means.
type verdict struct {
	err      error
	stop     bool // the paths that follow would end likewise
	vanished int64
	warnings []string
}

// failure is an error with a text of its own that still is the command's.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// Exit codes of rsync, from its manual page, section "EXIT VALUES"; 255 is
// ssh's own (its manual page, "EXIT STATUS").
const (
	exitSocketIO    = 10
	exitFileIO      = 11
	exitStream      = 12
	exitSignalled   = 20
	exitPartial     = 23
	exitVanished    = 24
	exitTimeout     = 30
	exitConnTimeout = 35
	exitNotFound    = 127
	exitSSH         = 255
)

var (
	vanishedLine = regexp.MustCompile(`(?m)^(file|directory) has vanished: `)
	fullDisk     = regexp.MustCompile(`No space left on device|Disk quota exceeded`)
)

// judge says what the ending of path number i means.
func (w witness) judge(ctx context.Context, i int, err error) verdict {
	if err == nil {
		return verdict{}
	}
	code, ran := host.ExitCode(err)
	if ctx.Err() != nil || ran && code == exitSignalled {
		return verdict{stop: true, err: &failure{fmt.Sprintf("the pass was cancelled while it copied %s; what it had copied is on host %q, "+
			"and a repeated pass goes on from there", w.pass.Paths[i].Source, w.to.Name()), err}}
	}
	var exit *host.ExitError
	if !ran || !errors.As(err, &exit) {
		return verdict{stop: true, err: err}
	}
	source, target := w.pass.Paths[i].Source, w.pass.Paths[i].target()
	said := complaints(exit.Stderr)
	vanished := int64(len(vanishedLine.FindAllString(exit.Stderr, -1)))
	fail := func(stop bool, format string, args ...any) verdict {
		return verdict{stop: stop, vanished: vanished, err: &failure{fmt.Sprintf(format, args...) + said + w.seeLog(), err}}
	}
	switch code {
	case exitVanished:
		note := fmt.Sprintf("%d files of %s on host %q went away while they were copied", max(vanished, 1), source, w.from.Name())
		if w.pass.failsOnVanished() {
			return fail(false, "%s, although nothing should change there any more: some service still writes. Stop it and apply again. rsync said:", note)
		}
		return verdict{vanished: max(vanished, 1), warnings: []string{note + "; a later pass sees to it"}}
	case exitPartial:
		return fail(false, "a part of %s could not be copied from host %q to %q (rsync's exit code 23); all the rest was. rsync said:",
			source, w.from.Name(), w.to.Name())
	case exitFileIO:
		if fullDisk.MatchString(exit.Stderr) {
			return fail(true, "the file system of %s on host %q is full%s. Make room and apply again: the pass goes on where it stopped. rsync said:",
				target, w.to.Name(), w.missing(ctx, i))
		}
		return fail(true, "rsync could not read or write files while it copied %s to host %q (its exit code 11). It said:", source, w.to.Name())
	case exitSSH, exitSocketIO, exitStream, exitTimeout, exitConnTimeout:
		return fail(true, "the connection from host %q to host %q broke off while %s was copied (exit code %d). "+
			"Apply again: the pass goes on where it stopped. rsync said:", w.to.Name(), w.from.Name(), source, code)
	}
	return fail(true, "rsync ended with exit code %d while it copied %s from host %q to %q. It said:", code, source, w.from.Name(), w.to.Name())
}

func (p Pass) failsOnVanished() bool {
	if p.Vanished == "" {
		return p.Final
	}
	return p.Vanished == "fail"
}

func (w witness) seeLog() string {
	return fmt.Sprintf("\nThe whole log is %s on host %q.", LogPath(w.pass.ID), w.to.Name())
}

// missing says how much did not fit, as far as that can be found out.
func (w witness) missing(ctx context.Context, i int) string {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	one := Pass{Paths: w.pass.Paths[i : i+1], Excludes: w.pass.Excludes}
	there, here, err := one.measure(ctx, w.from, w.to)
	if err != nil || there[0][0] <= here[0][0] {
		return ""
	}
	return fmt.Sprintf(": %s of %s are still to come", size(there[0][0]-here[0][0]), size(there[0][0]))
}

// unreachable says why the new host could not reach the old one with its key.
func (w witness) unreachable(err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) || exit.Signal != "" {
		return err
	}
	address, port := w.pass.FromAddress, w.pass.FromPort
	if address == "" {
		address = w.survey.from.Address
	}
	if port == 0 {
		port = w.survey.from.Port
	}
	at := net.JoinHostPort(address, strconv.Itoa(port))
	said := exit.Stderr
	var why string
	switch {
	case exit.Code == exitNotFound:
		why = "a program is missing there"
	case exit.Code != exitSSH:
		why = fmt.Sprintf("the login as %q works, but what the key may run there failed", w.plan.login.user)
	case strings.Contains(said, "Host key verification failed") || strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"):
		why = fmt.Sprintf("another machine answers there than the one that the provider knows as %q: its host key differs. "+
			"Set from_address to the address of %[1]q as %[2]q sees it", w.from.Name(), w.to.Name())
	case strings.Contains(said, "Permission denied"):
		why = fmt.Sprintf("its sshd does not take the key of the pass for %q. It is let in from %s only: if the old host sees the new one under another address (NAT), "+
			"add that to seen_as. Else look whether AllowUsers, AllowGroups, PermitRootLogin or PubkeyAuthentication keep it out, and what its auth log says",
			w.plan.login.user, strings.Join(w.pass.clientAddresses(w.survey), ", "))
	default:
		why = "no connection comes about. Look whether a firewall keeps them apart, and whether from_address has to be another one, as seen from there"
	}
	return &failure{fmt.Sprintf("host %q cannot read from host %q at %s: %s. ssh said:%s", w.to.Name(), w.from.Name(), at, why, complaints(said)), err}
}

// maxComplaints bounds how many of rsync's own lines an error lists.
const maxComplaints = 50

// complaints are rsync's own lines, indented, without its closing one, which
// only repeats the exit code.
func complaints(stderr string) string {
	var lines []string
	for _, line := range strings.Split(stderr, "\n") {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "rsync error: ") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = strings.Split(strings.TrimSpace(stderr), "\n")
	}
	more := ""
	if len(lines) > maxComplaints {
		more = fmt.Sprintf("\n  (and %d more lines)", len(lines)-maxComplaints)
		lines = lines[:maxComplaints]
	}
	return "\n  " + strings.Join(lines, "\n  ") + more
}
