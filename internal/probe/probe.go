// Package probe holds short, honest conversations with network services over a
// connection that somebody else opened: is this an SMTP server, does it let this
// user in by IMAP, what does the web site say, would it relay for a foreigner.
//
// It does not care how the connection came about, so the same questions go to a
// service from the operator's machine, from a host through SSH, or through a
// relay. It may import nothing of this module.
package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxBody is how much of an HTTP body is read and kept, in bytes.
const MaxBody = 64 << 10

// Request is one question to a service.
type Request struct {
	// Protocol is one of Protocols.
	Protocol string

	// ServerName is the HTTP Host and the name that a TLS certificate must be
	// valid for (it is sent as SNI too). Needed for every TLS.
	ServerName string

	// Path is what HTTP asks for, with its query; "" is "/".
	Path string

	// ExpectStatus is the HTTP status that must come back; 0 accepts any.
	ExpectStatus int

	// ExpectBody must be contained in the HTTP body (its first MaxBody bytes)
	// or, for the other protocols, in the greeting. "" accepts any.
	ExpectBody string

	// Username and Password log in: by POP3, IMAP, FTP, or SMTP's AUTH. Without a
	// user name nobody logs in.
	Username, Password string

	// StartTLS changes an SMTP, submission, POP3, IMAP or FTP connection to TLS
	// before anything else is said, and fails where the server does not offer it.
	StartTLS bool

	// SkipVerify accepts any certificate.
	SkipVerify bool

	// ValidFor is how long the server's certificate has to be valid from now on.
	ValidFor time.Duration
}

// Encrypted says whether the conversation is one in TLS.
func (r Request) Encrypted() bool { return r.StartTLS || inTLS[r.Protocol] }

// Answer is what a service said. It holds as much as was heard before an error.
type Answer struct {
	Greeting string        // first line of the service or HTTP's status line, without its end
	Status   int           // HTTP status, or SMTP's reply code of the greeting; else 0
	Title    string        // text of the first <title> of an HTML page
	Header   Header        // HTTP header fields
	Body     []byte        // HTTP body, at most MaxBody bytes
	Latency  time.Duration // from the start of Ask to the greeting or status line
	TLS      *TLS          // nil without TLS
	Messages int           // in the inbox of who has logged in by POP3 or IMAP
}

// Header is a set of HTTP header fields by their canonical names.
type Header map[string][]string

// TLS says how a connection is encrypted.
type TLS struct {
	Version  string    // such as "TLS 1.3"
	Cipher   string    // cipher suite, by its IANA name
	Subject  string    // of the server's certificate
	Issuer   string    // of the server's certificate
	NotAfter time.Time // when the server's certificate expires
	// Problem is why a client would not accept the certificate; "" where it would.
	// With SkipVerify it is no error.
	Problem string
}

// Protocols are the values of Request.Protocol.
var Protocols = []string{"tcp", "http", "https", "smtp", "smtps", "submission", "pop3", "pop3s", "imap", "imaps", "ftp", "ftps"}

// inTLS are the protocols that begin with TLS.
var inTLS = map[string]bool{"https": true, "smtps": true, "pop3s": true, "imaps": true, "ftps": true}

// ports are the well-known ones (IANA Service Name and Port Number Registry).
var ports = map[int]string{
	21: "ftp", 25: "smtp", 80: "http", 110: "pop3", 143: "imap", 443: "https",
	465: "smtps", 587: "submission", 990: "ftps", 993: "imaps", 995: "pop3s",
}

// Guess returns the protocol that usually lives on a TCP port, "tcp" where none
// of Protocols does.
func Guess(port int) string {
	if protocol, ok := ports[port]; ok {
		return protocol
	}
	return "tcp"
}

// Ask has the conversation that r describes over conn and takes leave politely.
// It does not close conn. The error says at which step the conversation failed
// and what the service said there, never the password.
//
// Ask ends when ctx does. Without a deadline in ctx it waits without a limit.
func Ask(ctx context.Context, conn net.Conn, r Request) (Answer, error) {
	if err := r.Validate(); err != nil {
		return Answer{}, err
	}
	c, done := newTalk(ctx, conn)
	defer done()

	var err error
	if inTLS[r.Protocol] {
		err = c.encrypt(ctx, r)
	}
	if err == nil {
		switch r.Protocol {
		case "tcp":
			err = c.tcp(ctx)
		case "http", "https":
			err = c.http(r)
		case "smtp", "smtps", "submission":
			err = c.smtp(ctx, r)
		case "pop3", "pop3s":
			err = c.pop3(ctx, r)
		case "imap", "imaps":
			err = c.imap(ctx, r)
		case "ftp", "ftps":
			err = c.ftp(ctx, r)
		}
	}
	if err != nil {
		if isTimeout(err) {
			// The connection's deadline is ctx's, and may be noticed before it.
			cause := ctx.Err()
			if cause == nil {
				cause = context.DeadlineExceeded
			}
			err = fmt.Errorf("%s (%w)", silence(err), cause)
		}
		return c.answer, r.discreet(fmt.Errorf("%s: %w", r.Protocol, err))
	}
	return c.answer, r.judge(c.answer)
}

// discreet is an error without the password, which a server may repeat.
func (r Request) discreet(err error) error {
	if r.Password == "" {
		return err
	}
	text := err.Error()
	for _, secret := range append(r.loginCodes(), r.Password) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	switch {
	case text == err.Error():
		return err
	case errors.Is(err, ErrLogin):
		return &refusal{text}
	}
	return errors.New(text)
}

// ErrLogin is wrapped by the error of a login that the server has refused for good: it
// refuses the next one, too, and may lock the account for it.
var ErrLogin = errors.New("the login was refused")

// refusal is what a server says who refuses a login.
type refusal struct{ text string }

func (r *refusal) Error() string        { return r.text }
func (r *refusal) Is(target error) bool { return target == ErrLogin }

// forNow are the response codes of a refusal that is one for now: RFC 5530 for IMAP,
// RFC 3206 and 2449 for POP3.
var forNow = regexp.MustCompile(`(?i)\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|SYS/TEMP|IN-USE|LOGIN-DELAY)`)

// refused is the error of a login to which the server said something else than yes.
func refused(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if forNow.MatchString(text) {
		return errors.New(text)
	}
	return &refusal{text}
}

// Validate says what is wrong with a question before anybody is asked.
func (r Request) Validate() error {
	if !slices.Contains(Protocols, r.Protocol) {
		return fmt.Errorf("unknown protocol %q; known are %s", r.Protocol, strings.Join(Protocols, ", "))
	}
	// A line end would start a command of its own.
	for what, value := range map[string]string{"server name": r.ServerName, "path": r.Path, "user name": r.Username, "password": r.Password} {
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("the %s contains a line end or a NUL byte", what)
		}
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("the path %q does not start with /", r.Path)
	}
	if mute := r.Protocol == "tcp" || r.Protocol == "http" || r.Protocol == "https"; mute && r.Username != "" {
		return fmt.Errorf("nobody logs in by %s; a user name is for SMTP, POP3, IMAP and FTP", r.Protocol)
	} else if r.StartTLS && (mute || inTLS[r.Protocol]) {
		return fmt.Errorf("STARTTLS is for smtp, submission, pop3, imap and ftp, not for %s", r.Protocol)
	}
	if r.ValidFor > 0 && !r.Encrypted() {
		return fmt.Errorf("without TLS there is no certificate, and %s has none here", r.Protocol)
	}
	return nil
}

// judge compares the answer with what was expected.
func (r Request) judge(a Answer) error {
	if a.TLS != nil && r.ValidFor > 0 {
		if left := time.Until(a.TLS.NotAfter); left < r.ValidFor {
			return fmt.Errorf("%s: the certificate of %s expires on %s, in %s; it was to be valid for %s",
				r.Protocol, a.TLS.Subject, a.TLS.NotAfter.UTC().Format(time.DateOnly), days(left), days(r.ValidFor))
		}
	}
	if r.ExpectStatus != 0 && a.Status != r.ExpectStatus {
		return fmt.Errorf("%s: answered %q, expected the status %d", r.Protocol, a.Greeting, r.ExpectStatus)
	}
	if r.ExpectBody == "" {
		return nil
	}
	if r.Protocol == "http" || r.Protocol == "https" {
		if !strings.Contains(string(a.Body), r.ExpectBody) {
			return fmt.Errorf("%s: answered %q, but the body does not contain %q; it starts with %q",
				r.Protocol, a.Greeting, r.ExpectBody, printable(string(a.Body[:min(len(a.Body), 200)])))
		}
		return nil
	}
	if !strings.Contains(a.Greeting, r.ExpectBody) {
		return fmt.Errorf("%s: the greeting %q does not contain %q", r.Protocol, a.Greeting, r.ExpectBody)
	}
	return nil
}

// talk is one conversation.
type talk struct {
	conn   net.Conn
	in     *bufio.Reader
	name   string // ours, for EHLO
	start  time.Time
	answer Answer
}

// newTalk binds the connection to ctx: reads and writes fail when it ends.
func newTalk(ctx context.Context, conn net.Conn) (*talk, func()) {
	local := ownName(conn)
	conn, release := withDeadlines(conn)
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	c := &talk{conn: conn, in: bufio.NewReaderSize(conn, maxLine), name: local, start: time.Now()}
	return c, func() { stop(); release() }
}

// withDeadlines lends deadlines to a connection that has none, as those that
// run inside an SSH connection.
func withDeadlines(conn net.Conn) (net.Conn, func()) {
	if conn.SetDeadline(time.Time{}) == nil {
		return conn, func() {}
	}
	near, far := net.Pipe()
	go func() {
		_, _ = io.Copy(far, conn) // ends at the latest when the owner closes conn
		_ = far.Close()
	}()
	go func() { _, _ = io.Copy(conn, far) }()
	return near, func() { _ = near.Close() }
}

// greeted records the first line.
func (c *talk) greeted(line string) {
	if c.answer.Greeting == "" {
		c.answer.Greeting, c.answer.Latency = line, time.Since(c.start)
	}
}

// silentFor is how long a plain TCP service may keep silent before its silence
// counts as an answer. A relay that finds nothing at its far end closes well
// within it.
const silentFor = time.Second

// tcp is content with an open connection that stays open: a relay accepts
// every connection, and closes it when it finds nobody at its other end.
func (c *talk) tcp(ctx context.Context) error {
	wait := time.Now().Add(silentFor)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(wait) {
		wait = deadline
	}
	_ = c.conn.SetReadDeadline(wait)
	first, err := c.in.ReadByte()
	switch {
	case err == nil:
		rest, _ := c.in.Peek(min(c.in.Buffered(), maxLine))
		line, _, _ := strings.Cut(string(first)+string(rest), "\n")
		c.greeted(printable(strings.TrimRight(line, "\r")))
		return nil
	case isTimeout(err) && !errors.Is(ctx.Err(), context.Canceled):
		c.answer.Latency = time.Since(c.start)
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the connection was accepted and closed again without a word")
	default:
		return err
	}
}

// GreetingInTLS returns the first line that a service says inside TLS, whatever its
// certificate; "" where it waits for the client. An error is one of TLS.
func GreetingInTLS(ctx context.Context, conn net.Conn) (string, error) {
	c, done := newTalk(ctx, conn)
	defer done()
	if err := c.encrypt(ctx, Request{SkipVerify: true}); err != nil {
		return "", err
	}
	if err := c.tcp(ctx); err != nil {
		return "", err
	}
	return c.answer.Greeting, nil
}

// encrypt changes the connection to TLS.
func (c *talk) encrypt(ctx context.Context, r Request) error {
	if r.ServerName == "" && !r.SkipVerify {
		return errors.New("TLS needs the server's name, to compare the certificate with")
	}
	conn := tls.Client(c.conn, &tls.Config{
		ServerName: r.ServerName,
		// The certificate is verified below, so that what it is can be told where it is wrong.
		InsecureSkipVerify: true, //nolint:gosec // see above
	})
	err := conn.HandshakeContext(ctx)
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) {
		return fmt.Errorf("TLS handshake: the service speaks without TLS, and begins with %q", printable(string(plain.RecordHeader[:])))
	}
	if err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := conn.ConnectionState()
	c.answer.TLS = &TLS{Version: tls.VersionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite)}
	if len(state.PeerCertificates) == 0 {
		return errors.New("TLS handshake: the service shows no certificate")
	}
	cert := state.PeerCertificates[0]
	c.answer.TLS.Subject, c.answer.TLS.Issuer = cert.Subject.String(), cert.Issuer.String()
	c.answer.TLS.NotAfter = cert.NotAfter
	if c.answer.TLS.Problem = problem(state.PeerCertificates, r.ServerName); c.answer.TLS.Problem != "" && !r.SkipVerify {
		return fmt.Errorf("the certificate of %s cannot be accepted: %s", cert.Subject, c.answer.TLS.Problem)
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, maxLine)
	return nil
}

// problem is why a client that asks for name would not accept the certificates.
func problem(certificates []*x509.Certificate, name string) string {
	between := x509.NewCertPool()
	for _, each := range certificates[1:] {
		between.AddCert(each)
	}
	if _, err := certificates[0].Verify(x509.VerifyOptions{DNSName: name, Intermediates: between}); err != nil {
		return err.Error()
	}
	return ""
}

// days is a time in words, rounded down.
func days(d time.Duration) string {
	switch whole := int(d / (24 * time.Hour)); {
	case d < 0:
		return "the past"
	case whole == 0:
		return d.Truncate(time.Minute).String()
	case whole == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", whole)
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// silence drops the clumsy tail of a timed-out read from an error's text; what
// was waited for stays.
func silence(err error) string {
	text, _, found := strings.Cut(err.Error(), ": read ")
	if !found {
		return err.Error()
	}
	return text + ": no answer"
}
