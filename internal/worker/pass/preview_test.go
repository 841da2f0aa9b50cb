//go:build linux

package pass

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestPreviews makes chains in which before each pass a preview says what it will
// do.
func TestPreviews(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 20
	}
	previews(t, 0, seeds)
}

// TestLongPreviews makes many more.
func TestLongPreviews(t *testing.T) { previews(t, 1000, 700) }

func previews(t *testing.T, first, n int) {
	eachSeed(t, first, n, func(t *testing.T, seed int) {
		c := newChain(t, seed)
		c.previews = true
		c.run()
	})
}

// preview is a pass that changes nothing, and leaves all to the next one.
func (c *chain) preview(before listing) *Report {
	kept := c.keeps()
	c.options.Preview = true
	report, err := c.served(context.Background(), nil)
	c.options.Preview = false
	c.note("preview: %s, error %v", tell(report), err)
	if err != nil {
		c.t.Errorf("the preview failed: %v", err)
	}
	for _, difference := range unchanged(before, list(c.t, c.two.target, nil), false) {
		c.t.Errorf("the preview: %s", difference)
	}
	for _, difference := range unchanged(kept, c.keeps(), false) {
		c.t.Errorf("the preview changes what a chain keeps: %s", difference)
	}
	return report
}

// keeps lists the base and the trash.
func (c *chain) keeps() listing { return list(c.t, filepath.Dir(c.options.Base), nil) }

// samePreview fails the test unless a preview said what the pass after it did. Whether
// a file of the target with several names gets its attributes in place depends on what
// became of its other names before that, in another goroutine.
func (c *chain) samePreview(preview, report *Report, before listing) {
	c.t.Helper()
	same := func(kind string, was, is *Found) {
		c.t.Helper()
		if was == nil {
			was = &Found{}
		}
		if is == nil {
			is = &Found{}
		}
		if max(was.Count, is.Count) > maxPaths {
			return
		}
		linked := func(p Path) bool {
			return kind == string(Attributes) && before[p.Path] != nil && before[p.Path].nlink > 1
		}
		was.Paths, is.Paths = slices.DeleteFunc(was.Paths, linked), slices.DeleteFunc(is.Paths, linked)
		if !slices.Equal(was.Paths, is.Paths) {
			c.t.Errorf("%s was to be %+v, and is %+v", kind, was, is)
		}
	}
	for _, action := range []Action{Created, Updated, Attributes, Renamed, Deleted} {
		same(string(action), preview.Did[action], report.Did[action])
	}
	for _, kind := range []Finding{Lost, Conflict, Refused, Left, Kept, Stranger, Unmount} {
		same(string(kind), preview.Found[kind], report.Found[kind])
	}
	if preview.Changes != report.Changes || preview.First != report.First || preview.Source != report.Source {
		c.t.Errorf("there were to be %d changes of %+v, and are %d of %+v", preview.Changes, preview.Source, report.Changes, report.Source)
	}
}

// TestAPreviewChangesNothing: no target, no base, no trash; and it makes none.
func TestAPreviewChangesNothing(t *testing.T) {
	w := newSmall(t)
	w.options.Preview = true
	var log bytes.Buffer
	w.options.Log = &log
	before := list(t, filepath.Dir(w.source), nil)
	report, err := w.run(nil)
	if err != nil || !report.First || report.Changes != report.Source.all() || report.Verified != 0 {
		t.Errorf("%s, %v", tell(report), err)
	}
	if !bytes.HasPrefix(log.Bytes(), []byte("preview 20")) {
		t.Errorf("its log is %q", &log)
	}
	for _, difference := range unchanged(before, list(t, filepath.Dir(w.source), nil), false) {
		t.Errorf("the first: %s", difference)
	}
	if _, err := os.Stat(w.options.Base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base: %v", err)
	}
	w.options.Preview, w.options.Log = false, nil
	if _, err := w.run(nil); err != nil {
		t.Fatal(err)
	}
	w.change()
	// The end of the base is damaged, and stays so.
	base, err := os.ReadFile(w.options.Base)
	w.must(err)
	w.must(os.WriteFile(w.options.Base, append(base, "damaged"...), 0o600))
	time.Sleep(12 * time.Millisecond)
	before = list(t, filepath.Dir(w.source), nil)
	w.options.Preview = true
	report, err = w.run(nil)
	if err != nil || report.Count(Damaged) != 1 || report.Count(Failed) > 0 || report.Times(Renamed) == 0 {
		t.Errorf("%s, %v", tell(report), err)
	}
	for _, difference := range unchanged(before, list(t, filepath.Dir(w.source), nil), false) {
		t.Errorf("the second: %s", difference)
	}
}
