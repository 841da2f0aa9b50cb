//go:build linux

package tree

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The entries of which the cases below are made. What the target has is another
// inode with another ctime, and the same size and time where it is the same.
var (
	file      = Stat{Mode: unix.S_IFREG | 0o644, UID: 1000, GID: 1000, Nlink: 1, Ino: 1, Size: 100, Mtime: 5000, Ctime: 5001}
	edited    = with(file, func(s *Stat) { s.Size, s.Mtime, s.Ctime = 120, 6000, 6001 })
	chmodded  = with(file, func(s *Stat) { s.Mode, s.Ctime = unix.S_IFREG|0o600, 6001 })
	there     = with(file, func(s *Stat) { s.Ino, s.Ctime = 71, 9000 })
	touched   = with(there, func(s *Stat) { s.Ctime = 9100 })
	newer     = with(there, func(s *Stat) { s.Size, s.Mtime, s.Ctime = 80, 9200, 9201 })
	older     = with(there, func(s *Stat) { s.Ino, s.Size, s.Mtime, s.Ctime = 72, 90, 4000, 9300 })
	foreign   = with(there, func(s *Stat) { s.Ino, s.Size, s.Mtime, s.Ctime = 73, 7, 4000, 4001 })
	half      = Stat{Mode: unix.S_IFREG | PartMode, Nlink: 1, Ino: 74, Size: 60, Mtime: 8000, Ctime: 8000}
	dir       = Stat{Mode: unix.S_IFDIR | 0o755, Ino: 2, Mtime: 5000, Ctime: 5001}
	dirThere  = Stat{Mode: unix.S_IFDIR | 0o700, Ino: 75, Mtime: 9000, Ctime: 9000}
	link      = Stat{Mode: unix.S_IFLNK | 0o777, UID: 1000, GID: 1000, Nlink: 1, Ino: 3, Size: 10, Mtime: 5000, Ctime: 5001}
	linkThere = with(link, func(s *Stat) { s.Ino, s.Ctime = 76, 9000 })
	ownLink   = with(linkThere, func(s *Stat) { s.Ino, s.Size, s.Mtime = 77, 4, 9500 })
	device    = Stat{Mode: unix.S_IFCHR | 0o600, Nlink: 1, Ino: 4, Rdev: 0x103, Mtime: 5000, Ctime: 5001}
	devThere  = with(device, func(s *Stat) { s.Ino, s.Mtime, s.Ctime = 78, 9000, 9000 })
	otherDev  = with(devThere, func(s *Stat) { s.Rdev = 0x105 })
	fifo      = Stat{Mode: unix.S_IFIFO | 0o600, UID: 1000, Nlink: 1, Ino: 5, Mtime: 5000, Ctime: 5001}
	two       = with(file, func(s *Stat) { s.Nlink, s.Ctime = 2, 5500 })
	twoThere  = with(there, func(s *Stat) { s.Nlink = 2 })
	fifoHalf  = Stat{Mode: unix.S_IFIFO | 0o600, Nlink: 1, Ino: 79, Mtime: 8000, Ctime: 8000}
)

func with(s Stat, change func(*Stat)) Stat {
	change(&s)
	return s
}

// base is what the base has where source was brought, and the target was then at.
// Of a directory it does not say what the target's was.
func base(source, at Stat) *Known {
	if source.IsDir() {
		return &Known{Source: SourceOf(&source)}
	}
	return &Known{Source: SourceOf(&source), Target: StateOf(&at)}
}

func adopted(source, at Stat) *Known {
	k := base(source, at)
	k.Adopted = true
	return k
}

func recent(source, at Stat) *Known {
	k := base(source, at)
	k.Recent = true
	return k
}

var (
	nothing = Verdict{}
	brings  = Verdict{Action: Bring}
	likely  = Verdict{Action: Bring, Likely: true}
	lost    = Verdict{Action: Bring, Lost: true}
	against = Verdict{Action: Bring, Conflict: true}
	compare = Verdict{Action: Bring, Conflict: true, Likely: true}
	leaves  = Verdict{Action: Leave}
	adopts  = Verdict{Action: Adopt}
	removes = Verdict{Action: Remove}
	keeps   = Verdict{Action: Keep}
	forgets = Verdict{Action: Forget}
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name string
		q    Question
		want Verdict
	}{
		// The rows of DESIGN's table.
		{"same, same", Question{Source: &file, Base: base(file, there), Target: &there}, nothing},
		{"changed, same", Question{Source: &edited, Base: base(file, there), Target: &there}, brings},
		{"changed, nothing there", Question{Source: &edited, Base: base(file, there)}, brings},
		{"new, nothing there", Question{Source: &file}, brings},
		{"same, missing", Question{Source: &file, Base: base(file, there)}, lost},
		{"same, changed", Question{Source: &file, Base: base(file, there), Target: &newer}, leaves},
		{"changed, changed", Question{Source: &edited, Base: base(file, there), Target: &newer}, against},
		{"gone, same", Question{Base: base(file, there), Target: &there}, removes},
		{"gone, changed", Question{Base: base(file, there), Target: &newer}, keeps},
		{"gone, gone", Question{Base: base(file, there)}, forgets},
		{"new, there, never brought", Question{Source: &file, Target: &foreign}, against},
		{"never there, the target's own", Question{Target: &foreign}, nothing},
		{"never anywhere", Question{}, forgets},

		// Only what is known of it was changed, so that its content is likely there.
		{"changed mode, same", Question{Source: &chmodded, Base: base(file, there), Target: &there}, likely},
		{"changed mode, changed mode", Question{Source: &chmodded, Base: base(file, there), Target: new(with(there, func(s *Stat) { s.Mode, s.Ctime = unix.S_IFREG|0o640, 9100 }))}, compare},
		{"same, touched", Question{Source: &file, Base: base(file, there), Target: &touched}, adopts},
		{"same, changed mode", Question{Source: &file, Base: base(file, there), Target: new(with(touched, func(s *Stat) { s.Mode = unix.S_IFREG | 0o600 }))}, leaves},
		{"same, changed owner", Question{Source: &file, Base: base(file, there), Target: &touched, Chowned: true}, leaves},
		{"new, the same there", Question{Source: &file, Target: &there}, adopts},
		{"new, the same there with another owner", Question{Source: &file, Target: &there, Chowned: true}, adopts},
		{"replaced by the same, same", Question{Source: new(with(file, func(s *Stat) { s.Ino, s.Ctime = 99, 7000 })), Base: base(file, there), Target: &there}, likely},

		{"new, of the same size there", Question{Source: &file, Target: new(with(there, func(s *Stat) { s.Mtime = 1 }))}, compare},
		{"new, of another size there", Question{Source: &file, Target: new(with(there, func(s *Stat) { s.Mtime, s.Size = 1, s.Size+1 }))}, against},

		// The content of all files is compared.
		{"content, same, same", Question{Source: &file, Base: base(file, there), Target: &there, Content: true}, Verdict{Action: Bring, Likely: true, Sound: true}},
		{"content, same, touched", Question{Source: &file, Base: base(file, there), Target: &touched, Content: true}, Verdict{Action: Bring, Conflict: true, Likely: true, Yield: true}},
		{"content, changed, same", Question{Source: &edited, Base: base(file, there), Target: &there, Content: true}, brings},
		{"content, a link, same", Question{Source: &link, Base: base(link, linkThere), Target: &linkThere, Content: true}, nothing},
		{"content, new, the same there", Question{Source: &file, Target: &there, Content: true}, compare},

		// A backup was restored on the new host.
		{"same, an older version", Question{Source: &file, Base: base(file, there), Target: &older}, Verdict{Action: Bring, Conflict: true, Lost: true}},
		{"changed, an older version", Question{Source: &edited, Base: base(file, there), Target: &older}, against},
		{"gone, an older version", Question{Base: base(file, there), Target: &older}, keeps},
		{"same, an older link", Question{Source: &file, Base: base(file, there), Target: new(with(linkThere, func(s *Stat) { s.Mtime = 1 }))}, leaves},

		// What the new host had before any pass stays there.
		{"adopted, same, same", Question{Source: &file, Base: adopted(file, there), Target: &there}, nothing},
		{"adopted, changed, same", Question{Source: &edited, Base: adopted(file, there), Target: &there}, brings},
		{"adopted, gone, same", Question{Base: adopted(file, there), Target: &there}, keeps},
		{"adopted, gone, gone", Question{Base: adopted(file, there)}, forgets},
		{"adopted directory, gone", Question{Base: adopted(dir, dirThere), Target: &dirThere}, keeps},

		// It may have been written without a new time.
		{"recent, same, same", Question{Source: &file, Base: recent(file, there), Target: &there}, likely},
		{"recent, same, changed", Question{Source: &file, Base: recent(file, there), Target: &newer}, leaves},
		{"recent, gone, same", Question{Base: recent(file, there), Target: &there}, removes},
		{"coarse, same, same", Question{Source: &file, Base: base(file, there), Target: &there, Coarse: true}, likely},
		{"coarse, a link, same", Question{Source: &link, Base: base(link, linkThere), Target: &linkThere, Coarse: true}, nothing},
		{"coarse, new, the same there", Question{Source: &file, Target: &there, Coarse: true}, compare},
		{"coarse, same, touched", Question{Source: &file, Base: base(file, there), Target: &touched, Coarse: true}, compare},

		// The new host was started anew before all was on its disk.
		{"unsure, same, same", Question{Source: &file, Base: base(file, there), Target: &there, Unsure: true}, likely},
		{"unsure, same, missing", Question{Source: &file, Base: base(file, there), Unsure: true}, lost},
		{"unsure, same, empty", Question{Source: &file, Base: base(file, there), Target: new(with(there, func(s *Stat) { s.Size, s.Ctime = 0, 9100 })), Unsure: true}, brings},
		{"unsure, same, of the right length", Question{Source: &file, Base: base(file, there), Target: &touched, Unsure: true}, likely},
		{"unsure, same, longer", Question{Source: &file, Base: base(file, there), Target: new(with(there, func(s *Stat) { s.Size, s.Mtime = 101, 9100 })), Unsure: true}, against},
		{"unsure, same, what was there before", Question{Source: &file, Base: base(file, there), Target: new(with(newer, func(s *Stat) { s.Ino = 90 })), Unsure: true}, against},
		{"unsure, same, an older version", Question{Source: &file, Base: base(file, there), Target: &older, Unsure: true}, against},
		{"unsure, new, the same there", Question{Source: &file, Target: &there, Unsure: true}, compare},
		{"unsure, gone, same", Question{Base: base(file, there), Target: &there, Unsure: true}, removes},
		{"unsure, gone, shorter", Question{Base: base(file, there), Target: new(with(there, func(s *Stat) { s.Size, s.Ctime = 0, 9100 })), Unsure: true}, removes},
		{"unsure, gone, changed", Question{Base: base(file, there), Target: &older, Unsure: true}, keeps},

		// A pass broke off.
		{"intended, nothing made", Question{Source: &file, Intended: []Stat{file}}, brings},
		{"intended, complete", Question{Source: &file, Intended: []Stat{file}, Target: &there}, likely},
		{"intended, complete, changed since", Question{Source: &edited, Intended: []Stat{file}, Target: &there}, brings},
		{"intended, partial", Question{Source: &file, Intended: []Stat{file}, Target: &half}, brings},
		{"intended, and then another", Question{Source: &edited, Intended: []Stat{file, edited}, Target: &there}, brings},
		{"intended, partial, changed since", Question{Source: &edited, Intended: []Stat{file}, Target: &half}, brings},
		{"intended, partial, gone", Question{Intended: []Stat{file}, Target: &half}, removes},
		{"intended, complete, gone", Question{Intended: []Stat{file}, Target: &there}, removes},
		{"intended, the target's own", Question{Source: &file, Intended: []Stat{file}, Target: &foreign}, against},
		{"intended, the target's own, gone", Question{Intended: []Stat{file}, Target: &foreign}, nothing},
		{"intended, partial, longer than intended", Question{Source: &file, Intended: []Stat{file}, Target: new(with(half, func(s *Stat) { s.Size = 101 }))}, brings},
		{"intended, partial, with its owner", Question{Source: &file, Intended: []Stat{file}, Target: new(with(half, func(s *Stat) { s.UID = 1000 }))}, brings},
		{"intended, open to others", Question{Source: &file, Intended: []Stat{file}, Target: new(with(half, func(s *Stat) { s.Mode = unix.S_IFREG | 0o644 }))}, against},
		{"intended, of another kind", Question{Source: &file, Intended: []Stat{file}, Target: &ownLink}, against},
		{"intended, partial, of another maker", Question{Source: &file, Intended: []Stat{file}, Target: new(with(half, func(s *Stat) { s.UID = 1000 }))}, brings},
		{"intended anew, complete", Question{Source: &edited, Base: base(file, there), Intended: []Stat{edited}, Target: new(with(edited, func(s *Stat) { s.Ino = 80 }))}, likely},
		{"intended anew, partial", Question{Source: &edited, Base: base(file, there), Intended: []Stat{edited}, Target: &half}, brings},
		{"intended link, made", Question{Source: &link, Intended: []Stat{link}, Target: new(with(linkThere, func(s *Stat) { s.UID, s.Mtime = 0, 8000 }))}, compare},
		{"intended link, the target's own", Question{Source: &link, Intended: []Stat{link}, Target: &ownLink}, compare},
		{"intended fifo, made", Question{Source: &fifo, Intended: []Stat{fifo}, Target: &fifoHalf}, likely},
		{"intended device, made", Question{Source: &device, Intended: []Stat{device}, Target: &devThere}, likely},
		{"intended device, another", Question{Source: &device, Intended: []Stat{device}, Target: &otherDev}, against},
		{"not intended, but a part", Question{Source: &file, Target: &half}, brings},
		{"not intended, like a part of somebody else", Question{Source: &file, Target: new(with(half, func(s *Stat) { s.UID = 1000 }))}, against},
		{"like a part, of an entry with that mode", Question{Source: new(with(file, func(s *Stat) { s.Mode = unix.S_IFREG | PartMode })), Intended: []Stat{file}, Target: &half}, against},

		// Links are as long as each other by chance, and are compared.
		{"link, same, same", Question{Source: &link, Base: base(link, linkThere), Target: &linkThere}, nothing},
		{"link, new, the same there", Question{Source: &link, Target: &linkThere}, compare},
		{"link, new, another there", Question{Source: &link, Target: &ownLink}, compare},
		{"link, same, changed", Question{Source: &link, Base: base(link, linkThere), Target: &ownLink}, leaves},
		{"link, gone, same", Question{Base: base(link, linkThere), Target: &linkThere}, removes},
		{"link, new, a file there", Question{Source: &link, Target: &foreign}, against},
		{"a file became a link", Question{Source: &link, Base: base(file, there), Target: &there}, brings},
		{"a link became a file", Question{Source: &file, Base: base(link, linkThere), Target: &linkThere}, brings},
		{"device, new, the same there", Question{Source: &device, Target: &devThere}, adopts},
		{"device, new, another there", Question{Source: &device, Target: &otherDev}, against},
		{"fifo, new, the same there", Question{Source: &fifo, Target: &fifoHalf}, adopts},

		// Another name of a file changes its time.
		{"one of two names, same, touched", Question{Source: &two, Base: base(two, twoThere), Target: new(with(twoThere, func(s *Stat) { s.Nlink, s.Ctime = 3, 9100 }))}, nothing},
		{"one of two names, same, another file", Question{Source: &two, Base: base(two, twoThere), Target: new(with(twoThere, func(s *Stat) { s.Ino, s.Size = 81, 7 }))}, leaves},
		{"one of two names, gone, touched", Question{Base: base(two, twoThere), Target: new(with(twoThere, func(s *Stat) { s.Nlink, s.Ctime = 1, 9100 }))}, removes},
		{"a second name came, same", Question{Source: &two, Base: base(file, there), Target: &there}, likely},

		// Directories.
		{"directory, new, nothing there", Question{Source: &dir}, brings},
		{"directory, new, one there", Question{Source: &dir, Target: &dirThere}, adopts},
		{"directory, same, same", Question{Source: &dir, Base: base(dir, dirThere), Target: &dirThere}, nothing},
		{"directory, same but for its mode", Question{Source: new(with(dir, func(s *Stat) { s.Mode, s.Ctime = unix.S_IFDIR|0o700, 7000 })), Base: base(dir, dirThere), Target: &dirThere}, nothing},
		{"directory, another one of the name", Question{Source: new(with(dir, func(s *Stat) { s.Ino = 99 })), Base: base(dir, dirThere), Target: &dirThere}, adopts},
		{"directory, same, missing", Question{Source: &dir, Base: base(dir, dirThere)}, lost},
		{"directory, gone", Question{Base: base(dir, dirThere), Target: &dirThere}, removes},
		{"directory, gone, gone", Question{Base: base(dir, dirThere)}, forgets},
		{"directory, gone, a file there", Question{Base: base(dir, dirThere), Target: &foreign}, keeps},
		{"file, gone, a directory there", Question{Base: base(file, there), Target: &dirThere}, keeps},
		{"a file became a directory", Question{Source: &dir, Base: base(file, there), Target: &there}, brings},
		{"a file became a directory, changed", Question{Source: &dir, Base: base(file, there), Target: &newer}, against},
		{"an adopted file became a directory", Question{Source: &dir, Base: adopted(file, there), Target: &there}, against},
		{"a directory became a file", Question{Source: &file, Base: base(dir, dirThere), Target: &dirThere}, against},
		{"directory, new, a file there", Question{Source: &dir, Target: &foreign}, against},
		{"file, new, a directory there", Question{Source: &file, Target: &dirThere}, against},
		{"intended directory, made", Question{Source: &dir, Intended: []Stat{dir}, Target: &dirThere}, adopts},
		{"intended file, then a directory", Question{Source: &dir, Intended: []Stat{file}, Target: &half}, brings},
		{"intended directory, gone", Question{Intended: []Stat{dir}, Target: &dirThere}, nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Decide(c.q); got != c.want {
				t.Errorf("the verdict is %+v, and not %+v", got, c.want)
			}
		})
	}
}

// TestDecideNeverRemovesTheTargetsOwn asks everything that can be asked with the
// entries above.
func TestDecideNeverRemovesTheTargetsOwn(t *testing.T) {
	stats := []*Stat{nil, &file, &edited, &there, &newer, &older, &foreign, &dir, &dirThere, &link, &linkThere, &ownLink, &device, &devThere, &fifo}
	flags := []bool{false, true}
	for _, source := range stats {
		for _, target := range stats {
			for _, brought := range stats {
				var known *Known
				if brought != nil {
					known = base(*brought, there)
				}
				for _, unsure := range flags {
					for _, coarse := range flags {
						q := Question{Source: source, Base: known, Target: target, Unsure: unsure, Coarse: coarse}
						v := Decide(q)
						own := target != nil && (known == nil || known.Target != StateOf(target)) && !(unsure && target.Ino == there.Ino)
						switch {
						case v.Action == Remove && own && !(target.IsDir() && brought.IsDir()):
							t.Errorf("the target's own is taken away: %+v", q)
						case v.Action == Bring && own && !v.Conflict:
							t.Errorf("the target's own is replaced: %+v", q)
						case v.Action == Bring && source == nil, v.Action == Remove && source != nil, v.Action == Nothing && target == nil:
							t.Errorf("%+v of %+v", v, q)
						}
					}
				}
			}
		}
	}
}
