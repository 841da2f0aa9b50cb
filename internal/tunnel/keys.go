package tunnel

import (
	"fmt"
	"strconv"
	"strings"
)

// authorizedKeys is the one line that the account on the new host honours.
// version is that of its sshd: one that does not know an option refuses the
// whole line. "restrict" came with OpenSSH 7.2; before it, everything is
// forbidden by name. "permitlisten" came with 7.8; no account but root can
// listen on port 1, so it forbids what port-forwarding would allow beside -L.
func (t Tunnel) authorizedKeys(publicKey, version string) string {
	if t.Mode == Transparent {
		return t.keyLine(publicKey, append(t.confinement(version), fmt.Sprintf("tunnel=%q", strconv.Itoa(t.link.number))))
	}
	options := []string{"no-pty", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc"}
	if atLeast(version, 7, 2) {
		options = []string{"restrict", "port-forwarding"}
	}
	listen, targets := nowhere, []string{nowhere}
	if t.Mode == overLine {
		listen = t.Forwards[0].Listen()
	} else {
		targets = nil
		for _, f := range t.sorted() {
			targets = append(targets, bracketed(f.TargetHost, f.TargetPort))
		}
	}
	if atLeast(version, 7, 8) {
		options = append(options, fmt.Sprintf("permitlisten=%q", listen))
	}
	options = append(options, `command="/bin/false"`)
	seen := map[string]bool{}
	for _, target := range targets {
		if !seen[target] {
			options = append(options, fmt.Sprintf("permitopen=%q", target))
		}
		seen[target] = true
	}
	return t.keyLine(publicKey, options)
}

// nowhere is where no account but root can listen, and nobody does.
const nowhere = "127.0.0.1:1"

// confinement forbids all but what other options allow.
func (t Tunnel) confinement(version string) []string {
	if atLeast(version, 7, 2) {
		return []string{"restrict", `command="/bin/false"`}
	}
	return []string{"no-pty", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc", "no-port-forwarding", `command="/bin/false"`}
}

func (t Tunnel) keyLine(publicKey string, options []string) string {
	if callers := t.callers(); len(callers) > 0 {
		options = append(options, fmt.Sprintf("from=%q", strings.Join(callers, ",")))
	}
	key := strings.Fields(publicKey)
	if len(key) > 2 {
		key = key[:2]
	}
	return t.header() + strings.Join(options, ",") + " " + strings.Join(key, " ") + " cutover-tunnel-" + t.Name + "\n"
}
