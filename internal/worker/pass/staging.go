//go:build linux

package pass

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// staging is a directory at the top of the target that is root's alone. What
// replaces something, and what is made by name alone (links, devices), is made
// there and moved to its place when it is complete: nobody else can put
// something of his in between.
type staging struct {
	target *target
	name   string
	mu     sync.Mutex
	fd     int
	opened bool
	left   bool // something of this pass or an earlier one could not be removed
	count  atomic.Int64
}

// open makes the directory, the first time.
func (s *staging) open() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return s.fd, nil
	}
	t := s.target
	// A pass that comes after a kill has to know the name.
	t.baseMu.Lock()
	err := t.base.Flush()
	t.baseMu.Unlock()
	if err != nil {
		return -1, err
	}
	if err := t.change.mkdir(t.root.Handle(), s.name); err != nil {
		return -1, err
	}
	fd, err := openDirAt(t.root.Handle(), s.name)
	if err != nil {
		return -1, err
	}
	s.fd, s.opened = fd, true
	return fd, nil
}

// next is a name that nothing in the directory has.
func (s *staging) next() string { return strconv.FormatInt(s.count.Add(1), 36) }

// remove takes the directory away.
func (s *staging) remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		return nil
	}
	s.opened = false
	unix.Close(s.fd)
	return s.target.removeTree(s.target.root.Handle(), s.name)
}

func (s *staging) close() {
	if err := s.remove(); err != nil {
		s.target.report.find(Failed, s.name, err.Error())
		s.left = true
	}
}

// leftovers takes away what passes that broke off had made beside the tree. Only
// the base says what that is: a file of the new host's own that looks like it
// stays.
func (t *target) leftovers() {
	for _, token := range t.base.Tokens[:len(t.base.Tokens)-1] {
		if !strings.HasPrefix(token, "cutover-") || strings.Contains(token, "/") {
			continue
		}
		if err := t.removeTree(t.root.Handle(), "."+token); err != nil && !errors.Is(err, unix.ENOENT) {
			t.report.find(Failed, "."+token, err.Error())
			t.staging.left = true
		}
	}
}

// Sweep takes away what passes that broke off have left beside the tree at a target,
// as the base in the file knows them. It is for when no pass comes any more.
func Sweep(base, at string) error {
	b, err := tree.ReadBase(base, "")
	if err != nil {
		return err
	}
	defer b.Close()
	root, err := tree.OpenRoot(at)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	t := &target{root: root, base: b, report: NewReport()}
	t.staging = &staging{target: t}
	t.leftovers()
	if t.staging.left {
		return errors.New(t.report.first(Failed))
	}
	return nil
}

// removeTree removes a directory of ours with all that is in it.
func (t *target) removeTree(parent int, name string) error {
	fd, err := openDirAt(parent, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if stat, err := tree.Fstat(fd); err != nil {
		return err
	} else if stat.UID != maker {
		return fmt.Errorf("it belongs to user number %d", stat.UID)
	}
	names, err := namesIn(fd)
	if err != nil {
		return err
	}
	for _, inner := range names {
		err := t.change.unlink(fd, inner)
		if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
			err = t.removeTree(fd, inner)
		}
		if err != nil {
			return err
		}
	}
	return t.change.rmdir(parent, name)
}

// namesIn are the names in an open directory.
func namesIn(fd int) (names []string, err error) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(fd, buffer)
		if err != nil || n == 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}
