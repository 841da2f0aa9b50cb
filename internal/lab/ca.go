package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CA is a certificate authority that nobody but the lab trusts. A program is made to
// trust it by the environment variable SSL_CERT_FILE, which Go and OpenSSL read.
type CA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	path        string
	issued      int64
}

// NewCA makes an authority. Its certificate lies in the lab's directory.
func (l *Lab) NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Lab CA"}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c := &CA{key: key, path: filepath.Join(l.dir, "ca.pem"), issued: 1}
	if c.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// Path is the authority's certificate, PEM.
func (c *CA) Path() string { return c.path }

// Issue makes a key and a certificate for names that is valid until then: PEM, one behind
// the other.
func (c *CA) Issue(until time.Time, names ...string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	c.issued++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(c.issued), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: earlier(time.Now(), until).AddDate(-1, 0, 0), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, c.certificate, key.Public(), c.key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ServeTLS gives the host's mail server, Dovecot and web server a key with its
// certificate, as Issue makes it. The web server has a site of that name on port 443, the
// mail server offers STARTTLS on port 25, and Dovecot TLS on all its ports.
func (h *Host) ServeTLS(ctx context.Context, name, keyAndCertificate string) error {
	_, err := h.RunInput(ctx, keyAndCertificate, "sh", "-c", script("tls.sh"), "tls.sh", name)
	return err
}
