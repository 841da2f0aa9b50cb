package syncpass

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// findings gathers what the operator has to know: what failed, and what to be warned
// of. It is one sentence a fact, with path and host, some examples, and a number for
// the rest.
type findings struct {
	w        *witness
	failed   []error
	warnings []string
}

func (f *findings) fail(format string, args ...any) {
	f.failed = append(f.failed, fmt.Errorf(format, args...))
}

func (f *findings) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}

const (
	// maxNamed bounds how many paths an error lists, a line each.
	maxNamed = 50
	// maxExamples bounds how many paths a warning names.
	maxExamples = 3
)

// entries is a number of them, in words.
func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// verb is what one does, or several do.
func verb(n int64, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// examples names some, in a line.
func examples(found order.Found) string {
	var list []string
	for _, p := range found.Paths[:min(len(found.Paths), maxExamples)] {
		list = append(list, or(p.Path, "the directory itself"))
	}
	if more := found.Count - int64(len(list)); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// listed names them below a directory, a line each, with what is said of each.
func listed(directory string, found order.Found) string {
	var b strings.Builder
	for _, p := range found.Paths[:min(len(found.Paths), maxNamed)] {
		b.WriteString("\n  " + directory)
		if p.Path != "" {
			b.WriteString("/" + p.Path)
		}
		if p.Text != "" {
			b.WriteString(": " + p.Text)
		}
	}
	if more := found.Count - int64(min(len(found.Paths), maxNamed)); more > 0 {
		fmt.Fprintf(&b, "\n  (and %d more)", more)
	}
	return b.String()
}

// path says what was found about one path.
func (f *findings) path(r *PathResult) {
	p := f.w.pass
	from, to := f.w.fromName(), f.w.toName()
	source, target := r.Source, r.Target
	for _, kind := range slices.Sorted(maps.Keys(r.Found)) {
		found := r.Found[kind]
		n := found.Count
		switch kind {
		case "lost":
			f.warn("%s of %s on host %q had been brought and %s missing there: copied again (%s)", entries(n), target, to, verb(n, "was", "were"), examples(found))
		case "spoiled":
			f.warn("%s of %s on host %q had another content than a pass brought, although nobody has written %s: copied again. Look after the disk of host %[3]q (%[5]s)",
				entries(n), target, to, verb(n, "it", "them"), examples(found))
		case "conflict":
			f.warn("%s of %s on host %q %s its own, and host %q has another: %s (%s)",
				entries(n), target, to, verb(n, "was", "were"), from, f.becameOf(), examples(found))
		case "refused":
			f.fail("%s of %s on host %q %s its own, and host %q has another. on_conflict is \"fail\", so they were left. "+
				"Move them away, or set on_conflict to \"replace\". They are:%s", entries(n), target, to, verb(n, "is", "are"), from, listed(target, found))
		case "left":
			if p.Verify == "metadata" || p.Verify == "checksum" {
				f.fail("the pass is done, but %s on host %q %s not as on host %q: %s changed there since a pass brought %s, and %s left. "+
					"Where that of host %[4]q is wanted, remove it on host %[2]q and apply again: it is copied anew. They are:%[8]s",
					entries(n), to, verb(n, "is", "are"), from, verb(n, "it was", "they were"), verb(n, "it", "them"), verb(n, "was", "were"), listed(target, found))
				continue
			}
			f.warn("%s of %s %s changed on host %q since a pass brought %s, and left as %s (%s)",
				entries(n), target, verb(n, "was", "were"), to, verb(n, "it", "them"), verb(n, "it is", "they are"), examples(found))
		case "kept":
			f.warn("%s of %s %s gone on host %q and %s on host %q, where %s changed since (%s)",
				entries(n), source, verb(n, "is", "are"), from, verb(n, "stays", "stay"), to, verb(n, "it was", "they were"), examples(found))
		case "vanished":
			note := fmt.Sprintf("%s of %s on host %q went away while %s copied", entries(n), source, from, verb(n, "it was", "they were"))
			if p.failsOnVanished() {
				f.fail("%s, although nothing should change there any more: some service still writes. Stop it and apply again. They are:%s", note, listed(source, found))
				continue
			}
			f.warn("%s (%s); a later pass sees to it", note, examples(found))
		case "unread":
			f.fail("%s of %s on host %q could not be read; all the rest was copied. They are:%s", entries(n), source, from, listed(source, found))
		case "failed":
			if full(found) {
				f.fail("the file system of %s on host %q is full%s. What was there before is as it was. "+
					"Make room and apply again: the pass goes on where it stopped. What did not fit:%s", target, to, r.stillToCome(), listed(target, found))
				continue
			}
			f.fail("%s of %s could not be copied to host %q; all the rest was. They are:%s", entries(n), target, to, listed(target, found))
		case "differs":
			f.fail("the pass is done, but %s on host %q %s not as the pass has left %s. Something else writes there, or its disk is faulty. "+
				"When it is clear what: remove them and apply again, and they are copied anew. They are:%s",
				entries(n), to, verb(n, "is", "are"), verb(n, "it", "them"), listed(target, found))
		case "meanwhile":
			if p.Final {
				f.warn("%s of %s %s changed on host %q while the pass ran, although nothing should change there any more: some service still writes (%s)",
					entries(n), source, verb(n, "was", "were"), from, examples(found))
			}
		case "unmounted":
			note := fmt.Sprintf("what was mounted at %s below %s on host %q at an earlier pass is not mounted now, or is another", examples(found), source, from)
			if p.Final {
				f.fail("%s. Nothing below it was taken away on host %q. Mount it and apply again", note, to)
				continue
			}
			f.warn("%s; nothing below it was taken away on host %q", note, to)
		case "attributes":
			f.warn("%s of %s %s attributes that are not copied (%s: %s)", entries(n), source, verb(n, "has", "have"), found.Paths[0].Path, found.Paths[0].Text)
		case "damaged":
			f.warn("what the chain knew of %s on host %q was damaged (%s); what is not known any more was compared anew, and nothing of it taken away",
				target, to, found.Paths[0].Text)
		case "stranger":
			// strangers says it for all paths.
		default:
			f.warn("%s of %s: %s (%s)", entries(n), source, kind, examples(found))
		}
	}
	if p.Final && r.Whole && p.Verify != "metadata" && p.Verify != "checksum" {
		f.warn("no earlier pass over the same paths and targets has brought %s, so nothing was deleted: "+
			"what another pass has brought and host %q no longer has is still on host %q", source, from, to)
	}
}

// becameOf is what became of the target host's own.
func (f *findings) becameOf() string {
	if or(f.w.pass.Delete, "trash") == "trash" {
		return fmt.Sprintf("that of host %q was copied, and the other is in the trash", f.w.fromName())
	}
	return fmt.Sprintf("that of host %q was copied over it", f.w.fromName())
}

func (p Pass) failsOnVanished() bool {
	return or(p.Vanished, map[bool]string{true: "fail", false: "warn"}[p.Final]) == "fail"
}

// full says whether something found no room, in the words of the kernel.
func full(found order.Found) bool {
	return slices.ContainsFunc(found.Paths, func(p order.Path) bool {
		return strings.Contains(p.Text, "no space left on device") || strings.Contains(p.Text, "disk quota exceeded")
	})
}

// stillToCome says how much of a path did not find room.
func (r *PathResult) stillToCome() string {
	if r.ToCome <= 0 {
		return ""
	}
	return fmt.Sprintf(": %s in %s %s still to come", order.Size(r.ToComeBytes), entries(r.ToCome), verb(r.ToCome, "is", "are"))
}

// maxOwners bounds how many owners a message lists.
const maxOwners = 40

// strangers names the owners of files that the new host does not know.
func (f *findings) strangers(roots []order.RootOutcome) {
	from, to := f.w.fromName(), f.w.toName()
	var refused, warned []order.Stranger
	for _, r := range roots {
		for _, s := range r.Strangers {
			list := &warned
			if s.Name != "" || s.Here != "" {
				list = &refused
			}
			same := func(o order.Stranger) bool { return o.Group == s.Group && o.ID == s.ID && o.Name == s.Name }
			if at := slices.IndexFunc(*list, same); at >= 0 {
				(*list)[at].Count += s.Count
			} else {
				*list = append(*list, s)
			}
		}
	}
	names := func(list []order.Stranger) string {
		var words []string
		for i, s := range list {
			if i == maxOwners {
				words = append(words, fmt.Sprintf("and %d more", len(list)-i))
				break
			}
			kind := "user"
			if s.Group {
				kind = "group"
			}
			word := fmt.Sprintf("%s %s (%s)", kind, s.Name, entries(s.Count))
			if s.Name == "" {
				word = fmt.Sprintf("%s number %d (%s)", kind, s.ID, entries(s.Count))
				if s.Here != "" {
					word = fmt.Sprintf("%s number %d, which is %s there (%s)", kind, s.ID, s.Here, entries(s.Count))
				}
			}
			words = append(words, word)
		}
		return strings.Join(words, ", ")
	}
	if len(refused) > 0 {
		said := fmt.Sprintf("host %q does not know these owners of files in the paths: %s. Their files would be given to whoever has their numbers there",
			to, names(refused))
		switch f.w.pass.UnknownOwners {
		case "warn":
			f.warn("%s", said)
		case leaveUnknown:
			f.warn("host %q does not know these owners of files in the paths: %s. Their files stay on host %q", to, names(refused), from)
		default:
			f.fail("%s. Nothing was copied. Create them on %q first, by a cutover_host_user for example, or give the files to somebody else on host %q", said, to, from)
		}
	}
	if len(warned) > 0 && or(f.w.pass.UnknownOwners, "fail") != "ignore" {
		f.warn("these owners of files in the paths have no name on either host, and keep their numbers: %s", names(warned))
	}
}

// crowded says what file systems are too small.
func (f *findings) crowded(list []order.Crowded) {
	to := f.w.toName()
	for _, c := range list {
		if c.Free >= 0 && c.Bytes > c.Free {
			f.fail("the file system %s of host %q is too small: the pass brings %s, and %s are free; %s are missing. Nothing was copied",
				c.Mount, to, order.Size(c.Bytes), order.Size(c.Free), order.Size(c.Bytes-c.Free))
		}
		if c.FreeEntries >= 0 && c.Entries > c.FreeEntries {
			f.fail("the file system %s of host %q has too few inodes: the pass brings %d files, and there is room for %d. Nothing was copied",
				c.Mount, to, c.Entries, c.FreeEntries)
		}
	}
}

// lacks says what the file system of a target cannot keep: what would be lost without
// a word stands in the way, the rest is warned of.
func (f *findings) lacks(r *PathResult, lacks []order.Lack) {
	at := fmt.Sprintf("the file system of %s on host %q", r.Target, f.w.toName())
	for _, l := range lacks {
		switch l.What {
		case "owners":
			f.fail("%s cannot keep owners and modes; use another, such as ext4. Nothing was copied", at)
		case "links":
			f.fail("%s cannot keep symbolic links, of which %s holds %d. Nothing was copied", at, r.Source, l.Count)
		case "hardlinks":
			f.fail("%s cannot keep hard links, and %d names in %s are of files with several. Nothing was copied", at, l.Count, r.Source)
		case "case":
			if l.Count == 0 {
				f.warn("%s does not tell upper case from lower in names; so far none collide", at)
				continue
			}
			f.fail("%s does not tell upper case from lower in names, so %s would overwrite others: %s. Nothing was copied",
				at, entries(l.Count), strings.Join(l.Examples, ", "))
		case "acls":
			f.warn("%s cannot keep ACLs, %s: they are not copied", at, had(l))
		case "xattrs":
			f.warn("%s cannot keep extended attributes, %s: they are not copied", at, had(l))
		default:
			f.fail("%s cannot keep %s. Nothing was copied", at, l.What)
		}
	}
}

// had says which entries have it.
func had(l order.Lack) string {
	switch {
	case l.Count == 0 || len(l.Examples) == 0:
		return "which entries may have"
	case l.Count == 1:
		return "which " + l.Examples[0] + " has"
	}
	return fmt.Sprintf("which %s have, %s for example", entries(l.Count), l.Examples[0])
}
