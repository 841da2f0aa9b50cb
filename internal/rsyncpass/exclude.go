package rsyncpass

import "strings"

// excludeRules are the exclude patterns as serve.sh reads them: a line each, "d"
// (for directories alone) or "a", a blank, and an extended regular expression
// for find's -regex, which matches whole paths that begin with "./". The rules
// are those of rsync(1), "PATTERN MATCHING RULES".
func (p Pass) excludeRules() string {
	var b strings.Builder
	for _, pattern := range p.Excludes {
		kind := "a "
		if strings.HasSuffix(pattern, "/") {
			kind, pattern = "d ", strings.TrimRight(pattern, "/")
		}
		if pattern == "" {
			continue
		}
		b.WriteString(kind + regex(pattern) + "\n")
	}
	return b.String()
}

func regex(pattern string) string {
	var b strings.Builder
	if rest, anchored := strings.CutPrefix(pattern, "/"); anchored {
		b.WriteString(`\./`)
		pattern = rest
	} else {
		b.WriteString(`\./(.*/)?`)
	}
	ending := ""
	if rest, ok := strings.CutSuffix(pattern, "/***"); ok {
		pattern, ending = rest, "(/.*)?"
	}
	wild := strings.ContainsAny(pattern, "*?[")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' && strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			for i+1 < len(pattern) && pattern[i+1] == '*' {
				i++
			}
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[' && class(pattern[i:]) > 0:
			end := class(pattern[i:])
			set := pattern[i+1 : i+end]
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			b.WriteString("[" + set + "]")
			i += end
		case c == '\\' && wild && i+1 < len(pattern):
			i++
			b.WriteString(literal(pattern[i]))
		default:
			b.WriteString(literal(c))
		}
	}
	return b.String() + ending
}

// class is the place of the bracket that ends the class at the start of text, or
// 0 where it does not end.
func class(text string) int {
	for i := 1; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "[:") {
			if end := strings.Index(text[i:], ":]"); end > 0 {
				i += end + 1
				continue
			}
		}
		first := i == 1 || i == 2 && (text[1] == '!' || text[1] == '^')
		if text[i] == ']' && !first {
			return i
		}
	}
	return 0
}

func literal(c byte) string {
	if strings.IndexByte(`.^$*+?()[]{}|\`, c) >= 0 {
		return `\` + string(c)
	}
	return string([]byte{c})
}
