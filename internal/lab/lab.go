package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// stateDir is where labs lie. Its place is fixed, because the numbers given out
// in it name bridges and subnets of the whole machine.
const stateDir = "/var/lib/cutover-lab"

// Options are what a caller of [New] may choose.
type Options struct {
	// Progress is told what takes long and how far it is. Nil is silence.
	Progress func(format string, args ...any)
}

// Lab is a bridge with a private subnet and the hosts and clients on it. Its
// methods may be called from several goroutines.
type Lab struct {
	dir      string
	index    int
	lock     *os.File
	progress func(format string, args ...any)
	bridge   *keeper

	mu      sync.Mutex // guards what follows
	hosts   []*Host
	clients []*keeper
	closed  bool
}

// New makes a lab without hosts: its directory, its bridge and its key. First
// it removes what labs of processes that are no more have left.
func New(ctx context.Context, o Options) (*Lab, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	if err := os.MkdirAll(filepath.Join(stateDir, "run"), 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFile(ctx, filepath.Join(stateDir, "lock"), nil)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := sweep(ctx, o.Progress); err != nil {
		return nil, fmt.Errorf("removing what an earlier lab left: %w", err)
	}
	index, err := freeIndex()
	if err != nil {
		return nil, err
	}

	l := &Lab{index: index, dir: filepath.Join(stateDir, "run", strconv.Itoa(index)), progress: o.Progress}
	if err := l.create(ctx); err != nil {
		return nil, errors.Join(err, l.remove(context.WithoutCancel(ctx)))
	}
	return l, nil
}

func (l *Lab) create(ctx context.Context) error {
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return err
	}
	var err error
	if l.lock, err = tryLock(filepath.Join(l.dir, "lock")); err != nil {
		return err
	}
	for _, dir := range []string{"hosts", "cgroup"} {
		if err := os.Mkdir(filepath.Join(l.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := keygen(ctx, "ed25519", l.KeyPath(), "cutover lab"); err != nil {
		return err
	}
	if err := os.WriteFile(l.KnownHostsPath(), nil, 0o644); err != nil {
		return err
	}
	return l.createBridge(ctx)
}

// Close ends all hosts and clients and removes everything of the lab. A
// second call does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	// Not the caller's context: a lab is closed above all when that one is over.
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(time.Minute))
	defer cancel()
	return l.remove(ctx)
}

func (l *Lab) remove(ctx context.Context) error {
	err := teardown(ctx, l.index)
	if err != nil {
		return err // a keeper may still be there, and must not be waited for
	}
	for _, h := range l.hosts {
		<-h.ended
	}
	for _, c := range l.clients {
		<-c.ended
	}
	if l.bridge != nil {
		<-l.bridge.ended
	}
	if l.lock != nil {
		l.lock.Close()
	}
	return nil
}

// Detach leaves the lab running when this process ends; [Remove] or the lab's
// own command ends it. The Lab cannot be used any more.
func (l *Lab) Detach() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("the lab is closed")
	}
	if err := os.WriteFile(filepath.Join(l.dir, "kept"), nil, 0o644); err != nil {
		return err
	}
	l.closed = true
	return l.lock.Close()
}

// RemoveDetached ends and removes all labs that were detached, and whatever
// labs of killed processes have left.
func RemoveDetached(ctx context.Context) error {
	lock, err := lockFile(ctx, filepath.Join(stateDir, "lock"), nil)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // there never was a lab
		}
		return err
	}
	defer lock.Close()
	kept, err := filepath.Glob(filepath.Join(stateDir, "run", "*", "kept"))
	if err != nil {
		return err
	}
	for _, marker := range kept {
		if err := os.Remove(marker); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return sweep(ctx, func(string, ...any) {})
}

// Dir is the lab's directory. Consoles of the hosts are in hosts/NAME/console.log.
func (l *Lab) Dir() string { return l.dir }

// KeyPath is an ed25519 private key that may log in to every host as root and
// as every other login that the package's comment names.
func (l *Lab) KeyPath() string { return filepath.Join(l.dir, "id_ed25519") }

// KnownHostsPath is a known_hosts file with every started host's keys under
// its IPv4 and IPv6 addresses and its name.
func (l *Lab) KnownHostsPath() string { return filepath.Join(l.dir, "known_hosts") }

// sweep removes the labs whose process is gone. The state's lock must be held.
func sweep(ctx context.Context, progress func(string, ...any)) error {
	entries, err := os.ReadDir(filepath.Join(stateDir, "run"))
	if err != nil {
		return err
	}
	var failed []error
	for _, entry := range entries {
		dir := filepath.Join(stateDir, "run", entry.Name())
		if _, mark, ok := strings.Cut(entry.Name(), removing); ok {
			_, pid, _ := strings.Cut(mark, "-")
			if _, err := os.Stat("/proc/" + pid); err != nil {
				failed = append(failed, os.RemoveAll(dir))
			}
			continue
		}
		index, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "kept")); err == nil {
			continue
		}
		lock, err := tryLock(filepath.Join(dir, "lock"))
		if errors.Is(err, errLocked) || errors.Is(err, fs.ErrNotExist) {
			continue // somebody's, or closed by somebody in this moment
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		progress("removing lab %d, which a process that is gone has left", index)
		failed = append(failed, teardown(ctx, index))
		lock.Close()
	}
	return errors.Join(failed...)
}

// teardown removes a lab from the machine by its number alone: processes and
// their control group first, then the link, then the directory, so that a
// teardown that is interrupted is taken up by the next.
func teardown(ctx context.Context, index int) error {
	dir := filepath.Join(stateDir, "run", strconv.Itoa(index))
	mountpoint := filepath.Join(dir, "cgroup")
	if err := os.MkdirAll(mountpoint, 0o755); err != nil {
		return err
	}
	if _, err := output(ctx, "unshare", "--mount", "sh", "-c", script("teardown.sh"), "teardown.sh", mountpoint, cgroupOf(index)); err != nil {
		return fmt.Errorf("ending the processes of lab %d: %w", index, err)
	}
	if err := removeLink(ctx, index); err != nil {
		return err
	}
	// Under another name, for removing takes a while: with its lock removed and
	// its files not, the directory would look like that of a process that is gone;
	// somebody else would remove it, and a third have a lab of that number, whose
	// files were removed here.
	gone := fmt.Sprintf("%s%s%d-%d", dir, removing, time.Now().UnixNano(), os.Getpid())
	if err := os.Rename(dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// removing is in the name of the directory of a lab that is no more.
const removing = ".removing-"

// cgroupOf is the control group of a lab, below the root of the hierarchy.
func cgroupOf(index int) string { return fmt.Sprintf("cutover-lab/%d", index) }

// freeIndex picks the lowest number whose directory, bridge and subnet are free.
func freeIndex() (int, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return 0, err
	}
	for index := range 200 {
		if _, err := os.Stat(filepath.Join(stateDir, "run", strconv.Itoa(index))); err == nil {
			continue
		}
		if _, err := net.InterfaceByName(bridgeName(index)); err == nil {
			continue
		}
		_, subnet, err := net.ParseCIDR(subnet4(index) + ".0/24")
		if err != nil {
			return 0, err
		}
		clash := false
		for _, address := range taken {
			if other, ok := address.(*net.IPNet); ok && (subnet.Contains(other.IP) || other.Contains(subnet.IP)) {
				clash = true
			}
		}
		if !clash {
			return index, nil
		}
	}
	return 0, errors.New("no private subnet is free for a lab: all of 10.231.0.0/24 to 10.231.199.0/24 are in use on this machine")
}

// keygen makes an unencrypted SSH key.
func keygen(ctx context.Context, kind, name, comment string) error {
	args := []string{"-q", "-t", kind, "-N", "", "-C", comment, "-f", name}
	if kind == "rsa" {
		args = append(args, "-b", "2048")
	}
	_, err := output(ctx, "ssh-keygen", args...)
	return err
}

// output runs a program of this machine and returns its standard output; its
// error has the standard error.
func output(ctx context.Context, program string, args ...string) (string, error) {
	return run(exec.CommandContext(ctx, program, args...), strings.Join(append([]string{program}, args...), " "))
}

// run runs a command that is ready to run. name says in errors which it was.
func run(cmd *exec.Cmd, name string) (string, error) {
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if len(name) > 200 {
			name = name[:200] + "..."
		}
		return out.String(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}
