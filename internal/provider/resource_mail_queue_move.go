package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
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
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/mailqueue"
)

type mailQueueMoveModel struct {
	ID          types.String   `tfsdk:"id"`
	From        types.String   `tfsdk:"from"`
	To          types.String   `tfsdk:"to"`
	When        types.String   `tfsdk:"when"`
	IncludeHeld types.Bool     `tfsdk:"include_held"`
	Status      types.String   `tfsdk:"status"`
	Moved       types.Int64    `tfsdk:"moved"`
	Waiting     types.Int64    `tfsdk:"waiting"`
	Left        types.Int64    `tfsdk:"left"`
	Refused     types.List     `tfsdk:"refused"`
	Problems    types.List     `tfsdk:"problems"`
	Timeouts    timeouts.Value `tfsdk:"timeouts"`
}

var refusedMessageType = types.ObjectType{AttrTypes: map[string]attr.Type{"id": types.StringType, "reason": types.StringType}}

func newMailQueueMoveResource() resource.Resource {
	return &lifecycle[mailQueueMoveModel]{
		name:           "mail_queue_move",
		noun:           "mail queue move",
		timeout:        4 * time.Hour,
		hostAttributes: []string{"from", "to"},
		spans:          true,
		schema:         mailQueueMoveSchema,
		timeouts:       func(m *mailQueueMoveModel) timeouts.Value { return m.Timeouts },
		validate:       validateMailQueueMove,
		plan:           planMailQueueMove,
		create:         createMailQueueMove,
		read:           readMailQueueMove,
		update:         updateMailQueueMove,
		delete:         deleteMailQueueMove,
		importID:       importMailQueueMove,
	}
}

func mailQueueMoveSchema(ctx context.Context) schema.Schema {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	return schema.Schema{
		MarkdownDescription: "Moves what the old host's mail server has accepted and could not deliver to the new host's mail server, which tries further. Without that it is lost when the old host is switched off.\n\n" +
			"Sendmail, Postfix (all instances) and Exim are understood as the old mail server; it has to be stopped (`cutover_service` with `running = false`, which delivers first what it can). " +
			"The new host takes the messages by the program `sendmail` of any mail server, running or not. Each message keeps its sender (also the null sender), its header and its body, and goes to those recipients who have not got it yet. " +
			"The new mail server adds a `Received` line, as always, and a `Bcc` line in Sendmail's queue is left out, as Sendmail does when it sends. Three things are not kept: when the message arrived, so that the days after which it bounces begin anew; requests for delivery reports (DSN); and, by Postfix, a carriage return at the end of a line.\n\n" +
			"**Once.** A message is copied to the new host, then set aside on the old one by renaming its files, and only then handed to the new mail server, by a program that does not end with Terraform's connection. " +
			"Killed at any moment and applied again, the move goes on where it was, and no message is handed over twice. Ctrl-C ends the copying; what was set aside by then is still handed over. There is one exception: if the new host itself crashes while it hands a message over, the mail log and the queue are searched for its Message-ID; " +
			"a message that is not found there, or that another has the Message-ID of, is handed over again. It may then arrive twice, which is better than not at all.\n\n" +
			"What the new mail server does not accept is kept, and listed in `refused` with what it said; every apply tries it again. A message that comes into the old queue later is seen by a refresh while the old mail server is stopped, and the next apply moves it.\n\n" +
			"**On the hosts.** On the new one, messages on their way lie in `/var/lib/cutover/queue/FROM`, readable by root alone. On the old one, those that were set aside stay in their queue directories under names that begin with `cutover-TO`, where its mail server does not see them. " +
			"Destroying the resource deletes both. A message that was not handed over goes back into the old host's queue first, with a warning; where the old host is `retired`, destroying fails and says where the message lies. Where the new host is `retired`, nobody knows what it has delivered: all messages go back.",
		Attributes: map[string]schema.Attribute{
			"from": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host whose queues are moved, by its name in the provider's `hosts`.",
				PlanModifiers:       replace,
			},
			"to": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host whose mail server takes the messages.",
				PlanModifiers:       replace,
			},
			"when": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(atCreate),
				MarkdownDescription: "When to move. `create`: as soon as the resource is made, and at each apply that finds more. `destroy`: not before it is destroyed, for the way back: `from` is the new host then, and `to` the old one. " +
					"`never`: not even then, for a phase after which nothing goes back. Default: `create`.",
				Validators:    []validator.String{stringvalidator.OneOf(atCreate, atDestroy, atNoTime)},
				PlanModifiers: []planmodifier.String{replaceWhen()},
			},
			"include_held": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether held messages are moved too: on hold (Postfix), quarantined (Sendmail) or frozen (Exim). The new mail server delivers them like others. Default: `false`; they stay on the old host, and a warning counts them.",
			},
			"status": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`complete`, or `incomplete: …`, which says what is still to be moved and makes the next apply go on. As it was at the last refresh. `not yet` where `when` is `destroy` or `never`.",
			},
			"moved":   schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of messages that the new mail server has accepted."},
			"waiting": schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of messages that were set aside on the old host and that the new mail server has not accepted, the `refused` ones included."},
			"left":    schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of messages in the queues of the old host: held ones, those of `problems`, and those that came later."},
			"refused": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Messages that the new mail server did not accept.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"id":     schema.StringAttribute{Computed: true, MarkdownDescription: "The old mail server and its ID of the message, as in `sendmail.6B12Kumf000039`. The files in `/var/lib/cutover/queue/FROM` have that name."},
					"reason": schema.StringAttribute{Computed: true, MarkdownDescription: "What the new mail server said, cut to 300 bytes."},
				}},
			},
			"problems": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Messages that stay in the queue of the old host because they could not be read or moved, each with the reason. They do not hold up others.",
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`from/to`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

// Values of when.
const (
	atCreate  = "create"
	atDestroy = "destroy"
	atNoTime  = "never"
)

// notYet is the status of a move that waits for its resource to be destroyed.
const notYet = "not yet"

// replaceWhen replaces a move that was made by one that is still to come, and the other
// way round.
func replaceWhen() planmodifier.String {
	const what = "A move that was made, and one that is still to come, are two resources."
	return stringplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse) {
		comes := func(when types.String) bool { return when.ValueString() == atDestroy || when.ValueString() == atNoTime }
		resp.RequiresReplace = comes(req.StateValue) != comes(req.PlanValue)
	}, what, what)
}

func validateMailQueueMove(_ context.Context, m *mailQueueMoveModel, diags *diag.Diagnostics) {
	if known(m.From, m.To) && m.From.Equal(m.To) {
		diags.AddAttributeError(path.Root("to"), "Same host twice", fmt.Sprintf("from and to are both %s; mail moves from one host to another.", m.From))
	}
}

// movesAgain reports whether there is, or may be, something to move.
func (m *mailQueueMoveModel) movesAgain(prior *mailQueueMoveModel) bool {
	return prior.Status.ValueString() != mailqueue.Complete || !prior.IncludeHeld.Equal(m.IncludeHeld)
}

func planMailQueueMove(_ context.Context, _ *request[mailQueueMoveModel], prior, plan *mailQueueMoveModel) error {
	switch {
	case prior == nil || !prior.From.Equal(plan.From) || !prior.To.Equal(plan.To):
	case plan.When.ValueString() != atCreate:
	case plan.movesAgain(prior):
		plan.Status, plan.Moved, plan.Waiting, plan.Left = types.StringUnknown(), types.Int64Unknown(), types.Int64Unknown(), types.Int64Unknown()
		plan.Refused, plan.Problems = types.ListUnknown(refusedMessageType), types.ListUnknown(types.StringType)
	default:
		plan.Status, plan.Moved, plan.Waiting, plan.Left = prior.Status, prior.Moved, prior.Waiting, prior.Left
		plan.Refused, plan.Problems = prior.Refused, prior.Problems
	}
	return nil
}

// show takes over how far the move is.
func (m *mailQueueMoveModel) show(ctx context.Context, s mailqueue.State) error {
	m.ID = types.StringValue(m.From.ValueString() + "/" + m.To.ValueString())
	m.Status = types.StringValue(s.Status(m.IncludeHeld.ValueBool()))
	m.Moved, m.Waiting, m.Left = types.Int64Value(s.Moved), types.Int64Value(s.Waiting), types.Int64Value(s.Left)
	refused := []attr.Value{}
	for _, message := range s.Refused {
		refused = append(refused, types.ObjectValueMust(refusedMessageType.AttrTypes, map[string]attr.Value{
			"id": types.StringValue(message.ID), "reason": types.StringValue(message.Reason),
		}))
	}
	var diags, more diag.Diagnostics
	m.Refused, diags = types.ListValue(refusedMessageType, refused)
	m.Problems, more = types.ListValueFrom(ctx, types.StringType, append([]string{}, s.Problems...))
	if diags.Append(more...); diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	return nil
}

// wait is show for a move that is still to come.
func (m *mailQueueMoveModel) wait(ctx context.Context) error {
	err := m.show(ctx, mailqueue.State{})
	m.Status = types.StringValue(notYet)
	return err
}

// ends are both hosts of a move.
func (m *mailQueueMoveModel) ends(r *request[mailQueueMoveModel]) (from, to host.Host, err error) {
	if from, err = r.host(m.From); err != nil {
		return nil, nil, at(path.Root("from"), err)
	}
	if to, err = r.host(m.To); err != nil {
		return nil, nil, at(path.Root("to"), err)
	}
	return from, to, nil
}

func createMailQueueMove(ctx context.Context, r *request[mailQueueMoveModel], plan *mailQueueMoveModel) error {
	plan.ID = types.StringValue(plan.From.ValueString() + "/" + plan.To.ValueString())
	if plan.When.ValueString() != atCreate {
		return plan.wait(ctx)
	}
	return moveMailQueue(ctx, r, plan, func() { r.identify(*plan) })
}

func updateMailQueueMove(ctx context.Context, r *request[mailQueueMoveModel], prior, plan *mailQueueMoveModel) error {
	if plan.When.ValueString() != atCreate {
		return plan.wait(ctx)
	}
	if !plan.movesAgain(prior) {
		return nil
	}
	return moveMailQueue(ctx, r, plan, func() {})
}

// moveMailQueue moves; begun is called once it is clear that it can.
func moveMailQueue(ctx context.Context, r *request[mailQueueMoveModel], plan *mailQueueMoveModel, begun func()) error {
	from, to, err := plan.ends(r)
	if err != nil {
		return err
	}
	s, err := plan.move(ctx, r, from, to, begun)
	if err != nil {
		return err
	}
	if len(s.Refused) > 0 {
		var said []string
		for _, message := range s.Refused {
			said = append(said, message.ID+" ("+message.Reason+")")
		}
		r.warn(fmt.Sprintf("Mail of host %q", from.Name()), fmt.Sprintf("The mail server of host %q did not accept %s. They lie there in %s; the next apply tries again.",
			to.Name(), summed(said), mailqueue.Spool(from.Name())))
	}
	return plan.show(ctx, s)
}

// move moves, and warns of what stays in the queue.
func (m *mailQueueMoveModel) move(ctx context.Context, r *request[mailQueueMoveModel], from, to host.Host, begun func()) (mailqueue.State, error) {
	s, err := mailqueue.Move(ctx, from, to, mailqueue.Options{
		Held:  m.IncludeHeld.ValueBool(),
		Begun: begun,
		Show: func(status string) {
			tflog.Info(ctx, "mail queue from "+from.Name()+" to "+to.Name()+": "+status)
		},
	})
	if err != nil {
		return s, err
	}
	summary := fmt.Sprintf("Mail of host %q", from.Name())
	if s.Held > 0 && !m.IncludeHeld.ValueBool() {
		r.warn(summary, fmt.Sprintf("%d held messages stay in its queue. Release or delete them there, or set include_held = true.", s.Held))
	}
	if len(s.Problems) > 0 {
		r.warn(summary, "Some messages stay in its queue: "+summed(s.Problems)+".")
	}
	return s, nil
}

func readMailQueueMove(ctx context.Context, r *request[mailQueueMoveModel], state *mailQueueMoveModel) (bool, error) {
	if state.When.IsNull() { // imported, or of a release that had no when
		state.When = types.StringValue(atCreate)
	}
	if state.When.ValueString() != atCreate {
		return true, nil // no host knows of it
	}
	from, to, err := state.ends(r)
	if err != nil {
		return false, err
	}
	s, err := mailqueue.Look(ctx, from, to)
	if err != nil || !s.Found {
		return false, err
	}
	if state.IncludeHeld.IsNull() { // imported
		state.IncludeHeld = types.BoolValue(false)
	}
	return true, state.show(ctx, s)
}

func deleteMailQueueMove(ctx context.Context, r *request[mailQueueMoveModel], state *mailQueueMoveModel) error {
	from, err := r.unlessRetired(state.From)
	if err != nil {
		return at(path.Root("from"), err)
	}
	to, err := r.unlessRetired(state.To)
	if err != nil {
		return at(path.Root("to"), err)
	}
	switch state.When.ValueString() {
	case atNoTime:
		return nil
	case atDestroy:
		if err := moveAtDestroy(ctx, r, state, from, to); err != nil {
			return err
		}
	}
	back, err := mailqueue.Forget(ctx, mailqueue.Side{Name: state.From.ValueString(), Host: from}, mailqueue.Side{Name: state.To.ValueString(), Host: to})
	if len(back) > 0 {
		why := fmt.Sprintf("that the mail server of host %s was not given", state.To)
		if to == nil {
			why = fmt.Sprintf("that were moved to host %s, which is retired, so that nobody knows which it has delivered,", state.To)
		}
		r.warn(fmt.Sprintf("Mail in the queue of host %s", state.From), fmt.Sprintf("%d messages %s are in the queue of host %s again (%s). "+
			"Its mail server delivers them when it runs. If that host is to be switched off, move them first.", len(back), why, state.From, summed(back)))
	}
	return err
}

// moveAtDestroy moves what is in the queue of a host that is left. One that is gone is
// left as it is, and so is a queue that its own mail server works on: the way back goes on.
func moveAtDestroy(ctx context.Context, r *request[mailQueueMoveModel], state *mailQueueMoveModel, from, to host.Host) error {
	summary := fmt.Sprintf("Mail in the queue of host %s stays there", state.From)
	if from == nil || to == nil {
		gone := state.From
		if from != nil {
			gone = state.To
		}
		r.warn(summary, fmt.Sprintf("Host %s is retired. What host %s has accepted and not delivered is not moved.", gone, state.From))
		return nil
	}
	// What is refused goes back into its queue when this is forgotten, which says so.
	_, err := state.move(ctx, r, from, to, nil)
	if errors.Is(err, mailqueue.ErrNoQueue) || errors.Is(err, mailqueue.ErrRuns) {
		r.warn(summary, capitalised(err.Error())+".")
		return nil
	}
	return err
}

func importMailQueueMove(id string) (map[string]any, error) {
	from, to, ok := strings.Cut(id, "/")
	if !ok || from == "" || to == "" || strings.Contains(to, "/") {
		return nil, fmt.Errorf("%q is not FROM/TO, the names of two hosts, as in old/new", id)
	}
	return map[string]any{"from": from, "to": to}, nil
}
