package provider

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
)

// hostName is what the names of hosts in the provider's block look like: they
// become parts of import IDs and of environment variables.
var hostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

var objectAsOptions = basetypes.ObjectAsOptions{}

// stringsOf are the elements of a list or set of strings that is known.
func stringsOf(collection interface{ Elements() []attr.Value }) []string {
	var elements []string
	for _, element := range collection.Elements() {
		if text, ok := element.(types.String); ok {
			elements = append(elements, text.ValueString())
		}
	}
	return elements
}

// unknownIn reports whether a set that is known holds values that are not.
func unknownIn(set types.Set) bool {
	for _, element := range set.Elements() {
		if element.IsUnknown() {
			return true
		}
	}
	return false
}

// directory is a path without the slashes at its end: people write "/home/" and
// "/home", and mean the same.
func directory(name string) string {
	if trimmed := strings.TrimRight(name, "/"); trimmed != "" || name == "" {
		return trimmed
	}
	return "/"
}

// asDirectory makes a check of paths one that lets a slash at their end pass.
func asDirectory(check func(string) error) func(string) error {
	return func(name string) error { return check(directory(name)) }
}

// directoryLike is a directory in the place of another: written as before where
// it is the same.
func directoryLike(before types.String, now string) types.String {
	if !before.IsNull() && directory(before.ValueString()) == directory(now) {
		return before
	}
	return types.StringValue(now)
}

// replaceOther is RequiresReplace for a directory.
func replaceOther() planmodifier.String {
	const what = "Another directory makes another resource."
	return stringplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse) {
		resp.RequiresReplace = directory(req.StateValue.ValueString()) != directory(req.PlanValue.ValueString())
	}, what, what)
}

// setLike is a set of texts in the place of another: null where there are none
// and before was null too.
func setLike(before types.Set, texts []string) types.Set {
	if len(texts) == 0 && before.IsNull() {
		return types.SetNull(types.StringType)
	}
	elements := make([]attr.Value, len(texts))
	for i, text := range texts {
		elements[i] = types.StringValue(text)
	}
	return types.SetValueMust(types.StringType, elements)
}

// summed are problems in one line: the first of them, and how many more.
func summed(problems []string) string {
	const shown = 3
	text := strings.Join(problems[:min(shown, len(problems))], "; ")
	if more := len(problems) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// firstUnknown is the name of an attribute of object that is not wholly known, or "".
func firstUnknown(object types.Object) string {
	for name, value := range object.Attributes() {
		if !whollyKnown(value) {
			return name
		}
	}
	return ""
}

func whollyKnown(value attr.Value) bool {
	if value.IsUnknown() {
		return false
	}
	switch value := value.(type) {
	case types.List:
		for _, element := range value.Elements() {
			if !whollyKnown(element) {
				return false
			}
		}
	case types.Map:
		for _, element := range value.Elements() {
			if !whollyKnown(element) {
				return false
			}
		}
	case types.Object:
		return firstUnknown(value) == ""
	}
	return true
}

func capitalised(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

// duration is a validator of texts such as "90s" or "1h30m".
type duration struct{}

var _ validator.String = duration{}

func (duration) Description(context.Context) string {
	return "a positive duration such as 15s, 10m or 1h30m"
}

func (d duration) MarkdownDescription(ctx context.Context) string { return d.Description(ctx) }

func (d duration) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if span, err := time.ParseDuration(req.ConfigValue.ValueString()); err != nil || span <= 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "Not a duration", fmt.Sprintf("%q is not %s.", req.ConfigValue.ValueString(), d.Description(ctx)))
	}
}
