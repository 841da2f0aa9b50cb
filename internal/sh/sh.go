// Package sh turns argument vectors into text that a POSIX shell reads back as
// exactly those arguments.
//
// sshd hands every command to the login shell as one string, so quoting cannot
// be avoided; it happens here and nowhere else. The package imports nothing of
// this module.
package sh

import "strings"

// unquoted are the bytes that no POSIX shell gives a meaning to, wherever in a
// word they stand. '=' and '~' are left out: they mean something at the start
// of a command or of a word.
const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:@%+"

// Quote returns word as a single shell word. A word of harmless characters
// comes back as it is, so that commands stay readable in errors and logs.
//
// A NUL byte cannot be part of an argument on any Unix; callers refuse it
// before they come here (see Valid).
func Quote(word string) string {
	if word != "" && strings.Trim(word, unquoted) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Join quotes each argument and joins them with blanks.
func Join(argv ...string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = Quote(word)
	}
	return strings.Join(words, " ")
}

// Valid reports whether word can be an argument at all: whether it is free of
// NUL bytes.
func Valid(word string) bool {
	return strings.IndexByte(word, 0) < 0
}
