package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// TestAccKilledCutover kills Terraform and the provider when the final pass
// begins, with the ports held and the old services stopped, and applies again,
// while clients write: whatever was acknowledged is on the new host once.
func TestAccKilledCutover(t *testing.T) {
	killedCutover(t, killed{begun: "cutover_sync_pass.final[0]: Creating...", whole: true})
}

// TestAccLongKilledCutover does so at random moments, with the provider and
// without it. CUTOVER_KILL=SEED repeats a run.
func TestAccLongKilledCutover(t *testing.T) {
	seeds := []uint64{}
	if given := os.Getenv("CUTOVER_KILL"); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	for len(seeds) < 10 && os.Getenv("CUTOVER_KILL") == "" {
		seeds = append(seeds, rand.Uint64()) //nolint:gosec // not for secrets
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not for secrets
			killedCutover(t, killed{begun: "Creating...", after: time.Duration(random.Int64N(int64(longestCutover))), whole: random.IntN(2) == 0})
		})
	}
}

func killedCutover(t *testing.T, k killed) {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	t.Logf("Terraform is killed %s after it says %q, the provider with it: %t", k.after.Round(time.Millisecond), k.begun, k.whole)

	root, work := "../../../..", t.TempDir()
	t.Chdir(root)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Limit(10*time.Minute))
	defer cancel()
	h, err := boot(ctx, 0, t.Logf)
	must(t, err)
	defer func() { must(t, h.lab.Close()) }()
	p, err := newProvider(ctx, h, ".", work)
	must(t, err)
	must(t, p.prepare(ctx))
	k.provider, k.log = p, t.Logf
	v, err := h.night(ctx, &k, t.Logf)
	must(t, err)
	t.Log(v)
	if v.outcomes[refused] > 0 {
		t.Errorf("%d connections were refused", v.outcomes[refused])
	}
	if len(v.lost) > 0 || len(v.doubled) > 0 {
		t.Errorf("lost %s; doubled %s", some(v.lost), some(v.doubled))
	}
	if v.acked < 100 {
		t.Errorf("no more than %d writes were acknowledged", v.acked)
	}
	if _, err := p.tf.Run(ctx, nil, append([]string{"plan", "-input=false", "-detailed-exitcode", "-var", "phase=cutover"}, p.arguments...)...); err != nil {
		t.Errorf("a plan after it is not empty: %v", err)
	}
	// Back a phase, the old services serve again: what was found before the kill
	// is not forgotten.
	must(t, p.rehearse(ctx))
	must(t, h.old.WaitPorts(ctx, relayed...))
}

// longestCutover is about how long a small host's takes from its hold to its
// tunnel: a kill falls anywhere in it.
const longestCutover = 6 * time.Second

// killed is the provider with a Terraform that is killed in the night.
type killed struct {
	*provider
	begun string        // what it says when the time begins
	after time.Duration // at random it may be over before; at once it may not
	whole bool          // the provider's process with Terraform's
	log   func(string, ...any)
}

func (k *killed) cutover(ctx context.Context) error {
	cmd := k.tf.Command(ctx, nil, k.phase("cutover")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.CreateTemp("", "cutover-killed-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a file: an orphan that writes to it is not waited for
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var due <-chan time.Time
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
wait:
	for {
		select {
		case err = <-ended:
			break wait
		case <-look.C:
			if said, _ := os.ReadFile(out.Name()); due == nil && bytes.Contains(said, []byte(k.begun)) {
				due = time.After(k.after)
			}
			continue
		case <-due:
		}
		target := cmd.Process.Pid
		if k.whole {
			target = -target
		}
		if err := syscall.Kill(target, syscall.SIGKILL); err != nil {
			return err
		}
		err = <-ended
		break
	}
	said, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		return readErr
	}
	k.log("what was done until then: %v\n%s", err, said[max(0, len(said)-1500):])
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != -1) {
		return fmt.Errorf("it failed by itself: %w", err)
	}
	if err == nil && k.after == 0 {
		return fmt.Errorf("it ended before it was killed: it never said %q", k.begun)
	}
	return k.apply(ctx, "cutover")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
