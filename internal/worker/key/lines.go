//go:build linux

package key

import (
	"bytes"
	"strings"
)

// mark ends the line of a chain.
func mark(chain string) string { return "cutover-pass-" + chain }

func isChain(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789abcdef") == ""
}

// words are those of a line, as blanks part them. A carriage return is a part of
// its word: a line with one is none of ours.
func words(line []byte) []string {
	return strings.FieldsFunc(strings.TrimSuffix(string(line), "\n"), func(r rune) bool { return r == ' ' || r == '\t' })
}

// marked returns the chain at the end of a line, "" for a line of another's.
func marked(line []byte) string {
	if !bytes.Contains(line, []byte("cutover-pass-")) {
		return ""
	}
	w := words(line)
	if len(w) == 0 {
		return ""
	}
	chain, ok := strings.CutPrefix(w[len(w)-1], "cutover-pass-")
	if !ok || !isChain(chain) {
		return ""
	}
	return chain
}

// keyOf returns the key in the chain's line, "" where there is none.
func keyOf(text []byte, chain string) string {
	for line := range bytes.Lines(text) {
		if marked(line) == chain {
			if w := words(line); len(w) > 1 {
				return w[len(w)-2]
			}
			return "?" // somebody has cut it off: it is there, and is no key
		}
	}
	return ""
}

// with returns the text and the line, and whether the last line of the text had no
// end. It would swallow the new one.
func with(text []byte, line string) (changed []byte, addedEnd bool) {
	addedEnd = len(text) > 0 && text[len(text)-1] != '\n'
	changed = append(make([]byte, 0, len(text)+len(line)+2), text...)
	if addedEnd {
		changed = append(changed, '\n')
	}
	return append(append(changed, line...), '\n'), addedEnd
}

// without returns the text without the lines of the chain, whether there were any,
// and the chain whose line followed. addedEnd says that the line before had no end
// until [with] gave it one: it loses that again if it is the last one now, and no
// line of another pass.
func without(text []byte, chain string, addedEnd bool) (changed []byte, found bool, next string) {
	changed = make([]byte, 0, len(text))
	var last []byte
	after, isLast := false, false
	for line := range bytes.Lines(text) {
		of := marked(line)
		if of == chain {
			found, after, isLast, next = true, true, true, ""
			continue
		}
		if after {
			next, after = of, false
		}
		isLast, last = false, line
		changed = append(changed, line...)
	}
	if addedEnd && isLast && marked(last) == "" {
		changed = bytes.TrimSuffix(changed, []byte("\n"))
	}
	return changed, found, next
}
