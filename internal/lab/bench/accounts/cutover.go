package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

var (
	//go:embed accounts.tf
	configuration string
	//go:embed people.tf
	module string
)

// cutover is this project's provider, with what makes the CLI fastest: people in
// groups (see accounts.tf); many resources at a time, for those of one moment
// share a round trip; a state that is not a local file, for to that the CLI
// writes the whole state after each resource, and to a server every 20 seconds;
// and a collector of garbage that does not take a quarter of the CLI's time.
// STATE=file measures the CLI's defaults instead, and a GROUP as large as USERS
// one group.
type cutover struct {
	tf         *bench.Terraform
	work       string
	address    string
	count      int
	group      int // how many people a module has
	version    string
	server     *stateServer // nil: a local file
	roundTrips []int        // of the unchanged plans
}

const (
	// parallelism is how many resources the CLI works on at a time; its default is 10.
	parallelism = 100
	// collector lets the heap of the CLI, and the provider's, grow to five times
	// what is in use before it is collected; the default is twice, GOGC=100
	// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
	collector = "GOGC=400"
)

func newCutover(ctx context.Context, started *lab.Lab, host *lab.Host, work string, users, group int) (*cutover, error) {
	bench.Step("building the provider")
	c := &cutover{work: work, address: host.Address, count: users, group: group}
	config := configuration
	if os.Getenv("STATE") != "file" {
		var err error
		if c.server, err = newStateServer(ctx); err != nil {
			return nil, err
		}
		config += "\nterraform {\n  backend \"http\" {\n    address = \"" + c.server.address + "\"\n  }\n}\n"
	}
	var err error
	if c.tf, err = bench.NewTerraform(ctx, started, work, config, bench.Module{Name: "people", Text: module}); err != nil {
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
	return fmt.Sprintf("-parallelism=%d, %s and the state on a server (the CLI's http backend)", parallelism, collector)
}

// environment is what is added to the CLI's.
func (c *cutover) environment(more ...string) []string {
	if c.server == nil {
		return more
	}
	return append(more, collector)
}

func (c *cutover) name() string { return "cutover" }
func (c *cutover) users() int   { return c.count }

func (c *cutover) arguments(people map[string]string) ([]string, error) {
	text, err := json.Marshal(map[string]any{"address": c.address, "people": inGroups(people, c.group)})
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

// inGroups shares people out among groups of so many.
func inGroups(people map[string]string, most int) map[string]map[string]string {
	groups := map[string]map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(people)) {
		group := fmt.Sprintf("group%03d", i/most)
		if groups[group] == nil {
			groups[group] = map[string]string{}
		}
		groups[group][name] = people[name]
	}
	return groups
}

func (c *cutover) state() string { return filepath.Join(c.work, "people.tfstate") }

func (c *cutover) apply(ctx context.Context, people map[string]string) (time.Duration, error) {
	arguments, err := c.arguments(people)
	if err != nil {
		return 0, err
	}
	return c.tf.Run(ctx, c.environment(), append([]string{"apply", "-auto-approve"}, arguments...)...)
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
	took, err := c.tf.Run(ctx, c.environment(), arguments...)
	if err != nil {
		return 0, err
	}
	log := filepath.Join(c.work, "plan.log")
	if _, err := c.tf.Run(ctx, c.environment("TF_LOG_PROVIDER=DEBUG", "TF_LOG_PATH="+log), arguments...); err != nil {
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
