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

// cut takes the block of a name out of a text. found is false where there is
// none; whole is true where the file was made for it and has nothing else.
func cut(text, name string) (rest string, found, whole bool, err error) {
	lines := strings.SplitAfter(text, "\n")
	begin, end := -1, -1
	note := ""
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == beginMark+name, line == beginMark+name+noteEnd, line == beginMark+name+noteFile:
			if begin >= 0 {
				return text, true, false, fmt.Errorf("it has two lines %q", beginMark+name)
			}
			begin, note = i, strings.TrimPrefix(line, beginMark+name)
		case line == endMark+name && begin >= 0 && end < 0:
			end = i
		case line == endMark+name:
			return text, true, false, fmt.Errorf("it has a line %q that ends nothing", endMark+name)
		}
	}
	if begin < 0 {
		return text, false, false, nil
	}
	if end < 0 {
		return text, true, false, fmt.Errorf("the line %q that ends its block is missing", endMark+name)
	}
	before, after := strings.Join(lines[:begin], ""), strings.Join(lines[end+1:], "")
	if note == noteEnd && after == "" {
		before = strings.TrimSuffix(before, "\n")
	}
	return before + after, true, note == noteFile && before+after == "", nil
}

// inside returns the lines of a name's block.
func inside(text, name string) []string {
	var lines []string
	in := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == endMark+name:
			in = false
		case in:
			lines = append(lines, line)
		case strings.HasPrefix(line, beginMark+name) && (line == beginMark+name || strings.HasPrefix(line, beginMark+name+" ")):
			in = true
		}
	}
	return lines
}

// insert puts a block in front of line number at, counted from 0, or at the
// end of the text.
func insert(text, name, block string, at int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if at > len(lines) {
		at = len(lines)
	}
	before, after := strings.Join(lines[:at], ""), strings.Join(lines[at:], "")
	note := ""
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
		note = noteEnd
	}
	return before + beginMark + name + note + "\n" + block + endMark + name + "\n" + after
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
	rest, _, whole, err := cut(*text, name)
	switch {
	case err != nil:
		return nil, err
	case len(users) == 0 && whole:
		return nil, nil
	case len(users) == 0:
		return &rest, nil
	}
	with := insert(rest, name, strings.Join(users, "\n")+"\n", strings.Count(rest, "\n")+1)
	if fresh || whole {
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
