package host

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// session is one channel of type "session" (RFC 4254, section 6).
//
// ssh.Session is not used because its Wait returns only when the channel is
// closed, and sshd closes it only when the last process that holds the output
// has gone: `/etc/init.d/x start` would never come back where the daemon keeps
// its stderr.
type session struct {
	link   *link
	ch     ssh.Channel
	exited chan struct{} // closed when the exit status has come
	closed chan struct{} // closed when the channel is
	copies sync.WaitGroup
	moved  atomic.Int64 // bytes of output that have come

	status   uint32
	signal   string
	reported bool // whether status and signal are set
}

func newSession(l *link, ch ssh.Channel, requests <-chan *ssh.Request) *session {
	s := &session{link: l, ch: ch, exited: make(chan struct{}), closed: make(chan struct{})}
	go s.serve(requests)
	return s
}

func (s *session) serve(requests <-chan *ssh.Request) {
	defer close(s.closed)
	for request := range requests {
		if request.WantReply {
			request.Reply(false, nil) //nolint:errcheck // a lost connection shows elsewhere
		}
		if s.reported {
			continue
		}
		switch request.Type {
		case "exit-status":
			var status struct{ Code uint32 }
			if ssh.Unmarshal(request.Payload, &status) == nil {
				s.status, s.reported = status.Code, true
				close(s.exited)
			}
		case "exit-signal":
			var status struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if ssh.Unmarshal(request.Payload, &status) == nil {
				s.signal, s.reported = status.Signal, true
				close(s.exited)
			}
		}
	}
}

// request sends a request that sshd answers. ok is false where it refuses.
func (s *session) request(name string, payload any) (ok bool, err error) {
	return s.ch.SendRequest(name, true, ssh.Marshal(payload))
}

func (s *session) exec(line string) (bool, error) {
	return s.request("exec", struct{ Command string }{line})
}

func (s *session) subsystem(name string) (bool, error) {
	return s.request("subsystem", struct{ Name string }{name})
}

// pty asks for a terminal that does not echo.
func (s *session) pty() (bool, error) {
	const echo, end = 53, 0 // opcodes of RFC 4254, section 8
	return s.request("pty-req", struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}{"dumb", 80, 24, 0, 0, string([]byte{echo, 0, 0, 0, 0, end})})
}

// output copies what the session prints.
func (s *session) output(stdout, stderr io.Writer) {
	pump := func(from io.Reader, to io.Writer) {
		defer s.copies.Done()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				to.Write(buffer[:n]) //nolint:errcheck // streams keep their own errors and never stop the reading
				s.moved.Add(int64(n))
			}
			if err != nil {
				return
			}
		}
	}
	s.copies.Add(2)
	go pump(s.ch, stdout)
	go pump(s.ch.Stderr(), stderr)
}

// quiet is how long nothing may come after the exit status before the output
// counts as complete.
const quiet = 300 * time.Millisecond

// wait returns when the command has ended and its output has come, or when all
// has come but a process that it left behind still holds the output open.
func (s *session) wait() {
	copied := s.copied()
	select {
	case <-s.exited:
		s.settle(copied)
	case <-s.closed:
		<-copied
	}
}

// copied returns a channel that is closed at the end of the output.
func (s *session) copied() <-chan struct{} {
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		s.copies.Wait()
	}()
	return copied
}

// settleLimit is how long output may go on to come after the exit status. What
// the command itself printed has come by then also over a slow line: no more
// than the window of the channel (2 MiB) can have been under way.
const settleLimit = 30 * time.Second

// settle returns at the end of the output, or when the host is silent, or when
// what still comes must be of a process that the command left behind.
func (s *session) settle(copied <-chan struct{}) {
	for began := time.Now(); time.Since(began) < settleLimit; {
		before := s.moved.Load()
		select {
		case <-copied:
			return
		case <-time.After(quiet):
		}
		// The answer comes on the same connection after everything that sshd
		// sent before: silence of a slow line is told from silence of the host.
		if s.link.ping() != nil {
			<-copied
			return
		}
		if s.moved.Load() == before {
			return
		}
	}
}

// kill asks sshd to signal the command: OpenSSH 7.9 and later do, for
// processes of the login's own user.
func (s *session) kill(signal string) {
	s.ch.SendRequest("signal", false, ssh.Marshal(struct{ Signal string }{signal})) //nolint:errcheck // a last resort
}
