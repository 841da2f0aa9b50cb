package account

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sandbox is a directory with account files and stand-ins for the shadow
// tools, which write down what they are given, one argument a line.
type sandbox struct {
	t   *testing.T
	dir string
}

func newSandbox(t *testing.T) sandbox {
	t.Helper()
	s := sandbox{t, t.TempDir()}
	s.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nanna:x:1001:1001::/home/anna:/bin/sh\n", 0o644)
	s.write("etc/group", "root:x:0:\nanna:x:1001:\n", 0o644)
	s.write("etc/shadow", "root:*:19000:0:99999:7:::\nanna:!:19000:0:99999:7:::\n", 0o600)
	const record = "#!/bin/sh\nfor word in \"${0##*/}\" \"$@\"; do printf '%s\\n' \"$word\"; done >>\"$SANDBOX/calls\"\n"
	for _, tool := range []string{"usermod", "userdel", "groupdel", "chage", "logger", "nscd", "sss_cache"} {
		s.write("bin/"+tool, record, 0o755)
	}
	// The names are awkward, but the files know them afterwards.
	s.write("bin/useradd", record+useraddRefuses+"for name; do :; done\nprintf '%s:x:1500:1500::/h:/bin/sh\\n' \"$name\" >>\"$SANDBOX/etc/passwd\"\n", 0o755)
	s.write("bin/groupadd", record+"for name; do :; done\nprintf '%s:x:1600:\\n' \"$name\" >>\"$SANDBOX/etc/group\"\n", 0o755)
	s.write("bin/chpasswd", record+"cat >>\"$SANDBOX/passwords\"\n", 0o755)
	// Without a lock nothing is made together; and this machine's own vipw is
	// never to be called.
	s.write("bin/vipw", "#!/bin/sh\nexit 1\n", 0o755)
	s.write("bin/getent", `#!/bin/sh
database=$1 code=0
shift
for key; do
	awk -F: -v key="$key" '$1 == key || $3 == key { print; found = 1; exit } END { exit found ? 0 : 2 }' "$SANDBOX/etc/$database" "$SANDBOX/ldap/$database" || code=2
done
exit $code
`, 0o755)
	s.write("ldap/passwd", "lena:x:5001:5001::/home/lena:/bin/sh\n", 0o644)
	s.write("ldap/group", "", 0o644)
	return s
}

// useraddRefuses is what the real one does with a number and a name that are
// taken (useradd(8), exit values).
const useraddRefuses = `before=
for word; do
	[ "$before" != -u ] || ! getent passwd "$word" >/dev/null || exit 4
	before=$word
done
! getent passwd "$before" >/dev/null || exit 9
`

func (s sandbox) write(name, content string, mode os.FileMode) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s sandbox) read(name string) string {
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(content)
}

// apply runs the script as a host would, with the paths of the sandbox.
func (s sandbox) apply(changes ...change) []outcome {
	s.t.Helper()
	var input strings.Builder
	for _, c := range changes {
		input.WriteString(c.line())
	}
	text := strings.NewReplacer("/etc/", s.dir+"/etc/", "/var/lib/cutover", s.dir+"/marks", "/var/log/", s.dir+"/log/").Replace(applyScript.Text)
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", text, applyScript.Name)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.dir + "/bin:" + os.Getenv("PATH"), "LC_ALL=C", "SANDBOX=" + s.dir}
	cmd.Stdin = strings.NewReader(input.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	said, _, _ := strings.Cut(string(out), "== ")
	outcomes, err := parseOutcomes("fake", said, changes)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return outcomes
}

// Check refuses such names long before; the shell does not run them either.
func TestShellRunsNoPartOfAName(t *testing.T) {
	for _, hostile := range []string{
		"a;touch pwned", "$(touch pwned)", "`touch pwned`", "a|touch pwned", "a&touch pwned", "a>pwned", "$HOME", "*", "a b", "'", `"`, `\`, "~root", "-r", "$((1+1))",
	} {
		if CheckName(hostile) == nil {
			t.Errorf("%q passes for a name", hostile)
		}
		s := newSandbox(t)
		s.apply(change{op: "create", flags: "h", spec: Spec{
			Name: hostile, Gecos: &hostile, Home: &hostile, Group: &hostile, Groups: list(hostile),
			Password: ptr(hide("$6$"+strings.ReplaceAll(hostile, ":", ""), 19000)),
		}})
		if s.read("pwned") != "" {
			t.Fatalf("%q was run", hostile)
		}
		if _, err := os.Stat(filepath.Join(s.dir, "pwned")); err == nil {
			t.Fatalf("%q was run", hostile)
		}
		calls := s.read("calls")
		if strings.Contains(calls, "$6$") {
			t.Errorf("%q: the hash is an argument:\n%s", hostile, calls)
		}
		// The comment cannot name anything; it reaches useradd as it is.
		if strings.Contains(calls, "useradd\n") && !strings.Contains(calls, "\n-c\n"+hostile+"\n") {
			t.Errorf("%q did not reach useradd as it is:\n%s", hostile, calls)
		}
	}
}

func TestShellGivesUseraddWhatIsWanted(t *testing.T) {
	s := newSandbox(t)
	o := s.apply(
		change{op: "create", flags: "hr", spec: Spec{
			Name: "bert", UID: intp(1500), Groups: list("staff", "root"), Gecos: strp(" Bert  Öhl "), Home: strp("/srv/b b"), Shell: strp("/bin/sh"),
			Password: ptr(hide("$6$salt$h", 19500)),
		}},
		change{op: "create", flags: "r", spec: Spec{Name: "anna"}},
		change{op: "create", flags: "r", spec: Spec{Name: "carl", UID: intp(1001)}},
		change{op: "create", flags: "r", spec: Spec{Name: "dora", Shell: strp("/no/such/shell")}},
		change{op: "modify", spec: Spec{Name: "anna", Gecos: strp(""), Shell: strp("/bin/sh"), Groups: list()}},
		change{op: "create", flags: "r", spec: Spec{Name: "lena"}},
		change{op: "create", flags: "r", spec: Spec{Name: "eve", UID: intp(5001)}},
	)
	if o[0].err != nil || !o[0].made {
		t.Errorf("bert: made %v, %v", o[0].made, o[0].err)
	}
	for i, want := range map[int]string{1: "is there already, with uid 1001", 2: "uid 1001 is taken by anna", 3: "no program /no/such/shell",
		5: "lena is known already, with uid 5001, but not from /etc/passwd", 6: "uid 5001 is taken by lena"} {
		if o[i].err == nil || o[i].made || !strings.Contains(o[i].err.Error(), want) {
			t.Errorf("change %d: made %v, %v", i, o[i].made, o[i].err)
		}
	}
	if o[4].err != nil {
		t.Error(o[4].err)
	}
	const want = `groupadd
staff
useradd
-U
-u
1500
-G
staff,root
-c
 Bert  Öhl 
-d
/srv/b b
-s
/bin/sh
-m
bert
chpasswd
-e
chage
-d
19500
bert
`
	if calls := s.read("calls"); !strings.HasPrefix(calls, want) {
		t.Errorf("the tools were called with\n%s\nwant\n%s", calls, want)
	}
	if calls := s.read("calls"); !strings.Contains(calls, "usermod\n-G\n\nanna\n") {
		t.Errorf("usermod was called with\n%s", calls)
	}
	if passwords := s.read("passwords"); passwords != "bert:$6$salt$h\n" {
		t.Errorf("chpasswd read %q", passwords)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "marks/accounts/bert")); err != nil {
		t.Error(err)
	}
	// The stand-in for useradd put nobody into the group that was made for it.
	if calls := s.read("calls"); !strings.Contains(calls, "groupdel\nstaff\n") {
		t.Error("a group that was made, and that nobody is in, was left")
	}
}

// Numbers of groups hold, or it is said who has them.
func TestShellMakesGroupsWithTheirNumbers(t *testing.T) {
	s := newSandbox(t)
	s.write("ldap/group", "farm:x:1700:\n", 0o644)
	o := s.apply(
		change{op: "create", flags: "r", spec: Spec{Name: "bert", Groups: list("web", "anna", "team", "b"), GroupIDs: map[string]int{"team": 1602, "web": 1601, "anna": 1001}}},
		change{op: "create", flags: "r", spec: Spec{Name: "carl", Groups: list("new"), GroupIDs: map[string]int{"new": 1001}}},
		change{op: "create", flags: "r", spec: Spec{Name: "dora", Groups: list("new"), GroupIDs: map[string]int{"new": 1700}}},
		change{op: "create", flags: "r", spec: Spec{Name: "eve", Groups: list("anna"), GroupIDs: map[string]int{"anna": 1009}}},
		change{op: "modify", spec: Spec{Name: "anna", Groups: list("root"), GroupIDs: map[string]int{"root": 5}}},
	)
	if o[0].err != nil || !o[0].made {
		t.Errorf("bert: made %v, %v", o[0].made, o[0].err)
	}
	for i, want := range map[int]string{
		1: "gid 1001, which the group new is to have, is taken by the group anna", 2: "gid 1700, which the group new is to have, is taken by the group farm",
		3: "the group anna is there already, with gid 1001 and not 1009", 4: "the group root is there already, with gid 0 and not 5",
	} {
		var field *FieldError
		if !errors.As(o[i].err, &field) || field.Field != "group_gids" || !strings.Contains(field.Error(), want) {
			t.Errorf("change %d: %v, want %q", i, o[i].err, want)
		}
	}
	const want = "groupadd\nb\ngroupadd\n-g\n1601\nweb\ngroupadd\n-g\n1602\nteam\nuseradd\n-U\n-G\nb,anna,web,team\n"
	if calls := s.read("calls"); !strings.HasPrefix(calls, want) || strings.Count(calls, "useradd\n") != 1 || strings.Contains(calls, "usermod") {
		t.Errorf("the tools were called with\n%s\nwant\n%s and no more accounts", calls, want)
	}
	for name, spec := range map[string]Spec{
		"no group of the user": {Name: "bert", Groups: list("web"), GroupIDs: map[string]int{"team": 1602}},
		"no groups at all":     {Name: "bert", GroupIDs: map[string]int{"team": 1602}},
		"no number":            {Name: "bert", Groups: list("web"), GroupIDs: map[string]int{"web": -1}},
	} {
		var field *FieldError
		if !errors.As(spec.Check(), &field) || field.Field != "group_gids" {
			t.Errorf("%s: %v", name, spec.Check())
		}
	}
}

// An account that LDAP has as well is the one in /etc/passwd, whatever LDAP says
// of its number, home and groups; and what LDAP alone has is not touched.
func TestShellLeavesLDAPAlone(t *testing.T) {
	s := newSandbox(t)
	s.write("ldap/passwd", s.read("ldap/passwd")+"anna:x:6001:6001:of LDAP:/net/anna:/bin/sh\n", 0o644)
	s.write("ldap/group", "anna:x:6001:\nfarm:x:1700:anna\n", 0o644)
	o := s.apply(
		change{op: "create", flags: "r", spec: Spec{Name: "anna"}},
		change{op: "create", flags: "a", spec: Spec{Name: "anna", UID: intp(1001), GID: intp(1001), Gecos: strp("here"), Home: strp("/home/anna"), Password: ptr(hide("$6$salt$h", 19500))}},
		change{op: "modify", spec: Spec{Name: "anna", UID: intp(5001)}},
		change{op: "modify", spec: Spec{Name: "lena", Gecos: strp("here")}},
		change{op: "lock", spec: Spec{Name: "lena"}},
		change{op: "remove-home", spec: Spec{Name: "lena"}},
		change{op: "remove", spec: Spec{Name: "anna"}},
	)
	for i, want := range map[int]string{0: "is there already, with uid 1001", 2: "uid 5001 is taken by lena", 3: ErrAbsent.Error()} {
		if o[i].err == nil || !strings.Contains(o[i].err.Error(), want) {
			t.Errorf("change %d: %v, want %q", i, o[i].err, want)
		}
	}
	for _, i := range []int{1, 4, 5, 6} {
		if o[i].err != nil {
			t.Errorf("change %d: %v", i, o[i].err)
		}
	}
	const want = "usermod\n-c\nhere\nanna\nchpasswd\n-e\nchage\n-d\n19500\nanna\nuserdel\nanna\n"
	if calls := s.read("calls"); calls != want {
		t.Errorf("the tools were called with\n%s\nwant\n%s", calls, want)
	}
}

func TestShellTakesUpWhatWasInterrupted(t *testing.T) {
	s := newSandbox(t)
	s.write("marks/accounts/anna", "", 0o644)
	o := s.apply(change{op: "create", flags: "r", spec: Spec{Name: "anna", Gecos: strp("Anna")}})
	if o[0].err != nil || !o[0].made {
		t.Errorf("made %v, %v", o[0].made, o[0].err)
	}
	o = s.apply(change{op: "keep", spec: Spec{Name: "anna"}})
	if o[0].err != nil {
		t.Error(o[0].err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "marks")); !os.IsNotExist(err) {
		t.Errorf("the marks are still there: %v", err)
	}
}

// Who is made without fault leaves no group behind: nothing is swept then.
func TestShellSweepsOnlyWhatWasLeft(t *testing.T) {
	s := newSandbox(t)
	s.write("etc/passwd", s.read("etc/passwd")+"bert:x:1002:1600::/home/bert:/bin/sh\n", 0o644)
	s.write("etc/group", s.read("etc/group")+"empty:x:1700:\nprimary:x:1600:\nmembers:x:1701:anna\ntheirs:x:1702:\n", 0o644)
	for _, group := range []string{"empty", "primary", "members", "gone"} {
		s.write("marks/groups/"+group, "", 0o644)
	}
	s.apply(change{op: "create", flags: "r", spec: Spec{Name: "carl"}})
	if calls := s.read("calls"); strings.Contains(calls, "groupdel") {
		t.Errorf("a creation swept:\n%s", calls)
	}
	s.apply(change{op: "remove", spec: Spec{Name: "carl"}})
	if calls := s.read("calls"); strings.Count(calls, "groupdel\n") != 1 || !strings.Contains(calls, "groupdel\nempty\n") {
		t.Errorf("the tools were called with\n%s", calls)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "marks/groups/*"))
	if err != nil || len(left) != 2 {
		t.Errorf("marks are left for %v, %v", left, err)
	}
}

// What is plain of several creations takes no useradd; what is not, and what
// vipw gives no lock for, does.
func TestShellMakesPlainAccountsTogether(t *testing.T) {
	const hash, comment = "$6$salt$hash", "Öhl & \\1 $(touch pwned) `touch pwned`; *"
	changes := []change{
		{op: "create", flags: "r", spec: Spec{Name: "bert", Gecos: strp(comment), Groups: list("staff"), GroupIDs: map[string]int{"staff": 50}, Password: ptr(hide(hash, 19500))}},
		{op: "create", flags: "r", spec: Spec{Name: "carl", Shell: strp("/bin/sh")}},
		{op: "create", flags: "r", spec: Spec{Name: "anna"}},
		{op: "create", flags: "r", spec: Spec{Name: "lena"}},
	}
	for _, when := range []string{"together", "no lock", "known to LDAP"} {
		s := newSandbox(t)
		s.write("etc/group", s.read("etc/group")+"staff:x:50:anna\n", 0o644)
		s.write("etc/gshadow", "root:*::\nanna:!::\nstaff:*::anna\n", 0o600)
		s.write("etc/subuid", "anna:100000:65536\n", 0o644)
		s.write("etc/login.defs", "# PASS_MAX_DAYS 1\nPASS_MAX_DAYS\t99999\nPASS_MIN_DAYS 0\n", 0o644)
		s.write("etc/nsswitch.conf", "passwd: files systemd\ngroup: files # ldap\n", 0o644)
		s.write("bin/useradd", "#!/bin/sh\n[ \"$1\" != -D ] || { printf 'HOME=/home\\nINACTIVE=-1\\nEXPIRE=\\nSHELL=/bin/bash\\nSKEL=/etc/skel\\n'; exit; }\n"+
			strings.TrimPrefix(s.read("bin/useradd"), "#!/bin/sh\n"), 0o755)
		if when != "no lock" {
			s.write("bin/vipw", "#!/bin/sh\nexec sh -c \"$VISUAL $SANDBOX/etc/passwd.edit\"\n", 0o755)
		}
		if when == "together" { // otherwise useradd says that LDAP has her
			s.write("ldap/passwd", "", 0o644)
		}
		o := s.apply(changes...)
		if o[0].err != nil || o[1].err != nil || !o[0].made || !o[1].made || o[2].err == nil || o[2].made {
			t.Fatalf("%s: %+v", when, o)
		}
		calls := s.read("calls")
		if when != "together" {
			if !strings.Contains(calls, "useradd\n-U\n-G\nstaff\n") || o[3].err == nil {
				t.Errorf("%s: %v\n%s", when, o[3].err, calls)
			}
			continue
		}
		if strings.Contains(calls, "useradd\n") || strings.Contains(calls, hash) {
			t.Errorf("the tools were called with\n%s", calls)
		}
		if _, err := os.Stat(filepath.Join(s.dir, "pwned")); err == nil {
			t.Error("a comment was run")
		}
		for file, want := range map[string]string{
			"passwd":  "bert:x:1002:1002:" + comment + ":/home/bert:/bin/bash\ncarl:x:1003:1003::/home/carl:/bin/sh\nlena:",
			"group":   "staff:x:50:anna,bert\nbert:x:1002:\ncarl:x:1003:\nlena:x:1004:\n",
			"gshadow": "staff:*::anna,bert\nbert:!::\ncarl:!::\nlena:!::\n",
			"shadow":  "bert:" + hash + ":19500:0:99999::::\ncarl:!:",
			"subuid":  "anna:100000:65536\nbert:165536:65536\ncarl:231072:65536\nlena:296608:65536\n",
			"passwd-": "anna:x:1001:1001::/home/anna:/bin/sh\n",
		} {
			if got := s.read("etc/" + file); !strings.Contains(got, want) {
				t.Errorf("%s is\n%s\nand has to have\n%s", file, got, want)
			}
		}
	}
}
