package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kind is a kind of host: a release, an init system, and its services.
type Kind string

const (
	// SysV is Debian 11 with sysvinit, Sendmail, Apache, Dovecot 2.3, vsftpd,
	// iptables without nft, rsync 3.2.3 and OpenSSH 8.4: the old host.
	SysV Kind = "sysv"
	// Bookworm is Debian 12 with systemd, Postfix, nginx, Dovecot 2.3 and
	// nftables: an old host with systemd.
	Bookworm Kind = "bookworm"
	// Trixie is Debian 13 with systemd, Postfix, Apache, Dovecot 2.4, nftables,
	// rsync 3.4, OpenSSH 10, sudo and doas: the new host.
	Trixie Kind = "trixie"
	// BookwormPython is Bookworm with the Python that Ansible needs on the hosts
	// it manages; for benchmarks.
	BookwormPython Kind = "bookworm-python"
	// Web is Trixie with nginx running instead of Apache, which is there too,
	// and with PHP-FPM and ProFTPD: a new host before anybody has moved in.
	Web Kind = "web"
	// Exim is Debian 12 with systemd and Exim, and nothing else that serves.
	Exim Kind = "exim"
)

//go:embed recipe/*.sh
var recipes embed.FS

// recipe says how the base of a kind is built.
type recipe struct {
	suite    string
	include  string   // what debootstrap itself installs: the init system above all
	packages []string // what apt installs afterwards
	setup    []string // scripts under recipe/, run in this order in one shell
	ports    []int    // TCP ports that answer once the host is up
}

// everywhere are the packages of every kind.
var everywhere = []string{
	"openssh-server", "openssh-client", "sudo", "rsync", "acl", "attr", "iproute2", "iputils-ping", "procps", "psmisc",
	"netcat-openbsd", "ca-certificates", "cron",
}

var kinds = map[Kind]recipe{
	SysV: {
		suite:   "bullseye",
		include: "sysvinit-core,sysv-rc,initscripts,ca-certificates",
		packages: []string{
			"sendmail", "sendmail-bin", "procmail", "m4", "make", "apache2", "dovecot-imapd", "dovecot-pop3d", "vsftpd", "iptables",
			"rsyslog", "net-tools",
		},
		setup: []string{"common.sh", "sysv.sh"},
		ports: []int{21, 22, 25, 80, 110, 143, 587},
	},
	Bookworm: {
		suite:    "bookworm",
		include:  "systemd-sysv,ca-certificates",
		packages: []string{"dbus", "libpam-systemd", "kmod", "postfix", "nginx-light", "dovecot-imapd", "dovecot-pop3d", "nftables", "unbound"},
		setup:    []string{"common.sh", "postfix.sh", "bookworm.sh"},
		ports:    []int{22, 25, 80, 110, 143, 587},
	},
	Trixie: {
		suite:    "trixie",
		include:  "systemd-sysv,ca-certificates",
		packages: []string{"dbus", "libpam-systemd", "kmod", "postfix", "apache2", "dovecot-imapd", "dovecot-pop3d", "nftables", "opendoas", "nsd"},
		setup:    []string{"common.sh", "postfix.sh", "trixie.sh"},
		ports:    []int{22, 25, 80, 110, 143, 587},
	},
	Exim: {
		suite:    "bookworm",
		include:  "systemd-sysv,ca-certificates",
		packages: []string{"dbus", "libpam-systemd", "kmod", "exim4-daemon-light"},
		setup:    []string{"common.sh", "exim.sh"},
		ports:    []int{22, 25},
	},
}

func init() {
	managed := kinds[Bookworm]
	managed.packages = append(slices.Clone(managed.packages), "python3")
	kinds[BookwormPython] = managed

	web := kinds[Trixie]
	web.packages = append(slices.Clone(web.packages), "nginx-light", "php-fpm", "proftpd-core")
	web.setup = append(slices.Clone(web.setup), "web.sh")
	web.ports = append(slices.Clone(web.ports), 21)
	kinds[Web] = web
}

// script is the text of an embedded script. It panics on a name that is not
// there, which is a mistake in this package.
func script(name string) string {
	text, err := recipes.ReadFile("recipe/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (r recipe) setupScript() string {
	var all strings.Builder
	for _, name := range r.setup {
		all.WriteString(script(name))
		all.WriteByte('\n')
	}
	return all.String()
}

// hash names a recipe's outcome: whatever goes into a base is in it.
func (r recipe) hash() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s\n%s\n%s\n%s%s", runtime.GOARCH, r.suite, r.include, strings.Join(everywhere, " "), strings.Join(r.packages, " "),
		script("build.sh"), r.setupScript())
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// cacheDir is where bases lie: CUTOVER_LAB_CACHE or /var/cache/cutover-lab.
func cacheDir() string {
	if dir := os.Getenv("CUTOVER_LAB_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/cutover-lab"
}

// ensureBase returns the root directory of a kind's base and builds it if it
// is not there yet. While another process builds the same base it waits.
func ensureBase(ctx context.Context, k Kind, progress func(string, ...any)) (string, error) {
	r, ok := kinds[k]
	if !ok {
		return "", fmt.Errorf("unknown kind of lab host %q", k)
	}
	base := filepath.Join(cacheDir(), string(k)+"-"+r.hash())
	if _, err := os.Stat(base); err == nil {
		return base, nil
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return "", err
	}
	lock, err := lockFile(ctx, base+".lock", func() { progress("waiting for another process to build the base of %s", k) })
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(base); err == nil {
		return base, nil
	}

	// The lock is ours, so whatever has this name is the rest of a build that
	// was killed.
	temp := base + ".part"
	if err := os.RemoveAll(temp); err != nil {
		return "", err
	}
	if err := os.Mkdir(temp, 0o755); err != nil {
		return "", err
	}
	started := time.Now()
	progress("building the base of %s (Debian %s); this happens once and takes one to three minutes", k, r.suite)
	if err := build(ctx, k, r, temp, base+".log", lock, progress); err != nil {
		return "", err
	}
	if err := os.Rename(temp, base); err != nil {
		return "", err
	}
	progress("base of %s ready after %.0f s", k, time.Since(started).Seconds())
	return base, nil
}

// build runs build.sh for a kind in namespaces of its own, with its output in
// the file logName, which its error quotes.
func build(ctx context.Context, k Kind, r recipe, target, logName string, lock *os.File, progress func(string, ...any)) error {
	log, err := os.Create(logName)
	if err != nil {
		return err
	}
	defer log.Close()

	args := []string{"--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c", script("build.sh"), "build.sh", target, r.suite, r.include}
	args = append(append(args, everywhere...), r.packages...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Stdin = strings.NewReader(r.setupScript())
	cmd.Stderr = log
	// If this process is killed, the build goes on for a while, and so must the
	// lock, which is the file's.
	cmd.ExtraFiles = []*os.File{lock}
	// A build that is cancelled ends as a whole: unshare passes its own death on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(out, log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if step, ok := strings.CutPrefix(lines.Text(), "PROGRESS "); ok {
			progress("base of %s: %s", k, step)
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("building the base of %s: %w", k, ctx.Err())
		}
		return fmt.Errorf("building the base of %s: %w; the end of %s:\n%s", k, err, logName, tail(logName, 20))
	}
	return nil
}

// lockFile waits for an exclusive lock on a file, which it creates; closing
// the file gives it back. waiting is called once if somebody else has it.
func lockFile(ctx context.Context, name string, waiting func()) (*os.File, error) {
	for first := true; ; first = false {
		file, err := tryLock(name)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", name, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

var errLocked = errors.New("locked by another process")

// tryLock locks a file and returns it, or errLocked. The lock lasts until the
// file is closed, and so ends with this process however it ends.
func tryLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("locking %s: %w", name, err)
}

// tail returns the last lines of a file, for errors.
func tail(name string, lines int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// Build builds the bases of several kinds at once, where they are missing.
func Build(ctx context.Context, progress func(format string, args ...any), wanted ...Kind) error {
	if err := Check(); err != nil {
		return err
	}
	var mu sync.Mutex
	report := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if progress != nil {
			progress(format, args...)
		}
	}
	failed := make([]error, len(wanted))
	var all sync.WaitGroup
	for i, k := range wanted {
		all.Go(func() { _, failed[i] = ensureBase(ctx, k, report) })
	}
	all.Wait()
	return errors.Join(failed...)
}
