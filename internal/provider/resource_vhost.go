package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

type vhostModel struct {
	ID       types.String `tfsdk:"id"`
	Host     types.String `tfsdk:"host"`
	Server   types.String `tfsdk:"server"`
	Name     types.String `tfsdk:"name"`
	Priority types.Int64  `tfsdk:"priority"`

	ServerName         types.String `tfsdk:"server_name"`
	Aliases            types.List   `tfsdk:"aliases"`
	DefaultServer      types.Bool   `tfsdk:"default_server"`
	Ports              types.Set    `tfsdk:"ports"`
	TLSPorts           types.Set    `tfsdk:"tls_ports"`
	DocumentRoot       types.String `tfsdk:"document_root"`
	CreateDocumentRoot types.Bool   `tfsdk:"create_document_root"`
	DocumentRootOwner  types.String `tfsdk:"document_root_owner"`
	Certificate        types.String `tfsdk:"certificate"`
	CertificateKey     types.String `tfsdk:"certificate_key"`
	AccessLog          types.String `tfsdk:"access_log"`
	ErrorLog           types.String `tfsdk:"error_log"`
	PHPFPMSocket       types.String `tfsdk:"php_fpm_socket"`
	RedirectToHTTPS    types.Bool   `tfsdk:"redirect_to_https"`
	Extra              types.String `tfsdk:"extra"`

	Adopt    types.Bool     `tfsdk:"adopt"`
	Enabled  types.Bool     `tfsdk:"enabled"`
	Content  types.String   `tfsdk:"content"`
	Path     types.String   `tfsdk:"path"`
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func newVhostResource() resource.Resource {
	return &lifecycle[vhostModel]{
		name:           "vhost",
		noun:           "vhost",
		timeout:        5 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         vhostSchema,
		timeouts:       func(m *vhostModel) timeouts.Value { return m.Timeouts },
		validate:       validateVhost,
		plan:           planVhost,
		create:         createVhost,
		read:           readVhost,
		update:         updateVhost,
		delete:         deleteVhost,
		importID:       importVhost,
	}
}

func vhostSchema(ctx context.Context) schema.Schema {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	file := []validator.String{checkedText{"a path", vhost.CheckPath}}
	ports := []validator.Set{setvalidator.ValueInt64sAre(int64validator.Between(1, 65535))}
	return schema.Schema{
		MarkdownDescription: "A site of Apache or nginx: one file in `sites-available`, turned on by a link in `sites-enabled`, or one file in `conf.d`, as the host has it.\n\n" +
			"The server's own test decides in a copy of its configuration, before anything live changes: what it does not accept never gets there, and the error shows its words and the line at fault. " +
			"Then the server reloads, and is not restarted; should it not take the site over, or not listen on a port of it, everything is put back as it was. " +
			"Sites that are created at the same time share a test and a reload, and one that is refused does not keep the others back.\n\n" +
			"Destroying it turns the site off and removes its file, never the document root. A file that was taken over with `adopt` comes back.\n\n" +
			"An import reads what the site's file includes, to see whether the site speaks TLS and with what certificate. The lines that include it stay in `extra`.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host of the site, by its name in the provider's `hosts`.",
				PlanModifiers:       replace,
			},
			"server": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "`apache` or `nginx`. Default: the one that the host has, or, of both, the one that runs.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown(), stringplanmodifier.RequiresReplace()},
				Validators:          []validator.String{stringvalidator.OneOf(vhost.Apache, vhost.Nginx)},
			},
			"name": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Name of the file, without `priority` and without `.conf`. Default: `server_name` when the site is made.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown(), stringplanmodifier.RequiresReplace()},
				Validators:          []validator.String{checkedText{"a file name", vhost.CheckName}},
			},
			"priority": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "A number from 0 to 999 in front of the file's name, as in `000-default`. Servers read the files in alphabetical order, and Apache's first site answers to names that no site has. Default: none.",
				PlanModifiers:       []planmodifier.Int64{int64planmodifier.RequiresReplace()},
				Validators:          []validator.Int64{int64validator.Between(0, 999)},
			},
			"server_name": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of the site. Without it, the site is for those that ask for no name that another site has.",
				Validators:          []validator.String{checkedText{"a server name", vhost.CheckServerName}},
			},
			"aliases": schema.ListAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Further names of the site. The first label may be a star: `*.example.com`.",
				Validators:          []validator.List{listvalidator.ValueStringsAre(checkedText{"an alias", vhost.CheckAlias})},
			},
			"default_server": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "nginx: whether the site answers to names that no site has. Apache takes its first site for that, see `priority`. Default: `false`.",
			},
			"ports": schema.SetAttribute{
				Optional: true, Computed: true, ElementType: types.Int64Type, Validators: ports,
				MarkdownDescription: "TCP ports for HTTP, on all addresses. Default: `[80]`. nginx listens by itself; Apache needs a `Listen` line for each port in its main configuration, and the lack of one is an error.",
			},
			"tls_ports": schema.SetAttribute{
				Optional: true, Computed: true, ElementType: types.Int64Type, Validators: ports,
				MarkdownDescription: "TCP ports for HTTPS, on all addresses. Default: `[443]` with a `certificate`, else none.",
			},
			"document_root": schema.StringAttribute{
				Optional: true, Validators: []validator.String{checkedText{"a path", asDirectory(vhost.CheckPath)}},
				MarkdownDescription: "Directory of the site's files. A link that leads out of its directory is refused, and so is one on the way that somebody else than root has made.",
			},
			"create_document_root": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether to make the document root where there is none, with mode `0755`. In the home of a user it is made with the user's own rights. Default: `false`.",
			},
			"document_root_owner": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Login name of the owner of a document root that is made. Default: the owner of the directory above.",
				Validators:          []validator.String{checkedText{"a login name", account.CheckName}},
			},
			"certificate": schema.StringAttribute{
				Optional: true, Validators: file,
				MarkdownDescription: "Path of the certificate on the host, PEM, with the chain behind it. It turns HTTPS on.",
			},
			"certificate_key": schema.StringAttribute{
				Optional: true, Validators: file,
				MarkdownDescription: "Path of the certificate's key on the host, PEM, without a passphrase. That both belong together is checked there; the key does not leave the host.",
			},
			"access_log": schema.StringAttribute{
				Optional: true, Validators: file,
				MarkdownDescription: "Path of the access log, in the combined format. Default: the server's own.",
			},
			"error_log": schema.StringAttribute{
				Optional: true, Validators: file,
				MarkdownDescription: "Path of the error log. Default: the server's own.",
			},
			"php_fpm_socket": schema.StringAttribute{
				Optional: true, Validators: file,
				MarkdownDescription: "Unix socket of the PHP-FPM pool that runs the site's `.php` files. Apache needs its modules `proxy` and `proxy_fcgi` for it.",
			},
			"redirect_to_https": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether `ports` answer with a redirect to HTTPS instead of the site. Default: `false`.",
			},
			"extra": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Lines in the server's own language for what has no attribute here, at the end of the site's block (in Apache of each of its blocks).",
				Validators:          []validator.String{checkedText{"extra lines", vhost.CheckExtra}},
			},
			"adopt": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether to take over a site of that name that is there already. Its file is kept on the host, and put back on destroy. Default: `false`, so that it is an error.",
			},
			"enabled": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(true),
				MarkdownDescription: "Whether the server reads the site. Default: `true`.",
			},
			"content": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "The file's text. What was changed by hand shows here, and the next apply changes it back.",
			},
			"path": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Path of the file on the host.",
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`host/server/file`, without the file's `.conf`.",
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

func validateVhost(_ context.Context, m *vhostModel, diags *diag.Diagnostics) {
	if m.Name.IsNull() && m.ServerName.IsNull() {
		diags.AddAttributeError(path.Root("server_name"), "No name", "Either server_name or name has to be set: the file has to be called something.")
	}
	if !known(m.Certificate, m.CertificateKey, m.Ports, m.TLSPorts, m.ServerName, m.Aliases, m.DocumentRoot, m.PHPFPMSocket, m.RedirectToHTTPS) || diags.HasError() {
		return
	}
	filled := *m
	filled.defaults()
	if filled.Name.IsUnknown() || filled.Name.IsNull() {
		filled.Name = types.StringValue("unknown")
	}
	var on *vhost.FieldError
	if err := filled.site().Check(); errors.As(err, &on) {
		diags.AddAttributeError(path.Root(on.Field), "Not a site", capitalised(on.Error())+".")
	}
}

// defaults fills in what follows from other attributes; unknown values stay so.
func (m *vhostModel) defaults() {
	if m.Name.IsNull() || m.Name.IsUnknown() {
		m.Name = m.ServerName
	}
	if m.Ports.IsNull() || m.Ports.IsUnknown() {
		m.Ports = portSet([]int{80})
	}
	if m.TLSPorts.IsNull() || m.TLSPorts.IsUnknown() {
		switch {
		case m.Certificate.IsUnknown():
			m.TLSPorts = types.SetUnknown(types.Int64Type)
		case m.Certificate.IsNull():
			m.TLSPorts = portSet(nil)
		default:
			m.TLSPorts = portSet([]int{443})
		}
	}
}

// planVhost shows the file as it is going to be. Where the configuration has
// no value for a computed attribute, or the host no server yet, it stays unknown.
func planVhost(ctx context.Context, r *request[vhostModel], prior, plan *vhostModel) error {
	if r.config.Name.IsUnknown() || r.config.Ports.IsUnknown() || r.config.TLSPorts.IsUnknown() {
		return nil
	}
	plan.Name, plan.Ports, plan.TLSPorts = r.config.Name, r.config.Ports, r.config.TLSPorts
	if prior != nil && plan.Name.IsNull() {
		plan.Name = prior.Name // a file keeps its name when the site gets another one
	}
	plan.defaults()
	if !known(plan.Host, plan.Name, plan.Priority) || r.config.Server.IsUnknown() {
		return nil
	}
	sites, err := r.sitesOf(plan.Host)
	if err != nil {
		var unresolved errUnresolved
		if errors.As(err, &unresolved) {
			return nil
		}
		return err
	}
	snapshot, err := sites.Servers(ctx)
	if err != nil {
		return err
	}
	server, err := snapshot.Server(plan.Server.ValueString())
	if err != nil {
		return nil //nolint:nilerr // the server may be installed by the same apply, which says so if it is not
	}
	plan.Server = types.StringValue(server.Name)
	if !known(plan.ServerName, plan.Aliases, plan.DefaultServer, plan.Ports, plan.TLSPorts, plan.DocumentRoot, plan.Certificate, plan.CertificateKey,
		plan.AccessLog, plan.ErrorLog, plan.PHPFPMSocket, plan.RedirectToHTTPS, plan.Extra, plan.Enabled) || !whollyKnown(plan.Aliases) || !setKnown(plan.Ports) || !setKnown(plan.TLSPorts) {
		return nil
	}
	site := plan.site()
	text, err := vhost.Render(site, server)
	if err != nil {
		return onField(err)
	}
	plan.accept(vhost.Placed{Server: server.Name, Path: server.Path(site, plan.Enabled.ValueBool()), Text: text})
	return nil
}

func setKnown(set types.Set) bool {
	for _, element := range set.Elements() {
		if element.IsUnknown() {
			return false
		}
	}
	return true
}

// onField puts a domain's error on the attribute that it is about.
func onField(err error) error {
	var on *vhost.FieldError
	if errors.As(err, &on) {
		return at(path.Root(on.Field), err)
	}
	return err
}

// sitesOf is the sites of a host.
func (r *request[M]) sitesOf(name types.String) (*vhost.Sites, error) {
	h, err := r.host(name)
	if err != nil {
		return nil, at(path.Root("host"), err)
	}
	return r.hosts.sites.of(h, vhost.NewSites), nil
}

// site is the model as the domain has it.
func (m *vhostModel) site() vhost.Site {
	site := vhost.Site{
		Server: m.Server.ValueString(), Name: m.Name.ValueString(), Priority: vhost.NoPriority,
		ServerName: m.ServerName.ValueString(), Aliases: stringsOf(m.Aliases), DefaultServer: m.DefaultServer.ValueBool(),
		Ports: portsOf(m.Ports), TLSPorts: portsOf(m.TLSPorts),
		DocumentRoot: directory(m.DocumentRoot.ValueString()), Certificate: m.Certificate.ValueString(), CertificateKey: m.CertificateKey.ValueString(),
		AccessLog: m.AccessLog.ValueString(), ErrorLog: m.ErrorLog.ValueString(), PHPSocket: m.PHPFPMSocket.ValueString(),
		RedirectToHTTPS: m.RedirectToHTTPS.ValueBool(), Extra: m.Extra.ValueString(),
	}
	if !m.Priority.IsNull() {
		site.Priority = int(m.Priority.ValueInt64())
	}
	return site
}

// show gives the model the attributes of a site that was read from its file.
func (m *vhostModel) show(site vhost.Site) {
	text := func(value string) types.String {
		if value == "" {
			return types.StringNull()
		}
		return types.StringValue(value)
	}
	m.ServerName, m.DocumentRoot = text(site.ServerName), text(site.DocumentRoot)
	m.Certificate, m.CertificateKey = text(site.Certificate), text(site.CertificateKey)
	m.AccessLog, m.ErrorLog, m.PHPFPMSocket, m.Extra = text(site.AccessLog), text(site.ErrorLog), text(site.PHPSocket), text(site.Extra)
	m.Aliases = types.ListNull(types.StringType)
	if len(site.Aliases) > 0 {
		var aliases []attr.Value
		for _, alias := range site.Aliases {
			aliases = append(aliases, types.StringValue(alias))
		}
		m.Aliases = types.ListValueMust(types.StringType, aliases)
	}
	m.Ports, m.TLSPorts = portSet(site.Ports), portSet(site.TLSPorts)
	m.DefaultServer, m.RedirectToHTTPS = types.BoolValue(site.DefaultServer), types.BoolValue(site.RedirectToHTTPS)
	m.CreateDocumentRoot, m.Adopt = types.BoolValue(false), types.BoolValue(false)
}

func portSet(ports []int) types.Set {
	values := make([]attr.Value, len(ports))
	for i, port := range ports {
		values[i] = types.Int64Value(int64(port))
	}
	return types.SetValueMust(types.Int64Type, values)
}

// portsOf are the elements of a set of ports, in ascending order: a set of
// Terraform has none.
func portsOf(set types.Set) []int {
	var ports []int
	for _, element := range set.Elements() {
		if port, ok := element.(types.Int64); ok && !port.IsUnknown() {
			ports = append(ports, int(port.ValueInt64()))
		}
	}
	slices.Sort(ports)
	return ports
}

// accept takes over where and as what the site is.
func (m *vhostModel) accept(placed vhost.Placed) {
	m.Server = types.StringValue(placed.Server)
	m.Path = types.StringValue(placed.Path)
	m.Content = types.StringValue(placed.Text)
	m.ID = types.StringValue(strings.Join([]string{m.Host.ValueString(), placed.Server, m.site().Label()}, "/"))
}

func createVhost(ctx context.Context, r *request[vhostModel], plan *vhostModel) error {
	return putVhost(ctx, r, plan, false)
}

func updateVhost(ctx context.Context, r *request[vhostModel], _, plan *vhostModel) error {
	return putVhost(ctx, r, plan, true)
}

func putVhost(ctx context.Context, r *request[vhostModel], plan *vhostModel, ours bool) error {
	plan.defaults()
	sites, err := r.sitesOf(plan.Host)
	if err != nil {
		return err
	}
	placed, err := sites.Put(ctx, vhost.Order{
		Site: plan.site(), Text: plan.Content.ValueString(), Enabled: plan.Enabled.ValueBool(), Adopt: plan.Adopt.ValueBool(),
		CreateRoot: plan.CreateDocumentRoot.ValueBool(), RootOwner: plan.DocumentRootOwner.ValueString(), Ours: ours,
	})
	if err != nil {
		return onField(err)
	}
	plan.accept(placed)
	if !placed.Running {
		r.warn("Site not served yet", fmt.Sprintf("The site %s is in place, but the web server of host %s does not run. It takes the site over when it starts.", plan.Name, plan.Host))
	}
	return nil
}

func readVhost(ctx context.Context, r *request[vhostModel], state *vhostModel) (bool, error) {
	sites, err := r.sitesOf(state.Host)
	if err != nil {
		return false, err
	}
	snapshot, err := sites.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	server, err := snapshot.Server(state.Server.ValueString())
	if err != nil {
		return false, nil //nolint:nilerr // the host has said that the server is not there, and so no site of it
	}
	found, ok := server.Look(state.site())
	if !ok {
		return false, nil
	}
	if state.Content.IsNull() { // imported
		site, unclear, err := sites.Parse(ctx, server, found)
		if err != nil {
			return false, err
		}
		state.show(site)
		if len(unclear) > 0 {
			r.warn("Site not wholly understood", fmt.Sprintf("The attributes do not hold all that %s says. Look at these lines before you apply:\n  %s", found.Path, strings.Join(unclear, "\n  ")))
		}
	}
	state.accept(vhost.Placed{Server: server.Name, Path: found.Path, Text: found.Text})
	state.Enabled = types.BoolValue(found.Enabled)
	return true, nil
}

func deleteVhost(ctx context.Context, r *request[vhostModel], state *vhostModel) error {
	sites, err := r.sitesOf(state.Host)
	if err != nil {
		return err
	}
	return sites.Remove(ctx, state.site())
}

func importVhost(id string) (map[string]any, error) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 || parts[1] != vhost.Apache && parts[1] != vhost.Nginx {
		return nil, fmt.Errorf("the ID %q is not HOST/SERVER/FILE, such as new/apache/www.example.com, with a server of apache or nginx and the file's name without .conf", id)
	}
	priority, name := vhost.SplitLabel(parts[2])
	if err := vhost.CheckName(name); err != nil {
		return nil, err
	}
	attributes := map[string]any{"id": id, "host": parts[0], "server": parts[1], "name": name}
	if priority != vhost.NoPriority {
		attributes["priority"] = int64(priority)
	}
	return attributes, nil
}
