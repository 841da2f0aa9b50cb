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
	text := []byte(textOrPath)
	if !strings.Contains(strings.TrimSpace(textOrPath), " ") {
		var err error
		if text, err = os.ReadFile(textOrPath); err != nil {
			return nil, err
		}
	}
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
