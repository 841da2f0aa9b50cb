package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// events runs the tests of a module with one package of the given code, so many times, and returns a
// file with what go test -json said.
func events(t *testing.T, code string, times int) string {
	t.Helper()
	dir := t.TempDir()
	pkg := filepath.Join(dir, "internal", "relay")
	if err := os.MkdirAll(pkg, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		filepath.Join(dir, "go.mod"):        "module example.test/m\n\ngo 1.24\n",
		filepath.Join(pkg, "relay_test.go"): "package relay\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Stat\n\n" + code,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var all []byte
	for range times {
		cmd := exec.Command("go", "test", "-json", "-count=1", "./...")
		cmd.Dir = dir
		out, err := cmd.Output()
		if len(out) == 0 {
			t.Fatalf("go test said nothing: %v", err)
		}
		all = append(all, out...)
	}
	file := filepath.Join(dir, "events")
	if err := os.WriteFile(file, all, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const withSkip = `func TestServes(t *testing.T) {}
func TestReboots(t *testing.T) {
	t.Run("sysv", func(t *testing.T) { t.Skip("no room for a second host") })
}
`

// failsOnce fails in its first run.
func failsOnce(name string) string {
	return "func " + name + `(t *testing.T) {
	t.Run("sysv", func(t *testing.T) {
		if _, err := os.Stat("ran"); err != nil {
			os.WriteFile("ran", nil, 0o644)
			t.Error("served by old")
		}
	})
}
`
}

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test on small modules, which takes seconds")
	}
	t.Parallel()
	for name, c := range map[string]struct {
		code     string
		times    int
		allowed  string
		strict   bool
		wantCode int
		want     []string
	}{
		"skips are told": {
			code: withSkip, wantCode: 0,
			want: []string{"skipped: example.test/m/internal/relay TestReboots/sysv: ", "no room for a second host", "2 passed (0 of them flaky), 0 failed, 1 skipped"},
		},
		"an unexpected skip fails a strict run": {
			code: withSkip, strict: true, wantCode: 1,
			want: []string{"UNEXPECTED SKIP: example.test/m/internal/relay TestReboots/sysv: ", "no room for a second host"},
		},
		"an allowed skip does not": {
			code: withSkip, strict: true, allowed: "# why\nrelay TestReboots/* the machine is small\n", wantCode: 0,
			want: []string{"skipped: example.test/m/internal/relay TestReboots/sysv"},
		},
		"an allowance for another package does not help": {
			code: withSkip, strict: true, allowed: "tunnel TestReboots/* the machine is small\n", wantCode: 1,
			want: []string{"UNEXPECTED SKIP"},
		},
		"a lab test may fail once": {
			code: failsOnce("TestAccServes"), times: 2, wantCode: 0,
			want: []string{"flaky: example.test/m/internal/relay TestAccServes/sysv\n    try 1: fail\n", "served by old", "    try 2: pass\n", "2 passed (1 of them flaky)"},
		},
		"another test may not": {
			code: failsOnce("TestServes"), times: 2, wantCode: 1,
			want: []string{"FAILED ONCE", "TestServes/sysv", "served by old"},
		},
		"no test at all is no success": {
			code: "", wantCode: 1,
			want: []string{"NOTHING TESTED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			summary := filepath.Join(dir, "summary")
			args := []string{"-summary", summary}
			if c.strict {
				args = append(args, "-strict")
			}
			if c.allowed != "" {
				file := filepath.Join(dir, "allowed")
				if err := os.WriteFile(file, []byte(c.allowed), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-allowed", file)
			}
			var out strings.Builder
			code, err := run(append(args, events(t, c.code, max(c.times, 1))), &out)
			if err != nil {
				t.Fatal(err)
			}
			if code != c.wantCode {
				t.Errorf("exit code %d, want %d", code, c.wantCode)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out.String())
				}
			}
			written, err := os.ReadFile(summary)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(written) {
				t.Errorf("the summary is\n%s\nand the output\n%s", written, out.String())
			}
		})
	}
}

func TestReadAllowedWantsAReason(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(file, []byte("# list\nrelay TestReboots\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readAllowed(file); err == nil || !strings.Contains(err.Error(), ":2:") {
		t.Errorf("a line without a reason gave %v, want an error that names line 2", err)
	}
}
