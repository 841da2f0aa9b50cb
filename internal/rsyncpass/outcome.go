package rsyncpass

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/job"
)

// witness knows enough of a pass to say what an ending means.
type witness struct {
	pass     Pass
	from, to host.Host
	survey   survey
	plan     plan
	show     func(status string) // may be nil
	// key is that of the pass that this run has seen, where it is known. When that
	// pass is over, the next of the chain may be under way, with a key of its own.
	key string
}

// verdict is what the ending of one step of a path means.
type verdict struct {
	err      error
	vanished int64
	warnings []string
}

// outcome says what a job that is over has done, and what went wrong with it.
func (w witness) outcome(state job.State) (Result, error) {
	r, err := parseReport(state.Result, len(w.pass.Paths))
	if err != nil {
		return Result{}, err
	}
	result := r.result(w.pass)
	var failed []error
	for i, each := range r.paths {
		for _, end := range each.failures {
			v := w.judge(i, end, each.short)
			result.Vanished += v.vanished
			result.Warnings = append(result.Warnings, v.warnings...)
			if v.err != nil {
				failed = append(failed, v.err)
			}
		}
	}
	warned, inTheWay := w.unfit(r)
	result.Warnings = append(result.Warnings, warned...)
	failed = append(failed, inTheWay...)
	if err := w.differing(r); err != nil {
		failed = append(failed, err)
	}
	if said := w.strangers(r.strange); said != "" {
		if w.pass.UnknownOwners == "warn" {
			result.Warnings = append(result.Warnings, said)
		} else {
			failed = append(failed, fmt.Errorf("%s. Create them on %q first", said, w.to.Name()))
		}
	}
	switch {
	case state.Phase == job.Died:
		failed = append(failed, fmt.Errorf("the pass was killed on host %q, or the host was restarted under it; apply again: the pass goes on where it stopped", w.to.Name()))
	case state.Code != 0 && len(failed) == 0 && fullDisk.MatchString(state.Errors):
		failed = append(failed, fmt.Errorf("%s. It said:%s", w.noRoom(), complaints(state.Errors)))
	case state.Code != 0 && len(failed) == 0:
		failed = append(failed, fmt.Errorf("the pass ended with exit code %d on host %q. It said:%s", state.Code, w.to.Name(), complaints(state.Errors)))
	}
	return result, errors.Join(failed...)
}

// strangers names the owners of files that the new host does not know.
func (w witness) strangers(strange []stranger) string {
	if len(strange) == 0 {
		return ""
	}
	var list []string
	for i, s := range strange {
		if i == maxNames {
			list = append(list, fmt.Sprintf("and %d more", len(strange)-i))
			break
		}
		list = append(list, fmt.Sprintf("%s %s (%d files)", s.kind, s.name, s.files))
	}
	return fmt.Sprintf("host %q does not know these owners of files in the paths: %s. "+
		"Their files would be given to whoever has their numbers there", w.to.Name(), strings.Join(list, ", "))
}

// maxNames bounds how many owners a message lists.
const maxNames = 40

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
	// Also where what is there now is of another kind.
	vanishedLine = regexp.MustCompile(`(?m)^(file|directory) has vanished: |^rsync: .*link_stat ".*" failed: (No such file or directory \(2\)|Not a directory \(20\))` +
		`|^rsync: .*send_files failed to open ".*": (Not a directory \(20\)|Too many levels of symbolic links \(40\))`)
	fullDisk = regexp.MustCompile(`No space left on device|Disk quota exceeded`)
)

// judge says what it means how a step of path number i ended.
func (w witness) judge(i int, end ending, short shortage) verdict {
	exit := &host.ExitError{Host: w.to.Name(), Command: "rsync (" + end.what + ")", Code: end.code, Stderr: end.stderr}
	source, target := w.pass.Paths[i].Source, w.pass.Paths[i].target()
	said := complaints(end.stderr)
	vanished := int64(len(vanishedLine.FindAllString(end.stderr, -1)))
	fail := func(format string, args ...any) verdict {
		return verdict{vanished: vanished, err: &failure{fmt.Sprintf(format, args...) + said + w.seeLog(), exit}}
	}
	switch {
	case end.what == "reach":
		return verdict{err: w.unreachable(exit)}
	case end.what == "greeting":
		return verdict{err: &failure{fmt.Sprintf("host %q prints something of its own when %q logs in, which rsync cannot bear; "+
			"look into the start files of its shell (~/.bashrc and the like). It printed:%s", w.from.Name(), w.plan.login.user, said), exit}}
	case (end.what == "delete" || end.what == "list") && fullDisk.MatchString(end.stderr):
		return fail("%s. It said:", w.noRoom())
	case end.what == "delete":
		return fail("not all that is gone from %s on host %q could be taken away on host %q. It said:", source, w.from.Name(), w.to.Name())
	case end.what == "verify" && end.code != exitSSH && end.code != exitStream:
		return fail("%s was copied from host %q to %q, but the comparison afterwards broke off. It said:", source, w.from.Name(), w.to.Name())
	case end.what == "list" && end.code != exitSSH && end.code != exitStream:
		return fail("%s on host %q could not be listed as a whole, so nothing was copied. It said:", source, w.from.Name())
	case end.code == exitVanished, end.code == exitPartial && onlyVanished(end.stderr):
		note := fmt.Sprintf("%d files of %s on host %q went away while they were copied", max(vanished, 1), source, w.from.Name())
		if w.pass.failsOnVanished() {
			return fail("%s, although nothing should change there any more: some service still writes. Stop it and apply again. rsync said:", note)
		}
		return verdict{vanished: max(vanished, 1), warnings: []string{note + "; a later pass sees to it"}}
	}
	if (end.code == exitPartial || end.code == exitFileIO) && fullDisk.MatchString(end.stderr) {
		return fail("the file system of %s on host %q is full%s. What was there before is as it was. "+
			"Make room and apply again: the pass goes on where it stopped. rsync said:", target, w.to.Name(), short)
	}
	switch end.code {
	case exitPartial:
		return fail("a part of %s could not be copied from host %q to %q (rsync's exit code 23); all the rest was. rsync said:",
			source, w.from.Name(), w.to.Name())
	case exitFileIO:
		return fail("rsync could not read or write files while it copied %s to host %q (its exit code 11). It said:", source, w.to.Name())
	case exitSSH, exitSocketIO, exitStream, exitTimeout, exitConnTimeout, exitSignalled:
		return fail("the connection from host %q to host %q broke off while %s was copied (exit code %d). "+
			"Apply again: the pass goes on where it stopped. rsync said:", w.to.Name(), w.from.Name(), source, end.code)
	}
	return fail("rsync ended with exit code %d while it copied %s from host %q to %q. It said:", end.code, source, w.from.Name(), w.to.Name())
}

// onlyVanished reports whether rsync misses files and nothing else: it counts
// what it was told to copy by name and does not find among the errors.
func onlyVanished(stderr string) bool {
	for line := range strings.Lines(stderr) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "rsync error: ") && !strings.HasPrefix(line, "rsync warning: ") &&
			!vanishedLine.MatchString(line) {
			return false
		}
	}
	return true
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

// noRoom says that the pass could not write down what it has to know.
func (w witness) noRoom() string {
	return fmt.Sprintf("host %q has no room left for the lists and the trash of the pass, below %s. "+
		"Nothing is lost by that; make room there and apply again: the pass goes on where it stopped", w.to.Name(), base)
}

// unreachable says why the new host could not reach the old one with its key.
func (w witness) unreachable(exit *host.ExitError) error {
	address, port := w.pass.called(w.survey)
	at := net.JoinHostPort(address, strconv.Itoa(port))
	relay := w.survey.relay
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
	case relay != nil:
		at = relay.far + " by way of the operator"
		why = "no connection comes about"
		if failed := relay.failure(); failed != nil {
			why += ": " + failed.Error()
		}
	default:
		why = "no connection comes about. Look whether a firewall keeps them apart, and whether from_address has to be another one, as seen from there; " +
			`where they cannot reach each other at all, route = "operator" leads the pass through the provider's own connections`
	}
	return &failure{fmt.Sprintf("host %q cannot read from host %q at %s: %s. ssh said:%s", w.to.Name(), w.from.Name(), at, why, complaints(said)), exit}
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
