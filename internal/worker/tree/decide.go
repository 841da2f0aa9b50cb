//go:build linux

package tree

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Action is what a pass does about an entry.
type Action int

// Actions. DESIGN's table of three trees is Decide.
const (
	Nothing Action = iota // it is as it was brought, or cannot be read
	Adopt                 // the target has the very same, and it is noted
	Bring                 // from the source: content, or attributes alone
	Leave                 // only the target's was changed: it stays
	Remove                // it was brought, and the source has it no more
	Keep                  // the source has it no more; the target's is its own
	Forget                // neither has it any more
)

// Verdict is what Decide says.
type Verdict struct {
	Action Action
	// Conflict: what the target has there is its own. It goes into the trash.
	Conflict bool
	// Lost: it was brought, and the target has lost it.
	Lost bool
	// Likely: what the target has is likely the same, so it is compared first.
	Likely bool
	// Yield: if the content is another than the source's, somebody has changed it on the
	// target alone, and it stays.
	Yield bool
	// Sound: nobody has written it on the target. If the content is another, its disk
	// has spoiled it.
	Sound bool
}

// Question is what is known of an entry of one name.
type Question struct {
	Source *Stat  // nil: the source does not have it
	Base   *Known // nil: no pass has brought it
	Target *Stat  // nil: the target does not have it
	// Intended is what passes that broke off were about to make there.
	Intended []Stat
	// Unsure: the base may know of it what never reached the target's disk.
	Unsure bool
	// Coarse: the source's file system does not say what was changed.
	Coarse bool
	// Content: of each file the content is compared, whatever else says that it is the
	// same.
	Content bool
	// Chowned: the target's owner is another than the source's is there.
	Chowned bool
	// Maker is the user by whom files are made on the target: root.
	Maker uint32
}

// PartMode is the mode of a file of which not all is there yet.
const PartMode = 0o1600

// Decide says what to do. Of directories it says whether one is to be made, kept
// or taken away; what is in it is asked for by itself.
func Decide(q Question) Verdict {
	if q.Source == nil {
		return q.gone()
	}
	same := q.Base != nil && q.Base.Source == SourceOf(q.Source)
	if q.Target == nil {
		return Verdict{Action: Bring, Lost: same}
	}
	if q.Source.IsDir() || q.Target.IsDir() {
		return q.directory()
	}
	if q.Base != nil && q.Base.Is(q.Target) {
		if same && !q.Base.Recent && !q.Unsure && !(q.Coarse && q.Source.IsRegular()) {
			// Whether somebody has written a file with several names its time of change does
			// not say: a link more changes it, too.
			linked := q.Source.HardLinked()
			if q.Content && q.Source.IsRegular() && !(linked && (q.Source.Mode != q.Target.Mode || q.Chowned)) {
				return Verdict{Action: Bring, Likely: true, Sound: !linked, Yield: linked}
			}
			return Verdict{Action: Nothing}
		}
		return Verdict{Action: Bring, Likely: looksSame(q.Source, &q.Base.Source)}
	}
	if q.ours() {
		return Verdict{Action: Bring, Likely: looksSame(q.Source, q.Target)}
	}
	if looksSame(q.Source, q.Target) {
		switch {
		case q.Source.Kind() == unix.S_IFLNK, q.Unsure, q.Coarse, q.Base != nil && !same:
			return Verdict{Action: Bring, Conflict: true, Likely: true}
		case same && (q.Source.Mode != q.Target.Mode || q.Chowned):
			return Verdict{Action: Leave}
		case q.Content && q.Source.IsRegular():
			return Verdict{Action: Bring, Conflict: true, Likely: true, Yield: same}
		}
		return Verdict{Action: Adopt}
	}
	// Where the base is not believed this may be what was there before.
	if same && !q.Unsure {
		// An edit makes it newer. What is older is an older version of it: somebody
		// has restored the target from a backup.
		if q.Target.Mtime < q.Source.Mtime && q.Source.IsRegular() && q.Target.IsRegular() {
			return Verdict{Action: Bring, Conflict: true, Lost: true}
		}
		return Verdict{Action: Leave}
	}
	// Of what every new account gets, both hosts may have the same under another time.
	likely := q.Source.Kind() == q.Target.Kind() && (q.Source.Kind() == unix.S_IFLNK || q.Source.IsRegular() && q.Source.Size == q.Target.Size)
	return Verdict{Action: Bring, Conflict: true, Likely: likely}
}

// gone is for what the source does not have.
func (q *Question) gone() Verdict {
	switch {
	case q.Target == nil:
		return Verdict{Action: Forget}
	case q.Base == nil && len(q.Intended) > 0 && q.ours():
		return Verdict{Action: Remove}
	case q.Base == nil:
		return Verdict{Action: Nothing}
	case q.Base.Adopted:
		return Verdict{Action: Keep}
	case q.Base.Source.IsDir() && q.Target.IsDir():
		return Verdict{Action: Remove} // if nothing is left in it
	case q.Base.Is(q.Target) || q.ours():
		return Verdict{Action: Remove}
	}
	return Verdict{Action: Keep}
}

func (q *Question) directory() Verdict {
	switch {
	case q.Source.IsDir() && q.Target.IsDir():
		if q.Base == nil || q.Base.Source != SourceOf(q.Source) {
			return Verdict{Action: Adopt}
		}
		return Verdict{Action: Nothing}
	case len(q.Intended) > 0 && q.ours():
		return Verdict{Action: Bring}
	case q.Base != nil && !q.Base.Adopted && q.Base.Is(q.Target):
		return Verdict{Action: Bring} // a file became a directory
	}
	return Verdict{Action: Bring, Conflict: true}
}

// ours says whether what the target has is what a pass that broke off has made:
// complete, or the part of a file that it had written. The disk of a host that lost
// its power may have such a part and not the intent.
func (q *Question) ours() bool {
	// A disk that has lost the content of a file may have kept its time; who edits a
	// file, or makes another one, which may get its number, gives it a new time.
	if q.Unsure && q.Base != nil && q.Target.IsRegular() && q.Base.Target.Ino == q.Target.Ino && q.Base.Target.Mtime == q.Target.Mtime &&
		q.Target.Size <= q.Base.Target.Size {
		return true
	}
	if q.Target.IsRegular() && q.Target.Mode&0o7777 == PartMode && (len(q.Intended) > 0 || q.Unsure || q.Target.UID == q.Maker) && !q.partOnSource() {
		return q.Source != nil || q.Base != nil || len(q.Intended) > 0
	}
	return slices.ContainsFunc(q.Intended, func(intended Stat) bool { return looksSame(&intended, q.Target) })
}

// partOnSource says whether the source's file has the mode of a part itself, so
// that the mode says nothing.
func (q *Question) partOnSource() bool {
	return q.Source != nil && q.Source.Mode&0o7777 == PartMode || q.Base != nil && q.Base.Source.Mode&0o7777 == PartMode
}

// looksSame is rsync's quick check: kind, size and time of modification, and of
// a device what it is.
func looksSame(a, b *Stat) bool {
	if a.Kind() != b.Kind() || a.Rdev != b.Rdev {
		return false
	}
	switch a.Kind() {
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK:
		return true
	}
	return a.Size == b.Size && a.Mtime == b.Mtime
}
