// Command lab boots hosts of the lab and keeps them up, for a look around.
//
//	go run ./internal/lab/cmd/lab build             build the bases of all kinds
//	go run ./internal/lab/cmd/lab up NAME=KIND...   boot hosts and leave them up
//	go run ./internal/lab/cmd/lab down              remove all hosts that were left up
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func progress(format string, args ...any) { fmt.Printf("lab: "+format+"\n", args...) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: lab build | up NAME=KIND... | down")
	}
	switch args[0] {
	case "build":
		return lab.Build(ctx, progress, lab.SysV, lab.Bookworm, lab.Trixie, lab.Web)
	case "up":
		return up(ctx, args[1:])
	case "down":
		return lab.RemoveDetached(ctx)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func up(ctx context.Context, specs []string) (err error) {
	l, err := lab.New(ctx, lab.Options{Progress: progress})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	hosts, failures := make([]*lab.Host, len(specs)), make([]error, len(specs))
	var started sync.WaitGroup
	for i, spec := range specs {
		name, kind, ok := strings.Cut(spec, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=KIND, with a KIND of %s, %s, %s or %s", spec, lab.SysV, lab.Bookworm, lab.Trixie, lab.Web)
		}
		started.Go(func() { hosts[i], failures[i] = l.StartHost(ctx, name, lab.Kind(kind)) })
	}
	started.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	for _, h := range hosts {
		fmt.Printf("%s (%s): ssh -i %s -o UserKnownHostsFile=%s root@%s\n", h.Name, h.Kind, l.KeyPath(), l.KnownHostsPath(), h.Address)
	}
	return l.Detach()
}
