package probe

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// OpenRelay asks an SMTP server, as far as the recipient, whether it would take
// mail from one foreigner to another, and then takes the question back: no
// message is ever sent. open is true when the server accepts the recipient.
//
// A server that refuses, for good or for now (Postfix defers with 454), is not
// open. dialogue is everything that was said, one line each, "C: " before ours
// and "S: " before the server's. An error means that the question was not
// answered.
func OpenRelay(ctx context.Context, conn net.Conn, heloName, from, to string) (open bool, dialogue string, err error) {
	for _, value := range []string{heloName, from, to} {
		if value == "" || strings.ContainsAny(value, "\r\n\x00 <>") {
			return false, "", fmt.Errorf("%q cannot be part of an SMTP command", value)
		}
	}
	c, done := newTalk(ctx, conn)
	defer done()

	var said strings.Builder
	record := func(command string, answer reply) {
		if command != "" {
			said.WriteString("C: " + command + "\n")
		}
		for _, line := range answer.lines {
			said.WriteString("S: " + line + "\n")
		}
	}
	greeting, err := c.smtpGreeting()
	record("", greeting)
	if err != nil {
		return false, said.String(), fmt.Errorf("smtp: %w", err)
	}
	steps := []string{"EHLO " + heloName, "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">"}
	for i, command := range steps {
		var answer reply
		if i == 0 {
			answer, err = c.hello(heloName)
		} else {
			answer, err = c.command(command)
		}
		record(command, answer)
		if err != nil {
			return false, said.String(), fmt.Errorf("smtp: %w", err)
		}
		open = answer.positive()
		if !open {
			break
		}
	}
	// RSET before QUIT, so that no server however strange takes the transaction
	// for one to be finished.
	if answer, err := c.command("RSET"); err == nil {
		record("RSET", answer)
		c.leave(ctx, "QUIT")
	}
	return open, said.String(), nil
}
