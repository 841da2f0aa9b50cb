// Package host is a machine reached over SSH: it connects, authenticates, runs
// commands with root's rights, and reads and writes files there.
//
// Everything above it talks to the Host interface; Dial and Pool make the real
// thing, package hosttest a fake one. It may import internal/sh and nothing
// else of this module.
package host

import (
	"context"
	"io"
	"io/fs"
	"net"
)

// Host is one machine, with root's rights on it, however they were come by
// (a login as root, sudo or doas). Its methods may be called from several
// goroutines at once.
//
// An error of any method that is not an *ExitError, and not one for which
// errors.Is(err, fs.ErrNotExist) holds, says nothing about the state of the
// machine: the question did not reach it, or the answer did not come back.
type Host interface {
	// Name is the key under which the provider's block knows the host.
	Name() string

	// Run runs a command to its end. The error of a command that ran and
	// failed is an *ExitError; Result then still holds what it printed.
	// When ctx ends first, the command on the host is ended too.
	Run(ctx context.Context, cmd Command) (Result, error)

	// ReadFile returns a file's content. Where the host says that there is no
	// such file, errors.Is(err, fs.ErrNotExist) holds.
	ReadFile(ctx context.Context, path string) ([]byte, error)

	// WriteFile puts a file in place in one step: readers see the old content
	// or the new, never a part. The directory must exist.
	WriteFile(ctx context.Context, path string, content []byte, attr FileAttr) error

	// Rename moves a file in one step and replaces what is at the new path.
	Rename(ctx context.Context, from, to string) error

	// Remove deletes a file or an empty directory. That there is none is no error.
	Remove(ctx context.Context, path string) error

	// Dial opens a connection from the host, as a program running there would
	// (SSH's direct-tcpip): network is "tcp", address "host:port".
	Dial(ctx context.Context, network, address string) (net.Conn, error)

	// Listen opens a port on the host (SSH's tcpip-forward): network is "tcp",
	// address an IP address and a port, which may be 0 for any that is free.
	// Connections to it are accepted here. The port is closed with the listener,
	// and with the connection to the host, which is not made again for it: Accept
	// then returns an error.
	Listen(ctx context.Context, network, address string) (net.Listener, error)

	// Identity says as what and as whom the host was reached.
	Identity(ctx context.Context) (Identity, error)
}

// FileAttr is the owner and the mode that a written file gets.
type FileAttr struct {
	Mode     fs.FileMode // permission bits, with fs.ModeSetuid and the like where wanted
	UID, GID int         // the zero value is root
}

// Command is a program with its arguments, or a script with its arguments.
type Command struct {
	// Argv is the program and its arguments, or, with Script, the arguments
	// alone. Each reaches the program as it stands here; never a secret, for
	// every user of the host can list them.
	Argv []string

	// Script is a constant POSIX sh script; Argv are its $1, $2 and so on.
	Script Script

	// Stdin is what the command reads; nil is an empty input. It is never
	// logged and never part of an error: the place for secrets and for data
	// too large for arguments.
	Stdin io.Reader

	// Stdout, where not nil, receives the output as it comes instead of
	// Result.Stdout.
	Stdout io.Writer
}

// Script is a POSIX sh script that runs on hosts. Data never becomes part of
// its text.
type Script struct {
	Name string // as errors and logs call it, such as "account/snapshot.sh"
	Text string
}

// Result is what a command printed.
type Result struct {
	Stdout []byte
	Stderr []byte
}

// Identity is how a host was reached. Other hosts that are to reach it build
// on it: the address to call, and the host key that was verified on the way.
type Identity struct {
	Address       string // name or address that was dialled, after ssh_config
	Port          int    // TCP port of its sshd
	User          string // login
	Become        string // "", "sudo" or "doas"
	HostKey       string // verified key, in authorized_keys form: "ssh-ed25519 AAAA…"
	ServerVersion string // sshd's banner, such as "SSH-2.0-OpenSSH_8.4p1 Debian-5"
}

// Exec is the Command for a program and its arguments.
func Exec(argv ...string) Command {
	return Command{Argv: argv}
}

// Sh is the Command for a script and its arguments.
func Sh(script Script, args ...string) Command {
	return Command{Script: script, Argv: args}
}
