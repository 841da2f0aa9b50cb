package provider_test

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

func TestAccHost(t *testing.T) {
	const facts = "data.cutover_host.facts"
	w := labWorld(t)
	for _, c := range []struct {
		host   *lab.Host
		wanted map[string]string // regular expressions
		absent []string
	}{
		{w.sysv, map[string]string{
			"os_id": "^debian$", "os_version": `^11\.\d+$`, "os_name": "bullseye", "init": "^sysv$", "hostname": "^sysv$", "sshd_version": `^8\.4`,
			"rsync_version": `^3\.2\.\d+$`, "apache_version": `^2\.4\.\d+$`, "dovecot_version": `^2\.3\.\d+$`, "mta": "^sendmail$", "mta_version": `^8\.\d+\.\d+$`, "firewall": "^iptables$",
		}, []string{"nginx_version"}},
		{w.bookworm, map[string]string{
			"os_version": `^12\.\d+$`, "init": "^systemd$", "sshd_version": `^9\.2`, "nginx_version": `^1\.\d+\.\d+$`,
			"dovecot_version": `^2\.3\.[0-9.]+$`, "mta": "^postfix$", "mta_version": `^3\.7\.\d+$`, "firewall": "^nft$",
		}, []string{"apache_version"}},
		{w.trixie, map[string]string{
			"os_version": `^13\.\d+$`, "init": "^systemd$", "sshd_version": `^10\.`, "rsync_version": `^3\.\d+\.\d+$`, "apache_version": `^2\.4\.\d+$`,
			"dovecot_version": `^2\.4\.\d+`, "mta": "^postfix$", "mta_version": `^3\.10\.\d+$`, "kernel": `^\d+\.\d+`, "architecture": `^\w+$`,
		}, []string{"nginx_version"}},
	} {
		t.Run(c.host.Name, func(t *testing.T) {
			untouched(t, c.host)
			checks := []resource.TestCheckFunc{
				resource.TestCheckTypeSetElemNestedAttrs(facts, "listeners.*", map[string]string{"address": "0.0.0.0", "port": "22", "process": "sshd"}),
				resource.TestCheckTypeSetElemNestedAttrs(facts, "listeners.*", map[string]string{"address": "0.0.0.0", "port": "143", "process": "dovecot"}),
			}
			for name, wanted := range c.wanted {
				checks = append(checks, resource.TestMatchResourceAttr(facts, name, regexp.MustCompile(wanted)))
			}
			for _, name := range c.absent {
				checks = append(checks, resource.TestCheckNoResourceAttr(facts, name))
			}
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config: w.config(`data "cutover_host" "facts" { host = "` + c.host.Name + `" }`),
					Check:  resource.ComposeAggregateTestCheckFunc(checks...),
				}},
			})
		})
	}
}

func TestHostUnknown(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	resource.Test(t, resource.TestCase{
		IsUnitTest:               true,
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{{
			Config: `provider "cutover" { hosts = { old = {}, new = {} } }
data "cutover_host" "facts" { host = "nwe" }`,
			ExpectError: regexp.MustCompile(`(?s)Unable to read host.*no host "nwe"; its hosts are: "new", "old"`),
		}},
	})
}
