package maildir

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// setup is what of the host's Dovecot a drop-in depends on.
type setup struct {
	syntax string // "2.3" for all before 2.4, or "2.4"
	// inbox and separator are those of the namespace that has the inbox; inbox
	// may be unnamed.
	inbox, separator string
}

// unnamed is the name of a namespace that is written "namespace {". Dovecot up
// to 2.3 takes each such block for a namespace more, so that no other file can
// change it; 2.4 refuses them.
const unnamed = ""

// namespace is one as doveconf -n prints it.
type namespace struct {
	name, separator string
	inbox           bool
	own             []string // settings of a place of its own, which count more than those for all: "location = mbox:~/mail"
}

var placeSettings = []string{"location", "mail_driver", "mail_path", "mail_inbox_path", "mailbox_list_layout"}

func parseNamespaces(printed string) []namespace {
	var list []namespace
	for _, line := range strings.Split(printed, "\n") {
		if title, ok := strings.CutPrefix(line, "namespace "); ok {
			list = append(list, namespace{name: unquoted(strings.TrimSpace(strings.TrimSuffix(title, "{")))})
			continue
		}
		// What belongs to the namespace's mailboxes stands further in.
		setting, ok := strings.CutPrefix(line, "  ")
		key, value, isSetting := strings.Cut(setting, " =")
		if len(list) == 0 || !ok || !isSetting || strings.HasPrefix(setting, " ") {
			continue
		}
		n := &list[len(list)-1]
		value = unquoted(strings.TrimSpace(value))
		switch {
		case key == "inbox":
			n.inbox = value == "yes"
		case key == "separator":
			n.separator = value
		case slices.Contains(placeSettings, key) && value != "":
			n.own = append(n.own, key+" = "+value)
		}
	}
	return list
}

// plainName is a name that Dovecot takes without quotation marks, and that
// doveconf finds in NAMESPACE/NAME/SETTING.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// quoted is a name as Dovecot's configuration has it.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func unquoted(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text[1 : len(text)-1])
}

// setup is what a drop-in for this host depends on. With a drop-in in force the
// namespace of the inbox may be hidden; then there, what the drop-in was
// written for, stands. was is what that drop-in says; both are empty without one.
func (f facts) setup(hostName string, s, was Spec, there setup) (setup, error) {
	syntax, err := f.syntax(hostName)
	if err != nil {
		return setup{}, err
	}
	d := setup{syntax: syntax, inbox: "inbox", separator: s.Layout.separator()}
	if there.syntax != "" {
		d.inbox = there.inbox
		if there.separator != was.Layout.separator() { // the host's own choice, and not the layout's
			d.separator = there.separator
		}
	}
	var own []string
	for _, n := range parseNamespaces(f.namespaces) {
		if !n.inbox || n.name == "cutover_spool" {
			continue
		}
		d.inbox, own = n.name, n.own
		if n.separator != "" {
			d.separator = n.separator
		}
	}
	title := "namespace " + quoted(d.inbox)
	if d.inbox == unnamed {
		title = "namespace"
	}
	switch {
	// Of a location in a namespace with a name, doveconf says which file has it.
	case len(own) > 0 && (syntax != "2.3" || !plainName.MatchString(d.inbox)):
		return setup{}, fmt.Errorf("host %q: the namespace of Dovecot's inbox (\"%s {\") has a place of its own, which counts more than a drop-in's; remove this from it in /etc/dovecot: %s",
			hostName, title, strings.Join(own, ", "))
	case d.inbox == unnamed && s.Spool == SpoolInbox:
		return setup{}, fmt.Errorf("host %q: the namespace of Dovecot's inbox has no name (\"namespace {\"), so that no drop-in can give the inbox to the mbox spools; write \"namespace inbox {\" in its place in /etc/dovecot, and apply again", hostName)
	}
	return d, nil
}
