package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

// task is a command to be started on a link.
type task struct {
	argv   []string
	stdin  io.Reader // nil is an empty input
	stdout io.Writer // never nil
	stderr io.Writer // never nil
	rights *rights   // how it gets root's rights; nil is as the link found out
	spare  bool      // takes no slot: for ending another command
}

// process is a command that was sent to a host.
type process struct {
	link     *link
	main     *session // its exit status
	data     *session // its input and outputs; the same as main but with doas and a password
	slots    int
	nonce    string
	rights   rights
	out, err *stream

	begun chan struct{} // closed when the command itself runs
	group int           // its process group; set before begun is closed
	start sync.Once

	broken  chan error // the first error of our own end of the input or output
	typed   sync.Once  // the password, which is given once
	release sync.Once
}

// maxArgument is the longest single argument that Linux takes, in bytes
// (MAX_ARG_STRLEN of execve(2)), without its NUL.
const maxArgument = 128<<10 - 1

// launch sends a task to the host. An errLinkLost says that it was not sent.
func (l *link) launch(ctx context.Context, t task) (*process, error) {
	if t.rights == nil {
		found, err := l.findRights(ctx)
		if err != nil {
			return nil, err
		}
		t.rights = &found
	}
	p := &process{link: l, nonce: random(), rights: *t.rights, begun: make(chan struct{}), broken: make(chan error, 1)}
	mark := markPattern("cutover-run-" + p.nonce)
	fail := func(err error) {
		select {
		case p.broken <- err:
		default:
		}
	}
	p.out = &stream{mark: mark, sink: t.stdout, onError: func(err error) { fail(fmt.Errorf("writing its output: %w", err)) }}
	p.err = &stream{mark: mark, sink: t.stderr, onError: func(err error) { fail(fmt.Errorf("writing its stderr: %w", err)) }}
	p.err.onBegin = func(group int) {
		p.start.Do(func() {
			p.group = group
			close(p.begun)
		})
	}
	if err := p.open(ctx, t); err != nil {
		return nil, err
	}
	if err := p.send(ctx, t); err != nil {
		p.close()
		return nil, err
	}
	go p.feed(t.stdin, fail)
	return p, nil
}

// open opens the sessions that the task needs.
func (p *process) open(ctx context.Context, t task) error {
	n := 1
	if p.rights.onTerminal() {
		n = 2
	}
	var opened []*session
	var err error
	if t.spare {
		opened, err = p.link.openAll(ctx, n)
	} else {
		opened, err = p.link.session(ctx, n)
		p.slots = n
	}
	if err != nil {
		return err
	}
	p.main, p.data = opened[0], opened[n-1]
	return nil
}

// send has sshd run the command line. From here on nothing is tried again.
func (p *process) send(ctx context.Context, t task) error {
	end := ""
	if p.rights.password != "" {
		end = p.endOfPassword()
	}
	argv := append([]string{"sh", "-c", runScript, "cutover-run", "cutover-run-" + p.nonce, end}, t.argv...)
	if p.rights.onTerminal() {
		return p.sendOnTerminal(ctx, argv)
	}
	p.err.onBefore = p.answerPrompt
	p.data.output(p.out, p.err)
	return p.exec(p.main, sh.Join(append([]string{"exec"}, p.rights.prefix(p.prompt(), argv)...)...))
}

func (p *process) exec(s *session, script string) error {
	line := sh.Program(script, "LC_ALL=C", "PATH="+remotePath)
	if len(line) > maxArgument {
		return fmt.Errorf("the command line is %d bytes long, and a host takes %d; give large data as input", len(line), maxArgument)
	}
	ok, err := s.exec(line)
	if err != nil {
		return fmt.Errorf("%w: %w", errLostWhileSending, err)
	}
	if !ok {
		return errors.New("sshd refuses to run commands for this login")
	}
	return nil
}

// errLostWhileSending is a connection that went away when nobody can tell
// whether the command had arrived.
var errLostWhileSending = errors.New("the connection was lost while the command was being sent; whether it ran is not known")

func (p *process) prompt() string        { return "cutover-password-" + p.nonce + ":" }
func (p *process) endOfPassword() string { return "cutover-input-" + p.nonce }

// answerPrompt types the password when sudo asks for it. Asked a second time,
// the password was wrong; then the input ends, and with it sudo.
//
// Only a line that is still open can be a prompt. What answers another
// program's text by mistake does no harm: run.sh drops all that comes before
// endOfPassword, so that a password never becomes a command's input.
func (p *process) answerPrompt(before string) {
	if p.rights.password == "" {
		return
	}
	asked := strings.Count(before, p.prompt())
	last := strings.TrimRight(before[strings.LastIndexByte(before, '\n')+1:], " ")
	if asked == 0 && !strings.HasSuffix(last, ":") && !strings.HasSuffix(last, "?") {
		return
	}
	p.typed.Do(func() {
		go io.WriteString(p.main.ch, p.rights.password+"\n") //nolint:errcheck // a lost connection shows elsewhere
	})
	if asked > 1 {
		go p.main.ch.CloseWrite() //nolint:errcheck // as above
	}
}

// feed gives the command its input.
func (p *process) feed(stdin io.Reader, fail func(error)) {
	if p.rights.password != "" {
		// Nothing of the input may come where sudo could still ask.
		select {
		case <-p.begun:
		case <-p.main.closed:
			p.data.ch.CloseWrite() //nolint:errcheck // lets streams.sh end
			return
		}
		if _, err := io.WriteString(p.data.ch, p.endOfPassword()+"\n"); err != nil {
			return
		}
	}
	if stdin != nil {
		buffer := make([]byte, 32<<10)
		for {
			n, err := stdin.Read(buffer)
			if n > 0 {
				if _, err := p.data.ch.Write(buffer[:n]); err != nil {
					return // the command has closed its input or has ended
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				// An input cut short must not look like a whole one.
				fail(fmt.Errorf("reading its input: %w", err))
				return
			}
		}
	}
	p.data.ch.CloseWrite() //nolint:errcheck // the command has ended, or the connection
}

// wait waits for the end of the command and of its output.
func (p *process) wait() {
	p.main.wait()
	if p.data != p.main {
		p.data.ch.CloseWrite() //nolint:errcheck // lets streams.sh end
		p.data.settle(p.data.copied())
	}
}

// close gives the sessions back.
func (p *process) close() {
	p.main.ch.Close()
	p.data.ch.Close()
	p.out.stop()
	p.err.stop()
	p.release.Do(func() { p.link.slots.release(p.slots) })
}
