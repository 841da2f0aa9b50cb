package sh

import (
	"fmt"
	"strings"
)

// Program returns a command line that runs script, a text of POSIX sh, from
// whatever login shell sshd hands the line to.
//
// Quote is exact for POSIX shells only: csh ends a word at a newline and
// expands '!' even inside quotes, fish reads a backslash there. So the text
// travels with all of these as octal escapes, which leaves a line that every
// shell reads alike, and a POSIX sh turns it back with its own printf.
// The variables are set for the script as env(1) does; their values must need
// no quoting.
func Program(script string, env ...string) string {
	return "exec env " + strings.Join(env, " ") + ` sh -c 'eval "$(printf %b "$1")"' cutover '` + escape(script) + "'"
}

// escape writes text in the form that the %b of POSIX printf takes, and in
// bytes to which no login shell gives a meaning inside single quotes.
func escape(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/8)
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '\\', c == '\'', c == '!':
			fmt.Fprintf(&b, `\0%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
