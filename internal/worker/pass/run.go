//go:build linux

package pass

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
)

// Options are what a pass is asked to do.
type Options struct {
	Number   int      // of the directory, among those that are served
	Target   string   // where its content goes; it exists
	Excludes []string // as rsync's --exclude reads them
	Base     string   // file of what the chain has brought
	Boot     string   // the start of this host, /proc/sys/kernel/random/boot_id

	Delete     Deletion
	Trash      string // directory for ToTrash; it exists
	Strangers  Strangers
	Owners     Resolver
	OnConflict string // "fail": nothing of the target's own is replaced
	Look       Look
	Preview    bool // change nothing, and say what would be done
	Writers    int  // how many directories are written at a time; 0: the processors

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

// Run makes one pass. The report is filled while it goes on, and says also with an
// error how far it came. An error is one of the stream, the target or the base as a
// whole; what is wrong with single files is in the report. After an error the
// stream is of no use any more.
func (p *Peer) Run(ctx context.Context, o Options, report *Report) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer closeWith(ctx, p.stream)()
	t := &target{
		options: o, ctx: ctx, cancel: cancel,
		conn:   p.conn,
		report: report,
		change: changes{fail: o.Fail},
		listed: map[tree.Place][]byte{},
		seen:   map[string]bool{},
		pieces: map[string][]tree.Piece{},
		groups: map[fileNumber]*linkGroup{}, led: map[uint64]bool{},
		touched: map[string]*touch{}, unfinished: map[string]bool{}, gone: map[string]bool{},
		asked: map[uint64]*batch{},
	}
	t.quiet = sync.NewCond(&t.mu)
	err := t.run()
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, errRefused) {
		err = cause
	}
	return err
}

// closeWith closes a stream when ctx ends, so that nobody waits for it any more.
func closeWith(ctx context.Context, stream io.ReadWriter) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if c, ok := stream.(io.Closer); ok {
			c.Close()
		}
	})
}

// errRefused is wrapped by what a pass refuses before it has changed anything.
var errRefused = errors.New("nothing was copied")

// target is the state of Run.
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

	// What the source says.
	listed    map[tree.Place][]byte   // listings that differ from the base, as they came
	pieces    map[string][]tree.Piece // of the directories in listed
	seen      map[string]bool         // directories, by path
	unmounted []string                // directories at which something else is mounted than it was, in order

	// What the target does not have.
	lacking map[string]bool // directories in which a directory of the base is missing
	remade  []tree.Place    // what is to be decided about because its directory was made anew

	owners owned

	// What is to be done in the end.
	moved      map[uint64]*gone // files that went away, by number: they may be there under another name
	goneDirs   []string         // directories that the source has no more
	gone       map[string]bool  // the same
	removals   []removal
	unfinished map[string]bool           // directories that stay known, for not all in them could be taken away
	groups     map[fileNumber]*linkGroup // files with several names
	led        map[uint64]bool           // files of the target that are a leader's, by number
	touchMu    sync.Mutex
	touched    map[string]*touch // directories that were looked at

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
}

func (t *target) run() error {
	if err := t.openAll(); err != nil {
		return err
	}
	defer t.closeAll()
	t.report.begin("listing")
	if err := t.gather(); err != nil {
		return err
	}
	if err := t.survey(); err != nil {
		return err
	}
	if err := t.resolve(); err != nil {
		return err
	}
	t.report.begin("copying")
	t.start()
	err := t.decideAll()
	if err == nil {
		err = t.wait()
	}
	if err == nil {
		err = t.leaders()
	}
	if err == nil {
		err = t.wait()
	}
	if err == nil {
		err = t.conn.say(askEnd, nil)
	}
	t.report.begin("finishing")
	if stopped := t.stop(err); err == nil {
		err = stopped
	}
	if err == nil {
		err = t.linkAll()
	}
	if err == nil {
		err = t.remove()
	}
	if err == nil && !t.options.Preview {
		err = t.finish()
	}
	t.report.sort()
	return err
}

// openAll opens the target, the base and the trash, and takes away what passes
// that broke off have left.
func (t *target) openAll() (err error) {
	o := &t.options
	if t.filter, err = filter.Compile(o.Excludes); err != nil {
		return err
	}
	if t.root, err = tree.OpenRoot(o.Target); err != nil {
		return err
	}
	if t.base, err = tree.OpenBase(o.Base, o.Boot); err != nil {
		t.root.Close()
		return err
	}
	if t.base.Dropped > 0 {
		t.report.find(Damaged, o.Base, fmt.Sprintf("%d bytes at its end", t.base.Dropped))
	}
	if o.Delete == ToTrash && !o.Preview {
		if t.trash, err = openTrash(o.Trash, t.change); err != nil {
			t.closeAll()
			return err
		}
	}
	t.staging = &staging{target: t, name: "." + t.base.Token()}
	if !o.Preview {
		t.leftovers()
	}
	return nil
}

func (t *target) closeAll() {
	if t.staging != nil {
		t.staging.close()
	}
	if t.trash != nil {
		t.trash.close()
	}
	if err := t.base.Close(); err != nil {
		t.report.find(Damaged, t.options.Base, err.Error())
	}
	t.root.Close()
}

// hello begins the talk, and tells what the target knows.
func (t *target) hello() error {
	h := hello{Version: version, Root: uint64(t.options.Number), Seed: t.base.Seed, Excludes: t.options.Excludes}
	if err := t.conn.say(askHello, h.append); err != nil {
		return err
	}
	kind, r, err := t.conn.next()
	if err != nil {
		return fmt.Errorf("the old host's worker did not answer: %w", err)
	}
	if kind == saysFailed {
		return failed(r)
	}
	var answer hello
	answer.read(r)
	if kind != saysHello || r.Done() != nil {
		return errors.Join(errUnexpected, r.Err())
	}
	if answer.Version != version {
		return fmt.Errorf("the old host's worker speaks version %d, this one %d", answer.Version, version)
	}
	t.now = answer.Now
	return nil
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
