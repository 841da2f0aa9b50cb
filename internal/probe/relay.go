package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// ErrNotAnswered is a mail server that says neither that it would relay nor that
// it would not.
var ErrNotAnswered = errors.New("the server does not say whether it relays")

// foreign are the mails from one foreigner to another that a server is asked to take,
// until it answers; the sender "" is that of a bounce.
var foreign = []struct{ from, to string }{
	{"cutover-probe@example.org", "cutover-probe@example.com"},
	// Both domains say that they take no mail (RFC 7505), and a host that has no DNS
	// yet knows neither. This needs no domain.
	{"", "cutover-probe@[192.0.2.1]"},
	// For a server that takes mail for domains alone, one that receives mail.
	{"", "postmaster@iana.org"},
}

// denials are the words in which mail servers refuse to relay.
var denials = regexp.MustCompile(`(?i)` + strings.Join([]string{
	// Postfix 454 4.7.1 Relay access denied; Sendmail 550 5.7.1 Relaying denied; Exim 550 relay not permitted
	`\brelay(ing)? (access )?(is )?(denied|not permitted|not allowed|prohibited|forbidden|refused|rejected)`,
	`(unable|not permitted|not allowed|not authori[sz]ed) to relay|(cannot|do not|don't|will not) relay`, // Exchange, and others
	`(in|of) my list of allowed rcpthosts`,                    // qmail
	`I cannot deliver mail for`,                               // Haraka
	`(recipient address|client host) rejected: access denied`, // Postfix on a submission port
	`authentication (is )?required|authenticate first|must (first )?authenticate|requires authentication`,
}, "|"))

// otherwise are words of other questions, in whatever sentence.
var otherwise = regexp.MustCompile(`(?i)blocked|black-?list|block-?list|gr[ea]y-?list|try again`)

// denies tells whether a reply refuses to relay. That it refuses for good or for now
// (Postfix 454) says nothing: so it does for a domain that it does not find.
func denies(greeting string, answer reply) bool {
	text := strings.Join(strings.Fields(strings.Join(answer.texts(), " ")), " ")
	switch {
	case otherwise.MatchString(text):
		return false
	case answer.code == 551: // User not local (RFC 5321, section 4.2.3)
		return true
	case strings.Contains(greeting, "OpenSMTPD") && strings.Contains(text, "Invalid recipient"): // its word for it
		return true
	}
	return denials.MatchString(text)
}

// relayTalk is the conversation, with all that was said.
type relayTalk struct {
	*talk
	greeting  string
	said      strings.Builder
	encrypted bool
}

func (c *relayTalk) record(command string, answer reply) {
	if command != "" {
		c.said.WriteString("C: " + command + "\n")
	}
	for _, line := range answer.lines {
		c.said.WriteString("S: " + line + "\n")
	}
}

func (c *relayTalk) tell(command string) (reply, error) {
	answer, err := c.command(command)
	c.record(command, answer)
	return answer, err
}

func (c *relayTalk) introduce(name string) (reply, error) {
	answer, err := c.hello(name)
	c.record("EHLO "+name, answer)
	return answer, err
}

// OpenRelay asks an SMTP server, as far as the recipient, whether it would take
// mail from one foreigner to another, and then takes the question back: no
// message is ever sent. open is true when the server accepts the recipient. Where
// tlsFirst is set, TLS begins before anything is said, with any certificate.
//
// A server that refuses because it does not relay is not open. One that refuses
// for another reason (no such domain, greylisting, a full queue) is asked about
// another mail, and encrypted where it wants that; in the end ErrNotAnswered says
// that it told neither. dialogue is everything that was said, one line each,
// "C: " before ours and "S: " before the server's.
func OpenRelay(ctx context.Context, conn net.Conn, tlsFirst bool) (open bool, dialogue string, err error) {
	plain, done := newTalk(ctx, conn)
	defer done()
	c := &relayTalk{talk: plain}
	open, err = c.ask(ctx, tlsFirst)
	if err != nil && !errors.Is(err, ErrNotAnswered) {
		return false, c.said.String(), fmt.Errorf("smtp: %w", err)
	}
	c.leave(ctx, "QUIT")
	return open, c.said.String(), err
}

func (c *relayTalk) ask(ctx context.Context, tlsFirst bool) (open bool, err error) {
	if tlsFirst {
		if err := c.encrypt(ctx, Request{SkipVerify: true}); err != nil {
			return false, err
		}
		c.encrypted = true
	}
	greeting, err := c.smtpGreeting()
	c.record("", greeting)
	if err != nil {
		return false, err
	}
	c.greeting = greeting.String()
	ehlo, err := c.introduce("cutover-probe.example.org")
	if err != nil {
		return false, err
	}
	for i, mail := range foreign {
		if i > 0 { // by an address, which no server looks up
			if _, err := c.introduce(c.name); err != nil {
				return false, err
			}
		}
		answer, err := c.offer(mail.from, mail.to)
		if err == nil && !c.encrypted && ehlo.offers("STARTTLS") && strings.Contains(strings.ToUpper(answer.String()), "STARTTLS") {
			if err = c.startTLS(ctx); err == nil {
				answer, err = c.offer(mail.from, mail.to)
			}
		}
		switch {
		case err != nil:
			return false, err
		case answer.positive():
			return true, nil
		case denies(c.greeting, answer):
			return false, nil
		}
	}
	return false, ErrNotAnswered
}

// offer offers a mail, and takes the offer back. The reply is that to the
// recipient, or to the sender where that is refused.
func (c *relayTalk) offer(from, to string) (reply, error) {
	answer, err := c.tell("MAIL FROM:<" + from + ">")
	if err == nil && answer.positive() {
		answer, err = c.tell("RCPT TO:<" + to + ">")
	}
	if err != nil {
		return answer, err
	}
	// Before anything else, so that no server however strange takes the transaction
	// for one to be finished.
	_, err = c.tell("RSET")
	if err != nil && (answer.positive() || denies(c.greeting, answer)) {
		err = nil // it hangs up on whom it refuses, and has answered
	}
	return answer, err
}

func (c *relayTalk) startTLS(ctx context.Context) error {
	answer, err := c.tell("STARTTLS")
	if err == nil && answer.code != 220 {
		err = fmt.Errorf("STARTTLS was refused: %s", answer)
	}
	if err == nil {
		err = c.encrypt(ctx, Request{SkipVerify: true})
	}
	if err == nil {
		c.encrypted = true
		_, err = c.introduce(c.name)
	}
	return err
}
