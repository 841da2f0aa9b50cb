package host

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// configDir is a directory with files, in whose texts DIR stands for it and HOME
// for the home that ssh takes for ~. ssh_config_path is its file "config".
func configDir(t *testing.T, files map[string]string) (dir, home string) {
	t.Helper()
	if openSSH() == nil {
		t.Skip("there is no ssh here that could be asked")
	}
	dir = t.TempDir()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if text == "directory" {
			err = os.Mkdir(path, 0o700)
		} else if to, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(strings.NewReplacer("; ", "\n", "DIR", dir, "~HOME", who.HomeDir).Replace(text)+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, who.HomeDir
}

// shown is what of a target ssh_config decides, a line each.
func shown(t *target) string {
	var via []string
	for _, hop := range t.via {
		via = append(via, hop.login+"@"+hop.addr())
	}
	identities := strings.Join(t.identities, " | ")
	if t.defaults {
		identities = "default"
	}
	return fmt.Sprintf("%s@%s alias=%q family=%s from=%q\nidentities %s\nonly=%t certificates %s agent=%q\nknown %s revoked %s\nvia %s command=%q\n",
		t.login, t.addr(), t.alias, t.family, t.from, identities, t.identitiesOnly, strings.Join(t.certificates, " | "), t.agentSocket,
		strings.Join(t.knownHosts, " | "), strings.Join(t.revokedKeys, " | "), strings.Join(via, " "), t.proxyCommand)
}

// What people write into ssh_config, and what ssh reads from it (9.2 and 10.0).
func TestSSHConfig(t *testing.T) {
	t.Setenv("CUTOVER_TEST_RUN", "/run/user/7")
	for name, c := range map[string]struct {
		files map[string]string
		host  Config   // Address is old where it has none
		want  []string // parts of what is shown
	}{
		"Match host sees HostName":         {files: map[string]string{"config": "Host old; HostName old.example.net; Match host old.example.net; User migrator; Port 2222"}, want: []string{"migrator@old.example.net:2222 "}},
		"Match originalhost sees the name": {files: map[string]string{"config": "Host old; HostName old.example.net; Match originalhost old; Port 2222"}, want: []string{"@old.example.net:2222 "}},
		"Match user sees User":             {files: map[string]string{"config": "Host old; User admin; Match user admin; IdentityFile ~/.ssh/admin_key"}, want: []string{"identities ~HOME/.ssh/admin_key\n"}},
		"Match user sees the option":       {files: map[string]string{"config": "Match user admin; IdentityFile ~/.ssh/admin_key"}, host: Config{User: "admin"}, want: []string{"admin@old:22", "identities ~HOME/.ssh/admin_key\n"}},
		"Match final is a second pass": {files: map[string]string{"config": "Host gw.example.org; ProxyJump none; Match final host *.example.net; ProxyJump gw.example.org"},
			host: Config{Address: "old.example.net"}, want: []string{"via ", "@gw.example.org:22 command"}},
		"Match exec": {files: map[string]string{"config": "Match exec \"test -e DIR/config\"; Port 2222; Match exec \"test -e DIR/no\"; User never"}, want: []string{"@old:2222"}},
		"variables": {files: map[string]string{"config": `IdentityAgent "${CUTOVER_TEST_RUN}/agent.sock"; IdentityFile ${CUTOVER_TEST_RUN}/id; CertificateFile ${CUTOVER_TEST_RUN}/id-cert.pub; UserKnownHostsFile ${CUTOVER_TEST_RUN}/known`},
			want: []string{`agent="/run/user/7/agent.sock"`, "identities /run/user/7/id\n", "certificates /run/user/7/id-cert.pub ", "known /run/user/7/known |"}},
		"a variable as the agent":    {files: map[string]string{"config": "IdentityAgent $CUTOVER_TEST_RUN"}, want: []string{`agent="/run/user/7"`}},
		"no agent":                   {files: map[string]string{"config": "IdentityAgent none"}, want: []string{`agent=""`}},
		"tokens":                     {files: map[string]string{"config": "HostName %h.example.net; User admin; Port 23; IdentityFile ~/.ssh/%r@%n-%h-%p%%"}, want: []string{"identities ~HOME/.ssh/admin@old-old.example.net-23%\n"}},
		"a known_hosts for each":     {files: map[string]string{"config": "UserKnownHostsFile ~/.ssh/known_hosts.d/%k"}, host: Config{Address: "old.example.net"}, want: []string{"known ~HOME/.ssh/known_hosts.d/old.example.net |"}},
		"the same with HostKeyAlias": {files: map[string]string{"config": "HostKeyAlias THERE; UserKnownHostsFile ~/.ssh/known_hosts.d/%k"}, want: []string{`alias="there"`, "known ~HOME/.ssh/known_hosts.d/there |"}},
		"no jump over itself":        {files: map[string]string{"config": "Host gw.example.org; ProxyCommand none; Host *; ProxyJump gw.example.org"}, want: []string{"@gw.example.org:22 command"}},
		"ProxyJump before ProxyCommand": {files: map[string]string{"config": "Host old; ProxyJump admin@gw; Host *; ProxyCommand nc -X 5 -x proxy:1080 %h %p"},
			want: []string{"via admin@gw:22 command=\"\""}},
		"but not where it is none": {files: map[string]string{"config": "Host old; ProxyJump none; Host *; ProxyCommand nc -X 5 -x proxy:1080 %h %p"},
			want: []string{`via  command="nc -X 5 -x proxy:1080 old 22"`}},
		"ProxyCommand": {files: map[string]string{"config": "HostName old.example.net; User admin; Port 23; ProxyCommand cloud-tunnel %h:%p %r %n 100%%"},
			want: []string{`via  command="cloud-tunnel old.example.net:23 admin old 100%"`}},
		"ProxyCommand of the first hop": {files: map[string]string{"config": "Host gw; ProxyCommand nc %h %p; Host old; ProxyJump gw"}, want: []string{"@gw:22 command=\"\""}},
		"directories are not included":  {files: map[string]string{"config": "Include DIR/config.d/*; Port 23", "config.d/a": "User admin", "config.d/.git/x": "", "config.d/b": "directory"}, want: []string{"admin@old:23"}},
		"nor swap files":                {files: map[string]string{"config": "Include DIR/config.d/*", "config.d/a": "User admin", "config.d/.a.swp": "User wrong"}, want: []string{"admin@old:22"}},
		"nor a link to nothing":         {files: map[string]string{"config": "Include DIR/config.d/*; Host old; User admin", "config.d/a": "-> /no/such/file"}, want: []string{"admin@old:22"}},
		"an included block ends with its file": {files: map[string]string{"config": "Host web; Include DIR/nested; Host *; User admin", "nested": "HostName web.internal; Host old; HostName wrong"},
			want: []string{"admin@old:22"}},
		"# within a word":      {files: map[string]string{"config": `IdentityFile ~/.ssh/id#work; IdentityFile "~/.ssh/key #1"`}, want: []string{"identities ~HOME/.ssh/id#work | ~HOME/.ssh/key #1\n"}},
		"true":                 {files: map[string]string{"config": "IdentitiesOnly true"}, want: []string{"only=true"}},
		"a quoted list":        {files: map[string]string{"config": `UserKnownHostsFile "~/.ssh/my known hosts" ~/.ssh/k2`}, want: []string{"known ~HOME/.ssh/my known hosts | ~HOME/.ssh/k2 | /etc/ssh"}},
		"no list":              {files: map[string]string{"config": "UserKnownHostsFile none; GlobalKnownHostsFile none"}, want: []string{"known  revoked"}},
		"capitals":             {files: map[string]string{"config": "HostName OLD.Example.NET"}, want: []string{"@old.example.net:22"}},
		"capitals without":     {files: map[string]string{"config": ""}, host: Config{Address: "OLD.Example.NET"}, want: []string{"@old.example.net:22"}},
		"RevokedHostKeys":      {files: map[string]string{"config": "RevokedHostKeys ~/revoked"}, want: []string{"revoked ~HOME/revoked\n"}},
		"no key at all":        {files: map[string]string{"config": "IdentityFile none"}, want: []string{"identities \n"}},
		"ssh's default keys":   {files: map[string]string{"config": ""}, want: []string{"identities default\n"}},
		"not beside a given":   {files: map[string]string{"config": ""}, host: Config{PrivateKeyPath: "/x"}, want: []string{"identities \n"}},
		"named beside a given": {files: map[string]string{"config": "IdentityFile /y"}, host: Config{PrivateKeyPath: "/x"}, want: []string{"identities /y\n"}},
		"first match wins, negated patterns": {files: map[string]string{"config": "Port=2200; Host old*.example.net !old9*; Port 3; User a"},
			host: Config{Address: "old9.example.net"}, want: []string{"@old9.example.net:2200"}},
		"AddressFamily and BindAddress": {files: map[string]string{"config": "AddressFamily inet6; BindAddress ::1"}, want: []string{`family=tcp6 from="::1"`}},
		"lines of DOS":                  {files: map[string]string{"config": "Host old\r; User admin\r"}, want: []string{"admin@old:22"}},
		"an address in brackets":        {files: map[string]string{"config": "User admin"}, host: Config{Address: "[2001:db8::1]"}, want: []string{"admin@[2001:db8::1]:22"}},
		"options first": {files: map[string]string{"config": "Host old; HostName 192.0.2.1; Port 2; User a; UserKnownHostsFile /a; ProxyJump gw; Host mine; User a"},
			host: Config{Port: 3, User: "b", KnownHostsPath: "/b", Bastions: []Config{{Name: "mine"}}}, want: []string{"b@192.0.2.1:3", "known /b revoked", "via a@mine:22 command"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, home := configDir(t, c.files)
			c.host.Name, c.host.Address = "x", or(c.host.Address, "old")
			c.host.SSHConfigPath = filepath.Join(dir, "config")
			for i := range c.host.Bastions {
				c.host.Bastions[i].SSHConfigPath = c.host.SSHConfigPath
			}
			got, err := resolve(t.Context(), c.host)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if want = strings.ReplaceAll(want, "~HOME", home); !strings.Contains(shown(got), want) {
					t.Errorf("%q is missing in\n%s", want, shown(got))
				}
			}
		})
	}
}

func TestSSHConfigErrors(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"Colour blue":             "config: line 1: Bad configuration option: colour",
		"Host old; ProxyJump old": "jumphost loop via old",
		"ProxyUseFdpass yes":      "ProxyUseFdpass",
		"Host a; ProxyJump b; Host b; ProxyJump a; Host old; ProxyJump a": "in a circle",
	} {
		dir, _ := configDir(t, map[string]string{"config": file})
		_, err := resolve(t.Context(), Config{Name: "x", Address: "old", SSHConfigPath: filepath.Join(dir, "config")})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `host "`) {
			t.Errorf("%s: got %v", file, err)
		}
	}
	if _, err := resolve(t.Context(), Config{Name: "old", SSHConfigPath: "/no/such/config"}); err == nil {
		t.Error("a missing file that was asked for is ignored")
	}
}

// Without a file to read, nobody is asked.
func TestWithoutSSHConfig(t *testing.T) {
	t.Parallel()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	got, err := resolve(t.Context(), Config{Name: "OLD", SSHConfigPath: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if text := shown(got); !strings.HasPrefix(text, who.Username+"@old:22 alias=\"\" family=tcp ") || !got.defaults || len(got.knownHosts) != 4 || len(got.via) != 0 {
		t.Errorf("%s", text)
	}
}

// Random files are read as ssh reads them, both ways: ssh -G as it is printed
// decides. The library may leave a file undecided, if it names the line.
func TestSSHConfigBothWays(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 3)) // the same files in each run
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	hosts := []string{"old", "old*", "*", "new !old", "!new *", "old.example.net", "o?d", `"old"`, "*.example.net old", "OLD", "old\tnew"}
	line := func() string {
		separator := pick(" ", " ", " ", "=", " = ", "\t")
		switch keyword := pick("Host", "Host", "Host", "Match", "HostName", "Port", "User", "IdentityFile", "IdentitiesOnly", "IdentityAgent", "CertificateFile",
			"ProxyJump", "ProxyCommand", "UserKnownHostsFile", "HostKeyAlias", "RevokedHostKeys", "SendEnv", "Include", "#", ""); keyword {
		case "Host":
			return pick("Host", "host", "HOST") + separator + pick(hosts...)
		case "Match":
			return "Match " + pick("all", "host old", "host old.example.net", "originalhost old", "user admin", "localuser nobody", "final all", "canonical", "!host new", "exec true", "exec false", `exec "test %h = old"`)
		case "HostName":
			return keyword + separator + pick("old.example.net", "OLD.Example.NET", "192.0.2.1", "%h.example.net", "2001:db8::1", `"old.example.net"`)
		case "Port":
			return keyword + separator + pick("22", "2222", "2200")
		case "User":
			return keyword + separator + pick("admin", "root", `"migrator"`)
		case "IdentityFile", "CertificateFile":
			return pick("  ", "\t", "") + keyword + separator + pick("~/.ssh/id", "~/.ssh/id#work", `"~/.ssh/my key"`, "/keys/%h", "/keys/%r-%n", "${HOME}/id", "/keys/id # mine", "none", "~/.ssh/id_rsa")
		case "IdentitiesOnly":
			return keyword + separator + pick("yes", "no", "true", "false")
		case "IdentityAgent":
			return keyword + separator + pick("none", "SSH_AUTH_SOCK", "~/agent", "$SSH_AUTH_SOCK", "${HOME}/agent")
		case "ProxyJump":
			return keyword + separator + pick("none", "gw", "admin@gw:2022", "gw,hall", "ssh://admin@gw:2022")
		case "ProxyCommand":
			return keyword + separator + pick("none", "nc %h %p", "ssh -W [%h]:%p gw", `sh -c "nc %h %p"`)
		case "UserKnownHostsFile":
			return keyword + separator + pick("~/.ssh/a ~/.ssh/b", "/a", `"/my hosts" /b`, "/known/%k", "none")
		case "HostKeyAlias":
			return keyword + separator + pick("there", "THERE")
		case "RevokedHostKeys":
			return keyword + separator + pick("/etc/ssh/revoked", "~/revoked")
		case "SendEnv":
			return keyword + separator + pick("LANG LC_*", `"LANG"`)
		case "Include":
			return keyword + separator + "/no/such/file"
		case "#":
			return "# Host *"
		}
		return ""
	}
	decided := 0
	files := 300
	if testing.Short() {
		files = 80
	}
	for range files {
		var lines []string
		for range 1 + random.IntN(10) {
			lines = append(lines, line())
		}
		text := strings.Join(lines, "\n")
		dir, _ := configDir(t, map[string]string{"config": text})
		q := question{path: filepath.Join(dir, "config"), alias: "old", user: pick("", "", "admin"), port: random.IntN(2) * 2022}
		want, err := printed(q)
		if err != nil {
			t.Fatalf("a bad file was generated: %v\n%s", err, text)
		}
		if got, err := q.bySSH(t.Context()); err != nil {
			t.Errorf("by ssh: %v\n%s", err, text)
		} else if got := comparable(q, got); got != want {
			t.Errorf("by ssh:\n%swant\n%sof\n%s", got, want, text)
		}
		got, err := q.byLibrary()
		if err != nil {
			if !strings.HasPrefix(err.Error(), q.path+":") || !strings.Contains(err.Error(), "openssh-client") {
				t.Errorf("by the library: %v\n%s", err, text)
			}
			continue
		}
		decided++
		if got := comparable(q, got); got != want {
			t.Errorf("by the library:\n%swant\n%sof\n%s", got, want, text)
		}
	}
	t.Logf("the library decided %d of %d files", decided, files)
	if decided < files/10 {
		t.Errorf("the library decided only %d of %d files", decided, files)
	}
}

// printed is what ssh -G prints, with the defaults left out that are no settings
// to us, and the names of files as a login of ssh expands them.
func printed(q question) (string, error) {
	args := []string{"-F", q.path}
	if q.user != "" {
		args = append(args, "-l", q.user)
	}
	if q.port != 0 {
		args = append(args, "-p", fmt.Sprint(q.port))
	}
	out, err := exec.Command("ssh", slices.Concat([]string{"-G"}, args, []string{q.alias})...).Output()
	if err != nil {
		return "", err
	}
	found := settings{}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[keyword] = append(found[keyword], value)
	}
	if text, _ := os.ReadFile(q.path); !strings.Contains(string(text), "File") {
		found["identityfile"] = inSSHHomes(found["identityfile"])
		return comparable(q, found), nil
	}
	// What ssh says that it has found at its files of keys, which it names expanded.
	login := exec.Command("ssh", slices.Concat([]string{"-v", "-o", "ProxyCommand=false", "-o", "ProxyJump=none", "-o", "RevokedHostKeys=none"}, args, []string{q.alias, "true"})...)
	said, _ := login.CombinedOutput()
	for keyword, mark := range map[string]string{"identityfile": "debug1: identity file ", "certificatefile": "debug1: certificate file "} {
		var files []string
		for line := range strings.Lines(string(said)) {
			if file, ok := strings.CutPrefix(line, mark); ok {
				file = file[:strings.LastIndex(file, " type ")]
				if keyword == "certificatefile" || !strings.HasSuffix(file, "-cert") { // ssh looks for that beside each
					files = append(files, file)
				}
			}
		}
		if len(found[keyword]) > 0 {
			found[keyword] = files
		}
	}
	return comparable(q, found), nil
}

// comparable is what the settings come to, with ssh's defaults.
func comparable(q question, found settings) string {
	who, _ := localName()
	defaults := settings{
		"hostname": {q.alias}, "port": {"22"}, "user": {or(q.user, who)}, "identitiesonly": {"no"},
		"identityfile": inSSHHomes(openSSH().identities), "userknownhostsfile": inSSHHomes(defaultUserKnownHosts),
	}
	if q.port != 0 {
		defaults["port"] = []string{fmt.Sprint(q.port)}
	}
	var text strings.Builder
	for _, keyword := range []string{"hostname", "port", "user", "identitiesonly", "hostkeyalias", "proxyjump", "proxycommand",
		"userknownhostsfile", "identityagent", "revokedhostkeys", "identityfile", "certificatefile"} {
		values, said := found[keyword]
		if !said || keyword == "user" && q.user != "" || keyword == "port" && q.port != 0 {
			values = defaults[keyword]
		}
		switch keyword {
		case "identityfile", "certificatefile", "userknownhostsfile":
			values = []string{strings.Join(withoutNone(values), " ")} // without knowing how ssh would quote them
		case "revokedhostkeys":
			values = inSSHHomes(values)
		default:
			values = values[:min(1, len(values))]
		}
		for i := range values {
			values[i] = strings.TrimPrefix(values[i], "ssh://")
		}
		if len(values) == 0 || strings.EqualFold(values[0], "none") && keyword != "identityagent" {
			values = []string{""}
		}
		fmt.Fprintf(&text, "%s %s\n", keyword, values[0])
	}
	return text.String()
}

func TestExplicitOptionsBeatSSHConfig(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "config", "Host *\n HostName 192.0.2.1\n Port 2\n User a\n UserKnownHostsFile /a\n")
	got, err := resolve(t.Context(), Config{Name: "old", Port: 3, User: "b", KnownHostsPath: "/b", SSHConfigPath: path})
	if err != nil {
		t.Fatal(err)
	}
	if got.addr() != "192.0.2.1:3" || got.login != "b" || strings.Join(got.knownHosts, " ") != "/b" {
		t.Errorf("%+v", got)
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
