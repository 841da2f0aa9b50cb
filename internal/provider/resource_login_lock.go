package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
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

	"github.com/cutover-dev/terraform-provider-cutover/internal/loginlock"
)

type loginLockModel struct {
	ID          types.String   `tfsdk:"id"`
	Host        types.String   `tfsdk:"host"`
	Name        types.String   `tfsdk:"name"`
	Users       types.Set      `tfsdk:"users"`
	Groups      types.Set      `tfsdk:"groups"`
	Message     types.String   `tfsdk:"message"`
	EndSessions types.Bool     `tfsdk:"end_sessions"`
	Status      types.String   `tfsdk:"status"`
	Timeouts    timeouts.Value `tfsdk:"timeouts"`
}

const loginLocked = "locked"

func newLoginLockResource() resource.Resource {
	return &lifecycle[loginLockModel]{
		name:           "login_lock",
		noun:           "login lock",
		timeout:        2 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         loginLockSchema,
		timeouts:       func(m *loginLockModel) timeouts.Value { return m.Timeouts },
		validate:       validateLoginLock,
		plan:           planLoginLock,
		follows:        true,
		create:         createLoginLock,
		read:           readLoginLock,
		update:         updateLoginLock,
		delete:         deleteLoginLock,
		importID:       importLoginLock,
	}
}

func loginLockSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "No SSH, SFTP and FTP for the named users and groups, so that nobody changes files on the old host while they are on their way to the new one. " +
			"Their mail and web logins go on.\n\n" +
			"sshd is told in a drop-in, `/etc/ssh/sshd_config.d/00-cutover-login-lock-NAME.conf`, or, where `sshd_config` includes no drop-ins, in a marked block before its first `Match`: " +
			"`DenyUsers` and `DenyGroups`, beside which the administrator's own stay in force. `sshd -t` decides before anything live changes; then sshd is reloaded, which leaves sessions as they are. " +
			"FTP servers are told in the lists that they look up: `/etc/ftpusers`, vsftpd's `userlist_file`, and lists of `pam_listfile`. A list that knows no groups gets their members.\n\n" +
			"Nobody is locked out with whom the provider came, nor root, nor a group that one of them is in. Destroying lets everybody in again; all files are then as they were, byte for byte.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host to lock, by its name in the provider's `hosts`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"users": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Users to lock out. One of `users` and `groups` must be given, or both.",
				Validators:          eachIn("a user to lock out", loginlock.CheckAccount),
			},
			"groups": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Groups to lock out. For FTP it is those who are in them at the time of the apply; the plan shows when that changes.",
				Validators:          eachIn("a group to lock out", loginlock.CheckAccount),
			},
			"message": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What SSH and SFTP clients show to those who try, before they are refused. FTP servers say that the login is incorrect. Default: nothing.",
				Validators:          []validator.String{checkedText{"a message", loginlock.CheckMessage}},
			},
			"end_sessions": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether the SSH, SFTP and FTP sessions that the users have open are ended once the lock is in force, with what runs in them. What they left running apart from a session, and their mail, goes on. Default: `false`.",
			},
			"name": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("login"),
				MarkdownDescription: "Tells several locks of a host apart. Default: `login`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
				Validators:          []validator.String{checkedText{"a name", loginlock.CheckName}},
			},
			"status": schema.StringAttribute{
				Computed: true, Default: stringdefault.StaticString(loginLocked),
				MarkdownDescription: "`locked`, or what is not as it should be; anything but `locked` is put right by the next apply.",
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

func validateLoginLock(_ context.Context, m *loginLockModel, diags *diag.Diagnostics) {
	if m.Users.IsNull() && m.Groups.IsNull() {
		diags.AddError("Nobody to lock out", "One of users and groups must be given.")
	}
}

// wanted is what a plan or a state says of the host.
func (m *loginLockModel) wanted() loginlock.Spec {
	return loginlock.Spec{
		Name:    m.Name.ValueString(),
		Users:   stringsOf(m.Users),
		Groups:  stringsOf(m.Groups),
		Message: m.Message.ValueString(),
	}
}

// onAccount puts an error about who would be locked out on the attribute at fault.
func onAccount(err error) error {
	var lockedOut *loginlock.ErrLockedOut
	switch {
	case !errors.As(err, &lockedOut):
		return err
	case lockedOut.Group:
		return at(path.Root("groups"), err)
	}
	return at(path.Root("users"), err)
}

// planLoginLock refuses while planning what an apply would refuse in the middle
// of a move. A host that cannot be asked yet is asked again then.
func planLoginLock(ctx context.Context, r *request[loginLockModel], prior, plan *loginLockModel) error {
	if !known(plan.Host, plan.Name, plan.Users, plan.Groups, plan.Message) || unknownIn(plan.Users) || unknownIn(plan.Groups) {
		return nil
	}
	if prior != nil && prior.Users.Equal(plan.Users) && prior.Groups.Equal(plan.Groups) && prior.Host.Equal(plan.Host) {
		return nil
	}
	h, err := r.host(plan.Host)
	if err != nil {
		return nil //nolint:nilerr // the machine itself may be part of this plan
	}
	var lockedOut *loginlock.ErrLockedOut
	if err := plan.wanted().LocksOut(ctx, h); errors.As(err, &lockedOut) {
		return onAccount(err)
	}
	return nil
}

func createLoginLock(ctx context.Context, r *request[loginLockModel], plan *loginLockModel) error {
	return applyLoginLock(ctx, r, plan, false)
}

func updateLoginLock(ctx context.Context, r *request[loginLockModel], _, plan *loginLockModel) error {
	return applyLoginLock(ctx, r, plan, true)
}

func applyLoginLock(ctx context.Context, r *request[loginLockModel], plan *loginLockModel, changing bool) error {
	h, err := r.host(plan.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	plan.ID = types.StringValue(plan.Host.ValueString() + "/" + plan.Name.ValueString())
	plan.Status = types.StringValue(loginLocked)
	err = plan.wanted().Apply(ctx, h, changing, plan.EndSessions.ValueBool())
	if errors.Is(err, loginlock.ErrUnsure) {
		r.identify(*plan)
	}
	return onAccount(err)
}

func readLoginLock(ctx context.Context, r *request[loginLockModel], state *loginLockModel) (bool, error) {
	h, err := r.host(state.Host)
	if err != nil {
		return false, at(path.Root("host"), err)
	}
	actual, found, err := loginlock.Inspect(ctx, h, state.wanted())
	if err != nil || !found {
		return false, err
	}
	state.ID = types.StringValue(state.Host.ValueString() + "/" + state.Name.ValueString())
	state.Status = types.StringValue(loginLocked)
	if len(actual.Problems) > 0 {
		state.Status = types.StringValue(summed(actual.Problems))
	}
	state.Users, state.Groups = setLike(state.Users, actual.Users), setLike(state.Groups, actual.Groups)
	switch {
	case actual.Message == "":
		state.Message = types.StringNull()
	case !loginlock.SameMessage(state.Message.ValueString(), actual.Message):
		state.Message = types.StringValue(actual.Message)
	}
	if state.EndSessions.IsNull() {
		state.EndSessions = types.BoolValue(false)
	}
	return true, nil
}

func deleteLoginLock(ctx context.Context, r *request[loginLockModel], state *loginLockModel) error {
	h, err := r.host(state.Host)
	if err != nil {
		return at(path.Root("host"), err)
	}
	return state.wanted().Remove(ctx, h)
}

func importLoginLock(id string) (map[string]any, error) {
	hostName, name, ok := strings.Cut(id, "/")
	if !ok {
		return nil, fmt.Errorf("the ID %q is not HOST/NAME, such as old/login", id)
	}
	if err := loginlock.CheckName(name); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "host": hostName, "name": name}, nil
}
