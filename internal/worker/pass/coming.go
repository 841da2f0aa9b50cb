//go:build linux

package pass

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// coming is what a pass would bring, by the source's listing and the base alone.
type coming struct {
	entries int64 // names that are new or changed
	bytes   int64 // of files whose content is
	links   tally // symbolic links
	linked  tally // files with several names, by the first
	all     tally
}

// tally counts paths, and keeps the first of them in order.
type tally struct {
	count    int64
	examples []string
}

// maxExamples is how many paths a tally keeps.
const maxExamples = 5

func (y *tally) add(path string) {
	y.count++
	if len(y.examples) == maxExamples && path >= y.examples[maxExamples-1] {
		return
	}
	i, _ := slices.BinarySearch(y.examples, path)
	y.examples = slices.Insert(y.examples, i, path)
	y.examples = y.examples[:min(len(y.examples), maxExamples)]
}

// need is what a file system has to have for what is to come.
type need struct{ bytes, entries int64 }

// comer is an entry of the source that is new or changed since it was brought.
type comer struct {
	dir     string
	name    []byte
	source  *tree.Stat
	base    *tree.Known // nil: no pass has brought it
	system  *fileSystem
	renamed bool // the target has it under another name
	// number is that of a file with several names.
	number fileNumber
}

func (c *comer) path() string { return tree.Join(c.dir, c.name) }

// sameContent says whether an entry has the size, and the time of modification, of
// another, so that its content likely is the same.
func sameContent(a, b *tree.Stat) bool {
	return a.Kind() == b.Kind() && a.Size == b.Size && a.Mtime == b.Mtime
}

// brought says whether the content is what a pass has brought.
func (c *comer) brought() bool {
	return c.renamed || c.base != nil && sameContent(c.source, &c.base.Source)
}

// eachComer visits what is new or changed, of each directory in the order of the
// names. begin is called before what a directory, or a piece of it, has. visit says
// whether to go on.
func (t *target) eachComer(begin func(dir string), visit func(c *comer) bool) error {
	var l tree.Listing
	var d tree.Brought
	for at := range t.listed {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if err := t.loadListing(at, &l); err != nil {
			return err
		}
		if err := t.load(at.Path, at.Piece, &d); err != nil {
			return err
		}
		system, err := t.fileSystem(at.Path)
		if err != nil {
			return err
		}
		begin(at.Path)
		c := comer{dir: at.Path, system: system}
		j := 0
		for i := range l.Len() {
			c.name, c.source, c.base, c.renamed = l.Name(i), l.Stat(i), nil, false
			for j < d.Len() && bytes.Compare(d.Name(j), c.name) < 0 {
				j++
			}
			if j < d.Len() && bytes.Equal(d.Name(j), c.name) {
				c.base = d.Entry(j)
			}
			if c.base != nil && (c.base.Source == tree.SourceOf(c.source) || c.source.IsDir() && c.base.Source.IsDir()) {
				continue
			}
			if old := t.moved[c.source.Ino]; old != nil && t.options.Delete != None && c.source.Nlink == 1 {
				c.renamed = sameContent(c.source, &old.known.Source)
			}
			c.number = fileNumber{l.Mount, c.source.Ino}
			if !visit(&c) {
				return nil
			}
		}
	}
	return nil
}

// severalNames are the files with several names among what comes.
type severalNames map[fileNumber]*comingFile

type comingFile struct {
	system *fileSystem
	size   int64
	path   string
	there  bool // under one of its names at least
	older  bool // an older version is
}

// add notes a name, and says whether it is the file's first.
func (s severalNames) add(c *comer, there bool) bool {
	file, known := s[c.number]
	if !known {
		file = &comingFile{system: c.system, size: c.source.Size, path: c.path()}
		s[c.number] = file
	}
	file.there = file.there || there
	return !known
}

// reckon adds up what is to come, and what room it takes at most.
func (t *target) reckon() error {
	t.fileSystems = t.openFileSystems()
	c := &t.coming
	several := severalNames{}
	err := t.eachComer(func(string) {}, func(e *comer) bool {
		path := e.path()
		c.entries++
		c.all.add(path)
		n := &e.system.need
		switch {
		case e.source.HardLinked():
			if several.add(e, e.brought()) {
				c.linked.add(path)
				n.entries++
			}
		case e.source.IsDir():
			n.entries++
			n.bytes = plus(n.bytes, e.system.block)
		case e.source.IsRegular():
			n.entries++
			if !e.brought() {
				c.bytes = plus(c.bytes, e.source.Size)
				n.bytes = plus(n.bytes, e.system.rounded(e.source.Size))
			}
		default:
			n.entries++
			n.bytes = plus(n.bytes, e.system.rounded(e.source.Size))
		}
		if e.source.Kind() == unix.S_IFLNK {
			c.links.add(path)
		}
		return true
	})
	for _, file := range several {
		if !file.there {
			c.bytes = plus(c.bytes, file.size)
			file.system.need.bytes = plus(file.system.need.bytes, file.system.rounded(file.size))
		}
	}
	t.report.expect(c.entries, c.bytes)
	return err
}

// rounded is what a file of that size takes, without holes.
func (f *fileSystem) rounded(size int64) int64 {
	return (min(size, plenty) + f.block - 1) / f.block * f.block
}

// plenty is more bytes than any file system has. Of a file of nothing but holes
// the size may be near the end of an int64, and the sum of two beyond it.
const plenty = 1 << 60

// plus is a sum that ends at plenty.
func plus(a, b int64) int64 { return min(min(a, plenty)+min(b, plenty), plenty) }
