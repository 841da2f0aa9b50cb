package provider_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	dsschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	frameworkprovider "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	rschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"

	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// root is the project's, seen from this package.
const root = "../.."

// Every resource and data source that is registered has what a user and a
// maintainer look for.
func TestEveryTypeIsComplete(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := provider.New("test")()

	var changelog = read(t, filepath.Join(root, "CHANGELOG.md"))
	for _, constructor := range p.Resources(ctx) {
		r := constructor()
		var meta resource.MetadataResponse
		r.Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "cutover"}, &meta)
		t.Run(meta.TypeName, func(t *testing.T) {
			t.Parallel()
			var got resource.SchemaResponse
			r.Schema(ctx, resource.SchemaRequest{}, &got)
			if diags := got.Schema.ValidateImplementation(ctx); diags.HasError() {
				t.Errorf("the schema is no valid one: %v", diags)
			}
			described(t, "", got.Schema.MarkdownDescription)
			read, _ := reflect.TypeOf(r).Elem().FieldByName("read")
			values(t, read.Type.In(2).Elem())
			for name, attribute := range got.Schema.Attributes {
				resourceAttribute(t, name, attribute)
			}
			if _, ok := got.Schema.Attributes["timeouts"]; !ok {
				t.Error("no timeouts")
			}
			accompanied(t, "resource", meta.TypeName, changelog)
			example := filepath.Join(root, "examples/resources", meta.TypeName)
			exists(t, filepath.Join(example, "resource.tf"))
			if imports(t, meta.TypeName) {
				exists(t, filepath.Join(example, "import.sh"))
			}
		})
	}
	for _, constructor := range p.DataSources(ctx) {
		d := constructor()
		var meta datasource.MetadataResponse
		d.Metadata(ctx, datasource.MetadataRequest{ProviderTypeName: "cutover"}, &meta)
		t.Run("data."+meta.TypeName, func(t *testing.T) {
			t.Parallel()
			var got datasource.SchemaResponse
			d.Schema(ctx, datasource.SchemaRequest{}, &got)
			if diags := got.Schema.ValidateImplementation(ctx); diags.HasError() {
				t.Errorf("the schema is no valid one: %v", diags)
			}
			described(t, "", got.Schema.MarkdownDescription)
			for name, attribute := range got.Schema.Attributes {
				dataSourceAttribute(t, name, attribute)
			}
			accompanied(t, "data_source", meta.TypeName, changelog)
			exists(t, filepath.Join(root, "examples/data-sources", meta.TypeName, "data-source.tf"))
		})
	}
}

func TestProviderBlockIsDescribed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var got frameworkprovider.SchemaResponse
	provider.New("test")().Schema(ctx, frameworkprovider.SchemaRequest{}, &got)
	if diags := got.Schema.ValidateImplementation(ctx); diags.HasError() {
		t.Errorf("the schema is no valid one: %v", diags)
	}
	for name, attribute := range got.Schema.Attributes {
		described(t, name, attribute.GetMarkdownDescription())
		if nested, ok := attribute.(schema.MapNestedAttribute); ok {
			for inner, attribute := range nested.NestedObject.Attributes {
				described(t, name+"."+inner, attribute.GetMarkdownDescription())
			}
		}
	}
}

// described wants a description that is a sentence.
func described(t *testing.T, attribute, description string) {
	t.Helper()
	if len(description) < 10 || !strings.HasSuffix(strings.TrimSpace(description), ".") {
		t.Errorf("%q is described by no sentence: %q", attribute, description)
	}
}

func resourceAttribute(t *testing.T, name string, attribute rschema.Attribute) {
	t.Helper()
	if !strings.HasPrefix(name, "timeouts") {
		described(t, name, attribute.GetMarkdownDescription())
	}
	if nested, ok := attribute.(rschema.NestedAttribute); ok && name != "timeouts" {
		for inner, attribute := range nested.GetNestedObject().GetAttributes() {
			resourceAttribute(t, name+"."+inner, attribute.(rschema.Attribute))
		}
	}
}

func dataSourceAttribute(t *testing.T, name string, attribute dsschema.Attribute) {
	t.Helper()
	if !strings.HasPrefix(name, "timeouts") {
		described(t, name, attribute.GetMarkdownDescription())
	}
	if nested, ok := attribute.(dsschema.NestedAttribute); ok && name != "timeouts" {
		for inner, attribute := range nested.GetNestedObject().GetAttributes() {
			dataSourceAttribute(t, name+"."+inner, attribute.(dsschema.Attribute))
		}
	}
}

// accompanied wants an acceptance test, a page of documentation and a line of
// the changelog.
func accompanied(t *testing.T, kind, typeName, changelog string) {
	t.Helper()
	short := strings.TrimPrefix(typeName, "cutover_")
	tests := read(t, kind+"_"+short+"_test.go")
	if !regexp.MustCompile(`func TestAcc\w+\(`).MatchString(tests) {
		t.Errorf("%s_%s_test.go has no acceptance test", kind, short)
	}
	folder := map[string]string{"resource": "resources", "data_source": "data-sources"}[kind]
	exists(t, filepath.Join(root, "docs", folder, short+".md"))
	if !strings.Contains(changelog, "`"+typeName+"`") {
		t.Error("no line in the changelog")
	}
}

// imports reports whether a resource can be imported: whether its source sets
// importID.
func imports(t *testing.T, typeName string) bool {
	t.Helper()
	return regexp.MustCompile(`\timportID:`).MatchString(read(t, "resource_"+strings.TrimPrefix(typeName, "cutover_")+".go"))
}

func exists(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

// values fails where a model, or a struct in it, holds anything but values of the
// framework: a refresh compares it with a copy that reading must not write through.
func values(t *testing.T, model reflect.Type) {
	t.Helper()
	for i := range model.NumField() {
		field := model.Field(i)
		switch {
		case field.Type.Implements(reflect.TypeFor[attr.Value]()):
		case field.Type.Kind() == reflect.Struct:
			values(t, field.Type)
		default:
			t.Errorf("%s of %s is a %s", field.Name, model, field.Type)
		}
	}
}
