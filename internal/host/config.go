package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config is all that is known of a host before it is connected. An option
// that is not given comes from ssh_config, and after that from ssh's defaults.
type Config struct {
	Name    string // key in the provider's map of hosts
	Address string // name, IP address or alias of ssh_config; "" is Name
	Port    int    // TCP port of sshd, 1 to 65535; 0 is ssh_config's, then 22
	User    string // login; "" is ssh_config's, then the local user's name

	PrivateKey           string // OpenSSH or PEM private key
	PrivateKeyPath       string // a file with one, instead of PrivateKey
	PrivateKeyPassphrase string // of an encrypted key
	Certificate          string // OpenSSH certificate of the key: its text or its path
	Password             string // for the methods password and keyboard-interactive
	Agent                *bool  // nil: an agent is used where there is one

	HostKeys              []string // "ssh-ed25519 AAAA…"; where given, nothing else is believed
	KnownHostsPath        string   // "" is ssh_config's UserKnownHostsFile, then ssh's own files
	InsecureIgnoreHostKey bool     // believe any host key

	Bastions         []Config // hosts to go through, in order; none: ssh_config's ProxyJump
	Become           Become   // how commands get root's rights
	LegacyAlgorithms bool     // offer what an sshd of long ago needs, such as SHA-1

	ConnectTimeout    time.Duration // a whole connect with its retries; 0 is 15 s
	KeepaliveInterval time.Duration // between probes of an idle line; 0 is 15 s; three missed end it
	SSHConfigPath     string        // "" is ~/.ssh/config, then /etc/ssh/ssh_config; "none" is none

	// Log, where not nil, is told of connections and commands, never of input.
	Log func(ctx context.Context, msg string, fields map[string]any)
}

// Become says how commands get root's rights on a host.
type Become struct {
	Method   string // "", "sudo" or "doas"
	Password string // the login's own password; "" where the rule asks for none
}

// ConfigError is an option that cannot be right whatever the host says.
type ConfigError struct {
	Host      string // Config.Name
	Attribute string // as the provider's block calls the option, such as "private_key_path"
	Err       error
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("host %q: %s: %v", e.Host, e.Attribute, e.Err)
}

func (e *ConfigError) Unwrap() error { return e.Err }

const (
	defaultTimeout   = 15 * time.Second
	defaultKeepalive = 15 * time.Second
)

// Validate checks what can be told without a connection and without reading a
// file. Its errors are *ConfigError, several of them joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(attribute, format string, args ...any) {
		errs = append(errs, &ConfigError{Host: c.Name, Attribute: attribute, Err: fmt.Errorf(format, args...)})
	}
	if c.Name == "" && c.Address == "" {
		bad("address", "is empty")
	}
	if strings.ContainsAny(c.Address, " \t\n/@\x00") {
		bad("address", "%q is no host name, address or alias", c.Address)
	}
	if c.Port < 0 || c.Port > 65535 {
		bad("port", "%d is not between 1 and 65535", c.Port)
	}
	if c.PrivateKey != "" && c.PrivateKeyPath != "" {
		bad("private_key_path", "private_key is given too; give one of them")
	}
	if c.PrivateKey != "" {
		if _, err := parseKey([]byte(c.PrivateKey), c.PrivateKeyPassphrase); err != nil {
			attribute := "private_key"
			if errors.Is(err, errNeedsPassphrase) || errors.Is(err, errWrongPassphrase) {
				attribute = "private_key_passphrase"
			}
			bad(attribute, "%w", err)
		}
	}
	for _, pin := range c.HostKeys {
		if _, err := parsePin(pin); err != nil {
			bad("host_key", "%w", err)
		}
	}
	if len(c.HostKeys) > 0 && c.InsecureIgnoreHostKey {
		bad("insecure_ignore_host_key", "host_key is given too; give one of them")
	}
	if !slices.Contains([]string{"", "sudo", "doas"}, c.Become.Method) {
		bad("become.method", `%q is neither "sudo" nor "doas"`, c.Become.Method)
	}
	if c.Become.Method == "" && c.Become.Password != "" {
		bad("become.password", "is of no use without become.method")
	}
	if strings.ContainsAny(c.Become.Password, "\n\r\x00") {
		bad("become.password", "holds a line break, which nobody can type")
	}
	if c.ConnectTimeout < 0 {
		bad("connect_timeout", "is negative")
	}
	if c.KeepaliveInterval < 0 {
		bad("keepalive_interval", "is negative")
	}
	for _, bastion := range c.Bastions {
		if err := bastion.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c Config) timeout() time.Duration {
	if c.ConnectTimeout > 0 {
		return c.ConnectTimeout
	}
	return defaultTimeout
}

func (c Config) keepalive() time.Duration {
	if c.KeepaliveInterval > 0 {
		return c.KeepaliveInterval
	}
	return defaultKeepalive
}

func (c Config) log(ctx context.Context, msg string, fields map[string]any) {
	if c.Log == nil {
		return
	}
	if fields == nil {
		fields = map[string]any{}
	}
	fields["host"] = c.Name
	c.Log(ctx, msg, fields)
}

// parsePin reads a host key in the form of authorized_keys or of known_hosts.
func parsePin(pin string) (ssh.PublicKey, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(pin)))
	if err != nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("%.60q is not one public key such as \"ssh-ed25519 AAAA…\"", pin)
	}
	return key, nil
}
