package skeleton

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

var (
	//go:embed skeleton.sh
	rootText string
	//go:embed as_user.sh
	userText string
	//go:embed survey.sh
	surveyText string
)

// text is the part that runs as root, with the part that runs as the user in a
// variable in front: both are constant.
var text = "as_user=" + sh.Quote(userText) + "\n" + rootText

var (
	// script does what the blocks on its input ask for.
	script = host.Script{Name: "skeleton/skeleton.sh", Text: text + "each_home\n"}
	// surveyScript looks at all homes that skeletons were made in.
	surveyScript = host.Script{Name: "skeleton/survey.sh", Text: text + surveyText}
)

// block is what is asked of one home: one line a request.
type block struct {
	user, home string
	own        []string // directories that are given back to the user first
	requests   []string

	// noted: when all has been done, the host notes that a skeleton of these
	// paths is there, for surveys. forget: it is no more.
	noted  bool
	paths  []string
	forget bool
}

// none stands for an empty field.
const none = "-"

func (b block) String() string {
	var lines []string
	if b.forget {
		lines = append(lines, "forget "+b.user)
	}
	lines = append(lines, "user "+b.user+" "+asked(b.home))
	for _, name := range b.own {
		lines = append(lines, "own "+name)
	}
	if b.noted {
		lines = append(lines, "note")
		for _, name := range b.paths {
			lines = append(lines, "keep "+name)
		}
	}
	lines = append(append(append(lines, "begin"), b.requests...), "end")
	return strings.Join(lines, "\n") + "\n"
}

// asked is a home as the script is asked for it.
func asked(home string) string {
	if home == "" {
		return none
	}
	return home
}

func lookAt(paths []string) []string {
	requests := make([]string, len(paths))
	for i, name := range paths {
		requests[i] = "look " + name
	}
	return requests
}

// making is the block that brings a home to what s says.
func making(s Spec, before Created) block {
	b := block{user: s.User, home: s.Home}
	for _, name := range downwards(before) {
		if _, wanted := s.Directories[name]; wanted && before[name] == directory {
			b.own = append(b.own, name)
		}
	}
	for _, name := range downwards(s.Directories) {
		b.requests = append(b.requests, "directory "+shortMode(s.Directories[name])+" "+name)
	}
	for _, name := range downwards(s.Files) {
		file := s.Files[name]
		sum := sha256.Sum256(file.Content)
		content, own := none, none
		if len(file.Content) > 0 {
			content = base64.StdEncoding.EncodeToString(file.Content)
		}
		if made, ok := strings.CutPrefix(before[name], digest); ok {
			own = made
		}
		b.requests = append(b.requests, strings.Join([]string{"file", shortMode(file.Mode), own, hex.EncodeToString(sum[:]), content, name}, " "))
	}
	return b
}

// removing is the requests that remove what was created.
func removing(created Created) []string {
	var requests []string
	for _, name := range slices.Backward(downwards(created)) {
		if sum, ok := strings.CutPrefix(created[name], digest); ok {
			requests = append(requests, "drop-file "+sum+" "+name)
		} else {
			requests = append(requests, "drop-directory "+name)
		}
	}
	return requests
}

// shortMode is a mode as stat(1) prints it: without zeros in front.
func shortMode(mode string) string {
	if short := strings.TrimLeft(mode, "0"); short != "" {
		return short
	}
	return "0"
}

// answer is what the script says of one block.
type answer struct {
	Found
	made Created
	left []string
	kept []string
	err  error // all that went wrong in it
}

// parse reads what the script prints: for each block "begin N USER HOME",
// lines that say what there is or what happened, "end N".
func parse(hostName, out string, blocks []block) ([]answer, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	answers := make([]answer, len(blocks))
	for i, b := range blocks {
		end := slices.Index(lines, fmt.Sprintf("end %d", i))
		if end < 1 || lines[0] != fmt.Sprintf("begin %d %s %s", i, b.user, asked(b.home)) {
			return nil, fmt.Errorf("on host %q: the script that looks after homes broke off at the home of %s", hostName, b.user)
		}
		var err error
		if answers[i], err = parseBlock(hostName, b.user, lines[1:end]); err != nil {
			return nil, err
		}
		lines = lines[end+1:]
	}
	return answers, nil
}

func parseBlock(hostName, user string, lines []string) (answer, error) {
	a, err := parseLines(lines)
	if err != nil {
		return a, fmt.Errorf("on host %q: the home of %s: %w", hostName, user, err)
	}
	if a.err != nil {
		a.err = fmt.Errorf("on host %q, in the home of %s: %w", hostName, user, a.err)
	}
	return a, nil
}

func parseLines(lines []string) (answer, error) {
	a := answer{Found: Found{User: true, HasHome: true, Entries: map[string]Entry{}}, made: Created{}}
	var problems []error
	for i, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "no-user":
			a.User, a.HasHome = false, false
		case "no-home":
			a.Home, a.HasHome = rest, false
		case "home":
			a.Home = rest
		case "is":
			f := strings.SplitN(rest, " ", 4)
			if len(f) != 4 {
				return a, fmt.Errorf("unexpected line %q", line)
			}
			entry := Entry{Kind: Kind(f[0])}
			if entry.Kind != Absent {
				entry.Mode, entry.Owner = NormalMode(f[1]), f[2]
			}
			a.Entries[f[3]] = entry
		case "made-directory":
			a.made[rest] = directory
		case "made-file":
			sum, name, _ := strings.Cut(rest, " ")
			a.made[name] = digest + sum
		case "left":
			a.left = append(a.left, rest)
		case "kept":
			a.kept = append(a.kept, rest)
		case "failed", "refused":
			var why []string
			for _, more := range lines[i+1:] {
				text, ok := strings.CutPrefix(more, "| ")
				if !ok {
					break
				}
				why = append(why, text)
			}
			problems = append(problems, fmt.Errorf("%s: %s", rest, strings.Join(why, "; ")))
		case "|":
		default:
			return a, fmt.Errorf("unexpected line %q", line)
		}
	}
	a.err = errors.Join(problems...)
	return a, nil
}
