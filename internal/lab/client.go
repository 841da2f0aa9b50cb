package lab

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
)

// Client is a network namespace with addresses of its own on the lab's bridge,
// in which programs of this machine run.
type Client struct {
	Name, Address, Address6 string

	pid int // of a process in its network namespace
}

// StartClient makes a client.
func (l *Lab) StartClient(ctx context.Context, name string) (*Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	number := firstClient + len(l.clients)
	if number > lastClient {
		return nil, fmt.Errorf("client %s: a lab has room for %d clients", name, lastClient-firstClient+1)
	}
	v4, v6 := l.address(number)
	c := &Client{Name: name, Address: v4, Address6: v6}
	cgroup := fmt.Sprintf("%s/client%d", cgroupOf(l.index), number)
	keeper, err := startSleeper(ctx, l.onBridge("client.sh", append([]string{cgroup}, l.plugArguments('c', number)...)...))
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", name, err)
	}
	c.pid = keeper.pid
	l.clients = append(l.clients, keeper)
	return c, nil
}

// Run runs a program of this machine (curl, swaks, nc) in the client's network
// namespace and returns its standard output; the error has its standard error.
func (c *Client) Run(ctx context.Context, argv ...string) (string, error) {
	args := append([]string{"--net", "--target", strconv.Itoa(c.pid), "--"}, argv...)
	return run(exec.CommandContext(ctx, "nsenter", args...), "client "+c.Name+": "+strings.Join(argv, " "))
}

// Dial connects from the client's namespace. The address must be literal.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	// A name would be looked up, and then dialled, on other threads.
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("client %s: %q is not an address", c.Name, host)
	}
	var conn net.Conn
	err = inNetwork(c.pid, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
