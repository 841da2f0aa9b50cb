package check

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

// web is a web server that fails its first answers with 503.
func web(t *testing.T, failures int64) (address string, port int) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= failures {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "<title>"+r.Host+"</title>")
	}))
	t.Cleanup(server.Close)
	at := server.Listener.Addr().(*net.TCPAddr)
	return at.IP.String(), at.Port
}

func TestTriesUntilItWorks(t *testing.T) {
	t.Parallel()
	address, port := web(t, 2)
	c := Check{Address: address, Port: port, Request: probe.Request{Protocol: "http", ServerName: "www.example.test"},
		Timeout: 10 * time.Second, Interval: 10 * time.Millisecond, Attempt: 5 * time.Second}
	got, err := c.Do(context.Background())
	if err != nil || got.Err != nil || got.Attempts != 3 || got.Answer.Title != "www.example.test" || got.Answer.Status != 200 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	address, port := web(t, 1<<40)
	c := Check{Address: address, Port: port, Request: probe.Request{Protocol: "http"}, Timeout: pace.Limit(200 * time.Millisecond), Interval: 20 * time.Millisecond, Attempt: 5 * time.Second}
	got, err := c.Do(context.Background())
	if err != nil || got.Err == nil || got.Attempts < 2 || !strings.Contains(got.Err.Error(), "503 Service Unavailable") || !strings.Contains(got.Err.Error(), "tried") {
		t.Errorf("%+v, %v", got, err)
	}
	// A status that is expected is no failure, whatever it is.
	c.Request.ExpectStatus = 503
	if got, err := c.Do(context.Background()); err != nil || got.Err != nil {
		t.Errorf("503 expected: %+v, %v", got, err)
	}
}

func TestRefusedAndSilent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	c := Check{Address: "127.0.0.1", Port: port, Request: probe.Request{Protocol: "smtp"}, Timeout: 300 * time.Millisecond, Interval: 10 * time.Millisecond, Attempt: 100 * time.Millisecond}
	start := time.Now()
	got, err := c.Do(context.Background()) // connects, and is never greeted
	if err != nil || got.Err == nil || !strings.Contains(got.Err.Error(), "waiting for the greeting: no answer") || time.Since(start) > pace.Limit(5*time.Second) {
		t.Errorf("silent: %+v, %v", got, err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err = c.Do(context.Background()); err != nil || got.Err == nil || !strings.Contains(got.Err.Error(), "connection refused") {
		t.Errorf("refused: %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	c.Timeout = time.Minute
	if _, err := c.Do(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestViaAHost(t *testing.T) {
	t.Parallel()
	address, port := web(t, 0)
	f := hosttest.New(t)
	f.HostName = "new"
	var asked string
	f.OnDial(func(network, at string) (net.Conn, error) {
		asked = network + " " + at
		return net.Dial("tcp", net.JoinHostPort(address, portText(port)))
	})
	c := Check{Address: "localhost", Port: 80, Via: f, Timeout: 5 * time.Second, Interval: time.Millisecond, Attempt: time.Second}
	got, err := c.Do(context.Background())
	if err != nil || got.Err != nil || asked != "tcp localhost:80" || got.Protocol != "http" {
		t.Errorf("%+v, %v, asked %q", got, err, asked)
	}
	f.OnDial(func(string, string) (net.Conn, error) { return nil, errors.New("no way") })
	c.Timeout = 50 * time.Millisecond
	if got, err := c.Do(context.Background()); err != nil || got.Err == nil || !strings.Contains(got.Err.Error(), `localhost:80, seen from host "new": no way`) {
		t.Errorf("%+v, %v", got, err)
	}
}

func portText(port int) string {
	_, text, _ := net.SplitHostPort((&net.TCPAddr{Port: port}).String())
	return text
}
