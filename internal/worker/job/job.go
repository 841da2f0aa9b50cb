//go:build linux

// Package job runs a pass that goes on when the connection to the host has gone,
// and Terraform with it: it is prepared, started, followed, taken over by whoever
// comes later, cancelled, and leaves an outcome that one reader gets.
//
// On a host with systemd a job is a transient unit cutover-NAME.service, else a
// session of its own. What it needs and leaves is in /run/cutover/job-NAME, which
// goes with a restart of the host, as the job itself does. While the job runs, it
// holds a lock there that the kernel takes from it when it ends, however it does.
package job

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

// Host is where the jobs of this host are. The zero value is not of use; see Here.
type Host struct {
	Run     string // directory of the jobs
	State   string // what belongs to passes and outlives them
	Program string // the worker

	// systemd starts jobs; nil where there is none.
	systemd func(unit string, writable []string, argv ...string) error
}

// Here is this host.
func Here() (Host, error) {
	program, err := os.Executable()
	if err != nil {
		return Host{}, err
	}
	h := Host{Run: "/run/cutover", State: order.State, Program: program}
	if info, err := os.Stat("/run"); err != nil || !info.IsDir() {
		h.Run = "/var/run/cutover"
	}
	if info, err := os.Stat("/run/systemd/system"); err == nil && info.IsDir() {
		h.systemd = systemdRun
	}
	return h, nil
}

// Files of a job's directory.
const (
	fileToken    = "token"
	filePublic   = "public"
	fileOrder    = "order"
	fileLaunched = "launched" // somebody has started it
	fileLock     = "lock"     // held while it runs; its content is the process's number
	fileOutcome  = "outcome"
	fileErrors   = "errors" // what it said on stderr
)

// isName says whether a text can be a job's name: lower-case letters, digits and "-".
func isName(text string) bool {
	return text != "" && len(text) <= 64 && text[0] != '-' && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// dir is the directory of the job of a name.
func (h Host) dir(name string) (string, error) {
	if !isName(name) {
		return "", fmt.Errorf("%q is no name of a job", name)
	}
	return filepath.Join(h.Run, "job-"+name), nil
}

// starting is how long a job may take from its start until it holds its lock.
const starting = 30 * time.Second

// Look says where the job of a name is.
func (h Host) Look(name string) (order.Job, error) {
	j, err := h.look(name)
	if err == nil && j.Phase == order.Died {
		// Between two of the questions it may have begun, or ended.
		j, err = h.look(name)
	}
	return j, err
}

func (h Host) look(name string) (order.Job, error) {
	dir, err := h.dir(name)
	if err != nil {
		return order.Job{}, err
	}
	token, err := os.ReadFile(filepath.Join(dir, fileToken))
	if errors.Is(err, fs.ErrNotExist) {
		return order.Job{Phase: order.None}, nil
	}
	if err != nil {
		return order.Job{}, err
	}
	j := order.Job{Token: strings.TrimSpace(string(token))}
	if public, err := os.ReadFile(filepath.Join(dir, filePublic)); err == nil {
		j.Public = strings.TrimSpace(string(public))
	}
	held, err := isHeld(filepath.Join(dir, fileLock))
	if err != nil {
		return j, err
	}
	if held {
		j.Phase = order.Runs
		return j, nil
	}
	outcome, err := os.ReadFile(filepath.Join(dir, fileOutcome))
	if err == nil {
		j.Phase = order.Ended
		j.Outcome = &order.Outcome{}
		if err := json.Unmarshal(outcome, j.Outcome); err != nil {
			return j, fmt.Errorf("the outcome of the job %s: %w", name, err)
		}
		j.Said = said(dir)
		return j, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return j, err
	}
	launched, err := age(filepath.Join(dir, fileLaunched))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.Phase = order.Ready
		waited, err := age(filepath.Join(dir, fileToken))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return j, err
		}
		j.Age = int64(waited / time.Second)
	case err != nil:
		return j, err
	case launched < starting && !h.hasPID(dir):
		j.Phase = order.Runs
	default:
		j.Phase = order.Died
		j.Said = said(dir)
	}
	return j, nil
}

// hasPID says whether the job has begun: it writes its number as soon as it holds
// its lock.
func (h Host) hasPID(dir string) bool {
	_, err := pid(dir)
	return err == nil
}

func pid(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, fileLock))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func age(file string) (time.Duration, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// maxSaid bounds what is told of a job's stderr, in bytes.
const maxSaid = 20000

func said(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, fileErrors))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(text[max(0, len(text)-maxSaid):])), "?")
}

// isHeld says whether somebody holds the lock of a file.
func isHeld(file string) (bool, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	switch err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, nil
}

// Begin is what the job itself does first: it holds the lock until the process ends,
// and what it says on stderr is kept. file is its order, in the job's directory.
func Begin(file string) error {
	dir := filepath.Dir(file)
	lock, err := unix.Open(filepath.Join(dir, fileLock), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	// Whoever looks whether it is held holds it for a moment.
	for tries := 0; ; tries++ {
		err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || tries > 1000 {
			return fmt.Errorf("%s: another process has the lock: %w", dir, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := unix.Pwrite(lock, fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return err
	}
	errs, err := unix.Open(filepath.Join(dir, fileErrors), unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(errs)
	return unix.Dup3(errs, unix.Stderr, 0)
}

// Remove forgets a job that does not run, if it has this token. Of several who do it
// at once, one is told that it was there: its outcome is his.
func (h Host) Remove(name, token string) (was bool, err error) {
	j, err := h.Look(name)
	if err != nil || j.Phase == order.None || j.Token != token {
		return false, err
	}
	if j.Phase == order.Runs {
		return false, fmt.Errorf("the job %s still runs", name)
	}
	return h.drop(name)
}

func (h Host) drop(name string) (was bool, err error) {
	dir, err := h.dir(name)
	if err != nil {
		return false, err
	}
	away := fmt.Sprintf("%s.removed-%d", dir, os.Getpid())
	if err := os.Rename(dir, away); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	err = os.RemoveAll(away)
	// It is empty after the last one.
	_ = unix.Rmdir(h.Run)
	return true, err
}

// Cancel ends a job that runs and has this token: it is asked to, and killed after
// the grace. What it left can still be read.
func (h Host) Cancel(name, token string, grace time.Duration) (was bool, err error) {
	dir, err := h.dir(name)
	if err != nil {
		return false, err
	}
	asked := false
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		j, err := h.Look(name)
		if err != nil || j.Token != token {
			return asked, err
		}
		if j.Phase != order.Runs {
			return asked || j.Phase == order.Ready, nil
		}
		process, err := pid(dir)
		switch {
		case err != nil && time.Since(begun) < starting+grace:
			continue // it has just been started
		case err != nil:
			return asked, fmt.Errorf("the job %s does not say what process it is: %w", name, err)
		case !asked:
			asked, begun = true, time.Now()
			err = unix.Kill(process, unix.SIGTERM)
		case time.Since(begun) > grace+5*time.Second:
			return asked, fmt.Errorf("the process %d of the job %s does not end", process, name)
		case time.Since(begun) > grace:
			// It leads a group, in which its ssh is too.
			err = unix.Kill(-process, unix.SIGKILL)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return asked, err
		}
	}
}

// Jobs are the names of all jobs there are.
func (h Host) Jobs() ([]string, error) {
	entries, err := os.ReadDir(h.Run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), "job-"); ok && isName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}
