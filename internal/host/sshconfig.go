package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// settings are what ssh_config says about one host: the values of each keyword,
// which is in lower case, in the order in which they count.
type settings map[string][]string

// get returns the value that counts, or "".
func (s settings) get(keyword string) string {
	if values := s[keyword]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// question asks what ssh_config says about one host.
type question struct {
	path   string // the file; "" is ssh's own files
	alias  string // as the user names the host
	user   string // login that is given already; ""
	port   int    // port that is given already; 0
	keyed  bool   // whether a key is given already: ssh's default ones do not count then
	direct bool   // whether the way to the host is given already: no ProxyJump and no ProxyCommand
}

// readSSHConfig returns what ssh says about a host. Ssh knows its files best:
// Match exec, Include, canonical names and its rules of quoting. Only where there
// is no ssh, byLibrary reads them.
func readSSHConfig(ctx context.Context, q question) (settings, error) {
	if q.path == "none" {
		return nil, nil
	}
	q.path = InHome(q.path)
	if openSSH() == nil {
		return q.byLibrary()
	}
	return q.bySSH(ctx)
}

// openSSH returns what is the same for each host, or nil where there is no ssh to
// be asked: OpenSSH has ssh -G since 6.8, and another program by that name
// would take -G for something else, and might connect.
var openSSH = sync.OnceValue(func() *sshProgram {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	version, err := exec.CommandContext(ctx, path, "-V").CombinedOutput()
	if found := openSSHVersion.FindSubmatch(version); err != nil || found == nil || !answersG(found) {
		return nil
	}
	program := &sshProgram{path: path}
	plain, err := program.ask(ctx, "-F", "none", "localhost")
	if err != nil {
		return nil
	}
	program.identities = plain["identityfile"]
	return program
})

// openSSHVersion matches the number in what ssh -V prints, such as
// "OpenSSH_9.2p1 Debian-2" or "OpenSSH_for_Windows_9.5p1".
var openSSHVersion = regexp.MustCompile(`OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)`)

func answersG(version [][]byte) bool {
	major, _ := strconv.Atoi(string(version[1]))
	minor, _ := strconv.Atoi(string(version[2]))
	return major > 6 || major == 6 && minor >= 8
}

type sshProgram struct {
	path       string
	identities []string // IdentityFile where no file says any
}

// ask runs ssh -G, which prints the settings of a host and connects to nothing.
func (p *sshProgram) ask(ctx context.Context, args ...string) (settings, error) {
	command := exec.CommandContext(ctx, p.path, append([]string{"-G", "-T"}, args...)...)
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	command.WaitDelay = time.Second // a command of Match exec may live on
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("ssh -G says: %s (%w)", said.String(), causeOf(ctx, err))
	}
	found := settings{}
	for line := range strings.Lines(out.String()) {
		keyword, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		found[keyword] = append(found[keyword], value)
	}
	if found.get("hostname") == "" {
		return nil, fmt.Errorf("ssh -G gives no hostname, but: %.200s", out.String())
	}
	return found, nil
}

// bySSH asks ssh.
func (q question) bySSH(ctx context.Context) (settings, error) {
	var args []string
	add := func(when bool, words ...string) {
		if when {
			args = append(args, words...)
		}
	}
	add(q.path != "", "-F", q.path)
	add(q.user != "", "-l", q.user)
	add(q.port != 0, "-p", strconv.Itoa(q.port))
	add(q.direct, "-o", "ProxyCommand=none")
	add(q.keyed, "-o", "IdentityFile=given")
	add(true, "--", q.alias)
	found, err := openSSH().ask(ctx, args...)
	if err != nil {
		return nil, err
	}
	switch identities := found["identityfile"]; {
	case q.keyed && len(identities) > 0:
		found["identityfile"] = identities[1:] // without the given one
	case slices.Equal(identities, openSSH().identities):
		delete(found, "identityfile")
	}
	if strings.EqualFold(found.get("proxyusefdpass"), "yes") {
		return nil, errors.New("ProxyUseFdpass hands over a socket, which only ssh itself can take; leave it out")
	}
	for _, keyword := range []string{"userknownhostsfile", "globalknownhostsfile", "revokedhostkeys"} {
		found[keyword] = separateFiles(found.get(keyword))
	}
	return found, q.expand(ctx, found, args)
}

// fileKeywords are the keywords whose values are names of files, with ~ and tokens.
var fileKeywords = []string{"identityfile", "certificatefile", "identityagent", "revokedhostkeys", "userknownhostsfile", "globalknownhostsfile"}

// expand replaces ~, tokens such as %h, and ${VARIABLE} in names of files. Ssh -G
// leaves most of them as they are, but expands a ControlPath, by the same rules.
func (q question) expand(ctx context.Context, found settings, args []string) error {
	var open []*string
	for _, keyword := range fileKeywords {
		for i, path := range found[keyword] {
			found[keyword][i] = inSSHHome(path)
			if strings.Contains(path, "%") || strings.Contains(path, "${") {
				open = append(open, &found[keyword][i])
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	const separator = "\x1f" // in no name of a file
	var paths []string
	for _, path := range open {
		paths = append(paths, *path)
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Join(paths, separator)) + `"`
	answer, err := openSSH().ask(ctx, slices.Concat([]string{"-o", "ControlPath=" + quoted}, args)...)
	if err != nil {
		return err
	}
	expanded := strings.Split(answer.get("controlpath"), separator)
	if len(expanded) != len(open) {
		return fmt.Errorf("ssh -G does not expand %s", strings.Join(paths, " "))
	}
	for i, path := range open {
		*path = expanded[i]
	}
	return nil
}

// separateFiles separates the files of a UserKnownHostsFile, which ssh -G prints
// with blanks between them and without quotes. They are absolute, ~ being
// expanded; a part that is none belongs to the name before, unless its words are
// files and it is not.
func separateFiles(printed string) []string {
	var files []string
	for _, word := range strings.Split(printed, " ") {
		if len(files) > 0 && !filepath.IsAbs(word) && !strings.HasPrefix(word, "~") {
			files[len(files)-1] += " " + word
			continue
		}
		files = append(files, word)
	}
	var separate []string
	for _, file := range files {
		words := strings.Fields(file)
		if !isFile(file) && slices.ContainsFunc(words, isFile) {
			separate = append(separate, words...)
			continue
		}
		separate = append(separate, file)
	}
	if len(separate) == 1 && (separate[0] == "" || strings.EqualFold(separate[0], "none")) {
		return nil
	}
	return separate
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// InHome replaces a leading ~ by $HOME, as shells do.
func InHome(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, path[1:])
		}
	}
	return path
}

// inSSHHome replaces a leading ~ or ~user as ssh does: by the home of passwd.
func inSSHHome(path string) string {
	if !strings.HasPrefix(path, "~") {
		return path
	}
	name, rest, _ := strings.Cut(path[1:], "/")
	who, err := user.Current()
	if name != "" {
		who, err = user.Lookup(name)
	}
	if err != nil {
		return path
	}
	return filepath.Join(who.HomeDir, rest)
}
