//go:build linux

// Package sshd asks a host's sshd what a sync pass has to know: for which login the
// key of the pass is let in, where it goes, and by which keys the host is known. It
// changes nothing. Beside, it says what the host is.
//
// It starts as few programs as it can: for root, that is sshd -T alone.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/names"
)

// Asked is from where, and as whom, the pass comes.
type Asked struct {
	User   string // login by which the provider is connected
	Become string // how it becomes root there: "sudo", "doas" or ""
	Client string // address from which the new host comes, for sshd's Match blocks
}

// Facts are what sshd says.
type Facts struct {
	Login           *Login   // nil where there is none for a key
	PermitRootLogin string   // where root was asked for, else ""; "unknown" if sshd says nothing
	HostKeys        []string // "ssh-ed25519 AAAA…", sorted by their files' names
	Listening       []string // "0.0.0.0:22", as sshd has it
}

// Login is where the key of a pass goes.
type Login struct {
	User   string
	Become string // "sudo", "doas", or "" for one that is root already
	Home   string // "" where nobody knows it
	Keys   string // AuthorizedKeysFile: its first word, with %h, %u and %%; "none" for none
}

// Ask asks this host. What sshd does not say is missing in the facts and no error:
// an error is a user database that does not answer, a way to root that is unknown,
// or the end of ctx.
func Ask(ctx context.Context, a Asked) (Facts, error) {
	h := host{client: a.Client, said: map[string]string{}}
	var f Facts
	for line := range strings.Lines(h.config(ctx, a.User)) {
		if address, ok := strings.CutPrefix(line, "listenaddress "); ok {
			f.Listening = append(f.Listening, strings.TrimSpace(address))
		}
	}
	user, become := a.User, a.Become
	may, err := mayBecome(ctx, a)
	if err != nil {
		return f, err
	}
	if !may {
		user, become = "", ""
		f.PermitRootLogin = h.setting(ctx, "root", "permitrootlogin")
		switch f.PermitRootLogin {
		case "":
			f.PermitRootLogin = "unknown"
		case "yes", "without-password", "prohibit-password", "forced-commands-only":
			user = "root"
		}
	}
	if user != "" {
		l := Login{User: user, Become: become}
		account, err := names.Host{}.Account(user)
		if err != nil {
			return f, err
		}
		if account != nil {
			l.Home = account.Home
		}
		l.Keys, _, _ = strings.Cut(h.setting(ctx, user, "authorizedkeysfile"), " ")
		if l.Keys == "" {
			l.Keys = ".ssh/authorized_keys"
		}
		f.Login = &l
	}
	f.HostKeys = hostKeys(h.config(ctx, a.User))
	return f, ctx.Err()
}

// mayBecome says whether the login becomes root without a password.
func mayBecome(ctx context.Context, a Asked) (bool, error) {
	switch a.Become {
	case "":
		return true, nil
	case "sudo":
		// Asked only where there is a chance: a refused sudo sends root a mail.
		rights, _ := output(ctx, "sudo", "-l", "-U", a.User)
		if !strings.Contains(rights, "NOPASSWD") && !strings.Contains(rights, "!authenticate") {
			return false, nil
		}
		_, err := output(ctx, "su", "-s", "/bin/sh", a.User, "-c", "sudo -n -k true")
		return err == nil, nil
	case "doas":
		_, err := output(ctx, "su", "-s", "/bin/sh", a.User, "-c", "doas -n true")
		return err == nil, nil
	}
	return false, fmt.Errorf("%q is no way to become root", a.Become)
}

// host is this host's sshd, with what it has said of each user.
type host struct {
	client string
	said   map[string]string
}

// setting returns what sshd has in force for a login of the user, "" if it does not
// say.
func (h host) setting(ctx context.Context, user, key string) string {
	for line := range strings.Lines(h.config(ctx, user)) {
		if name, value, _ := strings.Cut(line, " "); strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// config returns all that sshd has in force for a login of the user, as sshd -T
// prints it, or "".
func (h host) config(ctx context.Context, user string) string {
	said, ok := h.said[user]
	if !ok {
		said = h.ask(ctx, user)
		h.said[user] = said
	}
	return said
}

func (h host) ask(ctx context.Context, user string) string {
	login := "user=" + user + ",host=" + h.client + ",addr=" + h.client
	// Where this very session came in, if that is known.
	at := strings.Fields(os.Getenv("SSH_CONNECTION"))
	if len(at) != 4 {
		at = []string{"0", "0", "127.0.0.1", "22"}
	}
	local := ",laddr=" + at[2] + ",lport=" + at[3]
	// For a block of Match, -C has to say what the block is about, or sshd -T fails,
	// also without -C; an sshd of long ago does not know all words (sshd(8)).
	for _, args := range [][]string{{"-C", login + local + ",rdomain="}, {"-C", login + local}, {"-C", login}, nil} {
		if said, err := output(ctx, "sshd", append([]string{"-T"}, args...)...); err == nil {
			return said
		}
		if ctx.Err() != nil {
			break
		}
	}
	return ""
}

// etc has the host's own files. A variable for the tests.
var etc = "/etc"

// hostKeys returns the public keys of those that sshd names, and of those where
// they usually lie.
func hostKeys(config string) []string {
	var files []string
	for line := range strings.Lines(config) {
		if file, ok := strings.CutPrefix(line, "hostkey "); ok {
			files = append(files, strings.TrimSuffix(file, "\n"))
		}
	}
	usual, _ := filepath.Glob(etc + "/ssh/ssh_host_*_key") // the pattern is well-formed
	files = append(files, usual...)
	slices.Sort(files)
	var keys []string
	for _, file := range slices.Compact(files) {
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if w := strings.Fields(line); len(w) > 1 && !slices.Contains(keys, w[0]+" "+w[1]) {
			keys = append(keys, w[0]+" "+w[1])
		}
	}
	return keys
}

// path is where the programs of a host are. A variable for the tests.
var path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// find returns where a program is: in this process's own PATH first.
func find(name string) (string, error) {
	file, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		if file = inPath(name); file != "" {
			return file, nil
		}
	}
	return file, err
}

// inPath returns where a program is in path, or "".
func inPath(name string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// linger is how long the output of a program that was ended may stay open.
const linger = 2 * time.Second

// output runs a program without input, and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	file, err := find(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = linger
	out, err := cmd.Output()
	return string(out), err
}

// exists says whether a file is there, through links.
func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
