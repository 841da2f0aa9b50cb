package tunnel

import (
	"strings"
	"testing"
)

func forward(port int) Forward {
	return Forward{ListenAddress: Everywhere, ListenPort: port, TargetHost: Localhost, TargetPort: port}
}

func example() Tunnel {
	return Tunnel{
		Name:            "relay",
		Forwards:        []Forward{forward(80), forward(25), {ListenAddress: "2001:db8::1", ListenPort: 8025, TargetHost: "::1", TargetPort: 25}},
		ToAddress:       "new.example.net",
		ToPort:          22,
		SourceAddresses: []string{"192.0.2.1", "2001:db8::1"},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := example().Validate(); err != nil {
		t.Fatalf("a good tunnel is refused: %v", err)
	}
	for says, spoil := range map[string]func(*Tunnel){
		"lower-case":          func(t *Tunnel) { t.Name = "a;reboot" },
		"starts with a":       func(t *Tunnel) { t.Name = "-x" },
		"up to 24":            func(t *Tunnel) { t.Name = strings.Repeat("a", 25) },
		"at least one port":   func(t *Tunnel) { t.Forwards = nil },
		"listed twice":        func(t *Tunnel) { t.Forwards = []Forward{forward(25), forward(25)} },
		"70000 is no TCP":     func(t *Tunnel) { t.Forwards = []Forward{forward(70000)} },
		"0 is no TCP":         func(t *Tunnel) { t.Forwards = []Forward{forward(0)} },
		"to listen on":        func(t *Tunnel) { t.Forwards[0].ListenAddress = "eth0" },
		"no host name":        func(t *Tunnel) { t.Forwards[0].TargetHost = "a b" },
		"of the new host":     func(t *Tunnel) { t.ToAddress = "x\nProxyCommand evil" },
		"neither an IP":       func(t *Tunnel) { t.SourceAddresses = []string{`1.2.3.4",command="x`} },
		"(*:25 and 10.0.0.1:": func(t *Tunnel) { t.Forwards = []Forward{forward(25), {"10.0.0.1", 25, Localhost, 26}} },
	} {
		bad := example()
		spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want an error with %q, got %v", says, err)
		}
	}
}

func TestFilesTellWhatTheyAre(t *testing.T) {
	t.Parallel()
	for _, init := range []string{systemd, sysv} {
		for _, file := range example().relayFiles(init, []string{"ssh-ed25519 AAAA"}) {
			if !strings.Contains(file.content, "Managed by Terraform: cutover_forwarding_tunnel \"relay\"") {
				t.Errorf("%s does not say whose it is", file.path)
			}
			if !strings.Contains(file.path, "cutover") {
				t.Errorf("%s is not recognisable as ours", file.path)
			}
		}
	}
}

func TestImportReadsBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	wrote := example()
	read := Tunnel{Name: wrote.Name}
	if err := read.parse(wrote.sshConfig(), wrote.authorizedKeys("ssh-ed25519 AAAA host", "OpenSSH_9.2")); err != nil {
		t.Fatal(err)
	}
	if read.sshConfig() != wrote.sshConfig() {
		t.Errorf("read back\n%s\nwrote\n%s", read.sshConfig(), wrote.sshConfig())
	}
	if strings.Join(read.SourceAddresses, " ") != strings.Join(wrote.SourceAddresses, " ") {
		t.Errorf("source addresses %q, want %q", read.SourceAddresses, wrote.SourceAddresses)
	}
}

func TestAuthorizedKeys(t *testing.T) {
	t.Parallel()
	const options = `command="/bin/false",permitopen="localhost:25",permitopen="localhost:80",permitopen="[::1]:25",from="192.0.2.1,2001:db8::1" ssh-ed25519 AAAA cutover-tunnel-relay` + "\n"
	for version, start := range map[string]string{
		"OpenSSH_10.0": `restrict,port-forwarding,permitlisten="127.0.0.1:1",`,
		"OpenSSH_7.4":  "restrict,port-forwarding,",
		"OpenSSH_6.7":  "no-pty,no-agent-forwarding,no-X11-forwarding,no-user-rc,",
	} {
		got := example().authorizedKeys("ssh-ed25519 AAAA root@old", version)
		if want := example().header() + start + options; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"OpenSSH_5.5": false, "OpenSSH_6.7": false, "OpenSSH_7.1": false, "OpenSSH_7.2": true,
		"OpenSSH_8.4": true, "OpenSSH_10.0": true, "": true,
	} {
		if got := atLeast(version, 7, 2); got != want {
			t.Errorf("%q: got %v", version, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"*", "127.0.0.1", true}, {"::", "*", true}, {"0.0.0.0", "*", true},
		{"0.0.0.0", "127.0.0.1", true}, {"0.0.0.0", "::1", false},
		{"127.0.0.1", "*", true}, {"127.0.0.1", "10.0.0.1", false}, {"::1", "::1", true},
		{"::1", "0:0:0:0:0:0:0:1", true},
	} {
		if got := overlap(c.a, c.b); got != c.want {
			t.Errorf("overlap(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

func TestFastestCipherFirst(t *testing.T) {
	t.Parallel()
	for offered, want := range map[string]string{
		"": "",
		"chacha20-poly1305@openssh.com,aes128-ctr":                                               "",
		"chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com": "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com",
		"aes128-gcm@openssh.com,aes128-ctr":                                                      "aes128-gcm@openssh.com,aes128-ctr",
	} {
		if got := fastestFirst(offered); got != want {
			t.Errorf("of %q: %q, want %q", offered, got, want)
		}
	}
	made := Tunnel{Name: "relay", Forwards: []Forward{forward(25)}, ToAddress: "192.0.2.2", ToPort: 22, ciphers: "aes128-gcm@openssh.com,aes128-ctr"}
	read := Tunnel{Name: "relay"}
	if err := read.parse(made.sshConfig(), ""); err != nil || read.sshConfig() != made.sshConfig() {
		t.Errorf("read back as\n%s (%v), want\n%s", read.sshConfig(), err, made.sshConfig())
	}
}

func TestPatternsOfSshd(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		"cutover-relay": true, "cutover-*": true, "*": true, "cutover-rela?": true, "cutover-relay@192.0.2.*": true,
		"root": false, "cutover": false, "*-x": false, "[": false,
	} {
		if got := named([]string{"root", pattern}, "cutover-relay"); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
