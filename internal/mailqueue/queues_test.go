package mailqueue

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files makes files on a machine, with their directories.
func (m *machine) make(files map[string]string) {
	m.t.Helper()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Join(m.dir, filepath.Dir(name)), 0o755); err != nil {
			m.t.Fatal(err)
		}
		m.write(name, content, 0o600)
	}
}

// all are the files below a directory of a machine, sorted.
func (m *machine) all(dir string) []string {
	m.t.Helper()
	var names []string
	err := filepath.WalkDir(filepath.Join(m.dir, dir), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, m.dir+"/"))
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return names
}

// read is Read with the machine's own directories.
func (m *machine) read() Queue {
	m.t.Helper()
	queue, err := read(m.t.Context(), m, filepath.Join(m.dir, "etc"))
	if err != nil {
		m.t.Fatal(err)
	}
	return queue
}

// exim gives a machine an Exim whose spool has the messages that Exim 4.96 has written:
// testdata/exim.txt has its control files.
func (m *machine) exim() {
	m.t.Helper()
	m.write("bin/exim", "#!/bin/sh\nif [ \"$*\" = '-bP spool_directory' ]; then echo \"spool_directory = $MACHINE/exim\"; fi\n", 0o755)
	var path string
	files := map[string]string{}
	for _, line := range strings.Split(printed(m.t, "exim.txt"), "\n") {
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "file":
			path = rest[strings.LastIndexByte(rest, '/')+1:]
			// Half of them as with split_spool_directory.
			if len(files)%4 == 0 {
				path = path[5:6] + "/" + path
			}
			path = "exim/input/" + path
			id := strings.TrimSuffix(filepath.Base(path), "-H")
			files[strings.TrimSuffix(path, "-H")+"-D"] = id + "-D\nbody of " + id + "\n"
			files[strings.Replace(strings.TrimSuffix(path, "-H"), "/input/", "/msglog/", 1)] = "2026-12-01 02:12:34 far@example.com R=dnslookup defer (-1): why\n"
		case "|":
			files[path] += rest + "\n"
		}
	}
	files["exim/input/1xYDMA-00000k-15-J"] = "another@example.com\n"
	m.make(files)
}

func TestQueueOfExim(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	os.Remove(p.old.dir + "/etc/sendmail.cf")
	p.old.exim()
	before := p.old.all("exim")
	queue := p.old.read()
	if !slices.Equal(queue.MTAs, []string{Exim}) || queue.Count != 4 || len(queue.Messages) != 4 || len(queue.NotUnderstood) > 0 {
		t.Errorf("%+v", queue)
	}
	for _, m := range queue.Messages {
		if !strings.HasSuffix(m.Reason, "defer (-1): why") || m.RecipientCount == 0 {
			t.Errorf("%+v", m)
		}
	}
	s, err := p.mover().run(t.Context())
	if err != nil || s.Moved != 3 || s.Held != 1 || s.Left != 1 || s.Status(false) != Complete {
		t.Fatalf("%+v, %v", s, err)
	}
	got := strings.Join(p.taken(), "\n")
	for _, want := range []string{
		// Only those who have not got it, and the header as it was sent.
		"<-f><anna@example.test><--><far@example.com><\"other user\"@example.net>\nReceived: from root by base.example.test",
		"\nX-Fold: a\n b\nMessage-Id: <E1xYDMA-00000b-10@base.example.test>\n", "\n\nbody of 1xYDMA-00000b-10\n",
		"<-f><<>><--><far@example.com>\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	m := p.mover()
	m.options.Held = true
	if s, err := m.run(t.Context()); err != nil || s.Moved != 4 || s.Left != 0 {
		t.Fatalf("with the frozen one: %+v, %v", s, err)
	}
	// Nobody knows what a new host that is gone has delivered: all is as it was.
	if back, err := p.mover().undo(t.Context(), false, true); err != nil || len(back) != 4 {
		t.Fatalf("%q, %v", back, err)
	}
	if after := p.old.all("exim"); !slices.Equal(before, after) {
		t.Errorf("after it went back there is %q, want %q", after, before)
	}
	// What is in the queue although it was moved is told, and not moved again.
	if s, err := p.mover().run(t.Context()); err != nil || s.Moved != 4 || len(s.Problems) != 4 || !strings.Contains(s.Problems[0], "in the queue again, although it was moved") {
		t.Fatalf("%+v, %v", s, err)
	}
}

// Several queue directories by a pattern, a queue group, and files of a kind in
// directories of their own.
func TestQueueDirectoriesOfSendmail(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.old.write("etc/sendmail.cf", fmt.Sprintf("O QueueDirectory=%[1]s/mqueue/q*\nQslow, P=%[1]s/slow, F=f, I=1m\n", p.old.dir), 0o644)
	p.old.write("etc/submit.cf", "O QueueDirectory="+p.old.dir+"/client\n", 0o644)
	control := func(id, more string) string {
		return "V8\nT1796090828\nN1\nSanna@example.test\n" + more + "RPFD:" + id + "@example.com\nH??Subject: " + id + "\n.\n"
	}
	p.old.make(map[string]string{
		"mqueue/q1/qfdfone": control("one", ""), "mqueue/q1/dfdfone": "body one", // an ID that looks like a body's name
		"mqueue/q2/qf/qftwo": control("two", ""), "mqueue/q2/df/dftwo": "body two", "mqueue/q2/xf/xftwo": "transcript",
		"slow/qfthree": control("three", "d"+p.old.dir+"/elsewhere\n"), "elsewhere/dfthree": "body three",
		"client/qffour": control("four", ""), "client/dffour": "body four",
		"mqueue/other/qfnone": control("none", ""), "mqueue/other/dfnone": "of no queue",
	})
	before := p.old.all("")
	if queue := p.old.read(); queue.Count != 4 || queue.ByState["deferred"] != 4 {
		t.Errorf("%+v", queue)
	}
	s, err := p.mover().run(t.Context())
	if err != nil || s.Moved != 4 || len(s.Problems) > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	got := strings.Join(p.taken(), "\n")
	for _, want := range []string{"one", "two", "three", "four"} {
		if !strings.Contains(got, "<"+want+"@example.com>\nSubject: "+want+"\n\nbody "+want) {
			t.Errorf("no message %s in\n%s", want, got)
		}
	}
	for _, name := range p.old.all("") {
		base := filepath.Base(name)
		if slices.ContainsFunc([]string{"qf", "df", "xf"}, func(kind string) bool { return strings.HasPrefix(base, kind) }) && base[2:] != "none" {
			t.Errorf("%s is still where Sendmail looks for it", name)
		}
	}
	if _, err := p.mover().undo(t.Context(), false, true); err != nil {
		t.Fatal(err)
	}
	if after := p.old.all(""); !slices.Equal(before, after) {
		t.Errorf("after it went back there is %q, want %q", after, before)
	}
}
