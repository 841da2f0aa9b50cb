package provider

import (
	"context"
	"os"
	"time"
)

// parentPID is the process of Terraform that has started this provider; 0 where
// this process does not end with it, as under a debugger.
var parentPID int

// EndWithTerraform ends this process soon after the Terraform that has started it.
// A Terraform that is killed cannot ask for that. What is under way on the hosts
// goes on, and the next apply takes it over. A provider that went on would take
// its lost connection to Terraform for a request to stop, cancel passes, and undo
// what the next apply is making.
func EndWithTerraform() {
	parentPID = os.Getppid()
	go func() {
		for {
			exitIfOrphaned()
			time.Sleep(time.Second)
		}
	}()
}

// exitIfOrphaned ends this process if Terraform has ended: another process is its
// parent then. (Windows does not tell: there the number stays.)
func exitIfOrphaned() {
	if parentPID != 0 && os.Getppid() != parentPID {
		os.Exit(1)
	}
}

// requested returns a context that ends when Terraform asks for the end of ctx,
// and not when ctx ends because Terraform has: its connections close a moment
// before its process ends, so that this process ends instead.
func requested(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		for range 10 {
			exitIfOrphaned()
			time.Sleep(20 * time.Millisecond)
		}
	})
	return inner, func() {
		stop()
		cancel()
	}
}
