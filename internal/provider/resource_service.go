package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/boolvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/service"
)

type serviceModel struct {
	ID            types.String   `tfsdk:"id"`
	Host          types.String   `tfsdk:"host"`
	Name          types.String   `tfsdk:"name"`
	Running       types.Bool     `tfsdk:"running"`
	Enabled       types.Bool     `tfsdk:"enabled"`
	Drain         types.Bool     `tfsdk:"drain"`
	RestartOn     types.Map      `tfsdk:"restart_on"`
	OnDestroy     types.String   `tfsdk:"on_destroy"`
	Init          types.String   `tfsdk:"init"`
	FoundRunning  types.Bool     `tfsdk:"found_running"`
	FoundEnabled  types.Bool     `tfsdk:"found_enabled"`
	FoundTriggers types.List     `tfsdk:"found_triggers"`
	Timeouts      timeouts.Value `tfsdk:"timeouts"`
}

type triggerModel struct {
	Unit    types.String `tfsdk:"unit"`
	Active  types.Bool   `tfsdk:"active"`
	Enabled types.Bool   `tfsdk:"enabled"`
}

var triggerType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"unit": types.StringType, "active": types.BoolType, "enabled": types.BoolType,
}}

// What becomes of a service on destroy.
const (
	leaveService   = "leave"
	restoreService = "restore"
	stopService    = "stop"
)

func newServiceResource() resource.Resource {
	return &lifecycle[serviceModel]{
		name:           "service",
		noun:           "service",
		timeout:        5 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         serviceSchema,
		timeouts:       func(m *serviceModel) timeouts.Value { return m.Timeouts },
		create:         createService,
		read:           readService,
		update:         updateService,
		delete:         deleteService,
		importID:       importService,
	}
}

func serviceSchema(ctx context.Context) schema.Schema {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	keep := []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()}
	return schema.Schema{
		MarkdownDescription: "Whether a service of a host runs, and whether it starts at boot, under systemd, SysV init or OpenRC.\n\n" +
			"Stopped means that nothing of it runs any more, also no child that outlives its daemon for more than ten seconds, and that no socket unit starts it again; an init script may then still sleep for a second, which nobody waits for. " +
			"Running means that it still does a moment after its start; else the error has its last words.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host of the service, by its name in the provider's `hosts`.",
				PlanModifiers:       replace,
			},
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the service, as its init knows it: `postfix`, `apache2`. A systemd unit of another kind with its suffix: `dovecot.socket`.",
				PlanModifiers:       replace,
				Validators:          []validator.String{checkedText{"the name of a service", service.CheckName}},
			},
			"running": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether it runs. Not set: as it is.",
				Validators:          []validator.Bool{boolvalidator.AtLeastOneOf(path.MatchRoot("running"), path.MatchRoot("enabled"), path.MatchRoot("restart_on"))},
			},
			"enabled": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether it starts at boot. Not set: as it is.",
			},
			"drain": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(true),
				MarkdownDescription: "Whether a mail server (`sendmail`, `postfix`) delivers what it has accepted before it is stopped, which takes 15 seconds at most; " +
					"what it cannot deliver is counted in a warning, and `cutover_mail_queue_move` moves it. Other services are stopped in any case without more ado. Default: `true`.",
			},
			"restart_on": schema.MapAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Any values, such as the digest of a configuration; a change of them restarts the service if it runs.",
			},
			"on_destroy": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(leaveService),
				MarkdownDescription: "`leave` leaves the service as it is then; `restore` puts back what was found when the resource was created, " +
					"which the host itself keeps in `/var/lib/cutover` until then, in case Terraform is killed before it has; " +
					"`stop` stops the service, whatever was found, and leaves as it is whether it starts at boot: for the new host's services on the way back. Default: `leave`.",
				Validators: []validator.String{stringvalidator.OneOf(leaveService, restoreService, stopService)},
			},
			"init": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "What starts services on the host: `systemd`, `sysv` or `openrc`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"found_running": schema.BoolAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "Whether it ran when the resource was created.",
			},
			"found_enabled": schema.BoolAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "Whether it started at boot when the resource was created.",
			},
			"found_triggers": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The socket and path units that started it when the resource was created. They are stopped and disabled with it, and put back with it.",
				PlanModifiers:       []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"unit":    schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the unit."},
					"active":  schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it was active."},
					"enabled": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it was enabled."},
				}},
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`host/name`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

// servicesOf is the services of a host.
func (r *request[M]) servicesOf(name types.String) (*service.Services, error) {
	h, err := r.host(name)
	if err != nil {
		return nil, at(path.Root("host"), err)
	}
	return r.hosts.services.of(h, service.NewServices), nil
}

// remember takes over what a service was doing when it was found.
func (m *serviceModel) remember(ctx context.Context, found service.State) error {
	m.ID = types.StringValue(m.Host.ValueString() + "/" + m.Name.ValueString())
	m.Init = types.StringValue(found.Init)
	m.FoundRunning, m.FoundEnabled = types.BoolValue(found.Running), types.BoolValue(found.Enabled)
	triggers := []triggerModel{}
	for _, t := range found.Triggers {
		triggers = append(triggers, triggerModel{types.StringValue(t.Unit), types.BoolValue(t.Active), types.BoolValue(t.Enabled)})
	}
	list, diags := types.ListValueFrom(ctx, triggerType, triggers)
	if diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	m.FoundTriggers = list
	return nil
}

// triggers are those that were found.
func (m *serviceModel) triggers(ctx context.Context) []service.Trigger {
	var models []triggerModel
	if m.FoundTriggers.IsNull() || m.FoundTriggers.ElementsAs(ctx, &models, false).HasError() {
		return nil
	}
	var triggers []service.Trigger
	for _, t := range models {
		triggers = append(triggers, service.Trigger{Unit: t.Unit.ValueString(), Active: t.Active.ValueBool(), Enabled: t.Enabled.ValueBool()})
	}
	return triggers
}

// wanted is what the model wants of the service.
func (m *serviceModel) wanted(ctx context.Context) service.Want {
	return service.Want{Running: m.Running.ValueBoolPointer(), Enabled: m.Enabled.ValueBoolPointer(), Triggers: m.triggers(ctx), Drain: m.Drain.ValueBool()}
}

// set brings the service to a state, and warns of mail that stays behind.
func (m *serviceModel) set(ctx context.Context, r *request[serviceModel], services *service.Services, want service.Want) error {
	after, err := services.Set(ctx, m.Name.ValueString(), want)
	if err == nil && after.Queued > 0 {
		r.warn("Mail stays in the queue", fmt.Sprintf("Service %s of host %q was stopped with %d messages in its queue that it had accepted and could not deliver. "+
			"They stay on that host; cutover_mail_queue_move moves them to another. See what keeps them with mailq. Started once more, the service tries by itself.",
			m.Name.ValueString(), m.Host.ValueString(), after.Queued))
	}
	return err
}

func createService(ctx context.Context, r *request[serviceModel], plan *serviceModel) error {
	services, err := r.servicesOf(plan.Host)
	if err != nil {
		return err
	}
	name := plan.Name.ValueString()
	found, err := services.Read(ctx, name)
	if err != nil {
		return onService(err)
	}
	before := found.Before()
	if err := plan.remember(ctx, before); err != nil {
		return err
	}
	r.identify(*plan) // what was found is not to be forgotten
	want := plan.wanted(ctx)
	if plan.OnDestroy.ValueString() == restoreService {
		want.Remember = &before // not even where Terraform is killed
	}
	if want.Met(found) {
		return nil
	}
	return plan.set(ctx, r, services, want)
}

// onService puts the error of an unknown service on its name.
func onService(err error) error {
	var unknown *service.UnknownError
	if errors.As(err, &unknown) {
		return at(path.Root("name"), err)
	}
	return err
}

func readService(ctx context.Context, r *request[serviceModel], state *serviceModel) (bool, error) {
	services, err := r.servicesOf(state.Host)
	if err != nil {
		return false, err
	}
	actual, err := services.Read(ctx, state.Name.ValueString())
	var unknown *service.UnknownError
	if errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if state.OnDestroy.IsNull() { // imported
		state.OnDestroy, state.Drain = types.StringValue(leaveService), types.BoolValue(true)
		state.Running, state.Enabled = types.BoolValue(actual.Running), types.BoolValue(actual.Enabled)
		return true, state.remember(ctx, actual)
	}
	// A stopped service whose socket listens is as good as running.
	running, enabled := actual.Running, actual.Enabled
	for _, t := range actual.Triggers {
		running = running || (t.Active && !state.Running.ValueBool())
		enabled = enabled || (t.Enabled && !state.Enabled.ValueBool())
	}
	if !state.Running.IsNull() {
		state.Running = types.BoolValue(running)
	}
	if !state.Enabled.IsNull() {
		state.Enabled = types.BoolValue(enabled)
	}
	return true, nil
}

func updateService(ctx context.Context, r *request[serviceModel], prior, plan *serviceModel) error {
	services, err := r.servicesOf(plan.Host)
	if err != nil {
		return err
	}
	want := plan.wanted(ctx)
	want.Restart = !plan.RestartOn.Equal(prior.RestartOn)
	want.Forget = plan.OnDestroy.ValueString() != restoreService && prior.OnDestroy.ValueString() == restoreService
	return onService(plan.set(ctx, r, services, want))
}

func deleteService(ctx context.Context, r *request[serviceModel], state *serviceModel) error {
	stopped := false
	want := service.Want{Drain: state.Drain.ValueBool()}
	switch state.OnDestroy.ValueString() {
	case stopService:
		want.Running = &stopped
	case restoreService:
		want.Triggers, want.Restore, want.Forget = state.triggers(ctx), true, true
		if !state.Running.IsNull() {
			want.Running = state.FoundRunning.ValueBoolPointer()
		}
		if !state.Enabled.IsNull() {
			want.Enabled = state.FoundEnabled.ValueBoolPointer()
		}
	default:
		return nil
	}
	services, err := r.servicesOf(state.Host)
	if err != nil {
		return err
	}
	err = state.set(ctx, r, services, want)
	var unknown *service.UnknownError
	if errors.As(err, &unknown) {
		return nil // the package was removed meanwhile
	}
	return err
}

func importService(id string) (map[string]any, error) {
	hostName, name, ok := strings.Cut(id, "/")
	if !ok || hostName == "" {
		return nil, fmt.Errorf("the ID %q is not HOST/NAME, such as old/sendmail", id)
	}
	if err := service.CheckName(name); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "host": hostName, "name": name}, nil
}
