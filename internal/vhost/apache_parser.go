package vhost

import (
	"fmt"
	"strings"
)

// directive is a line of an Apache configuration, or a section with what is in
// it (httpd.apache.org/docs/current/configuring.html).
type directive struct {
	name   string // in lower case; a section's without the bracket
	args   []string
	text   string // as in the file, all lines of it
	file   string
	line   int
	inside []directive
	isOpen bool // a section
	// included is whether it comes from a file whose include is kept as a line.
	included bool
}

func (d directive) place() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// parseApache reads a file. What is not closed is closed by the end.
func parseApache(file, text string) []directive {
	p := &apacheParser{file: file, lines: strings.Split(text, "\n")}
	return p.section("")
}

type apacheParser struct {
	file  string
	lines []string
	at    int
}

func (p *apacheParser) section(until string) []directive {
	var found []directive
	for p.at < len(p.lines) {
		first := p.at
		line := strings.TrimSpace(p.lines[p.at])
		p.at++
		for strings.HasSuffix(line, `\`) && p.at < len(p.lines) {
			line = strings.TrimSpace(strings.TrimSuffix(line, `\`)) + " " + strings.TrimSpace(p.lines[p.at])
			p.at++
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if closing, ok := strings.CutPrefix(line, "</"); ok {
			if strings.EqualFold(strings.TrimSpace(strings.TrimSuffix(closing, ">")), until) {
				return found
			}
			continue
		}
		opening, isOpen := strings.CutPrefix(line, "<")
		words := apacheWords(strings.TrimSuffix(opening, ">"))
		if !isOpen {
			words = apacheWords(line)
		}
		if len(words) == 0 {
			continue
		}
		d := directive{name: strings.ToLower(words[0]), args: words[1:], file: p.file, line: first + 1, isOpen: isOpen}
		if isOpen {
			d.inside = p.section(words[0])
		}
		d.text = dedent(p.lines[first:p.at])
		found = append(found, d)
	}
	return found
}

// apacheWords splits a line at blanks that are not between quotes.
func apacheWords(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word strings.Builder
		if mark := line[0]; mark == '"' || mark == '\'' {
			i := 1
			for ; i < len(line) && line[i] != mark; i++ {
				if line[i] == '\\' && i+1 < len(line) && (line[i+1] == mark || line[i+1] == '\\') {
					i++
				}
				word.WriteByte(line[i])
			}
			line = line[min(i+1, len(line)):]
		} else {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			word.WriteString(line[:end])
			line = line[end:]
		}
		words = append(words, word.String())
	}
	return words
}

// dedent takes away the blanks that all lines begin with.
func dedent(lines []string) string {
	common := -1
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if common < 0 || indent < common {
			common = indent
		}
	}
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = strings.TrimRight(line[min(max(common, 0), len(line)):], " \t\r")
	}
	return strings.Join(cut, "\n")
}
