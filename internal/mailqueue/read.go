package mailqueue

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed queues.sh
var queuesText string

//go:embed read.sh
var readText string

var readScript = host.Script{Name: "mailqueue/read.sh", Text: queuesText + readText}

// Read returns what is in the mail queues of a host. It changes nothing there. Where no
// mail server has a queue, MTAs is empty.
func Read(ctx context.Context, h host.Host) (Queue, error) { return read(ctx, h, sendmailConfig) }

func read(ctx context.Context, h host.Host, config string) (Queue, error) {
	r := reading{queue: Queue{ByState: map[string]int64{}}}
	command := host.Sh(readScript, strconv.Itoa(MaxMessages), config)
	command.Stdout = &lineWriter{take: r.line}
	if _, err := h.Run(ctx, command); err != nil {
		return Queue{}, err
	}
	if r.now.IsZero() {
		return Queue{}, fmt.Errorf("on host %q: the script that reads mail queues printed nothing", h.Name())
	}
	r.finish()
	return r.queue, nil
}

// reading takes the lines of read.sh.
type reading struct {
	queue Queue
	now   time.Time // with the host's zone
	mta   string
	list  postqueueList // of an old Postfix
	file  *controlFile  // the one whose lines come
	odd   int           // files that were not understood, those that are not listed as well
}

// controlFile is a control file of Sendmail or Exim, as read.sh prints it.
type controlFile struct {
	mta, state, path string
	bytes            int64
	text             []byte
	done             []string // addresses that have it already
	log              string
}

func (r *reading) line(line []byte) error {
	word, rest, _ := strings.Cut(string(line), " ")
	switch word {
	case "|":
		if r.file != nil {
			r.file.text = append(append(r.file.text, rest...), '\n')
		}
		return nil
	case "done":
		if r.file != nil {
			r.file.done = append(r.file.done, rest)
		}
		return nil
	case "log":
		if r.file != nil {
			r.file.log = rest
		}
		return nil
	}
	r.endFile()
	switch word {
	case "now":
		seconds, zone, _ := strings.Cut(rest, " ")
		since, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return fmt.Errorf("the host says that the time is %q", rest)
		}
		r.now = time.Unix(since, 0).UTC()
		if there, err := time.Parse("-0700", zone); err == nil {
			r.now = r.now.In(there.Location())
		}
	case "mta":
		r.endList()
		r.mta = rest
		r.queue.MTAs = append(r.queue.MTAs, rest)
	case "json":
		if message, ok := parsePostqueueJSON([]byte(rest)); ok {
			r.count(message)
		} else {
			r.notUnderstood(fmt.Sprintf("%s: a message of which postqueue says %s", r.mta, shortened(rest)))
		}
	case "list":
		r.list.now = r.now
		if message, ok := r.list.line(rest); ok {
			r.count(message)
		}
	case "sum":
		return r.sum(rest)
	case "odd":
		r.notUnderstood(r.mta + ": " + rest)
	case "file":
		state, rest, _ := strings.Cut(rest, " ")
		bytes, path, _ := strings.Cut(rest, " ")
		size, _ := strconv.ParseInt(bytes, 10, 64)
		r.file = &controlFile{mta: r.mta, state: state, path: path, bytes: size}
	case "failed":
		r.notUnderstood(r.mta + ": its queue could not be read: " + shortened(rest))
	}
	return nil
}

// sum takes the count of a state: STATE COUNT BYTES ARRIVAL.
func (r *reading) sum(text string) error {
	var state string
	var count, bytes, oldest int64
	if _, err := fmt.Sscanf(text, "%s %d %d %d", &state, &count, &bytes, &oldest); err != nil {
		return fmt.Errorf("the script that reads mail queues counted %q", text)
	}
	r.queue.ByState[state] += count
	r.queue.Count += count
	r.queue.Bytes += bytes
	r.older(time.Unix(oldest, 0).UTC())
	return nil
}

// count counts a message that no sum has, and keeps it where it is among the oldest.
func (r *reading) count(m Message) {
	m.MTA = r.mta
	r.queue.ByState[m.State]++
	r.queue.Count++
	r.queue.Bytes += m.Bytes
	r.older(m.Arrival)
	r.keep(m)
}

func (r *reading) older(arrival time.Time) {
	if r.queue.Oldest.IsZero() || arrival.Before(r.queue.Oldest) {
		r.queue.Oldest = arrival
	}
}

// keep keeps a message where it is among the oldest.
func (r *reading) keep(m Message) {
	m.Reason = shortened(m.Reason)
	m.RecipientCount = len(m.Recipients)
	if len(m.Recipients) > MaxRecipients {
		m.Recipients = append([]string(nil), m.Recipients[:MaxRecipients]...)
	}
	kept := r.queue.Messages
	at := len(kept)
	for at > 0 && m.Arrival.Before(kept[at-1].Arrival) {
		at--
	}
	if at == MaxMessages {
		return
	}
	kept = append(kept, Message{})
	copy(kept[at+1:], kept[at:])
	kept[at] = m
	r.queue.Messages = kept[:min(len(kept), MaxMessages)]
}

// endFile takes a control file of which all lines have come.
func (r *reading) endFile() {
	file := r.file
	if file == nil {
		return
	}
	r.file = nil
	if len(file.text) == 0 {
		return // delivered since it was listed
	}
	id, e, err := parseControl(file.mta, file.path, file.text, file.done)
	if err != nil {
		r.notUnderstood(fmt.Sprintf("%s: %s: %v", file.mta, file.path, err))
		return
	}
	reason := e.reason
	if file.log != "" {
		reason = file.log
	}
	r.keep(Message{MTA: file.mta, ID: id, State: file.state, Bytes: file.bytes, Arrival: e.arrival, Sender: e.sender, Recipients: e.recipients, Reason: reason})
}

func (r *reading) endList() {
	if message, ok := r.list.end(); ok {
		r.count(message)
	}
}

func (r *reading) finish() {
	r.endFile()
	r.endList()
	if more := r.odd - maxOdd; more > 0 {
		r.queue.NotUnderstood = append(r.queue.NotUnderstood, fmt.Sprintf("and %d more", more))
	}
}

func (r *reading) notUnderstood(what string) {
	r.odd++
	if r.odd <= maxOdd {
		r.queue.NotUnderstood = append(r.queue.NotUnderstood, what)
	}
}

// shortened is a text of others in one line, cut to maxReason bytes.
func shortened(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
