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
	"github.com/cutover-dev/terraform-provider-cutover/internal/job"
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

	sshConfig  string // with %DIR% for the job's directory on the new host
	knownHosts string
	readable   []string // directories of the old host, by their real names
	excludes   string   // for serve.sh

	rsync  []string // the options of every rsync of the pass
	coarse bool     // rsync brings times of whole seconds

	progress string // options by which the new host's rsync says how far it is
	streams  int    // how many rsyncs run side by side at the most
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
	l.excludes = p.excludeRules()
	l.rsync = p.rsyncOptions(s)
	l.coarse = s.coarse()
	l.progress = s.progress()
	l.streams = p.streams(s)
	return l, nil
}

// maxStreams is what brings gain: more wait for the same disk.
const maxStreams = 4

// streams is how many streams copy at a time where the pass does not say: as
// many as the host with fewer CPUs has, two where it is not known.
func (p Pass) streams(s survey) int {
	if p.Streams > 0 {
		return int(p.Streams)
	}
	cpus := min(s.old.cpus, s.new.cpus)
	if cpus < 1 {
		cpus = 2
	}
	return min(cpus, maxStreams)
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
		for _, at := range s.old.listening {
			if !at.Addr().IsUnspecified() {
				add(at.Addr().String())
			}
		}
	} else {
		add(s.to.Address)
		for _, address := range s.new.addresses {
			add(address.String())
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
func (p Pass) sshConfig(l plan, s survey, sshd version) (string, error) {
	address, port := p.called(s)
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
	if opensshVersion(s.new.ssh).atLeast(8, 0) { // which knows "^", first of all, since then
		// Where processors have AES built in, several times as fast as the usual first choice.
		lines = append(lines, "Ciphers ^aes128-gcm@openssh.com,aes256-gcm@openssh.com")
	}
	if !sshd.atLeast(7, 2) {
		// Such an sshd signs and takes RSA with SHA-1 alone, which clients since
		// OpenSSH 8.8 do not offer by themselves.
		lines = append(lines, "HostKeyAlgorithms +ssh-rsa", "PubkeyAcceptedKeyTypes +ssh-rsa", "KexAlgorithms +diffie-hellman-group14-sha1")
	}
	return strings.Join(lines, "\n"), nil
}

// rsyncOptions are those of every rsync of the pass. Owners go by name:
// --numeric-ids is left out on purpose. What is excluded is not listed, so
// rsync need not know of it.
func (p Pass) rsyncOptions(s survey) []string {
	keep := "-aH"
	if s.acls() {
		keep += "A"
	}
	if s.xattrs() {
		keep += "X"
	}
	options := []string{keep, "--sparse", "--partial-dir=.cutover-partial", "--stats", "--no-human-readable"}
	if s.new.rsync.atLeast(3, 1, 3) {
		// Times count to the nanosecond: without this a file that was made within
		// the second in which the other was changed would keep its time.
		options = append(options, "--modify-window=-1")
	}
	if p.Compress {
		options = append(options, "--compress")
	}
	if p.BandwidthLimit > 0 {
		options = append(options, "--bwlimit="+strconv.FormatInt(p.BandwidthLimit, 10))
	}
	return options
}

// job is the job that does the work on the new host, where the targets have the
// given real names.
func (p Pass) job(l plan, targets []string) job.Spec {
	deletion, owners := p.Delete, p.UnknownOwners
	if deletion == "" {
		deletion = "trash"
	}
	if owners == "" {
		owners = "fail"
	}
	coarse := ""
	if l.coarse {
		coarse = "1"
	}
	return job.Spec{
		Name:     l.job(),
		Token:    p.digest() + " " + p.ID,
		Script:   passScript,
		Writable: append([]string{base}, targets...),
		Files: map[string]string{
			"chain": p.manifests(l.chain), "id": p.ID,
			"key_type": l.keyType, "key_bits": l.keyBits, "comment": l.comment,
			"ssh_config": l.sshConfig + "\n", "known_hosts": l.knownHosts,
			"options": strings.Join(l.rsync, "\n") + "\n", "targets": strings.Join(targets, "\n") + "\n",
			"delete": deletion, "owners": owners,
			"streams":      strconv.Itoa(l.streams),
			"classify.awk": classifyText, "follow.awk": followText, "verdict.awk": verdictText, "remove.sh": removeText,
			"progress": l.progress + "\n", "verify": p.verify(), "coarse": coarse, "verify.awk": verifyAwkText, "room.awk": roomAwkText,
		},
	}
}

// job names the jobs of the chain.
func (l plan) job() string { return "pass-" + l.chain }

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
