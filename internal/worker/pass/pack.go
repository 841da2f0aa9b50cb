//go:build linux

package pass

import (
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Compress is whether content is compressed on its way, by zstd (RFC 8878).
type Compress byte

// Values of Compress.
const (
	CompressAuto   Compress = iota // where that makes the pass faster
	CompressAlways                 // what becomes smaller by it
	CompressNever
)

// A packer decides whether the content that goes over a stream is packed: whether the
// line or the processors are scarce shows only when both were tried. Content goes in
// stretches, one way or the other, and the way that brought more of it a second stays,
// until the other is tried again.
type packer struct {
	compress Compress
	clock    func() time.Time

	mu    sync.Mutex
	warm  bool // the buffers on the way are full: from now on it counts what the line takes
	packs bool // content of this stretch
	began time.Time
	bytes int64      // of content in this stretch
	rates [2]float64 // bytes a second of late, without packing and with it; 0 is not known
	stays int        // stretches until the other way is tried
	pause int        // how many it is the next time
}

const (
	// warmUp is how much goes before anything is measured, in bytes: what pipes,
	// ssh and TCP hold goes as fast as it is read.
	warmUp = 8 << 20
	// A stretch is at least that long.
	stretchTime  = 500 * time.Millisecond
	stretchBytes = 4 << 20
	// worthIt is how many times as much has to come for packing, which takes processor
	// time that services of the hosts may need.
	worthIt = 1.15
	// The way that is better is left to try the other after so many stretches, each
	// time twice as many.
	firstPause = 8
	lastPause  = 256
)

// wants says whether the next content is to be packed.
func (p *packer) wants() bool {
	if p.compress != CompressAuto {
		return p.compress == CompressAlways
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.packs
}

// sent notes that the stream has taken so many bytes of content, packed or not.
func (p *packer) sent(bytes int) {
	if p.compress != CompressAuto {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	if p.began.IsZero() {
		p.began = now
	}
	p.bytes += int64(bytes)
	if !p.warm {
		if p.bytes >= warmUp {
			p.warm, p.began, p.bytes = true, now, 0
		}
		return
	}
	took := now.Sub(p.began)
	if took < stretchTime || p.bytes < stretchBytes {
		return
	}
	// One stretch may be of other files than the next: what was before counts as much.
	rate := &p.rates[way(p.packs)]
	if now := float64(p.bytes) / took.Seconds(); *rate == 0 {
		*rate = now
	} else {
		*rate = (*rate + now) / 2
	}
	p.next()
	p.began, p.bytes = now, 0
}

func way(packs bool) int {
	if packs {
		return 1
	}
	return 0
}

// next chooses the way of the next stretch.
func (p *packer) next() {
	if p.rates[way(!p.packs)] == 0 {
		p.packs = !p.packs
		return
	}
	better := p.rates[1] > worthIt*p.rates[0]
	switch {
	case p.pause == 0: // both were tried for the first time
		p.pause, p.stays = firstPause, firstPause
		p.packs = better
	case p.packs != better:
		// The other one was tried and is no better, or is so from now on.
		p.packs = better
	case p.stays > 0:
		p.stays--
	default:
		p.pause = min(2*p.pause, lastPause)
		p.stays = p.pause
		p.packs = !better
	}
}

// leastPacked is the size in bytes of content that is worth to be packed.
const leastPacked = 512

// encoders pack. Each takes a few MiB, and no more are there than pack at a time.
var encoders = sync.Pool{New: func() any {
	// What the options say can fail only if they are wrong.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(frameSize), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err)
	}
	return e
}}

// pack appends content to a frame, packed. It is false where the content would not
// become smaller by it.
func pack(frame, content []byte) ([]byte, bool) {
	if len(content) < leastPacked {
		return frame, false
	}
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	packed := e.EncodeAll(content, frame)
	return packed, len(packed)-len(frame) < len(content)-len(content)/16
}

// newUnpacker returns what unpacks content. Of what another host sends it takes no more
// than a frame may hold.
func newUnpacker() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(wire.MaxFrame), zstd.WithDecoderMaxWindow(wire.MaxFrame))
}
