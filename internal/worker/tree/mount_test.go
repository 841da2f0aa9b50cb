//go:build linux

package tree

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// alone is set in the process that has mounts of its own.
const alone = "CUTOVER_TEST_OWN_MOUNTS"

// TestMounts mounts something, in a process that shares no mounts with the host.
func TestMounts(t *testing.T) {
	if os.Getenv(alone) != "" {
		testMounts(t)
		return
	}
	needRoot(t)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestMounts$", "-test.v")
	cmd.Env = append(os.Environ(), alone+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("needs the right to mount (CAP_SYS_ADMIN)")
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestMounts") {
		t.Errorf("%v\n%s", err, out)
	}
}

func testMounts(t *testing.T) {
	dir := mkdirs(t, "a", "b/mounted", "mounted")
	for _, path := range []string{"mounted", "b/mounted"} {
		path = filepath.Join(dir, path)
		must(t, unix.Mount("cutover", path, "tmpfs", 0, "size=1m"))
		defer func() { must(t, unix.Unmount(path, 0)) }()
		must(t, os.Mkdir(filepath.Join(path, "inner"), 0o755)) //nolint:gosec // as most are
	}
	root := openRoot(t, dir)
	mounts := map[string]Mount{}
	must(t, Walk(context.Background(), root, nil, 2, visitor(func(_ int, l *Listing) {
		mounts[l.Path] = l.Mount
	}), noTrouble(t)))
	const tmpfs = 0x01021994 // TMPFS_MAGIC, linux/magic.h
	for path, like := range map[string]string{"a": "", "b": "", "mounted/inner": "mounted", "b/mounted/inner": "b/mounted"} {
		if mounts[path] != mounts[like] {
			t.Errorf("%s is on %v, and not on %v", path, mounts[path], mounts[like])
		}
	}
	if m := mounts["mounted"]; m.Type != tmpfs || m == mounts[""] || m.Coarse() {
		t.Errorf("a tmpfs is %v, and what it is mounted on %v", m, mounts[""])
	}
	// The same again is another one, and what was there before shows when it is gone.
	again := openRoot(t, dir)
	var l Listing
	must(t, again.NewLister(nil).List("mounted", &l))
	if l.Mount != mounts["mounted"] {
		t.Errorf("the same mount is %v and then %v", mounts["mounted"], l.Mount)
	}
}

func TestMountOverTheWire(t *testing.T) {
	for _, m := range []Mount{{}, {0xef53, 1}, {1<<64 - 1, 1<<64 - 1}} {
		b := m.append(nil)
		r := wire.NewReader(b)
		var got Mount
		if got.read(r); got != m || r.Done() != nil {
			t.Errorf("%v is %v: %v", m, got, r.Err())
		}
		r = wire.NewReader(b[:len(b)-1])
		if got.read(r); r.Err() == nil {
			t.Errorf("a part of %v is taken for the whole", m)
		}
	}
}

func TestCoarse(t *testing.T) {
	for kind, want := range map[uint64]bool{0xef53: false, 0x58465342: false, 0x01021994: false, 0x4d44: true, 0x65735546: true, 0xff534d42: true} {
		if got := (Mount{Type: kind}).Coarse(); got != want {
			t.Errorf("%#x: %v", kind, got)
		}
	}
}
