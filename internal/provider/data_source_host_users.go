package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
)

type hostUsersModel struct {
	ID       types.String           `tfsdk:"id"`
	Host     types.String           `tfsdk:"host"`
	Users    map[string]personModel `tfsdk:"users"`
	Timeouts timeouts.Value         `tfsdk:"timeouts"`
}

type personModel struct {
	UID           int64          `tfsdk:"uid"`
	GID           int64          `tfsdk:"gid"`
	Group         string         `tfsdk:"group"`
	Groups        []string       `tfsdk:"groups"`
	GroupGIDs     map[string]int `tfsdk:"group_gids"`
	Gecos         string         `tfsdk:"gecos"`
	Home          string         `tfsdk:"home"`
	Shell         string         `tfsdk:"shell"`
	PasswordState string         `tfsdk:"password_state"`
	Problems      []string       `tfsdk:"problems"`
}

func newHostUsersDataSource() datasource.DataSource {
	return &dataSource[hostUsersModel]{
		name:     "host_users",
		noun:     "host users",
		timeout:  time.Minute,
		schema:   hostUsersSchema,
		timeouts: func(m *hostUsersModel) timeouts.Value { return m.Timeouts },
		read:     readHostUsers,
	}
}

func hostUsersSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "The people of a host, without secrets, ready for `for_each`.\n\n" +
			"A person is an account in the host's own `/etc/passwd` with a shell to log in with and a home below `/home`, " +
			"or with one of both and a number from the host's range for people (`UID_MIN` to `UID_MAX` of `/etc/login.defs`).",
		Attributes: map[string]schema.Attribute{
			"host": hostAttribute(),
			"users": schema.MapNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The people, by their login names.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"uid":            schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of the user."},
					"gid":            schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of the primary group."},
					"group":          schema.StringAttribute{Computed: true, MarkdownDescription: "Primary group."},
					"groups":         schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Supplementary groups, sorted."},
					"group_gids":     schema.MapAttribute{Computed: true, ElementType: types.Int64Type, MarkdownDescription: "Numbers of the supplementary groups, by name."},
					"gecos":          schema.StringAttribute{Computed: true, MarkdownDescription: "Comment, most often the person's name."},
					"home":           schema.StringAttribute{Computed: true, MarkdownDescription: "Home directory."},
					"shell":          schema.StringAttribute{Computed: true, MarkdownDescription: "Login shell; `/bin/sh` where the account has none, as login takes it."},
					"password_state": schema.StringAttribute{Computed: true, MarkdownDescription: "`set`, `locked`, or `none` where no password is asked for."},
					"problems": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Why a `cutover_host_user` cannot be the account, such as a name that useradd refuses. Empty for almost all. " +
						"`{ for name, user in data.cutover_host_users.old.users : name => user if length(user.problems) == 0 }` leaves the others out."},
				}},
			},
			"id":       schema.StringAttribute{Computed: true, MarkdownDescription: "The host's name."},
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func readHostUsers(ctx context.Context, known *hosts, m *hostUsersModel) error {
	h, err := known.Get(m.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	snapshot, err := known.accounts.of(h, account.NewDirectory).Snapshot(ctx)
	if err != nil {
		return err
	}
	m.ID = m.Host
	m.Users = map[string]personModel{}
	for name, user := range snapshot.People() {
		m.Users[name] = showPerson(user)
	}
	return nil
}

func showPerson(user account.Person) personModel {
	return personModel{
		UID: int64(user.UID), GID: int64(user.GID), Group: user.Group, Groups: append([]string{}, user.Groups...), GroupGIDs: user.GroupIDs,
		Gecos: user.Gecos, Home: user.Home, Shell: user.Shell, PasswordState: string(user.Password),
		Problems: append([]string{}, user.Problems...),
	}
}
