package mail

import (
	"regexp"
	"strings"
)

// setting is a value of main.cf with those that it names put in. What is named and
// was not asked for has no value here, as Postfix's own virtual_maps of long ago.
func (a *answer) setting(key string) string {
	text := expand(a.postfix[key], a.postfix)
	return strings.TrimSpace(variable.ReplaceAllString(text, ""))
}

// postfixLocal goes by the order of local(8): the first of these that is set takes
// the mail.
func (a *answer) postfixLocal(n *notes) []Delivery {
	by := func(setting string) Delivery {
		return Delivery{For: "local", Program: "postfix", Setting: setting}
	}
	for _, key := range []string{"mailbox_transport_maps", "mailbox_command_maps"} {
		if maps := a.mapsOf(key); len(maps) > 0 {
			n.notUnderstood("postfix: %s: mail of the users in %s goes elsewhere", key, strings.Join(maps, ", "))
		}
	}
	if transport := a.setting("local_transport"); transport != "" && transport != "local" && !strings.HasPrefix(transport, "local:") {
		return []Delivery{by("local_transport").transported(transport, n)}
	}
	if transport := a.setting("mailbox_transport"); transport != "" {
		return []Delivery{by("mailbox_transport").transported(transport, n)}
	}
	if command := a.setting("mailbox_command"); command != "" {
		d := by("mailbox_command")
		d.Command = command
		return a.handed(d, n)
	}
	if mailbox := a.setting("home_mailbox"); mailbox != "" {
		return []Delivery{a.mailbox(by("home_mailbox"), "~/"+mailbox)}
	}
	spool := a.setting("mail_spool_directory")
	if spool == "" {
		n.notUnderstood("postfix: postconf does not say where mail is delivered to")
		return nil
	}
	end := "/%u"
	if strings.HasSuffix(spool, "/") {
		end = "%u/"
	}
	return []Delivery{a.mailbox(by("mail_spool_directory"), spool+end)}
}

// hasVirtual reports whether Postfix has domains whose users need no account.
func (a *answer) hasVirtual() bool { return a.setting("virtual_mailbox_domains") != "" }

func (a *answer) postfixVirtual(n *notes) []Delivery {
	if !a.hasVirtual() {
		return nil
	}
	d := Delivery{For: "virtual", Program: "postfix", Setting: "virtual_transport"}
	transport := a.setting("virtual_transport")
	if transport != "" && transport != "virtual" && !strings.HasPrefix(transport, "virtual:") {
		return []Delivery{d.transported(transport, n)}
	}
	d.Setting, d.To, d.Path = "virtual_mailbox_base", "transport", a.setting("virtual_mailbox_base")
	return []Delivery{d}
}

// postfixUsers are those of virtual_mailbox_maps, and tells of the maps that are no
// files.
func (a *answer) postfixUsers(n *notes) []VirtualUsers {
	for _, key := range []string{"alias_maps", "virtual_alias_maps", "virtual_mailbox_maps"} {
		for _, word := range a.mapsOf(key) {
			if _, isFile := mapFile(word); !isFile {
				n.notUnderstood("postfix: %s: %s is no file whose entries can be read", key, word)
			}
		}
	}
	if !a.hasVirtual() {
		return nil
	}
	v := VirtualUsers{Program: "postfix", Home: a.setting("virtual_mailbox_base"), Accounts: -1}
	v.UID, _ = strings.CutPrefix(onlyStatic(a.setting("virtual_uid_maps")), "static:")
	v.GID, _ = strings.CutPrefix(onlyStatic(a.setting("virtual_gid_maps")), "static:")
	var list []VirtualUsers
	for _, word := range a.mapsOf("virtual_mailbox_maps") {
		entry := v
		entry.Source, _, _ = strings.Cut(word, ":")
		if file, ok := mapFile(word); ok {
			entry.File = file
			if count, ok := a.maps[file]; ok {
				entry.Accounts = count
			}
		}
		list = append(list, entry)
	}
	return list
}

func onlyStatic(value string) string {
	if strings.HasPrefix(value, "static:") && !strings.ContainsAny(value, ", ") {
		return value
	}
	return ""
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// mapFile is the source of a map whose entries stand in a file, as server.sh has it.
func mapFile(word string) (string, bool) {
	kind, file, ok := strings.Cut(word, ":")
	if !ok {
		return word, strings.HasPrefix(word, "/")
	}
	switch kind {
	case "hash", "btree", "dbm", "lmdb", "cdb", "texthash", "implicit":
		return file, strings.HasPrefix(file, "/")
	}
	return "", false
}

// braces are what inline:{...} and pipemap:{...} hold themselves, which may be
// anything.
var braces = regexp.MustCompile(`\{.*\}?`)

// mapsOf are the maps of a setting, without what they hold themselves.
func (a *answer) mapsOf(key string) []string {
	var list []string
	for _, word := range words(braces.ReplaceAllString(a.setting(key), "")) {
		kind, file, ok := strings.Cut(word, ":")
		if ok && !strings.HasPrefix(file, "/") && kind != "nis" && kind != "proxy" {
			word = kind
		}
		list = append(list, word)
	}
	return list
}
