// Package machine says what a machine is: its system, what is installed of the
// services that a cutover moves, and who listens on which port.
//
// It may import internal/host and nothing else of this module.
package machine

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed facts.sh
var factsText string

var factsScript = host.Script{Name: "machine/facts.sh", Text: factsText}

// Machine is what a machine said of itself. What it does not have is "".
type Machine struct {
	OSID      string // os-release(5)'s ID: "debian"
	OSVersion string // "11.11" where the point release is known, else as "11"
	OSName    string // for people: "Debian GNU/Linux 11 (bullseye)"

	Kernel       string // release, as uname -r gives it
	Architecture string // as uname -m gives it
	Hostname     string
	Init         string // "systemd", "sysv" or "openrc"

	SSHD, Rsync, Apache, Nginx, Dovecot string // versions: "8.4p1", "3.2.3"

	MTA        string // "postfix", "sendmail", "exim" or "opensmtpd"
	MTAVersion string
	Firewall   string // tool of its packet filter: "nft" or "iptables"

	Listeners []Listener // by port, then address
}

// Listener is a listening TCP socket.
type Listener struct {
	Address string // "0.0.0.0" and "::" are every address
	Port    int
	Process string // name of the process; "" where the kernel itself listens
	PID     int    // 0 where the kernel itself listens
}

// Inspect asks the machine. It changes nothing there.
func Inspect(ctx context.Context, h host.Host) (Machine, error) {
	answer, err := h.Run(ctx, host.Sh(factsScript))
	if err != nil {
		return Machine{}, err
	}
	m := parse(string(answer.Stdout))
	if m.Kernel == "" {
		return Machine{}, fmt.Errorf("on host %q: %s gave no full answer; it printed:\n%s", h.Name(), factsScript.Name, answer.Stdout)
	}
	return m, nil
}

func parse(stdout string) Machine {
	var m Machine
	var mtas [][2]string
	var debian string
	sockets := newSockets()
	fields := map[string]*string{
		"os_id": &m.OSID, "os_version": &m.OSVersion, "os_name": &m.OSName, "debian_version": &debian,
		"kernel": &m.Kernel, "architecture": &m.Architecture, "hostname": &m.Hostname, "init": &m.Init,
		"sshd": &m.SSHD, "rsync": &m.Rsync, "apache": &m.Apache, "nginx": &m.Nginx, "dovecot": &m.Dovecot,
		"firewall": &m.Firewall,
	}
	for _, line := range strings.Split(stdout, "\n") {
		what, value, _ := strings.Cut(line, "\t")
		if field, ok := fields[what]; ok {
			*field = value
			continue
		}
		if what == "mta" {
			name, version, _ := strings.Cut(value, " ")
			mtas = append(mtas, [2]string{name, version})
			continue
		}
		sockets.add(what, value)
	}
	if m.OSID == "debian" && strings.HasPrefix(debian, m.OSVersion+".") {
		m.OSVersion = debian
	}
	m.Listeners = sockets.list()
	if len(mtas) > 0 {
		m.MTA, m.MTAVersion = mtas[0][0], mtas[0][1]
	}
	for _, mta := range mtas {
		if takesMail(mta[0], m.Listeners) {
			m.MTA, m.MTAVersion = mta[0], mta[1]
		}
	}
	return m
}

// takesMail reports whether it is this mail server that listens on port 25.
func takesMail(mta string, listeners []Listener) bool {
	processes := map[string]string{"postfix": "master", "sendmail": "sendmail", "exim": "exim", "opensmtpd": "smtpd"}
	for _, l := range listeners {
		if l.Port == 25 && strings.HasPrefix(l.Process, processes[mta]) {
			return true
		}
	}
	return false
}
