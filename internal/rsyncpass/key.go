package rsyncpass

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed keys.sh
var keysText string

//go:embed serve.sh
var serveOwnText string

// serveText is the whole forced command.
var serveText = compareText + serveOwnText

var keysScript = host.Script{Name: "rsyncpass/keys.sh", Text: keysText}

// admit lets the key in on the old host.
func (l plan) admit(ctx context.Context, from host.Host, public string) error {
	unlock, err := keyFiles.lock(ctx, from.Name())
	if err != nil {
		return err
	}
	defer unlock()
	args := []string{"admit", l.chain, l.login.user, l.login.home, l.login.keys, l.options + " " + public,
		strconv.FormatInt(l.until, 10), serveText, l.excludes}
	_, err = from.Run(ctx, host.Sh(keysScript, append(args, l.readable...)...))
	return err
}

// cleanupTime bounds the cleaning up, which goes on after a cancellation.
const cleanupTime = time.Minute

// dismiss keeps the key out again, also when ctx has ended: the one given, or, for
// "", that of any pass of the chain.
func (l plan) dismiss(ctx context.Context, from host.Host, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	unlock, err := keyFiles.lock(ctx, from.Name())
	if err != nil {
		return err
	}
	defer unlock()
	args := []string{"dismiss", l.chain}
	if key != "" {
		args = append(args, key)
	}
	if _, err = from.Run(ctx, host.Sh(keysScript, args...)); err != nil {
		return fmt.Errorf("the key of the pass may still be let in on host %q, by the line that ends in %s; "+
			"the next apply takes it away, or do so by hand: %w", from.Name(), l.comment, err)
	}
	return nil
}

// locks are locks by name; waiting for one ends with the context.
type locks struct {
	mu    sync.Mutex
	names map[string]chan struct{}
}

var (
	keyFiles locks // by host: the change of a key file is read, change, write
	chains   locks // passes of a chain go one after the other
)

func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.names == nil {
		l.names = map[string]chan struct{}{}
	}
	one, ok := l.names[name]
	if !ok {
		one = make(chan struct{}, 1)
		l.names[name] = one
	}
	l.mu.Unlock()
	select {
	case one <- struct{}{}:
		return func() { <-one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
