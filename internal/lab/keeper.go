package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

var errClosed = errors.New("the lab is closed")

// keeper is the process that holds the namespaces of a host or a client.
type keeper struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	ended chan struct{} // closed when the process is gone
}

// startKeeper starts unshare with a script that waits for a line of input.
func startKeeper(cmd *exec.Cmd) (*keeper, error) {
	// A session of its own: Ctrl-C at a terminal is for the caller, who closes
	// the lab in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &keeper{cmd: cmd, input: input, ended: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is in its log
		close(k.ended)
	}()
	return k, nil
}

// waitNamespace waits until the keeper has network and mount namespaces of its
// own, and is the script.
func (k *keeper) waitNamespace(ctx context.Context) error {
	proc := fmt.Sprintf("/proc/%d/", k.cmd.Process.Pid)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		ours, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return err
		}
		theirs, err := os.Readlink(proc + "ns/net")
		if err != nil {
			return err
		}
		// unshare makes its namespaces in one call and then becomes the shell.
		name, err := os.ReadFile(proc + "comm")
		if err != nil {
			return err
		}
		if ours != theirs && !bytes.HasPrefix(name, []byte("unshare")) {
			return nil
		}
		select {
		case <-k.ended:
			return errors.New("unshare ended at once")
		case <-ctx.Done():
			return fmt.Errorf("waiting for unshare: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// proceed lets the script go on.
func (k *keeper) proceed() error {
	if _, err := io.WriteString(k.input, "go\n"); err != nil {
		return err
	}
	return k.input.Close()
}
