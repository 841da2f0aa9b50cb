package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// NewCounted is New with a function that gets each pool of hosts that the
// provider makes.
func NewCounted(connected func(*host.Pool)) provider.Provider {
	return &cutoverProvider{version: "test", connected: connected}
}

// ShowSite is a site as cutover_vhosts shows it, and ShowPerson a person as
// cutover_host_users does.
var (
	ShowSite   = showSite
	ShowPerson = showPerson
)
