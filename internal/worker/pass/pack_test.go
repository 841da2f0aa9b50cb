//go:build linux

package pass

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Rates are in bytes of content a second.
func TestThePackerFindsWhatIsFaster(t *testing.T) {
	const mega = 1e6
	for name, c := range map[string]struct {
		plain, packed float64
		later         [2]float64 // from the middle on, where it is another line
		most          bool       // of the content is packed
	}{
		"a slow line":                     {plain: 1 * mega, packed: 3 * mega, most: true},
		"a gigabit":                       {plain: 110 * mega, packed: 250 * mega, most: true},
		"processors that are busy":        {plain: 150 * mega, packed: 90 * mega},
		"nothing that becomes smaller":    {plain: 10 * mega, packed: 10 * mega},
		"a target that is slow":           {plain: 30 * mega, packed: 31 * mega},
		"a line that becomes slow":        {plain: 300 * mega, packed: 150 * mega, later: [2]float64{5 * mega, 12 * mega}, most: true},
		"content that does not get small": {plain: 10 * mega, packed: 25 * mega, later: [2]float64{10 * mega, 9 * mega}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			p := &packer{clock: func() time.Time { return now }}
			const all, frame = 20000, 1 << 20
			rates, packed, counted := [2]float64{c.plain, c.packed}, 0, 0
			for n := range all {
				if n == all/2 && c.later[0] > 0 {
					rates, packed, counted = c.later, 0, 0
				}
				wants := p.wants()
				now = now.Add(time.Duration(float64(frame) / rates[way(wants)] * float64(time.Second)))
				p.sent(frame)
				if counted++; wants {
					packed++
				}
			}
			if share := float64(packed) / float64(counted); c.most && share < 0.9 || !c.most && share > 0.1 {
				t.Errorf("%.0f %% was packed", 100*share)
			}
		})
	}
}

func TestFewBytesAreNotMeasured(t *testing.T) {
	p := &packer{clock: time.Now}
	p.sent(warmUp - 1)
	if p.warm || p.wants() {
		t.Error("a small pass is packed to find out whether that is faster")
	}
}

// counted is a stream that counts what is read from it.
type counted struct {
	net.Conn
	bytes int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes += int64(n)
	return n, err
}

func TestContentIsPacked(t *testing.T) {
	noise := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // to be repeated
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	received := map[Compress]int64{}
	for _, compress := range []Compress{CompressAuto, CompressAlways, CompressNever} {
		w := newTwo(t)
		w.options.Compress = compress
		text := strings.Repeat("What the world writes is not what we expect.\n", 100_000)
		for name, content := range map[string]string{"text": text, "noise": string(noise), "small": "x", "empty": "", "changed": text} {
			w.must(os.WriteFile(filepath.Join(w.source, name), []byte(content), 0o600))
		}
		near, far := net.Pipe()
		go func() {
			_ = Serve(t.Context(), far, Served{Paths: []string{w.source}, Names: w.names})
			far.Close()
		}()
		stream := &counted{Conn: near}
		peer := NewPeer(stream)
		w.must(peer.Run(t.Context(), w.options, NewReport()))
		w.mustBeSame()
		received[compress] = stream.bytes
		// What is sent of a file that has changed is packed as well.
		w.must(os.WriteFile(filepath.Join(w.source, "changed"), []byte(text[:1<<20]+string(noise[:64<<10])+text[1<<20:]), 0o600))
		w.must(peer.Run(t.Context(), w.options, NewReport()))
		w.mustBeSame()
		near.Close()
	}
	plain, packed := received[CompressNever], received[CompressAlways]
	if size := int64(len(noise)); packed < size || packed > size+size/10 || plain < size+9_000_000 {
		t.Errorf("%d bytes came packed, %d plain, and %d cannot be packed", packed, plain, size)
	}
}

func TestPackedContentIsBounded(t *testing.T) {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{wire.MaxFrame, wire.MaxFrame + 1, 1 << 30} {
		w := &writer{}
		bomb := e.EncodeAll(make([]byte, size), nil)
		content, err := w.content(&incomingFrame{content: bomb, packed: true})
		if size <= wire.MaxFrame {
			if err != nil || !bytes.Equal(content, make([]byte, size)) {
				t.Errorf("%d bytes: %v", size, err)
			}
		} else if !errors.Is(err, wire.ErrMalformed) || cap(content) > 2*wire.MaxFrame {
			t.Errorf("%d bytes in %d are taken: %v, memory for %d", size, len(bomb), err, cap(content))
		}
	}
	for _, nonsense := range []string{"", "nonsense", "\x28\xb5\x2f\xfd\xff\xff\xff\xff"} {
		w := &writer{}
		if content, err := w.content(&incomingFrame{content: []byte(nonsense), packed: true}); nonsense != "" && !errors.Is(err, wire.ErrMalformed) || len(content) > 0 {
			t.Errorf("%q is taken as %q: %v", nonsense, content, err)
		}
	}
}
