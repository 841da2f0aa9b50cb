package filter

import "bytes"

// match says whether program matches text from its start to its end, or with
// anywhere set from the start of any of its names.
//
// Only the last "*" and the last "**" are ever gone back to. An earlier one could
// but bring the later one to a place further on, from where it reaches less. And
// once a "*" has met a slash, so will it for every start of the "**" before it
// among the same names, so that one moves on by a name. This keeps the time within
// the length of the text times that of the program.
func match(program []token, text []byte, anywhere bool) bool {
	var (
		i, t             int          // the places in program and in text
		inName, inPath   int = -1, -1 // the token of the last "*" and "**"
		nameEnd, pathEnd int          // what they take ends before these places of text
	)
	for {
		if i < len(program) {
			switch next := &program[i]; next.kind {
			case all:
				if i+1 == len(program) {
					return true
				}
				inPath, pathEnd, inName = i, t, -1
				i++
				continue
			case some:
				inName, nameEnd = i, t
				i++
				if i < len(program) {
					continue
				}
				// Nothing follows, so it takes the rest of the name at once.
				end := bytes.IndexByte(text[t:], '/')
				if end < 0 {
					return true
				}
				nameEnd = t + end
			default:
				if t < len(text) && next.takes(text[t]) {
					i++
					t++
					continue
				}
			}
		} else if t == len(text) {
			return true
		}

		// It does not fit. First let the "*" take a byte more.
		if inName >= 0 {
			if nameEnd == len(text) {
				return false // nothing is left for a "**" to try either
			}
			if text[nameEnd] != '/' {
				nameEnd++
				i, t = inName+1, nameEnd
				continue
			}
		}
		// Then the "**", or the next name to start from.
		switch {
		case inPath < 0 && !anywhere:
			return false
		case inPath < 0 || inName >= 0:
			end := bytes.IndexByte(text[pathEnd:], '/')
			if end < 0 {
				return false
			}
			pathEnd += end + 1
		case pathEnd == len(text):
			return false
		default:
			pathEnd++
		}
		i, t, inName = inPath+1, pathEnd, -1
	}
}

// takes says whether a token that stands for one byte stands for b.
func (t *token) takes(b byte) bool {
	switch t.kind {
	case char:
		return b == t.char
	case one:
		return b != '/'
	default:
		return t.set[b]
	}
}
