package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
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
func (r reply) offers(keyword string) bool {
	for _, line := range r.lines {
		if len(line) > 4 && strings.EqualFold(strings.Fields(line[4:] + " .")[0], keyword) {
			return true
		}
	}
	return false
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
			_, err = c.hello(c.name)
		}
		if err != nil {
			return err
		}
	}
	c.leave(ctx, "QUIT")
	return nil
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
		if _, err := c.pop3Command("PASS "+r.Password, "PASS …"); err != nil {
			return err
		}
		// STAT opens the mailbox for good: a login alone may hide that the mail
		// is out of reach.
		if _, err := c.pop3Command("STAT", "STAT"); err != nil {
			return err
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
		if err := c.imapCommand("c1", "STARTTLS", "STARTTLS"); err != nil {
			return err
		}
		if err := c.encrypt(ctx, r); err != nil {
			return err
		}
	}
	if err := c.imapCommand("c2", "CAPABILITY", "CAPABILITY"); err != nil {
		return err
	}
	if r.Username != "" {
		if err := c.imapCommand("c3", "LOGIN "+imapQuote(r.Username)+" "+imapQuote(r.Password), "LOGIN "+imapQuote(r.Username)+" …"); err != nil {
			return err
		}
		// As with STAT: a login alone may hide that the mail is out of reach.
		if err := c.imapCommand("c4", "STATUS INBOX (MESSAGES)", "STATUS INBOX"); err != nil {
			return err
		}
	}
	c.leave(ctx, "c5 LOGOUT")
	return nil
}

// imapCommand sends a command and reads up to its tagged reply.
func (c *talk) imapCommand(tag, command, shown string) error {
	if err := c.send(tag + " " + command); err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	for range maxLines {
		line, err := c.readLine(shown)
		if err != nil {
			return err
		}
		rest, tagged := strings.CutPrefix(line, tag+" ")
		switch {
		case tagged && len(rest) >= 2 && strings.EqualFold(rest[:2], "OK"):
			return nil
		case tagged:
			return fmt.Errorf("%s: the server said %q", shown, rest)
		case strings.HasPrefix(line, "* BYE"):
			return fmt.Errorf("%s: the server hung up: %q", shown, line)
		case !strings.HasPrefix(line, "* "):
			return fmt.Errorf("%s: %q is no IMAP reply", shown, line)
		}
	}
	return fmt.Errorf("%s: a reply of more than %d lines", shown, maxLines)
}

// imapQuote makes a quoted string (RFC 3501, section 4.3).
func imapQuote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
