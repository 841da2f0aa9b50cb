// Package mailqueue reads the mail queues of a host (Sendmail, Postfix, Exim), and
// moves what an old host has accepted and could not deliver to a new one: it is handed
// to the new host's mail server, once.
//
// A message that lies in the queue of a host which is switched off is as good as lost.
// The package may import internal/host.
package mailqueue

import "time"

// sendmailConfig is where sendmail.cf and submit.cf lie.
const sendmailConfig = "/etc/mail"

// Mail servers, as Message.MTA has them. Of several instances of Postfix, those after
// the first have names of their own, which begin with Postfix and a hyphen.
const (
	Sendmail = "sendmail"
	Postfix  = "postfix"
	Exim     = "exim"
)

// What is told of a queue at most; the counts are of everything.
const (
	MaxMessages   = 100 // the oldest
	MaxRecipients = 50  // of a message
	maxReason     = 300 // bytes of why a message is still there
	maxOdd        = 100 // files that are not understood
)

// Queue is what the mail queues of a host hold.
type Queue struct {
	MTAs    []string // mail servers that have a queue on the host, sorted as they were found
	Count   int64    // messages
	Bytes   int64    // their size as the mail server's own list has it: Sendmail's and Exim's without the headers
	Oldest  time.Time
	ByState map[string]int64
	// Messages are the oldest, at most MaxMessages.
	Messages []Message
	// NotUnderstood are files and answers that could not be read, at most maxOdd.
	NotUnderstood []string
}

// Message is a message in a queue.
type Message struct {
	MTA   string
	ID    string
	State string // incoming, active, deferred, hold, maildrop, quarantined, lost or frozen
	Bytes int64  // as in Queue
	// Arrival is when the mail server accepted it.
	Arrival time.Time
	Sender  string // "" is the null sender, as bounces have it
	// Recipients are those who have not got it yet, at most MaxRecipients of RecipientCount.
	Recipients     []string
	RecipientCount int
	Reason         string // why it was not delivered at the last attempt; "" where that is not known
}
