//go:build linux

package sshd

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// machine is a host in a directory: its programs are scripts, and all that are
// started are on a list.
type machine struct {
	t   *testing.T
	dir string
}

func newMachine(t *testing.T, programs map[string]string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	for _, d := range []string{"bin", "etc", "etc/ssh"} {
		if err := os.Mkdir(filepath.Join(m.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sshd", "sudo", "doas", "su", "getent"} {
		if script, ok := programs[name]; ok || name != "getent" {
			if !ok {
				script = "exit 127"
			}
			m.write("bin/"+name, "#!/bin/sh\necho \"${0##*/} $*\" >>"+m.dir+"/log\n"+script+"\n", 0o755)
		}
	}
	beforeEtc, beforePath := etc, path
	t.Cleanup(func() { etc, path = beforeEtc, beforePath })
	etc, path = m.dir+"/etc", m.dir+"/bin"
	t.Setenv("PATH", m.dir+"/bin:/usr/bin:/bin")
	t.Setenv("SSH_CONNECTION", "")
	return m
}

func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) started() []string {
	text, _ := os.ReadFile(m.dir + "/log")
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// says is an sshd with these settings.
func says(lines ...string) string { return "cat <<'X'\n" + strings.Join(lines, "\n") + "\nX" }

// home is what this machine has for a user.
func home(t *testing.T, name string) string {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("this machine has no user %s: %v", name, err)
	}
	return u.HomeDir
}

// For root it is one sshd -T and nothing else.
func TestRootIsOneProcess(t *testing.T) {
	m := newMachine(t, map[string]string{"sshd": says("port 22", "listenaddress [::]:22", "listenaddress 0.0.0.0:22",
		"permitrootlogin yes", "authorizedkeysfile /etc/keys/%u .ssh/authorized_keys2")})
	f, err := Ask(t.Context(), Asked{User: "root", Client: "192.0.2.1"})
	want := Facts{Login: &Login{User: "root", Home: home(t, "root"), Keys: "/etc/keys/%u"}, Listening: []string{"[::]:22", "0.0.0.0:22"}}
	if err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("the facts are %+v, %+v, error %v", f, f.Login, err)
	}
	if got := m.started(); !slices.Equal(got, []string{"sshd -T -C user=root,host=192.0.2.1,addr=192.0.2.1,laddr=127.0.0.1,lport=22,rdomain="}) {
		t.Errorf("it has started %q", got)
	}
}

func TestTheWayToRoot(t *testing.T) {
	const yes, no = "exit 0", "exit 1"
	for name, c := range map[string]struct {
		become  string
		rights  string // what sudo -l prints
		su      string
		permit  string
		want    *Login
		root    string // PermitRootLogin
		started []string
	}{
		"sudo": {"sudo", "(ALL) NOPASSWD: ALL", yes, "no", &Login{User: "daemon", Become: "sudo"}, "",
			[]string{"sshd", "sudo -l -U daemon", "su -s /bin/sh daemon -c sudo -n -k true"}},
		"sudo by a default": {"sudo", "!authenticate", yes, "no", &Login{User: "daemon", Become: "sudo"}, "", nil},
		"sudo is not asked": {"sudo", "(ALL) ALL", yes, "prohibit-password", &Login{User: "root"}, "prohibit-password", []string{"sshd", "sudo -l -U daemon", "sshd"}},
		"sudo refuses":      {"sudo", "NOPASSWD: /bin/ls", no, "without-password", &Login{User: "root"}, "without-password", nil},
		"commands alone":    {"sudo", "", no, "forced-commands-only", &Login{User: "root"}, "forced-commands-only", nil},
		"nobody":            {"sudo", "", no, "no", nil, "no", nil},
		"sshd is silent":    {"sudo", "", no, "", nil, "unknown", nil},
		"doas":              {"doas", "", yes, "no", &Login{User: "daemon", Become: "doas"}, "", []string{"sshd", "su -s /bin/sh daemon -c doas -n true"}},
		"doas refuses":      {"doas", "", no, "yes", &Login{User: "root"}, "yes", nil},
	} {
		t.Run(name, func(t *testing.T) {
			sshd := "exit 1"
			if c.permit != "" {
				sshd = says("permitrootlogin " + c.permit)
			}
			m := newMachine(t, map[string]string{"sshd": sshd, "sudo": "echo '" + c.rights + "'", "su": c.su})
			f, err := Ask(t.Context(), Asked{User: "daemon", Become: c.become, Client: "192.0.2.1"})
			if err != nil || f.PermitRootLogin != c.root {
				t.Errorf("root: %q, error %v", f.PermitRootLogin, err)
			}
			if c.want != nil {
				c.want.Keys, c.want.Home = ".ssh/authorized_keys", home(t, c.want.User)
			}
			if !reflect.DeepEqual(f.Login, c.want) {
				t.Errorf("the login is %+v, want %+v", f.Login, c.want)
			}
			got := m.started()
			for i, want := range c.started {
				if len(got) != len(c.started) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("it has started %q, want %q", got, c.started)
				}
			}
		})
	}
	newMachine(t, nil)
	if _, err := Ask(t.Context(), Asked{User: "root", Become: "magic"}); err == nil {
		t.Error("an unknown way to root is no error")
	}
}

// An sshd of long ago does not know all words of -C.
func TestOldSSHD(t *testing.T) {
	for words, calls := range map[string]int{"rdomain=": 2, "laddr=": 3, "-C": 4, "-T": 4} {
		m := newMachine(t, map[string]string{"sshd": `case "$*" in *` + words + `*) echo "$*" >&2; echo authorizedkeysfile wrong; exit 255;; esac; echo 'AuthorizedKeysFile x'; echo "authorizedkeysfile keys"`})
		t.Setenv("SSH_CONNECTION", "192.0.2.9 5000 192.0.2.8 2222")
		f, err := Ask(t.Context(), Asked{User: "root", Client: "192.0.2.1"})
		want := "keys"
		if words == "-T" {
			want = ".ssh/authorized_keys"
		}
		if err != nil || f.Login == nil || f.Login.Keys != want {
			t.Errorf("without %s: %+v, error %v", words, f.Login, err)
		}
		got := m.started()
		if len(got) != calls || !strings.Contains(got[0], "laddr=192.0.2.8,lport=2222,rdomain=") || calls > 3 && got[3] != "sshd -T" {
			t.Errorf("without %s it has started %q", words, got)
		}
	}
}

func TestHostKeys(t *testing.T) {
	m := newMachine(t, nil)
	m.write("bin/sshd", "#!/bin/sh\necho hostkey "+m.dir+"/own key\necho hostkey "+m.dir+"/etc/ssh/ssh_host_rsa_key\necho hostkey /no/such\n", 0o755)
	m.write("own key", "private", 0o600)
	m.write("own key.pub", "ssh-ed25519 OWN root@old host\n", 0o644)
	m.write("etc/ssh/ssh_host_rsa_key", "private", 0o600)
	m.write("etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa RSA\nssh-rsa SECOND\n", 0o644)
	m.write("etc/ssh/ssh_host_same_key", "private", 0o600)
	m.write("etc/ssh/ssh_host_same_key.pub", "ssh-rsa RSA another", 0o644)
	m.write("etc/ssh/ssh_host_odd_key", "private", 0o600)
	m.write("etc/ssh/ssh_host_odd_key.pub", "odd\n", 0o644)
	f, err := Ask(t.Context(), Asked{User: "root"})
	if want := []string{"ssh-rsa RSA", "ssh-ed25519 OWN"}; err != nil || !slices.Equal(f.HostKeys, want) {
		t.Errorf("the keys are %q, error %v", f.HostKeys, err)
	}
}

// A host without sshd in the usual places still says where keys go by default.
func TestNoSSHD(t *testing.T) {
	newMachine(t, nil)
	path = "/nowhere"
	t.Setenv("PATH", t.TempDir())
	f, err := Ask(t.Context(), Asked{User: "root"})
	if err != nil || f.Login == nil || f.Login.Keys != ".ssh/authorized_keys" {
		t.Errorf("the facts are %+v, error %v", f, err)
	}
}

func TestTheEndOfTheContext(t *testing.T) {
	newMachine(t, map[string]string{"sshd": "exec sleep 100"})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, Asked{User: "root"}); err == nil {
		t.Error("it ends well")
	}
}

func TestOS(t *testing.T) {
	for text, want := range map[string]string{
		"ID=debian\n": "debian",
		"NAME=x\nID=\"rocky\"\nID_LIKE=\"rhel fedora\"": "rocky rhel fedora",
		"# ID=no\n\n ID='alpine' \nID_LIKE=\n":          "alpine",
		"ID=a\nID=b\nXID=c\n":                           "b",
		`ID="q\"\$\\\` + "`" + `\n"`:                    `q"$\` + "`" + `\n`,
		`ID='a\b"c' # x`:                                `a\b"c`,
		"ID=$(reboot)\n":                                "$(reboot)",
		`ID=a\ b c`:                                     "a b",
		"":                                              "debian",
		"NAME=x\n":                                      "debian",
	} {
		m := newMachine(t, nil)
		m.write("etc/os-release", text, 0o644)
		m.write("etc/debian_version", "7", 0o644)
		if got := OS(); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	m := newMachine(t, nil)
	if got := OS(); got != "" {
		t.Errorf("nothing is %q", got)
	}
	m.write("etc/redhat-release", "", 0o644)
	if got := OS(); got != "rhel" {
		t.Errorf("an old RHEL is %q", got)
	}
}

func TestPrograms(t *testing.T) {
	m := newMachine(t, nil)
	m.write("bin/text", "", 0o644)
	if got := Programs("sshd", "text", "ssh", "etc", ""); !slices.Equal(got, []string{"text", "ssh", "etc", ""}) {
		t.Errorf("missing are %q", got)
	}
}

func TestAddresses(t *testing.T) {
	var all []netip.Addr
	for _, a := range []string{"127.0.0.1", "::1", "192.0.2.7", "169.254.1.1", "fe80::1", "2001:db8::7", "10.0.0.1", "fd00::1"} {
		all = append(all, netip.MustParseAddr(a))
	}
	if got := global(all); !slices.Equal(got, []string{"192.0.2.7", "2001:db8::7", "10.0.0.1", "fd00::1"}) {
		t.Errorf("the addresses are %q", got)
	}
	// The kernel says to us what it says to the package net.
	got, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	known, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	all = nil
	for _, a := range known {
		all = append(all, netip.MustParsePrefix(a.String()).Addr())
	}
	want := global(all)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the addresses of this machine are %q, and net says %q", got, want)
	}
}
