package provider

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
	"github.com/cutover-dev/terraform-provider-cutover/internal/mail"
)

// takes reports whether the resource's own validators let a value pass.
func takes(t *testing.T, attribute string, value types.String) bool {
	t.Helper()
	text, ok := maildirSchema(context.Background()).Attributes[attribute].(schema.StringAttribute)
	if !ok || len(text.Validators) == 0 {
		t.Fatalf("%s is no text that is checked", attribute)
	}
	request := validator.StringRequest{Path: path.Root(attribute), ConfigValue: value}
	for _, v := range text.Validators {
		var response validator.StringResponse
		v.ValidateString(context.Background(), request, &response)
		if response.Diagnostics.HasError() {
			return false
		}
	}
	return true
}

// What the data source says without a problem, cutover_maildir takes; and what it
// does not take is never without a problem.
func TestMaildirTakesWhatTheDataSourceSays(t *testing.T) {
	t.Parallel()
	pick := func(r *rand.Rand, choices ...string) string { return choices[r.IntN(len(choices))] }
	taken, refused := 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		place := pick(r, "~", "%h", "%{home}", "/home/%u", "/home/%{user | username}", "/srv/%d", "/var/mail", "$HOME", "") +
			pick(r, "/", "//", "") + pick(r, "mail", "Maildir/", "a/../b", "..", ".", "my mail", "%d/x", "Mail+x/é", "mail,v", "") + pick(r, "", "/in", "/%n", "/../../x")
		layout := pick(r, "", "", "fs", "maildir++", "Maildir++", "index")
		spool := "/" + pick(r, "var/mail", "var/spool/mail/", "a b", "..", "") + pick(r, "", "/%d")
		driver := pick(r, "maildir", "maildir", "maildir", "mbox", "mdbox", "")
		printed := "dovecot\t2.4.1\nset\t\tmail_driver\t" + driver + "\nset\t\tmail_path\t" + place + "\nset\t\tmailbox_list_layout\t" + layout + "\n"
		if r.IntN(2) == 0 {
			printed = "dovecot\t2.3.19\nset\t\tmail_location\t" + driver + ":" + place + ":LAYOUT=" + layout + "\n"
		}
		printed += pick(r, "parent\t/home\t4\n", "parent\t/home\t4\nparent\t-\t1\n", "") + "server\tpostfix\npostfix\tmail_spool_directory\t" + spool + "\n"
		fake := hosttest.New(t)
		fake.Expect("mail/facts.sh /etc").Prints(printed + "end\n")
		found, err := mail.Inspect(t.Context(), fake)
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		var m mailModel
		m.show(found)
		// That mail is delivered elsewhere is another matter than what the resource takes.
		problems := slices.DeleteFunc(m.Problems, func(problem string) bool { return strings.Contains(problem, "mail is delivered to") })
		ok := takes(t, "path", m.Path) && takes(t, "layout", m.Layout)
		if !ok && len(problems) == 0 {
			t.Errorf("seed %d: path %s and layout %s are refused, and nothing was said of it; the host is\n%s", seed, m.Path, m.Layout, printed)
		}
		if !takes(t, "spool_directory", m.SpoolDirectory) {
			t.Errorf("seed %d: the spool directory %s is refused; the host is\n%s", seed, m.SpoolDirectory, printed)
		}
		if ok {
			taken++
		} else {
			refused++
		}
		if len(problems) == 0 && (!strings.HasPrefix(m.Path.ValueString(), "~/") || m.Driver.ValueString() != "maildir") {
			t.Errorf("seed %d: %s in %s is no problem; the host is\n%s", seed, m.Driver, m.Path, printed)
		}
	}
	if taken < 300 || refused < 300 {
		t.Errorf("%d taken, %d refused: the test looks at one side only", taken, refused)
	}
}
