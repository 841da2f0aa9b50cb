package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// works tells whether a login succeeds, by a real command.
func works(t *testing.T, cfg Config) error {
	t.Helper()
	_, h := one(t, cfg)
	_, err := h.Run(t.Context(), Exec("true"))
	return err
}

// refuses fails unless the login fails with an error that says all of these.
func refuses(t *testing.T, cfg Config, says ...string) error {
	t.Helper()
	cfg.Log = func(_ context.Context, msg string, fields map[string]any) {
		if strings.Contains(msg, "try again") {
			t.Errorf("it was tried again after: %v", fields["error"])
		}
	}
	err := works(t, cfg)
	if err == nil {
		t.Fatal("it worked")
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	return err
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeys(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	locked, lockedSigner := keyText(t, "open sesame")
	s := (&server{Config: authorize(signer.PublicKey(), lockedSigner.PublicKey())}).start(t)

	if err := works(t, s.reach(plain)); err != nil {
		t.Errorf("inline key: %v", err)
	}
	cfg := s.reach("")
	cfg.PrivateKeyPath = writeFile(t, "id", plain)
	if err := works(t, cfg); err != nil {
		t.Errorf("key file: %v", err)
	}
	cfg = s.reach(locked)
	cfg.PrivateKeyPassphrase = "open sesame"
	if err := works(t, cfg); err != nil {
		t.Errorf("encrypted key: %v", err)
	}
	cfg.PrivateKeyPassphrase = "wrong-sesame"
	if err := refuses(t, cfg, "private_key_passphrase", `"old"`); strings.Contains(err.Error(), "wrong-sesame") {
		t.Errorf("the passphrase is in the error: %v", err)
	}
	cfg.PrivateKeyPassphrase = ""
	refuses(t, cfg, "private_key_passphrase", `"old"`)
	cfg = s.reach("")
	cfg.PrivateKeyPath = "/no/such/key"
	refuses(t, cfg, "private_key_path", "/no/such/key")

	stranger, strangerSigner := keyText(t, "")
	refuses(t, s.reach(stranger), `"root"`, ssh.FingerprintSHA256(strangerSigner.PublicKey()), "offers: publickey")
	cfg = s.reach("")
	refuses(t, cfg, "neither a key nor a password")
}

func TestIdentityFilesOfSSHConfig(t *testing.T) {
	t.Parallel()
	plain, signer := keyText(t, "")
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	key := writeFile(t, "id_special", plain)
	cfg := s.reach("")
	cfg.Address, cfg.Port, cfg.User = "alias", 0, ""
	_, port, _ := net.SplitHostPort(s.Addr)
	cfg.SSHConfigPath = writeFile(t, "config", "Host alias\n HostName 127.0.0.1\n Port "+port+"\n User root\n IdentityFile \""+key+"\"\n")
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	ca := newKey(t)
	plain, signer := keyText(t, "")
	cert := &ssh.Certificate{
		Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "migration", ValidPrincipals: []string{"root"},
		ValidBefore: ssh.CertTimeInfinity, ValidAfter: 0,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	text := string(ssh.MarshalAuthorizedKey(cert))
	checker := &ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return sameKey(key, ca.PublicKey()) }}
	s := (&server{Config: &ssh.ServerConfig{PublicKeyCallback: checker.Authenticate}}).start(t)

	cfg := s.reach(plain)
	cfg.Certificate = text
	if err := works(t, cfg); err != nil {
		t.Errorf("inline: %v", err)
	}
	cfg.Certificate = writeFile(t, "cert.pub", text)
	if err := works(t, cfg); err != nil {
		t.Errorf("file: %v", err)
	}
	cfg = s.reach("")
	cfg.PrivateKeyPath = writeFile(t, "id", plain)
	if err := os.WriteFile(cfg.PrivateKeyPath+"-cert.pub", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := works(t, cfg); err != nil {
		t.Errorf("beside the key: %v", err)
	}
	refuses(t, s.reach(plain), "unable to log in")
	cfg = s.reach(plain)
	// Beside a key, as ssh-keygen -s puts it; and in a directory as people name them.
	cfg.PrivateKey, cfg.Certificate = "", ""
	cfg.PrivateKeyPath = filepath.Join(t.TempDir(), "My Keys", "id")
	if err := os.Mkdir(filepath.Dir(cfg.PrivateKeyPath), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{cfg.PrivateKeyPath: plain, cfg.PrivateKeyPath + "-cert.pub": text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
	cfg.Certificate = cfg.PrivateKeyPath + "-cert.pub"
	if err := works(t, cfg); err != nil {
		t.Error(err)
	}
	cfg.Certificate = string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	refuses(t, cfg, "certificate", "plain")
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	password := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
		if string(given) != secret {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}}
	interactive := &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{"Password: "}, []bool{false})
		if err != nil || len(answers) != 1 || answers[0] != secret {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}}
	for name, config := range map[string]*ssh.ServerConfig{"password": password, "keyboard-interactive": interactive} {
		s := (&server{Config: config}).start(t)
		cfg := s.reach("")
		cfg.Password = secret
		if err := works(t, cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cfg.Password = "wrong battery"
		if err := refuses(t, cfg, name, "offers: "+name); strings.Contains(err.Error(), "battery") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

func TestAgent(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, conn)
		}
	}()
	s := (&server{Config: authorize(signer.PublicKey())}).start(t)
	yes := true
	cfg := s.reach("")

	t.Setenv("SSH_AUTH_SOCK", socket)
	refuses(t, cfg, "unable to log in") // agent = false
	cfg.Agent = nil
	if err := works(t, cfg); err != nil {
		t.Errorf("where there is one: %v", err)
	}
	cfg.Agent = &yes
	if err := works(t, cfg); err != nil {
		t.Errorf("asked for: %v", err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	refuses(t, cfg, "agent", "SSH_AUTH_SOCK")
	cfg.SSHConfigPath = writeFile(t, "config", "IdentityAgent "+socket+"\n")
	if err := works(t, cfg); err != nil {
		t.Errorf("IdentityAgent: %v", err)
	}

	// With IdentitiesOnly the agent may offer what a file names, even where
	// only the public half of it is there.
	cfg.Agent = nil
	other := writeFile(t, "id_other", "")
	cfg.SSHConfigPath = writeFile(t, "config", "IdentityAgent "+socket+"\nIdentitiesOnly yes\nIdentityFile "+other+"\n")
	refuses(t, cfg, "unable to log in")
	if err := os.WriteFile(other+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := works(t, cfg); err != nil {
		t.Errorf("IdentitiesOnly: %v", err)
	}
}
