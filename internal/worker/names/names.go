// Package names gives users and groups of this host their names and numbers, as
// the host's own programs would: by getent(1), which also asks directory services
// (nsswitch.conf). A program without cgo knows the files in /etc alone.
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

func byNumber(database string, ids []uint32) (map[uint32]string, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = strconv.FormatUint(uint64(id), 10)
	}
	found := map[uint32]string{}
	// Of several names for one number the first counts, as everywhere.
	err := ask(database, keys, func(name string, id uint32) {
		if found[id] == "" {
			found[id] = name
		}
	})
	return found, err
}

func byName(database string, names []string) (map[string]uint32, error) {
	keys := make([]string, 0, len(names))
	for _, name := range names {
		// getent takes digits for a number.
		if _, err := strconv.ParseUint(name, 10, 32); err != nil && name != "" && !strings.HasPrefix(name, "-") {
			keys = append(keys, name)
		}
	}
	found := map[string]uint32{}
	err := ask(database, keys, func(name string, id uint32) {
		if _, ok := found[name]; !ok {
			found[name] = id
		}
	})
	return found, err
}

// notFound is getent's exit code where one of the keys is not there; getent(1).
const notFound = 2

// perCall is how many keys one getent is asked for: a list of arguments has its
// limits.
const perCall = 1000

// patience is how long getent may take: a directory service that is out of reach
// would keep a pass waiting for ever.
const patience = 2 * time.Minute

// ask looks keys up in a database of getent's, and in its file where there is no
// getent.
func ask(database string, keys []string, found func(name string, id uint32)) error {
	for len(keys) > 0 {
		some := keys[:min(len(keys), perCall)]
		keys = keys[len(some):]
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "getent", append([]string{database}, some...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("getent %s did not answer for %v; a directory service may be out of reach", database, patience)
		case err == nil, errors.As(err, &exit) && exit.ExitCode() == notFound:
			read(out, found)
		case errors.Is(err, exec.ErrNotFound):
			text, err := os.ReadFile("/etc/" + database)
			if err != nil {
				return err
			}
			wanted := map[string]bool{}
			for _, key := range some {
				wanted[key] = true
			}
			read(text, func(name string, id uint32) {
				if wanted[name] || wanted[strconv.FormatUint(uint64(id), 10)] {
					found(name, id)
				}
			})
		default:
			return fmt.Errorf("getent %s: %w %s", database, err, strings.TrimSpace(stderr.String()))
		}
	}
	return nil
}

// read reads lines of passwd(5) and group(5): the name comes first, the number
// third.
func read(text []byte, found func(name string, id uint32)) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < 3 || fields[0] == "" {
			continue
		}
		if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			found(fields[0], uint32(id))
		}
	}
}
