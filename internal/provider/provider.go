// Package provider is what Terraform sees: schemas, the lifecycle of resources
// and data sources, and diagnostics. It is the only package that imports
// terraform-plugin-*; what happens on hosts is the business of the domain
// packages, which it calls.
package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

type cutoverProvider struct {
	version string
	// connected is told of each pool of hosts, for tests that count what is
	// asked of them; nil otherwise.
	connected func(*host.Pool)
}

var _ provider.Provider = (*cutoverProvider)(nil)

// New returns the provider's constructor for a version of it.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &cutoverProvider{version: version} }
}

func (p *cutoverProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "cutover"
	resp.Version = p.version
}

// providerModel is the provider's block.
type providerModel struct {
	Hosts        types.Map  `tfsdk:"hosts"`
	ForceDestroy types.Bool `tfsdk:"force_destroy"`
}

func (p *cutoverProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Moves a live server to a new machine: accounts, homes, services, sync passes and SSH relays as resources.",
		Attributes: map[string]schema.Attribute{
			"hosts": hostsAttribute(),
			"force_destroy": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether tunnels may be destroyed whatever their `retire_when` says: for the way back to the old host. It counts at once, so give it a variable. Default: `false`.",
			},
		},
	}
}

func (p *cutoverProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	known, diags := newHosts(ctx, config.Hosts)
	resp.Diagnostics.Append(diags...)
	known.forceDestroy = config.ForceDestroy.ValueBool()
	if p.connected != nil && known.pool != nil {
		p.connected(known.pool)
	}
	resp.ResourceData = known
	resp.DataSourceData = known
}

// Resources and DataSources are in the order in which a cutover uses them. A
// new one is a line here and a file of its name beside this one.

func (p *cutoverProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		newHostUserResource,
		newHomeSkeletonResource,
		newMaildirResource,
		newLoginLockResource,
		newVhostResource,
		newServiceResource,
		newSyncPassResource,
		newConnectionHoldResource,
		newForwardingTunnelResource,
		newMailQueueMoveResource,
	}
}

func (p *cutoverProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		newHostDataSource,
		newHostUsersDataSource,
		newVhostsDataSource,
		newMailDataSource,
		newServiceCheckDataSource,
		newSyncPreviewDataSource,
		newTunnelTrafficDataSource,
		newMailQueueDataSource,
		newDNSPropagationDataSource,
		newMigrationAuditDataSource,
	}
}
