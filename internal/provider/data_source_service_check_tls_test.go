package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// Real servers with certificates of an authority that is trusted: for the name, for
// another one, and no more valid. The audit of the two hosts says the same.
func TestAccTLS(t *testing.T) {
	t.Parallel()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(5*time.Minute))
	defer cancel()
	theLab, err := lab.New(ctx, lab.Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	t.Cleanup(func() { must(theLab.Close()) })
	ca, err := theLab.NewCA()
	must(err)
	const name = "mail.example.test"
	hosts := map[string]*lab.Host{}
	for host, kind := range map[string]lab.Kind{"old": lab.Bookworm, "new": lab.Trixie, "exim": lab.Exim} {
		hosts[host], err = theLab.StartHost(ctx, host, kind)
		must(err)
		must(hosts[host].WaitPorts(ctx, 25))
	}
	issue := func(host string, until time.Time, names ...string) {
		t.Helper()
		pem, err := ca.Issue(until, names...)
		must(err)
		must(hosts[host].ServeTLS(ctx, name, pem))
	}
	issue("old", time.Now().AddDate(0, 3, 0), name)
	issue("new", time.Now().AddDate(0, 3, 0), "localhost")
	issue("exim", time.Now().AddDate(0, 0, 3), name)

	w := &world{lab: theLab, sysv: hosts["old"], bookworm: hosts["new"], exim: hosts["exim"]}
	var checks strings.Builder
	for key, each := range map[string]struct {
		host, more string
	}{
		"old_https": {"old", "port = 443"}, "old_smtp": {"old", "port = 25\n starttls = true\n expect_certificate_days = 30"},
		"old_imap": {"old", "port = 143\n starttls = true"}, "old_imaps": {"old", "port = 993"}, "old_pop3s": {"old", "port = 995"},
		"new_https": {"new", "port = 443"}, "new_smtp": {"new", "port = 25\n starttls = true"}, "new_imaps": {"new", "port = 993"},
		"exim_smtp": {"exim", "port = 25\n starttls = true"}, "exim_soon": {"exim", "port = 25\n starttls = true\n expect_certificate_days = 14"},
	} {
		fmt.Fprintf(&checks, "data \"cutover_service_check\" %q {\n address = %q\n server_name = %q\n fail = false\n timeout = \"20s\"\n %s\n}\noutput %[1]q {\n value = data.cutover_service_check.%[1]s.error\n}\n",
			key, hosts[each.host].Address, name, each.more)
	}
	terraform := newCommandLine(t, w.config(checks.String()+`
data "cutover_migration_audit" "move" {
  from  = "old"
  to    = "new"
  areas = ["sites", "certificates"]
}
output "findings" { value = [for f in data.cutover_migration_audit.move.findings : "${f.severity} ${f.area}/${f.subject}: ${f.text}"] }
`)+requires)
	terraform.env = []string{"SSL_CERT_FILE=" + ca.Path()}
	terraform.run("apply", "-auto-approve")
	var state struct {
		Outputs map[string]struct{ Value any }
	}
	content, err := os.ReadFile(filepath.Join(terraform.dir, "terraform.tfstate"))
	must(err)
	must(json.Unmarshal(content, &state))
	outputs := state.Outputs
	for key, want := range map[string]string{
		"old_https": "", "old_smtp": "", "old_imap": "", "old_imaps": "", "old_pop3s": "", "exim_smtp": "",
		"new_https": "certificate is valid for localhost, not " + name, "new_smtp": "certificate is valid for localhost, not " + name, "new_imaps": "certificate is valid for localhost, not " + name,
		"exim_soon": "14 days",
	} {
		got, _ := outputs[key].Value.(string)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	findings := fmt.Sprint(outputs["findings"].Value)
	for _, want := range []string{
		"error sites/" + name + ":443/certificate: Clients refuse the certificate of the new host", "warning certificates/smtp:25: The new host shows a certificate for another name",
		"warning certificates/imaps:993: ", "warning certificates/imap:143: ",
	} {
		if !strings.Contains(findings, want) {
			t.Errorf("the audit does not say %q, but\n%s", want, findings)
		}
	}
}
