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

	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
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
	Delete         types.String   `tfsdk:"delete"`
	OnConflict     types.String   `tfsdk:"on_conflict"`
	MaxChanges     types.Int64    `tfsdk:"max_changes"`
	Route          types.String   `tfsdk:"route"`
	Verify         types.String   `tfsdk:"verify"`
	FromAddress    types.String   `tfsdk:"from_address"`
	FromPort       types.Int64    `tfsdk:"from_port"`
	SeenAs         types.List     `tfsdk:"seen_as"`
	OnDestroy      types.String   `tfsdk:"on_destroy"`
	ToAddress      types.String   `tfsdk:"to_address"`
	ToPort         types.Int64    `tfsdk:"to_port"`
	Timeouts       timeouts.Value `tfsdk:"timeouts"`

	Started          types.String  `tfsdk:"started"`
	Finished         types.String  `tfsdk:"finished"`
	Duration         types.Int64   `tfsdk:"duration"`
	Files            types.Int64   `tfsdk:"files"`
	FilesCreated     types.Int64   `tfsdk:"files_created"`
	FilesTransferred types.Int64   `tfsdk:"files_transferred"`
	FilesVanished    types.Int64   `tfsdk:"files_vanished"`
	FilesDeleted     types.Int64   `tfsdk:"files_deleted"`
	FilesRenamed     types.Int64   `tfsdk:"files_renamed"`
	FilesConflicting types.Int64   `tfsdk:"files_conflicting"`
	FilesLost        types.Int64   `tfsdk:"files_lost"`
	FilesLeft        types.Int64   `tfsdk:"files_left"`
	FilesKept        types.Int64   `tfsdk:"files_kept"`
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
	LogPath          types.String  `tfsdk:"log_path"`
}

// perPathType is what a pass did for one of its paths.
var perPathType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"path": types.StringType, "target": types.StringType, "started": types.StringType, "finished": types.StringType, "duration": types.Int64Type,
	"files": types.Int64Type, "regular": types.Int64Type, "directories": types.Int64Type, "links": types.Int64Type, "special": types.Int64Type,
	"files_created": types.Int64Type, "files_transferred": types.Int64Type, "files_deleted": types.Int64Type,
	"changes": types.Int64Type, "verified": types.Int64Type, "whole": types.BoolType,
	"bytes": types.Int64Type, "bytes_transferred": types.Int64Type, "rate": types.Int64Type, "speedup": types.Float64Type,
}}

func newSyncPassResource() resource.Resource {
	return &lifecycle[syncPassModel]{
		name: "sync_pass",
		noun: "sync pass",
		// A first pass of a large server takes its time; the old host lets the
		// key in for as long as the operation may take.
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
			MarkdownDescription: "Patterns of what is left out, as rsync's `--exclude` reads them below each path: `/admin` is the admin's home below `/home`, `*.tmp` is a file of that kind anywhere. The first pattern that matches decides; one that begins with `+ ` keeps what it matches.",
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
			MarkdownDescription: "Highest rate, in KiB a second, of the pass as a whole. Default: none.",
			Validators:          []validator.Int64{int64validator.AtLeast(1)},
		},
		"compress": schema.BoolAttribute{
			Optional:            true,
			MarkdownDescription: "Whether files are compressed on the way, by zstd. Default: the pass tries both, and goes on with what is faster.",
		},
		"delete": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("trash"),
			MarkdownDescription: "What happens on the new host to what an earlier pass over the same paths has brought and the old host no longer has, and to files that are overwritten: " +
				"`trash` moves them to `trash_path`, `purge` deletes them, and `none` deletes nothing and overwrites for good. " +
				"What no pass has brought, and what was changed on the new host since, is never deleted. Default: `trash`.",
			Validators: []validator.String{stringvalidator.OneOf("trash", "purge", "none")},
		},
		"on_conflict": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("replace"),
			MarkdownDescription: "What happens where the old host has something new or changed, and the new host has something of its own in its place: it was there before any pass, or was changed since one brought it. " +
				"`replace` copies the old host's; the new host's own goes to `trash_path` with `delete = \"trash\"`, and a warning names it. `fail` leaves the new host's own, copies all the rest and fails. Default: `replace`.",
			Validators: []validator.String{stringvalidator.OneOf("replace", "fail")},
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
			Validators: []validator.String{stringvalidator.OneOf("direct", syncpass.Operator)},
		},
		"verify": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString("changed"),
			MarkdownDescription: "What is compared: `none`; `changed`, what this pass has copied; `metadata`, everything that the paths hold; " +
				"or `checksum`, everything, and the content of every file, which takes as long as both hosts need to read it. " +
				"Each compares kind, mode, owner by name, size, time and hard links of files, and where symbolic links lead; the content of what it copies a pass compares always, by a hash that is taken while it is read. " +
				"What this pass has copied and is not as it left it is an error that names the first 50 paths; with `metadata` and `checksum` so is what was changed on the new host since an earlier pass. It is left as it is: remove it there, and the next pass copies it anew. " +
				"What only the new host has is not looked at, and what the old host has changed meanwhile is counted in `verify_changed_meanwhile`. Default: `changed`.",
			Validators: []validator.String{stringvalidator.OneOf(syncpass.Verifications...)},
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
		"on_destroy": onDestroyOfSyncPass(),
		"to_address": toAddressOfSyncPass(),
		"to_port":    toPortOfSyncPass(),
		"id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Name of the pass, random.",
			PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		},
		"timeouts": timeoutsAttribute(ctx),

		"started":    schema.StringAttribute{Computed: true, MarkdownDescription: "When the first path was begun, in UTC by the new host's clock (RFC 3339)."},
		"finished":   schema.StringAttribute{Computed: true, MarkdownDescription: "When the last path was copied, and all compared."},
		"speedup":    schema.Float64Attribute{Computed: true, MarkdownDescription: "How much larger the content is than what went over the wire."},
		"per_path":   schema.ListAttribute{Computed: true, ElementType: perPathType, MarkdownDescription: "The same figures for each path, with the kinds of its files; `whole` says that all was compared, as in a first pass."},
		"warnings":   schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What the pass warned of."},
		"trash_path": schema.StringAttribute{Computed: true, MarkdownDescription: "Directory on the new host with what was deleted and overwritten: below it one for each run of the pass, named by its time, with one for each path, by its number from 1. Moving a file back restores it. Empty where there is none. It goes with the resource."},
		"log_path":   schema.StringAttribute{Computed: true, MarkdownDescription: "Log of the pass on the new host: a line for each entry that was made, changed or taken away, and for each that something is said of. It goes with the resource. While the pass runs, a line beside it, in a file that ends in `.status`, says how far it is; so does Terraform's own log at `TF_LOG=INFO`."},
	}
	for name, description := range map[string]string{
		"duration":          "How long it took, in seconds.",
		"files":             "Everything that the paths hold: files, directories, links, fifos.",
		"files_created":     "What the new host did not have at all.",
		"files_transferred": "Files of which content was copied.",
		"files_vanished":    "Files that went away while they were copied.",
		"files_deleted":     "What was taken away on the new host, because the old one no longer has it.",
		"files_renamed":     "Files that the old host has under another name now, and that were renamed on the new one instead of copied.",
		"files_conflicting": "What the new host had of its own in the place of something new or changed on the old one; see `on_conflict`.",
		"files_lost":        "What an earlier pass had brought and the new host had no more, so that it was copied again: after a restore from a backup, for example.",
		"files_left":        "What was changed on the new host since a pass brought it, and not on the old one, as far as this pass has seen it; it is left as it is.",
		"files_kept":        "What is gone on the old host and stays on the new one, where it was changed since a pass brought it.",
		"changes":           "Entries that were new, different or gone since the last pass over the same paths; in a first pass, all.",
		"verified":          "Entries that were compared; see `verify`.",
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
		MarkdownDescription: "One sync pass from the old host to the new. The new host pulls, so the data does not cross your machine; " +
			"hard links, ACLs, extended attributes, file capabilities, holes and owners (by name) are kept. Neither host needs rsync.\n\n" +
			"A pass is something that happens: creating the resource runs it, and so does a change of `paths`, `targets`, `excludes`, `final` or `triggers`; " +
			"a refresh changes nothing. To run one again change `triggers`, and do not use `-replace`: that destroys the pass first, and with the only pass of a chain goes what the chain knows, so that what is gone on the old host by then stays on the new one. A migration has several, one after the other: a first pass while everything runs, a warm one, and a final one with the services stopped. " +
			"The passes over the same paths and targets between the same hosts are a chain: each notes on the new host what it has brought, so that the next copies just what has changed since, " +
			"and takes away what earlier ones have brought and the old host no longer has. What only the new host has is not touched. What it has lost since is copied again, and what was changed there is left, or replaced where the old host has changed it too; either is said.\n\n" +
			"The pass runs on the new host by itself: when the connection breaks it goes on, and so it does when Terraform is killed; the next apply then takes it over. Ctrl-C ends it. With `route = \"operator\"` it ends with Terraform's connections. " +
			"A pass that broke off goes on where it stopped when it is applied again.\n\n" +
			"The new host logs in to the old with a key made for this pass, which may do nothing but read these paths, from the new host's addresses; " +
			"it is gone from both hosts when the pass has ended, however it did, and is of no use any more when the time allowed for the operation is over. " +
			"What does the work on either host is one static program, which the provider puts into `/var/lib/cutover`, where programs have to be allowed to run (not `noexec`); it needs Linux 3.6, and goes with the last pass. Destroying the resource forgets the pass and removes its log and its trash, and no copied file; what the chain knows goes with its last pass. Terraform destroys a pass that did not end well before it makes it anew: what that one has brought stays known, and its trash is kept, until the next pass over the same paths takes both over, for 30 days at most. A pass cannot be imported, for no host can say afterwards what it did.",
		Attributes: attributes,
	}
}

// compress is what the attribute says to the pass.
func compress(attribute types.Bool) string {
	switch {
	case attribute.IsNull() || attribute.IsUnknown():
		return ""
	case attribute.ValueBool():
		return "always"
	}
	return "never"
}

// pass is what the model asks for; unknown values count as unset.
func (m *syncPassModel) pass() syncpass.Pass {
	p := syncpass.Pass{
		ID:             m.ID.ValueString(),
		Excludes:       stringsOf(m.Excludes),
		BandwidthLimit: m.BandwidthLimit.ValueInt64(),
		Compress:       compress(m.Compress),
		Delete:         m.Delete.ValueString(),
		OnConflict:     m.OnConflict.ValueString(),
		MaxChanges:     m.MaxChanges.ValueInt64(),
		Verify:         m.Verify.ValueString(),
		Final:          m.Final.ValueBool(),
		Vanished:       m.Vanished.ValueString(),
		UnknownOwners:  m.UnknownOwners.ValueString(),
		Route:          m.Route.ValueString(),
		FromAddress:    m.FromAddress.ValueString(),
		FromPort:       int(m.FromPort.ValueInt64()),
		SeenAs:         stringsOf(m.SeenAs),
		ToAddress:      m.ToAddress.ValueString(),
		ToPort:         int(m.ToPort.ValueInt64()),
	}
	targets := m.targets()
	for _, source := range stringsOf(m.Paths) {
		each := syncpass.Path{Source: directory(source)}
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
	if m.OnDestroy.ValueString() == bringsBack && known(m.Final) && !m.Final.ValueBool() {
		diags.AddAttributeError(path.Root("on_destroy"), "Not a final pass", "What the new host has received is brought back by the final pass: its on_destroy = \"bring_back\" needs final = true.")
	}
	for i, address := range stringsOf(m.SeenAs) {
		if _, err := netip.ParseAddr(address); address != "" && err != nil {
			diags.AddAttributeError(path.Root("seen_as").AtListIndex(i), "Not an address", fmt.Sprintf("%q is no IP address.", address))
		}
	}
	if !whollyKnown(m.Paths) || m.Targets.IsUnknown() || !whollyKnown(m.Excludes) || !whollyKnown(m.SeenAs) || !known(m.FromAddress, m.ToAddress) || diags.HasError() {
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
	m.FilesRenamed, m.FilesConflicting, m.FilesLost = prior.FilesRenamed, prior.FilesConflicting, prior.FilesLost
	m.FilesLeft, m.FilesKept, m.LogPath = prior.FilesLeft, prior.FilesKept, prior.LogPath
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
	result, err := syncpass.Run(ctx, from, to, plan.pass(), func(status string) {
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
func (m *syncPassModel) show(ctx context.Context, result syncpass.Result) error {
	total, took := result.Total, syncpass.Duration(result.Started, result.Finished)
	m.Started = types.StringValue(result.Started.Format(time.RFC3339))
	m.Finished = types.StringValue(result.Finished.Format(time.RFC3339))
	m.Duration = types.Int64Value(int64(took / time.Second))
	m.Files, m.FilesCreated = types.Int64Value(total.Files), types.Int64Value(total.Created)
	m.FilesTransferred, m.FilesVanished = types.Int64Value(total.Transferred), types.Int64Value(total.Vanished)
	m.Bytes, m.BytesTransferred = types.Int64Value(total.Bytes), types.Int64Value(total.TransferredBytes)
	m.FilesDeleted, m.FilesRenamed, m.Changes = types.Int64Value(total.Deleted), types.Int64Value(total.Renamed), types.Int64Value(result.Changes)
	m.FilesConflicting, m.FilesLost = types.Int64Value(total.Conflicts), types.Int64Value(total.Lost)
	m.FilesLeft, m.FilesKept = types.Int64Value(total.Left), types.Int64Value(total.Kept)
	m.Verified, m.VerifyMeanwhile = types.Int64Value(total.Verified), types.Int64Value(total.Meanwhile)
	m.TrashPath, m.TrashBytes = types.StringValue(result.TrashPath), types.Int64Value(result.TrashBytes)
	m.BytesLiteral = types.Int64Value(total.LiteralBytes)
	m.BytesSent, m.BytesReceived = types.Int64Value(result.Sent), types.Int64Value(result.Received)
	m.Rate, m.Speedup = types.Int64Value(result.Rate()), types.Float64Value(result.Speedup())
	m.LogPath = types.StringValue(result.LogPath)

	var perPath []attr.Value
	for _, each := range result.Paths {
		f, took := each.Figures, syncpass.Duration(each.Started, each.Finished)
		perPath = append(perPath, types.ObjectValueMust(perPathType.AttrTypes, map[string]attr.Value{
			"path": types.StringValue(each.Source), "target": types.StringValue(each.Target),
			"started": types.StringValue(each.Started.Format(time.RFC3339)), "finished": types.StringValue(each.Finished.Format(time.RFC3339)),
			"duration": types.Int64Value(int64(took / time.Second)),
			"files":    types.Int64Value(f.Files), "regular": types.Int64Value(f.Regular), "directories": types.Int64Value(f.Directories),
			"links": types.Int64Value(f.Links), "special": types.Int64Value(f.Special),
			"files_created": types.Int64Value(f.Created), "files_transferred": types.Int64Value(f.Transferred), "files_deleted": types.Int64Value(f.Deleted),
			"changes": types.Int64Value(f.Changes), "verified": types.Int64Value(f.Verified), "whole": types.BoolValue(each.Whole),
			"bytes": types.Int64Value(f.Bytes), "bytes_transferred": types.Int64Value(f.TransferredBytes),
			"rate": types.Int64Value(each.Rate()), "speedup": types.Float64Value(each.Speedup()),
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
		sayNotBroughtBack(r, state, err)
		return at(path.Root("to"), err)
	}
	// The old host may be gone by now.
	from, err := r.unlessRetired(state.From)
	if err != nil {
		return at(path.Root("from"), err)
	}
	if err := bringBack(ctx, r, state, from, to); err != nil {
		return err
	}
	// Of one that did not end well, what it has brought is for the next to know; where
	// the old host is retired, there is none.
	warnings, err := syncpass.Forget(ctx, from, to, state.pass(), state.Finished.IsNull() && from != nil)
	for _, warning := range warnings {
		r.warn("Sync pass from "+state.From.ValueString(), capitalised(warning)+".")
	}
	return err
}
