package provider

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/check"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

type serviceCheckModel struct {
	Address      types.String `tfsdk:"address"`
	Port         types.Int64  `tfsdk:"port"`
	Protocol     types.String `tfsdk:"protocol"`
	Via          types.String `tfsdk:"via"`
	IPVersion    types.Int64  `tfsdk:"ip_version"`
	ServerName   types.String `tfsdk:"server_name"`
	Path         types.String `tfsdk:"path"`
	ExpectStatus types.Int64  `tfsdk:"expect_status"`
	ExpectText   types.String `tfsdk:"expect_text"`
	StartTLS     types.Bool   `tfsdk:"starttls"`
	InsecureTLS  types.Bool   `tfsdk:"insecure_tls"`
	ExpectDays   types.Int64  `tfsdk:"expect_certificate_days"`
	Username     types.String `tfsdk:"username"`
	PasswordPath types.String `tfsdk:"password_path"`
	Timeout      types.String `tfsdk:"timeout"`
	Interval     types.String `tfsdk:"interval"`
	Fail         types.Bool   `tfsdk:"fail"`

	OK       types.Bool   `tfsdk:"ok"`
	Greeting types.String `tfsdk:"greeting"`
	Status   types.Int64  `tfsdk:"status"`
	Title    types.String `tfsdk:"title"`
	Location types.String `tfsdk:"location"`
	Messages types.Int64  `tfsdk:"messages"`
	Latency  types.Int64  `tfsdk:"latency"`
	Error    types.String `tfsdk:"error"`

	TLSVersion  types.String      `tfsdk:"tls_version"`
	Certificate *certificateModel `tfsdk:"certificate"`
}

type certificateModel struct {
	Subject types.String `tfsdk:"subject"`
	Issuer  types.String `tfsdk:"issuer"`
	Expires types.String `tfsdk:"expires"`
	Problem types.String `tfsdk:"problem"`
}

// Defaults of a check. One try may take as long as a mail server takes to look
// up who is calling before it says hello.
const (
	checkTimeout  = 30 * time.Second
	checkInterval = 2 * time.Second
	checkAttempt  = 20 * time.Second
)

func newServiceCheckDataSource() datasource.DataSource {
	return &dataSource[serviceCheckModel]{
		name: "service_check",
		noun: "service check",
		// The check's own timeout is the one that counts.
		timeout:  24 * time.Hour,
		schema:   serviceCheckSchema,
		timeouts: func(*serviceCheckModel) timeouts.Value { return timeouts.Value{} },
		validate: validateServiceCheck,
		read:     readServiceCheck,
	}
}

func serviceCheckSchema(context.Context) schema.Schema {
	span := []validator.String{duration{}}
	return schema.Schema{
		MarkdownDescription: "Asks a service in its own language whether it works, at an address that DNS does not name yet: " +
			"what temporarily changing your own hosts file is otherwise for. It repeats the question until the answer is right or the time is over, " +
			"and sends no mail and changes nothing.",
		Attributes: map[string]schema.Attribute{
			"address": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name or IP address to connect to.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"port": schema.Int64Attribute{
				Required:            true,
				MarkdownDescription: "TCP port to connect to.",
				Validators:          []validator.Int64{int64validator.Between(1, 65535)},
			},
			"protocol": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "`tcp`, `http`, `https`, `smtp`, `smtps`, `submission`, `pop3`, `pop3s`, `imap`, `imaps`, `ftp` or `ftps`. " +
					"Default: what the port is known for, else `tcp`, for which a connection that is not closed at once is enough.",
				Validators: []validator.String{stringvalidator.OneOf(check.Protocols...)},
			},
			"via": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Host of the provider's `hosts` from which to connect, through SSH. Default: from here.",
			},
			"ip_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "`4` or `6`: which addresses of a name count. Default: any; where one does not answer, the next is tried.",
				Validators:          []validator.Int64{int64validator.OneOf(4, 6)},
			},
			"server_name": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name to ask for: HTTP's `Host`, and the one that a TLS certificate must be valid for. Default: `address`.",
			},
			"path": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What to ask for by HTTP. Default: `/`.",
			},
			"expect_status": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "HTTP status that must come back. Redirects are not followed; `location` says where one leads. Default: any below 400.",
				Validators:          []validator.Int64{int64validator.Between(100, 599)},
			},
			"expect_text": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Text that the page (its first 64 KiB) or the greeting must contain.",
			},
			"starttls": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to change to TLS within SMTP, POP3, IMAP or FTP, and to fail where that is not offered. Default: `false`.",
			},
			"insecure_tls": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to accept any certificate, for a new host that does not have its own yet. `certificate.problem` says what is wrong with it. Default: `false`.",
			},
			"expect_certificate_days": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "How many days the certificate must be valid from now on. Default: it must not have expired.",
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
			},
			"username": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Who logs in by SMTP, POP3, IMAP or FTP. The mailbox or the home is opened, too. " +
					"Without TLS this is only for a service that is asked on its own host: `via`, and the `address` `127.0.0.1`.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1), stringvalidator.AlsoRequires(path.MatchRoot("password_path"))},
			},
			"password_path": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "File on this machine with the password, in one line. The password itself gets into no plan and no state.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1), stringvalidator.AlsoRequires(path.MatchRoot("username"))},
			},
			"timeout":  schema.StringAttribute{Optional: true, Validators: span, MarkdownDescription: "How long to go on asking, as in `\"1m\"`. Default: `30s`."},
			"interval": schema.StringAttribute{Optional: true, Validators: span, MarkdownDescription: "How long to wait between two questions. Default: `2s`."},
			"fail": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether it is an error that the service does not answer as it should. With `false`, `ok` says so. Default: `true`.",
			},

			"ok":          schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the service answers as it should."},
			"greeting":    schema.StringAttribute{Computed: true, MarkdownDescription: "First line that the service said; HTTP's status line."},
			"status":      schema.Int64Attribute{Computed: true, MarkdownDescription: "HTTP's status, or the code of SMTP's greeting."},
			"title":       schema.StringAttribute{Computed: true, MarkdownDescription: "Title of the page."},
			"location":    schema.StringAttribute{Computed: true, MarkdownDescription: "Where a redirect leads."},
			"messages":    schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of messages in the inbox of `username`, by POP3 or IMAP."},
			"latency":     schema.Int64Attribute{Computed: true, MarkdownDescription: "How long the greeting took, in milliseconds."},
			"error":       schema.StringAttribute{Computed: true, MarkdownDescription: "Why the service is not `ok`; null where it is."},
			"tls_version": schema.StringAttribute{Computed: true, MarkdownDescription: "Version of TLS, such as `TLS 1.3`."},
			"certificate": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The service's certificate; null without TLS.",
				Attributes: map[string]schema.Attribute{
					"subject": schema.StringAttribute{Computed: true, MarkdownDescription: "Whose it is."},
					"issuer":  schema.StringAttribute{Computed: true, MarkdownDescription: "Who has signed it."},
					"expires": schema.StringAttribute{Computed: true, MarkdownDescription: "Until when it is valid, as in RFC 3339."},
					"problem": schema.StringAttribute{Computed: true, MarkdownDescription: "Why a client would not accept it; null where one would."},
				},
			},
		},
	}
}

func (m *serviceCheckModel) check() check.Check {
	c := check.Check{
		Address: m.Address.ValueString(),
		Port:    int(m.Port.ValueInt64()),
		Request: check.Request{
			Protocol:     m.Protocol.ValueString(),
			ServerName:   m.ServerName.ValueString(),
			Path:         m.Path.ValueString(),
			ExpectStatus: int(m.ExpectStatus.ValueInt64()),
			ExpectBody:   m.ExpectText.ValueString(),
			StartTLS:     m.StartTLS.ValueBool(),
			SkipVerify:   m.InsecureTLS.ValueBool(),
			ValidFor:     time.Duration(m.ExpectDays.ValueInt64()) * 24 * time.Hour,
			Username:     m.Username.ValueString(),
		},
		Family:   int(m.IPVersion.ValueInt64()),
		Timeout:  span(m.Timeout, checkTimeout),
		Interval: span(m.Interval, checkInterval),
		Attempt:  checkAttempt,
	}
	if c.Request.ServerName == "" {
		c.Request.ServerName = c.Address
	}
	return c
}

func validateServiceCheck(_ context.Context, m *serviceCheckModel, diags *diag.Diagnostics) {
	if !known(m.Address, m.Port, m.Protocol, m.Via, m.IPVersion, m.ServerName, m.Path, m.StartTLS, m.ExpectDays, m.Username) {
		return
	}
	if err := m.check().Validate(!m.Via.IsNull()); err != nil {
		diags.AddError("Invalid service check", capitalised(err.Error())+".")
	}
}

// span is a duration that has been validated, or its default.
func span(text types.String, otherwise time.Duration) time.Duration {
	if parsed, err := time.ParseDuration(text.ValueString()); err == nil {
		return parsed
	}
	return otherwise
}

func readServiceCheck(ctx context.Context, known *hosts, m *serviceCheckModel) error {
	c := m.check()
	if !m.Via.IsNull() {
		via, err := known.Get(m.Via.ValueString())
		if err != nil {
			return at(path.Root("via"), err)
		}
		c.Via = via
	}
	if !m.PasswordPath.IsNull() {
		password, err := passwordIn(m.PasswordPath.ValueString())
		if err != nil {
			return at(path.Root("password_path"), err)
		}
		c.Request.Password = password
	}
	outcome, err := c.Do(ctx)
	if err != nil {
		return err
	}
	if outcome.Err != nil && (m.Fail.IsNull() || m.Fail.ValueBool()) {
		return fmt.Errorf("%w\n\nSet fail = false to get this as the attribute error instead", outcome.Err)
	}
	m.Protocol = types.StringValue(outcome.Protocol)
	m.OK = types.BoolValue(outcome.Err == nil)
	answer := outcome.Answer
	m.Greeting, m.Title = textOrNull(answer.Greeting), textOrNull(answer.Title)
	m.Status, m.Location, m.Messages = types.Int64Null(), types.StringNull(), types.Int64Null()
	if answer.Status != 0 {
		m.Status = types.Int64Value(int64(answer.Status))
	}
	if where := answer.Header["Location"]; len(where) > 0 {
		m.Location = types.StringValue(strings.ToValidUTF8(where[0], "?"))
	}
	if inbox := strings.HasPrefix(outcome.Protocol, "pop3") || strings.HasPrefix(outcome.Protocol, "imap"); inbox && c.Request.Username != "" && outcome.Err == nil {
		m.Messages = types.Int64Value(int64(answer.Messages))
	}
	m.TLSVersion, m.Certificate = types.StringNull(), nil
	if in := answer.TLS; in != nil {
		m.TLSVersion = types.StringValue(in.Version)
		m.Certificate = &certificateModel{
			Subject: types.StringValue(in.Subject), Issuer: types.StringValue(in.Issuer),
			Expires: types.StringValue(in.NotAfter.UTC().Format(time.RFC3339)), Problem: textOrNull(in.Problem),
		}
	}
	m.Latency = types.Int64Value(answer.Latency.Milliseconds())
	m.Error = types.StringNull()
	if outcome.Err != nil {
		m.Error = types.StringValue(outcome.Err.Error())
	}
	return nil
}

// passwordIn is the first line of a file.
func passwordIn(name string) (string, error) {
	content, err := os.ReadFile(host.InHome(name))
	if err != nil {
		return "", err
	}
	password, rest, _ := strings.Cut(string(content), "\n")
	if password = strings.TrimSuffix(password, "\r"); password == "" || strings.TrimSpace(rest) != "" {
		return "", fmt.Errorf("%s is to have a password in one line, and has something else", name)
	}
	return password, nil
}
