package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

// What destroying a pass does.
const (
	forgetsPass = "forget"
	bringsBack  = "bring_back"
)

func onDestroyOfSyncPass() schema.Attribute {
	return schema.StringAttribute{
		Optional: true, Computed: true, Default: stringdefault.StaticString(forgetsPass),
		MarkdownDescription: "What destroying the pass does. `forget` forgets it. `bring_back`, for a final pass, first brings back to the old host what the new one has received, changed and removed in `paths` since: " +
			"a pass the other way, which goes on from what the passes have brought. What it overwrites and takes away on the old host goes to a trash there, which goes with the last pass over the same paths. " +
			"Files of accounts that the old host does not have stay on the new one, and a warning names these accounts. The services of both hosts have to be stopped by then. " +
			"Where it cannot be done, the destroy fails and the pass stays in the state; where the new host is lost, `retired = true` in its entry of `hosts` goes on without. " +
			"A pass that did not end well brings nothing back. Default: `forget`.",
		Validators: []validator.String{stringvalidator.OneOf(forgetsPass, bringsBack)},
	}
}

func toAddressOfSyncPass() schema.Attribute {
	return schema.StringAttribute{
		Optional:            true,
		MarkdownDescription: "Name or address under which the **old host** reaches the new one, for `on_destroy = \"bring_back\"`. Default: the address that the provider itself uses.",
	}
}

func toPortOfSyncPass() schema.Attribute {
	return schema.Int64Attribute{
		Optional:            true,
		MarkdownDescription: "Port of the new host's sshd, as the old host reaches it, for `on_destroy = \"bring_back\"`. Default: the port that the provider itself uses.",
		Validators:          []validator.Int64{int64validator.Between(1, 65535)},
	}
}

// bringBack brings back what the new host has received since the pass, where the pass is
// to do that when it is destroyed. from is nil where the old host is retired.
func bringBack(ctx context.Context, r *request[syncPassModel], state *syncPassModel, from, to host.Host) error {
	if state.OnDestroy.ValueString() != bringsBack || state.Finished.IsNull() {
		return nil
	}
	way := "from " + state.To.ValueString() + " back to " + state.From.ValueString()
	if from == nil {
		sayNotBroughtBack(r, state, errRetired{state.From.ValueString()})
		return nil
	}
	result, err := syncpass.Back(ctx, from, to, state.pass(), func(status string) {
		tflog.Info(ctx, "sync pass "+way+": "+status)
	})
	for _, warning := range result.Warnings {
		r.warn("Sync pass "+way, capitalised(warning)+".")
	}
	if err != nil {
		return fmt.Errorf("what host %s has received since the pass could not all be brought back to host %s, so the pass stays in the state: %w",
			state.To, state.From, err)
	}
	if n := result.Changes; n > 0 {
		total := result.Total
		said := fmt.Sprintf("Host %s had %d changes since the pass, and host %s has them now: %d entries were made, %d updated, %d renamed and %d removed.",
			state.To, n, state.From, total.Created, total.Updated, total.Renamed, total.Deleted)
		if result.TrashPath != "" {
			said += fmt.Sprintf(" What was overwritten or removed is in %s on host %s until the last pass over the same paths is destroyed.", result.TrashPath, state.From)
		}
		r.warn("Brought "+way, said)
	}
	return nil
}

// sayNotBroughtBack warns where a pass was to bring back, and one of its hosts is retired.
func sayNotBroughtBack(r *request[syncPassModel], state *syncPassModel, err error) {
	var retired errRetired
	if !errors.As(err, &retired) || state.OnDestroy.ValueString() != bringsBack || state.Finished.IsNull() {
		return
	}
	r.warn("Nothing was brought back", fmt.Sprintf("Host %q is retired. What came to host %s since the last pass stays there: mail and uploads, for example.", retired.name, state.To))
}
