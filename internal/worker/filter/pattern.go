package filter

import "strings"

// token is what a pattern with wildcards consists of.
type token struct {
	kind kind
	char byte
	set  *set
}

type kind uint8

const (
	// char is one byte as it stands.
	char kind = iota
	// one is "?", any byte but a slash.
	one
	// class is "[...]", a byte of a set. A slash is never in it.
	class
	// some is "*", any bytes but slashes.
	some
	// all is "**" or more asterisks, any bytes.
	all
)

// set has true for each byte that a class takes.
type set [256]bool

// compile makes rules of a pattern that is not empty, without its prefix. There
// are none where the pattern cannot match, and two where it ends in "/***".
func compile(pattern string) []rule {
	var r rule
	// Only one slash at the end is taken off. What then still ends in one matches
	// nothing, since no path does.
	pattern, r.dirs = strings.CutSuffix(pattern, "/")
	// What rsync counts and looks for here it finds in the text, also inside a
	// class or behind a backslash: [^/] makes a pattern one of two names, which
	// then matches nothing.
	slashes := strings.Count(pattern, "/")
	r.wild = strings.ContainsAny(pattern, "*?[")
	crossing := strings.Contains(pattern, "**")

	body, anchored := strings.CutPrefix(pattern, "/")
	switch {
	case anchored:
		r.scope = whole
	case !crossing:
		r.scope, r.names = last, slashes+1
	case strings.HasPrefix(pattern, "**"):
		r.scope = whole // "**" itself reaches all places
	default:
		r.scope = anywhere
	}
	if !r.wild {
		r.plain = body
		return []rule{r}
	}

	program, ok := tokens(body)
	if !ok {
		return nil
	}
	// "**/" at the start also stands for no directory at all; not so behind an
	// anchor or in the middle.
	if strings.HasPrefix(pattern, "**") && len(program) > 1 && program[1] == slash {
		r.scope, program = anywhere, program[2:]
	}
	rules := []rule{r.with(program)}
	// "dir/***" is "dir/" and "dir/**".
	if n := len(program) - 2; strings.HasSuffix(pattern, "***") && n >= 0 && program[n] == slash {
		self := r.with(program[:n])
		self.dirs = true
		rules = append(rules, self)
	}
	return rules
}

var slash = token{kind: char, char: '/'}

func (r rule) with(program []token) rule {
	r.program = program
	i := len(program)
	for i > 0 && program[i-1].kind == char {
		i--
	}
	tail := make([]byte, 0, len(program)-i)
	for _, t := range program[i:] {
		tail = append(tail, t.char)
	}
	r.tail = string(tail)
	return r
}

// tokens reads a pattern that has wildcards. It is not ok where the pattern
// cannot match anything: it ends inside a class or in a backslash, or names a
// class that there is not.
func tokens(pattern string) (program []token, ok bool) {
	for i := 0; i < len(pattern); {
		c := pattern[i]
		i++
		switch c {
		case '*':
			stars := 1
			for i < len(pattern) && pattern[i] == '*' {
				stars, i = stars+1, i+1
			}
			if stars == 1 {
				program = append(program, token{kind: some})
			} else {
				program = append(program, token{kind: all})
			}
		case '?':
			program = append(program, token{kind: one})
		case '[':
			s, length := readClass(pattern[i:])
			if length == 0 {
				return nil, false
			}
			program, i = append(program, token{kind: class, set: s}), i+length
		case '\\':
			if i == len(pattern) {
				return nil, false
			}
			program, i = append(program, token{kind: char, char: pattern[i]}), i+1
		default:
			program = append(program, token{kind: char, char: c})
		}
	}
	return program, true
}

// readClass reads what follows "[" up to and with the "]", and returns how long
// that is, or 0 where the class is not one.
func readClass(text string) (*set, int) {
	s := &set{}
	i := 0
	negated := i < len(text) && (text[i] == '!' || text[i] == '^')
	if negated {
		i++
	}
	// before is the byte that a "-" begins a range at. None does behind a range or
	// a named class, where the "-" stands for itself.
	before, ranges := byte(0), false
	for first := true; first || i >= len(text) || text[i] != ']'; first = false {
		if i >= len(text) {
			return nil, 0
		}
		c := text[i]
		i++
		switch {
		case c == '-' && ranges && i < len(text) && text[i] != ']':
			end := text[i]
			i++
			if end == '\\' {
				if i == len(text) {
					return nil, 0
				}
				end, i = text[i], i+1
			}
			for b := int(before); b <= int(end); b++ {
				s[b] = true
			}
			ranges = false
			continue
		case c == '[' && i < len(text) && text[i] == ':':
			name, named := className(text[i+1:])
			if !named {
				break // a "[" as it stands
			}
			takes, known := classes[name]
			if !known {
				return nil, 0
			}
			for b := range 128 {
				s[b] = s[b] || takes(byte(b))
			}
			i += len(":" + name + ":]")
			ranges = false
			continue
		case c == '\\':
			if i == len(text) {
				return nil, 0
			}
			c, i = text[i], i+1
		}
		s[c] = true
		before, ranges = c, true
	}
	if negated {
		for b := range s {
			s[b] = !s[b]
		}
	}
	s['/'] = false
	return s, i + 1
}

// className is the name at the start of text where ":]" follows it. A "]" comes
// next in any case; it is the byte before it that makes the difference.
func className(text string) (name string, ok bool) {
	end := strings.IndexByte(text, ']')
	if end < 1 || text[end-1] != ':' {
		return "", false
	}
	return text[:end-1], true
}

// classes are those of POSIX as its own locale has them. In a locale of UTF-8
// rsync agrees, since it asks for single bytes there.
var classes = map[string]func(byte) bool{
	"alnum":  func(c byte) bool { return isAlpha(c) || isDigit(c) },
	"alpha":  isAlpha,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 127 },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  isLower,
	"print":  func(c byte) bool { return c == ' ' || isGraph(c) },
	"punct":  func(c byte) bool { return isGraph(c) && !isAlpha(c) && !isDigit(c) },
	"space":  func(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' },
	"upper":  isUpper,
	"xdigit": func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' },
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isAlpha(c byte) bool { return isLower(c) || isUpper(c) }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isGraph(c byte) bool { return ' ' < c && c < 127 }
