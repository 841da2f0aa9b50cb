package account

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/batch"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

const (
	// window is how long the first of several changes waits for the others.
	window = 10 * time.Millisecond
	// most bounds, in changes, how much is lost when a run is cut off.
	most = 250
	// fresh is how long a snapshot answers reads. It spans the reads of a
	// refresh, and is short enough for an apply of hours to see the host.
	fresh = 30 * time.Second
)

// Directory is the accounts of one host. Reads of the same moment share one
// round trip, and so do changes; changes of a host never overlap, for its
// account files have one lock. Its methods may be called from several
// goroutines at once.
type Directory struct {
	host    host.Host
	now     func() time.Time
	reads   *batch.Queue[struct{}, *Snapshot]
	secrets *batch.Queue[struct{}, map[string]Password]
	changes *batch.Queue[change, outcome]

	mu        sync.Mutex
	changed   int // counts changes, so that a read begun before one is not kept
	snapshot  *Snapshot
	passwords map[string]Password
	unread    error // why passwords could not be read, instead of them
	readAt    time.Time
	secretsAt time.Time
	created   map[string]bool // by this process
}

// NewDirectory returns the accounts of h. Nothing is asked before it is needed.
func NewDirectory(h host.Host) *Directory {
	d := &Directory{host: h, now: time.Now, created: map[string]bool{}}
	d.reads = batch.New(window, 0, d.load)
	d.secrets = batch.New(window, 0, d.loadPasswords)
	d.changes = batch.New(window, most, d.apply)
	return d
}

// Snapshot returns all accounts, at most half a minute old and never older
// than a change made through d.
func (d *Directory) Snapshot(ctx context.Context) (*Snapshot, error) {
	if snapshot := d.kept(); snapshot != nil {
		return snapshot, nil
	}
	return d.reads.Do(ctx, struct{}{})
}

// kept returns the last snapshot where it is fresh, else nil.
func (d *Directory) kept() *Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now().Sub(d.readAt) >= fresh {
		return nil
	}
	return d.snapshot
}

// User returns an account; found is false where the host's own files do not
// have it.
func (d *Directory) User(ctx context.Context, name string) (user User, found bool, err error) {
	snapshot, err := d.Snapshot(ctx)
	if err != nil {
		return User{}, false, err
	}
	user, found = snapshot.User(name)
	return user, found, nil
}

// Password returns an account's password hash, to be given to another host's
// Create or Modify. ErrAbsent: there is no such account. An account that lets
// in without a password is refused.
func (d *Directory) Password(ctx context.Context, name string) (*Password, error) {
	d.mu.Lock()
	passwords, err, readAt := d.passwords, d.unread, d.secretsAt
	d.mu.Unlock()
	if (passwords == nil && err == nil) || d.now().Sub(readAt) >= fresh {
		passwords, err = d.secrets.Do(ctx, struct{}{})
	}
	if err != nil {
		return nil, err
	}
	password, ok := passwords[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("on host %q: %s: %w", d.host.Name(), name, ErrAbsent)
	case password.hash() == "":
		return nil, fmt.Errorf("on host %q: %s has no password at all, so that everybody could log in; it is not copied: lock the account there (`passwd -l %s`) or give it a password", d.host.Name(), name, name)
	}
	return &password, nil
}

// Create makes an account. made is true where it is there afterwards because
// of this call, even if a later step failed: then user is what there is.
func (d *Directory) Create(ctx context.Context, s Spec) (user *User, made bool, err error) {
	if err := s.Check(); err != nil {
		return nil, false, err
	}
	flags := flagsOf(s)
	if s.Adopt {
		flags += "au"
	} else {
		flags += "r"
		if !d.claim(s.Name) {
			return nil, false, &FieldError{"name", fmt.Errorf("on host %q: %s: %w", d.host.Name(), s.Name, errTwice)}
		}
	}
	o, err := d.changes.Do(ctx, change{op: "create", spec: s, flags: flags})
	if err != nil {
		return nil, false, err
	}
	if o.err != nil && !o.made {
		d.disclaim(s.Name)
	}
	return o.user, o.made, o.err
}

// Modify changes an account to what s gives. The account has to exist.
func (d *Directory) Modify(ctx context.Context, s Spec) (*User, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	o, err := d.changes.Do(ctx, change{op: "modify", spec: s, flags: strings.ReplaceAll(flagsOf(s), "h", "")})
	if err != nil {
		return nil, err
	}
	return o.user, o.err
}

// Leave lets an account go. That it is gone already is no error.
func (d *Directory) Leave(ctx context.Context, name string, how Leaving) error {
	if err := CheckName(name); err != nil {
		return &FieldError{"name", err}
	}
	o, err := d.changes.Do(ctx, change{op: string(how), spec: Spec{Name: name}})
	if err != nil {
		return err
	}
	d.disclaim(name)
	return o.err
}

func flagsOf(s Spec) string {
	flags := ""
	if s.System {
		flags += "s"
	}
	if s.CreateHome {
		flags += "h"
	}
	return flags
}

// claim notes that this process makes an account; false: it has already.
func (d *Directory) claim(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.created[name] {
		return false
	}
	d.created[name] = true
	return true
}

func (d *Directory) disclaim(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.created, name)
}

func (d *Directory) load(ctx context.Context, waiting []struct{}) ([]*Snapshot, error) {
	if snapshot := d.kept(); snapshot != nil { // read while these waited
		return repeat(snapshot, len(waiting)), nil
	}
	d.mu.Lock()
	changed, started := d.changed, d.now()
	d.mu.Unlock()
	result, err := d.host.Run(ctx, host.Sh(snapshotScript))
	if err != nil {
		return nil, err
	}
	snapshot, err := parseSnapshot(d.host.Name(), string(result.Stdout))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == changed {
		d.snapshot, d.readAt = snapshot, started
	}
	return repeat(snapshot, len(waiting)), nil
}

func (d *Directory) loadPasswords(ctx context.Context, waiting []struct{}) ([]map[string]Password, error) {
	d.mu.Lock()
	changed, started := d.changed, d.now()
	d.mu.Unlock()
	result, err := d.host.Run(ctx, host.Exec("cat", "/etc/shadow"))
	var passwords map[string]Password
	if err == nil {
		passwords = parsePasswords(result.Stdout)
	} else {
		started = d.now()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// A failure is kept as well: a host that is switched off is not waited for
	// again for each of a thousand users.
	if d.changed == changed && ctx.Err() == nil {
		d.passwords, d.unread, d.secretsAt = passwords, err, started
	}
	if err != nil {
		return nil, err
	}
	return repeat(passwords, len(waiting)), nil
}

func repeat[T any](value T, n int) []T {
	values := make([]T, n)
	for i := range values {
		values[i] = value
	}
	return values
}

// apply runs several changes and takes over the snapshot after them.
func (d *Directory) apply(ctx context.Context, changes []change) ([]outcome, error) {
	d.forget(nil)
	outcomes, snapshot, err := d.run(ctx, changes)
	d.forget(snapshot)
	return outcomes, err
}

// forget drops what was read before a change, and takes over what was read
// after it, if anything was.
func (d *Directory) forget(snapshot *Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed++
	d.snapshot, d.readAt, d.passwords, d.unread = snapshot, d.now(), nil, nil
}

func (d *Directory) run(ctx context.Context, changes []change) ([]outcome, *Snapshot, error) {
	var input strings.Builder
	for _, c := range changes {
		input.WriteString(c.line())
	}
	cmd := host.Sh(applyScript)
	cmd.Stdin = strings.NewReader(input.String())
	result, err := d.host.Run(ctx, cmd)
	if err != nil {
		return nil, nil, err
	}
	said, listed, _ := strings.Cut("\n"+string(result.Stdout), "\n== ")
	outcomes, err := parseOutcomes(d.host.Name(), strings.TrimPrefix(said, "\n"), changes)
	if err != nil {
		return nil, nil, err
	}
	snapshot, err := parseSnapshot(d.host.Name(), "== "+listed)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range changes {
		user, ok := snapshot.User(c.spec.Name)
		switch {
		case ok:
			outcomes[i].user = &user
		case outcomes[i].err == nil && (c.op == "create" || c.op == "modify"):
			outcomes[i] = outcome{err: fmt.Errorf("on host %q: the shadow tools reported success, but /etc/passwd does not have %s", d.host.Name(), c.spec.Name)}
		}
	}
	return outcomes, snapshot, nil
}
