package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSSHConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config": `# first match wins
Port=2200
Include more/*.conf
Host old*.example.net !old9*
  HostName %h.internal
  User "migrator"
  IdentityFile ~/.ssh/id_%h
  IdentityFile /keys/%r-%n
  UserKnownHostsFile /a /b
Host web
  Include nested.conf
  User webmaster
Match host db user root
  Port 5432
Match final all
  User never
Match !host "other" localuser *
  IdentitiesOnly yes
Match exec "test -e /x"
  SetEnv A=b
Match originalhost other exec "test -e /x"
  User never
`,
		"more/one.conf": "Host mail\n HostName 192.0.2.25\n Port 25\n",
		"nested.conf":   "HostName web.internal\nHost ftp\n HostName wrong\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find := func(alias, user string) *target {
		t.Helper()
		got, err := resolve(Config{Name: "x", Address: alias, User: user, SSHConfigPath: filepath.Join(dir, "config")})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	old := find("old.example.net", "")
	if old.host != "old.example.net.internal" || old.port != "2200" || old.login != "migrator" || !old.identitiesOnly {
		t.Errorf("%+v", old)
	}
	if got, want := strings.Join(old.identities, " "), home+"/.ssh/id_old.example.net.internal /keys/migrator-old.example.net"; got != want {
		t.Errorf("identities %s, want %s", got, want)
	}
	if got := strings.Join(old.knownHosts[:2], " "); got != "/a /b" {
		t.Errorf("known_hosts %s", got)
	}
	if got := find("old9.example.net", ""); got.host != "old9.example.net" {
		t.Errorf("a negated pattern applies: %s", got.host)
	}
	if got := find("mail", "root"); got.host != "192.0.2.25" || got.port != "2200" || got.login != "root" {
		t.Errorf("%+v", got)
	}
	if got := find("web", ""); got.host != "web.internal" || got.login != "webmaster" {
		t.Errorf("an included file: %s@%s", got.login, got.host)
	}
	if got := find("ftp", ""); got.host != "ftp" {
		t.Errorf("an included file counts outside its block: %s", got.host)
	}
	// What only ssh can decide is an error where it matters, with its line.
	_, err = resolve(Config{Name: "x", Address: "other", SSHConfigPath: filepath.Join(dir, "config")})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "config")+":21") || !strings.Contains(err.Error(), "exec") {
		t.Errorf("got %v", err)
	}
}

func TestExplicitOptionsBeatSSHConfig(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "config", "Host *\n HostName 192.0.2.1\n Port 2\n User a\n UserKnownHostsFile /a\n")
	got, err := resolve(Config{Name: "old", Port: 3, User: "b", KnownHostsPath: "/b", SSHConfigPath: path})
	if err != nil {
		t.Fatal(err)
	}
	if got.addr() != "192.0.2.1:3" || got.login != "b" || strings.Join(got.knownHosts, " ") != "/b" {
		t.Errorf("%+v", got)
	}
	if got, err = resolve(Config{Name: "old", Address: "[2001:db8::1]", SSHConfigPath: "none"}); err != nil || got.addr() != "[2001:db8::1]:22" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err = resolve(Config{Name: "old", SSHConfigPath: "/no/such/config"}); err == nil {
		t.Error("a missing file that was asked for is ignored")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Config{Name: "old", Address: "old.example.net", Port: 22}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	locked, _ := keyText(t, "secret")
	for attribute, cfg := range map[string]Config{
		"address":                  {},
		"port":                     {Name: "old", Port: 70000},
		"private_key":              {Name: "old", PrivateKey: "nonsense"},
		"private_key_path":         {Name: "old", PrivateKey: "x", PrivateKeyPath: "y"},
		"private_key_passphrase":   {Name: "old", PrivateKey: locked},
		"host_key":                 {Name: "old", HostKeys: []string{"ssh-ed25519"}},
		"insecure_ignore_host_key": {Name: "old", HostKeys: []string{authorizedForm(newKey(t).PublicKey())}, InsecureIgnoreHostKey: true},
		"become.method":            {Name: "old", Become: Become{Method: "su"}},
		"become.password":          {Name: "old", Become: Become{Password: "x"}},
		"connect_timeout":          {Name: "old", ConnectTimeout: -1},
		"keepalive_interval":       {Name: "old", Bastions: []Config{{Name: "gate", KeepaliveInterval: -1}}},
	} {
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), attribute+":") {
			t.Errorf("%s: got %v", attribute, err)
		}
	}
}
