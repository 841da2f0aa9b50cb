package rsyncpass

import (
	"reflect"
	"strings"
	"testing"
	"time"
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
		"exclude with a \\n": {func(p *Pass) { p.Excludes = []string{"a\n- b"} }, "exclude pattern"},
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

const printed = `
Number of files: 1,234 (reg: 1,000, dir: 200, link: 30, special: 3, dev: 1)
Number of created files: 5 (reg: 4, dir: 1)
Number of deleted files: 0
Number of regular files transferred: 7
Total file size: 2,000,000,000 bytes
Total transferred file size: 3000 bytes
Literal data: 2900 bytes
Matched data: 100 bytes
File list size: 65,513
File list generation time: 0.001 seconds
File list transfer time: 0.000 seconds
Total bytes sent: 400
Total bytes received: 99,600

sent 400 bytes  received 99,600 bytes  66.67 bytes/sec
total size is 2,000,000,000  speedup is 20,000.00
`

func TestStats(t *testing.T) {
	t.Parallel()
	var got Stats
	for line := range strings.Lines(printed) {
		got.add(strings.TrimSuffix(line, "\n"))
	}
	want := Stats{Created: 5, Transferred: 7, TransferredBytes: 3000, LiteralBytes: 2900, MatchedBytes: 100, SentBytes: 400, ReceivedBytes: 99600}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	want.TotalBytes, want.Duration = 2e9, 10*time.Second
	if want.Speedup() != 20000 || want.Rate() != 10000 {
		t.Errorf("speedup %v, rate %v", want.Speedup(), want.Rate())
	}
	// rsync 3.0, as an old machine has it. A second rsync of a path adds up.
	got.add("Number of files transferred: 3")
	if got.Transferred != 10 || (Stats{}).Speedup() != 0 {
		t.Errorf("%+v", got)
	}
	if sum := want.plus(want); sum.Duration != 20*time.Second || sum.TotalBytes != 4e9 || sum.ReceivedBytes != 199200 {
		t.Errorf("sum %+v", sum)
	}
}

func TestRsyncVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want rsyncVersion
	}{
		"3.2.3": {"rsync  version 3.2.3  protocol version 31\n    socketpairs, hardlinks, no hardlink-specials, symlinks, IPv6, atimes,\n    batchfiles, inplace, append, ACLs, xattrs, optional protect-args, iconv,", rsyncVersion{"3.2.3", 31, true, true, nil}},
		"3.0.7": {"rsync  version 3.0.7  protocol version 30\nCapabilities:\n    batchfiles, inplace, append, ACLs, xattrs, iconv, symtimes", rsyncVersion{"3.0.7", 30, true, true, nil}},
		"bare":  {"rsync  version v3.4.1  protocol version 32\n    append, no ACLs, no xattrs, symtimes", rsyncVersion{"3.4.1", 32, false, false, nil}},
	}
	for name, test := range tests {
		var got rsyncVersion
		for _, line := range strings.Split(test.text, "\n") {
			got.parse(line)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
