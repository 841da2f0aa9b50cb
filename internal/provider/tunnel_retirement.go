package provider

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/dnscheck"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/traffic"
)

// retireWhenModel is when nobody needs a tunnel any more.
type retireWhenModel struct {
	Domains   types.Set    `tfsdk:"domains"`
	Former    types.Set    `tfsdk:"former_addresses"`
	Resolvers types.Set    `tfsdk:"resolvers"`
	IdleFor   types.String `tfsdk:"idle_for"`
}

func retireWhenAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "When the tunnel may be destroyed. Before that, destroying it fails and changes nothing; the error names who still comes to which port, and who still gives the old address. " +
			"A change of the tunnel that replaces it counts as well.",
		Attributes: map[string]schema.Attribute{
			"domains": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Domain names that must no longer lead to `former_addresses`, at their authoritative servers and at `resolvers`. Their mail servers count as well.",
				Validators:          eachIn("a domain name", dnscheck.ValidName),
			},
			"former_addresses": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "IP addresses of the old host, under which clients know it. Needed with `domains`.",
				Validators:          eachIn("an IP address", validAddress),
			},
			"resolvers": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "IP addresses of resolvers that must have forgotten the old address, with a port where it is not 53. Default: those of the machine that Terraform runs on.",
				Validators:          eachIn("the address of a resolver", dnscheck.ValidResolver),
			},
			"idle_for": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long no client must have come through the tunnel, as in `\"24h\"`. It has to be counted for as long: see `data.cutover_tunnel_traffic`.",
				Validators:          []validator.String{duration{}},
			},
		},
	}
}

func forceDestroyAttribute() schema.Attribute {
	return schema.BoolAttribute{
		Optional: true, Computed: true, Default: booldefault.StaticBool(false),
		MarkdownDescription: "Whether the tunnel may be destroyed whatever `retire_when` says. It has to be applied before the tunnel is destroyed. " +
			"To go back to the old host in one step, set `force_destroy` in the provider's block instead. Default: `false`.",
	}
}

// retireWhen is the object decoded; the second value is false where there is none, or
// not all of it is known.
func (m *forwardingTunnelModel) retireWhen(ctx context.Context) (when retireWhenModel, ok bool) {
	if m.RetireWhen.IsNull() || !whollyKnown(m.RetireWhen) {
		return when, false
	}
	return when, !m.RetireWhen.As(ctx, &when, objectAsOptions).HasError()
}

func (m *forwardingTunnelModel) validateRetirement(ctx context.Context, diags *diag.Diagnostics) {
	when, ok := m.retireWhen(ctx)
	if !ok {
		return
	}
	if when.Domains.IsNull() && when.IdleFor.IsNull() {
		diags.AddAttributeError(path.Root("retire_when"), "Nothing to wait for", "retire_when has neither domains nor idle_for: the tunnel could be destroyed at any time.")
	}
	if when.Domains.IsNull() != when.Former.IsNull() {
		diags.AddAttributeError(path.Root("retire_when"), "Half a question", "domains and former_addresses of retire_when need each other: the names must no longer lead to these addresses.")
	}
}

// onlyRetirementDiffers says whether two models are the same tunnel, as far as the hosts
// have to do with it.
func (m *forwardingTunnelModel) onlyRetirementDiffers(other *forwardingTunnelModel) bool {
	a, b := *m, *other
	for _, each := range []*forwardingTunnelModel{&a, &b} {
		each.RetireWhen, each.ForceDestroy, each.Timeouts = types.Object{}, types.BoolNull(), timeouts.Value{}
	}
	return reflect.DeepEqual(a, b)
}

// mayRetire returns an error that says who still needs the tunnel.
func (m *forwardingTunnelModel) mayRetire(ctx context.Context, from host.Host) error {
	when, ok := m.retireWhen(ctx)
	if !ok || m.ForceDestroy.ValueBool() {
		return nil
	}
	needed, err := when.stillNamed(ctx)
	if err == nil && !when.IdleFor.IsNull() {
		var counted traffic.Report
		if counted, err = traffic.Read(ctx, from, m.Name.ValueString()); err == nil {
			needed = append(needed, stillCome(counted, span(when.IdleFor, 0), when.nameOf(ctx))...)
		}
	}
	const otherwise = "\n\nTo destroy it all the same, set force_destroy = true in the provider's block (or on the tunnel, and apply that first)."
	if err != nil {
		return fmt.Errorf("whether the tunnel is still needed (retire_when) cannot be told: %w%s", err, otherwise)
	}
	if len(needed) > 0 {
		return fmt.Errorf("the tunnel is still needed:\n  - %s%s", strings.Join(first(needed, 30), "\n  - "), otherwise)
	}
	return nil
}

// stillNamed says which names lead to a former address still, and at which servers that
// could not be asked.
func (w retireWhenModel) stillNamed(ctx context.Context) ([]string, error) {
	if w.Domains.IsNull() {
		return nil, nil
	}
	question, err := (&dnsPropagationModel{Names: w.Domains, Former: w.Former, Resolvers: w.Resolvers}).check()
	if err != nil {
		return nil, err
	}
	report, err := question.Do(ctx)
	if err != nil {
		return nil, err
	}
	var needed []string
	for _, answer := range report.Answers {
		// A name that is gone, or leads elsewhere, does not lead to the old host.
		if answer.State == dnscheck.Former || answer.State == dnscheck.Failed {
			needed = append(needed, answer.String())
		}
	}
	if len(needed) > 0 && !report.By.IsZero() {
		needed = append(needed, "the last of these resolvers will have forgotten it at "+report.By.UTC().Format(time.RFC3339))
	}
	return needed, nil
}

// nameOf returns a function that finds the name of an address.
func (w retireWhenModel) nameOf(ctx context.Context) func(address string) string {
	resolvers := stringsOf(w.Resolvers)
	if len(resolvers) == 0 {
		resolvers, _ = dnscheck.SystemResolvers() // without one there are no names
	}
	return func(text string) string {
		address, err := netip.ParseAddr(text)
		if err != nil || len(resolvers) == 0 {
			return ""
		}
		return dnscheck.NameOf(ctx, resolvers[0], address)
	}
}

// stillCome says who came within that time, and where nobody knows.
func stillCome(counted traffic.Report, idleFor time.Duration, nameOf func(address string) string) []string {
	const named = 20 // clients: each name is a question to a resolver
	var needed []string
	for _, port := range counted.Ports {
		for _, client := range port.Clients {
			ago := counted.Now.Sub(client.Last)
			if ago >= idleFor {
				continue
			}
			who := client.Address
			if len(needed) < named {
				if name := nameOf(client.Address); name != "" {
					who += " (" + name + ")"
				}
			}
			needed = append(needed, fmt.Sprintf("port %d: %s came %s ago, at %s", port.Number, who, ago.Truncate(time.Second), client.Last.UTC().Format(time.RFC3339)))
		}
	}
	if counting := counted.Now.Sub(counted.Since); counting < idleFor {
		needed = append(needed, fmt.Sprintf("who comes has been counted for %s only, since %s; idle_for is %s",
			counting.Truncate(time.Second), counted.Since.UTC().Format(time.RFC3339), shortly(idleFor)))
	}
	return needed
}
