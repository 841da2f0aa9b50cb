package mail

import (
	"slices"
	"strings"
)

// options of mail_location that matter to nothing but speed, or to what Dovecot
// makes anew.
var harmlessOptions = []string{"INDEXPVT", "INDEXCACHE", "VOLATILEDIR", "LISTINDEX", "ITERINDEX", "NO-NOSELECT", "KEEP-NOSELECT", "NO-FS-VALIDATION", "BROKENCHAR"}

// options of mail_location that say where something else is.
var otherOptions = []string{"DIRNAME", "FULLDIRNAME", "SUBSCRIPTIONS", "ALT", "MAILBOXDIR", "UTF-8"}

// parseLocation reads Dovecot's one setting up to 2.3: "DRIVER:PATH:KEY=VALUE...".
// Two colons are one in a path.
func parseLocation(from, text string, n *notes) location {
	at := location{from: from}
	const colon = "\x00"
	parts := strings.Split(strings.ReplaceAll(text, "::", colon), ":")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], colon, ":")
	}
	if strings.HasPrefix(parts[0], "/") || strings.HasPrefix(parts[0], "~") {
		parts = append([]string{"auto"}, parts...)
	}
	at.driver = strings.ToLower(parts[0])
	if len(parts) == 1 {
		return at
	}
	at.path = parts[1]
	for _, option := range parts[2:] {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "LAYOUT":
			at.layout = value
		case "INBOX":
			at.inbox = value
		case "CONTROL":
			at.control = value
		case "INDEX":
			at.index = value
		default:
			switch {
			case slices.Contains(otherOptions, key):
				at.further = append(at.further, option)
			case key != "" && !slices.Contains(harmlessOptions, key):
				n.notUnderstood("Dovecot: %s: the option %s", from, option)
			}
		}
	}
	return at
}

// severalSettings reads those of Dovecot 2.4. A namespace's own count more than a
// driver's, and these more than those for all.
func (a *answer) severalSettings(inbox block) location {
	sources := []block{inbox, a.blocks[0]}
	for _, b := range a.blocks[1:] {
		if a.isDriverBlock(b.title) {
			sources = []block{inbox, b, a.blocks[0]}
		}
	}
	get := func(key string) string {
		for _, b := range sources {
			if value := b.set[key]; value != "" {
				return value
			}
		}
		return ""
	}
	at := location{
		from: "mail_path", driver: get("mail_driver"), path: get("mail_path"), layout: get("mailbox_list_layout"),
		inbox: get("mail_inbox_path"), control: get("mail_control_path"), index: get("mail_index_path"),
	}
	for _, key := range []string{"mail_alt_path", "mailbox_directory_name", "mailbox_root_directory_name", "mailbox_subscriptions_filename", "mailbox_list_utf8"} {
		if value := get(key); value != "" {
			at.further = append(at.further, key+" = "+value)
		}
	}
	if at.driver == "" {
		at.from = "mail_driver"
	}
	if at.driver == "maildir" && at.path == "" {
		at.path = "%{home}/Maildir" // Dovecot's own default
	}
	if at.layout == "" && len(a.layoutLines) > 0 {
		at.layout = a.layoutLines[len(a.layoutLines)-1][1]
	}
	return at
}
