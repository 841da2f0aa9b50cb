package host

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

func TestListen(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	pool := NewPool(s.reach(plain))
	defer pool.Close()
	h, err := pool.Host(s.reach(plain).Name)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := h.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	}()
	caller, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	if _, err := io.WriteString(caller, "hello"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(caller, answer); err != nil || string(answer) != "hello" {
		t.Errorf("%q, %v", answer, err)
	}

	// It ends with the connection, and says so.
	pool.Close()
	if conn, err := listener.Accept(); err == nil {
		t.Errorf("a connection from %s on a host that is gone", conn.RemoteAddr())
	}
}

func TestListenRefused(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey()), NoForward: true}).start(t)
	pool := NewPool(s.reach(plain))
	defer pool.Close()
	h, err := pool.Host(s.reach(plain).Name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") || !strings.Contains(err.Error(), h.Name()) {
		t.Errorf("%v", err)
	}
	if _, err := h.Listen(context.Background(), "tcp", "localhost:0"); err == nil {
		t.Error("a name is taken for an address")
	}
}
