package tunnel

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// parse reads back from the files of a host what the tunnel is: what an import
// knows of it.
func (t *Tunnel) parse(sshConfig, authorizedKeys string) error {
	t.Forwards, t.Mode, t.ciphers, t.InitiateFrom = nil, "", "", OldHost
	if strings.Contains(sshConfig, initiatedByNew) {
		t.InitiateFrom = NewHost
	}
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
		case "HostKeyAlgorithms":
			t.legacy = true
		case "LocalForward", "RemoteForward":
			if fields[0] == "RemoteForward" {
				t.Mode = overLine
			}
			if len(fields) != 3 {
				return fmt.Errorf("%s/ssh_config has a forward without a target: %s", t.directory(), line)
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
