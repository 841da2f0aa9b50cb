package host

import (
	"context"
	"os/exec"
	"strings"
)

// shellCommand is a command as Windows runs it, without a shell, as its ssh does.
func shellCommand(command string) *exec.Cmd {
	words := strings.Fields(strings.TrimPrefix(command, "exec "))
	return exec.CommandContext(context.Background(), words[0], words[1:]...)
}

func hangUp(cmd *exec.Cmd) { kill(cmd) }

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill() //nolint:errcheck // it may have ended
}
