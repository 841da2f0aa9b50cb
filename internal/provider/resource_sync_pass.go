package provider

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/rsyncpass"
)

type syncPassModel struct {
	ID             types.String   `tfsdk:"id"`
	From           types.String   `tfsdk:"from"`
	To             types.String   `tfsdk:"to"`
	Paths          types.List     `tfsdk:"paths"`
	Targets        types.Map      `tfsdk:"targets"`
	Excludes       types.List     `tfsdk:"excludes"`
	Final          types.Bool     `tfsdk:"final"`
	Triggers       types.Map      `tfsdk:"triggers"`
	Vanished       types.String   `tfsdk:"vanished"`
	UnknownOwners  types.String   `tfsdk:"unknown_owners"`
	BandwidthLimit types.Int64    `tfsdk:"bandwidth_limit"`
	Compress       types.Bool     `tfsdk:"compress"`
	Streams        types.Int64    `tfsdk:"streams"`
	Delete         types.String   `tfsdk:"delete"`
	MaxChanges     types.Int64    `tfsdk:"max_changes"`
	Route          types.String   `tfsdk:"route"`
	Verify         types.String   `tfsdk:"verify"`
	FromAddress    types.String   `tfsdk:"from_address"`
	FromPort       types.Int64    `tfsdk:"from_port"`
	SeenAs         types.List     `tfsdk:"seen_as"`
	Timeouts       timeouts.Value `tfsdk:"timeouts"`

	Started          types.String  `tfsdk:"started"`
	Finished         types.String  `tfsdk:"finished"`
	Duration         types.Int64   `tfsdk:"duration"`
	Files            types.Int64   `tfsdk:"files"`
	FilesCreated     types.Int64   `tfsdk:"files_created"`
	FilesTransferred types.Int64   `tfsdk:"files_transferred"`
	FilesVanished    types.Int64   `tfsdk:"files_vanished"`
	FilesDeleted     types.Int64   `tfsdk:"files_deleted"`
	Changes          types.Int64   `tfsdk:"changes"`
	Verified         types.Int64   `tfsdk:"verified"`
	VerifyMeanwhile  types.Int64   `tfsdk:"verify_changed_meanwhile"`
	TrashPath        types.String  `tfsdk:"trash_path"`
	TrashBytes       types.Int64   `tfsdk:"trash_bytes"`
	Bytes            types.Int64   `tfsdk:"bytes"`
	BytesTransferred types.Int64   `tfsdk:"bytes_transferred"`
	BytesLiteral     types.Int64   `tfsdk:"bytes_literal"`
	BytesSent        types.Int64   `tfsdk:"bytes_sent"`
	BytesReceived    types.Int64   `tfsdk:"bytes_received"`
	Rate             types.Int64   `tfsdk:"rate"`
	Speedup          types.Float64 `tfsdk:"speedup"`
	PerPath          types.List    `tfsdk:"per_path"`
	Warnings         types.List    `tfsdk:"warnings"`
	FromRsync        types.String  `tfsdk:"from_rsync"`
	ToRsync          types.String  `tfsdk:"to_rsync"`
	LogPath          types.String  `tfsdk:"log_path"`
}

// perPathType is what a pass did for one of its paths.
var perPathType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"path": types.StringType, "target": types.StringType, "started": types.StringType, "finished": types.StringType, "duration": types.Int64Type,
	"files": types.Int64Type, "regular": types.Int64Type, "directories": types.Int64Type, "links": types.Int64Type, "special": types.Int64Type,
	"files_created": types.Int64Type, "files_transferred": types.Int64Type, "files_deleted": types.Int64Type,
	"changes": types.Int64Type, "verified": types.Int64Type, "whole": types.BoolType, "listing": types.StringType,
	"bytes": types.Int64Type, "bytes_transferred": types.Int64Type, "rate": types.Int64Type, "speedup": types.Float64Type,
}}

func newSyncPassResource() resource.Resource {
	return &lifecycle[syncPassModel]{
		name: "sync_pass",
		noun: "sync pass",
		// A first pass of a large server takes its time; the old host lets the
		// key in for as long.
		timeout:        24 * time.Hour,
		hostAttributes: []string{"from", "to"},
		schema:         syncPassSchema,
		timeouts:       func(m *syncPassModel) timeouts.Value { return m.Timeouts },
		validate:       validateSyncPass,
		plan:           planSyncPass,
		follows:        true,
		create:         createSyncPass,
		read:           func(context.Context, *request[syncPassModel], *syncPassModel) (bool, error) { return true, nil },
		update:         updateSyncPass,
		delete:         deleteSyncPass,
		importHint:     "A pass is something that happened, and no host can say afterwards what. Create the resource instead: a pass copies only what differs.",
	}
}

func syncPassSchema(ctx context.Context) schema.Schema {
	attributes := map[string]schema.Attribute{
		"from": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Host to copy from, by its name in the provider's `hosts`.",
			PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
		},
		"to": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Host to copy to. The pass runs there.",
			PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
		},
		"paths": schema.ListAttribute{
			Required: true, ElementType: types.StringType,
			MarkdownDescription: "Directories to copy, absolute: `[\"/home\", \"/var/mail\"]`. None may contain another. A slash at the end makes no difference.",
			Validators:          []validator.List{listvalidator.SizeAtLeast(1)},
		},
		"targets": schema.MapAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Where the content of a path goes on the new host, by path: `{ \"/var/spool/mail\" = \"/var/mail\" }`. Default: to the same path.",
		},
		"excludes": schema.ListAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Patterns of what is left out, as rsync's `--exclude` reads them below each path: `/admin` is the admin's home below `/home`, `*.tmp` is a file of that kind anywhere.",
		},
		"final": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether this is the last pass, with the services of the old host stopped. A file that vanishes under it is then an error. Default: `false`.",
		},
		"triggers": schema.MapAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Anything; a change of it makes the pass run again.",
		},
		"vanished": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "What it means that files of the old host went away while they were copied: `warn` or `fail`. Default: `fail` in a final pass, else `warn`.",
			Validators:          []validator.String{stringvalidator.OneOf("warn", "fail")},
		},
		"unknown_owners": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("fail"),
			MarkdownDescription: "What it means that files belong to users or groups that the new host does not have, so that they would fall to whoever has their numbers there: `fail`, `warn`, or `ignore`, which does not even look. Default: `fail`.",
			Validators:          []validator.String{stringvalidator.OneOf("fail", "warn", "ignore")},
		},
		"bandwidth_limit": schema.Int64Attribute{
			Optional:            true,
			MarkdownDescription: "Highest rate, in KiB a second, of all streams together. Default: none.",
			Validators:          []validator.Int64{int64validator.AtLeast(1)},
		},
		"compress": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether to compress on the way, by the best method that both rsyncs know (zstd or lz4 since 3.2, else zlib); worth it on a line slower than about 100 Mbit/s. Default: `false`.",
		},
		"streams": schema.Int64Attribute{
			Optional: true,
			MarkdownDescription: "How many rsyncs bring new files side by side, each its own part of them over its own connection, from 1 to 9. " +
				"All names of a file with hard links go with one of them. More streams than CPUs gain nothing, and where the old host has a single slow disk, 1 may be quickest. " +
				"`bandwidth_limit` is shared out among them. Default: as many as the host with fewer CPUs has, at most 4.",
			Validators: []validator.Int64{int64validator.Between(1, 9)},
		},
		"delete": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("trash"),
			MarkdownDescription: "What happens on the new host to what an earlier pass over the same paths has brought and the old host no longer has, and to files that are overwritten: " +
				"`trash` moves them to `trash_path`, `purge` deletes them, and `none` deletes nothing and overwrites for good. " +
				"What no pass has brought, and what was changed on the new host since, is never deleted. Default: `trash`.",
			Validators: []validator.String{stringvalidator.OneOf("trash", "purge", "none")},
		},
		"max_changes": schema.Int64Attribute{
			Optional: true,
			MarkdownDescription: "How many changes since the last pass over the same paths are not too many. A pass that finds more does its work and then fails, " +
				"so that what depends on it, the new host's services for example, does not start. Default: any number.",
			Validators: []validator.Int64{int64validator.AtLeast(1)},
		},
		"route": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("direct"),
			MarkdownDescription: "How the new host reaches the old one: `direct`, or `operator`, for hosts that cannot reach each other: by way of your machine, " +
				"through the provider's own connections to both (and their bastions). The content is encrypted from host to host all the same, with the same key and the same checks. " +
				"The sshd of either host has to allow the provider's login TCP forwarding (`AllowTcpForwarding yes`). " +
				"Such a pass lasts no longer than Terraform or its connections: one that breaks off fails, and goes on where it stopped when it is applied again. Default: `direct`.",
			Validators: []validator.String{stringvalidator.OneOf("direct", rsyncpass.Operator)},
		},
		"verify": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("changed"),
			MarkdownDescription: "What is compared when everything is copied: `none`; `changed`, what this pass has copied; `metadata`, everything that the paths hold; " +
				"or `checksum`, everything, and the content of every file by its SHA-256, which takes as long as both hosts need to read it. " +
				"Each compares kind, mode, owner by name, size, time and hard links of files, and where symbolic links lead; the content of what it copies rsync has checked by itself. " +
				"What differs is an error that names the first 50 paths, and the next pass copies it anew. " +
				"What only the new host has is not looked at, and what the old host has changed meanwhile is counted in `verify_changed_meanwhile`. Default: `changed`.",
			Validators: []validator.String{stringvalidator.OneOf(rsyncpass.Verifications...)},
		},
		"from_address": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Name or address under which the **new host** reaches the old one; with `route = \"operator\"`, under which the old host itself reaches its sshd. Default: the address that the provider itself uses; with `route = \"operator\"`, where the old host's sshd says that it listens.",
		},
		"from_port": schema.Int64Attribute{
			Optional:            true,
			MarkdownDescription: "Port of the old host's sshd, as the new host reaches it, or, with `route = \"operator\"`, the old host itself. Default: the port that the provider itself uses.",
			Validators:          []validator.Int64{int64validator.Between(1, 65535)},
		},
		"seen_as": schema.ListAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Further addresses under which the old host may see the new one, where it is behind NAT. The key of the pass is let in from the new host's addresses and these.",
		},
		"id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Name of the pass, random.",
			PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		},
		"timeouts": timeoutsAttribute(ctx),

		"started":  schema.StringAttribute{Computed: true, MarkdownDescription: "When the first path was begun, in UTC by the new host's clock (RFC 3339)."},
		"finished": schema.StringAttribute{Computed: true, MarkdownDescription: "When the last path was copied, and all compared."},
		"speedup":  schema.Float64Attribute{Computed: true, MarkdownDescription: "How much larger the content is than what went over the wire."},
		"per_path": schema.ListAttribute{Computed: true, ElementType: perPathType, MarkdownDescription: "The same figures for each path, with the kinds of its files; `whole` says that all was compared, as in a first pass. " +
			"`listing` is `changes` where the old host was asked only for what has a newer time of change (ctime) than the last listing, and else says why it listed everything: " +
			"it is the `first` pass, the old host was started anew, its clock was set, something was mounted, or its file system (nfs, btrfs, zfs for example) does not keep such times for all that can happen to it. " +
			"A clock that is set back and forth again between two passes is not noticed."},
		"warnings":   schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What the pass warned of."},
		"from_rsync": schema.StringAttribute{Computed: true, MarkdownDescription: "Version of rsync on the old host."},
		"to_rsync":   schema.StringAttribute{Computed: true, MarkdownDescription: "Version of rsync on the new host."},
		"trash_path": schema.StringAttribute{Computed: true, MarkdownDescription: "Directory on the new host with what was deleted and overwritten: below it one for each run of the pass, named by its time, with one for each path, by its number from 1. Moving a file back restores it. Empty where there is none. It goes with the resource."},
		"log_path":   schema.StringAttribute{Computed: true, MarkdownDescription: "rsync's log of the pass on the new host, a line for each file that was copied. It goes with the resource. While the pass runs, a line beside it, in a file that ends in `.status`, says how far it is; so does Terraform's own log at `TF_LOG=INFO`."},
	}
	for name, description := range map[string]string{
		"duration":          "How long it took, in seconds.",
		"files":             "Everything that the paths hold: files, directories, links, fifos.",
		"files_created":     "What the new host did not have at all.",
		"files_transferred": "Files of which content was copied.",
		"files_vanished":    "Files that went away while they were copied.",
		"files_deleted":     "Files taken away on the new host, because the old one no longer has them.",
		"changes":           "Entries that were new, different or gone since the last pass over the same paths; in a first pass, all.",
		"verified":          "Entries that were compared on both hosts afterwards; see `verify`.",
		"verify_changed_meanwhile": "Entries of these that differ because the old host has changed them since the pass listed it. " +
			"A later pass sees to them; in a final pass, where there should be none, they are warned of.",
		"trash_bytes":       "Size of the trash, on the disk.",
		"bytes":             "Size of all files that the paths hold.",
		"bytes_transferred": "Size of the files of which content was copied.",
		"bytes_literal":     "Content that the new host did not have in an older version of the file.",
		"bytes_sent":        "What the new host sent over the wire.",
		"bytes_received":    "What the new host received over the wire.",
		"rate":              "Bytes a second over the wire.",
	} {
		attributes[name] = schema.Int64Attribute{Computed: true, MarkdownDescription: description}
	}
	return schema.Schema{
		MarkdownDescription: "One rsync pass from the old host to the new. The new host pulls, so the data does not cross your machine; " +
			"hard links, ACLs, extended attributes, holes and owners (by name) are kept.\n\n" +
			"A pass is something that happens: creating the resource runs it, and so does a change of `paths`, `targets`, `excludes`, `final` or `triggers`; " +
			"a refresh changes nothing. To run one again change `triggers`, and do not use `-replace`: that destroys the pass first, and with the only pass of a chain goes what the chain knows, so that what is gone on the old host by then stays on the new one. A migration has several, one after the other: a first pass while everything runs, a warm one, and a final one with the services stopped. " +
			"The passes over the same paths, targets and excludes between the same hosts are a chain: each keeps on the new host a manifest of what the old one had, so that the next copies just what has changed since, " +
			"and takes away what earlier ones have brought and the old host no longer has. What only the new host has is not touched.\n\n" +
			"The pass runs on the new host by itself: when the connection breaks it goes on, and so it does when Terraform is killed; the next apply then takes it over. Ctrl-C ends it. With `route = \"operator\"` it ends with Terraform's connections. " +
			"A pass that broke off goes on where it stopped when it is applied again.\n\n" +
			"The new host logs in to the old with a key made for this pass, which may do nothing but read these paths, from the new host's addresses; " +
			"it is gone from both hosts when the pass has ended, however it did. Destroying the resource forgets the pass and removes its log and its trash, and no copied file; the manifests go with the last pass of their chain. Terraform destroys a pass that did not end well before it makes it anew: what that one has brought stays known, and its trash is kept, until the next pass over the same paths takes both over, for 30 days at most. A pass cannot be imported, for no host can say afterwards what it did.",
		Attributes: attributes,
	}
}

// pass is what the model asks for; unknown values count as unset.
func (m *syncPassModel) pass() rsyncpass.Pass {
	p := rsyncpass.Pass{
		ID:             m.ID.ValueString(),
		Excludes:       stringsOf(m.Excludes),
		BandwidthLimit: m.BandwidthLimit.ValueInt64(),
		Compress:       m.Compress.ValueBool(),
		Streams:        m.Streams.ValueInt64(),
		Delete:         m.Delete.ValueString(),
		MaxChanges:     m.MaxChanges.ValueInt64(),
		Verify:         m.Verify.ValueString(),
		Final:          m.Final.ValueBool(),
		Vanished:       m.Vanished.ValueString(),
		UnknownOwners:  m.UnknownOwners.ValueString(),
		Route:          m.Route.ValueString(),
		FromAddress:    m.FromAddress.ValueString(),
		FromPort:       int(m.FromPort.ValueInt64()),
		SeenAs:         stringsOf(m.SeenAs),
	}
	targets := m.targets()
	for _, source := range stringsOf(m.Paths) {
		each := rsyncpass.Path{Source: directory(source)}
		if target, ok := targets[each.Source].(types.String); ok {
			each.Target = directory(target.ValueString())
		}
		p.Paths = append(p.Paths, each)
	}
	return p
}

// targets are the targets by their paths.
func (m *syncPassModel) targets() map[string]attr.Value {
	targets := map[string]attr.Value{}
	for source, target := range m.Targets.Elements() {
		targets[directory(source)] = target
	}
	return targets
}

func validateSyncPass(_ context.Context, m *syncPassModel, diags *diag.Diagnostics) {
	if known(m.From, m.To) && m.From.Equal(m.To) {
		diags.AddAttributeError(path.Root("to"), "Same host twice", fmt.Sprintf("from and to are both %s; a pass leads from one host to another.", m.From))
	}
	for i, address := range stringsOf(m.SeenAs) {
		if _, err := netip.ParseAddr(address); address != "" && err != nil {
			diags.AddAttributeError(path.Root("seen_as").AtListIndex(i), "Not an address", fmt.Sprintf("%q is no IP address.", address))
		}
	}
	if !whollyKnown(m.Paths) || m.Targets.IsUnknown() || !whollyKnown(m.Excludes) || !whollyKnown(m.SeenAs) || !known(m.FromAddress) || diags.HasError() {
		return
	}
	listed := map[string]bool{}
	for _, source := range stringsOf(m.Paths) {
		listed[directory(source)] = true
	}
	for source, target := range m.Targets.Elements() {
		if !listed[directory(source)] {
			diags.AddAttributeError(path.Root("targets").AtMapKey(source), "Target of no path", fmt.Sprintf("%q is not one of paths.", source))
		}
		if target.IsUnknown() {
			return
		}
	}
	p := m.pass()
	p.ID = "unnamed" // so far
	if err := p.Validate(); err != nil && !diags.HasError() {
		diags.AddAttributeError(path.Root("paths"), "Invalid pass", capitalised(err.Error())+".")
	}
}

// runsAgain reports whether a change makes the pass run again.
func runsAgain(prior, plan *syncPassModel) bool {
	if !whollyKnown(plan.Paths) || !whollyKnown(plan.Targets) {
		return true
	}
	return !slices.Equal(prior.pass().Paths, plan.pass().Paths) || !prior.Excludes.Equal(plan.Excludes) ||
		!prior.Final.Equal(plan.Final) || !prior.Triggers.Equal(plan.Triggers)
}

func planSyncPass(_ context.Context, _ *request[syncPassModel], prior, plan *syncPassModel) error {
	if prior != nil && !runsAgain(prior, plan) && prior.From.Equal(plan.From) && prior.To.Equal(plan.To) {
		plan.keepFigures(prior)
	}
	return nil
}

// keepFigures takes over what an earlier run left.
func (m *syncPassModel) keepFigures(prior *syncPassModel) {
	m.Started, m.Finished, m.Duration = prior.Started, prior.Finished, prior.Duration
	m.Files, m.FilesCreated, m.FilesTransferred, m.FilesVanished = prior.Files, prior.FilesCreated, prior.FilesTransferred, prior.FilesVanished
	m.Verified, m.VerifyMeanwhile = prior.Verified, prior.VerifyMeanwhile
	m.FilesDeleted, m.Changes, m.TrashPath, m.TrashBytes = prior.FilesDeleted, prior.Changes, prior.TrashPath, prior.TrashBytes
	m.Bytes, m.BytesTransferred, m.BytesLiteral = prior.Bytes, prior.BytesTransferred, prior.BytesLiteral
	m.BytesSent, m.BytesReceived, m.Rate, m.Speedup = prior.BytesSent, prior.BytesReceived, prior.Rate, prior.Speedup
	m.PerPath, m.Warnings = prior.PerPath, prior.Warnings
	m.FromRsync, m.ToRsync, m.LogPath = prior.FromRsync, prior.ToRsync, prior.LogPath
}

func createSyncPass(ctx context.Context, r *request[syncPassModel], plan *syncPassModel) error {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	plan.ID = types.StringValue(hex.EncodeToString(random))
	r.identify(*plan)
	return runSyncPass(ctx, r, plan)
}

func updateSyncPass(ctx context.Context, r *request[syncPassModel], prior, plan *syncPassModel) error {
	if !runsAgain(prior, plan) {
		return nil // how a pass goes about it matters to the next run alone
	}
	return runSyncPass(ctx, r, plan)
}

func runSyncPass(ctx context.Context, r *request[syncPassModel], plan *syncPassModel) error {
	from, err := r.host(plan.From)
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := r.host(plan.To)
	if err != nil {
		return at(path.Root("to"), err)
	}
	result, err := rsyncpass.Run(ctx, from, to, plan.pass(), func(status string) {
		tflog.Info(ctx, "sync pass from "+from.Name()+" to "+to.Name()+": "+status)
	})
	for _, warning := range result.Warnings {
		r.warn("Sync pass from "+plan.From.ValueString(), capitalised(warning)+".")
	}
	if err != nil {
		return err
	}
	return plan.show(ctx, result)
}

// show fills in what a pass did.
func (m *syncPassModel) show(ctx context.Context, result rsyncpass.Result) error {
	total := result.Total
	m.Started = types.StringValue(result.Started.Format(time.RFC3339))
	m.Finished = types.StringValue(result.Finished.Format(time.RFC3339))
	m.Duration = types.Int64Value(int64(result.Finished.Sub(result.Started) / time.Second))
	m.Files, m.FilesCreated = types.Int64Value(total.Files), types.Int64Value(total.Created)
	m.FilesTransferred, m.FilesVanished = types.Int64Value(total.Transferred), types.Int64Value(result.Vanished)
	m.Bytes, m.BytesTransferred = types.Int64Value(total.TotalBytes), types.Int64Value(total.TransferredBytes)
	m.FilesDeleted, m.Changes = types.Int64Value(total.Deleted), types.Int64Value(result.Changes)
	m.Verified, m.VerifyMeanwhile = types.Int64Value(result.Verified), types.Int64Value(result.ChangedMeanwhile)
	m.TrashPath, m.TrashBytes = types.StringValue(result.TrashPath), types.Int64Value(result.TrashBytes)
	m.BytesLiteral = types.Int64Value(total.LiteralBytes)
	m.BytesSent, m.BytesReceived = types.Int64Value(total.SentBytes), types.Int64Value(total.ReceivedBytes)
	m.Rate, m.Speedup = types.Int64Value(total.Rate()), types.Float64Value(total.Speedup())
	m.FromRsync, m.ToRsync = types.StringValue(result.FromRsync), types.StringValue(result.ToRsync)
	m.LogPath = types.StringValue(result.LogPath)

	var perPath []attr.Value
	for _, each := range result.Paths {
		s := each.Stats
		perPath = append(perPath, types.ObjectValueMust(perPathType.AttrTypes, map[string]attr.Value{
			"path": types.StringValue(each.Source), "target": types.StringValue(each.Target),
			"started": types.StringValue(each.Started.Format(time.RFC3339)), "finished": types.StringValue(each.Finished.Format(time.RFC3339)),
			"duration": types.Int64Value(int64(s.Duration / time.Second)),
			"files":    types.Int64Value(s.Files), "regular": types.Int64Value(s.Regular), "directories": types.Int64Value(s.Directories),
			"links": types.Int64Value(s.Links), "special": types.Int64Value(s.Special),
			"files_created": types.Int64Value(s.Created), "files_transferred": types.Int64Value(s.Transferred), "files_deleted": types.Int64Value(s.Deleted),
			"changes": types.Int64Value(each.Changes), "verified": types.Int64Value(each.Verified), "whole": types.BoolValue(each.Whole), "listing": types.StringValue(each.Listing),
			"bytes": types.Int64Value(s.TotalBytes), "bytes_transferred": types.Int64Value(s.TransferredBytes),
			"rate": types.Int64Value(s.Rate()), "speedup": types.Float64Value(s.Speedup()),
		}))
	}
	var diags, more diag.Diagnostics
	m.PerPath, diags = types.ListValue(perPathType, perPath)
	m.Warnings, more = types.ListValueFrom(ctx, types.StringType, append([]string{}, result.Warnings...))
	diags.Append(more...)
	if diags.HasError() {
		return errors.New(strings.TrimSpace(diags.Errors()[0].Detail()))
	}
	return nil
}

func deleteSyncPass(ctx context.Context, r *request[syncPassModel], state *syncPassModel) error {
	to, err := r.host(state.To)
	if err != nil {
		return at(path.Root("to"), err)
	}
	// The old host may be gone by now; only a pass that broke off has anything
	// to look for there.
	var from host.Host
	if state.Finished.IsNull() {
		if from, err = r.unlessRetired(state.From); err != nil {
			return at(path.Root("from"), err)
		}
	}
	// One that broke off, and whose old host is retired, is forgotten like one that
	// ended: there is no next pass to keep anything for, and what still runs of it
	// ends by itself.
	return rsyncpass.Forget(ctx, from, to, state.pass(), from != nil)
}
