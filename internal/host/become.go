package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

// rights is how commands on one connection get root's rights.
type rights struct {
	method   string // "", "sudo" or "doas"
	password string // to be typed; "" where the rule asks for none
}

// onTerminal tells whether the command needs a terminal: doas reads a
// password from nothing else.
func (r rights) onTerminal() bool { return r.method == "doas" && r.password != "" }

// prefix puts before a command what gives it root's rights. A cached sudo
// ticket is never used (-k): whether a password is asked for must not change
// between one command and the next.
func (r rights) prefix(prompt string, argv []string) []string {
	var before []string
	switch {
	case r.method == "sudo" && r.password == "":
		before = []string{"sudo", "-H", "-k", "-n", "--"}
	case r.method == "sudo":
		before = []string{"sudo", "-H", "-k", "-S", "-p", prompt, "--"}
	case r.method == "doas" && r.password == "":
		before = []string{"doas", "-n", "--"}
	}
	return append(before, argv...)
}

// findRights finds out, once a connection, whether sudo or doas asks for a
// password. It never falls back to running commands without them.
func (l *link) findRights(ctx context.Context) (rights, error) {
	select {
	case l.becoming <- struct{}{}:
		defer func() { <-l.becoming }()
	case <-ctx.Done():
		return rights{}, ctx.Err()
	}
	if l.rights != nil {
		return *l.rights, nil
	}
	become := l.target.Become
	found := rights{method: become.Method}
	if l.target.login == "root" {
		found.method = ""
	}
	if found.method != "" {
		err := l.tryRights(ctx, found)
		var refused *becomeError
		if errors.As(err, &refused) && become.Password != "" {
			found.password = become.Password
			err = l.tryRights(ctx, found)
		}
		if err != nil {
			return rights{}, err
		}
	}
	l.rights = &found
	return found, nil
}

// tryRights runs a command that does nothing.
func (l *link) tryRights(ctx context.Context, r rights) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.target.timeout(), fmt.Errorf("%s did not come to an end", r.method))
	defer cancel()
	p, err := l.launch(ctx, task{argv: []string{"true"}, stdout: io.Discard, stderr: io.Discard, rights: &r})
	if err != nil {
		return err
	}
	return l.target.finish(ctx, p, "trying "+r.method)
}

// becomeError is a sudo or doas that did not let the command run.
type becomeError struct {
	method, text string
}

func (e *becomeError) Error() string { return e.text }

// refusal explains why a command never began: what the login shell, sudo or
// doas said instead.
func (t *target) refusal(r rights, said, how string) error {
	said = strings.TrimSpace(said)
	login := fmt.Sprintf("host %q: %%s user %q", t.Name, t.login)
	attribute := fmt.Sprintf("become.password of host %q", t.Name)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(said, part) {
				return true
			}
		}
		return false
	}
	var text string
	switch {
	case r.method == "":
		text = fmt.Sprintf(login+"'s login shell did not run the command", "the")
	case has("must have a tty"):
		text = fmt.Sprintf(login+" a terminal (requiretty); add to sudoers: Defaults:%s !requiretty", "sudo wants of", t.login)
	case has("not in the sudoers", "may not run", "not allowed to", "Operation not permitted", "I'm sorry"):
		text = fmt.Sprintf(login+" run commands as root; add a rule for it, or log in as another user", r.method+" does not let")
	case has("not found", "No such file") && has("sudo:", "doas:", "exec:", r.method):
		text = fmt.Sprintf("host %q: there is no %s; install it, or use another become.method, or log in as root", t.Name, r.method)
	case r.password == "" && has("password is required", "Authentication required", "authentication is required", "a terminal is required", "no tty present", "Authorization required"):
		text = fmt.Sprintf(login+" for a password; set %s, or give the user a rule without one", r.method+" asks", attribute)
	case r.password != "" && (has("incorrect password", "Sorry, try again", "Authentication failed", "no password was provided", "Authorization failed", "uthentication fail", "ncorrect authentication") || strings.Count(said, "cutover-password-") > 1):
		text = fmt.Sprintf(login+"'s password; check %s", r.method+" does not take", attribute)
	default:
		text = fmt.Sprintf(login+" run the command", r.method+" did not let")
	}
	if how != "" {
		text += " (" + how + ")"
	}
	if said = strings.TrimSpace(ourLines.ReplaceAllString(said, "")); said != "" {
		text += ". It said:\n" + indent(lastLines(said, stderrLines))
	}
	return &becomeError{method: r.method, text: text}
}

// ourLines are what our own scripts print before a command begins, and the
// prompts that we have sudo print.
var ourLines = regexp.MustCompile(`cutover-streams-[^\n]*\n|cutover-password-[0-9a-f]+:|(?m:^[ \t]*\n)`)

// sendOnTerminal runs the command under doas, which gets a terminal for its
// question, while the command has the input and outputs of a session without
// one: a terminal would mix them and change bytes.
func (p *process) sendOnTerminal(ctx context.Context, argv []string) error {
	directory := make(chan string, 1)
	dirMark := "cutover-streams-" + p.nonce
	p.out.onBefore = func(before string) {
		_, rest, found := strings.Cut(before, dirMark+" ")
		if dir, _, whole := strings.Cut(rest, "\n"); found && whole {
			select {
			case directory <- dir:
			default:
			}
		}
	}
	p.data.output(p.out, p.err)
	if err := p.exec(p.data, sh.Join("exec", "sh", "-c", streamsScript, "cutover-streams", dirMark)); err != nil {
		return err
	}
	var dir string
	select {
	case dir = <-directory:
	case <-p.data.closed:
		_, said := p.err.state()
		return fmt.Errorf("unable to make FIFOs for doas in /tmp: %s", strings.TrimSpace(said))
	case <-ctx.Done():
		return ctx.Err()
	}
	if ok, err := p.main.pty(); err != nil || !ok {
		return errors.Join(errors.New("sshd gives no terminal (PermitTTY), without which doas cannot ask for its password"), err)
	}
	terminal := &stream{mark: markPattern("never-" + p.nonce)}
	terminal.onBefore = func(shown string) {
		if strings.HasSuffix(strings.TrimRight(shown, " "), ":") {
			p.typed.Do(func() {
				go io.WriteString(p.main.ch, p.rights.password+"\n") //nolint:errcheck // a lost connection shows elsewhere
			})
		}
	}
	p.main.output(terminal, io.Discard)
	if err := p.exec(p.main, sh.Join(append([]string{"exec", "sh", "-c", doasScript, "cutover-doas", dir}, argv...)...)); err != nil {
		return err
	}
	if _, err := io.WriteString(p.data.ch, "go\n"); err != nil {
		return fmt.Errorf("%w: %w", errLostWhileSending, err)
	}
	return nil
}

// beginTimeout is how long a command that is to be ended may take to say that
// it has begun.
const beginTimeout = 3 * time.Second
