package provider_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
}

func newCommandLine(t *testing.T, config string) *commandLine {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/bin/terraform-provider-cutover", root)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the provider: %v\n%s", err, out)
	}
	overrides := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"cutover-dev/cutover\" = %q\n  }\n  direct {}\n}\n", dir+"/bin")
	for name, text := range map[string]string{"main.tf": config, "cli.tfrc": overrides} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &commandLine{t, dir}
}

// requires is what a configuration for the command line says of the provider.
const requires = "terraform {\n  required_providers {\n    cutover = { source = \"cutover-dev/cutover\" }\n  }\n}\n"

func (c *commandLine) command(args ...string) *exec.Cmd {
	terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if terraform == "" {
		terraform = "terraform"
	}
	cmd := exec.CommandContext(context.Background(), terraform, append(args, "-no-color", "-input=false")...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+c.dir+"/cli.tfrc")
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

// runUntil runs Terraform and kills it together with the provider, with no
// chance to do anything about it, as soon as a condition is met.
func (c *commandLine) runUntil(met func() bool, args ...string) {
	c.t.Helper()
	cmd := c.command(args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
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
