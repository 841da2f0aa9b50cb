package rsyncpass

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rig is a chain of passes from one directory of this machine to another: the
// scripts of both hosts as they are, the real rsync, and an ssh that starts the
// forced command here.
type rig struct {
	t              *testing.T
	source, target string
	dir, state     string
	passes         int
	excludes       []string
	mode           string // of deletion
	streams        int
	apart          bool   // each pass begins in another second than the changes before it
	failing        string // shell commands before each forced command
	verify, owners string
	coarse         bool
	silent         bool     // rsync cannot say how far it is
	options        []string // further ones of rsync
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("runs whole passes, which -short leaves out")
	}
	if os.Getuid() != 0 {
		t.Skip("owners, devices and the like are root's to give; as root this test runs")
	}
	for _, program := range []string{"rsync", "ssh-keygen", "find", "comm", "setfattr", "getfattr"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v; internal/lab/setup.sh installs what the tests need", err)
		}
	}
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, source: dir + "/old home", target: dir + "/new home", state: dir + "/state", mode: "trash", streams: 2}
	for _, each := range []string{r.source, r.target, r.state, dir + "/bin", dir + "/serve"} {
		if err := os.Mkdir(each, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/serve/serve", serveText, 0o644)
	write(t, dir+"/serve/paths", r.source+"\n", 0o644)
	return r
}

// pass runs one pass and returns its report and what it said on stderr.
func (r *rig) pass() (report, string, int) {
	r.t.Helper()
	r.passes++
	id := fmt.Sprintf("p%d", r.passes)
	jobDir := filepath.Join(r.dir, "job")
	if err := os.RemoveAll(jobDir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Mkdir(jobDir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	p := Pass{ID: id, Paths: []Path{{Source: r.source, Target: r.target}}, Excludes: r.excludes, Delete: r.mode, Verify: r.verify, UnknownOwners: r.owners}
	write(r.t, r.dir+"/serve/excludes", p.excludeRules(), 0o644)
	write(r.t, r.dir+"/bin/ssh", "#!/bin/sh\nwhile [ \"$1\" != cutover-old ]; do if [ \"$1\" = -M ]; then exit 1; fi; shift; done\nshift\n"+r.failing+"\nSSH_ORIGINAL_COMMAND=\"$*\" exec sh '"+r.dir+"/serve/serve' login\n", 0o755)
	s := survey{old: oldHost{rsync: localRsync(r.t)}}
	s.new.rsync = s.old.rsync
	progress := s.progress()
	if r.silent {
		progress = ""
	}
	spec := p.job(plan{chain: "c", keyType: "ed25519", comment: "c", rsync: append(p.rsyncOptions(s), r.options...), coarse: r.coarse, progress: progress, streams: r.streams}, []string{r.target})
	for name, content := range spec.Files {
		write(r.t, filepath.Join(jobDir, name), content, 0o600)
	}
	write(r.t, filepath.Join(jobDir, "go"), "go\n", 0o600)
	text := strings.Replace(passScript.Text, "state=/var/lib/cutover\n", "state='"+r.state+"'\n", 1)
	// What is changed within seconds of a listing counts as changed again; the
	// tests are quicker than that, and must not depend on it.
	text = strings.Replace(text, `/began") - 3`, `/began") + 1`, 1)
	text = strings.Replace(text, "since - 10", "since - 0", 1)
	if r.apart {
		// So that what was done so far is older than the second in which this pass
		// begins, and the next one does not ask for it.
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	}
	cmd := exec.Command("sh", "-c", text, "sh", jobDir) //nolint:gosec // a test's own
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+r.dir+"/bin:"+os.Getenv("PATH"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	result, err := os.ReadFile(filepath.Join(jobDir, "result"))
	if err != nil {
		r.t.Fatalf("%v\n%s", err, said.String())
	}
	got, err := parseReport(string(result), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return got, said.String(), cmd.ProcessState.ExitCode()
}

func (r *rig) mustPass() pathReport {
	r.t.Helper()
	got, said, code := r.pass()
	if code != 0 || said != "" {
		r.t.Fatalf("pass %d ended with %d:\n%s\n%+v", r.passes, code, said, got)
	}
	return got.paths[0]
}

func (r *rig) sh(text string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", "set -e\n" + text, "sh"}, args...)...) //nolint:gosec // a test's own
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "LC_ALL=C", "target="+r.target, "trash="+r.state+"/trash", "source="+r.source)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", text, err, out)
	}
	return string(out)
}

// compareTrees is all of a tree that a pass has to keep: attributes, content,
// which names are one file, extended attributes.
const compareTrees = `cd "$1"
find . -name '*.only-new' -o -printf '%p|%y|%m|%U|%G|%T@|%l|' \( -type f -printf '%s|%n' -o -true \) -printf '\n' | sort
find . -type f ! -name '*.only-new' -exec sha256sum {} + | sort
find . -type f -links +1 ! -name '*.only-new' -printf '%i %p\0' | sort -z | awk 'BEGIN { RS = "\0" } { i = $1; sub(/^[^ ]* /, ""); n[i] = n[i] "=" $0 } END { for (i in n) print "linked " n[i] }' | sort
find . ! -name '*.only-new' -type f -exec getfattr -d {} + 2>/dev/null | sort
find . ! -name '*.only-new' -type f -exec getfacl -n {} + 2>/dev/null | grep '^user:[0-9]' | sort; true`

func (r *rig) same() {
	r.t.Helper()
	there, here := r.sh(compareTrees, r.source), r.sh(compareTrees, r.target)
	if there == here {
		return
	}
	before, after := strings.Split(there, "\n"), strings.Split(here, "\n")
	count := map[string]int{}
	for _, line := range before {
		count[line]++
	}
	for _, line := range after {
		count[line]--
	}
	var differences []string
	for line, n := range count {
		if n > 0 {
			differences = append(differences, fmt.Sprintf("only old: %q", line))
		} else if n < 0 {
			differences = append(differences, fmt.Sprintf("only new: %q", line))
		}
	}
	r.t.Fatalf("after pass %d the trees differ:\n%s", r.passes, strings.Join(differences, "\n"))
}

// The hole of the original procedure: a mail that moves from new/ to cur/
// between two passes was there twice, or all that only the new host has gone.
func TestAMovedMailIsThereOnce(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir -p anna/mail/new anna/mail/cur; echo mail >anna/mail/new/1; echo other >anna/mail/new/2`)
	if p := r.mustPass(); p.how != "first" || p.stats.Files != 7 || p.stats.Regular != 2 || p.changes != 7 {
		t.Errorf("first pass %+v", p)
	}
	r.same()
	r.sh(`echo admin >"$target/admin.only-new"; mkdir "$target/anna/mine.only-new"; mv anna/mail/new/1 'anna/mail/cur/1:2,S'`)
	p := r.mustPass()
	if p.how != "changes" || p.deleted != 1 || p.kept != 0 || p.deletedBytes != 5 {
		t.Errorf("second pass %+v", p)
	}
	r.same()
	r.sh(`test -f "$target/admin.only-new" -a -d "$target/anna/mine.only-new"; test "$(cat "$trash"/p2/*/1/anna/mail/new/1)" = mail`)
	// Nothing changed: nothing is copied, and nothing is left lying about.
	if p := r.mustPass(); p.changes != 0 || p.stats.Transferred != 0 || p.deleted != 0 {
		t.Errorf("third pass %+v", p)
	}
	if got := r.sh(`find "$trash/.." -name work -o -name '*.pending' -o -name p3; ls "$trash"`); got != "p2\n" {
		t.Errorf("left: %s", got)
	}
}

func TestWhatTheNewHostHasChangedStays(t *testing.T) {
	r := newRig(t)
	r.sh(`echo 1 >a; echo 1 >b; echo 1 >c; mkdir d; echo 1 >d/e`)
	r.mustPass()
	r.sh(`echo changed >"$target/a"; echo mine >"$target/d/mine.only-new"; rm -r a b d`)
	p := r.mustPass()
	if p.deleted != 2 || p.kept != 1 || strings.Join(p.keptExamples, " ") != "a" {
		t.Errorf("%+v", p)
	}
	r.sh(`test "$(cat "$target/a")" = changed; test ! -e "$target/b"; test ! -e "$target/d/e"; test -f "$target/d/mine.only-new"`)
}

func TestDeleteModes(t *testing.T) {
	for mode, want := range map[string]string{"trash": "gone trashed", "purge": "gone", "none": "there"} {
		r := newRig(t)
		r.mode = mode
		r.sh(`echo 1 >a; echo old >b`)
		r.mustPass()
		r.sh(`rm a; echo newer >b`)
		r.mustPass()
		got := r.sh(`if [ -e "$target/a" ]; then echo there; else echo gone; fi; test "$(cat "$target/b")" = newer
			if [ -f "$trash"/p2/*/1/a ]; then echo trashed; fi`)
		if strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%s: %s", mode, got)
		}
		if mode == "trash" {
			r.sh(`test "$(cat "$trash"/p2/*/1/b)" = old`)
		} else {
			r.sh(`test ! -d "$trash"`)
		}
	}
}

// What the ctime alone tells: content under the same size and time, modes,
// owners, links, attributes; and what changes its kind.
func TestChangesThatTimesDoNotTell(t *testing.T) {
	changesThatTimesDoNotTell(t, "moved and overwritten", "directory to link", "links exchanged")
}

func TestLongChangesThatTimesDoNotTell(t *testing.T) {
	changesThatTimesDoNotTell(t, slices.Collect(maps.Keys(untold))...)
}

var untold = map[string]string{
	"same size and time":    `touch -r f /tmp/ref.$$; echo two >f; touch -r /tmp/ref.$$ f; rm /tmp/ref.$$`,
	"replaced by its like":  `cp -p f g2; echo zwo >g2; touch -r f g2; mv g2 f`,
	"mode":                  `chmod 600 f`,
	"owner":                 `chown 1:1 f`,
	"attribute":             `setfattr -n user.x -v y f`,
	"directory's mode":      `chmod 700 d`,
	"directory's time":      `touch -d 2001-01-01 d`,
	"directory renamed":     `mv d e`,
	"directory exchanged":   `mv d x; mv d2 d; mv x d2`,
	"directory to file":     `rm -r d; echo file >d`,
	"directory to link":     `rm -r d; ln -s /nowhere/at/all d`,
	"file to directory":     `rm f; mkdir f; echo in >f/in`,
	"file to link":          `rm f; ln -s /nowhere/file f`,
	"link to directory":     `rm l; mkdir l; echo in >l/in`,
	"link to file":          `rm l; echo file >l`,
	"link to another":       `ln -sfn elsewhere l`,
	"link made":             `ln f d/f2`,
	"link broken":           `cp -p h1 x; mv x h1`,
	"link moved":            `rm h2; ln h1 h3`,
	"link's place renamed":  `mv k k2`,
	"link's place gone":     `rm -r k`,
	"links exchanged":       `rm h2; ln f h2; ln -f h1 d/f2`,
	"fifo":                  `mkfifo p`,
	"fifo to file":          `rm q; echo x >q`,
	"fifo's link broken":    `rm w1; mkfifo w1; chmod 711 w1`,
	"fifo's link exchanged": `rm w2; ln q w2; chmod 600 w1`,
	"link's link broken":    `rm l2; ln -s f l2; chown -h 1:1 l2`,
	"appended":              `echo more >>f`,
	"truncated":             `: >f`,
	"holes":                 `truncate -s 5M f; echo end >>f`,
	"odd names":             `echo 1 >"$(printf 'a\nb')"; echo 2 >"$(printf 'tab\there')"; echo 3 >-rf; echo 4 >"$(printf 'latin\351')"; echo 5 >'?*[x]\'; echo 6 >"$(printf '%0255d' 1)"; mkdir "$(printf 'd\nir')"; echo 7 >"$(printf 'd\nir/f')"`,
	"odd names gone":        `rm "$(printf 'o\ndd')" -- '-odd'`,
	"odd directory gone":    `rm -r "$(printf 'dir\t\n')"`,
	"all gone":              `rm -r -- *`,
	"special bits":          `chmod 4755 f; chmod 2775 d`,
	"moved and overwritten": `echo newer >y; mv y d/g; mv f d2/g`,
}

func changesThatTimesDoNotTell(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		change := untold[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.apart = true
			r.sh(`echo one >f; mkdir d d2; echo g >d/g; echo g2 >d2/g; ln -s f l; echo h >h1; ln h1 h2; mkdir k; ln h1 k/h; mkfifo q w1; ln w1 w2; ln -P l l2
				echo odd >"$(printf 'o\ndd')"; echo odd >-odd; mkdir "$(printf 'dir\t\n')"; echo x >"$(printf 'dir\t\n')/x"`)
			r.mustPass()
			r.same()
			r.sh(change)
			r.mustPass()
			r.same()
			if p := r.mustPass(); p.changes != 0 {
				t.Errorf("a third pass still finds %d changes", p.changes)
			}
		})
	}
}

// A pass that breaks off leaves what the next needs to know what it has brought.
func TestAfterAPassThatBrokeOff(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir d; for i in 1 2 3 4; do echo $i >d/$i; done; echo f >f`)
	r.mustPass()
	r.sh(`echo new >d/new; ln -s x link; rm d/1`)
	// It breaks off after the files, before the links.
	r.failing = `case $* in *--no-implied-dirs*) exit 255 ;; esac`
	got, _, code := r.pass()
	if code != 1 || len(got.paths[0].failures) != 1 || got.paths[0].failures[0].what != "links" {
		t.Fatalf("code %d, %+v", code, got)
	}
	r.failing = ""
	r.sh(`test -f "$target/d/new"; rm d/new; rm link; echo own >"$target/own.only-new"`)
	if p := r.mustPass(); p.deleted != 1 {
		t.Errorf("%+v", p)
	}
	r.same()
}

// Terraform destroys a pass that did not end well before it makes it anew. The
// new one knows what the other has brought, and has its trash.
func TestDestroyedAfterItBrokeOff(t *testing.T) {
	r := newRig(t)
	r.streams = 1 // its second list is that of the last rsync
	r.sh(`mkdir new cur; echo mail >new/1; echo overwritten >f; touch -d 2001-01-01 f; echo mine >"$target/f"`)
	r.failing = `case $* in *--exclude*) exit 255 ;; esac; case $* in *cutover-want*) n=$(cat '` + r.dir + `/n' 2>/dev/null); echo "$n." >'` + r.dir + `/n'; [ "$n" != . ] || exit 255 ;; esac`
	if _, _, code := r.pass(); code != 1 {
		t.Fatalf("code %d", code)
	}
	r.failing = ""
	forget := strings.Replace(forgetText, "state=/var/lib/cutover\n", "state='"+r.state+"'\n", 1)
	r.sh(forget, "p1", "unfinished", r.target)
	r.sh(`mv new/1 cur/1:2,S`)
	if p := r.mustPass(); p.deleted != 1 {
		t.Errorf("%+v", p)
	}
	r.same()
	if got := r.sh(`cat "$trash"/p2/*/1/f; ls "$trash"`); got != "mine\np2\n" {
		t.Errorf("trash: %s", got)
	}
	r.sh(forget, "p2", "finished", r.target)
	if got := r.sh(`[ ! -d "${trash%/*}" ] || find "${trash%/*}"`); got != "" {
		t.Errorf("left: %s", got)
	}
	// Nobody comes for it: it goes in the end.
	r.sh(`echo 1 >new/2`)
	r.failing = `case $* in *--server*) exit 12 ;; esac`
	r.pass()
	r.sh(forget, "p3", "unfinished", r.target)
	r.sh(`find "${trash%/*}" -name left-p3 | grep -q .`)
	r.sh(forget, "zz", "finished", r.target)
	r.sh(`find "${trash%/*}" -name left-p3 -exec touch -d '40 days ago' {} + | cat; find "${trash%/*}" -name left-p3 | grep -q .`)
	r.sh(forget, "zz", "finished", r.target)
	if got := r.sh(`[ ! -d "${trash%/*}" ] || find "${trash%/*}"`); got != "" {
		t.Errorf("left after 40 days: %s", got)
	}
}

// The parts of files that a pass has left which broke off or was killed go, where
// nobody needs them any more; those of others stay.
func TestPartsOfAPassThatBrokeOff(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir -p d/e 'g	h'; echo 1 >d/e/f; echo 2 >g; echo 2 >'g	h/i'; echo 3 >.own.ABCDEF`)
	r.failing = `case $* in *--exclude*) exit 255 ;; esac; case $* in *--server*) exit 12 ;; esac`
	if _, _, code := r.pass(); code != 1 {
		t.Fatalf("code %d", code)
	}
	r.failing = ""
	r.sh(`cd "$target"; mkdir -p d/e/.cutover-partial .cutover-partial 'g	h/.cutover-partial'; echo 1 >d/e/.cutover-partial/f; echo 1 >.cutover-partial/stays
		echo 1 >'g	h/.cutover-partial/i'; echo 1 >'g	h/.i.XyZ123'; echo 1 >d/e/.f.Ab1Cd2; echo 1 >d/e/.f.Ab1Cd3; echo 1 >.own.GHIJKL; mkdir only.only-new; echo 1 >only.only-new/.f.AAAAAA
		cd "$source"; rm -r d; echo 3 >own`)
	r.mustPass()
	r.sh(`test -f "$target/.own.GHIJKL"; test -f "$target/only.only-new/.f.AAAAAA"; rm -r "$target/.own.GHIJKL" "$target/only.only-new"; touch -r . "$target"`)
	r.same()
}

// What a pass that broke off has brought may be overwritten on the old host
// under the same size and time.
func TestForgedAfterAPassThatBrokeOff(t *testing.T) {
	r := newRig(t)
	r.streams = 1 // its second list is that of the last rsync
	r.sh(`echo one >f; echo one >g; touch -d 2001-01-01 f g`)
	r.failing = `case $* in *--exclude*) exit 255 ;; esac; case $* in *cutover-want*) n=$(cat '` + r.dir + `/n' 2>/dev/null); echo "$n." >'` + r.dir + `/n'; [ "$n" != . ] || exit 255 ;; esac`
	if _, _, code := r.pass(); code != 1 {
		t.Fatalf("code %d", code)
	}
	r.sh(`test "$(cat "$target/f")" = one`)
	r.failing = ""
	r.sh(`echo two >f; touch -d 2001-01-01 f`)
	r.mustPass()
	r.same()
}

// Files that vanish between the listing and the copying break nothing.
func TestVanishedFiles(t *testing.T) {
	r := newRig(t)
	t.Setenv("source", r.source)
	r.sh(`echo 1 >a; echo 2 >b; mkdir d; echo 3 >d/c`)
	r.failing = `case $* in *--server*) rm -rf "$source/a" "$source/d" ;; esac`
	got, _, code := r.pass()
	if code != 0 || len(got.paths[0].failures) == 0 || !onlyVanished(got.paths[0].failures[0].stderr) {
		t.Errorf("code %d, %+v", code, got)
	}
	r.failing = ""
	if p := r.mustPass(); p.how != "changes" || p.kept != 0 {
		t.Errorf("%+v", p)
	}
	r.same()
}

// What changed between its listing and the copying is here as no listing ever
// said, and goes all the same when it is gone there.
func TestGoneAfterItChangedUnderThePass(t *testing.T) {
	r := newRig(t)
	t.Setenv("source", r.source)
	r.sh(`mkdir tmp; echo 1 >tmp/mail; echo 1 >f; echo 1 >own`)
	r.failing = `case $* in *--server*) echo 'and more' >>"$source/tmp/mail"; rm -f "$source/f"; mkdir -p "$source/f" ;; esac`
	if _, said, code := r.pass(); code != 0 {
		t.Fatalf("code %d: %s", code, said)
	}
	r.failing = ""
	r.sh(`rm -r tmp f own; echo 2 >>"$target/own"; mv "$target/own" "$target/x"; mv "$target/x" "$target/own"; ls -l "$target/tmp/mail"`)
	if p := r.mustPass(); p.deleted != 1 || p.kept != 1 || strings.Join(p.keptExamples, " ") != "own" {
		t.Errorf("%+v", p)
	}
	r.sh(`test ! -e "$target/tmp"; test ! -e "$target/f"; rm "$target/own"; touch -r . "$target"`)
	r.same()
}

// A listing with a hole would make all in the hole look deleted.
func TestAListingThatBrokeOffDeletesNothing(t *testing.T) {
	for name, failing := range map[string]string{
		"no listing":     `case $* in cutover-list*) exit 255 ;; esac`,
		"half a listing": `case $* in cutover-list*) printf './f\tf\t1\t1\t1\t1\t644\t1\troot\troot\0'; exit 0 ;; esac`,
		"an empty one":   `case $* in cutover-list*) exit 0 ;; esac`,
		"an end alone":   `case $* in cutover-list*) printf 'cutover-end\t1\text4\0'; exit 0 ;; esac`,
		"half an end":    `case $* in cutover-list*) printf '.\td\t1\t1\t1\t1\t755\t1\troot\troot\0cutover-end\t17\0'; exit 0 ;; esac`,
		"no excludes":    `case $* in cutover-list*) mv "$OWN/excludes" "$OWN/gone" ;; *) [ ! -f "$OWN/gone" ] || mv "$OWN/gone" "$OWN/excludes" ;; esac`,
	} {
		r := newRig(t)
		r.sh(`mkdir d; echo 1 >d/1; echo f >f`)
		r.mustPass()
		// That of the changes alone as well: then everything is listed.
		r.failing = "OWN='" + r.dir + "/serve'\n" + strings.ReplaceAll(failing, "cutover-list", "cutover-changes")
		if p := r.mustPass(); p.listing == "changes" || p.changes != 0 {
			t.Errorf("%s: %+v", name, p)
		}
		r.same()
		r.failing = "case $* in cutover-changes*) exit 1 ;; esac\n" + r.failing + "\n" + failing
		if got, _, code := r.pass(); code != 1 || len(got.paths[0].failures) != 1 || got.paths[0].failures[0].what != "list" {
			t.Errorf("%s: code %d, %+v", name, code, got)
		}
		r.same()
	}
}

// Another directory in the source's place is no reason to delete anything.
func TestAnotherTreeDeletesNothing(t *testing.T) {
	r := newRig(t)
	r.sh(`echo f >f`)
	r.mustPass()
	r.sh(`mv "$source" "$source.away"; mkdir "$source"; echo g >"$source/g"`)
	p := r.mustPass()
	if p.how != "other" || len(p.warnings(Path{Source: "/home"}, false)) != 1 {
		t.Errorf("%+v", p)
	}
	r.sh(`test -f "$target/f" -a -f "$target/g"`)
	// A manifest that is damaged is one that is lost.
	write(t, r.state+"/chains/"+Pass{}.manifests("c")+"/1.manifest", "garbage", 0o600)
	r.sh(`rm "$source/g"`)
	if p := r.mustPass(); p.how != "lost" || p.deleted != 0 {
		t.Errorf("%+v", p)
	}
}

// A hostile user swaps a directory for a symbolic link between the listing and
// the copying, on either host. Nothing outside the target changes.
func TestSwappedDirectories(t *testing.T) {
	outside := t.TempDir()
	for name, c := range map[string]struct{ before, failing string }{
		"on the old host":                {`true`, `case $* in cutover-want*) rm -rf "$source/u/d"; ln -s '` + outside + `' "$source/u/d" ;; esac`},
		"on the new host before removal": {`rm -rf "$target/u/d"; ln -s '` + outside + `' "$target/u/d"`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			write(t, outside+"/1", "outside", 0o600)
			r.sh(`mkdir -p u/d; echo 1 >u/d/1; echo 2 >u/d/2`)
			r.mustPass()
			r.sh(`rm u/d/1; echo more >u/d/2; echo 3 >u/d/3; ` + c.before)
			r.failing = c.failing
			t.Setenv("source", r.source)
			r.pass()
			if got := r.sh(`cd "$1"; echo *; cat 1`, outside); got != "1\noutside" {
				t.Errorf("outside there is %q", got)
			}
			r.failing = ""
			r.sh(`rm -rf u/d; mkdir u/d; echo again >u/d/4`)
			r.pass()
			if got := r.sh(`cd "$1"; echo *; cat 1`, outside); got != "1\noutside" {
				t.Errorf("after another pass, outside there is %q", got)
			}
		})
	}
}

// Lists of a pass never lead out of its directories.
func TestServeRefusesHostileLists(t *testing.T) {
	t.Parallel()
	script, _ := served(t, t.TempDir())
	write(t, filepath.Join(filepath.Dir(script), "excludes"), "", 0o644)
	for list, good := range map[string]bool{
		"./a\x00./b/c\x00.\x00": true, "./a\nb\x00": true, "./..a/b..\x00": true,
		"/etc/shadow\x00": false, "./a\x00../etc\x00": false, "./a/../../etc\x00": false, "./..\x00": false, "./a/..\x00": false, "etc\x00": false, "./a\x00\x00": false, "./x\n\x00/etc\x00": false,
	} {
		for _, asked := range []string{"cutover-want 1 1", "cutover-below 1"} {
			cmd := exec.Command("sh", script, "login") //nolint:gosec // a test's own
			cmd.Env = []string{"SSH_ORIGINAL_COMMAND=" + asked}
			cmd.Stdin = strings.NewReader(list)
			out, err := cmd.CombinedOutput()
			if (err == nil) != good {
				t.Errorf("%s %q: %v, %s", asked, list, err, out)
			}
		}
	}
}

// What the listing leaves out is what rsync's --exclude leaves out.
func TestExcludeRules(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir -p admin/mail anna/admin anna/cache/x home/x 'a.b' 'axb' deep/a/b deep/c/a/b; for d in . admin admin/mail anna anna/admin anna/cache home home/x deep/a/b deep/c/a/b a.b axb; do
		for f in file.tmp cache1 cachex 'b[1]' 'st*r' '(x)' 'back\slash' "$(printf 'n\nl')"; do echo >"$d/$f"; done; done`)
	for _, excludes := range [][]string{
		nil, {"/admin"}, {"admin"}, {"*.tmp"}, {"cache/"}, {"/anna/cache", "/admin/*"}, {"home"}, {"cache?", "/nowhere"}, {"cache[0-9]"}, {"cache[!0-9]"},
		{"a/b"}, {"/deep/**/b"}, {"deep/**"}, {"/anna/***"}, {"anna/***"}, {"a.b"}, {"b[[]1]"}, {`st\*r*`}, {"(x)"}, {`back\slash`}, {"n*l"}, {"**/x"}, {"/*/cache1"}, {"[[:alpha:]]ack*"}, {"/"}, {"file.tmp/"},
	} {
		argv := []string{"-an", "-8", "--out-format=%n%L"}
		for _, pattern := range excludes {
			argv = append(argv, "--exclude="+pattern)
		}
		out, err := exec.Command("rsync", append(argv, r.source+"/", t.TempDir()+"/none/")...).Output() //nolint:gosec // a test's own
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimRight(line, "/\n"); !strings.HasPrefix(line, "created ") {
				want[strings.ReplaceAll(line, `\#012`, "\n")] = true
			}
		}
		r.excludes = excludes
		write(t, r.dir+"/serve/excludes", Pass{Excludes: excludes}.excludeRules(), 0o644)
		cmd := exec.Command("sh", r.dir+"/serve/serve", "login") //nolint:gosec // a test's own
		cmd.Env = []string{"SSH_ORIGINAL_COMMAND=cutover-list 1"}
		listed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, record := range strings.Split(string(listed), "\x00") {
			path, _, _ := strings.Cut(record, "\t")
			if path != "" && path != "cutover-end" {
				got[strings.TrimPrefix(path, "./")] = true
			}
		}
		for path := range want {
			if !got[path] {
				t.Errorf("%q leaves out %q, which rsync copies", excludes, path)
			}
		}
		for path := range got {
			if !want[path] {
				t.Errorf("%q lists %q, which rsync leaves out", excludes, path)
			}
		}
	}
}

// Random changes between passes, with the seed in the name of what failed.
func TestRandomChanges(t *testing.T) { randomChanges(t, 1) }

func TestLongRandomChanges(t *testing.T) { randomChanges(t, 3) }

func randomChanges(t *testing.T, seeds uint64) {
	t.Helper()
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.streams, r.apart = 1+int(seed), true
			random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not for secrets
			for range 5 {
				var script strings.Builder
				for range 60 {
					script.WriteString(randomChange(random) + "\n")
				}
				r.sh("set +e\nw() { [ -p \"$3\" ] || { if [ \"$1\" = add ]; then echo \"$2\" >>\"$3\"; else echo \"$2\" >\"$3\"; fi; }; }\nc() { [ -p \"$2\" ] || cp \"$@\"; }\n(" + script.String() + ") >/dev/null 2>&1 </dev/null\ntrue")
				if p := r.mustPass(); p.how == "changes" && p.listing != "changes" {
					t.Errorf("everything was listed: %s", p.listing)
				}
				r.same()
			}
			// What was followed all the way is what a listing of everything says.
			r.doubt(`s/\t\(-\{0,1\}[0-9]*\) /\t1\1 /`)
			if p := r.mustPass(); p.changes != 0 || p.listing != "the clock of the old host was set since" || fmt.Sprint(p.stats.Files) != strings.TrimSpace(r.sh(`find . -printf . | wc -c`)) {
				t.Errorf("a listing of everything (%s) finds %d changes in %d entries", p.listing, p.changes, p.stats.Files)
			}
		})
	}
}

// doubt changes what the last pass has left of the old host's clock and mounts.
func (r *rig) doubt(change string) {
	r.t.Helper()
	r.sh(`sed -i "1$1" "$2"`, change, r.state+"/chains/"+Pass{Excludes: r.excludes}.manifests("c")+"/1.since")
}

// Ctimes tell what has changed only as long as nothing else has.
func TestLongListingsOfChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apart = true
	r.sh(`mkdir -p a/b/c d e; for n in 1 2 3; do echo a$n >a/b/c/$n; echo d$n >d/$n; echo e$n >e/$n; done; ln d/1 a/d1`)
	if p := r.mustPass(); p.listing != "first" || p.stats.Files != 16 || p.stats.TotalBytes != 30 {
		t.Errorf("first pass %+v", p)
	}
	for _, c := range []struct {
		change, doubt, want string
		files               int64
	}{
		{`mv a d/moved; rm d/2; echo new >e/new; ln e/3 d/e3`, "", "changes", 17},
		{`mv d x; mv e d; mv x e`, "", "changes", 17},
		{`mkdir -p p/q; mv e/moved p/q/; chmod 700 p/q/moved/b/c; rm p/q/moved/d1`, "", "changes", 18},
		{`touch p/q/f`, `s/\t\(-\{0,1\}[0-9]*\) /\t1\1 /`, "the clock of the old host was set since", 19},
		{`mv p d/`, "", "changes", 19},
		{`rm -r d/p/q/moved/b/c/2`, `s/ [0-9a-f-]\{36\} / boot /`, "the old host was started anew since, or what is mounted there has changed", 18},
		{`echo more >>d/p/q/f`, `s/ext4/btrfs/`, "ctimes do not tell all on file systems of the kind btrfs", 18},
		{`rm -r d/p/q`, `s/^/x/`, "of the last listing too little is known", 11},
		{`rm e/1; ln e/e3 e/1`, "", "changes", 11},
	} {
		r.sh(c.change)
		if c.doubt != "" {
			if strings.Contains(c.doubt, "ext4") && !strings.Contains(r.sh("stat -f -c %T ."), "ext") {
				continue
			}
			r.doubt(c.doubt)
		}
		p := r.mustPass()
		if p.listing != c.want || p.stats.Files != c.files {
			t.Errorf("%s: listed %q, %d entries, %s; want %q, %d", c.change, p.listing, p.stats.Files, p.how, c.want, c.files)
		}
		r.same()
	}
	// What could not be listed in the short way is listed in the long one.
	r.failing = `case $* in *cutover-changes*|*cutover-below*) exit 1 ;; esac`
	r.sh(`mv d dd`)
	if p := r.mustPass(); p.listing != "what has changed could not be listed" {
		t.Errorf("%+v", p)
	}
	r.same()
}

// What is wrong with the way to the old host is said as such, and nothing is touched.
func TestTheWay(t *testing.T) {
	t.Parallel()
	for failing, want := range map[string]ending{
		`echo 'Permission denied (publickey).' >&2; exit 255`: {"reach", 255, "Permission denied (publickey).\n"},
		`echo Welcome`: {"greeting", 1, "Welcome\ncutover-pass is ready\n"},
		`case $* in *cutover-hello*) echo 'sudo: a password' >&2; exit 1 ;; esac`: {"reach", 1, "sudo: a password\n"},
	} {
		r := newRig(t)
		r.failing = failing
		r.sh(`echo 1 >a`)
		got, said, code := r.pass()
		if code != 1 || said != "" || len(got.paths[0].failures) != 1 || got.paths[0].failures[0] != want {
			t.Errorf("%s: exit code %d, %q, %+v", failing, code, said, got.paths[0].failures)
		}
		if left := r.sh(`ls -A "$target"`); left != "" {
			t.Errorf("%s: in the target is %q", failing, left)
		}
	}
}

// randomChange is a command on a tree whose names are few, so that things meet.
func randomChange(random *rand.Rand) string {
	name := func() string {
		path := ""
		for range 1 + random.IntN(3) {
			path += "/" + []string{"a", "b", "c d", "-e", "f*"}[random.IntN(5)]
		}
		return "'." + path + "'"
	}
	a, b := name(), name()
	return []string{
		"mkdir -p " + a, "mkdir -p " + a, fmt.Sprintf("w new %d %s", random.IntN(10), a), fmt.Sprintf("w new %d %s", random.IntN(10), a), fmt.Sprintf("w add %d %s", random.IntN(10), a), "w new '' " + a,
		"rm -f " + a, "rm -rf " + a, "mv " + a + " " + b, "mv -T " + a + " " + b, "mv " + a + " " + b,
		"ln " + a + " " + b, "ln " + a + " " + b, "ln -f " + a + " " + b, "ln -s target " + a, "ln -sfn /nowhere/at/all " + a, "c -p " + a + " " + b, "cp -a " + a + " " + b,
		fmt.Sprintf("chmod %o %s", 0o700+random.IntN(64), a), fmt.Sprintf("chown -h %d:%d %s", random.IntN(3), random.IntN(3), a),
		fmt.Sprintf("touch -h -d @%d %s", 1e9+random.IntN(3), a), fmt.Sprintf("setfattr -n user.x -v %d %s", random.IntN(9), a),
		fmt.Sprintf("touch -r %s ref; w new %d %s; touch -r ref %s; rm ref", a, random.IntN(10), a, a), "mkfifo " + a,
	}[random.IntN(24)]
}

// What several streams bring side by side is one tree: names of one file, and
// the times of directories that more than one of them has written to.
func TestStreams(t *testing.T) {
	r := newRig(t)
	r.streams = 3
	r.sh(`mkdir -p a b c/d c/empty; for d in . a b c/d; do for n in 1 2 3 4 5 6 7 8 9; do echo "$d $n" >"$d/$n"; done; ln -s 1 "$d/link"; done
		ln a/1 c/d/a1; ln a/1 zz; ln c/d/9 a/d9; touch -d 2001-01-01 a b c/d c .`)
	p := r.mustPass()
	if len(p.failures) != 0 || p.stats.Transferred != 36 {
		t.Errorf("%+v", p)
	}
	r.same()
	if got := r.sh(`grep -c 'receiving file list\|files to consider' "$1" || :`, r.state+"/passes/p1.log"); got < "3" {
		t.Errorf("the log knows of %s rsyncs", got)
	}
	if p := r.mustPass(); p.changes != 0 || p.stats.Transferred != 0 {
		t.Errorf("second pass %+v", p)
	}
}
