package rsyncpass

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// after puts shell commands behind each rsync of a pass.
func (r *rig) after(commands string) {
	r.t.Helper()
	real, err := exec.LookPath("rsync")
	if err != nil {
		r.t.Fatal(err)
	}
	write(r.t, r.dir+"/bin/rsync", "#!/bin/sh\n"+real+" \"$@\"\ncode=$?\ncd '"+r.target+"'\n"+commands+"\nexit $code\n", 0o755)
}

const manyKinds = `mkdir -p d/deep e; for i in 1 2 3; do echo "mail $i" >"d/deep/$i"; done; echo x >e/x; ln d/deep/1 d/linked; ln e/x e/y; ln -s nowhere l; mkfifo q
	echo odd >"$(printf 'o\tdd\nname')"; chmod 640 d/deep/2; chown 7:8 d/deep/3; echo seven >x.tmp`

// Each way to damage a copy, and which verification sees it.
func TestVerificationFindsDamage(t *testing.T) { verificationFindsDamage(t, "content", "two made one") }

func TestLongVerificationFindsDamage(t *testing.T) { verificationFindsDamage(t) }

// verificationFindsDamage tries the named ways; none named is all.
func verificationFindsDamage(t *testing.T, names ...string) {
	t.Helper()
	tests := map[string]struct {
		damage string
		says   string
		least  string // verification that sees it
	}{
		"content":           {`touch -r d/deep/1 ref; printf 'MAIL 1\n' | dd of=d/deep/1 conv=notrunc 2>/dev/null; touch -r ref d/deep/1; rm ref`, "./d/deep/1: content|./d/linked: content", "checksum"},
		"mode":              {`chmod 600 d/deep/2`, "./d/deep/2: mode 600 instead of 640", "metadata"},
		"mode of directory": {`chmod 700 e`, "./e: mode 700 instead of 755", "metadata"},
		"user":              {`chown 9 d/deep/3`, "./d/deep/3: user news instead of lp", "metadata"},
		"group":             {`chgrp 9 d/deep/3`, "./d/deep/3: group news instead of mail", "metadata"},
		"size":              {`echo more >>d/deep/3`, "./d/deep/3: size 12 instead of 7", "metadata"},
		"time":              {`touch d/deep/3`, "./d/deep/3: time of last change", "metadata"},
		"gone":              {`rm d/deep/3`, "./d/deep/3: missing", "metadata"},
		"directory gone":    {`rm -r d/deep`, "./d/deep/1: missing|./d/deep/2: missing|./d/deep/3: missing|./d/deep: missing|./d/linked: hard link", "metadata"},
		"link":              {`ln -sfn elsewher l`, "./l: leads elsewhere", "metadata"},
		"kind":              {`rm q; echo >q`, "./q: another type of file", "metadata"},
		"odd name":          {`rm o*`, "./o\tdd?name: missing", "metadata"},
		"hard link broken":  {`cp -p d/linked x; mv x d/linked`, "./d/linked: hard link|./d/deep/1: hard link", "metadata"},
		"two made one":      {`cp -p e/x ref; rm e/x e/y; ln d/deep/1 e/x; ln d/deep/1 e/y; rm ref`, "./e/x: size 7 instead of 2|./e/y: size 7 instead of 2|./d/deep/1: hard link|./d/linked: hard link", "metadata"},
		"only here":         {`echo mine >mine; mkdir e/mine; ln d/deep/1 e/another`, "", "never"},
	}
	for name, test := range tests {
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.excludes = []string{"*.tmp"}
			r.sh(manyKinds)
			r.mustPass()
			r.sh(`cd "$target"; ` + test.damage)
			for _, verify := range Verifications {
				r.verify = verify
				p := r.mustPass()
				want := strings.Split(test.says, "|")
				if !slices.Contains(Verifications, test.least) || slices.Index(Verifications, verify) < slices.Index(Verifications, test.least) {
					want = []string{""}
				}
				got := slices.Clone(p.differs)
				slices.Sort(got)
				slices.Sort(want)
				if strings.Join(got, "|") != strings.Join(want, "|") || p.meanwhile != 0 || p.differing != int64(len(got)) {
					t.Errorf("%s finds %q (%d, %d meanwhile), want %q", verify, got, p.differing, p.meanwhile, want)
				}
				if wantCount := map[string]int64{"none": 0, "changed": 0, "metadata": 13, "checksum": 13}[verify]; p.verified != wantCount {
					t.Errorf("%s compared %d, want %d", verify, p.verified, wantCount)
				}
				// What differs is copied again by the next pass.
				if p.differing > 0 {
					r.verify = "checksum"
					r.mustPass()
					if p := r.mustPass(); p.differing != 0 || p.verified != 13 {
						t.Errorf("after another pass %q still differ", p.differs)
					}
					break
				}
			}
		})
	}
}

// The default sees what becomes of that which a pass has just brought.
func TestVerificationOfWhatWasCopied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sh(manyKinds)
	if p := r.mustPass(); p.verified != 14 || p.differing != 0 {
		t.Errorf("first pass: %+v", p)
	}
	r.sh(`echo new >e/new; rm "$target/d/deep/3"`)
	r.after(`if [ -f e/new ]; then chmod 600 e/new; fi`)
	// The directory, whose time has changed, and the file.
	if p := r.mustPass(); p.verified != 2 || strings.Join(p.differs, "|") != "./e/new: mode 600 instead of 644" {
		t.Errorf("%+v", p)
	}
	r.after("")
	if p := r.mustPass(); p.changes != 0 || p.differing != 0 || p.verified != 1 {
		t.Errorf("the pass after it: %+v", p)
	}
	r.sh(`test "$(stat -c %a "$target/e/new")" = 644`)
	r.verify = "none"
	r.sh(`echo newer >e/newer`)
	if p := r.mustPass(); p.verified != 0 {
		t.Errorf("%+v", p)
	}
}

// What changes on the old host while the pass runs is no fault of the pass.
func TestVerificationOfALiveSource(t *testing.T) {
	for _, verify := range []string{"changed", "metadata", "checksum"} {
		r := newRig(t)
		t.Setenv("source", r.source)
		r.verify = verify
		r.sh(`mkdir d; for i in 1 2 3 4; do echo $i >d/$i; done; ln d/1 d/1b`)
		r.mustPass()
		r.sh(`for i in 1 2 3; do echo new >>d/$i; done`)
		r.failing = `case $* in cutover-verify*) if [ ! -f "$source/d/5" ]; then echo more >>"$source/d/2"; rm "$source/d/3"; echo 5 >"$source/d/5"; rm "$source/d/1b"; fi ;; esac`
		p := r.mustPass()
		// Of the whole, the new file counts too. A file whose link has gone agrees.
		want := map[string]int64{"changed": 1, "metadata": 2, "checksum": 2}[verify]
		if p.differing != 0 || p.meanwhile != want {
			t.Errorf("%s: %+v, want %d changed meanwhile", verify, p, want)
		}
		r.failing = ""
		if p := r.mustPass(); p.differing != 0 || p.meanwhile != 0 {
			t.Errorf("%s, the next: %+v", verify, p)
		}
		r.same()
	}
}

// A first pass that is to compare content does not take a file that is there
// already on trust. So one that failed for that goes on to an end.
func TestVerificationInAFirstPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.verify = "checksum"
	r.sh(`echo one >f; cp -p f "$target/f"; echo two >"$target/f"; touch -r f "$target/f"; echo h >h; ln h h2`)
	if p := r.mustPass(); p.differing != 0 || p.verified != 4 || p.how != "first" {
		t.Errorf("%+v", p)
	}
	r.same()
}

func TestVerificationThatBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		failing string
		code    int
	}{
		"no answer":    {`case $* in cutover-verify*) exit 255 ;; esac`, 255},
		"half of one":  {`case $* in cutover-verify*) printf '0:1\t1\t1\t0\t0\t0\td\t755\troot\troot\t-\t-\t.\0'; exit 0 ;; esac`, 12},
		"cannot be so": {`case $* in cutover-verify*) echo "find: ./x: Input/output error" >&2; exit 1 ;; esac`, 1},
	} {
		r := newRig(t)
		r.sh(`echo 1 >f`)
		r.failing = c.failing
		got, _, code := r.pass()
		if code != 1 || len(got.paths[0].failures) != 1 || got.paths[0].failures[0].what != "verify" || got.paths[0].failures[0].code != c.code {
			t.Errorf("%s: code %d, %+v", name, code, got)
		}
		r.same()
	}
}

// An rsync of long ago brings whole seconds.
func TestVerificationOfWholeSeconds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.verify = "metadata"
	r.sh(`echo 1 >f; touch -d '2001-02-03 04:05:06.789' f`)
	r.coarse = true
	r.mustPass()
	r.sh(`touch -d '2001-02-03 04:05:06' "$target/f"`)
	if p := r.mustPass(); p.differing != 0 || p.verified != 2 {
		t.Errorf("%+v", p)
	}
	r.sh(`touch -d '2001-02-03 04:05:07' "$target/f"`)
	if p := r.mustPass(); p.differing != 1 {
		t.Errorf("%+v", p)
	}
}

// Owners that the new host does not know are not held against it.
func TestVerificationAndUnknownOwners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.verify, r.owners = "metadata", "ignore"
	r.sh(`echo 1 >f; chown 61234:61235 f`)
	if p := r.mustPass(); p.differing != 0 {
		t.Errorf("%+v", p)
	}
	r.sh(`chown 61236 "$target/f"`)
	if p := r.mustPass(); strings.Join(p.differs, "") != "./f: user 61236 instead of 61234" {
		t.Errorf("%+v", p)
	}
}

func TestServeVerifies(t *testing.T) {
	t.Parallel()
	script, _ := served(t, "/home")
	for _, what := range []string{"cutover-verify 1", "cutover-verify 2 whole", "cutover-verify 1 whole x", "cutover-verify 1 everything", "cutover-verify /etc whole", "cutover-verify ../1 sums"} {
		cmd := exec.Command("sh", script, "login") //nolint:gosec // a test's own
		cmd.Env = []string{"SSH_ORIGINAL_COMMAND=" + what}
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 126 {
			t.Errorf("%s: %s", what, out)
		}
	}
	for _, list := range []string{"/etc/shadow\x00", "./../etc\x00", "./a/../../b\x00"} {
		cmd := exec.Command("sh", script, "login") //nolint:gosec // a test's own
		cmd.Env = []string{"SSH_ORIGINAL_COMMAND=cutover-verify 1 listed"}
		cmd.Stdin = strings.NewReader(list)
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 126 {
			t.Errorf("%q: %s", list, out)
		}
	}
}

func TestDiffering(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	w := witness{pass: thePass, from: from, to: to}
	r := report{paths: make([]pathReport, 2)}
	if err := w.differing(r); err != nil {
		t.Error(err)
	}
	r.paths[0].take("verified", "100\t3\t60")
	for i := range 50 {
		r.paths[0].take("differs", fmt.Sprintf("missing\t./anna/%d", i))
	}
	r.paths[1].take("verified", "10\t0\t1")
	r.paths[1].take("differs", "content\t./a b")
	err := w.differing(r)
	for _, part := range []string{`61 entries on host "new" are not as they are on host "old"`, "\n  /home/anna/0: missing\n", "\n  (and 11 more)"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q:\n%v", part, err)
		}
	}
}
