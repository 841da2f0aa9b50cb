package mailqueue

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// envelope is what a mail server knows of a message beside its body.
type envelope struct {
	sender     string   // as on a command line; "" is the null sender
	recipients []string // who have not got it yet, as on a command line
	// header is the message's header as its queue has it apart from the body, with the
	// ends of its lines; nil where the body's file has it.
	header  []byte
	arrival time.Time
	reason  string
	frozen  bool // Exim does not try to deliver it
}

// parseControl reads the control file of a message of Sendmail or Exim. done are
// addresses that have the message already.
func parseControl(mta, file string, text []byte, done []string) (id string, e envelope, err error) {
	name := path.Base(file)
	if mta == Exim {
		e, err = parseExim(text, done)
		return strings.TrimSuffix(name, "-H"), e, err
	}
	e, err = parseSendmail(text)
	return name[min(2, len(name)):], e, err
}

// check says why an envelope cannot be handed to another mail server.
func (e envelope) check() error {
	if len(e.recipients) == 0 {
		return errors.New("it names no recipient who has not got it yet")
	}
	for _, address := range append([]string{e.sender}, e.recipients...) {
		if strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("the address %q is none", address)
		}
	}
	for _, address := range e.recipients {
		switch bare := strings.TrimPrefix(address, `"`); {
		case address == "":
			return errors.New("a recipient is empty")
		case strings.HasPrefix(bare, "|"), strings.HasPrefix(bare, "/"), strings.HasPrefix(bare, ":include:"):
			return fmt.Errorf("its recipient %s is a program or a file of the old host", address)
		}
	}
	return nil
}

// quoted is an address as a command line or a header has it, from one without quotes
// (RFC 5322, section 3.4.1).
func quoted(address string) string {
	at := strings.LastIndexByte(address, '@')
	local, domain := address, ""
	if at >= 0 {
		local, domain = address[:at], address[at:]
	}
	if local == "" || isDotAtom(local) {
		return address
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"` + domain
}

// isDotAtom reports whether a local part needs no quotes. What is not ASCII is an atom
// too (RFC 6531, section 3.3).
func isDotAtom(local string) bool {
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, r)
		}) {
			return false
		}
	}
	return true
}

// unbracketed is an address without the angle brackets around it.
func unbracketed(address string) string {
	if strings.HasPrefix(address, "<") && strings.HasSuffix(address, ">") {
		return address[1 : len(address)-1]
	}
	return address
}

// headerLines are the fields of a header, each with its continuation lines and without
// the end of the last. What follows the first empty line is not looked at.
func headerLines(header string) []string {
	var fields []string
	for _, line := range strings.Split(header, "\n") {
		switch {
		case strings.TrimSuffix(line, "\r") == "":
			return fields
		case line[0] == ' ' || line[0] == '\t':
			if len(fields) > 0 {
				fields[len(fields)-1] += "\n" + line
			}
		default:
			fields = append(fields, line)
		}
	}
	return fields
}

// messageID is the Message-ID of a header, or "". It is what mail servers write into
// their logs.
func messageID(header string) string {
	for _, field := range headerLines(header) {
		name, value, _ := strings.Cut(field, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "message-id") {
			continue
		}
		if id := strings.TrimSpace(value); id != "" && len(id) <= 998 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return id
		}
	}
	return ""
}
