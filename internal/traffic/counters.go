package traffic

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/xtables"
)

//go:embed begin.sh
var beginText string

//go:embed count.sh
var countText string

//go:embed end.sh
var endText string

var (
	beginScript = host.Script{Name: "traffic/begin.sh", Text: beginText}
	endScript   = host.Script{Name: "traffic/end.sh", Text: xtables.Unmake + endText}
)

// Begin counts what comes to the ports of a tunnel from now on. A counting of
// the same ports that goes on already is left alone. It is no error where the
// host has nothing to count with, for a tunnel works without: Read says so.
func Begin(ctx context.Context, h host.Host, name string, ports []int) error {
	c := newCounter(name, ports)
	f, err := look(ctx, h, c)
	if err != nil {
		return err
	}
	if f.counting() && slices.Equal(f.ports, c.ports) {
		return nil
	}
	if len(f.files) > 0 || f.counting() {
		if err := End(ctx, h, name); err != nil {
			return err
		}
	}
	var failures []error
	for _, tool := range f.tools {
		if tool == ip6tables {
			continue // goes with iptables
		}
		err := c.install(ctx, h, f, tool)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
		if _, answered := host.ExitCode(err); !answered {
			break
		}
		// A kernel may lack what the rules need.
		if err := End(ctx, h, name); err != nil {
			failures = append(failures, err)
			break
		}
	}
	return errors.Join(failures...)
}

// install brings all files in one round trip: clients may be waiting.
func (c counter) install(ctx context.Context, h host.Host, f facts, tool string) error {
	var files strings.Builder
	file := func(path, content string) {
		fmt.Fprintf(&files, "== %s\n%s\n", path, strings.TrimSuffix(content, "\n"))
	}
	file(c.directory()+"/count", countText)
	file(c.directory()+"/ports", c.list())
	switch {
	case tool == nft:
		file(c.directory()+"/rules.nft", c.nftables())
	case slices.Contains(f.tools, ip6tables):
		file(c.directory()+"/rules.ip6tables", c.iptables(ip6tables))
		fallthrough
	default:
		file(c.directory()+"/rules.iptables", c.iptables(iptables))
	}
	if f.init == "systemd" {
		file("/etc/systemd/system/"+c.unit(), c.systemdUnit())
	}
	command := host.Sh(beginScript, c.name)
	command.Stdin = strings.NewReader(files.String())
	_, err := h.Run(ctx, command)
	return err
}

// End removes all that counts for a tunnel. What is gone already is no error.
func End(ctx context.Context, h host.Host, name string) error {
	c := counter{name: name}
	_, err := h.Run(ctx, host.Sh(endScript, c.name, c.table()))
	return err
}

// Read returns what was counted for a tunnel.
func Read(ctx context.Context, h host.Host, name string) (Report, error) {
	c := counter{name: name}
	f, err := look(ctx, h, c)
	switch {
	case err != nil:
		return Report{}, err
	case f.counting() && len(f.ports) > 0:
		return f.report(c), nil
	case len(f.files) > 0:
		return Report{}, fmt.Errorf("the rules that count for the tunnel %[1]q are gone from host %[2]q, as after a reload of its firewall; begin to count anew there: sh %[3]s/count %[1]s",
			name, h.Name(), c.directory())
	case len(f.tools) == 0:
		return Report{}, fmt.Errorf("host %q has neither nftables nor iptables that work, one of which has to count; install one there, and apply a change of the tunnel: apt-get install nftables", h.Name())
	}
	return Report{}, fmt.Errorf("nothing counts for a tunnel %q on host %q; is that its name, and was it made by this release?", name, h.Name())
}
