package bench

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Main runs a benchmark until it ends or the user ends it, and exits with 1
// when it fails or misses a goal.
func Main(name string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Sizes replaces numbers by those that the environment has under their names.
func Sizes(sizes map[string]int) error {
	for name := range sizes {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 {
			return fmt.Errorf("%s is %q, and has to be a number of at least 1", name, text)
		}
		sizes[name] = size
	}
	return nil
}

var began = time.Now()

// Step says what is being done, and when.
func Step(format string, args ...any) {
	fmt.Printf("  [%4.0f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
