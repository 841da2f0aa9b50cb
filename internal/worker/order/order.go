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

	Delete    string `json:"delete"`         // trash, purge or none
	Strangers string `json:"unknown_owners"` // fail, warn or ignore
	Conflict  string `json:"on_conflict"`    // replace or fail
	Verify    string `json:"verify"`         // none, changed, metadata or checksum
	Preview   bool   `json:"preview,omitempty"`
	// Limit is the highest rate, in bytes a second; 0 is none.
	Limit int64 `json:"limit,omitempty"`

	// Status is a file that says how far the pass is, see Status. Outcome is one that
	// says how it ended.
	Status  string `json:"status"`
	Outcome string `json:"outcome"`
}

// Root is a directory that is copied.
type Root struct {
	Number int    `json:"number"` // among those that the old host serves, from 0
	Source string `json:"source"`
	Target string `json:"target"`
	Base   string `json:"base"`            // file of what the chain has brought
	Trash  string `json:"trash,omitempty"` // directory
}

// Status is how far a pass is.
type Status struct {
	Time  time.Time `json:"time"`
	Phase string    `json:"phase"` // listing, copying, finishing
	Root  int       `json:"root"`  // which one, from 0
	Files int64     `json:"files"` // that were brought, of all roots
	Bytes int64     `json:"bytes"`
	Path  string    `json:"path,omitempty"`
}

// Outcome is how a pass ended.
type Outcome struct {
	Started  time.Time     `json:"started"`
	Finished time.Time     `json:"finished"`
	Roots    []RootOutcome `json:"roots"`
	// Error is why the pass could not go on; "" where it came to its end.
	Error string `json:"error,omitempty"`
	// Sent and Received are the bytes that went to the old host and came from there.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
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

	Created    int64 `json:"created"`
	Updated    int64 `json:"updated"`
	Attributes int64 `json:"attributes"`
	Renamed    int64 `json:"renamed"`
	Deleted    int64 `json:"deleted"`
	Brought    int64 `json:"bytes_brought"`
	Literal    int64 `json:"bytes_literal"`
	Trashed    int64 `json:"bytes_trashed"`

	// Found are findings about single paths, by their kind.
	Found map[string]Found `json:"found,omitempty"`
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
		{"unknown_owners", p.Strangers, []string{"fail", "warn", "ignore"}},
		{"on_conflict", p.Conflict, []string{"replace", "fail"}},
		{"verify", p.Verify, []string{"none", "changed", "metadata", "checksum"}},
	} {
		if !slices.Contains(c.known, c.value) {
			return fmt.Errorf("%s is %q", c.name, c.value)
		}
	}
	for _, r := range p.Roots {
		for _, path := range []string{r.Target, r.Base} {
			if !filepath.IsAbs(path) {
				return fmt.Errorf("%q is not an absolute path", path)
			}
		}
		if p.Delete == "trash" && !filepath.IsAbs(r.Trash) {
			return fmt.Errorf("%q is no directory for the trash", r.Trash)
		}
	}
	return nil
}

// Write puts a value as JSON into a file in one step: who reads it sees the old
// content or the new.
func Write(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	beside := path + ".new"
	if err := os.WriteFile(beside, append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
