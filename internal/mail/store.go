package mail

import (
	"slices"
	"strings"
)

// Store is where Dovecot has mail.
type Store struct {
	Version string // "2.3.13"; "" where there is no Dovecot
	Driver  string // "maildir", "mbox", "mdbox", "sdbox", ...; "auto" where Dovecot looks for itself
	// Path is "~/mail" where it is a place in the homes (InHomes), else as in the
	// configuration.
	InHomes                           bool
	Path, Layout                      string
	InboxPath, ControlPath, IndexPath string // "" where they are in Path
	Separator                         string // between the parts of a folder's name, as clients see it
	Settings                          map[string]string
	Namespaces                        []Namespace
}

// Namespace is one of Dovecot's namespaces.
type Namespace struct {
	Name              string // "" for one without a name
	Type              string // "private", "shared" or "public"
	Prefix, Separator string
	Location          string // of its own; "" where it is that of all
	Inbox             bool
	Listed, Hidden    bool
	Subscriptions     bool // whether it has a list of its own
}

// location is a place of mail in either syntax.
type location struct {
	from                                        string // the setting
	driver, path, layout, inbox, control, index string
	further                                     []string // options that matter and have no attribute
}

// placeKeys are the settings of a place.
var placeKeys = []string{"mail_location", "location", "mail_driver", "mail_path", "mail_inbox_path", "mail_control_path", "mail_index_path", "mail_alt_path",
	"mailbox_list_layout", "mailbox_directory_name", "mailbox_root_directory_name", "mailbox_subscriptions_filename", "mailbox_list_utf8"}

func (a *answer) store(n *notes) Store {
	s := Store{Version: a.version, Settings: map[string]string{}}
	switch {
	case a.old != "":
		n.notUnderstood("Dovecot %s: settings of Dovecot before 2.0 are not read", a.old)
		n.problem("where Dovecot has mail is not known, because it is older than 2.0")
		return s
	case a.isBroken:
		n.notUnderstood("Dovecot does not accept its own configuration (%s); doveconf -n on the host says more", a.broken)
		n.problem("where Dovecot has mail is not known, because it does not accept its own configuration")
		return s
	case !a.hasDovecot:
		n.problem("the host has no Dovecot that would say where mail is")
		return s
	}
	top := a.blocks[0]
	var inbox block
	for _, b := range a.blocks[1:] {
		isNamespace := b.title == "namespace" || strings.HasPrefix(b.title, "namespace ") && !strings.Contains(b.title, " / ")
		if isNamespace {
			s.Namespaces = append(s.Namespaces, b.namespace())
			if b.set["inbox"] == "yes" {
				inbox = b
			}
		}
		for _, key := range b.keys {
			if !isNamespace && slices.Contains(placeKeys, key) && !a.isDriverBlock(b.title) {
				n.notUnderstood("Dovecot: %s has its own %s: %s", b.title, key, b.set[key])
			}
		}
	}
	for _, key := range top.keys {
		s.Settings[key] = top.set[key]
	}
	var at location
	if a.hasOneSetting() {
		at = parseLocation("mail_location", top.set["mail_location"], n)
		if own := inbox.set["location"]; own != "" {
			at = parseLocation("location of "+inbox.title, own, n)
		}
	} else {
		at = a.severalSettings(inbox)
	}
	s.take(at, inbox, a.parents, n)
	return s
}

// hasOneSetting reports whether it is a Dovecot with mail_location: up to 2.3.
func (a *answer) hasOneSetting() bool {
	if _, has := a.blocks[0].set["mail_location"]; has {
		return true
	}
	major, rest, _ := strings.Cut(a.version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major == "2" && len(minor) == 1 && minor < "4"
}

// isDriverBlock reports whether a block is that of the driver in use: "maildir {".
func (a *answer) isDriverBlock(title string) bool { return title == a.blocks[0].set["mail_driver"] }

func (b block) namespace() Namespace {
	or := func(key, standard string) string {
		if value := b.set[key]; value != "" {
			return value
		}
		return standard
	}
	location := b.set["location"]
	if b.set["mail_driver"] != "" || b.set["mail_path"] != "" {
		location = b.set["mail_driver"] + ":" + b.set["mail_path"]
	}
	return Namespace{
		Name: unquoted(strings.TrimSpace(strings.TrimPrefix(b.title, "namespace"))), Type: or("type", "private"),
		Prefix: b.set["prefix"], Separator: b.set["separator"], Location: location, Inbox: b.set["inbox"] == "yes",
		Listed: or("list", "yes") != "no", Hidden: b.set["hidden"] == "yes", Subscriptions: or("subscriptions", "yes") == "yes",
	}
}

// take fills s in from where the inbox is, and tells what a Maildir in each home
// would not be the same as.
func (s *Store) take(at location, inbox block, parents map[string]int, n *notes) {
	s.Driver, s.Layout = at.driver, strings.ToLower(at.layout)
	if s.Driver == "" || s.Driver == "auto" {
		s.Driver = "auto"
		n.problem("Dovecot is not told where mail is (no %s): it looks for it in each home, and users may differ", at.from)
		return
	}
	if s.Layout == "" {
		s.Layout = "fs"
		if s.Driver == "maildir" {
			s.Layout = "maildir++"
		}
	}
	isMaildir := s.Driver == "maildir"
	if !isMaildir {
		n.problem("%s: Dovecot has mail as %s; a Maildir is another format, into which it has to be converted", at.from, s.Driver)
	}
	var why string
	s.Path, why = inHome(at.path, parents)
	if s.InHomes = why == ""; !s.InHomes && isMaildir {
		n.problem("%s: %s is no place for a Maildir in each home: %s", at.from, s.Path, why)
	}
	place := func(text string) string {
		if text == "" || text == "MEMORY" {
			return text
		}
		place, _ := inHome(text, parents)
		return place
	}
	if s.InboxPath = place(at.inbox); s.InboxPath == s.Path {
		s.InboxPath = ""
	}
	s.ControlPath, s.IndexPath = place(at.control), place(at.index)
	if isMaildir && s.InboxPath != "" {
		n.problem("%s: the inbox is %s and not the Maildir itself", at.from, s.InboxPath)
	}
	if isMaildir && s.ControlPath != "" {
		n.problem("%s: the numbers of mails and the subscriptions are in %s; without them clients load all mail once more", at.from, s.ControlPath)
	}
	if isMaildir && s.Layout != "maildir++" && s.Layout != "fs" {
		n.problem("%s: the layout %s is neither maildir++ nor fs", at.from, s.Layout)
	}
	for _, option := range at.further {
		n.problem("%s: %s changes where mail or its lists are", at.from, option)
	}
	s.Separator = "/"
	if s.Layout == "maildir++" {
		s.Separator = "."
	}
	if own := inbox.set["separator"]; own != "" && own != s.Separator {
		n.problem("%s: separator = %s; without it on the new host, clients see folders under other names", inbox.title, own)
		s.Separator = own
	}
	if prefix := inbox.set["prefix"]; prefix != "" {
		n.problem("%s: prefix = %s; without it on the new host, clients see folders under other names", inbox.title, prefix)
	}
}
