package host

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// sshConfigQuery is the host for which an ssh_config is read. It decides which
// Host and Match blocks apply, because the library knows few Match criteria
// and refuses a whole file for one that it does not know.
type sshConfigQuery struct {
	alias string     // as the user names the host
	user  string     // login asked for, "" where ssh_config is to say it
	local *user.User // who runs this
}

// maxIncludes is how deep ssh itself follows Include.
const maxIncludes = 16

// applying returns the lines of a file, and of those that it includes, that
// apply to the host. A file that is not there is an error.
func (q sshConfigQuery) applying(file string) ([]string, error) {
	return q.read(file, filepath.Dir(file), 0)
}

func (q sshConfigQuery) read(file, dir string, depth int) ([]string, error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("%s: Include goes deeper than %d files", file, maxIncludes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lines []string
	applies := true
	var undecided error // of a Match block of which only ssh knows whether it applies
	for i, line := range strings.Split(string(text), "\n") {
		key, rest := splitKeyword(line)
		key = strings.ToLower(key)
		if key == "host" || key == "match" {
			undecided = nil
		} else if undecided != nil && slices.Contains(readKeywords, key) {
			return nil, undecided
		}
		switch key {
		case "":
		case "host":
			applies, err = q.matchesHost(arguments(rest))
		case "match":
			applies, err = q.matches(arguments(rest))
			if errors.Is(err, errUndecided) {
				undecided, err = fmt.Errorf("%s:%d: %w", file, i+1, err), nil
			}
		case "include":
			if !applies {
				continue
			}
			var included []string
			included, err = q.include(arguments(rest), dir, depth)
			lines = append(lines, included...)
		default:
			if applies {
				lines = append(lines, strings.TrimRight(line, "\r"))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	return lines, nil
}

func (q sshConfigQuery) include(patterns []string, dir string, depth int) ([]string, error) {
	var lines []string
	for _, pattern := range patterns {
		if strings.HasPrefix(pattern, "~/") {
			pattern = filepath.Join(q.local.HomeDir, pattern[1:])
		} else if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("unable to include %s: %w", pattern, err)
		}
		for _, file := range files {
			included, err := q.read(file, dir, depth+1)
			if err != nil {
				return nil, err
			}
			lines = append(lines, included...)
		}
	}
	return lines, nil
}

func (q sshConfigQuery) matchesHost(patterns []string) (bool, error) {
	return matchPatterns(patterns, q.alias)
}

// readKeywords are the keywords that matter here. A block of others may
// apply or not.
var readKeywords = []string{
	"hostname", "port", "user", "identityfile", "identitiesonly", "identityagent", "certificatefile", "proxyjump",
	"proxycommand", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "include",
}

var errUndecided = errors.New("cannot be told without ssh itself; put the settings of this host into a Host block, or give a file of its own as ssh_config_path (\"none\" for no file)")

// matches tells whether a Match line applies. A criterion that only ssh can
// decide is an error, but only where those before it let it count.
func (q sshConfigQuery) matches(criteria []string) (bool, error) {
	if len(criteria) == 0 {
		return false, errors.New("a Match without a criterion")
	}
	for len(criteria) > 0 {
		name, value, inline := strings.Cut(criteria[0], "=")
		criteria = criteria[1:]
		name, negated := strings.CutPrefix(strings.ToLower(name), "!")
		if name == "all" {
			continue
		}
		if name == "final" || name == "canonical" { // a second pass over the file, which is not made here
			return false, nil
		}
		if !inline {
			if len(criteria) == 0 {
				return false, fmt.Errorf("a Match %s without a value", name)
			}
			value, criteria = criteria[0], criteria[1:]
		}
		var subject string
		switch name {
		case "host", "originalhost":
			subject = q.alias
		case "user":
			subject = q.user
			if subject == "" {
				subject = q.local.Username
			}
		case "localuser":
			subject = q.local.Username
		default:
			return false, fmt.Errorf("whether \"Match %s\" applies %w", name, errUndecided)
		}
		ok, err := matchPatterns(strings.Split(value, ","), subject)
		if err != nil {
			return false, err
		}
		if ok == negated {
			return false, nil
		}
	}
	return true, nil
}

func matchPatterns(patterns []string, subject string) (bool, error) {
	var host ssh_config.Host
	for _, text := range patterns {
		if text == "" {
			continue
		}
		pattern, err := ssh_config.NewPattern(text)
		if err != nil {
			return false, err
		}
		host.Patterns = append(host.Patterns, pattern)
	}
	return host.Matches(subject), nil
}

// splitKeyword splits a line into its keyword and the rest: ssh_config(5)
// allows blanks, or one equals sign with blanks around it, between them.
func splitKeyword(line string) (key, rest string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return line, ""
	}
	rest = strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimPrefix(rest, "=")
	return line[:end], strings.TrimSpace(rest)
}

// arguments splits at blanks outside double quotes, up to a comment.
func arguments(rest string) []string {
	var list []string
	var word strings.Builder
	quoted, begun := false, false
	for _, c := range rest {
		switch {
		case c == '"':
			quoted, begun = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if begun {
				list = append(list, word.String())
			}
			word.Reset()
			begun = false
		case c == '#' && !quoted && !begun:
			return list
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if begun {
		list = append(list, word.String())
	}
	return slices.Clip(list)
}
