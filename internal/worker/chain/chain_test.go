//go:build linux

package chain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

const one, other = "0123456789ab", "ba9876543210"

// newState is a directory with the worker and some files of its own.
func newState(t *testing.T, files ...string) State {
	t.Helper()
	s := State{Dir: filepath.Join(t.TempDir(), "cutover")}
	for _, file := range append(files, "worker-0011223344556677") {
		path := s.path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// has checks that these files are there and no others.
func (s State) has(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	_ = filepath.WalkDir(s.Dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(path, s.Dir+"/"))
		}
		return nil
	})
	sort.Strings(want)
	sort.Strings(got)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("there is\n%q, want\n%q", got, want)
	}
	if len(want) == 0 {
		if _, err := os.Stat(s.Dir); err == nil {
			t.Errorf("%s is left", s.Dir)
		}
	}
}

const worker = "worker-0011223344556677"

func TestTheLastPassTakesAllAway(t *testing.T) {
	t.Parallel()
	s := newState(t, "chains/"+one+"/pass-a", "chains/"+one+"/pass-b", "chains/"+one+"/1.base", "passes/a.log", "passes/b.log", "trash/a/T/1/x/y")
	if err := s.Forget("a", false); err != nil {
		t.Fatal(err)
	}
	s.has(t, worker, "chains/"+one+"/1.base", "chains/"+one+"/pass-b", "passes/b.log")
	if err := order.Write(s.path("chains", one, "targets"), []string{"/srv/a b", "/srv/c"}); err != nil {
		t.Fatal(err)
	}
	swept := ""
	s.Sweep = func(base, target string) error {
		swept += filepath.Base(base) + " " + target + ";"
		return nil
	}
	if err := s.Forget("b", false); err != nil {
		t.Fatal(err)
	}
	s.has(t)
	// Of the second path nothing was brought.
	if swept != "1.base /srv/a b;" {
		t.Errorf("swept: %s", swept)
	}
	// Once more is no error.
	if err := s.Forget("b", true); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAPassThatBrokeOffHasBroughtStaysKnown(t *testing.T) {
	t.Parallel()
	s := newState(t, "chains/"+one+"/pass-a", "chains/"+one+"/1.base", "passes/a.log", "trash/a/T/1/x", "chains/"+other+"/pass-a")
	if err := s.Forget("a", true); err != nil {
		t.Fatal(err)
	}
	// The other chain has brought nothing.
	s.has(t, worker, "chains/"+one+"/1.base", "chains/"+one+"/left-a", "trash/a/T/1/x")
	// The next pass of the chain knows it, and when that is forgotten, all goes.
	if err := s.Mark(one, "b", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget("b", false); err != nil {
		t.Fatal(err)
	}
	s.has(t)
}

func TestWhatWasLeftIsKnownForThirtyDays(t *testing.T) {
	t.Parallel()
	s := newState(t, "chains/"+one+"/left-a", "chains/"+one+"/1.base", "trash/a/T/1/x", "chains/"+other+"/pass-b", "chains/"+other+"/pass-c")
	long := time.Now().Add(-31 * 24 * time.Hour)
	if err := os.Chtimes(s.path("chains", one, "left-a"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget("b", false); err != nil {
		t.Fatal(err)
	}
	s.has(t, worker, "chains/"+other+"/pass-c")
}

func TestAPassIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newState(t, "chains/"+one+"/pass-a", "chains/"+one+"/1.base", "passes/a.log", "trash/a/T/1/x", "trash/b/T/1/y")
	if err := s.Claim("a", "b"); err != nil {
		t.Fatal(err)
	}
	s.has(t, worker, "chains/"+one+"/1.base", "chains/"+one+"/pass-b", "passes/b.log", "trash/b/T-2/1/x", "trash/b/T/1/y")
	if err := s.Claim("b", "b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Claim("nobody", "b"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "../b", "*", "A"} {
		if s.Claim(id, "b") == nil || s.Claim("b", id) == nil || s.Forget(id, false) == nil || s.Mark(one, id, "") == nil {
			t.Errorf("%q is taken for a name", id)
		}
	}
}

// What has brought back goes with the last pass of the chain whose target that was.
func TestWhatHasBroughtBackGoesWithItsChain(t *testing.T) {
	t.Parallel()
	s := newState(t, "chains/"+one+"/pass-a", "chains/"+one+"/pass-b", "chains/"+other+"/1.base", "passes/back-a.log", "trash/back-a/T/1/x")
	if err := s.Mark(other, "back-a", one); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget("a", false); err != nil {
		t.Fatal(err)
	}
	s.has(t, worker, "chains/"+one+"/pass-b", "chains/"+other+"/1.base", "chains/"+other+"/back-of", "chains/"+other+"/pass-back-a", "passes/back-a.log", "trash/back-a/T/1/x")
	if err := s.Forget("b", false); err != nil {
		t.Fatal(err)
	}
	s.has(t)
	if s.Mark(other, "c", "../"+one) == nil {
		t.Error("a path is taken for a chain")
	}
}

// Which passes nobody has the outcome of is known after the host was restarted.
func TestBegunAndDone(t *testing.T) {
	t.Parallel()
	s := newState(t)
	for _, id := range []string{"a", "b"} {
		if err := s.Mark(one, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Done("a"); err != nil {
		t.Fatal(err)
	}
	if begun, err := s.Begun(one); err != nil || strings.Join(begun, " ") != "b" {
		t.Errorf("begun are %q, %v", begun, err)
	}
	if err := s.Claim("b", "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Done("a"); err != nil {
		t.Fatal(err)
	}
	if begun, err := s.Begun(one); err != nil || len(begun) > 0 {
		t.Errorf("begun are %q, %v", begun, err)
	}
	if begun, err := s.Begun(other); err != nil || len(begun) > 0 {
		t.Errorf("of a chain that is not there begun are %q, %v", begun, err)
	}
}

func TestWhatAKeyCanRead(t *testing.T) {
	t.Parallel()
	s := newState(t, "pass-"+one+"/record", "pass-"+other+"/record")
	if err := s.SetServed(one, Serves{Paths: []string{"/home", "/srv/a b"}, Until: time.Now().Add(time.Minute), Lends: other}); err != nil {
		t.Fatal(err)
	}
	paths, bases, err := s.Served(one)
	if want := s.path("chains", other, "1.base") + "|" + s.path("chains", other, "2.base"); err != nil || strings.Join(paths, "|") != "/home|/srv/a b" || strings.Join(bases, "|") != want {
		t.Errorf("%q, lent %q, %v", paths, bases, err)
	}
	if err := s.SetServed(other, Serves{Paths: []string{"/home"}, Until: time.Now().Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	if paths, _, err := s.Served(other); err == nil || !strings.Contains(err.Error(), "was over") {
		t.Errorf("after its time: %q, %v", paths, err)
	}
	for _, name := range []string{"", "..", "../" + one, "0123456789AB"} {
		if _, _, err := s.Served(name); err == nil {
			t.Errorf("%q is taken for a chain", name)
		}
	}
	// The worker stays as long as a key needs it, also that of a preview, which has no chain.
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	s.has(t, worker, "pass-"+one+"/record", "pass-"+one+"/serve", "pass-"+other+"/record", "pass-"+other+"/serve")
	for _, each := range []string{one, other} {
		if err := os.RemoveAll(s.path("pass-" + each)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	s.has(t)
}

func TestTheTrashOfAPass(t *testing.T) {
	t.Parallel()
	s := newState(t, "trash/a/T/1/x")
	for _, empty := range []string{"trash/a/T/2", "trash/a/U/1"} {
		if err := os.MkdirAll(s.path(empty), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.path("trash/a/T/1/large"), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(s.path("trash/a/T/1/large"), s.path("trash/a/T/1/the same")); err != nil {
		t.Fatal(err)
	}
	bytes, err := s.TidyTrash("a")
	if err != nil || bytes < 100_000 || bytes > 150_000 {
		t.Errorf("%d bytes, %v", bytes, err)
	}
	for path, want := range map[string]bool{"trash/a/T/1": true, "trash/a/T/2": false, "trash/a/U": false} {
		if exists(s.path(path)) != want {
			t.Errorf("%s: there is %v", path, !want)
		}
	}
	if err := os.RemoveAll(s.path("trash/a/T/1")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.path("trash/a/T/1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if bytes, err := s.TidyTrash("a"); err != nil || bytes != 0 || exists(s.path("trash")) {
		t.Errorf("%d bytes, %v", bytes, err)
	}
}

func TestBasesOfAllChains(t *testing.T) {
	t.Parallel()
	s := newState(t)
	if bases, err := s.Bases(); err != nil || len(bases) > 0 {
		t.Errorf("without a chain: %v, %v", bases, err)
	}
	for i, chain := range []string{"bbbbbbbbbbbb", "aaaaaaaaaaaa"} {
		if err := os.MkdirAll(s.path("chains", chain), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("chains", chain, "targets"), []byte(`["/home", "/srv/`+chain+`"]`), 0o600); err != nil {
			t.Fatal(err)
		}
		for n := range 1 + i {
			name := fmt.Sprintf("%d.base", n+1)
			if err := os.WriteFile(s.path("chains", chain, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			used := time.Unix(int64(1000*(i+1)+n), 0)
			if err := os.Chtimes(s.path("chains", chain, name), used, used); err != nil {
				t.Fatal(err)
			}
		}
	}
	bases, err := s.Bases()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, base := range bases {
		got = append(got, base.Target)
	}
	// The one that was used last is at the end; a target without a base is none.
	if want := []string{"/home", "/home", "/srv/aaaaaaaaaaaa"}; !slices.Equal(got, want) || bases[0].File != s.path("chains", "bbbbbbbbbbbb", "1.base") {
		t.Errorf("%q, want %q; the first is %s", got, want, bases[0].File)
	}
}
