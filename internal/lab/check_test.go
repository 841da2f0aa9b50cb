package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// TestAccRequire runs this test as somebody who cannot have a lab: it must be
// skipped with the reason, or fail with it where the lab is required.
func TestAccRequire(t *testing.T) {
	lab.Require(t)
	if os.Geteuid() != 0 {
		t.Fatal("a lab without root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	// The go command's own directory is closed to others.
	copied := filepath.Join(t.TempDir(), "lab.test")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(copied), filepath.Dir(filepath.Dir(copied))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for setting, want := range map[string]string{"": "--- SKIP", "required": "--- FAIL"} {
		cmd := exec.CommandContext(t.Context(), copied, "-test.run=^TestAccRequire$", "-test.v")
		cmd.Env = []string{"CUTOVER_LAB=" + setting, "PATH=" + os.Getenv("PATH")}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || !strings.Contains(string(out), "needs root") || (err != nil) != (setting == "required") {
			t.Errorf("CUTOVER_LAB=%q: want %s: %v\n%s", setting, want, err, out)
		}
	}
}
