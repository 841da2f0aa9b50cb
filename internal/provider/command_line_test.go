package provider_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// commandLine runs Terraform as a user does, with the provider as it is built
// from this tree: for what terraform-plugin-testing cannot look at, and for
// runs that do not come to their end.
type commandLine struct {
	t   *testing.T
	dir string
	env []string // besides this process's own
}

func newCommandLine(t *testing.T, config string) *commandLine {
	t.Helper()
	c := &commandLine{t: t, dir: t.TempDir()}
	c.configure(config)
	return c
}

// cliConfig is a configuration of the CLI that uses the provider as it is built
// from this tree, once for all tests.
var cliConfig = sync.OnceValues(func() (file string, err error) {
	dir, err := os.MkdirTemp("", "cutover-provider-")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	if out, err := exec.Command("go", "build", "-o", dir+"/terraform-provider-cutover", root).CombinedOutput(); err != nil { //nolint:gosec // a test's own
		return "", fmt.Errorf("building the provider: %w\n%s", err, out)
	}
	text := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"cutover-dev/cutover\" = %q\n  }\n  direct {}\n}\n", dir)
	return dir + "/cli.tfrc", os.WriteFile(dir+"/cli.tfrc", []byte(text), 0o600)
})

// configure puts another configuration in the place of the one that is there.
func (c *commandLine) configure(config string) {
	c.t.Helper()
	c.write("main.tf", config)
}

func (c *commandLine) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// requires is what a configuration for the command line says of the provider.
const requires = "terraform {\n  required_providers {\n    cutover = { source = \"cutover-dev/cutover\" }\n  }\n}\n"

func (c *commandLine) command(args ...string) *exec.Cmd {
	terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if terraform == "" {
		terraform = "terraform"
	}
	config, err := cliConfig()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), terraform, append(args, "-no-color", "-input=false")...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+config)
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// run runs Terraform, and fails the test when it fails.
func (c *commandLine) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		c.t.Errorf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fails runs Terraform, and fails the test when it does not fail.
func (c *commandLine) fails(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...).CombinedOutput()
	if err == nil {
		c.t.Errorf("terraform %s ended well:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

// Who is killed: the sign of the process number that kill(2) is given.
const (
	terraformAlone        = 1 // its provider sees it go
	terraformWithProvider = -1
)

// runUntil runs Terraform and kills it, with no chance to do anything about it,
// as soon as a condition is met.
func (c *commandLine) runUntil(met func() bool, killed int, args ...string) {
	c.t.Helper()
	cmd := c.command(args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // the provider has the same output
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is not the question
		close(ended)
	}()
	for {
		if met() {
			if err := syscall.Kill(killed*cmd.Process.Pid, syscall.SIGKILL); err != nil {
				c.t.Error(err)
			}
			<-ended
			return
		}
		select {
		case <-ended:
			c.t.Fatalf("terraform %s ended before it was to be killed:\n%s", strings.Join(args, " "), said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
