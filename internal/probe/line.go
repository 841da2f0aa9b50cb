package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

const (
	maxLine  = 8 << 10 // bytes; longer lines are no protocol of ours (RFC 5321 allows 512, RFC 7162 suggests 8192)
	maxLines = 200     // lines of one reply
)

// leaveWithin bounds the farewell: whoever answered so far has passed, even if
// it never says goodbye.
const leaveWithin = 2 * time.Second

// readLine reads one line. what says in an error what was waited for.
func (c *talk) readLine(what string) (string, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("%s: a line of more than %d bytes, which starts with %q", what, maxLine, printable(string(line[:60])))
	case errors.Is(err, io.EOF) && len(line) == 0:
		return "", fmt.Errorf("%s: the connection was closed", what)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("%s: the connection was closed after %q", what, printable(string(line)))
	case err != nil:
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return printable(strings.TrimRight(string(line), "\r\n")), nil
}

func (c *talk) send(line string) error {
	_, err := io.WriteString(c.conn, line+"\r\n")
	return err
}

// leave says goodbye and waits for the answer, but not for long.
func (c *talk) leave(ctx context.Context, goodbye string) {
	limit := time.Now().Add(leaveWithin)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		limit = deadline
	}
	if ctx.Err() != nil {
		return
	}
	_ = c.conn.SetDeadline(limit)
	if c.send(goodbye) == nil {
		_, _ = c.readLine("farewell")
	}
}

// printable makes a line of a stranger fit for an error message.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.TrimRight(text, " ")
}
