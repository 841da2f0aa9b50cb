// Package order is what the provider and the worker on the new host tell each
// other, in files of JSON: what a pass is to do, how far it is, and how it ended.
//
// It imports nothing of this project, so that the provider, which runs anywhere,
// can import it.
package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Pass is what a pass is to do. Paths are absolute.
type Pass struct {
	// Connect is the command whose standard input and output lead to the worker on
	// the old host. Its arguments are passed as they are.
	Connect []string `json:"connect"`
	// Roots are copied one after the other.
	Roots []Root `json:"roots"`
	// Excludes are patterns as rsync's --exclude reads them, below each root.
	Excludes []string `json:"excludes,omitempty"`
	// Compress is whether content is compressed on its way: always, never, or "" where
	// that is faster.
	Compress string `json:"compress,omitempty"`

	Delete    string `json:"delete"`         // trash, purge or none
	Strangers string `json:"unknown_owners"` // fail, warn, ignore or leave
	Conflict  string `json:"on_conflict"`    // replace or fail
	Verify    string `json:"verify"`         // none, changed, metadata or checksum
	Preview   bool   `json:"preview,omitempty"`
	// Limit is the highest rate, in bytes a second; 0 is none.
	Limit int64 `json:"limit,omitempty"`

	// Status is a file that says how far the pass is, in a line for people, see
	// Status. Outcome is one that says how it ended.
	Status  string `json:"status"`
	Outcome string `json:"outcome"`
	// Log is a file to which a line is appended for each entry about which something
	// is done or said, root's alone; "" is none.
	Log string `json:"log,omitempty"`
	// Pace is a file that keeps how quick the passes of the chain are, for a preview to
	// tell how long one would take; "" is none.
	Pace string `json:"pace,omitempty"`
	// ID names the pass whose trash it is; "" is none.
	ID string `json:"id,omitempty"`
}

// Root is a directory that is copied.
type Root struct {
	Number int    `json:"number"` // among those that the old host serves, from 0
	Source string `json:"source"`
	Target string `json:"target"`
	Base   string `json:"base"`            // file of what the chain has brought
	Trash  string `json:"trash,omitempty"` // directory
}

// Outcome is how a pass ended.
type Outcome struct {
	Started  time.Time     `json:"started"`
	Finished time.Time     `json:"finished"`
	Roots    []RootOutcome `json:"roots"`
	// Error is why the pass could not go on; "" where it came to its end. Reason is what
	// kind of error that is, and Said what ssh has said on stderr.
	Error  string `json:"error,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	Said   string `json:"said,omitempty"`
	// Crowded are file systems of the new host that have no room for what is to come;
	// nothing was copied then.
	Crowded []Crowded `json:"crowded,omitempty"`
	// Sent and Received are the bytes that went to the old host and came from there.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	// TrashBytes is how much is in the trash of the pass, on the disk, earlier runs of it
	// included.
	TrashBytes int64 `json:"trash_bytes"`
	// Estimate is how long a pass would take that a preview is of; 0 is not known.
	Estimate time.Duration `json:"estimate,omitempty"`
}

// Reason is why a pass could not go on.
type Reason string

// Reasons. All others are "".
const (
	Refused     Reason = "refused"     // nothing was copied: Roots and Crowded say why
	Unreachable Reason = "unreachable" // the old host sent nothing
	Greeting    Reason = "greeting"    // what it sent first was not a worker's
	NoRoom      Reason = "no room"     // for what the pass has to note
)

// Stranger is an owner of files whom the new host does not know.
type Stranger struct {
	Group bool   `json:"group,omitempty"`
	ID    uint32 `json:"id"`             // on the old host
	Name  string `json:"name,omitempty"` // there; "" is a number without a name
	Here  string `json:"here,omitempty"` // whose number it is on the new host
	Count int64  `json:"count"`          // entries of his
}

// Crowded is a file system that has no room. A figure that it does not give is -1.
type Crowded struct {
	Mount       string `json:"mount"` // where it is mounted
	Bytes       int64  `json:"bytes"` // that are to come, of all roots
	Free        int64  `json:"free"`
	Entries     int64  `json:"entries"` // inodes that are to come
	FreeEntries int64  `json:"free_entries"`
}

// Lack is something that the file system of a target does not keep: owners, links,
// hardlinks, case, acls or xattrs.
type Lack struct {
	What     string   `json:"what"`
	Count    int64    `json:"count"` // entries that it concerns
	Examples []string `json:"examples,omitempty"`
	Fatal    bool     `json:"fatal,omitempty"` // nothing was copied for it
}

// RootOutcome is what was done about one root.
type RootOutcome struct {
	Started     time.Time `json:"started"`
	Finished    time.Time `json:"finished"`
	Regular     uint64    `json:"regular"` // what the old host has
	Directories uint64    `json:"directories"`
	Links       uint64    `json:"links"`
	Special     uint64    `json:"special"`
	Bytes       uint64    `json:"bytes"`

	// First says that no pass of the chain had brought anything of it before.
	First bool `json:"first"`
	// Changes is how many entries the old host has changed, made or taken away since
	// the pass before; in a first pass all that it has.
	Changes int64 `json:"changes"`
	// Verified is how many entries were compared on the new host with what they
	// should be, after the pass.
	Verified int64 `json:"verified"`
	// Transferred is how many files content was brought of, Brought their size, and
	// Literal what the new host did not have of that.
	Transferred int64 `json:"transferred"`
	Brought     int64 `json:"bytes_brought"`
	Literal     int64 `json:"bytes_literal"`
	Trashed     int64 `json:"bytes_trashed"`
	// ToCome is what was expected and did not come before the end.
	ToCome      int64 `json:"to_come"`
	ToComeBytes int64 `json:"bytes_to_come"`
	Sent        int64 `json:"sent"` // over the wire, for this root
	Received    int64 `json:"received"`

	// Did is what was done about single paths, by its kind: created, updated,
	// attributes, renamed (the text is the old path), deleted.
	Did map[string]Found `json:"did,omitempty"`
	// Found are findings about single paths, by their kind.
	Found map[string]Found `json:"found,omitempty"`
	Lacks []Lack           `json:"lacks,omitempty"`
	// Strangers are those of what would be brought.
	Strangers []Stranger `json:"strangers,omitempty"`
}

// Found are the paths of one kind: all are counted, the first are named.
type Found struct {
	Count int64  `json:"count"`
	Paths []Path `json:"paths"`
}

// Path is a path below a root, with what is said of it. What is not UTF-8 in it
// is written with \x.
type Path struct {
	Path string `json:"path"`
	Text string `json:"text,omitempty"`
}

// ReadPass reads a pass's order. What it does not know is an error: it is of
// another version.
func ReadPass(path string) (*Pass, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var p Pass
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &p, nil
}

func (p *Pass) check() error {
	if len(p.Connect) == 0 {
		return errors.New("it does not say how to reach the old host")
	}
	if len(p.Roots) == 0 {
		return errors.New("it names nothing to copy")
	}
	for _, c := range []struct {
		name, value string
		known       []string
	}{
		{"delete", p.Delete, []string{"trash", "purge", "none"}},
		{"unknown_owners", p.Strangers, []string{"fail", "warn", "ignore", "leave"}},
		{"on_conflict", p.Conflict, []string{"replace", "fail"}},
		{"verify", p.Verify, []string{"none", "changed", "metadata", "checksum"}},
	} {
		if !slices.Contains(c.known, c.value) {
			return fmt.Errorf("%s is %q", c.name, c.value)
		}
	}
	if p.Log != "" && !filepath.IsAbs(p.Log) {
		return fmt.Errorf("%q is not an absolute path", p.Log)
	}
	for _, r := range p.Roots {
		for _, path := range []string{r.Target, r.Base} {
			if !filepath.IsAbs(path) {
				return fmt.Errorf("%q is not an absolute path", path)
			}
		}
		if p.Delete == "trash" && !p.Preview && !filepath.IsAbs(r.Trash) {
			return fmt.Errorf("%q is no directory for the trash", r.Trash)
		}
	}
	return nil
}

// Entries is how many entries were made, replaced, given other attributes or another
// name.
func (r *RootOutcome) Entries() (n int64) {
	for _, kind := range []string{"created", "updated", "attributes", "renamed"} {
		n += r.Did[kind].Count
	}
	return n
}

// Write puts a value as JSON into a file in one step: who reads it sees the old
// content or the new.
func Write(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return put(path, append(content, '\n'))
}

// put puts content into a file in one step.
func put(path string, content []byte) error {
	beside := path + ".new"
	if err := os.WriteFile(beside, content, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
