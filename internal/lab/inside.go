package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// process is a process of this machine that cannot be mistaken for a later one
// of the same number.
type process struct {
	pid   int
	start string // clock ticks after boot, from /proc/PID/stat
}

// status of a process: what proc(5) calls ppid and starttime.
func readStat(pid int) (parent int, start string, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", err
	}
	// The second field, the name in brackets, may have blanks and brackets itself.
	_, rest, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, "", fmt.Errorf("unexpected /proc/%d/stat", pid)
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[19], err
}

// findInit returns the guest's PID 1 as this machine sees it, while or until
// there is one.
func (h *Host) findInit(ctx context.Context) (process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.init.pid != 0 {
		if _, start, err := readStat(h.init.pid); err == nil && start == h.init.start && isInit(h.init.pid) {
			return h.init, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pace.Limit(30*time.Second))
	defer cancel()
	for {
		if found, ok := h.scanInit(); ok {
			h.init = found
			return found, nil
		}
		select {
		case <-h.ended:
			return process{}, fmt.Errorf("host %s has ended", h.Name)
		case <-ctx.Done():
			return process{}, fmt.Errorf("host %s has no init process: %w", h.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// scanInit looks among the keeper's descendants for the first process of a PID
// namespace.
func (h *Host) scanInit() (process, bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return process{}, false
	}
	parents, starts := map[int]int{}, map[int]string{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent, start, err := readStat(pid); err == nil {
			parents[pid], starts[pid] = parent, start
		}
	}
	for pid, parent := range parents {
		// keeper, systemd-nspawn, init.
		if parents[parent] == h.keeper.pid && isInit(pid) {
			return process{pid, starts[pid]}, true
		}
	}
	return process{}, false
}

// isInit reports whether a process is number 1 of a namespace, has become the
// real init, and is no zombie.
func isInit(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	var name, state, numbers string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			name = strings.TrimSpace(value)
		case "State":
			state = strings.TrimSpace(value)
		case "NSpid":
			numbers = value
		}
	}
	fields := strings.Fields(numbers)
	return len(fields) > 1 && fields[len(fields)-1] == "1" && !strings.HasPrefix(state, "Z") &&
		(name == "systemd" || name == "init")
}

// Run runs a command in the guest as root, without SSH, and returns its
// standard output. An error has the standard error.
func (h *Host) Run(ctx context.Context, argv ...string) (string, error) {
	return h.RunInput(ctx, "", argv...)
}

// RunInput is Run with standard input.
func (h *Host) RunInput(ctx context.Context, stdin string, argv ...string) (string, error) {
	if len(argv) == 0 {
		return "", errors.New("no command")
	}
	init, err := h.findInit(ctx)
	if err != nil {
		return "", err
	}
	args := append([]string{
		"--target", strconv.Itoa(init.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
		// Of the machine's own environment the guest sees nothing.
		"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C",
	}, argv...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Stdin = strings.NewReader(stdin)
	// A background child that keeps our pipes open must not keep us.
	cmd.WaitDelay = 5 * time.Second
	return run(cmd, "host "+h.Name+": "+strings.Join(argv, " "))
}

// Processes lists what runs in the guest, a line "pid user args" each, without
// the listing itself.
func (h *Host) Processes(ctx context.Context) ([]string, error) {
	out, err := h.Run(ctx, "ps", "-ww", "-eo", "pid=,user:32=,args=")
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(out) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !strings.Contains(line, "ps -ww -eo pid=") {
			all = append(all, line)
		}
	}
	return all, nil
}
