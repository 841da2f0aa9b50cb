//go:build linux

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// TestAccRealHosts is what only a real sshd, sudo and doas can show.
func TestAccRealHosts(t *testing.T) {
	l, hosts := lab.Boot(t, "sysv=sysv", "bookworm=bookworm", "trixie=trixie")
	for _, guest := range hosts {
		g := &guestTest{lab: l, guest: guest}
		t.Run(guest.Name, func(t *testing.T) {
			t.Parallel()
			g.all(t)
		})
	}
}

func (g *guestTest) all(t *testing.T) {
	logins := []Config{
		g.login("root", Become{}),
		g.login("root", Become{Method: "sudo"}),
		g.login("admin", Become{Method: "sudo", Password: "admin-secret"}),
		g.login("operator", Become{Method: "sudo"}),
		g.login("operator", Become{Method: "sudo", Password: "not-asked-for"}),
	}
	if g.guest.Kind == lab.Trixie {
		logins = append(logins,
			g.login("doasfree", Become{Method: "doas"}),
			g.login("doasuser", Become{Method: "doas", Password: "doasuser-secret"}))
	}
	// At once, and not by t.Parallel, which lets only as many run as there are
	// processors: they wait for most of their time.
	var contracts sync.WaitGroup
	for n, cfg := range logins {
		contracts.Go(func() {
			t.Run(fmt.Sprintf("%s with %q and %q", cfg.User, cfg.Become.Method, cfg.Become.Password), func(t *testing.T) {
				g.contract(t, n, cfg)
			})
		})
	}
	contracts.Wait()
	t.Run("refusals", g.refusals)
	t.Run("few sessions", g.fewSessions)
	t.Run("forwarding forbidden", g.noForwarding)
	t.Run("agent", g.agent)
	t.Run("cut line", g.cutLine)
	if g.guest.Kind == lab.SysV {
		t.Run("legacy", g.legacy)
	}
	g.nothingLeft(t)
}

// guestTest is one host of the lab.
type guestTest struct {
	lab   *lab.Lab
	guest *lab.Host
}

func (g *guestTest) login(user string, become Become) Config {
	no := false
	return Config{
		Name: g.guest.Name, Address: g.guest.Address, User: user, Become: become, PrivateKeyPath: g.lab.KeyPath(),
		KnownHostsPath: g.lab.KnownHostsPath(), SSHConfigPath: "none", Agent: &no,
	}
}

// sshd starts another sshd in the guest, with these options.
func (g *guestTest) sshd(t *testing.T, port int, options ...string) {
	t.Helper()
	pid := fmt.Sprintf("/tmp/sshd-%d.pid", port)
	argv := []string{"/usr/sbin/sshd", "-p", fmt.Sprint(port), "-o", "PidFile=" + pid}
	for _, option := range options {
		argv = append(argv, "-o", option)
	}
	if _, err := g.guest.Run(t.Context(), argv...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := g.guest.Run(context.Background(), "sh", "-c", `kill "$(cat "$1")"; rm -f "$1"`, "sh", pid); err != nil {
			t.Error(err)
		}
	})
	if err := g.guest.WaitPorts(t.Context(), port); err != nil {
		t.Fatal(err)
	}
}

// contract is what a host promises, however root's rights were come by. n tells
// what this login makes on the host from what the others do.
func (g *guestTest) contract(t *testing.T, n int, cfg Config) {
	_, h := one(t, cfg)
	began := time.Now()
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/who.sh", Text: `echo "$(id -u) $HOME $(pwd) $LC_ALL $PATH $(umask)"`}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(result.Stdout), "0 /root / C "+remotePath+" 0022\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	first := time.Since(began)
	began = time.Now()
	for range 5 {
		if _, err := h.Run(t.Context(), Exec("true")); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("first command %s, then %s each", first.Round(time.Millisecond), (time.Since(began) / 5).Round(time.Millisecond))

	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	copied, err := h.Run(t.Context(), Command{Script: Script{Name: "test/copy.sh", Text: `printf 'a\r\nb\n' >&2; cat`}, Stdin: bytes.NewReader(data)})
	if err != nil || !bytes.Equal(copied.Stdout, data) || string(copied.Stderr) != "a\r\nb\n" {
		t.Errorf("1 MiB came back as %d bytes, with stderr %q, %v", len(copied.Stdout), copied.Stderr, err)
	}
	// An input that the command does not read, and one that is not there.
	for _, input := range []string{"", "unread " + strings.Repeat("x", 100_000)} {
		if result, err := h.Run(t.Context(), Command{Argv: []string{"echo", "it's", "$(id)", "ü\x81", ""}, Stdin: strings.NewReader(input)}); err != nil || string(result.Stdout) != "it's $(id) ü\x81 \n" {
			t.Errorf("%q, %v", result.Stdout, err)
		}
	}
	_, err = h.Run(t.Context(), Sh(Script{Name: "test/exit.sh", Text: "echo no >&2; exit 42"}))
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 42 || exit.Stderr != "no\n" {
		t.Errorf("got %v", err)
	}
	_, err = h.Run(t.Context(), Sh(Script{Name: "test/signal.sh", Text: "kill -s KILL $$"}))
	if _, ok := ExitCode(err); err == nil || ok && cfg.Become.Method == "" {
		t.Errorf("a signal gives %v", err)
	}
	g.files(t, n, h)
	g.cancel(t, n, h)
	g.daemon(t, h)

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := h.Run(t.Context(), Exec("sleep", "0.1")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	identity, err := h.Identity(t.Context())
	if err != nil || identity.Address != g.guest.Address || identity.Port != 22 || identity.User != cfg.User || !strings.HasPrefix(g.guest.HostKey, identity.HostKey) {
		t.Errorf("%+v, %v", identity, err)
	}
	conn, err := h.Dial(t.Context(), "tcp", "127.0.0.1:22")
	if err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

func (g *guestTest) files(t *testing.T, n int, h Host) {
	t.Helper()
	name := fmt.Sprintf("/etc/cutover-test-%d", n)
	attr := FileAttr{Mode: fs.ModeSetuid | 0o750, UID: 0, GID: 8}
	if err := h.WriteFile(t.Context(), name, []byte("content"), attr); err != nil {
		t.Fatal(err)
	}
	stat, err := g.guest.Run(t.Context(), "stat", "-c", "%a %u %g %s", name)
	if err != nil || strings.TrimSpace(stat) != "4750 0 8 7" {
		t.Errorf("the file is %q, %v", stat, err)
	}
	if content, err := h.ReadFile(t.Context(), "/etc/shadow"); err != nil || !bytes.Contains(content, []byte("root:")) {
		t.Errorf("reading what only root may read: %v", err)
	}
	if content, err := h.ReadFile(t.Context(), "/proc/sys/kernel/ostype"); err != nil || string(content) != "Linux\n" {
		t.Errorf("a file of /proc: %q, %v", content, err)
	}
	if err := h.Remove(t.Context(), name); err != nil {
		t.Error(err)
	}
	if _, err := h.ReadFile(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func (g *guestTest) cancel(t *testing.T, n int, h Host) {
	t.Helper()
	long := fmt.Sprintf("sleep 471%d", n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &lineWriter{lines: make(chan string, 1)}
	failed := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, Command{Script: Script{Name: "test/long.sh", Text: `$1 & echo $$; (trap "" TERM; $1; $1); wait`}, Argv: []string{long}, Stdout: out})
		failed <- err
	}()
	select {
	case <-out.lines:
	case err := <-failed:
		t.Fatal(err)
	}
	began := time.Now()
	cancel()
	err := <-failed
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was ended") {
		t.Errorf("got %v", err)
	}
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
	processes, err := g.guest.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		if strings.Contains(process, long) {
			t.Errorf("still runs: %s", process)
		}
	}
}

// daemon starts what init scripts of long ago start: something that lives on
// with the output that it was given.
func (g *guestTest) daemon(t *testing.T, h Host) {
	t.Helper()
	began := time.Now()
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/daemon.sh", Text: "setsid sleep 30 & echo $!"}))
	if err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > pace.Limit(5*time.Second) {
		t.Errorf("came back after %s", took)
	}
	if _, err := h.Run(t.Context(), Exec("kill", strings.TrimSpace(string(result.Stdout)))); err != nil {
		t.Error(err)
	}
}

func (g *guestTest) refusals(t *testing.T) {
	for _, wrong := range []struct {
		cfg  Config
		says []string
	}{
		{g.login("admin", Become{Method: "sudo"}), []string{"asks user \"admin\" for a password", "become.password", g.guest.Name}},
		{g.login("admin", Become{Method: "sudo", Password: "wrong-guess"}), []string{"does not take user \"admin\"'s password", "become.password"}},
		{g.login("operator", Become{Method: "doas"}), []string{"doas", g.guest.Name}},
	} {
		_, h := one(t, wrong.cfg)
		began := time.Now()
		_, err := h.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: strings.NewReader("data")})
		if err == nil {
			t.Fatalf("%v worked", wrong.cfg.Become)
		}
		if _, ok := ExitCode(err); ok || strings.Contains(err.Error(), "wrong-guess") || time.Since(began) > pace.Limit(20*time.Second) {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		for _, want := range wrong.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error lacks %q:\n%v", want, err)
			}
		}
		t.Log(err)
	}
	if g.guest.Kind == lab.Trixie {
		_, h := one(t, g.login("doasuser", Become{Method: "doas", Password: "wrong-guess"}))
		_, err := h.Run(t.Context(), Exec("true"))
		if err == nil || !strings.Contains(err.Error(), "doas does not take") {
			t.Errorf("got %v", err)
		}
		t.Log(err)
		_, h = one(t, g.login("doasuser", Become{Method: "doas"}))
		_, err = h.Run(t.Context(), Exec("true"))
		if err == nil || !strings.Contains(err.Error(), "become.password") {
			t.Errorf("got %v", err)
		}
		_, h = one(t, g.login("doasuser", Become{Method: "sudo", Password: "doasuser-secret"}))
		_, err = h.Run(t.Context(), Exec("true"))
		if err == nil || !strings.Contains(err.Error(), "add a rule") {
			t.Errorf("got %v", err)
		}
		t.Log(err)
	}
	if _, err := g.guest.RunInput(t.Context(), "Defaults:operator requiretty\n", "sh", "-c", "umask 227; cat >/etc/sudoers.d/test"); err != nil {
		t.Fatal(err)
	}
	defer g.guest.Run(context.Background(), "rm", "/etc/sudoers.d/test") //nolint:errcheck // the lab is thrown away
	_, h := one(t, g.login("operator", Become{Method: "sudo"}))
	if _, err := h.Run(t.Context(), Exec("true")); err == nil || !strings.Contains(err.Error(), "!requiretty") {
		t.Errorf("got %v", err)
	}
}

func (g *guestTest) fewSessions(t *testing.T) {
	g.sshd(t, 2202, "MaxSessions=2")
	logins := []Config{g.login("root", Become{}), g.login("admin", Become{Method: "sudo", Password: "admin-secret"})}
	if g.guest.Kind == lab.Trixie { // takes two at a time
		logins = append(logins, g.login("doasuser", Become{Method: "doas", Password: "doasuser-secret"}))
	}
	for _, cfg := range logins {
		cfg.Port, cfg.KnownHostsPath, cfg.HostKeys = 2202, "", []string{g.guest.HostKey}
		_, h := one(t, cfg)
		patience, giveUp := context.WithTimeout(t.Context(), pace.Limit(30*time.Second))
		defer giveUp()
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if _, err := h.Run(patience, Exec("sleep", "0.1")); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if _, err := h.ReadFile(patience, "/etc/passwd"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Run(ctx, Exec("sleep", "4713")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "was ended") {
			t.Errorf("got %v", err)
		}
	}
}

func (g *guestTest) noForwarding(t *testing.T) {
	g.sshd(t, 2203, "AllowTcpForwarding=no")
	cfg := g.login("root", Become{})
	cfg.Port, cfg.KnownHostsPath, cfg.HostKeys = 2203, "", []string{g.guest.HostKey}
	_, h := one(t, cfg)
	if _, err := h.Dial(t.Context(), "tcp", "127.0.0.1:22"); err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", err)
	}
	last := g.login("root", Become{})
	last.Bastions = []Config{cfg}
	if err := works(t, last); err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", err)
	}
}

// agent logs in with OpenSSH's own agent.
func (g *guestTest) agent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer agent.Wait() //nolint:errcheck // it is killed
	defer agent.Process.Kill()
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	add := exec.Command("ssh-add", g.lab.KeyPath())
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cfg := g.login("root", Become{})
	cfg.PrivateKeyPath, cfg.Agent = "", nil
	cfg.SSHConfigPath = writeFile(t, "config", "IdentityAgent "+socket+"\n")
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
}

// cutLine pulls the cable under a command, and plugs it in again.
func (g *guestTest) cutLine(t *testing.T) {
	cfg := g.login("root", Become{})
	cfg.KeepaliveInterval = pace.Limit(300 * time.Millisecond)
	cfg.ConnectTimeout = 20 * time.Second
	_, h := one(t, cfg)
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Exec("sleep", fmt.Sprint(pace.Limit(6*time.Second).Seconds())))
		failed <- err
	}()
	time.Sleep(500 * time.Millisecond)
	if err := g.guest.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err := <-failed
	if err == nil || !strings.Contains(err.Error(), "not known") || time.Since(began) > pace.Limit(5*time.Second) {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	time.AfterFunc(time.Second, func() {
		if err := g.guest.Mend(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Errorf("after the line was mended: %v", err)
	}
}

// legacy logs in to an sshd that speaks only what one of long ago spoke.
func (g *guestTest) legacy(t *testing.T) {
	g.sshd(t, 2204, "KexAlgorithms=diffie-hellman-group1-sha1", "Ciphers=aes128-cbc", "MACs=hmac-sha1", "HostKeyAlgorithms=ssh-rsa")
	key, err := g.guest.Run(t.Context(), "cat", "/etc/ssh/ssh_host_rsa_key.pub")
	if err != nil {
		t.Fatal(err)
	}
	cfg := g.login("root", Become{})
	cfg.Port, cfg.KnownHostsPath, cfg.HostKeys = 2204, "", []string{key}
	if err := works(t, cfg); err == nil || !strings.Contains(err.Error(), "legacy_algorithms") {
		t.Errorf("got %v", err)
	}
	cfg.LegacyAlgorithms = true
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
}

// nothingLeft fails the test for a file or a process of ours on the guest.
func (g *guestTest) nothingLeft(t *testing.T) {
	t.Helper()
	found, err := g.guest.Run(t.Context(), "find", "/etc", "/var", "/run", "/tmp", "/root", "/home", "-name", "*cutover*")
	if err != nil || strings.TrimSpace(found) != "" {
		t.Errorf("left on %s: %q, %v", g.guest.Name, found, err)
	}
	ours := regexp.MustCompile(`cutover-|sftp-server|sleep [0-9]`)
	var left []string
	// What ran when the line was cut comes to its end.
	for due := time.Now().Add(pace.Limit(10 * time.Second)); time.Now().Before(due); {
		processes, err := g.guest.Processes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(processes, func(process string) bool { return !ours.MatchString(process) })
		if len(left) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("left on %s: %q", g.guest.Name, left)
}
