package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

//go:embed playbook.yml
var playbook string

// ansible is Ansible's user and file modules with what makes them fastest:
// pipelining, one SSH connection that stays, no facts, no search for Python. More
// forks would not help, for they are one a host.
type ansible struct {
	work    string
	count   int
	version string
	env     []string
	command []string
	// idle is how long a playbook without people takes, a duration a run: what
	// does not grow with their number.
	idle []time.Duration
}

func newAnsible(ctx context.Context, started *lab.Lab, host *lab.Host, work string, users int) (*ansible, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "ansible-core").Output()
	if err != nil {
		return nil, fmt.Errorf("ansible-core is not installed: %w", err)
	}
	version, _, _ := strings.Cut(string(out), "-")
	a := &ansible{work: filepath.Join(work, "ansible"), count: users, version: version}
	if err := fresh(a.work); err != nil {
		return nil, err
	}
	inventory := fmt.Sprintf("new ansible_host=%s ansible_user=root ansible_ssh_private_key_file=%s ansible_python_interpreter=/usr/bin/python3\n", host.Address, started.KeyPath())
	for name, text := range map[string]string{"playbook.yml": playbook, "inventory": inventory} {
		if err := os.WriteFile(filepath.Join(a.work, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	a.env = append(os.Environ(), "ANSIBLE_PIPELINING=True", "ANSIBLE_NOCOLOR=1", "ANSIBLE_HOME="+a.work, "ANSIBLE_LOCALHOST_WARNING=False",
		"ANSIBLE_SSH_CONTROL_PATH_DIR="+filepath.Join(a.work, "cp"),
		"ANSIBLE_SSH_ARGS=-F none -o ControlMaster=auto -o ControlPersist=600s -o UserKnownHostsFile="+started.KnownHostsPath())
	a.command = []string{"-i", filepath.Join(a.work, "inventory"), filepath.Join(a.work, "playbook.yml")}
	// The connection is made before the first run, in Ansible's favour.
	_, _, err = a.play(ctx, nil)
	return a, err
}

func (a *ansible) name() string  { return "ansible-core " + a.version }
func (a *ansible) users() int    { return a.count }
func (a *ansible) forget() error { return nil } // it remembers nothing

func (a *ansible) apply(ctx context.Context, people map[string]string) (time.Duration, error) {
	took, _, err := a.play(ctx, people)
	return took, err
}

func (a *ansible) unchanged(ctx context.Context, people map[string]string) (time.Duration, error) {
	took, said, err := a.play(ctx, people)
	if err == nil && !strings.Contains(said, "changed=0 ") {
		err = fmt.Errorf("it changed something:\n%s", said)
	}
	if err != nil {
		return 0, err
	}
	idle, _, err := a.play(ctx, nil)
	a.idle = append(a.idle, idle)
	return took, err
}

// play plays the playbook for some people; said is the end of what it prints.
func (a *ansible) play(ctx context.Context, people map[string]string) (took time.Duration, said string, err error) {
	if people == nil {
		people = map[string]string{}
	}
	text, err := json.Marshal(map[string]any{"people": people})
	if err != nil {
		return 0, "", err
	}
	variables := filepath.Join(a.work, "people.json")
	if err := os.WriteFile(variables, text, 0o600); err != nil {
		return 0, "", err
	}
	cmd := exec.CommandContext(ctx, "ansible-playbook", append(a.command, "-e", "@"+variables)...)
	cmd.Env, cmd.Dir = a.env, a.work
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(began)
	said = string(out[max(0, len(out)-2000):])
	if err != nil {
		err = fmt.Errorf("ansible-playbook: %w\n%s", err, said)
	}
	return took, said, err
}
