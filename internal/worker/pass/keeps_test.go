//go:build linux

package pass

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A target that keeps no ACLs and attributes gets the files without, says so, and
// is done with the first pass. Nobody may do more than the ACL has let him.
func TestAttributesThatAreNotKept(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	mountAs(t, w.source, "tmpfs", "")
	mountAs(t, w.target, "ramfs", "")
	w.sh(`cd source; mkdir d; echo 1 >acl; echo 2 >xattr; echo 3 >both; echo 4 >plain; ln both hard; chmod 4711 xattr; chmod 0700 d`)
	const read = 4
	for name, value := range map[string][]byte{"acl": acl(0o660, 4001, read), "both": acl(0o640, 4001, read), "d": acl(0o750, 4001, read)} {
		w.must(unix.Setxattr(filepath.Join(w.source, name), "system.posix_acl_access", value, 0))
	}
	w.must(unix.Setxattr(w.source+"/d", "system.posix_acl_default", acl(0o750, 4001, read), 0))
	for _, name := range []string{"xattr", "both"} {
		if err := unix.Setxattr(filepath.Join(w.source, name), "trusted.a", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.clock = func() time.Time { return time.Now().Add(2 * time.Minute) }
	report := w.pass()
	expect(t, report, map[Finding]int64{Omitted: 4})
	texts := map[string]string{}
	for _, p := range report.Found[Omitted].Paths {
		texts[p.Path] = p.Text
	}
	both := "both"
	if texts[both] == "" {
		both = "hard"
	}
	if texts["acl"] != "its ACL: the file system here keeps none" || texts["d"] != texts["acl"] ||
		texts["xattr"] != `its attribute "trusted.a": the file system here keeps none` ||
		texts[both] != `its ACL, attribute "trusted.a": the file system here keeps none` {
		t.Errorf("it says %q", texts)
	}
	for i, want := range []Lack{{What: LackACLs, Count: 3}, {What: LackXattrs, Count: 2}} {
		if i >= len(report.Lacks) || report.Lacks[i].What != want.What || report.Lacks[i].Count != want.Count ||
			int64(len(report.Lacks[i].Examples)) != want.Count || report.Lacks[i].Fatal {
			t.Errorf("lacks are %+v", report.Lacks)
		}
	}
	for name, mode := range map[string]uint32{"acl": 0o600, "xattr": 0o4711, "plain": 0o644, "d": 0o700} {
		var here, there unix.Stat_t
		w.must(unix.Stat(filepath.Join(w.source, name), &here))
		w.must(unix.Stat(filepath.Join(w.target, name), &there))
		group := here.Mode & 0o070 & there.Mode
		if here.Mode&^0o070 != there.Mode&^0o070 || group != there.Mode&0o070 {
			t.Errorf("%s has mode %o there and %o here (made with %o)", name, here.Mode, there.Mode, mode)
		}
	}
	for _, look := range []Look{LookChanged, LookAll, LookContent} {
		w.options.Look = look
		w.options.Fail = func(call, name string) error {
			if call != "setxattr" && call != "syncfs" {
				t.Errorf("looking at %d, it makes %s %q", look, call, name)
			}
			return nil
		}
		again := w.pass()
		if again.Times(Created)+again.Times(Updated)+again.Times(Attributes)+again.Bytes > 0 || len(again.Lacks) > 0 && look != LookContent {
			t.Errorf("looking at %d, the next pass reports %s and %+v", look, tell(again), again.Lacks)
		}
	}
}

// What was omitted below a file system that is mounted in the target is said, too.
func TestAttributesThatAMountDoesNotKeep(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	mountAs(t, w.source, "tmpfs", "")
	w.sh(`mkdir source/inner target/inner; echo 1 >source/inner/new; echo 2 >source/inner/old; mkfifo source/inner/fifo; ln -s x source/inner/link`)
	mountAs(t, w.target+"/inner", "ramfs", "")
	w.sh(`echo own >target/inner/old`)
	for _, name := range []string{"new", "old", "fifo"} {
		w.must(unix.Setxattr(w.source+"/inner/"+name, "trusted.a", []byte("1"), 0))
	}
	w.clock = func() time.Time { return time.Now().Add(2 * time.Minute) }
	report := w.pass()
	expect(t, report, map[Finding]int64{Omitted: 3, Conflict: 1})
	w.sh(`test "$(cat target/inner/old target/inner/new)" = "2
1"; test -p target/inner/fifo; test -L target/inner/link`)
	if again := w.pass(); again.Times(Created)+again.Times(Updated)+again.Times(Attributes) > 0 || again.Count(Omitted) > 0 {
		t.Errorf("the next pass: %s", tell(again))
	}
}

// lacking makes a pass that is refused for what the file system does not keep.
func (w *two) lacking(calls map[string]error) []Lack {
	w.t.Helper()
	w.options.Fail = func(call, _ string) error { return calls[call] }
	report, err := w.try(context.Background())
	w.options.Fail = nil
	if !errors.Is(err, ErrRefused) {
		w.t.Errorf("with %v the pass ends with %v", calls, err)
	}
	if names, err := os.ReadDir(w.target); err != nil || len(names) > 0 {
		w.t.Errorf("the target has %v, %v", names, err)
	}
	return report.Lacks
}

func TestWhatAFileSystemRefuses(t *testing.T) {
	w := newTwo(t)
	w.sh(`cd source; mkdir d; echo 1 >f; ln f d/g; for n in 1 2 3 4 5 6 7; do ln -s x d/$n; done`)
	all := []string{"d", "d/1", "d/2", "d/3", "d/4"}
	links := []string{"d/1", "d/2", "d/3", "d/4", "d/5"}
	for _, c := range []struct {
		calls map[string]error
		want  []Lack
	}{
		{map[string]error{"chmod": unix.EPERM}, []Lack{{LackOwners, 10, all, true}}},
		{map[string]error{"symlink": unix.EPERM}, []Lack{{LackLinks, 7, links, true}}},
		{map[string]error{"link": unix.EOPNOTSUPP, "symlink": unix.ENOSYS}, []Lack{{LackLinks, 7, links, true}, {LackHardLinks, 1, nil, true}}},
	} {
		got := w.lacking(c.calls)
		for i := range got {
			if got[i].What == LackHardLinks && len(got[i].Examples) == 1 {
				got[i].Examples = nil // either of its names
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("with %v it lacks %+v", c.calls, got)
		}
	}
	// What nobody needs is no matter.
	w.sh(`rm source/d/[0-9g]`)
	w.options.Fail = func(call, _ string) error {
		return map[string]error{"symlink": unix.EPERM, "link": unix.EPERM}[call]
	}
	if report := w.pass(); len(report.Lacks) > 0 || len(report.Found) > 0 {
		t.Errorf("it lacks %+v: %s", report.Lacks, tell(report))
	}
	w.mustBeSame()
}

// Names that collide are found in all of a directory, also where it was brought
// earlier.
func TestCollisions(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir source/d source/e; cd source/d; touch a b 'Ä' x; cd ../e; touch a A aa; mkdir Dir; mkdir dir`)
	near, far := net.Pipe()
	go func() {
		_ = Serve(t.Context(), far, Served{Paths: []string{w.source}, Names: w.names})
		far.Close()
	}()
	defer near.Close()
	p, err := NewPeer(near).Prepare(t.Context(), w.options, NewReport())
	w.must(err)
	defer p.Close()
	if got := p.t.collisions(); got.count != 2 || !reflect.DeepEqual(got.examples, []string{"e/a", "e/dir"}) {
		t.Errorf("they are %+v", got)
	}
}
