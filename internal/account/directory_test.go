package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const listing = `== defs
UID_MIN:1000
UID_MAX:60000
== passwd
root:x:0:0:root:/root:/bin/bash
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
anna:x:1001:1001:Anna Müller,,,:/home/anna:/bin/bash
bert:x:1002:100::/home/bert:/bin/false
daemonish:x:1003:1003::/srv/d:/usr/sbin/nologin
+::::::
== group
root::0:
users::100:
anna::1001:
staff::50:anna,bert
customers::2000:anna
== shadow
root:locked:19000:
anna:set:19500:
bert:locked:19000:1
== end
`

func intp(n int) *int            { return &n }
func strp(s string) *string      { return &s }
func list(s ...string) *[]string { return &s }

func TestSnapshotIsOneRoundTripForAllUsers(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("account/snapshot.sh").Prints(listing)
	d := NewDirectory(fake)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 10) // as many as Terraform reads at a time
	for range 1000 {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, found, err := d.User(t.Context(), "anna"); err != nil || !found {
				t.Errorf("anna: found %v, %v", found, err)
			}
		})
	}
	wg.Wait()
	anna, _, err := d.User(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	want := User{Name: "anna", UID: 1001, GID: 1001, Group: "anna", Groups: []string{"customers", "staff"}, GroupIDs: map[string]int{"customers": 2000, "staff": 50},
		Gecos: "Anna Müller,,,", Home: "/home/anna", Shell: "/bin/bash", Password: PasswordSet, LastChange: 19500}
	if fmt.Sprintf("%+v", anna) != fmt.Sprintf("%+v", want) {
		t.Errorf("anna is %+v\nwant    %+v", anna, want)
	}
	if bert, _, _ := d.User(t.Context(), "bert"); !bert.Locked || bert.Group != "users" || bert.Password != PasswordLocked {
		t.Errorf("bert is %+v", bert)
	}
	if _, found, err := d.User(t.Context(), "nora"); found || err != nil {
		t.Errorf("nora: found %v, %v", found, err)
	}
}

func TestPeopleAreThoseWhoLogInOrLiveInHome(t *testing.T) {
	s, err := parseSnapshot("old", listing)
	if err != nil {
		t.Fatal(err)
	}
	people := s.People()
	if len(people) != 2 || people["anna"].UID != 1001 || people["bert"].UID != 1002 {
		t.Errorf("people are %v", people)
	}
}

func TestWhoIsAPerson(t *testing.T) {
	for name, c := range map[string]struct {
		user User
		want bool
	}{
		"anna":     {User{UID: 1001, Home: "/home/anna", Shell: "/bin/bash"}, true},
		"mailonly": {User{UID: 1002, Home: "/home/mailonly", Shell: "/usr/sbin/nologin"}, true},
		"faraway":  {User{UID: 1003, Home: "/srv/faraway", Shell: "/bin/sh"}, true},
		"carl":     {User{UID: 500, Home: "/home/carl", Shell: "/bin/bash"}, true},
		"daemon":   {User{UID: 200, Home: "/home/daemon", Shell: "/bin/false"}, false},
		"postgres": {User{UID: 105, Home: "/var/lib/postgresql", Shell: "/bin/bash"}, false},
		"service":  {User{UID: 1004, Home: "/srv/service", Shell: "/bin/false"}, false},
		"nobody":   {User{UID: 65534, Home: "/home/x", Shell: "/bin/sh"}, false},
		"root":     {User{UID: 0, Home: "/home/root", Shell: "/bin/sh"}, false},
	} {
		s := &Snapshot{users: map[string]User{name: c.user}, uidMin: 1000, uidMax: 60000}
		if _, got := s.People()[name]; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What the files hold is read as getent and id read it.
func TestAccountsAsTheCLibraryHasThem(t *testing.T) {
	const passwd = `root:x:0:0::/root:/bin/bash
#carl:x:1003:1003:gone:/home/carl:/bin/bash
  # another comment
 bert:x:1002:100:behind a blank:/home/bert:/bin/bash
anna:x:1001:1001::/home/anna:/bin/bash
anna:x:1005:1005:a second time:/home/other:/bin/sh
slash:x:1006:100::/home/slash/:/bin/bash
eris:x:1007:100::/srv/jail/eris/./home/eris:/bin/bash
empty:x:1008:100::/home/empty:
7zip:x:1009:100::/home/7zip:/bin/bash
anna@example.com:x:1010:100::/home/anna@example.com:/bin/bash
twin:x:1002:100::/home/twin:/bin/bash
nogroup:x:1011:4711::/home/nogroup:/bin/bash
nohome:x:1012:100::home:/bin/bash
+nis:::::
`
	latin1 := "j\xf6rg:x:1013:100:J\xf6rg:/home/j\xf6rg:/bin/bash\n"
	s, err := parseSnapshot("old", "== defs\n== passwd\n"+passwd+latin1+"== group\nusers:x:100:\n#staff:x:50:anna\nanna:x:1001:\nanna:x:1009:bert\ndomain users:x:2000:slash\n"+
		"== shadow\nanna:locked:19000:\nanna:set:19001:\n== end\n")
	if err != nil {
		t.Fatal(err)
	}
	people := s.People()
	for name, want := range map[string]struct {
		person  User
		problem string // part of the only one; "": none
	}{
		"bert":             {User{UID: 1002, Home: "/home/bert", Shell: "/bin/bash"}, ""},
		"anna":             {User{UID: 1001, Home: "/home/anna", Shell: "/bin/bash"}, ""},
		"slash":            {User{UID: 1006, Home: "/home/slash/", Shell: "/bin/bash"}, `groups: "domain users" is not a name`},
		"eris":             {User{UID: 1007, Home: "/srv/jail/eris/./home/eris", Shell: "/bin/bash"}, ""},
		"empty":            {User{UID: 1008, Home: "/home/empty", Shell: "/bin/sh"}, ""},
		"7zip":             {User{UID: 1009, Home: "/home/7zip", Shell: "/bin/bash"}, `name: "7zip" is not a name`},
		"anna@example.com": {User{UID: 1010, Home: "/home/anna@example.com", Shell: "/bin/bash"}, `name: "anna@example.com" is not a name`},
		"twin":             {User{UID: 1002, Home: "/home/twin", Shell: "/bin/bash"}, "uid: 1002 is the number of bert as well"},
		"nogroup":          {User{UID: 1011, Home: "/home/nogroup", Shell: "/bin/bash"}, `group: "4711" is not a name`},
		"nohome":           {User{UID: 1012, Home: "home", Shell: "/bin/bash"}, `home: "home" is not an absolute path`},
		"jörg":             {User{UID: 1013, Home: "/home/jörg", Shell: "/bin/bash"}, "not in UTF-8"},
	} {
		got, ok := people[name]
		if !ok || got.UID != want.person.UID || got.Home != want.person.Home || got.Shell != want.person.Shell {
			t.Errorf("%s is %+v", name, got)
		}
		told := strings.Join(got.Problems, "; ")
		if (told == "") != (want.problem == "") || !strings.Contains(told, want.problem) {
			t.Errorf("%s: %q, want %q", name, told, want.problem)
		}
		delete(people, name)
	}
	if len(people) > 0 {
		t.Errorf("there is nobody of the names %v", slices.Collect(maps.Keys(people)))
	}
	if anna, _ := s.User("anna"); anna.Password != PasswordLocked || len(anna.Groups) != 0 {
		t.Errorf("%+v", anna)
	}
}

func TestSnapshotGrowsOld(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("account/snapshot.sh").Prints(listing)
	fake.Expect("account/snapshot.sh").Prints(strings.Replace(listing, "/bin/bash\nbert", "/bin/sh\nbert", 1))
	d := NewDirectory(fake)
	clock := time.Unix(0, 0)
	d.now = func() time.Time { return clock }
	for _, want := range []string{"/bin/bash", "/bin/bash", "/bin/sh"} {
		anna, _, err := d.User(t.Context(), "anna")
		if err != nil || anna.Shell != want {
			t.Fatalf("shell %q, %v, want %q", anna.Shell, err, want)
		}
		clock = clock.Add(20 * time.Second)
	}
}

func TestBrokenListingSaysNothing(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("account/snapshot.sh").Prints(strings.TrimSuffix(listing, "== end\n"))
	if _, found, err := NewDirectory(fake).User(t.Context(), "nora"); err == nil {
		t.Errorf("a list that broke off was believed: found %v", found)
	}
	lost := errors.New("connection lost")
	fake.Expect("account/snapshot.sh").Fails(lost)
	if _, _, err := NewDirectory(fake).User(t.Context(), "nora"); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

func TestCreateSendsItsLineAndReadsBack(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("account/apply.sh").
		WithStdin("create:anna:=1001::=anna:=staff,www-data:=Anna Müller:=/home/anna:=/bin/bash:hr::$6$salt$hash:\n").
		Prints("begin 0 anna\nmade\ncompleted\nend 0\n" + listing)
	hash, err := NewPassword("$6$salt$hash")
	if err != nil {
		t.Fatal(err)
	}
	d := NewDirectory(fake)
	user, made, err := d.Create(t.Context(), Spec{
		Name: "anna", UID: intp(1001), Group: strp("anna"), Groups: list("staff", "www-data"),
		Gecos: strp("Anna Müller"), Home: strp("/home/anna"), Shell: strp("/bin/bash"), CreateHome: true, Password: hash,
	})
	if err != nil || !made || user == nil || user.UID != 1001 {
		t.Fatalf("user %+v, made %v, %v", user, made, err)
	}
	// The readback came with the change: no further round trip.
	if _, found, err := d.User(t.Context(), "anna"); !found || err != nil {
		t.Errorf("anna after the change: found %v, %v", found, err)
	}
	if _, _, err := d.Create(t.Context(), Spec{Name: "anna"}); !errors.Is(err, errTwice) {
		t.Errorf("second creation: %v", err)
	}
}

func TestChangesOfTheSameMomentShareARoundTrip(t *testing.T) {
	fake := &counting{t: t}
	d := NewDirectory(fake)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			name := fmt.Sprintf("user%d", n)
			user, made, err := d.Create(t.Context(), Spec{Name: name})
			switch {
			case n == 13:
				if err == nil || made || !strings.Contains(err.Error(), "taken") {
					t.Errorf("%s: made %v, %v", name, made, err)
				}
			case err != nil || !made || user == nil || user.Name != name:
				t.Errorf("%s: %+v, made %v, %v", name, user, made, err)
			}
		})
	}
	wg.Wait()
	if fake.runs > 4 {
		t.Errorf("100 changes took %d round trips", fake.runs)
	}
}

// counting answers apply.sh for any number of creations, and refuses user13.
type counting struct {
	host.Host
	t    *testing.T
	runs int
}

func (c *counting) Name() string { return "new" }

func (c *counting) Run(_ context.Context, cmd host.Command) (host.Result, error) {
	c.runs++
	input, err := io.ReadAll(cmd.Stdin)
	if err != nil {
		c.t.Error(err)
	}
	var said, passwd strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(string(input), "\n"), "\n") {
		name := strings.Split(line, ":")[1]
		if name == "user13" {
			fmt.Fprintf(&said, "begin %d %s\nuid-taken 7 bert\nend %d\n", i, name, i)
			continue
		}
		fmt.Fprintf(&said, "begin %d %s\nmade\ncompleted\nend %d\n", i, name, i)
		fmt.Fprintf(&passwd, "%s:x:%d:100::/home/%s:/bin/sh\n", name, 2000+i, name)
	}
	return host.Result{Stdout: []byte(said.String() + "== passwd\n" + passwd.String() + "== group\n== shadow\n== end\n")}, nil
}

func TestFailuresNameTheirCauseAndTheNextStep(t *testing.T) {
	for _, c := range []struct {
		name, said, field string
		want              []string
	}{
		{"exists", "exists 1001", "name", []string{`host "fake"`, "anna", "1001", "adopt = true", "import"}},
		{"ldap", "elsewhere 5001", "name", []string{"LDAP", "5001"}},
		{"uid", "uid-taken 1001 bert", "uid", []string{"1001", "taken by bert"}},
		{"gid", "gid-taken 1001 staff", "gid", []string{"1001", "group staff"}},
		{"group", "group-has-gid anna 900", "gid", []string{"anna", "900"}},
		{"shell", "no-shell /bin/fish", "shell", []string{"/bin/fish", "install"}},
		{"busy", "failed 8 usermod -u 7 anna\n| usermod: user anna is currently used by process 12", "", []string{"usermod -u 7 anna", "exit code 8", "process 12", "ps -u anna"}},
		{"locked", "failed 1 useradd anna\n| useradd: cannot lock /etc/passwd; try again later.", "", []string{"cannot lock", "apply again"}},
		{"half", "made\nfailed 1 chpasswd -e\n| chpasswd: $6$salt$hash is odd", "", []string{"made, but not completed", "(password hash) is odd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := hosttest.New(t)
			fake.Expect("account/apply.sh").Prints("begin 0 anna\n" + c.said + "\nend 0\n" + listing)
			hash, _ := NewPassword("$6$salt$hash")
			_, made, err := NewDirectory(fake).Create(t.Context(), Spec{Name: "anna", Password: hash})
			if err == nil {
				t.Fatal("no error")
			}
			if made != strings.HasPrefix(c.said, "made") {
				t.Errorf("made is %v", made)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "$6$salt") {
				t.Errorf("the hash is in: %v", err)
			}
			var field *FieldError
			if errors.As(err, &field) != (c.field != "") || (field != nil && field.Field != c.field) {
				t.Errorf("the field at fault is %+v, want %q", field, c.field)
			}
		})
	}
}

func TestCutOffChangeIsNotAResult(t *testing.T) {
	for _, out := range []string{"", "begin 0 anna\nmade\n", "begin 0 anna\nmade\ncompleted\nend 0\n", "begin 0 anna\nend 0\n" + listing} {
		fake := hosttest.New(t)
		fake.Expect("account/apply.sh").Prints(out)
		if _, _, err := NewDirectory(fake).Create(t.Context(), Spec{Name: "anna"}); err == nil {
			t.Errorf("no error for the output %q", out)
		}
	}
}

func TestModifyAndLeave(t *testing.T) {
	fake := hosttest.New(t)
	d := NewDirectory(fake)
	fake.Expect("account/apply.sh").WithStdin("modify:anna:::::=::::::\n").Prints("begin 0 anna\ncompleted\nend 0\n" + listing)
	if _, err := d.Modify(t.Context(), Spec{Name: "anna", Gecos: strp(""), CreateHome: true}); err != nil {
		t.Error(err)
	}
	fake.Expect("account/apply.sh").WithStdin("modify:nora:::::::::::\n").Prints("begin 0 nora\nabsent\nend 0\n" + listing)
	if _, err := d.Modify(t.Context(), Spec{Name: "nora"}); !errors.Is(err, ErrAbsent) {
		t.Errorf("nora: %v", err)
	}
	fake.Expect("account/apply.sh").WithStdin("remove-home:anna:::::::::::\n").Prints("begin 0 anna\ncompleted\nend 0\n" + listing)
	if err := d.Leave(t.Context(), "anna", RemoveHome); err != nil {
		t.Error(err)
	}
}

func TestPasswordGoesFromHostToHost(t *testing.T) {
	old, fresh := hosttest.New(t), hosttest.New(t)
	old.Expect("cat /etc/shadow").Prints("root:*:19000:0:99999:7:::\nanna:$6$salt$hash:19500:0:99999:7:::\nnone::19500:0:::::\n")
	from := NewDirectory(old)
	password, err := from.Password(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	fresh.Expect("account/apply.sh").WithStdin("create:anna::::::::r:19500:$6$salt$hash:\n").Prints("begin 0 anna\nmade\ncompleted\nend 0\n" + listing)
	if _, _, err := NewDirectory(fresh).Create(t.Context(), Spec{Name: "anna", Password: password}); err != nil {
		t.Error(err)
	}
	if _, err := from.Password(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "passwd -l none") {
		t.Errorf("account without password: %v", err)
	}
	if _, err := from.Password(t.Context(), "nora"); !errors.Is(err, ErrAbsent) {
		t.Errorf("nora: %v", err)
	}
}

func TestUnreachableHostIsNotWaitedForByEveryUser(t *testing.T) {
	fake := hosttest.New(t)
	lost := errors.New("no route to host")
	fake.Expect("cat /etc/shadow").Fails(lost)
	d := NewDirectory(fake)
	for _, name := range []string{"anna", "bert", "carl"} {
		if _, err := d.Password(t.Context(), name); !errors.Is(err, lost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommentsOfOldTimesAreRead(t *testing.T) {
	s, err := parseSnapshot("old", strings.Replace(listing, "Anna M\u00fcller", "Anna M\xfcller", 1))
	if err != nil {
		t.Fatal(err)
	}
	if anna, _ := s.User("anna"); anna.Gecos != "Anna M\u00fcller,,," {
		t.Errorf("gecos is %q", anna.Gecos)
	}
}

func TestSuccessWithoutAnAccountIsAFailure(t *testing.T) {
	fake := hosttest.New(t)
	fake.Expect("account/apply.sh").Prints("begin 0 nora\nmade\ncompleted\nend 0\n" + listing)
	_, made, err := NewDirectory(fake).Create(t.Context(), Spec{Name: "nora"})
	if err == nil || made || !strings.Contains(err.Error(), "/etc/passwd does not have nora") {
		t.Errorf("made %v, %v", made, err)
	}
}
