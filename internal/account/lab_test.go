//go:build linux

package account

import (
	"context"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// TestAccTogetherAsOneByOne makes the same accounts on real hosts, once by useradd,
// chpasswd and chage and once in one change of the account files, from the same
// beginning: the files and the homes have to be the same to the byte.
func TestAccTogetherAsOneByOne(t *testing.T) {
	_, hosts := lab.Boot(t, "sysv=sysv", "bookworm=bookworm", "trixie=trixie")
	for _, host := range hosts {
		t.Run(host.Name, func(t *testing.T) {
			t.Parallel()
			compareTogether(t, host)
		})
	}
}

func compareTogether(t *testing.T, host *lab.Host) {
	run := func(script string) string {
		t.Helper()
		out, err := host.Run(context.WithoutCancel(t.Context()), "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const hash = "$6$saltsalt$abcdefghijklmnopqrstuvwxyz"
	plain := []change{
		{op: "create", flags: "hr", spec: Spec{Name: "tog0"}},
		{op: "create", flags: "hr", spec: Spec{Name: "tog1", Gecos: strp(" Töne  & \\backslash %s, room 7"), Shell: strp("/bin/bash")}},
		{op: "create", flags: "hr", spec: Spec{Name: "tog2", UID: intp(2345), Password: ptr(hide(hash, 19500))}},
		{op: "create", flags: "hau", spec: Spec{Name: "tog3", Groups: list("staff", "users", "togroup"), GroupIDs: map[string]int{"togroup": 4000}}}, // its number is the one after 2345
		{op: "create", flags: "r", spec: Spec{Name: "tog4", Password: ptr(hide("!"+hash, -1))}},                                                      // without a home
		{op: "create", flags: "hr", spec: Spec{Name: "tog5", Group: strp("users"), Home: strp("/srv/tog 5"), Shell: strp("/usr/sbin/nologin")}},
		{op: "create", flags: "hr", spec: Spec{Name: "tog6", UID: intp(70006), Group: strp("togroup"), GID: intp(4000)}}, // beyond UID_MAX
		{op: "create", flags: "hr", spec: Spec{Name: "tog7", Groups: list("togroup", "staff"), Group: strp("tog7"), Home: strp("/nonexistent/tog7"), Password: ptr(Password{hidden: strp(hash), today: true})}},
		{op: "create", flags: "hr", spec: Spec{Name: "tog8"}},
	}
	plain[7].flags = "r"
	odd := []change{
		{op: "create", flags: "hr", spec: Spec{Name: "togodd0", UID: intp(2345)}},                       // taken
		{op: "create", flags: "hrs", spec: Spec{Name: "togodd1"}},                                       // of the system's range
		{op: "create", flags: "hr", spec: Spec{Name: "togodd2", Groups: list("togodd")}},                // a group to be made
		{op: "create", flags: "hr", spec: Spec{Name: "togodd3", Home: strp("/srv/tog-there")}},          // a home that is there
		{op: "create", flags: "hr", spec: Spec{Name: "togodd4", Shell: strp("/bin/fish")}},              // no such program
		{op: "create", flags: "hr", spec: Spec{Name: "togodd5", Group: strp("staff"), GID: intp(9999)}}, // another number
		{op: "create", flags: "r", spec: Spec{Name: "tog8"}},                                            // there already
		{op: "create", flags: "hr", spec: Spec{Name: "togodd7", Groups: list("togroup"), GroupIDs: map[string]int{"togroup": 4001}}},
		{op: "create", flags: "hr", spec: Spec{Name: "togodd6", UID: intp(2999), GID: intp(2345)}}, // a taken group number
	}
	run(`groupadd -g 4000 togroup; mkdir /srv/tog-there /root/before; cd /etc && cp -p passwd group shadow gshadow subuid subgid /root/before`)
	again := func() {
		run(`for home in /home/tog* /srv/tog\ 5; do rm -rf "$home"; done; rm -rf /var/lib/cutover /srv/tog-there/* /etc/cutover-*; cp -p /root/before/* /etc`)
	}
	look := func(changes []change) (said []outcome, found string) {
		var input strings.Builder
		for _, c := range changes {
			input.WriteString(c.line())
		}
		out, err := host.RunInput(t.Context(), input.String(), "sh", "-c", applyScript.Text, applyScript.Name)
		if err != nil {
			t.Fatal(err)
		}
		told, _, _ := strings.Cut(out, "== ")
		if said, err = parseOutcomes("fake", told, changes); err != nil {
			t.Fatal(err)
		}
		found = run(`cd /etc && for file in passwd group shadow gshadow subuid subgid; do echo "$file:"; stat -c '%a %u %g' $file; cat $file; done
find /home/tog* /srv/tog* /var/lib/cutover | sort | while IFS= read -r found; do stat -c '%n %a %u %g %F %s' "$found"; done
find /home/tog* /srv/tog* -type f -exec stat -c '%n %Y' {} + | sort
find /etc -maxdepth 1 -name 'cutover-*' -o -maxdepth 1 -name '*.lock' -newer /root/before/passwd`)
		return said, found
	}
	oneByOne := func(changes []change) (said []outcome, found string) {
		run(`mv /usr/sbin/vipw /usr/sbin/vipw.away`)
		defer run(`mv /usr/sbin/vipw.away /usr/sbin/vipw`)
		return look(changes)
	}
	compare := func(t *testing.T, changes []change) (said []outcome) {
		t.Helper()
		wantSaid, want := oneByOne(changes)
		again()
		said, found := look(changes)
		for i, c := range changes {
			if text, wanted := errorText(said[i].err), errorText(wantSaid[i].err); said[i].made != wantSaid[i].made || text != wanted {
				t.Errorf("%s: made %v, %s\nand one by one: made %v, %s", c.spec.Name, said[i].made, text, wantSaid[i].made, wanted)
			}
		}
		if found != want {
			t.Errorf("together:\n%s\none by one:\n%s", onlyIn(found, want), onlyIn(want, found))
		}
		return said
	}

	for i, o := range compare(t, plain) {
		if o.err != nil || !o.made {
			t.Errorf("%s: made %v, %v", plain[i].spec.Name, o.made, o.err)
		}
	}
	// The file as it was before the change has none of them: it was one change.
	if before := run(`grep -c '^tog' /etc/passwd- || :`); strings.TrimSpace(before) != "0" {
		t.Errorf("the accounts were not made together: /etc/passwd- has %s of them", before)
	}
	again()
	compare(t, append(append([]change{}, plain...), odd...))
	again()

	// Another program holds the lock: nothing is forced.
	locked := `echo $$ >/etc/passwd.lock; sleep 20; rm -f /etc/passwd.lock`
	run(`sh -c '` + locked + `' >/dev/null 2>&1 & sleep 0.3`)
	said, _ := look(plain[:2])
	if said[0].err == nil || said[0].made || !strings.Contains(said[0].err.Error(), "lock") {
		t.Errorf("under another's lock: made %v, %v", said[0].made, said[0].err)
	}
	if left := run(`rm -f /etc/passwd.lock; grep -c '^tog' /etc/passwd || :`); strings.TrimSpace(left) != "0" {
		t.Errorf("%s accounts were made under another's lock", left)
	}
	again()
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// onlyIn are the lines of a text that another has not, in their order.
func onlyIn(text, other string) string {
	var only []string
	for line := range strings.Lines(text) {
		if !strings.Contains("\n"+other, "\n"+line) {
			only = append(only, line)
		}
	}
	return strings.Join(only, "")
}
