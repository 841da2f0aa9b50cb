package mail

import (
	"path"
	"strings"
)

// eximLocal is the router that takes mail of accounts when no other has: the last
// that accepts it without a condition, and its transport.
func (a *answer) eximLocal(n *notes) []Delivery {
	transports := map[string]map[string]string{}
	for _, part := range a.exim {
		if part.kind == "transport" {
			transports[part.name] = part.set
		}
	}
	var last *eximPart
	for i, part := range a.exim {
		if _, has := part.set["lookup"]; has && part.kind == "router" {
			n.notUnderstood("exim: the router %s looks up where mail goes, which was not read", part.name)
		}
		_, forAccounts := part.set["check_local_user"]
		if part.kind != "router" || part.set["driver"] != "accept" || !forAccounts || part.set["local_part_prefix"] != "" || part.set["local_part_suffix"] != "" {
			continue
		}
		if part.set["require_files"] == "" && part.set["condition"] == "" {
			last = &a.exim[i]
			continue
		}
		// Debian's router procmail takes all mail where the host has /etc/procmailrc.
		to := transports[part.set["transport"]]
		if path.Base(to["command"]) == "procmail" && len(a.procmail) > 0 {
			return a.handed(Delivery{For: "local", Program: "exim", Command: to["command"], Setting: "router " + part.name}, n)
		}
	}
	if last == nil {
		n.notUnderstood("exim: no router accepts mail of accounts without a condition")
		return nil
	}
	d := Delivery{For: "local", Program: "exim", Setting: "transport " + last.set["transport"]}
	to, known := transports[last.set["transport"]]
	if !known {
		n.notUnderstood("exim: the router %s has the transport %q, which is none of a fixed name", last.name, last.set["transport"])
		return nil
	}
	_, isMaildir := to["maildir_format"]
	switch {
	case to["driver"] == "appendfile" && isMaildir && to["directory"] != "":
		d = a.mailbox(d, strings.TrimSuffix(to["directory"], "/")+"/")
	case to["driver"] == "appendfile" && to["file"] != "":
		d = a.mailbox(d, strings.TrimSuffix(to["file"], "/"))
	case to["driver"] == "pipe" && to["command"] != "":
		d.Command = to["command"]
		return a.handed(d, n)
	case to["driver"] == "lmtp" && to["socket"] != "":
		d.To, d.Path = "lmtp", to["socket"]
	default:
		n.notUnderstood("exim: where the transport %s delivers to", last.set["transport"])
		return nil
	}
	if strings.Contains(d.Path, "$") {
		n.notUnderstood("exim: %s: %s", d.Setting, d.Path)
	}
	return []Delivery{d}
}
