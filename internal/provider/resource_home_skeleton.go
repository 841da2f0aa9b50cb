package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
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

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/skeleton"
)

type homeSkeletonModel struct {
	ID          types.String   `tfsdk:"id"`
	Host        types.String   `tfsdk:"host"`
	User        types.String   `tfsdk:"user"`
	Home        types.String   `tfsdk:"home"`
	Directories types.Map      `tfsdk:"directories"`
	Files       types.Map      `tfsdk:"files"`
	Skel        types.Bool     `tfsdk:"skel"`
	Created     types.Map      `tfsdk:"created"`
	Timeouts    timeouts.Value `tfsdk:"timeouts"`
}

type skeletonDirectoryModel struct {
	Mode types.String `tfsdk:"mode"`
}

type skeletonFileModel struct {
	Content types.String `tfsdk:"content"`
	Mode    types.String `tfsdk:"mode"`
}

// Modes of entries that are given none.
const (
	directoryMode = "0755"
	fileMode      = "0644"
)

// elements are the elements of a map of objects that are known; there may be
// others while validating.
func elements[T any](ctx context.Context, collection types.Map) map[string]T {
	known := map[string]T{}
	for name, element := range collection.Elements() {
		object, ok := element.(types.Object)
		if !ok || object.IsUnknown() || object.IsNull() {
			continue
		}
		var model T
		if !object.As(ctx, &model, objectAsOptions).HasError() {
			known[name] = model
		}
	}
	return known
}

func newHomeSkeletonResource() resource.Resource {
	return &lifecycle[homeSkeletonModel]{
		name:           "home_skeleton",
		noun:           "home skeleton",
		timeout:        5 * time.Minute,
		hostAttributes: []string{"host"},
		schema:         homeSkeletonSchema,
		timeouts:       func(m *homeSkeletonModel) timeouts.Value { return m.Timeouts },
		validate:       validateHomeSkeleton,
		create:         createHomeSkeleton,
		read:           readHomeSkeleton,
		update:         updateHomeSkeleton,
		delete:         deleteHomeSkeleton,
		importHint:     "A skeleton cannot be imported, and need not be: creating it leaves what is in the home as it is, and makes only what is missing.",
	}
}

func homeSkeletonSchema(ctx context.Context) schema.Schema {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	mode := []validator.String{checkedText{"a mode", skeleton.CheckMode}}
	entries := mapvalidator.KeysAre(checkedText{"a path in a home", asDirectory(skeleton.CheckPath)})
	return schema.Schema{
		MarkdownDescription: "Directories and files in a user's home, such as `mail` and `public_html`, with their modes.\n\n" +
			"What is there already keeps its content; owner and mode are put right, and seen as drift. " +
			"Everything is done with the user's own rights, so that no link in the home leads anywhere that the user could not go.\n\n" +
			"Destroying it removes what it made, as far as directories are still empty and files unchanged. " +
			"Until then the host keeps a note of its paths in `/var/lib/cutover/skeletons`, so that a refresh looks at all homes at once.\n\n" +
			"For hundreds of skeletons with accounts of their own, let one `terraform_data` depend on all accounts, and the skeletons on that: " +
			"where each skeleton depends on each account, Terraform spends minutes on the graph.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Host of the home, by its name in the provider's `hosts`.",
				PlanModifiers:       replace,
			},
			"user": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Login name of the home's user.",
				PlanModifiers:       replace,
				Validators:          []validator.String{checkedText{"a login name", account.CheckName}},
			},
			"home": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The home. Default: the home of the account.",
				PlanModifiers:       []planmodifier.String{replaceOther()},
				Validators:          []validator.String{checkedText{"a home", account.CheckHome}},
			},
			"directories": schema.MapNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Directories, by their paths in the home. Those above them are made as needed, with mode `0755`.",
				Validators:          []validator.Map{entries, mapvalidator.SizeAtLeast(1)},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"mode": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(directoryMode), Validators: mode,
						MarkdownDescription: "Mode in octal. Default: `0755`.",
					},
				}},
			},
			"files": schema.MapNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Files, by their paths in the home. A file that is there already, or that the user has changed, keeps its content.",
				Validators:          []validator.Map{entries, mapvalidator.SizeAtLeast(1)},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"content": schema.StringAttribute{
						Required:            true,
						MarkdownDescription: "Content for a file that is made, at most 64 KiB. No secrets: it is part of the state.",
					},
					"mode": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(fileMode), Validators: mode,
						MarkdownDescription: "Mode in octal. Default: `0644`.",
					},
				}},
			},
			"skel": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether to copy what the host's `/etc/skel` has and the home lacks. Default: `false`; an account made with `create_home` has it anyway.",
			},
			"created": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "What was made, by path: `directory`, or `sha256:` and the digest of a file's content.",
			},
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`host/user`.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"timeouts": timeoutsAttribute(ctx),
		},
	}
}

func validateHomeSkeleton(ctx context.Context, m *homeSkeletonModel, diags *diag.Diagnostics) {
	if m.Directories.IsNull() && m.Files.IsNull() && known(m.Skel) && !m.Skel.ValueBool() {
		diags.AddError("Nothing to make", "One of directories, files and skel has to be set.")
		return
	}
	if !known(m.User, m.Home) || diags.HasError() {
		return
	}
	s := m.spec(ctx)
	if err := s.Check(); err != nil {
		diags.AddError("Not a skeleton", capitalised(err.Error())+".")
	}
	if len(s.Directories) != len(m.Directories.Elements()) {
		diags.AddAttributeError(path.Root("directories"), "Directory given twice", "A directory is there with and without a slash at its end; leave one of both out.")
	}
}

// homesOf is the homes of a host.
func (r *request[M]) homesOf(name types.String) (*skeleton.Homes, error) {
	h, err := r.host(name)
	if err != nil {
		return nil, at(path.Root("host"), err)
	}
	return r.hosts.homes.of(h, skeleton.NewHomes), nil
}

// spec is the model as the domain has it; modes that are not known, as while
// validating, are the defaults.
func (m *homeSkeletonModel) spec(ctx context.Context) skeleton.Spec {
	s := skeleton.Spec{
		User: m.User.ValueString(), Home: m.home(), Skel: m.Skel.ValueBool(),
		Directories: map[string]string{}, Files: map[string]skeleton.File{},
	}
	for name, entry := range elements[skeletonDirectoryModel](ctx, m.Directories) {
		s.Directories[directory(name)] = orElse(entry.Mode, directoryMode)
	}
	for name, file := range elements[skeletonFileModel](ctx, m.Files) {
		s.Files[name] = skeleton.File{Content: []byte(file.Content.ValueString()), Mode: orElse(file.Mode, fileMode)}
	}
	return s
}

// home is the home in its shortest form; "" is that of the account.
func (m *homeSkeletonModel) home() string { return skeleton.CleanHome(m.Home.ValueString()) }

func orElse(value types.String, otherwise string) string {
	if value.IsNull() || value.IsUnknown() {
		return otherwise
	}
	return value.ValueString()
}

// created is what the model remembers to have made.
func (m *homeSkeletonModel) created() skeleton.Created {
	created := skeleton.Created{}
	for name, what := range m.Created.Elements() {
		if what, ok := what.(types.String); ok {
			created[name] = what.ValueString()
		}
	}
	return created
}

func createHomeSkeleton(ctx context.Context, r *request[homeSkeletonModel], plan *homeSkeletonModel) error {
	return makeHomeSkeleton(ctx, r, nil, plan)
}

func updateHomeSkeleton(ctx context.Context, r *request[homeSkeletonModel], prior, plan *homeSkeletonModel) error {
	return makeHomeSkeleton(ctx, r, prior, plan)
}

func makeHomeSkeleton(ctx context.Context, r *request[homeSkeletonModel], prior, plan *homeSkeletonModel) error {
	homes, err := r.homesOf(plan.Host)
	if err != nil {
		return err
	}
	before := skeleton.Created{}
	if prior != nil {
		before = prior.created()
	}
	report, err := homes.Make(ctx, plan.spec(ctx), before)
	plan.ID = types.StringValue(plan.Host.ValueString() + "/" + plan.User.ValueString())
	created, diags := types.MapValueFrom(ctx, types.StringType, report.Created)
	if diags.HasError() {
		return errors.Join(err, errors.New(diags.Errors()[0].Detail()))
	}
	plan.Created = created
	switch {
	case prior != nil: // the rest of an update that fails stays as it was
		saved := *prior
		saved.Created = created
		r.keep(saved)
	case len(report.Created) > 0:
		r.identify(*plan)
	}
	if err != nil {
		return err
	}
	if len(report.Left) > 0 {
		r.warn("Files left as they are", fmt.Sprintf("In the home of %s on host %s these files have a content of their own, which was left as it is: %s.",
			plan.User, plan.Host, strings.Join(report.Left, ", ")))
	}
	return nil
}

func readHomeSkeleton(ctx context.Context, r *request[homeSkeletonModel], state *homeSkeletonModel) (bool, error) {
	homes, err := r.homesOf(state.Host)
	if err != nil {
		return false, err
	}
	directories := elements[skeletonDirectoryModel](ctx, state.Directories)
	files := elements[skeletonFileModel](ctx, state.Files)
	paths := slices.Concat(slices.Sorted(maps.Keys(directories)), slices.Sorted(maps.Keys(files)))
	for i := range paths {
		paths[i] = directory(paths[i])
	}
	found, err := homes.Look(ctx, state.User.ValueString(), state.home(), paths)
	if err != nil || !found.User || !found.HasHome {
		return false, err
	}
	// An entry that is gone, or is not what it should be or whose it should be,
	// drops out of the state; the plan then shows it as missing.
	for name, had := range directories {
		entry := found.Entries[directory(name)]
		if entry.Kind != skeleton.Directory || entry.Owner != state.User.ValueString() {
			delete(directories, name)
			continue
		}
		directories[name] = skeletonDirectoryModel{Mode: actualMode(had.Mode, entry)}
	}
	for name, file := range files {
		entry := found.Entries[name]
		if entry.Kind != skeleton.Regular || entry.Owner != state.User.ValueString() {
			delete(files, name)
			continue
		}
		file.Mode = actualMode(file.Mode, entry)
		files[name] = file
	}
	return true, errors.Join(replaceElements(ctx, &state.Directories, directories), replaceElements(ctx, &state.Files, files))
}

// replaceElements gives a map other elements; one that is null stays so.
func replaceElements[T any](ctx context.Context, collection *types.Map, with map[string]T) error {
	if collection.IsNull() {
		return nil
	}
	replaced, diags := types.MapValueFrom(ctx, collection.ElementType(ctx), with)
	if diags.HasError() {
		return errors.New(diags.Errors()[0].Detail())
	}
	*collection = replaced
	return nil
}

// actualMode is the mode of an entry, written as before where it is the same.
func actualMode(before types.String, entry skeleton.Entry) types.String {
	if skeleton.NormalMode(before.ValueString()) == entry.Mode {
		return before
	}
	return types.StringValue(entry.Mode)
}

func deleteHomeSkeleton(ctx context.Context, r *request[homeSkeletonModel], state *homeSkeletonModel) error {
	homes, err := r.homesOf(state.Host)
	if err != nil {
		return err
	}
	_, err = homes.Remove(ctx, state.User.ValueString(), state.home(), state.created())
	return err
}
