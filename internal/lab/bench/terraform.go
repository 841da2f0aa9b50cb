package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// Terraform is a configuration with the CLI and this project's provider to
// apply it. Hosts of the lab are reached by their address alone.
type Terraform struct {
	binary, dir string
	env         []string
}

// Module is a module of a configuration, which calls it by source = "./NAME".
type Module struct{ Name, Text string }

// NewTerraform builds the provider of the project in the working directory and
// initialises a configuration, given as the text of its only file and of those
// of its modules, in the folder work.
func NewTerraform(ctx context.Context, started *lab.Lab, work, config string, modules ...Module) (*Terraform, error) {
	tf := &Terraform{binary: os.Getenv("TF_ACC_TERRAFORM_PATH"), dir: filepath.Join(work, "config")}
	for _, name := range []string{"terraform", "tofu"} {
		if found, err := exec.LookPath(name); tf.binary == "" && err == nil {
			tf.binary = found
		}
	}
	if tf.binary == "" {
		return nil, errors.New("neither terraform nor tofu is in PATH; make builds OpenTofu in that case")
	}
	mirror := filepath.Join(work, "mirror")
	built := filepath.Join(mirror, "provider")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", built, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build in the root of the project: %w\n%s", err, out)
	}
	for _, registry := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		place := filepath.Join(mirror, registry, "cutover-dev", "cutover", "0.0.1", runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(place, 0o755); err != nil {
			return nil, err
		}
		if err := os.Link(built, filepath.Join(place, "terraform-provider-cutover_v0.0.1")); err != nil {
			return nil, err
		}
	}
	files := map[string]string{
		filepath.Join(work, "terraformrc"): fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror),
		filepath.Join(tf.dir, "main.tf"):   config,
	}
	for _, module := range modules {
		files[filepath.Join(tf.dir, module.Name, "main.tf")] = module.Text
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	tf.env = append(os.Environ(),
		"TF_CLI_CONFIG_FILE="+filepath.Join(work, "terraformrc"), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1",
		"CUTOVER_USER=root", "CUTOVER_PRIVATE_KEY_PATH="+started.KeyPath(), "CUTOVER_KNOWN_HOSTS_PATH="+started.KnownHostsPath(),
		"CUTOVER_SSH_CONFIG_PATH=none", "CUTOVER_AGENT=false")
	_, err := tf.Run(ctx, nil, "init", "-input=false")
	return tf, err
}

// Version is the CLI's name and version, such as "Terraform v1.14.1".
func (tf *Terraform) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, tf.binary, "version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return line, err
}

// Command is the CLI, ready to run with settings added to its environment.
func (tf *Terraform) Command(ctx context.Context, settings []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, tf.binary, append(args[:1:1], append([]string{"-no-color"}, args[1:]...)...)...)
	cmd.Dir, cmd.Env = tf.dir, append(slices.Clone(tf.env), settings...)
	// An interrupt is for the CLI to end on, in its own time.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// Run runs the CLI with settings added to its environment and returns how long
// it took. Its error has the end of what the CLI said.
func (tf *Terraform) Run(ctx context.Context, settings []string, args ...string) (time.Duration, error) {
	cmd := tf.Command(ctx, settings, args...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		said := string(out)
		return took, fmt.Errorf("%s %s: %w\n%s", filepath.Base(tf.binary), strings.Join(args, " "), err, said[max(0, len(said)-4000):])
	}
	return took, nil
}
