//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// add makes another one's root a root of the pass.
func (h *hosts) add(other *hosts) {
	root := other.order.Roots[0]
	root.Number = len(h.order.Roots)
	h.served = append(h.served, other.source)
	h.serve(h.served...)
	h.order.Roots = append(h.order.Roots, root)
}

// alone makes the pass with mounts of its own, which a script makes before, and
// returns how it ended.
func (h *hosts) alone(script string) order.Outcome {
	h.t.Helper()
	if os.Geteuid() != 0 {
		h.t.Skip("needs root")
	}
	file := filepath.Join(h.home, "order")
	if err := order.Write(file, h.order); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-euc", script+"\nexec \"$0\" pass \"$1\"", os.Args[0], file)
	cmd.Dir = h.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if errors.Is(err, unix.EPERM) {
		h.t.Skip("needs the right to mount (CAP_SYS_ADMIN)")
	}
	if _, err := os.Stat(h.order.Outcome); err != nil {
		h.t.Fatalf("%v: %s", err, &said)
	}
	return h.outcome()
}

// empty fails the test where something was copied.
func (h *hosts) empty() {
	h.t.Helper()
	if names, err := os.ReadDir(h.target); err != nil || len(names) > 0 {
		h.t.Errorf("the target has %v, %v", names, err)
	}
}

// The second root has no room: the first is not copied.
func TestTheSecondRootHasNoRoom(t *testing.T) {
	h, second := newHosts(t), newHosts(t)
	h.add(second)
	h.write("first", "content")
	second.write("big", strings.Repeat("m", 2<<20))
	o := h.alone("mount -t tmpfs -o size=1m,nr_inodes=100 cutover " + second.target)
	want := []order.Crowded{{Mount: second.target, Bytes: 2 << 20, Free: 1 << 20, Entries: 1, FreeEntries: 99}}
	if !reflect.DeepEqual(o.Crowded, want) || !strings.Contains(o.Error, "nothing was copied: there is no room on "+second.target+": 2.0 MiB are to come and 1.0 MiB are free") {
		t.Errorf("crowded is %+v, error %q", o.Crowded, o.Error)
	}
	if len(o.Roots) != 2 || o.Roots[0].Regular != 1 || o.Roots[1].Regular != 1 || o.Roots[0].Did["created"].Count+o.Roots[1].Did["created"].Count > 0 {
		t.Errorf("the roots are %+v", o.Roots)
	}
	h.empty()
	if text, err := os.ReadFile(h.order.Status); err != nil || string(text) != "checking path 2 of 2\n" {
		t.Errorf("the status is %q, %v", text, err)
	}
}

// Owners whom the new host does not know are named of all roots, and none is copied.
func TestStrangersOfAllRoots(t *testing.T) {
	h, second, third := newHosts(t), newHosts(t), newHosts(t)
	h.add(second)
	h.add(third)
	h.write("fine", "content")
	second.write("theirs", "content")
	third.write("theirs-too", "content")
	for _, path := range []string{second.source + "/theirs", third.source + "/theirs-too"} {
		if err := os.Chown(path, 54321, 0); err != nil {
			t.Skip("needs root")
		}
	}
	// Only the old host knows the user.
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.home+"/passwd", append(passwd, "cutover-old:x:54321:54321::/:/bin/false\n"...), 0o644); err != nil { //nolint:gosec // as /etc/passwd
		t.Fatal(err)
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare(1)")
	}
	h.order.Connect = append([]string{"unshare", "-m", "sh", "-euc", `mount --bind "$0" /etc/passwd; exec "$@"`, h.home + "/passwd"}, h.order.Connect...)
	o := h.alone("")
	for _, name := range []string{"theirs: user", "theirs-too: user", second.source, third.source} {
		if !strings.Contains(o.Error, name) {
			t.Errorf("the error is %q", o.Error)
		}
	}
	for i, r := range o.Roots {
		if want := int64(min(i, 1)); r.Found["stranger"].Count != want {
			t.Errorf("of root %d the strangers are %+v", i, r.Found)
		}
	}
	for _, root := range []*hosts{h, second, third} {
		root.empty()
	}
}

// What a target does not keep is in the outcome.
func TestLacksAreToldOf(t *testing.T) {
	h := newHosts(t)
	h.write("odd\xff", "content")
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	if err := unix.Setxattr(h.source+"/odd\xff", "system.posix_acl_access", acl, 0); err != nil {
		t.Skipf("the file system of the tests keeps no ACLs: %v", err)
	}
	h.order.Strangers = "ignore"
	o := h.alone("mount -t ramfs cutover " + h.target)
	want := []order.Lack{{What: "acls", Count: 1, Examples: []string{`odd\xff`}}, {What: "xattrs"}}
	if o.Error != "" || len(o.Roots) != 1 || !reflect.DeepEqual(o.Roots[0].Lacks, want) || o.Roots[0].Found["attributes"].Count != 1 {
		t.Errorf("the outcome is %+v", o)
	}
}
