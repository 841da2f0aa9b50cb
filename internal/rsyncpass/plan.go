package rsyncpass

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// plan is everything that a pass writes and runs, settled before anything is
// written or run.
type plan struct {
	chain   string
	comment string // of the key, and the mark of its line

	keyType, keyBits string // for ssh-keygen
	options          string // of the line in authorized_keys
	login            login
	until            int64 // seconds since 1970 by the old host's clock

	sshConfig  string // with %DIR% for the pass's directory on the new host
	knownHosts string
	readable   []string // directories of the old host, by their real names

	rsync []string // the command without what differs from path to path
}

// oldAlias is what the pass's ssh_config calls the old host.
const oldAlias = "cutover-old"

// base is where the old host keeps what belongs to a pass.
const base = "/var/lib/cutover"

func (p Pass) plan(s survey) (plan, error) {
	chain := p.chain(endpoint(s.from), endpoint(s.to))
	l := plan{chain: chain, comment: "cutover-pass-" + chain, keyType: "ed25519", login: s.old.login}
	sshd := opensshVersion(s.from.ServerVersion)
	if !sshd.atLeast(6, 5) {
		l.keyType, l.keyBits = "rsa", "3072"
	}

	addresses := p.clientAddresses(s)
	if len(addresses) == 0 {
		return l, errors.New("the new host has no address under which the old one could see it; name one")
	}
	// sshd knows "restrict" since 7.2 and "expiry-time" since 7.7 (its release notes).
	options := []string{"restrict"}
	if !sshd.atLeast(7, 2) {
		options = []string{"no-pty", "no-port-forwarding", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc"}
	}
	options = append(options, `from="`+strings.Join(addresses, ",")+`"`)
	if sshd.atLeast(7, 7) {
		// In the old host's own time zone: sshd takes UTC only since 9.1.
		now, err := time.Parse("20060102150405", s.old.clock)
		if err != nil {
			return l, fmt.Errorf("the old host's clock says %q", s.old.clock)
		}
		options = append(options, `expiry-time="`+now.Add(keyLifetime).Format("20060102150405")+`"`)
	}
	command := strings.TrimSpace("sh " + base + "/pass-" + chain + "/serve login " + l.login.become)
	l.options = strings.Join(append(options, `command="`+command+`"`), ",")
	l.until = s.old.epoch + int64(keyLifetime/time.Second)

	var err error
	if l.knownHosts, err = knownHosts(l.comment, s); err != nil {
		return l, err
	}
	if l.sshConfig, err = p.sshConfig(l, s, sshd); err != nil {
		return l, err
	}
	for _, each := range s.old.paths {
		l.readable = append(l.readable, each.real)
	}
	l.rsync = p.rsync(s)
	return l, nil
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
	add(s.to.Address)
	for _, address := range s.new.addresses {
		add(address.String())
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
	for _, key := range append([]string{s.from.HostKey}, s.old.hostKeys...) {
		fields := strings.Fields(key)
		if len(fields) < 2 || strings.Contains(fields[0], "-cert-") || seen[fields[1]] {
			continue
		}
		seen[fields[1]] = true
		b.WriteString(alias + " " + fields[0] + " " + fields[1] + "\n")
	}
	if b.Len() == 0 {
		return "", errors.New("no host key of the old host is known, so the new one could not tell it from another machine")
	}
	return b.String(), nil
}

// sshConfig is all that ssh of the new host reads: neither its user's nor the
// system's configuration counts.
func (p Pass) sshConfig(l plan, s survey, sshd version) (string, error) {
	address, port := p.FromAddress, p.FromPort
	if address == "" {
		address = s.from.Address
	}
	if port == 0 {
		port = s.from.Port
	}
	if !addressForm.MatchString(address) {
		return "", fmt.Errorf("the old host's address %q is neither a host name nor an IP address; set from_address", address)
	}
	if strings.ContainsAny(l.login.user, "\"\\ \t\r\n%$") {
		return "", fmt.Errorf("the login %q contains characters that ssh_config gives a meaning of their own", l.login.user)
	}
	lines := []string{
		"# Written for one cutover sync pass, and gone after it.",
		"IgnoreUnknown UpdateHostKeys,IdentityAgent,RequestTTY",
		"Host " + oldAlias,
		"HostName " + address,
		"Port " + strconv.Itoa(port),
		"User " + l.login.user,
		"HostKeyAlias " + l.comment,
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
		"Compression no",
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

// rsync is the command up to what differs from path to path. Owners go by
// name: --numeric-ids is left out on purpose.
func (p Pass) rsync(s survey) []string {
	keep := "-aH"
	if s.acls() {
		keep += "A"
	}
	if s.xattrs() {
		keep += "X"
	}
	argv := []string{
		// Some builds protect the arguments by default: they would then travel
		// where the forced command on the old host does not see them.
		"env", "RSYNC_PROTECT_ARGS=0",
		"rsync", keep, "--sparse", "--partial-dir=.cutover-partial", "--stats", "--no-human-readable",
		"--log-file=" + LogPath(p.ID),
	}
	if p.Compress {
		argv = append(argv, "--compress")
	}
	if p.BandwidthLimit > 0 {
		argv = append(argv, "--bwlimit="+strconv.FormatInt(p.BandwidthLimit, 10))
	}
	for _, pattern := range p.Excludes {
		argv = append(argv, "--exclude="+pattern)
	}
	return argv
}

// forPath is the command for path number i, counted from 0. The old host knows
// the directories by their numbers from 1, so that no name has to survive the
// quoting of two shells, and no other name can be asked for.
func (l plan) forPath(dir string, i int, target string) []string {
	argv := append([]string{}, l.rsync...)
	return append(argv, "--rsh=ssh -F "+dir+"/ssh_config", oldAlias+":"+strconv.Itoa(i+1)+"/", target+"/")
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
