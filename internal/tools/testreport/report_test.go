package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module with one package of the given test code and makes it the working folder.
func module(t *testing.T, code string) {
	t.Helper()
	dir := t.TempDir()
	pkg := filepath.Join(dir, "internal", "relay")
	if err := os.MkdirAll(pkg, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		filepath.Join(dir, "go.mod"):        "module example.test/m\n\ngo 1.24\n",
		filepath.Join(pkg, "relay_test.go"): code,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

const withSkip = `package relay

import "testing"

func TestServes(t *testing.T) {}
func TestReboots(t *testing.T) {
	t.Run("sysv", func(t *testing.T) { t.Skip("no room for a second host") })
}
`

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test on small modules, which takes seconds")
	}
	for name, c := range map[string]struct {
		code     string
		allowed  string
		strict   bool
		wantCode int
		want     []string
	}{
		"skips are told": {
			code: withSkip, wantCode: 0,
			want: []string{"skipped: example.test/m/internal/relay TestReboots/sysv: ", "no room for a second host", "\nok  \texample.test/m/internal/relay\t"},
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
		"a failure shows its output": {
			code:     "package relay\n\nimport \"testing\"\n\nfunc TestServes(t *testing.T) { t.Error(\"served by old\") }\n",
			wantCode: 1,
			want:     []string{"served by old", "failed: example.test/m/internal/relay TestServes", "\nFAIL\texample.test/m/internal/relay\t"},
		},
		"a panic shows the test it happened in": {
			code:     "package relay\n\nimport \"testing\"\n\nfunc TestServes(t *testing.T) { panic(\"relay gone\") }\n",
			wantCode: 1,
			want:     []string{"relay gone", "failed: example.test/m/internal/relay TestServes"},
		},
		"code that does not compile shows why": {
			code:     "package relay\n\nimport \"testing\"\n\nfunc TestServes(t *testing.T) { nowhere() }\n",
			wantCode: 1,
			want:     []string{"undefined: nowhere", "FAIL\texample.test/m/internal/relay [build failed]"},
		},
		"no test at all is no success": {
			code: "package relay\n", wantCode: 1,
			want: []string{"NOTHING TESTED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, c.code)
			args := []string{"-summary", "summary"}
			if c.strict {
				args = append(args, "-strict")
			}
			if c.allowed != "" {
				if err := os.WriteFile("allowed", []byte(c.allowed), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-allowed", "allowed")
			}
			var out strings.Builder
			code, err := run(append(args, "./...", "--", "-count=1"), &out)
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
			summary, err := os.ReadFile("summary")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(out.String(), string(summary)) {
				t.Errorf("the output does not end in the summary:\n%s", out.String())
			}
		})
	}
}

func TestReadAllowedWantsAReason(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(file, []byte("# list\nrelay TestReboots\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readAllowed(file); err == nil || !strings.Contains(err.Error(), ":2:") {
		t.Errorf("a line without a reason gave %v, want an error that names line 2", err)
	}
}
