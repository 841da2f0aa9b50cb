//go:build linux

package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// targets are where the passes of a chain bring to; none where no pass has begun.
func (s State) targets(chain string) (targets []string, err error) {
	content, err := os.ReadFile(s.path("chains", chain, "targets"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &targets); err != nil {
		return nil, fmt.Errorf("the targets of the chain %s: %w", chain, err)
	}
	return targets, nil
}

// Base is where a chain has noted what it has brought to a directory.
type Base struct {
	File, Target string
	used         time.Time
}

// Bases are those of all chains, the one that was used last at the end.
func (s State) Bases() ([]Base, error) {
	chains, err := filepath.Glob(s.path("chains", "*"))
	if err != nil {
		return nil, err
	}
	var bases []Base
	for _, chain := range chains {
		targets, err := s.targets(filepath.Base(chain))
		if err != nil {
			return nil, err
		}
		for i, target := range targets {
			file := filepath.Join(chain, strconv.Itoa(i+1)+".base")
			if info, err := os.Stat(file); err == nil {
				bases = append(bases, Base{file, target, info.ModTime()})
			}
		}
	}
	slices.SortStableFunc(bases, func(a, b Base) int { return a.used.Compare(b.used) })
	return bases, nil
}
