package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
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

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
)

type hostUserModel struct {
	ID                    types.String   `tfsdk:"id"`
	Host                  types.String   `tfsdk:"host"`
	Name                  types.String   `tfsdk:"name"`
	UID                   types.Int64    `tfsdk:"uid"`
	GID                   types.Int64    `tfsdk:"gid"`
	Group                 types.String   `tfsdk:"group"`
	Groups                types.Set      `tfsdk:"groups"`
	GroupGIDs             types.Map      `tfsdk:"group_gids"`
	Gecos                 types.String   `tfsdk:"gecos"`
	Home                  types.String   `tfsdk:"home"`
	Shell                 types.String   `tfsdk:"shell"`
	System                types.Bool     `tfsdk:"system"`
	CreateHome            types.Bool     `tfsdk:"create_home"`
	Adopt                 types.Bool     `tfsdk:"adopt"`
	PasswordFrom          types.String   `tfsdk:"password_from"`
	PasswordHashWO        types.String   `tfsdk:"password_hash_wo"`
	PasswordHashWOVersion types.Int64    `tfsdk:"password_hash_wo_version"`
	PasswordState         types.String   `tfsdk:"password_state"`
	PasswordCurrent       types.Bool     `tfsdk:"password_current"`
	OnDestroy             types.String   `tfsdk:"on_destroy"`
	RemoveHomeOnDestroy   types.Bool     `tfsdk:"remove_home_on_destroy"`
	Timeouts              timeouts.Value `tfsdk:"timeouts"`
}

func newHostUserResource() resource.Resource {
	return &lifecycle[hostUserModel]{
		name:           "host_user",
		noun:           "host user",
		timeout:        5 * time.Minute,
		hostAttributes: []string{"host", "password_from"},
		schema:         hostUserSchema,
		timeouts:       func(m *hostUserModel) timeouts.Value { return m.Timeouts },
		validate:       validateHostUser,
		plan:           planHostUser,
		follows:        true,
		create:         createHostUser,
		read:           readHostUser,
		update:         updateHostUser,
		delete:         deleteHostUser,
		importID:       importHostUser,
	}
}

func hostUserSchema(ctx context.Context) schema.Schema {
	keepText := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	keepNumber := []planmodifier.Int64{int64planmodifier.UseStateForUnknown()}
	return schema.Schema{
		MarkdownDescription: "An account of a host, with its groups. Groups that are missing are made, and go again with the last account that needs them.\n\n" +
			"Attributes that are not set are left to the host: `useradd` chooses them, and changes made by hand to them are no drift.\n\n" +
			"Only accounts in the host's own `/etc/passwd` are managed. The host needs the shadow tools (`useradd`, `usermod`, `chpasswd`), which every Debian and Red Hat has.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host of the account, by its name in the provider's `hosts`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Login name.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
				Validators:          []validator.String{checkedText{"a login name", account.CheckName}},
			},
			"uid": schema.Int64Attribute{
				Optional: true, Computed: true, PlanModifiers: keepNumber,
				MarkdownDescription: "Number of the user. Default: one that is free. Changing it gives the files in the home to the new number; others stay with the old one.",
				Validators:          []validator.Int64{checkedNumber{"a number of a user", account.CheckID}},
			},
			"gid": schema.Int64Attribute{
				Optional: true, Computed: true, PlanModifiers: keepNumber,
				MarkdownDescription: "Number of the primary group, for the case that the group has to be made. Default: the same as `uid` where that is free.",
				Validators:          []validator.Int64{checkedNumber{"a number of a group", account.CheckID}},
			},
			"group": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "Primary group. Default: one of the user's own name.",
				Validators:          []validator.String{checkedText{"the name of a group", account.CheckName}},
			},
			"groups": schema.SetAttribute{
				Optional: true, Computed: true, ElementType: types.StringType,
				PlanModifiers:       []planmodifier.Set{setplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "All supplementary groups. Default: those that the account has.",
			},
			"group_gids": schema.MapAttribute{
				Optional: true, ElementType: types.Int64Type,
				Validators: []validator.Map{mapvalidator.ValueInt64sAre(checkedNumber{"a number of a group", account.CheckID})},
				MarkdownDescription: "Numbers that supplementary groups have to have, by their names; each has to be one of `groups`. A group that is missing is made with its number. " +
					"Where the number belongs to another group, or the group is there with another number, nothing is changed and the error says which; " +
					"leave a group out to take it as it is, or with any number that is free.",
			},
			"gecos": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "Comment, most often the person's name.",
				Validators:          []validator.String{checkedText{"a comment", account.CheckGecos}},
			},
			"home": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "Home directory. Default: `/home/NAME`. On a change the content moves along, unless there is something at the new place.",
				Validators:          []validator.String{checkedText{"a home", account.CheckHome}},
			},
			"shell": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "Login shell, which has to be there. Default: the host's (`/bin/sh` or `/bin/bash`).",
				Validators:          []validator.String{checkedText{"a shell", account.CheckShell}},
			},
			"system": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether free numbers come from the host's range for system accounts. Counts when the account is made. Default: `false`.",
			},
			"create_home": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(true),
				MarkdownDescription: "Whether a home that is not there is made, with what `/etc/skel` has. Counts when the account is made or adopted. Default: `true`.",
			},
			"adopt": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether an account of that name that is there already is taken over and brought to what is set here, instead of being an error. An account that `on_destroy = \"lock\"` has locked is unlocked. Default: `false`.",
			},
			"password_from": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Host of the provider's `hosts` whose account of the same name lends its password: the hash goes from host to host and reaches neither plan nor state nor log. " +
					"Until the user changes the password on this host, a newer one of that host is drift and copied by the next apply.",
				Validators: []validator.String{stringvalidator.ConflictsWith(path.MatchRoot("password_hash_wo"))},
			},
			"password_hash_wo": schema.StringAttribute{
				Optional: true, WriteOnly: true, Sensitive: true,
				MarkdownDescription: "Password hash in the form of crypt(5), such as `openssl passwd -6` makes. It is sent to the host and never stored. Without this and `password_from` an account is made with its password locked.",
				Validators:          []validator.String{checkedText{"a password hash", func(hash string) error { _, err := account.NewPassword(hash); return err }}},
			},
			"password_hash_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Any number; a change of it sends `password_hash_wo` again.",
			},
			"password_state": schema.StringAttribute{
				Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "`set`: a password lets in; `locked`: none does, though a key may; `none`: no password is asked for.",
			},
			"password_current": schema.BoolAttribute{
				Computed: true, Default: booldefault.StaticBool(true),
				MarkdownDescription: "`false` while the host of `password_from` has a newer password than this one; always `true` without it.",
			},
			"on_destroy": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(string(account.Keep)),
				MarkdownDescription: "What becomes of the account on destroy: `keep` leaves it, `lock` lets nobody in any more, by password or key, `remove` removes it and leaves its home and mail. Default: `keep`.",
				Validators:          []validator.String{stringvalidator.OneOf(string(account.Keep), string(account.Lock), string(account.Remove))},
			},
			"remove_home_on_destroy": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "**Destroys data.** With `on_destroy = \"remove\"`, whether the home and the mail spool go as well. Default: `false`.",
			},
			"id": schema.StringAttribute{
				Computed: true, PlanModifiers: keepText,
				MarkdownDescription: "`host/name`.",
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

func validateHostUser(_ context.Context, m *hostUserModel, diags *diag.Diagnostics) {
	if known(m.Host, m.PasswordFrom) && !m.PasswordFrom.IsNull() && m.Host.Equal(m.PasswordFrom) {
		diags.AddAttributeError(path.Root("password_from"), "Same host twice", fmt.Sprintf("password_from is %s, the host of the account itself.", m.Host))
	}
	for _, group := range stringsOf(m.Groups) {
		if err := account.CheckName(group); err != nil && group != "" {
			diags.AddAttributeError(path.Root("groups"), "Not the name of a group", capitalised(err.Error())+".")
		}
	}
	if !m.Groups.IsUnknown() && !unknownIn(m.Groups) {
		for group := range m.GroupGIDs.Elements() {
			if !slices.Contains(stringsOf(m.Groups), group) {
				diags.AddAttributeError(path.Root("group_gids").AtMapKey(group), "Number of a group that is not given",
					fmt.Sprintf("%s is none of the account's groups; add it to groups, or leave its number out. The number of the primary group is gid.", group))
			}
		}
	}
	if m.RemoveHomeOnDestroy.ValueBool() && known(m.OnDestroy) && m.OnDestroy.ValueString() != string(account.Remove) {
		diags.AddAttributeError(path.Root("remove_home_on_destroy"), "Home of an account that stays",
			"remove_home_on_destroy needs on_destroy = \"remove\": an account that stays needs its home.")
	}
}

func planHostUser(_ context.Context, r *request[hostUserModel], prior, plan *hostUserModel) error {
	if prior == nil {
		return nil
	}
	if r.config.GID.IsNull() && !plan.Group.Equal(prior.Group) {
		plan.GID = types.Int64Unknown()
	}
	if passwordChanges(prior, plan) {
		plan.PasswordState = types.StringUnknown()
	}
	return nil
}

// passwordChanges reports whether an update sets the password.
func passwordChanges(prior, plan *hostUserModel) bool {
	if !plan.PasswordFrom.IsNull() {
		return !plan.PasswordFrom.Equal(prior.PasswordFrom) || !prior.PasswordCurrent.ValueBool()
	}
	return !plan.PasswordHashWOVersion.Equal(prior.PasswordHashWOVersion)
}

// directory is the accounts of a host.
func (r *request[M]) directory(name types.String) (*account.Directory, error) {
	h, err := r.host(name)
	if err != nil {
		return nil, err
	}
	return r.hosts.accounts.of(h, account.NewDirectory), nil
}

// spec is what the configuration says of an account. What it leaves open, the
// host decides.
func (m *hostUserModel) spec() account.Spec {
	s := account.Spec{
		Name: m.Name.ValueString(), System: m.System.ValueBool(),
		UID: number(m.UID), GID: number(m.GID), Group: text(m.Group),
		Gecos: text(m.Gecos), Home: text(m.Home), Shell: text(m.Shell),
	}
	if !m.Groups.IsNull() && !m.Groups.IsUnknown() {
		groups := stringsOf(m.Groups)
		slices.Sort(groups)
		s.Groups = &groups
	}
	for group, gid := range m.GroupGIDs.Elements() {
		if gid, ok := gid.(types.Int64); ok && !gid.IsNull() {
			if s.GroupIDs == nil {
				s.GroupIDs = map[string]int{}
			}
			s.GroupIDs[group] = int(gid.ValueInt64())
		}
	}
	return s
}

func number(value types.Int64) *int {
	if value.IsNull() || value.IsUnknown() {
		return nil
	}
	n := int(value.ValueInt64())
	return &n
}

func text(value types.String) *string {
	if value.IsNull() || value.IsUnknown() {
		return nil
	}
	s := value.ValueString()
	return &s
}

// password is the password that the configuration gives, or nil.
func (m *hostUserModel) password(ctx context.Context, r *request[hostUserModel]) (*account.Password, error) {
	switch {
	case !m.PasswordFrom.IsNull():
		from, err := r.directory(m.PasswordFrom)
		if err != nil {
			return nil, at(path.Root("password_from"), err)
		}
		password, err := from.Password(ctx, m.Name.ValueString())
		return password, at(path.Root("password_from"), err)
	case !m.PasswordHashWO.IsNull():
		password, err := account.NewPassword(m.PasswordHashWO.ValueString())
		return password, at(path.Root("password_hash_wo"), err)
	}
	return nil, nil
}

// onAttribute puts an account's error on the attribute at fault.
func onAttribute(m *hostUserModel, err error) error {
	var field *account.FieldError
	if !errors.As(err, &field) {
		return err
	}
	if field.Field != "password" {
		return at(path.Root(field.Field), err)
	}
	if m.PasswordFrom.IsNull() {
		return at(path.Root("password_hash_wo"), err)
	}
	return at(path.Root("password_from"), err)
}

// show fills in what the host says of an account. A primary group that is
// listed among the groups stays there: it is a group of the user either way.
func (m *hostUserModel) show(ctx context.Context, user account.User) error {
	m.ID = types.StringValue(m.Host.ValueString() + "/" + user.Name)
	m.UID, m.GID = types.Int64Value(int64(user.UID)), types.Int64Value(int64(user.GID))
	m.Group, m.Gecos = types.StringValue(user.Group), types.StringValue(user.Gecos)
	m.Home, m.Shell = types.StringValue(user.Home), types.StringValue(user.Shell)
	m.PasswordState = types.StringValue(string(user.Password))
	groups := user.Groups
	if slices.Contains(stringsOf(m.Groups), user.Group) {
		groups = append([]string{user.Group}, groups...)
	}
	if groups == nil {
		groups = []string{}
	}
	set, diags := types.SetValueFrom(ctx, types.StringType, groups)
	if diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	m.Groups = set
	m.showNumbers(user)
	return nil
}

// showNumbers puts the numbers that the groups have on the host in the place of
// those that they were to have.
func (m *hostUserModel) showNumbers(user account.User) {
	if m.GroupGIDs.IsNull() || m.GroupGIDs.IsUnknown() {
		return
	}
	numbers := map[string]attr.Value{}
	for group, wanted := range m.GroupGIDs.Elements() {
		gid, known := user.GroupIDs[group]
		switch {
		case wanted.IsNull():
			numbers[group] = wanted
		case known:
			numbers[group] = types.Int64Value(int64(gid))
		case group == user.Group:
			numbers[group] = types.Int64Value(int64(user.GID))
		}
	}
	m.GroupGIDs = types.MapValueMust(types.Int64Type, numbers)
}

func createHostUser(ctx context.Context, r *request[hostUserModel], plan *hostUserModel) error {
	directory, err := r.directory(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	spec := r.config.spec()
	spec.CreateHome, spec.Adopt = plan.CreateHome.ValueBool(), plan.Adopt.ValueBool()
	if spec.Password, err = r.config.password(ctx, r); err != nil {
		return err
	}
	user, made, err := directory.Create(ctx, spec)
	if made {
		half := *plan
		half.ID = types.StringValue(plan.Host.ValueString() + "/" + spec.Name)
		half.PasswordState = types.StringNull() // see deleteHostUser
		r.identify(half)
	}
	if err != nil {
		return onAttribute(plan, err)
	}
	plan.PasswordCurrent = types.BoolValue(true)
	return plan.show(ctx, *user)
}

func readHostUser(ctx context.Context, r *request[hostUserModel], state *hostUserModel) (bool, error) {
	directory, err := r.directory(state.Host)
	if err != nil {
		return false, at(path.Root("host"), err)
	}
	imported := state.OnDestroy.IsNull()
	if imported {
		state.System, state.Adopt = types.BoolValue(false), types.BoolValue(false)
		state.CreateHome, state.RemoveHomeOnDestroy = types.BoolValue(true), types.BoolValue(false)
		state.OnDestroy = types.StringValue(string(account.Keep))
		state.PasswordCurrent = types.BoolValue(true)
	}
	user, found, err := directory.User(ctx, state.Name.ValueString())
	if err != nil || !found {
		return false, err
	}
	if state.PasswordState.IsNull() && !imported {
		return true, nil // half made, and stays marked as such: see deleteHostUser
	}
	if err := state.show(ctx, user); err != nil {
		return false, err
	}
	if !state.PasswordFrom.IsNull() {
		comparePasswords(ctx, r, directory, state)
	}
	return true, nil
}

// comparePasswords sees whether the password was changed where it comes from.
// That host may be switched off one day, so not reaching it is no error.
func comparePasswords(ctx context.Context, r *request[hostUserModel], directory *account.Directory, state *hostUserModel) {
	name := state.Name.ValueString()
	from, err := r.directory(state.PasswordFrom)
	var theirs, ours *account.Password
	if err == nil {
		theirs, err = from.Password(ctx, name)
	}
	if err == nil {
		ours, err = directory.Password(ctx, name)
	}
	var retired errRetired
	switch {
	case errors.Is(err, account.ErrAbsent), errors.As(err, &retired): // nothing newer will come from there
		state.PasswordCurrent = types.BoolValue(true)
	case err != nil:
		r.warn("Password not compared", fmt.Sprintf("Whether the password of %s is still that of host %s could not be seen: %s", name, state.PasswordFrom, err))
	default:
		state.PasswordCurrent = types.BoolValue(!theirs.Newer(*ours))
	}
}

func updateHostUser(ctx context.Context, r *request[hostUserModel], prior, plan *hostUserModel) error {
	directory, err := r.directory(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	spec := r.config.spec()
	if passwordChanges(prior, plan) {
		if spec.Password, err = r.config.password(ctx, r); err != nil {
			return err
		}
	}
	user, err := directory.Modify(ctx, spec)
	if err != nil {
		return onAttribute(plan, err)
	}
	plan.PasswordCurrent = types.BoolValue(true)
	return plan.show(ctx, *user)
}

func deleteHostUser(ctx context.Context, r *request[hostUserModel], state *hostUserModel) error {
	directory, err := r.directory(state.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	how := account.Leaving(state.OnDestroy.ValueString())
	switch {
	case state.PasswordState.IsNull():
		how = account.Remove // never completed: it makes room for the next try
	case how == account.Remove && state.RemoveHomeOnDestroy.ValueBool():
		how = account.RemoveHome
	}
	return directory.Leave(ctx, state.Name.ValueString(), how)
}

func importHostUser(id string) (map[string]any, error) {
	hostName, name, ok := strings.Cut(id, "/")
	if !ok || hostName == "" {
		return nil, fmt.Errorf("the ID %q is not HOST/NAME, such as new/anna", id)
	}
	if err := account.CheckName(name); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "host": hostName, "name": name}, nil
}
