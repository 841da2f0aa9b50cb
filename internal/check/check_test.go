package check

import (
	"bufio"
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

// What cannot be asked, or not without giving a password away, is said beforehand.
func TestValidate(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		check Check
		via   bool
	}{
		"unknown protocol":                    {Check{Address: "192.0.2.1", Request: probe.Request{Protocol: "gopher"}}, false},
		"no address of IPv6":                  {Check{Address: "192.0.2.1", Port: 80, Family: 6}, false},
		"no address of IPv4":                  {Check{Address: "2001:db8::1", Port: 80, Family: 4}, false},
		"give an address instead of a name":   {Check{Address: "mail.example.test", Port: 80, Family: 4}, true},
		"cross the network":                   {Check{Address: "192.0.2.1", Port: 143, Request: probe.Request{Username: "anna"}}, true},
		"by imap the password would cross":    {Check{Address: "127.0.0.1", Port: 143, Request: probe.Request{Username: "anna"}}, false},
		"nobody logs in by http":              {Check{Address: "127.0.0.1", Port: 80, Request: probe.Request{Username: "anna"}}, true},
		"STARTTLS is for smtp":                {Check{Address: "127.0.0.1", Port: 993, Request: probe.Request{StartTLS: true}}, true},
		"without TLS there is no certificate": {Check{Address: "127.0.0.1", Port: 25, Request: probe.Request{ValidFor: time.Hour}}, true},
		"":                                    {Check{Address: "127.0.0.1", Port: 143, Request: probe.Request{Username: "anna"}}, true},
	} {
		err := c.check.Validate(c.via)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%+v: %v, want %q", c.check, err, says)
		}
	}
	for _, c := range []Check{
		{Address: "mail.example.test", Port: 993, Request: probe.Request{Username: "anna"}},
		{Address: "mail.example.test", Port: 587, Request: probe.Request{Username: "anna", StartTLS: true, ValidFor: time.Hour}},
		{Address: "2001:db8::1", Port: 80, Family: 6}, {Address: "mail.example.test", Port: 80, Family: 6},
	} {
		if err := c.Validate(false); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A password that is wrong is not tried again: the server may lock the account for it.
// A server that cannot look it up now is asked again.
func TestWrongPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]int{"-ERR [AUTH] no": 1, "-ERR [SYS/TEMP] later": 3} {
		f := hosttest.New(t)
		asked := 0
		f.OnDial(func(string, string) (net.Conn, error) {
			asked++
			near, far := net.Pipe()
			go func() {
				in := bufio.NewReader(far)
				_, _ = io.WriteString(far, "+OK\r\n")
				for {
					line, err := in.ReadString('\n')
					switch {
					case err != nil:
						_ = far.Close()
						return
					case strings.HasPrefix(line, "PASS") && asked < 3:
						_, _ = io.WriteString(far, says+"\r\n")
					default:
						_, _ = io.WriteString(far, "+OK 1 2\r\n")
					}
				}
			}()
			return near, nil
		})
		c := Check{Address: "127.0.0.1", Port: 110, Via: f, Request: probe.Request{Username: "anna", Password: "wrong"},
			Timeout: pace.Limit(10 * time.Second), Interval: time.Millisecond, Attempt: pace.Limit(5 * time.Second)}
		got, err := c.Do(context.Background())
		if err != nil || asked != want || (got.Err == nil) != (want == 3) {
			t.Errorf("%s: asked %d times, want %d: %+v, %v", says, asked, want, got, err)
		}
	}
}

// Who asks a port for TLS that has none, or the other way round, is told.
func TestHintAtTheProtocol(t *testing.T) {
	t.Parallel()
	for port, protocol := range map[int]string{465: "smtp", 143: "imaps"} {
		c := Check{Port: port, Request: probe.Request{Protocol: protocol}}
		if err := c.hint(errors.New("no answer")); !strings.Contains(err.Error(), "is known for "+probe.Guess(port)) {
			t.Errorf("%s at %d: %v", protocol, port, err)
		}
	}
	for port, r := range map[int]probe.Request{993: {Protocol: "imaps"}, 587: {Protocol: "submission", StartTLS: true}, 80: {Protocol: "tcp"}} {
		c := Check{Port: port, Request: r}
		if err := c.hint(errors.New("no answer")); err.Error() != "no answer" {
			t.Errorf("%s at %d: %v", r.Protocol, port, err)
		}
	}
}

// A name of one family of addresses has none of the other.
func TestFamily(t *testing.T) {
	t.Parallel()
	address, port := web(t, 0)
	c := Check{Address: address, Port: port, Family: 6, Request: probe.Request{Protocol: "http"}, Timeout: 50 * time.Millisecond, Interval: time.Millisecond, Attempt: time.Second}
	if got, err := c.Do(context.Background()); err != nil || got.Err == nil {
		t.Errorf("IPv6 of %s: %+v, %v", address, got, err)
	}
	c.Family, c.Timeout = 4, 10*time.Second
	if got, err := c.Do(context.Background()); err != nil || got.Err != nil {
		t.Errorf("IPv4 of %s: %+v, %v", address, got, err)
	}
}

func portText(port int) string {
	_, text, _ := net.SplitHostPort((&net.TCPAddr{Port: port}).String())
	return text
}
