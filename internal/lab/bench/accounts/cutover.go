package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

//go:embed accounts.tf
var configuration string

// cutover is this project's provider, with the CLI's defaults: ten resources at
// a time, the state in a file.
type cutover struct {
	tf         *bench.Terraform
	work       string
	address    string
	count      int
	version    string
	roundTrips []int // of the unchanged plans
}

func newCutover(ctx context.Context, started *lab.Lab, host *lab.Host, work string, users int) (*cutover, error) {
	step("building the provider")
	tf, err := bench.NewTerraform(ctx, started, work, configuration)
	if err != nil {
		return nil, err
	}
	version, err := tf.Version(ctx)
	return &cutover{tf: tf, work: work, address: host.Address, count: users, version: version}, err
}

func (c *cutover) name() string { return "cutover" }
func (c *cutover) users() int   { return c.count }

func (c *cutover) arguments(people map[string]string) ([]string, error) {
	text, err := json.Marshal(map[string]any{"address": c.address, "people": people})
	if err != nil {
		return nil, err
	}
	variables := filepath.Join(c.work, "people.tfvars.json")
	return []string{"-input=false", "-var-file=" + variables, "-state=" + c.state()}, os.WriteFile(variables, text, 0o600)
}

func (c *cutover) state() string { return filepath.Join(c.work, "people.tfstate") }

func (c *cutover) apply(ctx context.Context, people map[string]string) (time.Duration, error) {
	arguments, err := c.arguments(people)
	if err != nil {
		return 0, err
	}
	return c.tf.Run(ctx, nil, append([]string{"apply", "-auto-approve"}, arguments...)...)
}

// unchanged is a plan that has to come out empty; a second one, whose log is
// read and whose time does not count, says how often it asked the host.
func (c *cutover) unchanged(ctx context.Context, people map[string]string) (time.Duration, error) {
	arguments, err := c.arguments(people)
	if err != nil {
		return 0, err
	}
	// Exit code 2, and so an error, is a plan with changes.
	arguments = append([]string{"plan", "-detailed-exitcode"}, arguments...)
	took, err := c.tf.Run(ctx, nil, arguments...)
	if err != nil {
		return 0, err
	}
	log := filepath.Join(c.work, "plan.log")
	if _, err := c.tf.Run(ctx, []string{"TF_LOG_PROVIDER=DEBUG", "TF_LOG_PATH=" + log}, arguments...); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(log)
	c.roundTrips = append(c.roundTrips, strings.Count(string(text), ": ran a command: "))
	return took, errors.Join(err, os.Remove(log))
}

// forget drops the state: the host has been cleared.
func (c *cutover) forget() error {
	for _, name := range []string{c.state(), c.state() + ".backup"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
