package provider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
	auditreport "github.com/cutover-dev/terraform-provider-cutover/internal/audit/report"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

type migrationAuditModel struct {
	ID          types.String        `tfsdk:"id"`
	From        types.String        `tfsdk:"from"`
	To          types.String        `tfsdk:"to"`
	Areas       types.Set           `tfsdk:"areas"`
	Ignore      types.Set           `tfsdk:"ignore"`
	ReportPath  types.String        `tfsdk:"report_path"`
	ReportTitle types.String        `tfsdk:"report_title"`
	Timeline    []auditEventModel   `tfsdk:"timeline"`
	Summary     types.String        `tfsdk:"summary"`
	Errors      types.Int64         `tfsdk:"errors"`
	Warnings    types.Int64         `tfsdk:"warnings"`
	Notices     types.Int64         `tfsdk:"notices"`
	Ignored     types.Int64         `tfsdk:"ignored"`
	Compared    map[string]int64    `tfsdk:"compared"`
	Findings    []auditFindingModel `tfsdk:"findings"`
	Homes       []auditHomeModel    `tfsdk:"homes"`
	Sites       []auditSiteModel    `tfsdk:"sites"`
	Mailboxes   []auditMailboxModel `tfsdk:"mailboxes"`
	NotCompared []string            `tfsdk:"not_compared"`
	Timeouts    timeouts.Value      `tfsdk:"timeouts"`
}

type auditEventModel struct {
	Name     types.String `tfsdk:"name"`
	Started  types.String `tfsdk:"started"`
	Finished types.String `tfsdk:"finished"`
	Downtime types.Bool   `tfsdk:"downtime"`
}

type auditFindingModel struct {
	Area     string       `tfsdk:"area"`
	Severity string       `tfsdk:"severity"`
	Subject  string       `tfsdk:"subject"`
	Old      types.String `tfsdk:"old"`
	New      types.String `tfsdk:"new"`
	Text     string       `tfsdk:"text"`
	Mend     string       `tfsdk:"mend"`
}

type auditHomeModel struct {
	User         string       `tfsdk:"user"`
	OldPath      types.String `tfsdk:"old_path"`
	NewPath      types.String `tfsdk:"new_path"`
	OldFiles     int64        `tfsdk:"old_files"`
	NewFiles     int64        `tfsdk:"new_files"`
	OldBytes     int64        `tfsdk:"old_bytes"`
	NewBytes     int64        `tfsdk:"new_bytes"`
	BroughtFiles *int64       `tfsdk:"brought_files"`
	BroughtBytes *int64       `tfsdk:"brought_bytes"`
}

type auditSiteModel struct {
	Name           string       `tfsdk:"name"`
	Port           int64        `tfsdk:"port"`
	TLS            bool         `tfsdk:"tls"`
	OldStatus      int64        `tfsdk:"old_status"`
	NewStatus      int64        `tfsdk:"new_status"`
	OldTitle       types.String `tfsdk:"old_title"`
	NewTitle       types.String `tfsdk:"new_title"`
	OldCertificate types.String `tfsdk:"old_certificate"`
	NewCertificate types.String `tfsdk:"new_certificate"`
	OldExpires     types.String `tfsdk:"old_expires"`
	NewExpires     types.String `tfsdk:"new_expires"`
}

type auditMailboxModel struct {
	User        string `tfsdk:"user"`
	OldFolders  int64  `tfsdk:"old_folders"`
	NewFolders  int64  `tfsdk:"new_folders"`
	OldMessages int64  `tfsdk:"old_messages"`
	NewMessages int64  `tfsdk:"new_messages"`
}

func newMigrationAuditDataSource() datasource.DataSource {
	return &dataSource[migrationAuditModel]{
		name:     "migration_audit",
		noun:     "migration audit",
		timeout:  10 * time.Minute,
		schema:   migrationAuditSchema,
		timeouts: func(m *migrationAuditModel) timeouts.Value { return m.Timeouts },
		read:     readMigrationAudit,
	}
}

func migrationAuditSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "The old and the new host side by side: what the old one has or does, and the new one has not or does otherwise. Each finding says what to do.\n\n" +
			"It reads both hosts and changes neither. It lists all homes and mailboxes, so it costs about as much as looking for changes does in a sync pass. " +
			"A host that serves people is always ahead of the last pass: run it once after the rehearsal for what is set up, and once after the cutover for what was moved. " +
			"What only the new host has is no finding. Contents of databases are not compared.\n\n" +
			"Passwords, what aliases and `.forward` files lead to, and contents of files never get into the state or the report. Rules of sudo that the new host lacks do.",
		Attributes: map[string]schema.Attribute{
			"from": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the old host in the provider's `hosts`."},
			"to":   schema.StringAttribute{Required: true, MarkdownDescription: "Name of the new host."},
			"areas": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "What to compare: `" + strings.Join(audit.Areas, "`, `") + "`. Default: all.",
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(stringvalidator.OneOf(audit.Areas...))},
			},
			"ignore": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Findings that you know and mean, as `area/subject`; `*` stands for anything: `ports/8080/tcp`, `*/backup*`. They are counted in `ignored`.",
				Validators:          []validator.Set{setvalidator.ValueStringsAre(checkedText{"a pattern of findings", checkIgnored})},
			},
			"report_path": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "File on the machine that runs Terraform for the report: one HTML page that needs nothing from outside. It is written anew at each read, also at plan, and only its owner can read it. Default: no report.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"report_title": schema.StringAttribute{Optional: true, MarkdownDescription: "Heading of the report. Default: `From OLD to NEW`, with the hosts' names."},
			"timeline": schema.ListNestedAttribute{
				Optional:            true,
				MarkdownDescription: "What the report's timeline shows, such as the passes. An entry without `started` or `finished` is left out.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"name":     schema.StringAttribute{Required: true, MarkdownDescription: "What it was: `final pass`."},
					"started":  schema.StringAttribute{Optional: true, MarkdownDescription: "When it began (RFC 3339): `started` of a `cutover_sync_pass`.", Validators: []validator.String{checkedText{"a time", checkMoment}}},
					"finished": schema.StringAttribute{Optional: true, MarkdownDescription: "When it was over (RFC 3339).", Validators: []validator.String{checkedText{"a time", checkMoment}}},
					"downtime": schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether nobody was served meanwhile. Default: `false`."},
				}},
			},
			"summary":  computedText("The findings as text for a terminal: a line each, grouped by area."),
			"errors":   computedNumber("Number of findings by which somebody misses something or is refused."),
			"warnings": computedNumber("Number of findings that somebody may notice."),
			"notices":  computedNumber("Number of findings that are good to know."),
			"ignored":  computedNumber("Number of findings that `ignore` has left out."),
			"compared": schema.MapAttribute{Computed: true, ElementType: types.Int64Type, MarkdownDescription: "Number of things that were compared, by area. An area that could not be compared is not in it; `not_compared` says why."},
			"findings": computedObjects("The findings, by area, the worst first.", map[string]schema.Attribute{
				"area":     computedText("One of `areas`."),
				"severity": computedText("`error`, `warning` or `notice`."),
				"subject":  computedText("What it is about: a user, `user/folder`, `site:port`, a file."),
				"old":      computedText("What the old host has."),
				"new":      computedText("What the new host has; null for nothing."),
				"text":     computedText("The fact, in a sentence."),
				"mend":     computedText("What to do."),
			}),
			"homes": computedObjects("Homes of the old host's users on both hosts, whether they differ or not.", map[string]schema.Attribute{
				"user":          computedText("User name."),
				"old_path":      computedText("Home on the old host."),
				"new_path":      computedText("Home on the new host; null where there is none."),
				"old_files":     computedNumber("Number of files and links below it."),
				"new_files":     computedNumber("Likewise on the new host."),
				"old_bytes":     computedNumber("Size of their content in bytes."),
				"new_bytes":     computedNumber("Likewise on the new host."),
				"brought_files": computedNumber("Number of files and links that the last pass had brought; null where no pass goes there."),
				"brought_bytes": computedNumber("Size of their content in bytes."),
			}),
			"sites": computedObjects("Sites of the old host on both hosts, a name and a port each.", map[string]schema.Attribute{
				"name":            computedText("Name of the site."),
				"port":            computedNumber("TCP port of the site."),
				"tls":             schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it speaks HTTPS there."},
				"old_status":      computedNumber("HTTP status; 0 where there was no answer."),
				"new_status":      computedNumber("Likewise on the new host."),
				"old_title":       computedText("Title of the page."),
				"new_title":       computedText("Likewise on the new host."),
				"old_certificate": computedText("Subject of the certificate; null without TLS."),
				"new_certificate": computedText("Likewise on the new host."),
				"old_expires":     computedText("When the certificate expires, in UTC (RFC 3339)."),
				"new_expires":     computedText("Likewise on the new host."),
			}),
			"mailboxes": computedObjects("Mailboxes of the old host on both hosts.", map[string]schema.Attribute{
				"user":         computedText("User name; of users without an account, the path below the directory of all."),
				"old_folders":  computedNumber("Number of folders, the inbox included."),
				"new_folders":  computedNumber("Likewise on the new host."),
				"old_messages": computedNumber("Number of messages in all folders."),
				"new_messages": computedNumber("Likewise on the new host."),
			}),
			"not_compared": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What could not be read or compared, and why. Empty where the findings are the whole truth of `areas`."},
			"id":           computedText("Names of the hosts: `from/to`."),
			"timeouts":     readTimeoutsAttribute(ctx),
		},
	}
}

func checkIgnored(pattern string) error {
	area, subject, both := strings.Cut(pattern, "/")
	if !both || subject == "" {
		return fmt.Errorf("%q names no subject: write area/subject, as in \"accounts/backup\" or \"*/backup*\"", pattern)
	}
	if strings.Contains(area, "*") {
		return nil
	}
	for _, known := range audit.Areas {
		if area == known {
			return nil
		}
	}
	return fmt.Errorf("%q is no area; the areas are %s", area, strings.Join(audit.Areas, ", "))
}

func checkMoment(text string) error {
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("%q is no time as in RFC 3339, such as 2026-01-31T03:00:00Z", text)
	}
	return nil
}

// auditHost is a host with what the resources of it share.
func (h *hosts) auditHost(name string) (audit.Host, error) {
	reached, err := h.Get(name)
	if err != nil {
		return audit.Host{}, err
	}
	return audit.Host{Host: reached, Accounts: h.accounts.of(reached, account.NewDirectory), Sites: h.sites.of(reached, vhost.NewSites)}, nil
}

func readMigrationAudit(ctx context.Context, known *hosts, m *migrationAuditModel) error {
	from, err := known.auditHost(m.From.ValueString())
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := known.auditHost(m.To.ValueString())
	if err != nil {
		return at(path.Root("to"), err)
	}
	found, err := audit.Run(ctx, from, to, audit.Options{Areas: stringsOf(m.Areas), Ignored: stringsOf(m.Ignore)})
	if err != nil {
		return err
	}
	m.ID = types.StringValue(m.From.ValueString() + "/" + m.To.ValueString())
	m.show(found)
	if m.ReportPath.IsNull() {
		return nil
	}
	if err := m.write(found); err != nil {
		return at(path.Root("report_path"), err)
	}
	return nil
}

func (m *migrationAuditModel) show(found audit.Audit) {
	counts := found.Counts()
	m.Errors, m.Warnings, m.Notices = types.Int64Value(int64(counts[audit.Error])), types.Int64Value(int64(counts[audit.Warning])), types.Int64Value(int64(counts[audit.Notice]))
	m.Ignored, m.Summary = types.Int64Value(int64(found.Ignored)), types.StringValue(found.Summary())
	m.Compared, m.NotCompared = map[string]int64{}, append([]string{}, found.NotCompared...)
	for _, area := range found.Areas {
		if area.Skipped == "" {
			m.Compared[area.Name] = int64(area.Compared)
		}
	}
	m.Findings, m.Homes, m.Sites, m.Mailboxes = []auditFindingModel{}, []auditHomeModel{}, []auditSiteModel{}, []auditMailboxModel{}
	for _, f := range found.Findings {
		m.Findings = append(m.Findings, auditFindingModel{f.Area, string(f.Severity), f.Subject, textOrNull(f.Old), textOrNull(f.New), f.Text, f.Mend})
	}
	for _, h := range found.Homes {
		shown := auditHomeModel{
			User: h.User, OldPath: textOrNull(h.OldPath), NewPath: textOrNull(h.NewPath),
			OldFiles: h.Old.Files, NewFiles: h.New.Files, OldBytes: h.Old.Bytes, NewBytes: h.New.Bytes,
		}
		if h.Brought != nil {
			shown.BroughtFiles, shown.BroughtBytes = &h.Brought.Files, &h.Brought.Bytes
		}
		m.Homes = append(m.Homes, shown)
	}
	for _, s := range found.Sites {
		m.Sites = append(m.Sites, auditSiteModel{
			s.Name, int64(s.Port), s.TLS, int64(s.Old.Status), int64(s.New.Status), textOrNull(s.Old.Title), textOrNull(s.New.Title),
			textOrNull(s.Old.Certificate), textOrNull(s.New.Certificate), moment(s.Old.Expires), moment(s.New.Expires),
		})
	}
	for _, b := range found.Mailboxes {
		m.Mailboxes = append(m.Mailboxes, auditMailboxModel{b.User, int64(b.Old.Folders), int64(b.New.Folders), b.Old.Messages, b.New.Messages})
	}
}

// write writes the report. A reader sees the one before or this one, and never a part.
func (m *migrationAuditModel) write(found audit.Audit) (err error) {
	title := m.ReportTitle.ValueString()
	if title == "" {
		title = fmt.Sprintf("From %s to %s", m.From.ValueString(), m.To.ValueString())
	}
	name := m.ReportPath.ValueString()
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	err = auditreport.Write(file, found, title, m.events())
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// events are those of the timeline that have both ends.
func (m *migrationAuditModel) events() []audit.Event {
	var events []audit.Event
	for _, each := range m.Timeline {
		started, began := time.Parse(time.RFC3339, each.Started.ValueString())
		finished, ended := time.Parse(time.RFC3339, each.Finished.ValueString())
		if began == nil && ended == nil {
			events = append(events, audit.Event{Name: each.Name.ValueString(), Downtime: each.Downtime.ValueBool(), Started: started, Finished: finished})
		}
	}
	return events
}
