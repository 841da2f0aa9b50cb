package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// subject moves the hosts: all that can be done while the old one is live, once
// more, and the night itself.
type subject interface {
	prepare(ctx context.Context) error
	rehearse(ctx context.Context) error
	cutover(ctx context.Context) error
}

// provider is the worked example.
type provider struct {
	tf        *bench.Terraform
	arguments []string
}

func newProvider(ctx context.Context, h *hosts, root, work string) (*provider, error) {
	text, variables, err := h.example(root)
	if err != nil {
		return nil, err
	}
	p := &provider{}
	for _, variable := range variables {
		p.arguments = append(p.arguments, "-var", variable)
	}
	p.tf, err = bench.NewTerraform(ctx, h.lab, work, text)
	return p, err
}

func (p *provider) phase(name string) []string {
	return append([]string{"apply", "-input=false", "-auto-approve", "-var", "phase=" + name}, p.arguments...)
}

func (p *provider) apply(ctx context.Context, phase string) error {
	var settings []string
	if log := os.Getenv("LOG"); log != "" {
		settings = []string{"TF_LOG_PROVIDER=DEBUG", "TF_LOG_PATH=" + log + "." + phase}
	}
	_, err := p.tf.Run(ctx, settings, p.phase(phase)...)
	return err
}

func (p *provider) prepare(ctx context.Context) error  { return p.apply(ctx, "prepare") }
func (p *provider) rehearse(ctx context.Context) error { return p.apply(ctx, "rehearse") }
func (p *provider) cutover(ctx context.Context) error  { return p.apply(ctx, "cutover") }

//go:embed procedure.sh
var procedureText string

// procedure is the original: rsync and ssh -g -L, in a script.
type procedure struct{ script []string }

func newProcedure(ctx context.Context, h *hosts, work string) (*procedure, error) {
	name := filepath.Join(work, "procedure.sh")
	if err := os.WriteFile(name, []byte(procedureText), 0o600); err != nil {
		return nil, err
	}
	// Root of the old host may log in to the new one, and knows its key.
	public, err := h.old.Run(ctx, "sh", "-c", `ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cat /root/.ssh/id_ed25519.pub`)
	if err != nil {
		return nil, err
	}
	if _, err := h.fresh.RunInput(ctx, public, "sh", "-c", "cat >>/root/.ssh/authorized_keys"); err != nil {
		return nil, err
	}
	if _, err := h.old.RunInput(ctx, h.fresh.Address+" "+h.fresh.HostKey+"\n", "sh", "-c", "cat >>/root/.ssh/known_hosts"); err != nil {
		return nil, err
	}
	// The accounts, as the one who types useradd would make them.
	hashes, err := h.old.Run(ctx, append([]string{"sh", "-c", `for user; do grep "^$user:" /etc/shadow | cut -d: -f1,2; done`, "sh"}, h.users...)...)
	if err != nil {
		return nil, err
	}
	if _, err := h.fresh.RunInput(ctx, hashes, "sh", "-c", `groupadd -f webteam; while IFS=: read -r user hash; do useradd -m -U -s /bin/bash -p "$hash" "$user"; done`); err != nil {
		return nil, err
	}
	return &procedure{[]string{name, h.old.Address, h.fresh.Address, h.lab.KeyPath(), h.lab.KnownHostsPath()}}, nil
}

func (p *procedure) run(ctx context.Context, step string) error {
	began := time.Now()
	out, err := exec.CommandContext(ctx, "sh", append(p.script, step)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the procedure's %s after %.0f s: %w\n%s", step, time.Since(began).Seconds(), err, out[max(0, len(out)-2000):])
	}
	return nil
}

func (p *procedure) prepare(ctx context.Context) error  { return p.run(ctx, "sync") }
func (p *procedure) rehearse(ctx context.Context) error { return p.run(ctx, "sync") }
func (p *procedure) cutover(ctx context.Context) error  { return p.run(ctx, "night") }
