//go:build linux

package attr

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func same(id uint32) (uint32, error) { return id, nil }

// mode is what a caller sets in steps 2 and 4 of the package's order.
func TestACLAndMode(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, aclFolder(t), "file")
	access := Attr{ACLAccess, sharedACL}
	steps := []struct {
		what string
		do   func() error
		mode uint32
		acl  bool
	}{
		{"no group bits", func() error { return unix.Fchmod(fd, 0o4600) }, 0o4600, false},
		{"the ACL", func() error { return Set(fd, false, []Attr{access}) }, 0o4660, true},
		{"the whole mode", func() error { return unix.Fchmod(fd, 0o4660) }, 0o4660, true},
		{"no group bits again", func() error { return unix.Fchmod(fd, 0o600) }, 0o600, false},
		{"the ACL again", func() error { return Set(fd, false, []Attr{access}) }, 0o660, true},
		{"no group bits before it goes", func() error { return unix.Fchmod(fd, 0o600) }, 0o600, false},
		{"no ACL", func() error { return Set(fd, false, nil) }, 0o600, false},
		{"the mode without an ACL", func() error { return unix.Fchmod(fd, 0o640) }, 0o640, false},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		if mode := modeOf(t, fd); mode != s.mode {
			t.Errorf("%s: mode %o and not %o", s.what, mode, s.mode)
		}
		value := make([]byte, 200)
		n, _ := unix.Getxattr(path, ACLAccess, value)
		if is := bytes.Equal(value[:max(n, 0)], sharedACL); is != s.acl {
			t.Errorf("%s: the ACL is the given one: %v", s.what, is)
		}
	}
}

// The ACL leaves the owner without the right to write, which user.* takes.
func TestAccessACLIsSetLast(t *testing.T) {
	t.Parallel()
	path, fd := fresh(t, aclFolder(t), "file")
	if os.Geteuid() == 0 {
		// Root may do anything, so this thread is somebody else until the end.
		const somebody = 54321
		if err := os.Chown(path, somebody, somebody); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(somebody); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	readOnly := slices.Clone(sharedACL)
	readOnly[headerSize+2] = 4
	want := []Attr{{ACLAccess, readOnly}, {"user.a", []byte("x")}}
	if err := Set(fd, false, want); err != nil {
		t.Fatal(err)
	}
	carries(t, fd, false, want...)
}

func TestACLsOfFolders(t *testing.T) {
	t.Parallel()
	dir := aclFolder(t)
	fd := openAt(t, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	want := []Attr{{ACLAccess, sharedACL}, {ACLDefault, sharedACL}}
	// Not to be locked out of the folder where this is no root.
	want[0].Value = slices.Clone(sharedACL)
	want[0].Value[headerSize+2] = 7
	if err := Set(fd, false, want); err != nil {
		t.Fatal(err)
	}
	carries(t, fd, false, want...)

	// What is made in it inherits an ACL that it does not have on the old host.
	_, inherited := fresh(t, dir, "file")
	if attrs, _, err := Read(inherited, false); err != nil || len(attrs) != 1 {
		t.Fatalf("inherited %q: %v", attrs, err)
	}
	if err := Set(inherited, false, nil); err != nil {
		t.Fatal(err)
	}
	carries(t, inherited, false)
	if mode := modeOf(t, inherited); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
}

// The bytes mean to setfacl and getfacl what they mean here.
func TestWithSetfacl(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"setfacl", "getfacl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s of the package acl", program)
		}
	}
	dir := aclFolder(t)
	from, source := fresh(t, dir, "from")
	if out, err := exec.Command("setfacl", "-m", "u:1001:rw,g::-,g:2002:r,m:rw,o::-", from).CombinedOutput(); err != nil {
		t.Fatalf("setfacl: %v\n%s", err, out)
	}
	carries(t, source, false, Attr{ACLAccess, sharedACL})

	mapped, err := MapACL(sharedACL, func(id uint32) (uint32, error) { return id + 500, nil }, same)
	if err != nil {
		t.Fatal(err)
	}
	_, target := fresh(t, dir, "to")
	if err := Set(target, false, []Attr{{ACLAccess, mapped}}); err != nil {
		t.Fatal(err)
	}
	get := exec.Command("getfacl", "--omit-header", "--numeric", filepath.Join(dir, "to"))
	out, err := get.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(string(out)), " "); got != "user::rw- user:1501:rw- group::--- group:2002:r-- mask::rw- other::---" {
		t.Errorf("getfacl: %s", got)
	}
}

func TestIDsInACL(t *testing.T) {
	t.Parallel()
	value := acl([3]uint32{1, 7, 0}, [3]uint32{2, 1, 9}, [3]uint32{2, 1, 3}, [3]uint32{2, 2, 9}, [3]uint32{4, 7, noID},
		[3]uint32{8, 7, 2}, [3]uint32{8, 7, 1}, [3]uint32{16, 7, noID}, [3]uint32{32, 7, noID})
	users, groups, err := IDsInACL(value)
	if err != nil || !slices.Equal(users, []uint32{3, 9}) || !slices.Equal(groups, []uint32{1, 2}) {
		t.Errorf("users %v, groups %v: %v", users, groups, err)
	}
}

func TestMapACL(t *testing.T) {
	t.Parallel()
	// named is an ACL of the entries of users, then of a group 50.
	named := func(users ...[3]uint32) []byte {
		entries := append([][3]uint32{{tagUserObj, 7, noID}}, users...)
		return acl(append(entries, [][3]uint32{{tagGroupObj, 5, noID}, {tagGroup, 4, 50}, {tagMask, 7, noID}, {tagOther, 0, noID}}...)...)
	}
	u := func(perm, id uint32) [3]uint32 { return [3]uint32{tagUser, perm, id} }
	refused := errors.New("no such user")
	users := func(id uint32) (uint32, error) {
		switch id {
		case 1, 2: // two of the old host are one of the new one
			return 700, nil
		case 3:
			return 600, nil
		case 4:
			return 0, refused
		case 5:
			return noID, nil
		}
		return id, nil
	}
	for name, c := range map[string]struct {
		given, want []byte
		says        string
	}{
		"sorted anew":            {named(u(1, 1), u(2, 3)), named(u(2, 600), u(1, 700)), ""},
		"two become one":         {named(u(4, 1), u(4, 2)), named(u(4, 700)), ""},
		"two with other rights":  {named(u(4, 1), u(6, 2)), nil, "ACL with user 1 and 2: both become 700"},
		"one twice, as it was":   {named(u(4, 3), u(6, 3)), named(u(4, 600), u(6, 600)), ""},
		"refused":                {named(u(4, 4)), nil, "ACL with user 4: no such user"},
		"no id":                  {named(u(4, 5)), nil, "ACL with user 5: it becomes"},
		"nobody named":           {acl([3]uint32{1, 6, 0}, [3]uint32{4, 4, 1}, [3]uint32{32, 4, 2}), acl([3]uint32{1, 6, noID}, [3]uint32{4, 4, noID}, [3]uint32{32, 4, noID}), ""},
		"a number beyond int32":  {named(u(4, 1<<32-2)), named(u(4, 1<<32-2)), ""},
		"a mask, nobody to mask": {acl([3]uint32{1, 6, noID}, [3]uint32{4, 4, noID}, [3]uint32{16, 4, noID}, [3]uint32{32, 4, noID}), acl([3]uint32{1, 6, noID}, [3]uint32{4, 4, noID}, [3]uint32{16, 4, noID}, [3]uint32{32, 4, noID}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := MapACL(c.given, users, same)
			if !bytes.Equal(got, c.want) || (err == nil) != (c.says == "") {
				t.Errorf("% x: %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
	if _, err := MapACL(named(u(4, 4)), users, same); !errors.Is(err, refused) {
		t.Errorf("the error of the mapping is not wrapped: %v", err)
	}
	groups := func(id uint32) (uint32, error) { return 0, fmt.Errorf("group %d is unknown", id) }
	if _, err := MapACL(named(u(4, 9)), users, groups); err == nil || !strings.Contains(err.Error(), "group 50 is unknown") {
		t.Errorf("a group that is refused: %v", err)
	}
}

// malformed are ACLs that the kernel does not take either.
var malformed = map[string][]byte{
	"tags not in order":     acl([3]uint32{1, 7, noID}, [3]uint32{4, 7, noID}, [3]uint32{2, 7, 5}, [3]uint32{16, 7, noID}, [3]uint32{32, 7, noID}),
	"no mask":               acl([3]uint32{1, 7, noID}, [3]uint32{2, 7, 5}, [3]uint32{4, 7, noID}, [3]uint32{32, 7, noID}),
	"no others":             acl([3]uint32{1, 7, noID}, [3]uint32{4, 7, noID}),
	"two owners":            acl([3]uint32{1, 7, noID}, [3]uint32{1, 7, noID}, [3]uint32{4, 7, noID}, [3]uint32{32, 7, noID}),
	"permission 8":          acl([3]uint32{1, 8, noID}, [3]uint32{4, 7, noID}, [3]uint32{32, 7, noID}),
	"tag 64":                acl([3]uint32{1, 7, noID}, [3]uint32{4, 7, noID}, [3]uint32{32, 7, noID}, [3]uint32{64, 7, noID}),
	"tag 0":                 acl([3]uint32{0, 7, noID}, [3]uint32{1, 7, noID}, [3]uint32{4, 7, noID}, [3]uint32{32, 7, noID}),
	"a user without id":     acl([3]uint32{1, 7, noID}, [3]uint32{2, 7, noID}, [3]uint32{4, 7, noID}, [3]uint32{16, 7, noID}, [3]uint32{32, 7, noID}),
	"half an entry":         sharedACL[:len(sharedACL)-4],
	"version 1":             append([]byte{1}, sharedACL[1:]...),
	"big endian":            append([]byte{0, 0, 0, 2}, sharedACL[headerSize:]...),
	"a byte":                {2},
	"entries cut after one": sharedACL[:headerSize+entrySize],
}

func TestMalformedACL(t *testing.T) {
	t.Parallel()
	path, _ := fresh(t, aclFolder(t), "file")
	for name, value := range malformed {
		if _, err := MapACL(value, same, same); err == nil || !strings.HasPrefix(err.Error(), "malformed ACL: ") {
			t.Errorf("%s: MapACL: %v", name, err)
		}
		if _, _, err := IDsInACL(value); err == nil {
			t.Errorf("%s: IDsInACL takes it", name)
		}
		if err := unix.Setxattr(path, ACLAccess, value, 0); err == nil {
			t.Errorf("%s: the kernel takes it", name)
		}
	}
	// The kernel takes these as "no ACL". It never gives them.
	for _, value := range [][]byte{nil, sharedACL[:headerSize]} {
		if _, err := MapACL(value, same, same); err == nil {
			t.Errorf("% x: MapACL takes it", value)
		}
	}
	endless := append(slices.Clone(sharedACL[:headerSize+entrySize]), bytes.Repeat(sharedACL[headerSize+entrySize:][:entrySize], MaxValue/entrySize)...)
	if _, err := MapACL(endless, same, same); err == nil {
		t.Error("MapACL takes an ACL that is too long")
	}
}

func FuzzACL(f *testing.F) {
	f.Add(sharedACL)
	f.Add([]byte{})
	for _, value := range malformed {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		users, groups, err := IDsInACL(value)
		mapped, mapErr := MapACL(value, same, same)
		if (err == nil) != (mapErr == nil) {
			t.Fatalf("IDsInACL: %v; MapACL: %v", err, mapErr)
		}
		if err != nil {
			return
		}
		again, err := MapACL(mapped, same, same)
		if err != nil || !bytes.Equal(mapped, again) {
			t.Fatalf("% x becomes % x, and that % x: %v", value, mapped, again, err)
		}
		if u, g, err := IDsInACL(mapped); err != nil || !slices.Equal(u, users) || !slices.Equal(g, groups) {
			t.Fatalf("ids %v %v become %v %v: %v", users, groups, u, g, err)
		}
	})
}
