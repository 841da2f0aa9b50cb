//go:build linux

package pass

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestContentThatSomebodyHasChanged: who compares all content finds what the times do
// not tell, and leaves what was changed on the new host as it is.
func TestContentThatSomebodyHasChanged(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.sh(`cd source; for f in touched edited moded linked; do echo content >$f; done; ln linked name; echo in the way >later; touch -d 2001-01-01 *`)
	w.pass()
	w.sh(`cd target; for f in edited linked; do echo Content >$f; done; touch -d 2001-01-01 edited linked; chmod 600 moded; touch -d 2001-01-01 touched`)
	w.options.Look = LookContent
	report := w.pass()
	expect(t, report, map[Finding]int64{Left: 3})
	got := map[string]string{}
	for _, p := range report.Found[Left].Paths {
		got[p.Path] = p.Text
	}
	if got["edited"] != "content" || got["linked"] != "content" || got["moded"] != "mode 600 instead of 644" {
		t.Errorf("left are %v", got)
	}
	w.sh(`cd target; test "$(cat edited linked name)" = "Content
Content
Content"`)
	if report.Verified < report.Source.all()-1 {
		t.Errorf("%d of %d are verified", report.Verified, report.Source.all())
	}
	// What is removed comes again.
	w.sh(`cd target; rm edited moded linked name`)
	expect(t, w.pass(), map[Finding]int64{Lost: 4})
	w.mustBeSame()
	expect(t, w.pass(), nil)
}

// TestContentThatNobodyHasChanged: what a disk has spoiled is brought again, and said.
func TestContentThatNobodyHasChanged(t *testing.T) {
	if !withOwnMounts(t) {
		return
	}
	w := newTwo(t)
	// On tmpfs the first store through a mapping gives a file another time, and those
	// after it none.
	mount(t, w.target)
	w.old()
	w.sh(`cd source; echo content >file; echo content >other`)
	w.pass()
	file, err := os.OpenFile(w.target+"/file", os.O_RDWR, 0)
	w.must(err)
	defer file.Close()
	memory, err := unix.Mmap(int(file.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	w.must(err)
	defer func() { _ = unix.Munmap(memory) }()
	memory[0] = 'c'
	w.sh(`touch -r source/file target/file`)
	w.options.Look = LookAll
	expect(t, w.pass(), nil)
	before := lstat(t, file.Name())
	if memory[0] = 'C'; lstat(t, file.Name()).Ctim != before.Ctim {
		t.Fatal("the store through the mapping has given the file another time")
	}
	expect(t, w.pass(), nil)
	w.options.Look = LookContent
	expect(t, w.pass(), map[Finding]int64{Spoiled: 1})
	w.mustBeSame()
	expect(t, w.pass(), nil)
}

// TestTheSameOnBothHosts: what both hosts have alike is no conflict, whatever its time,
// and is not sent.
func TestTheSameOnBothHosts(t *testing.T) {
	w := newTwo(t)
	w.old()
	w.sh(`for d in source target; do echo alike >$d/.profile; done; echo other >source/notes; echo their >target/notes; touch -d 2001-01-01 source/.profile target/notes; chmod 600 source/.profile`)
	report := w.pass()
	expect(t, report, map[Finding]int64{Conflict: 1})
	if report.Times(Attributes) != 1 || report.Times(Updated) != 1 || report.Literal != 6 || report.Found[Conflict].Paths[0].Path != "notes" {
		t.Errorf("%s, %d bytes", tell(report), report.Literal)
	}
	w.mustBeSame()
	// It was there before: that the old host has it no more says nothing of it.
	w.sh(`rm source/.profile`)
	expect(t, w.pass(), map[Finding]int64{Kept: 1})
}
