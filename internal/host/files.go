package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/pkg/sftp"
)

// errGivenUp is an operation whose context ended before the answer came.
var errGivenUp = errors.New("given up before the host answered")

// fileOp does one thing over SFTP. again says that it may be done twice, for
// when the answer to the first time got lost.
func (h *remote) fileOp(ctx context.Context, what, name string, again bool, do func(*sftp.Client) error) error {
	h.pool.fileOps.Add(1)
	began := time.Now()
	err := h.withLink(ctx, func(l *link) error {
		err := l.fileOp(ctx, do)
		if again && sessionLost(err) && ctx.Err() == nil {
			if l.gone() {
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

// sessionLost reports whether the SFTP session had ended under an operation:
// before it was sent, or before its answer came.
func sessionLost(err error) bool {
	return errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF)
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
		if sessionLost(err) {
			// So that the next operation does not take the same session.
			select {
			case <-session.gone:
			case <-time.After(endGrace):
			}
		}
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
	if err != nil { // content may still be written to
		return nil, err
	}
	return content, nil
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

var writeScript = Script{Name: "host/write.sh", Text: writeText}

// Exit codes of write.sh; see there.
const exitNoDirectory = 66

// WriteFile puts a file in place in one step; see Host. A command does it, and not
// SFTP: that would leave half a file behind when this process is killed, and has no
// way to keep a new file from others until it has its mode.
func (h *remote) WriteFile(ctx context.Context, name string, content []byte, attr FileAttr) error {
	write := func() error {
		_, err := h.Run(ctx, Command{
			Script: writeScript,
			Argv: []string{name, ".cutover-" + random(), fmt.Sprintf("%d:%d", attr.UID, attr.GID),
				fmt.Sprintf("%04o", octal(attr.Mode)), strconv.Itoa(len(content))},
			Stdin: bytes.NewReader(content),
		})
		return err
	}
	err := write()
	var sent *runError
	if errors.As(err, &sent) && ctx.Err() == nil { // whether it was written is not known
		err = write()
	}
	if code, ok := ExitCode(err); ok && code == exitNoDirectory {
		return fmt.Errorf("on host %q: unable to write %s: its directory: %w", h.cfg.Name, name, fs.ErrNotExist)
	}
	return err
}

// octal is a mode as chmod takes it.
func octal(mode fs.FileMode) fs.FileMode {
	bits := mode & fs.ModePerm
	for set, bit := range map[fs.FileMode]fs.FileMode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&set != 0 {
			bits |= bit
		}
	}
	return bits
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
