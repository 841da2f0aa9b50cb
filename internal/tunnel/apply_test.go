package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	oldSystemd = "init systemd\nactive inactive\nenabled disabled\nrelay 0\nssh OpenSSH_8.4p1\nkeygen present\naddress 192.0.2.1\naddress 2001:db8::1\nlisteners\n0.0.0.0:22 users:((\"sshd\",pid=1,fd=3))\n"
	freshSshd  = "nologin /usr/sbin/nologin\nversion OpenSSH_10.0\nsshd allowtcpforwarding yes\nhostkey ssh-ed25519 NEWKEY\n"
)

// stateCommand is how the first question to the old host shows, cut where all
// long commands are.
const stateCommand = "tunnel/from_state.sh relay /etc/cutover/tunnel-relay/id.pub /etc/cutover/tunnel-relay/ssh_config " +
	"/etc/cutover/tunnel-relay/known_hosts /etc/systemd/system/cutover-tunnel-relay.service /etc/cutover/tunnel-relay/supervise /etc/cutover/tunnel-…"

// stateCommandTo is the first question to the new host.
const stateCommandTo = "tunnel/to_state.sh cutover-relay /var/lib/cutover/tunnel-relay /etc/systemd/system/cutover-link-relay.service " +
	"/etc/cutover/link-relay/link /etc/cutover/link-relay/link.conf /etc/cutover/link-relay/rules.nft /etc/cutover/link-relay/rules4 /e…"

// fakes are an old and a new host that were asked for the state of a tunnel
// "relay" and said what is given.
func fakes(t *testing.T, old, fresh string) (from, to *hosttest.Fake) {
	from, to = hosttest.New(t), hosttest.New(t)
	from.HostName, to.HostName = "old", "new"
	from.Ident = host.Identity{Address: "192.0.2.1", Port: 22}
	to.Ident = host.Identity{Address: "192.0.2.2", Port: 2222, HostKey: "ssh-ed25519 NEWKEY"}
	from.Expect(stateCommand).Prints(old)
	to.Expect(stateCommandTo).Prints(fresh)
	return from, to
}

// mailServer answers connections as an SMTP server that gives recipient as its
// reply to RCPT.
func mailServer(recipient string) func(string, string) (net.Conn, error) {
	return func(string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			fmt.Fprint(server, "220 new.example.net ESMTP\r\n")
			lines := bufio.NewScanner(server)
			for lines.Scan() {
				reply := "250 ok"
				switch {
				case strings.HasPrefix(lines.Text(), "RCPT"):
					reply = recipient
				case strings.HasPrefix(lines.Text(), "QUIT"):
					reply = "221 bye"
				}
				if _, err := fmt.Fprint(server, reply+"\r\n"); err != nil || strings.HasPrefix(reply, "221") {
					return
				}
			}
		}()
		return client, nil
	}
}

func start(t *testing.T, from, to *hosttest.Fake) (Tunnel, error) {
	t.Helper()
	return Tunnel{Name: "relay", Forwards: []Forward{forward(25)}}.Start(context.Background(), from, to, Options{})
}

func TestStart(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]string{
		"at first":                 freshSshd,
		"after an interrupted one": freshSshd + formerKeys("192.0.2.1", "2001:db8::1"),
	} {
		t.Run(name, func(t *testing.T) { starts(t, fresh) })
	}
}

func starts(t *testing.T, fresh string) {
	t.Parallel()
	from, to := fakes(t, oldSystemd, fresh)
	to.OnDial(mailServer("554 relay access denied"))
	from.OnDial(mailServer("554 relay access denied"))
	from.Expect("tunnel/from_prepare.sh relay").Prints("ssh-ed25519 RELAYKEY cutover-tunnel-relay\n")
	admitted := Tunnel{Name: "relay", Forwards: []Forward{forward(25)}, SourceAddresses: []string{"192.0.2.1", "2001:db8::1"}}
	to.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin").
		WithStdin(admitted.authorizedKeys("ssh-ed25519 RELAYKEY", "OpenSSH_10.0"))
	from.Expect("tunnel/from_start.sh relay systemd")

	started, err := start(t, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if started.ToAddress != "192.0.2.2" || started.ToPort != 2222 {
		t.Errorf("the new host is called at %s port %d, want the provider's own address", started.ToAddress, started.ToPort)
	}
	files := from.Files()
	if got := files["/etc/cutover/tunnel-relay/known_hosts"].Content; !strings.Contains(got, "cutover-relay ssh-ed25519 NEWKEY\n") {
		t.Errorf("the new host's key is not pinned: %s", got)
	}
	if _, ok := files["/etc/systemd/system/cutover-tunnel-relay.service"]; !ok {
		t.Error("no unit was written")
	}
}

func TestPreflightChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, fresh, rcpt, says string }{
		"taken port": {oldSystemd + "*:25 users:((\"sendmail-mta\",pid=77,fd=4))\n", freshSshd, "554 relay access denied",
			"ports of host \"old\" are taken; stop these services first, and keep them from starting at boot (cutover_service does both):\n  25    by sendmail-mta (process 77)"},
		"translated":         {"other web *:80=80 *:25=25\n" + oldSystemd, freshSshd, "554 relay access denied", `a tunnel already that takes port 25: "web"`},
		"taken by an old ss": {oldSystemd + "*:25 users:((\"exim4\",88,4))\n", freshSshd, "554 relay access denied", "exim4 (process 88)"},
		"taken by netstat":   {oldSystemd + "0.0.0.0:25 99/master\n", freshSshd, "554 relay access denied", "master (process 99)"},
		"no init":            {strings.Replace(oldSystemd, "init systemd", "init none", 1), freshSshd, "554 relay access denied", "neither systemd nor a SysV init"},
		"no ssh":             {strings.Replace(oldSystemd, "ssh OpenSSH_8.4p1\n", "", 1), freshSshd, "554 relay access denied", "apt-get install openssh-client"},
		"forwarding off":     {oldSystemd, strings.Replace(freshSshd, "allowtcpforwarding yes", "allowtcpforwarding no", 1), "554 relay access denied", "AllowTcpForwarding no"},
		"AllowUsers":         {oldSystemd, freshSshd + "sshd allowusers root admin\n", "554 relay access denied", "add cutover-relay"},
		"DenyUsers":          {oldSystemd, freshSshd + "sshd denyusers cutover-*\n", "554 relay access denied", "DenyUsers cutover-*"},
		"two factors":        {oldSystemd, freshSshd + "sshd authenticationmethods publickey,password\n", "554 relay access denied", "AuthenticationMethods publickey,password"},
		"AllowGroups":        {oldSystemd, freshSshd + "sshd allowgroups ssh\n", "554 relay access denied", "AllowGroups ssh"},
		"keys elsewhere":     {oldSystemd, freshSshd + "sshd authorizedkeysfile /etc/ssh/keys/%u\n", "554 relay access denied", "AuthorizedKeysFile /etc/ssh/keys/%u"},
		"foreign account":    {oldSystemd, freshSshd + "account cutover-relay:x:1000:1000::/home/x:/bin/sh\n", "554 relay access denied", "choose another name"},
		"still in use":       {oldSystemd, freshSshd + "busy\n" + formerKeys("192.0.2.1", "2001:db8::1"), "554 relay access denied", "from the same addresses (192.0.2.1, 2001:db8::1) with another key"},
		"another tunnel's":   {oldSystemd, freshSshd + formerKeys("198.51.100.7"), "554 relay access denied", "serves a tunnel \"relay\" from another host (198.51.100.7)"},
		"open relay":         {oldSystemd, freshSshd, "250 fine", "mynetworks ="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := fakes(t, c.old, c.fresh)
			to.OnDial(mailServer(c.rcpt))
			_, err := start(t, from, to)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want an error with %q, got %v", c.says, err)
			}
		})
	}
}

// formerKeys is an authorized_keys whose key is not on the old host, as to_state.sh
// shows it.
func formerKeys(addresses ...string) string {
	former := Tunnel{Name: "relay", Forwards: []Forward{forward(25)}, SourceAddresses: addresses}
	return shown(textFile{path: "/var/lib/cutover/tunnel-relay/.ssh/authorized_keys", content: former.authorizedKeys("ssh-ed25519 OTHER", "OpenSSH_10.0")})
}

func TestFailedStartIsUndone(t *testing.T) {
	t.Parallel()
	from, to := fakes(t, oldSystemd, freshSshd)
	to.OnDial(mailServer("554 relay access denied"))
	from.OnDial(func(string, string) (net.Conn, error) { return nil, errors.New("connection refused") })
	from.Expect("tunnel/from_prepare.sh relay").Prints("ssh-ed25519 RELAYKEY x\n")
	to.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin")
	from.Expect("tunnel/from_start.sh relay systemd")
	from.Expect("tunnel/from_login.sh /etc/cutover/tunnel-relay/ssh_config localhost:25").Exits(255, "Permission denied (publickey).")
	from.Expect("tunnel/from_stop.sh relay")
	to.Expect("tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay")
	_, err := start(t, from, to)
	if err == nil || !strings.Contains(err.Error(), "Permission denied") || !strings.Contains(err.Error(), "source_addresses") {
		t.Errorf("want ssh's words and what to do, got %v", err)
	}
	if errors.Is(err, ErrLeftovers) {
		t.Errorf("all was removed, yet leftovers are reported: %v", err)
	}
}

func TestLeftoversAreReported(t *testing.T) {
	t.Parallel()
	from, to := fakes(t, oldSystemd, freshSshd)
	to.OnDial(mailServer("554 relay access denied"))
	lost := errors.New("connection lost")
	from.Expect("tunnel/from_prepare.sh relay").Fails(lost)
	from.Expect("tunnel/from_stop.sh relay").Fails(lost)
	to.Expect("tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay")
	if _, err := start(t, from, to); !errors.Is(err, ErrLeftovers) {
		t.Errorf("want ErrLeftovers, got %v", err)
	}
}

// A host that is nil is left out, and the other is cleaned up.
func TestStopOnOneHost(t *testing.T) {
	t.Parallel()
	const stop, dismiss = "tunnel/from_stop.sh relay", "tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay"
	for name, c := range map[string]struct {
		initiator string
		old, new  []string // nil: there is no such host
	}{
		"the new one":           {OldHost, nil, []string{dismiss}},
		"the old one":           {OldHost, []string{stop}, nil},
		"the new one of a line": {NewHost, nil, []string{dismiss, stop}},
		"the old one of a line": {NewHost, []string{stop, dismiss}, nil},
		"none":                  {NewHost, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expecting := func(commands []string) host.Host {
				if commands == nil {
					return nil
				}
				fake := hosttest.New(t)
				for _, command := range commands {
					fake.Expect(command)
				}
				return fake
			}
			if _, err := (Tunnel{Name: "relay", InitiateFrom: c.initiator}).Stop(context.Background(), expecting(c.old), expecting(c.new)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStopSaysForWhomForwardingIsLeftOn(t *testing.T) {
	t.Parallel()
	from := hosttest.New(t)
	from.Expect("tunnel/from_stop.sh relay").Prints("what init says\nforwards the network device docker0\nforwards IPsec\n")
	forwardsFor, err := Tunnel{Name: "relay"}.Stop(context.Background(), from, nil)
	if err != nil || strings.Join(forwardsFor, ", ") != "the network device docker0, IPsec" {
		t.Errorf("%q, %v", forwardsFor, err)
	}
}

// shown is a file as the state scripts print it.
func shown(f textFile) string {
	return fmt.Sprintf("file %s %d\n%s\n", f.path, len(f.content), f.content)
}

// running is what from_state.sh prints of a tunnel that is as it should be.
func running(want Tunnel) (old, fresh string) {
	file := func(path, content string) string { return shown(textFile{path: path, content: content}) }
	old = "init systemd\nactive active\nenabled enabled\nrelay 500\ndirectory present\n" + file(want.directory()+"/id.pub", "ssh-ed25519 RELAYKEY x\n")
	for _, f := range want.relayFiles(systemd, []string{"ssh-ed25519 NEWKEY"}) {
		old += file(f.path, f.content)
	}
	old += "listeners\n"
	for _, f := range want.Forwards {
		old += fmt.Sprintf("*:%d users:((\"ssh\",pid=500,fd=4))\n", f.ListenPort)
	}
	fresh = freshSshd + "account cutover-relay:x:998:998::/var/lib/cutover/tunnel-relay:/usr/sbin/nologin\nhome present\n" +
		file(want.home()+"/.ssh/authorized_keys", want.authorizedKeys("ssh-ed25519 RELAYKEY", "OpenSSH_10.0"))
	return old, fresh
}

func TestInspect(t *testing.T) {
	t.Parallel()
	want := Tunnel{Name: "relay", Forwards: []Forward{forward(25), forward(80)}, ToAddress: "192.0.2.2", ToPort: 22, SourceAddresses: []string{"192.0.2.1"}}
	for name, c := range map[string]struct {
		spoil  func(old, fresh string) (string, string)
		status string
	}{
		"as it should be": {func(o, f string) (string, string) { return o, f }, Running},
		"stopped": {func(o, f string) (string, string) {
			return strings.Replace(o, "active active", "active failed", 1), f
		}, "stopped"},
		"not at boot": {func(o, f string) (string, string) {
			return strings.Replace(o, "enabled enabled", "enabled disabled", 1), f
		}, "not started at boot"},
		"port lost": {func(o, f string) (string, string) { return strings.Replace(o, "*:80 users", "*:81 users", 1), f }, "nothing listens on port 80"},
		"port taken": {func(o, f string) (string, string) {
			return strings.Replace(o, "pid=500,fd=4))\n*:80", "pid=7,fd=4))\n*:80", 1), f
		}, "port 25 is taken by"},
		"account gone": {func(o, f string) (string, string) { return o, strings.Replace(f, "account ", "formerly ", 1) }, "account cutover-relay is gone"},
		"unit changed": {func(o, f string) (string, string) {
			return strings.Replace(o, "Restart=always", "Restart=neverr", 1), f
		}, "cutover-tunnel-relay.service was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := c.spoil(running(want))
			from, to := fakes(t, old, fresh)
			actual, status, found, err := Inspect(context.Background(), from, to, "relay", "")
			if err != nil || !found {
				t.Fatalf("found %v, error %v", found, err)
			}
			if c.status == Running && status != Running || !strings.Contains(status, c.status) {
				t.Errorf("status %q, want %q", status, c.status)
			}
			if actual.sshConfig() != want.sshConfig() {
				t.Errorf("read back as %+v", actual)
			}
		})
	}
}

func TestInspectOfNothing(t *testing.T) {
	t.Parallel()
	from, to := fakes(t, oldSystemd, freshSshd)
	if _, _, found, err := Inspect(context.Background(), from, to, "relay", ""); err != nil || found {
		t.Errorf("found %v, error %v", found, err)
	}
}

func TestInspectNeverTakesALostConnectionForAbsence(t *testing.T) {
	t.Parallel()
	from, to := hosttest.New(t), hosttest.New(t)
	from.Expect(stateCommand).Fails(fs.ErrClosed)
	to.Expect(stateCommandTo).Prints(freshSshd)
	if _, _, _, err := Inspect(context.Background(), from, to, "relay", ""); err == nil {
		t.Error("a lost connection was taken for an answer")
	}
}

// With the relays' ssh_config the forwards are gone that the key is compared with.
func TestInspectSaysOnlyWhatIsSo(t *testing.T) {
	t.Parallel()
	want := Tunnel{Name: "relay", Forwards: []Forward{forward(25)}, ToAddress: "192.0.2.2", ToPort: 22, SourceAddresses: []string{"192.0.2.1"}}
	old, fresh := running(want)
	path := want.directory() + "/ssh_config"
	from, to := fakes(t, strings.Replace(old, shown(textFile{path: path, content: want.sshConfig()}), "", 1), fresh)
	_, status, found, err := Inspect(context.Background(), from, to, "relay", "")
	if err != nil || !found || !strings.Contains(status, path+" is gone") || strings.Contains(status, "authorized_keys") {
		t.Errorf("%q, found %v, error %v", status, found, err)
	}
}
