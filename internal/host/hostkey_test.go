package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func TestHostKeys(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	key := s.HostKey.PublicKey()
	name := fmt.Sprintf("[127.0.0.1]:%d", s.port())
	pin := authorizedForm(key)
	stranger := authorizedForm(newKey(t).PublicKey())
	reach := func(lines ...string) Config {
		cfg := s.reach(plain)
		cfg.HostKeys = nil
		cfg.KnownHostsPath = knownHosts(t, lines...)
		return cfg
	}

	t.Run("known", func(t *testing.T) {
		if err := works(t, reach("# comment", "", name+" "+pin)); err != nil {
			t.Error(err)
		}
	})
	t.Run("hashed", func(t *testing.T) {
		if err := works(t, reach(xknownhosts.HashHostname(name)+" "+pin)); err != nil {
			t.Error(err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		cfg := reach("elsewhere " + pin)
		err := refuses(t, cfg, ssh.FingerprintSHA256(key), "ED25519", "\n  "+name+" "+pin+"\n", `host_key = ["`+pin+`"]`, "console", cfg.KnownHostsPath)
		var hostKey *HostKeyError
		if !errors.As(err, &hostKey) || hostKey.Changed {
			t.Errorf("%+v", err)
		}
		// The line that the error prints is the one that makes it work.
		if err := os.WriteFile(cfg.KnownHostsPath, []byte(name+" "+pin+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
	})
	t.Run("no file", func(t *testing.T) {
		cfg := s.reach(plain)
		cfg.HostKeys, cfg.KnownHostsPath = nil, "/no/such/file"
		refuses(t, cfg, "not known", "/no/such/file")
	})
	t.Run("port", func(t *testing.T) {
		refuses(t, reach("127.0.0.1 "+pin), "not known")
	})
	t.Run("changed", func(t *testing.T) {
		cfg := reach("# one", name+" "+stranger)
		err := refuses(t, cfg, "CHANGED", cfg.KnownHostsPath+":2", ssh.FingerprintSHA256(key))
		var hostKey *HostKeyError
		if !errors.As(err, &hostKey) || !hostKey.Changed {
			t.Errorf("%+v", err)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		refuses(t, reach("@revoked * "+pin, name+" "+pin), "revoked")
	})
	t.Run("a line of long ago", func(t *testing.T) {
		broken := []string{"other 1024 35 1234567890", "not a line", "x ssh-ed25519 AAAA"}
		if err := works(t, reach(append(broken, name+" "+pin)...)); err != nil {
			t.Error(err)
		}
		cfg := reach(append(broken, name+" "+stranger)...)
		refuses(t, cfg, "CHANGED", cfg.KnownHostsPath+":4")
	})
	t.Run("HostKeyAlias", func(t *testing.T) {
		cfg := reach("the-old-one " + pin)
		cfg.SSHConfigPath = writeFile(t, "config", "HostKeyAlias the-old-one\n")
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
	})
	t.Run("UserKnownHostsFile", func(t *testing.T) {
		cfg := s.reach(plain)
		cfg.HostKeys = nil
		cfg.SSHConfigPath = writeFile(t, "config", "UserKnownHostsFile /no/such/file "+knownHosts(t, name+" "+pin)+"\n")
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
	})
	t.Run("pins", func(t *testing.T) {
		cfg := reach(name + " " + pin)
		cfg.HostKeys = []string{stranger}
		refuses(t, cfg, "host_key pins", ssh.FingerprintSHA256(key))
		cfg.HostKeys = []string{stranger, pin + " root@old"}
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
	})
	t.Run("insecure", func(t *testing.T) {
		cfg := reach(name + " " + stranger)
		cfg.InsecureIgnoreHostKey = true
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
		_, h := one(t, cfg)
		identity, err := h.Identity(t.Context())
		if err != nil || identity.HostKey != pin || identity.Port != s.port() || identity.User != "root" || !strings.HasPrefix(identity.ServerVersion, "SSH-2.0-") {
			t.Errorf("%+v, %v", identity, err)
		}
	})
}

// A server that has several keys shows the one that is known.
func TestKnownKeyTypeComesFirst(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	config := authorize(signer.PublicKey())
	second := newECDSAKey(t)
	config.AddHostKey(second)
	s := (&server{Config: config}).start(t)
	name := fmt.Sprintf("[127.0.0.1]:%d", s.port())
	for _, key := range []ssh.PublicKey{second.PublicKey(), s.HostKey.PublicKey()} {
		cfg := s.reach(plain)
		cfg.HostKeys, cfg.KnownHostsPath = nil, knownHosts(t, name+" "+authorizedForm(key))
		if err := works(t, cfg); err != nil {
			t.Errorf("known_hosts with %s: %v", key.Type(), err)
		}
		cfg.HostKeys = []string{authorizedForm(key)}
		if err := works(t, cfg); err != nil {
			t.Errorf("pin of %s: %v", key.Type(), err)
		}
	}
}

func TestHostCertificate(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	ca, hostKey := newKey(t), newKey(t)
	cert := &ssh.Certificate{
		Key: hostKey.PublicKey(), CertType: ssh.HostCert, KeyId: "old", ValidPrincipals: []string{"127.0.0.1"},
		ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(cert, hostKey)
	if err != nil {
		t.Fatal(err)
	}
	s := (&server{Config: authorize(signer.PublicKey()), HostKey: certified}).start(t)
	cfg := s.reach(plain)
	cfg.HostKeys = nil
	cfg.KnownHostsPath = knownHosts(t, fmt.Sprintf("@cert-authority [127.0.0.1]:%d %s", s.port(), authorizedForm(ca.PublicKey())))
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
	cfg.KnownHostsPath = knownHosts(t, "@cert-authority * "+authorizedForm(ca.PublicKey()))
	if err := works(t, cfg); err != nil {
		t.Errorf("wildcard: %v", err)
	}
	cfg.KnownHostsPath = knownHosts(t, "@cert-authority * "+authorizedForm(newKey(t).PublicKey()))
	refuses(t, cfg, "key")
}
