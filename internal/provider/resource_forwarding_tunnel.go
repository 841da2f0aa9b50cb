package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/traffic"
	"github.com/cutover-dev/terraform-provider-cutover/internal/tunnel"
)

type forwardingTunnelModel struct {
	ID              types.String   `tfsdk:"id"`
	From            types.String   `tfsdk:"from"`
	To              types.String   `tfsdk:"to"`
	Name            types.String   `tfsdk:"name"`
	Mode            types.String   `tfsdk:"mode"`
	Ports           types.List     `tfsdk:"ports"`
	Forwards        types.List     `tfsdk:"forwards"`
	InitiateFrom    types.String   `tfsdk:"initiate_from"`
	FromAddress     types.String   `tfsdk:"from_address"`
	FromPort        types.Int64    `tfsdk:"from_port"`
	ToAddress       types.String   `tfsdk:"to_address"`
	ToPort          types.Int64    `tfsdk:"to_port"`
	SourceAddresses types.Set      `tfsdk:"source_addresses"`
	AllowOpenRelay  types.Bool     `tfsdk:"allow_open_relay"`
	ReleaseHold     types.String   `tfsdk:"release_hold"`
	RetireWhen      types.Object   `tfsdk:"retire_when"`
	ForceDestroy    types.Bool     `tfsdk:"force_destroy"`
	Status          types.String   `tfsdk:"status"`
	Timeouts        timeouts.Value `tfsdk:"timeouts"`
}

type forwardModel struct {
	ListenAddress types.String `tfsdk:"listen_address"`
	ListenPort    types.Int64  `tfsdk:"listen_port"`
	TargetHost    types.String `tfsdk:"target_host"`
	TargetPort    types.Int64  `tfsdk:"target_port"`
}

var forwardType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"listen_address": types.StringType, "listen_port": types.Int64Type,
	"target_host": types.StringType, "target_port": types.Int64Type,
}}

func newForwardingTunnelResource() resource.Resource {
	return &lifecycle[forwardingTunnelModel]{
		name:           "forwarding_tunnel",
		noun:           "forwarding tunnel",
		timeout:        5 * time.Minute,
		hostAttributes: []string{"from", "to"},
		spans:          true,
		schema:         forwardingTunnelSchema,
		timeouts:       func(m *forwardingTunnelModel) timeouts.Value { return m.Timeouts },
		validate:       validateForwardingTunnel,
		create:         createForwardingTunnel,
		read:           readForwardingTunnel,
		update:         updateForwardingTunnel,
		delete:         deleteForwardingTunnel,
		importID:       importForwardingTunnel,
	}
}

func forwardingTunnelSchema(ctx context.Context) schema.Schema {
	port := []validator.Int64{int64validator.Between(1, 65535)}
	return schema.Schema{
		MarkdownDescription: "SSH relays from the old host to the new one: whoever still calls the old address is served by the new host, until every name has moved.\n\n" +
			"Creating it starts one OpenSSH client on the old host, kept alive and started at boot by systemd or SysV init, " +
			"and returns when every port was tried end to end. Destroying it ends the relays and removes their key, account, unit and files from both hosts. " +
			"Terraform need not run meanwhile. Who comes is counted, for `data.cutover_tunnel_traffic`.\n\n" +
			"In the default mode the new host sees relayed clients as coming from itself (`127.0.0.1` or `::1`). A mail server that trusts that address relays spam for anybody; " +
			"so each SMTP port is asked first, and an open relay is an error. With `mode = \"transparent\"` it sees each client's own address.",
		Attributes: map[string]schema.Attribute{
			"from": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host on which clients still arrive, by its name in the provider's `hosts`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"to": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host that serves them, by its name in the provider's `hosts`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"ports": schema.ListAttribute{
				Optional:            true,
				ElementType:         types.Int64Type,
				MarkdownDescription: "TCP ports relayed to the same port of the new host, on every IPv4 and IPv6 address of the old one: `[25, 80, 110, 143, 587]`. TLS ports (443, 993) work as any other, provided that the new host has the certificates.",
				Validators: []validator.List{
					listvalidator.SizeAtLeast(1),
					listvalidator.ValueInt64sAre(port...),
					listvalidator.AtLeastOneOf(path.MatchRoot("ports"), path.MatchRoot("forwards")),
				},
			},
			"forwards": schema.ListNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Ports that go elsewhere than to the same port of the new host, or that are not to be open on every address.",
				Validators:          []validator.List{listvalidator.SizeAtLeast(1)},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"listen_address": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(tunnel.Everywhere),
						MarkdownDescription: "Address of the old host to listen on. Default: `*`, all of them.",
					},
					"listen_port": schema.Int64Attribute{
						Required: true, Validators: port,
						MarkdownDescription: "Port of the old host to listen on.",
					},
					"target_host": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(tunnel.Localhost),
						MarkdownDescription: "Host to connect to, as the new host resolves it. Default: `localhost`, the new host itself.",
					},
					"target_port": schema.Int64Attribute{
						Required: true, Validators: port,
						MarkdownDescription: "Port to connect to.",
					},
				}},
			},
			"name": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("relay"),
				MarkdownDescription: "Tells several tunnels of a host apart. It names the unit (`cutover-tunnel-NAME`), the directory `/etc/cutover/tunnel-NAME`, and the account `cutover-NAME` on the new host. Default: `relay`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
				Validators: []validator.String{
					stringvalidator.LengthBetween(1, 24),
					stringvalidator.RegexMatches(regexp.MustCompile(`^[a-z][a-z0-9-]*$`), "must be lower-case letters, digits and '-', and start with a letter"),
				},
			},
			"mode": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(tunnel.Relays),
				MarkdownDescription: "`forward`: an `ssh -L` for each port; fast, and the new host sees every client as itself. " +
					"`transparent`: a layer-3 tunnel (`ssh -w`), through which the new host sees each client's own address; slower. " +
					"It needs `/dev/net/tun`, and `nft` or `iptables`, on both hosts, and systemd on the new one, whose services have to listen on all addresses. " +
					"While it stands, the old host forwards packets. Destroying it switches that off again, unless something that may need it has come to the host meanwhile: " +
					"another network device (as of Docker, libvirt or a VPN), a rule that forwards or translates, IPsec, or a line in `sysctl.d`. Then it stays on, and a warning says for what. Default: `forward`.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
				Validators:    []validator.String{stringvalidator.OneOf(tunnel.Relays, tunnel.Transparent)},
			},
			"initiate_from": initiateFromAttribute(),
			"from_address":  fromAddressAttribute(),
			"from_port":     fromPortAttribute(),
			"to_address": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Name or address under which the **old host** reaches the new one. Default: the address that the provider itself uses. Not to be set with `initiate_from = \"new\"`, where it is the old host's end of the connection.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"to_port": schema.Int64Attribute{
				Optional: true, Computed: true, Validators: port,
				MarkdownDescription: "Port of the new host's sshd, as the old host reaches it. Default: the port that the provider itself uses, or with `initiate_from = \"new\"` a free one.",
				PlanModifiers:       []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
			},
			"source_addresses": schema.SetAttribute{
				Optional: true, Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Addresses or networks from which the host that initiates may log in to the other. Default: all addresses of the host that initiates. Set it where that host is behind NAT.",
				PlanModifiers:       []planmodifier.Set{setplanmodifier.UseStateForUnknown()},
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1)},
			},
			"allow_open_relay": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "**Dangerous.** Starts the relays although the new host's mail server would relay anybody's mail that comes through them, or does not say whether it would. " +
					"Without it, each mail server among the targets is asked (inside TLS too, and no mail is sent), and only a clear no lets the tunnel start. Default: `false`.",
			},
			"release_hold":  releaseHoldAttribute(),
			"retire_when":   retireWhenAttribute(),
			"force_destroy": forceDestroyAttribute(),
			"status": schema.StringAttribute{
				Computed: true, Default: stringdefault.StaticString(tunnel.Running),
				MarkdownDescription: "`running`, or what is wrong; anything but `running` is put right by the next apply.",
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`from/to/name`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

func validateForwardingTunnel(ctx context.Context, m *forwardingTunnelModel, diags *diag.Diagnostics) {
	if known(m.From, m.To) && m.From.Equal(m.To) {
		diags.AddAttributeError(path.Root("to"), "Same host twice", fmt.Sprintf("from and to are both %s; a tunnel leads from one host to another.", m.From))
	}
	for i, f := range forwardModels(ctx, m.Forwards) {
		if m.Mode.ValueString() == tunnel.Transparent && !f.TargetHost.IsNull() && known(f.TargetHost) && f.TargetHost.ValueString() != tunnel.Localhost {
			diags.AddAttributeError(path.Root("forwards").AtListIndex(i).AtName("target_host"), "Not with a transparent tunnel",
				fmt.Sprintf("A transparent tunnel ends at the new host itself; it leads to no other host such as %q. Leave target_host out, or use mode = %q.", f.TargetHost.ValueString(), tunnel.Relays))
		}
	}
	validateReleaseHold(m.From, m.ReleaseHold, diags)
	m.validateRetirement(ctx, diags)
	m.validateInitiator(diags)
	var forwards []tunnel.Forward
	for _, f := range m.forwards(ctx) {
		if f.ListenPort > 0 { // unknown so far
			forwards = append(forwards, f)
		}
	}
	if err := tunnel.DistinctListeners(forwards); err != nil {
		attribute := "ports"
		if m.Ports.IsNull() {
			attribute = "forwards"
		}
		diags.AddAttributeError(path.Root(attribute), "Port listed twice", capitalised(err.Error())+".")
	}
	if known(m.SourceAddresses) {
		for _, address := range stringsOf(m.SourceAddresses) {
			if address != "" && !tunnel.ValidSource(address) {
				diags.AddAttributeError(path.Root("source_addresses"), "Not an address", fmt.Sprintf("%q is neither an IP address nor a network such as 192.0.2.0/24.", address))
			}
		}
	}
}

func (m forwardModel) forward() tunnel.Forward {
	forward := tunnel.Forward{
		ListenAddress: m.ListenAddress.ValueString(), ListenPort: int(m.ListenPort.ValueInt64()),
		TargetHost: m.TargetHost.ValueString(), TargetPort: int(m.TargetPort.ValueInt64()),
	}
	if forward.ListenAddress == "" { // the default is not filled in while validating
		forward.ListenAddress = tunnel.Everywhere
	}
	return forward
}

// forwardModels are the elements of the list that are known; there may be
// others while validating.
func forwardModels(ctx context.Context, list types.List) []forwardModel {
	var models []forwardModel
	for _, element := range list.Elements() {
		object, ok := element.(types.Object)
		if !ok || object.IsUnknown() || object.IsNull() {
			continue
		}
		var model forwardModel
		if !object.As(ctx, &model, objectAsOptions).HasError() {
			models = append(models, model)
		}
	}
	return models
}

// samePort is the forward that an element of ports stands for.
func samePort(port int64) tunnel.Forward {
	return tunnel.Forward{
		ListenAddress: tunnel.Everywhere, ListenPort: int(port),
		TargetHost: tunnel.Localhost, TargetPort: int(port),
	}
}

// forwards are all forwards of the model whose ports are known.
func (m *forwardingTunnelModel) forwards(ctx context.Context) []tunnel.Forward {
	var forwards []tunnel.Forward
	for _, element := range m.Ports.Elements() {
		if port, ok := element.(types.Int64); ok && !port.IsUnknown() {
			forwards = append(forwards, samePort(port.ValueInt64()))
		}
	}
	for _, f := range forwardModels(ctx, m.Forwards) {
		forwards = append(forwards, f.forward())
	}
	return forwards
}

// wanted is the tunnel of a plan; what is unknown there is left to the hosts.
func (m *forwardingTunnelModel) wanted(ctx context.Context) tunnel.Tunnel {
	t := tunnel.Tunnel{
		Name:         m.Name.ValueString(),
		Mode:         m.Mode.ValueString(),
		Forwards:     m.forwards(ctx),
		InitiateFrom: m.InitiateFrom.ValueString(),
		FromAddress:  m.FromAddress.ValueString(),
		FromPort:     int(m.FromPort.ValueInt64()),
		ToAddress:    m.ToAddress.ValueString(),
		ToPort:       int(m.ToPort.ValueInt64()),
	}
	if !m.SourceAddresses.IsUnknown() && !m.SourceAddresses.IsNull() {
		t.SourceAddresses = stringsOf(m.SourceAddresses)
	}
	return t
}

// accept takes over what the hosts had to add to the tunnel.
func (m *forwardingTunnelModel) accept(ctx context.Context, t tunnel.Tunnel) error {
	m.ID = types.StringValue(strings.Join([]string{m.From.ValueString(), m.To.ValueString(), t.Name}, "/"))
	m.acceptInitiator(t)
	m.ToAddress = types.StringValue(t.ToAddress)
	m.ToPort = types.Int64Value(int64(t.ToPort))
	if t.SourceAddresses == nil && !m.SourceAddresses.IsUnknown() {
		return nil // gone from the host; status says so
	}
	addresses, diags := types.SetValueFrom(ctx, types.StringType, t.SourceAddresses)
	if diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	m.SourceAddresses = addresses
	return nil
}

func createForwardingTunnel(ctx context.Context, r *request[forwardingTunnelModel], plan *forwardingTunnelModel) error {
	return startForwardingTunnel(ctx, r, plan, false)
}

func updateForwardingTunnel(ctx context.Context, r *request[forwardingTunnelModel], prior, plan *forwardingTunnelModel) error {
	if prior.onlyRetirementDiffers(plan) {
		return nil
	}
	return startForwardingTunnel(ctx, r, plan, true)
}

func startForwardingTunnel(ctx context.Context, r *request[forwardingTunnelModel], plan *forwardingTunnelModel, changing bool) error {
	from, err := r.host(plan.From)
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := r.host(plan.To)
	if err != nil {
		return at(path.Root("to"), err)
	}
	started, err := plan.wanted(ctx).Start(ctx, from, to, tunnel.Options{
		AllowOpenRelay: plan.AllowOpenRelay.ValueBool(),
		Changing:       changing,
	})
	if errors.Is(err, tunnel.ErrLeftovers) {
		left := *plan
		if acceptErr := left.accept(ctx, started); acceptErr != nil {
			return errors.Join(err, acceptErr)
		}
		r.identify(left)
	}
	if err != nil {
		return err
	}
	// Counting begins at once with the release: who waited is counted, and does
	// not wait for it.
	var counting sync.WaitGroup
	counting.Go(func() { err = countTraffic(ctx, from, started) })
	r.releaseHold(ctx, plan.ReleaseHold)
	counting.Wait()
	if err != nil {
		r.warn("Traffic is not counted", fmt.Sprintf("The tunnel works, but data.cutover_tunnel_traffic will know nothing of it: %s", err))
	}
	plan.Status = types.StringValue(tunnel.Running)
	return plan.accept(ctx, started)
}

func readForwardingTunnel(ctx context.Context, r *request[forwardingTunnelModel], state *forwardingTunnelModel) (bool, error) {
	from, err := r.host(state.From)
	if err != nil {
		return false, at(path.Root("from"), err)
	}
	to, err := r.host(state.To)
	if err != nil {
		return false, at(path.Root("to"), err)
	}
	actual, status, found, err := tunnel.Inspect(ctx, from, to, state.Name.ValueString(), state.InitiateFrom.ValueString())
	if err != nil || !found {
		return false, err
	}
	state.Status = types.StringValue(status)
	if actual.Mode != "" {
		state.Mode, state.InitiateFrom = types.StringValue(actual.Mode), types.StringValue(actual.InitiateFrom)
	}
	if state.AllowOpenRelay.IsNull() {
		state.AllowOpenRelay = types.BoolValue(false)
	}
	if state.ForceDestroy.IsNull() {
		state.ForceDestroy = types.BoolValue(false)
	}
	if actual.ToAddress == "" {
		return true, nil // the definition is gone from the host; status says so
	}
	if err := state.showForwards(ctx, actual.Forwards); err != nil {
		return false, err
	}
	return true, state.accept(ctx, actual)
}

// showForwards sorts the host's forwards into ports and forwards as the state
// has them, so that only a real difference shows.
func (m *forwardingTunnelModel) showForwards(ctx context.Context, actual []tunnel.Forward) error {
	left := map[tunnel.Forward]bool{}
	for _, f := range actual {
		left[f] = true
	}
	var kept []forwardModel
	for _, model := range forwardModels(ctx, m.Forwards) {
		forward := model.forward()
		if left[forward] {
			kept = append(kept, model)
			delete(left, forward)
		}
	}
	var ports []int64
	for _, element := range m.Ports.Elements() {
		if port, ok := element.(types.Int64); ok && left[samePort(port.ValueInt64())] {
			ports = append(ports, port.ValueInt64())
			delete(left, samePort(port.ValueInt64()))
		}
	}
	for _, f := range actual {
		switch {
		case !left[f]:
		case f == samePort(int64(f.ListenPort)):
			ports = append(ports, int64(f.ListenPort))
		default:
			kept = append(kept, forwardModel{
				ListenAddress: types.StringValue(f.ListenAddress), ListenPort: types.Int64Value(int64(f.ListenPort)),
				TargetHost: types.StringValue(f.TargetHost), TargetPort: types.Int64Value(int64(f.TargetPort)),
			})
		}
	}
	m.Forwards = types.ListNull(forwardType)
	if len(kept) > 0 {
		list, diags := types.ListValueFrom(ctx, forwardType, kept)
		if diags.HasError() {
			return errors.New(diags.Errors()[0].Detail())
		}
		m.Forwards = list
	}
	m.Ports = types.ListNull(types.Int64Type)
	if len(ports) > 0 {
		list, diags := types.ListValueFrom(ctx, types.Int64Type, ports)
		if diags.HasError() {
			return errors.New(diags.Errors()[0].Detail())
		}
		m.Ports = list
	}
	return nil
}

func deleteForwardingTunnel(ctx context.Context, r *request[forwardingTunnelModel], state *forwardingTunnelModel) error {
	from, err := r.unlessRetired(state.From)
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := r.unlessRetired(state.To)
	if err != nil {
		return at(path.Root("to"), err)
	}
	// Where the old host is switched off, nobody comes through it.
	if from != nil && !r.hosts.forceDestroy {
		if err := state.mayRetire(ctx, from); err != nil {
			return err
		}
	}
	var counting error
	if from != nil {
		r.holdAgain(ctx, state.ReleaseHold)
		counting = traffic.End(ctx, from, state.Name.ValueString())
	}
	forwardsFor, err := tunnel.Tunnel{Name: state.Name.ValueString(), InitiateFrom: state.InitiateFrom.ValueString()}.Stop(ctx, from, to)
	if len(forwardsFor) > 0 {
		r.warn("Forwarding was left on", fmt.Sprintf("The tunnel is gone, but host %s goes on forwarding packets, because these came while the tunnel stood and may need it:\n  %s\n"+
			"If none of them does, switch it off: sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0", state.From, strings.Join(forwardsFor, "\n  ")))
	}
	return errors.Join(counting, err)
}

func importForwardingTunnel(id string) (map[string]any, error) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("the ID %q is not FROM/TO/NAME, such as old/new/relay", id)
	}
	if err := tunnel.ValidName(parts[2]); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "from": parts[0], "to": parts[1], "name": parts[2]}, nil
}
