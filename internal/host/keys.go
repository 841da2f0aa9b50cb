package host

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

var (
	errNeedsPassphrase = errors.New("the private key is encrypted, and no private_key_passphrase is given")
	errWrongPassphrase = errors.New("the private key cannot be decrypted with the private_key_passphrase given")
)

// parseKey reads a private key. No error of it holds a part of the key.
func parseKey(text []byte, passphrase string) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(text)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case !errors.As(err, &missing):
		return nil, fmt.Errorf("no private key in OpenSSH or PEM form: %w", err)
	case passphrase == "":
		return nil, errNeedsPassphrase
	}
	signer, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errWrongPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("the encrypted private key cannot be read: %w", err)
	}
	return signer, nil
}

// parseCertificate reads an OpenSSH user certificate, its text or its file.
func parseCertificate(textOrPath string) (*ssh.Certificate, error) {
	if strings.Contains(textOrPath, keyMark) {
		return decodeCertificate([]byte(textOrPath))
	}
	return readCertificate(InHome(textOrPath))
}

// keyMark is in the text of each key and certificate, after its type: base64 of
// the type's length. It is in no sensible path.
const keyMark = " AAAA"

func readCertificate(path string) (*ssh.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeCertificate(text)
}

func decodeCertificate(text []byte) (*ssh.Certificate, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, errors.New("no OpenSSH certificate such as \"ssh-ed25519-cert-v01@openssh.com AAAA…\"")
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("a plain %s key, not a certificate", key.Type())
	}
	if cert.CertType != ssh.UserCert {
		return nil, errors.New("a certificate for hosts, not for users")
	}
	return cert, nil
}

// identity is a key that can be offered, and where it came from.
type identity struct {
	signer ssh.Signer
	origin string // "private_key_path /root/.ssh/x", "agent"; never a secret
}

func (i identity) String() string {
	return i.origin + " " + fingerprint(i.signer.PublicKey())
}

// withCertificates puts before each key the certificates that were made for
// it: a server that believes the CA often knows no plain key at all.
func withCertificates(keys []identity, certs []*ssh.Certificate) ([]identity, error) {
	var all []identity
	for _, key := range keys {
		for _, cert := range certs {
			if !sameKey(cert.Key, key.signer.PublicKey()) {
				continue
			}
			signer, err := ssh.NewCertSigner(cert, key.signer)
			if err != nil {
				return nil, err
			}
			all = append(all, identity{signer, fmt.Sprintf("certificate %q for %s", cert.KeyId, key.origin)})
		}
		all = append(all, key)
	}
	return all, nil
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// fingerprint is how ssh-keygen -l shows a key, such as "SHA256:… (ED25519)".
func fingerprint(key ssh.PublicKey) string {
	kind := key.Type()
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	kind = strings.TrimSuffix(strings.TrimPrefix(kind, "ssh-"), "@openssh.com")
	return fmt.Sprintf("%s (%s)", ssh.FingerprintSHA256(key), strings.ToUpper(kind))
}

// authorizedForm is a key as authorized_keys has it, without a line end.
func authorizedForm(key ssh.PublicKey) string {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// keyFiles are the keys and certificates that were read from options and files.
type keyFiles struct {
	given        []identity
	files        []identityFile
	certificates []*ssh.Certificate
	notes        []string // what was left out, and why
}

// readKeys reads the keys of t. That comes before a connection is begun: to
// decrypt a key takes long on purpose, and is not to count as waiting.
func (t *target) readKeys() error {
	var err error
	if t.keys.given, err = t.givenKey(); err != nil {
		return err
	}
	t.keys.files = t.identityFiles(&t.keys, len(t.keys.given) > 0)
	t.keys.certificates, err = t.readCertificates(&t.keys)
	return err
}

func (t *target) readCertificates(c *keyFiles) ([]*ssh.Certificate, error) {
	var certs []*ssh.Certificate
	if t.Certificate != "" {
		cert, err := parseCertificate(t.Certificate)
		if err != nil {
			return nil, &ConfigError{Host: t.Name, Attribute: "certificate", Err: err}
		}
		certs = append(certs, cert)
	}
	files := t.certificates
	for _, path := range append([]string{InHome(t.PrivateKeyPath)}, t.identities...) {
		if path != "" { // ssh looks for a certificate beside each key
			files = append(files, path+"-cert.pub")
		}
	}
	for _, path := range files {
		cert, err := readCertificate(path)
		if err == nil {
			certs = append(certs, cert)
		} else if !errors.Is(err, os.ErrNotExist) {
			c.notes = append(c.notes, fmt.Sprintf("certificate %s left out: %v", path, err))
		}
	}
	return certs, nil
}

// givenKey is the key of the options; that it cannot be used is an error.
func (t *target) givenKey() ([]identity, error) {
	text, attribute, origin := []byte(t.PrivateKey), "private_key", "private_key"
	if t.PrivateKeyPath != "" {
		path := InHome(t.PrivateKeyPath)
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
func (t *target) identityFiles(c *keyFiles, given bool) []identityFile {
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
