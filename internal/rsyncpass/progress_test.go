package rsyncpass

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What several rsyncs say, one of them done, is one line.
func TestProgressSums(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		volume, done string
		running      []string
		want         string
	}{
		"nothing yet": {"100 1000000", "", nil, ": 0 %, 0 KiB of 976 KiB, 0 KiB/s\n"},
		"two and one done": {"1000 4000000000", "1000000000 10 10\n", []string{
			"a b/one\n\r          2   0%    0.00kB/s    0:00:00  \r      500000000  25%    2.93MB/s    0:00:09 (xfr#5, to-chk=95/100)\nsub/two\n\r  1000000000  25%    2.93MB/s    0:00:09  ",
			"other/three\n\r     0   0%    0.00kB/s    0:00:00  ",
		}, ": 50 %, 1.9 GiB of 3.7 GiB, 19.1 MiB/s, 0:01:40 left, at other/three\n"},
		"points in numbers": {"10 2000000", "", []string{"x\n\r      1.000.000  50%    2.93MB/s    0:00:09 (xfr#1, ir-chk=9/10)\n"}, ": 50 %, 976 KiB of 1.9 MiB, 9 KiB/s, 0:01:40 left, at x\n"},
		// What is there already is looked at, and not copied.
		"going on":        {"100 1000000", "", []string{"y\n\r  100000  10%    2.93MB/s    0:00:09 (xfr#10, to-chk=50/100)\n"}, ": 50 %, 97 KiB of 976 KiB, 0 KiB/s, 0:01:40 left, at y\n"},
		"only attributes": {"100 0", "", []string{"\r  0   0%    0.00kB/s    0:00:09 (xfr#0, to-chk=20/100)\n"}, ": 80 %, 0 KiB of 0 KiB, 0 KiB/s, 0:00:25 left\n"},
		"more than said":  {"10 1000", "9000 20 20\n", nil, ": 99 %, 8 KiB of 0 KiB, 0 KiB/s, 0:00:01 left\n"},
		"with its figures": {"10 2000000", "", []string{"x\n\r      1,000,000  50%    2.93MB/s    0:00:09 (xfr#1, to-chk=5/10)\n\nNumber of files: 10\nTotal file size: 5 bytes\nsent 5 bytes  received 9 bytes  1.0 bytes/sec\ntotal size is 5  speedup is 0.1\n"},
			": 90 %, 976 KiB of 1.9 MiB, 9 KiB/s, 0:00:11 left, at x\n"},
		"nothing to do": {"0 0", "", nil, ""},
	}
	eachShell(t, func(t *testing.T, shell []string) {
		for name, test := range tests {
			work := t.TempDir()
			if err := os.Mkdir(work+"/progress", 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, work+"/volume", test.volume+"\n", 0o644)
			write(t, work+"/progress.done", test.done, 0o644)
			for i, text := range test.running {
				write(t, filepath.Join(work, "progress", string(rune('a'+i))), text, 0o644)
			}
			cmd := exec.Command(shell[0], append(append([]string{}, shell[1:]...), "-c", "work=$1 began=1000\n"+progressText+"so_far 1100", "sh", work)...) //nolint:gosec // a test's own
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			got, err := cmd.CombinedOutput()
			if err != nil || string(got) != test.want {
				t.Errorf("%s: %q (%v), want %q", name, got, err, test.want)
			}
		}
	})
}

// The real rsync under a real pass: the line is there while it runs, beside the
// log too, and not afterwards.
func TestProgressOfAPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.options = []string{"--bwlimit=300"}
	r.sh(`head -c 2000000 /dev/urandom >'large file'; echo small >small`)
	seen := make(chan string, 1)
	stop := make(chan struct{})
	go func() {
		want := regexp.MustCompile(`^copying path 1 of 1: \d+ %, [\d.]+ [KM]iB of 1\.9 MiB, \d+ KiB/s(, 0:00:\d\d left)?, at large file\n$`)
		last := ""
		for {
			select {
			case <-stop:
				seen <- last
				return
			case <-time.After(50 * time.Millisecond):
			}
			inJob, err := os.ReadFile(filepath.Join(r.dir, "job/status"))
			beside, err2 := os.ReadFile(r.state + "/passes/p1.status")
			if err == nil && err2 == nil && want.Match(inJob) && want.Match(beside) {
				seen <- ""
				<-stop
				return
			} else if err == nil {
				last = string(inJob)
			}
		}
	}()
	p := r.mustPass()
	close(stop)
	if last := <-seen; last != "" {
		t.Errorf("it never said how far it is, but %q", last)
	}
	if p.stats.Transferred != 2 || p.stats.TransferredBytes != 2000006 {
		t.Errorf("%+v", p.stats)
	}
	if _, err := os.Stat(r.state + "/passes/p1.status"); err == nil {
		t.Error("the line is still there")
	}
}

// An rsync that cannot say how far it is has a log.
func TestProgressOfAnOldRsync(t *testing.T) {
	t.Parallel()
	s := survey{old: oldHost{rsync: localRsync(t)}}
	s.new.rsync = rsyncVersion{version: "3.0.9", protocol: 30}
	if got := s.progress(); got != "" {
		t.Errorf("%q", got)
	}
	s.new.rsync.version = "3.1.0"
	if got := s.progress(); !strings.Contains(got, "--info=progress2") {
		t.Errorf("%q", got)
	}
	r := newRig(t)
	r.silent = true
	r.sh(`echo small >small`)
	r.after(`cp "$PWD/../job/status" "$PWD/../status"`)
	r.mustPass()
	r.same()
	if got, err := os.ReadFile(r.dir + "/status"); err != nil || !strings.HasPrefix(string(got), "copying path 1 of 1; see "+r.state+"/passes/p1.log") {
		t.Errorf("%q, %v", got, err)
	}
}
