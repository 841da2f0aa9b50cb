package mailqueue

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// noSender is how postqueue shows the null sender.
const noSender = "MAILER-DAEMON"

// parsePostqueueJSON reads a line of postqueue -j; see postqueue(1), "JSON object format".
func parsePostqueueJSON(line []byte) (m Message, ok bool) {
	var said struct {
		Queue      string `json:"queue_name"`
		ID         string `json:"queue_id"`
		Arrival    int64  `json:"arrival_time"`
		Size       int64  `json:"message_size"`
		Sender     string `json:"sender"`
		Recipients []struct {
			Address string `json:"address"`
			Reason  string `json:"delay_reason"`
		} `json:"recipients"`
	}
	if err := json.Unmarshal(line, &said); err != nil || said.ID == "" || said.Queue == "" {
		return m, false
	}
	m = Message{ID: said.ID, State: said.Queue, Bytes: said.Size, Arrival: time.Unix(said.Arrival, 0).UTC(), Sender: said.Sender}
	if m.Sender == noSender {
		m.Sender = ""
	}
	for _, recipient := range said.Recipients {
		m.Recipients = append(m.Recipients, recipient.Address)
		if m.Reason == "" {
			m.Reason = recipient.Reason
		}
	}
	return m, true
}

// postqueueList reads what postqueue -p prints, of a Postfix without -j.
type postqueueList struct {
	now  time.Time // with the host's zone; the list has no years
	last *Message
}

// postqueueLine is the first line of a message: its ID, with a sign for some states,
// its size, its arrival and its sender.
var postqueueLine = regexp.MustCompile(`^([0-9A-Za-z]+)([*!#]*)\s+(\d+)\s+\w{3} (\w{3}\s+\d+ \d\d:\d\d:\d\d)\s+(.*)$`)

// line takes a line, and returns the message before it where it begins another.
func (l *postqueueList) line(text string) (m Message, ok bool) {
	if match := postqueueLine.FindStringSubmatch(text); match != nil {
		m, ok = l.end()
		l.last = &Message{ID: match[1], State: "incoming", Sender: match[5]}
		l.last.Bytes, _ = strconv.ParseInt(match[3], 10, 64)
		l.last.Arrival = l.moment(match[4])
		if l.last.Sender == noSender {
			l.last.Sender = ""
		}
		switch {
		case strings.Contains(match[2], "*"):
			l.last.State = "active"
		case strings.Contains(match[2], "!"):
			l.last.State = "hold"
		}
		return m, ok
	}
	if l.last == nil || !strings.HasPrefix(text, " ") {
		return m, false // headings, totals, and what is between messages
	}
	switch text = strings.TrimSpace(text); {
	case strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")"):
		if l.last.Reason == "" {
			l.last.Reason = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
		}
		if l.last.State == "incoming" {
			l.last.State = "deferred"
		}
	case text != "":
		l.last.Recipients = append(l.last.Recipients, text)
	}
	return m, false
}

// end returns the last message.
func (l *postqueueList) end() (m Message, ok bool) {
	if l.last == nil {
		return m, false
	}
	m, l.last = *l.last, nil
	return m, true
}

// moment is a time without its year: the last such one.
func (l *postqueueList) moment(text string) time.Time {
	at, err := time.ParseInLocation("Jan _2 15:04:05", text, l.now.Location())
	if err != nil {
		return l.now.UTC()
	}
	at = time.Date(l.now.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, l.now.Location())
	if at.After(l.now.Add(24 * time.Hour)) {
		at = at.AddDate(-1, 0, 0)
	}
	return at.UTC()
}

// parsePostcat reads what postcat -e prints of a queue file; see postcat(1). Addresses
// there have no quotes.
func parsePostcat(text []byte) (envelope, error) {
	var e envelope
	seen, whole := false, false
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "*** MESSAGE FILE END ") {
			whole = true
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "sender":
			e.sender, seen = quoted(value), true
		case "recipient":
			e.recipients = append(e.recipients, quoted(value))
		}
	}
	switch {
	case !whole:
		return e, errors.New("postcat did not read it to its end")
	case !seen:
		return e, errors.New("it names no sender")
	}
	return e, nil
}
