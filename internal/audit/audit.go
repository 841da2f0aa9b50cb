// Package audit puts an old and a new host side by side: what the one has and does,
// and the other has not or does otherwise, as findings. It changes nothing on either.
//
// It asks the domains (account, mail, mailqueue, machine, vhost) what they know of a
// host, and adds what none of them is about. It stands above them in the order of the
// project's packages and below the provider.
package audit

import (
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Audit is what was found.
type Audit struct {
	Old, New Side
	Taken    time.Time
	// Areas are all that were asked for, in their order.
	Areas []Area
	// Findings are in the order of Areas, within an area by severity, then by subject.
	Findings []Finding

	// What was compared, whether it differs or not; each by its name.
	Homes     []Home
	Sites     []Site
	Mailboxes []Mailbox

	Ignored int // findings that were left out because they are known and meant
	// NotCompared is what could not be read, or not be put side by side, with its place:
	// where it is empty, Findings are the whole truth of Areas.
	NotCompared []string
}

// Side is one of the hosts.
type Side struct {
	Name    string // in the provider's block
	Address string // at which it was reached
	System  string // such as "Debian GNU/Linux 11 (bullseye)"
}

// Area is a part of a host that is compared.
type Area struct {
	Name  string // one of Areas
	Title string // for people: "Mailboxes"
	// Compared is how many things of the old host were put beside the new one.
	Compared int
	// Skipped is why the area could not be compared at all; "" where it was.
	Skipped string
}

// Severity says what a finding means for the users of the host.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"   // somebody misses something, or is refused
	Warning Severity = "warning" // somebody may notice
	Notice  Severity = "notice"  // nobody has to, and it is good to know
)

// Severities are all of them, the worst first.
var Severities = []Severity{Error, Warning, Notice}

// Finding is a difference between the hosts.
type Finding struct {
	Area     string
	Severity Severity
	Subject  string // what differs, unique within the area: "alice", "shop.example:443", "alice/Archive"
	Old, New string // what each host has, in few words; "" is nothing
	Text     string // the fact, in a sentence
	Mend     string // what to do, in a sentence
}

// Home is a user's home on both hosts. Where a host has none, its counts are 0 and its
// path is "".
type Home struct {
	User             string
	OldPath, NewPath string
	Old, New         Amount
	// Brought is what the last pass of a chain that goes there had brought; nil where no
	// pass has.
	Brought *Amount
}

// Amount is how much is in a directory, below it included, without other file systems.
type Amount struct {
	Files int64 // all that is no directory
	Bytes int64 // of the content of files
}

// String is the amount in words: "12 files, 3.4 MB".
func (a Amount) String() string { return plural(a.Files, "file") + ", " + order.Size(a.Bytes) }

// Site is a name at a port of the web server on both hosts.
type Site struct {
	Name     string
	Port     int
	TLS      bool
	Old, New Answer
}

// Answer is what a host said when it was asked for a site's page.
type Answer struct {
	Status   int    // of HTTP; 0: there was no answer
	Title    string // of the page
	Location string // to where it redirects
	Problem  string // why there was no answer

	// Of a site with TLS:
	Certificate        string // subject
	Expires            time.Time
	CertificateProblem string // why a client would refuse it; "" where it would not
}

// Mailbox is the mail of a user on both hosts.
type Mailbox struct {
	User     string
	Old, New Mails
}

// Mails is how much mail there is.
type Mails struct {
	Folders  int // INBOX included
	Messages int64
}

// Event is something that took its time in the night, for the report's timeline.
type Event struct {
	Name              string
	Downtime          bool // nobody was served
	Started, Finished time.Time
}
