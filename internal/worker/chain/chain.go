//go:build linux

// Package chain keeps, on either host, what belongs to the passes of a chain
// between one and the next, and takes it away with the last:
//
//	chains/CHAIN/pass-ID   the pass knows of the chain; empty when somebody has its outcome
//	chains/CHAIN/left-ID   a pass that did not end well was given up, and what it brought is for the next to know
//	chains/CHAIN/N.base    on the new host: what was brought to path N, see the package tree
//	chains/CHAIN/targets   likewise: where to, a list in JSON
//	chains/CHAIN/pace      likewise: how quick the passes were
//	chains/CHAIN/back-of   on both: the chain from whose target the passes bring back; it goes with that
//	pass-CHAIN/serve       on the old host: what the key of the chain can read; see the package key
//	passes/ID.log          on the new host
//	trash/ID               likewise
//	worker-DIGEST          the worker, as long as there is a chain
package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// State is the directory of all that.
type State struct {
	Dir string
	// Sweep takes away what a pass that broke off has left in a target, by its base. It
	// is called before the base goes; nil is nothing to do.
	Sweep func(base, target string) error
}

// isID says whether a text can name a pass: lower-case letters, digits and "-".
func isID(text string) bool {
	return text != "" && len(text) <= 40 && text[0] != '-' && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isChain says whether a text can name a chain: 12 hexadecimal digits.
func isChain(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789abcdef") == ""
}

func (s State) path(words ...string) string {
	return filepath.Join(append([]string{s.Dir}, words...)...)
}

// Locked does something while no other process of this host does: makes what a pass
// needs, or takes away what none needs any more. It waits for others.
func (s State) Locked(do func() error) error {
	for {
		if err := os.MkdirAll(s.Dir, 0o755); err != nil { //nolint:gosec // what is in it says itself who may read it
			return err
		}
		dir, err := os.Open(s.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		again, err := s.lock(dir)
		if err != nil || again {
			dir.Close()
			if err != nil {
				return err
			}
			continue
		}
		err = do()
		dir.Close()
		return err
	}
}

// lock locks the directory that was opened. Where it was taken away and made anew
// meanwhile, the lock is on nothing, and has to be had again.
func (s State) lock(dir *os.File) (again bool, err error) {
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return false, err
		}
	}
	have, err := dir.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(s.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	}
	return !os.SameFile(have, there), nil
}

// Marked are the chains that a pass knows of.
func (s State) Marked(id string) ([]string, error) {
	if !isID(id) {
		return nil, fmt.Errorf("%q is no name of a pass", id)
	}
	marks, err := filepath.Glob(s.path("chains", "*", "pass-"+id))
	if err != nil {
		return nil, err
	}
	var chains []string
	for _, mark := range marks {
		chains = append(chains, filepath.Base(filepath.Dir(mark)))
	}
	return chains, nil
}

// Claim makes what the pass of one ID has left another's: whoever started it is
// gone, or finds its outcome gone and runs again. Without an heir its mark and its
// log would stay for ever.
func (s State) Claim(from, to string) error {
	if from == to {
		return nil
	}
	marked, err := s.Marked(from)
	if err != nil {
		return err
	}
	if !isID(to) {
		return fmt.Errorf("%q is no name of a pass", to)
	}
	for _, chain := range marked {
		if err := move(s.path("chains", chain, "pass-"+from), s.path("chains", chain, "pass-"+to)); err != nil {
			return err
		}
	}
	if err := move(s.path("passes", from+".log"), s.path("passes", to+".log")); err != nil {
		return err
	}
	runs, err := os.ReadDir(s.path("trash", from))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("trash", to), 0o700); err != nil {
		return err
	}
	for _, run := range runs {
		target := s.path("trash", to, run.Name())
		for n := 2; exists(target); n++ {
			target = s.path("trash", to, fmt.Sprintf("%s-%d", run.Name(), n))
		}
		if err := move(s.path("trash", from, run.Name()), target); err != nil {
			return err
		}
	}
	return os.Remove(s.path("trash", from))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// move moves what is there.
func move(from, to string) error {
	if err := os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// leftFor is how long is known what a pass has brought that was given up.
const leftFor = 30 * 24 * time.Hour

// Forget takes away what a pass left on purpose: its log, its trash, its mark, and
// with the last mark of a chain what that has brought. No data of users.
//
// Terraform destroys a pass that did not end well (unfinished) before it makes it
// anew. What such a pass has brought and put aside is for the next one to know: the
// mark left-ID then stands for it, for 30 days at most.
func (s State) Forget(id string, unfinished bool) error {
	marked, err := s.Marked(id)
	if err != nil {
		return err
	}
	failed := []error{s.forgetOld()}
	for _, suffix := range []string{".log", ".status", ".status.new"} {
		failed = append(failed, remove(s.path("passes", id+suffix)))
	}
	kept := false
	for _, chain := range marked {
		mark := s.path("chains", chain, "pass-"+id)
		if unfinished && s.brought(chain) {
			left := s.path("chains", chain, "left-"+id)
			now := time.Now()
			failed = append(failed, move(mark, left), os.Chtimes(left, now, now))
			kept = true
			continue
		}
		failed = append(failed, remove(mark), s.drop(chain))
	}
	if !kept {
		failed = append(failed, os.RemoveAll(s.path("trash", id)))
	}
	failed = append(failed, s.Tidy())
	return errors.Join(failed...)
}

// forgetOld forgets what was left for a next pass that did not come.
func (s State) forgetOld() error {
	lefts, err := filepath.Glob(s.path("chains", "*", "left-*"))
	if err != nil {
		return err
	}
	var failed []error
	for _, left := range lefts {
		info, err := os.Lstat(left)
		if err != nil || time.Since(info.ModTime()) < leftFor {
			continue
		}
		_, id, _ := strings.Cut(filepath.Base(left), "-")
		failed = append(failed, os.RemoveAll(s.path("trash", id)), remove(left), s.drop(filepath.Base(filepath.Dir(left))))
	}
	return errors.Join(failed...)
}

// brought says whether a chain has brought anything.
func (s State) brought(chain string) bool {
	bases, err := filepath.Glob(s.path("chains", chain, "*.base"))
	return err == nil && len(bases) > 0
}

// drop takes a chain away if no pass knows of it.
func (s State) drop(chain string) error {
	marks, err := filepath.Glob(s.path("chains", chain, "pass-*"))
	if err != nil || len(marks) > 0 {
		return err
	}
	lefts, err := filepath.Glob(s.path("chains", chain, "left-*"))
	if err != nil {
		return err
	}
	var failed []error
	for _, left := range lefts {
		_, id, _ := strings.Cut(filepath.Base(left), "-")
		failed = append(failed, os.RemoveAll(s.path("trash", id)))
	}
	failed = append(failed, s.sweep(chain), os.RemoveAll(s.path("chains", chain)))
	return errors.Join(append(failed, s.dropBack(chain))...)
}

// dropBack takes away what passes have left that brought back from the target of a chain.
func (s State) dropBack(chain string) error {
	notes, err := filepath.Glob(s.path("chains", "*", "back-of"))
	if err != nil {
		return err
	}
	var failed []error
	for _, note := range notes {
		of, err := os.ReadFile(note)
		if errors.Is(err, fs.ErrNotExist) || err == nil && string(of) != chain {
			continue
		}
		failed = append(failed, err, os.Remove(note))
		back := filepath.Base(filepath.Dir(note))
		marks, err := filepath.Glob(s.path("chains", back, "*-*"))
		failed = append(failed, err)
		for _, mark := range marks {
			if id, ok := strings.CutPrefix(filepath.Base(mark), "pass-"); ok {
				failed = append(failed, s.Forget(id, false))
			}
		}
	}
	return errors.Join(failed...)
}

// sweep takes away what passes of the chain that broke off have left in their targets.
func (s State) sweep(chain string) error {
	if s.Sweep == nil {
		return nil
	}
	targets, err := s.targets(chain)
	if err != nil {
		return err
	}
	var failed []error
	for i, target := range targets {
		if base := s.path("chains", chain, strconv.Itoa(i+1)+".base"); exists(base) {
			failed = append(failed, s.Sweep(base, target))
		}
	}
	return errors.Join(failed...)
}

// Tidy takes away what nobody needs any more: empty directories, and with the last
// chain the worker.
func (s State) Tidy() error {
	for _, directory := range []string{"passes", "trash", "chains"} {
		_ = unix.Rmdir(s.path(directory)) // it is not there, or not empty
	}
	// A preview has no chain, and a key all the same.
	keys, err := filepath.Glob(s.path("pass-*"))
	if err != nil || len(keys) > 0 || exists(s.path("chains")) {
		return err
	}
	workers, err := filepath.Glob(s.path("worker-*"))
	if err != nil {
		return err
	}
	var failed []error
	for _, worker := range workers {
		failed = append(failed, remove(worker))
	}
	_ = unix.Rmdir(s.Dir)
	return errors.Join(failed...)
}

// TidyTrash takes the directories of the trash of a pass away that are empty, and
// returns how much is in the others, in bytes on the disk.
func (s State) TidyTrash(id string) (bytes int64, err error) {
	top := s.path("trash", id)
	runs, err := filepath.Glob(filepath.Join(top, "*", "*"))
	if err != nil {
		return 0, err
	}
	for _, each := range runs {
		_ = unix.Rmdir(each)
		_ = unix.Rmdir(filepath.Dir(each))
	}
	_ = unix.Rmdir(top)
	_ = unix.Rmdir(filepath.Dir(top))
	counted := map[uint64]bool{}
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return nil //nolint:nilerr // it went away, and takes no room
		}
		if entry.IsDir() || stat.Nlink < 2 || !counted[stat.Ino] {
			bytes += stat.Blocks * 512
			counted[stat.Ino] = true
		}
		return nil
	})
	return bytes, err
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Serves is what the key of a chain can read on the old host.
type Serves struct {
	Paths []string  `json:"paths"`
	Until time.Time `json:"until"` // when the key is of no more use
	// Lends is the chain of passes the other way, whose bases are lent.
	Lends string `json:"lends"`
}

// Mark notes that a pass knows of a chain, and, where it brings back from the target of
// another one, of which (backOf, or "").
func (s State) Mark(chain, id, backOf string) error {
	if !isID(id) {
		return fmt.Errorf("%q is no name of a pass", id)
	}
	if !isChain(chain) {
		return fmt.Errorf("%q is no name of a chain", chain)
	}
	if err := os.MkdirAll(s.path("chains", chain), 0o755); err != nil { //nolint:gosec // what is in it is root's alone
		return err
	}
	if backOf != "" {
		if !isChain(backOf) {
			return fmt.Errorf("%q is no name of a chain", backOf)
		}
		if err := os.WriteFile(s.path("chains", chain, "back-of"), []byte(backOf), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(s.path("chains", chain, "pass-"+id), []byte("begun\n"), 0o600)
}

// Done notes that somebody has the outcome of a pass.
func (s State) Done(id string) error {
	marked, err := s.Marked(id)
	if err != nil {
		return err
	}
	for _, chain := range marked {
		if err := os.Truncate(s.path("chains", chain, "pass-"+id), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Begun are the passes of a chain whose outcome nobody has.
func (s State) Begun(chain string) ([]string, error) {
	if !isChain(chain) {
		return nil, fmt.Errorf("%q is no name of a chain", chain)
	}
	marks, err := filepath.Glob(s.path("chains", chain, "pass-*"))
	if err != nil {
		return nil, err
	}
	var begun []string
	for _, mark := range marks {
		if info, err := os.Stat(mark); err == nil && info.Size() > 0 {
			begun = append(begun, strings.TrimPrefix(filepath.Base(mark), "pass-"))
		}
	}
	return begun, nil
}

// SetServed notes what the key of a chain can read. It lies beside what is noted of the
// key, and goes with that.
func (s State) SetServed(chain string, serves Serves) error {
	if !isChain(chain) {
		return fmt.Errorf("%q is no name of a chain", chain)
	}
	return order.Write(s.path("pass-"+chain, "serve"), serves)
}

// Served returns what the key of a chain can read: the directories, and for each the base
// of passes the other way, which need not exist. A key whose time is over can read nothing.
func (s State) Served(chain string) (paths, bases []string, err error) {
	if !isChain(chain) {
		return nil, nil, fmt.Errorf("%q is no name of a chain", chain)
	}
	content, err := os.ReadFile(s.path("pass-"+chain, "serve"))
	if err != nil {
		return nil, nil, err
	}
	var serves Serves
	if err := json.Unmarshal(content, &serves); err != nil {
		return nil, nil, err
	}
	if time.Now().After(serves.Until) {
		return nil, nil, fmt.Errorf("the time of this key was over at %s", serves.Until.UTC().Format(time.RFC3339))
	}
	if len(serves.Paths) == 0 {
		return nil, nil, errors.New("this key is for no directory")
	}
	for i := range serves.Paths {
		if isChain(serves.Lends) {
			bases = append(bases, s.path("chains", serves.Lends, strconv.Itoa(i+1)+".base"))
		}
	}
	return serves.Paths, bases, nil
}
