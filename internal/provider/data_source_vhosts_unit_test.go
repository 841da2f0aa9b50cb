package provider_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost/vhosttest"
)

// What cutover_vhosts shows without problems, cutover_vhost takes as it is: all
// of the resource's validators are asked, as a plan asks them.
func TestSitesWithoutProblemsAreAccepted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := providerserver.NewProtocol6(provider.New("test")())()
	schemas, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	object, ok := schemas.ResourceSchemas["cutover_vhost"].ValueType().(tftypes.Object)
	if !ok {
		t.Fatal("the schema of cutover_vhost is no object")
	}
	good := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test's own
		text, web := vhosttest.Apache(r), vhost.Apache
		if seed%2 == 1 {
			text, web = vhosttest.Nginx(r), vhost.Nginx
		}
		fake := hosttest.New(t)
		main := "/etc/" + web + "/main"
		fake.Expect("vhost/snapshot.sh").Prints(fmt.Sprintf("server %s\nversion 2.4.62\ntree /etc/%[1]s\nmain %s\nend\n", web, main))
		fake.Expect("vhost/fetch.sh " + main).Prints("pattern " + main + "\nis " + main + "\n| " + strings.ReplaceAll(text, "\n", "\n| ") + "\nend\n")
		if strings.Contains(strings.ToLower(text), "\ninclude x.conf") {
			file := "/etc/" + web + "/x.conf"
			fake.Expect("vhost/fetch.sh " + file).Prints("pattern " + file + "\nis " + file + "\n| # nothing\nend\n")
		}
		if web == vhost.Apache {
			fake.Expect("vhost/dump.sh /etc/apache").Exits(1, "")
		}
		_, sites, _, err := vhost.NewSites(fake).List(ctx, "")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		for _, site := range sites {
			if len(site.Problems) > 0 {
				continue
			}
			good++
			config, err := tfprotov6.NewDynamicValue(object, configOf(object, web, reflect.ValueOf(provider.ShowSite(site))))
			if err != nil {
				t.Fatalf("seed %d, %s: %v\n%s", seed, site.Label(), err, text)
			}
			response, err := server.ValidateResourceConfig(ctx, &tfprotov6.ValidateResourceConfigRequest{TypeName: "cutover_vhost", Config: &config})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range response.Diagnostics {
				t.Errorf("seed %d, %s: %s: %s\n%s", seed, site.Label(), d.Summary, d.Detail, text)
			}
		}
	}
	if good < 100 {
		t.Errorf("only %d sites are good", good)
	}
}

// configOf is a cutover_vhost with the attributes of a listed site.
func configOf(object tftypes.Object, server string, site reflect.Value) tftypes.Value {
	attributes := map[string]tftypes.Value{}
	for name, kind := range object.AttributeTypes {
		attributes[name] = tftypes.NewValue(kind, nil)
	}
	attributes["host"] = tftypes.NewValue(tftypes.String, "new")
	attributes["server"] = tftypes.NewValue(tftypes.String, server)
	for i := range site.NumField() {
		name := site.Type().Field(i).Tag.Get("tfsdk")
		if kind, ok := object.AttributeTypes[name]; ok {
			attributes[name] = valueOf(kind, site.Field(i))
		}
	}
	return tftypes.NewValue(object, attributes)
}

// valueOf is a field of a model as a value of Terraform.
func valueOf(kind tftypes.Type, field reflect.Value) tftypes.Value {
	switch {
	case field.Kind() == reflect.Pointer && field.IsNil():
		return tftypes.NewValue(kind, nil)
	case field.Kind() == reflect.Pointer:
		return valueOf(kind, field.Elem())
	case field.Kind() == reflect.Slice:
		element := tftypes.Type(tftypes.String)
		if set, ok := kind.(tftypes.Set); ok {
			element = set.ElementType
		}
		values := []tftypes.Value{}
		for i := range field.Len() {
			values = append(values, valueOf(element, field.Index(i)))
		}
		return tftypes.NewValue(kind, values)
	case field.CanInt():
		return tftypes.NewValue(kind, field.Int())
	}
	return tftypes.NewValue(kind, field.Interface())
}
