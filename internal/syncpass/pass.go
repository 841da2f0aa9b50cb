// Package syncpass makes one sync pass: it copies directories of an old host to a new
// one, as a pull that runs on the new host, with a key that is made for the pass and
// gone after it.
//
// A pass goes through steps that know nothing of each other: survey asks both hosts,
// check says what is in the way, plan settles what is written and run, run has the
// worker on the new host do it or takes over one that is under way, and outcome says
// what came of it.
//
// The passes over the same paths between the same hosts are a chain. Each notes what
// it has brought, so that the next copies what has changed since and takes away what
// is gone, and of all else on the new host touches nothing.
//
// It may import internal/deploy, internal/host, internal/sh and internal/worker and
// nothing else of this module.
package syncpass

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/filter"
)

// Pass is what is to be copied, and how.
type Pass struct {
	ID    string // names the log: lower-case letters, digits and '-', at most 40
	Paths []Path // in the order in which they are copied

	Excludes       []string // patterns as rsync's --exclude reads them
	BandwidthLimit int64    // KiB a second; 0 is none
	// Compress is whether content is compressed on its way: "always", "never", or ""
	// where that is faster.
	Compress string

	// Delete is what happens on the new host to what an earlier pass of the
	// chain has brought and the old host no longer has, and to what is
	// overwritten: "trash" (also ""), "purge", or "none", which deletes nothing.
	Delete string
	// OnConflict is what happens where the new host has something of its own in the
	// place of what the old host has new or changed: "replace" (also ""), or "fail",
	// which leaves it.
	OnConflict string
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
	// "ignore", or "leave", which does not copy them.
	UnknownOwners string

	// Verify is what is compared when everything is copied: one of Verifications; ""
	// is "changed".
	Verify string

	// Route is how the new host reaches the old: "direct" (also ""), or Operator,
	// through this process's connections to both; the address and port are then
	// as the old host itself sees them, and SeenAs is of use only where its sshd
	// sees such connections come from an address that is not its own.
	Route       string
	FromAddress string   // address under which the new host reaches the old; "" is the provider's own
	FromPort    int      // port of its sshd, seen from there; 0 is the provider's own
	SeenAs      []string // further addresses under which the old host may see the new: behind NAT, say

	// ToAddress and ToPort are where the old host reaches the new one's sshd, for a pass
	// that brings back; "" and 0 are the provider's own.
	ToAddress string
	ToPort    int

	// preview changes nothing: the pass says what it would do.
	preview bool
	// bringsBack: see Back.
	bringsBack bool
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
	if _, err := filter.Compile(p.Excludes); err != nil {
		return err
	}
	if slices.Contains(p.Excludes, "") {
		return errors.New("an exclude pattern is empty, which leaves out nothing")
	}
	if p.BandwidthLimit < 0 {
		return fmt.Errorf("the bandwidth limit %d is negative", p.BandwidthLimit)
	}
	if p.Route != "" && p.Route != "direct" && p.Route != Operator {
		return fmt.Errorf("the route %q is neither direct nor operator", p.Route)
	}
	for _, port := range []int{p.FromPort, p.ToPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%d is no TCP port", port)
		}
	}
	for _, address := range []string{p.FromAddress, p.ToAddress} {
		if address != "" && !addressForm.MatchString(address) {
			return fmt.Errorf("%q is neither a host name nor an IP address", address)
		}
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

// job names the jobs of a chain.
func job(chain string) string { return "pass-" + chain }

// Verifications are the values of Pass.Verify. The content of what it copies a pass
// compares always, by a hash that was taken while it was read.
//
// "changed" looks once more at what the pass has brought. "metadata" looks at all that
// the paths hold, and "checksum" compares the content of all files too.
var Verifications = []string{"none", "changed", "metadata", "checksum"}

// or is a value, or what it is by default.
func or(value, byDefault string) string {
	if value == "" {
		return byDefault
	}
	return value
}
