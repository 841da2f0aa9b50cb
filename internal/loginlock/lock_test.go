package loginlock

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	include    = "Include /etc/ssh/sshd_config.d/*.conf\nX11Forwarding yes\n"
	dropInPath = "/etc/ssh/sshd_config.d/00-cutover-login-lock-login.conf"
	textPath   = "/etc/cutover/login-lock-login.txt"
	factsOf    = "loginlock/facts.sh admin /etc/ssh/sshd_config " + dropInPath + " " + textPath
)

func newHost(t *testing.T) *hosttest.Fake {
	t.Helper()
	fake := hosttest.New(t)
	fake.Ident = host.Identity{User: "admin", Become: "sudo"}
	return fake
}

func has(path, content string) string {
	return "file " + path + " " + base64.StdEncoding.EncodeToString([]byte(content)) + "\n"
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func written(path, before, text string) string {
	if before != "none" {
		before = sum(before)
	}
	return fmt.Sprintf("write %s 644 %s %s\n", path, before, base64.StdEncoding.EncodeToString([]byte(text)))
}

// usual is what facts.sh says of a host without a lock.
const usual = "own root root\nown admin admin sudo\nown cutover-relay cutover-relay\nuser anna 1001\ngroup staff bert carl \n"

func lock() Spec {
	return Spec{Name: "login", Users: []string{"anna"}, Groups: []string{"staff"}, Message: "We are moving."}
}

func blocks(t *testing.T, s Spec, config string) string {
	t.Helper()
	with, err := s.withBlocks(config)
	if err != nil {
		t.Fatal(err)
	}
	return with
}

func TestApplyWritesDropInListsAndMessage(t *testing.T) {
	fake := newHost(t)
	fake.Expect(factsOf).WithStdin("user anna\ngroup staff\n").Prints(
		has(sshdConfig, include) + usual + "deny /etc/ftpusers\n" + has("/etc/ftpusers", "root\n") + "allow /etc/userlist\n" + has("/etc/userlist", "anna\nzoe\n") + "end\n")
	dropIn := lock().dropInText()
	fake.Expect("loginlock/change.sh").WithStdin(
		written(textPath, "none", "We are moving.\n") +
			written("/etc/ftpusers", "root\n", "root\n# BEGIN cutover_login_lock login\nanna\nbert\ncarl\n# END cutover_login_lock login\n") +
			written(dropInPath, "none", dropIn) +
			written("/etc/userlist", "anna\nzoe\n", "#cutover_login_lock login:anna\nzoe\n") +
			"reload\ncheck anna denyusers anna\ncheck bert denygroups staff\n")
	fake.Expect("loginlock/sessions.sh").WithStdin("anna\nbert\ncarl\n").Prints("2\n")
	if err := lock().Apply(t.Context(), fake, false, true); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\nDenyUsers anna\n", "\nDenyGroups staff\n", "\nMatch Group staff\n    Banner " + textPath + "\n", "\nMatch all\n"} {
		if !strings.Contains(dropIn, line) {
			t.Errorf("%q is missing in\n%s", line, dropIn)
		}
	}
}

func TestApplyWithoutInclude(t *testing.T) {
	for _, config := range []string{"X11Forwarding yes\n", "Match User x\nInclude /etc/ssh/sshd_config.d/*.conf\n", "Include /etc/ssh/other.d/*.conf\n", "#Include /etc/ssh/sshd_config.d/*.conf\n"} {
		fake := newHost(t)
		fake.Expect(factsOf).Prints(has(sshdConfig, config) + usual + "end\n")
		fake.Expect("loginlock/change.sh").WithStdin(written(textPath, "none", "We are moving.\n") + written(sshdConfig, config, blocks(t, lock(), config)) +
			"reload\ncheck anna denyusers anna\ncheck bert denygroups staff\n")
		if err := lock().Apply(t.Context(), fake, false, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, config := range []string{include, "include=\"sshd_config.d/*.conf\"\n", "Port 22\n  Include x /etc/ssh/sshd_config.d/*\nMatch all\n"} {
		if !includes(config, dropInPath) {
			t.Errorf("%q does not include %s", config, dropInPath)
		}
	}
}

func TestApplyTakesOverWhatItFindsInSSHDConfig(t *testing.T) {
	// The administrator has got an Include since: the block moves to the drop-in.
	config := blocks(t, Spec{Name: "login", Users: []string{"anna"}}, include)
	fake := newHost(t)
	fake.Expect(factsOf).Prints(has(sshdConfig, config) + usual + "end\n")
	fake.Expect("loginlock/change.sh").WithStdin(written(textPath, "none", "We are moving.\n") + written(sshdConfig, config, include) + written(dropInPath, "none", lock().dropInText()) +
		"reload\ncheck anna denyusers anna\ncheck bert denygroups staff\n")
	if err := lock().Apply(t.Context(), fake, true, false); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spec  Spec
		facts string
		says  string
	}{
		"the login itself":  {Spec{Name: "login", Users: []string{"admin"}}, "user admin 1000\n", "the provider itself logs in as admin"},
		"root's other name": {Spec{Name: "login", Users: []string{"toor"}}, "user toor 0\n", "uid 0"},
		"group of root":     {Spec{Name: "login", Groups: []string{"root"}}, "", "root is not locked out by this"},
		"group of login":    {Spec{Name: "login", Groups: []string{"sudo"}}, "group sudo admin\n", "admin is in the group sudo"},
		"group of a tunnel": {Spec{Name: "login", Groups: []string{"relays"}}, "own cutover-x relays\ngroup relays cutover-x\n", "cutover-x is in the group relays"},
		"root":              {Spec{Name: "login", Users: []string{"root"}}, "", "root is not locked out by this"},
		"a tunnel":          {Spec{Name: "login", Users: []string{"cutover-relay"}}, "", "forwarding tunnel"},
		"no such user":      {Spec{Name: "login", Users: []string{"amna"}}, "no-user amna\n", "has no user amna"},
		"no such group":     {Spec{Name: "login", Groups: []string{"stuff"}}, "no-group stuff\n", "has no group stuff"},
		"open vsftpd":       {Spec{Name: "login", Users: []string{"anna"}}, "open vsftpd /etc/vsftpd.conf\n", "userlist_enable=YES"},
		"another lock":      {Spec{Name: "login", Users: []string{"anna"}}, has(dropInPath, "DenyUsers bert\n"), "terraform import … fake/login"},
		"damaged block":     {Spec{Name: "login", Users: []string{"anna"}}, has(sshdConfig, beginMark+"login\nDenyUsers anna\n"), "/etc/ssh/sshd_config was changed by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newHost(t)
			if !strings.Contains(c.says, "is not locked out") && !strings.Contains(c.says, "forwarding tunnel") {
				fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual + c.facts + "end\n")
			}
			err := c.spec.Apply(t.Context(), fake, false, false)
			if err == nil || errors.Is(err, ErrUnsure) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
}

func TestLocksOutChangesNothing(t *testing.T) {
	fake := newHost(t)
	fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual + "no-user amna\nend\n")
	// A user who is not there yet may be of the same plan.
	if err := (Spec{Name: "login", Users: []string{"amna"}}).LocksOut(t.Context(), fake); err != nil {
		t.Error(err)
	}
	fake.Expect(factsOf).Prints(usual + "group sudo admin\nend\n")
	var lockedOut *ErrLockedOut
	if err := (Spec{Name: "login", Groups: []string{"sudo"}}).LocksOut(t.Context(), fake); !errors.As(err, &lockedOut) || !lockedOut.Group {
		t.Error(err)
	}
}

func TestApplyTriesAgainWhereAnotherWasQuicker(t *testing.T) {
	fake := newHost(t)
	s := Spec{Name: "login", Users: []string{"anna"}}
	other := blocks(t, Spec{Name: "other", Users: []string{"zoe"}}, "Port 22\n")
	fake.Expect(factsOf).Prints(has(sshdConfig, "Port 22\n") + usual + "end\n")
	fake.Expect("loginlock/change.sh").Exits(exitChanged, sshdConfig+" has changed in the meantime")
	fake.Expect(factsOf).Prints(has(sshdConfig, other) + usual + "end\n")
	fake.Expect("loginlock/change.sh").WithStdin(written(sshdConfig, other, blocks(t, s, other)) + "reload\ncheck anna denyusers anna\n")
	if err := s.Apply(t.Context(), fake, false, false); err != nil {
		t.Error(err)
	}
}

func TestFailuresSayWhatIsLeft(t *testing.T) {
	s := Spec{Name: "login", Users: []string{"anna"}}
	for code, want := range map[int]string{exitRefused: "nothing was changed", exitNoForce: "Match block", exitPutBack: "put back as they were", 1: "exit code 1"} {
		fake := newHost(t)
		fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual + "end\n")
		fake.Expect("loginlock/change.sh").Exits(code, "sshd's own words")
		err := s.Apply(t.Context(), fake, false, true)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "\n  sshd's own words") || errors.Is(err, ErrUnsure) != (code == 1) {
			t.Errorf("exit code %d: %v", code, err)
		}
	}
	fake := newHost(t)
	fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual + "end\n")
	fake.Expect("loginlock/change.sh").Fails(errors.New("connection lost"))
	if err := s.Apply(t.Context(), fake, false, false); !errors.Is(err, ErrUnsure) {
		t.Error(err)
	}
	fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual)
	if err := s.Apply(t.Context(), fake, false, false); err == nil {
		t.Error("a broken answer was taken")
	}
}

func TestRemove(t *testing.T) {
	s := lock()
	list := "root\n# BEGIN cutover_login_lock login\nanna\nbert\ncarl\n# END cutover_login_lock login\n"
	fake := newHost(t)
	fake.Expect(factsOf).Prints(has(sshdConfig, include) + has(dropInPath, s.dropInText()) + has(textPath, "We are moving.\n") + usual + "deny /etc/ftpusers\n" + has("/etc/ftpusers", list) + "end\n")
	fake.Expect("loginlock/change.sh").WithStdin("remove " + textPath + " " + sum("We are moving.\n") + "\n" + written("/etc/ftpusers", list, "root\n") + "remove " + dropInPath + " " + sum(s.dropInText()) + "\nreload\n")
	if err := s.Remove(t.Context(), fake); err != nil {
		t.Error(err)
	}
	// Gone already: nothing to do, and no reload.
	fake.Expect(factsOf).Prints(has(sshdConfig, include) + usual + "end\n")
	if err := s.Remove(t.Context(), fake); err != nil {
		t.Error(err)
	}
}

func TestInspect(t *testing.T) {
	s := lock()
	const list = "root\n# BEGIN cutover_login_lock login\nanna\nbert\ncarl\n# END cutover_login_lock login\n"
	good := has(sshdConfig, include) + has(dropInPath, s.dropInText()) + has(textPath, "We are moving.\n") + usual + "deny /etc/ftpusers\n" + has("/etc/ftpusers", list) + "end\n"
	for name, c := range map[string]struct {
		known    Spec
		answers  []string
		found    bool
		users    []string
		problems []string
	}{
		"as it should be":       {s, []string{good}, true, []string{"anna"}, nil},
		"imported":              {Spec{Name: "login"}, []string{good, good}, true, []string{"anna"}, nil},
		"nothing there":         {s, []string{has(sshdConfig, include) + usual + "end\n"}, false, nil, nil},
		"nothing to import":     {Spec{Name: "login"}, []string{has(sshdConfig, include) + "end\n"}, false, nil, nil},
		"taken out of ftpusers": {s, []string{strings.Replace(good, has("/etc/ftpusers", list), has("/etc/ftpusers", "root\n"), 1)}, true, []string{"anna"}, []string{"/etc/ftpusers was changed, or does not hold the lock"}},
		"a user more":           {s, []string{strings.Replace(good, has(dropInPath, s.dropInText()), has(dropInPath, strings.Replace(s.dropInText(), "DenyUsers anna", "DenyUsers anna zoe", 1)), 1)}, true, []string{"anna", "zoe"}, []string{"/etc/ftpusers was changed, or does not hold the lock", dropInPath + " was changed, or does not hold the lock"}},
		"no drop-in":            {s, []string{strings.Replace(good, has(dropInPath, s.dropInText()), "", 1)}, true, []string{"anna"}, []string{dropInPath + " is gone"}},
		"not included any more": {s, []string{strings.Replace(good, has(sshdConfig, include), has(sshdConfig, "Port 22\n"), 1)}, true, []string{"anna"}, []string{"/etc/ssh/sshd_config was changed, or does not hold the lock", dropInPath + " is there and should not be"}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newHost(t)
			answers := c.answers
			if name == "a user more" {
				answers = append(answers, answers[0])
			}
			for _, answer := range answers {
				fake.Expect(factsOf).Prints(answer)
			}
			state, found, err := Inspect(t.Context(), fake, c.known)
			if err != nil || found != c.found || found && !slices.Equal(state.Users, c.users) || !slices.Equal(state.Problems, c.problems) {
				t.Errorf("found %v, %+v, %v", found, state, err)
			}
		})
	}
	fake := newHost(t)
	fake.Expect(factsOf).Fails(errors.New("lost"))
	if _, found, err := Inspect(t.Context(), fake, s); found || err == nil {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestManyNamesKeepLinesShort(t *testing.T) {
	var s Spec
	for i := range 100 {
		s.Users = append(s.Users, fmt.Sprintf("user%03d", i))
	}
	s.Message = "closed"
	for _, line := range strings.Split(s.denials()+s.banners(), "\n") {
		if len(line) > 1023 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	users, _ := parseDirectives(strings.Split(s.denials()+s.banners(), "\n"))
	if !slices.Equal(users, s.Users) {
		t.Errorf("read back: %v", users)
	}
}

func TestChecks(t *testing.T) {
	for _, name := range []string{"anna", "a.b", "_x", "A", "pc$"} {
		if err := CheckAccount(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "*", "a*", "!a", "a@b", "a,b", "a b", "a\nb", "-a", "$(id)", "root", "cutover-relay", `"a"`} {
		if CheckAccount(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for _, message := range []string{"", " \n", "a\x1b[2J", "a\x00", "\xff", strings.Repeat("x", maxMessage+1)} {
		if CheckMessage(message) == nil {
			t.Errorf("%q was taken", message)
		}
	}
	if CheckMessage("Grüße,\n\tyour server") != nil || !SameMessage("a\n", "a") || SameMessage("a", "b") {
		t.Error("a good message was refused")
	}
	if (Spec{Name: "login"}).Check() == nil {
		t.Error("a lock of nobody was taken")
	}
}
