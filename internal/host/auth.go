package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// credentials is everything that a login may be tried with, and a record of
// what was: an error that only says "unable to authenticate" helps nobody.
type credentials struct {
	keys     []identity
	password string
	agent    net.Conn // open while keys of an agent are in use; nil without

	mu      sync.Mutex
	tried   []string
	notes   []string // what was left out, and why
	offered []string // methods that the server named last
}

// gather collects the credentials of t: keys given, the agent's, those of
// ssh_config, in the order in which they are offered.
func gather(ctx context.Context, t *target) (*credentials, error) {
	c := &credentials{password: t.Password}
	certs, err := t.readCertificates(c)
	if err != nil {
		return nil, err
	}
	given, err := t.givenKey()
	if err != nil {
		return nil, err
	}
	files := t.identityFiles(c, len(given) > 0)
	if err := c.addAgent(ctx, t, given, files); err != nil {
		return nil, err
	}
	keys := append(given, c.keys...)
	for _, file := range files {
		if file.signer != nil {
			keys = append(keys, identity{file.signer, "identity file " + file.path})
		}
	}
	if c.keys, err = withCertificates(keys, certs); err != nil {
		c.close()
		return nil, &ConfigError{Host: t.Name, Attribute: "certificate", Err: err}
	}
	c.keys = withoutRepeats(c.keys)
	if len(c.keys) == 0 && c.password == "" {
		c.notes = append(c.notes, "there is neither a key nor a password to log in with")
	}
	return c, nil
}

func (t *target) readCertificates(c *credentials) ([]*ssh.Certificate, error) {
	var certs []*ssh.Certificate
	if t.Certificate != "" {
		cert, err := parseCertificate(t.Certificate)
		if err != nil {
			return nil, &ConfigError{Host: t.Name, Attribute: "certificate", Err: err}
		}
		certs = append(certs, cert)
	}
	files := t.certificates
	for _, path := range append([]string{t.PrivateKeyPath}, t.identities...) {
		if path != "" { // ssh looks for a certificate beside each key
			files = append(files, t.home(path)+"-cert.pub")
		}
	}
	for _, path := range files {
		cert, err := parseCertificate(path)
		if err == nil {
			certs = append(certs, cert)
		} else if !errors.Is(err, os.ErrNotExist) {
			c.notes = append(c.notes, fmt.Sprintf("certificate %s left out: %v", path, err))
		}
	}
	return certs, nil
}

func (t *target) home(path string) string {
	local, err := localUser()
	if err != nil {
		return path
	}
	return t.expand(path, t.host, local)
}

// givenKey is the key of the options; that it cannot be used is an error.
func (t *target) givenKey() ([]identity, error) {
	text, attribute, origin := []byte(t.PrivateKey), "private_key", "private_key"
	if t.PrivateKeyPath != "" {
		path := t.home(t.PrivateKeyPath)
		attribute, origin = "private_key_path", "private_key_path "+path
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, &ConfigError{Host: t.Name, Attribute: attribute, Err: err}
		}
	}
	if len(text) == 0 {
		return nil, nil
	}
	signer, err := parseKey(text, t.PrivateKeyPassphrase)
	if err != nil {
		if errors.Is(err, errNeedsPassphrase) || errors.Is(err, errWrongPassphrase) {
			err = fmt.Errorf("%s: %w", origin, err)
			attribute = "private_key_passphrase"
		}
		return nil, &ConfigError{Host: t.Name, Attribute: attribute, Err: err}
	}
	return []identity{{signer, origin}}, nil
}

// identityFile is a key of ssh_config: its private half where it can be read,
// its public half where at least that can.
type identityFile struct {
	path   string
	signer ssh.Signer
	public ssh.PublicKey
}

// identityFiles reads the keys of ssh_config. Ssh's default ones count only
// where nothing else was said.
func (t *target) identityFiles(c *credentials, given bool) []identityFile {
	if t.defaults && given {
		return nil
	}
	var files []identityFile
	for _, path := range t.identities {
		file := identityFile{path: path}
		if text, err := os.ReadFile(path + ".pub"); err == nil {
			file.public, _, _, _, _ = ssh.ParseAuthorizedKey(text)
		}
		text, err := os.ReadFile(path)
		if err == nil {
			file.signer, err = parseKey(text, t.PrivateKeyPassphrase)
		}
		if file.signer != nil {
			file.public = file.signer.PublicKey()
		}
		if err != nil && file.public == nil && !(t.defaults && errors.Is(err, os.ErrNotExist)) ||
			errors.Is(err, errNeedsPassphrase) || errors.Is(err, errWrongPassphrase) {
			c.notes = append(c.notes, fmt.Sprintf("identity file %s left out: %v", path, err))
		}
		files = append(files, file)
	}
	return files
}

// addAgent adds the agent's keys. With IdentitiesOnly those alone count that
// a key or a file names, unless the option agent asks for all of them.
func (c *credentials) addAgent(ctx context.Context, t *target, given []identity, files []identityFile) error {
	wanted := t.Agent != nil && *t.Agent
	if t.Agent != nil && !*t.Agent {
		return nil
	}
	if t.agentSocket == "" {
		if wanted {
			return &ConfigError{Host: t.Name, Attribute: "agent", Err: errors.New("there is no agent: SSH_AUTH_SOCK is not set")}
		}
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", t.agentSocket)
	var signers []ssh.Signer
	if err == nil {
		if signers, err = agent.NewClient(conn).Signers(); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		if wanted {
			return &ConfigError{Host: t.Name, Attribute: "agent", Err: fmt.Errorf("the agent at %s does not answer: %w", t.agentSocket, err)}
		}
		c.notes = append(c.notes, fmt.Sprintf("agent at %s left out: %v", t.agentSocket, err))
		return nil
	}
	c.agent = conn
	named := func(key ssh.PublicKey) bool {
		for _, g := range given {
			if sameKey(g.signer.PublicKey(), key) {
				return true
			}
		}
		for _, file := range files {
			if file.public != nil && sameKey(file.public, key) {
				return true
			}
		}
		return false
	}
	for _, signer := range signers {
		if wanted || !t.identitiesOnly || named(signer.PublicKey()) {
			c.keys = append(c.keys, identity{signer, "agent"})
		}
	}
	return nil
}

func withoutRepeats(keys []identity) []identity {
	seen := map[string]bool{}
	var once []identity
	for _, key := range keys {
		if blob := string(key.signer.PublicKey().Marshal()); !seen[blob] {
			seen[blob] = true
			once = append(once, key)
		}
	}
	return once
}

// methods are the ways to log in, in the order in which they are tried; each
// records that it was.
func (c *credentials) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if len(c.keys) > 0 {
		methods = append(methods, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			signers := make([]ssh.Signer, len(c.keys))
			for i, key := range c.keys {
				signers[i] = key.signer
				c.record(key.String())
			}
			return signers, nil
		}))
	}
	if c.password != "" {
		methods = append(methods,
			ssh.PasswordCallback(func() (string, error) {
				c.record("password")
				return c.password, nil
			}),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if echos[i] {
						return nil, fmt.Errorf("keyboard-interactive asks %q, which only a person can answer", questions[i])
					}
					answers[i] = c.password
					c.record("keyboard-interactive with the password")
				}
				return answers, nil
			}))
	}
	return methods
}

func (c *credentials) record(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried = append(c.tried, what)
}

// watch learns which methods the server offers; it never chooses one.
func (c *credentials) watch(auth *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered = auth.AllowedMethods
	return nil, nil
}

// explain says what a refused login was tried with.
func (c *credentials) explain() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := func(items []string, none string) string {
		if len(items) == 0 {
			return none
		}
		return strings.Join(items, "; ")
	}
	text := "tried: " + list(c.tried, "nothing") + ". The server offers: " + list(c.offered, "it did not say") + "."
	if len(c.notes) > 0 {
		text += " Note: " + strings.Join(c.notes, "; ") + "."
	}
	return text
}

func (c *credentials) close() {
	if c.agent != nil {
		c.agent.Close()
		c.agent = nil
	}
}
