//go:build linux

package tree

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/wire"
)

// Base is what the passes of a chain have brought of one root, in a file to
// which they append: directories as they were brought, and before that what is
// about to be. What a killed pass has left of a record at the end is ignored.
//
// The format, numbers least byte first:
//
//	magic    16 bytes
//	records  length of the content (4 bytes), kind (1), CRC-32C of kind and
//	         content (4), content
//
// Of two records for one path the later counts.
type Base struct {
	// Seed is that of all digests of the chain, a secret.
	Seed uint64
	// Turn counts the passes that have used the base, those the other way included:
	// of the bases of a chain and of the one the other way that with the higher turn is
	// right. See Swap.
	Turn uint64
	// BrokeOff says that the last pass that has changed something did not come to its
	// end: parts of files may lie on the target.
	BrokeOff bool
	// Tokens are of this pass and of earlier ones that broke off: the names of
	// what a pass puts beside files for a moment begin with its token.
	Tokens []string
	// Dropped is how many bytes at the end could not be read: those of a record
	// that a kill broke off, or more where the file was damaged.
	Dropped int64

	path   string
	file   *os.File // nil where there is none, see ReadBase
	beside *beside  // where records go that are not to be in the file; else nil
	out    *bufio.Writer
	size   int64 // of the file, with what is in out and beside
	begun  int64 // where in the file the records of this pass begin
	live   int64 // bytes of records that count
	dirs   map[string]*place
	boot   string // of this host, now
	record []byte // for appending
}

// place is where a directory is in the file.
type place struct {
	pieces  []piecePlace // those that are known, in order
	bits    uint8        // it is in 2 to this power of pieces
	unsure  bool
	target  Stat     // the directory itself
	intents []intent // what was about to be brought
}

// piecePlace is where a piece is.
type piecePlace struct {
	at     int64
	number uint32
	length uint32
	recent bool // an entry is
	digest Digest
}

type intent struct {
	at    int64
	piece Piece
}

var magic = []byte("cutover base 2\n\x00")

// Kinds of records.
const (
	recordBegin  = iota + 1 // a pass began: seed, token, boot
	recordDir               // Brought
	recordSeal              // a directory's own state on the target
	recordIntent            // what is about to be brought
	recordGone              // a directory is not known any more
	recordSynced            // all before is on the target's disk
	recordTurn              // Turn
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const recordHeader = 9

// bufferSize is how much of the file is read or written at a time, in bytes.
const bufferSize = 64 << 10

// ErrInUse is the error of a base that another pass has open.
var ErrInUse = errors.New("another pass is working with it")

// OpenBase opens the base in the file at path, or makes it, for a pass on a host
// that was started last at boot (/proc/sys/kernel/random/boot_id). What an
// earlier start of the host has noted and not synced is not believed: a disk may
// have lost it.
func OpenBase(path, boot string) (*Base, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Base{path: path, file: file, dirs: map[string]*place{}, boot: boot}
	if err := b.open(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (b *Base) open() error {
	if err := b.lock(unix.LOCK_EX); err != nil {
		return err
	}
	if err := b.load(); err != nil {
		return err
	}
	if err := b.cut(); err != nil {
		return err
	}
	if _, err := b.file.Seek(b.size, io.SeekStart); err != nil {
		return err
	}
	b.out = bufio.NewWriterSize(b.file, bufferSize)
	return b.begin()
}

// cut takes away what could not be read at the end of the file.
func (b *Base) cut() error {
	if b.Dropped == 0 {
		return nil
	}
	return b.file.Truncate(b.size)
}

// begin notes that this pass began.
func (b *Base) begin() error {
	if b.size == 0 {
		if _, err := b.out.Write(magic); err != nil {
			return err
		}
		b.size = int64(len(magic))
	}
	if b.size == int64(len(magic)) { // no pass has begun
		var seed [8]byte
		if _, err := rand.Read(seed[:]); err != nil {
			return err
		}
		b.Seed = binary.LittleEndian.Uint64(seed[:])
	}
	token := "cutover-" + rand.Text()
	b.Tokens = append(b.Tokens, token)
	b.begun = b.size
	b.record = b.appendBegin(b.record[:0], token)
	return b.write(recordBegin)
}

// lock locks the file that has the base's name, until it is closed or unlocked.
func (b *Base) lock(how int) error {
	if err := lock(b.file, how); err != nil {
		return err
	}
	// The other pass may have put a new file here before it ended.
	if here, err := os.Stat(b.path); err != nil {
		return err
	} else if mine, err := b.file.Stat(); err != nil {
		return err
	} else if !os.SameFile(here, mine) {
		return ErrInUse
	}
	return nil
}

// lock locks a file, as flock(2) does, and waits for nobody.
func lock(file *os.File, how int) error {
	err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}

func (b *Base) appendBegin(to []byte, token string) []byte {
	to = binary.LittleEndian.AppendUint64(to, b.Seed)
	to = wire.AppendText(to, token)
	return wire.AppendText(to, b.boot)
}

// Token is this pass's own.
func (b *Base) Token() string { return b.Tokens[len(b.Tokens)-1] }

// load reads all records that are whole.
func (b *Base) load() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(b.file, bufferSize)
	head := make([]byte, len(magic))
	n, err := io.ReadFull(in, head)
	switch {
	case err != nil && !ended(err):
		return err
	case !bytes.HasPrefix(magic, head[:n]):
		return errors.New("it is no base of a chain of passes")
	case err != nil:
		b.Dropped = info.Size()
		return nil //nolint:nilerr // its end is none
	}
	b.size = int64(len(magic))
	var header [recordHeader]byte
	var content []byte
	scan := scan{base: b}
	for {
		if _, err := io.ReadFull(in, header[:]); ended(err) {
			break
		} else if err != nil {
			return err
		}
		length := int64(binary.LittleEndian.Uint32(header[:]))
		if length > min(info.Size()-b.size-recordHeader, math.MaxInt32) {
			break
		}
		content = slices.Grow(content[:0], int(length))[:length]
		if _, err := io.ReadFull(in, content); err != nil {
			return err
		}
		if checksum(header[4], content) != binary.LittleEndian.Uint32(header[5:]) || scan.record(header[4], content) != nil {
			break
		}
		b.size += recordHeader + length
	}
	b.Dropped = info.Size() - b.size
	scan.finish()
	return nil //nolint:nilerr // its end is none
}

// ended says whether a file was read to its end. What cannot be read now may be
// read later, and is not to be cut off.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func checksum(kind byte, content []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte{kind}, castagnoli), castagnoli, content)
}

// scan reads the records of a file that is opened.
type scan struct {
	base    *Base
	boot    string            // of the pass that wrote what is read
	pending map[string]string // written and not synced, with the boot
}

func (s *scan) record(kind byte, content []byte) error {
	b, r := s.base, wire.NewReader(content)
	length := recordHeader + len(content)
	switch kind {
	case recordBegin:
		seed, token, boot := r.Raw(8), r.Text(), r.Text()
		if r.Done() == nil {
			b.Seed, s.boot = binary.LittleEndian.Uint64(seed), boot
			b.Tokens = append(b.Tokens, token)
		}
	case recordDir:
		// The entries are read when they are asked for.
		p := piecePlace{at: b.size, length: uint32(length)}
		copy(p.digest[:], r.Raw(len(p.digest)))
		p.recent = r.Flag()
		var d Brought
		d.readHead(r)
		if r.Err() != nil {
			return r.Err()
		}
		b.place(&d, p)
		s.written(d.Path)
		return nil
	case recordSeal:
		path := r.Text()
		var target Stat
		target.Read(r, &Stat{})
		if p := b.dirs[path]; r.Done() == nil && p.known() {
			p.target = target
			s.written(path)
		}
	case recordIntent:
		path := r.Text()
		var piece Piece
		piece.read(r)
		if r.Err() == nil {
			b.intend(path, intent{b.size, piece})
		}
		return r.Err()
	case recordGone:
		if path := r.Text(); r.Done() == nil {
			b.forget(path)
			delete(s.pending, path)
		}
	case recordSynced:
		s.pending = nil
		b.Tokens, b.BrokeOff = nil, false
	case recordTurn:
		b.Turn, b.BrokeOff = r.Uint(), true
	}
	return r.Done()
}

// written notes that a directory was. What an earlier start of the host has noted
// of it counts until it is synced: this may be another piece of it.
func (s *scan) written(path string) {
	if s.pending == nil {
		s.pending = map[string]string{}
	}
	if boot, ok := s.pending[path]; !ok || boot == s.base.boot {
		s.pending[path] = s.boot
	}
}

func (s *scan) finish() {
	for path, boot := range s.pending {
		if p := s.base.dirs[path]; p != nil && boot != s.base.boot {
			p.unsure = true
		}
	}
}

// place notes where a piece is now. In other pieces than before it begins anew.
func (b *Base) place(d *Brought, at piecePlace) {
	p := b.dirs[d.Path]
	if p == nil {
		p = &place{}
		b.dirs[d.Path] = p
	}
	if p.bits != d.Piece.Bits {
		b.live -= p.length()
		p.bits, p.pieces = d.Piece.Bits, nil
	}
	at.number = d.Piece.Number
	b.live += int64(at.length)
	if i, ok := p.find(at.number); ok {
		b.live -= int64(p.pieces[i].length)
		p.pieces[i] = at
	} else {
		p.pieces = slices.Insert(p.pieces, i, at)
	}
	p.target = d.Target
	p.intents = slices.DeleteFunc(p.intents, func(i intent) bool { return i.piece == d.Piece })
}

// intend notes where an intent is. One in other pieces is all of them anew.
func (b *Base) intend(path string, i intent) {
	p := b.dirs[path]
	if p == nil {
		p = &place{}
		b.dirs[path] = p
	}
	if len(p.intents) > 0 && p.intents[0].piece.Bits != i.piece.Bits {
		p.intents = nil
	}
	p.intents = append(p.intents, i)
}

func (b *Base) forget(path string) {
	if p := b.dirs[path]; p != nil {
		b.live -= p.length()
		delete(b.dirs, path)
	}
}

// length of all records of the directory that count, in bytes.
func (p *place) length() (n int64) {
	for _, piece := range p.pieces {
		n += int64(piece.length)
	}
	return n
}

// known says whether there is anything in the base but intents.
func (p *place) known() bool { return p != nil && len(p.pieces) > 0 }

// find returns which of the known pieces has the number, or would have.
func (p *place) find(number uint32) (int, bool) {
	return slices.BinarySearchFunc(p.pieces, number, func(at piecePlace, number uint32) int {
		return cmp.Compare(at.number, number)
	})
}
