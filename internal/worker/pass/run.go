//go:build linux

package pass

import (
	"bufio"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/filter"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// Deletion is what becomes of what is taken away on the new host, and of what is
// overwritten there.
type Deletion string

// Deletions.
const (
	ToTrash Deletion = "trash" // it is moved there
	Purge   Deletion = "purge" // it is gone
	None    Deletion = "none"  // nothing is taken away; what is overwritten is gone
)

// Look is how much of the target is looked at.
type Look int

// Looks.
const (
	LookChanged Look = iota // directories, and entries before they are changed
	LookAll                 // every entry
	LookContent             // every entry, and the content of every file
	LookNone                // as LookChanged, and what was brought is not looked at again
)

// Resolver gives the names of the old host's owners their numbers on the new one.
type Resolver interface {
	// IDs returns the number of each name that this host knows.
	IDs(users, groups []string) (userIDs, groupIDs map[string]uint32, err error)
	// Names as with Namer: of numbers that have no name on the old host.
	Namer
}

// Strangers is what becomes of files whose owner the new host does not know.
type Strangers string

// What becomes of them.
const (
	Refuse Strangers = "fail"   // nothing at all is copied
	Warn   Strangers = "warn"   // they keep their number, and it is said
	Ignore Strangers = "ignore" // they keep their number
	Leave  Strangers = "leave"  // they are not copied, nor what is in a directory of theirs, and it is said
)

// Options are what a pass is asked to do.
type Options struct {
	Number   int      // of the directory, among those that are served
	Source   string   // its path on the old host, for the log
	Target   string   // where its content goes; it exists
	Excludes []string // as rsync's --exclude reads them
	Compress Compress
	Base     string // file of what the chain has brought
	Boot     string // the start of this host, /proc/sys/kernel/random/boot_id

	Delete     Deletion
	Trash      string // directory for ToTrash; it exists
	Strangers  Strangers
	Owners     Resolver
	OnConflict string // "fail": nothing of the target's own is replaced
	Look       Look
	Preview    bool // change nothing, and say what would be done
	Writers    int  // how many directories are written at a time; 0: the processors

	// Log takes a line for each action and each finding; nil is none. That it cannot
	// be written is a finding, and the pass goes on.
	Log io.Writer

	// Fail is asked before each system call that changes the target, in tests.
	Fail func(call, name string) error
}

// Peer is the new host's end of a stream at whose other end is Serve. It makes
// passes one after the other.
type Peer struct {
	stream io.ReadWriter
	conn   *conn
}

// NewPeer returns the end of a stream.
func NewPeer(stream io.ReadWriter) *Peer {
	return &Peer{stream, &conn{r: bufio.NewReaderSize(stream, 256<<10), w: stream}}
}

// Run makes one pass of one root: it is Prepare, Check and the Run of what is
// prepared.
func (p *Peer) Run(ctx context.Context, o Options, report *Report) error {
	prepared, err := p.Prepare(ctx, o, report)
	if err != nil {
		return err
	}
	defer prepared.Close()
	if _, err := Check(prepared); err != nil {
		return err
	}
	return prepared.Run()
}

// closeWith closes a stream when ctx ends, so that nobody waits for it any more.
func closeWith(ctx context.Context, stream io.ReadWriter) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if c, ok := stream.(io.Closer); ok {
			c.Close()
		}
	})
}

// ErrRefused is wrapped by what a pass refuses before it has changed anything. The
// stream is as good as before then.
var ErrRefused = errors.New("nothing was copied")

// target is the state of a pass.
type target struct {
	options Options
	//nolint:containedctx // one pass, from its begin to its end
	ctx     context.Context
	cancel  context.CancelCauseFunc
	conn    *conn
	root    *tree.Root
	filter  *filter.Filter
	staging *staging
	trash   *trash
	report  *Report
	change  changes
	now     int64 // the source's clock when the list was begun

	baseMu sync.Mutex
	base   *tree.Base
	turn   uint64 // of this pass, when it changes something

	// What the source says.
	listed    map[tree.Place][]byte   // listings that differ from the base, as they came
	pieces    map[string][]tree.Piece // of the directories in listed
	seen      map[string]bool         // directories, by path
	unmounted []string                // directories at which something else is mounted than it was, in order

	// What the target does not have.
	lacking map[string]bool // directories in which a directory of the base is missing
	remade  []tree.Place    // what is to be decided about because its directory was made anew

	owners owned

	// What the pass would bring, and where there is to be room for it.
	coming      coming
	fileSystems *fileSystems

	// What is to be done in the end.
	moved      map[uint64]*gone // files that went away, by number: they may be there under another name
	goneDirs   []string         // directories that the source has no more
	gone       map[string]bool  // the same
	removals   []removal
	cleared    map[string]bool           // directories of gone that were dealt with before
	unfinished map[string]bool           // directories that stay known, for not all in them could be taken away
	groups     map[fileNumber]*linkGroup // files with several names
	led        map[uint64]bool           // files of the target that are a leader's, by number
	dresses    map[uint64]dress          // of files of the target with several names, by number
	touchMu    sync.Mutex
	touched    map[string]*touch // directories that were looked at
	// In a preview: what a pass would have moved or taken away by now, and the
	// directories from which it would have moved something.
	away, stirred map[string]bool
	severed       map[uint64]uint32 // how many names of a file would be files of their own

	// What was asked for and has not come.
	mu        sync.Mutex
	quiet     *sync.Cond
	asked     map[uint64]*batch
	lastID    uint64
	sender    *sender
	writers   []*writer
	receiving sync.WaitGroup
	working   sync.WaitGroup
	unwatch   func() bool

	opened bool
	swept  bool // what passes that broke off have left was taken away
	// What the target's own directory was before something was tried in it, and is
	// since; the zero Stat where nothing was.
	before, tried tree.Stat
}

func (t *target) writersCount() int {
	if t.options.Writers > 0 {
		return t.options.Writers
	}
	return runtime.GOMAXPROCS(0)
}

// below says whether path is one of the sorted dirs, or below one.
func below(path string, dirs []string) bool {
	for path != "" {
		if _, ok := slices.BinarySearch(dirs, path); ok {
			return true
		}
		path, _ = tree.Split(path)
	}
	_, ok := slices.BinarySearch(dirs, "")
	return ok
}

// excluded says whether a path is left out, or what it is in. What earlier passes
// have brought there stays, and is the target's own from then on.
func (t *target) excluded(path string, isDir bool) bool {
	for ; path != "" && len(t.options.Excludes) > 0; isDir = true {
		if t.filter.Excluded([]byte(path), isDir) {
			return true
		}
		path, _ = tree.Split(path)
	}
	return false
}

// depth of a path below the root.
func depth(path string) int {
	if path == "" {
		return 0
	}
	return strings.Count(path, "/") + 1
}

// syncTarget writes all that was brought to the disk.
func (t *target) syncTarget() error {
	return t.change.do("syncfs", t.options.Target, func() error { return unix.Syncfs(t.root.Handle()) })
}
