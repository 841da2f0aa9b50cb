//go:build linux

package key

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/attr"
)

// A link in the place of the key file leads to it, and stays.
func TestLinksOfTheKeyFile(t *testing.T) {
	for name, c := range map[string]struct{ link, target, real string }{
		"relative":      {".ssh/authorized_keys", "../elsewhere/keys", "elsewhere/keys"},
		"by a link":     {".ssh/authorized_keys", "../by/../elsewhere/keys", "elsewhere/keys"},
		"two links":     {".ssh/authorized_keys", "next", "elsewhere/keys"},
		"of the folder": {".ssh", "elsewhere", "elsewhere/authorized_keys"},
	} {
		for _, there := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				h := newHost(t)
				if err := os.MkdirAll(h.home+"/elsewhere/deep", 0o700); err != nil {
					t.Fatal(err)
				}
				if c.link != ".ssh" {
					if err := os.Mkdir(h.ssh, 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.Symlink("../elsewhere/keys", h.ssh+"/next"); err != nil {
						t.Fatal(err)
					}
				}
				// What is above the end of a link is above where that leads to.
				if err := errors.Join(os.Symlink("elsewhere/deep", h.home+"/by"), os.MkdirAll(h.home+"/elsewhere/elsewhere", 0o700)); err != nil {
					t.Fatal(err)
				}
				link, real := filepath.Join(h.home, c.link), filepath.Join(h.home, c.real)
				if name == "by a link" {
					real = h.home + "/elsewhere/elsewhere/keys"
				}
				if err := os.Symlink(c.target, link); err != nil {
					t.Fatal(err)
				}
				others := ""
				if there {
					others = "ssh-rsa AAAA me\n"
					if err := os.WriteFile(real, []byte(others), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				h.admit(h.admission(chainA))
				has(t, real, others+line(h.admission(chainA)))
				h.dismiss(chainA, "")
				if there {
					has(t, real, others)
				} else {
					gone(t, real)
				}
				if got, err := os.Readlink(link); err != nil || got != c.target {
					t.Errorf("the link leads to %q, error %v", got, err)
				}
				gone(t, h.Base)
			})
		}
	}
}

func TestNoPlaceForAKey(t *testing.T) {
	for name, make := range map[string]func(h *host) error{
		"a circle": func(h *host) error {
			return errors.Join(os.Mkdir(h.ssh, 0o700), os.Symlink("authorized_keys", h.file))
		},
		"a folder that leads nowhere": func(h *host) error { return os.Symlink("nowhere", h.ssh) },
		"a file for a folder":         func(h *host) error { return os.WriteFile(h.ssh, nil, 0o600) },
		"a folder for a file":         func(h *host) error { return os.MkdirAll(h.file, 0o700) },
		"a fifo": func(h *host) error {
			return errors.Join(os.Mkdir(h.ssh, 0o700), unix.Mkfifo(h.file, 0o600))
		},
		"too big": func(h *host) error {
			h.holds("")
			return os.Truncate(h.file, maxSize+1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if err := make(h); err != nil {
				t.Fatal(err)
			}
			if err := h.Admit(h.admission(chainA)); err == nil {
				t.Error("the key is let in")
			}
			gone(t, h.Base, h.home+"/nowhere")
		})
	}
}

// After the directory was opened, a link in its place leads nobody astray.
func TestADirectoryIsReplaced(t *testing.T) {
	h := newHost(t)
	h.holds("mine\n")
	p, err := resolve(h.file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if _, _, err := f.read(); err != nil {
		t.Fatal(err)
	}
	theirs := h.home + "/theirs"
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.WriteFile(theirs+"/authorized_keys", []byte("theirs\n"), 0o600),
		os.Rename(h.ssh, h.ssh+".moved"), os.Symlink("theirs", h.ssh)); err != nil {
		t.Fatal(err)
	}
	if err := f.replace([]byte("new\n"), false, owner{-1, -1}); err != nil {
		t.Fatal(err)
	}
	has(t, theirs+"/authorized_keys", "theirs\n")
	has(t, h.ssh+".moved/authorized_keys", "new\n")
	if err := f.removeSelf(); err != nil { // the link is no directory
		t.Error(err)
	}
	// A link that comes between the resolving and the opening is not followed.
	for _, dir := range []string{h.ssh, h.ssh + "/deeper"} {
		if _, err := (place{dir, "authorized_keys"}).open(); err == nil {
			t.Errorf("%s is opened", dir)
		}
	}
	if err := os.Symlink("x", theirs+"/link"); err != nil {
		t.Fatal(err)
	}
	g, err := place{theirs, "link"}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if _, _, err := g.read(); err == nil {
		t.Error("a link is read")
	}
}

// What a user has put in the place of the file or its directory keeps nobody from
// going on.
func TestTheFileIsNoneAnyMore(t *testing.T) {
	for name, change := range map[string]func(h *host) error{
		"a folder":           func(h *host) error { return errors.Join(os.Remove(h.file), os.Mkdir(h.file, 0o700)) },
		"a fifo":             func(h *host) error { return errors.Join(os.Remove(h.file), unix.Mkfifo(h.file, 0o600)) },
		"a file of the name": func(h *host) error { return errors.Join(os.RemoveAll(h.ssh), os.WriteFile(h.ssh, nil, 0o600)) },
		"no home":            func(h *host) error { return os.RemoveAll(h.home) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.admit(h.admission(chainA))
			if err := change(h); err != nil {
				t.Fatal(err)
			}
			h.dismiss(chainA, "")
			gone(t, h.Base)
		})
	}
}

func TestWhatAFileHasStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of other users")
	}
	h := newHost(t)
	h.holds("ssh-rsa AAAA me\n")
	// Read by user 4000003, too: acl(5) as the kernel has it, linux/posix_acl_xattr.h.
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 0xffffffff}, {2, 4, 4000003}, {4, 0, 0xffffffff}, {0x10, 4, 0xffffffff}, {0x20, 0, 0xffffffff}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	label := []byte("system_u:object_r:ssh_home_t:s0\x00")
	if err := errors.Join(os.Chown(h.file, 4000001, 4000002), unix.Setxattr(h.file, "user.note", []byte("mine"), 0),
		unix.Setxattr(h.file, "security.selinux", label, 0), unix.Setxattr(h.file, attr.ACLAccess, acl, 0)); err != nil {
		t.Skipf("needs root: a file system with attributes, ACLs and labels: %v", err)
	}
	same := func() {
		t.Helper()
		for name, want := range map[string]string{"user.note": "mine", "security.selinux": string(label), attr.ACLAccess: string(acl)} {
			buf := make([]byte, 500)
			n, err := unix.Getxattr(h.file, name, buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("%s is %q, error %v", name, buf[:max(n, 0)], err)
			}
		}
		var st unix.Stat_t
		if err := unix.Stat(h.file, &st); err != nil || st.Uid != 4000001 || st.Gid != 4000002 || st.Mode&0o7777 != 0o640 {
			t.Errorf("it is %d:%d, mode %o, error %v", st.Uid, st.Gid, st.Mode, err)
		}
	}
	h.admit(h.admission(chainA))
	same()
	h.dismiss(chainA, "")
	same()
	has(t, h.file, "ssh-rsa AAAA me\n")
}

// What is made is the user's, and has the label that the policy has for it.
func TestWhatIsMadeIsTheUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of other users")
	}
	who, err := ownerOf("daemon")
	if err != nil || who.uid == 0 {
		t.Skipf("needs a user daemon: %v", err)
	}
	h := newHost(t)
	h.user = "daemon"
	before := restorecon
	defer func() { restorecon = before }()
	restorecon = h.home + "/restorecon"
	if err := os.WriteFile(restorecon, []byte("#!/bin/sh\nstat -c '%u:%g %a' \"$1\" >"+h.home+"/log\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.admit(h.admission(chainA))
	for name, mode := range map[string]uint32{h.ssh: 0o700, h.file: 0o600} {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil || int(st.Uid) != who.uid || int(st.Gid) != who.gid || st.Mode&0o7777 != mode {
			t.Errorf("%s is %d:%d, mode %o, error %v", name, st.Uid, st.Gid, st.Mode, err)
		}
	}
	if _, err := os.Stat(h.home + "/log"); err != nil {
		t.Errorf("restorecon was not run: %v", err)
	}
	h.dismiss(chainA, "")
	gone(t, h.ssh)
}

// ssh-keygen finds a key in the line, as sshd does.
func TestTheLineIsOneForOpenSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("needs ssh-keygen, which reads the line")
	}
	h := newHost(t)
	a := h.admission(chainA)
	_, public, err := Generate("cutover-pass-" + chainA)
	if err != nil {
		t.Fatal(err)
	}
	a.Public = public
	h.holds("# mine")
	h.admit(a)
	out, err := exec.Command("ssh-keygen", "-l", "-f", h.file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cutover-pass-"+chainA) {
		t.Errorf("ssh-keygen -l says %s, error %v", out, err)
	}
}

// A path that is no UTF-8 is on record byte for byte.
func TestAnOddHome(t *testing.T) {
	h := newHost(t)
	h.home += "/\xe9t\xe9\n"
	if err := os.Mkdir(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	h.admit(h.admission(chainA))
	has(t, h.home+"/.ssh/authorized_keys", line(h.admission(chainA)))
	h.dismiss(chainA, "")
	gone(t, h.home+"/.ssh", h.Base)
}
