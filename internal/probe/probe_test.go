package probe

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve answers one connection on 127.0.0.1 with speak and returns a
// connection to it.
func serve(t *testing.T, speak func(conn net.Conn, in *bufio.Reader)) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		speak(conn, bufio.NewReader(conn))
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = listener.Close()
		<-ended
	})
	return conn
}

// script is a server that says greeting and then, for each line that starts
// with a key, the value; an unknown line closes the connection.
func script(heard *[]string, greeting string, replies map[string]string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, greeting)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimRight(line, "\r\n")
			*heard = append(*heard, line)
			answered := false
			for prefix, reply := range replies {
				if strings.HasPrefix(line, prefix) {
					_, _ = io.WriteString(conn, reply)
					answered = true
				}
			}
			if !answered {
				return
			}
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestConversations(t *testing.T) {
	smtp := map[string]string{
		"EHLO": "250-mail.example.test\r\n250-PIPELINING\r\n250 SIZE 1000\r\n", "QUIT": "221 bye\r\n",
	}
	pop3 := map[string]string{
		"USER anna": "+OK\r\n", "PASS secret": "+OK in\r\n", "PASS wrong": "-ERR [AUTH] no\r\n", "STAT": "+OK 2 640\r\n", "QUIT": "+OK bye\r\n",
	}
	imap := map[string]string{
		"c2 CAPABILITY": "* CAPABILITY IMAP4rev1\r\nc2 OK done\r\n", `c3 LOGIN "anna" "secret"`: "* CAPABILITY IMAP4rev1\r\nc3 OK in\r\n",
		`c3 LOGIN "anna" "wrong"`: "c3 NO [AUTHENTICATIONFAILED] no\r\n", "c4 EXAMINE INBOX": "* 2 EXISTS\r\nc4 OK done\r\n",
		`c3 LOGIN "a\"\\b" "x"`: "c3 OK in\r\n", "c5 LOGOUT": "* BYE\r\nc5 OK\r\n",
	}
	auth := func(mechanisms string) map[string]string {
		return map[string]string{
			"EHLO": "250-mail.example.test\r\n250 AUTH " + mechanisms + "\r\n", "QUIT": "221 bye\r\n",
			"AUTH PLAIN AGFubmEAc2VjcmV0": "235 2.7.0 in\r\n", "AUTH PLAIN AGFubmEAd3Jvbmc=": "535 5.7.8 no wrong AGFubmEAd3Jvbmc=\r\n",
			"AUTH LOGIN": "334 VXNlcm5hbWU6\r\n", "YW5uYQ==": "334 UGFzc3dvcmQ6\r\n", "c2VjcmV0": "235 in\r\n",
		}
	}
	ftp := map[string]string{
		"USER anna": "331 whose?\r\n", "PASS secret": "230-Hello.\r\n 230 is no end\r\n250 neither\r\n230 in\r\n", "PASS wrong": "530 no\r\n",
		"USER ftp": "230 anybody\r\n", "PWD": "257 \"/home/anna\"\r\n", "QUIT": "221 bye\r\n", "AUTH TLS": "500 what?\r\n",
		"USER lost": "331\r\n", "PASS lost": "500 OOPS: cannot change directory:/home/lost\r\n",
	}
	tests := map[string]struct {
		request  Request
		greeting string
		replies  map[string]string
		heard    string // every line the server got
		says     string // the answer's greeting
		fails    string // part of the error
	}{
		"smtp": {Request{Protocol: "smtp"}, "220-mail.example.test\r\n220 ready\r\n", smtp, "EHLO [127.0.0.1]|QUIT", "220-mail.example.test", ""},
		"smtp of old": {Request{Protocol: "submission"}, "220 mail\r\n",
			map[string]string{"EHLO": "500 what?\r\n", "HELO": "250 hello\r\n", "QUIT": "221 bye\r\n"}, "EHLO [127.0.0.1]|HELO [127.0.0.1]|QUIT", "220 mail", ""},
		"smtp that takes no mail":  {Request{Protocol: "smtp"}, "554 no service\r\n", smtp, "", "554 no service", "takes no mail: 554 no service"},
		"smtp without a code":      {Request{Protocol: "smtp"}, "hello there\r\n", smtp, "", "", `"hello there" is no SMTP reply`},
		"smtp with two codes":      {Request{Protocol: "smtp"}, "220-a\r\n250 b\r\n", smtp, "", "220-a", "changes its code"},
		"smtp and a web server":    {Request{Protocol: "smtp"}, "HTTP/1.1 400 Bad\r\n\r\n", smtp, "", "", "is no SMTP reply"},
		"smtp without STARTTLS":    {Request{Protocol: "smtp", StartTLS: true}, "220 x\r\n", smtp, "EHLO [127.0.0.1]", "220 x", "does not offer STARTTLS"},
		"smtp, another greeting":   {Request{Protocol: "smtp", ExpectBody: "new.example"}, "220 old.example\r\n", smtp, "EHLO [127.0.0.1]|QUIT", "220 old.example", `does not contain "new.example"`},
		"smtp, control characters": {Request{Protocol: "smtp"}, "220 a\x1b[2Jb\xff\r\n", smtp, "EHLO [127.0.0.1]|QUIT", "220 a?[2Jb?", ""},
		"pop3":                     {Request{Protocol: "pop3"}, "+OK Dovecot\r\n", pop3, "QUIT", "+OK Dovecot", ""},
		"pop3 login":               {Request{Protocol: "pop3", Username: "anna", Password: "secret"}, "+OK\r\n", pop3, "USER anna|PASS secret|STAT|QUIT", "+OK", ""},
		"pop3 wrong password":      {Request{Protocol: "pop3", Username: "anna", Password: "wrong"}, "+OK\r\n", pop3, "USER anna|PASS wrong", "+OK", `PASS …: the server said "-ERR [AUTH] no"`},
		"pop3 refuses":             {Request{Protocol: "pop3"}, "-ERR busy\r\n", pop3, "", "-ERR busy", `"-ERR busy"`},
		"pop3 garbage":             {Request{Protocol: "pop3"}, "220 mail\r\n", pop3, "", "220 mail", "is no POP3 reply"},
		"imap":                     {Request{Protocol: "imap"}, "* OK ready\r\n", imap, "c2 CAPABILITY|c5 LOGOUT", "* OK ready", ""},
		"imap login":               {Request{Protocol: "imap", Username: "anna", Password: "secret"}, "* OK\r\n", imap, `c2 CAPABILITY|c3 LOGIN "anna" "secret"|c4 EXAMINE INBOX|c5 LOGOUT`, "* OK", ""},
		"imap odd name":            {Request{Protocol: "imap", Username: `a"\b`, Password: "x"}, "* OK\r\n", imap, `c2 CAPABILITY|c3 LOGIN "a\"\\b" "x"|c4 EXAMINE INBOX|c5 LOGOUT`, "* OK", ""},
		"imap wrong password":      {Request{Protocol: "imap", Username: "anna", Password: "wrong"}, "* OK\r\n", imap, `c2 CAPABILITY|c3 LOGIN "anna" "wrong"`, "* OK", "AUTHENTICATIONFAILED"},
		"imap hangs up":            {Request{Protocol: "imap"}, "* BYE overloaded\r\n", imap, "", "* BYE overloaded", "overloaded"},
		"imap garbage":             {Request{Protocol: "imap"}, "+OK pop\r\n", imap, "", "+OK pop", "is no IMAP greeting"},
		"imap endless line":        {Request{Protocol: "imap"}, "* OK " + strings.Repeat("x", maxLine), imap, "", "", "a line of more than"},
		"imap without a number":    {Request{Protocol: "imap", Username: "anna", Password: "secret"}, "* OK\r\n", andElse(map[string]string{"c4": "c4 OK\r\n", "c3": "c3 OK\r\n", "c2": "c2 OK\r\n"}, ""), `c2 CAPABILITY|c3 LOGIN "anna" "secret"|c4 EXAMINE INBOX`, "* OK", "names no number of messages"},
		"submission login":         {Request{Protocol: "submission", Username: "anna", Password: "secret"}, "220 x\r\n", auth("CRAM-MD5 plain"), "EHLO [127.0.0.1]|AUTH PLAIN AGFubmEAc2VjcmV0|QUIT", "220 x", ""},
		"submission wrong":         {Request{Protocol: "submission", Username: "anna", Password: "wrong"}, "220 x\r\n", auth("PLAIN"), "EHLO [127.0.0.1]|AUTH PLAIN AGFubmEAd3Jvbmc=", "220 x", `AUTH PLAIN …: the server said "535 5.7.8 no … …"`},
		"submission login of old":  {Request{Protocol: "smtp", Username: "anna", Password: "secret"}, "220 x\r\n", auth("LOGIN"), "EHLO [127.0.0.1]|AUTH LOGIN|YW5uYQ==|c2VjcmV0|QUIT", "220 x", ""},
		"submission, other logins": {Request{Protocol: "smtp", Username: "anna", Password: "secret"}, "220 x\r\n", auth("GSSAPI SCRAM-SHA-256"), "EHLO [127.0.0.1]", "220 x", "offers AUTH by GSSAPI, SCRAM-SHA-256"},
		"submission without AUTH":  {Request{Protocol: "submission", Username: "anna", Password: "secret"}, "220 x\r\n", smtp, "EHLO [127.0.0.1]", "220 x", "does not offer AUTH"},
		"ftp":                      {Request{Protocol: "ftp"}, "120 wait\r\n220-Hello.\r\n 220 is no end\r\n220 ready\r\n", ftp, "QUIT", "220-Hello.", ""},
		"ftp login":                {Request{Protocol: "ftp", Username: "anna", Password: "secret"}, "220 x\r\n", ftp, "USER anna|PASS secret|PWD|QUIT", "220 x", ""},
		"ftp, no password asked":   {Request{Protocol: "ftp", Username: "ftp", Password: "secret"}, "220 x\r\n", ftp, "USER ftp|PWD|QUIT", "220 x", ""},
		"ftp wrong password":       {Request{Protocol: "ftp", Username: "anna", Password: "wrong"}, "220 x\r\n", ftp, "USER anna|PASS wrong", "220 x", `PASS …: the server said "530 no"`},
		"ftp without a home":       {Request{Protocol: "ftp", Username: "lost", Password: "lost"}, "220 x\r\n", ftp, "USER lost|PASS lost", "220 x", "cannot change directory"},
		"ftp that takes nobody":    {Request{Protocol: "ftp"}, "421 too many\r\n", ftp, "", "421 too many", `takes nobody: "421 too many"`},
		"ftp without TLS":          {Request{Protocol: "ftp", StartTLS: true}, "220 x\r\n", ftp, "AUTH TLS", "220 x", `AUTH TLS was refused: "500 what?"`},
		"ftp garbage":              {Request{Protocol: "ftp"}, "SSH-2.0-x\r\n", ftp, "", "", "is no FTP reply"},
		"http garbage":             {Request{Protocol: "http"}, "220 mail\r\n", smtp, "GET / HTTP/1.1", "", "waiting for the status line"},
		"tcp with a greeting":      {Request{Protocol: "tcp"}, "SSH-2.0-x\r\nmore", nil, "", "SSH-2.0-x", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heard []string
			ended := make(chan struct{})
			conn := serve(t, func(conn net.Conn, in *bufio.Reader) {
				defer close(ended)
				script(&heard, test.greeting, test.replies)(conn, in)
			})
			answer, err := Ask(within(t, 10*time.Second), conn, test.request)
			_ = conn.Close()
			<-ended
			if test.fails == "" && err != nil {
				t.Fatalf("Ask: %v", err)
			}
			if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Fatalf("Ask: %v, want an error with %q", err, test.fails)
			}
			if err != nil && test.request.Password != "" && strings.Contains(err.Error(), test.request.Password+`"`) {
				t.Errorf("the error gives the password away: %v", err)
			}
			if answer.Greeting != test.says {
				t.Errorf("greeting %q, want %q", answer.Greeting, test.says)
			}
			if test.request.Protocol == "http" {
				heard = heard[:min(1, len(heard))]
			}
			if got := strings.Join(heard, "|"); got != test.heard {
				t.Errorf("the server heard %q, want %q", got, test.heard)
			}
		})
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "new")
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "<html><TITLE lang=de>\n Anna &amp; "+r.Host+" </TITLE>"+r.URL.RawQuery)
		_, _ = io.WriteString(w, strings.Repeat("x", MaxBody))
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	encrypted := httptest.NewTLSServer(handler)
	defer encrypted.Close()

	ask := func(server *httptest.Server, r Request) (Answer, error) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return Ask(within(t, 10*time.Second), conn, r)
	}
	answer, err := ask(plain, Request{Protocol: "http", ServerName: "www.example.test", Path: "/a?b=c", ExpectStatus: 200, ExpectBody: "b=c"})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != 200 || answer.Title != "Anna & www.example.test" || answer.Greeting != "HTTP/1.1 200 OK" || len(answer.Body) != MaxBody {
		t.Errorf("got status %d, title %q, greeting %q, %d bytes", answer.Status, answer.Title, answer.Greeting, len(answer.Body))
	}
	if got := answer.Header["X-Served-By"]; len(got) != 1 || got[0] != "new" || answer.Latency <= 0 {
		t.Errorf("header %q, latency %s", got, answer.Latency)
	}
	if answer, err := ask(plain, Request{Protocol: "http", Path: "/missing"}); err != nil || answer.Status != 404 {
		t.Errorf("any status: got %d, %v", answer.Status, err)
	}
	if _, err := ask(plain, Request{Protocol: "http", Path: "/missing", ExpectStatus: 200}); err == nil || !strings.Contains(err.Error(), `"HTTP/1.1 404 Not Found"`) {
		t.Errorf("status 200 expected: %v", err)
	}
	if _, err := ask(plain, Request{Protocol: "http", ExpectBody: "welcome"}); err == nil || !strings.Contains(err.Error(), `does not contain "welcome"`) {
		t.Errorf("another page expected: %v", err)
	}
	if _, err := ask(encrypted, Request{Protocol: "https", ServerName: "example.com"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody knows whom: %v", err)
	}
	answer, err = ask(encrypted, Request{Protocol: "https", ServerName: "www.example.test", SkipVerify: true})
	if err != nil || answer.TLS == nil || answer.TLS.NotAfter.IsZero() || !strings.HasPrefix(answer.TLS.Version, "TLS 1.") {
		t.Errorf("https: %+v, %v", answer.TLS, err)
	}
	if _, err := ask(plain, Request{Protocol: "https", ServerName: "x"}); err == nil || !strings.Contains(err.Error(), "TLS handshake") {
		t.Errorf("https to a plain server: %v", err)
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	certificate := selfSigned(t)
	upgrade := func(conn net.Conn) (net.Conn, *bufio.Reader) {
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		return secure, bufio.NewReader(secure)
	}
	servers := map[string]func(net.Conn, *bufio.Reader) string{
		"smtp": func(conn net.Conn, in *bufio.Reader) string {
			_, _ = io.WriteString(conn, "220 x\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "250-x\r\n250 STARTTLS\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "220 go\r\n")
			conn, in = upgrade(conn)
			hello, _ := in.ReadString('\n')
			_, _ = io.WriteString(conn, "250 x\r\n")
			return hello
		},
		"pop3": func(conn net.Conn, in *bufio.Reader) string {
			_, _ = io.WriteString(conn, "+OK\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "+OK go\r\n")
			_, in = upgrade(conn)
			line, _ := in.ReadString('\n')
			return line
		},
		"imap": func(conn net.Conn, in *bufio.Reader) string {
			_, _ = io.WriteString(conn, "* OK\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "c1 OK go\r\n")
			conn, in = upgrade(conn)
			line, _ := in.ReadString('\n')
			_, _ = io.WriteString(conn, "c2 OK done\r\n")
			return line
		},
		"ftp": func(conn net.Conn, in *bufio.Reader) string {
			_, _ = io.WriteString(conn, "220 x\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "234 go\r\n")
			_, in = upgrade(conn)
			line, _ := in.ReadString('\n')
			return line
		},
	}
	want := map[string]string{"smtp": "EHLO [127.0.0.1]\r\n", "pop3": "QUIT\r\n", "imap": "c2 CAPABILITY\r\n", "ftp": "QUIT\r\n"}
	for protocol, speak := range servers {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 1)
			conn := serve(t, func(conn net.Conn, in *bufio.Reader) { heard <- speak(conn, in) })
			answer, err := Ask(within(t, 10*time.Second), conn, Request{Protocol: protocol, StartTLS: true, SkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := <-heard; got != want[protocol] || answer.TLS == nil {
				t.Errorf("heard %q through TLS, want %q (%+v)", got, want[protocol], answer.TLS)
			}
		})
	}
}

// A certificate that no client would accept is named where it is taken all the same,
// and one that soon ends is an error where it is to last.
func TestCertificates(t *testing.T) {
	t.Parallel()
	certificate := selfSigned(t)
	ask := func(r Request) (Answer, error) {
		conn := serve(t, func(conn net.Conn, _ *bufio.Reader) {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			_, _ = io.WriteString(secure, "* OK ready\r\n")
			script(new([]string), "", map[string]string{"c2": "c2 OK\r\n", "c5": "c5 OK\r\n"})(secure, bufio.NewReader(secure))
		})
		r.Protocol = "imaps"
		return Ask(within(t, 10*time.Second), conn, r)
	}
	for name, says := range map[string]string{"x": "unknown authority", "y": "not y"} {
		answer, err := ask(Request{ServerName: name, SkipVerify: true})
		if err != nil || answer.TLS == nil || !strings.Contains(answer.TLS.Problem, says) || answer.TLS.Subject != "CN=x" {
			t.Errorf("%s: %+v, %v; the problem was to be %q", name, answer.TLS, err, says)
		}
		// Where it is not taken, it is told as well.
		answer, err = ask(Request{ServerName: name})
		if err == nil || !strings.Contains(err.Error(), says) || answer.TLS == nil || answer.TLS.NotAfter.IsZero() {
			t.Errorf("%s: %+v, %v, want %q", name, answer.TLS, err, says)
		}
	}
	if _, err := ask(Request{SkipVerify: true, ValidFor: time.Minute}); err != nil {
		t.Error(err)
	}
	if _, err := ask(Request{SkipVerify: true, ValidFor: 14 * 24 * time.Hour}); err == nil || !strings.Contains(err.Error(), "it was to be valid for 14 days") {
		t.Errorf("a certificate of an hour lasts for two weeks: %v", err)
	}
	conn := serve(t, func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, "220 mail.example.test\r\n")
		_, _ = io.Copy(io.Discard, in)
	})
	if _, err := Ask(within(t, 10*time.Second), conn, Request{Protocol: "smtps", SkipVerify: true}); err == nil || !strings.Contains(err.Error(), `speaks without TLS, and begins with "220 m"`) {
		t.Errorf("a server without TLS: %v", err)
	}
}

// Whose inbox it is learns how many messages are in it.
func TestMessages(t *testing.T) {
	t.Parallel()
	for protocol, replies := range map[string]map[string]string{
		"pop3": {"USER": "+OK\r\n", "PASS": "+OK\r\n", "STAT": "+OK 17 4711\r\n", "QUIT": "+OK\r\n"},
		"imap": {"c2": "c2 OK\r\n", "c3": "c3 OK\r\n", "c4": "* FLAGS (\\Seen)\r\n* 17 EXISTS\r\n* 3 RECENT\r\nc4 OK [READ-ONLY] done\r\n", "c5": "c5 OK\r\n"},
	} {
		greeting := map[string]string{"pop3": "+OK\r\n", "imap": "* OK\r\n"}[protocol]
		answer, err := Ask(within(t, 10*time.Second), serve(t, script(new([]string), greeting, replies)), Request{Protocol: protocol, Username: "anna", Password: "secret"})
		if err != nil || answer.Messages != 17 {
			t.Errorf("%s: %d messages, %v", protocol, answer.Messages, err)
		}
	}
}

func TestSilenceAndDeparture(t *testing.T) {
	t.Parallel()
	silent := func(_ net.Conn, in *bufio.Reader) { _, _ = in.ReadString('\n') }

	start := time.Now()
	_, err := Ask(within(t, 200*time.Millisecond), serve(t, silent), Request{Protocol: "pop3"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for the greeting: no answer") {
		t.Errorf("a silent server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := Ask(ctx, serve(t, silent), Request{Protocol: "imap"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("gave up after %s", took)
	}
	if _, err := Ask(within(t, 10*time.Second), serve(t, silent), Request{Protocol: "tcp"}); err != nil {
		t.Errorf("tcp to a silent server: %v", err)
	}
	closing := func(net.Conn, *bufio.Reader) {}
	if _, err := Ask(within(t, 10*time.Second), serve(t, closing), Request{Protocol: "tcp"}); err == nil || !strings.Contains(err.Error(), "closed again without a word") {
		t.Errorf("tcp to a closing server: %v", err)
	}
	hasty := func(conn net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(conn, "220 mail") }
	if _, err := Ask(within(t, 10*time.Second), serve(t, hasty), Request{Protocol: "smtp"}); err == nil || !strings.Contains(err.Error(), `closed after "220 mail"`) {
		t.Errorf("smtp to a server that goes in mid-line: %v", err)
	}
	// A server that never says goodbye has passed nevertheless.
	rude := func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, "+OK\r\n")
		_, _ = in.ReadString('\n')
		_, _ = in.ReadString('\n')
	}
	if _, err := Ask(within(t, 10*time.Second), serve(t, rude), Request{Protocol: "pop3"}); err != nil {
		t.Errorf("pop3 without a goodbye: %v", err)
	}
}

// bare is a connection without deadlines, like one inside an SSH connection.
type bare struct{ net.Conn }

func (bare) SetDeadline(time.Time) error { return errors.New("deadline not supported") }

func TestConnectionWithoutDeadlines(t *testing.T) {
	t.Parallel()
	var heard []string
	conn := serve(t, script(&heard, "+OK\r\n", map[string]string{"QUIT": "+OK\r\n"}))
	if _, err := Ask(within(t, 10*time.Second), bare{conn}, Request{Protocol: "pop3"}); err != nil {
		t.Error(err)
	}
	silent := serve(t, func(_ net.Conn, in *bufio.Reader) { _, _ = in.ReadString('\n') })
	if _, err := Ask(within(t, 200*time.Millisecond), bare{silent}, Request{Protocol: "pop3"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
}

// mailServer is an SMTP server that answers RCPT, and MAIL where mail has the sender,
// as told.
type mailServer struct {
	greeting string            // "": 220 x ESMTP
	mail     map[string]string // by sender; else 250
	rcpt     map[string]string // by recipient; "" is any
	tlsOnly  bool              // nothing but STARTTLS before TLS
	tlsFirst bool
	closes   bool // after the first refused recipient
}

func (m mailServer) speak(t *testing.T) func(net.Conn, *bufio.Reader) {
	certificate := selfSigned(t)
	return func(conn net.Conn, in *bufio.Reader) {
		encrypted := m.tlsFirst
		encrypt := func() {
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			in = bufio.NewReader(conn)
		}
		if m.tlsFirst {
			encrypt()
		}
		greeting := m.greeting
		if greeting == "" {
			greeting = "220 x ESMTP"
		}
		_, _ = io.WriteString(conn, greeting+"\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			command, address, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "<")
			address = strings.TrimSuffix(address, ">")
			reply, ends := "250 ok", false
			switch {
			case strings.HasPrefix(command, "EHLO"):
				reply = "250-x\r\n250 STARTTLS"
			case command == "STARTTLS":
				reply = "220 go on"
			case m.tlsOnly && !encrypted:
				reply = "530 5.7.0 Must issue a STARTTLS command first"
			case command == "MAIL FROM:" && m.mail[address] != "":
				reply = m.mail[address]
			case command == "RCPT TO:" && m.rcpt[address] != "":
				reply = m.rcpt[address]
			case command == "RCPT TO:":
				reply = m.rcpt[""]
				ends = m.closes
			case command == "QUIT":
				reply, ends = "221 bye", true
			}
			_, _ = io.WriteString(conn, reply+"\r\n")
			if ends {
				return
			}
			if command == "STARTTLS" {
				encrypted = true
				encrypt()
			}
		}
	}
}

// Only an answer to the question is one.
func TestOpenRelay(t *testing.T) {
	t.Parallel()
	const (
		open       = "open"
		closed     = "closed"
		unanswered = "unanswered"
		fails      = "fails"
	)
	rcpt := func(reply string) mailServer { return mailServer{rcpt: map[string]string{"": reply}} }
	nullMX := map[string]string{"cutover-probe@example.com": "556 5.1.10 <cutover-probe@example.com>: Recipient address rejected: Domain example.com does not accept mail (nullMX)"}
	for name, test := range map[string]struct {
		server mailServer
		want   string
		says   string // part of the dialogue
	}{
		"takes it":                {rcpt("250 2.1.5 Ok"), open, "C: RCPT TO:<cutover-probe@example.com>\nS: 250 2.1.5 Ok\nC: RSET\n"},
		"forwards":                {rcpt("251 will forward"), open, ""},
		"Postfix":                 {rcpt("454 4.7.1 <cutover-probe@example.com>: Relay access denied"), closed, ""},
		"Sendmail":                {rcpt("550-5.7.1 <cutover-probe@example.com>... Relaying\r\n550 5.7.1 denied. Proper authentication required."), closed, "S: 550 5.7.1 denied"},
		"Exim":                    {rcpt("550 relay not permitted"), closed, ""},
		"Exchange":                {rcpt("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"), closed, ""},
		"qmail":                   {rcpt("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"), closed, ""},
		"Courier":                 {rcpt("513 Relaying denied."), closed, ""},
		"OpenSMTPD":               {mailServer{greeting: "220 x ESMTP OpenSMTPD", rcpt: map[string]string{"": "550 Invalid recipient: <cutover-probe@example.com>"}}, closed, ""},
		"not local":               {rcpt("551 User not local; please try elsewhere"), closed, ""},
		"a submission port":       {rcpt("554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied"), closed, ""},
		"a sender has to log in":  {mailServer{mail: map[string]string{"cutover-probe@example.org": "530 5.7.0 Authentication required"}}, closed, ""},
		"refuses and hangs up":    {mailServer{rcpt: map[string]string{"": "550 relay not permitted"}, closes: true}, closed, ""},
		"no mail for example.com": {mailServer{rcpt: andElse(nullMX, "250 2.1.5 Ok")}, open, "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<cutover-probe@[192.0.2.1]>\nS: 250 2.1.5 Ok"},
		"nor relaying":            {mailServer{rcpt: andElse(nullMX, "454 4.7.1 Relay access denied")}, closed, "nullMX"},
		"no mail from example.org": {mailServer{mail: map[string]string{"cutover-probe@example.org": "550 5.7.27 <cutover-probe@example.org>: Sender address rejected: Domain example.org does not accept mail (nullMX)"},
			rcpt: map[string]string{"": "250 2.1.5 Ok"}}, open, "5.7.27"},
		"no DNS yet":             {mailServer{rcpt: andElse(map[string]string{"cutover-probe@example.com": "450 4.1.8 <cutover-probe@example.org>: Sender address rejected: Domain not found"}, "250 Ok")}, open, ""},
		"domains alone":          {mailServer{rcpt: map[string]string{"cutover-probe@example.com": nullMX["cutover-probe@example.com"], "cutover-probe@[192.0.2.1]": "501 domain literals not allowed", "": "250 Ok"}}, open, "postmaster@iana.org"},
		"never finds a domain":   {rcpt("450 4.1.2 <x>: Recipient address rejected: Domain not found"), unanswered, "S: 450 4.1.2"},
		"greylisting":            {rcpt("450 4.2.0 <x>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/"), unanswered, ""},
		"greylisting, otherwise": {rcpt("451 4.7.1 Relaying denied for now: Greylisting in action, please come back later"), unanswered, ""},
		"a list of open relays":  {rcpt("554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using relays.example.net; relaying denied"), unanswered, ""},
		"a full queue":           {rcpt("452 4.3.1 Insufficient system storage"), unanswered, ""},
		"no such user":           {rcpt("550 5.1.1 User unknown"), unanswered, ""},
		"a bad HELO":             {rcpt("504 5.5.2 <cutover-probe.example.org>: Helo command rejected: need fully-qualified hostname"), unanswered, ""},
		"TLS first, by command":  {mailServer{tlsOnly: true, rcpt: map[string]string{"": "250 Ok"}}, open, "C: STARTTLS\nS: 220 go on\n"},
		"and closed in it":       {mailServer{tlsOnly: true, rcpt: map[string]string{"": "550 5.7.1 Relaying denied"}}, closed, ""},
		"TLS first":              {mailServer{tlsFirst: true, rcpt: map[string]string{"": "250 Ok"}}, open, ""},
		"busy":                   {mailServer{greeting: "421 too many"}, fails, "S: 421 too many"},
		"hangs up":               {mailServer{rcpt: map[string]string{"": "421 4.3.2 going down"}, closes: true}, fails, "S: 421 4.3.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := serve(t, test.server.speak(t))
			isOpen, dialogue, err := OpenRelay(within(t, 10*time.Second), conn, test.server.tlsFirst)
			got := map[bool]string{true: open, false: closed}[isOpen]
			switch {
			case errors.Is(err, ErrNotAnswered):
				got = unanswered
			case err != nil:
				got = fails
			}
			if got != test.want || isOpen && err != nil {
				t.Errorf("%s, %v; want %s. It said:\n%s", got, err, test.want, dialogue)
			}
			if !strings.Contains(dialogue, test.says) {
				t.Errorf("the dialogue lacks %q:\n%s", test.says, dialogue)
			}
			if strings.Contains(dialogue, "DATA") {
				t.Errorf("a message was begun:\n%s", dialogue)
			}
		})
	}
}

// andElse adds the reply to all other recipients.
func andElse(replies map[string]string, other string) map[string]string {
	all := maps.Clone(replies)
	all[""] = other
	return all
}

func TestGreetingInTLS(t *testing.T) {
	t.Parallel()
	greeting, err := GreetingInTLS(within(t, 10*time.Second), serve(t, mailServer{tlsFirst: true}.speak(t)))
	if err != nil || greeting != "220 x ESMTP" {
		t.Errorf("%q, %v", greeting, err)
	}
	if _, err := GreetingInTLS(within(t, 10*time.Second), serve(t, mailServer{}.speak(t))); err == nil {
		t.Error("a service that speaks plainly has no error of TLS")
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	for _, r := range []Request{
		{Protocol: "gopher"}, {Protocol: "http", Path: "a"}, {Protocol: "http", ServerName: "a\r\nX: y"},
		{Protocol: "pop3", Username: "a\nDELE 1"}, {Protocol: "imap", Username: "a", Password: "b\r\nc6 DELETE INBOX"}, {Protocol: "http", Username: "a"},
		{Protocol: "https", StartTLS: true}, {Protocol: "tcp", StartTLS: true}, {Protocol: "smtp", ValidFor: time.Hour},
	} {
		if _, err := Ask(context.Background(), nil, r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	for port, want := range map[int]string{25: "smtp", 80: "http", 110: "pop3", 143: "imap", 443: "https", 587: "submission", 993: "imaps", 8080: "tcp"} {
		if got := Guess(port); got != want {
			t.Errorf("Guess(%d) = %q, want %q", port, got, want)
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
