//go:build linux

package attr

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// What a file system does not keep is no error of SetKept, and one of Set.
func TestSetKept(t *testing.T) {
	file, err := os.OpenFile("/proc/self/comm", os.O_RDWR, 0) // it takes no attributes
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	attrs := []Attr{{Name: "user.a", Value: []byte("1")}, {Name: "user.b", Value: []byte("2")}}
	if err := Set(int(file.Fd()), false, attrs); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Fatalf("Set: %v", err)
	}
	if lost, err := SetKept(int(file.Fd()), false, attrs); err != nil || !slices.Equal(lost, []string{"user.a", "user.b"}) {
		t.Errorf("lost are %q, %v", lost, err)
	}
	if _, err := SetKept(int(file.Fd()), false, []Attr{{Name: "system.nfs4_acl"}}); err == nil {
		t.Error("what is not copied is set")
	}
	// What is refused for another reason is an error.
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if lost, err := SetKept(int(dir.Fd()), false, []Attr{{Name: ACLAccess, Value: []byte("none")}}); len(lost) == 0 && err == nil {
		t.Error("a malformed ACL is set")
	}
}

func TestGroupMode(t *testing.T) {
	for want, value := range map[uint32][]byte{
		0o000: sharedACL,
		0o040: acl([3]uint32{tagUserObj, 6, noID}, [3]uint32{tagUser, 6, 1001}, [3]uint32{tagGroupObj, 6, noID}, [3]uint32{tagMask, 4, noID}, [3]uint32{tagOther, 7, noID}),
		0o050: acl([3]uint32{tagUserObj, 6, noID}, [3]uint32{tagGroupObj, 5, noID}, [3]uint32{tagOther, 0, noID}),
	} {
		if got, err := GroupMode(value); got != want || err != nil {
			t.Errorf("of %v it is %o, %v", value, got, err)
		}
	}
	if _, err := GroupMode([]byte("none")); err == nil {
		t.Error("what is no ACL is read")
	}
}
