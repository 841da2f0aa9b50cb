package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// A new file is root's alone until it is complete, and one that does not become
// complete does not stay.
func TestWriteIsPrivateAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, whole := range map[string]bool{"whole": true, "broken off": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "a 'file'")
			if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", writeText, "write.sh", file, ".cutover-x", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "0644", "6")
			content, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := content.Write([]byte("new")); err != nil {
				t.Fatal(err)
			}
			var info fs.FileInfo
			for range 500 {
				if info, err = os.Stat(filepath.Join(dir, ".cutover-x")); err == nil && info.Size() == 3 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("half written it is %v, %v", info, err)
			}
			want, wantMode, wantCode := "old", fs.FileMode(0o644), 75
			if whole {
				if _, err := content.Write([]byte("er\n")); err != nil {
					t.Fatal(err)
				}
				want, wantCode = "newer\n", 0
			}
			content.Close()
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != wantCode {
				t.Errorf("exit code %d, want %d", code, wantCode)
			}
			got, err := os.ReadFile(file)
			if err != nil || string(got) != want {
				t.Errorf("it holds %q, %v; want %q", got, err, want)
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != wantMode {
				t.Errorf("%v, %v", info, err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
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
