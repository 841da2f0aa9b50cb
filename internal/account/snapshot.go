package account

import (
	"cmp"
	_ "embed"
	"errors"
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
	owners         map[int]string // of numbers: whom /etc/passwd names first
	notUTF8        map[string]bool
	uidMin, uidMax int
}

// User returns an account by its name.
func (s *Snapshot) User(name string) (User, bool) {
	user, ok := s.users[name]
	return user, ok
}

// nobody is the account without rights, whatever range it is in.
const nobody = 65534

// Person is an account of a person.
type Person struct {
	User
	// Problems are why another host could not have the account, in words; none
	// means that a Spec of it passes Check.
	Problems []string
}

// People returns the accounts of persons, by name: those with a shell to log in
// with and a home below /home, whatever their number (a host that came from
// another system has people below UID_MIN), and those with a number from the
// host's range for people (UID_MIN and UID_MAX of login.defs(5)) and one of both.
func (s *Snapshot) People() map[string]Person {
	people := map[string]Person{}
	for name, user := range s.users {
		if user.UID == 0 || user.UID == nobody {
			continue
		}
		inHome, inRange := strings.HasPrefix(user.Home, "/home/"), user.UID >= s.uidMin && user.UID <= s.uidMax
		if logsIn(user.Shell) && inHome || inRange && (logsIn(user.Shell) || inHome) {
			people[name] = Person{user, s.problems(user)}
		}
	}
	return people
}

// problems says why useradd of another host would refuse an account.
func (s *Snapshot) problems(user User) []string {
	var problems []string
	spec := Spec{Name: user.Name, UID: &user.UID, GID: &user.GID, Group: &user.Group, Groups: &user.Groups, GroupIDs: user.GroupIDs,
		Gecos: &user.Gecos, Home: &user.Home, Shell: &user.Shell}
	for _, problem := range spec.problems() {
		var on *FieldError
		if errors.As(problem, &on) {
			problems = append(problems, on.Field+": "+on.Error())
		}
	}
	if s.notUTF8[user.Name] {
		problems = append(problems, "name, home or shell: not in UTF-8 on the host, so that it would get other bytes elsewhere")
	}
	if first := s.owners[user.UID]; first != user.Name {
		problems = append(problems, fmt.Sprintf("uid: %d is the number of %s as well", user.UID, first))
	}
	return problems
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
		// As the C library reads these files: blanks before a line do not count, and a
		// line with # is a comment (nss_files).
		line = strings.TrimLeft(line, " \t\f\v")
		if line == "" || line[0] == '#' {
			continue
		}
		sections[section] = append(sections[section], strings.Split(line, ":"))
	}
	if section != "end" {
		return nil, fmt.Errorf("on host %q: the list of accounts broke off after %d bytes", hostName, len(out))
	}

	s := &Snapshot{users: map[string]User{}, owners: map[int]string{}, notUTF8: map[string]bool{}, uidMin: 1000, uidMax: 60000}
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
		if _, twice := s.users[text(f[0])]; err != nil || twice { // the first line of a name counts
			continue
		}
		if _, ok := s.owners[uid]; !ok {
			s.owners[uid] = text(f[0])
		}
		gid := number(f[3], -1)
		s.notUTF8[text(f[0])] = !utf8.ValidString(f[0] + f[5] + f[6])
		user := User{
			Name: text(f[0]), UID: uid, GID: gid, Group: f[3],
			Gecos: text(f[4]), Home: text(f[5]), Shell: cmp.Or(text(f[6]), "/bin/sh"),
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
	seen := map[string]bool{}
	for _, f := range sections["shadow"] {
		name := text(f[0])
		user, ok := s.users[name]
		if !ok || len(f) < 4 || seen[name] {
			continue
		}
		seen[name] = true
		user.Password = PasswordState(f[1])
		user.LastChange = number(f[2], -1)
		user.Locked = f[3] == "1"
		s.users[name] = user
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
		f[0] = text(f[0])
		if gid, err := strconv.Atoi(f[2]); err == nil {
			if _, twice := ids[f[0]]; !twice {
				ids[f[0]] = gid
			}
			if names[gid] == "" {
				names[gid] = f[0]
			}
		}
		for member := range strings.SplitSeq(text(f[3]), ",") {
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
