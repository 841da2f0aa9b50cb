//go:build linux

package pass

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// Crowded is a file system of the new host that has no room for what is to come.
type Crowded struct {
	Mount string // where it is mounted
	// Bytes and Entries (inodes) are what is to come, of all roots, and Free and
	// FreeEntries what there is. A figure that the file system does not give is -1.
	Bytes, Free          int64
	Entries, FreeEntries int64
}

// Check finds out, before anything is copied, whether the targets can take what is
// to come: whether there is room, and what their file systems do not keep. Who
// makes a pass of several roots prepares them all before. For a preview it changes
// nothing, and what has no room is no error.
//
// Its error wraps ErrRefused where the targets cannot take it.
func Check(all ...*Prepared) ([]Crowded, error) {
	crowded, err := room(all)
	if err != nil && !errors.Is(err, ErrRefused) {
		return crowded, err
	}
	problems := []error{err}
	for _, p := range all {
		problems = append(problems, p.t.try())
	}
	return crowded, errors.Join(problems...)
}

// share is what the targets have to do with one file system.
type share struct {
	need
	free
	targets []*target
	systems []*fileSystem // as each of the targets knows it
}

func (s *share) fits() bool {
	return (s.free.bytes < 0 || s.need.bytes <= s.free.bytes) && (s.free.entries < 0 || s.need.entries <= s.free.entries)
}

// look asks how much is free.
func (s *share) look() error {
	for dir, system := range s.targets[0].fileSystems.found {
		if system != s.systems[0] {
			continue
		}
		fd, err := s.targets[0].root.OpenDir(dir)
		if err != nil {
			continue // it is hidden: another directory is in the same one
		}
		defer unix.Close(fd)
		s.free, err = freeIn(fd)
		if system.compresses {
			s.free.bytes = -1
		}
		return err
	}
	return fmt.Errorf("%s cannot be opened", s.systems[0].point)
}

func room(all []*Prepared) ([]Crowded, error) {
	shares := map[string]*share{}
	preview := true
	for _, p := range all {
		t := p.t
		preview = preview && t.options.Preview
		for _, system := range unique(t.fileSystems.found) {
			if system.need == (need{}) {
				continue
			}
			s := shares[system.key]
			if s == nil {
				s = &share{}
				shares[system.key] = s
			}
			s.need.bytes = plus(s.need.bytes, system.need.bytes)
			s.need.entries += system.need.entries
			s.targets, s.systems = append(s.targets, t), append(s.systems, system)
		}
	}
	var crowded []Crowded
	var said []string
	for _, key := range slices.Sorted(maps.Keys(shares)) {
		s := shares[key]
		err := s.look()
		if err == nil && !s.fits() {
			err = s.lookCloser()
		}
		if err != nil {
			return nil, because(s.targets, err)
		}
		if s.fits() {
			continue
		}
		c := Crowded{Mount: s.systems[0].point, Bytes: s.need.bytes, Free: s.free.bytes, Entries: s.need.entries, FreeEntries: s.free.entries}
		crowded = append(crowded, c)
		said = append(said, c.String())
	}
	if len(crowded) == 0 || preview {
		return crowded, nil
	}
	return crowded, fmt.Errorf("%w: %s", ErrRefused, strings.Join(said, "; "))
}

// because is the reason why one of the passes was ended.
func because(targets []*target, err error) error {
	for _, t := range targets {
		if cause := t.because(err); cause != nil && !errors.Is(cause, err) {
			return cause
		}
	}
	return err
}

// String says what does not fit.
func (c Crowded) String() string {
	var parts []string
	if c.Free >= 0 && c.Bytes > c.Free {
		parts = append(parts, fmt.Sprintf("%s are to come and %s are free", order.Size(c.Bytes), order.Size(c.Free)))
	}
	if c.FreeEntries >= 0 && c.Entries > c.FreeEntries {
		parts = append(parts, fmt.Sprintf("%d files and directories (inodes) are to come and there is room for %d", c.Entries, c.FreeEntries))
	}
	return "there is no room on " + c.Mount + ": " + strings.Join(parts, ", and ")
}

// unique are the file systems, each once.
func unique(found map[string]*fileSystem) []*fileSystem {
	var systems []*fileSystem
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(systems, found[dir]) {
			systems = append(systems, found[dir])
		}
	}
	return systems
}

// lookCloser finds out exactly what has to have room where all together has none:
// what the target has already needs none, nor do holes. First it takes away what
// passes that broke off have left, which nobody needs.
func (s *share) lookCloser() error {
	for _, t := range s.targets {
		t.sweep()
	}
	if err := s.look(); err != nil {
		return err
	}
	exact := exact{block: s.systems[0].block}
	for i, t := range s.targets {
		if err := exact.add(t, s.systems[i]); err != nil {
			return err
		}
	}
	s.need = exact.need()
	if s.fits() || s.free.bytes < 0 || s.need.bytes <= s.free.bytes {
		return nil
	}
	for _, t := range s.targets {
		if err := s.askHoles(t, &exact); err != nil || s.fits() {
			return err
		}
	}
	return nil
}

// askHoles asks for the data of the files that come to a target, until there is
// room: the large ones first, for one with large holes is among them.
func (s *share) askHoles(t *target, exact *exact) error {
	files := slices.DeleteFunc(slices.Clone(exact.files), func(f *roomFor) bool { return f.t != t })
	slices.SortFunc(files, func(a, b *roomFor) int { return cmp.Compare(b.bytes, a.bytes) })
	for len(files) > 0 && !s.fits() {
		var paths []string
		for size := 0; len(paths) < len(files) && size < maxQuestion; size += len(files[len(paths)-1].path) + 2 {
			paths = append(paths, files[len(paths)].path)
		}
		data, err := t.askData(paths)
		if err != nil {
			return err
		}
		for i := range paths {
			files[i].bytes = min(files[i].bytes, s.systems[0].rounded(data[i]))
		}
		files = files[len(paths):]
		s.need = exact.need()
	}
	return nil
}

// maxQuestion is about how many bytes of paths are asked about at a time.
const maxQuestion = 256 << 10

// roomFor is the room that a file needs.
type roomFor struct {
	t     *target
	path  string
	bytes int64 // that it takes
	back  int64 // that what it replaces gives back, when it is complete
}

// exact adds up the room that is needed on one file system.
type exact struct {
	block   int64
	sum     int64 // of what is not in files
	most    int64 // that is needed for a moment only
	entries int64
	files   []*roomFor // that may have holes
}

// put adds a file without holes.
func (x *exact) put(bytes, back int64) {
	x.sum = plus(x.sum, max(bytes-back, 0))
	x.most = max(x.most, min(bytes, back))
}

// need is the sum. A file that replaces another is beside it until it is complete.
// What files give back that become smaller is not counted: they may come last.
func (x *exact) need() need {
	all := *x
	for _, f := range x.files {
		all.put(f.bytes, f.back)
	}
	return need{plus(all.sum, all.most), all.entries}
}

// add adds what comes to a target, as far as it is on the file system.
func (x *exact) add(t *target, system *fileSystem) error {
	keeps := t.keepsOn(system)
	several := severalNames{}
	handle := -1
	shut := func() {
		if handle >= 0 {
			unix.Close(handle)
		}
	}
	defer func() { shut() }()
	look := func(name []byte) *unix.Stat_t {
		var k unix.Stat_t
		if handle < 0 || unix.Fstatat(handle, string(name), &k, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return nil
		}
		return &k
	}
	begin := func(dir string) {
		shut()
		var err error
		if handle, err = t.root.OpenDir(dir); err != nil {
			handle = -1 // nothing of it is there
		}
	}
	err := t.eachComer(begin, func(c *comer) bool {
		if c.system != system || c.renamed {
			return true
		}
		k := look(c.name)
		var there tree.Stat
		if k != nil {
			there.FromKernel(k)
		}
		same := k != nil && sameContent(c.source, &there)
		switch {
		case c.source.HardLinked():
			several.add(c, same)
			several[c.number].older = several[c.number].older || isOlder(c.source, k)
			return true
		case same, c.source.IsDir() && k != nil && there.IsDir():
			return true
		}
		if k == nil || keeps {
			x.entries++
		}
		if !c.source.IsRegular() {
			return true // it takes no block, most of the time
		}
		f := &roomFor{t: t, path: c.path(), bytes: system.rounded(c.source.Size)}
		part := k != nil && there.IsRegular() && there.Mode&0o7777 == tree.PartMode
		if k != nil && there.IsRegular() && there.Nlink == 1 && (!keeps || part) {
			f.back = int64(k.Blocks) * blockUnit //nolint:unconvert // 32 bits on some processors
		}
		if c.source.Size < smallestHole || isOlder(c.source, k) {
			x.put(f.bytes, f.back)
			return true
		}
		x.files = append(x.files, f)
		return true
	})
	for _, file := range several {
		switch {
		case file.there:
		case file.older:
			x.entries++
			x.put(system.rounded(file.size), 0)
		default:
			x.entries++
			x.files = append(x.files, &roomFor{t: t, path: file.path, bytes: system.rounded(file.size)})
		}
	}
	return err
}

// isOlder says whether what the target has is an older version of a file, of which
// only what is new is sent: its holes are written then.
func isOlder(source *tree.Stat, there *unix.Stat_t) bool {
	return there != nil && there.Mode&unix.S_IFMT == unix.S_IFREG && there.Size >= deltaFrom && source.Size >= deltaFrom
}

// keepsOn says whether what is replaced stays on a file system, in the trash.
func (t *target) keepsOn(system *fileSystem) bool {
	if t.options.Delete != ToTrash {
		return false
	}
	if t.trash == nil {
		return true // a preview has not opened it
	}
	trash, err := t.fileSystems.of(t.trash.root.Handle(), t.trash.root.Path)
	return err != nil || trash.key == system.key
}
