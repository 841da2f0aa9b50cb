package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// volatile are paths that a host changes by itself, or that anything done to
// accounts changes for good (the backups that useradd keeps). They and what is
// below them are in no tree; a trailing * matches the rest of a name.
var volatile = []string{
	"/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/var/log", "/var/cache",
	"/var/spool/postfix", "/var/spool/mqueue", "/var/spool/mqueue-client", "/var/spool/exim4",
	"/var/lib/systemd", "/var/lib/urandom", "/var/lib/initscripts", "/var/lib/sendmail", "/var/lib/postfix", "/var/lib/dovecot",
	"/var/lib/logrotate", "/var/lib/rsyslog", "/var/lib/private", "/var/lib/sudo",
	"/etc/mtab", "/etc/adjtime", "/etc/.pwd.lock", "/etc/ld.so.cache", "/etc/mail/*.db", "/etc/mail/smsendmail*", "/etc/mail/tls",
	"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-",
}

// Tree lists the files of a host as they are, for a comparison of before and
// after: a path maps to its type, mode, owner and group by number, and then a
// file's size and SHA-256, a link's target, or a device's number. What a host
// changes by itself is left out, and so is /run but for /run/cutover*.
func (h *Host) Tree(ctx context.Context) (map[string]string, error) {
	init, err := h.findInit(ctx)
	if err != nil {
		return nil, err
	}
	root := fmt.Sprintf("/proc/%d/root", init.pid)
	tree := map[string]string{}
	// The slash, because root itself is a symbolic link.
	err = filepath.WalkDir(root+"/", func(name string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		inside := strings.TrimPrefix(name, root)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked; so it is not there
		}
		if err != nil {
			return err
		}
		if leaveOut(inside) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if inside == "/" || inside == "/run" {
			return nil
		}
		text, err := h.digests.describe(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		tree[inside] = text
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the files of host %s: %w", h.Name, err)
	}
	return tree, nil
}

func leaveOut(name string) bool {
	if run, ok := strings.CutPrefix(name, "/run/"); ok {
		return !strings.HasPrefix(run, "cutover")
	}
	for _, pattern := range volatile {
		if pattern == name {
			return true
		}
		if ok, _ := path.Match(pattern, name); ok { // constant patterns, which are good
			return true
		}
	}
	return false
}

// digests remembers the SHA-256 of files that have not changed since it was
// computed, which is most of a host's.
type digests struct {
	mu    sync.Mutex
	known map[inode]string
}

// inode is a file in one of its states: whatever changes the content sets the
// time of the last change.
type inode struct {
	device, number uint64
	changed        time.Time
	size           int64
}

// settled is how old a file's last change has to be: two changes within one tick
// of the kernel's clock have the same time.
const settled = time.Second

// describe is what a tree says of one file.
func (d *digests) describe(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return "", err
	}
	stat := info.Sys().(*syscall.Stat_t)
	kind, rest := "other", ""
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		kind = "dir"
	case syscall.S_IFREG:
		kind = "file"
		sum, err := d.of(name, inode{stat.Dev, stat.Ino, time.Unix(stat.Ctim.Unix()), stat.Size})
		if err != nil {
			return "", err
		}
		rest = fmt.Sprintf(" %d %s", info.Size(), sum)
	case syscall.S_IFLNK:
		kind = "link"
		target, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		rest = " " + target
	case syscall.S_IFIFO:
		kind = "fifo"
	case syscall.S_IFSOCK:
		kind = "socket"
	case syscall.S_IFCHR, syscall.S_IFBLK:
		kind, rest = "device", fmt.Sprintf(" %d", stat.Rdev)
	}
	return fmt.Sprintf("%s %04o %d %d%s", kind, stat.Mode&^syscall.S_IFMT, stat.Uid, stat.Gid, rest), nil
}

func (d *digests) of(name string, at inode) (string, error) {
	d.mu.Lock()
	sum, ok := d.known[at]
	d.mu.Unlock()
	if ok {
		return sum, nil
	}
	began := time.Now()
	sum, err := digest(name)
	if err != nil || began.Sub(at.changed) < settled {
		return sum, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[inode]string{}
	}
	d.known[at] = sum
	return sum, nil
}

func digest(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
