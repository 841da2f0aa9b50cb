package lab_test

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// TestAccHosts boots all kinds side by side in one lab, fills those that have
// content, and looks at what it promises from a client's point of view.
func TestAccHosts(t *testing.T) {
	l, hosts := start(t, "old=sysv", "mid=bookworm", "new=trixie")
	c, err := l.StartClient(t.Context(), "visitor")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		t.Run(h.Name, func(t *testing.T) {
			users := lab.UserNames(12)
			if h.Kind != lab.Trixie {
				if err := h.Fill(t.Context(), lab.Content{}); err != nil {
					t.Fatal(err)
				}
			} else {
				prepareNew(t, h, users)
			}
			t.Run("init", func(t *testing.T) { checkInit(t, h) })
			t.Run("logins", func(t *testing.T) { checkLogins(t, l, h) })
			t.Run("web", func(t *testing.T) { checkWeb(t, c, h) })
			t.Run("mail", func(t *testing.T) { checkMail(t, c, h) })
			t.Run("client", func(t *testing.T) { checkClient(t, c, h) })
			if h.Kind != lab.Trixie {
				t.Run("content", func(t *testing.T) { checkContent(t, h) })
			}
			t.Run("tree", func(t *testing.T) { checkTree(t, h) })
		})
	}
	t.Run("names", func(t *testing.T) {
		for _, h := range hosts {
			for _, other := range hosts {
				out := must(t)(h.Run(t.Context(), "getent", "ahosts", other.Name))
				if !strings.Contains(out, other.Address+" ") {
					t.Errorf("%s knows %s as %q", h.Name, other.Name, out)
				}
			}
		}
	})
}

// prepareNew gives a host without content one account and the sites.
func prepareNew(t *testing.T, h *lab.Host, users []string) {
	t.Helper()
	must(t)(h.Run(t.Context(), "useradd", "-m", "-K", "HOME_MODE=0711", users[0]))
	must(t)(h.RunInput(t.Context(), users[0]+":"+lab.Password(users[0])+"\n", "chpasswd"))
	must(t)(h.Run(t.Context(), "install", "-d", "-o", users[0], "/home/"+users[0]+"/www", "/home/"+users[0]+"/public_html"))
	must(t)(h.RunInput(t.Context(), "Home page of "+users[0]+"\n", "tee", "/home/"+users[0]+"/public_html/index.html"))
	if err := h.ConfigureSites(t.Context(), users); err != nil {
		t.Fatal(err)
	}
}

func checkInit(t *testing.T, h *lab.Host) {
	out := must(t)(h.Run(t.Context(), "readlink", "/proc/1/exe"))
	if want := map[bool]string{true: "/sbin/init", false: "/lib/systemd/systemd"}[h.Kind == lab.SysV]; !strings.HasSuffix(strings.TrimSpace(out), want) {
		t.Errorf("init is %q", out)
	}
	if h.Kind == lab.SysV {
		for _, program := range []string{"systemctl", "nft", "python3"} {
			if _, err := h.Run(t.Context(), "sh", "-c", `command -v "$1"`, "sh", program); err == nil {
				t.Errorf("the old host has %s", program)
			}
		}
	} else if out, err := h.Run(t.Context(), "systemctl", "is-system-running", "--wait"); err != nil {
		failed, _ := h.Run(t.Context(), "systemctl", "--failed", "--no-legend")
		t.Errorf("%s: %v\n%s", out, err, failed)
	}
	// What forwarding of any sort needs.
	must(t)(h.Run(t.Context(), "sysctl", "-w", "net.ipv4.ip_forward=1"))
	must(t)(h.Run(t.Context(), "sh", "-c", "iptables -w -t nat -L -n || nft list ruleset"))
	must(t)(h.Run(t.Context(), "test", "-c", "/dev/net/tun"))
	if out := must(t)(h.Run(t.Context(), "hostname", "-f")); out != h.Name+".example.test\n" {
		t.Errorf("full name %q", out)
	}
	processes, err := h.Processes(t.Context())
	if err != nil || !slices.ContainsFunc(processes, func(p string) bool { return strings.Contains(p, "root") && strings.Contains(p, "sshd") }) {
		t.Errorf("no sshd in %q (%v)", processes, err)
	}
}

// ssh logs in with the lab's files and runs a command line.
func ssh(t *testing.T, l *lab.Lab, target, stdin, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-i", l.KeyPath(), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+l.KnownHostsPath(), target, command)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func checkLogins(t *testing.T, l *lab.Lab, h *lab.Host) {
	try := func(user, stdin, command, want string) {
		t.Helper()
		for _, address := range []string{h.Address, h.Address6} {
			if out, err := ssh(t, l, user+"@"+address, stdin, command); err != nil || strings.TrimSpace(out) != want {
				t.Errorf("%s@%s %s: %q, %v", user, address, command, out, err)
			}
		}
	}
	try("root", "", "id -u", "0")
	try("admin", "admin-secret\n", "sudo -S -p '' id -u 2>/dev/null", "0")
	try("operator", "", "sudo -n id -u", "0")
	if h.Kind == lab.Trixie {
		try("doasfree", "", "doas -n id -u", "0")
		try("doasuser", "", "id -un", "doasuser")
	} else {
		try("anna", "", "id -un", "anna")
	}
	for _, refused := range []string{"sudo -n true"} {
		if out, err := ssh(t, l, "admin@"+h.Address, "", refused); err == nil {
			t.Errorf("admin needs no password: %q", out)
		}
	}
}

func checkWeb(t *testing.T, c *lab.Client, h *lab.Host) {
	for _, address := range []string{h.Address, "[" + h.Address6 + "]"} {
		out := must(t)(c.Run(t.Context(), "curl", "-sS", "-i", "--max-time", "5", "--connect-to", "::"+address+":", "http://anna.example.test/"))
		if !strings.Contains(out, " 200 OK") || !strings.Contains(out, "X-Served-By: "+h.Name) || !strings.Contains(out, "Home page of anna") {
			t.Errorf("page from %s: %q", address, out)
		}
	}
}

// checkMail delivers a mail to anna and fetches it by POP3 and IMAP.
func checkMail(t *testing.T, c *lab.Client, h *lab.Host) {
	for _, address := range []string{h.Address, "[" + h.Address6 + "]"} {
		out, err := c.Run(t.Context(), "swaks", "--silent", "1", "--server", address, "--from", "visitor@elsewhere.test", "--to", "anna@example.test",
			"--header", "Subject: through "+address, "--helo", "visitor.elsewhere.test")
		if err != nil {
			t.Errorf("delivery: %v %s", err, out)
		}
	}
	out, err := c.Run(t.Context(), "swaks", "--server", h.Address, "--from", "visitor@elsewhere.test", "--to", "nobody.here@example.test", "--quit-after", "RCPT")
	if err == nil || !strings.Contains(out, "<** 550") || !strings.Contains(out, "220 "+h.Name+".example.test") {
		t.Errorf("unknown user: %v %s", err, out)
	}
	out, err = c.Run(t.Context(), "swaks", "--server", h.Address, "--from", "visitor@elsewhere.test", "--to", "someone@elsewhere.test", "--quit-after", "RCPT")
	if err == nil || !strings.Contains(out, "<** 55") {
		t.Errorf("relayed for a foreigner: %v %s", err, out)
	}
	if h.Kind != lab.SysV {
		out, err = c.Run(t.Context(), "swaks", "--server", h.Address, "--port", "587", "--auth", "PLAIN", "--auth-user", "anna", "--auth-password",
			lab.Password("anna"), "--from", "anna@example.test", "--to", "someone@elsewhere.test", "--quit-after", "RCPT")
		if err != nil {
			t.Errorf("submission: %v %s", err, out)
		}
	}
	out, err = c.Run(t.Context(), "swaks", "--server", h.Address, "--port", "587", "--from", "visitor@elsewhere.test", "--to", "someone@elsewhere.test",
		"--quit-after", "RCPT")
	if err == nil || !strings.Contains(out, "<** 55") {
		t.Errorf("submission relayed for a foreigner: %v %s", err, out)
	}

	fetch := func(url string) string {
		var out string
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			out, err = c.Run(t.Context(), "curl", "-sS", "--max-time", "5", "--user", "anna:"+lab.Password("anna"), url, "-X", "UID SEARCH SUBJECT \"through\"")
			if fields := strings.Fields(strings.TrimPrefix(out, "* SEARCH")); err == nil && len(fields) == 2 || time.Now().After(deadline) {
				return out
			}
		}
	}
	if out := fetch("imap://" + h.Address + "/INBOX"); err != nil || len(strings.Fields(out)) != 4 {
		t.Errorf("IMAP: %v %q", err, out)
	}
	out, err = c.Run(t.Context(), "curl", "-sS", "--max-time", "5", "--user", "anna:"+lab.Password("anna"), "pop3://"+h.Address+"/")
	want := map[bool]int{true: 2, false: 7}[h.Kind == lab.Trixie] // Fill's five and ours
	if err != nil || strings.Count(out, "\n") != want {
		t.Errorf("POP3: want %d mails: %v %q", want, err, out)
	}
	must(t)(h.Run(t.Context(), "sh", "-c", "grep -rlq 'Subject: through' /home/anna/mail/new /home/anna/mail/cur"))

	if h.Kind == lab.SysV {
		out, err = c.Run(t.Context(), "curl", "-sS", "--max-time", "5", "--list-only", "--user", "anna:"+lab.Password("anna"), "ftp://"+h.Address+"/public_html/")
		if err != nil || !strings.Contains(out, "index.html") {
			t.Errorf("FTP: %v %q", err, out)
		}
	}
}

func checkClient(t *testing.T, c *lab.Client, h *lab.Host) {
	for _, address := range []string{h.Address, h.Address6} {
		conn, err := c.Dial(t.Context(), "tcp", net.JoinHostPort(address, "22"))
		if err != nil {
			t.Fatal(err)
		}
		from, _, _ := net.SplitHostPort(conn.LocalAddr().String())
		if from != c.Address && from != c.Address6 {
			t.Errorf("came from %s", from)
		}
		greeting, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(greeting, "SSH-2.0") {
			t.Errorf("greeting %q, %v", greeting, err)
		}
		conn.Close()
	}
}

// checkContent looks at what a plain copy would lose.
func checkContent(t *testing.T, h *lab.Host) {
	sh := func(command string) string {
		t.Helper()
		return strings.TrimSpace(must(t)(h.Run(t.Context(), "sh", "-c", "cd /home/anna/odd && "+command)))
	}
	for command, want := range map[string]string{
		"stat -c '%s' sparse":                                    "10485760",
		"stat -c %h hard/links/third":                            "3",
		"stat -c '%a %U %G' team":                                "2775 anna webteam",
		"stat -c '%U %G' others":                                 "bert webteam",
		"getfacl -cp acl | grep bert":                            "user:bert:rw-",
		"getfacl -cp team | grep default:user:bert":              "default:user:bert:rwx",
		"getfattr --only-values -n user.comment xattr":           "a user attribute",
		"stat -c %F fifo":                                        "fifo",
		"readlink dangling":                                      "/nonexistent/target",
		"ls -1 | wc -L":                                          "255",
		"find . -name '*\n*' | wc -l":                            "2", // one name, on two lines
		"id -u carl":                                             "500",
		"id -nG bert":                                            "bert staff webteam",
		"stat -c '%a %U' /home/anna/mail":                        "700 anna",
		"ls /home/lena/mail/new /home/lena/mail/cur | grep -c M": "5",
		"grep -c '^From ' /var/mail/lena":                        "2",
		"getent passwd anna | cut -d: -f5":                       "Anna Müller",
		"ls /home | grep -c .":                                   "14", // with admin and operator
	} {
		if got := sh(command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	var blocks int
	if _, err := fmt.Sscan(sh("stat -c %b sparse"), &blocks); err != nil || blocks > 64 {
		t.Errorf("the sparse file has %d blocks (%v)", blocks, err)
	}
	if hash := must(t)(h.Run(t.Context(), "getent", "shadow", "anna")); !strings.HasPrefix(hash, "anna:$6$") {
		t.Errorf("anna's password is not hashed with SHA-512")
	}
}

// difference names what two trees do not have in common.
func difference(before, after map[string]string) (all []string) {
	for name := range before {
		if before[name] != after[name] {
			all = append(all, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// checkTree wants a tree that stands still, and shows each sort of change.
func checkTree(t *testing.T, h *lab.Host) {
	tree := func() map[string]string {
		t.Helper()
		tree, err := h.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	before := tree()
	if len(before) < 5000 || before["/etc/passwd"] == "" {
		t.Fatalf("a tree of %d files", len(before))
	}
	for name := range before {
		// The base must not have what the provider's own traces are found by.
		if strings.Contains(name, "cutover") {
			t.Errorf("the base has %s", name)
		}
	}
	must(t)(h.Run(t.Context(), "sh", "-c", `mkdir /run/cutover /etc/cutover && echo x >/run/cutover/key && chmod 600 /etc/hostname && echo >>/etc/motd && rm /etc/issue
		cp -p /etc/services /tmp/ref && printf X | dd of=/etc/services conv=notrunc 2>/dev/null && touch -r /tmp/ref /etc/services && rm /tmp/ref`))
	want := []string{"/etc/cutover", "/etc/hostname", "/etc/issue", "/etc/motd", "/etc/services", "/run/cutover", "/run/cutover/key"}
	if got := difference(before, tree()); !slices.Equal(got, want) {
		t.Errorf("changed: %q, want %q", got, want)
	}
	must(t)(h.Run(t.Context(), "sh", "-c", "rm -r /run/cutover /etc/cutover"))
}
