// Package mail says how a host keeps mail: where Dovecot has it, where the mail
// server delivers to, who has mail without an account, and what leads mail
// elsewhere. The programs are asked themselves, in one round trip, and nothing is
// changed. No password, query, argument of a command or target of an alias leaves
// the host.
//
// It may import internal/host and nothing else of this module.
package mail

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed begin.sh
	beginText string
	//go:embed dovecot.sh
	dovecotText string
	//go:embed server.sh
	serverText string
	//go:embed domains.sh
	domainsText string
	//go:embed homes.sh
	homesText string
)

var factsScript = host.Script{Name: "mail/facts.sh", Text: beginText + dovecotText + serverText + domainsText + homesText}

// Mail is how a host keeps mail. What is not there is "" or empty. In paths, "~/"
// is the user's home and "%u" the user's name, whatever the program's own
// configuration has for them.
type Mail struct {
	Store
	Server       string   // "postfix", "sendmail", "exim", "opensmtpd" or "qmail"
	Domains      []string // whose mail it takes, sorted; of the host's own names those that DNS can have
	Delivery     []Delivery
	SpoolDir     string // directory of the mbox spools, one file a user
	VirtualUsers []VirtualUsers
	Aliases      []Alias
	Forwards     map[string][]string // kinds of what is in the user's .forward
	Filters      map[string][]string // the user's own filters: ".procmailrc"
	// Problems are what a Maildir in each home, in the layout that is given,
	// would not be the same as.
	Problems []string
	// NotUnderstood is what was not read or not understood, with its place.
	NotUnderstood []string
}

// Alias is an entry of a file of aliases.
type Alias struct {
	Name, File string
	Line       int
	// Kinds of what it leads to: user, address (with an @), pipe, file, include,
	// filter, special (":fail:").
	Kinds []string
}

// Inspect asks the host.
func Inspect(ctx context.Context, h host.Host) (Mail, error) {
	result, err := h.Run(ctx, host.Sh(factsScript, "/etc"))
	if err != nil {
		return Mail{}, err
	}
	a, err := parse(string(result.Stdout))
	if err != nil {
		return Mail{}, fmt.Errorf("on host %q: %s %w", h.Name(), factsScript.Name, err)
	}
	return a.mail(), nil
}

// notes gathers what is to be told beside the facts.
type notes struct{ problems, unclear []string }

func (n *notes) problem(format string, values ...any) {
	n.problems = append(n.problems, fmt.Sprintf(format, values...))
}

func (n *notes) notUnderstood(format string, values ...any) {
	n.unclear = append(n.unclear, fmt.Sprintf(format, values...))
}

func (a *answer) mail() Mail {
	var n notes
	m := Mail{Aliases: a.aliases, Forwards: a.forwards, Filters: a.filters}
	m.Store = a.store(&n)
	m.VirtualUsers = a.dovecotUsers(m.Store, &n)
	m.Server = a.server(&n)
	m.Domains = a.domains(m.Server, &n)
	var virtual []VirtualUsers
	m.Delivery, virtual = a.delivery(m.Server, &n)
	m.VirtualUsers = append(m.VirtualUsers, virtual...)
	m.SpoolDir = spoolDirectory(m.Store, m.Delivery)
	compare(m.Store, m.Delivery, &n)
	for _, line := range a.unclear {
		n.notUnderstood("%s", line)
	}
	for _, name := range a.others {
		n.notUnderstood("the host has %s: where it has mail was not read", name)
	}
	for _, file := range a.unreadable {
		n.notUnderstood("%s cannot be read", file)
	}
	for _, home := range a.closedHomes {
		n.notUnderstood("%s cannot be entered, so that it is not known whether there is a .forward", home)
	}
	m.Problems, m.NotUnderstood = n.problems, n.unclear
	return m
}
