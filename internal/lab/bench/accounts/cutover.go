package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
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

// cutover is this project's provider, with what makes the CLI fastest: many
// resources at a time, for those of one moment share a round trip, and a state
// that is not a local file. To that the CLI writes the whole state after each
// resource; to a server it writes every 20 seconds. STATE=file measures the
// CLI's defaults instead.
type cutover struct {
	tf         *bench.Terraform
	work       string
	address    string
	count      int
	version    string
	server     *stateServer // nil: a local file
	roundTrips []int        // of the unchanged plans
}

// parallelism is how many resources the CLI works on at a time; its default is 10.
const parallelism = 50

func newCutover(ctx context.Context, started *lab.Lab, host *lab.Host, work string, users int) (*cutover, error) {
	bench.Step("building the provider")
	c := &cutover{work: work, address: host.Address, count: users}
	config := configuration
	if os.Getenv("STATE") != "file" {
		var err error
		if c.server, err = newStateServer(ctx); err != nil {
			return nil, err
		}
		config += "\nterraform {\n  backend \"http\" {\n    address = \"" + c.server.address + "\"\n  }\n}\n"
	}
	var err error
	if c.tf, err = bench.NewTerraform(ctx, started, work, config); err != nil {
		return nil, err
	}
	c.version, err = c.tf.Version(ctx)
	return c, err
}

// settings says how the CLI ran.
func (c *cutover) settings() string {
	if c.server == nil {
		return "the CLI's defaults: 10 resources at a time and the state in a local file"
	}
	return fmt.Sprintf("-parallelism=%d and the state on a server (the CLI's http backend)", parallelism)
}

func (c *cutover) name() string { return "cutover" }
func (c *cutover) users() int   { return c.count }

func (c *cutover) arguments(people map[string]string) ([]string, error) {
	text, err := json.Marshal(map[string]any{"address": c.address, "people": people})
	if err != nil {
		return nil, err
	}
	variables := filepath.Join(c.work, "people.tfvars.json")
	arguments := []string{"-input=false", "-var-file=" + variables}
	if c.server == nil {
		arguments = append(arguments, "-state="+c.state())
	} else {
		arguments = append(arguments, fmt.Sprintf("-parallelism=%d", parallelism))
	}
	return arguments, os.WriteFile(variables, text, 0o600)
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
	if c.server != nil {
		c.server.forget()
		return nil
	}
	for _, name := range []string{c.state(), c.state() + ".backup"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
