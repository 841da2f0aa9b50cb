package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/hold"
)

type connectionHoldModel struct {
	ID           types.String   `tfsdk:"id"`
	Host         types.String   `tfsdk:"host"`
	Name         types.String   `tfsdk:"name"`
	Ports        types.Set      `tfsdk:"ports"`
	ExpiresAfter types.String   `tfsdk:"expires_after"`
	ExpiresAt    types.String   `tfsdk:"expires_at"`
	HeldAt       types.String   `tfsdk:"held_at"`
	ReleasedAt   types.String   `tfsdk:"released_at"`
	EndsBy       types.String   `tfsdk:"ends_by"`
	Status       types.String   `tfsdk:"status"`
	Timeouts     timeouts.Value `tfsdk:"timeouts"`
}

func newConnectionHoldResource() resource.Resource {
	return &lifecycle[connectionHoldModel]{
		name:           "connection_hold",
		noun:           "connection hold",
		timeout:        2 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         connectionHoldSchema,
		timeouts:       func(m *connectionHoldModel) timeouts.Value { return m.Timeouts },
		create:         createConnectionHold,
		read:           readConnectionHold,
		update:         updateConnectionHold,
		delete:         deleteConnectionHold,
		importID:       importConnectionHold,
	}
}

func connectionHoldSchema(ctx context.Context) schema.Schema {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	return schema.Schema{
		MarkdownDescription: "Has new connections to ports of the old host wait instead of being refused, from before its services stop until the tunnel stands: " +
			"a client of the cutover sees a slow answer, not an error.\n\n" +
			"The host drops what opens a connection from outside, over IPv4 and IPv6, by an nftables table of its own, or by a chain of its own in iptables and ip6tables where nftables is not there. " +
			"Clients repeat it by themselves, after 1, 3, 7 and 15 seconds or sooner, so keep what lies between short. " +
			"Connections that are established go on, loopback is not held, and every other rule of the host stays as it is.\n\n" +
			"A hold cannot be forgotten: the kernel of the host itself ends it after `expires_after`, also when Terraform's machine is gone or the host's clock is set (but see `ends_by`), and a reboot ends it too. " +
			"`cutover_forwarding_tunnel` releases it (`release_hold`) once its relays were tried, and begins it again when it is destroyed. A hold that was released or has expired is no drift; " +
			"one that a firewall's reload or a reboot has taken away before its time is made anew by the next apply. Destroying it lets waiting clients in.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host at which clients arrive, by its name in the provider's `hosts`.",
				PlanModifiers:       replace,
			},
			"ports": schema.SetAttribute{
				Required:            true,
				ElementType:         types.Int64Type,
				MarkdownDescription: "TCP ports at which new connections wait. The port through which Terraform itself comes in is refused, and so is one that another hold has.",
				Validators: []validator.Set{
					setvalidator.SizeAtLeast(1),
					setvalidator.ValueInt64sAre(int64validator.Between(1, 65535)),
				},
			},
			"name": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("cutover"),
				MarkdownDescription: "Tells several holds of a host apart. It names the table `cutover_hold_NAME` or the chain `CUTOVER-HOLD-NAME`. Default: `cutover`.",
				PlanModifiers:       replace,
				Validators:          []validator.String{checkedText{"the name of a hold", hold.CheckName}},
			},
			"expires_after": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("10m"),
				MarkdownDescription: "When the host ends the hold if nobody does, as in `\"90s\"`, counted from its creation; at most `24h`. Default: `10m`.",
				Validators:          []validator.String{duration{}, checkedText{"how long a hold may last", checkHoldExpiry}},
			},
			"expires_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When that is, by the host's clock as it was when the hold was made, in UTC (RFC 3339).",
			},
			"held_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When it began, by the host's clock, in UTC (RFC 3339).",
			},
			"released_at": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "When a tunnel released it, likewise; null where none has. As it was at the last refresh. " +
					"From `held_at` to here is how long new connections waited: `timeline` of `cutover_migration_audit` takes both.",
			},
			"ends_by": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "What ends the hold on time. `elapsed_time`: the time that has passed, whatever is done to the host's clock. " +
					"`clock`: the host's clock, so do not set it while the hold lasts. Set back, it holds longer; set forward, it ends sooner. " +
					"That is only where nftables is not there and iptables is older than 1.4.15, Linux is older than 3.5, or the kernel has no `xt_recent`. A warning says so.",
			},
			"status": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "`held`; `released`, by a tunnel; `expired`, by the host; or `lost: …`, which says how it ended before its time and makes the next apply replace it. " +
					"As it was at the last refresh: a tunnel of the same apply releases it afterwards.",
				PlanModifiers: []planmodifier.String{replaceLostHold{}},
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`host/name@time`, for a tunnel's `release_hold`. The time is that of its beginning, so that a tunnel which stands already releases a hold that was made anew.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

// checkHoldExpiry leaves what is no duration at all to the validator of those.
func checkHoldExpiry(text string) error {
	after, err := time.ParseDuration(text)
	if err != nil || after <= 0 {
		return nil //nolint:nilerr // said already
	}
	return hold.CheckExpiry(after)
}

// replaceLostHold replaces a hold that was lost. An update would do on the
// host, but only the new object's unknown ID makes a tunnel that stands
// already release it again.
type replaceLostHold struct{}

var _ planmodifier.String = replaceLostHold{}

func (replaceLostHold) Description(context.Context) string {
	return "A hold that was lost before its time is replaced."
}

func (m replaceLostHold) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (replaceLostHold) PlanModifyString(_ context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	if strings.HasPrefix(req.StateValue.ValueString(), hold.Lost) {
		resp.PlanValue = types.StringUnknown()
		resp.RequiresReplace = true
	}
}

// holdsOf are the holds of a host.
func (r *request[M]) holdsOf(name types.String) (*hold.Holds, error) {
	h, err := r.host(name)
	if err != nil {
		return nil, err
	}
	return r.hosts.holds.of(h, hold.NewHolds), nil
}

func (m *connectionHoldModel) wanted(ctx context.Context) (hold.Hold, error) {
	wanted := hold.Hold{Name: m.Name.ValueString()}
	var err error
	if wanted.ExpiresAfter, err = time.ParseDuration(m.ExpiresAfter.ValueString()); err != nil {
		return wanted, at(path.Root("expires_after"), err)
	}
	if diags := m.Ports.ElementsAs(ctx, &wanted.Ports, false); diags.HasError() {
		return wanted, at(path.Root("ports"), errors.New(diags.Errors()[0].Detail()))
	}
	return wanted, nil
}

// accept takes over how the host has the hold.
func (m *connectionHoldModel) accept(ctx context.Context, s hold.State) error {
	m.ID = types.StringValue(s.ID(m.Host.ValueString()))
	m.Status = types.StringValue(s.Status)
	m.ExpiresAt = types.StringValue(s.Expires.UTC().Format(time.RFC3339))
	m.HeldAt, m.ReleasedAt = moment(s.Begun), moment(s.ReleasedAt)
	m.EndsBy = types.StringValue("elapsed_time")
	if s.ByClock() {
		m.EndsBy = types.StringValue("clock")
	}
	// However the same time is written: 600s is no change of 10m.
	if same, err := time.ParseDuration(m.ExpiresAfter.ValueString()); err != nil || same != s.ExpiresAfter {
		m.ExpiresAfter = types.StringValue(shortly(s.ExpiresAfter))
	}
	ports, diags := types.SetValueFrom(ctx, types.Int64Type, s.Ports)
	if diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	m.Ports = ports
	return nil
}

// shortly is a duration as people write it: 10m, not 10m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func createConnectionHold(ctx context.Context, r *request[connectionHoldModel], plan *connectionHoldModel) error {
	holds, err := r.holdsOf(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	wanted, err := plan.wanted(ctx)
	if err != nil {
		return err
	}
	begun, err := holds.Begin(ctx, wanted)
	if errors.Is(err, hold.ErrLeftovers) {
		left := *plan
		if acceptErr := left.accept(ctx, begun); acceptErr != nil {
			return errors.Join(err, acceptErr)
		}
		r.identify(left)
	}
	if err != nil {
		return err
	}
	r.warnOfClock(plan.Host, begun)
	return plan.accept(ctx, begun)
}

// warnOfClock says that a hold ends by the host's clock.
func (r *request[M]) warnOfClock(host types.String, s hold.State) {
	if s.ByClock() && s.Status == hold.Held {
		r.warn("The host's clock ends the hold", fmt.Sprintf("Host %s cannot count the time that passes (xt_recent with --mask: iptables 1.4.15, Linux 3.5). "+
			"Do not set its clock before %s: set back, the hold lasts longer; set forward, it ends sooner.", host, s.Expires.UTC().Format(time.RFC3339)))
	}
}

func readConnectionHold(ctx context.Context, r *request[connectionHoldModel], state *connectionHoldModel) (bool, error) {
	holds, err := r.holdsOf(state.Host)
	if err != nil {
		return false, at(path.Root("host"), err)
	}
	actual, found, err := holds.Read(ctx, state.Name.ValueString())
	if err != nil || !found {
		return false, err
	}
	return true, state.accept(ctx, actual)
}

func updateConnectionHold(ctx context.Context, r *request[connectionHoldModel], _, plan *connectionHoldModel) error {
	holds, err := r.holdsOf(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	wanted, err := plan.wanted(ctx)
	if err != nil {
		return err
	}
	changed, err := holds.Change(ctx, wanted)
	if err != nil {
		return err
	}
	r.warnOfClock(plan.Host, changed)
	return plan.accept(ctx, changed)
}

func deleteConnectionHold(ctx context.Context, r *request[connectionHoldModel], state *connectionHoldModel) error {
	holds, err := r.holdsOf(state.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	return holds.Lift(ctx, state.Name.ValueString())
}

func importConnectionHold(id string) (map[string]any, error) {
	hostName, name, err := hold.ParseID(id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "host": hostName, "name": name}, nil
}

// releaseHoldAttribute is the attribute "release_hold" of what clients that
// were held are to reach.
func releaseHoldAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true,
		MarkdownDescription: "ID of a `cutover_connection_hold` of the old host, released once every port was tried end to end: clients that waited are served then. " +
			"When the tunnel is destroyed the hold begins again, so that nobody is refused before the old services run. Destroying the hold ends it.",
		Validators: []validator.String{checkedText{"the ID of a hold", func(id string) error {
			_, _, err := hold.ParseID(id)
			return err
		}}},
	}
}

// validateReleaseHold wants the hold to be one of the host whose clients wait.
func validateReleaseHold(from, id types.String, diags *diag.Diagnostics) {
	if !known(from, id) || from.IsNull() || id.IsNull() {
		return
	}
	hostName, _, err := hold.ParseID(id.ValueString())
	if err == nil && hostName != from.ValueString() {
		diags.AddAttributeError(path.Root("release_hold"), "Hold of another host",
			fmt.Sprintf("The hold %q is one of host %q; clients arrive at host %s.", id.ValueString(), hostName, from))
	}
}

// releaseFor bounds the release of a hold.
const releaseFor = time.Minute

// releaseHold lets in who waits. The relays stand already and are no worse for
// a hold that ends some minutes later by itself: so all that goes wrong is a
// warning, and no timeout of the operation keeps clients waiting.
func (r *request[M]) releaseHold(ctx context.Context, id types.String) {
	if id.IsNull() || id.IsUnknown() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	hostName, name, err := hold.ParseID(id.ValueString())
	if err != nil {
		r.warn("Hold not released", capitalised(err.Error())+".")
		return
	}
	holds, err := r.holdsOf(types.StringValue(hostName))
	if err != nil {
		r.warn("Hold not released", capitalised(err.Error())+".")
		return
	}
	released, found, err := holds.Release(ctx, name)
	switch {
	case err != nil:
		r.warn("Hold not released", fmt.Sprintf("New clients wait until the host itself ends the hold %s, or until it is destroyed: %s", id, err))
	case !found:
		r.warn("No hold to release", fmt.Sprintf("Host %q has no hold %q; nobody had to wait there, and may have been refused.", hostName, name))
	case released.Status == hold.Expired:
		r.warn("The hold had expired", fmt.Sprintf("The hold %s ended at %s, before the relays stood: clients that came since then were refused. A longer expires_after holds on.",
			id, released.Expires.UTC().Format(time.RFC3339)))
	}
}

// holdAgain has clients wait while a tunnel ends. The way back is not refused for it: what
// goes wrong is a warning.
func (r *request[M]) holdAgain(ctx context.Context, id types.String) {
	if id.IsNull() {
		return
	}
	hostName, name, err := hold.ParseID(id.ValueString())
	if err == nil {
		var holds *hold.Holds
		if holds, err = r.holdsOf(types.StringValue(hostName)); err == nil {
			_, _, err = holds.Again(ctx, name)
		}
	}
	if err != nil {
		r.warn("Clients do not wait", fmt.Sprintf("The hold %s could not be begun again. Who comes before the old services run is refused: %s", id, err))
	}
}
