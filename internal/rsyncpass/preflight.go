package rsyncpass

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed preflight.sh
var preflightText string

//go:embed room.awk
var roomAwkText string

// crowded is a file system of the new host that is too small for what comes.
// A figure that is not known is -1.
type crowded struct {
	mount                              string
	kib, freeKiB, entries, freeEntries int64
}

func parseCrowded(value string) (crowded, bool) {
	f := strings.Split(value, "\t")
	if len(f) != 5 {
		return crowded{}, false
	}
	return crowded{f[0], figure(f[1]), figure(f[2]), figure(f[3]), figure(f[4])}, true
}

// lack is what the file system of a target cannot keep.
type lack struct {
	what    string
	count   int64 // how many entries of the source that matters to; -1: not known
	example string
}

func parseLack(fields []string) lack {
	l := lack{what: fields[0], count: -1}
	if len(fields) > 1 {
		l.count = figure(fields[1])
	}
	if len(fields) > 2 {
		l.example = strings.TrimPrefix(fields[2], "./")
	}
	return l
}

// unfit says what the targets' file systems have no room for or cannot keep:
// what would be lost without a word stands in the way, the rest is warned of.
func (w witness) unfit(r report) (warnings []string, inTheWay []error) {
	for _, c := range r.crowded {
		if c.freeKiB >= 0 && c.kib > c.freeKiB {
			inTheWay = append(inTheWay, fmt.Errorf("the file system %s of host %q is too small: the pass brings %s, and %s are free; %s are missing. Nothing was copied",
				c.mount, w.to.Name(), size(c.kib), size(c.freeKiB), size(c.kib-c.freeKiB)))
		}
		if c.freeEntries >= 0 && c.entries > c.freeEntries {
			inTheWay = append(inTheWay, fmt.Errorf("the file system %s of host %q has too few inodes: the pass brings %d files, and there is room for %d. Nothing was copied",
				c.mount, w.to.Name(), c.entries, c.freeEntries))
		}
	}
	for i, each := range r.paths {
		at := fmt.Sprintf("the file system of %s on host %q", w.pass.Paths[i].target(), w.to.Name())
		for _, l := range each.lacks {
			switch l.what {
			case "owners":
				inTheWay = append(inTheWay, fmt.Errorf("%s cannot keep owners and modes; use another, such as ext4. Nothing was copied", at))
			case "links":
				inTheWay = append(inTheWay, fmt.Errorf("%s cannot keep symbolic links, of which %s holds %d. Nothing was copied", at, w.pass.Paths[i].Source, l.count))
			case "hardlinks":
				inTheWay = append(inTheWay, fmt.Errorf("%s cannot keep hard links, and %d names in %s are of files with several. Nothing was copied", at, l.count, w.pass.Paths[i].Source))
			case "case":
				if l.count == 0 {
					warnings = append(warnings, at+" does not tell upper case from lower in names; so far none collide")
					continue
				}
				inTheWay = append(inTheWay, fmt.Errorf("%s does not tell upper case from lower in names, so %d entries would overwrite others: %s. Nothing was copied",
					at, l.count, strings.Join(each.alike, ", ")))
			case "acls":
				warnings = append(warnings, fmt.Sprintf("%s cannot keep ACLs, %s: they are not copied", at, l.had()))
			case "xattrs":
				warnings = append(warnings, fmt.Sprintf("%s cannot keep extended attributes, %s: they are not copied", at, l.had()))
			}
		}
	}
	return warnings, inTheWay
}

// had says which entries of the source have it.
func (l lack) had() string {
	switch {
	case l.count < 0:
		return "which entries of the old host may have; that host has not the tool to tell"
	case l.count == 1:
		return "which " + l.example + " has"
	}
	return fmt.Sprintf("which %d entries have, %s for example", l.count, l.example)
}

// hole is a vulnerability of rsync that a pass is open to, by rsync's own news
// and the CVE's record.
type hole struct {
	cve   string
	fixed [3]int // the version without it
	means string // with OLD and NEW for the hosts
}

const (
	swapped = "whoever has an account on host OLD and swaps a file or directory for a symbolic link at the right moment can have files copied that are not his to read"
	written = "whoever has taken over host OLD could write files on host NEW that nobody asked for"
	granted = "whoever has an account on host NEW and swaps a file for a symbolic link at the right moment can have an ACL set on another's file"
)

// An rsync that only serves the pass's key has nothing to fear of it, so those of
// daemons, and of clients that send, are not here.
var (
	holesOfOld = []hole{
		{"CVE-2024-12747", [3]int{3, 4, 0}, swapped},
		{"CVE-2026-53797", [3]int{3, 5, 0}, swapped},
	}
	holesOfNew = []hole{
		{"CVE-2022-29154", [3]int{3, 2, 5}, written},
		{"CVE-2024-12087", [3]int{3, 4, 0}, written},
		{"CVE-2026-53799", [3]int{3, 5, 0}, granted},
	}
)

// holes warns of what the rsyncs' versions have that their packages do not say to
// have mended.
func (s survey) holes(from, to string) []string {
	var warnings []string
	look := func(name string, rsync rsyncVersion, known []hole) {
		var cves, means []string
		for _, h := range known {
			if rsync.atLeast(h.fixed[0], h.fixed[1], h.fixed[2]) || slices.Contains(rsync.fixed, h.cve) {
				continue
			}
			cves = append(cves, h.cve)
			if text := strings.NewReplacer("OLD", strconv.Quote(from), "NEW", strconv.Quote(to)).Replace(h.means); !slices.Contains(means, text) {
				means = append(means, text)
			}
		}
		if len(cves) > 0 {
			warnings = append(warnings, fmt.Sprintf("rsync %s on host %q has %s, unless your distribution has mended that without saying so in the package: %s. Update it where you can",
				rsync.version, name, strings.Join(cves, " and "), strings.Join(means, "; ")))
		}
	}
	look(from, s.old.rsync, holesOfOld)
	look(to, s.new.rsync, holesOfNew)
	return warnings
}
