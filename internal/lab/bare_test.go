package lab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// Set-up makes a machine that nobody has prepared ready for make demo and make
// test: a bare Debian or Ubuntu with Go, make and git alone. It boots nothing and
// installs for real.
func TestAccLongBareMachine(t *testing.T) {
	lab.Require(t)
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := exec.Command("go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]string
	if err := json.Unmarshal(asked, &settings); err != nil {
		t.Fatal(err)
	}
	for _, suite := range []string{"bookworm", "trixie", "noble"} {
		t.Run(suite, func(t *testing.T) {
			if release, _ := os.ReadFile("/etc/os-release"); suite == "noble" && !strings.Contains(string(release), "\nID=ubuntu\n") {
				t.Skip("a machine with Debian knows no archive of Ubuntu; one with Ubuntu runs this test")
			}
			root, err := os.MkdirTemp("/var/lib/cutover-lab", "bare-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.RemoveAll(root); err != nil {
					t.Error(err)
				}
			})
			args := []string{
				"--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "testdata/bare.sh", root, suite, checkout,
				settings["GOROOT"], settings["GOMODCACHE"], settings["GOCACHE"],
			}
			for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS"} {
				args = append(args, name+"="+settings[name])
			}
			for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
				if value := os.Getenv(name); value != "" {
					args = append(args, name+"="+value)
				}
			}
			out, err := exec.CommandContext(t.Context(), "unshare", args...).CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
			_, before, _ := strings.Cut(string(out), "== before\n")
			before, _, _ = strings.Cut(before, "== set-up\n")
			if !strings.Contains(before, "missing  boots a container") {
				t.Errorf("the machine was not bare:\n%s", before)
			}
			_, after, found := strings.Cut(string(out), "== after\n")
			if !found || strings.Contains(after, "missing") || strings.Count(after, "ok ") < 10 {
				t.Errorf("after set-up the machine can do:\n%s", after)
			}
			// Ubuntu has no package with a browser, and set-up must end well without.
			if shows := strings.Contains(after, "shows a page in a browser"); shows != (suite != "noble") {
				t.Errorf("shows a page in a browser: %v\n%s", shows, after)
			}
		})
	}
}
