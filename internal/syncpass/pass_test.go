package syncpass

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	paths := func(pairs ...string) []Path {
		var list []Path
		for _, pair := range pairs {
			source, target, _ := strings.Cut(pair, ">")
			list = append(list, Path{source, target})
		}
		return list
	}
	good := Pass{ID: "ab12", Paths: paths("/home", "/var/spool/mail>/var/mail"), Excludes: []string{"*.tmp"}, FromAddress: "2001:db8::1", SeenAs: []string{"192.0.2.1"}}
	if err := good.Validate(); err != nil {
		t.Errorf("a good pass: %v", err)
	}
	tests := map[string]struct {
		change func(*Pass)
		says   string
	}{
		"no ID":              {func(p *Pass) { p.ID = "" }, "ID"},
		"ID with a slash":    {func(p *Pass) { p.ID = "../x" }, "ID"},
		"no path":            {func(p *Pass) { p.Paths = nil }, "at least one path"},
		"relative":           {func(p *Pass) { p.Paths = paths("home") }, "not absolute"},
		"relative target":    {func(p *Pass) { p.Paths = paths("/home>srv") }, "not absolute"},
		"root":               {func(p *Pass) { p.Paths = paths("/") }, "over the new one"},
		"root in disguise":   {func(p *Pass) { p.Paths = paths("/home/..") }, "over the new one"},
		"root as target":     {func(p *Pass) { p.Paths = paths("/home>/") }, "over the new one"},
		"dots":               {func(p *Pass) { p.Paths = paths("/srv/../home") }, `which is "/home"`},
		"slash at the end":   {func(p *Pass) { p.Paths = paths("/home/") }, `which is "/home"`},
		"newline":            {func(p *Pass) { p.Paths = paths("/home\n/etc") }, "control character"},
		"the same twice":     {func(p *Pass) { p.Paths = paths("/home", "/home") }, "overlap"},
		"one in the other":   {func(p *Pass) { p.Paths = paths("/home/anna", "/srv", "/home") }, "overlap"},
		"same target":        {func(p *Pass) { p.Paths = paths("/home", "/srv>/home") }, "overlap"},
		"exclude of nothing": {func(p *Pass) { p.Excludes = []string{"+ "} }, "exclude pattern"},
		"empty exclude":      {func(p *Pass) { p.Excludes = []string{""} }, "exclude pattern"},
		"negative bandwidth": {func(p *Pass) { p.BandwidthLimit = -1 }, "negative"},
		"port":               {func(p *Pass) { p.FromPort = 70000 }, "no TCP port"},
		"address":            {func(p *Pass) { p.FromAddress = "a\nProxyCommand reboot" }, "neither a host name"},
		"address of options": {func(p *Pass) { p.FromAddress = "-oProxyCommand=reboot" }, "neither a host name"},
		"seen as":            {func(p *Pass) { p.SeenAs = []string{`*",command="sh`} }, "no IP address"},
	}
	for name, test := range tests {
		p := good
		test.change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	// Neighbours whose names begin alike do not overlap.
	p := Pass{ID: "a", Paths: paths("/home", "/home2", "/homer/x")}
	if err := p.Validate(); err != nil {
		t.Errorf("neighbours: %v", err)
	}
}
