package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	rand2 "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
		// A key that is known without a port is believed at each, as by ssh; that
		// another is known there says nothing.
		if err := works(t, reach("127.0.0.1 "+pin)); err != nil {
			t.Error(err)
		}
		refuses(t, reach("127.0.0.1 "+stranger), "not known")
		refuses(t, reach("[127.0.0.1]:1 "+pin), "not known")
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
		if err := works(t, reach("@revoked elsewhere "+pin, name+" "+pin)); err != nil {
			t.Errorf("a key that is revoked for another host: %v", err)
		}
	})
	t.Run("lines that cannot be read", func(t *testing.T) {
		broken := []string{
			"other 1024 35 1234567890", "not a line", "x ssh-ed25519 AAAA", "|1|abc|def " + stranger, "@foo x " + stranger,
			"[2001:db8::7] " + stranger, "!,x " + stranger, ", " + stranger, name + " ssh-rsa " + strings.Fields(stranger)[1],
			strings.Repeat("x", 70<<10) + " " + stranger,
		}
		cfg := reach(append(broken, name+" "+pin)...)
		var mu sync.Mutex
		told := map[string]bool{}
		cfg.Log = func(_ context.Context, msg string, fields map[string]any) {
			if line, ok := fields["line"].(string); ok {
				mu.Lock()
				defer mu.Unlock()
				told[strings.TrimPrefix(line, cfg.KnownHostsPath+":")] = true
			}
		}
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
		for _, line := range []string{"1", "2", "3", "4", "5", "9"} { // the others can be read, and are about others
			if !told[line] {
				t.Errorf("line %s is skipped without a word", line)
			}
		}
		cfg = reach(append(broken, name+" "+stranger)...)
		refuses(t, cfg, "CHANGED", fmt.Sprintf("%s:%d", cfg.KnownHostsPath, len(broken)+1))
	})
	t.Run("a long line", func(t *testing.T) {
		if err := works(t, reach(strings.Repeat("x,", 70<<10)+name+" "+pin)); err != nil {
			t.Error(err)
		}
	})
	t.Run("capitals", func(t *testing.T) {
		cfg := reach("OLD.Example.net,[Old.example.NET]:2* " + pin)
		cfg.SSHConfigPath = writeFile(t, "config", "ProxyCommand "+pipe(t, s.Addr)+"\n")
		cfg.Address, cfg.Port = "old.EXAMPLE.net", 22
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
		cfg.Port = 2222
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
	})
	t.Run("RevokedHostKeys", func(t *testing.T) {
		cfg := reach(name + " " + pin)
		revoking := func(text string) string {
			file := writeFile(t, "revoked", text)
			cfg.SSHConfigPath = writeFile(t, "config", "RevokedHostKeys "+file+"\n")
			return file
		}
		revoking("# none of ours\n" + stranger + "\n")
		if err := works(t, cfg); err != nil {
			t.Error(err)
		}
		file := revoking(stranger + "\n" + pin + "\n")
		refuses(t, cfg, "refused", file, "line 2")
		revoking("what is this?\n")
		refuses(t, cfg, "refused", "line 1 of which is no public key")
		cfg.SSHConfigPath = writeFile(t, "config", "RevokedHostKeys /no/such/file\n")
		refuses(t, cfg, "refused", "/no/such/file", "cannot be read")
		// The same from ssh-keygen -k.
		for list, refused := range map[string]bool{stranger: false, pin: true} {
			krl := filepath.Join(t.TempDir(), "krl")
			if said, err := exec.Command("ssh-keygen", "-q", "-k", "-f", krl, writeFile(t, "key.pub", list+"\n")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			cfg.SSHConfigPath = writeFile(t, "config", "RevokedHostKeys "+krl+"\n")
			if refused {
				refuses(t, cfg, "refused", krl, "REVOKED")
			} else if err := works(t, cfg); err != nil {
				t.Error(err)
			}
		}
		cfg.SSHConfigPath = writeFile(t, "config", "RevokedHostKeys "+writeFile(t, "krl", "SSHKRL\n\x00broken")+"\n")
		refuses(t, cfg, "refused", "ssh-keygen -Q")
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

// A random known_hosts is read as ssh-keygen -F reads it.
func TestKnownHostsAsSSHReadsIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here that could be asked")
	}
	random := rand2.New(rand2.NewPCG(11, 4)) // the same files in each run
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	key := authorizedForm(newKey(t).PublicKey())
	hosts := []string{
		"old", "OLD", "old,new", "new,old", "!old,old", "old*", "o?d", "*", "[old]:2222", "[old]", "[*]:2222", "[OLD]:2222,new", "!new,old", "new", "*,!old", ",", ",old", "old,",
		"|1|abc|def", "|1|", "2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:2222",
		xknownhosts.HashHostname("old"), xknownhosts.HashHostname("[old]:2222"), xknownhosts.HashHostname("OLD"),
	}
	files := 200
	if testing.Short() {
		files = 60
	}
	for range files {
		var lines []string
		for range 1 + random.IntN(6) {
			line := pick(hosts...) + pick(" ", "\t", "  ") + key
			switch random.IntN(8) {
			case 0:
				line = "@revoked " + line
			case 1:
				line = "@cert-authority " + line
			case 2:
				line = pick("# ", "@foo ", "  ", "\t") + line
			case 3:
				line = pick("", "old", "old ssh-ed25519", "old "+key+" a comment")
			}
			lines = append(lines, line)
		}
		file := knownHosts(t, lines...)
		name := pick("old", "[old]:2222", "2001:db8::7", "[2001:db8::7]:2222")
		said, _ := exec.Command("ssh-keygen", "-F", name, "-f", file).CombinedOutput() // ends in 1 where nothing is found
		var want, got []string
		for line := range strings.Lines(string(said)) {
			if _, at, ok := strings.Cut(strings.TrimSpace(line), " found: line "); ok {
				want = append(want, strings.Fields(at)[0])
			}
		}
		found, err := readKnownKeys([]string{file}, name, func(string, int, error) {})
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range found {
			got = append(got, fmt.Sprint(known.line))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s is in lines %v, and ssh-keygen finds %v:\n%s", name, got, want, strings.Join(lines, "\n"))
		}
	}
}
