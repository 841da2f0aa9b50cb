package provider_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost/vhosttest"
)

// What a data source gives, the resource takes: for_each over it never fails for
// one odd entry, if those with problems are left out.

// validation validates configurations of a resource as Terraform does it.
type validation struct {
	server tfprotov6.ProviderServer
	name   string
	object tftypes.Object
	given  map[string]bool // attributes that a configuration can give
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
	given := map[string]bool{}
	for _, attribute := range schemas.ResourceSchemas[name].Block.Attributes {
		given[attribute.Name] = attribute.Optional || attribute.Required
	}
	return validation{server, name, object, given}
}

// refusal is what is wrong with a resource that has the attributes of an entry of a
// data source, by their names, and some more; "": nothing.
func (v validation) refusal(t *testing.T, entry any, more map[string]string) string {
	t.Helper()
	attributes := map[string]tftypes.Value{}
	for name, kind := range v.object.AttributeTypes {
		attributes[name] = tftypes.NewValue(kind, nil)
		if value, given := more[name]; given {
			attributes[name] = tftypes.NewValue(kind, value)
		}
	}
	fields := reflect.ValueOf(entry)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("tfsdk")
		if kind, ok := v.object.AttributeTypes[name]; ok && v.given[name] {
			attributes[name] = valueOf(kind, fields.Field(i))
		}
	}
	config, err := tfprotov6.NewDynamicValue(v.object, tftypes.NewValue(v.object, attributes))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := v.server.ValidateResourceConfig(t.Context(), &tfprotov6.ValidateResourceConfigRequest{TypeName: v.name, Config: &config})
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, d := range answer.Diagnostics {
		refused = append(refused, fmt.Sprintf("%s: %s: %s", d.Attribute, d.Summary, d.Detail))
	}
	return strings.Join(refused, "; ")
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
	case field.Kind() == reflect.Map:
		element := tftypes.Type(tftypes.String)
		if m, ok := kind.(tftypes.Map); ok {
			element = m.ElementType
		}
		values := map[string]tftypes.Value{}
		for _, key := range field.MapKeys() {
			values[key.String()] = valueOf(element, field.MapIndex(key))
		}
		return tftypes.NewValue(kind, values)
	case field.CanInt():
		return tftypes.NewValue(kind, field.Int())
	}
	return tftypes.NewValue(kind, field.Interface())
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
			refused := hostUser.refusal(t, provider.ShowPerson(person), map[string]string{"host": "new", "name": name})
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

func TestEverySiteCanBeAVhost(t *testing.T) {
	t.Parallel()
	vhosts := validationOf(t, "cutover_vhost")
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
		_, sites, _, err := vhost.NewSites(fake).List(t.Context(), "")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		for _, site := range sites {
			if len(site.Problems) > 0 {
				continue
			}
			good++
			if refused := vhosts.refusal(t, provider.ShowSite(site), map[string]string{"host": "new", "server": web}); refused != "" {
				t.Errorf("seed %d, %s: %s\n%s", seed, site.Label(), refused, text)
			}
		}
	}
	if good < 100 {
		t.Errorf("only %d sites are good", good)
	}
}

func TestASlashAtTheEndOfADirectoryIsTaken(t *testing.T) {
	t.Parallel()
	type entry struct {
		Paths          []string `tfsdk:"paths"`
		Ports          []int    `tfsdk:"ports"`
		DocumentRoot   *string  `tfsdk:"document_root"`
		Path           *string  `tfsdk:"path"`
		SpoolDirectory *string  `tfsdk:"spool_directory"`
		Home           *string  `tfsdk:"home"`
	}
	text := func(value string) *string { return &value }
	for resource, attributes := range map[string]struct {
		entry
		more map[string]string
	}{
		"cutover_sync_pass": {entry{Paths: []string{"/home/", "/var/mail//"}}, map[string]string{"from": "old", "to": "new"}},
		"cutover_vhost":     {entry{DocumentRoot: text("/srv/www/"), Ports: []int{80}}, map[string]string{"host": "new", "name": "a", "server_name": "a.example.com", "server": "nginx"}},
		"cutover_maildir":   {entry{Path: text("~/Maildir/"), SpoolDirectory: text("/var/mail/")}, map[string]string{"host": "new"}},
		"cutover_host_user": {entry{Home: text("/home/anna/")}, map[string]string{"host": "new", "name": "anna"}},
	} {
		if refused := validationOf(t, resource).refusal(t, attributes.entry, attributes.more); refused != "" {
			t.Errorf("%s: %s", resource, refused)
		}
	}
	if refused := validationOf(t, "cutover_sync_pass").refusal(t, entry{Paths: []string{"/home/", "/home"}}, map[string]string{"from": "old", "to": "new"}); !strings.Contains(refused, "overlap") {
		t.Errorf("a directory twice: %s", refused)
	}
}
