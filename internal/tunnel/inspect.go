package tunnel

import (
	"context"
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// Running is the status of a tunnel that is as it should be.
const Running = "running"

// Inspect returns what the hosts have under the tunnel's name, and in one word
// or sentence how it is: Running, or what is wrong. found is false when neither
// host has anything of it. initiateFrom is the host that opened the connection,
// as far as is known; the hosts' own word comes first. It changes nothing.
func Inspect(ctx context.Context, from, to host.Host, name, initiateFrom string) (actual Tunnel, status string, found bool, err error) {
	actual = Tunnel{Name: name}
	old, fresh, err := actual.states(ctx, from, to)
	if err != nil {
		return actual, "", false, err
	}
	if !old.directory && !old.active && !old.enabled && fresh.account == "" && !fresh.home && initiateFrom != NewHost {
		return actual, "", false, nil
	}
	if err := actual.parse(old.files[actual.directory()+"/ssh_config"], fresh.keys); err != nil {
		return actual, "altered: " + err.Error(), true, nil //nolint:nilerr // a damaged file is drift, which the status tells
	}
	var ofLine string
	if actual.Mode == "" {
		actual.InitiateFrom = initiateFrom
	}
	if actual.InitiateFrom == NewHost {
		actual.SourceAddresses = nil // those of the line count, not its end's
		if ofLine, err = actual.readLine(ctx, from, to, old); err != nil {
			return actual, "", false, err
		}
		if ofLine == lineGone && actual.Mode == "" && !old.directory && fresh.account == "" && !fresh.home {
			return actual, "", false, nil
		}
	}
	if actual.Mode != Transparent {
		status = actual.status(old, fresh)
	} else if status, err = actual.linkStatus(ctx, from, to, old, fresh); err != nil {
		return actual, "", false, err
	}
	switch {
	case ofLine == "":
	case status == Running:
		status = ofLine
	default:
		status = ofLine + "; " + status
	}
	return actual, status, true, nil
}

// linkStatus is status for a transparent tunnel. Both ends are asked for their
// devices, routes and rules where they have a definition of them.
func (t *Tunnel) linkStatus(ctx context.Context, from, to host.Host, old fromFacts, fresh toFacts) (string, error) {
	var wrong []string
	if conf, ok := old.files[t.directory()+"/link.conf"]; !ok {
		return t.directory() + "/link.conf is gone", nil
	} else if err := t.parseLink(conf); err != nil {
		return "altered: " + err.Error(), nil //nolint:nilerr // a damaged file is drift, which the status tells
	}
	t.link.toFirewall = nft
	if _, hasRules := fresh.files[t.linkDirectory()+"/rules.nft"]; !hasRules {
		t.link.toFirewall = iptables
	}
	for _, end := range []struct {
		host.Host
		directory string
		has       map[string]string
	}{{from, t.directory(), old.files}, {to, t.linkDirectory(), fresh.files}} {
		if _, ok := end.has[end.directory+"/link.conf"]; !ok {
			continue // told below, among the files
		}
		said, err := end.Run(ctx, host.Sh(linkScript, "status", end.directory))
		if err != nil {
			return "", err
		}
		for _, line := range strings.Split(strings.TrimSpace(string(said.Stdout)), "\n") {
			if line != "" {
				wrong = append(wrong, fmt.Sprintf("on host %q %s", end.Name(), line))
			}
		}
	}
	for _, file := range t.newEnd() {
		switch content, ok := fresh.files[file.path]; {
		case !ok:
			wrong = append(wrong, file.path+" is gone")
		case content != file.content:
			wrong = append(wrong, file.path+" was changed")
		}
	}
	if !fresh.link {
		wrong = append(wrong, t.linkUnit()+" is not started at boot")
	}
	if granted := fresh.sshd["permittunnel"]; fresh.account != "" && !contains(granted, "point-to-point") && !contains(granted, "yes") {
		wrong = append(wrong, fmt.Sprintf("sshd of host %q carries no tunnels for %s", to.Name(), t.account()))
	}
	if rest := t.status(old, fresh); rest != Running {
		wrong = append(wrong, rest)
	}
	if len(wrong) == 0 {
		return Running, nil
	}
	return strings.Join(wrong, "; "), nil
}

// status compares what is there with what the tunnel would have written and
// started. The definition itself was read from the same files; so a change in
// it shows as another port or address, any other change here.
func (t Tunnel) status(old fromFacts, fresh toFacts) string {
	var wrong []string
	for _, file := range t.relayFiles(old.init, pinned(old.files[t.directory()+"/known_hosts"], t.account())) {
		content, ok := old.files[file.path]
		switch {
		case !ok:
			wrong = append(wrong, file.path+" is gone")
		case content != file.content:
			wrong = append(wrong, file.path+" was changed")
		}
	}
	publicKey := old.files[t.directory()+"/id.pub"]
	_, defined := old.files[t.directory()+"/ssh_config"] // without it nobody knows what the key should allow
	switch {
	case publicKey == "":
		wrong = append(wrong, "the relays' key is gone")
	case fresh.account == "":
		wrong = append(wrong, "account "+t.account()+" is gone")
	case defined && fresh.keys != t.authorizedKeys(publicKey, fresh.version):
		wrong = append(wrong, t.home()+"/.ssh/authorized_keys was changed")
	}
	if !old.enabled {
		wrong = append(wrong, "not started at boot")
	}
	if !old.active {
		wrong = append(wrong, "stopped")
		return strings.Join(wrong, "; ")
	}
	for _, forward := range t.sorted() {
		if t.Mode == Transparent || t.Mode == overLine {
			break // nothing listens; linkStatus has looked, or the relays tell
		}
		holder, taken := old.holding(forward)
		switch {
		case !taken:
			wrong = append(wrong, fmt.Sprintf("nothing listens on port %d", forward.ListenPort))
		case !old.isRelay(holder):
			wrong = append(wrong, fmt.Sprintf("port %d is taken by %s", forward.ListenPort, holder.process))
		}
	}
	if len(wrong) == 0 {
		return Running
	}
	return strings.Join(wrong, "; ")
}

// pinned are the keys of a known_hosts file under an alias.
func pinned(knownHosts, alias string) []string {
	var keys []string
	for _, line := range strings.Split(knownHosts, "\n") {
		if key, ok := strings.CutPrefix(line, alias+" "); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
