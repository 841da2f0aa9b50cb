package rsyncpass

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// keyHost is keys.sh on this machine, in a directory of its own.
type keyHost struct {
	t          *testing.T
	shell      []string
	base, run  string
	home, name string
}

func newKeyHost(t *testing.T, shell []string) keyHost {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	k := keyHost{t: t, shell: shell, base: dir + "/var/lib/cutover", run: dir + "/run", home: dir + "/home", name: me.Username}
	for _, d := range []string{dir + "/var/lib", k.run, k.home} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k keyHost) try(args ...string) (string, error) {
	text := strings.Replace(keysText, "base=/var/lib/cutover", "base="+k.base, 1)
	text = strings.Replace(text, "run=/run\n", "run="+k.run+"\n", 1)
	argv := append(append([]string{}, k.shell[1:]...), "-c", text, "keys.sh")
	cmd := exec.Command(k.shell[0], append(argv, args...)...) //nolint:gosec // a test's own
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (k keyHost) do(args ...string) {
	k.t.Helper()
	if out, err := k.try(args...); err != nil {
		k.t.Fatalf("keys.sh %q: %v\n%s", args[:2], err, out)
	}
}

func (k keyHost) admit(chain, file, until string) {
	k.t.Helper()
	k.do("admit", chain, k.name, k.home, file, line(chain), until, serveText, "a \\./x\n", "/home", "/srv/a b")
}

func line(chain string) string {
	return `restrict,from="192.0.2.1",command="sh /x/pass-` + chain + `/serve login" ssh-ed25519 AAAA\n cutover-pass-` + chain
}

func (k keyHost) has(file, want string) {
	k.t.Helper()
	got, err := os.ReadFile(file) //nolint:gosec // a test's own
	if err != nil || string(got) != want {
		k.t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
	}
}

func (k keyHost) nothingLeft() {
	k.t.Helper()
	for _, gone := range []string{k.base, k.run + "/cutover"} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			k.t.Errorf("%s is still there (%v)", gone, err)
		}
	}
}

const never = "99999999999"

func TestKeyComesAndGoes(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		k := newKeyHost(t, shell)
		ssh := k.home + "/.ssh"
		k.admit("aaa", ".ssh/authorized_keys", never)
		k.has(ssh+"/authorized_keys", line("aaa")+"\n")
		k.has(k.base+"/pass-aaa/paths", "/home\n/srv/a b\n")
		k.has(k.base+"/pass-aaa/serve", serveText+"\n")
		for file, mode := range map[string]os.FileMode{ssh: 0o700, ssh + "/authorized_keys": 0o600} {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v; want mode %v", file, info, err, mode)
			}
		}
		k.do("dismiss", "aaa")
		if _, err := os.Stat(ssh); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", ssh, err)
		}
		k.nothingLeft()
		k.do("dismiss", "aaa") // gone already
		k.nothingLeft()
	})
}

func TestKeysOfOthersStay(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		k := newKeyHost(t, shell)
		ssh, file := k.home+"/.ssh", k.home+"/.ssh/authorized_keys"
		if err := os.Mkdir(ssh, 0o755); err != nil {
			t.Fatal(err)
		}
		others := "# mine\nssh-rsa AAAA\\n me@home\n\nssh-ed25519 BBBB cutover-pass-aa\nssh-ed25519 CCCC not cutover-pass-aaa at the end"
		write(t, file, others, 0o640)
		if err := os.Chmod(file, 0o640); err != nil {
			t.Fatal(err)
		}
		k.admit("aaa", "%h/.ssh/authorized_keys", never)
		k.admit("bbb", "%h/.ssh/authorized_keys", never)
		another := strings.Replace(line("aaa"), "AAAA", "EEEE", 1) // after a run that was cut off
		k.do("admit", "aaa", k.name, k.home, "%h/.ssh/authorized_keys", another, never, serveText, "", "/home")
		k.has(file, others+"\n"+line("bbb")+"\n"+another+"\n")
		k.do("dismiss", "aaa")
		k.has(file, others+"\n"+line("bbb")+"\n")
		k.do("dismiss", "bbb")
		k.has(file, others+"\n")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		entries, err := os.ReadDir(ssh)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s holds %v, %v", ssh, entries, err)
		}
		k.nothingLeft()
	})
}

func TestKeysWhoseTimeIsOver(t *testing.T) {
	k := newKeyHost(t, []string{"sh"})
	k.admit("old", "keys/%u", "1000")
	k.admit("new", "keys/%u", never)
	k.has(k.home+"/keys/"+k.name, line("new")+"\n")
	k.do("dismiss", "other")
	k.has(k.home+"/keys/"+k.name, line("new")+"\n")
}

func TestKeyFileTokens(t *testing.T) {
	k := newKeyHost(t, []string{"sh"})
	k.admit("aaa", k.home+"/%%u-%u", never)
	k.has(k.home+"/%u-"+k.name, line("aaa")+"\n")
	k.do("dismiss", "aaa")
	for file, why := range map[string]string{"none": "reads no AuthorizedKeysFile", "%h/%U": "a token that is not"} {
		out, err := k.try("admit", "aaa", k.name, k.home, file, line("aaa"), never, serveText, "/home")
		if err == nil || !strings.Contains(out, why) {
			t.Errorf("%s: %v, %q; want %q", file, err, out, why)
		}
	}
	k.nothingLeft()
}

// A holder of the lock that is gone does not hold up anybody for long.
func TestKeyLockOfTheDead(t *testing.T) {
	k := newKeyHost(t, []string{"sh"})
	lock := filepath.Join(k.run, "cutover", "keys.lock")
	if err := os.MkdirAll(lock, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, lock+"/pid", "4194304999\n", 0o644)
	k.admit("aaa", "keys", never)
	k.has(k.home+"/keys", line("aaa")+"\n")
	k.do("dismiss", "aaa")
	k.nothingLeft()
}

// Whoever has seen a pass to its end takes its key away and not that of the next,
// which may be under way; and two that see to one pass let its key in once.
func TestKeyOfAnotherPassStays(t *testing.T) {
	t.Parallel()
	k := newKeyHost(t, []string{"sh"})
	file := k.home + "/.ssh/authorized_keys"
	k.admit("aaa", ".ssh/authorized_keys", never)
	k.do("dismiss", "aaa", "BBBB")
	k.has(file, line("aaa")+"\n")
	if err := os.WriteFile(k.base+"/pass-aaa/want-1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.admit("aaa", ".ssh/authorized_keys", never)
	if _, err := os.Stat(k.base + "/pass-aaa/want-1"); err != nil {
		t.Errorf("letting the same key in again has taken away what its pass uses: %v", err)
	}
	k.do("dismiss", "aaa", `AAAA\n`)
	k.nothingLeft()
}
