package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// expandProxyCommand replaces the tokens that ssh_config(5) gives for a ProxyCommand.
func (t *target) expandProxyCommand(command string) string {
	name := t.Address
	if name == "" {
		name = t.Name
	}
	return strings.NewReplacer("%%", "%", "%h", t.host, "%k", or(t.alias, t.host), "%n", strings.Trim(name, "[]"),
		"%p", t.port, "%r", t.login).Replace(command)
}

// proxyConn is a connection over the standard input and output of a command.
type proxyConn struct {
	io.WriteCloser // the command's input
	output         *os.File
	over           atomic.Bool // its output has ended
	command        *exec.Cmd
	name           string // the program alone: its arguments can hold a password
	said           tail   // what it wrote to its standard error
	ended          chan struct{}
	closing        sync.Once
}

// dialProxyCommand starts the ProxyCommand of t. As with ssh, the user's shell
// runs it.
func (t *target) dialProxyCommand() (*proxyConn, error) {
	c := &proxyConn{command: shellCommand("exec " + t.proxyCommand), name: strings.Fields(t.proxyCommand)[0], ended: make(chan struct{})}
	// Pipes of our own: those of exec.Cmd are closed when the command ends, with
	// what it has said last.
	output, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.output, c.command.Stdout, c.command.Stderr = output, ours, &c.said
	c.command.WaitDelay = time.Second
	if c.WriteCloser, err = c.command.StdinPipe(); err == nil {
		err = c.command.Start()
	}
	ours.Close()
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("host %q: unable to run the ProxyCommand of ssh_config (%s): %w", t.Name, c.name, err)
	}
	go func() {
		defer close(c.ended)
		c.command.Wait() //nolint:errcheck // explain tells it
	}()
	return c, nil
}

// Read reads the command's output.
func (c *proxyConn) Read(p []byte) (int, error) {
	n, err := c.output.Read(p)
	if errors.Is(err, io.EOF) {
		c.over.Store(true)
	}
	return n, err
}

// Close ends the command, and whatever it has started.
func (c *proxyConn) Close() error {
	c.closing.Do(func() {
		c.WriteCloser.Close()
		if c.over.Load() { // it is about to end, and may still have to say why
			c.endsWithin(time.Second)
		}
		if !c.endsWithin(0) { // else its number may be another's by now
			hangUp(c.command)
		}
		if !c.endsWithin(time.Second) {
			kill(c.command)
			<-c.ended
		}
		c.output.Close()
	})
	return nil
}

func (c *proxyConn) endsWithin(span time.Duration) bool {
	select {
	case <-c.ended:
		return true
	default:
	}
	select {
	case <-c.ended:
		return true
	case <-time.After(span):
		return false
	}
}

// errProxyEnded is a ProxyCommand that did not reach the host. It may later.
var errProxyEnded = errors.New("there is no connection")

// explain adds to an error of the connection what the command said and how it ended.
func (c *proxyConn) explain(err error) error {
	if !c.endsWithin(100 * time.Millisecond) { // the fault is on the way behind it
		return fmt.Errorf("through the ProxyCommand of ssh_config (%s): %w", c.name, err)
	}
	state := c.command.ProcessState
	ended := fmt.Sprintf("the ProxyCommand of ssh_config (%s) ended with %s and said: %s", c.name, state, or(c.said.String(), "nothing"))
	if code := state.ExitCode(); code == 126 || code == 127 { // POSIX shells: not executable, not found
		return errors.New(ended)
	}
	return fmt.Errorf("%s; %w", ended, errProxyEnded)
}

// LocalAddr, RemoteAddr and the deadlines are part of net.Conn; a pipe has none.
func (c *proxyConn) LocalAddr() net.Addr              { return proxyAddr{} }
func (c *proxyConn) RemoteAddr() net.Addr             { return proxyAddr{} }
func (c *proxyConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *proxyConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *proxyConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

var _ net.Conn = (*proxyConn)(nil)

type proxyAddr struct{}

func (proxyAddr) Network() string { return "pipe" }
func (proxyAddr) String() string  { return "ProxyCommand" }

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
