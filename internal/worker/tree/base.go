//go:build linux

package tree

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
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
	// Tokens are of this pass and of earlier ones that broke off: the names of
	// what a pass puts beside files for a moment begin with its token.
	Tokens []string
	// Dropped is how many bytes at the end could not be read: those of a record
	// that a kill broke off, or more where the file was damaged.
	Dropped int64

	path   string
	file   *os.File
	out    *bufio.Writer
	size   int64 // of the file, with what is in out
	live   int64 // bytes of records that count
	dirs   map[string]*place
	boot   string // of this host, now
	record []byte // for appending
}

// place is where a directory is in the file.
type place struct {
	pieces  []piecePlace // 2 to the power of bits
	bits    uint8
	unsure  bool
	target  Stat     // the directory itself
	intents []intent // what was about to be brought
}

// piecePlace is where a piece is; its length is 0 where it is not known.
type piecePlace struct {
	at     int64
	length uint32
	recent bool // an entry is
	digest Digest
}

type intent struct {
	at    int64
	piece Piece
}

var magic = []byte("cutover base 1\n\x00")

// Kinds of records.
const (
	recordBegin  = iota + 1 // a pass began: seed, token, boot
	recordDir               // Brought
	recordSeal              // a directory's own state on the target
	recordIntent            // what is about to be brought
	recordGone              // a directory is not known any more
	recordSynced            // all before is on the target's disk
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const recordHeader = 9

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
	if err := lock(b.file); err != nil {
		return err
	}
	if err := b.load(); err != nil {
		return err
	}
	if _, err := b.file.Seek(b.size, io.SeekStart); err != nil {
		return err
	}
	b.out = bufio.NewWriterSize(b.file, 256<<10)
	if b.size == 0 {
		if _, err := b.out.Write(magic); err != nil {
			return err
		}
		b.size = int64(len(magic))
		var seed [8]byte
		if _, err := rand.Read(seed[:]); err != nil {
			return err
		}
		b.Seed = binary.LittleEndian.Uint64(seed[:])
	}
	token := "cutover-" + rand.Text()
	b.Tokens = append(b.Tokens, token)
	b.record = b.appendBegin(b.record[:0], token)
	return b.write(recordBegin)
}

// lock makes a base this pass's alone, until the file is closed.
func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
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
	in := bufio.NewReaderSize(b.file, 1<<20)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != string(magic) {
		if err == nil || info.Size() > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it is no base of a chain of passes")
		}
		b.Dropped = info.Size()
		return b.file.Truncate(0)
	}
	b.size = int64(len(magic))
	var header [recordHeader]byte
	var content []byte
	scan := scan{base: b}
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			break
		}
		length := int64(binary.LittleEndian.Uint32(header[:]))
		if length > info.Size()-b.size {
			break
		}
		content = slices.Grow(content[:0], int(length))[:length]
		if _, err := io.ReadFull(in, content); err != nil {
			break
		}
		if checksum(header[4], content) != binary.LittleEndian.Uint32(header[5:]) || scan.record(header[4], content) != nil {
			break
		}
		b.size += recordHeader + length
	}
	b.Dropped = info.Size() - b.size
	scan.finish()
	return b.file.Truncate(b.size)
}

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
		b.Seed = binary.LittleEndian.Uint64(append(r.Raw(8), make([]byte, 8)...))
		b.Tokens = append(b.Tokens, r.Text())
		s.boot = r.Text()
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
		if p := b.dirs[path]; p != nil {
			p.target = target
		}
	case recordIntent:
		path := r.Text()
		var piece Piece
		piece.read(r)
		b.intend(path, intent{b.size, piece})
		return r.Err()
	case recordGone:
		b.forget(r.Text())
	case recordSynced:
		s.pending = nil
		b.Tokens = nil
	}
	return r.Done()
}

func (s *scan) written(path string) {
	if s.pending == nil {
		s.pending = map[string]string{}
	}
	s.pending[path] = s.boot
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
	if p.bits != d.Piece.Bits || p.pieces == nil {
		b.live -= p.length()
		p.bits, p.pieces = d.Piece.Bits, make([]piecePlace, 1<<d.Piece.Bits)
	}
	old := &p.pieces[d.Piece.Number]
	b.live += int64(at.length) - int64(old.length)
	*old = at
	p.target = d.Target
	p.intents = slices.DeleteFunc(p.intents, func(i intent) bool { return i.piece == d.Piece })
}

func (b *Base) intend(path string, i intent) {
	p := b.dirs[path]
	if p == nil {
		p = &place{}
		b.dirs[path] = p
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
func (p *place) known() bool { return p != nil && p.length() > 0 }
