package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError is a host whose key is not the one that it should have, or is
// not known at all. Nothing was sent to it, no password and no command.
type HostKeyError struct {
	Host    string // Config.Name
	Changed bool   // another key is known for it
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
func newTrust(t *target) (*trust, error) {
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
		check, first, err = t.known()
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
func (t *target) known() (ssh.HostKeyCallback, []string, error) {
	files, done, err := readable(t.knownHosts)
	if err != nil {
		return nil, nil, fmt.Errorf("host %q: unable to read known_hosts: %w", t.Name, err)
	}
	defer done()
	db, err := knownhosts.NewDB(files.paths...)
	if err != nil {
		return nil, nil, fmt.Errorf("host %q: unable to read known_hosts: %w", t.Name, err)
	}
	name := t.addr()
	if t.alias != "" {
		name = net.JoinHostPort(t.alias, "22") // ssh looks an alias up without a port
	}
	check := db.HostKeyCallback()
	return func(_ string, remote net.Addr, key ssh.PublicKey) error {
		// The name alone counts. Behind a bastion the address is of no use.
		if _, ok := remote.(*net.TCPAddr); !ok {
			remote = &net.TCPAddr{IP: net.IPv4zero}
		}
		err := check(name, remote, key)
		var unknown *xknownhosts.KeyError
		var revoked *xknownhosts.RevokedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &revoked):
			return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf("the host key %s of %s is marked as revoked in %s:%d; do not connect",
				fingerprint(key), t.addr(), files.original(revoked.Revoked.Filename), revoked.Revoked.Line)}
		case errors.As(err, &unknown) && len(unknown.Want) > 0:
			return t.changed(name, key, unknown.Want, files)
		case errors.As(err, &unknown):
			return t.unknown(name, key)
		}
		return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf("the host key %s of %s is not accepted: %v", fingerprint(key), t.addr(), err)}
	}, db.HostKeyAlgorithms(name), nil
}

func (t *target) unknown(name string, key ssh.PublicKey) error {
	file := "known_hosts"
	if len(t.knownHosts) > 0 {
		file = t.knownHosts[0]
	}
	return &HostKeyError{Host: t.Name, Detail: fmt.Sprintf(
		"the host key of %s is not known.\nIt showed: %s\nCompare that with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console first. If they agree, add this line to %s:\n  %s\nor set, in the provider's block:\n  host_key = [%q]",
		t.addr(), fingerprint(key), keyFileKind(key), file, knownhosts.Line([]string{name}, plainKey(key)), authorizedForm(key))}
}

func (t *target) changed(name string, key ssh.PublicKey, want []xknownhosts.KnownKey, files knownFiles) error {
	var old []string
	same := false
	for _, known := range want {
		same = same || known.Key.Type() == key.Type()
		old = append(old, fmt.Sprintf("%s:%d has %s", files.original(known.Filename), known.Line, fingerprint(known.Key)))
	}
	what := "THE HOST KEY HAS CHANGED."
	if !same {
		what = "THE HOST KEY IS OF A KIND THAT IS NOT KNOWN FOR THIS HOST."
	}
	return &HostKeyError{Host: t.Name, Changed: true, Detail: fmt.Sprintf(
		"%s %s showed %s, but\n  %s\nEither the machine was installed anew, or somebody stands in between and listens. Nothing was sent. "+
			"Compare with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console, and only if they agree replace the old line by:\n  %s",
		what, t.addr(), fingerprint(key), strings.Join(old, "\n  "), keyFileKind(key), knownhosts.Line([]string{name}, plainKey(key)))}
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

// knownFiles are known_hosts files as the library can read them.
type knownFiles struct {
	paths []string
	of    map[string]string // copy -> original
}

func (k knownFiles) original(path string) string {
	if original, ok := k.of[path]; ok {
		return original
	}
	return path
}

// readable leaves out files that are not there, and takes, where a file has a
// line that the library cannot read (a key of SSH 1, say, or a mistyped line),
// a copy with such lines empty: ssh skips them, and one line of twenty years
// ago must not bar the way to every host. done removes the copies.
func readable(paths []string) (files knownFiles, done func(), err error) {
	files.of = map[string]string{}
	done = func() {
		for path := range files.of {
			os.Remove(path)
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, done, err
		}
		if _, err := xknownhosts.New(path); err == nil {
			files.paths = append(files.paths, path)
			continue
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(line + "\n")); err != nil {
				lines[i] = ""
			}
		}
		copied, err := os.CreateTemp("", "cutover-known-hosts-")
		if err != nil {
			return files, done, err
		}
		files.of[copied.Name()] = path
		_, err = copied.WriteString(strings.Join(lines, "\n"))
		if err = errors.Join(err, copied.Close()); err != nil {
			return files, done, err
		}
		files.paths = append(files.paths, copied.Name())
	}
	return files, done, nil
}
