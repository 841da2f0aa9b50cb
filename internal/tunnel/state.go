package tunnel

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed from_state.sh
var fromStateText string

//go:embed to_state.sh
var toStateText string

var (
	fromState = host.Script{Name: "tunnel/from_state.sh", Text: fromStateText}
	toState   = host.Script{Name: "tunnel/to_state.sh", Text: host.SSHDSettings + toStateText}
)

// Init systems that keep relays running.
const (
	systemd = "systemd"
	sysv    = "sysv"
)

// fromFacts is the old host as from_state.sh sees it.
type fromFacts struct {
	init      string // systemd, sysv or none
	active    bool   // the supervisor runs
	enabled   bool   // it starts at boot
	relay     string // process number of ssh, "" or "0" where there is none
	directory bool   // the tunnel has files there
	ssh       string // version of the client, "" where there is none
	keygen    bool
	ciphers   string // what its client offers, where that may be put in another order
	addresses []string
	files     map[string]string
	listeners []listener
	// others are the forwards of transparent tunnels of other names: as in
	// link.conf, by name.
	others map[string][]string
}

// listener is a listening TCP socket.
type listener struct {
	address string // "*" for every address of a family
	port    int
	process string // as ss or netstat say it: users:(("sshd",pid=1,fd=3)) or 1/sshd
}

// toFacts is the new host as to_state.sh sees it.
type toFacts struct {
	account  string // passwd(5) entry of the account, "" where there is none
	busy     bool   // it has processes: somebody is logged in
	nologin  string
	version  string // such as OpenSSH_10.0
	sshd     map[string][]string
	hostKeys []string // "type base64"
	home     bool
	keys     string // authorized_keys
	files    map[string]string
	link     bool // a link starts at boot
	dropin   bool // sshd reads sshd_config.d
}

// states asks both hosts, each in one round trip.
func (t Tunnel) states(ctx context.Context, from, to host.Host) (fromFacts, toFacts, error) {
	paths := []string{t.directory() + "/id.pub"}
	relays := Tunnel{Name: t.Name}
	for _, init := range []string{systemd, sysv} {
		for _, file := range relays.relayFiles(init, nil) {
			paths = append(paths, file.path)
		}
	}
	paths = append(paths, linkPaths(t.directory())...)
	var old, fresh host.Result
	var oldErr, freshErr error
	var both sync.WaitGroup
	both.Go(func() { old, oldErr = from.Run(ctx, host.Sh(fromState, append([]string{t.Name}, unique(paths)...)...)) })
	both.Go(func() {
		fresh, freshErr = to.Run(ctx, host.Sh(toState, append([]string{t.account(), t.home(), "/etc/systemd/system/" + t.linkUnit()}, linkPaths(t.linkDirectory())...)...))
	})
	both.Wait()
	if oldErr != nil || freshErr != nil {
		return fromFacts{}, toFacts{}, errors.Join(oldErr, freshErr)
	}
	oldFacts, err := parseFrom(old.Stdout)
	if err != nil {
		return fromFacts{}, toFacts{}, fmt.Errorf("on host %q: %s printed %w", from.Name(), fromState.Name, err)
	}
	newFacts, err := parseTo(fresh.Stdout, t.home()+"/.ssh/authorized_keys")
	if err != nil {
		return fromFacts{}, toFacts{}, fmt.Errorf("on host %q: %s printed %w", to.Name(), toState.Name, err)
	}
	return oldFacts, newFacts, nil
}

func parseFrom(out []byte) (fromFacts, error) {
	facts := fromFacts{files: map[string]string{}, others: map[string][]string{}}
	lines, files, rest, err := sections(out)
	if err != nil {
		return facts, err
	}
	facts.files = files
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "init":
			facts.init = value
		case "active":
			facts.active = value == "active"
		case "enabled":
			facts.enabled = value == "enabled"
		case "relay":
			facts.relay = strings.TrimSpace(value)
		case "directory":
			facts.directory = true
		case "ssh":
			facts.ssh = value
		case "ciphers":
			facts.ciphers = value
		case "keygen":
			facts.keygen = true
		case "other":
			if words := strings.Fields(value); len(words) > 0 {
				facts.others[words[0]] = words[1:]
			}
		case "address":
			facts.addresses = append(facts.addresses, value)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(rest), "\n") {
		local, process, _ := strings.Cut(line, " ")
		colon := strings.LastIndex(local, ":")
		port, err := strconv.Atoi(local[colon+1:])
		if err != nil || colon < 0 {
			continue // netstat's headings
		}
		address := strings.Trim(local[:colon], "[]")
		if zone := strings.IndexByte(address, '%'); zone >= 0 {
			address = address[:zone]
		}
		facts.listeners = append(facts.listeners, listener{address, port, process})
	}
	return facts, nil
}

func parseTo(out []byte, keys string) (toFacts, error) {
	facts := toFacts{sshd: map[string][]string{}}
	lines, files, _, err := sections(out)
	if err != nil {
		return facts, err
	}
	facts.keys, facts.files = files[keys], files
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "account":
			facts.account = value
		case "busy":
			facts.busy = true
		case "nologin":
			facts.nologin = value
		case "version":
			facts.version = value
		case "hostkey":
			facts.hostKeys = append(facts.hostKeys, value)
		case "link":
			facts.link = value == "enabled"
		case "home":
			facts.home = true
		case "sshd":
			option, setting, _ := strings.Cut(value, " ")
			option = strings.ToLower(option)
			facts.sshd[option] = append(facts.sshd[option], strings.Fields(setting)...)
		}
	}
	return facts, nil
}

// sections splits what the state scripts print: "key value" lines, files with
// their sizes in front, and what follows the line "listeners".
func sections(out []byte) (lines []string, files map[string]string, rest string, err error) {
	files = map[string]string{}
	for len(out) > 0 {
		line, after, _ := bytes.Cut(out, []byte("\n"))
		out = after
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 1 && fields[0] == "listeners":
			return lines, files, string(out), nil
		case len(fields) == 3 && fields[0] == "file":
			size, err := strconv.Atoi(fields[2])
			if err != nil || size < 0 || size >= len(out)+1 {
				return nil, nil, "", fmt.Errorf("a file of an impossible size: %q", line)
			}
			files[fields[1]] = string(out[:size])
			out = bytes.TrimPrefix(out[size:], []byte("\n"))
		case len(line) > 0:
			lines = append(lines, string(line))
		}
	}
	return lines, files, "", nil
}

// holding returns the listener that keeps f from listening, if there is one.
func (f fromFacts) holding(forward Forward) (listener, bool) {
	for _, l := range f.listeners {
		if l.port == forward.ListenPort && overlap(l.address, forward.ListenAddress) {
			return l, true
		}
	}
	return listener{}, false
}

// overlap reports whether two sockets cannot listen on the same port at the
// same time: on the same address, or one of them on every address.
func overlap(a, b string) bool {
	any4or6 := func(address string) bool { return address == Everywhere || address == "::" }
	switch {
	case any4or6(a) || any4or6(b):
		return true
	case a == "0.0.0.0":
		return !strings.Contains(b, ":")
	case b == "0.0.0.0":
		return !strings.Contains(a, ":")
	}
	return net.ParseIP(a) != nil && net.ParseIP(a).Equal(net.ParseIP(b))
}

// isRelay reports whether the listener is the relays' own ssh.
func (f fromFacts) isRelay(l listener) bool {
	if f.relay == "" || f.relay == "0" {
		return false
	}
	// ss: users:(("ssh",pid=12,fd=4)), once users:(("ssh",12,4)); netstat: 12/ssh
	return strings.Contains(l.process, "pid="+f.relay+",") ||
		strings.Contains(l.process, ","+f.relay+",") ||
		strings.HasPrefix(l.process, f.relay+"/")
}

func unique(values []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, value := range values {
		if !seen[value] {
			kept = append(kept, value)
		}
		seen[value] = true
	}
	return kept
}
