package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// terraform is the worked example with a CLI to apply it.
type terraform struct {
	binary string
	work   string // all that the demo made, to be deleted with it
	dir    string // copy of the example
	env    []string
	say    func(line string) // what a person at the terminal sees
}

// oldServices are what holds the ports on an old host, as HCL.
var oldServices = map[lab.Kind]string{
	lab.SysV:     `["apache2", "dovecot", "sendmail"]`,
	lab.Bookworm: `["nginx", "dovecot", "postfix"]`,
}

// newTerraform builds the provider of the project at root, puts it where the CLI finds it, and
// initialises a copy of an example, with its variables.
func newTerraform(ctx context.Context, root, example, variables, work string, started *lab.Lab, old, fresh *lab.Host) (*terraform, error) {
	binary := os.Getenv("TF_ACC_TERRAFORM_PATH")
	for _, name := range []string{"terraform", "tofu"} {
		if found, err := exec.LookPath(name); binary == "" && err == nil {
			binary = found
		}
	}
	if binary == "" {
		return nil, fmt.Errorf("neither terraform nor tofu is in PATH; `make demo` builds OpenTofu in that case")
	}
	tf := &terraform{binary: binary, work: work, dir: filepath.Join(work, example), say: func(line string) { fmt.Println("      " + line) }}
	if err := os.CopyFS(tf.dir, os.DirFS(filepath.Join(root, "examples", example))); err != nil {
		return nil, fmt.Errorf("the demo runs in the root of the project: %w", err)
	}
	mirror := filepath.Join(work, "mirror")
	for _, registry := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		place := filepath.Join(mirror, registry, "cutover-dev", "cutover", "0.0.1", runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(place, 0o755); err != nil {
			return nil, err
		}
		target := filepath.Join(place, "terraform-provider-cutover_v0.0.1")
		if built := filepath.Join(mirror, "provider"); !exists(built) {
			build := exec.CommandContext(ctx, "go", "build", "-o", built, ".")
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("go build: %w\n%s", err, out)
			}
		}
		if err := os.Link(filepath.Join(mirror, "provider"), target); err != nil {
			return nil, err
		}
	}
	files := map[string]string{
		filepath.Join(work, "terraformrc"):        fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror),
		filepath.Join(tf.dir, "terraform.tfvars"): fmt.Sprintf("old = %q\nnew = %q\nstaying = [\"admin\", \"operator\"]\n%s", old.Address, fresh.Address, variables),
	}
	settings := []string{
		"TF_CLI_CONFIG_FILE=" + filepath.Join(work, "terraformrc"),
		"CHECKPOINT_DISABLE=1",
		"CUTOVER_USER=root",
		"CUTOVER_PRIVATE_KEY_PATH=" + started.KeyPath(),
		"CUTOVER_KNOWN_HOSTS_PATH=" + started.KnownHostsPath(),
		"CUTOVER_SSH_CONFIG_PATH=none",
	}
	files[filepath.Join(tf.dir, "environment")] = "export '" + strings.Join(settings, "' '") + "'\n"
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	tf.env = append(os.Environ(), settings...)
	return tf, tf.run(ctx, func(string) bool { return false }, "init", "-no-color", "-input=false")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// apply plans a phase and applies it, and shows what a person at the terminal
// would watch: the plan's summary and each thing done.
func (tf *terraform) apply(ctx context.Context, phase string) error {
	start := time.Now()
	plan := filepath.Join(tf.work, phase+".plan")
	err := tf.run(ctx, func(line string) bool {
		return strings.HasPrefix(line, "Plan:") || strings.HasPrefix(line, "No changes")
	},
		"plan", "-no-color", "-input=false", "-var", "phase="+phase, "-out", plan)
	if err != nil {
		return err
	}
	err = tf.run(ctx, func(line string) bool {
		return line != "" && !strings.Contains(line, "Reading...") && !strings.Contains(line, "Creating...")
	},
		"apply", "-no-color", "-input=false", plan)
	if err != nil {
		return err
	}
	step("phase %s took %.0f s", phase, time.Since(start).Seconds())
	return nil
}

// unchanged is an error when a phase that was applied has anything left to do.
func (tf *terraform) unchanged(ctx context.Context, phase string) error {
	// Exit code 2 is a plan with changes (terraform plan -help).
	return tf.run(ctx, func(string) bool { return false },
		"plan", "-no-color", "-input=false", "-detailed-exitcode", "-var", "phase="+phase)
}

// run runs the CLI and shows the lines of its output that are wanted; when it
// fails, all of them.
func (tf *terraform) run(ctx context.Context, wanted func(line string) bool, args ...string) error {
	cmd := exec.CommandContext(ctx, tf.binary, args...)
	cmd.Dir, cmd.Env = tf.dir, tf.env
	// An interrupt is for Terraform to end on, in its own time.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	var hidden []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if line := lines.Text(); wanted(line) {
			tf.say(line)
		} else {
			hidden = append(hidden, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(tf.binary), strings.Join(args, " "), err, strings.Join(hidden, "\n"))
	}
	return nil
}
