package rsyncpass

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed rsync_facts.sh
var rsyncFactsText string

//go:embed survey_old.sh
var surveyOldText string

//go:embed survey_new.sh
var surveyNewText string

var (
	surveyOldScript = host.Script{Name: "rsyncpass/survey_old.sh", Text: host.SSHDSettings + rsyncFactsText + surveyOldText}
	surveyNewScript = host.Script{Name: "rsyncpass/survey_new.sh", Text: rsyncFactsText + surveyNewText}
)

// survey is what both hosts said before anything was changed.
type survey struct {
	from, to host.Identity
	old      oldHost
	new      newHost
	relay    *relay // nil where the new host reaches the old one by itself
}

type oldHost struct {
	os        string
	cpus      int    // 0 where it does not say
	clock     string // local time as YYYYMMDDhhmmss
	epoch     int64
	rsync     rsyncVersion
	login     login
	rootKeys  string           // sshd's PermitRootLogin, where it was asked for
	hostKeys  []string         // "ssh-ed25519 AAAA…"
	listening []netip.AddrPort // of its sshd, where that says it
	paths     []directory
}

// login is where the key of the pass goes on the old host.
type login struct {
	user   string // "" where none was found
	become string
	home   string
	keys   string // AuthorizedKeysFile
}

type newHost struct {
	os        string
	cpus      int // 0 where it does not say
	rsync     rsyncVersion
	ssh       string // version text, "" where there is none
	addresses []netip.Addr
	paths     []directory
}

// directory is one path of a pass on one of the hosts.
type directory struct {
	kind string // "directory", "other" or "missing"
	real string // without symbolic links; on the new host, of the nearest that exists
}

type owner struct{ kind, name string }

// rsyncVersion is what rsync --version says.
type rsyncVersion struct {
	version  string // "3.2.3", "" where there is no rsync
	protocol int
	acls     bool
	xattrs   bool
	fixed    []string // vulnerabilities that its package says to have mended
}

// ask surveys both hosts, side by side.
func (p Pass) ask(ctx context.Context, from, to host.Host) (survey, error) {
	var s survey
	var toldNew error
	var asking sync.WaitGroup
	asking.Go(func() { toldNew = p.askNew(ctx, to, &s) })
	toldOld := p.askOld(ctx, from, to, &s)
	asking.Wait()
	if toldOld != nil {
		return s, toldOld
	}
	return s, toldNew
}

func (p Pass) askOld(ctx context.Context, from, to host.Host, s *survey) (err error) {
	if s.from, err = from.Identity(ctx); err != nil {
		return err
	}
	client := "127.0.0.1"
	if p.Route != Operator {
		there, err := to.Identity(ctx)
		if err != nil {
			return err
		}
		client = there.Address
	}
	args := []string{s.from.User, s.from.Become, client}
	for _, each := range p.Paths {
		args = append(args, each.Source)
	}
	answer, err := from.Run(ctx, host.Sh(surveyOldScript, args...))
	if err != nil {
		return err
	}
	if err := s.old.parse(string(answer.Stdout), len(p.Paths)); err != nil {
		return fmt.Errorf("on host %q: %w", from.Name(), err)
	}
	return nil
}

func (p Pass) askNew(ctx context.Context, to host.Host, s *survey) (err error) {
	if s.to, err = to.Identity(ctx); err != nil {
		return err
	}
	var args []string
	for _, each := range p.Paths {
		args = append(args, each.target())
	}
	answer, err := to.Run(ctx, host.Sh(surveyNewScript, args...))
	if err != nil {
		return err
	}
	if err := s.new.parse(string(answer.Stdout), len(p.Paths)); err != nil {
		return fmt.Errorf("on host %q: %w", to.Name(), err)
	}
	return nil
}

func (o *oldHost) parse(stdout string, paths int) error {
	o.paths = make([]directory, paths)
	answered := 0
	for _, line := range strings.Split(stdout, "\n") {
		what, rest, _ := strings.Cut(line, "\t")
		fields := strings.Split(rest, "\t")
		switch what {
		case "os":
			o.os = rest
		case "cpus":
			o.cpus, _ = strconv.Atoi(rest)
		case "clock":
			o.clock = rest
		case "epoch":
			o.epoch, _ = strconv.ParseInt(rest, 10, 64)
		case "rsync":
			o.rsync.parse(rest)
		case "fixed":
			o.rsync.fixed = append(o.rsync.fixed, rest)
		case "permitrootlogin":
			o.rootKeys = rest
		case "login":
			if len(fields) == 4 {
				o.login = login{user: fields[0], become: fields[1], home: fields[2], keys: fields[3]}
			}
		case "hostkey":
			if strings.Contains(rest, " ") && !slices.Contains(o.hostKeys, rest) {
				o.hostKeys = append(o.hostKeys, rest)
			}
		case "listening":
			if at, err := netip.ParseAddrPort(rest); err == nil {
				o.listening = append(o.listening, at)
			}
		case "path":
			if number, d, ok := parseDirectory(fields); ok && number <= paths {
				o.paths[number-1] = d
				answered++
			}
		}
	}
	if answered != paths || o.clock == "" {
		return fmt.Errorf("%s gave no full answer (%d of %d paths); it printed:\n%s", surveyOldScript.Name, answered, paths, stdout)
	}
	return nil
}

func (n *newHost) parse(stdout string, paths int) error {
	n.paths = make([]directory, paths)
	answered := 0
	for _, line := range strings.Split(stdout, "\n") {
		what, rest, _ := strings.Cut(line, "\t")
		fields := strings.Split(rest, "\t")
		switch what {
		case "os":
			n.os = rest
		case "cpus":
			n.cpus, _ = strconv.Atoi(rest)
		case "rsync":
			n.rsync.parse(rest)
		case "fixed":
			n.rsync.fixed = append(n.rsync.fixed, rest)
		case "ssh":
			n.ssh = rest
		case "address":
			address, err := netip.ParseAddr(rest)
			if err == nil && !address.IsLoopback() && !address.IsLinkLocalUnicast() && !slices.Contains(n.addresses, address) {
				n.addresses = append(n.addresses, address)
			}
		case "path":
			if number, d, ok := parseDirectory(fields); ok && number <= paths {
				n.paths[number-1] = d
				answered++
			}
		}
	}
	if answered != paths {
		return fmt.Errorf("%s gave no full answer (%d of %d paths); it printed:\n%s", surveyNewScript.Name, answered, paths, stdout)
	}
	return nil
}

// parseDirectory reads "number kind real".
func parseDirectory(fields []string) (number int, d directory, ok bool) {
	if len(fields) < 2 {
		return 0, d, false
	}
	number, err := strconv.Atoi(fields[0])
	if err != nil || number < 1 {
		return 0, d, false
	}
	d = directory{kind: fields[1]}
	if len(fields) >= 3 {
		d.real = fields[2]
	}
	return number, d, true
}

// figure reads a number of df, which says "-" where it has none.
func figure(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// parse takes one line of rsync --version.
func (v *rsyncVersion) parse(line string) {
	fields := strings.Fields(line)
	if len(fields) >= 3 && fields[0] == "rsync" && fields[1] == "version" {
		v.version = strings.TrimPrefix(fields[2], "v")
		if len(fields) >= 6 && fields[3] == "protocol" {
			v.protocol, _ = strconv.Atoi(fields[5])
		}
	}
	for _, capability := range strings.Split(line, ",") {
		switch strings.TrimSpace(capability) {
		case "ACLs":
			v.acls = true
		case "xattrs":
			v.xattrs = true
		}
	}
}

// atLeast compares the version; what cannot be read counts as old.
func (v rsyncVersion) atLeast(major, minor, patch int) bool {
	var a, b, c int
	if n, _ := fmt.Sscanf(v.version, "%d.%d.%d", &a, &b, &c); n < 2 {
		return false
	}
	return a > major || a == major && (b > minor || b == minor && c >= patch)
}
