package vhost

import "strings"

// nginxParser reads a configuration of nginx into directives: words up to a
// semicolon, or up to a block in braces
// (nginx.org/en/docs/beginners_guide.html#conf_structure).
type nginxParser struct {
	file string
	text string
	at   int
}

func parseNginx(file, text string) []directive {
	p := &nginxParser{file: file, text: text}
	return p.block()
}

func (p *nginxParser) block() []directive {
	var found []directive
	var words []string
	start := -1
	finish := func(inside []directive, isOpen bool) {
		if len(words) > 0 {
			from := strings.LastIndexByte(p.text[:start], '\n') + 1
			if strings.TrimSpace(p.text[from:start]) != "" {
				from = start
			}
			found = append(found, directive{
				name: words[0], args: words[1:], file: p.file, line: 1 + strings.Count(p.text[:start], "\n"),
				text: dedent(strings.Split(p.text[from:p.at], "\n")), inside: inside, isOpen: isOpen,
			})
		}
		words, start = nil, -1
	}
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		case strings.IndexByte(" \t\r\n", c) >= 0:
			p.at++
		case c == ';':
			p.at++
			finish(nil, false)
		case c == '{':
			p.at++
			open, from := words, start
			inside := p.block()
			words, start = open, from
			finish(inside, true)
		case c == '}':
			p.at++
			return found
		default:
			if start < 0 {
				start = p.at
			}
			words = append(words, p.word())
		}
	}
	return found
}

func (p *nginxParser) word() string {
	var word strings.Builder
	mark := p.text[p.at]
	quotedWord := mark == '"' || mark == '\''
	if quotedWord {
		p.at++
	}
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '\\' && p.at+1 < len(p.text):
			word.WriteByte(c)
			p.at++
			c = p.text[p.at]
		case quotedWord && c == mark:
			p.at++
			return word.String()
		case !quotedWord && c == '$' && p.at+1 < len(p.text) && p.text[p.at+1] == '{':
			word.WriteByte(c)
			p.at++
			c = '{'
		case !quotedWord && c == '{' && !strings.HasSuffix(word.String(), "$"):
			return word.String()
		case !quotedWord && strings.IndexByte(" \t\r\n;", c) >= 0:
			return word.String()
		}
		word.WriteByte(c)
	}
	return word.String()
}
