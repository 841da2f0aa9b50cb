package mailqueue

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// recipientFlags are the flags before a recipient's address, in qf files since version 1.
var recipientFlags = regexp.MustCompile(`^[A-Z]*:`)

// parseSendmail reads a qf file, as the appendix of the Sendmail Installation and
// Operation Guide describes it: "Queue control files".
func parseSendmail(text []byte) (envelope, error) {
	var e envelope
	var header strings.Builder
	version := 0
	seen, whole, bounce := false, false, false
	for _, line := range folded(string(text)) {
		if line == "" {
			continue
		}
		if line == "." {
			whole = true
			break
		}
		value := line[1:]
		switch line[0] {
		case 'V':
			version, _ = strconv.Atoi(value)
		case 'T':
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return e, fmt.Errorf("it was accepted at %q, which is no time", value)
			}
			e.arrival = time.Unix(seconds, 0).UTC()
		case 'M', 'q': // q: why it is in quarantine
			e.reason = value
		case 'F':
			// A bounce goes out with the null sender, whatever its sender's line says.
			bounce = strings.Contains(value, "r")
		case 'S':
			e.sender, seen = unbracketed(value), true
		case 'R':
			if flags := recipientFlags.FindString(value); version > 0 && flags != "" {
				value = value[len(flags):]
			}
			e.recipients = append(e.recipients, unbracketed(value))
		case 'H':
			if field, ok := sendmailField(value); ok {
				header.WriteString(field + "\n")
			}
		}
	}
	if bounce {
		e.sender = ""
	}
	e.header = []byte(header.String())
	switch {
	case !whole:
		return e, errors.New("it ends in the middle")
	case !seen:
		return e, errors.New("it names no sender")
	}
	return e, nil
}

// folded are lines together with their continuations.
func folded(text string) []string {
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if len(lines) > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			lines[len(lines)-1] += "\n" + line
		} else {
			lines = append(lines, line)
		}
	}
	return lines
}

// sendmailField is a field of the header as Sendmail would send it. ok is false for one
// that it adds for a mailer of its own, or takes away: Return-Path and Bcc.
func sendmailField(value string) (field string, ok bool) {
	flags := ""
	if strings.HasPrefix(value, "?") {
		var found bool
		if flags, field, found = strings.Cut(value[1:], "?"); !found {
			return value, true
		}
		value = field
	}
	// Those that every mailer of Sendmail's own asks for: Date, From, Message-Id. A
	// condition on a macro was decided when the file was written.
	if flags != "" && !strings.HasPrefix(flags, "$") && !strings.ContainsAny(flags, "DFM") {
		return "", false
	}
	name, _, _ := strings.Cut(value, ":")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "bcc", "resent-bcc", "return-path":
		return "", false
	}
	return value, true
}
