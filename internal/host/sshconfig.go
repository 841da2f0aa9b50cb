package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// target is one machine to connect to: a Config with ssh_config and ssh's
// defaults filled in.
type target struct {
	Config
	host           string   // to dial: ssh_config's HostName, else the address
	port           string   // to dial
	login          string   // user name
	alias          string   // as which known_hosts knows it, without a port; "" is host and port
	identities     []string // files of private keys, of ssh_config or ssh's default ones
	defaults       bool     // whether identities are ssh's default ones
	certificates   []string // files, of ssh_config
	identitiesOnly bool     // whether the agent may offer only keys of identities
	agentSocket    string   // "" where there is none
	knownHosts     []string // files
	proxyCommand   string
	via            []*target // bastions, in order
	keys           keyFiles  // set by readKeys
}

func (t *target) addr() string { return net.JoinHostPort(t.host, t.port) }

// maxJumps ends a ProxyJump that leads back to itself.
const maxJumps = 16

// resolve fills in what c leaves open from ssh_config and ssh's defaults.
func resolve(c Config) (*target, error) { return resolveJump(c, 0) }

func resolveJump(c Config, depth int) (*target, error) {
	if depth > maxJumps {
		return nil, fmt.Errorf("host %q: ProxyJump of ssh_config leads through more than %d hosts, or in a circle", c.Name, maxJumps)
	}
	alias := c.Address
	if alias == "" {
		alias = c.Name
	}
	local, err := localUser()
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", c.Name, err)
	}
	conf, err := readSSHConfig(c.SSHConfigPath, sshConfigQuery{alias: alias, user: c.User, local: local})
	if err != nil {
		return nil, fmt.Errorf("host %q: unable to read ssh_config: %w", c.Name, err)
	}
	t := &target{Config: c, host: alias, port: "22", login: local.Username, agentSocket: os.Getenv("SSH_AUTH_SOCK")}
	if i := strings.LastIndexByte(t.login, '\\'); i >= 0 { // DOMAIN\user of Windows
		t.login = t.login[i+1:]
	}
	if v := conf.get("HostName"); v != "" {
		t.host = strings.ReplaceAll(v, "%h", alias)
	}
	t.host = strings.Trim(t.host, "[]") // an IPv6 address as in a URL
	if v := conf.get("User"); v != "" {
		t.login = v
	}
	if c.User != "" {
		t.login = c.User
	}
	if v := conf.get("Port"); v != "" {
		t.port = v
	}
	if c.Port != 0 {
		t.port = strconv.Itoa(c.Port)
	}
	t.alias = conf.get("HostKeyAlias")
	t.identitiesOnly = strings.EqualFold(conf.get("IdentitiesOnly"), "yes")
	expand := func(words []string) []string {
		var paths []string
		for _, word := range words {
			paths = append(paths, t.expand(word, alias, local))
		}
		return paths
	}
	t.identities = expand(conf.all("IdentityFile"))
	if len(t.identities) == 0 {
		t.defaults = true
		t.identities = expand([]string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"})
	}
	t.certificates = expand(conf.all("CertificateFile"))
	if c.KnownHostsPath != "" {
		t.knownHosts = expand([]string{c.KnownHostsPath})
	} else {
		t.knownHosts = expand(words(conf.get("UserKnownHostsFile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
		t.knownHosts = append(t.knownHosts, expand(words(conf.get("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"))...)
	}
	switch v := conf.get("IdentityAgent"); {
	case v == "" || v == "SSH_AUTH_SOCK":
	case strings.EqualFold(v, "none"):
		t.agentSocket = ""
	case strings.HasPrefix(v, "$"):
		t.agentSocket = os.Getenv(strings.Trim(v[1:], "{}"))
	default:
		t.agentSocket = t.expand(v, alias, local)
	}
	return t, t.route(conf, depth)
}

// route sets the bastions.
func (t *target) route(conf sshConfig, depth int) error {
	jumps := t.Bastions
	if len(jumps) == 0 {
		jump := conf.get("ProxyJump")
		if jump == "" || strings.EqualFold(jump, "none") {
			if v := conf.get("ProxyCommand"); !strings.EqualFold(v, "none") {
				t.proxyCommand = v
			}
			return t.refuseProxyCommand()
		}
		for _, hop := range strings.Split(jump, ",") {
			c, err := parseJump(strings.TrimSpace(hop))
			if err != nil {
				return fmt.Errorf("host %q: ProxyJump of ssh_config: %w", t.Name, err)
			}
			c.SSHConfigPath, c.ConnectTimeout, c.KeepaliveInterval, c.Log = t.SSHConfigPath, t.ConnectTimeout, t.KeepaliveInterval, t.Log
			jumps = append(jumps, c)
		}
	}
	for i, jump := range jumps {
		hop, err := resolveJump(jump, depth+1)
		if err != nil {
			return err
		}
		if i == 0 { // what stands before the first hop is the hop's own affair, as with ssh -J
			t.via = append(t.via, hop.via...)
		}
		t.via = append(t.via, hop)
	}
	return nil
}

func (t *target) refuseProxyCommand() error {
	if t.proxyCommand == "" {
		return nil
	}
	return fmt.Errorf("host %q: ssh_config reaches it through a ProxyCommand (%s), which is not supported; name the hosts on the way in bastions, or in ProxyJump", t.Name, t.proxyCommand)
}

// parseJump reads one hop of ProxyJump: [user@]host[:port] or ssh://….
func parseJump(hop string) (Config, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(hop, "ssh://"), "/")
	var c Config
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		c.User, rest = rest[:i], rest[i+1:]
	}
	if h, p, err := net.SplitHostPort(rest); err == nil {
		port, err := strconv.Atoi(p)
		if err != nil {
			return c, fmt.Errorf("%q has no numeric port", hop)
		}
		rest, c.Port = h, port
	}
	c.Name, c.Address = hop, rest
	return c, c.Validate()
}

// expand replaces ~ and the tokens that ssh_config(5) gives for file names.
func (t *target) expand(path, alias string, local *user.User) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = filepath.Join(local.HomeDir, path[1:])
	}
	return strings.NewReplacer("%%", "%", "%d", local.HomeDir, "%h", t.host, "%n", alias,
		"%p", t.port, "%r", t.login, "%u", local.Username, "%i", local.Uid).Replace(path)
}

// localUser prefers $HOME over the passwd entry for the home, as shells do.
func localUser() (*user.User, error) {
	local, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("unable to tell who runs this: %w", err)
	}
	who := *local
	if home, err := os.UserHomeDir(); err == nil {
		who.HomeDir = home
	}
	return &who, nil
}

func words(value, or string) []string {
	if value == "" {
		value = or
	}
	if strings.EqualFold(value, "none") {
		return nil
	}
	return strings.Fields(strings.ReplaceAll(value, `"`, ""))
}

// sshConfig holds the settings that apply to one host, most significant first.
type sshConfig []*ssh_config.Config

func (s sshConfig) all(key string) (values []string) {
	for _, conf := range s {
		if found, err := conf.GetAll("", key); err == nil {
			values = append(values, found...)
		}
	}
	return values
}

func (s sshConfig) get(key string) string {
	if values := s.all(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// readSSHConfig reads path, or ssh's own files where it is "".
func readSSHConfig(path string, query sshConfigQuery) (sshConfig, error) {
	paths := []string{path}
	switch path {
	case "none":
		return nil, nil
	case "":
		paths = []string{filepath.Join(query.local.HomeDir, ".ssh", "config"), "/etc/ssh/ssh_config"}
	}
	var conf sshConfig
	for _, file := range paths {
		if strings.HasPrefix(file, "~/") {
			file = filepath.Join(query.local.HomeDir, file[1:])
		}
		lines, err := query.applying(file)
		if errors.Is(err, os.ErrNotExist) && path == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		one, err := ssh_config.DecodeBytes([]byte(strings.Join(lines, "\n") + "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		conf = append(conf, one)
	}
	return conf, nil
}
