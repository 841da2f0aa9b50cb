package audit

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/mail"
)

// place is where mail of users is on a host.
type place struct {
	user string // whose it is; "" where the first parts below root name the user
	root string // of Maildirs, or the file of a spool
	// control is where Dovecot has the numbers of mails; "" for root.
	control string
	parts   int // of a path below root that name the user
	isSpool bool
}

type places []place

func (p places) want(want wanted) {
	for _, place := range p {
		if place.isSpool {
			want.add("spool", place.root)
			continue
		}
		want.add("maildir", place.root)
		want.add("control", place.control)
	}
}

// placesOf are where the host has its users' mail: where Dovecot looks, and where the
// mail server delivers to.
func (f *facts) placesOf(people []string) places {
	store := f.mail.Store
	var found places
	add := func(p place) {
		if p.root != "" && !slices.ContainsFunc(found, func(other place) bool { return other.root == p.root }) {
			found = append(found, p)
		}
	}
	maildirs := []string{}
	switch store.Driver {
	case "maildir":
		maildirs = append(maildirs, store.Path)
	case "":
	case "mbox":
		f.note(mailboxes, "Dovecot has folders as mbox: only the inboxes were compared")
	default:
		f.note(mailboxes, "Dovecot has mail as %s: it was not compared", store.Driver)
	}
	for _, step := range f.mail.Delivery {
		if step.To == "maildir" && step.For == "local" {
			maildirs = append(maildirs, strings.TrimSuffix(step.Path, "/"))
		}
	}
	for _, pattern := range maildirs {
		control := ""
		if pattern == store.Path {
			control = store.ControlPath
		}
		for _, name := range people {
			if user, there := f.accounts.User(name); there {
				root, known := expand(pattern, name, user.Home)
				p := place{user: name, root: root}
				if control != "" {
					p.control, _ = expand(control, name, user.Home)
				}
				if known {
					add(p)
				}
			}
		}
	}
	for _, virtual := range f.mail.VirtualUsers {
		if store.Driver == "maildir" && virtual.Program == "dovecot" {
			f.virtual(virtual, add)
		}
	}
	if store.Driver == "maildir" && strings.Contains(store.Path, "%") && !strings.HasPrefix(store.Path, "~") {
		if root, parts := constant(store.Path); root != "/" {
			add(place{root: root, parts: parts})
		}
	}
	if f.mail.SpoolDir != "" {
		for _, name := range people {
			if _, there := f.accounts.User(name); there {
				add(place{user: name, root: f.mail.SpoolDir + "/" + name, isSpool: true})
			}
		}
	}
	return found
}

// note notes what could not be read or compared of an area.
func (f *facts) note(area, format string, v ...any) {
	f.unclear[area] = append(f.unclear[area], fmt.Sprintf(format, v...))
}

// virtual adds where users without an account have mail.
func (f *facts) virtual(users mail.VirtualUsers, add func(place)) {
	pattern := f.mail.Path
	if rest, below := strings.CutPrefix(pattern, "~/"); below {
		if users.Home == "" {
			f.note(mailboxes, "where the users of %s %s have mail is not known", users.Source, users.File)
			return
		}
		pattern = strings.TrimSuffix(users.Home, "/") + "/" + rest
	}
	if root, parts := constant(pattern); root != "/" && parts > 0 {
		add(place{root: root, parts: parts})
	}
}

// constant is the part of a path with Dovecot's variables that is the same for all
// users, and how many parts come behind it.
func constant(pattern string) (root string, parts int) {
	all := strings.Split(path.Clean(pattern), "/")
	for i, part := range all {
		if strings.Contains(part, "%") {
			return "/" + strings.Trim(strings.Join(all[:i], "/"), "/"), len(all) - i
		}
	}
	return path.Clean(pattern), 0
}

// expand is the place of a user. known is false where the pattern has variables that an
// account does not settle.
func expand(pattern, name, home string) (place string, known bool) {
	if rest, below := strings.CutPrefix(pattern, "~/"); below {
		pattern = strings.TrimSuffix(home, "/") + "/" + rest
	}
	pattern = strings.NewReplacer("%u", name, "%n", name).Replace(pattern)
	return path.Clean(pattern), path.IsAbs(pattern) && !strings.Contains(pattern, "%")
}

// folder is what a folder of mail holds.
type folder struct {
	messages int64
	validity string // UIDVALIDITY; "" where no server has given one yet
}

// spoolFolder is the name of the mailbox in one file.
const spoolFolder = "spool"

// folders are all folders of the host, by user and by the name that clients see.
func (f *facts) folders() map[string]map[string]folder {
	found := map[string]map[string]folder{}
	put := func(user, name string, has folder) {
		if found[user] == nil {
			found[user] = map[string]folder{}
		}
		found[user][name] = has
	}
	for _, p := range f.mails {
		if p.isSpool {
			if messages, there := f.own.spools[p.root]; there {
				put(p.user, spoolFolder, folder{messages: messages})
			}
			continue
		}
		for below, messages := range f.own.folders[p.root] {
			user, name := p.user, below
			if p.parts > 0 {
				all := strings.Split(below, "/")
				if len(all) < p.parts {
					continue
				}
				user, name = strings.Join(all[:p.parts], "/"), strings.Join(all[p.parts:], "/")
			}
			has := folder{messages: messages, validity: f.own.validity[path.Join(p.root, below)]}
			if p.control != "" {
				has.validity = f.own.validity[path.Join(p.control, below)]
			}
			put(user, folderName(name), has)
		}
	}
	return found
}

// folderName is what clients call a folder by its directory: ".Archive.2009" of
// Maildir++ and "Archive/2009" of the layout fs are both "Archive.2009".
func folderName(directory string) string {
	if directory == "" {
		return "INBOX"
	}
	return strings.ReplaceAll(strings.TrimPrefix(directory, "."), "/", ".")
}

func (c *comparison) mailboxes() {
	was, is := c.old.folders(), c.new.folders()
	for _, user := range slices.Sorted(maps.Keys(was)) {
		if _, account := c.old.accounts.User(user); account {
			if _, there := c.new.accounts.User(user); !there {
				continue // that is a finding of its own
			}
		}
		pair := Mailbox{User: user, Old: mailsOf(was[user]), New: mailsOf(is[user])}
		c.audit.Mailboxes = append(c.audit.Mailboxes, pair)
		if len(is[user]) == 0 {
			c.compared(1)
			if pair.Old.Messages > 0 {
				c.find(Error, user, messages(pair.Old.Messages), "", "%s has mail on the old host and no mailbox on the new one.", user).
					mend("Copy the mail with a cutover_sync_pass, and see that the new host looks for it in the same place (cutover_maildir).")
			}
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(was[user])) {
			c.folder(user+"/"+name, was[user][name], is[user][name])
		}
	}
}

func (c *comparison) folder(subject string, was, is folder) {
	c.compared(1)
	switch {
	case is.messages < was.messages:
		c.find(Error, subject, messages(was.messages), messages(is.messages), "The new host has %s fewer in %s.", messages(was.messages-is.messages), subject).
			mend("Run another cutover_sync_pass. Until the final one, a host that is live is ahead.")
	case is.messages > was.messages:
		c.find(Notice, subject, messages(was.messages), messages(is.messages), "The new host has %s more in %s.", messages(is.messages-was.messages), subject).
			mend("Nothing, where the new host receives mail already. Before that, look whether a pass has brought something that the old host has deleted since.")
	case was.validity != "" && is.validity != was.validity:
		c.find(Warning, subject, "UIDVALIDITY "+was.validity, "UIDVALIDITY "+orNone(is.validity), "Clients load all mail of %s once more, because its numbers begin anew.", subject).
			mend("Copy the dovecot-uidlist of the folder with the mail, and control_path of data.cutover_mail where that is another directory.")
	}
}

func mailsOf(folders map[string]folder) Mails {
	m := Mails{Folders: len(folders)}
	for _, each := range folders {
		m.Messages += each.messages
	}
	return m
}

func messages(n int64) string { return plural(n, "message") }

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
