package skeleton

import (
	"errors"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	name      = "skeleton/skeleton.sh"
	surveying = "skeleton/survey.sh"
)

// sumOfHello is the SHA-256 of "hello\n".
const sumOfHello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

func TestMakeSendsABlockAndReadsItsAnswer(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect(name).WithStdin("user anna /home/anna\n" +
		"own mail\n" +
		"note\nkeep mail\nkeep public_html\nkeep public_html/index.html\n" +
		"begin\n" +
		"directory 700 mail\n" +
		"directory 755 public_html\n" +
		"file 644 - " + sumOfHello + " aGVsbG8K public_html/index.html\n" +
		"drop-file " + sumOfHello + " old/file\n" +
		"drop-directory old\n" +
		"skel\n" +
		"end\n").Prints("begin 0 anna /home/anna\nhome /home/anna\nmade-directory public_html\nmade-file " + sumOfHello + " public_html/index.html\nend 0\n")
	report, err := NewHomes(fake).Make(t.Context(), Spec{
		User: "anna", Home: "/home/anna", Skel: true,
		Directories: map[string]string{"public_html": "0755", "mail": "0700"},
		Files:       map[string]File{"public_html/index.html": {Content: []byte("hello\n"), Mode: "0644"}},
	}, Created{"mail": directory, "old": directory, "old/file": digest + sumOfHello})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Created) != 3 || report.Created["mail"] != directory || report.Created["public_html/index.html"] != digest+sumOfHello {
		t.Errorf("created is %v", report.Created)
	}
	if !report.User || report.Home != "/home/anna" {
		t.Errorf("found %+v", report.Found)
	}
}

func TestWhatWasMadeBeforeAFailureIsReported(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect(name).Prints("begin 0 anna -\nhome /home/anna\nmade-directory a\nrefused b/c\n| b is a symbolic link that leads out of the home\nfailed d\n| mkdir: no space\nend 0\n")
	report, err := NewHomes(fake).Make(t.Context(), Spec{User: "anna", Directories: map[string]string{"a": "755", "b/c": "755", "d": "755"}}, nil)
	if err == nil || report.Created["a"] != directory {
		t.Fatalf("created %v, %v", report.Created, err)
	}
	for _, want := range []string{`host "fake"`, "home of anna", "b/c", "leads out", "no space"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestMissingUserAndHome(t *testing.T) {
	fake := hosttest.New(t)
	homes := NewHomes(fake)
	spec := Spec{User: "anna", Directories: map[string]string{"mail": "0700"}}
	fake.Expect(name).Prints("begin 0 anna -\nno-user\nend 0\n")
	if _, err := homes.Make(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "no user anna") {
		t.Error(err)
	}
	fake.Expect(name).Prints("begin 0 anna -\nno-home /home/anna\nend 0\n")
	if _, err := homes.Make(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "create_home") {
		t.Error(err)
	}
	fake.Expect(surveying).Prints("over\n")
	fake.Expect(name).Prints("begin 0 anna -\nno-user\nend 0\n")
	if found, err := homes.Look(t.Context(), "anna", "", []string{"mail"}); err != nil || found.User || found.HasHome {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestBrokenOffAnswersSayNothing(t *testing.T) {
	for _, out := range []string{"", "begin 0 anna -\nhome /home/anna\n", "begin 0 bert -\nend 0\n", "begin 0 anna -\nis it\nend 0\n"} {
		fake := hosttest.New(t)
		fake.Expect(surveying).Prints("over\n")
		fake.Expect(name).Prints(out)
		if _, err := NewHomes(fake).Look(t.Context(), "anna", "", []string{"mail"}); err == nil {
			t.Errorf("no error for %q", out)
		}
	}
	fake := hosttest.New(t)
	fake.Expect(surveying).Prints("over\n")
	fake.Expect(name).Exits(255, "sh: lost")
	var exit *host.ExitError
	if _, err := NewHomes(fake).Look(t.Context(), "anna", "", nil); !errors.As(err, &exit) {
		t.Error(err)
	}
}

func TestRemoveGoesUpwards(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect(name).WithStdin("forget anna\nuser anna -\nbegin\ndrop-directory a/b/c\ndrop-file " + sumOfHello + " a/f\ndrop-directory a/b\ndrop-directory a\nend\n").
		Prints("begin 0 anna -\nhome /home/anna\nkept a/f\nkept a\nend 0\n")
	kept, err := NewHomes(fake).Remove(t.Context(), "anna", "", Created{"a": directory, "a/b": directory, "a/b/c": directory, "a/f": digest + sumOfHello})
	if err != nil || strings.Join(kept, " ") != "a a/f" {
		t.Errorf("kept %v, %v", kept, err)
	}
	fake.Expect(name).WithStdin("forget anna\nuser anna -\nbegin\nend\n").Prints("begin 0 anna -\nno-user\nend 0\n")
	if _, err := NewHomes(fake).Remove(t.Context(), "anna", "", nil); err != nil {
		t.Error(err)
	}
}

func TestCheckRefusesPathsThatAreNotOfTheHome(t *testing.T) {
	for _, name := range []string{"mail", ".ssh", "public_html/cgi-bin", "a b/c", "...", "ümläut", "-r", "$(id)", "a;b"} {
		if err := CheckPath(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/../b", "a/../../b", "/etc", "~/mail", "a/", "a//b", "./a", "a\nb", " a", "a ", "a\x00b", ".cutover-1"} {
		if CheckPath(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for _, mode := range []string{"755", "0755", "2750", "0000"} {
		if err := CheckMode(mode); err != nil {
			t.Errorf("%q: %v", mode, err)
		}
	}
	for _, mode := range []string{"", "7", "888", "07555", "u+rwx", "-755"} {
		if CheckMode(mode) == nil {
			t.Errorf("%q was taken", mode)
		}
	}
	for _, s := range []Spec{
		{User: "a;reboot"},
		{User: "anna", Home: "home"},
		{User: "anna", Home: "/"},
		{User: "anna", Directories: map[string]string{"a": "0755"}, Files: map[string]File{"a": {Mode: "0644"}}},
		{User: "anna", Directories: map[string]string{"a/b": "0755"}, Files: map[string]File{"a": {Mode: "0644"}}},
		{User: "anna", Files: map[string]File{"a": {Mode: "0644", Content: make([]byte, maxContent+1)}}},
	} {
		if s.Check() == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}
