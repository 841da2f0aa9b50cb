//go:build linux

package pass

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// several are roots of one old host and one new host.
type several struct {
	t       *testing.T
	roots   []*two
	reports []*Report
}

func newSeveral(t *testing.T, n int) *several {
	t.Helper()
	s := &several{t: t}
	for i := range n {
		w := newTwo(t)
		w.options.Number = i
		s.roots = append(s.roots, w)
	}
	return s
}

// over calls f with an end of a stream at whose other end is the old host, whose
// error it returns.
func (s *several) over(f func(peer *Peer)) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	near, far := net.Pipe()
	served := make(chan error, 1)
	var paths []string
	for _, w := range s.roots {
		paths = append(paths, w.source)
	}
	go func() {
		served <- Serve(ctx, far, Served{Paths: paths, Names: s.roots[0].names})
		far.Close()
	}()
	f(NewPeer(near))
	near.Close()
	return <-served
}

// prepare prepares all, and returns the errors of those that are refused.
func (s *several) prepare(peer *Peer) (prepared []*Prepared, refused error) {
	s.t.Helper()
	s.reports = nil
	for _, w := range s.roots {
		report := NewReport()
		s.reports = append(s.reports, report)
		p, err := peer.Prepare(s.t.Context(), w.options, report)
		if err != nil && !errors.Is(err, ErrRefused) {
			s.t.Fatal(err)
		}
		if err == nil {
			prepared = append(prepared, p)
			s.t.Cleanup(p.Close)
		}
		refused = errors.Join(refused, err)
	}
	return prepared, refused
}

// Roots are prepared one after the other and run in any order, again over the same
// stream.
func TestSeveralRoots(t *testing.T) {
	s := newSeveral(t, 3)
	for i, w := range s.roots {
		w.sh(`mkdir source/d; echo ` + strings.Repeat("x", 1000*(i+1)) + ` >source/d/f; ln -s f source/d/link`)
	}
	err := s.over(func(peer *Peer) {
		for round := range 2 {
			prepared, err := s.prepare(peer)
			if err != nil {
				t.Fatal(err)
			}
			for i, report := range s.reports {
				entries, bytes := report.Expected()
				if want := int64(1000*(i+1) + 1); round == 0 && (entries != 3 || bytes != want) || round == 1 && (entries != 1 || bytes != 4) {
					t.Errorf("of root %d %d entries of %d bytes are to come", i, entries, bytes)
				}
			}
			if crowded, err := Check(prepared...); err != nil || len(crowded) > 0 {
				t.Fatal(crowded, err)
			}
			for _, i := range []int{1, 2, 0} {
				if err := prepared[i].Run(); err != nil {
					t.Fatal(err)
				}
				if err := prepared[i].Run(); err == nil {
					t.Error("a pass is run twice")
				}
				if s.reports[i].Path() == "" || s.reports[i].Written() == 0 || s.reports[i].Phase() != "finishing" {
					t.Errorf("at the end it is %q at %q", s.reports[i].Phase(), s.reports[i].Path())
				}
			}
			for _, w := range s.roots {
				if differences := sameTree(list(t, w.source, nil), list(t, w.target, nil)); len(differences) > 0 {
					t.Error(differences)
				}
				w.sh(`echo new >source/d/new`)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// What is refused about the last root keeps the first from being copied, and is
// said of each.
func TestStrangersInSeveralRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := newSeveral(t, 3)
	for _, w := range s.roots {
		w.names, w.options.Owners = nameless{}, strangers{}
	}
	s.roots[0].sh(`echo 1 >source/mine`)
	s.roots[1].sh(`echo 1 >source/a; chown 4001 source/a`)
	s.roots[2].sh(`echo 1 >source/b; chown 4001 source/b`)
	err := s.over(func(peer *Peer) {
		prepared, err := s.prepare(peer)
		if len(prepared) != 1 || err == nil || !strings.Contains(err.Error(), "a: user number 4001") || !strings.Contains(err.Error(), "b: user number 4001") {
			t.Errorf("%d roots are prepared, error %v", len(prepared), err)
		}
		for i, report := range s.reports {
			if want := int64(min(i, 1)); report.Count(Stranger) != want {
				t.Errorf("root %d has %d strangers", i, report.Count(Stranger))
			}
		}
	})
	if err != nil {
		t.Errorf("the old host: %v", err)
	}
	for _, w := range s.roots {
		if names, err := os.ReadDir(w.target); err != nil || len(names) > 0 {
			t.Errorf("the target has %v, %v", names, err)
		}
	}
}

// A pass that is prepared and not run has changed nothing, also where what may be
// copied there was tried.
func TestPreparedAndNotRun(t *testing.T) {
	for _, checked := range []bool{false, true} {
		s := newSeveral(t, 1)
		w := s.roots[0]
		w.sh(`echo 1 >source/f; ln source/f source/g; ln -s f source/l; mkdir target/own; touch -d 2001-02-03 target`)
		w.options.Fail = func(call, name string) error {
			if !checked {
				t.Errorf("%s %s", call, name)
			}
			return nil
		}
		before, err := os.Stat(w.target)
		w.must(err)
		err = s.over(func(peer *Peer) {
			prepared, err := s.prepare(peer)
			if err == nil && checked {
				_, err = Check(prepared...)
			}
			w.must(err)
			prepared[0].Close()
			prepared[0].Close()
			if err := prepared[0].Run(); err == nil {
				t.Error("what is closed is run")
			}
		})
		if err != nil {
			t.Errorf("the old host: %v", err)
		}
		after, err := os.Stat(w.target)
		names, listErr := filepath.Glob(w.target + "/.*")
		if err != nil || listErr != nil || !after.ModTime().Equal(before.ModTime()) || len(names) > 0 {
			t.Errorf("the target is %v with %v", after.ModTime(), names)
		}
		w.options.Fail = nil
		w.pass()
		w.sh(`test target/f -ef target/g && test -d target/own`)
	}
}

// A pass that is killed when it has tried what may be kept leaves nothing that the
// next one does not take away.
func TestKilledWhileItTries(t *testing.T) {
	w := newTwo(t)
	w.sh(`echo 1 >source/f; ln source/f source/g; ln -s f source/l`)
	killed := false
	w.options.Fail = func(call, _ string) error {
		if killed = killed || call == "link"; killed {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	if _, err := w.try(t.Context()); err == nil {
		t.Error("it goes on")
	}
	if left, _ := filepath.Glob(w.target + "/.cutover-*/try*"); len(left) == 0 {
		t.Error("nothing is left: the test shows nothing")
	}
	w.options.Fail = nil
	w.pass()
	if left, _ := filepath.Glob(w.target + "/.cutover-*"); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// Of a talk that was not begun, and of what is not below the root, nothing is told.
func TestHostileTalks(t *testing.T) {
	root := func(n uint64) func([]byte) []byte {
		return func(b []byte) []byte { return binary.AppendUvarint(b, n) }
	}
	path := func(path string) func([]byte) []byte {
		return func(b []byte) []byte { return wire.AppendText(b, path) }
	}
	nothing := func(b []byte) []byte { return b }
	type frame struct {
		kind byte
		fill func([]byte) []byte
	}
	hello := frame{askHello, (&hello{Version: version}).append}
	for name, frames := range map[string][]frame{
		"nothing begun":  {{askList, nothing}},
		"end of nothing": {{askEnd, nothing}},
		"another root":   {hello, {askRoot, root(1)}},
		"a huge root":    {hello, {askRoot, root(1 << 63)}},
		"after the end":  {hello, {askEnd, nothing}, {askRoot, root(0)}},
		"above":          {hello, {askData, path("../secret")}},
		"absolute":       {hello, {askData, path("/etc/shadow")}},
		"the root":       {hello, {askData, path("")}},
		"unknown":        {hello, {99, nothing}},
		"more":           {hello, {askRoot, path("more")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSeveral(t, 1)
			err := s.over(func(peer *Peer) {
				go func() {
					for _, f := range frames {
						_ = peer.conn.say(f.kind, f.fill)
					}
				}()
				for {
					kind, _, err := peer.conn.next()
					if err != nil || kind == saysFailed {
						return
					}
				}
			})
			if err == nil {
				t.Error("it is believed")
			}
		})
	}
}

// What fails while files are read is told, also over a stream that nobody can close
// while he waits for the next message: standard input is one.
func TestAFailureOfAReaderIsTold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a file to somebody else takes root")
	}
	w := newTwo(t)
	w.must(os.WriteFile(w.source+"/file", []byte("x"), 0o600))
	w.names = &givesAway{file: w.source + "/file"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), struct {
			io.Reader
			io.Writer
		}{far, far}, Served{Paths: []string{w.source}, Names: w.names})
	}()
	_, err := run(ctx, near, w.options)
	near.Close()
	if err == nil || !strings.Contains(err.Error(), "no directory service") {
		t.Errorf("the pass ended with %v", err)
	}
	if err := <-served; err == nil || !strings.Contains(err.Error(), "no directory service") {
		t.Errorf("the source ended with %v", err)
	}
}

// givesAway gives a file to somebody else when it is asked for names the first time,
// and then knows no names any more.
type givesAway struct {
	sameOwners
	file  string
	asked atomic.Bool
}

func (g *givesAway) Names(users, groups []uint32) (map[uint32]string, map[uint32]string, error) {
	if g.asked.Swap(true) {
		return nil, nil, errors.New("no directory service")
	}
	if err := os.Chown(g.file, 4711, -1); err != nil {
		return nil, nil, err
	}
	return g.sameOwners.Names(users, groups)
}
