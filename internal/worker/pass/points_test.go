//go:build linux

package pass

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// What a pass must never get wrong. Each of these has lost, deleted or disclosed
// something with the first engine.

// expect fails the test unless the report has exactly these findings.
func expect(t *testing.T, r *Report, want map[Finding]int64) {
	t.Helper()
	for kind, n := range want {
		if r.Count(kind) != n {
			t.Errorf("%d times %s, want %d: %v", r.Count(kind), kind, n, r.Found[kind])
		}
	}
	for kind, f := range r.Found {
		if _, ok := want[kind]; !ok {
			t.Errorf("%d times %s: %v", f.Count, kind, f.Paths)
		}
	}
}

// readFile returns the content of a file.
func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The target is an empty volume, a backup, or has lost a home: that is seen,
// brought again, and said.
func TestTheTargetHasLostWhatWasBrought(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir -p source/anna/mail source/bert; echo 1 >source/anna/mail/1; echo 2 >source/bert/2; touch -d '2 days ago' source/anna/mail/1`)
	w.pass()
	w.sh(`cp -a target backup; echo newer >source/anna/mail/1`)
	w.pass()

	w.sh(`rm -r target/anna`)
	expect(t, w.pass(), map[Finding]int64{Lost: 3})
	w.mustBeSame()

	w.sh(`mv target away; mkdir target`)
	expect(t, w.pass(), map[Finding]int64{Lost: 5})
	w.mustBeSame()

	// The backup has an older version of one file, and the other as it was.
	w.sh(`rm -r target; mv backup target`)
	expect(t, w.pass(), map[Finding]int64{Lost: 1})
	w.mustBeSame()
	expect(t, w.pass(), nil)
}

// A volume is mounted over the target.
func TestAnEmptyVolumeOverTheTarget(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	w.sh(`mkdir source/a; echo 1 >source/a/1`)
	w.pass()
	mount(t, w.target)
	expect(t, w.pass(), map[Finding]int64{Lost: 2})
	w.mustBeSame()
	unmount(t, w.target)
}

// A file that was edited on the new host since it came is not deleted when it goes
// on the old one, whatever passes came between.
func TestAnEditOnTheNewHostIsKept(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir source/d; echo brought >source/d/notes; echo x >source/d/other`)
	w.pass()
	w.sh(`echo edited >target/d/notes`)
	w.pass()
	w.sh(`echo y >source/d/other`)
	w.options.Fail = failAt(t, 1)
	if _, err := w.try(t.Context()); err == nil {
		t.Log("the pass went on")
	}
	w.options.Fail = nil
	w.pass()
	w.sh(`rm source/d/notes`)
	expect(t, w.pass(), map[Finding]int64{Kept: 1})
	w.sh(`rm -r source/d`)
	expect(t, w.pass(), map[Finding]int64{Kept: 1})
	if got := readFile(t, w.target+"/d/notes"); got != "edited\n" {
		t.Errorf("the notes are %q", got)
	}
}

// failAt lets the change of a number fail, and all that come after it.
func failAt(t *testing.T, n int) func(call, name string) error {
	t.Helper()
	var mu sync.Mutex
	return func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n < 0 {
			return unix.EIO
		}
		return nil
	}
}

// What no pass has brought is never deleted, also if a pass that broke off was
// about to bring it, and a file that vanished while it was copied is not brought.
func TestWhatWasNeverBroughtIsNeverDeleted(t *testing.T) {
	for n := range 12 {
		w := newTwo(t)
		w.sh(`mkdir source/d; for i in 1 2 3; do echo "old host" >source/d/$i; done; mkdir target/d; echo "new host's own" >target/d/2`)
		w.options.OnConflict = "fail"
		w.options.Fail = failAt(t, n)
		_, _ = w.try(t.Context())
		w.options.Fail = nil
		w.sh(`rm source/d/*; sleep 0.02`)
		w.pass()
		w.pass()
		if got := readFile(t, w.target+"/d/2"); got != "new host's own\n" {
			t.Errorf("broken off at change %d: it is %q", n, got)
		}
		w.sh(`test "$(ls -A target/d)" = 2`)
	}
}

func TestAFileThatVanishedIsNotBrought(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir source/d; echo 1 >source/d/1; echo 2 >source/d/2`)
	var once sync.Once
	w.options.Fail = func(call, _ string) error {
		// When its directory is made the list is complete.
		once.Do(func() {
			if err := os.Remove(w.source + "/d/2"); err != nil {
				t.Error(err)
			}
		})
		return nil
	}
	report, err := w.try(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, report, map[Finding]int64{Vanished: 1})
	w.options.Fail = nil
	w.sh(`echo own >target/d/2`)
	w.pass()
	if got := readFile(t, w.target+"/d/2"); got != "own\n" {
		t.Errorf("the new host's own file is %q", got)
	}
}

// A file system of the source is not mounted, or another one is: nothing below it
// is deleted.
func TestAFileSystemThatIsNotMounted(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	w.sh(`mkdir -p source/plain source/disk`)
	mount(t, w.source+"/disk")
	w.sh(`mkdir source/disk/deep; echo 1 >source/disk/1; echo 2 >source/disk/deep/2; echo 3 >source/plain/3`)
	w.pass()
	unmount(t, w.source+"/disk")
	w.sh(`rm source/plain/3`)
	expect(t, w.pass(), map[Finding]int64{Unmount: 1})
	w.sh(`test -e target/disk/1 && test -e target/disk/deep/2 && ! test -e target/plain/3`)
	mount(t, w.source+"/disk") // another one, and empty
	expect(t, w.pass(), map[Finding]int64{Unmount: 1})
	w.sh(`test -e target/disk/1 && test -e target/disk/deep/2`)
}

// Many thousand files vanish, and one cannot be written: all are counted, and the
// one is not hidden behind them.
func TestNoErrorIsHiddenBehindOthers(t *testing.T) {
	w := newTwo(t)
	const files = 3000
	for i := range files {
		dir := fmt.Sprintf("%s/d%d", w.source, i/1000)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.source+"/z-last", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	w.options.Fail = func(call, name string) error {
		once.Do(func() {
			for i := range files {
				_ = os.Remove(fmt.Sprintf("%s/d%d/%d", w.source, i/1000, i))
			}
		})
		if call == "create" && name == "z-last" {
			return unix.ENOSPC
		}
		return nil
	}
	report, err := w.try(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, report, map[Finding]int64{Vanished: files, Failed: 1})
	if p := report.Found[Failed].Paths[0]; p.Path != "z-last" || !strings.Contains(p.Text, "no space") {
		t.Errorf("the failure is %+v", p)
	}
	if n := len(report.Found[Vanished].Paths); n != maxPaths {
		t.Errorf("%d paths are named", n)
	}
}

// Of a hundred thousand findings a report keeps few.
func TestAReportIsBounded(t *testing.T) {
	r := NewReport()
	for i := range 100_000 {
		r.find(Vanished, strings.Repeat("p", 1<<13), strings.Repeat("t", 1<<16))
		if i == 77_777 {
			r.find(Failed, "the one", "why")
		}
	}
	if r.Count(Vanished) != 100_000 || r.Count(Failed) != 1 {
		t.Errorf("%d and %d", r.Count(Vanished), r.Count(Failed))
	}
	for _, p := range r.Found[Vanished].Paths {
		if len(r.Found[Vanished].Paths) != maxPaths || len(p.Path) > 4095 || len(p.Text) > maxText {
			t.Fatalf("%d paths, one of %d bytes with %d", len(r.Found[Vanished].Paths), len(p.Path), len(p.Text))
		}
	}
}

// A store through a mapping has no new time of change while its page waits for the
// disk. The next pass brings it all the same.
func TestAStoreThroughAMapping(t *testing.T) {
	w := newTwo(t)
	file, err := os.OpenFile(w.source+"/mapped", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	for try := 0; ; try++ {
		copy(memory, "before")
		before := lstat(t, file.Name())
		w.pass()
		copy(memory, "after!")
		if lstat(t, file.Name()).Ctim != before.Ctim && try < 5 {
			continue // the page has just gone to the disk
		}
		break
	}
	w.pass()
	if got := readFile(t, w.target+"/mapped"); !strings.HasPrefix(got, "after!") {
		t.Errorf("it is %.10q", got)
	}
}

func lstat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var k unix.Stat_t
	if err := unix.Lstat(path, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// The source is put back to an older state: times and sizes are older, and the
// names are there that were.
func TestTheSourceIsPutBack(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir source/d; echo old >source/d/file; echo gone >source/d/gone; touch -d '3 days ago' source/d/file source/d/gone; cp -a source snapshot`)
	w.pass()
	w.sh(`echo newer >source/d/file; rm source/d/gone; echo fresh >source/d/fresh`)
	w.pass()
	w.sh(`mv source later; mv snapshot source`)
	w.pass()
	w.mustBeSame()
}

// Who has the key of a pass reads nothing outside its directories.
func TestNothingOutsideIsRead(t *testing.T) {
	w := newTwo(t)
	w.sh(`mkdir outside source/d; echo secret >outside/secret; echo mine >source/d/mine; ln -s ../outside source/link; ln -s ../../outside/secret source/d/leads`)
	for _, ask := range []struct{ dir, name string }{
		{"../outside", "secret"}, {"..", "outside"}, {"link", "secret"}, {"d/../../outside", "secret"}, {"/etc", "passwd"}, {"d", "../../outside/secret"},
	} {
		if got, err := fetchRaw(t, w, ask.dir, ask.name); strings.Contains(got, "secret\n") || strings.Contains(got, "root:") {
			t.Errorf("%s in %s gives %q, %v", ask.name, ask.dir, got, err)
		}
	}
	if got, err := fetchRaw(t, w, "d", "mine"); err != nil || !strings.Contains(got, "mine\n") {
		t.Errorf("what may be read gives %q, %v", got, err)
	}
	// Of a link it is told where it leads, and not what is there.
	if got, err := fetchRaw(t, w, "d", "leads"); err != nil || strings.Contains(got, "secret\n") || !strings.Contains(got, "../../outside/secret") {
		t.Errorf("a link gives %q, %v", got, err)
	}
}

// strangers is a new host on which number 4001 is somebody, and 4002 nobody.
type strangers struct{ sameOwners }

func (strangers) Names(users, groups []uint32) (map[uint32]string, map[uint32]string, error) {
	named, groupsNamed, err := sameOwners{}.Names(users, groups)
	delete(named, 4002)
	return named, groupsNamed, err
}

// nameless is an old host on which neither has a name.
type nameless struct{ sameOwners }

func (nameless) Names(users, groups []uint32) (map[uint32]string, map[uint32]string, error) {
	named, groupsNamed, err := sameOwners{}.Names(users, groups)
	delete(named, 4001)
	delete(named, 4002)
	return named, groupsNamed, err
}

// Files of a number without a name, whose number is somebody's on the new host,
// are refused; where it is nobody's, they are brought, and it is said.
func TestNumbersWithoutAName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	w := newTwo(t)
	w.names, w.options.Owners = nameless{}, strangers{}
	w.sh(`echo 1 >source/nobodys; chown 4002 source/nobodys`)
	report := w.pass()
	expect(t, report, map[Finding]int64{Stranger: 1})
	w.mustBeSame()
	w.sh(`echo 2 >source/somebodys; chown 4001 source/somebodys; echo 3 >source/mine`)
	if _, err := w.try(t.Context()); err == nil || !strings.Contains(err.Error(), `is "n4001" on the target host`) || !errors.Is(err, ErrRefused) {
		t.Errorf("the error is %v", err)
	}
	w.sh(`test "$(ls target)" = nobodys`)
	w.options.Strangers = Warn
	w.pass()
	w.mustBeSame()
}

// What belongs to whom the new host does not know can be left: it is not copied, and what
// is there of it stays.
func TestStrangersAreLeft(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	w := newTwo(t)
	w.names, w.options.Owners, w.options.Strangers = nameless{}, strangers{}, Leave
	w.sh(`mkdir -p source/theirs/deep source/ours; echo 1 >source/theirs/deep/file; echo 2 >source/ours/file; echo 3 >source/ours/chowned; ln source/ours/file source/ours/hard`)
	w.pass()
	w.mustBeSame()
	w.sh(`cd source; echo 11 >theirs/deep/file; echo new >theirs/new; chown 4001 theirs ours/chowned; echo 33 >ours/chowned; echo 4 >ours/theirs; chown 4001 ours/theirs; echo 22 >ours/file`)
	report := w.pass()
	expect(t, report, map[Finding]int64{Stranger: 3})
	w.sh(`cd target; test "$(cat theirs/deep/file ours/chowned ours/hard)" = "$(printf '1\n3\n22')"; test ! -e theirs/new; test ! -e ours/theirs`)
	// Whose they are may be mended.
	w.sh(`cd source; chown 0 theirs ours/chowned ours/theirs`)
	expect(t, w.pass(), nil)
	w.mustBeSame()
}

// Nothing of the new host's own is taken for a leftover of ours, and leftovers of a
// pass that was killed go.
func TestLeftovers(t *testing.T) {
	w := newTwo(t)
	w.sh(`echo 1 >source/notes; echo own >target/.notes.backup; echo own >target/.notes.Ab12Cd; mkdir target/.cutover-partial target/.cutover-OWN; echo own >target/.cutover-OWN/x`)
	w.pass()
	w.sh(`echo 22 >source/notes; ln -s x source/link; mkfifo source/fifo`)
	killed := errors.New("killed")
	w.options.Fail = func(call, _ string) error {
		if call == "rename" || call == "unlink" || call == "rmdir" {
			return killed
		}
		return nil
	}
	_, _ = w.try(t.Context())
	left, err := filepath.Glob(w.target + "/.cutover-*")
	if err != nil || len(left) != 3 {
		t.Fatalf("the killed pass has left %v, %v: the test shows nothing", left, err)
	}
	w.options.Fail = nil
	w.pass()
	left, err = filepath.Glob(w.target + "/.cutover-*")
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v", left, err)
	}
	w.sh(`cd target; test "$(cat .notes.backup .notes.Ab12Cd .cutover-OWN/x)" = "own
own
own"; test "$(cat notes)" = 22; test -L link`)
}

// fetchRaw asks an old host for a file as nobody would who is well-meant, and
// returns all that it answers.
func fetchRaw(t *testing.T, w *two, dir, name string) (string, error) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), far, Served{Paths: []string{w.source}, Names: w.names})
		far.Close()
	}()
	var asked []byte
	for _, frame := range []struct {
		kind byte
		fill func([]byte) []byte
	}{
		{askHello, (&hello{Version: version}).append},
		{askFetch, (&fetch{ID: 1, Dir: dir, Items: []fetchItem{{Name: []byte(name), Way: fetchWhole}}}).append},
		{askEnd, func(b []byte) []byte { return b }},
	} {
		start := len(asked)
		asked = wire.End(frame.fill(wire.Begin(asked, frame.kind)), start)
	}
	go func() { _, _ = near.Write(asked) }()
	var got bytes.Buffer
	_ = near.SetReadDeadline(time.Now().Add(time.Minute))
	c := &conn{r: near}
	for {
		kind, r, err := c.next()
		if err != nil {
			break
		}
		got.Write(r.Rest())
		if kind == saysEnd || kind == saysFailed {
			break
		}
	}
	near.Close()
	return got.String(), <-served
}

// What cannot be looked at is named, and passed by where it is excluded. The FUSE
// mount of a user refuses even root.
func TestAnotherUsersFuseMount(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR, 0)
	if err != nil {
		t.Skipf("this kernel has no FUSE: %v", err)
	}
	defer unix.Close(fuse)
	w := newTwo(t)
	w.sh(`mkdir source/fuse source/d; echo 1 >source/d/1; echo 2 >source/fuse/2`)
	w.pass()
	// Root may not enter it, and so nobody has to answer.
	if err := unix.Mount("cutover", w.source+"/fuse", "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=4001,group_id=4001", fuse)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(w.source+"/fuse", unix.MNT_DETACH) }()
	report := w.pass()
	expect(t, report, map[Finding]int64{Unread: 1})
	if p := report.Found[Unread].Paths[0]; p.Path != "fuse" {
		t.Errorf("it is %+v", p)
	}
	w.sh(`test -e target/fuse/2`)
	w.options.Excludes = []string{"/fuse"}
	w.options.Base += "2" // other patterns are another chain
	expect(t, w.pass(), nil)
}
