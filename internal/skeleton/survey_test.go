package skeleton

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// surveyed runs the survey through a real shell, with notes and accounts of its
// own. asUser are the homes that were looked at with the user's rights.
func surveyed(t *testing.T, notes, accounts map[string]string) (found survey, asUser string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	var passwd strings.Builder
	for name, home := range accounts {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:/bin/sh\n", name, os.Getuid(), os.Getgid(), home)
	}
	write("passwd", passwd.String(), 0o644)
	for name, note := range notes {
		write("notes/"+name, note, 0o644)
	}
	write("bin/getent", `#!/bin/sh
shift
missing=0
for name; do grep "^$name:" "${0%/bin/*}/passwd" || missing=2; done
exit "$missing"
`, 0o755)
	// Only root may change its root; the script that it runs is the same.
	write("bin/chroot", `#!/bin/sh
[ "$5" = -c ] && echo "$9" >>"${0%/bin/*}/asked"
shift 3
exec "$@"
`, 0o755)
	text := strings.ReplaceAll(surveyScript.Text, "/var/lib/cutover/skeletons", dir+"/notes")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", text, surveyScript.Name)
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if found, err = parseSurvey("fake", string(out)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found, string(asked)
}

func note(user, home string, paths ...string) string {
	return "user " + user + " " + asked(home) + "\nbegin\nlook " + strings.Join(paths, "\nlook ") + "\nend\n"
}

func TestSurveyFindsWhatLookingFinds(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	plain, linked, bare, other := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, home := range []string{plain, linked, other} {
		do(os.MkdirAll(filepath.Join(home, "a b/$(id)"), 0o755))
		do(os.WriteFile(filepath.Join(home, "a b/empty"), nil, 0o640))
		do(os.WriteFile(filepath.Join(home, "full"), []byte("x"), 0o600))
		do(os.Mkdir(filepath.Join(home, "mail"), 0o700))
	}
	do(os.Rename(filepath.Join(linked, "mail"), filepath.Join(linked, "real")))
	do(os.Symlink("real", filepath.Join(linked, "mail")))
	do(os.Symlink("/etc", filepath.Join(linked, "out")))

	paths := []string{"a b", "a b/$(id)", "a b/empty", "full", "mail"}
	found, asUser := surveyed(t, map[string]string{
		"plain":  note("plain", "", paths...),
		"other":  note("other", other, paths...),
		"linked": note("linked", "", append(paths, "out")...),
		"bare":   note("bare", "", "mail"),
		"gone":   note("gone", "", "mail"),
		"cut":    "user cut -\nbegin\nlook ma",
		"only":   note("only", "", "mail")[:len("user only -\nbegin\n")] + "end\n", // /etc/skel alone
	}, map[string]string{"plain": plain, "other": "/nowhere", "linked": linked, "bare": bare, "cut": plain, "only": plain})

	want := map[string]Entry{
		"a b": {Directory, "0755", me.Username}, "a b/$(id)": {Directory, "0755", me.Username}, "a b/empty": {Regular, "0640", me.Username},
		"full": {Regular, "0600", me.Username}, "mail": {Directory, "0700", me.Username},
	}
	for _, at := range []place{{"plain", ""}, {"other", other}, {"linked", ""}} {
		a, ok := found[at]
		if !ok || a.err != nil || !a.User || !a.HasHome {
			t.Errorf("%v: %+v", at, a)
		}
		for path, entry := range want {
			if a.Entries[path] != entry {
				t.Errorf("%v: %s is %+v, want %+v", at, path, a.Entries[path], entry)
			}
		}
	}
	if e := found[place{"linked", ""}].Entries["out"]; e.Kind != Link {
		t.Errorf("a link out of the home is %+v", e)
	}
	if e := found[place{"bare", ""}].Entries["mail"]; e.Kind != Absent {
		t.Errorf("what is missing is %+v", e)
	}
	if a, ok := found[place{"gone", ""}]; !ok || a.User {
		t.Errorf("a user who is gone: %+v, %v", a, ok)
	}
	if a, ok := found[place{"only", ""}]; !ok || !a.HasHome {
		t.Errorf("a skeleton of /etc/skel alone: %+v, %v", a, ok)
	}
	if a, ok := found[place{"cut", ""}]; ok {
		t.Errorf("a note that was cut off was believed: %+v", a)
	}
	for _, name := range []string{"plain", "other", "only"} {
		if strings.Contains(asUser, name) {
			t.Errorf("%s was looked at alone", name)
		}
	}
	for _, name := range []string{"linked", "bare"} {
		if !strings.Contains(asUser, name) {
			t.Errorf("%s was not looked at as its user", name)
		}
	}
	if none, _ := surveyed(t, nil, nil); len(none) != 0 {
		t.Errorf("a host without skeletons has %v", none)
	}
}

// terraform looks at n homes, ten at a time.
func terraform(t *testing.T, homes *Homes, n int) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 10)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found, err := homes.Look(t.Context(), fmt.Sprintf("user%d", i), "", []string{"mail"})
			if err != nil || found.Entries["mail"].Mode != "0700" {
				t.Errorf("user%d: %+v, %v", i, found, err)
			}
		})
	}
	wg.Wait()
}

func TestAThousandLooksAreOneRoundTrip(t *testing.T) {
	var all strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&all, "begin - user%d -\nhome /home/user%d\nis directory 700 user%d mail\nend -\n", i, i, i)
	}
	fake := hosttest.New(t)
	fake.Expect(surveying).Prints(all.String() + "over\n")
	homes := NewHomes(fake)
	terraform(t, homes, 1000)

	// A change makes them look anew, and so does time.
	fake.Expect(name).Prints("begin 0 anna -\nhome /home/anna\nend 0\n")
	if _, err := homes.Make(t.Context(), Spec{User: "anna", Directories: map[string]string{"mail": "0700"}}, nil); err != nil {
		t.Fatal(err)
	}
	fake.Expect(surveying).Prints(all.String() + "over\n")
	terraform(t, homes, 10)
	later := time.Now().Add(fresh)
	homes.surveys.now = func() time.Time { return later }
	fake.Expect(surveying).Prints(all.String() + "over\n")
	terraform(t, homes, 10)
}

func TestWhatASurveyDoesNotKnowIsLookedAt(t *testing.T) {
	fake := hosttest.New(t)
	homes := NewHomes(fake)
	fake.Expect(surveying).Prints("begin - anna -\nhome /home/anna\nis directory 700 anna mail\nend -\nover\n")
	fake.Expect(name).WithStdin("user anna -\nbegin\nlook mail\nlook www\nend\n").
		Prints("begin 0 anna -\nhome /home/anna\nis directory 700 anna mail\nis absent - - www\nend 0\n")
	found, err := homes.Look(t.Context(), "anna", "", []string{"mail", "www"})
	if err != nil || found.Entries["www"].Kind != Absent {
		t.Errorf("%+v, %v", found, err)
	}
	fake.Expect(name).WithStdin("user anna /srv/anna\nbegin\nlook mail\nend\n").Prints("begin 0 anna /srv/anna\nno-home /srv/anna\nend 0\n")
	if found, err = homes.Look(t.Context(), "anna", "/srv/anna", []string{"mail"}); err != nil || found.HasHome {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestBrokenSurveysSayNothing(t *testing.T) {
	for _, out := range []string{"", "begin - anna -\nhome /home/anna\nend -\n", "begin - anna -\nover\n", "hello\nover\n", "begin - anna -\nis it\nend -\nover\n"} {
		fake := hosttest.New(t)
		fake.Expect(surveying).Prints(out)
		if _, err := NewHomes(fake).Look(t.Context(), "anna", "", []string{"mail"}); err == nil {
			t.Errorf("no error for %q", out)
		}
	}
}

// changing makes a change while a survey is under way.
type changing struct {
	host.Host
	homes *Homes
	runs  int
}

func (c *changing) Run(context.Context, host.Command) (host.Result, error) {
	c.runs++
	c.homes.surveys.forget()
	return host.Result{Stdout: []byte("begin - anna -\nhome /home/anna\nend -\nover\n")}, nil
}

func TestASurveyBegunBeforeAChangeIsNotKept(t *testing.T) {
	h := &changing{Host: hosttest.New(t)}
	h.homes = NewHomes(h)
	for range 2 {
		if _, err := h.homes.Look(t.Context(), "anna", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if h.runs != 2 {
		t.Errorf("%d surveys, want 2", h.runs)
	}
}
