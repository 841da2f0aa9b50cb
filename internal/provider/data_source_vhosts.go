package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

type vhostsModel struct {
	ID            types.String         `tfsdk:"id"`
	Host          types.String         `tfsdk:"host"`
	Server        types.String         `tfsdk:"server"`
	Sites         map[string]siteModel `tfsdk:"sites"`
	NotUnderstood []string             `tfsdk:"not_understood"`
	Timeouts      timeouts.Value       `tfsdk:"timeouts"`
}

type siteModel struct {
	Name            string   `tfsdk:"name"`
	Priority        *int64   `tfsdk:"priority"`
	ServerName      *string  `tfsdk:"server_name"`
	Aliases         []string `tfsdk:"aliases"`
	DefaultServer   bool     `tfsdk:"default_server"`
	Ports           []int    `tfsdk:"ports"`
	TLSPorts        []int    `tfsdk:"tls_ports"`
	DocumentRoot    *string  `tfsdk:"document_root"`
	Certificate     *string  `tfsdk:"certificate"`
	CertificateKey  *string  `tfsdk:"certificate_key"`
	AccessLog       *string  `tfsdk:"access_log"`
	ErrorLog        *string  `tfsdk:"error_log"`
	PHPFPMSocket    *string  `tfsdk:"php_fpm_socket"`
	RedirectToHTTPS bool     `tfsdk:"redirect_to_https"`
	Extra           *string  `tfsdk:"extra"`
	Addresses       []string `tfsdk:"addresses"`
	File            string   `tfsdk:"file"`
	Line            int64    `tfsdk:"line"`
	Problems        []string `tfsdk:"problems"`
}

func newVhostsDataSource() datasource.DataSource {
	return &dataSource[vhostsModel]{
		name:     "vhosts",
		noun:     "vhosts",
		timeout:  time.Minute,
		schema:   vhostsSchema,
		timeouts: func(m *vhostsModel) timeouts.Value { return m.Timeouts },
		read:     readVhosts,
	}
}

func vhostsSchema(ctx context.Context) schema.Schema {
	ports := func(description string) schema.SetAttribute {
		return schema.SetAttribute{Computed: true, ElementType: types.Int64Type, MarkdownDescription: description}
	}
	return schema.Schema{
		MarkdownDescription: "The sites that a host's Apache or nginx serves, shaped so that `for_each` over them gives `cutover_vhost` what it needs.\n\n" +
			"It reads the server's own files from the main one on, follows what they include, and skips what their conditions on modules leave out. " +
			"The blocks for HTTP and HTTPS of a name are one site where they show the same. What has no attribute is kept to the letter in `extra`, which only a server of the same kind can read; " +
			"what was not understood at all is in `not_understood`, with file and line.\n\n" +
			"`for_each = { for key, site in data.cutover_vhosts.old.sites : key => site if length(site.problems) == 0 }` leaves out the sites that need a look first.",
		Attributes: map[string]schema.Attribute{
			"host": hostAttribute(),
			"server": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "`apache` or `nginx`. Default: the one that the host has, or, of both, the one that runs.",
				Validators:          []validator.String{stringvalidator.OneOf(vhost.Apache, vhost.Nginx)},
			},
			"sites": schema.MapNestedAttribute{
				Computed: true,
				MarkdownDescription: "The sites. A site's key is the name of its file, without `.conf`. It is the `server_name` where the file does not tell the site: where a file has several sites, " +
					"where the file has a name such as `nginx`, `httpd`, `apache2` or `vhosts`, where the server finds it in a directory under a pattern (`/home/*/conf/web/*/nginx.conf`), and where another file has the same name. " +
					"Sites that would have the same key are numbered: `shop`, `shop-2`.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"name":              computedText("Name of the file, without priority."),
					"priority":          schema.Int64Attribute{Computed: true, MarkdownDescription: "Number in front of the file's name, if there is one."},
					"server_name":       computedText("Name of the site; null for the one without a name."),
					"aliases":           schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Further names."},
					"default_server":    computedTruth("nginx: whether it answers to names that no site has."),
					"ports":             ports("TCP ports for HTTP."),
					"tls_ports":         ports("TCP ports for HTTPS."),
					"document_root":     computedText("Directory of its files."),
					"certificate":       computedText("Path of the certificate."),
					"certificate_key":   computedText("Path of the certificate's key."),
					"access_log":        computedText("Path of the access log, where it has its own in the combined format."),
					"error_log":         computedText("Path of the error log, where it has its own."),
					"php_fpm_socket":    computedText("Socket of PHP-FPM, where `.php` goes there in the usual way."),
					"redirect_to_https": computedTruth("Whether the ports for HTTP redirect to HTTPS."),
					"extra":             computedText("All other lines of the site, in the server's own language."),
					"addresses":         schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Addresses as the file has them, such as `192.0.2.1:80`. A `cutover_vhost` listens on all."},
					"file":              computedText("File that the site is in."),
					"line":              schema.Int64Attribute{Computed: true, MarkdownDescription: "Line of the file at which the site begins."},
					"problems": schema.ListAttribute{
						Computed: true, ElementType: types.StringType,
						MarkdownDescription: "Why `cutover_vhost` would refuse the site, and what was left out of it: `file:line: what it is`. Empty for a site that can be moved as it is. " +
							"Options of nginx's `listen` that a site works without, such as `http2` and `quic`, are in `not_understood` alone.",
					},
				}},
			},
			"not_understood": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "What is missing from `sites`, such as sites made by a macro, and all `problems` of the sites: `file:line: what it is`. Empty where the list is the whole truth. " +
					"What stands outside the sites is named in files that hold a site (Apache), in files that `nginx.conf` includes (nginx), and in the main file where no distribution has it there: an `upstream`, a `WSGIPythonHome`, a `<Directory>`.",
			},
			"id":       schema.StringAttribute{Computed: true, MarkdownDescription: "`host/server`."},
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func readVhosts(ctx context.Context, known *hosts, m *vhostsModel) error {
	h, err := known.Get(m.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	sites := known.sites.of(h, vhost.NewSites)
	server, listed, unclear, err := sites.List(ctx, m.Server.ValueString())
	if err != nil {
		return onField(err)
	}
	m.Server = types.StringValue(server)
	m.ID = types.StringValue(m.Host.ValueString() + "/" + server)
	m.NotUnderstood = append([]string{}, unclear...)
	m.Sites = make(map[string]siteModel, len(listed))
	for _, site := range listed {
		m.Sites[site.Label()] = showSite(site)
	}
	return nil
}

func showSite(site vhost.Listed) siteModel {
	text := func(value string) *string {
		if value == "" {
			return nil
		}
		return &value
	}
	shown := siteModel{
		Name: site.Name, ServerName: text(site.ServerName), Aliases: append([]string{}, site.Aliases...), DefaultServer: site.DefaultServer,
		Ports: append([]int{}, site.Ports...), TLSPorts: append([]int{}, site.TLSPorts...),
		DocumentRoot: text(site.DocumentRoot), Certificate: text(site.Certificate), CertificateKey: text(site.CertificateKey),
		AccessLog: text(site.AccessLog), ErrorLog: text(site.ErrorLog), PHPFPMSocket: text(site.PHPSocket),
		RedirectToHTTPS: site.RedirectToHTTPS, Extra: text(site.Extra),
		Addresses: append([]string{}, site.Addresses...), File: site.File, Line: int64(site.Line), Problems: append([]string{}, site.Problems...),
	}
	if site.Priority != vhost.NoPriority {
		priority := int64(site.Priority)
		shown.Priority = &priority
	}
	return shown
}
