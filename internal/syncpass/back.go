package syncpass

import (
	"context"

	"github.com/cutover-dev/terraform-provider-cutover/internal/deploy"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// leaveUnknown is UnknownOwners for a pass that brings back: accounts that the new host
// alone has were there before anything came.
const leaveUnknown = "leave"

// Back brings back to the old host what the new one has received, changed and removed
// since the passes of p's chain copied the same paths to it: a pass the other way, which
// goes on from what they have brought. What it overwrites and takes away on the old host
// goes to a trash there. The next pass of the chain knows what it has brought. What it
// leaves on the hosts goes with the last pass of p's chain.
//
// It is repeated, cancelled and taken over as Run is.
func Back(ctx context.Context, from, to host.Host, p Pass, show func(status string)) (Result, error) {
	return run(ctx, deploy.On(to), deploy.On(from), p.back(), show)
}

// back is the pass the other way.
func (p Pass) back() Pass {
	b := Pass{
		ID: "back-" + p.ID[:min(len(p.ID), 35)], Excludes: p.Excludes, BandwidthLimit: p.BandwidthLimit, Compress: p.Compress,
		Final: true, UnknownOwners: leaveUnknown, Route: p.Route, FromAddress: p.ToAddress, FromPort: p.ToPort, bringsBack: true,
	}
	for _, each := range p.Paths {
		b.Paths = append(b.Paths, Path{Source: each.target(), Target: each.Source})
	}
	return b
}
