package syncpass

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// greeter is an sshd so far: it greets, and repeats what it is told.
func greeter(t *testing.T, banner string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintf(conn, "%s\r\n", banner)
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestRelay(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	sshd := greeter(t, from.Ident.ServerVersion)
	another := greeter(t, "SSH-2.0-OpenSSH_9.9 of a jail")
	dialled := make(chan string, 10)
	from.OnDial(func(network, address string) (net.Conn, error) {
		dialled <- address
		switch address {
		case "192.0.2.7:2222":
			return net.Dial(network, sshd)
		case "127.0.0.1:2222":
			return net.Dial(network, another)
		}
		return nil, errors.New("refused")
	})
	var port net.Listener
	to.OnListen(func(network, address string) (listener net.Listener, err error) {
		port, err = net.Listen(network, address)
		return port, err
	})
	s := survey{from: from.Ident, to: to.Ident, old: oldAnswer, new: newAnswer}
	s.old.Listening = []string{"[::]:2222", "0.0.0.0:2222", "192.0.2.7:2222"}
	p := thePass
	p.Route = Operator
	r, err := p.openRelay(context.Background(), from, to, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-dialled + " " + <-dialled + " " + <-dialled; got != "[::1]:2222 127.0.0.1:2222 192.0.2.7:2222" {
		t.Errorf("looked for sshd at %s", got)
	}
	conn, err := net.Dial("tcp", r.near.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || line != from.Ident.ServerVersion+"\r\n" {
		t.Errorf("greeted with %q, %v", line, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("answered %q, %v", line, err)
	}

	s.relay = r
	l, err := p.plan(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if config := l.prepare.SSHConfig; !strings.Contains(config, fmt.Sprintf("\nHostName 127.0.0.1\nPort %d\n", r.near.Port())) ||
		!strings.Contains(config, "\nHostKeyAlias cutover-pass-"+chain+"\n") {
		t.Errorf("ssh_config is\n%s", config)
	}
	if got := strings.Join(l.admit.From, ","); got != "127.0.0.1,::1,192.0.2.1,192.0.2.7" {
		t.Errorf("the key is let in from %s", got)
	}

	// With the relay its connections end, and its port.
	r.close()
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the connection outlives the relay")
	}
	// Its number may belong to somebody else by now, so nobody dials it.
	if _, err := port.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the port outlives the relay: %v", err)
	}
}

// A host that forbids forwarding is named, and so is what to do.
func TestRelayForbidden(t *testing.T) {
	t.Parallel()
	p := thePass
	p.Route = Operator
	for name, c := range map[string]struct {
		dial   func(network, address string) (net.Conn, error)
		listen func(network, address string) (net.Listener, error)
		says   []string
	}{
		"old": {
			func(string, string) (net.Conn, error) { return nil, errors.New(`on host "old": forbidden`) }, nil,
			[]string{`"old"`, "AllowTcpForwarding yes or local", "from_address"},
		},
		"new": {
			func(network, _ string) (net.Conn, error) {
				return net.Dial(network, greeter(t, "SSH-2.0-OpenSSH_8.4p1 Debian-5"))
			},
			func(string, string) (net.Listener, error) { return nil, errors.New(`on host "new": forbidden`) },
			[]string{`"new"`, "AllowTcpForwarding yes or remote"},
		},
	} {
		from, to := twoHosts(t)
		from.OnDial(c.dial)
		to.OnListen(c.listen)
		_, err := p.openRelay(context.Background(), from, to, survey{from: from.Ident, to: to.Ident})
		for _, text := range c.says {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q is not in %v", name, text, err)
			}
		}
	}
}

func TestSSHDAddresses(t *testing.T) {
	t.Parallel()
	s := survey{from: host.Identity{Address: "203.0.113.1", Port: 2200}}
	s.old.Listening = []string{"0.0.0.0:22", "10.0.0.1:23", "nonsense"}
	for want, p := range map[string]Pass{
		"127.0.0.1:22 10.0.0.1:23 127.0.0.1:2200 [::1]:2200 203.0.113.1:2200": {},
		"old.lan:2200":                         {FromAddress: "old.lan"},
		"old.lan:24":                           {FromAddress: "old.lan", FromPort: 24},
		"127.0.0.1:24 [::1]:24 203.0.113.1:24": {FromPort: 24},
	} {
		if got := strings.Join(p.sshdAddresses(s), " "); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
