package provider

import (
	"context"
	"fmt"
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
)

type serviceCheckModel struct {
	Address      types.String `tfsdk:"address"`
	Port         types.Int64  `tfsdk:"port"`
	Protocol     types.String `tfsdk:"protocol"`
	Via          types.String `tfsdk:"via"`
	ServerName   types.String `tfsdk:"server_name"`
	Path         types.String `tfsdk:"path"`
	ExpectStatus types.Int64  `tfsdk:"expect_status"`
	ExpectText   types.String `tfsdk:"expect_text"`
	StartTLS     types.Bool   `tfsdk:"starttls"`
	InsecureTLS  types.Bool   `tfsdk:"insecure_tls"`
	Timeout      types.String `tfsdk:"timeout"`
	Interval     types.String `tfsdk:"interval"`
	Fail         types.Bool   `tfsdk:"fail"`

	OK       types.Bool   `tfsdk:"ok"`
	Greeting types.String `tfsdk:"greeting"`
	Status   types.Int64  `tfsdk:"status"`
	Title    types.String `tfsdk:"title"`
	Latency  types.Int64  `tfsdk:"latency"`
	Error    types.String `tfsdk:"error"`
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
				MarkdownDescription: "`tcp`, `http`, `https`, `smtp`, `smtps`, `submission`, `pop3`, `pop3s`, `imap` or `imaps`. " +
					"Default: what the port is known for, else `tcp`, for which a connection that is not closed at once is enough.",
				Validators: []validator.String{stringvalidator.OneOf(check.Protocols...)},
			},
			"via": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Host of the provider's `hosts` from which to connect, through SSH. Default: from here.",
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
				MarkdownDescription: "HTTP status that must come back; redirects are not followed. Default: any below 400.",
				Validators:          []validator.Int64{int64validator.Between(100, 599)},
			},
			"expect_text": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Text that the page (its first 64 KiB) or the greeting must contain.",
			},
			"starttls": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to change to TLS within SMTP, POP3 or IMAP, and to fail where that is not offered. Default: `false`.",
			},
			"insecure_tls": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to accept any certificate, such as one that the new host does not have yet. Default: `false`.",
			},
			"timeout":  schema.StringAttribute{Optional: true, Validators: span, MarkdownDescription: "How long to go on asking, as in `\"1m\"`. Default: `30s`."},
			"interval": schema.StringAttribute{Optional: true, Validators: span, MarkdownDescription: "How long to wait between two questions. Default: `2s`."},
			"fail": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether it is an error that the service does not answer as it should. With `false`, `ok` says so. Default: `true`.",
			},

			"ok":       schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the service answers as it should."},
			"greeting": schema.StringAttribute{Computed: true, MarkdownDescription: "First line that the service said; HTTP's status line."},
			"status":   schema.Int64Attribute{Computed: true, MarkdownDescription: "HTTP's status, or the code of SMTP's greeting."},
			"title":    schema.StringAttribute{Computed: true, MarkdownDescription: "Title of the page."},
			"latency":  schema.Int64Attribute{Computed: true, MarkdownDescription: "How long the greeting took, in milliseconds."},
			"error":    schema.StringAttribute{Computed: true, MarkdownDescription: "Why the service is not `ok`; null where it is."},
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
		},
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
	if !known(m.Address, m.Port, m.Protocol, m.ServerName, m.Path) {
		return
	}
	if err := m.check().Validate(); err != nil {
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
	outcome, err := c.Do(ctx)
	if err != nil {
		return err
	}
	if outcome.Err != nil && (m.Fail.IsNull() || m.Fail.ValueBool()) {
		return fmt.Errorf("%w\n\nSet fail = false to get this as the attribute error instead", outcome.Err)
	}
	m.Protocol = types.StringValue(outcome.Protocol)
	m.OK = types.BoolValue(outcome.Err == nil)
	m.Greeting, m.Title = textOrNull(outcome.Answer.Greeting), textOrNull(outcome.Answer.Title)
	m.Status = types.Int64Null()
	if outcome.Answer.Status != 0 {
		m.Status = types.Int64Value(int64(outcome.Answer.Status))
	}
	m.Latency = types.Int64Value(outcome.Answer.Latency.Milliseconds())
	m.Error = types.StringNull()
	if outcome.Err != nil {
		m.Error = types.StringValue(outcome.Err.Error())
	}
	return nil
}
