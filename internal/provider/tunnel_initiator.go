package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/tunnel"
)

// What says in cutover_forwarding_tunnel which host calls the other, and where.

func initiateFromAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, Computed: true, Default: stringdefault.StaticString(tunnel.OldHost),
		MarkdownDescription: "Which host opens the SSH connection between the two. `old`: the old one, which runs the relays. " +
			"`new`: for an old host that cannot reach the new one. The new host then logs in to an account `cutover-NAME` on the old one, which can do nothing but lead one port of the old host's `127.0.0.1` (`to_port`) to the new host's sshd, " +
			"and all that `mode` says runs over that: no key to root, and no change to the old host's sshd, which has to let TCP be forwarded (`AllowTcpForwarding`) and needs neither `GatewayPorts` nor `PermitTunnel`. " +
			"Everything is encrypted twice, which costs throughput, and whoever has a shell on the old host can then reach the new host's sshd. Default: `old`.",
		PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
		Validators:    []validator.String{stringvalidator.OneOf(tunnel.OldHost, tunnel.NewHost)},
	}
}

func fromAddressAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, Computed: true,
		MarkdownDescription: "With `initiate_from = \"new\"`: name or address under which the **new host** reaches the old one. Default: the address that the provider itself uses.",
		PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
	}
}

func fromPortAttribute() schema.Int64Attribute {
	return schema.Int64Attribute{
		Optional: true, Computed: true, Validators: []validator.Int64{int64validator.Between(1, 65535)},
		MarkdownDescription: "With `initiate_from = \"new\"`: port of the old host's sshd, as the new host reaches it. Default: the port that the provider itself uses.",
		PlanModifiers:       []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
	}
}

// validateInitiator finds addresses of the host that is not called.
func (m *forwardingTunnelModel) validateInitiator(diags *diag.Diagnostics) {
	if m.InitiateFrom.IsUnknown() {
		return
	}
	initiator, useless, use := tunnel.OldHost, [2]string{"from_address", "from_port"}, [2]string{"to_address", "to_port"}
	values := []attr.Value{m.FromAddress, m.FromPort}
	if m.InitiateFrom.ValueString() == tunnel.NewHost {
		initiator, useless, use = tunnel.NewHost, use, useless
		values = []attr.Value{m.ToAddress, m.ToPort}
	}
	for i, value := range values {
		if !value.IsNull() {
			diags.AddAttributeError(path.Root(useless[i]), "Not the end that is called",
				fmt.Sprintf("With initiate_from = %q, %s says where the other host is; leave %s out.", initiator, use[i], useless[i]))
		}
	}
}

// acceptInitiator takes over how the new host reaches the old one; null where
// it need not, and unchanged where nothing on the hosts says it any more.
func (m *forwardingTunnelModel) acceptInitiator(t tunnel.Tunnel) {
	switch {
	case t.InitiateFrom != tunnel.NewHost:
		m.FromAddress, m.FromPort = types.StringNull(), types.Int64Null()
	case t.FromAddress != "":
		m.FromAddress, m.FromPort = types.StringValue(t.FromAddress), types.Int64Value(int64(t.FromPort))
	}
}
