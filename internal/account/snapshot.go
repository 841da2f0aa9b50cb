package account

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed snapshot.sh
var snapshotText string

var snapshotScript = host.Script{Name: "account/snapshot.sh", Text: snapshotText}

// Snapshot is all accounts of a host's own files at one moment.
type Snapshot struct {
	users          map[string]User
	uidMin, uidMax int
}

// User returns an account by its name.
func (s *Snapshot) User(name string) (User, bool) {
	user, ok := s.users[name]
	return user, ok
}

// nobody is the account without rights, whatever range it is in.
const nobody = 65534

// People returns the accounts of persons, by name: those with a shell to log in
// with and a home below /home, whatever their number (a host that came from
// another system has people below UID_MIN), and those with a number from the
// host's range for people (UID_MIN and UID_MAX of login.defs(5)) and one of both.
func (s *Snapshot) People() map[string]User {
	people := map[string]User{}
	for name, user := range s.users {
		if user.UID == 0 || user.UID == nobody {
			continue
		}
		inHome, inRange := strings.HasPrefix(user.Home, "/home/"), user.UID >= s.uidMin && user.UID <= s.uidMax
		if logsIn(user.Shell) && inHome || inRange && (logsIn(user.Shell) || inHome) {
			people[name] = user
		}
	}
	return people
}

func logsIn(shell string) bool {
	base := shell[strings.LastIndexByte(shell, '/')+1:]
	return !slices.Contains([]string{"nologin", "false", "true", "sync"}, base)
}

// parseSnapshot reads what account/snapshot.sh prints. An output that does not
// come to its end is an error: who is missing from it may still be there.
func parseSnapshot(hostName, out string) (*Snapshot, error) {
	sections := map[string][][]string{}
	section := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "== "); ok {
			section = name
			continue
		}
		sections[section] = append(sections[section], strings.Split(line, ":"))
	}
	if section != "end" {
		return nil, fmt.Errorf("on host %q: the list of accounts broke off after %d bytes", hostName, len(out))
	}

	s := &Snapshot{users: map[string]User{}, uidMin: 1000, uidMax: 60000}
	for _, def := range sections["defs"] {
		switch def[0] {
		case "UID_MIN":
			s.uidMin = number(def[1], s.uidMin)
		case "UID_MAX":
			s.uidMax = number(def[1], s.uidMax)
		}
	}
	groupNames, groupIDs, memberOf := parseGroups(sections["group"])
	for _, f := range sections["passwd"] {
		if len(f) < 7 || f[0] == "" || strings.ContainsAny(f[0][:1], "+-") {
			continue // not an account: + and - bring NIS in (nsswitch.conf(5), compat)
		}
		uid, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		gid := number(f[3], -1)
		user := User{
			Name: f[0], UID: uid, GID: gid, Group: f[3],
			Gecos: text(f[4]), Home: f[5], Shell: f[6],
			Password: PasswordState(f[1]), LastChange: -1,
		}
		if name, ok := groupNames[gid]; ok {
			user.Group = name
		}
		user.Groups = slices.DeleteFunc(memberOf[user.Name], func(g string) bool { return g == user.Group })
		user.GroupIDs = map[string]int{}
		for _, group := range user.Groups {
			if gid, ok := groupIDs[group]; ok {
				user.GroupIDs[group] = gid
			}
		}
		s.users[user.Name] = user
	}
	for _, f := range sections["shadow"] {
		user, ok := s.users[f[0]]
		if !ok || len(f) < 4 {
			continue
		}
		user.Password = PasswordState(f[1])
		user.LastChange = number(f[2], -1)
		user.Locked = f[3] == "1"
		s.users[f[0]] = user
	}
	return s, nil
}

// text reads a comment that may be from the time before UTF-8, in Latin-1.
func text(field string) string {
	if utf8.ValidString(field) {
		return field
	}
	runes := make([]rune, len(field))
	for i := range len(field) {
		runes[i] = rune(field[i])
	}
	return string(runes)
}

// parseGroups returns the groups' names by number, their numbers by name, and
// by user the sorted names of the groups that list the user.
func parseGroups(lines [][]string) (names map[int]string, ids map[string]int, memberOf map[string][]string) {
	names, ids, memberOf = map[int]string{}, map[string]int{}, map[string][]string{}
	for _, f := range lines {
		if len(f) < 4 {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil {
			ids[f[0]] = gid
			if names[gid] == "" {
				names[gid] = f[0]
			}
		}
		for member := range strings.SplitSeq(f[3], ",") {
			if member != "" && !slices.Contains(memberOf[member], f[0]) {
				memberOf[member] = append(memberOf[member], f[0])
			}
		}
	}
	for _, groups := range memberOf {
		slices.Sort(groups)
	}
	return names, ids, memberOf
}
