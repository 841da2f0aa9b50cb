package names

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

func TestThisHost(t *testing.T) {
	root, err := user.LookupId("0")
	if err != nil {
		t.Skipf("this machine has no user number 0: %v", err)
	}
	users, groups, err := Host{}.Names([]uint32{0, 4_000_000_001}, []uint32{0, 4_000_000_002})
	if err != nil {
		t.Fatal(err)
	}
	if users[0] != root.Username || len(users) != 1 || len(groups) != 1 {
		t.Errorf("users 0 and 4000000001 are %v, groups 0 and 4000000002 are %v", users, groups)
	}
	// A name that is a number is no number.
	userIDs, groupIDs, err := Host{}.IDs([]string{root.Username, "no-such-user-here", "0", "-h", ""}, []string{groups[0]})
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := userIDs[root.Username]; !ok || id != 0 || len(userIDs) != 1 {
		t.Errorf("the names are users %v", userIDs)
	}
	if id, ok := groupIDs[groups[0]]; !ok || id != 0 {
		t.Errorf("%q is group %v", groups[0], groupIDs)
	}
}

func TestNobodyIsAskedFor(t *testing.T) {
	users, groups, err := Host{}.Names(nil, nil)
	if err != nil || len(users)+len(groups) != 0 {
		t.Errorf("nobody is %v, %v, error %v", users, groups, err)
	}
}

// fakeGetent puts a script in the place of getent, which says how often it was
// started. It is asked first.
func fakeGetent(t *testing.T, script string) (starts func() int) {
	t.Helper()
	dir := t.TempDir()
	files(t, map[string]string{"nsswitch.conf": "passwd: sss files\ngroup: sss files\n"})
	log := filepath.Join(dir, "log")
	text := "#!/bin/sh\necho >>" + log + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "getent"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() int {
		text, _ := os.ReadFile(log)
		return len(text)
	}
}

func TestOddAnswers(t *testing.T) {
	starts := fakeGetent(t, `printf '%s\n' 'anna:x:1000:1000::/:' 'anna2:x:1000:1000::/:' 'half:x' ':x:5:' 'odd:x:minus:1' 'big:x:4294967296:1'; exit 2`)
	var ids []uint32
	for id := range uint32(2500) {
		ids = append(ids, id)
	}
	users, _, err := Host{}.Names(ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The first name of a number counts, as it does for ls.
	if len(users) != 1 || users[1000] != "anna" {
		t.Errorf("the users are %v", users)
	}
	if n := starts(); n != 3 {
		t.Errorf("getent was started %d times for 2,500 numbers", n)
	}
}

func TestGetentFails(t *testing.T) {
	fakeGetent(t, "echo 'no such service' >&2; exit 3")
	if _, _, err := (Host{}).Names([]uint32{7}, nil); err == nil {
		t.Error("an error of getent counts as nobody")
	}
}

// Without getent (Alpine's musl-utils, a bare busybox) the files are read.
func TestWithoutGetent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	users, _, err := Host{}.Names([]uint32{0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if users[0] == "" {
		t.Errorf("user 0 is %q", users[0])
	}
	ids, _, err := Host{}.IDs([]string{users[0]}, nil)
	if err != nil || len(ids) != 1 {
		t.Errorf("%s is %v, error %v", users[0], ids, err)
	}
	if _, ok := ids[strconv.Itoa(0)]; ok {
		t.Error("a number is a name")
	}
}
