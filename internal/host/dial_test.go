package host

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func newECDSAKey(t testing.TB) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestTwoBastions(t *testing.T) {
	t.Parallel()
	first, firstSigner := keyText(t, "")
	second, secondSigner := keyText(t, "")
	last, lastSigner := keyText(t, "")
	a := (&server{Config: authorize(firstSigner.PublicKey())}).start(t)
	b := (&server{Config: authorize(secondSigner.PublicKey())}).start(t)
	c := (&server{Config: authorize(lastSigner.PublicKey())}).start(t)

	cfg := c.reach(last)
	hop1, hop2 := a.reach(first), b.reach(second)
	hop1.Name, hop2.Name = "gate", "hall"
	cfg.Bastions = []Config{hop1, hop2}
	if err := works(t, cfg); err != nil {
		t.Fatal(err)
	}
	if a.forwards.Load() != 1 || b.forwards.Load() != 1 || a.execs.Load() != 0 {
		t.Errorf("forwards %d and %d, commands on the bastion %d", a.forwards.Load(), b.forwards.Load(), a.execs.Load())
	}

	hop2.HostKeys = []string{authorizedForm(newKey(t).PublicKey())}
	cfg.Bastions = []Config{hop1, hop2}
	refuses(t, cfg, `"hall"`, "host_key pins")

	a.NoForward = true
	hop2.HostKeys = b.pin()
	cfg.Bastions = []Config{hop1, hop2}
	refuses(t, cfg, "AllowTcpForwarding")
}

func TestProxyJumpOfSSHConfig(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	a := (&server{Config: authorize(signer.PublicKey())}).start(t)
	b := (&server{Config: authorize(signer.PublicKey())}).start(t)
	key := writeFile(t, "id", plain)
	known := knownHosts(t, fmt.Sprintf("[127.0.0.1]:%d %s", a.port(), a.pin()[0]), fmt.Sprintf("[127.0.0.1]:%d %s", b.port(), b.pin()[0]))
	cfg := b.reach("")
	cfg.HostKeys, cfg.Address, cfg.Port, cfg.User = nil, "old", 0, ""
	cfg.SSHConfigPath = writeFile(t, "config", fmt.Sprintf(`
Host old
  HostName 127.0.0.1
  Port %d
  ProxyJump guest@gate
Host gate
  HostName 127.0.0.1
  Port %d
Host *
  User root
  IdentityFile %s
  UserKnownHostsFile %s
`, b.port(), a.port(), key, known))
	if err := works(t, cfg); err != nil {
		t.Fatal(err)
	}
	if a.forwards.Load() != 1 {
		t.Error("not through the jump host")
	}
	cfg.SSHConfigPath = writeFile(t, "config", "ProxyJump a\n")
	refuses(t, cfg, "jumphost loop via a")
}

// pipe is this program as a ProxyCommand that connects to an address.
func pipe(t *testing.T, address string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("env CUTOVER_TEST_PIPE=%s %s -test.run=^TestPipe$", address, program)
}

func TestPipe(t *testing.T) {
	address := os.Getenv("CUTOVER_TEST_PIPE")
	if address == "" {
		return // run by go test, and not as a ProxyCommand
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pipe:", err)
		os.Exit(1)
	}
	go io.Copy(conn, os.Stdin)
	io.Copy(os.Stdout, conn)
	os.Exit(0)
}

func TestProxyCommand(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	cfg := s.reach(plain)
	cfg.Address, cfg.ConnectTimeout = "old.example.net", 2*time.Second // a name that nobody resolves
	marker := filepath.Join(t.TempDir(), "command")
	command := func(command string) {
		cfg.SSHConfigPath = writeFile(t, "config", "ProxyCommand "+command+"\n")
	}
	// Its pipe is the connection, the tokens are replaced, and it ends with the connection.
	command("sh -c 'echo $$ %h %p %r >" + marker + "; " + pipe(t, s.Addr) + "'")
	pool, h := one(t, cfg)
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	var pid, port int
	var name, login string
	if _, err := fmt.Sscan(string(text), &pid, &name, &port, &login); err != nil || name != "old.example.net" || port != s.port() || login != "root" {
		t.Errorf("%s, %v", text, err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(pace.Limit(5 * time.Second)); syscall.Kill(-pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the ProxyCommand lives on after its connection")
		}
	}
	// The way to a bastion, and from there on.
	gate := cfg
	gate.Name, gate.Address = "gate", "gate.example.net"
	behind := s.reach(plain)
	behind.Bastions = []Config{gate}
	if err := works(t, behind); err != nil {
		t.Error(err)
	}
	// What it says is told, but not what it was given: that can hold a password.
	cfg.SSHConfigPath = writeFile(t, "config", "ProxyCommand sh -c 'echo no way out >&2; exit 3' secret\n")
	err = works(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "exit status 3 and said: no way out") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	command("no-such-program --password secret")
	if err := refuses(t, cfg, "no-such-program", "exit status 127", "not found"); strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	command("cat") // answers, but is no sshd
	if err := works(t, cfg); err == nil || !strings.Contains(err.Error(), "ProxyCommand of ssh_config (cat)") {
		t.Errorf("got %v", err)
	}
	command("sleep 100")
	if err := works(t, cfg); err == nil || !strings.Contains(err.Error(), "no answer within connect_timeout") {
		t.Errorf("got %v", err)
	}
}

func TestDialFromTheHost(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	s, _, h := simple(t, nil)
	conn, err := h.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, "hello")
	answer := make([]byte, 6)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "hello\n" {
		t.Errorf("%q, %v", answer, err)
	}
	conn.Close()
	s.NoForward = true
	if _, err := h.Dial(t.Context(), "tcp", listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", err)
	}
}

// silent is an address that accepts connections, in the kernel, and says nothing.
func silent(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// closed is an address at which nobody listens.
func closed(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestConnectIsTriedAgainUntilItsTimeout(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	address := closed(t)
	s := &server{Config: authorize(signer.PublicKey()), HostKey: newKey(t), Addr: address}
	cfg := s.reach(plain)
	_, h := one(t, cfg)
	result := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Exec("true"))
		result <- err
	}()
	time.Sleep(700 * time.Millisecond)
	s.start(t)
	if err := <-result; err != nil {
		t.Errorf("a host that boots is not waited for: %v", err)
	}

	s.stop()
	cfg.ConnectTimeout = time.Second
	_, h = one(t, cfg)
	began := time.Now()
	_, err := h.Run(t.Context(), Exec("true"))
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > pace.Limit(3*time.Second) {
		t.Errorf("took %s", took)
	}
}

func TestConnectToAServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	address := silent(t)
	plain, _ := keyText(t, "")
	s := &server{Addr: address, HostKey: newKey(t)}
	cfg := s.reach(plain)
	cfg.ConnectTimeout = 300 * time.Millisecond
	_, h := one(t, cfg)
	began := time.Now()
	_, err := h.Run(t.Context(), Exec("true"))
	if !errors.Is(err, errConnectTimeout) || time.Since(began) > pace.Limit(3*time.Second) {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
	cfg.ConnectTimeout = time.Minute
	_, h = one(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err = h.Run(ctx, Exec("true")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLegacyAlgorithms(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	config := authorize(signer.PublicKey())
	config.KeyExchanges = []string{ssh.InsecureKeyExchangeDH1SHA1}
	config.Ciphers = []string{ssh.InsecureCipherAES128CBC}
	config.MACs = []string{ssh.InsecureHMACSHA196}
	s := (&server{Config: config}).start(t)
	cfg := s.reach(plain)
	refuses(t, cfg, "legacy_algorithms")
	cfg.LegacyAlgorithms = true
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
}

func TestUnknownHostName(t *testing.T) {
	t.Parallel()
	pool := NewPool(Config{Name: "old"}, Config{Name: "new"})
	defer pool.Close()
	if _, err := pool.Host("odl"); err == nil || !strings.Contains(err.Error(), `"new", "old"`) {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it counts the goroutines of the whole process.
func TestNoGoroutineIsLeftBehind(t *testing.T) {
	plain, signer := keyText(t, "")
	bastion := (&server{Config: authorize(signer.PublicKey())}).start(t)
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	use := func() {
		cfg := s.reach(plain)
		cfg.Bastions = []Config{bastion.reach(plain)}
		pool := NewPool(cfg)
		h, err := pool.Host("old")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), Exec("true")); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ReadFile(t.Context(), "/etc/passwd"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := h.Run(ctx, Exec("sleep", "100")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := pool.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), Exec("true")); err == nil {
			t.Error("a closed pool connects again")
		}
	}
	use()
	settled := func() (n int) {
		for range 50 {
			if runtime.GC(); runtime.NumGoroutine() == n {
				return n
			}
			n = runtime.NumGoroutine()
			time.Sleep(50 * time.Millisecond)
		}
		return n
	}
	before := settled()
	for range 5 {
		use()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
}

// Of many who need a host that is out of reach not each one waits for as long as it takes
// to find that out, and a login that is refused is not tried by each.
func TestManyLearnOfAFailureAtOnce(t *testing.T) {
	t.Parallel()
	address := silent(t)
	plain, _ := keyText(t, "")
	s := &server{Addr: address, HostKey: newKey(t)}
	cfg := s.reach(plain)
	cfg.ConnectTimeout = time.Second
	_, h := one(t, cfg)
	began := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			// As of resources one after the other.
			for range 3 {
				if _, err := h.Run(t.Context(), Exec("true")); !errors.Is(err, errConnectTimeout) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > pace.Limit(5*time.Second) {
		t.Errorf("20 callers with 3 questions each waited %s for a host that answers nobody within a second", took)
	}

	_, signer := keyText(t, "")
	refusing := (&server{Config: authorize(signer.PublicKey())}).start(t)
	_, h = one(t, refusing.reach(plain))
	for range 20 {
		all.Go(func() {
			if _, err := h.Run(t.Context(), Exec("true")); err == nil {
				t.Error("a key that is not allowed was let in")
			}
		})
	}
	all.Wait()
	if n := refusing.accepted.Load(); n > 5 {
		t.Errorf("%d connections for a login that is refused", n)
	}
}

// What failed is tried again, once it took as long again.
func TestAFailureIsForgotten(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	address := closed(t)
	s := &server{Config: authorize(signer.PublicKey()), HostKey: newKey(t), Addr: address}
	cfg := s.reach(plain)
	cfg.ConnectTimeout = 200 * time.Millisecond
	_, h := one(t, cfg)
	if _, err := h.Run(t.Context(), Exec("true")); err == nil {
		t.Fatal("nobody listens, and still it works")
	}
	s.start(t)
	var err error
	for deadline := time.Now().Add(pace.Limit(5 * time.Second)); ; time.Sleep(20 * time.Millisecond) {
		if _, err = h.Run(t.Context(), Exec("true")); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Errorf("the host is there again, and still: %v", err)
	}
}
