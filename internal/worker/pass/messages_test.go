//go:build linux

package pass

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// message is what is written and read.
type message interface {
	append(b []byte) []byte
	read(r *wire.Reader)
}

// empty returns a new message of each kind.
var empty = []func() message{
	func() message { return &hello{} },
	func() message { return &Counts{} },
	func() message { return &trouble{} },
	func() message { return &owner{} },
	func() message { return &fetch{} },
}

// messages are some of each kind, in the order of empty.
var messages = [][]message{
	{
		&hello{Version: 1, Now: -1}, // what was long ago
		&hello{Version: math.MaxUint64, Root: 1 << 40, Seed: math.MaxUint64, Excludes: []string{"*.log", "", "a\x00b\xff"}, Compress: CompressNever, Now: math.MaxInt64},
	},
	{&Counts{}, &Counts{1, 2, 3, 4, math.MaxUint64}},
	{&trouble{}, &trouble{"open", "a/b\n\xff", "it cannot be"}},
	{&owner{}, &owner{true, math.MaxUint32, "ssl-cert"}, &owner{false, 0, "root"}},
	{
		&fetch{},
		&fetch{ID: math.MaxUint64, Dir: "a/b", Items: []fetchItem{
			{Name: []byte("whole"), Way: fetchWhole}, {Name: []byte("\xff\n"), Way: fetchHash}, {Name: []byte{}, Way: fetchWhole},
			{Name: []byte(strings.Repeat("x", 255)), Way: fetchDelta, BlockSize: math.MaxUint32, BasisSize: math.MaxInt64},
		}},
	},
}

func TestMessages(t *testing.T) {
	for kind := range messages {
		for _, want := range messages[kind] {
			whole := want.append(nil)
			r := wire.NewReader(whole)
			got := empty[kind]()
			if got.read(r); r.Done() != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v is %+v: %v", want, got, r.Err())
			}
			for n := range whole {
				r := wire.NewReader(whole[:n])
				if empty[kind]().read(r); !errors.Is(r.Done(), wire.ErrMalformed) {
					t.Errorf("%d of %d bytes of %+v are taken for the whole", n, len(whole), want)
				}
			}
			// Several come one after the other.
			r = wire.NewReader(append(whole, whole...))
			empty[kind]().read(r)
			got = empty[kind]()
			if got.read(r); r.Done() != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, the second time, is %+v: %v", want, got, r.Err())
			}
		}
	}
}

// TestHostileFetch asks for what is not below the root.
func TestHostileFetch(t *testing.T) {
	for _, f := range []fetch{
		{Dir: ".."}, {Dir: "/etc"}, {Dir: "a/../.."}, {Dir: "a//b"}, {Dir: "a/"}, {Dir: "."}, {Dir: "a\x00b"}, {Dir: strings.Repeat("d/", 2048) + "d"},
		{Items: []fetchItem{{Name: []byte("..")}}}, {Items: []fetchItem{{Name: []byte(".")}}}, {Items: []fetchItem{{Name: []byte("a/b")}}},
		{Items: []fetchItem{{Name: []byte("/etc/shadow")}}}, {Items: []fetchItem{{Name: []byte("a\x00")}}}, {Items: []fetchItem{{Name: make([]byte, 256)}}},
		{Items: []fetchItem{{Name: []byte("good")}, {Name: []byte("../bad")}}}, {Items: []fetchItem{{Name: []byte("a"), Way: 77}}},
	} {
		r := wire.NewReader(f.append(nil))
		if new(fetch).read(r); !errors.Is(r.Done(), wire.ErrMalformed) {
			t.Errorf("%.40q %+v is believed", f.Dir, f.Items)
		}
	}
}

func TestTooManyExcludes(t *testing.T) {
	for n, want := range map[int]bool{maxExcludes: true, maxExcludes + 1: false, 1 << 20: false} {
		h := hello{Excludes: make([]string, n)}
		r := wire.NewReader(h.append(nil))
		var got hello
		if got.read(r); (r.Done() == nil) != want || !want && len(got.Excludes) > 0 {
			t.Errorf("%d patterns are read as %d: %v", n, len(got.Excludes), r.Err())
		}
	}
}

func TestConn(t *testing.T) {
	var stream bytes.Buffer
	c := &conn{r: &stream, w: &stream}
	// Several speak at a time, and their frames do not mix.
	var speaking sync.WaitGroup
	for i := range 8 {
		speaking.Go(func() {
			for range 50 {
				o := owner{ID: uint32(i), Name: strings.Repeat("n", i*100)}
				if err := c.say(byte(i), o.append); err != nil {
					t.Error(err)
				}
			}
		})
	}
	speaking.Wait()
	if err := c.say(99, nil); err != nil {
		t.Fatal(err)
	}
	for range 8 * 50 {
		kind, r, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var o owner
		if o.read(r); r.Done() != nil || o.ID != uint32(kind) || len(o.Name) != int(kind)*100 {
			t.Fatalf("of kind %d comes %+v: %v", kind, o, r.Err())
		}
	}
	if kind, r, err := c.next(); kind != 99 || err != nil || r.Done() != nil {
		t.Errorf("the last is %d: %v", kind, err)
	}
	if _, _, err := c.next(); err != io.EOF { //nolint:errorlint // io.EOF itself, as a Reader has it
		t.Errorf("after the last: %v", err)
	}
	if err := c.send(make([]byte, wire.MaxFrame+1)); err == nil || stream.Len() > 0 {
		t.Errorf("a frame that nobody reads is sent: %v", err)
	}
	if err := c.send(wire.End(make([]byte, wire.MaxFrame), 0)); err != nil {
		t.Error(err)
	}
	if _, r, err := c.next(); err != nil || r.Len() != wire.MaxFrame-5 {
		t.Errorf("the longest frame has %d bytes: %v", r.Len(), err)
	}
}

// FuzzMessages reads any bytes as each message. What is taken is the same when it
// is written and read again, and took no more memory than a few times its bytes.
func FuzzMessages(f *testing.F) {
	for kind := range messages {
		for _, m := range messages[kind] {
			f.Add(uint8(kind), m.append(nil))
		}
	}
	f.Add(uint8(0), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(uint8(4), []byte{1, 2, '.', '.', 1, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		fresh := empty[int(kind)%len(empty)]
		r := wire.NewReader(content)
		m := fresh()
		m.read(r)
		switch m := m.(type) {
		case *hello:
			if len(m.Excludes) > len(content) {
				t.Errorf("%d patterns in %d bytes", len(m.Excludes), len(content))
			}
		case *fetch:
			if len(m.Items) > len(content)/2 {
				t.Errorf("%d items in %d bytes", len(m.Items), len(content))
			}
			for _, item := range m.Items {
				if len(item.Name) > 0 && tree.CheckName(item.Name) != nil {
					t.Errorf("%q is believed", item.Name)
				}
			}
		}
		if r.Done() != nil {
			return
		}
		r = wire.NewReader(m.append(nil))
		again := fresh()
		if again.read(r); r.Done() != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v is read again as %+v: %v", m, again, r.Err())
		}
	})
}
