package provider

import (
	"slices"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/traffic"
)

// Who came within the time is named with port and moment, and so is a time that was not
// counted.
func TestStillCome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	counted := traffic.Report{
		Since: now.Add(-30 * time.Hour), Now: now,
		Ports: []traffic.Port{
			{Number: 25, Clients: []traffic.Client{{Address: "192.0.2.7", Last: now.Add(-90 * time.Second)}, {Address: "192.0.2.8", Last: now.Add(-25 * time.Hour)}}},
			{Number: 80, Clients: []traffic.Client{{Address: "2001:db8::7", Last: now.Add(-24 * time.Hour)}}},
		},
	}
	nameOf := func(address string) string { return map[string]string{"192.0.2.7": "mail.example.net"}[address] }
	for idleFor, want := range map[time.Duration][]string{
		24 * time.Hour: {"port 25: 192.0.2.7 (mail.example.net) came 1m30s ago, at 2026-11-30T11:58:30Z"},
		time.Minute:    nil,
		31 * time.Hour: {
			"port 25: 192.0.2.7 (mail.example.net) came 1m30s ago, at 2026-11-30T11:58:30Z",
			"port 25: 192.0.2.8 came 25h0m0s ago, at 2026-11-29T11:00:00Z",
			"port 80: 2001:db8::7 came 24h0m0s ago, at 2026-11-29T12:00:00Z",
			"who comes has been counted for 30h0m0s only, since 2026-11-29T06:00:00Z; idle_for is 31h",
		},
	} {
		if got := stillCome(counted, idleFor, nameOf); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", idleFor, got, want)
		}
	}
}
