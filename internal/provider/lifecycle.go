package provider

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// lifecycle is everything that all resources have in common: finding hosts,
// decoding, timeouts, identity before readback, what happens to an object that
// is gone, and how errors look. M is the resource's model, a struct with
// tfsdk tags. A resource is a lifecycle with its schema and short callbacks.
type lifecycle[M any] struct {
	name    string        // type name after "cutover_"
	noun    string        // as errors call it: "host user"
	timeout time.Duration // default of every operation

	// hostAttributes are the attributes that name a host of the provider's
	// block; a name that it does not know is refused while planning.
	hostAttributes []string
	// spans: the object is on all of these hosts. Where one is retired, what is on
	// the other is still to be destroyed.
	spans bool

	schema func(context.Context) schema.Schema
	// timeouts returns the model's timeouts.
	timeouts func(*M) timeouts.Value

	// validate says what is wrong with a configuration that may hold unknown
	// values; nil where the schema's validators say it all.
	validate func(ctx context.Context, config *M, diags *diag.Diagnostics)

	// plan may change the planned values of a create (prior is nil) or an
	// update; nil where the schema's plan modifiers do it all. It must not
	// change anything on a host.
	plan func(ctx context.Context, r *request[M], prior, plan *M) error
	// follows: plan only follows changes, and is not asked where there are none;
	// decoding for it is a tenth of the provider's time in a plan of thousands.
	follows bool

	// create makes the object and fills in the computed values. It calls
	// r.identify before the first change that must not be forgotten.
	create func(ctx context.Context, r *request[M], plan *M) error
	// read fills in what is there; found is false only where the host has said
	// that the object is not there.
	read func(ctx context.Context, r *request[M], state *M) (found bool, err error)
	// update brings the object from prior to plan and fills in computed values.
	update func(ctx context.Context, r *request[M], prior, plan *M) error
	// delete removes the object; that it is gone already is no error.
	delete func(ctx context.Context, r *request[M], state *M) error

	// importID turns the ID given to terraform import into attributes; read
	// does the rest. Nil where importing makes no sense; importHint says why.
	importID   func(id string) (map[string]any, error)
	importHint string

	hosts *hosts
}

var (
	_ resource.ResourceWithConfigure      = (*lifecycle[struct{}])(nil)
	_ resource.ResourceWithValidateConfig = (*lifecycle[struct{}])(nil)
	_ resource.ResourceWithModifyPlan     = (*lifecycle[struct{}])(nil)
	_ resource.ResourceWithImportState    = (*lifecycle[struct{}])(nil)
)

// request is what the callbacks of a resource have at hand.
type request[M any] struct {
	hosts *hosts
	diags *diag.Diagnostics

	// config is the configuration, the only place that has write-only values;
	// nil in read and delete.
	config *M
	// identified is what is saved should the rest of a create fail.
	identified *M
	// kept is what is saved should the rest of an update fail; nil: what was
	// there before it.
	kept *M
	// leftOut are the retired hosts that a delete has done without.
	leftOut []string
}

// host returns a host by its name.
func (r *request[M]) host(name types.String) (host.Host, error) {
	return r.hosts.Get(name.ValueString())
}

// unlessRetired is host for a delete that cleans up wherever it still can: nil is
// a host that is retired.
func (r *request[M]) unlessRetired(name types.String) (host.Host, error) {
	found, err := r.host(name)
	var retired errRetired
	if errors.As(err, &retired) {
		r.leftOut = append(r.leftOut, retired.name)
		return nil, nil
	}
	return found, err
}

// warn adds a warning.
func (r *request[M]) warn(summary, detail string) { r.diags.AddWarning(summary, detail) }

// identify saves what a create has made so far: should the rest fail, the
// object is in the state, tainted, instead of forgotten on the host.
func (r *request[M]) identify(model M) { r.identified = &model }

// keep saves what an update has made so far, should the rest fail.
func (r *request[M]) keep(model M) { r.kept = &model }

// attributeError is an error with the attribute at fault.
type attributeError struct {
	at  path.Path
	err error
}

func (e *attributeError) Error() string { return e.err.Error() }
func (e *attributeError) Unwrap() error { return e.err }

// at puts an error on an attribute.
func at(attribute path.Path, err error) error {
	if err == nil {
		return nil
	}
	return &attributeError{attribute, err}
}

// report adds err as "Unable to <action> <noun>" to diags.
func report(diags *diag.Diagnostics, action, noun string, err error) {
	summary := "Unable to " + action + " " + noun
	var on *attributeError
	if errors.As(err, &on) {
		diags.AddAttributeError(on.at, summary, err.Error())
		return
	}
	diags.AddError(summary, err.Error())
}

// orRetired adds to the error of a host that is out of reach how to go on without it.
func orRetired(err error) error {
	var away *host.UnreachableError
	if !errors.As(err, &away) {
		return err
	}
	return fmt.Errorf("%w. If the machine is lost, or away for longer than you can wait: with retired = true in the entry %q of hosts, Terraform goes on without it", err, away.Host)
}

func (l *lifecycle[M]) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + l.name
}

func (l *lifecycle[M]) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = l.schema(ctx)
}

func (l *lifecycle[M]) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	if req.ProviderData == nil {
		return // validation happens before the provider is configured
	}
	known, ok := req.ProviderData.(*hosts)
	if !ok {
		resp.Diagnostics.AddError("Unable to configure "+l.noun, fmt.Sprintf("The provider passed %T. This is a bug of the provider.", req.ProviderData))
		return
	}
	l.hosts = known
}

func (l *lifecycle[M]) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	if l.validate == nil {
		return
	}
	var config M
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !resp.Diagnostics.HasError() {
		l.validate(ctx, &config, &resp.Diagnostics)
	}
}

func (l *lifecycle[M]) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || l.hosts == nil {
		return // a destroy, or a plan without a provider's block
	}
	for _, attribute := range l.hostAttributes {
		var name types.String
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root(attribute), &name)...)
		if name.IsUnknown() || name.IsNull() {
			continue
		}
		if err := l.hosts.check(name.ValueString()); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root(attribute), "Unknown host", capitalised(err.Error())+".")
		}
	}
	if l.plan == nil || resp.Diagnostics.HasError() || l.follows && req.Plan.Raw.Equal(req.State.Raw) {
		return
	}
	var plan, config M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	var prior *M
	if !req.State.Raw.IsNull() {
		prior = new(M)
		resp.Diagnostics.Append(req.State.Get(ctx, prior)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	r := &request[M]{hosts: l.hosts, diags: &resp.Diagnostics, config: &config}
	err := l.plan(ctx, r, prior, &plan)
	var retired errRetired
	if errors.As(err, &retired) {
		return // apply says so; an error here would be in the way of a destroy, which plans all of the configuration first
	}
	if err != nil {
		report(&resp.Diagnostics, "plan", l.noun, err)
		return
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

func (l *lifecycle[M]) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := l.bounded(ctx, &plan, "create", &resp.Diagnostics)
	defer cancel()
	r := &request[M]{hosts: l.hosts, diags: &resp.Diagnostics, config: &config}
	if err := l.create(ctx, r, &plan); err != nil {
		report(&resp.Diagnostics, "create", l.noun, timedOut(ctx, "create", err))
		if r.identified == nil {
			return
		}
		resp.Diagnostics.Append(resp.State.Set(ctx, r.identified)...)
		resp.State = withoutUnknowns(resp.State, &resp.Diagnostics)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (l *lifecycle[M]) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state M
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := l.bounded(ctx, &state, "read", &resp.Diagnostics)
	defer cancel()
	before := state // models hold values alone, and no pointers that read could write through
	found, err := l.read(ctx, &request[M]{hosts: l.hosts, diags: &resp.Diagnostics}, &state)
	var unresolved errUnresolved
	var retired errRetired
	switch {
	case errors.As(err, &unresolved):
		// The machine itself is part of this plan: what the state says of it
		// stands until it is there.
		resp.Diagnostics.AddWarning("Not refreshed", capitalised(err.Error()))
	case errors.As(err, &retired) && l.spans:
		resp.Diagnostics.AddWarning("Not refreshed", fmt.Sprintf("Host %q is retired. What the state says of this %s stands until it is destroyed, which cleans up its other host.", retired.name, l.noun))
	case errors.As(err, &retired):
		resp.Diagnostics.AddWarning("Gone with its host", fmt.Sprintf("Host %q is retired, and so this %s leaves the state. Nothing was changed on the host. "+
			"Take it out of the configuration too: it cannot be made there again.", retired.name, l.noun))
		resp.State.RemoveResource(ctx)
	case err != nil:
		report(&resp.Diagnostics, "read", l.noun, orRetired(timedOut(ctx, "read", err)))
	case !found:
		resp.State.RemoveResource(ctx)
	case !reflect.DeepEqual(before, state): // writing costs far more than comparing
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	}
}

func (l *lifecycle[M]) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var prior, plan, config M
	resp.Diagnostics.Append(req.State.Get(ctx, &prior)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := l.bounded(ctx, &plan, "update", &resp.Diagnostics)
	defer cancel()
	r := &request[M]{hosts: l.hosts, diags: &resp.Diagnostics, config: &config}
	if err := l.update(ctx, r, &prior, &plan); err != nil {
		// Otherwise the state stays as it was before: the next refresh sees what
		// has become of the host, and the next plan finishes the change.
		report(&resp.Diagnostics, "update", l.noun, timedOut(ctx, "update", err))
		if r.kept != nil {
			resp.Diagnostics.Append(resp.State.Set(ctx, r.kept)...)
		}
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (l *lifecycle[M]) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state M
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := l.bounded(ctx, &state, "delete", &resp.Diagnostics)
	defer cancel()
	r := &request[M]{hosts: l.hosts, diags: &resp.Diagnostics}
	err := l.delete(ctx, r, &state)
	var retired errRetired
	if errors.As(err, &retired) {
		r.leftOut, err = append(r.leftOut, retired.name), nil
	}
	if err != nil {
		report(&resp.Diagnostics, "delete", l.noun, orRetired(timedOut(ctx, "delete", err)))
		return
	}
	for _, name := range r.leftOut {
		// While destroying, Terraform itself does not say whose warning it shows.
		var id types.String
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("id"), &id)...)
		resp.Diagnostics.AddWarning("Left on a retired host", fmt.Sprintf("Host %q is retired. What it has of the %s %s stays there.", name, l.noun, id))
	}
}

func (l *lifecycle[M]) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if l.importID == nil {
		resp.Diagnostics.AddError("Unable to import "+l.noun, l.importHint)
		return
	}
	attributes, err := l.importID(req.ID)
	if err != nil {
		report(&resp.Diagnostics, "import", l.noun, err)
		return
	}
	for _, attribute := range l.hostAttributes {
		if name, ok := attributes[attribute].(string); ok {
			err := l.hosts.check(name)
			if l.hosts.retired[name] {
				err = errRetired{name} // nothing could be read into the state
			}
			if err != nil {
				report(&resp.Diagnostics, "import", l.noun, err)
				return
			}
		}
	}
	for name, value := range attributes {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// bounded gives ctx the timeout that the model or the resource has for an
// operation, and lets it outlast a Terraform that is killed; see requested.
func (l *lifecycle[M]) bounded(ctx context.Context, model *M, operation string, diags *diag.Diagnostics) (context.Context, context.CancelFunc) {
	set := l.timeouts(model)
	look := map[string]func(context.Context, time.Duration) (time.Duration, diag.Diagnostics){
		"create": set.Create, "read": set.Read, "update": set.Update, "delete": set.Delete,
	}[operation]
	timeout, problems := look(ctx, l.timeout)
	diags.Append(problems...)
	ctx, leave := requested(ctx)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, func() {
		cancel()
		leave()
	}
}

// timedOut says of an error whether it is the operation's timeout that ended it.
func timedOut(ctx context.Context, operation string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w\n\nThe time allowed for it is over; timeouts = { %s = \"…\" } allows more", err, operation)
	}
	return err
}

// timeoutsAttribute is the attribute "timeouts" that every resource has.
func timeoutsAttribute(ctx context.Context) schema.Attribute {
	return timeouts.Attributes(ctx, timeouts.Opts{
		Create: true, Read: true, Update: true, Delete: true,
		CreateDescription: "How long creating may take, as in `\"10m\"`.",
		ReadDescription:   "How long a refresh may take.",
		UpdateDescription: "How long a change may take.",
		DeleteDescription: "How long destroying may take.",
	})
}

// withoutUnknowns sets to null what a failed create did not get to know; an
// unknown value is not allowed in a state.
func withoutUnknowns(state tfsdk.State, diags *diag.Diagnostics) tfsdk.State {
	raw, err := tftypes.Transform(state.Raw, func(_ *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
		if !value.IsKnown() {
			return tftypes.NewValue(value.Type(), nil), nil
		}
		return value, nil
	})
	if err != nil {
		diags.AddError("Unable to save what was created", err.Error())
		return state
	}
	state.Raw = raw
	return state
}

// known reports whether all of the values are known, null included.
func known(values ...attr.Value) bool {
	for _, value := range values {
		if value.IsUnknown() {
			return false
		}
	}
	return true
}
