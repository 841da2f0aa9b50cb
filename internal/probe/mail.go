package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reply is one SMTP reply: the code and its lines (RFC 5321, section 4.2).
type reply struct {
	code  int
	lines []string // as they came, with the code
}

func (r reply) String() string { return strings.Join(r.lines, "\n") }

// texts are the lines without code and enhanced code (RFC 3463).
func (r reply) texts() []string {
	var texts []string
	for _, line := range r.lines {
		texts = append(texts, enhancedCode.ReplaceAllString(line[min(4, len(line)):], ""))
	}
	return texts
}

var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3} `)

// positive: 2yz, positive completion (RFC 5321, section 4.2.1).
func (r reply) positive() bool { return r.code >= 200 && r.code < 300 }

// offers reports whether EHLO named an extension.
func (r reply) offers(keyword string) bool { return r.parameters(keyword) != nil }

// parameters are those that EHLO named with an extension, in capitals; nil where it did
// not name it.
func (r reply) parameters(keyword string) []string {
	for _, line := range r.lines {
		if len(line) <= 4 {
			continue
		}
		if words := strings.Fields(strings.ToUpper(line[4:])); len(words) > 0 && words[0] == strings.ToUpper(keyword) {
			return words[1:]
		}
	}
	return nil
}

func (c *talk) readReply(what string) (reply, error) {
	var r reply
	for len(r.lines) < maxLines {
		line, err := c.readLine(what)
		if err != nil {
			return r, err
		}
		code, err := strconv.Atoi(line[:min(3, len(line))])
		if err != nil || len(line) < 3 || code < 200 || code > 599 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return r, fmt.Errorf("%s: %q is no SMTP reply", what, line)
		}
		if r.code != 0 && code != r.code {
			return r, fmt.Errorf("%s: the reply changes its code from %d to %d", what, r.code, code)
		}
		r.code, r.lines = code, append(r.lines, line)
		if len(line) == 3 || line[3] == ' ' {
			return r, nil
		}
	}
	return r, fmt.Errorf("%s: a reply of more than %d lines", what, maxLines)
}

func (c *talk) command(line string) (reply, error) {
	if err := c.send(line); err != nil {
		return reply{}, fmt.Errorf("%s: %w", line, err)
	}
	return c.readReply(line)
}

// hello greets an SMTP server and introduces itself, the old way where the
// server knows no other.
func (c *talk) hello(name string) (reply, error) {
	ehlo, err := c.command("EHLO " + name)
	if err == nil && ehlo.code >= 500 && ehlo.code < 505 {
		ehlo, err = c.command("HELO " + name)
	}
	if err == nil && !ehlo.positive() {
		err = fmt.Errorf("EHLO %s was refused: %s", name, ehlo)
	}
	return ehlo, err
}

func (c *talk) smtpGreeting() (reply, error) {
	greeting, err := c.readReply("waiting for the greeting")
	if len(greeting.lines) > 0 {
		c.greeted(greeting.lines[0])
		c.answer.Status = greeting.code
	}
	if err == nil && greeting.code != 220 {
		err = fmt.Errorf("the server takes no mail: %s", greeting)
	}
	return greeting, err
}

func (c *talk) smtp(ctx context.Context, r Request) error {
	if _, err := c.smtpGreeting(); err != nil {
		return err
	}
	ehlo, err := c.hello(c.name)
	if err != nil {
		return err
	}
	if r.StartTLS {
		if !ehlo.offers("STARTTLS") {
			return errors.New("the server does not offer STARTTLS")
		}
		started, err := c.command("STARTTLS")
		if err == nil && started.code != 220 {
			err = fmt.Errorf("STARTTLS was refused: %s", started)
		}
		if err == nil {
			err = c.encrypt(ctx, r)
		}
		if err == nil {
			ehlo, err = c.hello(c.name)
		}
		if err != nil {
			return err
		}
	}
	if r.Username != "" {
		if err := c.auth(ehlo, r); err != nil {
			return err
		}
	}
	c.leave(ctx, "QUIT")
	return nil
}

// auth logs in by RFC 4954: by PLAIN, or where that is not offered by LOGIN, which has
// no RFC and is what old clients speak.
func (c *talk) auth(ehlo reply, r Request) error {
	mechanisms, codes := ehlo.parameters("AUTH"), r.loginCodes()
	var lines []string
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		lines = []string{"AUTH PLAIN " + codes[0]}
	case slices.Contains(mechanisms, "LOGIN"):
		lines = []string{"AUTH LOGIN", base64.StdEncoding.EncodeToString([]byte(r.Username)), codes[1]}
	case len(mechanisms) == 0:
		return errors.New("the server lets nobody log in: it does not offer AUTH; many do only in TLS")
	default:
		return fmt.Errorf("the server offers AUTH by %s; PLAIN and LOGIN are what is known here", strings.Join(mechanisms, ", "))
	}
	shown := "AUTH " + strings.Fields(lines[0])[1] + " …"
	for i, line := range lines {
		if err := c.send(line); err != nil {
			return fmt.Errorf("%s: %w", shown, err)
		}
		answer, err := c.readReply(shown)
		if err != nil {
			return err
		}
		// 334: the server waits for the next line.
		if last := i == len(lines)-1; last && !answer.positive() || !last && answer.code != 334 {
			if answer.code < 500 { // for now (RFC 4954, section 6)
				return fmt.Errorf("%s: the server said %q", shown, answer)
			}
			return refused("%s: the server said %q", shown, answer)
		}
	}
	return nil
}

// loginCodes are the password as PLAIN sends it, with the user's name, and as LOGIN does.
func (r Request) loginCodes() []string {
	code := base64.StdEncoding.EncodeToString
	return []string{code([]byte("\x00" + r.Username + "\x00" + r.Password)), code([]byte(r.Password))}
}

// ownName is the name for EHLO: an address literal (RFC 5321, section 4.1.3),
// which is true and needs no DNS.
func ownName(conn net.Conn) string {
	if addr, ok := conn.LocalAddr().(*net.TCPAddr); ok && addr.IP != nil && !addr.IP.IsUnspecified() {
		if v4 := addr.IP.To4(); v4 != nil {
			return "[" + v4.String() + "]"
		}
		return "[IPv6:" + addr.IP.String() + "]"
	}
	return "[127.0.0.1]"
}

// pop3 speaks RFC 1939.
func (c *talk) pop3(ctx context.Context, r Request) error {
	greeting, err := c.pop3Line("waiting for the greeting")
	c.greeted(greeting)
	if err != nil {
		return err
	}
	if r.StartTLS {
		if _, err := c.pop3Command("STLS", "STLS"); err != nil {
			return err
		}
		if err := c.encrypt(ctx, r); err != nil {
			return err
		}
	}
	if r.Username != "" {
		if _, err := c.pop3Command("USER "+r.Username, "USER "+r.Username); err != nil {
			return err
		}
		if said, err := c.pop3Command("PASS "+r.Password, "PASS …"); strings.HasPrefix(said, "-ERR") {
			return refused("PASS …: the server said %q", said)
		} else if err != nil {
			return err
		}
		// STAT opens the mailbox for good: a login alone may hide that the mail
		// is out of reach.
		stat, err := c.pop3Command("STAT", "STAT")
		if err != nil {
			return err
		}
		// As RFC 1939 has it: messages, and their bytes.
		var bytes int
		if n, _ := fmt.Sscanf(stat, "+OK %d %d", &c.answer.Messages, &bytes); n != 2 {
			return fmt.Errorf("STAT: %q names no number of messages", stat)
		}
	}
	c.leave(ctx, "QUIT")
	return nil
}

func (c *talk) pop3Command(line, shown string) (string, error) {
	if err := c.send(line); err != nil {
		return "", fmt.Errorf("%s: %w", shown, err)
	}
	return c.pop3Line(shown)
}

func (c *talk) pop3Line(what string) (string, error) {
	line, err := c.readLine(what)
	switch {
	case err != nil:
		return "", err
	case line == "+OK" || strings.HasPrefix(line, "+OK "):
		return line, nil
	case strings.HasPrefix(line, "-ERR"):
		return line, fmt.Errorf("%s: the server said %q", what, line)
	}
	return line, fmt.Errorf("%s: %q is no POP3 reply", what, line)
}

// imap speaks RFC 3501 and 9051.
func (c *talk) imap(ctx context.Context, r Request) error {
	greeting, err := c.readLine("waiting for the greeting")
	if err != nil {
		return err
	}
	c.greeted(greeting)
	state, _, _ := strings.Cut(strings.ToUpper(strings.TrimPrefix(greeting, "* ")), " ")
	switch {
	case !strings.HasPrefix(greeting, "* ") || state != "OK" && state != "PREAUTH" && state != "BYE":
		return fmt.Errorf("%q is no IMAP greeting", greeting)
	case state == "BYE":
		return fmt.Errorf("the server takes nobody: %q", greeting)
	}
	if r.StartTLS {
		if _, err := c.imapCommand("c1", "STARTTLS", "STARTTLS"); err != nil {
			return err
		}
		if err := c.encrypt(ctx, r); err != nil {
			return err
		}
	}
	if _, err := c.imapCommand("c2", "CAPABILITY", "CAPABILITY"); err != nil {
		return err
	}
	if r.Username != "" {
		shown := "LOGIN " + imapQuote(r.Username) + " …"
		if _, err := c.imapCommand("c3", "LOGIN "+imapQuote(r.Username)+" "+imapQuote(r.Password), shown); errors.Is(err, errSaidNo) {
			return refused("%v", err)
		} else if err != nil {
			return err
		}
		// As with STAT: a login alone may hide that the mail is out of reach. Not STATUS: Dovecot
		// answers that from an index, with no message, while another session fills it.
		said, err := c.imapCommand("c4", "EXAMINE INBOX", "EXAMINE INBOX")
		if err != nil {
			return err
		}
		match := imapMessages.FindStringSubmatch(strings.Join(said, "\n"))
		if match == nil {
			return fmt.Errorf("EXAMINE INBOX: %q names no number of messages", said)
		}
		if c.answer.Messages, err = strconv.Atoi(match[1]); err != nil {
			return fmt.Errorf("EXAMINE INBOX: %w", err)
		}
	}
	c.leave(ctx, "c5 LOGOUT")
	return nil
}

// errSaidNo is wrapped by the error of a command to which the server said NO or BAD.
var errSaidNo = errors.New("the server said")

// imapMessages is the number of messages in an untagged EXISTS reply (RFC 9051, 7.4.1).
var imapMessages = regexp.MustCompile(`(?im)^\* ([0-9]+) EXISTS`)

// imapCommand sends a command and reads up to its tagged reply. It returns the untagged
// ones before that.
func (c *talk) imapCommand(tag, command, shown string) (said []string, err error) {
	if err := c.send(tag + " " + command); err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	for range maxLines {
		line, err := c.readLine(shown)
		if err != nil {
			return said, err
		}
		rest, tagged := strings.CutPrefix(line, tag+" ")
		switch {
		case tagged && len(rest) >= 2 && strings.EqualFold(rest[:2], "OK"):
			return said, nil
		case tagged:
			return said, fmt.Errorf("%s: %w %q", shown, errSaidNo, rest)
		case strings.HasPrefix(line, "* BYE"):
			return said, fmt.Errorf("%s: the server hung up: %q", shown, line)
		case !strings.HasPrefix(line, "* "):
			return said, fmt.Errorf("%s: %q is no IMAP reply", shown, line)
		}
		said = append(said, line)
	}
	return said, fmt.Errorf("%s: a reply of more than %d lines", shown, maxLines)
}

// imapQuote makes a quoted string (RFC 3501, section 4.3).
func imapQuote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
