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
	a := Spec{Name: "a", Users: []string{"anna"}, Message: "no"}
	b := Spec{Name: "ab", Groups: []string{"staff"}}
	for _, config := range configs {
		orders := [][]string{{"ab", "a"}, {"a", "ab"}}
		if !strings.HasSuffix(config, "\n") {
			orders = orders[:1] // the block that has noted the missing end goes last
		}
		for _, order := range orders {
			text := b.withBlock(a.withBlock(config))
			for _, name := range order {
				rest, found, _, err := cut(text, name)
				if err != nil || !found {
					t.Fatalf("%q: %q is not found in %q: %v", config, name, text, err)
				}
				text = rest
			}
			if text != config {
				t.Errorf("%q has become %q", config, text)
			}
		}
	}
}

func TestBlockStandsBeforeTheFirstMatch(t *testing.T) {
	s := Spec{Name: "login", Users: []string{"anna"}, Message: "closed"}
	config := "Port 22\n#Match all\nmatch User x\n  X11Forwarding no\nMatch Group y\n"
	want := "Port 22\n#Match all\n# BEGIN cutover_login_lock login\nDenyUsers anna\nMatch User anna\n    Banner /etc/cutover/login-lock-login.txt\n# END cutover_login_lock login\n" +
		"match User x\n  X11Forwarding no\nMatch Group y\n"
	if got := s.withBlock(config); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	// Another lock's block ends with a Match; what is for all stands before it.
	second := Spec{Name: "second", Groups: []string{"staff"}}.withBlock("Port 22\n" + beginMark + "login\nDenyUsers anna\nMatch User anna\n  Banner x\n" + endMark + "login\n")
	if strings.Index(second, "DenyGroups staff") > strings.Index(second, "DenyUsers anna") {
		t.Errorf("the second block stands behind a Match:\n%s", second)
	}
}

func TestDamagedBlocksAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"no end":    "a\n" + beginMark + "x\nDenyUsers anna\nPort 22\n",
		"two":       beginMark + "x\n" + endMark + "x\n" + beginMark + "x\n" + endMark + "x\n",
		"end alone": "a\n" + endMark + "x\n",
	} {
		if rest, _, _, err := cut(text, "x"); err == nil || rest != text {
			t.Errorf("%s: %q, %v", name, rest, err)
		}
	}
	if _, found, _, err := cut(beginMark+"xy\n"+endMark+"xy\n", "x"); found || err != nil {
		t.Errorf("the block of another name was taken: %v, %v", found, err)
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
		rest, found, _, err := cut(s.withBlock(config), "x")
		if err != nil || !found || rest != config {
			t.Errorf("%q has become %q (%v, %v)", config, rest, found, err)
		}
	})
}
