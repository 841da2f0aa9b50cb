//go:build linux

package key

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Admission is what lets the key of a pass in.
type Admission struct {
	Chain   string    // names the chain of passes: 12 hexadecimal digits
	User    string    // login for which it is let in
	Home    string    // its home
	File    string    // sshd's AuthorizedKeysFile: one word, with its %h, %u and %%
	Options string    // of the line, "restrict,from=…", or ""
	Public  string    // "ssh-ed25519 AAAA… cutover-pass-CHAIN"
	Until   time.Time // when the line is of no more use
}

// line returns the line for the key, without its end, and the key itself.
func (a Admission) line() (line, key string, err error) {
	if !isChain(a.Chain) {
		return "", "", fmt.Errorf("%q names no chain: 12 hexadecimal digits do", a.Chain)
	}
	w := strings.Split(a.Public, " ")
	if len(w) != 3 || w[2] != mark(a.Chain) || w[0] == "" || w[1] == "" {
		return "", "", fmt.Errorf("%q is no public key that ends in %s", a.Public, mark(a.Chain))
	}
	line = a.Public
	if a.Options != "" {
		line = a.Options + " " + line
	}
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", "", fmt.Errorf("the key and its options are more than a line: %q", line)
	}
	if a.Until.IsZero() {
		return "", "", errors.New("nothing says when the key is of no more use")
	}
	return line, w[1], nil
}

// Keeper lets keys in, and keeps them out again, one change at a time on a host.
// A change waits a minute at the most for another, and then is an error.
type Keeper struct {
	Base string // where the host keeps what belongs to passes: /var/lib/cutover

	wait time.Duration // for another change; zero is patience
}

// Admit lets the key in, in one step: the file never has half a line, and keeps
// its owner, mode, ACL and labels. A key of the chain that was let in before goes;
// the same key again changes nothing. All that pass-CHAIN below Base has when the
// line is not there yet goes as well, so what else lies there is put there later.
//
// It is an error if sshd reads no file for the user, or if a line whose time is
// over cannot be taken away.
func (k Keeper) Admit(a Admission) error {
	line, key, err := a.line()
	if err != nil {
		return err
	}
	name, err := expand(a)
	if err != nil {
		return err
	}
	return k.locked(func() error {
		there, err := k.key(a.Chain)
		if err != nil || there == key {
			return err // two that see to the same pass let its key in once
		}
		if err := k.forget(a.Chain); err != nil {
			return err
		}
		if err := k.sweep(); err != nil {
			return err
		}
		if err := k.admit(a, name, line); err != nil {
			// What cannot be taken away now stays on record.
			_ = k.forget(a.Chain)
			return err
		}
		return nil
	})
}

// admit puts the line into the file, after all that it makes is on record.
func (k Keeper) admit(a Admission, name, line string) error {
	p, err := resolve(name)
	if err != nil {
		return err
	}
	r := record{File: p.name(), Until: a.Until.Unix()}
	dir, err := p.open()
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.MadeDirectory = true
	case err != nil:
		return err
	default:
		defer dir.close()
	}
	var text []byte
	r.MadeFile = true
	if dir != nil {
		var there bool
		if text, there, err = dir.read(); err != nil {
			return err
		}
		r.MadeFile = !there
	}
	text, r.AddedEnd = with(text, line)
	if err := k.write(a.Chain, r); err != nil {
		return err
	}
	made := owner{uid: -1, gid: -1}
	if r.MadeFile {
		if made, err = ownerOf(a.User); err != nil {
			return err
		}
	}
	if dir == nil {
		if dir, err = p.make(made); err != nil {
			return err
		}
		defer dir.close()
	}
	return dir.replace(text, r.MadeFile, made)
}

// Dismiss keeps a key of the chain out again: the one given, as a line or as its
// second word, or for "" any. The line of another key, that of the chain's next
// pass, stays. With the line goes all that was made for it, and pass-CHAIN.
func (k Keeper) Dismiss(chain, public string) error {
	if !isChain(chain) {
		return fmt.Errorf("%q names no chain: 12 hexadecimal digits do", chain)
	}
	key := public
	if w := strings.Fields(public); len(w) > 1 {
		key = w[1]
	}
	return k.locked(func() error {
		there, err := k.key(chain)
		if err == nil && (there == "" || key == "" || there == key) {
			err = k.forget(chain)
		}
		return errors.Join(err, k.sweep())
	})
}

// Sweep takes away the lines whose time is over, with all that was made for them.
// Admit and Dismiss do so, too.
func (k Keeper) Sweep() error {
	return k.locked(k.sweep)
}

func (k Keeper) sweep() error {
	chains, err := k.chains()
	if err != nil {
		return err
	}
	var failed []error
	for _, chain := range chains {
		r, err := k.read(chain)
		if err != nil || r == nil || !r.over() {
			continue // a damaged record is an error of its own chain's
		}
		if err := k.forget(chain); err != nil {
			failed = append(failed, fmt.Errorf("the line that ends in %s, whose time is over: %w", mark(chain), err))
		}
	}
	return errors.Join(failed...)
}

// key returns the key that is let in for the chain, "" for none.
func (k Keeper) key(chain string) (string, error) {
	r, err := k.read(chain)
	if err != nil || r == nil {
		return "", err
	}
	dir, err := openRecorded(r)
	if err != nil || dir == nil {
		return "", err
	}
	defer dir.close()
	text, _, err := dir.read()
	if errors.Is(err, errNoFile) {
		return "", nil // our line is not there any more
	}
	return keyOf(text, chain), err
}

// forget takes away all that an admission of the chain has made.
func (k Keeper) forget(chain string) error {
	r, err := k.read(chain)
	if err != nil {
		return err
	}
	if r != nil {
		if err := k.undo(chain, r); err != nil {
			return err
		}
	}
	return os.RemoveAll(k.dir(chain))
}

func (k Keeper) undo(chain string, r *record) error {
	dir, err := openRecorded(r)
	if err != nil || dir == nil {
		return err
	}
	defer dir.close()
	if err := dir.clean(); err != nil {
		return err
	}
	text, there, err := dir.read()
	if err != nil && !errors.Is(err, errNoFile) {
		return err
	}
	if there {
		text, found, next := without(text, chain, r.AddedEnd)
		if err := k.handOver(chain, r, next); err != nil {
			return err
		}
		switch {
		case r.MadeFile && len(text) == 0:
			err = dir.remove()
		case found:
			err = dir.replace(text, false, owner{uid: -1, gid: -1})
		}
		if err != nil {
			return err
		}
	}
	if r.MadeDirectory {
		return dir.removeSelf()
	}
	return nil
}
