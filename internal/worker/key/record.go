//go:build linux

package key

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// record is what an admission has made, or was about to make when it was killed.
type record struct {
	File          string `json:"file,omitempty"`       // without the links that led to it
	Odd           []byte `json:"file_bytes,omitempty"` // instead, where it is not UTF-8, which JSON would change
	Until         int64  `json:"until"`                // seconds since 1970
	MadeFile      bool   `json:"made_file,omitempty"`
	MadeDirectory bool   `json:"made_directory,omitempty"`
	AddedEnd      bool   `json:"added_end,omitempty"` // the line before had no end
}

// prefix begins the names of the directories of the passes.
const prefix = "pass-"

// recordName is the name of the record in the pass's directory.
const recordName = "key.json"

func (k Keeper) dir(chain string) string { return filepath.Join(k.Base, prefix+chain) }

// read returns the record of a chain, or nil where there is none.
func (k Keeper) read(chain string) (*record, error) {
	name := filepath.Join(k.dir(chain), recordName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is damaged, so nobody knows where the line is that ends in %s; take that line and %s away by hand: %w",
			name, mark(chain), k.dir(chain), err)
	}
	if len(r.Odd) > 0 {
		r.File, r.Odd = string(r.Odd), nil
	}
	return &r, nil
}

// write puts the record in its place, in one step.
func (k Keeper) write(chain string, r record) error {
	if err := mkdirOpen(k.dir(chain)); err != nil {
		return err
	}
	if !utf8.ValidString(r.File) {
		r.File, r.Odd = "", []byte(r.File)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := filepath.Join(k.dir(chain), recordName)
	file, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync() // or after a crash the line would be there without it
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// chains returns the chains that have a directory.
func (k Keeper) chains() ([]string, error) {
	entries, err := os.ReadDir(k.Base)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if chain, ok := strings.CutPrefix(e.Name(), prefix); ok && isChain(chain) {
			list = append(list, chain)
		}
	}
	return list, nil
}

// handOver gives what a pass made to those that go on to use it: the last one to
// go takes it away. next is the chain whose line follows, or "".
func (k Keeper) handOver(from string, r *record, next string) error {
	chains, err := k.chains()
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if chain == from {
			continue
		}
		other, err := k.read(chain)
		if err != nil || other == nil || other.File != r.File {
			continue // it is that chain's own pass that has to say so
		}
		was := *other
		other.MadeFile = other.MadeFile || r.MadeFile
		other.MadeDirectory = other.MadeDirectory || r.MadeDirectory
		other.AddedEnd = other.AddedEnd || r.AddedEnd && chain == next
		if was.MadeFile == other.MadeFile && was.MadeDirectory == other.MadeDirectory && was.AddedEnd == other.AddedEnd {
			continue
		}
		if err := k.write(chain, *other); err != nil {
			return err
		}
	}
	return nil
}

// over says whether the line of the record is of no more use.
func (r *record) over() bool { return r.Until < time.Now().Unix() }
