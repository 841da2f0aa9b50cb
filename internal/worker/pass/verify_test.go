//go:build linux

package pass

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// atFinish runs a function when a pass begins to finish its directories: when it
// takes its staging directory away. The source has to have a link, for one to be
// there.
func (w *two) atFinish(f func()) {
	var once sync.Once
	w.options.Fail = func(call, name string) error {
		if call == "rmdir" && strings.HasPrefix(name, ".cutover-") {
			once.Do(f)
		}
		return nil
	}
}

// TestWhatWasBroughtIsVerified: what somebody changes on the new host before the
// pass is done is said, for what this pass has brought and nothing else.
func TestWhatWasBroughtIsVerified(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.sh(`cd source; mkdir before d d/e gone; echo 1 >before/1; echo 1 >d/1; for i in mode size gone time kind other same owner; do echo $i >d/e/$i; done
echo x >gone/x; ln d/1 d/hard; ln -s to d/link; mkfifo fifo; chown 0:0 d/e/owner; chmod 644 d/e/*; touch -d 2001-02-03T04:05:06.7Z d/e/time`)
	w.atFinish(func() {
		w.sh(`cd target/d/e; chmod 666 mode; printf 123 >size; touch -r mode .; rm gone; touch -d 2002-02-03T04:05:06Z time; rm kind; mkdir kind; cp -p other o; mv o other; chown 1:1 owner; rm -r ../../gone; cat ../link || touch -h -r ../link ../link`)
	})
	report := w.pass()
	if want := report.Source.all(); report.Verified != want {
		t.Errorf("%d entries are verified, not %d", report.Verified, want)
	}
	size, err := os.Stat(filepath.Join(w.source, "d/e/size"))
	w.must(err)
	want := []Path{
		{"d/e/gone", "missing"},
		{"d/e/kind", "a directory instead of a file"},
		{"d/e/mode", "mode 666 instead of 644"},
		{"d/e/other", "another file is in its place"},
		{"d/e/owner", "user n1 instead of n0, group n1 instead of n0"},
		{"d/e/size", "size 3 instead of 5, time "},
		{"d/e/time", "time 2002-02-03T04:05:06Z instead of 2001-02-03T04:05:06.7Z"},
		{"d/link", "changed since it was brought"},
		{"gone", "missing"},
		{"gone/x", "missing"},
	}
	got := slices.Clone(report.Found[Differs].Paths)
	for i := range got {
		if got[i].Path == "d/e/size" && strings.HasSuffix(got[i].Text, " instead of "+size.ModTime().UTC().Format(time.RFC3339Nano)) {
			got[i].Text = "size 3 instead of 5, time "
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("it differs:\n%+v\nand not\n%+v", got, want)
	}
	// What it is to say of what earlier passes have brought is another matter.
	w.options.Fail = nil
	w.pass()
	time.Sleep(12 * time.Millisecond)
	w.sh(`cd source; echo 2 >d/2; ln -s to link2; chmod 600 before/1`)
	w.atFinish(func() { w.sh(`cd target; chmod 666 d/1`) })
	report = w.pass()
	if report.Count(Differs) != 0 || report.Verified != 4 { // and d
		t.Errorf("%d entries are verified; %s", report.Verified, tell(report))
	}
	w.options.Fail = nil
	if report = w.pass(); report.Verified != 0 {
		t.Errorf("without changes %d entries are verified", report.Verified)
	}
}

// TestNothingIsVerified where that is asked for.
func TestNothingIsVerified(t *testing.T) {
	w := newTwo(t)
	w.options.Look = LookNone
	w.sh(`cd source; mkdir d; echo 1 >d/1; ln -s to link`)
	w.atFinish(func() { w.sh(`cd target; chmod 666 d/1`) })
	report := w.pass()
	if report.Verified != 0 || report.Count(Differs) != 0 || report.Times(Created) != 3 {
		t.Errorf("%d entries are verified; %s", report.Verified, tell(report))
	}
}

// TestAllIsVerified: who looks at all compares each entry of the source once, in the
// first pass and in those after it.
func TestAllIsVerified(t *testing.T) {
	for _, look := range []Look{LookAll, LookContent} {
		for _, young := range []bool{false, true} {
			w := newTwo(t)
			if !young {
				w.old()
			}
			w.options.Look = look
			w.sh(`cd source; mkdir -p a/b empty; echo 1 >a/one; echo 2 >a/b/two; echo 3 >a/b/three; ln a/one a/hard; ln a/one hard2; ln -s x link; ln link link2; mkfifo fifo; mknod dev c 1 3; echo adopted >same; touch -d 2001-01-01 same; cp -p same ../target; chown 7:8 a/b/three a/b`)
			verified := func(what string, want map[Finding]int64) {
				t.Helper()
				report := w.pass()
				expect(t, report, want)
				if all := report.Source.all(); report.Verified != all {
					t.Errorf("look %d, young %v, %s: %d of %d are verified; %s", look, young, what, report.Verified, all, tell(report))
				}
			}
			verified("first", nil)
			verified("second", nil)
			time.Sleep(12 * time.Millisecond)
			w.sh(`cd source; echo more >>a/b/two; rm a/hard; ln a/one a/hard3; ln a/b/two two; chmod 700 a; mv a/b/three three`)
			verified("with changes", nil)
			time.Sleep(12 * time.Millisecond)
			w.sh(`cd target; echo own >>same; chmod 777 empty; chmod 604 three; chown 5 two; touch -h -d 2001-01-01 link2`)
			left := int64(7)
			if young {
				left = 5
			}
			verified("changed on the target", map[Finding]int64{Left: left})
			report := w.pass()
			text := ""
			for _, p := range report.Found[Left].Paths {
				text += p.Path + ": " + p.Text + "\n"
			}
			if !strings.Contains(text, "empty: mode 777 instead of 755\n") || !strings.Contains(text, "three: mode 604 instead of 644\n") {
				t.Errorf("left are\n%s", text)
			}
		}
	}
}

// TestMeanwhile: what the old host changes after it was listed is said.
func TestMeanwhile(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.sh(`cd source; mkdir d; echo 1 >d/1; echo 2 >d/2; echo 3 >d/3; echo 4 >d/4; ln -s to link; chmod 600 d/*`)
	var once sync.Once
	w.options.Fail = func(call, name string) error {
		if call == "mkdir" && name == "d" {
			once.Do(func() {
				time.Sleep(12 * time.Millisecond)
				w.sh(`cd source; echo more >>d/1; chmod 644 d/2; touch new; ln -sfn from link; mv d/3 d/5; echo 33 >d/3; rm d/5; chmod 701 d`)
			})
		}
		return nil
	}
	report := w.pass()
	w.options.Fail = nil
	got := map[string]string{}
	for _, p := range report.Found[Meanwhile].Paths {
		got[p.Path] = p.Text
	}
	for path, text := range map[string]string{"d/1": "size 7 instead of 2, time ", "d/2": "mode 644 instead of 600", "d/3": "size 3 instead of 2, ", "d": "mode 701 instead of 755", "link": "size 4 instead of 2, time "} {
		if !strings.HasPrefix(got[path], text) {
			t.Errorf("of %s it says %q", path, got[path])
		}
	}
	if len(got) != 5 || len(report.Found) != 1 {
		t.Errorf("%s", tell(report))
	}
	expect(t, w.pass(), nil)
	w.sh(`rm source/new`)
	w.pass()
	w.mustBeSame()
}

// TestUnlike: what is no file of its own kind is said as such.
func TestUnlike(t *testing.T) {
	w := newTwo(t)
	w.sh(`cd source; mknod c c 1 3; mknod d c 1 5; ln -s x l; mkfifo f`)
	c, d := statOf(t, w.source+"/c"), statOf(t, w.source+"/d")
	d.Mtime = c.Mtime
	if text := unlike(&c, &d, nil); text != "device 1:5 instead of 1:3" {
		t.Errorf("of two devices it says %q", text)
	}
	l, f := statOf(t, w.source+"/l"), statOf(t, w.source+"/f")
	if text := unlike(&l, &f, nil); text != "a fifo instead of a symbolic link" {
		t.Errorf("of a link and a fifo it says %q", text)
	}
}

func statOf(t *testing.T, path string) tree.Stat {
	t.Helper()
	stat, err := tree.StatAt(unix.AT_FDCWD, path)
	if err != nil {
		t.Fatal(err)
	}
	return stat
}
