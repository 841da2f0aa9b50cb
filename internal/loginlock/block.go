package loginlock

import (
	"fmt"
	"strings"
)

// Blocks are what the provider adds to files that are not its own: whole lines
// between two marks, at the place where they take effect. A file with a block
// taken out is again what it was, byte for byte.

const (
	beginMark = "# BEGIN cutover_login_lock "
	endMark   = "# END cutover_login_lock "

	// The first mark notes what else removing the block has to undo.
	noteEnd  = " (the line before had no end)"
	noteFile = " (this file was made for it)"
)

// isBegin says whether a line begins the block of a name, and with what note.
func isBegin(line, name string) (note string, ok bool) {
	note, ok = strings.CutPrefix(strings.TrimSuffix(line, "\n"), beginMark+name)
	return note, ok && (note == "" || note == noteEnd || note == noteFile)
}

// locate finds the lines that begin and end the block of a name; begin is -1
// where there is none.
func locate(lines []string, name string) (begin, end int, note string, err error) {
	begin, end = -1, -1
	for i, line := range lines {
		if n, ok := isBegin(line, name); ok {
			if begin >= 0 {
				return -1, -1, "", fmt.Errorf("it has two lines %q", beginMark+name)
			}
			begin, note = i, n
		} else if strings.TrimSuffix(line, "\n") == endMark+name {
			if begin < 0 || end >= 0 {
				return -1, -1, "", fmt.Errorf("it has a line %q that ends nothing", endMark+name)
			}
			end = i
		}
	}
	if begin >= 0 && end < 0 {
		return -1, -1, "", fmt.Errorf("the line %q that ends its block is missing", endMark+name)
	}
	return begin, end, note, nil
}

// cut takes the block of a name out of a text. whole is true where the file
// was made for it and has nothing else.
func cut(text, name string) (rest string, whole bool, err error) {
	lines := strings.SplitAfter(text, "\n")
	begin, end, note, err := locate(lines, name)
	if err != nil || begin < 0 {
		return text, false, err
	}
	before, after := strings.Join(lines[:begin], ""), lines[end+1:]
	if note == noteEnd {
		if strings.Join(after, "") == "" {
			before = strings.TrimSuffix(before, "\n")
		} else {
			passOn(after, "", noteEnd) // what follows is now behind the line without an end
		}
	}
	rest = before + strings.Join(after, "")
	return rest, note == noteFile && rest == "", nil
}

// passOn changes the note of a block that begins with the first line.
func passOn(lines []string, from, to string) bool {
	line := strings.TrimSuffix(lines[0], "\n")
	name, isBlock := strings.CutPrefix(strings.TrimSuffix(line, from), beginMark)
	if !isBlock || !strings.HasSuffix(line, from) || from == "" && strings.Contains(name, " (") {
		return false
	}
	lines[0] = beginMark + name + to + "\n"
	return true
}

// inside returns the lines of a name's block.
func inside(text, name string) []string {
	lines := strings.Split(text, "\n")
	begin, end, _, err := locate(lines, name)
	if err != nil || begin < 0 {
		return nil
	}
	return lines[begin+1 : end]
}

// insert puts a block in front of line number at, counted from 0, or at the
// end of the text.
func insert(text, name, block string, at int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	at = min(at, len(lines))
	before, after := strings.Join(lines[:at], ""), lines[at:]
	note := ""
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
		note = noteEnd
	} else if len(after) > 0 && passOn(after, noteEnd, "") {
		note = noteEnd // that block is no longer behind the line without an end
	}
	return before + beginMark + name + note + "\n" + block + endMark + name + "\n" + strings.Join(after, "")
}

// replace gives the block of a name another content, where it is.
func replace(text, name, block string) string {
	lines := strings.SplitAfter(text, "\n")
	begin, end, _, err := locate(lines, name)
	if err != nil || begin < 0 {
		return text
	}
	return strings.Join(lines[:begin+1], "") + block + strings.Join(lines[end:], "")
}

// denied is a list of users who are denied, with the block of a lock in it; nil
// where there was no such file before, and is none to be. text is nil where
// there is none now.
func denied(text *string, name string, users []string) (*string, error) {
	if text == nil && len(users) == 0 {
		return nil, nil
	}
	fresh := text == nil
	if fresh {
		text = new(string)
	}
	rest, whole, err := cut(*text, name)
	switch {
	case err != nil:
		return nil, err
	case len(users) == 0 && whole:
		return nil, nil
	case len(users) == 0:
		return &rest, nil
	}
	block := strings.Join(users, "\n") + "\n"
	with := replace(*text, name, block)
	if rest == *text { // there is no block yet
		with = insert(rest, name, block, strings.Count(rest, "\n")+1)
	}
	if fresh {
		with = strings.Replace(with, beginMark+name+"\n", beginMark+name+noteFile+"\n", 1)
	}
	return &with, nil
}

// allowed is a list of users who are let in, without those of a lock: their
// lines become comments.
func allowed(text, name string, users []string) string {
	locked := map[string]bool{}
	for _, user := range users {
		locked[user] = true
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		line = strings.TrimPrefix(line, lockedLine(name))
		if locked[strings.TrimSuffix(line, "\n")] {
			line = lockedLine(name) + line
		}
		lines[i] = line
	}
	return strings.Join(lines, "")
}

func lockedLine(name string) string { return "#cutover_login_lock " + name + ":" }
