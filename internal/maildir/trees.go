package maildir

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// trees looks at, makes or drops the Maildirs of all users in one run, and says
// what of them is not as it should be.
func (s Spec) trees(ctx context.Context, h host.Host, action string) ([]string, error) {
	s = s.sorted()
	if len(s.Users) == 0 {
		return nil, nil
	}
	spools := "-"
	if s.Spool == SpoolNamespace {
		spools = s.SpoolDirectory
	}
	args := []string{action, strings.TrimPrefix(s.Path, "~/"), strings.TrimLeft(s.Mode, "0"), spools}
	for _, folder := range s.Folders {
		directory, line := s.Layout.folder(folder)
		args = append(args, directory, line)
	}
	cmd := host.Sh(treesScript, args...)
	cmd.Stdin = strings.NewReader(strings.Join(s.Users, "\n") + "\n")
	result, err := h.Run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return parseTrees(h.Name(), string(result.Stdout), s.Users)
}

// parseTrees reads what trees.sh prints: "user NAME", lines of what is the
// matter, and "end".
func parseTrees(hostName, out string, users []string) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	var problems, seen []string
	user := ""
	for _, line := range lines[:len(lines)-1] {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "user":
			user = rest
			seen = append(seen, user)
		case "no-user":
			problems = append(problems, user+": there is no such user; a cutover_host_user makes one")
		case "root":
			problems = append(problems, user+": it is root under another name")
		case "no-home":
			problems = append(problems, fmt.Sprintf("%s: the home %s is not there; create_home of cutover_host_user makes one", user, rest))
		case "not":
			what, why, _ := strings.Cut(rest, "\t")
			if !strings.HasPrefix(what, "/") {
				what = "~/" + what
			}
			problems = append(problems, fmt.Sprintf("%s: %s: %s", user, what, why))
		default:
			return nil, fmt.Errorf("on host %q: unexpected line of %s: %q", hostName, treesScript.Name, line)
		}
	}
	if lines[len(lines)-1] != "end" || !slices.Equal(seen, users) {
		return nil, fmt.Errorf("on host %q: %s broke off after %q", hostName, treesScript.Name, user)
	}
	return problems, nil
}
