//go:build linux

package key

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	chainA = "aaaaaaaaaaaa"
	chainB = "bbbbbbbbbbbb"
	chainC = "0123456789ab"
)

// host is a keeper on this machine, with directories of its own.
type host struct {
	Keeper
	t          *testing.T
	home, user string
	ssh, file  string
}

func newHost(t *testing.T) *host {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &host{t: t, Keeper: Keeper{Base: dir + "/lib/cutover"}, home: dir + "/home", user: me.Username}
	h.ssh, h.file = h.home+"/.ssh", h.home+"/.ssh/authorized_keys"
	for _, d := range []string{dir + "/lib", h.home} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// holds puts a text in the key file.
func (h *host) holds(text string) {
	h.t.Helper()
	if err := os.MkdirAll(h.ssh, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) admission(chain string) Admission {
	return Admission{Chain: chain, User: h.user, Home: h.home, File: ".ssh/authorized_keys",
		Options: `restrict,from="192.0.2.1",command="x serve \n"`, Public: "ssh-ed25519 AAAA" + chain[:1] + " cutover-pass-" + chain,
		Until: time.Now().Add(time.Hour)}
}

func (h *host) admit(a Admission) {
	h.t.Helper()
	if err := h.Admit(a); err != nil {
		h.t.Fatalf("admitting %s: %v", a.Chain, err)
	}
}

func (h *host) dismiss(chain, public string) {
	h.t.Helper()
	if err := h.Dismiss(chain, public); err != nil {
		h.t.Fatalf("dismissing %s: %v", chain, err)
	}
}

func line(a Admission) string { return a.Options + " " + a.Public + "\n" }

func has(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %.300q, %v; want %.300q", file, got, err, want)
	}
}

func gone(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

func modes(t *testing.T, want map[string]os.FileMode) {
	t.Helper()
	for name, mode := range want {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
}

func TestAKeyComesAndGoes(t *testing.T) {
	h := newHost(t)
	before := unix.Umask(0o077) // as the worker's
	defer unix.Umask(before)
	a := h.admission(chainA)
	h.admit(a)
	has(t, h.file, line(a))
	modes(t, map[string]os.FileMode{h.ssh: 0o700, h.file: 0o600, h.Base: 0o755, h.dir(chainA): 0o755, h.dir(chainA) + "/" + recordName: 0o600})
	h.admit(a)
	has(t, h.file, line(a))
	h.dismiss(chainA, "")
	gone(t, h.ssh, h.Base)
	h.dismiss(chainA, "")
	gone(t, h.ssh, h.Base)
}

// What others have in the file stays as it is, byte for byte.
func TestLinesOfOthersStay(t *testing.T) {
	for name, others := range map[string]string{
		"nothing":      "",
		"lines":        "# mine\nssh-rsa AAAA\\n me@home\n\nssh-ed25519 BBBB cutover-pass-aaaaaaaaaaaab\nssh-ed25519 C not cutover-pass-aaaaaaaaaaaa at the end\n",
		"no end":       "ssh-rsa AAAA me",
		"CRLF":         "ssh-rsa AAAA me\r\nssh-rsa BBBB cutover-pass-aaaaaaaaaaaa\r\n",
		"CRLF, no end": "ssh-rsa AAAA me\r\nssh-rsa BBBB\r",
		"bytes":        "ssh-rsa \xff\xfe\x00 \xe9t\xe9\n\n\n \t\n",
		"big":          strings.Repeat("ssh-rsa "+strings.Repeat("A", 500)+" me@home\n", 2200),
		"one line":     strings.Repeat("x", 1<<20),
	} {
		for _, order := range [][]string{{chainA, chainB}, {chainB, chainA}} {
			t.Run(name+" "+order[0], func(t *testing.T) {
				h := newHost(t)
				h.holds(others)
				ended := others
				if others != "" && !strings.HasSuffix(others, "\n") {
					ended += "\n"
				}
				a, b := h.admission(chainA), h.admission(chainB)
				h.admit(a)
				h.admit(b)
				has(t, h.file, ended+line(a)+line(b))
				a.Public = "ssh-ed25519 EEEE cutover-pass-" + chainA // after a run that was cut off
				h.admit(a)
				has(t, h.file, ended+line(b)+line(a))
				for _, chain := range order {
					h.dismiss(chain, "")
				}
				has(t, h.file, others)
				if entries, err := os.ReadDir(h.ssh); err != nil || len(entries) != 1 {
					t.Errorf("%s holds %v, %v", h.ssh, entries, err)
				}
				gone(t, h.Base)
			})
		}
	}
}

// The last to go takes away what the first one made.
func TestTheLastOneTakesAwayWhatWasMade(t *testing.T) {
	h := newHost(t)
	h.admit(h.admission(chainA))
	h.admit(h.admission(chainB))
	h.admit(h.admission(chainC))
	for _, chain := range []string{chainA, chainC} {
		h.dismiss(chain, "")
	}
	has(t, h.file, line(h.admission(chainB)))
	h.dismiss(chainB, "")
	gone(t, h.ssh, h.Base)
}

func TestWhatIsInUseStays(t *testing.T) {
	h := newHost(t)
	h.admit(h.admission(chainA))
	// What the user has put there since is the user's.
	if err := os.WriteFile(h.ssh+"/config", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.dismiss(chainA, "")
	gone(t, h.file, h.Base)
	has(t, h.ssh+"/config", "")
}

func TestAnotherKeyOfTheChainStays(t *testing.T) {
	h := newHost(t)
	a := h.admission(chainA)
	h.admit(a)
	if err := os.WriteFile(h.dir(chainA)+"/used", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.dismiss(chainA, "ssh-ed25519 BBBB cutover-pass-"+chainA)
	h.dismiss(chainA, "BBBB")
	h.admit(a)
	has(t, h.file, line(a))
	has(t, h.dir(chainA)+"/used", "") // the pass under way uses it
	h.dismiss(chainA, a.Public)
	gone(t, h.ssh, h.Base)
}

func TestKeysWhoseTimeIsOver(t *testing.T) {
	for name, act := range map[string]func(h *host) error{
		"admit": func(h *host) error {
			err := h.Admit(h.admission(chainC))
			return errors.Join(err, h.Dismiss(chainC, ""))
		},
		"dismiss": func(h *host) error { return h.Dismiss(chainC, "") },
		"sweep":   func(h *host) error { return h.Sweep() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			old := h.admission(chainA)
			old.File, old.Until = "keys/%u", time.Unix(1000, 0)
			h.admit(h.admission(chainB))
			h.admit(old)
			if err := os.WriteFile(h.home+"/keys/"+h.user+".cutover-0a1b2c", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(h.dir("zz"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := act(h); err != nil {
				t.Fatal(err)
			}
			gone(t, h.home+"/keys", h.dir(chainA))
			has(t, h.file, line(h.admission(chainB)))
		})
	}
}

func TestTokens(t *testing.T) {
	h := newHost(t)
	a := h.admission(chainA)
	a.File = h.home + "/%%u-%u"
	h.admit(a)
	has(t, h.home+"/%u-"+h.user, line(a))
	h.dismiss(chainA, "")
	a.File = "%h/.ssh//authorized_keys"
	h.admit(a)
	has(t, h.file, line(a))
	h.dismiss(chainA, "")
	for file, why := range map[string]string{
		"none": "sshd reads no AuthorizedKeysFile for " + h.user, "": "reads no AuthorizedKeysFile",
		"%h/%U": "AuthorizedKeysFile %h/%U holds a token that is not %h, %u or %%", "%": "a token that is not",
		"/": "leads to no place", "a/..": "leads to no place", "no/such/way": "no such file",
	} {
		a.File = file
		if err := h.Admit(a); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v; want %q", file, err, why)
		}
	}
	gone(t, h.Base)
}

func TestWhatIsNoAdmission(t *testing.T) {
	h := newHost(t)
	for name, change := range map[string]func(a *Admission){
		"chain":   func(a *Admission) { a.Chain = "../../../etc" },
		"mark":    func(a *Admission) { a.Public = "ssh-ed25519 AAAA cutover-pass-" + chainB },
		"no key":  func(a *Admission) { a.Public = "" },
		"lines":   func(a *Admission) { a.Options = "restrict\nssh-rsa AAAA" },
		"forever": func(a *Admission) { a.Until = time.Time{} },
		"home":    func(a *Admission) { a.Home = "" },
		"user":    func(a *Admission) { a.User = "no-such-user-here" },
	} {
		a := h.admission(chainA)
		change(&a)
		if err := h.Admit(a); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := h.Dismiss("..", ""); err == nil {
		t.Error("a chain that is none is dismissed")
	}
	gone(t, h.ssh, h.Base)
}

// A kill at any moment leaves a record from which all of it is taken away.
func TestAfterAKill(t *testing.T) {
	for name, half := range map[string]func(h *host) error{
		"before the directory":  func(*host) error { return nil },
		"before the file":       func(h *host) error { return os.Mkdir(h.ssh, 0o700) },
		"with a temporary file": func(h *host) error { h.holds(""); return os.WriteFile(h.file+".cutover-123abc", nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			for _, then := range []string{"dismiss", "admit"} {
				if err := h.write(chainA, record{File: h.file, Until: time.Now().Unix() + 100, MadeFile: true, MadeDirectory: true}); err != nil {
					t.Fatal(err)
				}
				if err := half(h); err != nil {
					t.Fatal(err)
				}
				if then == "admit" {
					h.admit(h.admission(chainA))
					has(t, h.file, line(h.admission(chainA)))
				}
				h.dismiss(chainA, "")
				gone(t, h.ssh, h.Base)
			}
		})
	}
	h := newHost(t)
	h.admit(h.admission(chainA))
	if err := os.WriteFile(h.dir(chainA)+"/"+recordName, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Dismiss(chainA, ""); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("a damaged record: %v", err)
	}
	h.admit(h.admission(chainB)) // others go on
}

// asKeeper makes the test's program a process of TestChangesAtOnce.
const asKeeper = "CUTOVER_TEST_AS_KEEPER"

func TestMain(m *testing.M) {
	if chain := os.Getenv(asKeeper); chain != "" {
		h := &host{Keeper: Keeper{Base: os.Getenv("BASE")}, home: os.Getenv("THEIR_HOME"), user: os.Getenv("THEIR_USER")}
		if err := h.Admit(h.admission(chain)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestChangesAtOnce(t *testing.T) {
	for name, admit := range map[string]func(h *host, chain string) error{
		"goroutines": func(h *host, chain string) error { return h.Admit(h.admission(chain)) },
		"processes": func(h *host, chain string) error {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asKeeper+"="+chain, "BASE="+h.Base, "THEIR_HOME="+h.home, "THEIR_USER="+h.user)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			var all sync.WaitGroup
			const many = 12
			chain := func(n int) string { return fmt.Sprintf("%012x", n) }
			for n := range many {
				all.Go(func() {
					if err := admit(h, chain(n)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			text, err := os.ReadFile(h.file)
			if err != nil || bytes.Count(text, []byte("\n")) != many {
				t.Fatalf("%v, and the file holds\n%s", err, text)
			}
			for n := range many { // Base comes and goes meanwhile
				all.Go(func() {
					if err := errors.Join(h.Dismiss(chain(n), ""), h.Sweep()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			gone(t, h.ssh, h.Base)
		})
	}
}

func TestTheLockIsHeld(t *testing.T) {
	h := newHost(t)
	h.wait = 100 * time.Millisecond
	done := make(chan error)
	_ = h.locked(func() error {
		go func() { done <- h.Admit(h.admission(chainA)) }()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("it ends with %v", err)
		}
		return nil
	})
	gone(t, h.ssh, h.Base)
}
