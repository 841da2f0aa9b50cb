//go:build linux

package attr

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// netRaw is a capability of revision 2 (VFS_CAP_REVISION_2 with the effective
// bit, then CAP_NET_RAW permitted); linux/capability.h.
var netRaw = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// acl writes an ACL of entries of tag, permissions and id.
func acl(entries ...[3]uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// sharedACL is u::rw-, u:1001:rw-, g::---, g:2002:r--, m::rw-, o::---.
var sharedACL = acl(
	[3]uint32{tagUserObj, 6, noID}, [3]uint32{tagUser, 6, 1001}, [3]uint32{tagGroupObj, 0, noID},
	[3]uint32{tagGroup, 4, 2002}, [3]uint32{tagMask, 6, noID}, [3]uint32{tagOther, 0, noID},
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// folder is a new folder on a file system that has what the test sets.
func folder(t testing.TB, sample Attr) string {
	t.Helper()
	dir := t.TempDir()
	probe := filepath.Join(dir, "probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := unix.Setxattr(probe, sample.Name, sample.Value, 0)
	if errors.Is(err, unix.ENOTSUP) {
		t.Skipf("needs a file system with %s under %s", sample.Name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(probe); err != nil {
		t.Fatal(err)
	}
	return dir
}

func userFolder(t testing.TB) string { return folder(t, Attr{"user.probe", []byte("x")}) }
func aclFolder(t testing.TB) string  { return folder(t, Attr{ACLAccess, sharedACL}) }

// openAt opens without following a link and closes with the test.
func openAt(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("opening %s: %v", path, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// fresh is a new file of mode 0600, open for reading.
func fresh(t testing.TB, dir, name string) (path string, fd int) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, openAt(t, path, unix.O_RDONLY)
}

// put sets attributes by the file's name, beside the code under test.
func put(t *testing.T, path string, attrs ...Attr) {
	t.Helper()
	for _, a := range attrs {
		if err := unix.Lsetxattr(path, a.Name, a.Value, 0); err != nil {
			t.Fatalf("setting %s of %s: %v", a.Name, path, err)
		}
	}
}

// carries complains unless the file carries exactly these of what is copied.
func carries(t *testing.T, fd int, path bool, want ...Attr) {
	t.Helper()
	got, leftOut, err := Read(fd, path)
	if err != nil {
		t.Fatal(err)
	}
	if !Equal(got, want) || len(leftOut) > 0 {
		t.Errorf("the file carries %q and %q left out, and not %q", got, leftOut, want)
	}
}

func modeOf(t *testing.T, fd int) uint32 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		t.Fatal(err)
	}
	return s.Mode & 0o7777
}
