package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// HostKeyError is a host whose key is not the one that it should have, or is
// not known at all. Nothing was sent to it, no password and no command.
type HostKeyError struct {
	Host    string // Config.Name
	Changed bool   // another key is known for it, or this one is refused
	Revoked bool   // this one is revoked
	Detail  string
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("host %q: %s", e.Host, e.Detail)
}

// trust decides about the host keys of one target.
type trust struct {
	check      ssh.HostKeyCallback
	algorithms []string // to ask for, most wanted first
	key        ssh.PublicKey
}

// hostKeyOrder prefers what OpenSSH prefers, so that an unknown host shows the
// key that an admin sees first.
var hostKeyOrder = []string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// newTrust prepares the check of t's host key: pins alone where there are any,
// else known_hosts, else (asked for by name) nothing.
func newTrust(ctx context.Context, t *target) (*trust, error) {
	tr := &trust{algorithms: slices.Clone(hostKeyOrder)}
	if t.LegacyAlgorithms {
		tr.algorithms = append(tr.algorithms, ssh.InsecureAlgorithms().HostKeys...)
	}
	var check ssh.HostKeyCallback
	var first []string
	var err error
	switch {
	case len(t.HostKeys) > 0:
		check, first, err = t.pinned()
	case t.InsecureIgnoreHostKey:
		check = func(string, net.Addr, ssh.PublicKey) error { return nil }
	default:
		check, first, err = t.known(ctx)
	}
	if err != nil {
		return nil, err
	}
	// A key type that is known comes first: a server with several keys must
	// not look changed because it showed one that nobody has noted. The other
	// types stay, so that a real change is told as such.
	var order []string
	for _, algorithm := range append(first, tr.algorithms...) {
		if slices.Contains(tr.algorithms, algorithm) && !slices.Contains(order, algorithm) {
			order = append(order, algorithm)
		}
	}
	tr.algorithms = order
	tr.check = func(name string, remote net.Addr, key ssh.PublicKey) error {
		if err := t.notRevoked(ctx, key); err != nil {
			return err
		}
		if err := check(name, remote, key); err != nil {
			return err
		}
		tr.key = key
		return nil
	}
	return tr, nil
}

func (t *target) pinned() (ssh.HostKeyCallback, []string, error) {
	var pins []ssh.PublicKey
	var first, shown []string
	for _, text := range t.HostKeys {
		pin, err := parsePin(text)
		if err != nil {
			return nil, nil, &ConfigError{Host: t.Name, Attribute: "host_key", Err: err}
		}
		pins = append(pins, pin)
		shown = append(shown, fingerprint(pin))
		if pin.Type() == ssh.KeyAlgoRSA {
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		}
		first = append(first, pin.Type())
	}
	// A pin is of a key, so the server is to show the key and no certificate.
	first = append(first, slices.DeleteFunc(slices.Clone(hostKeyOrder), func(algorithm string) bool {
		return strings.Contains(algorithm, "-cert-")
	})...)
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		for _, pin := range pins {
			if sameKey(pin, key) {
				return nil
			}
			if cert, ok := key.(*ssh.Certificate); ok && sameKey(pin, cert.Key) {
				return nil
			}
		}
		return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf(
			"%s showed the host key %s, but host_key pins %s. Either the machine was installed anew, or somebody stands in between. "+
				"Compare with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console, and only if they agree set, in the provider's block:\n  host_key = [%q]",
			t.addr(), fingerprint(key), strings.Join(shown, ", "), keyFileKind(key), authorizedForm(key))}
	}, first, nil
}

// known is the check against known_hosts.
func (t *target) known(ctx context.Context) (ssh.HostKeyCallback, []string, error) {
	keys, exact, err := t.knownKeys(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("host %q: unable to read known_hosts: %w", t.Name, err)
	}
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		err := t.judge(keys, key)
		var refused *HostKeyError
		if err != nil && !exact && (!errors.As(err, &refused) || !refused.Revoked) {
			return t.unknown(key)
		}
		return err
	}, algorithmsOf(keys), nil
}

// judge tells whether the lines about t let its key count.
func (t *target) judge(keys []knownKey, key ssh.PublicKey) error {
	shown := []ssh.PublicKey{key, plainKey(key)}
	cert, _ := key.(*ssh.Certificate)
	if cert != nil {
		shown = append(shown, cert.SignatureKey)
	}
	for _, known := range keys {
		if known.marker == markerRevoked && slices.ContainsFunc(shown, func(k ssh.PublicKey) bool { return sameKey(k, known.key) }) {
			return &HostKeyError{Host: t.Name, Changed: true, Revoked: true, Detail: fmt.Sprintf("the host key %s of %s is marked as revoked in %s:%d; do not connect",
				fingerprint(key), t.addr(), known.file, known.line)}
		}
	}
	var want []knownKey
	for _, known := range keys {
		switch {
		case known.marker == markerRevoked:
			continue
		case known.marker == markerCA && cert != nil && sameKey(known.key, cert.SignatureKey):
			checker := ssh.CertChecker{IsHostAuthority: func(ssh.PublicKey, string) bool { return true }}
			if err := checker.CheckHostKey(t.certificateName(), &net.TCPAddr{}, cert); err != nil {
				return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf(
					"the host certificate %q of %s is signed by the CA of %s:%d, but is not accepted: %v", cert.KeyId, t.addr(), known.file, known.line, err)}
			}
			return nil
		case known.marker == "" && sameKey(known.key, plainKey(key)):
			return nil
		}
		want = append(want, known)
	}
	if len(want) > 0 {
		return t.changed(key, want)
	}
	return t.unknown(key)
}

// algorithmsOf are the host key algorithms for which something is known.
func algorithmsOf(keys []knownKey) []string {
	var algorithms []string
	for _, known := range keys {
		switch {
		case known.marker == markerRevoked:
		case known.marker == markerCA: // the type of the CA's key says nothing about the host's
			algorithms = append(algorithms, slices.DeleteFunc(slices.Clone(hostKeyOrder), func(a string) bool { return !strings.Contains(a, "-cert-") })...)
		case known.key.Type() == ssh.KeyAlgoRSA:
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA)
		default:
			algorithms = append(algorithms, known.key.Type())
		}
	}
	return algorithms
}

func (t *target) unknown(key ssh.PublicKey) error {
	file := "known_hosts"
	if len(t.knownHosts) > 0 {
		file = t.knownHosts[0]
	}
	return &HostKeyError{Host: t.Name, Detail: fmt.Sprintf(
		"the host key of %s is not known.\nIt showed: %s\nCompare that with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console first. If they agree, add this line to %s:\n  %s\nor set, in the provider's block:\n  host_key = [%q]",
		t.addr(), fingerprint(key), keyFileKind(key), file, t.knownLine(key), authorizedForm(key))}
}

// knownLine is the line of known_hosts that makes a key known.
func (t *target) knownLine(key ssh.PublicKey) string {
	return t.knownName() + " " + authorizedForm(key)
}

func (t *target) changed(key ssh.PublicKey, want []knownKey) error {
	var old []string
	same := false
	for _, known := range want {
		same = same || known.key.Type() == key.Type()
		what := "has"
		if known.marker == markerCA {
			what = "has the CA"
		}
		old = append(old, fmt.Sprintf("%s:%d %s %s", known.file, known.line, what, fingerprint(known.key)))
	}
	what := "THE HOST KEY HAS CHANGED."
	if !same {
		what = "THE HOST KEY IS OF A KIND THAT IS NOT KNOWN FOR THIS HOST."
	}
	return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf(
		"%s %s showed %s, but\n  %s\nEither the machine was installed anew, or somebody stands in between and listens. Nothing was sent. "+
			"Compare with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console, and only if they agree replace the old line by:\n  %s",
		what, t.addr(), fingerprint(key), strings.Join(old, "\n  "), keyFileKind(key), t.knownLine(key))}
}

func plainKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// keyFileKind is the part of sshd's key file name that tells the kind.
func keyFileKind(key ssh.PublicKey) string {
	switch kind := plainKey(key).Type(); {
	case kind == ssh.KeyAlgoRSA:
		return "rsa"
	case strings.HasPrefix(kind, "ecdsa"):
		return "ecdsa"
	case kind == "ssh-dss":
		return "dsa"
	}
	return "ed25519"
}

// notRevoked tells whether the key is in a file of RevokedHostKeys of ssh_config: a
// list of public keys, or what ssh-keygen -k makes. A file that cannot be read refuses
// every key, as with ssh.
func (t *target) notRevoked(ctx context.Context, key ssh.PublicKey) error {
	for _, file := range t.revokedKeys {
		if reason := revokedIn(ctx, file, key); reason != "" {
			return &HostKeyError{Host: t.Name, Changed: true, Revoked: true, Detail: fmt.Sprintf(
				"the host key %s of %s is refused: RevokedHostKeys of ssh_config names %s, %s", fingerprint(key), t.addr(), file, reason)}
		}
	}
	return nil
}

// revokedIn says why a file of revoked keys refuses a key, or "".
func revokedIn(ctx context.Context, file string, key ssh.PublicKey) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Sprintf("which cannot be read: %v", err)
	}
	keys := []ssh.PublicKey{plainKey(key)}
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = append(keys, cert.SignatureKey, cert)
	}
	if bytes.HasPrefix(text, []byte("SSHKRL\n\x00")) { // PROTOCOL.krl of OpenSSH
		for _, key := range keys {
			if said, err := askKRL(ctx, file, key); err != nil {
				return "of which ssh-keygen -Q says: " + or(said, err.Error())
			}
		}
		return ""
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		revoked, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return fmt.Sprintf("line %d of which is no public key", i+1) // what it means to revoke is not known
		}
		if slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return sameKey(k, revoked) }) {
			return fmt.Sprintf("which has it in line %d", i+1)
		}
	}
	return ""
}

// askKRL asks ssh-keygen, which ends in another code than 0 if a key is revoked, or
// if it cannot tell.
func askKRL(ctx context.Context, krl string, key ssh.PublicKey) (said string, err error) {
	file, err := os.CreateTemp("", "cutover-host-key-")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(ssh.MarshalAuthorizedKey(key))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, "ssh-keygen", "-Q", "-f", krl, file.Name()).CombinedOutput()
	return strings.TrimSpace(string(text)), err
}
