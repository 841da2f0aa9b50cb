// Command tunnel measures what the ways to the new host cost those who still
// call the old one: a hand-run `ssh -g -L`, cutover's forward mode and its
// transparent mode, each initiated by either host, and beside them the direct
// way. `make bench-tunnel` runs it.
//
// Apache of the new host answers. From the environment: RUNS, how often all take
// their turns (5); SECONDS, how long one figure is measured each time (3).
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

//go:embed tunnel.tf
var configuration string

func main() { bench.Main("bench-tunnel", run) }

// way is a way to the web server of the new host.
type way struct {
	name    string
	subject string // as the figures call it
	detail  string // what their case says more of it
	title   string // as the table calls it
	host    *lab.Host
	port    int
}

// Names of the ways.
const (
	direct      = "direct"
	byHand      = "ssh -g -L"
	forward     = "forward"
	transparent = "transparent"
	fromNew     = "forward, from new"
	newOver     = "transparent, from new"
)

func run(ctx context.Context) (err error) {
	sizes := map[string]int{"RUNS": 5, "SECONDS": 3}
	if err := bench.Sizes(sizes); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	started, err := lab.New(ctx, lab.Options{Progress: bench.Step})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, started.Close()) }()
	ways, client, err := set(ctx, started, work)
	if err != nil {
		return err
	}

	took := map[string]map[string][]float64{} // figures by way and metric
	for n := range sizes["RUNS"] {
		bench.Step("run %d of %d", n+1, sizes["RUNS"])
		for _, m := range metrics {
			// Each run begins with another, so that none has always the same place.
			for i := range ways {
				w := ways[(i+n)%len(ways)]
				value, err := m.measure(ctx, client, w, time.Duration(sizes["SECONDS"])*time.Second)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", w.title, m.name, err)
				}
				if took[w.name] == nil {
					took[w.name] = map[string][]float64{}
				}
				took[w.name][m.name] = append(took[w.name][m.name], value)
			}
		}
	}
	return report(ways, took)
}

// set sets up the hosts and all ways.
func set(ctx context.Context, started *lab.Lab, work string) ([]way, *lab.Client, error) {
	if err := lab.Build(ctx, bench.Step, lab.SysV, lab.Trixie); err != nil {
		return nil, nil, err
	}
	var old, fresh *lab.Host
	var oldErr, freshErr error
	var wg sync.WaitGroup
	wg.Go(func() { old, oldErr = started.StartHost(ctx, "old", lab.SysV) })
	wg.Go(func() { fresh, freshErr = started.StartHost(ctx, "new", lab.Trixie) })
	wg.Wait()
	if err := errors.Join(oldErr, freshErr); err != nil {
		return nil, nil, err
	}
	client, err := started.StartClient(ctx, "client")
	if err != nil {
		return nil, nil, err
	}
	if _, err := fresh.Run(ctx, "sh", "-c", `cd /var/www/html && truncate -s 64G large && printf 'A few words.\n' >small &&
		printf 'MaxKeepAliveRequests 0\nEnableSendfile On\n' >/etc/apache2/conf-enabled/bench.conf && systemctl restart apache2`); err != nil {
		return nil, nil, err
	}

	bench.Step("starting the tunnels")
	tf, err := bench.NewTerraform(ctx, started, work, configuration)
	if err != nil {
		return nil, nil, err
	}
	if _, err := tf.Run(ctx, nil, "apply", "-input=false", "-auto-approve", "-var", "old="+old.Address, "-var", "new="+fresh.Address); err != nil {
		return nil, nil, err
	}
	public, err := old.Run(ctx, "sh", "-c", `ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cat /root/.ssh/id_ed25519.pub`)
	if err != nil {
		return nil, nil, err
	}
	if _, err := fresh.RunInput(ctx, public, "sh", "-c", "cat >>/root/.ssh/authorized_keys"); err != nil {
		return nil, nil, err
	}
	if _, err := old.RunInput(ctx, fresh.Address+" "+fresh.HostKey+"\n", "sh", "-c",
		`cat >>/root/.ssh/known_hosts && ssh -f -N -g -L 8001:localhost:80 "$0" >/dev/null 2>&1`, "root@"+fresh.Address); err != nil {
		return nil, nil, err
	}
	return []way{
		{direct, direct, "", "directly to the new host", fresh, 80},
		{byHand, byHand, "", "`ssh -g -L` by hand", old, 8001},
		{forward, "cutover", ", forward mode", "cutover, forward mode", old, 8002},
		{transparent, "cutover", ", transparent mode", "cutover, transparent mode", old, 8003},
		{fromNew, "cutover", ", forward mode, initiated by the new host", "cutover, forward mode, initiated by the new host", old, 8004},
		{newOver, "cutover", ", transparent mode, initiated by the new host", "cutover, transparent mode, initiated by the new host", old, 8005},
	}, client, old.WaitPorts(ctx, 8001, 8002, 8004)
}

// report prints the table, of medians, and leaves the figures behind.
func report(ways []way, took map[string]map[string][]float64) error {
	fmt.Printf("\nMedians of %d runs, taken in turns. Old host: Debian 11, OpenSSH 8.4; new host: Debian 13, OpenSSH 10; both and the client on one machine.\n\n|",
		len(took[direct][metrics[0].name]))
	for _, m := range metrics {
		fmt.Printf(" | %s", m.title)
	}
	fmt.Printf(" |\n|---|%s\n", strings.Repeat("---:|", len(metrics)))
	var figures []bench.Figure
	median := func(name, metric string) float64 { return bench.MedianOf(took[name][metric]) }
	for _, w := range ways {
		fmt.Printf("| %s", w.title)
		for _, m := range metrics {
			fmt.Printf(" | "+m.format, median(w.name, m.name))
			figures = append(figures, bench.Figure{Case: m.name + w.detail, Subject: w.subject, Metric: m.metric, Value: median(w.name, m.name), Unit: m.unit})
		}
		fmt.Println(" |")
	}
	var missed []error
	fmt.Println()
	for _, metric := range []string{throughOne, throughMany} {
		hand := median(forward, metric) / median(byHand, metric)
		slow := median(transparent, metric) / median(forward, metric)
		figures = append(figures,
			bench.Figure{Case: metric + ", forward mode", Subject: "cutover", Metric: "ratio to " + byHand, Value: hand, Unit: "times as fast"},
			bench.Figure{Case: metric + ", transparent mode", Subject: "cutover", Metric: "ratio to forward mode", Value: slow, Unit: "times as fast"})
		fmt.Printf("Over %s, forward mode carries %.2f times what the hand-run tunnel does; transparent mode %.2f times what forward mode does.\n", metric, hand, slow)
		if hand < 1 {
			missed = append(missed, fmt.Errorf("over %s forward mode is slower than the hand-run tunnel: %.2f times as fast", metric, hand))
		}
		if slow < 0.1 {
			missed = append(missed, fmt.Errorf("over %s transparent mode is %.2f times as fast as forward mode, and should be 0.1 times", metric, slow))
		}
	}
	name, err := bench.Write("bench-tunnel", figures)
	if err != nil {
		return err
	}
	fmt.Println("Figures:", name)
	return errors.Join(missed...)
}
