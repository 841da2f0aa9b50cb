package maildir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// spoolRoot is where a namespace of spools looks for folders: the link to a
// user's spool, or nothing.
const spoolRoot = "~/.cutover-spool"

// setting is a setting and its value, as doveconf -h prints it.
type setting struct{ key, value string }

// settings are what must hold with the drop-in in force; other files may have
// something to say about them.
func (s Spec) settings(d setup) []setting {
	if d.syntax != "2.3" {
		return []setting{{"mail_driver", "maildir"}, {"mail_path", s.Path}, {"mail_inbox_path", s.Path}, {"maildir/mailbox_list_layout", string(s.Layout)}}
	}
	must := []setting{{"mail_location", s.location()}}
	if plainName.MatchString(d.inbox) {
		must = append(must, setting{"namespace/" + d.inbox + "/location", ""})
	}
	return must
}

// location is mail_location, the one setting up to Dovecot 2.3.
func (s Spec) location() string {
	if s.Layout == LayoutFS {
		return "maildir:" + s.Path + ":LAYOUT=fs"
	}
	return "maildir:" + s.Path
}

// dropIn is the drop-in's content: what was asked for in comments, so that it
// can be read back; the settings; and a digest that shows changes.
func (s Spec) dropIn(d setup) string {
	s = s.sorted()
	var b strings.Builder
	fmt.Fprintf(&b, "# Managed by Terraform: cutover_maildir %q.\n", s.Name)
	b.WriteString("# Changes made here are undone by the next apply; destroying the resource removes this file, never mail.\n#\n")
	fmt.Fprintf(&b, "# dovecot %s\n# inbox %s\n# separator %s\n# path %s\n# mode %s\n", d.syntax, d.inbox, d.separator, s.Path, s.Mode)
	if s.Layout != LayoutMaildirPP { // drop-ins from before there was a choice have no such line
		fmt.Fprintf(&b, "# layout %s\n", s.Layout)
	}
	if s.Spool != NoSpool {
		fmt.Fprintf(&b, "# spool %s %s\n", s.Spool, s.SpoolDirectory)
	}
	for _, folder := range s.Folders {
		fmt.Fprintf(&b, "# folder %q\n", folder)
	}
	for _, user := range s.Users {
		fmt.Fprintf(&b, "# user %s\n", user)
	}
	b.WriteString("\n")
	if d.syntax == "2.3" {
		fmt.Fprintf(&b, "mail_location = %s\n", s.location())
	} else {
		// Without mail_inbox_path, the inbox would be where Debian's
		// 10-mail.conf puts it; empty, it would be a folder of that name.
		fmt.Fprintf(&b, "mail_driver = maildir\nmail_path = %s\nmail_inbox_path = %s\n", s.Path, s.Path)
		// Only in this block is it for Maildirs alone, and stronger than a
		// mailbox_list_layout for all drivers.
		fmt.Fprintf(&b, "maildir {\n  mailbox_list_layout = %s\n}\n", s.Layout)
	}
	b.WriteString(s.namespaces(d))
	text := b.String()
	return text + digestMark + digest(text) + "\n"
}

// namespaces are those that make the mbox spools usable. Their indexes are in
// memory: nothing is to be left in homes.
func (s Spec) namespaces(d setup) string {
	var mbox, inboxHas string
	switch {
	case s.Spool == NoSpool:
		return ""
	case s.Spool == SpoolNamespace:
		inboxHas = "yes\n  separator = " + d.separator
		mbox = "  prefix = spool" + d.separator + "\n  subscriptions = no\n"
	default:
		inboxHas = "no"
		mbox = "  prefix = \"#mbox" + d.separator + "\"\n  inbox = yes\n  hidden = yes\n  list = no\n"
	}
	mbox += "  separator = " + d.separator + "\n"
	if d.syntax == "2.3" {
		mbox += "  location = mbox:" + spoolRoot + ":INBOX=" + s.SpoolDirectory + "/%n:INDEX=MEMORY\n"
	} else {
		mbox += "  mail_driver = mbox\n  mail_path = " + spoolRoot + "\n  mail_inbox_path = " + s.SpoolDirectory + "/%{user | username}\n  mail_index_path = MEMORY\n"
	}
	inbox := fmt.Sprintf("namespace %s {\n  inbox = %s\n}\n", quoted(d.inbox), inboxHas)
	if d.inbox == unnamed {
		inbox = "" // a block would be a second namespace; the spool's has the same separator
	}
	return fmt.Sprintf("\n%snamespace cutover_spool {\n%s}\n", inbox, mbox)
}

const digestMark = "\n# sha256 "

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// parse reads back what a drop-in was written for. untouched is false where
// somebody has changed the file since.
func parse(name, content string) (s Spec, d setup, untouched bool, err error) {
	s.Name, s.Layout = name, LayoutMaildirPP
	for _, line := range strings.Split(content, "\n") {
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), " ")
		if !ok || !strings.HasPrefix(line, "# ") {
			continue
		}
		switch key {
		case "dovecot":
			d.syntax = value
		case "inbox":
			d.inbox = value
		case "separator":
			d.separator = value
		case "path":
			s.Path = value
		case "layout":
			s.Layout = Layout(value)
		case "mode":
			s.Mode = value
		case "spool":
			kind, directory, _ := strings.Cut(value, " ")
			s.Spool, s.SpoolDirectory = Spool(kind), directory
		case "folder":
			folder, err := strconv.Unquote(value)
			if err != nil {
				return s, d, false, fmt.Errorf("%s: %q is no folder", s.DropIn(), value)
			}
			s.Folders = append(s.Folders, folder)
		case "user":
			s.Users = append(s.Users, value)
		}
	}
	if err := s.Check(); err != nil {
		return s, d, false, fmt.Errorf("%s is not as the provider wrote it: %w", s.DropIn(), err)
	}
	at := strings.LastIndex(content, digestMark)
	untouched = at >= 0 && content[at:] == digestMark+digest(content[:at])+"\n"
	return s, d, untouched, nil
}
