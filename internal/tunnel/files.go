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
	if init == systemd {
		files = append(files, textFile{"/etc/systemd/system/" + t.unit(), 0o644, t.systemdUnit()})
	}
	if init == sysv || init == systemd && t.supervisedBySh() {
		files = append(files, textFile{t.directory() + "/supervise", 0o755, t.supervisor()})
	}
	if t.Mode == Transparent {
		files = append(files, t.oldEnd()...)
	}
	return files
}

// supervisedBySh reports whether more has to be done around ssh than systemd
// does by itself.
func (t Tunnel) supervisedBySh() bool { return t.Mode == Transparent || t.InitiateFrom == NewHost }

// sshConfig is the ssh_config(5) of the relays. A lost line is noticed after
// ServerAliveInterval times ServerAliveCountMax, 15 s; ExitOnForwardFailure
// makes a port that cannot be opened an error instead of a warning.
func (t Tunnel) sshConfig() string {
	var b strings.Builder
	b.WriteString(t.header())
	if t.InitiateFrom == NewHost {
		b.WriteString(initiatedByNew)
	}
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
	if t.legacy {
		// Clients since OpenSSH 8.8 do not offer these by themselves.
		b.WriteString("    HostKeyAlgorithms +ssh-rsa\n    PubkeyAcceptedKeyTypes +ssh-rsa\n    KexAlgorithms +diffie-hellman-group14-sha1\n")
	}
	kind := "LocalForward"
	if t.Mode == overLine {
		kind = "RemoteForward"
	}
	for _, f := range t.sorted() {
		fmt.Fprintf(&b, "    "+kind+" %s %s\n", bracketed(f.ListenAddress, f.ListenPort), bracketed(f.TargetHost, f.TargetPort))
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

// initiatedByNew says in the relays' ssh_config, for people and for parse, whose
// address it has.
const initiatedByNew = `# initiate_from = new: the address below is this host's end of the connection
# that the new host has opened, and behind it is the sshd of the new host.
`

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
	description, program, capabilities := fmt.Sprintf("Relay ports %s to %s over SSH", ports(t.sorted()), t.ToAddress), "/usr/bin/"+sh.Join(t.command()...), "CAP_NET_BIND_SERVICE"
	switch {
	case t.Mode == Transparent:
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
	case t.Mode == overLine:
		description = fmt.Sprintf("Lead host %s to this one over SSH, for the tunnel %s", t.ToAddress, t.Name)
	case t.supervisedBySh():
		description = fmt.Sprintf("Relay ports %s to the new host over SSH", ports(t.sorted()))
		program, capabilities = "/bin/sh "+t.directory()+"/supervise", capabilities+" CAP_KILL"
	}
	return t.header() + fmt.Sprintf(`
[Unit]
Description=%s
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=%s
Restart=always
RestartSec=1
CapabilityBoundingSet=%s
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectHome=yes

[Install]
WantedBy=multi-user.target
`, description, program, capabilities)
}

// supervisor is what init respawns where there is no systemd. The loop is
// there because init gives a command up for five minutes when it ends ten
// times in two (init(8)), as the relays do while the new host is away.
func (t Tunnel) supervisor() string {
	from, up, down, after := "init, from /etc/inittab", "", "", "\tchild=\n"
	if t.supervisedBySh() {
		from = "init or systemd"
	}
	if t.InitiateFrom == NewHost {
		up, after = "\tbegan=$(date +%s)\n", t.endsLine()
	}
	if t.Mode == Transparent {
		up += fmt.Sprintf("\t%[1]s/link up %[1]s\n", t.directory())
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
%[7]s	sleep 1 &
	wait $!
done
`, t.Name, sh.Quote(t.directory()+"/ssh_config"), sh.Join(t.command()[1:]...), from, up, down, after)
}
