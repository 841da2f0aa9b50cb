package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/maildir"
)

type maildirModel struct {
	ID             types.String   `tfsdk:"id"`
	Host           types.String   `tfsdk:"host"`
	Name           types.String   `tfsdk:"name"`
	Path           types.String   `tfsdk:"path"`
	Layout         types.String   `tfsdk:"layout"`
	Mode           types.String   `tfsdk:"mode"`
	Users          types.Set      `tfsdk:"users"`
	Folders        types.Set      `tfsdk:"folders"`
	MboxSpool      types.String   `tfsdk:"mbox_spool"`
	SpoolDirectory types.String   `tfsdk:"spool_directory"`
	Status         types.String   `tfsdk:"status"`
	Timeouts       timeouts.Value `tfsdk:"timeouts"`
}

const maildirReady = "ready"

func newMaildirResource() resource.Resource {
	return &lifecycle[maildirModel]{
		name:           "maildir",
		noun:           "maildir",
		timeout:        10 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         maildirSchema,
		timeouts:       func(m *maildirModel) timeouts.Value { return m.Timeouts },
		validate:       validateMaildir,
		create:         createMaildir,
		read:           readMaildir,
		update:         updateMaildir,
		delete:         deleteMaildir,
		importID:       importMaildir,
	}
}

func maildirSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Where Dovecot keeps mail: a Maildir in each home, in the syntax of the installed version (`mail_location` up to 2.3, `mail_driver` and `mail_path` from 2.4), " +
			"and the Maildirs themselves for the users that are named.\n\n" +
			"It is one drop-in, `/etc/dovecot/conf.d/99-cutover-NAME.conf`. A copy of the configuration with the drop-in is read by `doveconf` before anything live changes; " +
			"then Dovecot is reloaded: a session that is in use goes on, one that has said nothing for a few seconds is ended with a word, and its client logs in again. A Dovecot that is stopped stays stopped.\n\n" +
			"Everything in a home is done with that user's own rights; a directory in its place that root has made is given to the user. Destroying removes the drop-in, and never mail: Maildirs stay. " +
			"The mail server must deliver to the same place (Postfix: `home_mailbox = Maildir/`). The data source `cutover_mail` says where a host has its mail and where it is delivered to.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host with the Dovecot, by its name in the provider's `hosts`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"path": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("~/Maildir"),
				MarkdownDescription: "The Maildir in each home. Default: `~/Maildir`.",
				Validators:          []validator.String{checkedText{"a path in a home", asDirectory(maildir.CheckPath)}},
			},
			"layout": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(string(maildir.LayoutMaildirPP)),
				MarkdownDescription: "Where a Maildir has its folders. `maildir++`: `Archive/2009` is the directory `.Archive.2009`. `fs`: it is `Archive/2009`. " +
					"A change moves no mail: folders in the other layout stay, and Dovecot does not show them any more. Default: `maildir++`.",
				Validators: []validator.String{stringvalidator.OneOf(maildir.Layouts...)},
			},
			"users": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Users whose Maildirs are made, with `cur`, `new` and `tmp`. Mail that is there stays; owner and mode of the directories are put right. " +
					"The setting itself is for all users of the host; Dovecot makes the Maildirs of the others when they first log in.",
				Validators: eachIn("the name of a user", maildir.CheckUser),
			},
			"folders": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Folders that each of the users has beside the inbox, as in `[\"Sent\", \"Archive/2009\"]`. Those that are made now are subscribed to as well.",
				Validators:          eachIn("the name of a folder", maildir.CheckFolder),
			},
			"mode": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("0700"),
				MarkdownDescription: "Mode of the Maildirs' directories, in octal. Default: `0700`.",
				Validators:          []validator.String{checkedText{"an octal mode", maildir.CheckMode}},
			},
			"mbox_spool": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "What becomes of the mbox spools in `/var/mail`. `inbox`: a user's spool is the inbox, and the folders are in the Maildir. " +
					"`namespace`: the inbox is the Maildir, and the spool of each of `users` is the folder `spool.mail` beside it. Default: Dovecot does not look at them.",
				Validators: []validator.String{stringvalidator.OneOf(string(maildir.SpoolInbox), string(maildir.SpoolNamespace))},
			},
			"spool_directory": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("/var/mail"),
				MarkdownDescription: "Directory of the mbox spools. Default: `/var/mail`.",
				Validators:          []validator.String{checkedText{"an absolute path", asDirectory(maildir.CheckSpoolDirectory)}},
			},
			"name": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("maildir"),
				MarkdownDescription: "Part of the drop-in's name. Default: `maildir`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
				Validators:          []validator.String{checkedText{"a name", maildir.CheckName}},
			},
			"status": schema.StringAttribute{
				Computed: true, Default: stringdefault.StaticString(maildirReady),
				MarkdownDescription: "`ready`, or what is not as it should be; anything but `ready` is put right by the next apply.",
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

func validateMaildir(_ context.Context, m *maildirModel, diags *diag.Diagnostics) {
	if m.MboxSpool.ValueString() == string(maildir.SpoolNamespace) && m.Users.IsNull() {
		diags.AddAttributeError(path.Root("users"), "No users", "With mbox_spool = \"namespace\" the spools of users are shown beside their Maildirs; users says whose.")
	}
	for _, folder := range stringsOf(m.Folders) {
		if err := maildir.Layout(m.Layout.ValueString()).CheckFolder(folder); err != nil {
			diags.AddAttributeError(path.Root("folders"), "Not a folder of this layout", capitalised(err.Error())+".")
		}
	}
}

// wanted is what a plan or a state says of the host.
func (m *maildirModel) wanted() maildir.Spec {
	return maildir.Spec{
		Name:           m.Name.ValueString(),
		Path:           directory(m.Path.ValueString()),
		Layout:         maildir.Layout(m.Layout.ValueString()),
		Mode:           m.Mode.ValueString(),
		Users:          stringsOf(m.Users),
		Folders:        stringsOf(m.Folders),
		Spool:          maildir.Spool(m.MboxSpool.ValueString()),
		SpoolDirectory: directory(m.SpoolDirectory.ValueString()),
	}
}

func createMaildir(ctx context.Context, r *request[maildirModel], plan *maildirModel) error {
	return applyMaildir(ctx, r, nil, plan)
}

func updateMaildir(ctx context.Context, r *request[maildirModel], prior, plan *maildirModel) error {
	return applyMaildir(ctx, r, prior, plan)
}

func applyMaildir(ctx context.Context, r *request[maildirModel], prior, plan *maildirModel) error {
	h, err := r.host(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	plan.ID = types.StringValue(plan.Host.ValueString() + "/" + plan.Name.ValueString())
	plan.Status = types.StringValue(maildirReady)
	var before []string
	if prior != nil {
		before = stringsOf(prior.Users)
	}
	err = plan.wanted().Apply(ctx, h, prior != nil, before)
	if errors.Is(err, maildir.ErrUnsure) {
		r.identify(*plan)
	}
	return err
}

func readMaildir(ctx context.Context, r *request[maildirModel], state *maildirModel) (bool, error) {
	h, err := r.host(state.Host)
	if err != nil {
		return false, at(path.Root("host"), err)
	}
	actual, found, err := maildir.Inspect(ctx, h, state.Name.ValueString())
	if err != nil || !found {
		return false, err
	}
	state.ID = types.StringValue(state.Host.ValueString() + "/" + state.Name.ValueString())
	state.Status = types.StringValue(maildirReady)
	if len(actual.Problems) > 0 {
		state.Status = types.StringValue(summed(actual.Problems))
	}
	if actual.Path == "" {
		return true, nil // the drop-in cannot be read any more; status says so
	}
	state.Path, state.Layout, state.Mode = directoryLike(state.Path, actual.Path), types.StringValue(string(actual.Layout)), types.StringValue(actual.Mode)
	state.MboxSpool = types.StringNull()
	if actual.Spool != maildir.NoSpool {
		state.MboxSpool, state.SpoolDirectory = types.StringValue(string(actual.Spool)), directoryLike(state.SpoolDirectory, actual.SpoolDirectory)
	}
	if state.SpoolDirectory.IsNull() {
		state.SpoolDirectory = types.StringValue("/var/mail")
	}
	state.Users, state.Folders = setLike(state.Users, actual.Users), setLike(state.Folders, actual.Folders)
	return true, nil
}

func deleteMaildir(ctx context.Context, r *request[maildirModel], state *maildirModel) error {
	h, err := r.host(state.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	return state.wanted().Remove(ctx, h)
}

func importMaildir(id string) (map[string]any, error) {
	hostName, name, ok := strings.Cut(id, "/")
	if !ok {
		return nil, fmt.Errorf("the ID %q is not HOST/NAME, such as new/maildir", id)
	}
	if err := maildir.CheckName(name); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "host": hostName, "name": name}, nil
}
