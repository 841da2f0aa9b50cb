package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

type syncPreviewModel struct {
	ID          types.String   `tfsdk:"id"`
	From        types.String   `tfsdk:"from"`
	To          types.String   `tfsdk:"to"`
	Paths       types.List     `tfsdk:"paths"`
	Targets     types.Map      `tfsdk:"targets"`
	Excludes    types.List     `tfsdk:"excludes"`
	Delete      types.String   `tfsdk:"delete"`
	OnConflict  types.String   `tfsdk:"on_conflict"`
	Verify      types.String   `tfsdk:"verify"`
	Route       types.String   `tfsdk:"route"`
	FromAddress types.String   `tfsdk:"from_address"`
	FromPort    types.Int64    `tfsdk:"from_port"`
	SeenAs      types.List     `tfsdk:"seen_as"`
	Timeouts    timeouts.Value `tfsdk:"timeouts"`

	First    types.Bool                  `tfsdk:"first"`
	Changes  types.Int64                 `tfsdk:"changes"`
	Bytes    types.Int64                 `tfsdk:"bytes"`
	Estimate types.Int64                 `tfsdk:"estimate"`
	Kinds    map[string]previewKindModel `tfsdk:"kinds"`
	Warnings []string                    `tfsdk:"warnings"`
}

type previewKindModel struct {
	Count types.Int64 `tfsdk:"count"`
	Paths []string    `tfsdk:"paths"`
}

func newSyncPreviewDataSource() datasource.DataSource {
	return &dataSource[syncPreviewModel]{
		name:     "sync_preview",
		noun:     "sync preview",
		timeout:  30 * time.Minute,
		schema:   syncPreviewSchema,
		timeouts: func(m *syncPreviewModel) timeouts.Value { return m.Timeouts },
		validate: validateSyncPreview,
		read:     readSyncPreview,
	}
}

func syncPreviewSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "What a `cutover_sync_pass` would do now, without doing it: what is listed on both hosts is compared with what the chain of passes has brought, and nothing is changed. " +
			"\"To make sure there are only minor changes for the next step\" is then a plan, and a `check` block.\n\n" +
			"The arguments are those of the pass, and have to be the same: the passes over the same paths and targets between the same hosts are a chain. " +
			"The old host lets the new one in with a key made for the preview, as for a pass; where no pass is on a host, all that was put there for it is gone afterwards.",
		Attributes: map[string]schema.Attribute{
			"from": schema.StringAttribute{Required: true, MarkdownDescription: "Host that a pass would copy from, by its name in the provider's `hosts`."},
			"to":   schema.StringAttribute{Required: true, MarkdownDescription: "Host that it would copy to."},
			"paths": schema.ListAttribute{
				Required: true, ElementType: types.StringType,
				MarkdownDescription: "Directories, as in the pass.",
				Validators:          []validator.List{listvalidator.SizeAtLeast(1)},
			},
			"targets":  schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Where the content of a path goes, by path. Default: to the same path."},
			"excludes": schema.ListAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Patterns of what is left out, as rsync's `--exclude` reads them."},
			"delete": schema.StringAttribute{
				Optional: true, MarkdownDescription: "As in the pass: `none` takes nothing away. Default: `trash`.",
				Validators: []validator.String{stringvalidator.OneOf("trash", "purge", "none")},
			},
			"on_conflict": schema.StringAttribute{
				Optional: true, MarkdownDescription: "As in the pass. Default: `replace`.",
				Validators: []validator.String{stringvalidator.OneOf("replace", "fail")},
			},
			"verify": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How much of the new host is looked at: `changed`, its directories and what the old host has changed; `metadata`, everything; " +
					"`checksum`, everything, with the content of every file on both hosts. Default: `changed`.",
				Validators: []validator.String{stringvalidator.OneOf("changed", "metadata", "checksum")},
			},
			"route": schema.StringAttribute{
				Optional: true, MarkdownDescription: "As in the pass: `direct` or `operator`. Default: `direct`.",
				Validators: []validator.String{stringvalidator.OneOf("direct", syncpass.Operator)},
			},
			"from_address": schema.StringAttribute{Optional: true, MarkdownDescription: "Name or address under which the new host reaches the old one. Default: the address that the provider itself uses."},
			"from_port": schema.Int64Attribute{
				Optional: true, MarkdownDescription: "Port of the old host's sshd, as the new host reaches it. Default: the port that the provider itself uses.",
				Validators: []validator.Int64{int64validator.Between(1, 65535)},
			},
			"seen_as":  schema.ListAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Further addresses under which the old host may see the new one, where it is behind NAT."},
			"id":       schema.StringAttribute{Computed: true, MarkdownDescription: "`from/to`."},
			"timeouts": readTimeoutsAttribute(ctx),

			"first":    schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether no pass of the chain has brought anything yet, so that the next one would be the first."},
			"changes":  schema.Int64Attribute{Computed: true, MarkdownDescription: "Entries that are new, different or gone on the old host since the last pass: what `max_changes` of the pass is held against."},
			"bytes":    schema.Int64Attribute{Computed: true, MarkdownDescription: "Size of the files that would be copied, in bytes. Of a large file that was appended to or changed in part, a pass sends less."},
			"estimate": schema.Int64Attribute{Computed: true, MarkdownDescription: "How long the pass would take, in seconds, by the time that listing took now and the rates of the last pass; null where no pass of the chain has copied enough to know."},
			"kinds": schema.MapNestedAttribute{
				Computed: true,
				MarkdownDescription: "What it would do, and what it would say, by kind; a kind of which there is nothing has the count 0. " +
					"`created`: the new host does not have it. `updated`: content changed. `attributes`: owner, mode, times, ACLs or extended attributes alone. `renamed`: the old host has it under another name. " +
					"`deleted`: gone on the old host. `lost`: was brought, and the new host has it no more. `conflicts`: the new host has something of its own in its place. " +
					"`left`: changed on the new host alone. `kept`: gone on the old host, changed on the new. `unread`: cannot be read on the old host. " +
					"`unknown_owners`: belongs to somebody whom the new host does not know. `unmounted`: what was mounted there is not, or is another.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"count": schema.Int64Attribute{Computed: true, MarkdownDescription: "How many entries."},
					"paths": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The first 50 of them, as the old host calls them."},
				}},
			},
			"warnings": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What a pass would warn of."},
		},
	}
}

// pass is the pass that the preview is of, as the resource's model writes it down.
func (m *syncPreviewModel) pass() *syncPassModel {
	return &syncPassModel{
		ID: types.StringValue("preview"), From: m.From, To: m.To, Paths: m.Paths, Targets: m.Targets, Excludes: m.Excludes,
		Delete: m.Delete, OnConflict: m.OnConflict, Verify: m.Verify, Route: m.Route, FromAddress: m.FromAddress, FromPort: m.FromPort, SeenAs: m.SeenAs,
	}
}

func validateSyncPreview(ctx context.Context, m *syncPreviewModel, diags *diag.Diagnostics) {
	validateSyncPass(ctx, m.pass(), diags)
}

func readSyncPreview(ctx context.Context, known *hosts, m *syncPreviewModel) error {
	from, err := known.Get(m.From.ValueString())
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := known.Get(m.To.ValueString())
	if err != nil {
		return at(path.Root("to"), err)
	}
	foreseen, err := syncpass.Preview(ctx, from, to, m.pass().pass())
	if err != nil {
		return err
	}
	m.ID = types.StringValue(m.From.ValueString() + "/" + m.To.ValueString())
	m.First, m.Changes, m.Bytes = types.BoolValue(foreseen.First), types.Int64Value(foreseen.Changes), types.Int64Value(foreseen.Bytes)
	m.Estimate = types.Int64Null()
	if foreseen.Estimate > 0 {
		m.Estimate = types.Int64Value(max(1, int64(foreseen.Estimate.Round(time.Second)/time.Second)))
	}
	m.Kinds = map[string]previewKindModel{}
	for _, kind := range syncpass.Kinds {
		found := foreseen.Kinds[kind]
		of := previewKindModel{Count: types.Int64Value(found.Count), Paths: []string{}}
		for _, each := range found.Paths {
			of.Paths = append(of.Paths, each.Path)
		}
		m.Kinds[kind] = of
	}
	m.Warnings = append([]string{}, foreseen.Warnings...)
	return nil
}
