package rsyncpass

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// df puts a df beside the rig that says how much is free, in KiB and in inodes.
func (r *rig) df(kib, inodes string) {
	r.t.Helper()
	write(r.t, r.dir+"/bin/df", `#!/bin/sh
case $1 in
-Pk) echo "Filesystem 1024-blocks Used Available Capacity Mounted on"; echo "/dev/x 9000000 1 `+kib+` 1% /new disk" ;;
-Pi) echo "Filesystem Inodes IUsed IFree IUse% Mounted on"; echo "/dev/x `+inodes+` 1% /new disk" ;;
esac
`, 0o755)
}

// Room is what is missing, not all that the source holds.
func TestRoom(t *testing.T) { room(t, "too small", "a new file") }

func TestLongRoom(t *testing.T) { room(t) }

// room tries the named cases; none named is all.
func room(t *testing.T, names ...string) {
	t.Helper()
	t.Parallel()
	const tree = `mkdir d; head -c 300000 /dev/urandom >d/large; ln d/large d/other; head -c 100000 /dev/urandom >small; truncate -s 50M holes`
	tests := map[string]struct {
		prepare, change string
		kib, inodes     string
		want            crowded
	}{
		"room enough":          {"", "", "1000", "9000 1 800", crowded{}},
		"too small":            {"", "", "300", "9000 1 800", crowded{"/new disk", 408, 300, 4, 800}},
		"too few inodes":       {"", "", "100000", "9000 8997 3", crowded{"/new disk", 408, 100000, 4, 3}},
		"inodes without limit": {"", "", "100000", "0 0 0", crowded{}},
		"going on":             {`cp -p d/large "$target/"; mkdir "$target/d"; mv "$target/large" "$target/d/"; ln "$target/d/large" "$target/d/other"`, "", "150", "9000 8990 10", crowded{}},
		"nothing new":          {"pass", "", "0", "9000 9000 0", crowded{}},
		"only modes":           {"pass", "chmod 600 small d/large", "0", "9000 9000 0", crowded{}},
		"a new file":           {"pass", "head -c 50000 /dev/zero >new", "30", "9000 1 800", crowded{"/new disk", 52, 30, 1, 800}},
		"a larger one":         {"pass", "head -c 50000 /dev/zero >>small", "100", "9000 1 800", crowded{"/new disk", 148, 100, 1, 800}},
	}
	for name, test := range tests {
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.sh(tree)
			if test.prepare == "pass" {
				r.mustPass()
			} else {
				r.sh(test.prepare)
			}
			r.sh(test.change)
			r.df(test.kib, test.inodes)
			got, said, code := r.pass()
			if test.want == (crowded{}) {
				if code != 0 || len(got.crowded) != 0 {
					t.Errorf("code %d, %+v\n%s", code, got.crowded, said)
				}
				r.same()
				return
			}
			if code != 1 || len(got.crowded) != 1 {
				t.Fatalf("code %d, %+v\n%s", code, got.crowded, said)
			}
			// What a file takes on the disk is its file system's own affair.
			c := got.crowded[0]
			if c.kib < test.want.kib-40 || c.kib > test.want.kib+40 {
				t.Errorf("%d KiB, want about %d", c.kib, test.want.kib)
			}
			c.kib = test.want.kib
			if c != test.want {
				t.Errorf("%+v, want %+v", c, test.want)
			}
			if _, err := os.Stat(r.target + "/small"); test.prepare == "" && err == nil {
				t.Error("something was copied all the same")
			}
		})
	}
}

// A file system that keeps all is found to, and nothing of the trial is left.
func TestFit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sh(`echo f >f; touch -d 2001-01-01 "$target"`)
	before := r.sh(`stat -c %y "$target"; ls -A "$target"`)
	write(t, r.dir+"/lacking", `job="$1" state="$1" work="$1"
`+preflightText+`lacking "$2"`, 0o644)
	if got := r.sh(`sh "$1/lacking" "$1" "$target"`, r.dir); strings.Contains(got, "owners") || strings.Contains(got, "links") || strings.Contains(got, "case") {
		t.Errorf("it lacks %s", got)
	}
	if after := r.sh(`stat -c %y "$target"; ls -A "$target"`); after != before {
		t.Errorf("the trial left %s, and before it was %s", after, before)
	}
}

// Names that one file system tells apart, and another does not.
func TestNamesAlike(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sh(`mkdir a A b; echo 1 >a/x; echo 1 >A/X; echo 1 >b/one; echo 1 >b/two; ln -s x b/l; ln b/one b/uno`)
	write(t, r.dir+"/alike", `job="$1" state="$1" work="$1"
`+preflightText+`alike <"$1/listing"; kept_as links <"$1/listing"; kept_as hardlinks <"$1/listing"`, 0o644)
	got := r.sh(`find . -printf '%p\t%y\t%i\t%C@\t%s\t%T@\t%m\t%n\t%u\t%g\n' >"$1/listing"; sh "$1/alike" "$1"`, r.dir)
	if got != "./a\n./a/x\n1\n2\n" {
		t.Errorf("%q", got)
	}
}

// What the old host says of ACLs and attributes, so that it is known what is lost.
func TestExtras(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sh(`echo 1 >f; echo 1 >g; echo 1 >'h h'; ln -s /etc/passwd l; setfacl -m u:1:r f 'h h'; setfattr -n user.x -v y g`)
	write(t, r.dir+"/serve/excludes", Pass{Excludes: []string{"f"}}.excludeRules(), 0o644)
	got := r.sh(`SSH_ORIGINAL_COMMAND='cutover-extras 1' sh "$1/serve/serve" login`, r.dir)
	if strings.ReplaceAll(got, "./", "") != "acls\t1\th h\nxattrs\t1\tg\n" {
		t.Errorf("%q", got)
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	from, to := twoHosts(t)
	w := witness{pass: thePass, from: from, to: to}
	tests := map[string]struct {
		result    string
		warns, is string
	}{
		"nothing":     {"", "", ""},
		"too small":   {"room\t/\t3900\t3500\t20\t8000\n", "", `the file system / of host "new" is too small: the pass brings 3900 KiB, and 3500 KiB are free; 400 KiB are missing`},
		"inodes":      {"room\t/\t3900\t-\t20\t15\n", "", `the file system / of host "new" has too few inodes: the pass brings 20 files, and there is room for 15`},
		"owners":      {"lacks\t2\towners\t1\n", "", `the file system of /var/spool/mail on host "new" cannot keep owners and modes`},
		"links":       {"lacks\t1\tlinks\t3\n", "", "cannot keep symbolic links, of which /home holds 3"},
		"hard links":  {"lacks\t1\thardlinks\t4\n", "", "cannot keep hard links, and 4 names in /home"},
		"case":        {"lacks\t1\tcase\t0\n", "so far none collide", ""},
		"collisions":  {"alike\t1\t./a/x\nlacks\t1\tcase\t1\n", "", "1 entries would overwrite others: a/x"},
		"ACLs":        {"lacks\t1\tacls\t2\t./a b\n", "cannot keep ACLs, which 2 entries have, a b for example: they are not copied", ""},
		"one ACL":     {"lacks\t1\tacls\t1\t./a b\n", "cannot keep ACLs, which a b has: they are not copied", ""},
		"attributes?": {"lacks\t1\txattrs\t?\t\n", "cannot keep extended attributes, which entries of the old host may have", ""},
	}
	for name, test := range tests {
		r, err := parseReport(test.result, 2)
		if err != nil {
			t.Fatal(err)
		}
		warnings, inTheWay := w.unfit(r)
		warned, stands := strings.Join(warnings, "|"), fmt.Sprint(inTheWay)
		if len(warnings)+len(inTheWay) > 1 || !strings.Contains(warned, test.warns) || !strings.Contains(stands, test.is) || test.warns == "" && warned != "" || test.is == "" && len(inTheWay) > 0 {
			t.Errorf("%s: warns %q, says %q", name, warned, stands)
		}
	}
}

// What is warned of is what this version has, this side is open to, and the
// package does not say to have mended.
func TestHoles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		old, new rsyncVersion
		want     []string
	}{
		"new enough": {rsyncVersion{version: "3.5.0"}, rsyncVersion{version: "3.5.1"}, nil},
		"old": {rsyncVersion{version: "3.1.3"}, rsyncVersion{version: "3.2.3"}, []string{
			`rsync 3.1.3 on host "old" has CVE-2024-12747 and CVE-2026-53797, unless`, `rsync 3.2.3 on host "new" has CVE-2022-29154 and CVE-2024-12087 and CVE-2026-53799, unless`}},
		"mended": {rsyncVersion{version: "3.2.7", fixed: []string{"CVE-2024-12747"}}, rsyncVersion{version: "3.4.1", fixed: []string{"CVE-2026-53799"}}, []string{
			`rsync 3.2.7 on host "old" has CVE-2026-53797, unless`}},
	}
	for name, test := range tests {
		got := survey{old: oldHost{rsync: test.old}, new: newHost{rsync: test.new}}.holes("old", "new")
		ok := len(got) == len(test.want)
		for i := range test.want {
			ok = ok && strings.HasPrefix(got[i], test.want[i]) && !strings.Contains(got[i], "OLD") && !strings.Contains(got[i], "NEW")
		}
		if !ok {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
