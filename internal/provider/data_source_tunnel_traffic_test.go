package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

const counted = "data.cutover_tunnel_traffic.relay"

func TestAccTunnelTraffic(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		handWritten(t, host)
		sameFirewall(t, host)
		config := func(forwards string) string {
			return tunnelConfig(w, name, "  forwards = ["+forwards+"]") + fmt.Sprintf(`
data "cutover_tunnel_traffic" "relay" {
  host = %q
  name = cutover_forwarding_tunnel.relay.name

  depends_on = [cutover_forwarding_tunnel.relay]
}
`, name)
		}
		const web, mail = "{ listen_port = 8080, target_port = 80 }", "{ listen_port = 8025, target_port = 25 }"
		come := func() {
			t.Helper()
			err := errors.Join(served(w, host.Address, 8080), served(w, host.Address, 8080), served(w, host.Address6, 8080),
				served(w, host.Address, 8025), onLoopback(host, 8080), reachable(w, host.Address, 22))
			if err != nil {
				t.Fatal(err)
			}
		}
		sent := resource.TestMatchResourceAttr(counted, "ports.8080.bytes_sent", regexp.MustCompile(`^[0-9]{3,}$`))
		if name == "sysv" { // iptables cannot tell
			sent = resource.TestCheckNoResourceAttr(counted, "ports.8080.bytes_sent")
		}
		var began, booted time.Time
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: config(web + ", " + mail),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "id", name+"/relay"),
						resource.TestCheckResourceAttr(counted, "ports.%", "2"),
						resource.TestCheckResourceAttr(counted, "ports.8025.connections", "0"),
						resource.TestCheckNoResourceAttr(counted, "last_connection"),
						recently(counted, "since", &began),
					),
				},
				{
					PreConfig: come,
					Config:    config(web + ", " + mail),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "ports.8080.connections", "3"),
						resource.TestCheckResourceAttr(counted, "ports.8025.connections", "1"),
						resource.TestCheckResourceAttr(counted, "ports.8080.clients.%", "2"),
						resource.TestCheckResourceAttr(counted, "ports.8025.clients.%", "1"),
						recently(counted, "ports.8080.clients."+w.client.Address, nil),
						recently(counted, "ports.8080.clients."+w.client.Address6, nil),
						recently(counted, "ports.8025.last_connection", nil),
						recently(counted, "last_connection", nil),
						resource.TestMatchResourceAttr(counted, "ports.8080.bytes_received", regexp.MustCompile(`^[0-9]{3,}$`)),
						sent,
						recently(counted, "since", &began),
					),
				},
				{ // a client whose last connection was some time ago
					PreConfig: func() {
						time.Sleep(8 * time.Second)
						if err := served(w, host.Address6, 8080); err != nil {
							t.Fatal(err)
						}
					},
					Config: config(web + ", " + mail),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "ports.8080.connections", "4"),
						func(s *terraform.State) error {
							first, err := momentOf(s, counted, "ports.8080.clients."+w.client.Address)
							second, other := momentOf(s, counted, "ports.8080.clients."+w.client.Address6)
							if apart := second.Sub(first); apart < 7*time.Second || apart > pace.Limit(25*time.Second) {
								err = errors.Join(err, fmt.Errorf("the clients came %s apart, not 8 s and a little", apart))
							}
							return errors.Join(err, other)
						},
					),
				},
				{ // counted anew after a reboot
					PreConfig: func() {
						if err := host.Reboot(context.Background()); err != nil {
							t.Fatal(err)
						}
						// Whoever asks from outside before the relays are back is counted too.
						if err := eventually(60*time.Second, func() error { return onLoopback(host, 8025) }); err != nil {
							t.Fatal(err)
						}
						booted = time.Now()
						if err := served(w, host.Address, 8025); err != nil {
							t.Fatal(err)
						}
					},
					Config: config(web + ", " + mail),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "ports.8025.connections", "1"),
						resource.TestCheckResourceAttr(counted, "ports.8080.connections", "0"),
						func(s *terraform.State) error {
							since, err := momentOf(s, counted, "since")
							if !since.After(began) || since.After(booted) {
								err = errors.Join(err, fmt.Errorf("it counts since %s, and was booted between %s and %s", since, began, booted))
							}
							return err
						},
					),
				},
				{ // with other ports
					Config: config(web),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "ports.%", "1"),
						resource.TestCheckResourceAttr(counted, "ports.8080.connections", "0"),
					),
				},
				{
					PreConfig:   func() { reloadFirewall(t, host) },
					Config:      config(web),
					ExpectError: regexp.MustCompile(`(?s)rules\s+that\s+count.*are\s+gone.*traffic-relay/count\s+relay`),
				},
				{ // as that error says
					PreConfig: func() {
						writeByHand(t, host)
						run(t, host, "sh", "/etc/cutover/traffic-relay/count", "relay")
						if err := served(w, host.Address, 8080); err != nil {
							t.Fatal(err)
						}
					},
					Config: config(web),
					Check:  resource.TestCheckResourceAttr(counted, "ports.8080.connections", "1"),
				},
				{
					Config:      config(web) + fmt.Sprintf("data \"cutover_tunnel_traffic\" \"other\" {\n  host = %q\n  name = \"other\"\n}\n", name),
					ExpectError: regexp.MustCompile(`nothing\s+counts\s+for\s+a\s+tunnel\s+"other"`),
				},
			},
		})
	})
}

// What a transparent tunnel translates is counted before and after that.
func TestAccTunnelTrafficOfATransparentTunnel(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		config := tunnelConfig(w, name, "  mode = \"transparent\"\n  forwards = [{ listen_port = 8080, target_port = 80 }]") + fmt.Sprintf(`
data "cutover_tunnel_traffic" "relay" {
  host       = %q
  depends_on = [cutover_forwarding_tunnel.relay]
}
`, name)
		sent := resource.TestMatchResourceAttr(counted, "ports.8080.bytes_sent", regexp.MustCompile(`^[0-9]{3,}$`))
		if name == "sysv" {
			sent = resource.TestCheckNoResourceAttr(counted, "ports.8080.bytes_sent")
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					Config: config,
					Check:  resource.TestCheckResourceAttr(counted, "ports.8080.connections", "0"),
				},
				{
					PreConfig: func() {
						if err := errors.Join(served(w, host.Address, 8080), served(w, host.Address6, 8080)); err != nil {
							t.Fatal(err)
						}
					},
					Config: config,
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(counted, "ports.8080.connections", "2"),
						recently(counted, "ports.8080.clients."+w.client.Address, nil),
						recently(counted, "ports.8080.clients."+w.client.Address6, nil),
						resource.TestMatchResourceAttr(counted, "ports.8080.bytes_received", regexp.MustCompile(`^[0-9]{3,}$`)),
						sent,
					),
				},
			},
		})
	})
}

// momentOf is an attribute that is a time.
func momentOf(s *terraform.State, address, attribute string) (time.Time, error) {
	value := s.RootModule().Resources[address].Primary.Attributes[attribute]
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, fmt.Errorf("%s of %s: %w", attribute, address, err)
	}
	return at, nil
}

// recently wants an attribute to be a time of the last minutes, and the same as
// before where it was seen before.
func recently(address, attribute string, seen *time.Time) resource.TestCheckFunc {
	return func(s *terraform.State) error {
		at, err := momentOf(s, address, attribute)
		switch {
		case err != nil:
			return err
		case time.Since(at) > 3*time.Minute || time.Until(at) > 2*time.Second:
			return fmt.Errorf("%s of %s is %s, now is %s", attribute, address, at, time.Now())
		case seen == nil:
			return nil
		case !seen.IsZero() && !seen.Equal(at):
			return fmt.Errorf("%s of %s was %s and is %s", attribute, address, seen, at)
		}
		*seen = at
		return nil
	}
}
