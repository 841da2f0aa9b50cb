//go:build unix

package host

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shellCommand is a command for the user's shell. It is a session of its own:
// Ctrl-C is for Terraform, which ends in its own time, and not for the connection. It ends with the connection, and with no context.
func shellCommand(command string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), or(os.Getenv("SHELL"), "/bin/sh"), "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// hangUp asks a command, and what it has started, to end; ssh does it by the same signal.
func hangUp(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGHUP) //nolint:errcheck // it may have ended
}

func kill(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // as above
}
