package syncpass

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/deploy"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Foreseen is what a pass would do.
type Foreseen struct {
	First    bool // no pass of the chain has brought anything yet
	Changes  int64
	Bytes    int64 // of the content that would be copied
	Kinds    map[string]order.Found
	Estimate time.Duration // of the time that the pass would take, by the rates of the last one; 0 is not known
	Warnings []string
}

// Kinds of what a pass does or finds that a preview tells: those of Foreseen.Kinds.
var Kinds = []string{"created", "updated", "attributes", "renamed", "deleted", "lost", "conflicts", "left", "kept", "unread", "unknown_owners", "unmounted"}

// kindOf are the Kinds by what the worker calls them.
var kindOf = map[string]string{
	"created": "created", "updated": "updated", "attributes": "attributes", "renamed": "renamed", "deleted": "deleted",
	"lost": "lost", "conflict": "conflicts", "refused": "conflicts", "left": "left", "kept": "kept", "unread": "unread",
	"stranger": "unknown_owners", "unmounted": "unmounted",
}

// maxForeseen bounds how many paths of a kind are named.
const maxForeseen = 50

// Preview says what the pass would do now, and changes nothing.
func Preview(ctx context.Context, from, to host.Host, p Pass) (Foreseen, error) {
	return preview(ctx, deploy.On(from), deploy.On(to), p)
}

func preview(ctx context.Context, from, to worker, p Pass) (Foreseen, error) {
	p.ID, p.preview = "preview", true
	// What would be in the way of a pass is counted here, and for that to say.
	p.UnknownOwners, p.Vanished = "warn", "warn"
	w, err := arrange(ctx, from, to, p)
	if err != nil {
		return Foreseen{}, err
	}
	defer w.close()
	there, _, _, err := w.start(ctx)
	if err = errors.Join(err, w.dismiss(ctx)); err != nil {
		return Foreseen{}, err
	}
	result, err := w.outcome(there)
	if there.Outcome == nil || there.Outcome.Error != "" {
		return Foreseen{}, err
	}
	return foreseen(there.Outcome, result), nil
}

// foreseen puts together what the outcome of a preview says. What it says to be wrong
// with single paths is among the kinds.
func foreseen(o *order.Outcome, result Result) Foreseen {
	f := Foreseen{First: true, Changes: result.Changes, Bytes: result.Total.LiteralBytes, Kinds: map[string]order.Found{}, Warnings: result.Warnings}
	for i, path := range result.Paths {
		f.First = f.First && o.Roots[i].First
		for _, all := range []map[string]order.Found{path.Did, path.Found} {
			for what, found := range all {
				kind, ok := kindOf[what]
				if !ok {
					continue
				}
				of := f.Kinds[kind]
				of.Count += found.Count
				for _, p := range found.Paths {
					if len(of.Paths) == maxForeseen {
						break
					}
					full := path.Source
					if p.Path != "" {
						full += "/" + p.Path
					}
					of.Paths = append(of.Paths, order.Path{Path: full, Text: p.Text})
				}
				f.Kinds[kind] = of
			}
		}
	}
	f.Estimate = o.Estimate
	return f
}

// randomChain is a name of a chain that nothing else has.
func randomChain() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
