// Package managedfile changes configuration files of a server so that all of
// them change or none: written beside, tried by the server's own test in a copy
// of the whole configuration that only the test sees, swapped, and put back
// should the server not take them over. A run that was killed is undone by the
// next one, from a journal. It may import internal/host.
package managedfile

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed begin.sh
	beginText string
	//go:embed end.sh
	endText string
)

// Saved is the directory of the host for copies of files that a change
// replaces for good. Whoever puts something there takes it away again.
const Saved = "/var/lib/cutover/replaced"

// Script is a script that changes files of one server. hooks is a constant text
// that defines the functions try, activate, revive and undo; end.sh says what
// they do.
func Script(name, hooks string) host.Script {
	return host.Script{Name: name, Text: beginText + "\n" + hooks + "\n" + endText}
}

// Change is what becomes of one path. No field holds a tab or the end of a
// line.
type Change struct {
	op      string
	path    string
	source  string
	owner   string
	mode    fs.FileMode
	content []byte
	isNew   bool
}

// Put makes a file with a content, of root.
func Put(path string, content []byte, mode fs.FileMode) Change {
	return Change{op: "put", path: path, content: content, mode: mode}
}

// Link makes a symbolic link.
func Link(path, target string) Change { return Change{op: "link", path: path, source: target} }

// Copy copies a file of the host, with its owner, mode and times.
func Copy(from, to string) Change { return Change{op: "copy", path: to, source: from} }

// Remove takes a file or link away. That there is none is no error.
func Remove(path string) Change { return Change{op: "remove", path: path} }

// Directory makes a directory where there is none, with those above it. owner
// is a login name, or "" for whoever owns the directory above.
func Directory(path, owner string, mode fs.FileMode) Change {
	return Change{op: "directory", path: path, owner: owner, mode: mode}
}

// IfNew makes the whole set fail where something is at the change's path.
func (c Change) IfNew() Change { c.isNew = true; return c }

// Path is what the change is about.
func (c Change) Path() string { return c.path }

// Rejected is the error of changes that the server's own test did not pass.
// Nothing was changed.
type Rejected struct {
	Host string
	Code int    // exit code of the test
	Said string // by the test, whole
}

func (e *Rejected) Error() string {
	return fmt.Sprintf("on host %q, the configuration test ended with exit code %d, and said:\n  %s",
		e.Host, e.Code, strings.ReplaceAll(e.Said, "\n", "\n  "))
}

// Inactive is the error of changes that passed the test, but that the server
// did not take over. Everything was put back.
type Inactive struct {
	Host string
	Said []string // what activate has found, one line each
	Text string   // what it has quoted
}

func (e *Inactive) Error() string {
	return fmt.Sprintf("on host %q, the server did not take over the configuration, which was put back:\n  %s", e.Host, strings.ReplaceAll(e.Text, "\n", "\n  "))
}

// Taken is the error of a path that something is at already. Nothing was
// changed.
type Taken struct {
	Host string
	Path string
}

func (e *Taken) Error() string {
	return fmt.Sprintf("on host %q, there is a %s already", e.Host, e.Path)
}

// Refused is the error of a change that could not be made. Nothing was changed.
type Refused struct {
	Host string
	Path string
	Said string
}

func (e *Refused) Error() string {
	return fmt.Sprintf("on host %q, %s could not be made: %s", e.Host, e.Path, e.Said)
}

// Apply makes all of the changes, or none. tree is the directory of the
// server's configuration, without links on the way to it; args go to the
// script's functions. said are the lines that activate has printed.
//
// An error that is none of this package's types says nothing about what was
// changed; the next Apply of the tree finishes or undoes it.
func Apply(ctx context.Context, h host.Host, script host.Script, tree string, args []string, changes []Change) (said []string, err error) {
	input, err := lines(changes)
	if err != nil {
		return nil, err
	}
	cmd := host.Sh(script, append([]string{tree}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	result, err := h.Run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return judge(h.Name(), script.Name, string(result.Stdout))
}

func lines(changes []Change) ([]byte, error) {
	var b bytes.Buffer
	seen := map[string]bool{}
	for _, c := range changes {
		switch {
		case strings.ContainsAny(c.path+c.source+c.owner, "\t\n"):
			return nil, fmt.Errorf("%q has a tab or a line's end", c.path+" "+c.source)
		case !strings.HasPrefix(c.path, "/"):
			return nil, fmt.Errorf("%q is not an absolute path", c.path)
		case c.op == "put" && len(c.content) > 0 && c.content[len(c.content)-1] != '\n':
			return nil, fmt.Errorf("the content for %s does not end with a line's end", c.path)
		case seen[c.path] && c.op != "directory":
			return nil, fmt.Errorf("%s is to be changed twice at once", c.path)
		}
		seen[c.path] = true
		source := orDash(c.source)
		if c.op == "put" {
			source = strconv.Itoa(bytes.Count(c.content, []byte("\n")))
		}
		expect := "any"
		if c.isNew {
			expect = "new"
		}
		fmt.Fprintf(&b, "%s\t%s\t%04o\t%s\t%s\t%s\n", c.op, expect, c.mode.Perm(), orDash(c.owner), source, c.path)
		b.Write(c.content)
	}
	return b.Bytes(), nil
}

func orDash(field string) string {
	if field == "" {
		return "-"
	}
	return field
}

// judge turns what the script prints into an error, if it says one.
func judge(hostName, scriptName, out string) (said []string, err error) {
	all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(all) < 2 || all[len(all)-1] != "end" {
		return nil, fmt.Errorf("on host %q: %s broke off: %q", hostName, scriptName, out)
	}
	var quoted []string
	var problem func(text string) error
	for _, line := range all[:len(all)-1] {
		if text, ok := strings.CutPrefix(line, "| "); ok {
			quoted = append(quoted, text)
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "taken":
			problem = func(string) error { return &Taken{hostName, rest} }
		case "refused":
			problem = func(text string) error { return &Refused{Host: hostName, Path: rest, Said: text} }
		case "rejected":
			code, _ := strconv.Atoi(rest)
			problem = func(text string) error { return &Rejected{Host: hostName, Code: code, Said: text} }
		case "inactive":
			problem = func(text string) error { return &Inactive{Host: hostName, Said: said, Text: text} }
		case "done":
			return said, nil
		case "unchanged", "conflict":
		default:
			said = append(said, line)
		}
	}
	if problem == nil {
		return nil, fmt.Errorf("on host %q: %s could not save the files before the change", hostName, scriptName)
	}
	return said, problem(strings.Join(quoted, "\n"))
}
