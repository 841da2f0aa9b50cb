//go:build linux

package pass

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// all is the sum of what a tree holds.
func (c Counts) all() int64 { return int64(c.Regular + c.Directories + c.Links + c.Special) }

// old makes nothing on the source so young that its time of change is not
// believed.
func (w *two) old() { w.clock = func() time.Time { return time.Now().Add(2 * time.Minute) } }

// TestWhatWasDone: each thing that a pass does is in its report with its path, and
// in its log.
func TestWhatWasDone(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.options.Source = "/old\nhost"
	w.sh(`cd source; mkdir -p d/e gone/in; echo 1 >keep; echo 2 >edit; echo 3 >mode; echo 4 >d/move; echo 5 >del; echo 6 >gone/in/x; echo 7 >lost`)
	w.pass()
	time.Sleep(12 * time.Millisecond)
	w.sh(`cd source; echo 22 >edit; chmod 604 mode; mv d/move d/e/moved; rm del; rm -r gone; echo 8 >"$(printf 'new\nline')"; ln edit link; rm ../target/lost`)
	var log bytes.Buffer
	w.options.Log = &log
	report := w.pass()
	w.mustBeSame()
	want := map[Action][]Path{
		Created:    {{"link", ""}, {"lost", ""}, {"new\nline", ""}},
		Updated:    {{"edit", ""}},
		Attributes: {{"mode", ""}},
		Renamed:    {{"d/e/moved", "d/move"}},
		Deleted:    {{"del", ""}, {"gone", ""}, {"gone/in", ""}, {"gone/in/x", ""}},
	}
	for action, paths := range want {
		if f := report.Did[action]; f == nil || f.Count != int64(len(paths)) || !slices.Equal(f.Paths, paths) {
			t.Errorf("%s are %+v, not %+v", action, f, paths)
		}
	}
	lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	if first := lines[0]; !strings.HasPrefix(first, "root 20") || !strings.HasSuffix(first, `Z /old\nhost -> `+w.target) {
		t.Errorf("the log begins with %q", first)
	}
	lines = lines[1:]
	slices.Sort(lines)
	if got := strings.Join(lines, "\n"); got != `attributes mode
created link
created lost
created new\nline
deleted del
deleted gone
deleted gone/in
deleted gone/in/x
lost lost
renamed d/move -> d/e/moved
updated edit` {
		t.Errorf("the log has\n%s", got)
	}
}

// fullDisk takes some bytes.
type fullDisk struct {
	room    int
	refused int // writes
}

func (f *fullDisk) Name() string { return "/the/log" }

func (f *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n < len(b) {
		f.refused++
		return n, unix.ENOSPC
	}
	return n, nil
}

// TestALogThatCannotBeWritten stops no pass, and is said once.
func TestALogThatCannotBeWritten(t *testing.T) {
	w := newTwo(t)
	w.sh(`cd source; for i in $(seq 3000); do echo >a-file-with-a-name-that-is-long-enough-$i; done`)
	log := &fullDisk{room: 70 << 10}
	w.options.Log = log
	report := w.pass()
	if report.Times(Created) != 3000 || report.Count(Damaged) != 1 || log.refused != 1 {
		t.Fatalf("%s, and %d writes were refused", tell(report), log.refused)
	}
	if p := report.Found[Damaged].Paths[0]; p.Path != "/the/log" || p.Text != "the log cannot be written: no space left on device" {
		t.Errorf("it says %+v", p)
	}
	w.mustBeSame()
}

// TestAPassThatFailsHasALog: what was done until then is in it.
func TestAPassThatFailsHasALog(t *testing.T) {
	w := newTwo(t)
	w.sh(`cd source; echo 1 >one`)
	var log bytes.Buffer
	w.options.Log = &log
	w.options.Fail = func(call, _ string) error {
		if call == "syncfs" {
			return unix.EIO
		}
		return nil
	}
	if _, err := w.try(t.Context()); !errors.Is(err, unix.EIO) {
		t.Fatalf("the error is %v", err)
	}
	if !strings.HasSuffix(log.String(), "\ncreated one\n") {
		t.Errorf("the log is %q", &log)
	}
}

// TestChanges: they are those of the source against what was brought.
func TestChanges(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.sh(`cd source; mkdir -p a/b empty; echo 1 >a/one; echo 2 >a/b/two; ln a/one a/hard; ln -s x link; mkfifo fifo; mkdir same; echo s >same/s`)
	for n, step := range []struct {
		script string
		want   int64
	}{
		{"true", -1},
		{"true", 0},
		{"cd target; rm -r a; echo own >same/s; rm link; mkfifo own", 0},
		{"true", 0},
		{"cd source; echo more >>a/b/two", 1},
		{"cd source; chmod 600 a/b/two; chmod 700 empty", 2},
		{"cd source; echo n >a/b/new", 2}, // and the directory, whose time is another
		{"cd source; mv a/b/new a/b/other", 3},
		{"cd source; rm a/hard", 3},            // the other name has a link less
		{"cd source; rm -r a/b", 4},            // two files, their directory and the one above
		{"cd source; mkdir n; echo 1 >n/1", 2}, // the time of the root does not count
		{"cd source; rm -r n; echo 1 >n", 2},   // a file, and a directory that is a file now
		{"cd source; rm n; mkdir n; echo 1 >n/1", 2},
		{"cd source; touch a/one; cd ../target; rm a/one", 1},
		{"true", 0},
	} {
		time.Sleep(12 * time.Millisecond)
		w.sh(step.script)
		report := w.pass()
		want := step.want
		if want < 0 {
			want = report.Source.all()
		}
		if report.Changes != want || report.First != (n == 0) {
			t.Errorf("after %q there are %d changes, not %d; first is %v; %s", step.script, report.Changes, want, report.First, tell(report))
		}
	}
	w.options.Delete = None
	time.Sleep(12 * time.Millisecond)
	w.sh("cd source; rm n/1; rm -r same")
	for _, want := range []int64{1, 0} { // the time of n
		if report := w.pass(); report.Changes != want {
			t.Errorf("where nothing is taken away there are %d changes, not %d", report.Changes, want)
		}
	}
}

// BenchmarkDid says what a file costs in the report, with a log and without.
func BenchmarkDid(b *testing.B) {
	for _, log := range []bool{false, true} {
		b.Run(fmt.Sprintf("log %v", log), func(b *testing.B) {
			r := NewReport()
			o := Options{}
			if log {
				file, err := os.Create(b.TempDir() + "/log")
				if err != nil {
					b.Fatal(err)
				}
				defer file.Close()
				o.Log = file
			}
			defer r.keepLog(&o)()
			var work sync.WaitGroup
			for range 4 {
				work.Go(func() {
					for range b.N / 4 {
						r.didTo(Created, "home/anna/Maildir/cur/1700000000.M123456P1234.host:2,S", "", 100, 100)
					}
				})
			}
			work.Wait()
		})
	}
}
