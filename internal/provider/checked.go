package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// checkedText is a validator of texts that a domain's own check decides on; what
// says what the text is to be, such as "a login name".
type checkedText struct {
	what  string
	check func(string) error
}

// checkedNumber is the same for numbers.
type checkedNumber struct {
	what  string
	check func(int64) error
}

var (
	_ validator.String = checkedText{}
	_ validator.Int64  = checkedNumber{}
)

func (c checkedText) Description(context.Context) string           { return c.what }
func (c checkedText) MarkdownDescription(context.Context) string   { return c.what }
func (c checkedNumber) Description(context.Context) string         { return c.what }
func (c checkedNumber) MarkdownDescription(context.Context) string { return c.what }

func (c checkedText) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.check(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Not "+c.what, capitalised(err.Error())+".")
	}
}

func (c checkedNumber) ValidateInt64(_ context.Context, req validator.Int64Request, resp *validator.Int64Response) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.check(req.ConfigValue.ValueInt64()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Not "+c.what, capitalised(err.Error())+".")
	}
}

// eachIn are the validators of a set of texts that is not empty.
func eachIn(what string, check func(string) error) []validator.Set {
	return []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(checkedText{what, check})}
}
