package mail

import (
	"path"
	"regexp"
	"strings"
)

// Each program has its own words for the user's home and name.
var (
	homeWords = regexp.MustCompile(`^(~|%h|%\{home\}|\$HOME|\$home|\$\{HOME\}|\$\{home\}|\$h)(/|$)`)
	// The domain of a user of the host itself is empty, so that Dovecot's user and
	// username are the same.
	nameWords = regexp.MustCompile(`%L?[un]|%\{ *(user|username)( *\| *(username|lower))* *\}|\$\{?(LOGNAME|USER|local_part_data|local_part|user)\b\}?`)
)

// normal is a place in the words of this package: "~/" and "%u".
func normal(place string) string {
	place = nameWords.ReplaceAllString(place, "%u")
	if rest, ok := cutHome(place); ok {
		place = "~/" + rest
	}
	if len(place) > 1 {
		place = strings.TrimRight(place, "/")
	}
	return place
}

func cutHome(place string) (string, bool) {
	at := homeWords.FindStringIndex(place)
	if at == nil {
		return "", false
	}
	return strings.TrimLeft(place[at[1]:], "/"), true
}

// inHome is the place in each home that a location means, such as "~/mail"; or why
// it is none. parents are where the homes of people are.
func inHome(location string, parents map[string]int) (place, why string) {
	place = normal(location)
	for parent := range parents {
		// "/home/%u" is a home where all of them are such.
		if rest, ok := strings.CutPrefix(place, parent+"/%u"); ok && len(parents) == 1 && (rest == "" || rest[0] == '/') {
			place = "~" + rest
		}
	}
	rest, ok := strings.CutPrefix(place+"/", "~/")
	switch {
	case !ok && strings.Contains(place, "%u") && len(parents) > 1:
		return place, "homes are not all in one directory, so that it is a place in some homes only"
	case !ok:
		return place, "it is not in the users' homes"
	case strings.ContainsAny(rest, "%$"):
		return place, "it is not the same in each home"
	case path.Clean("/"+rest) == "/":
		return "~", "it is the home itself"
	}
	return "~/" + strings.TrimPrefix(path.Clean("/"+rest), "/"), ""
}
