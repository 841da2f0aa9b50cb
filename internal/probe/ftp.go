package probe

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// ftp speaks RFC 959, and RFC 4217 for TLS.
func (c *talk) ftp(ctx context.Context, r Request) error {
	greeting, err := c.ftpReply("waiting for the greeting")
	// 120: the service will be ready in some minutes.
	for err == nil && greeting.code == 120 {
		greeting, err = c.ftpReply("waiting for the greeting after " + strconv.Quote(greeting.lines[0]))
	}
	if len(greeting.lines) > 0 {
		c.greeted(greeting.lines[0])
		c.answer.Status = greeting.code
	}
	if err == nil && greeting.code != 220 {
		err = fmt.Errorf("the server takes nobody: %q", greeting)
	}
	if err != nil {
		return err
	}
	if r.StartTLS {
		started, err := c.ftpCommand("AUTH TLS", "AUTH TLS")
		if err == nil && started.code != 234 {
			err = fmt.Errorf("AUTH TLS was refused: %q", started)
		}
		if err == nil {
			err = c.encrypt(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	if r.Username != "" {
		if err := c.ftpLogin(r); err != nil {
			return err
		}
	}
	c.leave(ctx, "QUIT")
	return nil
}

func (c *talk) ftpLogin(r Request) error {
	shown := "USER " + r.Username
	answer, err := c.ftpCommand(shown, shown)
	if err == nil && answer.code == 331 { // it wants a password
		shown = "PASS …"
		answer, err = c.ftpCommand("PASS "+r.Password, shown)
	}
	if err == nil && answer.code >= 500 {
		err = refused("%s: the server said %q", shown, answer)
	} else if err == nil && answer.code != 230 {
		err = fmt.Errorf("%s: the server said %q", shown, answer)
	}
	if err != nil {
		return err
	}
	// A login alone may hide that the home is out of reach.
	answer, err = c.ftpCommand("PWD", "PWD")
	if err == nil && answer.code != 257 {
		err = fmt.Errorf("PWD: the server said %q", answer)
	}
	return err
}

func (c *talk) ftpCommand(line, shown string) (reply, error) {
	if err := c.send(line); err != nil {
		return reply{}, fmt.Errorf("%s: %w", shown, err)
	}
	return c.ftpReply(shown)
}

// ftpReply reads a reply of one or more lines. Between its first line and its last one
// there may be any text (RFC 959, section 4.2).
func (c *talk) ftpReply(what string) (reply, error) {
	var r reply
	for len(r.lines) < maxLines {
		line, err := c.readLine(what)
		if err != nil {
			return r, err
		}
		if r.code == 0 {
			code, err := strconv.Atoi(line[:min(3, len(line))])
			if err != nil || code < 100 || code > 599 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
				return r, fmt.Errorf("%s: %q is no FTP reply", what, line)
			}
			r.code = code
		}
		r.lines = append(r.lines, line)
		if code := strconv.Itoa(r.code); line == code || strings.HasPrefix(line, code+" ") {
			return r, nil
		}
	}
	return r, fmt.Errorf("%s: a reply of more than %d lines", what, maxLines)
}
