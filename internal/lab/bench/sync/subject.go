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

//go:embed sync.tf
var configuration string

// subject is one of those that are compared: it brings a target on the new host
// to what a directory of the old one holds.
type subject interface {
	name() string
	// bring returns how long it took. final says that nothing changes any more.
	bring(ctx context.Context, source, target string, final bool) (time.Duration, error)
	// forget is told that the target has been removed.
	forget(ctx context.Context, target string) error
	// exact says that what is gone on the old host is gone on the new one after it,
	// and nothing else.
	exact() bool
	// again says that it can bring what has changed since the last time.
	again() bool
}

// names of the subjects, as the figures have them.
const (
	nameOurs     = "cutover"
	nameOriginal = "rsync -avzrltSpP"
	nameArchive  = "rsync -aHAX"
	nameTar      = "tar | ssh | tar"
	nameFind     = "find -cnewer"
)

// command is a line of shell on the new host, which reaches the old one as
// "old" with the lab's key.
type command struct {
	host         *lab.Host
	label, shell string // $1 is the source, $2 the target
	repeats      bool
}

func (c command) name() string { return c.label }
func (c command) exact() bool  { return false }
func (c command) again() bool  { return c.repeats }

func (c command) bring(ctx context.Context, source, target string, _ bool) (time.Duration, error) {
	if _, err := c.host.Run(ctx, "mkdir", "-p", target); err != nil {
		return 0, err
	}
	began := time.Now()
	_, err := c.host.Run(ctx, "sh", "-c", c.shell, "sh", source, target)
	return time.Since(began), err
}

func (c command) forget(context.Context, string) error { return nil }

// others are what cutover is compared with. The output of the original, a line
// for each file, goes to a file, as a terminal would slow it down.
func others(host *lab.Host) []subject {
	const ssh = "ssh -F /root/bench_config"
	return []subject{
		command{host, nameOriginal, `rsync -avzrltSpP -e "` + ssh + `" "old:$1/" "$2/" >/root/bench.out`, true},
		command{host, nameArchive, `rsync -aHAX -e "` + ssh + `" "old:$1/" "$2/" >/root/bench.out`, true},
		command{host, nameTar, ssh + ` old "tar -C '$1' -cf - ." | tar -C "$2" -xpf -`, false},
	}
}

// introduce lets the new host log in to the old one.
func introduce(ctx context.Context, started *lab.Lab, from, to *lab.Host) error {
	key, err := os.ReadFile(started.KeyPath())
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"/root/bench_key":   string(key),
		"/root/bench_known": "old " + from.HostKey + "\n",
		"/root/bench_config": "Host old\nHostName " + from.Address + "\nHostKeyAlias old\nUser root\nIdentityFile /root/bench_key\nIdentitiesOnly yes\n" +
			"UserKnownHostsFile /root/bench_known\nStrictHostKeyChecking yes\nBatchMode yes\n",
	} {
		if _, err := to.RunInput(ctx, text, "sh", "-c", `umask 077; cat >"$1"`, "sh", name); err != nil {
			return err
		}
	}
	_, err = to.Run(ctx, "ssh", "-F", "/root/bench_config", "old", "true")
	return err
}

// cutover is this project's provider: a whole apply by the CLI, from its start
// to its end.
type cutover struct {
	tf       *bench.Terraform
	work     string
	from, to *lab.Host
	version  string
	turn     int
	passes   []time.Duration  // of the pass alone, as its attributes say, of the last case
	received []int64          // likewise, bytes that the old host sent
	memory   map[string]int64 // the most that the provider and the workers had so far, in KiB
}

func newCutover(ctx context.Context, started *lab.Lab, from, to *lab.Host, work string) (*cutover, error) {
	tf, err := bench.NewTerraform(ctx, started, work, configuration)
	if err != nil {
		return nil, err
	}
	version, err := tf.Version(ctx)
	return &cutover{tf: tf, work: work, from: from, to: to, version: version, memory: map[string]int64{}}, err
}

func (c *cutover) name() string { return nameOurs }
func (c *cutover) exact() bool  { return true }
func (c *cutover) again() bool  { return true }

func (c *cutover) state(target string) string {
	return filepath.Join(c.work, strings.ReplaceAll(strings.TrimPrefix(target, "/"), "/", "-")+".tfstate")
}

func (c *cutover) arguments(source, target string, final bool) []string {
	arguments := []string{"-input=false", "-state=" + c.state(target)}
	for name, value := range map[string]string{
		"old": c.from.Address, "new": c.to.Address, "path": source, "target": target,
		"final": fmt.Sprint(final), "turn": fmt.Sprint(c.turn),
	} {
		arguments = append(arguments, "-var="+name+"="+value)
	}
	return arguments
}

func (c *cutover) bring(ctx context.Context, source, target string, final bool) (time.Duration, error) {
	c.turn++
	watched, stop := context.WithCancel(ctx)
	peak := make(chan map[string]int64)
	go func() { peak <- peakMemory(watched, c.work) }()
	took, err := c.tf.Run(ctx, nil, append([]string{"apply", "-auto-approve"}, c.arguments(source, target, final)...)...)
	stop()
	for what, memory := range <-peak {
		c.memory[what] = max(c.memory[what], memory)
	}
	if err != nil {
		return took, err
	}
	return took, c.ofState(target)
}

// ofState notes how long the last pass to the target took on the new host, and how much
// the old one sent for it.
func (c *cutover) ofState(target string) error {
	text, err := os.ReadFile(c.state(target))
	if err != nil {
		return err
	}
	var state struct {
		Resources []struct {
			Instances []struct {
				Attributes struct {
					Duration int64
					Received int64 `json:"bytes_received"`
				}
			}
		}
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return err
	}
	if len(state.Resources) != 1 || len(state.Resources[0].Instances) != 1 {
		return errors.New("the state has no pass")
	}
	pass := state.Resources[0].Instances[0].Attributes
	c.passes = append(c.passes, time.Duration(pass.Duration)*time.Second)
	c.received = append(c.received, pass.Received)
	return nil
}

func (c *cutover) forget(ctx context.Context, target string) error {
	name := c.state(target)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := c.tf.Run(ctx, nil, append([]string{"destroy", "-auto-approve"}, c.arguments("/srv", target, false)...)...); err != nil {
		return err
	}
	return errors.Join(os.Remove(name), os.Remove(name+".backup"))
}

// What peakMemory tells apart.
const (
	ofProvider = "the provider"
	ofOld      = "the worker on the old host"
	ofNew      = "the worker on the new host"
)

// peakMemory follows the provider, whose executable lies below work, and the workers on
// the hosts, whose processes are this machine's too, until ctx ends. It returns the most
// memory that each ever had in KiB: VmHWM of proc(5).
func peakMemory(ctx context.Context, work string) map[string]int64 {
	peak := map[string]int64{}
	for {
		processes, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, exe := range processes {
			name, err := os.Readlink(exe)
			if err != nil {
				continue
			}
			what := ""
			if strings.HasPrefix(name, work+"/") {
				what = ofProvider
			} else if strings.HasPrefix(name, "/var/lib/cutover/worker-") {
				argv, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "cmdline"))
				switch words := strings.Split(string(argv), "\x00"); {
				case err != nil || len(words) < 2:
				case words[1] == "serve":
					what = ofOld
				case words[1] == "pass":
					what = ofNew
				}
			}
			if what == "" {
				continue
			}
			status, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "status"))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(status)) {
				var kib int64
				if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
					peak[what] = max(peak[what], kib)
				}
			}
		}
		select {
		case <-ctx.Done():
			return peak
		case <-time.After(200 * time.Millisecond):
		}
	}
}
