package host

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// byLibrary reads ssh_config where there is no ssh to be asked. What can mean
// something else to ssh than to the library is an error that names its line, if
// it stands where it can count for the host.
func (q question) byLibrary() (settings, error) {
	files := []string{q.path}
	if q.path == "" {
		files = []string{inSSHHome("~/.ssh/config"), "/etc/ssh/ssh_config"}
	}
	found := settings{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && q.path == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := q.read(found, string(text)); err != nil {
			return nil, fmt.Errorf("%s:%w", file, err)
		}
	}
	found.complete(q)
	return found, nil
}

var (
	sshLine = regexp.MustCompile(`^([A-Za-z0-9]+)(?:[ \t]*=[ \t]*|[ \t]+)(.+)$`)
	// plainHosts are patterns of Host that the library matches as ssh does.
	plainHosts = regexp.MustCompile(`^!?[A-Za-z0-9.:_*-]+( +!?[A-Za-z0-9.:_*-]+)*$`)
	// plainValue is a value without quotes, comments, tokens and variables.
	plainValue = regexp.MustCompile(`^[^\s"'\\#%$]+$`)
	// plainValues are several of them.
	plainValues = regexp.MustCompile(`^[^\s"'\\#%$]+([ \t]+[^\s"'\\#%$]+)*$`)
	// plainCommand is a command that ssh gives to the shell as it is.
	plainCommand = regexp.MustCompile(`^[^"'\\#]+$`)
)

// read adds the settings of a file to found.
func (q question) read(found settings, text string) error {
	applies := true
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\f")
		if line == "" || line[0] == '#' {
			continue
		}
		undecided := fmt.Errorf("%d: %q may mean something else to ssh, which is not installed here; install it (openssh-client), "+
			"or give a file without such lines as ssh_config_path (\"none\" for no file)", i+1, line)
		parts := sshLine.FindStringSubmatch(line)
		if parts == nil {
			return undecided
		}
		keyword, value := strings.ToLower(parts[1]), parts[2]
		switch keyword {
		case "host":
			if !plainHosts.MatchString(value) {
				return undecided
			}
			var err error
			if applies, err = q.matches(value); err != nil {
				return undecided
			}
			continue
		case "match":
			if !strings.EqualFold(value, "all") {
				return undecided
			}
			applies = true
			continue
		}
		if !applies {
			continue
		}
		form, read := plainValue, true
		switch keyword {
		case "include", "proxyusefdpass":
			return undecided
		case "canonicalizehostname":
			if !strings.EqualFold(value, "no") {
				return undecided
			}
			read = false
		case "proxycommand":
			form = plainCommand
		case "userknownhostsfile", "globalknownhostsfile", "revokedhostkeys":
			form = plainValues
		default:
			read = slices.Contains(singleKeywords, keyword) || slices.Contains(fileKeywords, keyword)
		}
		if !read {
			continue
		}
		if !form.MatchString(value) {
			return undecided
		}
		switch { // of ProxyJump and ProxyCommand, the one that comes first counts
		case keyword == "proxyjump" && found.get("proxycommand") != "":
			continue
		case keyword == "proxycommand" && found.get("proxyjump") != "" && !strings.EqualFold(found.get("proxyjump"), "none"):
			continue
		}
		found[keyword] = append(found[keyword], value)
	}
	return nil
}

// singleKeywords are the keywords with one value that matter here.
var singleKeywords = []string{
	"hostname", "port", "user", "identitiesonly", "proxyjump", "hostkeyalias", "addressfamily", "bindaddress",
}

func (q question) matches(patterns string) (bool, error) {
	var host ssh_config.Host
	for _, text := range strings.Fields(patterns) {
		pattern, err := ssh_config.NewPattern(text)
		if err != nil {
			return false, err
		}
		host.Patterns = append(host.Patterns, pattern)
	}
	return host.Matches(q.alias), nil
}

// complete brings what the files say into the form of ssh -G.
func (s settings) complete(q question) {
	for _, keyword := range []string{"hostname", "hostkeyalias"} {
		if value := s.get(keyword); value != "" {
			s[keyword] = []string{strings.ToLower(value)}
		}
	}
	for _, keyword := range []string{"userknownhostsfile", "globalknownhostsfile", "revokedhostkeys"} {
		if value := s.get(keyword); value != "" {
			s[keyword] = strings.Fields(value)
			if strings.EqualFold(value, "none") {
				s[keyword] = []string{}
			}
		}
	}
	switch value := s.get("identitiesonly"); {
	case strings.EqualFold(value, "true"):
		s["identitiesonly"] = []string{"yes"}
	case strings.EqualFold(value, "false"):
		s["identitiesonly"] = []string{"no"}
	}
	if q.direct {
		delete(s, "proxyjump")
		delete(s, "proxycommand")
	}
	for _, keyword := range fileKeywords {
		for i, path := range s[keyword] {
			s[keyword][i] = inSSHHome(path)
		}
	}
}
