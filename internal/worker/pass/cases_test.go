//go:build linux

package pass

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTwoFileSystemsWithOneNumber: files of two file systems have the same number,
// and are not names of one file.
func TestTwoFileSystemsWithOneNumber(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := small{newTwo(t)}
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(w.source, name)
		w.must(os.Mkdir(dir, 0o755))
		mount(t, dir)
		w.must(os.WriteFile(dir+"/one", []byte("of "+name), 0o644))
		w.must(os.Link(dir+"/one", dir+"/two"))
	}
	report, err := w.run(nil)
	if err != nil || len(report.Found) > 0 {
		t.Errorf("%s, %v", tell(report), err)
	}
	for _, name := range []string{"a", "b"} {
		if content, err := os.ReadFile(filepath.Join(w.two.target, name, "two")); err != nil || string(content) != "of "+name {
			t.Errorf("%s/two is %q, %v", name, content, err)
		}
	}
	w.mustBeSame()
}

// TestADirectoryIsMovedAndLinkedTo: somebody moves a directory of the target
// elsewhere, and has a link to it in its place. It is brought again, with all that
// is below, though through the link it seems to be there.
func TestADirectoryIsMovedAndLinkedTo(t *testing.T) {
	w := newSmall(t)
	w.must(os.Mkdir(w.source+"/deep", 0o750))
	w.make(map[string]string{"deep/x/y/z": "z", "deep/x/y/w/v": "v"})
	if _, err := w.run(nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(12 * time.Millisecond)
	away := filepath.Join(filepath.Dir(w.source), "away")
	w.must(os.Rename(w.two.target+"/deep", away))
	w.must(os.Symlink(away, w.two.target+"/deep"))
	before := list(t, away, nil)
	report, err := w.run(nil)
	if err != nil || report.Count(Conflict) != 1 || report.Count(Lost) != 5 {
		t.Errorf("%s, %v", tell(report), err)
	}
	for _, difference := range append(w.differences(), unchanged(before, list(t, away, nil), false)...) {
		t.Error(difference)
	}
}

// TestAPatternIsAdded: what an earlier pass has brought and a pattern leaves out
// now stays on the target.
func TestAPatternIsAdded(t *testing.T) {
	w := newSmall(t)
	if _, err := w.run(nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(12 * time.Millisecond)
	w.options.Excludes = []string{"/gone", "three"}
	w.must(os.RemoveAll(w.source + "/gone"))
	w.must(os.RemoveAll(w.source + "/a/b"))
	report, err := w.run(nil)
	if err != nil || report.Count(Failed) > 0 {
		t.Errorf("%s, %v", tell(report), err)
	}
	target := list(t, w.two.target, nil)
	for _, name := range []string{"gone/x", "gone/y/z", "a/b/three"} {
		if target[name] == nil {
			t.Errorf("%s was taken away", name)
		}
	}
	if target["a/b/empty"] != nil {
		t.Error("a/b/empty was not taken away")
	}
}

// TestAFileInTheTrashHasTheNameOfADirectory: what has the name of a directory in the trash does not
// keep what was in one of that name from going there.
func TestAFileInTheTrashHasTheNameOfADirectory(t *testing.T) {
	w := newSmall(t)
	w.make(map[string]string{"d": "a file"})
	for _, change := range []func(){
		func() {},
		func() { w.must(os.Remove(w.source + "/d")) },
		func() { w.make(map[string]string{"d/e": "in a directory"}) },
		func() { w.must(os.RemoveAll(w.source + "/d")) },
	} {
		time.Sleep(12 * time.Millisecond)
		change()
		if report, err := w.run(nil); err != nil || len(report.Found) > 0 {
			t.Errorf("%s, %v", tell(report), err)
		}
	}
	trash := list(t, w.options.Trash, nil)
	if trash["d"] == nil || trash["d.1/e"] == nil {
		t.Errorf("the trash has %d entries", len(trash))
	}
}

// TestALargeDirectory has so many files that it is listed and noted in pieces, and
// then so few that it is not.
func TestALargeDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes some 17,000 files")
	}
	w := newTwo(t)
	w.must(os.Mkdir(w.source+"/new", 0o755))
	old := time.Now().Add(-time.Hour)
	for i := range 17_000 {
		name := fmt.Sprintf("%s/new/%d.mail", w.source, i)
		w.must(os.WriteFile(name, []byte("mail"), 0o600))
		w.must(os.Chtimes(name, old, old))
	}
	// Two minutes later nothing is recent.
	w.clock = func() time.Time { return time.Now().Add(2 * time.Minute) }
	if r := w.pass(); r.Times(Created) != 17_001 || len(r.Found) > 0 {
		t.Errorf("first %s", tell(r))
	}
	w.mustBeSame()
	if r := w.pass(); r.Times(Created)+r.Times(Updated)+r.Times(Attributes)+r.Times(Renamed)+r.Times(Deleted) > 0 || len(r.Found) > 0 {
		t.Errorf("without changes %s", tell(r))
	}
	w.sh(`cd source/new; mv 1.mail 1.mail:2,S; rm 2.mail; echo more >>3.mail; echo new >new.mail; rm ../../target/new/4.mail; echo own >../../target/new/own.mail`)
	if r := w.pass(); r.Times(Renamed) != 1 || r.Times(Deleted) != 1 || r.Times(Updated) != 1 || r.Count(Lost) != 1 || r.Source.Regular != 17_000 {
		t.Errorf("with some changes %s, %d files", tell(r), r.Source.Regular)
	}
	w.sh(`rm target/new/own.mail; touch -r source/new target/new`)
	w.mustBeSame()
	w.sh(`cd source/new; find . -name '[1-9]*[0-9][0-9].mail' -delete; ls | wc -l`)
	w.pass()
	w.mustBeSame()
	if r := w.pass(); len(r.Found) > 0 || r.Times(Created)+r.Times(Updated)+r.Times(Deleted) > 0 {
		t.Errorf("in the end %s", tell(r))
	}
}
