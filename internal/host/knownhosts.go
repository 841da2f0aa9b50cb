package host

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // known_hosts has hashed names so (sshd(8)); it keeps no secret
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// knownKey is a line of a known_hosts file that is about the host in question.
// The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
type knownKey struct {
	file   string
	line   int
	marker string // "", "@cert-authority" or "@revoked"
	key    ssh.PublicKey
}

const (
	markerCA      = "@cert-authority"
	markerRevoked = "@revoked"
)

// knownHostsName is the name by which known_hosts has a host at a port.
func knownHostsName(host, port string) string {
	if port == "22" {
		return host
	}
	return "[" + host + "]:" + port
}

// readKnownKeys returns the lines of known_hosts files about a name. A file that
// is not there has none. Ssh skips a line that it cannot read, and so one line of
// twenty years ago bars the way to no host; odd is told of each.
func readKnownKeys(files []string, name string, odd func(file string, line int, err error)) ([]knownKey, error) {
	var found []knownKey
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(text), "\n") {
			known, err := parseKnownKey(line, name)
			if err != nil {
				odd(file, i+1, err)
			}
			if known.key != nil {
				known.file, known.line = file, i+1
				found = append(found, known)
			}
		}
	}
	return found, nil
}

// parseKnownKey reads one line. Its key is nil where the line is about another host.
func parseKnownKey(line, name string) (knownKey, error) {
	var known knownKey
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return known, nil
	}
	if strings.HasPrefix(words[0], "@") {
		if words[0] != markerCA && words[0] != markerRevoked {
			return known, fmt.Errorf("%q is no marker", words[0])
		}
		known.marker, words = words[0], words[1:]
	}
	if len(words) < 3 {
		return known, errors.New("there are less than a host, a type of key and a key")
	}
	matches, err := matchKnownHost(words[0], name)
	if err != nil {
		return known, err
	}
	blob, err := base64.StdEncoding.DecodeString(words[2])
	if err != nil {
		return known, fmt.Errorf("the key is no base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return known, fmt.Errorf("the key cannot be read: %w", err)
	}
	if key.Type() != words[1] {
		return known, fmt.Errorf("it says %s, and its key is %s", words[1], key.Type())
	}
	if matches {
		known.key = key
	}
	return known, nil
}

// matchKnownHost tells whether the first field of a line is about a name, which
// is in lower case. Patterns are compared as ssh does it: "[a]:2222" is a name
// like any other, and case does not count.
func matchKnownHost(field, name string) (bool, error) {
	if rest, hashed := strings.CutPrefix(field, "|1|"); hashed {
		salt, hash, _ := strings.Cut(rest, "|")
		key, err := base64.StdEncoding.DecodeString(salt)
		want, err2 := base64.StdEncoding.DecodeString(hash)
		if err = errors.Join(err, err2); err != nil || len(key) != sha1.Size || len(want) != sha1.Size {
			return false, fmt.Errorf("%q is no hashed name", field)
		}
		mac := hmac.New(sha1.New, key)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), want), nil
	}
	matches := false
	for pattern := range strings.SplitSeq(strings.ToLower(field), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if matchPattern(pattern, name) {
			if negated {
				return false, nil
			}
			matches = true
		}
	}
	return matches, nil
}

// matchPattern matches * and ? as ssh_config(5), "PATTERNS".
func matchPattern(pattern, name string) bool {
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '*':
			rest := strings.TrimLeft(pattern[i:], "*")
			for ; ; name = name[1:] {
				if matchPattern(rest, name) {
					return true
				}
				if name == "" {
					return false
				}
			}
		case name == "" || pattern[i] != '?' && pattern[i] != name[0]:
			return false
		}
		name = name[1:]
	}
	return name == ""
}

// knownKeys are the lines of t's known_hosts about it. Where none names its port,
// ssh believes a key that is known for the name alone (exact is false then).
func (t *target) knownKeys(ctx context.Context) (keys []knownKey, exact bool, err error) {
	noted := map[string]bool{}
	odd := func(file string, line int, err error) {
		where := fmt.Sprintf("%s:%d", file, line)
		if !noted[where] {
			noted[where] = true
			t.log(ctx, "a line of known_hosts cannot be read and is skipped", map[string]any{"line": where, "error": err.Error()})
		}
	}
	keys, err = readKnownKeys(t.knownHosts, t.knownName(), odd)
	if err == nil && len(keys) == 0 && t.alias == "" && t.port != "22" {
		keys, err = readKnownKeys(t.knownHosts, t.host, odd)
		return keys, false, err
	}
	return keys, true, err
}

// knownName is the name by which known_hosts has t.
func (t *target) knownName() string {
	if t.alias != "" {
		return t.alias
	}
	return knownHostsName(strings.ToLower(t.host), t.port)
}

// certificateName is the name that a certificate of t has to be for, in the form
// that ssh.CertChecker wants.
func (t *target) certificateName() string {
	return net.JoinHostPort(or(t.alias, strings.ToLower(t.host)), "22")
}
