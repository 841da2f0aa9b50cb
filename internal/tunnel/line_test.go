package tunnel

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

const (
	// newCalls is what from_state.sh says of a new host that has to call.
	newCalls = "init systemd\nactive inactive\nenabled disabled\nrelay 0\nssh OpenSSH_10.0p2\nkeygen present\naddress 192.0.2.2\nlisteners\n0.0.0.0:22 users:((\"sshd\",pid=1,fd=3))\n*:2222 users:((\"sshd\",pid=1,fd=4))\n"
	// oldIsCalled is what to_state.sh says of an old host that is called.
	oldIsCalled = "nologin /usr/sbin/nologin\nversion OpenSSH_5.5\nhostkey ssh-rsa OLDKEY\n"
)

// fourFakes are hosts of a tunnel that the new one initiates, asked as the ends
// of the relays and as those of the line.
func fourFakes(t *testing.T, old, called, fresh, calls string) (from, to *hosttest.Fake) {
	t.Helper()
	from, to = fakes(t, old, fresh)
	to.Expect(stateCommand).Prints(calls)
	from.Expect(stateCommandTo).Prints(called)
	return from, to
}

func startFromNew(from, to *hosttest.Fake, fromAddress string) (Tunnel, error) {
	return Tunnel{Name: "relay", InitiateFrom: NewHost, FromAddress: fromAddress, Forwards: []Forward{forward(25)}}.
		Start(context.Background(), from, to, Options{})
}

// linePort is where the example's line ends.
const linePort = "7394"

func TestStartFromNew(t *testing.T) {
	t.Parallel()
	from, to := fourFakes(t, oldSystemd, oldIsCalled, freshSshd, newCalls)
	to.OnDial(mailServer("554 relay access denied"))
	mail := mailServer("554 relay access denied")
	from.OnDial(func(network, address string) (net.Conn, error) {
		if address != "127.0.0.1:"+linePort {
			return mail(network, address)
		}
		client, server := net.Pipe()
		go func() {
			_, _ = server.Write([]byte("SSH-2.0-OpenSSH_10.0\r\n"))
			_ = server.Close()
		}()
		return client, nil
	})
	// The line first, to an sshd that takes no ed25519 and no restrictions by one word.
	to.Expect("tunnel/from_prepare.sh relay rsa").Prints("ssh-rsa LINEKEY cutover-tunnel-relay\n")
	from.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin").
		WithStdin(Tunnel{Name: "relay"}.header() + `no-pty,no-agent-forwarding,no-X11-forwarding,no-user-rc,command="/bin/false",permitopen="127.0.0.1:1",from="192.0.2.2" ssh-rsa LINEKEY cutover-tunnel-relay` + "\n")
	to.Expect("tunnel/from_login.sh /etc/cutover/tunnel-relay/ssh_config ''")
	from.Expect("tunnel/to_hangup.sh cutover-relay")
	to.Expect("tunnel/from_start.sh relay systemd")
	// And then what runs over it.
	from.Expect("tunnel/from_prepare.sh relay").Prints("ssh-ed25519 RELAYKEY cutover-tunnel-relay\n")
	to.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin").
		WithStdin(Tunnel{Name: "relay"}.header() + `restrict,port-forwarding,permitlisten="127.0.0.1:1",command="/bin/false",permitopen="localhost:25",from="127.0.0.1,::1" ssh-ed25519 RELAYKEY cutover-tunnel-relay` + "\n")
	from.Expect("tunnel/from_login.sh /etc/cutover/tunnel-relay/ssh_config localhost:25")
	from.Expect("tunnel/from_start.sh relay systemd")

	started, err := startFromNew(from, to, "old.example.net")
	if err != nil {
		t.Fatal(err)
	}
	if started.FromAddress != "old.example.net" || started.FromPort != 22 || started.ToAddress != "127.0.0.1" || strings.Join(started.SourceAddresses, " ") != "192.0.2.2" {
		t.Errorf("started %+v", started)
	}
	lineConfig := to.Files()["/etc/cutover/tunnel-relay/ssh_config"].Content
	for _, want := range []string{
		"    HostName old.example.net\n", "    RemoteForward 127.0.0.1:" + linePort + " 127.0.0.1:2222\n", "    HostKeyAlgorithms +ssh-rsa\n", "    ExitOnForwardFailure yes\n",
	} {
		if !strings.Contains(lineConfig, want) {
			t.Errorf("no %q in\n%s", want, lineConfig)
		}
	}
	config := from.Files()["/etc/cutover/tunnel-relay/ssh_config"].Content
	for _, want := range []string{"    HostName 127.0.0.1\n    Port " + linePort + "\n", "    LocalForward *:25 localhost:25\n", "initiate_from = new"} {
		if !strings.Contains(config, want) {
			t.Errorf("no %q in\n%s", want, config)
		}
	}
	if unit := from.Files()["/etc/systemd/system/cutover-tunnel-relay.service"].Content; !strings.Contains(unit, "ExecStart=/bin/sh /etc/cutover/tunnel-relay/supervise\n") {
		t.Errorf("nobody ends what is left of a line that broke off:\n%s", unit)
	}
}

func TestLinePreflightChangesNothing(t *testing.T) {
	t.Parallel()
	foreign := example()
	foreign.ToAddress = "third.example.net"
	for name, c := range map[string]struct{ old, called, calls, says string }{
		"no forwarding":     {called: oldIsCalled + "sshd allowtcpforwarding local\n", says: "sshd of host \"old\" forbids forwarding (AllowTcpForwarding local)"},
		"for all the world": {called: oldIsCalled + "sshd gatewayports yes\n", says: "GatewayPorts yes"},
		"certain ports":     {called: oldIsCalled + "sshd permitlisten none\n", says: "PermitListen none"},
		"certain users":     {called: oldIsCalled + "sshd allowusers root\n", says: "sshd of host \"old\" admits only certain users (AllowUsers root); add cutover-relay"},
		"an account":        {called: oldIsCalled + "account cutover-relay:x:5:5::/root:/bin/sh\n", says: "host \"old\" has an account \"cutover-relay\" already"},
		"no init":           {calls: strings.Replace(newCalls, "init systemd", "init none", 1), says: "host \"new\" has neither systemd nor"},
		"no client":         {calls: strings.Replace(newCalls, "keygen present\n", "", 1), says: "host \"new\" has no OpenSSH client"},
		"a tunnel onwards":  {calls: shown(textFile{path: "/etc/cutover/tunnel-relay/ssh_config", content: foreign.sshConfig()}) + newCalls, says: "has a tunnel \"relay\" of its own, to third.example.net"},
		"a taken port":      {old: oldSystemd + "*:25 users:((\"master\",pid=77,fd=4))\n", says: "25    by master (process 77)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := fourFakes(t, firstOf(c.old, oldSystemd), firstOf(c.called, oldIsCalled), freshSshd, firstOf(c.calls, newCalls))
			to.OnDial(mailServer("554 relay access denied"))
			if _, err := startFromNew(from, to, "192.0.2.1"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want an error with %q, got %v", c.says, err)
			}
		})
	}
}

func TestFailedLineIsUndone(t *testing.T) {
	t.Parallel()
	from, to := fourFakes(t, oldSystemd, oldIsCalled, freshSshd, newCalls)
	to.OnDial(mailServer("554 relay access denied"))
	to.Expect("tunnel/from_prepare.sh relay rsa").Prints("ssh-rsa LINEKEY x\n")
	from.Expect("tunnel/to_admit.sh cutover-relay /var/lib/cutover/tunnel-relay /usr/sbin/nologin")
	to.Expect("tunnel/from_login.sh /etc/cutover/tunnel-relay/ssh_config ''").Exits(255, "Connection timed out")
	from.Expect("tunnel/from_stop.sh relay")
	to.Expect("tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay")
	to.Expect("tunnel/from_stop.sh relay")
	from.Expect("tunnel/to_dismiss.sh cutover-relay /var/lib/cutover/tunnel-relay")
	if _, err := startFromNew(from, to, "192.0.2.1"); err == nil || !strings.Contains(err.Error(), `host "new" cannot reach host "old" as cutover-relay at 192.0.2.1:22`) || !strings.Contains(err.Error(), "from_address and from_port") {
		t.Errorf("want what to do, got %v", err)
	}
}

// lineAnd are an example's relays, as they run over a line.
func lineAnd() (relays Tunnel, l line) {
	l = line{Tunnel: Tunnel{
		Name: "relay", Mode: overLine, ToAddress: "192.0.2.1", ToPort: 22, SourceAddresses: []string{"192.0.2.2"},
		Forwards: []Forward{{lineAddress, 7394, lineAddress, 22}},
	}}
	return Tunnel{Name: "relay", Mode: Relays, InitiateFrom: NewHost, Forwards: []Forward{forward(25), forward(80)}}.over(&l), l
}

func TestInspectOfALine(t *testing.T) {
	t.Parallel()
	relays, l := lineAnd()
	for name, c := range map[string]struct {
		spoil  func(old, called, fresh, calls *string)
		status string
	}{
		"as it should be": {func(_, _, _, _ *string) {}, Running},
		"not connected": {func(old, _, _, _ *string) {
			*old = strings.Replace(*old, "127.0.0.1:7394 users", "127.0.0.1:7395 users", 1)
		}, `host "new" has no connection to host "old"`},
		"stopped": {func(_, _, _, calls *string) { *calls = strings.Replace(*calls, "active active", "active failed", 1) },
			`the connection from host "new": stopped`},
		"all gone": {func(_, _, _, calls *string) { *calls = newCalls }, lineGone},
		"account gone": {func(_, called, _, _ *string) { *called = strings.Replace(*called, "account ", "formerly ", 1) },
			`the connection from host "new": account cutover-relay is gone`},
		"another port": {func(_, called, _, calls *string) {
			*calls = strings.Replace(*calls, "127.0.0.1:7394 127", "127.0.0.1:7399 127", 1)
			*called = strings.Replace(*called, "127.0.0.1:7394", "127.0.0.1:7399", 1)
		},
			"ends at port 7399 of host \"old\", where the relays expect port 7394"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := running(relays)
			old += "127.0.0.1:7394 users:((\"sshd\",pid=9,fd=9))\n"
			calls, called := running(l.Tunnel)
			c.spoil(&old, &called, &fresh, &calls)
			from, to := fourFakes(t, old, called, fresh, calls)
			actual, status, found, err := Inspect(context.Background(), from, to, "relay", "")
			if err != nil || !found {
				t.Fatalf("found %v, error %v", found, err)
			}
			if c.status == Running && status != Running || !strings.Contains(status, c.status) {
				t.Errorf("status %q, want %q", status, c.status)
			}
			if actual.InitiateFrom != NewHost || actual.sshConfig() != relays.sshConfig() {
				t.Errorf("read back as %+v", actual)
			}
			if c.status == Running && (actual.FromAddress != "192.0.2.1" || actual.FromPort != 22 || strings.Join(actual.SourceAddresses, " ") != "192.0.2.2") {
				t.Errorf("the line is read back as one to %s port %d from %v", actual.FromAddress, actual.FromPort, actual.SourceAddresses)
			}
		})
	}
}

// What is left on the new host alone is neither forgotten nor taken from another
// tunnel that begins there.
func TestInspectOfALineAlone(t *testing.T) {
	t.Parallel()
	_, l := lineAnd()
	calls, called := running(l.Tunnel)
	for initiator, want := range map[string]bool{NewHost: true, OldHost: false} {
		from, to := fakes(t, oldSystemd, freshSshd)
		if initiator == NewHost {
			to.Expect(stateCommand).Prints(calls)
			from.Expect(stateCommandTo).Prints(called)
		}
		if _, _, found, err := Inspect(context.Background(), from, to, "relay", initiator); err != nil || found != want {
			t.Errorf("initiated by %s: found %v, error %v", initiator, found, err)
		}
	}
}

func TestSshdOfTheNewHost(t *testing.T) {
	t.Parallel()
	self := hosttest.New(t)
	self.Ident.Port = 2222
	for listeners, want := range map[string]Forward{
		"*:2222 x\n":               {TargetHost: "127.0.0.1", TargetPort: 2222},
		"*:22 x\n":                 {TargetHost: "127.0.0.1", TargetPort: 22},
		"[::1]:22 x\n":             {TargetHost: "::1", TargetPort: 22},
		"192.0.2.2:2222 x\n":       {TargetHost: "192.0.2.2", TargetPort: 2222},
		"*:80 x\n":                 {TargetHost: "127.0.0.1", TargetPort: 22},
		"0.0.0.0:2222\n*:2223 x\n": {TargetHost: "127.0.0.1", TargetPort: 2222},
	} {
		facts, err := parseFrom([]byte("listeners\n" + listeners))
		if err != nil {
			t.Fatal(err)
		}
		if address, port, err := facts.sshd(context.Background(), self); err != nil || address != want.TargetHost || port != want.TargetPort {
			t.Errorf("%q: sshd at %s port %d, %v", listeners, address, port, err)
		}
	}
}

func TestKeyOfALineListensOnOnePort(t *testing.T) {
	t.Parallel()
	_, l := lineAnd()
	for version, want := range map[string]string{
		"OpenSSH_9.9": `restrict,port-forwarding,permitlisten="127.0.0.1:7394",command="/bin/false",permitopen="127.0.0.1:1",from="192.0.2.2" ssh-ed25519 KEY cutover-tunnel-relay`,
		"OpenSSH_7.4": `restrict,port-forwarding,command="/bin/false",permitopen="127.0.0.1:1",from="192.0.2.2" ssh-ed25519 KEY cutover-tunnel-relay`,
	} {
		if got := l.authorizedKeys("ssh-ed25519 KEY comment", version); !strings.HasSuffix(got, "\n"+want+"\n") {
			t.Errorf("%s: got %s", version, got)
		}
	}
	if config := l.sshConfig(); strings.Contains(config, "ssh-rsa") || strings.Contains(config, "LocalForward") {
		t.Errorf("the line offers or carries something else:\n%s", config)
	}
}

// The supervisor ends the sessions of a line when ssh waited in vain for a
// greeting, and leaves them alone when ssh could not connect, was killed, or
// was connected for long.
func TestSupervisorEndsALineThatBrokeOff(t *testing.T) {
	t.Parallel()
	relays, _ := lineAnd()
	for name, c := range map[string]struct {
		status, lasted string
		ends           bool
	}{
		"in vain":        {"255", "5", true},
		"refused":        {"255", "0", false},
		"killed":         {"137", "5", false},
		"connected long": {"255", "3600", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session := exec.Command("sleep", "60")
			if err := session.Start(); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			// ps names the session; date goes by what ssh lasted.
			for program, text := range map[string]string{
				"ps":   fmt.Sprintf("[ \"$*\" = '-o pid= -u cutover-relay' ] && echo %d\n", session.Process.Pid),
				"date": "echo $((1000 + " + c.lasted + "))\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is to be run
					t.Fatal(err)
				}
			}
			script := exec.Command("sh", "-c", "PATH=$1:$PATH began=1000\n(exit $2)\n"+relays.endsLine(), "sh", dir, c.status)
			if out, err := script.CombinedOutput(); err != nil && c.ends {
				t.Errorf("%v\n%s", err, out)
			}
			ended := make(chan error, 1)
			go func() { ended <- session.Wait() }()
			select {
			case <-ended:
				if !c.ends {
					t.Error("the session was ended")
				}
			case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 200 * time.Millisecond}[c.ends]):
				if c.ends {
					t.Error("the session goes on")
				}
				_ = session.Process.Kill()
				<-ended
			}
		})
	}
}
