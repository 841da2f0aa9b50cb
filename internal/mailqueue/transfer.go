package mailqueue

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed export.sh
var exportText string

//go:embed receive.sh
var receiveText string

var (
	exportScript  = host.Script{Name: "mailqueue/export.sh", Text: queuesText + partsText + exportText}
	receiveScript = host.Script{Name: "mailqueue/receive.sh", Text: receiveText}
)

// maxControl bounds, in bytes, what is kept of a message while it is copied: its
// envelope and its header. Its body passes through.
const maxControl = 64 << 20

// peekHeader is how much of a body, in bytes, is searched for a Message-ID, of Postfix,
// whose bodies begin with the header.
const peekHeader = 64 << 10

// copied is what has become of the messages of a batch.
type copied struct {
	stamps   map[string]string // of those that the new host has, by key; see aside.sh
	problems []string
}

// transfer copies messages to the new host, through this process and without keeping
// them in it. What cannot be read is a problem, and bars no other.
func (m *mover) transfer(ctx context.Context, batch []listed) (copied, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exported, export := io.Pipe()
	archived, archive := io.Pipe()
	sent := make(chan error, 1)
	converted := make(chan error, 1)
	var done copied
	go func() {
		command := host.Sh(exportScript, m.mark())
		command.Stdin, command.Stdout = strings.NewReader(lines(batch, listed.source)), export
		_, err := m.from.Run(ctx, command)
		if err == nil {
			err = export.Close()
		}
		export.CloseWithError(err)
		sent <- err
	}()
	go func() {
		var err error
		done, err = convert(bufio.NewReaderSize(exported, 64<<10), archive, batch)
		archive.CloseWithError(err) // nil ends the archive as it should
		exported.CloseWithError(io.ErrClosedPipe)
		converted <- err
	}()
	command := host.Sh(receiveScript, m.spool())
	var received []byte
	command.Stdin, command.Stdout = archived, &lineWriter{take: func(line []byte) error {
		received = append(append(received, line...), '\n')
		return nil
	}}
	_, err := m.to.Run(ctx, command)
	archived.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		cancel()
	}
	convertErr, sendErr := <-converted, <-sent
	// Where one breaks off, the others fail too: the first cause is told.
	follows := func(e error) bool {
		return errors.Is(e, io.ErrClosedPipe) || err != nil && errors.Is(e, context.Canceled)
	}
	switch {
	case sendErr != nil && !follows(sendErr):
		return done, sendErr
	case convertErr != nil && !follows(convertErr):
		return done, fmt.Errorf("on host %q: %w", m.from.Name(), convertErr)
	case err != nil:
		return done, err
	}
	for key := range done.stamps {
		if !bytes.Contains(received, []byte("received "+key+"\n")) {
			return done, fmt.Errorf("on host %q: %s did not say that it has the message %s", m.to.Name(), receiveScript.Name, key)
		}
	}
	return done, nil
}

// convert reads what export.sh prints of a batch, and writes what receive.sh takes.
func convert(from *bufio.Reader, to io.Writer, batch []listed) (copied, error) {
	done := copied{stamps: map[string]string{}}
	archive := tar.NewWriter(to)
	for _, message := range batch {
		words, err := expect(from, "message", 2)
		if err != nil {
			return done, err
		}
		if words[0] != message.key {
			return done, fmt.Errorf("a message %s came in the place of %s", words[0], message.key)
		}
		problem, err := convertOne(from, archive, message)
		switch {
		case err != nil:
			return done, fmt.Errorf("message %s: %w", message.key, err)
		case problem != nil:
			done.problems = append(done.problems, fmt.Sprintf("%s: %s: %v", message.name, message.path, problem))
		default:
			done.stamps[message.key] = words[1]
		}
	}
	if err := archive.WriteHeader(&tar.Header{Name: "END", Mode: 0o600}); err != nil {
		return done, err
	}
	return done, archive.Close()
}

// convertOne reads a message. problem is why this one cannot be moved, err why reading
// cannot go on.
func convertOne(from *bufio.Reader, to *tar.Writer, message listed) (problem, err error) {
	var e envelope
	var control, journal []byte
	for {
		words, err := expect(from, "", 1)
		if err != nil {
			return nil, err
		}
		size, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "failed":
			return errors.New(strings.Join(words[1:], " ")), nil
		case "control", "journal":
			if size > maxControl {
				return nil, fmt.Errorf("its envelope has %d bytes", size)
			}
			text := make([]byte, size)
			if _, err := io.ReadFull(from, text); err != nil {
				return nil, err
			}
			if words[0] == "control" {
				control = text
			} else {
				journal = text
			}
		case "body":
			if e, problem = parseMoved(message, control, journal); problem != nil {
				_, err = io.CopyN(io.Discard, from, size)
			} else {
				err = copyMessage(from, to, message.key, e, size)
			}
			if err != nil {
				return nil, err
			}
			if _, err = expect(from, "end", 0); err != nil {
				return nil, err
			}
			return problem, nil
		default:
			return nil, fmt.Errorf("the script that reads messages said %q", strings.Join(words, " "))
		}
	}
}

// parseMoved reads the envelope of a message that is to be moved.
func parseMoved(message listed, control, journal []byte) (e envelope, err error) {
	if message.kind == Postfix {
		e, err = parsePostcat(control)
	} else {
		_, e, err = parseControl(message.kind, message.path, control, strings.Split(string(journal), "\n"))
	}
	if err == nil {
		err = e.check()
	}
	return e, err
}

// copyMessage copies a body of a size, with its header and its envelope.
func copyMessage(from *bufio.Reader, to *tar.Writer, key string, e envelope, size int64) error {
	var header []byte
	var id string
	if e.header != nil {
		id = messageID(string(e.header))
		header = append(e.header, '\n')
	} else {
		peeked, err := from.Peek(int(min(size, peekHeader-1)))
		if err != nil {
			return err
		}
		id = messageID(string(peeked))
	}
	if err := to.WriteHeader(&tar.Header{Name: key + ".message", Mode: 0o600, Size: int64(len(header)) + size}); err != nil {
		return err
	}
	if _, err := to.Write(header); err != nil {
		return err
	}
	if _, err := io.CopyN(to, from, size); err != nil {
		return err
	}
	sender := e.sender
	if sender == "" {
		sender = "<>"
	}
	text := strings.Join(append([]string{id, sender}, e.recipients...), "\n") + "\n"
	if err := to.WriteHeader(&tar.Header{Name: key + ".envelope", Mode: 0o600, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := io.WriteString(to, text)
	return err
}

// expect reads a line: a word, where one is given, and so many words after it at least.
func expect(from *bufio.Reader, word string, more int) ([]string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if word != "" {
		if words[0] != word {
			return nil, fmt.Errorf("the script that reads messages said %q in the place of %s", line, word)
		}
		words = words[1:]
	} else {
		more++
	}
	if len(words) < more {
		return nil, fmt.Errorf("the script that reads messages said %q", line)
	}
	return words, nil
}
