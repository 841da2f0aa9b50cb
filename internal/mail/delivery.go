package mail

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Delivery is a step of a mail on its way to a user of the host.
type Delivery struct {
	For     string // "local", or "virtual" for users without an account
	Program string // "postfix", "sendmail", "exim", "procmail"
	// To is the format of what it writes to (maildir, mbox, mh), or what it hands
	// the mail to: dovecot, procmail, program, lmtp, transport.
	To      string
	Path    string // of the mailbox, or of the socket; the transport's name
	Command string // program that it is handed to, without its arguments
	Setting string // what says so: "home_mailbox", "/etc/procmailrc:3"
}

// server is the mail server of the host. Of several it is the one that the command
// sendmail belongs to.
func (a *answer) server(n *notes) string {
	if len(a.servers) == 0 {
		return ""
	}
	if len(a.servers) == 1 {
		return a.servers[0]
	}
	for _, name := range a.servers {
		if strings.Contains(path.Base(a.sendmailProgram), name) {
			return name
		}
	}
	n.notUnderstood("the host has several mail servers (%s); of them only the first was looked at", strings.Join(a.servers, ", "))
	return a.servers[0]
}

func (a *answer) delivery(server string, n *notes) ([]Delivery, []VirtualUsers) {
	switch server {
	case "postfix":
		return append(a.postfixLocal(n), a.postfixVirtual(n)...), a.postfixUsers(n)
	case "sendmail":
		return a.sendmailLocal(n), nil
	case "exim":
		return a.eximLocal(n), nil
	case "":
	default:
		n.notUnderstood("%s: where it delivers to, and its aliases, were not read", server)
	}
	return nil, nil
}

// handed is a delivery to a program, and what that does where it is procmail.
func (a *answer) handed(d Delivery, n *notes) []Delivery {
	switch path.Base(d.Command) {
	case "procmail":
		d.To = "procmail"
		return []Delivery{d, a.byProcmail(n)}
	case "dovecot-lda", "deliver", "dovecot-lmtp":
		d.To = "dovecot"
		return []Delivery{d}
	case "mail.local":
		d.To, d.Path = "mbox", "/var/mail/%u"
		return []Delivery{d}
	}
	d.To = "program"
	n.notUnderstood("%s: where %s (%s) delivers to was not read", d.Program, d.Command, d.Setting)
	return []Delivery{d}
}

// transported is a delivery to a transport of Postfix, such as
// lmtp:unix:private/dovecot-lmtp.
func (d Delivery) transported(transport string, n *notes) Delivery {
	name, next, _ := strings.Cut(transport, ":")
	switch {
	case name == "lmtp":
		d.To, d.Path = "lmtp", next
	case strings.HasPrefix(name, "dovecot"):
		d.To, d.Path = "dovecot", transport
	default:
		d.To, d.Path = "transport", transport
		n.notUnderstood("%s: where the transport %s (%s) delivers to was not read", d.Program, transport, d.Setting)
	}
	return d
}

// mailbox is a delivery to a file, or to a directory where the path says so by a
// slash at its end ("/." is MH's, to procmail).
func (a *answer) mailbox(d Delivery, place string) Delivery {
	switch {
	case strings.HasSuffix(place, "/."):
		d.To = "mh"
	case strings.HasSuffix(place, "/"):
		d.To = "maildir"
	default:
		d.To = "mbox"
	}
	d.Path, _ = inHome(strings.TrimSuffix(place, "/."), a.parents)
	return d
}

// byProcmail is what /etc/procmailrc says of mail that no recipe takes.
func (a *answer) byProcmail(n *notes) Delivery {
	d := Delivery{For: "local", Program: "procmail", Setting: "procmail's default"}
	values := map[string]string{"ORGMAIL": "/var/mail/$LOGNAME", "DEFAULT": "$ORGMAIL", "MAILDIR": "$HOME"}
	for _, f := range a.procmail {
		switch f.key {
		case "recipes":
			n.notUnderstood("%s: recipes of procmail decide where mail of all users goes", f.at)
		case "INCLUDERC", "SWITCHRC":
			n.notUnderstood("%s: %s was not read", f.at, f.key)
		default:
			if f.key == "DEFAULT" || f.key == "ORGMAIL" {
				d.Setting = f.at
			}
			values[f.key] = expand(f.value, values)
		}
	}
	place := expand(values["DEFAULT"], values)
	if !strings.HasPrefix(place, "/") && !strings.HasPrefix(place, "$") {
		place = expand(values["MAILDIR"], values) + "/" + place
	}
	d = a.mailbox(d, place)
	if strings.Contains(d.Path, "$") {
		n.notUnderstood("%s: %s", d.Setting, d.Path)
	}
	return d
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)

// expand puts the values of variables in; what has none stays.
func expand(text string, values map[string]string) string {
	for range 3 { // a value may name another
		text = variable.ReplaceAllStringFunc(text, func(found string) string {
			if value, ok := values[variable.FindStringSubmatch(found)[1]]; ok {
				return value
			}
			return found
		})
	}
	return text
}

func (a *answer) sendmailLocal(n *notes) []Delivery {
	for _, f := range a.sendmail {
		if f.key != "local" {
			continue
		}
		return a.handed(Delivery{For: "local", Program: "sendmail", Command: f.value, Setting: f.at}, n)
	}
	n.notUnderstood("sendmail: sendmail.cf has no mailer \"local\"")
	return nil
}

// spoolDirectory is the directory of mbox spools, where mail is delivered to them
// or Dovecot's inbox is one.
func spoolDirectory(s Store, steps []Delivery) string {
	places := []string{}
	for _, d := range steps {
		if d.To == "mbox" {
			places = append(places, d.Path)
		}
	}
	if s.Driver == "mbox" {
		places = append(places, s.InboxPath)
	}
	for _, place := range places {
		if dir, ok := strings.CutSuffix(place, "/%u"); ok && path.IsAbs(dir) && !strings.ContainsAny(dir, "%$") {
			return dir
		}
	}
	return ""
}

// compare tells where mail is delivered to another place than Dovecot's inbox.
func compare(s Store, steps []Delivery, n *notes) {
	inbox := s.Path
	if s.InboxPath != "" {
		inbox = s.InboxPath
	}
	for _, d := range steps {
		if d.For != "local" || inbox == "" || !slices.Contains([]string{"maildir", "mbox", "mh"}, d.To) {
			continue
		}
		if spool(d.Path) != spool(inbox) || d.To != s.Driver {
			n.problem("%s: mail is delivered to %s (%s), and Dovecot's inbox is %s (%s)", d.Setting, d.Path, d.To, inbox, s.Driver)
		}
	}
}

// spool is a place with /var/mail for /var/spool/mail: one is a link to the other,
// on Debian this and on Red Hat that.
func spool(place string) string {
	if rest, ok := strings.CutPrefix(place, "/var/spool/mail/"); ok {
		return "/var/mail/" + rest
	}
	return place
}
