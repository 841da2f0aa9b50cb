package rsyncpass

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed prepare.sh
var prepareText string

//go:embed clear.sh
var clearText string

//go:embed keys.sh
var keysText string

//go:embed serve.sh
var serveText string

var (
	prepareScript = host.Script{Name: "rsyncpass/prepare.sh", Text: prepareText}
	clearScript   = host.Script{Name: "rsyncpass/clear.sh", Text: clearText}
	keysScript    = host.Script{Name: "rsyncpass/keys.sh", Text: keysText}
)

// prepare makes the pass's directory on the new host, with a fresh key in it,
// and returns it and the public key.
func (p Pass) prepare(ctx context.Context, to host.Host, l plan) (dir, public string, err error) {
	args := []string{l.chain, LogPath(p.ID), l.keyType, l.keyBits, l.comment, l.sshConfig}
	for _, each := range p.Paths {
		args = append(args, each.target())
	}
	cmd := host.Sh(prepareScript, args...)
	cmd.Stdin = strings.NewReader(l.knownHosts)
	answer, err := to.Run(ctx, cmd)
	if err != nil {
		return "", "", err
	}
	lines := strings.Split(strings.TrimSpace(string(answer.Stdout)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "/") || len(strings.Fields(lines[1])) != 3 {
		return "", "", fmt.Errorf("on host %q: %s gave no directory and key; it printed:\n%s", to.Name(), prepareScript.Name, answer.Stdout)
	}
	return lines[0], lines[1], nil
}

// admit lets the key in on the old host.
func (l plan) admit(ctx context.Context, from host.Host, public string) error {
	unlock, err := keyFiles.lock(ctx, from.Name())
	if err != nil {
		return err
	}
	defer unlock()
	args := []string{"admit", l.chain, l.login.user, l.login.home, l.login.keys, l.options + " " + public,
		strconv.FormatInt(l.until, 10), serveText}
	_, err = from.Run(ctx, host.Sh(keysScript, append(args, l.readable...)...))
	return err
}

// cleanupTime bounds the cleaning up, which goes on after a cancellation.
const cleanupTime = time.Minute

// cleanUp takes away from both hosts what the pass needed, also when ctx has
// ended. Either host is cleaned whatever the other says.
func (l plan) cleanUp(ctx context.Context, from, to host.Host) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var failed []error
	if err := l.dismiss(ctx, from); err != nil {
		failed = append(failed, fmt.Errorf("the key of the pass may still be let in on host %q, by the line that ends in %s; "+
			"the next apply takes it away, or do so by hand: %w", from.Name(), l.comment, err))
	}
	if _, err := to.Run(ctx, host.Sh(clearScript, l.chain)); err != nil {
		failed = append(failed, fmt.Errorf("the key of the pass may still lie on host %q, in /run/cutover/pass-%s; "+
			"the next apply takes it away, or do so by hand: %w", to.Name(), l.chain, err))
	}
	return errors.Join(failed...)
}

func (l plan) dismiss(ctx context.Context, from host.Host) error {
	unlock, err := keyFiles.lock(ctx, from.Name())
	if err != nil {
		return err
	}
	defer unlock()
	_, err = from.Run(ctx, host.Sh(keysScript, "dismiss", l.chain))
	return err
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
