package syncpass

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Result is what a pass did.
type Result struct {
	Started, Finished time.Time // by the new host's clock, to the second
	Total             Figures
	Paths             []PathResult
	Sent, Received    int64 // bytes over the wire, by the new host
	LogPath           string
	TrashPath         string // on the new host; "" where nothing was put there
	TrashBytes        int64  // on the disk
	Changes           int64  // entries new, different or gone since the last pass of the chain
	Warnings          []string
}

// Figures are what a path holds, and what was done about it.
type Figures struct {
	Files       int64 // everything on the old host: the sum of the next four
	Regular     int64
	Directories int64
	Links       int64
	Special     int64 // sockets, fifos and devices
	Bytes       int64 // of all files

	Created, Updated, Attributes, Renamed, Deleted int64

	Transferred      int64 // regular files of which content was copied
	TransferredBytes int64 // their size
	LiteralBytes     int64 // of that, what the new host did not have in an older version
	Changes          int64
	Verified         int64 // entries compared afterwards
	Meanwhile        int64 // entries that the old host changed since the pass listed them
	Vanished         int64 // files that went away while they were copied
	Lost             int64 // the new host had lost them, and they were copied again
	Conflicts        int64 // the new host's own was in their place
	Left             int64 // changed on the new host alone, and left as they are
	Kept             int64 // gone on the old host, and kept for the new one has changed them
}

func (f *Figures) add(o Figures) {
	for _, each := range []struct{ to, of *int64 }{
		{&f.Files, &o.Files}, {&f.Regular, &o.Regular}, {&f.Directories, &o.Directories}, {&f.Links, &o.Links}, {&f.Special, &o.Special}, {&f.Bytes, &o.Bytes},
		{&f.Created, &o.Created}, {&f.Updated, &o.Updated}, {&f.Attributes, &o.Attributes}, {&f.Renamed, &o.Renamed}, {&f.Deleted, &o.Deleted},
		{&f.Transferred, &o.Transferred}, {&f.TransferredBytes, &o.TransferredBytes}, {&f.LiteralBytes, &o.LiteralBytes},
		{&f.Changes, &o.Changes}, {&f.Verified, &o.Verified}, {&f.Meanwhile, &o.Meanwhile}, {&f.Vanished, &o.Vanished},
		{&f.Lost, &o.Lost}, {&f.Conflicts, &o.Conflicts}, {&f.Left, &o.Left}, {&f.Kept, &o.Kept},
	} {
		*each.to += *each.of
	}
}

// PathResult is what a pass did for one path.
type PathResult struct {
	Path
	Started, Finished time.Time
	Figures           Figures
	ToCome            int64 // entries that were still to come when it ended
	ToComeBytes       int64
	Sent, Received    int64 // bytes over the wire
	Whole             bool  // everything was compared, not only what has changed since the last pass
	Did               map[string]order.Found
	Found             map[string]order.Found
}

// Rate is bytes a second over the wire. What took less than a second counts as one.
func (r Result) Rate() int64 { return rate(r.Sent+r.Received, r.Started, r.Finished) }

// Rate is bytes a second over the wire. What took less than a second counts as one.
func (r PathResult) Rate() int64 { return rate(r.Sent+r.Received, r.Started, r.Finished) }

func rate(wire int64, started, finished time.Time) int64 {
	return int64(float64(wire) / max(Duration(started, finished).Seconds(), 1))
}

// Speedup is how much larger the content is than what went over the wire for it; 0
// where nothing did.
func (r Result) Speedup() float64 { return speedup(r.Total.Bytes, r.Sent+r.Received) }

// Speedup is how much larger the content is than what went over the wire for it; 0
// where nothing did.
func (r PathResult) Speedup() float64 { return speedup(r.Figures.Bytes, r.Sent+r.Received) }

func speedup(content, wire int64) float64 {
	if wire == 0 {
		return 0
	}
	return float64(content) / float64(wire)
}

// Duration is how long a path or a pass took, to the millisecond.
func Duration(started, finished time.Time) time.Duration {
	if !finished.After(started) {
		return 0
	}
	return finished.Sub(started).Round(time.Millisecond)
}

// result puts together what the pass did.
func (w *witness) result(o *order.Outcome) Result {
	p := w.pass
	result := Result{
		Started: o.Started, Finished: o.Finished, Sent: o.Sent, Received: o.Received, LogPath: order.LogPath(p.ID), TrashBytes: o.TrashBytes,
	}
	if o.TrashBytes > 0 {
		result.TrashPath = order.TrashPath(p.ID)
	}
	for i, r := range o.Roots {
		if i >= len(p.Paths) {
			break
		}
		path := p.Paths[i]
		path.Target = path.target()
		for _, found := range r.Found {
			for i := range found.Paths {
				found.Paths[i].Text = w.named(found.Paths[i].Text)
			}
		}
		did, found := func(what string) int64 { return r.Did[what].Count }, func(kind string) int64 { return r.Found[kind].Count }
		f := Figures{
			Regular: int64(r.Regular), Directories: int64(r.Directories), Links: int64(r.Links), Special: int64(r.Special), Bytes: int64(r.Bytes),
			Created: did("created"), Updated: did("updated"), Attributes: did("attributes"), Renamed: did("renamed"), Deleted: did("deleted"),
			Transferred: r.Transferred, TransferredBytes: r.Brought, LiteralBytes: r.Literal, Changes: r.Changes, Verified: r.Verified,
			Meanwhile: found("meanwhile"), Vanished: found("vanished"), Lost: found("lost"), Conflicts: found("conflict") + found("refused"),
			Left: found("left"), Kept: found("kept"),
		}
		f.Files = f.Regular + f.Directories + f.Links + f.Special
		result.Total.add(f)
		result.Paths = append(result.Paths, PathResult{
			Path: path, Started: r.Started, Finished: r.Finished, Figures: f, Did: r.Did, Found: r.Found,
			ToCome: r.ToCome, ToComeBytes: r.ToComeBytes, Sent: r.Sent, Received: r.Received,
			Whole: r.First || p.Verify == "metadata" || p.Verify == "checksum",
		})
	}
	result.Changes = result.Total.Changes
	return result
}

// outcome says what a job that is over has done, and what went wrong with it.
func (w *witness) outcome(there order.Job) (Result, error) {
	to := w.toName()
	if there.Phase == order.Died || there.Outcome == nil {
		err := fmt.Errorf("the pass was killed on host %q, or could not begin there; apply again: the pass goes on where it stopped", to)
		if there.Said != "" {
			err = fmt.Errorf("%w. It said:\n  %s", err, strings.ReplaceAll(there.Said, "\n", "\n  "))
		}
		return Result{LogPath: order.LogPath(w.pass.ID)}, err
	}
	o := there.Outcome
	result := w.result(o)
	said := &findings{w: w}
	for i := range result.Paths {
		said.path(&result.Paths[i])
		said.lacks(&result.Paths[i], o.Roots[i].Lacks)
	}
	said.strangers(o.Roots)
	said.crowded(o.Crowded)
	if err := w.ended(o); err != nil && (o.Reason != order.Refused || len(said.failed) == 0) {
		said.failed = append([]error{err}, said.failed...)
	}
	result.Warnings = append(result.Warnings, said.warnings...)
	return result, errors.Join(said.failed...)
}

// ended is why a pass could not go on to its end, or nil.
func (w *witness) ended(o *order.Outcome) error {
	from, to := w.fromName(), w.toName()
	why := w.named(strings.TrimSpace(o.Error))
	switch {
	case why == "":
		return nil
	case o.Reason == order.Unreachable:
		return w.unreachable(o)
	case o.Reason == order.Greeting:
		return fmt.Errorf("host %q prints something of its own when %q logs in, which a pass cannot bear; "+
			"look into the start files of its shell (~/.bashrc and the like). %s", from, w.survey.old.Login.User, why)
	case o.Reason == order.Refused:
		return errors.New(why)
	case o.Reason == order.NoRoom:
		return fmt.Errorf("host %q has no room left for what the pass has to note, below %s. Nothing is lost by that; "+
			"make room there and apply again: the pass goes on where it stopped. It said: %s", to, order.State, why)
	}
	if w.pass.preview {
		return fmt.Errorf("the preview on host %q of a pass from host %q could not be made: %s. Where a pass over the same paths is under way, wait for its end", to, from, why)
	}
	return fmt.Errorf("the pass from host %q broke off on host %q: %s. Apply again: the pass goes on where it stopped. %s",
		from, to, strings.TrimSuffix(why, "."), w.seeLog())
}

// named is a text of a worker with the hosts' names: it does not know them.
func (w *witness) named(text string) string {
	return strings.NewReplacer("the source host", fmt.Sprintf("host %q", w.fromName()), "the target host", fmt.Sprintf("host %q", w.toName())).Replace(text)
}

func (w *witness) seeLog() string {
	return fmt.Sprintf("The log is %s on host %q", order.LogPath(w.pass.ID), w.toName())
}

// unreachable says why the new host could not reach the old one with its key.
func (w *witness) unreachable(o *order.Outcome) error {
	from, to, login := w.fromName(), w.toName(), w.survey.old.Login.User
	address, port := w.pass.called(w.survey)
	at := net.JoinHostPort(address, strconv.Itoa(port))
	relay := w.survey.relay
	said := o.Said
	var why string
	switch {
	case strings.Contains(said, "Host key verification failed") || strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"):
		why = fmt.Sprintf("another machine answers there than the one that the provider knows as %q: its host key differs. "+
			"Set from_address to the address of %[1]q as %[2]q sees it", from, to)
	case strings.Contains(said, "Permission denied"):
		why = fmt.Sprintf("its sshd does not take the key of the pass for %q. It is let in from %s only: if it sees host %q under another address (NAT), "+
			"add that to seen_as. Else look whether AllowUsers, AllowGroups, PermitRootLogin or PubkeyAuthentication keep it out, and what its auth log says",
			login, strings.Join(w.pass.clientAddresses(w.survey), ", "), to)
	case strings.Contains(said, "cutover-worker:"):
		why = fmt.Sprintf("the login as %q works, but what the key may run there failed", login)
	case relay != nil:
		at = relay.far + " by way of the operator"
		why = "no connection comes about"
		if failed := relay.failure(); failed != nil {
			why += ": " + failed.Error()
		}
	default:
		why = "no connection comes about. Look whether a firewall keeps them apart, and whether from_address has to be another one, as seen from there; " +
			`where they cannot reach each other at all, route = "operator" leads the pass through the provider's own connections`
	}
	if said == "" {
		said = o.Error
	}
	return fmt.Errorf("host %q cannot read from host %q at %s: %s. ssh said:\n  %s", to, from, at, why, strings.ReplaceAll(said, "\n", "\n  "))
}
