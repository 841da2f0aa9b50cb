package rsyncpass

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// report is what the job of a pass has left in its result, line by line:
//
//	key      second field of the pass's public key
//	begin    path, seconds since 1970
//	how      path, "first", "changes", or why everything was looked at again:
//	         "lost" (the manifest), "other" (another tree), "untrusted"
//	listing  path, "changes", or why everything was listed
//	kind     path, kind of file system that is not trusted
//	changes  path, how many entries are new, different or gone
//	unknown  "user" or "group", name, number of files
//	lacks    path, what its file system cannot keep ("owners", "links", "hardlinks",
//	         "case", "acls", "xattrs"), how many that matters to ("?": nobody
//	         knows), one of them
//	alike    path, an entry that differs from another's name in case alone
//	room     mount point, KiB that come, KiB that are free, inodes that come,
//	         inodes that are free: a file system that is too small
//	deleted  path, files, bytes, how many stayed because the new host changed them
//	kept     path, one of those
//	stat     path, line of rsync --stats
//	said     path, line of stderr
//	ran      path, what ("reach" and "greeting" for the way to the old host, "list", "delete", "verify", or the name of an rsync), exit code
//	seen     path, entries, files, directories, links, special, bytes
//	short    path, bytes and files that did not find room, KiB that are free
//	end      path, seconds since 1970
//	verified path, entries compared, how many the old host has changed meanwhile,
//	         how many differ
//	differs  path, reason, one of those
//	finished seconds since 1970
//	trash    KiB
type report struct {
	paths    []pathReport
	strange  []stranger
	crowded  []crowded
	trashKiB int64
	finished time.Time
}

type pathReport struct {
	began, ended  time.Time
	how           string
	kind          string
	listing       string
	changes       int64
	stats         Stats
	deleted       int64
	deletedBytes  int64
	kept          int64
	keptExamples  []string
	short         shortage
	failures      []ending
	saidSoFar     []string
	seen, started bool

	lacks []lack
	alike []string

	verified, meanwhile, differing int64
	differs                        []string // "./path: reason"
}

// shortage is what a full disk has kept out.
type shortage struct{ bytes, files, freeKiB int64 }

func (s shortage) String() string {
	if s.files == 0 {
		return ""
	}
	missing := max(0, s.bytes/1024-s.freeKiB)
	return fmt.Sprintf(": %s in %d files are still to come, %s are free, and so %s are missing", size(s.bytes/1024), s.files, size(s.freeKiB), size(missing))
}

// ending is a step of a path that did not end with exit code 0.
type ending struct {
	what   string
	code   int
	stderr string
}

type stranger struct {
	owner
	files int64
}

func parseReport(text string, paths int) (report, error) {
	r := report{paths: make([]pathReport, paths)}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		what, rest, _ := strings.Cut(line, "\t")
		switch what {
		case "key":
			continue
		case "trash":
			r.trashKiB = figure(rest)
			continue
		case "room":
			if c, ok := parseCrowded(rest); ok {
				r.crowded = append(r.crowded, c)
			}
			continue
		case "finished":
			r.finished = time.Unix(figure(rest), 0).UTC()
			continue
		case "unknown":
			if f := strings.Split(rest, "\t"); len(f) == 3 {
				r.strange = append(r.strange, stranger{owner{f[0], f[1]}, figure(f[2])})
			}
			continue
		}
		first, value, _ := strings.Cut(rest, "\t")
		at, err := strconv.Atoi(first)
		if err != nil || at < 1 || at > paths {
			return r, fmt.Errorf("the pass left a result that cannot be read, at the line %q", line)
		}
		r.paths[at-1].take(what, value)
	}
	return r, nil
}

// keyOf is the key that a result names, or "".
func keyOf(result string) string {
	for line := range strings.Lines(result) {
		if key, ok := strings.CutPrefix(line, "key\t"); ok {
			return strings.TrimSpace(key)
		}
	}
	return ""
}

func (p *pathReport) take(what, value string) {
	fields := strings.Split(value, "\t")
	at := func(i int) int64 {
		if i >= len(fields) {
			return 0
		}
		return figure(fields[i])
	}
	switch what {
	case "begin":
		p.began, p.started = time.Unix(at(0), 0).UTC(), true
	case "end":
		p.ended = time.Unix(at(0), 0).UTC()
	case "how":
		p.how = value
	case "listing":
		p.listing = value
	case "kind":
		p.kind = value
	case "changes":
		p.changes = at(0)
	case "deleted":
		p.deleted, p.deletedBytes, p.kept = at(0), at(1), at(2)
	case "short":
		p.short = shortage{at(0), at(1), at(2)}
	case "kept":
		p.keptExamples = append(p.keptExamples, strings.TrimPrefix(value, "./"))
	case "lacks":
		p.lacks = append(p.lacks, parseLack(fields))
	case "alike":
		p.alike = append(p.alike, strings.TrimPrefix(value, "./"))
	case "verified":
		p.verified, p.meanwhile, p.differing = at(0), at(1), at(2)
	case "differs":
		reason, path, _ := strings.Cut(value, "\t")
		p.differs = append(p.differs, path+": "+reason)
	case "stat":
		p.stats.add(value)
	case "said":
		p.saidSoFar = append(p.saidSoFar, value)
	case "ran":
		if code := int(at(1)); code != 0 {
			p.failures = append(p.failures, ending{fields[0], code, strings.Join(p.saidSoFar, "\n") + "\n"})
		}
		p.saidSoFar = nil
	case "seen":
		p.seen = true
		p.stats.Files, p.stats.Regular, p.stats.Directories, p.stats.Links, p.stats.Special, p.stats.TotalBytes =
			at(0), at(1), at(2), at(3), at(4), at(5)
	}
}

// result puts together what the pass did.
func (r report) result(p Pass) Result {
	var result Result
	for i, each := range r.paths {
		if !each.started {
			continue
		}
		path := p.Paths[i]
		path.Target = path.target()
		done := PathResult{Path: path, Started: each.began, Finished: each.ended, Stats: each.stats, Changes: each.changes, Verified: each.verified, Whole: each.how != "changes", Listing: each.listing}
		done.Stats.Deleted, done.Stats.DeletedBytes = each.deleted, each.deletedBytes
		if each.ended.After(each.began) {
			done.Stats.Duration = each.ended.Sub(each.began)
		}
		result.Paths = append(result.Paths, done)
		result.Total = result.Total.plus(done.Stats)
		result.Changes += each.changes
		result.Verified += each.verified
		result.ChangedMeanwhile += each.meanwhile
		if result.Started.IsZero() {
			result.Started = each.began
		}
		if each.ended.After(result.Finished) {
			result.Finished = each.ended
		}
		result.Warnings = append(result.Warnings, each.warnings(path, p.Final)...)
	}
	if r.finished.After(result.Finished) {
		result.Finished = r.finished
	}
	// The paths are first listed, all of them, then copied one by one, then compared.
	if result.Finished.After(result.Started) {
		result.Total.Duration = result.Finished.Sub(result.Started)
	}
	result.TrashBytes = r.trashKiB * 1024
	if r.trashKiB > 0 {
		result.TrashPath = TrashPath(p.ID)
	}
	return result
}

func (p pathReport) warnings(path Path, final bool) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	switch p.how {
	case "first":
		if final {
			warn("no earlier pass over the same paths, targets and excludes has brought %s, so nothing was deleted: "+
				"what another pass has brought and the old host no longer has is still on the new one", path.Source)
		}
	case "lost":
		warn("the manifest of %s from the last pass cannot be read any more; everything was compared anew, and nothing was deleted", path.Source)
	case "other":
		warn("%s is another directory than at the last pass (a file system that is not mounted, perhaps); everything was compared anew, and nothing was deleted", path.Source)
	case "untrusted":
		warn("%s holds a file system of the kind %s, whose times of change cannot be relied on; everything was compared anew", path.Source, p.kind)
	}
	if final && p.meanwhile > 0 {
		warn("%d entries of %s were changed on the old host while the pass ran, although nothing should change there any more: some service still writes", p.meanwhile, path.Source)
	}
	if p.kept > 0 {
		warn("%d entries of %s are gone on the old host and stay on the new one, where they have been changed since: %s",
			p.kept, path.Source, strings.Join(p.keptExamples, ", "))
	}
	return warnings
}
