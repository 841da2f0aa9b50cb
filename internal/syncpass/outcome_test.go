package syncpass

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

func found(count int64, paths ...string) order.Found {
	f := order.Found{Count: count}
	for _, p := range paths {
		path, text, _ := strings.Cut(p, ": ")
		f.Paths = append(f.Paths, order.Path{Path: path, Text: text})
	}
	return f
}

// What reaches the operator is one sentence a fact, with path and host.
func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	final := func(p *Pass) { p.Final = true }
	for what, c := range map[string]struct {
		change   func(*Pass)
		kind     string
		found    order.Found
		warnings string
		fails    string
	}{
		"lost":             {nil, "lost", found(1, "anna/mail"), `1 entry of /home on host "new" had been brought and was missing there: copied again (anna/mail)`, ""},
		"many lost":        {nil, "lost", found(100, "a", "b", "c", "d"), `100 entries of /home on host "new" had been brought and were missing there: copied again (a, b, c, and 97 more)`, ""},
		"spoiled":          {nil, "spoiled", found(1, "a"), `1 entry of /home on host "new" had another content than a pass brought, although nobody has written it: copied again. Look after the disk of host "new" (a)`, ""},
		"conflict":         {nil, "conflict", found(1, "notes"), `1 entry of /home on host "new" was its own, and host "old" has another: that of host "old" was copied, and the other is in the trash (notes)`, ""},
		"conflict, purged": {func(p *Pass) { p.Delete = "purge" }, "conflict", found(1, "notes"), `1 entry of /home on host "new" was its own, and host "old" has another: that of host "old" was copied over it (notes)`, ""},
		"refused":          {func(p *Pass) { p.OnConflict = "fail" }, "refused", found(1, "notes"), "", `1 entry of /home on host "new" is its own, and host "old" has another. on_conflict is "fail", so they were left.`},
		"left":             {nil, "left", found(2, "a", "b"), `2 entries of /home were changed on host "new" since a pass brought them, and left as they are (a, b)`, ""},
		"left, and looked at all": {func(p *Pass) { p.Verify = "checksum" }, "left", found(1, "a: content"), "",
			`1 entry on host "new" is not as on host "old": it was changed there since a pass brought it, and was left. Where that of host "old" is wanted, remove it on host "new" and apply again: it is copied anew. They are:` + "\n  /home/a: content"},
		"kept":                {nil, "kept", found(1, "a"), `1 entry of /home is gone on host "old" and stays on host "new", where it was changed since (a)`, ""},
		"vanished":            {nil, "vanished", found(1, "tmp/x"), `1 entry of /home on host "old" went away while it was copied (tmp/x); a later pass sees to it`, ""},
		"vanished, in a last": {final, "vanished", found(2, "x", "y"), "", "2 entries of /home on host \"old\" went away while they were copied, although nothing should change there any more: some service still writes. Stop it and apply again. They are:\n  /home/x\n  /home/y"},
		"unread":              {nil, "unread", found(60, "x: permission denied"), "", "60 entries of /home on host \"old\" could not be read; all the rest was copied. They are:\n  /home/x: permission denied\n  (and 59 more)"},
		"failed":              {nil, "failed", found(1, "x: input/output error"), "", "1 entry of /home could not be copied to host \"new\"; all the rest was. They are:\n  /home/x: input/output error"},
		"full":                {nil, "failed", found(1, "x: no space left on device"), "", `the file system of /home on host "new" is full. What was there before is as it was. Make room and apply again`},
		"differs":             {nil, "differs", found(1, "late: user daemon instead of root"), "", "1 entry on host \"new\" is not as the pass has left it."},
		"meanwhile":           {nil, "meanwhile", found(3, "log"), "", ""},
		"meanwhile, in a last": {final, "meanwhile", found(3, "log"),
			`3 entries of /home were changed on host "old" while the pass ran, although nothing should change there any more: some service still writes (log, and 2 more)`, ""},
		"unmounted":            {nil, "unmounted", found(1, "big"), `what was mounted at big below /home on host "old" at an earlier pass is not mounted now, or is another; nothing below it was taken away on host "new"`, ""},
		"unmounted, in a last": {final, "unmounted", found(1, ""), "", `what was mounted at the directory itself below /home on host "old" at an earlier pass is not mounted now, or is another. Nothing below it was taken away on host "new". Mount it and apply again`},
		"attributes":           {nil, "attributes", found(1, "x: system.odd"), `1 entry of /home has attributes that are not copied (x: system.odd)`, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			p := thePass
			if c.change != nil {
				c.change(&p)
			}
			w := &witness{pass: p, from: from, to: to}
			outcome := ran()
			outcome.Roots = outcome.Roots[:1]
			outcome.Roots[0].Found = map[string]order.Found{c.kind: c.found}
			result, err := w.outcome(order.Job{Phase: order.Ended, Outcome: &outcome})
			if got := strings.Join(result.Warnings, "\n"); got != c.warnings {
				t.Errorf("it warns\n%s\nwant\n%s", got, c.warnings)
			}
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("the error is\n%v\nwant\n%s", err, c.fails)
			}
			if result.Changes != 7 {
				t.Errorf("%d changes", result.Changes)
			}
		})
	}
}

// What is true of the pass as a whole.
func TestEndings(t *testing.T) {
	t.Parallel()
	one := func(change func(*order.RootOutcome)) order.Outcome {
		o := ran()
		o.Roots = o.Roots[:1]
		change(&o.Roots[0])
		return o
	}
	broken := func(reason order.Reason, why, said string) order.Outcome {
		return order.Outcome{Error: why, Reason: reason, Said: said}
	}
	for what, c := range map[string]struct {
		change   func(*Pass)
		outcome  order.Outcome
		warnings string
		fails    string
	}{
		"strangers": {nil, one(func(r *order.RootOutcome) {
			r.Strangers = []order.Stranger{{ID: 1005, Name: "onlyhere", Count: 1}, {Group: true, ID: 5000, Here: "staff", Count: 3}, {ID: 6000, Count: 2}}
		}), `these owners of files in the paths have no name on either host, and keep their numbers: user number 6000 (2 entries)`,
			`host "new" does not know these owners of files in the paths: user onlyhere (1 entry), group number 5000, which is staff there (3 entries). ` +
				`Their files would be given to whoever has their numbers there. Nothing was copied. Create them on "new" first`},
		"strangers, warned of": {func(p *Pass) { p.UnknownOwners = "warn" }, one(func(r *order.RootOutcome) { r.Strangers = []order.Stranger{{ID: 1005, Name: "onlyhere", Count: 1}} }),
			`host "new" does not know these owners of files in the paths: user onlyhere (1 entry). Their files would be given to whoever has their numbers there`, ""},
		"strangers, left": {func(p *Pass) { p.UnknownOwners = leaveUnknown }, one(func(r *order.RootOutcome) { r.Strangers = []order.Stranger{{ID: 1005, Name: "onlyhere", Count: 1}} }),
			`host "new" does not know these owners of files in the paths: user onlyhere (1 entry). Their files stay on host "old"`, ""},
		"named": {nil, order.Outcome{Reason: order.Refused, Error: "nothing was copied: the source host has another than the target host"}, "",
			`nothing was copied: host "old" has another than host "new"`},
		"a last one that is the first": {func(p *Pass) { p.Final = true }, one(func(r *order.RootOutcome) { r.First = true }),
			`no earlier pass over the same paths and targets has brought /home, so nothing was deleted: what another pass has brought and host "old" no longer has is still on host "new"`, ""},
		"too small": {nil, order.Outcome{Error: "nothing was copied", Reason: order.Refused, Crowded: []order.Crowded{{Mount: "/srv", Bytes: 3 << 20, Free: 1 << 20, Entries: 7, FreeEntries: 5}}}, "",
			"the file system /srv of host \"new\" is too small: the pass brings 3.0 MiB, and 1.0 MiB are free; 2.0 MiB are missing. Nothing was copied\n" +
				"the file system /srv of host \"new\" has too few inodes: the pass brings 7 files, and there is room for 5. Nothing was copied"},
		"what it cannot keep": {nil, one(func(r *order.RootOutcome) {
			r.Lacks = []order.Lack{{What: "acls", Count: 2, Examples: []string{"mail"}}, {What: "hardlinks", Count: 4}, {What: "case", Count: 1, Examples: []string{"Mail"}}}
		}), `the file system of /home on host "new" cannot keep ACLs, which 2 entries have, mail for example: they are not copied`,
			"the file system of /home on host \"new\" cannot keep hard links, and 4 names in /home are of files with several. Nothing was copied\n" +
				"the file system of /home on host \"new\" does not tell upper case from lower in names, so 1 entry would overwrite others: Mail. Nothing was copied"},
		"another machine": {nil, broken(order.Unreachable, "exit status 255", "Host key verification failed."), "",
			`host "new" cannot read from host "old" at 192.0.2.1:22: another machine answers there than the one that the provider knows as "old": its host key differs`},
		"not let in": {nil, broken(order.Unreachable, "exit status 255", "root@192.0.2.1: Permission denied (publickey)."), "",
			`its sshd does not take the key of the pass for "root". It is let in from 192.0.2.2, 2001:db8::2 only`},
		"no connection": {nil, broken(order.Unreachable, "exit status 255", "ssh: connect to host 192.0.2.1 port 22: Connection refused"), "",
			`no connection comes about. Look whether a firewall keeps them apart`},
		"a greeting":   {nil, broken(order.Greeting, "malformed message", ""), "", `host "old" prints something of its own when "root" logs in`},
		"no room left": {nil, broken(order.NoRoom, "write /var/lib/cutover: no space left on device", ""), "", `host "new" has no room left for what the pass has to note, below /var/lib/cutover. Nothing is lost by that`},
		"broken off":   {nil, broken("", "/home: the stream ended", ""), "", `the pass from host "old" broke off on host "new": /home: the stream ended. Apply again: the pass goes on where it stopped. The log is /var/lib/cutover/passes/ab12.log on host "new"`},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from, to := twoHosts(t)
			p := thePass
			if c.change != nil {
				c.change(&p)
			}
			w := &witness{pass: p, from: from, to: to, survey: survey{from: from.Ident, to: to.Ident, old: oldAnswer, new: newAnswer}}
			result, err := w.outcome(order.Job{Phase: order.Ended, Outcome: &c.outcome})
			if got := strings.Join(result.Warnings, "\n"); got != c.warnings {
				t.Errorf("it warns\n%s\nwant\n%s", got, c.warnings)
			}
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("the error is\n%v\nwant\n%s", err, c.fails)
			}
		})
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	outcome := ran()
	outcome.Estimate = 12 * time.Second
	outcome.Roots[0].Did = map[string]order.Found{"created": found(60, "a", "b"), "deleted": found(1, "c")}
	outcome.Roots[1].Did = map[string]order.Found{"created": found(1, "d")}
	outcome.Roots[1].Found = map[string]order.Found{"conflict": found(1, "e"), "stranger": found(1, ""), "failed": found(1, "odd: why")}
	outcome.Roots[0].Literal, outcome.Roots[1].Literal = 100, 20
	p := thePass
	expectSurvey(from, to, newAnswer.Job)
	expectPass(from, to, p, outcome)
	var job, key string
	to.want[1].took = func(text json.RawMessage) {
		got := asked[order.Prepare](t, text)
		job = got.Job
		if !got.Pass.Preview || got.Chain != chain || got.Pass.Strangers != "warn" || !strings.HasPrefix(job, "preview-") || got.ID != "preview" {
			t.Errorf("the new host prepares %+v", got)
		}
	}
	from.want[1].took = func(text json.RawMessage) {
		got := asked[order.Admit](t, text)
		key = got.Chain
		if !got.Passing || "preview-"+key != job || key == chain {
			t.Errorf("the key is let in by %+v", got)
		}
	}
	from.expect("dismiss", nothing).took = func(text json.RawMessage) {
		if got := asked[order.Dismiss](t, text); got.Chain != key || got.Public != public {
			t.Errorf("the key is kept out by %+v", got)
		}
	}
	got, err := preview(t.Context(), from, to, p)
	want := Foreseen{Changes: 14, Bytes: 120, Estimate: 12 * time.Second, Kinds: map[string]order.Found{
		"created": found(61, "/home/a", "/home/b", "/var/mail/d"), "deleted": found(1, "/home/c"), "conflicts": found(1, "/var/mail/e"), "unknown_owners": found(1, "/var/mail"),
	}}
	want.Warnings = got.Warnings
	if err != nil || !reflect.DeepEqual(got, want) || len(got.Warnings) != 1 {
		t.Errorf("it foresees\n%+v, %v, want\n%+v", got, err, want)
	}
}
