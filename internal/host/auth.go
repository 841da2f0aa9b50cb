package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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
	c := &credentials{password: t.Password, notes: slices.Clone(t.keys.notes)}
	if err := c.addAgent(ctx, t, t.keys.given, t.keys.files); err != nil {
		return nil, err
	}
	keys := append(slices.Clone(t.keys.given), c.keys...)
	for _, file := range t.keys.files {
		if file.signer != nil {
			keys = append(keys, identity{file.signer, "identity file " + file.path})
		}
	}
	var err error
	if c.keys, err = withCertificates(keys, t.keys.certificates); err != nil {
		c.close()
		return nil, &ConfigError{Host: t.Name, Attribute: "certificate", Err: err}
	}
	c.keys = withoutRepeats(c.keys)
	if len(c.keys) == 0 && c.password == "" {
		c.notes = append(c.notes, "there is neither a key nor a password to log in with")
	}
	return c, nil
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
