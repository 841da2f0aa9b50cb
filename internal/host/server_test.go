package host

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// server is an SSH server in this process. It runs commands by a real shell,
// in a session of their own as sshd does, so that what they do is real.
type server struct {
	t         testing.TB
	Addr      string
	HostKey   ssh.Signer
	Config    *ssh.ServerConfig
	Shell     []string // how an exec line is run; nil is /bin/sh -c
	MaxSess   int      // refuse more sessions on a connection
	NoExec    bool     // refuse exec
	NoForward bool

	mu       sync.Mutex
	conns    []net.Conn
	listener net.Listener
	accepted atomic.Int64
	execs    atomic.Int64
	top      atomic.Int64 // most sessions at a time on one connection
	forwards atomic.Int64
	frozen   atomic.Bool // answers nothing any more, but keeps the connections
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// keyText returns a new key, its OpenSSH form and a signer of it.
func keyText(t testing.TB, passphrase string) (string, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), signer
}

// authorize makes a server configuration that takes these keys.
func authorize(keys ...ssh.PublicKey) *ssh.ServerConfig {
	return &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, known := range keys {
			if sameKey(known, key) {
				return nil, nil
			}
		}
		return nil, errors.New("unknown key")
	}}
}

// start listens on loopback until the test ends.
func (s *server) start(t testing.TB) *server {
	t.Helper()
	s.t = t
	if s.HostKey == nil {
		s.HostKey = newKey(t)
	}
	s.Config.AddHostKey(s.HostKey)
	address := "127.0.0.1:0"
	if s.Addr != "" {
		address = s.Addr
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.listener, s.Addr = listener, listener.Addr().String()
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			done.Add(1)
			go func() {
				defer done.Done()
				s.serve(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		s.stop()
		done.Wait()
	})
	return s
}

// cut resets all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
	s.conns = nil
}

func (s *server) stop() {
	s.listener.Close()
	s.cut()
}

func (s *server) port() int {
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	return n
}

// pin is the host key as a Config has it.
func (s *server) pin() []string { return []string{authorizedForm(s.HostKey.PublicKey())} }

// frozenConn keeps what it has read when the server is frozen.
type frozenConn struct {
	net.Conn
	frozen *atomic.Bool
}

func (c frozenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for c.frozen.Load() && err == nil {
		time.Sleep(10 * time.Millisecond)
		if _, err = c.Conn.Write(nil); err != nil {
			return 0, err
		}
	}
	return n, err
}

func (s *server) serve(raw net.Conn) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(frozenConn{raw, &s.frozen}, s.Config)
	if err != nil {
		return
	}
	var open atomic.Int64
	var done sync.WaitGroup
	defer done.Wait()
	defer conn.Close()
	done.Add(1)
	go func() {
		defer done.Done()
		var listeners []net.Listener
		defer func() {
			for _, listener := range listeners {
				listener.Close()
			}
		}()
		for request := range requests {
			switch {
			case request.Type == "tcpip-forward" && !s.NoForward:
				listeners = append(listeners, s.listen(conn, request))
			case request.WantReply:
				request.Reply(false, nil)
			}
		}
	}()
	for channel := range channels {
		switch channel.ChannelType() {
		case "session":
			n := open.Add(1)
			if s.MaxSess > 0 && n > int64(s.MaxSess) {
				open.Add(-1)
				channel.Reject(ssh.ConnectionFailed, "open failed")
				continue
			}
			for top := s.top.Load(); n > top && !s.top.CompareAndSwap(top, n); top = s.top.Load() {
			}
			ch, reqs, err := channel.Accept()
			if err != nil {
				return
			}
			done.Add(1)
			go func() {
				defer done.Done()
				s.session(ch, reqs)
				open.Add(-1)
				ch.Close()
			}()
		case "direct-tcpip":
			if s.NoForward {
				channel.Reject(ssh.Prohibited, "administratively prohibited")
				continue
			}
			s.forwards.Add(1)
			done.Add(1)
			go func() {
				defer done.Done()
				s.forward(channel)
			}()
		default:
			channel.Reject(ssh.UnknownChannelType, "no")
		}
	}
}

func (s *server) forward(channel ssh.NewChannel) {
	var to struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}
	if err := ssh.Unmarshal(channel.ExtraData(), &to); err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, reqs, err := channel.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		io.Copy(ch, conn)
		ch.Close()
	}()
	io.Copy(conn, ch)
	conn.Close()
}

// listen serves tcpip-forward: each connection becomes a channel to the client.
func (s *server) listen(conn ssh.Conn, request *ssh.Request) net.Listener {
	var at struct {
		Address string
		Port    uint32
	}
	ssh.Unmarshal(request.Payload, &at)
	listener, err := net.Listen("tcp", net.JoinHostPort(at.Address, strconv.Itoa(int(at.Port))))
	if err != nil {
		panic(err)
	}
	port := uint32(listener.Addr().(*net.TCPAddr).Port)
	request.Reply(true, ssh.Marshal(struct{ Port uint32 }{port}))
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			ch, reqs, err := conn.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
				Address string
				Port    uint32
				Origin  string
				From    uint32
			}{at.Address, port, "127.0.0.1", 1}))
			if err != nil {
				caller.Close()
				continue
			}
			go ssh.DiscardRequests(reqs)
			go func() {
				io.Copy(ch, caller)
				ch.Close()
			}()
			go func() {
				io.Copy(caller, ch)
				caller.Close()
			}()
		}
	}()
	return listener
}

func (s *server) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		switch request.Type {
		case "subsystem":
			request.Reply(true, nil)
			server, err := sftp.NewServer(ch)
			if err == nil {
				server.Serve()
			}
			return
		case "exec":
			if s.NoExec {
				request.Reply(false, nil)
				continue
			}
			s.execs.Add(1)
			request.Reply(true, nil)
			var line struct{ Command string }
			ssh.Unmarshal(request.Payload, &line)
			s.run(ch, requests, line.Command)
			return
		default:
			if request.WantReply {
				request.Reply(false, nil)
			}
		}
	}
}

// run does what sshd does with a command: the exit status goes out when it
// ends, the channel is closed when all that hold its output have.
func (s *server) run(ch ssh.Channel, requests <-chan *ssh.Request, line string) {
	shell := s.Shell
	if shell == nil {
		shell = []string{"/bin/sh", "-c"}
	}
	cmd := exec.Command(shell[0], append(append([]string{}, shell[1:]...), line)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	outW.Close()
	errW.Close()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for request := range requests {
			if request.WantReply {
				request.Reply(false, nil)
			}
		}
	}()
	go func() {
		io.Copy(stdin, ch)
		stdin.Close()
	}()
	var output sync.WaitGroup
	output.Add(2)
	go func() { defer output.Done(); io.Copy(ch, outR) }()
	go func() { defer output.Done(); io.Copy(ch.Stderr(), errR) }()
	drained := make(chan struct{})
	go func() { output.Wait(); close(drained) }()
	err = cmd.Wait()
	var exit *exec.ExitError
	status := 0
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	}
	if exit != nil && exit.Sys().(syscall.WaitStatus).Signaled() {
		name := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGSEGV: "SEGV"}[exit.Sys().(syscall.WaitStatus).Signal()]
		<-drained
		ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal string
			Core   bool
			Msg    string
			Lang   string
		}{Signal: name}))
		return
	}
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(status)}))
	select {
	case <-drained:
	case <-closed: // the client went away; as sshd, let go of the output
	}
	outR.Close()
	errR.Close()
}

// knownHosts writes a known_hosts file.
func knownHosts(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	var text bytes.Buffer
	for _, line := range lines {
		fmt.Fprintln(&text, line)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reach makes a Config for a server that takes the key. It never reads this
// machine's own ssh_config or agent.
func (s *server) reach(key string) Config {
	no := false
	return Config{
		Name: "old", Address: "127.0.0.1", Port: s.port(), User: "root", PrivateKey: key, HostKeys: s.pin(),
		Agent: &no, SSHConfigPath: "none", ConnectTimeout: 20 * time.Second,
	}
}

// one returns the one host of a pool that the test closes.
func one(t testing.TB, cfg Config) (*Pool, Host) {
	t.Helper()
	pool := NewPool(cfg)
	t.Cleanup(func() { pool.Close() })
	h, err := pool.Host(cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	return pool, h
}

// simple starts a server and returns a host that reaches it.
func simple(t testing.TB, change func(*server, *Config)) (*server, *Pool, Host) {
	t.Helper()
	text, signer := keyText(t, "")
	s := &server{Config: authorize(signer.PublicKey())}
	cfg := Config{}
	if change != nil {
		change(s, &cfg)
	}
	s.start(t)
	reach := s.reach(text)
	reach.KeepaliveInterval = cfg.KeepaliveInterval
	if cfg.ConnectTimeout != 0 {
		reach.ConnectTimeout = cfg.ConnectTimeout
	}
	reach.Log = cfg.Log
	pool, h := one(t, reach)
	return s, pool, h
}
