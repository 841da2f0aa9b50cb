package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pkg/sftp"
)

// fileSession is an SFTP session on a link, with root's rights.
type fileSession struct {
	*sftp.Client
	gone  chan struct{} // closed when it has ended
	slots int           // that it holds
	users int           // operations under way, guarded by link.opening
}

// remotePipe is the input of an SFTP server that ends with its session.
type remotePipe struct {
	io.Writer
	close func() error
}

func (r remotePipe) Close() error { return r.close() }

// useFiles returns the SFTP session, opening it where there is none, and a
// function to call after use.
func (l *link) useFiles(ctx context.Context) (*fileSession, func(), error) {
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if l.files != nil {
		select {
		case <-l.files.gone:
			l.files = nil
		default:
		}
	}
	if l.files == nil {
		opened, err := l.openFiles(ctx)
		if err != nil {
			return nil, nil, err
		}
		l.files = opened
	}
	current := l.files
	current.users++
	return current, func() {
		l.opening <- struct{}{}
		current.users--
		<-l.opening
		if l.slots.tight(current.slots) {
			l.closeIdleFiles()
		}
	}, nil
}

// openFiles starts an SFTP server on the host. It is started as a command and
// not as sshd's subsystem, which would not have root's rights.
func (l *link) openFiles(ctx context.Context) (*fileSession, error) {
	fromHost, stdout := io.Pipe()
	stdin, toHost := io.Pipe()
	var stderr headTail
	p, err := l.launch(ctx, task{
		argv:  []string{"sh", "-c", sftpScript, "cutover-sftp"},
		stdin: stdin, stdout: stdout, stderr: &stderr,
	})
	if err != nil {
		return nil, err
	}
	opened := &fileSession{gone: make(chan struct{}), slots: p.slots}
	ended := make(chan error, 1)
	go func() {
		p.wait()
		err := l.target.outcome(p, "the SFTP server")
		p.close()
		stdout.CloseWithError(io.EOF)
		stdin.CloseWithError(io.ErrClosedPipe)
		ended <- err
		close(opened.gone)
	}()
	stop := context.AfterFunc(ctx, p.close)
	opened.Client, err = sftp.NewClientPipe(fromHost, remotePipe{toHost, func() error {
		fromHost.Close()
		return toHost.Close()
	}})
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err == nil {
		return opened, nil
	}
	p.close()
	var why error
	select {
	case why = <-ended:
	case <-time.After(endGrace):
	}
	if code, ok := ExitCode(why); ok && code == 127 {
		if p.rights.method == "" {
			return l.openSubsystem(ctx)
		}
		return nil, fmt.Errorf("host %q: there is no sftp-server program to run with %s; install it (Debian: openssh-sftp-server), or log in as root", l.target.Name, p.rights.method)
	}
	return nil, errors.Join(fmt.Errorf("host %q: unable to start an SFTP server: %w", l.target.Name, err), why)
}

// openSubsystem is for an sshd that has the SFTP server built in and no
// program beside it.
func (l *link) openSubsystem(ctx context.Context) (*fileSession, error) {
	sessions, err := l.session(ctx, 1)
	if err != nil {
		return nil, err
	}
	s := sessions[0]
	release := sync.OnceFunc(func() {
		s.ch.Close()
		l.slots.release(1)
	})
	if ok, err := s.subsystem("sftp"); err != nil || !ok {
		release()
		return nil, errors.Join(fmt.Errorf("host %q: there is neither an sftp-server program nor sshd's subsystem sftp; install the one (Debian: openssh-sftp-server), or set `Subsystem sftp internal-sftp` in sshd_config", l.target.Name), err)
	}
	opened := &fileSession{gone: make(chan struct{}), slots: 1}
	go func() {
		<-s.closed
		release()
		close(opened.gone)
	}()
	stop := context.AfterFunc(ctx, release)
	opened.Client, err = sftp.NewClientPipe(s.ch, remotePipe{s.ch, s.ch.Close})
	if !stop() || err != nil {
		release()
		return nil, errors.Join(ctx.Err(), err)
	}
	return opened, nil
}

// closeIdleFiles gives the SFTP session's slot back when nobody uses it.
func (l *link) closeIdleFiles() {
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	default:
		return // it is being opened, and may be what waits for a slot
	}
	if l.files != nil && l.files.users == 0 {
		l.files.Client.Close()
		l.files = nil
	}
}

// closeFiles lets the SFTP server end before the connection does.
func (l *link) closeFiles() {
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	case <-time.After(time.Second):
		return
	}
	if l.files != nil {
		l.files.Client.Close()
		select {
		case <-l.files.gone:
		case <-time.After(time.Second):
		}
		l.files = nil
	}
}
