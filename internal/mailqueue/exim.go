package mailqueue

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An ACL variable's value follows its line, with this many bytes and the end of a line.
var eximVariable = regexp.MustCompile(`^--?acl[cm]? .* (\d+)$|^--?acl \d+ (\d+)$`)

// What follows a recipient's address, where anything does.
var eximExtras = regexp.MustCompile(` \S* \d+,\d+ \S* \d+,-?\d+#3$| \S* ?\d+,-?\d+(,-?\d+)?#1$`)

// parseExim reads a -H file; see the Exim specification, chapter "Format of spool files".
// journal are the lines of the -J file beside it: who has got the message since.
func parseExim(text []byte, journal []string) (envelope, error) {
	var e envelope
	broken := errors.New("it ends in the middle")
	next := func() (string, bool) {
		line, rest, ok := bytes.Cut(text, []byte("\n"))
		if ok {
			text = rest
		}
		return string(line), ok
	}
	var first [4]string
	for i := range first {
		var ok bool
		if first[i], ok = next(); !ok {
			return e, broken
		}
	}
	e.sender = unbracketed(first[2])
	seconds, _, _ := strings.Cut(first[3], " ")
	since, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || !strings.HasPrefix(first[2], "<") {
		return e, errors.New("its first lines are not those of a message")
	}
	e.arrival = time.Unix(since, 0).UTC()
	line, ok := next()
	for ; ok && strings.HasPrefix(line, "-"); line, ok = next() {
		if line == "-frozen" || strings.HasPrefix(line, "-frozen ") {
			e.frozen = true
		}
		if match := eximVariable.FindStringSubmatch(line); match != nil {
			size, _ := strconv.Atoi(match[1] + match[2])
			if size < 0 || size >= len(text) {
				return e, broken
			}
			text = text[size+1:]
		}
	}
	// A binary tree of those who have got it: each line says with two letters whether
	// a left and a right branch follow.
	has := map[string]bool{}
	for _, address := range journal {
		has[normalised(address)] = true
	}
	if line != "XX" {
		for branches := 1; branches > 0 && ok; branches-- {
			if len(line) < 3 || strings.Trim(line[:2], "YN") != "" || line[2] != ' ' {
				return e, errors.New("its list of those who have got it is not understood")
			}
			branches += strings.Count(line[:2], "Y")
			has[normalised(line[3:])] = true
			if branches > 1 {
				line, ok = next()
			}
		}
	}
	line, ok = next()
	count, err := strconv.Atoi(line)
	if !ok || err != nil || count < 0 {
		return e, errors.New("it does not say how many recipients it has")
	}
	for range count {
		if line, ok = next(); !ok {
			return e, broken
		}
		address := eximExtras.ReplaceAllString(line, "")
		if !has[normalised(address)] {
			e.recipients = append(e.recipients, address)
		}
	}
	if line, ok = next(); !ok || line != "" {
		return e, broken
	}
	if e.header, err = eximHeader(text); err != nil {
		return e, err
	}
	return e, nil
}

// eximHeader are the fields of a message, each of which has its length and a letter in
// front. Those with an asterisk were taken away, or another took their place.
func eximHeader(text []byte) ([]byte, error) {
	header := []byte{}
	for len(text) > 0 {
		digits := slices.IndexFunc(text, func(c byte) bool { return c < '0' || c > '9' })
		if digits < 3 || len(text) < digits+2 {
			return nil, errors.New("a field of its header is not understood")
		}
		size, err := strconv.Atoi(string(text[:digits]))
		letter := text[digits]
		text = text[digits+2:]
		if err != nil || size > len(text) {
			return nil, errors.New("its header ends in the middle")
		}
		if letter != '*' {
			header = append(header, text[:size]...)
		}
		text = text[size:]
	}
	return header, nil
}

// normalised is an address as addresses are compared: domains know no case.
func normalised(address string) string {
	at := strings.LastIndexByte(address, '@')
	return address[:at+1] + strings.ToLower(address[at+1:])
}
