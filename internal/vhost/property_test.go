package vhost

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost/vhosttest"
)

// Whatever a host's files say: a site without problems is one that cutover_vhost
// takes, writes, and reads back as it was.
func TestSitesWithoutProblemsAreGood(t *testing.T) {
	good := map[string]int{}
	for seed := range uint64(600) {
		for server, text := range map[*Server]string{
			apache24: vhosttest.Apache(rand.New(rand.NewPCG(seed, 1))), nginx122: vhosttest.Nginx(rand.New(rand.NewPCG(seed, 2))), //nolint:gosec // a test's own
		} {
			sites, unclear := read(server, "/m", map[string]string{Apache: "Include /s", Nginx: "http { include /s; }"}[server.Name], "/s", strings.ToValidUTF8(text, "\uFFFD"))
			labels := map[string]bool{}
			for _, l := range sites {
				fault := func(what string, args ...any) {
					t.Errorf("seed %d, %s, %s: "+what+"\n%+v\n%s", append(append([]any{seed, server.Name, l.Label()}, args...), l, text)...)
				}
				if labels[l.Label()] {
					fault("two sites of one key")
				}
				labels[l.Label()] = true
				if overlaps(l.Ports, l.TLSPorts) {
					fault("a port both with and without TLS")
				}
				for _, problem := range l.Problems {
					if !slices.Contains(unclear, problem) {
						fault("not among what was not understood: %s", problem)
					}
				}
				if len(l.Problems) > 0 {
					continue
				}
				good[server.Name]++
				if err := l.Check(); err != nil {
					fault("no problem, but %v", err)
				}
				rendered, err := Render(l.Site, server)
				if err != nil {
					fault("no problem, but %v", err)
					continue
				}
				again, _, err := server.parse(Found{Path: "/s/" + l.Label() + ".conf", Text: rendered, Managed: true}, nil)
				if err != nil || !same(again, l.Site) {
					fault("read back as\n%+v\n%v\nfrom\n%s", again, err, rendered)
				}
			}
		}
	}
	t.Logf("good sites: %v", good)
	for _, server := range []string{Apache, Nginx} {
		if good[server] < 200 {
			t.Errorf("only %d of the sites of %s are good", good[server], server)
		}
	}
}

// same compares sites; an empty list is none, and a text may have got the line's
// end that a here-document has.
func same(a, b Site) bool {
	for _, s := range []*Site{&a, &b} {
		s.Aliases, s.Ports, s.TLSPorts = append([]string{}, s.Aliases...), append([]int{}, s.Ports...), append([]int{}, s.TLSPorts...)
		s.Extra = strings.Trim(s.Extra, "\n")
	}
	return reflect.DeepEqual(a, b)
}
