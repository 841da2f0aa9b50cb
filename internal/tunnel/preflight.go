package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

// askFor bounds one conversation with a service.
const askFor = 15 * time.Second

// preflight finds out, without changing anything, whether the tunnel can work.
// All that is in its way is in the error, not just the first thing.
func (t Tunnel) preflight(ctx context.Context, from, to host.Host, old fromFacts, fresh toFacts, allowOpenRelay bool, objections []error) error {
	problems := objections
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	problems = append(problems, callerObjections(from, old)...)
	if taken := t.takenPorts(old); len(taken) > 0 {
		problem("ports of host %q are taken; stop these services first, and keep them from starting at boot (cutover_service does both):\n%s",
			from.Name(), strings.Join(taken, "\n"))
	}
	for _, other := range t.translated(old) {
		problem("host %q has a tunnel already that takes %s", from.Name(), other)
	}
	problems = append(problems, t.sshdObjections(to, fresh)...)
	if t.Mode == Transparent {
		allowOpenRelay = true // the mail server sees the clients' own addresses, and no localhost to trust
	}
	forwards := t.sorted()
	failed := make([]error, len(forwards))
	var all sync.WaitGroup
	for i, forward := range forwards {
		all.Go(func() { failed[i] = answers(ctx, to, forward, allowOpenRelay) })
	}
	all.Wait()
	return errors.Join(append(problems, failed...)...)
}

// callerObjections are what keeps a host from opening a connection and holding it.
func callerObjections(from host.Host, facts fromFacts) []error {
	switch {
	case facts.init != systemd && facts.init != sysv:
		return []error{fmt.Errorf("host %q has neither systemd nor a SysV init with /etc/inittab; one of them has to keep the relays running", from.Name())}
	case facts.ssh == "" || !facts.keygen:
		return []error{fmt.Errorf("host %q has no OpenSSH client (ssh and ssh-keygen); install it there: apt-get install openssh-client", from.Name())}
	}
	return nil
}

// takenPorts says of each port that the relays cannot listen on who does.
// Terraform leaves lines alone that begin with a blank.
func (t Tunnel) takenPorts(old fromFacts) []string {
	var taken []string
	for _, forward := range t.sorted() {
		if holder, ok := old.holding(forward); ok && !old.isRelay(holder) {
			taken = append(taken, fmt.Sprintf("  %-5d by %s", forward.ListenPort, describe(holder)))
		}
	}
	return taken
}

// translated says which ports another tunnel, a transparent one, leads away
// before anything that listens could see them.
func (t Tunnel) translated(old fromFacts) []string {
	var taken []string
	for name, words := range old.others {
		for _, word := range words {
			listen, _, _ := strings.Cut(word, "=")
			address, port, err := splitPort(listen)
			for _, forward := range t.sorted() {
				if err == nil && forward.ListenPort == port && overlap(address, forward.ListenAddress) {
					taken = append(taken, fmt.Sprintf("port %d: %q", port, name))
				}
			}
		}
	}
	sort.Strings(taken)
	return taken
}

// sshdObjections are the settings of the new host's sshd that would keep the
// relays out; for a line, of the old host's.
func (t Tunnel) sshdObjections(to host.Host, fresh toFacts) []error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	is := func(option, value string) bool {
		return len(fresh.sshd[option]) == 1 && strings.EqualFold(fresh.sshd[option][0], value)
	}
	if fresh.nologin == "" {
		problem("host %q has no nologin and no false to be the shell of the relays' account", to.Name())
	}
	if entry := strings.Split(fresh.account, ":"); fresh.account != "" && (len(entry) < 6 || entry[5] != t.home()) {
		problem("host %q has an account %q already, which is not a tunnel's; choose another name for the tunnel", to.Name(), t.account())
	}
	forwards, other := t.Mode != Transparent, "remote"
	if t.Mode == overLine {
		other = "local"
		if is("gatewayports", "yes") {
			problem("sshd of host %q lets the whole world in at every port that it is asked to forward (GatewayPorts yes), also at the one that leads to the new host's sshd; "+
				"set it to no or clientspecified, at least in a block `Match User %s`", to.Name(), t.account())
		}
		if allowed := fresh.sshd["permitlisten"]; len(allowed) > 0 && !contains(allowed, "any") {
			problem("sshd of host %q listens for certain ports only (PermitListen %s); say any in a block `Match User %s`", to.Name(), strings.Join(allowed, " "), t.account())
		}
	}
	switch {
	case forwards && is("allowtcpforwarding", "no"), forwards && is("allowtcpforwarding", other):
		problem("sshd of host %q forbids forwarding (AllowTcpForwarding %s); allow it at least in a block `Match User %s`",
			to.Name(), fresh.sshd["allowtcpforwarding"][0], t.account())
	case is("disableforwarding", "yes"):
		problem("sshd of host %q forbids forwarding (DisableForwarding yes)", to.Name())
	case is("pubkeyauthentication", "no"):
		problem("sshd of host %q takes no keys (PubkeyAuthentication no)", to.Name())
	}
	if allowed := fresh.sshd["allowusers"]; len(allowed) > 0 && !named(allowed, t.account()) {
		problem("sshd of host %q admits only certain users (AllowUsers %s); add %s", to.Name(), strings.Join(allowed, " "), t.account())
	}
	for _, option := range []string{"DenyUsers", "DenyGroups"} {
		if denied := fresh.sshd[strings.ToLower(option)]; named(denied, t.account()) {
			problem("sshd of host %q does not admit %s (%s %s); except it", to.Name(), t.account(), option, strings.Join(denied, " "))
		}
	}
	if methods := fresh.sshd["authenticationmethods"]; len(methods) > 0 && !contains(methods, "any") && !contains(methods, "publickey") {
		problem("sshd of host %q asks for more than a key (AuthenticationMethods %s); let publickey do, at least in a block `Match User %s`",
			to.Name(), strings.Join(methods, " "), t.account())
	}
	if allowed := fresh.sshd["allowgroups"]; len(allowed) > 0 && !named(allowed, t.account()) {
		problem("sshd of host %q admits only certain groups (AllowGroups %s); add %s", to.Name(), strings.Join(allowed, " "), t.account())
	}
	if files := fresh.sshd["authorizedkeysfile"]; len(files) > 0 && !contains(files, ".ssh/authorized_keys") && !contains(files, "%h/.ssh/authorized_keys") {
		problem("sshd of host %q does not read .ssh/authorized_keys (AuthorizedKeysFile %s); let it, at least in a block `Match User %s`",
			to.Name(), strings.Join(files, " "), t.account())
	}
	return problems
}

// keyObjections finds out whether the account serves a tunnel of another host,
// which would end when its key is replaced. A key that was this host's own, and
// that nobody uses, is what an interrupted apply or destroy has left.
func (t Tunnel) keyObjections(to host.Host, publicKey string, fresh toFacts) []error {
	if fresh.keys == "" {
		return nil
	}
	if key := strings.Fields(publicKey); len(key) > 1 && strings.Contains(fresh.keys, key[1]) {
		return nil
	}
	other := Tunnel{Name: t.Name}
	_ = other.parse("", fresh.keys)
	if slices.Equal(slices.Sorted(slices.Values(other.SourceAddresses)), slices.Sorted(slices.Values(t.SourceAddresses))) {
		if !fresh.busy {
			return nil
		}
		return []error{fmt.Errorf("account %[1]q of host %[2]q serves a tunnel %[3]q from the same addresses (%[4]s) with another key: either of another host behind them, "+
			"and this tunnel needs another name, or of relays whose key is lost, which end with `pkill -u %[1]s` on host %[2]q",
			t.account(), to.Name(), t.Name, strings.Join(other.SourceAddresses, ", "))}
	}
	return []error{fmt.Errorf("account %q of host %q serves a tunnel %q from another host (%s) already; choose another name",
		t.account(), to.Name(), t.Name, strings.Join(other.SourceAddresses, ", "))}
}

// answers tries a forward's target on the new host, over the way on which the
// relays will come: from the new host's sshd.
func answers(ctx context.Context, to host.Host, forward Forward, allowOpenRelay bool) error {
	greeting, err := converse(ctx, to, forward.Target(), forward.TargetPort)
	if err != nil {
		return fmt.Errorf("nothing useful answers on %s of host %q, where port %d is to be served: %w; start the service there first (cutover_service)",
			forward.Target(), to.Name(), forward.ListenPort, err)
	}
	if allowOpenRelay {
		return nil
	}
	tlsFirst := false
	if greeting == "" { // silent until somebody begins with TLS, as on port 465
		if greeting, err = encryptedGreeting(ctx, to, forward.Target()); err == nil {
			tlsFirst = true
		}
	}
	if !speaksSMTP(forward.TargetPort, greeting) {
		return nil
	}
	var open bool
	var dialogue string
	err = talk(ctx, to, forward.Target(), func(ctx context.Context, conn net.Conn) (err error) {
		open, dialogue, err = probe.OpenRelay(ctx, conn, tlsFirst)
		return err
	})
	dialogue = strings.ReplaceAll(strings.TrimSpace(dialogue), "\n", "\n  ")
	if err != nil {
		return fmt.Errorf(`host %q: asking %s whether it relays for foreigners: %w. Through the relays every client looks like %s, so an open relay would be one for the world. It said:
  %s
Look why it refuses these mails, and let it answer. Where it does not relay for %[4]s, allow_open_relay = true leaves the question out`,
			to.Name(), forward.Target(), err, forward.TargetHost, dialogue)
	}
	if open {
		return fmt.Errorf(`the mail server at %s of host %q would relay mail for anybody: through the relays every client looks like %s, which it trusts. It said:
  %s
Take that trust away before the tunnel starts. Postfix: "postconf -e 'mynetworks ='" and reload. Sendmail: no localhost or 127 in /etc/mail/access and relay-domains, FEATURE(delay_checks) off. allow_open_relay = true overrides this`,
			forward.Target(), to.Name(), forward.TargetHost, dialogue)
	}
	return nil
}

// talk has one conversation with a service, over a connection from a host.
func talk(ctx context.Context, from host.Host, address string, converse func(context.Context, net.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return converse(ctx, conn)
}

// encryptedGreeting is what a service says first inside TLS. An error is a service
// that does not speak TLS.
func encryptedGreeting(ctx context.Context, from host.Host, address string) (greeting string, err error) {
	err = talk(ctx, from, address, func(ctx context.Context, conn net.Conn) (err error) {
		greeting, err = probe.GreetingInTLS(ctx, conn)
		return err
	})
	return greeting, err
}

// converse opens a connection from a host and exchanges the first lines of the
// protocol that lives on port. TLS is not spoken: whether its port accepts is
// all that can be said without the server's name.
func converse(ctx context.Context, from host.Host, address string, port int) (greeting string, err error) {
	protocol := probe.Guess(port)
	if strings.HasSuffix(protocol, "s") {
		protocol = "tcp"
	}
	err = talk(ctx, from, address, func(ctx context.Context, conn net.Conn) error {
		answer, err := probe.Ask(ctx, conn, probe.Request{Protocol: protocol, ServerName: "localhost"})
		greeting = answer.Greeting
		return err
	})
	return greeting, err
}

// speaksSMTP goes by the port and by the greeting: code 220 (RFC 5321,
// section 4.2), with the protocol's name, which FTP's lacks.
func speaksSMTP(port int, greeting string) bool {
	protocol := probe.Guess(port)
	return protocol == "smtp" || protocol == "smtps" || protocol == "submission" ||
		strings.HasPrefix(greeting, "220") && strings.Contains(strings.ToUpper(greeting), "SMTP")
}

var ssUsers = regexp.MustCompile(`\("([^"]+)",(?:pid=)?([0-9]+)`)

// describe names the process that listens.
func describe(l listener) string {
	if found := ssUsers.FindStringSubmatch(l.process); found != nil {
		return fmt.Sprintf("%s (process %s)", found[1], found[2])
	}
	if pid, program, ok := strings.Cut(l.process, "/"); ok {
		return fmt.Sprintf("%s (process %s)", program, pid)
	}
	return "a process that the host does not name"
}

// atLeast reports whether an sshd is of a release or a later one. A version
// that is not known counts as a new one.
func atLeast(version string, major, minor int) bool {
	number, ok := strings.CutPrefix(version, "OpenSSH_")
	if !ok {
		return true
	}
	first, second, _ := strings.Cut(number, ".")
	a, err := strconv.Atoi(first)
	if err != nil {
		return true
	}
	b, _ := strconv.Atoi(strings.TrimFunc(second, func(r rune) bool { return r < '0' || r > '9' }))
	return a > major || a == major && b >= minor
}

// named reports whether one of sshd's patterns, such as anna, cutover-* or
// anna@192.0.2.1, is for a login or its group of the same name.
func named(patterns []string, login string) bool {
	for _, pattern := range patterns {
		pattern, _, _ = strings.Cut(pattern, "@")
		if matches, err := path.Match(pattern, login); err == nil && matches {
			return true
		}
	}
	return false
}

func contains(values []string, wanted string) bool {
	for _, value := range values {
		if value == wanted {
			return true
		}
	}
	return false
}
