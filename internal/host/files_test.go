package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/sftp"
)

// inEitherWay runs a test with the program sftp-server, where this machine has it,
// and with a host that has sshd's subsystem alone.
func inEitherWay(t *testing.T, test func(t *testing.T, h Host)) {
	t.Helper()
	for _, way := range []string{"sftp-server", "subsystem"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			if found, _ := filepath.Glob("/usr/lib*/*ssh*/sftp-server"); way == "sftp-server" && len(found) == 0 {
				t.Skip("needs the program sftp-server (Debian: openssh-sftp-server)")
			}
			_, _, h := simple(t, func(s *server, _ *Config) {
				if way == "subsystem" {
					s.Shell = []string{"/bin/sh", "-c", `exec /bin/sh -c "$(printf %s "$0" | sed 's#/usr/[a-z/]*sftp-server#/nowhere#g')"`}
				}
			})
			test(t, h)
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	inEitherWay(t, func(t *testing.T, h Host) {
		dir := t.TempDir()
		name := filepath.Join(dir, "a 'file'\n")
		attr := FileAttr{Mode: 0o640, UID: os.Getuid(), GID: os.Getgid()}
		big := strings.Repeat("content\n", 100_000)
		for _, content := range []string{"first", big, ""} {
			if err := h.WriteFile(t.Context(), name, []byte(content), attr); err != nil {
				t.Fatal(err)
			}
			got, err := h.ReadFile(t.Context(), name)
			if err != nil || string(got) != content {
				t.Fatalf("read %d bytes of %d, %v", len(got), len(content), err)
			}
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		other := filepath.Join(dir, "other")
		if err := os.WriteFile(other, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.Rename(t.Context(), name, other); err != nil {
			t.Errorf("renaming onto a file: %v", err)
		}
		for range 2 {
			if err := h.Remove(t.Context(), other); err != nil {
				t.Errorf("removing: %v", err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		_, err := h.ReadFile(t.Context(), other)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `"old"`) || !strings.Contains(err.Error(), other) {
			t.Errorf("a missing file gives %v", err)
		}
		if err := h.Remove(t.Context(), filepath.Join(dir, "none", "none")); err != nil {
			t.Errorf("removing below no directory: %v", err)
		}
	})
}

func TestWriteFileLeavesNothingBehindOnFailure(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	dir := t.TempDir()
	occupied := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(occupied, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	attr := FileAttr{Mode: 0o600, UID: os.Getuid(), GID: os.Getgid()}
	if err := h.WriteFile(t.Context(), occupied, []byte("x"), attr); err == nil {
		t.Error("a directory was replaced")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := h.WriteFile(t.Context(), filepath.Join(dir, "none", "file"), nil, attr); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory gives %v", err)
	}
}

// Until a new file has its mode, nobody else may be able to open it.
func TestNewFileIsPrivateFromTheStart(t *testing.T) {
	t.Parallel()
	inEitherWay(t, func(t *testing.T, h Host) {
		name := filepath.Join(t.TempDir(), "new")
		err := h.(*remote).fileOp(t.Context(), "open", name, false, func(c *sftp.Client) error {
			file, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
			if err == nil {
				file.Close()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
}

// What is written to a file is no packet, whatever it looks like.
func TestContentThatLooksLikeAPacket(t *testing.T) {
	t.Parallel()
	open := []byte("\x00\x00\x00\x12\x03\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x0a\x00\x00\x00\x00")
	inEitherWay(t, func(t *testing.T, h Host) {
		name := filepath.Join(t.TempDir(), "new")
		if err := h.WriteFile(t.Context(), name, open, FileAttr{Mode: 0o600, UID: os.Getuid(), GID: os.Getgid()}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != string(open) {
			t.Errorf("%q arrived as %q, %v", open, got, err)
		}
	})
}

func TestFilesAfterALostConnection(t *testing.T) {
	t.Parallel()
	s, _, h := simple(t, nil)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := h.ReadFile(t.Context(), name); err != nil || string(got) != "content" {
			t.Errorf("%q, %v", got, err)
		}
		s.cut()
	}
}
