package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/mailqueue"
)

type mailQueueModel struct {
	ID            types.String         `tfsdk:"id"`
	Host          types.String         `tfsdk:"host"`
	MTAs          []string             `tfsdk:"mtas"`
	Count         types.Int64          `tfsdk:"message_count"`
	Bytes         types.Int64          `tfsdk:"bytes"`
	Oldest        types.String         `tfsdk:"oldest"`
	ByState       map[string]int64     `tfsdk:"by_state"`
	Messages      []queuedMessageModel `tfsdk:"messages"`
	NotUnderstood []string             `tfsdk:"not_understood"`
	Timeouts      timeouts.Value       `tfsdk:"timeouts"`
}

type queuedMessageModel struct {
	MTA            types.String `tfsdk:"mta"`
	ID             types.String `tfsdk:"id"`
	State          types.String `tfsdk:"state"`
	Bytes          types.Int64  `tfsdk:"bytes"`
	Arrival        types.String `tfsdk:"arrival"`
	Sender         types.String `tfsdk:"sender"`
	Recipients     []string     `tfsdk:"recipients"`
	RecipientCount types.Int64  `tfsdk:"recipient_count"`
	Reason         types.String `tfsdk:"reason"`
}

func newMailQueueDataSource() datasource.DataSource {
	return &dataSource[mailQueueModel]{
		name:     "mail_queue",
		noun:     "mail queue",
		timeout:  5 * time.Minute,
		schema:   mailQueueSchema,
		timeouts: func(m *mailQueueModel) timeouts.Value { return m.Timeouts },
		read:     readMailQueue,
	}
}

func mailQueueSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "What lies in the mail queues of a host: messages that its mail server has accepted and not yet delivered. " +
			"A message that is still there when the host is switched off is as good as lost; `cutover_mail_queue_move` moves it to the new host.\n\n" +
			"Sendmail (all queue directories and groups, and what users of the host have handed in), Postfix (all instances) and Exim are read, whether they run or not. Reading changes nothing. " +
			fmt.Sprintf("The counts are of everything; `messages` are the oldest %d of each mail server together, so that a large queue does not fill the state. ", mailqueue.MaxMessages) +
			"Addresses of senders and recipients are in the state. Another mail server's queue is not read; `mtas` then is empty.",
		Attributes: map[string]schema.Attribute{
			"host": hostAttribute(),
			"mtas": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Mail servers that have a queue on the host: `sendmail`, `postfix`, `exim`, or the name of another instance of Postfix, such as `postfix-out`.",
			},
			"message_count": schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of messages."},
			"bytes":         schema.Int64Attribute{Computed: true, MarkdownDescription: "Size of the messages in bytes; those of Sendmail and Exim without their headers."},
			"oldest":        schema.StringAttribute{Computed: true, MarkdownDescription: "When the oldest message was accepted, in UTC (RFC 3339); null where there is none."},
			"by_state": schema.MapAttribute{
				Computed: true, ElementType: types.Int64Type,
				MarkdownDescription: "Number of messages by their `state`; a state without messages is not in it.",
			},
			"messages": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: fmt.Sprintf("The oldest messages, at most %d, the oldest first.", mailqueue.MaxMessages),
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"mta": schema.StringAttribute{Computed: true, MarkdownDescription: "Mail server; one of `mtas`."},
					"id":  schema.StringAttribute{Computed: true, MarkdownDescription: "The mail server's own ID of the message."},
					"state": schema.StringAttribute{Computed: true, MarkdownDescription: "`incoming`: not tried yet. `active`: being delivered (Postfix). `deferred`: tried, and to be tried again. `maildrop`: handed in on the host, and not looked at yet (Postfix). " +
						"`hold` (Postfix), `quarantined` (Sendmail), `frozen` (Exim): kept until somebody releases it. `lost`: put away by Sendmail as damaged. `corrupt`: likewise by Postfix."},
					"bytes":   schema.Int64Attribute{Computed: true, MarkdownDescription: "Size in bytes; of Sendmail and Exim without the header."},
					"arrival": schema.StringAttribute{Computed: true, MarkdownDescription: "When it was accepted, in UTC (RFC 3339)."},
					"sender":  schema.StringAttribute{Computed: true, MarkdownDescription: "Sender of the envelope; empty for the null sender, as bounces have it."},
					"recipients": schema.ListAttribute{
						Computed: true, ElementType: types.StringType,
						MarkdownDescription: fmt.Sprintf("Recipients who have not got it yet, at most %d.", mailqueue.MaxRecipients),
					},
					"recipient_count": schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of all recipients who have not got it yet."},
					"reason":          schema.StringAttribute{Computed: true, MarkdownDescription: "Why the last attempt failed, in the mail server's words, cut to 300 bytes; null where it does not say."},
				}},
			},
			"not_understood": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Files and answers that could not be read, each with its mail server. They are not in `messages`, and may be messages.",
			},
			"id":       schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the host."},
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func readMailQueue(ctx context.Context, known *hosts, m *mailQueueModel) error {
	h, err := known.Get(m.Host.ValueString())
	if err != nil {
		return at(path.Root("host"), err)
	}
	queue, err := mailqueue.Read(ctx, h)
	if err != nil {
		return err
	}
	m.ID = m.Host
	m.MTAs = append([]string{}, queue.MTAs...)
	m.Count, m.Bytes, m.Oldest = types.Int64Value(queue.Count), types.Int64Value(queue.Bytes), moment(queue.Oldest)
	m.ByState = queue.ByState
	m.Messages = []queuedMessageModel{}
	for _, message := range queue.Messages {
		shown := queuedMessageModel{
			MTA: types.StringValue(message.MTA), ID: types.StringValue(message.ID), State: types.StringValue(message.State),
			Bytes: types.Int64Value(message.Bytes), Arrival: moment(message.Arrival), Sender: types.StringValue(message.Sender),
			Recipients: append([]string{}, message.Recipients...), RecipientCount: types.Int64Value(int64(message.RecipientCount)),
			Reason: types.StringNull(),
		}
		if message.Reason != "" {
			shown.Reason = types.StringValue(message.Reason)
		}
		m.Messages = append(m.Messages, shown)
	}
	m.NotUnderstood = append([]string{}, queue.NotUnderstood...)
	return nil
}
