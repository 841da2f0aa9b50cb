package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

var errClosed = errors.New("the lab is closed")

// keeper is the process that holds the namespaces of a bridge, a host or a
// client. It does not end with this process, but with its control group.
type keeper struct {
	pid   int
	ended chan struct{} // closed when the process is gone
}

func startKeeper(cmd *exec.Cmd) (*keeper, error) {
	// A session of its own: Ctrl-C at a terminal is for the caller, who closes
	// the lab in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &keeper{pid: cmd.Process.Pid, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(k.ended)
	}()
	return k, nil
}

// startSleeper starts a keeper whose script becomes sleep once all is done,
// and waits for that.
func startSleeper(ctx context.Context, cmd *exec.Cmd) (*keeper, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	k, err := startKeeper(cmd)
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		select {
		case <-k.ended:
			return nil, errors.New(strings.TrimSpace(stderr.String()))
		case <-time.After(5 * time.Millisecond):
		}
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", k.pid)); err == nil && string(command) == "sleep\n" {
			return k, nil
		}
	}
	return nil, ctx.Err()
}

// onBridge is the command that runs a script in the network namespace of the
// lab's bridge and a mount namespace of its own.
func (l *Lab) onBridge(name string, args ...string) *exec.Cmd {
	args = append([]string{l.bridgeNamespace(), "unshare", "--mount", "sh", "-c", script(name), name}, args...)
	return exec.Command("nsenter", args...)
}
