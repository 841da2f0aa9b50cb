package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/machine"
)

type hostFactsModel struct {
	Host           types.String    `tfsdk:"host"`
	OSID           types.String    `tfsdk:"os_id"`
	OSVersion      types.String    `tfsdk:"os_version"`
	OSName         types.String    `tfsdk:"os_name"`
	Kernel         types.String    `tfsdk:"kernel"`
	Architecture   types.String    `tfsdk:"architecture"`
	Hostname       types.String    `tfsdk:"hostname"`
	Init           types.String    `tfsdk:"init"`
	SSHDVersion    types.String    `tfsdk:"sshd_version"`
	RsyncVersion   types.String    `tfsdk:"rsync_version"`
	ApacheVersion  types.String    `tfsdk:"apache_version"`
	NginxVersion   types.String    `tfsdk:"nginx_version"`
	DovecotVersion types.String    `tfsdk:"dovecot_version"`
	MTA            types.String    `tfsdk:"mta"`
	MTAVersion     types.String    `tfsdk:"mta_version"`
	Firewall       types.String    `tfsdk:"firewall"`
	Listeners      []listenerModel `tfsdk:"listeners"`
	Timeouts       timeouts.Value  `tfsdk:"timeouts"`
}

type listenerModel struct {
	Address types.String `tfsdk:"address"`
	Port    types.Int64  `tfsdk:"port"`
	Process types.String `tfsdk:"process"`
}

func newHostDataSource() datasource.DataSource {
	return &dataSource[hostFactsModel]{
		name:     "host",
		noun:     "host",
		timeout:  time.Minute,
		schema:   hostFactsSchema,
		timeouts: func(m *hostFactsModel) timeouts.Value { return m.Timeouts },
		read:     readHostFacts,
	}
}

func hostFactsSchema(ctx context.Context) schema.Schema {
	attributes := map[string]schema.Attribute{
		"host": hostAttribute(),
		"listeners": schema.ListNestedAttribute{
			Computed:            true,
			MarkdownDescription: "Listening TCP sockets, by port and address.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"address": schema.StringAttribute{Computed: true, MarkdownDescription: "Address; `0.0.0.0` and `::` are all addresses."},
				"port":    schema.Int64Attribute{Computed: true, MarkdownDescription: "TCP port it listens on."},
				"process": schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the process that listens."},
			}},
		},
		"timeouts": readTimeoutsAttribute(ctx),
	}
	for name, description := range map[string]string{
		"os_id":           "Operating system, as `ID` of os-release: `debian`.",
		"os_version":      "Its version, with the point release where the host knows it: `11.11`.",
		"os_name":         "Its name for people: `Debian GNU/Linux 11 (bullseye)`.",
		"kernel":          "Release of the kernel.",
		"architecture":    "Architecture, as `uname -m` gives it: `x86_64`.",
		"hostname":        "The host's own name.",
		"init":            "`systemd`, `sysv` or `openrc`.",
		"sshd_version":    "Version of OpenSSH.",
		"rsync_version":   "Version of rsync; null where there is none.",
		"apache_version":  "Version of Apache; null where there is none.",
		"nginx_version":   "Version of nginx; null where there is none.",
		"dovecot_version": "Version of Dovecot; null where there is none.",
		"mta":             "`postfix`, `sendmail`, `exim` or `opensmtpd`: the one that listens on port 25 where several are installed.",
		"mta_version":     "Its version.",
		"firewall":        "Tool of the packet filter: `nft` or `iptables`.",
	} {
		attributes[name] = schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	return schema.Schema{
		MarkdownDescription: "What a machine is: its system, the versions of what a cutover moves, and which process listens on which port. It takes one round trip.",
		Attributes:          attributes,
	}
}

func readHostFacts(ctx context.Context, known *hosts, model *hostFactsModel) error {
	h, err := known.Get(model.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	m, err := machine.Inspect(ctx, h)
	if err != nil {
		return err
	}
	for field, value := range map[*types.String]string{
		&model.OSID: m.OSID, &model.OSVersion: m.OSVersion, &model.OSName: m.OSName,
		&model.Kernel: m.Kernel, &model.Architecture: m.Architecture, &model.Hostname: m.Hostname, &model.Init: m.Init,
		&model.SSHDVersion: m.SSHD, &model.RsyncVersion: m.Rsync, &model.ApacheVersion: m.Apache,
		&model.NginxVersion: m.Nginx, &model.DovecotVersion: m.Dovecot,
		&model.MTA: m.MTA, &model.MTAVersion: m.MTAVersion, &model.Firewall: m.Firewall,
	} {
		*field = textOrNull(value)
	}
	model.Listeners = []listenerModel{}
	for _, l := range m.Listeners {
		model.Listeners = append(model.Listeners, listenerModel{
			Address: types.StringValue(l.Address), Port: types.Int64Value(int64(l.Port)), Process: textOrNull(l.Process),
		})
	}
	return nil
}

// textOrNull is null for what is not there.
func textOrNull(text string) types.String {
	if text == "" {
		return types.StringNull()
	}
	return types.StringValue(text)
}
