package loginlock

import (
	"strings"
	"testing"
)

// Whatever a file was, it is that again once all blocks are out.
func TestBlocksLeaveNoTrace(t *testing.T) {
	configs := []string{
		"", "\n", "X11Forwarding yes\n", "X11Forwarding yes", "\n\n# end\n\n", "a\r\nb\r\n",
		"Port 22\nMatch User x\n  X11Forwarding no\n", "Match all", "Port 22\n\n# Match later\nmatch\tGroup y\n\tBanner none",
		beginMark + "other-of-somebody\n" + endMark + "other-of-somebody\n",
	}
	locks := []Spec{
		{Name: "b", Users: []string{"anna"}, Message: "no"},
		{Name: "ab", Groups: []string{"staff"}},
		{Name: "c", Users: []string{"carl"}, Message: "closed"},
	}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, config := range configs {
		for _, in := range orders {
			with := config
			for _, i := range in {
				var err error
				if with, err = locks[i].withBlocks(with); err != nil {
					t.Fatal(err)
				}
			}
			for i, s := range locks {
				if again, err := s.withBlocks(with); err != nil || again != with {
					t.Errorf("%q: lock %d does not stay where it is:\n%s\n---\n%s", config, i, with, again)
				}
				if last := strings.LastIndex(with, "Deny"); last > strings.Index(strings.ToLower(with), "\nmatch ") {
					t.Errorf("%q: a Match is before the last of\n%s", config, with)
				}
			}
			for _, out := range orders {
				text := with
				for _, i := range out {
					var err error
					if text, err = locks[i].withoutBlocks(text); err != nil {
						t.Fatal(err)
					}
				}
				if text != config {
					t.Errorf("%q has become %q, in %v, out %v", config, text, in, out)
				}
			}
		}
	}
}

func TestBlocksStandBeforeTheFirstMatch(t *testing.T) {
	s := Spec{Name: "login", Users: []string{"anna"}, Message: "closed"}
	config := "Port 22\n#Match all\nmatch User x\n  X11Forwarding no\nMatch Group y\n"
	want := "Port 22\n#Match all\n# BEGIN cutover_login_lock login\nDenyUsers anna\n# END cutover_login_lock login\n" +
		"# BEGIN cutover_login_lock login message\nMatch User anna\n    Banner /etc/cutover/login-lock-login.txt\n# END cutover_login_lock login message\n" +
		"match User x\n  X11Forwarding no\nMatch Group y\n"
	got, err := s.withBlocks(config)
	if err != nil || got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	// Somebody has put a Match in front since: the lock would be for some only.
	moved, err := s.withBlocks("Match User z\n" + got)
	if err != nil || strings.Index(moved, "DenyUsers anna") > strings.Index(moved, "Match User z") {
		t.Errorf("%v\n%s", err, moved)
	}
	s.Message, s.Users = "", []string{"anna", "bert"}
	changed, err := s.withBlocks(got)
	if want := "Port 22\n#Match all\n# BEGIN cutover_login_lock login\nDenyUsers anna bert\n# END cutover_login_lock login\nmatch User x\n"; err != nil || !strings.HasPrefix(changed, want) {
		t.Errorf("%v\n%s", err, changed)
	}
}

func TestDamagedBlocksAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"no end":    "a\n" + beginMark + "x\nDenyUsers anna\nPort 22\n",
		"two":       beginMark + "x\n" + endMark + "x\n" + beginMark + "x\n" + endMark + "x\n",
		"end alone": "a\n" + endMark + "x\n",
	} {
		if rest, _, err := cut(text, "x"); err == nil || rest != text {
			t.Errorf("%s: %q, %v", name, rest, err)
		}
		if with, err := (Spec{Name: "x", Users: []string{"anna"}}).withBlocks(text); err == nil {
			t.Errorf("%s: %q", name, with)
		}
	}
	for _, other := range []string{"xy", "x message"} {
		text := beginMark + other + "\n" + endMark + other + "\n"
		if rest, _, err := cut(text, "x"); rest != text || err != nil || inside(text, "x") != nil {
			t.Errorf("the block of %q was taken for that of x: %q, %v", other, rest, err)
		}
	}
}

func TestListsOfThoseWhoAreDenied(t *testing.T) {
	text := func(s string) *string { return &s }
	for name, before := range map[string]*string{
		"none": nil, "empty": text(""), "usual": text("# users\nroot\ndaemon\n"), "no end": text("root\nanna"),
	} {
		with, err := denied(before, "x", []string{"anna", "bert"})
		if err != nil || !strings.Contains(*with, "\nanna\nbert\n") {
			t.Fatalf("%s: %v, %v", name, with, err)
		}
		again, err := denied(with, "x", []string{"anna", "bert"})
		if err != nil || *again != *with {
			t.Errorf("%s: a second time it is %q, and was %q", name, *again, *with)
		}
		changed, err := denied(with, "x", []string{"carl"})
		if err != nil || strings.Contains(*changed, "bert") {
			t.Errorf("%s: %q, %v", name, *changed, err)
		}
		back, err := denied(changed, "x", nil)
		if err != nil || (back == nil) != (before == nil) || back != nil && *back != *before {
			t.Errorf("%s: without the block it is %v, %v", name, back, err)
		}
	}
	// Two locks of one list, and a line that somebody has added behind them.
	one, err := denied(text("root\n"), "x", []string{"anna"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := denied(one, "y", []string{"bert"})
	if err != nil {
		t.Fatal(err)
	}
	*two += "zoe\n"
	for name, user := range map[string]string{"x": "anna", "y": "bert"} {
		if again, err := denied(two, name, []string{user}); err != nil || *again != *two {
			t.Errorf("%s does not stay where it is: %q, %v", name, *again, err)
		}
	}
	if none, err := denied(nil, "x", nil); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
}

func TestListsOfThoseWhoAreLetIn(t *testing.T) {
	const before = "anna\nbert\n#carl\nanna2"
	with := allowed(before, "x", []string{"anna", "carl"})
	if want := "#cutover_login_lock x:anna\nbert\n#carl\nanna2"; with != want {
		t.Errorf("it is %q, want %q", with, want)
	}
	if again := allowed(with, "x", []string{"anna", "carl"}); again != with {
		t.Errorf("a second time it is %q", again)
	}
	if back := allowed(with, "x", nil); back != before {
		t.Errorf("without the lock it is %q", back)
	}
}

func FuzzBlockLeavesNoTrace(f *testing.F) {
	f.Add("Port 22\nMatch all\n")
	f.Add("no end")
	f.Fuzz(func(t *testing.T, config string) {
		if strings.Contains(config, "cutover_login_lock") {
			t.Skip("holds a mark of a block")
		}
		s := Spec{Name: "x", Users: []string{"anna"}, Message: "closed"}
		with, err := s.withBlocks(config)
		if err != nil {
			t.Fatal(err)
		}
		if rest, err := s.withoutBlocks(with); err != nil || rest != config {
			t.Errorf("%q has become %q (%v)", config, rest, err)
		}
	})
}
