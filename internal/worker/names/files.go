package names

import (
	"os"
	"strconv"
	"strings"
)

// etc has the host's own files. A variable for the tests.
var etc = "/etc"

// entry is a line of passwd(5) or group(5).
type entry struct {
	fields []string // there are at least three
	id     uint32
}

func (e entry) name() string { return e.fields[0] }

// parse reads a line: the name comes first, the number third.
func parse(line string) (entry, bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
	if len(fields) < 3 || fields[0] == "" {
		return entry{}, false
	}
	id, err := strconv.ParseUint(fields[2], 10, 32)
	return entry{fields: fields, id: uint32(id)}, err == nil
}

// sought are the keys that are still looked for.
type sought struct {
	database string // passwd or group
	byName   bool   // else by number
	keys     map[string]bool
}

func (s sought) key(e entry) string {
	if s.byName {
		return e.name()
	}
	return strconv.FormatUint(uint64(e.id), 10)
}

// take hands on the entries of the text that are looked for.
func (s sought) take(text []byte, found func(entry)) {
	for line := range strings.Lines(string(text)) {
		if e, ok := parse(line); ok && s.keys[s.key(e)] {
			found(e)
		}
	}
}

// fromFile answers from /etc what getent would answer from there, and returns
// the keys that it leaves to getent: the first source that knows a key answers
// (nsswitch.conf(5)), so what the file has needs no process. It leaves all to
// getent where the file is not the first source or has a line that the C library
// could read in another way.
func (s sought) fromFile(keys []string, found func(entry)) (left []string) {
	if len(keys) == 0 || !filesFirst(s.database) {
		return keys
	}
	text, err := os.ReadFile(etc + "/" + s.database)
	if err != nil {
		return keys // getent says what is wrong, if anything is
	}
	known := map[string]entry{}
	for line := range strings.Lines(string(text)) {
		if line == "\n" || line[0] == '#' {
			continue
		}
		e, ok := parse(line)
		if !ok || !plain(s.database, e) {
			return keys
		}
		if key := s.key(e); s.keys[key] {
			if _, ok := known[key]; !ok { // as everywhere, the first one counts
				known[key] = e
			}
		}
	}
	for _, key := range keys {
		if e, ok := known[key]; ok {
			found(e)
		} else {
			left = append(left, key)
		}
	}
	return left
}

// plain says whether every C library reads the line as parse does. Lines that
// begin with + or - bring in or shut out entries of NIS.
func plain(database string, e entry) bool {
	if strings.ContainsAny(e.name()[:1], "+- \t\v\f\r") || strings.HasPrefix(e.fields[2], "+") {
		return false
	}
	if database != "passwd" {
		return true
	}
	// A line without the number of the group is none for glibc.
	if len(e.fields) < 4 {
		return false
	}
	_, err := strconv.ParseUint(e.fields[3], 10, 32)
	return err == nil
}

// filesFirst says whether the database's first source is the file in /etc, so that
// what is found there is the answer; nsswitch.conf(5). Without the file, or a
// line in it, the C libraries ask the file first.
func filesFirst(database string) bool {
	text, err := os.ReadFile(etc + "/nsswitch.conf")
	if os.IsNotExist(err) {
		return true
	}
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		name, sources, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != database {
			continue
		}
		first, action, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(sources, "[", " [")), " ")
		first, rest, _ := strings.Cut(first, "\t")
		if first != "files" && first != "compat" {
			return false
		}
		// An action may say to go on although the file knows the key, by name or as
		// the contrary of another result.
		action = strings.TrimSpace(rest + " " + action)
		if !strings.HasPrefix(action, "[") {
			return true
		}
		action, _, _ = strings.Cut(strings.ToLower(action), "]")
		return !strings.Contains(action, "success") && !strings.Contains(action, "!")
	}
	return true
}
