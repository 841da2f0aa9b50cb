package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
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
// not as sshd's subsystem, which would have neither root's rights nor the
// umask that keeps a new file from being read before it has its mode.
func (l *link) openFiles(ctx context.Context) (*fileSession, error) {
	fromHost, stdout := io.Pipe()
	stdin, toHost := io.Pipe()
	var stderr headTail
	p, err := l.launch(ctx, task{
		argv:  []string{"sh", "-c", sftpScript, "cutover-sftp"},
		stdin: stdin, stdout: stdout, stderr: &stderr, umask: "077",
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

func (l *link) closeFiles() {
	l.opening <- struct{}{}
	defer func() { <-l.opening }()
	if l.files != nil {
		l.files.Client.Close()
		select {
		case <-l.files.gone:
		case <-time.After(time.Second):
		}
		l.files = nil
	}
}

// errGivenUp is an operation whose context ended before the answer came.
var errGivenUp = errors.New("given up before the host answered")

// fileOp does one thing over SFTP. again says that it may be done twice, for
// when the answer to the first time got lost.
func (h *remote) fileOp(ctx context.Context, what, name string, again bool, do func(*sftp.Client) error) error {
	h.pool.fileOps.Add(1)
	began := time.Now()
	err := h.withLink(ctx, func(l *link) error {
		err := l.fileOp(ctx, do)
		if again && errors.Is(err, sftp.ErrSSHFxConnectionLost) && ctx.Err() == nil {
			if l.lost() {
				return errLinkLost
			}
			err = l.fileOp(ctx, do)
		}
		return err
	})
	fields := map[string]any{"operation": what, "path": name, "duration": time.Since(began).String()}
	if err != nil {
		fields["error"] = err.Error()
	}
	h.cfg.log(ctx, "did a file operation", fields)
	return h.named(err, what+" "+name)
}

func (l *link) fileOp(ctx context.Context, do func(*sftp.Client) error) error {
	session, done, err := l.useFiles(ctx)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		defer done()
		result <- do(session.Client)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	// A step that is under way is let finish, so that do can clean up.
	select {
	case err := <-result:
		return err
	case <-time.After(endGrace):
		session.Client.Close()
		return fmt.Errorf("%w: %w", errGivenUp, ctx.Err())
	}
}

// ReadFile returns a file's content; see Host.
func (h *remote) ReadFile(ctx context.Context, name string) ([]byte, error) {
	var content []byte
	err := h.fileOp(ctx, "read", name, true, func(c *sftp.Client) error {
		file, err := c.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		content, err = io.ReadAll(contextReader{ctx, file})
		return err
	})
	return content, err
}

// contextReader ends reading when its context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// WriteFile puts a file in place in one step; see Host.
func (h *remote) WriteFile(ctx context.Context, name string, content []byte, attr FileAttr) error {
	return h.fileOp(ctx, "write", name, true, func(c *sftp.Client) error {
		temp := path.Join(path.Dir(name), ".cutover-"+random())
		if err := writeTemp(ctx, c, temp, content, attr); err != nil {
			c.Remove(temp) //nolint:errcheck // best effort; the error that matters is err
			return err
		}
		if err := replace(c, temp, name); err != nil {
			c.Remove(temp) //nolint:errcheck // as above
			return err
		}
		return nil
	})
}

// writeTemp writes a new file. It has its owner and its mode before it has any
// content, and until then nobody but root may open it.
func writeTemp(ctx context.Context, c *sftp.Client, temp string, content []byte, attr FileAttr) (err error) {
	file, err := c.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Chown(attr.UID, attr.GID); err != nil {
		return fmt.Errorf("giving it to uid %d, gid %d: %w", attr.UID, attr.GID, err)
	}
	if err := file.Chmod(attr.Mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)); err != nil {
		return fmt.Errorf("giving it mode %v: %w", attr.Mode, err)
	}
	if _, err := io.Copy(file, contextReader{ctx, strings.NewReader(string(content))}); err != nil {
		return err
	}
	if _, ok := c.HasExtension("fsync@openssh.com"); ok { // OpenSSH 6.5 and later
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// replace renames in one step. Plain SFTP renaming refuses where the new path
// exists; all OpenSSH since 4.8 has the extension that does not.
func replace(c *sftp.Client, from, to string) error {
	if _, ok := c.HasExtension("posix-rename@openssh.com"); ok {
		return c.PosixRename(from, to)
	}
	return c.Rename(from, to)
}

// Rename moves a file in one step; see Host.
func (h *remote) Rename(ctx context.Context, from, to string) error {
	return h.fileOp(ctx, "rename", from+" to "+to, false, func(c *sftp.Client) error {
		return replace(c, from, to)
	})
}

// Remove deletes a file or an empty directory; see Host.
func (h *remote) Remove(ctx context.Context, name string) error {
	return h.fileOp(ctx, "remove", name, true, func(c *sftp.Client) error {
		if err := c.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
