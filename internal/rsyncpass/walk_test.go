package rsyncpass

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the scripts look through is what rsync copies.
func TestWalkLeavesOutWhatRsyncDoes(t *testing.T) {
	root := t.TempDir() + "/home"
	for _, dir := range []string{"admin/mail", "anna/admin", "anna/cache", "home/x"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, dir, "file.tmp"), strings.Repeat("x", 8192), 0o644)
		write(t, filepath.Join(root, dir, "cache1"), "x", 0o644)
	}
	if err := os.Link(filepath.Join(root, "anna/cache/file.tmp"), filepath.Join(root, "anna/second name")); err != nil {
		t.Fatal(err)
	}
	write(t, root+"/$(touch hacked)", "x", 0o644)
	eachShell(t, func(t *testing.T, shell []string) {
		for _, excludes := range [][]string{
			nil, {"/admin"}, {"admin"}, {"*.tmp"}, {"cache/"}, {"/anna/cache", "/admin/*"}, {"home"}, {"cache?", "/nowhere"},
			{"$(touch hacked)"}, {"`touch hacked`", "'; touch hacked; '", "-delete", ")", "\\$x"},
		} {
			argv := []string{"-an", "--out-format=%n"}
			for _, pattern := range excludes {
				argv = append(argv, "--exclude="+pattern)
			}
			copied, err := exec.Command("rsync", append(argv, root+"/", t.TempDir()+"/none/")...).Output() //nolint:gosec // a test's own
			if err != nil {
				t.Skipf("this machine's rsync does not run: %v", err)
			}
			names := strings.Split(strings.TrimSpace(string(copied)), "\n")
			want := len(names)
			if slices.Contains(names, "anna/cache/file.tmp") && slices.Contains(names, "anna/second name") {
				want-- // one file with two names
			}
			cmd := exec.Command(shell[0], append(append([]string{}, shell[1:]...), "-c", measureScript.Text, "measure.sh", root, root+"/missing")...) //nolint:gosec // a test's own
			cmd.Dir = t.TempDir()
			cmd.Stdin = strings.NewReader(strings.Join(excludes, "\n"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var kib, files int
			if _, err := fmt.Sscanf(string(out), "measured\t1\t%d\t%d\nmeasured\t2\t0\t0\n", &kib, &files); err != nil || files != want || kib < files {
				t.Errorf("without %q measure.sh saw %q, rsync copies %d:\n%s", excludes, out, want, copied)
			}
			if _, err := os.Stat(filepath.Join(cmd.Dir, "hacked")); err == nil {
				t.Errorf("%q was run as code", excludes)
			}
		}
	})
}
