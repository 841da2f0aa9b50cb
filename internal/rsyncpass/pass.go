// Package rsyncpass runs one rsync pass: it copies directories of an old host
// to a new one, as a pull that runs on the new host, with a key that is made
// for the pass and gone after it.
//
// A pass goes through steps that know nothing of each other: survey asks both
// hosts, plan makes files of the answers, admit and dismiss look after the key,
// run starts the job that does the work on the new host (pass.sh, chain.sh and changes.sh)
// or takes over one that is under way, and report and outcome read what it left.
//
// The passes over the same paths between the same hosts are a chain. Each keeps
// a manifest of the source, so that the next copies what has changed since and
// takes away what is gone, and of all else on the new host touches nothing.
//
// It may import internal/job, internal/host and internal/sh and nothing else of this module.
package rsyncpass

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"
)

// Pass is what is to be copied, and how.
type Pass struct {
	ID    string // names the log: lower-case letters, digits and '-', at most 40
	Paths []Path // in the order in which they are copied

	Excludes       []string // rsync filter patterns (--exclude)
	BandwidthLimit int64    // KiB a second (--bwlimit); 0 is none
	Compress       bool     // -z
	Streams        int64    // how many streams copy side by side, 1 to 9; 0 is as many as the hosts have CPUs for

	// Delete is what happens on the new host to what an earlier pass of the
	// chain has brought and the old host no longer has, and to what is
	// overwritten: "trash" (also ""), "purge", or "none", which deletes nothing.
	Delete string
	// MaxChanges is how many changes since the chain's last pass are not too
	// many; 0 is any number.
	MaxChanges int64

	// Final says that nothing changes on the old host any more. A file that
	// vanishes under the pass is then an error instead of a warning.
	Final bool
	// Vanished is "warn" or "fail" for vanished files; "" follows Final.
	Vanished string
	// UnknownOwners is what happens when files that are to be copied belong to
	// users or groups that the new host does not know: "fail" (also ""), "warn",
	// or "ignore".
	UnknownOwners string

	// Verify is what is compared when everything is copied: "none", "changed"
	// (also ""), "metadata" or "checksum"; see verify.go.
	Verify string

	// Route is how the new host reaches the old: "direct" (also ""), or Operator,
	// through this process's connections to both; the address and port are then
	// as the old host itself sees them, and SeenAs is of use only where its sshd
	// sees such connections come from an address that is not its own.
	Route       string
	FromAddress string   // address under which the new host reaches the old; "" is the provider's own
	FromPort    int      // port of its sshd, seen from there; 0 is the provider's own
	SeenAs      []string // further addresses under which the old host may see the new: behind NAT, say
}

// Path is a directory of the old host and where its content goes on the new.
type Path struct {
	Source string // absolute
	Target string // absolute; "" is Source
}

func (p Path) target() string {
	if p.Target == "" {
		return p.Source
	}
	return p.Target
}

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Validate says what is wrong with a pass as it is written down.
func (p Pass) Validate() error {
	if !idForm.MatchString(p.ID) {
		return fmt.Errorf("the pass's ID %q is not made of at most 40 lower-case letters, digits and '-'", p.ID)
	}
	if len(p.Paths) == 0 {
		return errors.New("a pass needs at least one path")
	}
	if len(p.Paths) > 999 {
		return fmt.Errorf("a pass takes at most 999 paths, not %d; name the directory above them instead", len(p.Paths))
	}
	var sources, targets []string
	for _, each := range p.Paths {
		for _, directory := range []string{each.Source, each.target()} {
			if err := ValidatePath(directory); err != nil {
				return err
			}
		}
		sources, targets = append(sources, each.Source), append(targets, each.target())
	}
	for _, list := range [][]string{sources, targets} {
		if one, other, overlap := overlapping(list); overlap {
			return fmt.Errorf("the paths %q and %q overlap: what is in both would be copied twice", one, other)
		}
	}
	for _, pattern := range p.Excludes {
		if pattern == "" || strings.ContainsAny(pattern, "\n\r\x00") {
			return fmt.Errorf("the exclude pattern %q is empty or contains a line end", pattern)
		}
		if pattern == "!" || strings.HasPrefix(pattern, "+ ") || strings.HasPrefix(pattern, "- ") {
			return fmt.Errorf("%q is a filter rule of rsync, not a pattern; write the pattern alone", pattern)
		}
	}
	if p.BandwidthLimit < 0 {
		return fmt.Errorf("the bandwidth limit %d is negative", p.BandwidthLimit)
	}
	if p.Route != "" && p.Route != "direct" && p.Route != Operator {
		return fmt.Errorf("the route %q is neither direct nor operator", p.Route)
	}
	if p.Streams < 0 || p.Streams > 9 {
		return fmt.Errorf("%d streams are not a number from 1 to 9", p.Streams)
	}
	if p.FromPort < 0 || p.FromPort > 65535 {
		return fmt.Errorf("%d is no TCP port", p.FromPort)
	}
	if p.FromAddress != "" && !addressForm.MatchString(p.FromAddress) {
		return fmt.Errorf("%q is neither a host name nor an IP address", p.FromAddress)
	}
	for _, address := range p.SeenAs {
		if _, err := netip.ParseAddr(address); err != nil {
			return fmt.Errorf("%q is no IP address", address)
		}
	}
	return nil
}

// addressForm is what ssh_config takes as a HostName without giving a part of
// it a meaning of its own.
var addressForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]*$|^::[A-Fa-f0-9:.]*$`)

// ValidatePath says what is wrong with a directory of a pass as it is written
// down.
func ValidatePath(directory string) error {
	switch {
	case !strings.HasPrefix(directory, "/"):
		return fmt.Errorf("the path %q is not absolute", directory)
	case strings.ContainsFunc(directory, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("the path %q contains a control character", directory)
	case path.Clean(directory) == "/":
		return errors.New(`the path "/" would copy the old system over the new one; name the directories that hold data`)
	case path.Clean(directory) != directory:
		return fmt.Errorf("the path %q is not in its shortest form, which is %q", directory, path.Clean(directory))
	}
	return nil
}

// overlapping finds two directories of which one contains the other.
func overlapping(directories []string) (one, other string, overlap bool) {
	for i, a := range directories {
		for _, b := range directories[i+1:] {
			if a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
				return a, b, true
			}
		}
	}
	return "", "", false
}

// chain names what the passes of a chain have in common: the hosts by their
// addresses, and the paths. Of those there is one at a time. It is the same in every run, so that the next one
// finds what a run that was cut off has left behind.
func (p Pass) chain(from, to string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q", from, to)
	for _, each := range p.Paths {
		fmt.Fprintf(sum, " %q %q", each.Source, each.target())
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// manifests names the directory of a chain's manifests. They are of no use to
// passes that leave out something else.
func (p Pass) manifests(chain string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q", chain, p.Excludes))
	return hex.EncodeToString(sum[:])[:12]
}

// digest names all of a pass that matters to what it does. A job with the same
// digest does what another would do.
func (p Pass) digest() string {
	p.ID = ""
	if p.Route == "direct" {
		p.Route = ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", fmt.Sprintf("%+v", p)))
	return hex.EncodeToString(sum[:])[:16]
}

// logs is the directory of the passes' logs on the new host.
const logs = "/var/lib/cutover/passes"

// LogPath is where the new host keeps rsync's log of a pass.
func LogPath(id string) string { return logs + "/" + id + ".log" }

// TrashPath is where the new host keeps what a pass has deleted or overwritten,
// below it a directory for each path, by its number from 1.
func TrashPath(id string) string { return "/var/lib/cutover/trash/" + id }

// keyLifetime is how long the old host lets a key in at the longest, should
// nobody take it away. A pass may take longer: sshd asks only at the start of
// each path's rsync.
const keyLifetime = 24 * time.Hour

// Result is what a pass did.
type Result struct {
	Started, Finished time.Time // by the new host's clock, to the second
	Total             Stats
	Paths             []PathResult
	FromRsync         string // version on the old host, such as "3.2.3"
	ToRsync           string // version on the new host
	LogPath           string // on the new host
	Changes           int64  // entries new, different or gone since the last pass of the chain
	TrashPath         string // on the new host; "" where nothing was put there
	TrashBytes        int64  // on disk
	Vanished          int64  // files that went away under the pass
	Verified          int64  // entries compared afterwards
	ChangedMeanwhile  int64  // of them those that differ because the old host changed them since it was listed
	Warnings          []string
}

// PathResult is what a pass did for one path.
type PathResult struct {
	Path
	Started, Finished time.Time
	Stats             Stats
	Changes           int64
	Verified          int64
	Whole             bool // everything was compared, not only what has changed since the last pass
	// Listing is "changes" where the old host was asked only for what has a newer
	// ctime, else why it listed everything.
	Listing string
}
