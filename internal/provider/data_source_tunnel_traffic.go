package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/traffic"
	"github.com/cutover-dev/terraform-provider-cutover/internal/tunnel"
)

type tunnelTrafficModel struct {
	ID       types.String                  `tfsdk:"id"`
	Host     types.String                  `tfsdk:"host"`
	Name     types.String                  `tfsdk:"name"`
	Since    types.String                  `tfsdk:"since"`
	Last     types.String                  `tfsdk:"last_connection"`
	Ports    map[string]trafficOnPortModel `tfsdk:"ports"`
	Timeouts timeouts.Value                `tfsdk:"timeouts"`
}

type trafficOnPortModel struct {
	Connections types.Int64       `tfsdk:"connections"`
	Last        types.String      `tfsdk:"last_connection"`
	Received    types.Int64       `tfsdk:"bytes_received"`
	Sent        types.Int64       `tfsdk:"bytes_sent"`
	Clients     map[string]string `tfsdk:"clients"`
}

func newTunnelTrafficDataSource() datasource.DataSource {
	return &dataSource[tunnelTrafficModel]{
		name:     "tunnel_traffic",
		noun:     "tunnel traffic",
		timeout:  time.Minute,
		schema:   tunnelTrafficSchema,
		timeouts: func(m *tunnelTrafficModel) timeouts.Value { return m.Timeouts },
		read:     readTunnelTraffic,
	}
}

func tunnelTrafficSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Who still comes to the old host's relayed ports: what tells when a tunnel is no longer needed, and whose settings still name the old address.\n\n" +
			"The kernel of the old host counts, by rules that the tunnel brings along and takes away: an nftables table, or chains in iptables and ip6tables where nftables is not there. " +
			"Nothing else runs for it. Counting begins with the tunnel, and anew when its ports change, when the host boots and when its rules are loaded again; `since` says when that was. " +
			"Connections from the old host itself are not counted.",
		Attributes: map[string]schema.Attribute{
			"host": hostAttribute(),
			"name": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of the `cutover_forwarding_tunnel` that leads from this host. Default: `relay`.",
				Validators:          []validator.String{checkedText{"the name of a tunnel", tunnel.ValidName}},
			},
			"since": schema.StringAttribute{Computed: true, MarkdownDescription: "When counting began, by the host's clock, in UTC (RFC 3339)."},
			"last_connection": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When a client last opened a connection to any of the ports; null where none has.",
			},
			"ports": schema.MapNestedAttribute{
				Computed:            true,
				MarkdownDescription: "What came to each port of the old host, by the port's number.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"connections":     schema.Int64Attribute{Computed: true, MarkdownDescription: "Requests for a connection, those that a client repeated included."},
					"last_connection": schema.StringAttribute{Computed: true, MarkdownDescription: "When the last one came; null where none has."},
					"bytes_received":  schema.Int64Attribute{Computed: true, MarkdownDescription: "Bytes that came from clients, the headers of their packets included."},
					"bytes_sent":      schema.Int64Attribute{Computed: true, MarkdownDescription: "Bytes that went to clients, likewise; null where iptables counts, which cannot tell them."},
					"clients": schema.MapAttribute{
						Computed: true, ElementType: types.StringType,
						MarkdownDescription: fmt.Sprintf("Addresses of recent clients, each with the time of its last connection. nftables remembers a client for %d days, iptables the last %d clients of a port and family.",
							int(traffic.Keep.Hours()/24), traffic.RecentClients),
					},
				}},
			},
			"id":       schema.StringAttribute{Computed: true, MarkdownDescription: "`host/name`."},
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func readTunnelTraffic(ctx context.Context, known *hosts, m *tunnelTrafficModel) error {
	h, err := known.Get(m.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	name := m.Name.ValueString()
	if m.Name.IsNull() {
		name = "relay"
	}
	counted, err := traffic.Read(ctx, h, name)
	if err != nil {
		return err
	}
	m.ID = types.StringValue(m.Host.ValueString() + "/" + name)
	m.Since = moment(counted.Since)
	m.Ports = map[string]trafficOnPortModel{}
	var last time.Time
	for _, port := range counted.Ports {
		on := trafficOnPortModel{
			Connections: types.Int64Value(port.Connections), Last: moment(port.Last()),
			Received: types.Int64Value(port.Received), Sent: types.Int64Value(port.Sent),
			Clients: map[string]string{},
		}
		if port.Sent < 0 {
			on.Sent = types.Int64Null()
		}
		for _, client := range port.Clients {
			on.Clients[client.Address] = moment(client.Last).ValueString()
		}
		m.Ports[fmt.Sprint(port.Number)] = on
		if port.Last().After(last) {
			last = port.Last()
		}
	}
	m.Last = moment(last)
	return nil
}

// moment is a time as RFC 3339 has it, in UTC; null for none.
func moment(t time.Time) types.String {
	if t.IsZero() {
		return types.StringNull()
	}
	return types.StringValue(t.UTC().Format(time.RFC3339))
}

// countTraffic begins to count who comes through a tunnel. The tunnel is no
// worse without, so what goes wrong is a warning.
func countTraffic(ctx context.Context, from host.Host, t tunnel.Tunnel) error {
	var ports []int
	for _, f := range t.Forwards {
		ports = append(ports, f.ListenPort)
	}
	return traffic.Begin(ctx, from, t.Name, ports)
}
