package provider

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/mail"
	"github.com/cutover-dev/terraform-provider-cutover/internal/maildir"
)

type mailModel struct {
	ID             types.String        `tfsdk:"id"`
	Host           types.String        `tfsdk:"host"`
	DovecotVersion types.String        `tfsdk:"dovecot_version"`
	Driver         types.String        `tfsdk:"driver"`
	Path           types.String        `tfsdk:"path"`
	Layout         types.String        `tfsdk:"layout"`
	InboxPath      types.String        `tfsdk:"inbox_path"`
	ControlPath    types.String        `tfsdk:"control_path"`
	IndexPath      types.String        `tfsdk:"index_path"`
	Separator      types.String        `tfsdk:"separator"`
	SpoolDirectory types.String        `tfsdk:"spool_directory"`
	Settings       map[string]string   `tfsdk:"settings"`
	Namespaces     []namespaceModel    `tfsdk:"namespaces"`
	MTA            types.String        `tfsdk:"mta"`
	Domains        []string            `tfsdk:"domains"`
	Delivery       []deliveryModel     `tfsdk:"delivery"`
	VirtualUsers   []virtualUsersModel `tfsdk:"virtual_users"`
	Aliases        []aliasModel        `tfsdk:"aliases"`
	Forwards       map[string][]string `tfsdk:"forwards"`
	Filters        map[string][]string `tfsdk:"filters"`
	Problems       []string            `tfsdk:"problems"`
	NotUnderstood  []string            `tfsdk:"not_understood"`
	Timeouts       timeouts.Value      `tfsdk:"timeouts"`
}

type namespaceModel struct {
	Name          types.String `tfsdk:"name"`
	Type          string       `tfsdk:"type"`
	Inbox         bool         `tfsdk:"inbox"`
	Prefix        string       `tfsdk:"prefix"`
	Separator     types.String `tfsdk:"separator"`
	Location      types.String `tfsdk:"location"`
	Listed        bool         `tfsdk:"listed"`
	Hidden        bool         `tfsdk:"hidden"`
	Subscriptions bool         `tfsdk:"subscriptions"`
}

type deliveryModel struct {
	For     string       `tfsdk:"for"`
	Program string       `tfsdk:"program"`
	To      string       `tfsdk:"to"`
	Path    types.String `tfsdk:"path"`
	Command types.String `tfsdk:"command"`
	Setting string       `tfsdk:"setting"`
}

type virtualUsersModel struct {
	Program  string       `tfsdk:"program"`
	Source   string       `tfsdk:"source"`
	File     types.String `tfsdk:"file"`
	UID      types.String `tfsdk:"uid"`
	GID      types.String `tfsdk:"gid"`
	Home     types.String `tfsdk:"home"`
	Accounts *int64       `tfsdk:"accounts"`
}

type aliasModel struct {
	Name  string   `tfsdk:"name"`
	File  string   `tfsdk:"file"`
	Line  int64    `tfsdk:"line"`
	Kinds []string `tfsdk:"kinds"`
}

func newMailDataSource() datasource.DataSource {
	return &dataSource[mailModel]{
		name:     "mail",
		noun:     "mail",
		timeout:  time.Minute,
		schema:   mailSchema,
		timeouts: func(m *mailModel) timeouts.Value { return m.Timeouts },
		read:     readMail,
	}
}

func mailSchema(ctx context.Context) schema.Schema {
	lists := func(description string) schema.MapAttribute {
		return schema.MapAttribute{Computed: true, ElementType: types.ListType{ElemType: types.StringType}, MarkdownDescription: description}
	}
	return schema.Schema{
		MarkdownDescription: "How a host keeps mail: where Dovecot has it, where the mail server delivers to, which users have no account, and which aliases and `.forward` files lead mail elsewhere. " +
			"`path` and `layout` are what `cutover_maildir` takes.\n\n" +
			"Dovecot (2.0 and later), Postfix and Exim are asked for their settings; Sendmail's `sendmail.cf`, `/etc/procmailrc` and the files of aliases are read. It takes one round trip, and changes nothing. " +
			"Passwords, queries, arguments of commands, and what aliases and `.forward` files lead to never leave the host.\n\n" +
			"In paths `~/` is the user's home and `%u` the user's name, whatever the program's own configuration has for them.",
		Attributes: map[string]schema.Attribute{
			"host":            hostAttribute(),
			"dovecot_version": computedText("Version of Dovecot; null where there is none."),
			"driver":          computedText("Format in which Dovecot has mail: `maildir`, `mbox`, `mdbox`, `sdbox`. `auto` where Dovecot is not told and looks in each home. Null where there is no Dovecot."),
			"path": computedText("Where Dovecot has mail: `~/mail` where that is a place in each home, in which form `cutover_maildir` takes it. Otherwise it is as in Dovecot's configuration, and `problems` says why `cutover_maildir` refuses it. " +
				"`/home/%u/mail` is a place in each home where all people's homes are in `/home`."),
			"layout":          computedText("Where folders are: `maildir++` (`.Archive.2009`), `fs` (`Archive/2009`), or another layout of Dovecot's, which `cutover_maildir` refuses."),
			"inbox_path":      computedText("Where the inbox is, if it is not in `path`: `/var/mail/%u`."),
			"control_path":    computedText("Where Dovecot has the numbers of mails and the subscriptions, if it is not in `path`. Without these files clients load all mail once more."),
			"index_path":      computedText("Where Dovecot has its indexes, if it is not in `path`; `MEMORY` for nowhere. It makes them anew."),
			"separator":       computedText("What is between the parts of a folder's name for clients, in the namespace of the inbox."),
			"spool_directory": computedText("Directory of the mbox spools, as `cutover_maildir` takes it. Null where mail is not delivered to spools and Dovecot's inbox is none."),
			"settings": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Dovecot's settings of where mail is, as its configuration has them: `mail_location` up to 2.3, `mail_driver`, `mail_path` and others from 2.4.",
			},
			"namespaces": computedObjects("Dovecot's namespaces, in its own order.", map[string]schema.Attribute{
				"name":          computedText("Name; null for one without a name, which Dovecot 2.4 does not accept any more."),
				"type":          computedText("`private`, `shared` or `public`."),
				"inbox":         computedTruth("Whether it has the inbox."),
				"prefix":        computedText("What its folders' names begin with, such as `INBOX.`; empty for none."),
				"separator":     computedText("What is between the parts of a folder's name, where it is set."),
				"location":      computedText("Where it has mail, if it is another place than that of all."),
				"listed":        computedTruth("Whether clients see its folders in a list."),
				"hidden":        computedTruth("Whether it is hidden from the list of namespaces."),
				"subscriptions": computedTruth("Whether it has subscriptions of its own."),
			}),
			"mta": computedText("Mail server: `postfix`, `sendmail`, `exim`, `opensmtpd` or `qmail`. Of several it is the one that the command `sendmail` belongs to. Null where there is none."),
			"domains": computedTexts("Domains whose mail the mail server takes, sorted: Postfix's `mydestination`, `virtual_mailbox_domains` and `virtual_alias_domains`, Sendmail's classes `w` and `{VirtHost}`, Exim's `local_domains`. " +
				"`cutover_dns_propagation` asks for them where it has no `names`."),
			"delivery": computedObjects("Where the mail server delivers to, step by step: a program that is handed the mail is followed by what that does with it, where it is procmail.", map[string]schema.Attribute{
				"for":     computedText("`local` for users with an account, `virtual` for Postfix's others."),
				"program": computedText("Who delivers: `postfix`, `sendmail`, `exim` or `procmail`."),
				"to":      computedText("Format that it writes (`maildir`, `mbox`, `mh`), or what it hands the mail to: `dovecot`, `procmail`, `program`, `lmtp`, `transport`."),
				"path":    computedText("Mailbox (`~/mail`, `/var/mail/%u`), socket, or name of the transport."),
				"command": computedText("Program that is handed the mail, without its arguments."),
				"setting": computedText("What says so: a setting's name, or file and line."),
			}),
			"virtual_users": computedObjects("Where users come from who have mail and need no account on the host.", map[string]schema.Attribute{
				"program":  computedText("`dovecot` or `postfix`."),
				"source":   computedText("Dovecot's `userdb` driver (`passwd-file`, `static`, `sql`, `ldap`), or Postfix's kind of map (`hash`, `proxy`)."),
				"file":     computedText("File of the accounts or addresses. Copy it; what is in it is not read into the state."),
				"uid":      computedText("User whose mail it all is, as a name or a number; null where they differ or it is not known."),
				"gid":      computedText("Group, likewise."),
				"home":     computedText("Home of these users, as in the configuration."),
				"accounts": schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of entries in `file`; null where there is no file to count."},
			}),
			"aliases": computedObjects("Entries of the files of aliases: `/etc/aliases`, what `alias_maps` and `virtual_alias_maps` name, Sendmail's `virtusertable`.", map[string]schema.Attribute{
				"name":  computedText("Name or address."),
				"file":  computedText("File that it is in."),
				"line":  schema.Int64Attribute{Computed: true, MarkdownDescription: "Line of the file."},
				"kinds": computedTexts("Kinds of what it leads to: `user`, `address` (with an `@`), `pipe`, `file`, `include`, `special` (such as `:fail:`)."),
			}),
			"forwards": lists("Users who have a `.forward`, and the kinds of what is in it: `user`, `address` (with an `@`), `pipe`, `file`, `include`, `filter` (of Exim), `special`. " +
				"They are looked for in the homes of all users that `getent passwd` lists."),
			"filters": lists("Users who have a filter of their own in their home, and its files: `.procmailrc`, `.mailfilter`, `.dovecot.sieve`."),
			"problems": computedTexts("What `cutover_maildir` with this `path` and `layout` would not do as this host does: another format, a place it cannot take, a prefix of folders, users without accounts, " +
				"mail that is delivered to another place than Dovecot's inbox. Empty where it does the same."),
			"not_understood": computedTexts("What was not read or not understood, with its place: databases of users, recipes of procmail, routers of Exim that look up where mail goes, Courier and Cyrus, files that cannot be read. " +
				"Empty where this and `problems` are the whole truth."),
			"id":       computedText("Name of the host."),
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func readMail(ctx context.Context, known *hosts, m *mailModel) error {
	h, err := known.Get(m.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	found, err := mail.Inspect(ctx, h)
	if err != nil {
		return err
	}
	m.ID = m.Host
	m.show(found)
	return nil
}

func (m *mailModel) show(found mail.Mail) {
	m.DovecotVersion, m.Driver, m.Path, m.Layout = textOrNull(found.Version), textOrNull(found.Driver), textOrNull(found.Path), textOrNull(found.Layout)
	m.InboxPath, m.ControlPath, m.IndexPath = textOrNull(found.InboxPath), textOrNull(found.ControlPath), textOrNull(found.IndexPath)
	m.Separator, m.SpoolDirectory, m.MTA = textOrNull(found.Separator), textOrNull(found.SpoolDir), textOrNull(found.Server)
	m.Settings, m.Domains = found.Settings, append([]string{}, found.Domains...)
	m.Namespaces, m.Delivery, m.VirtualUsers, m.Aliases = []namespaceModel{}, []deliveryModel{}, []virtualUsersModel{}, []aliasModel{}
	for _, n := range found.Namespaces {
		m.Namespaces = append(m.Namespaces, namespaceModel{
			textOrNull(n.Name), n.Type, n.Inbox, n.Prefix, textOrNull(n.Separator), textOrNull(n.Location), n.Listed, n.Hidden, n.Subscriptions,
		})
	}
	for _, d := range found.Delivery {
		m.Delivery = append(m.Delivery, deliveryModel{d.For, d.Program, d.To, textOrNull(d.Path), textOrNull(d.Command), d.Setting})
	}
	for _, v := range found.VirtualUsers {
		shown := virtualUsersModel{v.Program, v.Source, textOrNull(v.File), textOrNull(v.UID), textOrNull(v.GID), textOrNull(v.Home), nil}
		if v.Accounts >= 0 {
			accounts := int64(v.Accounts)
			shown.Accounts = &accounts
		}
		m.VirtualUsers = append(m.VirtualUsers, shown)
	}
	for _, a := range found.Aliases {
		m.Aliases = append(m.Aliases, aliasModel{a.Name, a.File, int64(a.Line), a.Kinds})
	}
	m.Forwards, m.Filters = found.Forwards, found.Filters
	m.Problems, m.NotUnderstood = append([]string{}, found.Problems...), append([]string{}, found.NotUnderstood...)
	// The resource has the last word on what it takes.
	if err := maildir.CheckPath(found.Path); err != nil && found.InHomes {
		m.Problems = slices.Insert(m.Problems, 0, err.Error())
	}
	if maildir.CheckSpoolDirectory(found.SpoolDir) != nil {
		m.SpoolDirectory = types.StringNull()
	}
}
