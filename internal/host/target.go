package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// target is one machine to connect to: a Config with ssh_config and ssh's
// defaults filled in.
type target struct {
	Config
	host           string    // to dial: ssh_config's HostName, else the address
	port           string    // to dial
	family         string    // "tcp", "tcp4" or "tcp6"
	from           string    // address to dial from; "" is any
	login          string    // user name
	alias          string    // as which known_hosts knows it, without a port; "" is host and port
	identities     []string  // files of private keys, of ssh_config or ssh's default ones
	defaults       bool      // whether identities are ssh's default ones
	certificates   []string  // files, of ssh_config
	identitiesOnly bool      // whether the agent may offer only keys of identities
	agentSocket    string    // "" where there is none
	knownHosts     []string  // files
	revokedKeys    []string  // files of host keys that are refused
	proxyCommand   string    // whose standard input and output are the connection; "" is none
	via            []*target // bastions, in order
	keys           keyFiles  // set by readKeys
}

func (t *target) addr() string { return net.JoinHostPort(t.host, t.port) }

// maxJumps ends a ProxyJump that leads back to itself.
const maxJumps = 16

// Ssh's own defaults, where no ssh_config is read.
var (
	defaultIdentities       = []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"}
	defaultUserKnownHosts   = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	defaultGlobalKnownHosts = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
)

// resolve fills in what c leaves open from ssh_config and ssh's defaults.
func resolve(ctx context.Context, c Config) (*target, error) {
	return resolveJump(ctx, c, 0, len(c.Bastions) > 0)
}

// resolveJump resolves a host that is so many jumps away from the one asked for.
// Where the way to it is given (direct), ssh_config is not asked for one.
func resolveJump(ctx context.Context, c Config, depth int, direct bool) (*target, error) {
	if depth > maxJumps {
		return nil, fmt.Errorf("host %q: ProxyJump of ssh_config leads through more than %d hosts, or in a circle", c.Name, maxJumps)
	}
	alias := c.Address
	if alias == "" {
		alias = c.Name
	}
	alias = strings.Trim(alias, "[]") // an IPv6 address as in a URL
	asked, cancel := context.WithTimeoutCause(ctx, c.timeout(), fmt.Errorf("%w (%s)", errConnectTimeout, c.timeout()))
	defer cancel()
	conf, err := readSSHConfig(asked, question{
		path: c.SSHConfigPath, alias: alias, user: c.User, port: c.Port,
		keyed: c.PrivateKey != "" || c.PrivateKeyPath != "", direct: direct,
	})
	if err != nil {
		return nil, fmt.Errorf("host %q: unable to read ssh_config: %w", c.Name, err)
	}
	t := &target{
		Config: c,
		host:   strings.Trim(or(conf.get("hostname"), strings.ToLower(alias)), "[]"),
		port:   or(conf.get("port"), "22"),
		family: map[string]string{"inet": "tcp4", "inet6": "tcp6"}[conf.get("addressfamily")],
		from:   conf.get("bindaddress"),
		login:  or(c.User, conf.get("user")),
		alias:  conf.get("hostkeyalias"),

		identitiesOnly: strings.EqualFold(conf.get("identitiesonly"), "yes"),
		certificates:   withoutNone(conf["certificatefile"]),
	}
	t.family = or(t.family, "tcp")
	if c.Port != 0 {
		t.port = strconv.Itoa(c.Port)
	}
	if t.login == "" {
		if t.login, err = localName(); err != nil {
			return nil, fmt.Errorf("host %q: %w", c.Name, err)
		}
	}
	identities, said := conf["identityfile"]
	if t.identities = withoutNone(identities); !said {
		t.defaults, t.identities = true, inSSHHomes(defaultIdentities)
	}
	t.revokedKeys = withoutNone(conf["revokedhostkeys"])
	t.knownHosts = knownHostsFiles(c, conf)
	t.agentSocket = agentSocket(conf.get("identityagent"))
	return t, t.route(ctx, conf, depth)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// withoutNone leaves out the word none, by which ssh_config says "no file".
func withoutNone(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return strings.EqualFold(file, "none") })
}

func inSSHHomes(files []string) []string {
	var expanded []string
	for _, file := range files {
		expanded = append(expanded, inSSHHome(file))
	}
	return expanded
}

func knownHostsFiles(c Config, conf settings) []string {
	if c.KnownHostsPath != "" {
		return []string{InHome(c.KnownHostsPath)}
	}
	files, said := conf["userknownhostsfile"]
	if !said {
		files = inSSHHomes(defaultUserKnownHosts)
	}
	global, said := conf["globalknownhostsfile"]
	if !said {
		global = defaultGlobalKnownHosts
	}
	return append(files, global...)
}

// agentSocket is the agent that an IdentityAgent names; see ssh_config(5).
func agentSocket(identityAgent string) string {
	switch {
	case identityAgent == "" || identityAgent == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case strings.EqualFold(identityAgent, "none"):
		return ""
	case strings.HasPrefix(identityAgent, "$"):
		return os.Getenv(strings.Trim(identityAgent[1:], "{}"))
	}
	return identityAgent
}

// localName is the name of who runs this, which is ssh's default login.
func localName() (string, error) {
	local, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("unable to tell who runs this: %w", err)
	}
	return local.Username[strings.LastIndexByte(local.Username, '\\')+1:], nil // DOMAIN\user of Windows
}

// route sets the bastions, or the command whose pipe is the connection.
func (t *target) route(ctx context.Context, conf settings, depth int) error {
	jumps := t.Bastions
	if len(jumps) == 0 {
		jump := conf.get("proxyjump")
		if jump == "" || strings.EqualFold(jump, "none") {
			if command := conf.get("proxycommand"); !strings.EqualFold(command, "none") {
				t.proxyCommand = t.expandProxyCommand(command)
			}
			return nil
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
		// What stands before the first hop is the hop's own affair, as with ssh -J.
		hop, err := resolveJump(ctx, jump, depth+1, i > 0 || len(jump.Bastions) > 0)
		if err != nil {
			return err
		}
		if i == 0 {
			t.via = append(t.via, hop.via...)
		}
		t.via = append(t.via, hop)
	}
	return nil
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
