//go:build linux

// Command cutover-worker is what the provider puts on the two hosts of a sync
// pass, and takes away again:
//
//	cutover-worker serve CHAIN     on the old host, the forced command of the pass's key: lists and reads
//	                               the directories that were noted for the chain for the worker at the
//	                               other end of its standard input and output, and does nothing else
//	cutover-worker pass ORDER      on the new host: makes a pass; ORDER is a file, see the package order
//	cutover-worker QUESTION        answers one of the provider, see questions
//	cutover-worker version         says that it runs here
//
// What comes over the stream is never taken for an option or a path of a root.
// Exit codes: 0 it is done, also where single files could not be; 1 it could not
// go on, and says why on standard error (and in the outcome); 2 it was called
// wrongly; 127 its file was taken away meanwhile, as a shell says it of a program that
// is not there (POSIX, 2.8.2): it is to be put and asked the same again.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/names"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/pass"
)

// version is set when it is built.
var version = "dev"

func main() {
	// Nobody else reads what it makes.
	unix.Umask(0o077)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[0] == "serve":
		chain := args[1] //nolint:gosec // there are two
		err = serve(ctx, chain, stdin, stdout)
	case len(args) == 1 && questions[args[0]] != nil:
		err = questions[args[0]](ctx, stdin, stdout)
	case len(args) == 2 && args[0] == "pass":
		err = runPass(ctx, args[1])
	case len(args) == 1 && args[0] == "version":
		_, err = fmt.Fprintln(stdout, "cutover-worker", version)
	default:
		fmt.Fprintln(stderr, "usage: cutover-worker serve CHAIN | pass ORDER | QUESTION | version")
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "cutover-worker:", err)
	}
	switch {
	case errors.Is(err, errTakenAway):
		return 127
	case err != nil:
		return 1
	}
	return 0
}

// errTakenAway is the error where the last pass of another chain took the worker away,
// while this one waited for the lock to note that it is needed.
var errTakenAway = errors.New("this program was taken away meanwhile")

// stays returns errTakenAway where the worker's file is not there any more.
func stays() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", errTakenAway, program)
	} else if err != nil {
		return err
	}
	return nil
}

func serve(ctx context.Context, chain string, stdin io.Reader, stdout io.Writer) error {
	paths, bases, err := state.Served(chain)
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	widen(stdin, stdout)
	return pass.Serve(ctx, stream{stdin, stdout}, pass.Served{Paths: paths, Bases: bases, Boot: boot, Names: names.Host{}})
}

// bootID names the start of this host.
func bootID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)), err
}

// pipeSize is how many bytes a pipe to or from ssh holds; more than the 64 KiB that
// it has by itself are fewer turns from one program to the other. It is what anybody
// may have (/proc/sys/fs/pipe-max-size).
const pipeSize = 1 << 20

// widen makes pipes larger, where they are pipes.
func widen(ends ...any) {
	for _, end := range ends {
		if c, ok := end.(syscall.Conn); ok {
			if raw, err := c.SyscallConn(); err == nil {
				// Where it cannot be, it stays as it is.
				_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
			}
		}
	}
}

// stream is standard input and output as one.
type stream struct {
	io.Reader
	io.Writer
}
