package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestRunKeepsStreamsAndArgumentsExact(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	hostile := []string{"a;reboot", "$(id)", "'", "\\", "new\nline", "", "ü\x81\xff", "!x", "-n"}
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/args.sh", Text: `for a; do printf '%s\0' "$a"; done; echo problem >&2`}, hostile...))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(result.Stdout), strings.Join(hostile, "\x00")+"\x00"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := string(result.Stderr); got != "problem\n" {
		t.Errorf("stderr %q: the line of the wrapper is not for the caller", got)
	}
	random := make([]byte, 3<<20)
	for i := range random {
		random[i] = byte(i * i >> 3)
	}
	var streamed bytes.Buffer
	result, err = h.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: bytes.NewReader(random), Stdout: &streamed})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(streamed.Bytes(), random) || len(result.Stdout) != 0 {
		t.Errorf("3 MiB came back as %d bytes, and %d in the result", streamed.Len(), len(result.Stdout))
	}
}

func TestRunEnvironment(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, func(s *server, _ *Config) {
		s.Shell = []string{"/usr/bin/env", "LC_ALL=de_DE.UTF-8", "PATH=/usr/bin:/bin", "/bin/sh", "-c"}
	})
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/env.sh", Text: `echo "$LC_ALL $PATH $(pwd) $(umask)"`}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(result.Stdout), "C "+remotePath+" / 0022\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunDropsWhatTheLoginShellSays(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, func(s *server, _ *Config) {
		s.Shell = []string{"/bin/sh", "-c", `echo "Welcome:"; echo "stdin is not a tty" >&2; eval "$0"`}
	})
	result, err := h.Run(t.Context(), Exec("echo", "answer"))
	if err != nil || string(result.Stdout) != "answer\n" || len(result.Stderr) != 0 {
		t.Errorf("got %q, %q, %v", result.Stdout, result.Stderr, err)
	}
}

func TestRunThatNeverBeganIsNoAnswer(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, func(s *server, _ *Config) {
		s.Shell = []string{"/bin/sh", "-c", `echo "This account is currently not available."; exit 1`}
	})
	_, err := h.Run(t.Context(), Exec("test", "-e", "/etc/passwd"))
	if _, ok := ExitCode(err); ok || err == nil {
		t.Fatalf("%v counts as an exit code of the command", err)
	}
	if !strings.Contains(err.Error(), "not available") || !strings.Contains(err.Error(), `"old"`) {
		t.Errorf("the error does not say why: %v", err)
	}
}

func TestRunExit(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/exit.sh", Text: "echo partly; echo why >&2; exit 7"}))
	if code, ok := ExitCode(err); !ok || code != 7 {
		t.Fatalf("got %v, want exit code 7", err)
	}
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Stderr != "why\n" || exit.Host != "old" || exit.Command != "test/exit.sh" {
		t.Errorf("error %+v", exit)
	}
	if string(result.Stdout) != "partly\n" {
		t.Errorf("stdout %q is lost", result.Stdout)
	}
	_, err = h.Run(t.Context(), Exec("/no/such/program"))
	if code, ok := ExitCode(err); !ok || code != 127 {
		t.Errorf("a missing program gives %v, want exit code 127", err)
	}
	_, err = h.Run(t.Context(), Sh(Script{Name: "test/signal.sh", Text: "kill -s SEGV $$"}))
	if !errors.As(err, &exit) || exit.Signal != "SEGV" {
		t.Errorf("a signal gives %v", err)
	}
	if _, ok := ExitCode(err); ok {
		t.Error("a signal counts as an exit code")
	}
}

func TestRunReturnsThoughADaemonKeepsTheOutput(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	began := time.Now()
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/daemon.sh", Text: "echo started; sleep 20 & echo $! >&2; exit 3"}))
	if code, ok := ExitCode(err); !ok || code != 3 {
		t.Errorf("got %v, want exit code 3", err)
	}
	if string(result.Stdout) != "started\n" || time.Since(began) > pace.Limit(5*time.Second) {
		t.Errorf("stdout %q after %s", result.Stdout, time.Since(began))
	}
	if _, err := h.Run(t.Context(), Exec("kill", strings.TrimSpace(string(result.Stderr)))); err != nil {
		t.Errorf("the daemon did not live on: %v", err)
	}
}

// What a process that was left behind prints after the end goes nowhere, also
// not into a result that is being read.
func TestNothingIsWrittenAfterRunHasReturned(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/late.sh", Text: "(sleep 1; echo late; sleep 1; echo later >&2) & echo started"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if string(result.Stdout) != "started\n" || len(result.Stderr) != 0 {
			t.Fatalf("%q, %q", result.Stdout, result.Stderr)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestRunKeepsHeadAndTailOfALongStderr(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	result, err := h.Run(t.Context(), Sh(Script{Name: "test/long.sh", Text: "echo first >&2; head -c 5000000 /dev/zero | tr '\\0' x >&2; echo last >&2"}))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(result.Stderr); n > keptStderr+100 || !bytes.HasPrefix(result.Stderr, []byte("first\n")) || !bytes.HasSuffix(result.Stderr, []byte("last\n")) {
		t.Errorf("kept %d bytes, %.20q to %q", n, result.Stderr, result.Stderr[n-20:])
	}
}

func TestRunRefusesWhatNoHostTakes(t *testing.T) {
	t.Parallel()
	s, _, h := simple(t, nil)
	for _, cmd := range []Command{{}, Exec(""), Exec("echo", "a\x00b"), Exec("echo", strings.Repeat("x", 200<<10))} {
		if _, err := h.Run(t.Context(), cmd); err == nil {
			t.Errorf("%.40v ran", cmd)
		}
	}
	if n := s.execs.Load(); n != 0 {
		t.Errorf("%d commands reached the server", n)
	}
}

func gone(t *testing.T, pid string) {
	t.Helper()
	for range 100 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %s still runs", pid)
}

// lineWriter hands on the first line that is written to it.
type lineWriter struct {
	lines chan string
	once  sync.Once
	buf   bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if line, _, ok := strings.Cut(w.buf.String(), "\n"); ok {
		w.once.Do(func() { w.lines <- line })
	}
	return len(p), nil
}

func TestCancelEndsTheCommandAndItsChildren(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"obedient": `sleep 100 & echo "$$ $!"; wait`,
		"stubborn": `trap '' TERM; sleep 100 & echo "$$ $!"; while :; do sleep 1; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, h := simple(t, func(s *server, _ *Config) { s.MaxSess = 10 })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &lineWriter{lines: make(chan string, 1)}
			failed := make(chan error, 1)
			go func() {
				_, err := h.Run(ctx, Command{Script: Script{Name: "test/long.sh", Text: script}, Stdout: out})
				failed <- err
			}()
			pids := strings.Fields(<-out.lines)
			cancel()
			err := <-failed
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was ended") {
				t.Errorf("got %v", err)
			}
			for _, pid := range pids {
				gone(t, pid)
			}
			if n := s.accepted.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestCancelWhereNoSessionIsLeft(t *testing.T) {
	t.Parallel()
	s, _, h := simple(t, func(s *server, _ *Config) { s.MaxSess = 1 })
	ctx, cancel := context.WithTimeout(t.Context(), pace.Limit(2*time.Second))
	defer cancel()
	out := &lineWriter{lines: make(chan string, 1)}
	_, err := h.Run(ctx, Command{Script: Script{Name: "test/long.sh", Text: `echo $$; sleep 100`}, Stdout: out})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	gone(t, <-out.lines)
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want a second one to end the command", n)
	}
}

func TestSinkAndSourceErrorsEndTheCommand(t *testing.T) {
	t.Parallel()
	_, _, h := simple(t, nil)
	broken := errors.New("disk full")
	_, err := h.Run(t.Context(), Command{Argv: []string{"yes"}, Stdout: writerFunc(func([]byte) (int, error) { return 0, broken })})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	_, err = h.Run(t.Context(), Command{
		Script: Script{Name: "test/in.sh", Text: `cat >"$1.part" && mv "$1.part" "$1"`}, Argv: []string{seen},
		Stdin: io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) { return 0, broken })),
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(seen); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an input cut short looked complete to the command")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestSessionsStayBelowTheServersLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{10, 3, 1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			s, pool, h := simple(t, func(s *server, _ *Config) { s.MaxSess = limit })
			path := filepath.Join(t.TempDir(), "file")
			if err := h.WriteFile(t.Context(), path, []byte("x"), FileAttr{Mode: 0o600, UID: os.Getuid(), GID: os.Getgid()}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.ReadFile(t.Context(), path); err != nil { // a session of SFTP, which makes way
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 24 {
				all.Add(1)
				go func() {
					defer all.Done()
					if _, err := h.Run(t.Context(), Exec("sleep", "0.02")); err != nil {
						t.Error(err)
					}
				}()
			}
			all.Wait()
			if content, err := h.ReadFile(t.Context(), path); err != nil || string(content) != "x" {
				t.Errorf("%q, %v", content, err)
			}
			if top := s.top.Load(); top > maxSessions {
				t.Errorf("%d sessions at a time", top)
			}
			if n := s.accepted.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
			if got := pool.Stats(); got != (Stats{Commands: 25, FileOps: 2}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	s, _, h := simple(t, nil)
	out := &lineWriter{lines: make(chan string, 1)}
	failed := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Command{Script: Script{Name: "test/long.sh", Text: `echo $$; sleep 3`}, Stdout: out})
		failed <- err
	}()
	<-out.lines
	execs := s.execs.Load()
	s.cut()
	err := <-failed
	if err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("got %v", err)
	}
	if _, ok := ExitCode(err); ok {
		t.Error("a lost connection counts as an answer")
	}
	if n := s.execs.Load(); n != execs {
		t.Error("the command was sent a second time")
	}
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Errorf("no new connection: %v", err)
	}
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestHalfOpenConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	s, _, h := simple(t, func(_ *server, c *Config) { c.KeepaliveInterval = pace.Limit(200 * time.Millisecond) })
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Exec("sleep", fmt.Sprint(pace.Limit(6*time.Second).Seconds())))
		failed <- err
	}()
	time.Sleep(200 * time.Millisecond)
	s.frozen.Store(true)
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "lost") {
			t.Errorf("got %v", err)
		}
	case <-time.After(pace.Limit(5 * time.Second)):
		t.Fatal("never noticed")
	}
	s.frozen.Store(false)
	s.cut()
	if _, err := h.Run(t.Context(), Exec("true")); err != nil {
		t.Errorf("no new connection: %v", err)
	}
}
