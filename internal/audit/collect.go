package audit

import (
	"context"
	_ "embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed collect.sh
var collectText string

var collectScript = host.Script{Name: "audit/collect.sh", Text: collectText}

// wanted are the paths that collect.sh is asked about, by its words.
type wanted map[string][]string

func (w wanted) add(word, path string) {
	if path != "" && !strings.ContainsAny(path, "\n\t") && !slices.Contains(w[word], path) {
		w[word] = append(w[word], path)
	}
}

// collected is what collect.sh says.
type collected struct {
	homes    map[string]home
	folders  map[string]map[string]int64 // messages by root and folder; "" is the root itself
	validity map[string]string           // UIDVALIDITY by the directory of the uidlist
	spools   map[string]int64            // messages by file
	texts    []text
	sums     map[string]string // by file
	packaged map[string]string // sums of files as their package had them
	packages []string          // installed, with the name of a file of jobs
	at       int
	zone     zone
	boot     []string          // what a System V or OpenRC init starts
	units    map[string]string // states by unit; nil without systemd
	renews   [][2]string       // program, name
	database [][2]string       // kind, name
	unread   []string
}

// home is a directory of a user.
type home struct {
	mode, user, group string
	Amount
}

// text is a file of one of the kinds that are read as a whole.
type text struct {
	kind, path string
	lines      []string
}

// zone is a time zone: its name, and its distance from UTC in winter and in summer.
type zone struct{ name, winter, summer string }

func collect(ctx context.Context, h host.Host, want wanted) (collected, error) {
	var stdin strings.Builder
	for word, paths := range want {
		for _, path := range paths {
			stdin.WriteString(word + " " + path + "\n")
		}
	}
	cmd := host.Sh(collectScript)
	cmd.Stdin = strings.NewReader(stdin.String())
	result, err := h.Run(ctx, cmd)
	if err != nil {
		return collected{}, err
	}
	out := strings.ToValidUTF8(string(result.Stdout), string(utf8.RuneError))
	if out != "end\n" && !strings.HasSuffix(out, "\nend\n") {
		return collected{}, fmt.Errorf("on host %q: %s broke off after %d bytes", h.Name(), collectScript.Name, len(result.Stdout))
	}
	return parse(out), nil
}

// uidlist is the header of Dovecot's file of UIDs, behind the file's name
// (doc.dovecot.org, "Maildir": version, V and the UIDVALIDITY).
var uidlist = regexp.MustCompile(`^(.*)/dovecot-uidlist:[0-9]+ (?:.* )?V([0-9]+)( |$)`)

func parse(out string) collected {
	c := collected{homes: map[string]home{}, folders: map[string]map[string]int64{}, validity: map[string]string{}, spools: map[string]int64{}, sums: map[string]string{}, packaged: map[string]string{}}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "| "); ok {
			if n := len(c.texts); n > 0 {
				c.texts[n-1].lines = append(c.texts[n-1].lines, rest)
			}
			continue
		}
		word, rest, _ := strings.Cut(line, "\t")
		c.take(line, word, strings.Split(rest, "\t"))
	}
	return c
}

// values are how many each word of collect.sh has.
var values = map[string]int{
	"home": 4, "amount": 3, "folder": 3, "uidlist": 1, "spool": 1, "text": 2, "sum": 1, "conffile": 2, "package": 1, "at": 1, "zone": 3, "boot": 1, "unit": 2, "renews": 2, "database": 2, "end": 1,
}

func (c *collected) take(line, word string, v []string) {
	if n, known := values[word]; !known || len(v) != n {
		// What vanishes while it is looked at is not there.
		if !strings.HasSuffix(line, "No such file or directory") && line != "" {
			c.unread = append(c.unread, line)
		}
		return
	}
	switch word {
	case "home":
		of := c.homes[v[0]]
		of.mode, of.user, of.group = v[1], v[2], v[3]
		c.homes[v[0]] = of
	case "amount":
		of := c.homes[v[0]]
		of.Files, of.Bytes = count(v[1]), count(v[2])
		c.homes[v[0]] = of
	case "folder":
		if c.folders[v[0]] == nil {
			c.folders[v[0]] = map[string]int64{}
		}
		c.folders[v[0]][v[1]] = count(v[2])
	case "uidlist":
		if found := uidlist.FindStringSubmatch(v[0]); found != nil {
			c.validity[found[1]] = found[2]
		}
	case "spool":
		at := strings.LastIndexByte(v[0], ':')
		c.spools[v[0][:max(at, 0)]] = count(v[0][at+1:])
	case "text":
		c.texts = append(c.texts, text{kind: v[0], path: v[1]})
	case "sum":
		sum, file, _ := strings.Cut(v[0], "  ")
		c.sums[file] = sum
	case "conffile":
		c.packaged[v[0]] = v[1]
	case "package":
		c.packages = append(c.packages, v[0])
	case "at":
		c.at = int(count(v[0]))
	case "zone":
		c.zone = zone{v[0], v[1], v[2]}
	case "boot":
		c.boot = append(c.boot, v[0])
	case "unit":
		if c.units == nil {
			c.units = map[string]string{}
		}
		c.units[v[0]] = v[1]
	case "renews":
		c.renews = append(c.renews, [2]string{v[0], v[1]})
	case "database":
		c.database = append(c.database, [2]string{v[0], v[1]})
	}
}

// count reads a number that a tool printed.
func count(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// all are the lines of the files of a kind, by file, without comments and empty lines.
func (c *collected) all(kind string) map[string][]string {
	files := map[string][]string{}
	for _, t := range c.texts {
		if t.kind != kind || isLeftover(path.Base(t.path)) {
			continue
		}
		lines := []string{}
		for _, line := range t.lines {
			if line = strings.Join(strings.Fields(line), " "); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		files[t.path] = lines
	}
	return files
}

// own is all without the files that are as their package had them.
func (c *collected) own(kind string) map[string][]string {
	files := c.all(kind)
	for file := range files {
		if packaged := c.packaged[file]; packaged != "" && packaged == c.sums[file] {
			delete(files, file)
		}
	}
	return files
}

// isLeftover says whether a file's name is one that cron and sudo pass over: what an
// editor or a package manager has put aside.
func isLeftover(name string) bool {
	if strings.HasSuffix(name, "~") {
		return true
	}
	return slices.ContainsFunc([]string{".dpkg-old", ".dpkg-dist", ".dpkg-new", ".ucf-old", ".ucf-dist", ".rpmsave", ".rpmnew", ".rpmorig", ".swp", ".bak", ".orig"}, func(ending string) bool {
		return strings.HasSuffix(name, ending)
	})
}
