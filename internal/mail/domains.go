package mail

import (
	"regexp"
	"slices"
	"strings"
)

// domainName is a name that DNS can have: with a dot, for the others mean the host itself.
var domainName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// domains are those whose mail the host takes, sorted.
func (a *answer) domains(server string, n *notes) []string {
	var names []string
	switch server {
	case "postfix":
		names = a.postfixDomains(n)
	case "sendmail":
		names = a.sendmailDomains
	case "exim":
		names = a.eximDomains(n)
	}
	var all []string
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if domainName.MatchString(name) && !strings.HasSuffix(name, ".localdomain") && !strings.HasSuffix(name, ".localhost") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *answer) postfixDomains(n *notes) []string {
	var names []string
	for _, key := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains"} {
		for _, word := range words(a.setting(key)) {
			file, isFile := mapFile(word)
			switch found, known := a.domainFiles[word]; {
			case known:
				names = append(names, found...)
			case isFile:
				// By default the domains of virtual_alias_maps: entries that are no address.
				for _, alias := range a.aliases {
					if alias.File == file && !strings.Contains(alias.Name, "@") {
						names = append(names, alias.Name)
					}
				}
			case strings.Contains(word, ":"):
				n.notUnderstood("postfix: %s: %s is no file whose domains can be read", key, word)
			default:
				names = append(names, word)
			}
		}
	}
	return names
}

// eximDomains reads Exim's list (exim.org/exim-html-current/doc/html/spec_html/ch-domain_host_address_and_local_part_lists.html):
// names between colons, "@" for the host itself.
func (a *answer) eximDomains(n *notes) []string {
	var names []string
	for item := range strings.SplitSeq(a.eximList, ":") {
		item = strings.TrimSpace(item)
		switch {
		case item == "":
		case item == "@":
			names = append(names, a.hostname)
		case domainName.MatchString(strings.ToLower(item)) || !strings.ContainsAny(item, "*/;!@+${^"):
			names = append(names, item)
		default:
			n.notUnderstood("exim: local_domains: %s is no name", item)
		}
	}
	return names
}
