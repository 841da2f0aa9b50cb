package syncpass

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// plan is all that a pass asks of the hosts, settled before anything is changed.
type plan struct {
	prepare order.Prepare // on the new host
	admit   order.Admit   // on the old one, but for the key
}

// oldAlias is what the pass's ssh_config calls the old host.
const oldAlias = "cutover-old"

// longest is how long the key of a pass is let in where its operation has no end.
const longest = 24 * time.Hour

func (p Pass) plan(ctx context.Context, s survey) (plan, error) {
	chain := p.chain(endpoint(s.from), endpoint(s.to))
	sshd := opensshVersion(s.from.ServerVersion)
	// A preview reads what the chain has brought; its key and its job are its own.
	own, named := chain, job(chain)
	lends, backOf := p.back().chain(endpoint(s.to), endpoint(s.from)), ""
	if p.bringsBack {
		backOf = lends
	}
	if p.preview {
		own = randomChain()
		named = "preview-" + own
	}
	comment := "cutover-pass-" + own
	addresses := p.clientAddresses(s)
	if len(addresses) == 0 {
		return plan{}, errors.New("the host that copies has no address under which the other could see it; name one in seen_as")
	}
	known, err := knownHosts(comment, s)
	if err != nil {
		return plan{}, err
	}
	config, err := p.sshConfig(comment, s, sshd)
	if err != nil {
		return plan{}, err
	}
	l := plan{
		prepare: order.Prepare{
			Job: named, Token: p.token(), Chain: chain, ID: p.ID,
			BackOf: backOf, RSA: !sshd.atLeast(6, 5), Comment: comment, SSHConfig: config, KnownHosts: known, OldHost: oldAlias,
			Pass: p.order(),
		},
		admit: order.Admit{
			Chain: own, ID: p.ID, Login: *s.old.Login, From: addresses,
			Restrict: sshd.atLeast(7, 2), Expire: sshd.atLeast(7, 7), Passing: p.preview,
			Lends: lends, BackOf: backOf,
		},
	}
	l.admit.Seconds = int64(longest / time.Second)
	if end, ok := ctx.Deadline(); ok {
		// It is asked for when the pass has begun, and may be told a moment later.
		l.admit.Seconds = int64((time.Until(end) + time.Minute) / time.Second)
	}
	for _, each := range s.old.Paths {
		l.admit.Paths = append(l.admit.Paths, each.Real)
	}
	return l, nil
}

// token names what a pass does and whose it is.
func (p Pass) token() string { return p.digest() + " " + p.ID }

// order is what the worker is told to do.
func (p Pass) order() order.Pass {
	o := order.Pass{
		Excludes: p.Excludes, Delete: or(p.Delete, "trash"), Strangers: or(p.UnknownOwners, "fail"), Conflict: or(p.OnConflict, "replace"),
		Verify: or(p.Verify, "changed"), Preview: p.preview, Limit: p.BandwidthLimit * 1024, Compress: p.Compress,
	}
	for _, each := range p.Paths {
		o.Roots = append(o.Roots, order.Root{Source: each.Source, Target: each.target()})
	}
	return o
}

func endpoint(i host.Identity) string { return net.JoinHostPort(i.Address, strconv.Itoa(i.Port)) }

// clientAddresses are those under which the old host may see the new one.
func (p Pass) clientAddresses(s survey) []string {
	var list []string
	seen := map[string]bool{}
	add := func(address string) {
		if parsed, err := netip.ParseAddr(address); err == nil && !seen[parsed.Unmap().WithZone("").String()] {
			seen[parsed.Unmap().WithZone("").String()] = true
			list = append(list, parsed.Unmap().WithZone("").String())
		}
	}
	if s.relay != nil {
		// It is the old host's own sshd that calls, from the address it calls.
		add("127.0.0.1")
		add("::1")
		add(s.from.Address)
		add(p.FromAddress)
		for _, at := range s.listening() {
			if !at.Addr().IsUnspecified() {
				add(at.Addr().String())
			}
		}
	} else {
		add(s.to.Address)
		for _, address := range s.new.Addresses {
			add(address)
		}
	}
	for _, address := range p.SeenAs {
		add(address)
	}
	return list
}

// knownHosts pins the old host's keys: the one that the provider's connection
// was verified by, and those that were read over that connection.
func knownHosts(alias string, s survey) (string, error) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, key := range append([]string{s.from.HostKey}, s.old.HostKeys...) {
		fields := strings.Fields(key)
		if len(fields) < 2 || strings.Contains(fields[0], "-cert-") || seen[fields[1]] {
			continue
		}
		seen[fields[1]] = true
		b.WriteString(alias + " " + fields[0] + " " + fields[1] + "\n")
	}
	if b.Len() == 0 {
		return "", errors.New("no host key of the host to copy from is known, so the other could not tell it from another machine")
	}
	return b.String(), nil
}

// called is the address that the new host calls.
func (p Pass) called(s survey) (address string, port int) {
	if s.relay != nil {
		return s.relay.near.Addr().String(), int(s.relay.near.Port())
	}
	address, port = p.FromAddress, p.FromPort
	if address == "" {
		address = s.from.Address
	}
	if port == 0 {
		port = s.from.Port
	}
	return address, port
}

// sshConfig is all that ssh of the new host reads: neither its user's nor the
// system's configuration counts.
func (p Pass) sshConfig(comment string, s survey, sshd version) (string, error) {
	address, port := p.called(s)
	if !addressForm.MatchString(address) {
		return "", fmt.Errorf("the address %q to copy from is neither a host name nor an IP address; set from_address", address)
	}
	if strings.ContainsAny(s.old.Login.User, "\"\\ \t\r\n%$") {
		return "", fmt.Errorf("the login %q contains characters that ssh_config gives a meaning of their own", s.old.Login.User)
	}
	lines := []string{
		"# Written for one cutover sync pass, and gone after it.",
		"IgnoreUnknown UpdateHostKeys,IdentityAgent,RequestTTY",
		"Host " + oldAlias,
		"HostName " + address,
		"Port " + strconv.Itoa(port),
		"User " + s.old.Login.User,
		"HostKeyAlias " + comment,
		"StrictHostKeyChecking yes",
		"UserKnownHostsFile %DIR%/known_hosts",
		"GlobalKnownHostsFile /dev/null",
		"UpdateHostKeys no",
		"IdentityFile %DIR%/key",
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"PreferredAuthentications publickey",
		"BatchMode yes",
		"RequestTTY no",
		"ControlPath none",
		"ForwardAgent no",
		"ForwardX11 no",
		"Compression no", // the workers compress
		// Where processors have AES built in, AES-GCM is several times as fast as the usual
		// first choice. Known since OpenSSH 6.2; the others are for an old host before that.
		"Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr",
		"ConnectTimeout 20",
		"ServerAliveInterval 15",
		"ServerAliveCountMax 4",
	}
	if !sshd.atLeast(7, 2) {
		// Such an sshd signs and takes RSA with SHA-1 alone, which clients since
		// OpenSSH 8.8 do not offer by themselves.
		lines = append(lines, "HostKeyAlgorithms +ssh-rsa", "PubkeyAcceptedKeyTypes +ssh-rsa", "KexAlgorithms +diffie-hellman-group14-sha1")
	}
	return strings.Join(lines, "\n"), nil
}

// version is a version of OpenSSH; the zero value is one before all others.
type version struct{ major, minor int }

var opensshBanner = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

// opensshVersion reads sshd's banner, such as "SSH-2.0-OpenSSH_8.4p1 Debian-5".
// What is not OpenSSH is treated like the oldest.
func opensshVersion(banner string) version {
	match := opensshBanner.FindStringSubmatch(banner)
	if match == nil {
		return version{}
	}
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return version{major, minor}
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}
