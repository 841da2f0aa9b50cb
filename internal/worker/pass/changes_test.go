//go:build linux

package pass

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// changer makes random changes in a tree.
type changer struct {
	t       *testing.T
	r       *rand.Rand
	root    string
	outside string // a directory to which links lead
	mark    string // begins what it writes
	count   int
	history *[]string
}

// someNames are few, so that one often comes again.
var someNames = []string{
	"a", "b", "c", "d e", "-f", "new\nline", "\xff\xfe", "é", ".hidden", "*", "[a]", strings.Repeat("x", 255),
	"f1", "f2", "f3", "f4", "f5", "f6", "cur", "new", "tmp", " ", "\\", "mail:2,S", "mail:2,",
}

func (c *changer) note(format string, args ...any) {
	*c.history = append(*c.history, filepath.Base(c.root)+": "+fmt.Sprintf(format, args...))
}

// pick returns a path below the root for which want says yes; "" if there is none.
func (c *changer) pick(want func(path string, d fs.DirEntry) bool) string {
	var all []string
	_ = filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".cutover-") {
			return fs.SkipDir // of a pass that broke off
		}
		if err == nil && path != c.root && want(path, d) {
			all = append(all, path)
		}
		return nil
	})
	if len(all) == 0 {
		return ""
	}
	return all[c.r.IntN(len(all))]
}

func (c *changer) file() string {
	return c.pick(func(_ string, d fs.DirEntry) bool { return d.Type().IsRegular() })
}

func (c *changer) any() string { return c.pick(func(string, fs.DirEntry) bool { return true }) }

// dir may be the root.
func (c *changer) dir() string {
	if c.r.IntN(4) == 0 {
		return c.root
	}
	if dir := c.inner(); dir != "" {
		return dir
	}
	return c.root
}

// inner is not the root.
func (c *changer) inner() string {
	return c.pick(func(_ string, d fs.DirEntry) bool { return d.IsDir() })
}

// free is a path where there is nothing.
func (c *changer) free(dir string) string {
	for range 20 {
		path := filepath.Join(dir, someNames[c.r.IntN(len(someNames))])
		if len(path) > 3500 || strings.Count(path, "/") > strings.Count(c.root, "/")+6 {
			dir = c.root
			continue
		}
		if _, err := os.Lstat(path); err != nil {
			return path
		}
	}
	c.count++
	return filepath.Join(dir, fmt.Sprintf("n%d", c.count))
}

// text is content that nothing else has.
func (c *changer) text() string {
	c.count++
	begin := fmt.Sprintf("%s %d\n", c.mark, c.count)
	switch c.r.IntN(12) {
	case 0:
		return "" // or nothing
	case 1:
		return begin + strings.Repeat("\x00", c.r.IntN(200000))
	case 2:
		b := make([]byte, 260<<10+c.r.IntN(200<<10))
		for i := 0; i+1 < len(b); i += 8 {
			b[i] = byte(c.r.Uint32())
			b[i+1] = byte(c.r.Uint32())
		}
		return begin + string(b)
	}
	return begin + strings.Repeat("x", c.r.IntN(10000))
}

func (c *changer) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%v\n%s", err, strings.Join(*c.history, "\n"))
	}
}

func (c *changer) rel(path string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, c.root), "/")
	return strings.ReplaceAll(rel, strings.Repeat("x", 255), "X255")
}

func (c *changer) write(path, content string) {
	c.must(os.WriteFile(path, []byte(content), os.FileMode(0o600+c.r.IntN(0o100))))
}

// entry makes something of any kind where there is nothing.
func (c *changer) entry(path string) {
	switch c.r.IntN(12) {
	case 0:
		c.count++
		c.note("link %q", c.rel(path))
		c.must(os.Symlink(fmt.Sprintf("%s %d", c.mark, c.count), path))
	case 1:
		c.note("fifo %q", c.rel(path))
		c.must(unix.Mkfifo(path, 0o640))
	case 2, 3:
		c.note("mkdir %q", c.rel(path))
		c.must(os.Mkdir(path, 0o755))
		for range c.r.IntN(4) {
			c.entry(c.free(path))
		}
	default:
		c.note("create %q", c.rel(path))
		c.write(path, c.text())
	}
}

// setTime sets another time, old and with nanoseconds.
func (c *changer) setTime(path string) {
	when := unix.NsecToTimespec(int64(c.r.IntN(1_600_000_000))*1_000_000_000 + int64(c.r.IntN(1_000_000_000)))
	c.note("touch %q", c.rel(path))
	c.must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW))
}

func (c *changer) chmod(path string) {
	info, err := os.Lstat(path)
	c.must(err)
	if info.Mode()&os.ModeSymlink != 0 {
		return
	}
	// Who is not root has to read and write it afterwards.
	mode := uint32(0o600 + c.r.IntN(0o100))
	switch {
	case info.IsDir():
		mode = []uint32{0o700, 0o755, 0o2775, 0o1777}[c.r.IntN(4)]
	case c.r.IntN(4) == 0:
		mode |= 0o4100
	}
	c.note("chmod %o %q", mode, c.rel(path))
	c.must(unix.Chmod(path, mode))
}

func (c *changer) attributes(path string) {
	info, err := os.Lstat(path)
	c.must(err)
	if !info.IsDir() && !info.Mode().IsRegular() {
		return
	}
	c.note("xattr %q", c.rel(path))
	switch c.r.IntN(4) {
	case 0:
		err = unix.Lsetxattr(path, "system.posix_acl_access", acl(uint32(info.Mode().Perm()), 12345, uint32(c.r.IntN(8))), 0)
	case 1:
		_ = unix.Lremovexattr(path, "user.a")
	case 2:
		if info.IsDir() {
			err = unix.Lsetxattr(path, "system.posix_acl_default", acl(0o750, 23456, 5), 0)
		}
	default:
		err = unix.Lsetxattr(path, "user."+string(rune('a'+c.r.IntN(3))), []byte(fmt.Sprint(c.r.IntN(5))), 0)
	}
	if err != nil && err != unix.ENOTSUP { //nolint:errorlint // an errno of a system call
		c.must(err)
	}
}

// overwrite writes a file anew: the length that it had, or another.
func (c *changer) overwrite(path string) {
	info, err := os.Stat(path)
	c.must(err)
	content := c.text()
	if c.r.IntN(2) == 0 {
		c.note("overwrite %q", c.rel(path))
		c.write(path, content)
		return
	}
	c.note("overwrite %q with the same size and time", c.rel(path))
	content = (content + strings.Repeat(string(rune('a'+c.r.IntN(26))), int(info.Size())))[:info.Size()]
	c.write(path, content)
	c.must(os.Chtimes(path, time.Time{}, info.ModTime()))
}

func (c *changer) appendTo(path string) {
	c.note("append to %q", c.rel(path))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	c.must(err)
	c.count++
	_, err = fmt.Fprintf(f, "%s %d\n", c.mark, c.count)
	c.must(err)
	c.must(f.Close())
}

// middle changes a piece within a file.
func (c *changer) middle(path string) {
	info, err := os.Stat(path)
	c.must(err)
	c.note("write into %q", c.rel(path))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	c.must(err)
	c.count++
	_, err = f.WriteAt([]byte(fmt.Sprintf("%s %d\n", c.mark, c.count)), info.Size()/2)
	c.must(err)
	c.must(f.Close())
}

func (c *changer) move(from, to string) {
	if from == "" || strings.HasPrefix(to+"/", from+"/") {
		return
	}
	c.note("rename %q to %q", c.rel(from), c.rel(to))
	c.must(os.Rename(from, to))
}

func (c *changer) remove(path string) {
	c.note("rm -r %q", c.rel(path))
	c.must(os.RemoveAll(path))
}

// source makes one change as they are on an old host.
func (c *changer) source() {
	file := c.file()
	if file == "" {
		c.entry(c.free(c.root))
		return
	}
	switch c.r.IntN(26) {
	case 0, 1, 2, 3:
		c.entry(c.free(c.dir()))
	case 4:
		c.appendTo(file)
	case 5:
		c.note("truncate %q", c.rel(file))
		c.must(os.Truncate(file, int64(c.r.IntN(3000))))
	case 6, 7:
		c.overwrite(file)
	case 8:
		c.middle(file)
	case 9:
		c.chmod(c.any())
	case 10:
		if path := c.any(); os.Geteuid() == 0 {
			c.note("chown %q", c.rel(path))
			c.must(os.Lchown(path, 1000+c.r.IntN(3), 2000+c.r.IntN(3)))
		}
	case 11:
		c.setTime(c.any())
	case 12, 13:
		c.move(file, c.free(filepath.Dir(file)))
	case 14:
		c.move(file, c.free(c.dir()))
	case 15:
		if dir := c.inner(); dir != "" {
			c.move(dir, c.free(filepath.Dir(dir)))
		}
	case 16:
		if dir := c.inner(); dir != "" {
			c.move(dir, c.free(c.dir()))
		}
	case 17:
		c.remove(c.pick(func(_ string, d fs.DirEntry) bool { return !d.IsDir() }))
	case 18:
		if dir := c.inner(); dir != "" {
			c.remove(dir)
		}
	case 19:
		path := c.any()
		c.remove(path)
		c.entry(path)
	case 20:
		c.note("a directory in the place of %q", c.rel(file))
		c.must(os.Remove(file))
		c.must(os.Mkdir(file, 0o750))
		c.entry(c.free(file))
	case 21, 22:
		to := c.free(c.dir())
		c.note("ln %q %q", c.rel(file), c.rel(to))
		c.must(os.Link(file, to))
	case 23:
		c.note("break the link %q", c.rel(file))
		content, err := os.ReadFile(file)
		c.must(err)
		c.must(os.WriteFile(file+".t"[:min(2, 255-len(filepath.Base(file)))], content, 0o644))
		if len(filepath.Base(file)) < 254 {
			c.must(os.Rename(file+".t", file))
		}
	case 24:
		c.attributes(c.any())
	case 25:
		if other := c.file(); other != file {
			c.note("exchange %q and %q", c.rel(file), c.rel(other))
			c.must(unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE))
		}
	}
}

// target makes one change as they are on a new host that is already used.
func (c *changer) target(gentle bool) {
	file := c.file()
	if file == "" {
		c.entry(c.free(c.root))
		return
	}
	n := c.r.IntN(18)
	if gentle {
		// What is half there belongs to the pass that broke off.
		n = 4 + c.r.IntN(4)
	}
	switch n {
	case 0, 1:
		c.appendTo(file)
	case 2:
		c.note("edit %q", c.rel(file))
		c.write(file, c.text()+"edited")
	case 3:
		c.note("an editor writes %q anew", c.rel(file))
		c.must(os.Remove(file))
		c.write(file, c.text()+"edited")
	case 4, 5, 6, 7:
		c.entry(c.free(c.dir()))
	case 8, 9:
		c.remove(c.pick(func(_ string, d fs.DirEntry) bool { return !d.IsDir() }))
	case 10:
		if dir := c.inner(); dir != "" {
			c.remove(dir)
		}
	case 11:
		if dir := c.inner(); dir != "" {
			c.remove(dir)
			c.note("a link out of the tree in the place of %q", c.rel(dir))
			c.must(os.Symlink(c.outside, dir))
		}
	case 12:
		// What somebody does whose disk is full.
		if dir := c.inner(); dir != "" {
			c.count++
			to := fmt.Sprintf("%s.away%d", c.root, c.count)
			c.note("move %q out, and link to it", c.rel(dir))
			c.must(os.Rename(dir, to))
			c.must(os.Symlink(to, dir))
		}
	case 13:
		if dir := c.inner(); dir != "" {
			to := c.free(c.root)
			if !strings.HasPrefix(to, dir+"/") {
				c.move(dir, to)
				c.must(os.Symlink(to, dir))
			}
		}
	case 14:
		c.chmod(c.any())
	case 15:
		c.move(file, c.free(c.dir()))
	case 16:
		c.remove(file)
		c.entry(file)
	case 17:
		c.note("restore an older version of %q", c.rel(file))
		c.write(file, c.text()+"restored")
		c.setTime(file)
	}
}
