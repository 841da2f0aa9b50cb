package provider

import (
	"context"
	"os"
	"time"
)

// terraform is the process that has started this one; 0 where that is nobody
// whose end is also this one's, as under a debugger.
var terraform int

// EndWithTerraform ends this process soon after the one that has started it, which
// may be killed without a chance to say so. What is under way on the hosts goes on,
// and the next apply takes it over: a provider that lived on would count the lost
// connection to Terraform as somebody's wish to stop, cancel passes, and undo what
// the next apply is just making.
func EndWithTerraform() {
	terraform = os.Getppid()
	go func() {
		for {
			exitIfDeserted()
			time.Sleep(time.Second)
		}
	}()
}

func exitIfDeserted() {
	if terraform != 0 && os.Getppid() != terraform {
		os.Exit(1)
	}
}

// attended is ctx, but for an end that comes from Terraform's own: its
// connections are gone a moment before it is.
func attended(ctx context.Context) (context.Context, context.CancelFunc) {
	attended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		for range 10 {
			exitIfDeserted()
			time.Sleep(20 * time.Millisecond)
		}
	})
	return attended, func() {
		stop()
		cancel()
	}
}
