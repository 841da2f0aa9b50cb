package tunnel

import (
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

// textFile is a file of ours on a host.
type textFile struct {
	path    string
	mode    fs.FileMode
	content string
}

// header opens every file, so that a sysadmin who meets one knows whose it is.
func (t Tunnel) header() string {
	return fmt.Sprintf("# Managed by Terraform: cutover_forwarding_tunnel %q.\n# Changes made here are undone by the next apply; destroying the resource removes this file.\n", t.Name)
}

// relayFiles are the files on the old host, but for the key. knownHosts is the
// new host's keys, one "type base64" a line. They depend on nothing else, so
// that a refresh can tell whether somebody changed one.
func (t Tunnel) relayFiles(init string, hostKeys []string) []textFile {
	files := []textFile{
		{t.directory() + "/ssh_config", 0o644, t.sshConfig()},
		{t.directory() + "/known_hosts", 0o644, t.knownHosts(hostKeys)},
	}
	transparent := t.Mode == Transparent
	if init == systemd {
		files = append(files, textFile{"/etc/systemd/system/" + t.unit(), 0o644, t.systemdUnit()})
	}
	if init == sysv || init == systemd && transparent {
		files = append(files, textFile{t.directory() + "/supervise", 0o755, t.supervisor()})
	}
	if transparent {
		files = append(files, t.oldEnd()...)
	}
	return files
}

// sshConfig is the ssh_config(5) of the relays. A lost line is noticed after
// ServerAliveInterval times ServerAliveCountMax, 15 s; ExitOnForwardFailure
// makes a port that cannot be opened an error instead of a warning.
func (t Tunnel) sshConfig() string {
	var b strings.Builder
	b.WriteString(t.header())
	fmt.Fprintf(&b, `
Host relay
    HostName %s
    Port %d
    User %s
    IdentityFile %s/id
    IdentitiesOnly yes
    HostKeyAlias %s
    UserKnownHostsFile %s/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    PreferredAuthentications publickey
    BatchMode yes
    ConnectTimeout 5
    ServerAliveInterval 5
    ServerAliveCountMax 3
    TCPKeepAlive yes
    ExitOnForwardFailure yes
    GatewayPorts yes
    ForwardAgent no
    ForwardX11 no
    LogLevel ERROR
`, t.ToAddress, t.ToPort, t.account(), t.directory(), t.account(), t.directory())
	if t.ciphers != "" {
		fmt.Fprintf(&b, "    Ciphers %s\n", t.ciphers)
	}
	if t.Mode == Transparent {
		fmt.Fprintf(&b, "    Tunnel point-to-point\n    TunnelDevice %[1]d:%[1]d\n", t.link.number)
		return b.String()
	}
	for _, f := range t.sorted() {
		fmt.Fprintf(&b, "    LocalForward %s %s\n", bracketed(f.ListenAddress, f.ListenPort), bracketed(f.TargetHost, f.TargetPort))
	}
	return b.String()
}

// fastest is the cipher that a processor with AES is done with soonest; what the
// other end does not know is passed over.
const fastest = "aes128-gcm@openssh.com"

// fastestFirst puts it before the others of a list; "" if it is not in it.
func fastestFirst(ciphers string) string {
	list := strings.Split(ciphers, ",")
	at := slices.Index(list, fastest)
	if at < 0 {
		return ""
	}
	return strings.Join(append([]string{fastest}, slices.Delete(list, at, at+1)...), ",")
}

// bracketed is address:port with brackets around an IPv6 address, as
// ssh_config and authorized_keys want it.
func bracketed(address string, port int) string {
	if strings.Contains(address, ":") {
		return net.JoinHostPort(address, strconv.Itoa(port))
	}
	return address + ":" + strconv.Itoa(port)
}

func (t Tunnel) knownHosts(hostKeys []string) string {
	var b strings.Builder
	b.WriteString(t.header())
	for _, key := range hostKeys {
		fmt.Fprintf(&b, "%s %s\n", t.account(), key)
	}
	return b.String()
}

// command starts the relays in the foreground.
func (t Tunnel) command() []string {
	return []string{"ssh", "-N", "-T", "-F", t.directory() + "/ssh_config", "relay"}
}

// systemdUnit starts the relays at boot and again whenever they end. root is
// needed for ports below 1024; everything else is taken away. A systemd that
// does not know one of the restrictions says so in its log and goes on.
func (t Tunnel) systemdUnit() string {
	if t.Mode == Transparent {
		// The supervisor, and not ssh, because rules and device have to outlive an
		// ssh that dies: meanwhile clients wait.
		return t.header() + fmt.Sprintf(`
[Unit]
Description=Tunnel ports %[1]s to %[2]s over SSH, clients' addresses kept
After=network-online.target nftables.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh %[3]s/supervise
Restart=always
RestartSec=1
PrivateTmp=yes
ProtectHome=yes

[Install]
WantedBy=multi-user.target
`, ports(t.sorted()), t.ToAddress, t.directory())
	}
	return t.header() + fmt.Sprintf(`
[Unit]
Description=Relay ports %s to %s over SSH
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/%s
Restart=always
RestartSec=1
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectHome=yes

[Install]
WantedBy=multi-user.target
`, ports(t.sorted()), t.ToAddress, sh.Join(t.command()...))
}

// supervisor is what init respawns where there is no systemd. The loop is
// there because init gives a command up for five minutes when it ends ten
// times in two (init(8)), as the relays do while the new host is away.
func (t Tunnel) supervisor() string {
	from, up, down := "init, from /etc/inittab", "", ""
	if t.Mode == Transparent {
		from = "init or systemd"
		up = fmt.Sprintf("\t%[1]s/link up %[1]s\n", t.directory())
		down = fmt.Sprintf("\t%[1]s/link down %[1]s\n", t.directory())
	}
	return "#!/bin/sh\n" + t.header() + fmt.Sprintf(`#
# Started and restarted by %[4]s. Keeps the relays running.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
run=/var/run/cutover
pidfile=$run/tunnel-%[1]s.pid
child=

end() {
	trap '' TERM INT HUP
	[ -n "$child" ] && kill "$child" 2>/dev/null
%[6]s	rm -f "$pidfile"
	rmdir "$run" 2>/dev/null
	exit 0
}
trap end TERM INT HUP

mkdir -p "$run"

# Relays that outlived a killed supervisor go on, with the clients they have.
if [ -s "$pidfile" ]; then
	child=$(cat "$pidfile")
	while tr '\0' ' ' <"/proc/$child/cmdline" 2>/dev/null | grep -qF %[2]s; do
		sleep 1 &
		wait $!
	done
fi

while :; do
%[5]s	# -y: ssh reports to syslog.
	ssh -y %[3]s </dev/null &
	child=$!
	echo "$child" >"$pidfile"
	wait "$child"
	child=
	sleep 1 &
	wait $!
done
`, t.Name, sh.Quote(t.directory()+"/ssh_config"), sh.Join(t.command()[1:]...), from, up, down)
}

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
	if atLeast(version, 7, 8) {
		options = append(options, `permitlisten="127.0.0.1:1"`)
	}
	options = append(options, `command="/bin/false"`)
	seen := map[string]bool{}
	for _, f := range t.sorted() {
		target := bracketed(f.TargetHost, f.TargetPort)
		if !seen[target] {
			options = append(options, fmt.Sprintf("permitopen=%q", target))
		}
		seen[target] = true
	}
	return t.keyLine(publicKey, options)
}

// confinement forbids all but what other options allow.
func (t Tunnel) confinement(version string) []string {
	if atLeast(version, 7, 2) {
		return []string{"restrict", `command="/bin/false"`}
	}
	return []string{"no-pty", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc", "no-port-forwarding", `command="/bin/false"`}
}

func (t Tunnel) keyLine(publicKey string, options []string) string {
	if len(t.SourceAddresses) > 0 {
		options = append(options, fmt.Sprintf("from=%q", strings.Join(t.SourceAddresses, ",")))
	}
	key := strings.Fields(publicKey)
	if len(key) > 2 {
		key = key[:2]
	}
	return t.header() + strings.Join(options, ",") + " " + strings.Join(key, " ") + " cutover-tunnel-" + t.Name + "\n"
}

// parse reads back from the files of a host what the tunnel is: what an import
// knows of it.
func (t *Tunnel) parse(sshConfig, authorizedKeys string) error {
	t.Forwards, t.Mode, t.ciphers = nil, "", ""
	for _, line := range strings.Split(sshConfig, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "HostName":
			t.ToAddress = fields[1]
		case "Port":
			port, err := strconv.Atoi(fields[1])
			if err != nil {
				return fmt.Errorf("port %q in %s/ssh_config is no number", fields[1], t.directory())
			}
			t.ToPort = port
			if t.Mode == "" {
				t.Mode = Relays
			}
		case "Ciphers":
			t.ciphers = fields[1]
		case "TunnelDevice":
			t.Mode = Transparent
		case "LocalForward":
			if len(fields) != 3 {
				return fmt.Errorf("%s/ssh_config has a LocalForward without a target: %s", t.directory(), line)
			}
			forward, err := parseForward(fields[1], fields[2])
			if err != nil {
				return fmt.Errorf("%s/ssh_config: %w", t.directory(), err)
			}
			t.Forwards = append(t.Forwards, forward)
		}
	}
	t.SourceAddresses = nil
	if _, after, ok := strings.Cut(authorizedKeys, `from="`); ok {
		list, _, _ := strings.Cut(after, `"`)
		t.SourceAddresses = strings.Split(list, ",")
	}
	return nil
}

func parseForward(listen, target string) (Forward, error) {
	var f Forward
	var err error
	if f.ListenAddress, f.ListenPort, err = splitPort(listen); err != nil {
		return f, err
	}
	f.TargetHost, f.TargetPort, err = splitPort(target)
	return f, err
}

func splitPort(address string) (string, int, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.Atoi(port)
	return name, number, err
}
