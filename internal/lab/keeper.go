package lab

import (
	"errors"
	"os/exec"
	"syscall"
)

var errClosed = errors.New("the lab is closed")

// keeper is the process that holds the namespaces of a host or a client.
type keeper struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
}

func startKeeper(cmd *exec.Cmd) (*keeper, error) {
	// A session of its own: Ctrl-C at a terminal is for the caller, who closes
	// the lab in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &keeper{cmd: cmd, ended: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is in its log
		close(k.ended)
	}()
	return k, nil
}
