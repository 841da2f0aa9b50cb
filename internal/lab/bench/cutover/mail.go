package main

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// sendMessage has a mail server take a message with an id, as another mail
// server does it. Without an error it was answered 250.
func sendMessage(ctx context.Context, l *load, id string) (string, error) {
	return l.smtp(ctx, 25, func(c *textproto.Conn) error {
		to := pick(l.users, id) + "@example.test"
		for _, step := range []struct {
			code int
			line string
		}{{250, "MAIL FROM:<friend@elsewhere.test>"}, {250, "RCPT TO:<" + to + ">"}, {354, "DATA"}} {
			if err := tell(c, step.code, step.line); err != nil {
				return err
			}
		}
		body := fmt.Sprintf("From: friend@elsewhere.test\nTo: %s\nSubject: Message %s\nMessage-ID: <%s@elsewhere.test>\n%s%s\n\n%s", to, id, id, idHeader, id, strings.Repeat("Some words of text.\n", 40))
		w := c.DotWriter()
		if _, err := w.Write([]byte(body)); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		_, _, err := c.ReadResponse(250)
		return putOff(err)
	})
}

// idHeader begins the header that has the id of a message of the load.
const idHeader = "X-Load-Id: "

func greetSubmission(ctx context.Context, l *load, _ string) (string, error) {
	return l.smtp(ctx, 587, func(*textproto.Conn) error { return nil })
}

// smtp greets a mail server, goes on with it, and takes its leave.
func (l *load) smtp(ctx context.Context, port int, goOn func(*textproto.Conn) error) (string, error) {
	conn, err := l.dial(ctx, port)
	if err != nil {
		return "", err
	}
	c := textproto.NewConn(conn)
	defer c.Close()
	_, greeting, err := c.ReadResponse(220)
	if err != nil {
		return "", putOff(err)
	}
	by := hostIn(greeting)
	if err := tell(c, 250, "EHLO client.elsewhere.test"); err != nil {
		return by, err
	}
	if err := goOn(c); err != nil {
		return by, err
	}
	// What was answered is answered, also where the leave is not.
	_ = tell(c, 221, "QUIT")
	return by, nil
}

// tell says a line of SMTP and waits for the answer.
func tell(c *textproto.Conn, code int, line string) error {
	if err := c.PrintfLine("%s", line); err != nil {
		return err
	}
	_, _, err := c.ReadResponse(code)
	return putOff(err)
}

// putOff tells an answer of another code from a connection that broke.
func putOff(err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return &notNow{answer.Error()}
	}
	return err
}

// openInbox is a short session of IMAP: it logs in, opens the inbox, so that
// new mail in it is not new any more, and leaves. A few users have it: the first
// session in a large inbox keeps a server busy that nobody has asked before.
func openInbox(ctx context.Context, l *load, id string) (string, error) {
	user := pick(l.users[:5], id)
	return l.lines(ctx, 143, "* OK", [][2]string{
		{"a LOGIN " + user + " " + lab.Password(user), "a OK"}, {"b SELECT INBOX", "b OK"}, {"c LOGOUT", "c OK"},
	})
}

func greetPOP3(ctx context.Context, l *load, _ string) (string, error) {
	return l.lines(ctx, 110, "+OK", [][2]string{{"CAPA", "+OK"}, {"QUIT", "+OK"}})
}

// lines talks in lines: each that is said has an answer that begins as given;
// others may come before it.
func (l *load) lines(ctx context.Context, port int, greeting string, dialogue [][2]string) (string, error) {
	conn, err := l.dial(ctx, port)
	if err != nil {
		return "", err
	}
	c := textproto.NewConn(conn)
	defer c.Close()
	hello, err := c.ReadLine()
	if err != nil {
		return "", err
	}
	by := hostIn(hello)
	if !strings.HasPrefix(hello, greeting) {
		return by, &notNow{hello}
	}
	for i, each := range dialogue {
		if err := c.PrintfLine("%s", each[0]); err != nil {
			return by, err
		}
		tag, _, _ := strings.Cut(each[1], " ")
		for {
			line, err := c.ReadLine()
			if err != nil && i == len(dialogue)-1 {
				return by, nil // it had its answers, and was leaving
			}
			if err != nil {
				return by, err
			}
			if strings.HasPrefix(line, each[1]) {
				break
			}
			if strings.HasPrefix(line, tag+" ") || strings.HasPrefix(line, "* BYE") && i < len(dialogue)-1 {
				return by, &notNow{line}
			}
		}
	}
	return by, nil
}
