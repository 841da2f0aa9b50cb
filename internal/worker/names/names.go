// Package names gives users and groups of this host their names and numbers, as
// the host's own programs would: from the files in /etc where those come first
// (nsswitch.conf), and else by getent(1), which also asks directory services.
// A program without cgo knows the files in /etc alone.
//
// It imports nothing of this project.
package names

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Host is this host.
type Host struct{}

// Names returns the names of the numbers that have one.
func (Host) Names(users, groups []uint32) (userNames, groupNames map[uint32]string, err error) {
	userNames, err = byNumber("passwd", users)
	if err != nil {
		return nil, nil, err
	}
	groupNames, err = byNumber("group", groups)
	return userNames, groupNames, err
}

// IDs returns the numbers of the names that there are.
func (Host) IDs(users, groups []string) (userIDs, groupIDs map[string]uint32, err error) {
	userIDs, err = byName("passwd", users)
	if err != nil {
		return nil, nil, err
	}
	groupIDs, err = byName("group", groups)
	return userIDs, groupIDs, err
}

// Account is a user as passwd(5) has one.
type Account struct {
	ID, Group uint32
	Home      string // "" where the line has none
}

// Account returns the user of that name, or nil where there is none.
func (Host) Account(name string) (*Account, error) {
	if !isName(name) {
		return nil, nil
	}
	var account *Account
	err := ask("passwd", true, []string{name}, func(e entry) {
		if account != nil || len(e.fields) < 6 {
			return
		}
		if group, err := strconv.ParseUint(e.fields[3], 10, 32); err == nil {
			account = &Account{ID: e.id, Group: uint32(group), Home: e.fields[5]}
		}
	})
	return account, err
}

func byNumber(database string, ids []uint32) (map[uint32]string, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = strconv.FormatUint(uint64(id), 10)
	}
	found := map[uint32]string{}
	// Of several names for one number the first counts, as everywhere.
	err := ask(database, false, keys, func(e entry) {
		if found[e.id] == "" {
			found[e.id] = e.name()
		}
	})
	return found, err
}

func byName(database string, names []string) (map[string]uint32, error) {
	keys := make([]string, 0, len(names))
	for _, name := range names {
		if isName(name) {
			keys = append(keys, name)
		}
	}
	found := map[string]uint32{}
	err := ask(database, true, keys, func(e entry) {
		if _, ok := found[e.name()]; !ok {
			found[e.name()] = e.id
		}
	})
	return found, err
}

// isName says whether getent takes the text for a name: it takes digits for a
// number.
func isName(text string) bool {
	_, err := strconv.ParseUint(text, 10, 32)
	return err != nil && text != "" && !strings.HasPrefix(text, "-")
}

// notFound is getent's exit code where one of the keys is not there; getent(1).
const notFound = 2

// perCall is how many keys one getent is asked for: a list of arguments has its
// limits.
const perCall = 1000

// patience is how long getent may take: a directory service that is out of reach
// would keep a pass waiting for ever.
const patience = 2 * time.Minute

// ask looks keys up: in the database's file where that comes first, then by getent
// what is not there, and in the file again where there is no getent.
func ask(database string, names bool, keys []string, found func(entry)) error {
	s := sought{database: database, byName: names, keys: map[string]bool{}}
	for _, key := range keys {
		s.keys[key] = true
	}
	keys = s.fromFile(keys, found)
	for len(keys) > 0 {
		some := keys[:min(len(keys), perCall)]
		keys = keys[len(some):]
		out, err := getent(database, some)
		if errors.Is(err, exec.ErrNotFound) {
			text, err := os.ReadFile(etc + "/" + database)
			if err != nil {
				return err
			}
			s.take(text, found)
			return nil
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(out)) {
			if e, ok := parse(line); ok {
				found(e)
			}
		}
	}
	return nil
}

// getent returns the lines of the keys that are there. The error is
// exec.ErrNotFound where there is no getent.
func getent(database string, keys []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "getent", append([]string{database}, keys...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("getent %s did not answer for %v; a directory service may be out of reach", database, patience)
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == notFound:
		return out, nil
	}
	return nil, fmt.Errorf("getent %s: %w %s", database, err, strings.TrimSpace(stderr.String()))
}
