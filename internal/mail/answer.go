package mail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// answer is what the script printed.
type answer struct {
	hasDovecot  bool
	version     string // of Dovecot: "2.3.13"
	broken, old string // place of an error in its configuration; version of one from before doveconf
	isBroken    bool
	blocks      []block // the first is what stands in no block
	layoutLines [][2]string
	users       []userDatabase
	passwdFiles map[string]passwdFile

	servers         []string
	others          []string // servers of mailboxes beside Dovecot: "Courier"
	sendmailProgram string   // what the command sendmail is in the end
	postfix         map[string]string
	sendmail        []fact
	exim            []eximPart
	procmail        []fact
	maps            map[string]int // entries of a file
	aliases         []Alias

	hostname        string
	domainFiles     map[string][]string // first words of the lines, by Postfix's word for the file
	sendmailDomains []string
	eximList        string // Exim's list local_domains

	unclear []string // what the script itself did not understand

	parents                 map[string]int // of people's homes
	forwards, filters       map[string][]string
	unreadable, closedHomes []string
}

// block is one of Dovecot's configuration, such as "namespace inbox".
type block struct {
	title string
	keys  []string // in order
	set   map[string]string
}

// userDatabase is a passdb or a userdb.
type userDatabase struct {
	kind string
	set  map[string]string // driver, file, uid, gid, home and places of mail
}

// passwdFile is a file of accounts of Dovecot. uid and gid are "" where they
// differ.
type passwdFile struct {
	accounts, homes, places int
	uid, gid                string
}

// fact is a setting and where it stands.
type fact struct{ key, value, at string }

// eximPart is a router or a transport.
type eximPart struct {
	kind, name string
	set        map[string]string
}

// fields is how many values stand behind each word of the script; a last line
// without them was cut off.
var fields = map[string]int{
	"dovecot": 1, "dovecot-broken": 1, "dovecot-old": 1, "set": 3, "users": 4, "passwd-file": 6, "passwd-file-unreadable": 1, "layout-line": 2,
	"server": 1, "other": 1, "sendmail-program": 1, "postfix": 2, "sendmail": 3, "exim": 4, "procmail": 3, "map": 2, "map-unreadable": 1, "alias": 4,
	"hostname": 1, "domain": 1, "domain-of": 2, "domain-list": 1, "unclear": 1,
	"parent": 2, "forward": 2, "filter": 2, "home-unreadable": 2, "file-unreadable": 2,
}

func parse(printed string) (*answer, error) {
	a := &answer{
		blocks: []block{{set: map[string]string{}}}, passwdFiles: map[string]passwdFile{},
		postfix: map[string]string{}, maps: map[string]int{}, parents: map[string]int{},
		forwards: map[string][]string{}, filters: map[string][]string{}, domainFiles: map[string][]string{},
	}
	lines := strings.Split(strings.TrimSuffix(printed, "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return nil, errors.New("broke off")
	}
	for _, line := range lines[:len(lines)-1] {
		part := strings.Split(line, "\t")
		if want, known := fields[part[0]]; !known || len(part) != want+1 {
			return nil, fmt.Errorf("printed an unexpected line that begins with %q and has %d parts", part[0], len(part))
		}
		a.add(part[0], part[1:])
	}
	return a, nil
}

func (a *answer) add(word string, v []string) {
	number := func(text string) int {
		n, _ := strconv.Atoi(text) // the script prints them itself
		return n
	}
	switch word {
	case "dovecot":
		a.hasDovecot, a.version = true, v[0]
	case "dovecot-broken":
		a.isBroken, a.broken = true, v[0]
	case "dovecot-old":
		a.old = v[0]
	case "set":
		a.addSetting(v[0], v[1], v[2])
	case "users":
		// The number tells blocks apart: each begins with another.
		if n := number(v[1]); n > len(a.users) {
			a.users = append(a.users, userDatabase{kind: v[0], set: map[string]string{}})
		}
		a.users[len(a.users)-1].set[v[2]] = v[3]
	case "passwd-file":
		a.passwdFiles[v[0]] = passwdFile{accounts: number(v[1]), uid: v[2], gid: v[3], homes: number(v[4]), places: number(v[5])}
	case "layout-line":
		a.layoutLines = append(a.layoutLines, [2]string{v[0], v[1]})
	case "server":
		a.servers = append(a.servers, v[0])
	case "other":
		a.others = append(a.others, v[0])
	case "sendmail-program":
		a.sendmailProgram = v[0]
	case "postfix":
		a.postfix[v[0]] = v[1]
	case "sendmail":
		a.sendmail = append(a.sendmail, fact{v[0], v[1], v[2]})
	case "exim":
		if n := len(a.exim); n == 0 || a.exim[n-1].kind != v[0] || a.exim[n-1].name != v[1] {
			a.exim = append(a.exim, eximPart{kind: v[0], name: v[1], set: map[string]string{}})
		}
		a.exim[len(a.exim)-1].set[v[2]] = v[3]
	case "procmail":
		a.procmail = append(a.procmail, fact{v[0], v[1], v[2]})
	case "map":
		a.maps[v[0]] = number(v[1])
	case "alias":
		a.aliases = append(a.aliases, Alias{Name: strings.Trim(v[2], `"`), File: v[0], Line: number(v[1]), Kinds: kinds(v[3])})
	case "hostname":
		a.hostname = v[0]
	case "domain":
		a.sendmailDomains = append(a.sendmailDomains, v[0])
	case "domain-of":
		a.domainFiles[v[0]] = append(a.domainFiles[v[0]], v[1])
	case "domain-list":
		a.eximList = v[0]
	case "unclear":
		a.unclear = append(a.unclear, v[0])
	case "parent":
		a.parents[v[0]] = number(v[1])
	case "forward":
		a.forwards[v[0]] = kinds(v[1])
	case "filter":
		a.filters[v[0]] = append(a.filters[v[0]], v[1])
	case "home-unreadable":
		a.closedHomes = append(a.closedHomes, v[1])
	case "file-unreadable":
		a.unreadable = append(a.unreadable, v[1])
	case "passwd-file-unreadable", "map-unreadable":
		a.unreadable = append(a.unreadable, v[0])
	}
}

// addSetting adds one of Dovecot's. A block begins with a setting without a key,
// so that two without a name are two.
func (a *answer) addSetting(title, key, value string) {
	b := &a.blocks[0]
	if title != "" {
		if last := &a.blocks[len(a.blocks)-1]; key == "" || last.title != title {
			a.blocks = append(a.blocks, block{title: title, set: map[string]string{}})
		}
		b = &a.blocks[len(a.blocks)-1]
	}
	if key != "" {
		b.keys = append(b.keys, key)
		b.set[key] = unquoted(value)
	}
}

// unquoted is a value of Dovecot's configuration, which may be in quotation marks.
func unquoted(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text[1 : len(text)-1])
}

func kinds(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}
