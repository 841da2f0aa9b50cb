package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// dataSource is everything that all data sources have in common; M is the
// model. A data source is one with its schema and a callback.
type dataSource[M any] struct {
	name    string        // type name after "cutover_"
	noun    string        // as errors call it: "host"
	timeout time.Duration // default

	schema   func(context.Context) schema.Schema
	timeouts func(*M) timeouts.Value
	// validate says what is wrong with a configuration that may hold unknown
	// values; nil where the schema's validators say it all.
	validate func(ctx context.Context, config *M, diags *diag.Diagnostics)
	// read fills in the computed values. It changes nothing on a host.
	read func(ctx context.Context, known *hosts, model *M) error

	hosts *hosts
}

var (
	_ datasource.DataSourceWithConfigure      = (*dataSource[struct{}])(nil)
	_ datasource.DataSourceWithValidateConfig = (*dataSource[struct{}])(nil)
)

func (d *dataSource[M]) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + d.name
}

func (d *dataSource[M]) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = d.schema(ctx)
}

func (d *dataSource[M]) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	if req.ProviderData == nil {
		return
	}
	known, ok := req.ProviderData.(*hosts)
	if !ok {
		resp.Diagnostics.AddError("Unable to configure "+d.noun, fmt.Sprintf("The provider passed %T. This is a bug of the provider.", req.ProviderData))
		return
	}
	d.hosts = known
}

func (d *dataSource[M]) ValidateConfig(ctx context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	if d.validate == nil {
		return
	}
	var config M
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !resp.Diagnostics.HasError() {
		d.validate(ctx, &config, &resp.Diagnostics)
	}
}

func (d *dataSource[M]) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var model M
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := d.timeouts(&model).Read(ctx, d.timeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := d.read(ctx, d.hosts, &model); err != nil {
		report(&resp.Diagnostics, "read", d.noun, timedOut(ctx, "read", err))
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

// hostAttribute is the attribute of a data source that names its host.
func hostAttribute() schema.Attribute {
	return schema.StringAttribute{
		Required:            true,
		MarkdownDescription: "Name of the host in the provider's `hosts`.",
	}
}

// readTimeoutsAttribute is the attribute "timeouts" that every data source has.
func readTimeoutsAttribute(ctx context.Context) schema.Attribute {
	return timeouts.AttributesWithOpts(ctx, timeouts.Opts{ReadDescription: "How long reading may take, as in `\"1m\"`."})
}

// computedText and the others are attributes that reading fills in.
func computedText(description string) schema.StringAttribute {
	return schema.StringAttribute{Computed: true, MarkdownDescription: description}
}

func computedTexts(description string) schema.ListAttribute {
	return schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: description}
}

func computedTruth(description string) schema.BoolAttribute {
	return schema.BoolAttribute{Computed: true, MarkdownDescription: description}
}

func computedNumber(description string) schema.Int64Attribute {
	return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
}

func computedObjects(description string, attributes map[string]schema.Attribute) schema.ListNestedAttribute {
	return schema.ListNestedAttribute{Computed: true, MarkdownDescription: description, NestedObject: schema.NestedAttributeObject{Attributes: attributes}}
}
