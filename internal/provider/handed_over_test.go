package provider_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// What a data source gives, the resource takes: for_each over it never fails for
// one odd entry, if those with problems are left out.

// validation validates configurations of a resource as Terraform does it.
type validation struct {
	server tfprotov6.ProviderServer
	name   string
	object tftypes.Object
}

func validationOf(t *testing.T, name string) validation {
	t.Helper()
	server, err := providerserver.NewProtocol6WithError(provider.New("test")())()
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	object, ok := schemas.ResourceSchemas[name].ValueType().(tftypes.Object)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return validation{server, name, object}
}

// refusal is what is wrong with a resource of these attributes; "": nothing.
func (v validation) refusal(t *testing.T, attributes map[string]any) string {
	t.Helper()
	values := map[string]tftypes.Value{}
	for name, kind := range v.object.AttributeTypes {
		values[name] = tftypes.NewValue(kind, nil)
		if value, given := attributes[name]; given {
			values[name] = valueOf(kind, value)
			delete(attributes, name)
		}
	}
	if len(attributes) > 0 {
		t.Fatalf("%s has no %v", v.name, attributes)
	}
	config, err := tfprotov6.NewDynamicValue(v.object, tftypes.NewValue(v.object, values))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := v.server.ValidateResourceConfig(context.Background(), &tfprotov6.ValidateResourceConfigRequest{TypeName: v.name, Config: &config})
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, d := range answer.Diagnostics {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			refused = append(refused, fmt.Sprintf("%s: %s: %s", d.Attribute, d.Summary, d.Detail))
		}
	}
	return strings.Join(refused, "; ")
}

func valueOf(kind tftypes.Type, value any) tftypes.Value {
	element := func() tftypes.Type {
		switch kind := kind.(type) {
		case tftypes.List:
			return kind.ElementType
		case tftypes.Set:
			return kind.ElementType
		case tftypes.Map:
			return kind.ElementType
		}
		return nil
	}
	switch value := value.(type) {
	case []string:
		elements := []tftypes.Value{}
		for _, each := range value {
			elements = append(elements, tftypes.NewValue(element(), each))
		}
		return tftypes.NewValue(kind, elements)
	case []int:
		elements := []tftypes.Value{}
		for _, each := range value {
			elements = append(elements, tftypes.NewValue(element(), each))
		}
		return tftypes.NewValue(kind, elements)
	case map[string]int:
		elements := map[string]tftypes.Value{}
		for name, each := range value {
			elements[name] = tftypes.NewValue(element(), each)
		}
		return tftypes.NewValue(kind, elements)
	}
	return tftypes.NewValue(kind, value)
}

func TestEveryPersonCanBeAHostUser(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 5)) // the same accounts in each run
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	mostly := func(usual []string, odd ...string) string {
		if random.IntN(10) > 0 {
			return pick(usual...)
		}
		return pick(odd...)
	}
	names := []string{"anna", "bert", "#carl", " dora", "7zip", "anna@example.com", "J\xf6rg", "müller", "Domain\\user", "a.b-c_d", "x$", strings.Repeat("l", 33), "", "+nis", "two words"}
	homes := []string{"/home/x", "/home/slash/", "/srv/jail/eris/./home/eris", "/home/../etc", "home", "", "/home/with blank", "/home/m\xfcller", "/home/\x01"}
	shells := []string{"/bin/bash", "", "/bin/sh/", "bash", "/usr/bin/tcsh", "/bin/../bin/bash"}
	groups := []string{"users", "domain users", "7seas", "staff", "#gone", "J\xf6rgs", "anna"}
	hostUser := validationOf(t, "cutover_host_user")
	taken, odd := 0, 0
	for range 300 {
		var passwd, group strings.Builder
		for range 1 + random.IntN(8) {
			fmt.Fprintf(&passwd, "%s:x:%s:%s:%s:%s:%s\n", mostly([]string{"anna", "bert", "cleo", "dan", "eva"}, names...),
				mostly([]string{"1001", "1002", "1003", "1004", "1005", "500"}, "4294967295", "x", "-2"), mostly([]string{"100"}, "1001", "4711", ""),
				mostly([]string{"", "Anna,,,"}, "J\xf6rg", "tab\there"), mostly([]string{"/home/x", "/home/slash/", "/srv/jail/eris/./home/eris"}, homes...), mostly([]string{"/bin/bash", ""}, shells...))
		}
		group.WriteString("users:x:100:\n")
		for range random.IntN(3) {
			fmt.Fprintf(&group, "%s:x:%s:%s\n", mostly([]string{"users", "staff"}, groups...), mostly([]string{"100", "50"}, "1001", "x"), pick("", "anna", "anna,bert", "müller,7zip", "J\xf6rg"))
		}
		fake := hosttest.New(t)
		fake.Expect("account/snapshot.sh").Prints("== defs\n== passwd\n" + passwd.String() + "== group\n" + group.String() + "== shadow\n== end\n")
		snapshot, err := account.NewDirectory(fake).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, person := range snapshot.People() {
			refused := hostUser.refusal(t, map[string]any{
				"host": "new", "name": name, "uid": person.UID, "gid": person.GID, "group": person.Group, "groups": append([]string{}, person.Groups...),
				"group_gids": person.GroupIDs, "gecos": person.Gecos, "home": person.Home, "shell": person.Shell,
			})
			switch {
			case len(person.Problems) == 0 && refused != "":
				t.Errorf("%+v has no problem, and is refused: %s", person, refused)
			case len(person.Problems) > 0 && refused == "" && !slices.ContainsFunc(person.Problems, func(problem string) bool {
				return strings.Contains(problem, "as well") || strings.Contains(problem, "UTF-8") // what the host says, and no rule of names
			}):
				t.Errorf("%+v has a problem, and is taken", person)
			case len(person.Problems) > 0:
				odd++
			default:
				taken++
			}
		}
	}
	t.Logf("%d people without a problem, %d with", taken, odd)
	if taken < 100 || odd < 100 {
		t.Errorf("only %d people without a problem, and %d with", taken, odd)
	}
}
