package tunnel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

//go:embed from_prepare.sh
var fromPrepareText string

//go:embed from_start.sh
var fromStartText string

//go:embed from_stop.sh
var fromStopText string

//go:embed to_admit.sh
var toAdmitText string

//go:embed to_hangup.sh
var toHangupText string

//go:embed to_dismiss.sh
var toDismissText string

var (
	fromPrepare = host.Script{Name: "tunnel/from_prepare.sh", Text: fromPrepareText}
	fromStart   = host.Script{Name: "tunnel/from_start.sh", Text: fromStartText}
	fromStop    = host.Script{Name: "tunnel/from_stop.sh", Text: fromStopText}
	toAdmit     = host.Script{Name: "tunnel/to_admit.sh", Text: toAdmitText}
	toHangup    = host.Script{Name: "tunnel/to_hangup.sh", Text: toHangupText}
	toDismiss   = host.Script{Name: "tunnel/to_dismiss.sh", Text: toDismissText}
)

// Options are what Start needs to know beside the tunnel itself.
type Options struct {
	// AllowOpenRelay starts the relays although the new host's mail server
	// would relay anybody's mail through them.
	AllowOpenRelay bool
	// Changing hides what stands there already: the tunnel is known, and is
	// being changed.
	Changing bool
	// Begun is called before the first change on a host.
	Begun func(Tunnel)
}

// Start makes the tunnel and returns once every port of it was tried from the
// old host. Fields that are empty are filled in from what the hosts say of
// themselves. It may be called again after a failure, and with other forwards.
//
// Where a new tunnel fails, what it made is removed again; an error of that is
// joined to the cause.
func (t Tunnel) Start(ctx context.Context, from, to host.Host, options Options) (Tunnel, error) {
	t, old, fresh, err := t.completed(ctx, from, to)
	if err != nil {
		return t, err
	}
	if err := t.Validate(); err != nil {
		return t, err
	}
	stands, err := t.stands(ctx, from, to, old, fresh)
	if err != nil {
		return t, err
	}
	if options.Changing && stands {
		return t, nil // nothing that clients would notice a restart for
	}
	if old.directory && !options.Changing {
		if err := t.mayTakeOver(from, to, old, fresh); err != nil {
			return t, err
		}
	}
	var objections []error
	if t.line != nil {
		objections = t.lineObjections(from, to, old)
	}
	if t.Mode == Transparent {
		var more []error
		if t, more, fresh.dropin, err = t.joined(ctx, from, to, old, fresh); err != nil {
			return t, err
		}
		objections = append(objections, more...)
	}
	if !options.Changing {
		objections = append(objections, t.keyObjections(to, old.files[t.directory()+"/id.pub"], fresh)...)
		if t.line != nil {
			objections = append(objections, t.line.keyObjections(from, t.line.near.files[t.directory()+"/id.pub"], t.line.far)...)
		}
	}
	if err := t.preflight(ctx, from, to, old, fresh, options.AllowOpenRelay, objections); err != nil {
		return t, err
	}
	if options.Begun != nil {
		options.Begun(t)
	}
	if err := t.install(ctx, from, to, old, fresh); err != nil {
		if options.Changing {
			return t, err
		}
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if _, left := t.Stop(undo, from, to); left != nil {
			return t, errors.Join(err, fmt.Errorf("and what was made so far could not be removed: %w", left), ErrLeftovers)
		}
		return t, err
	}
	return t, nil
}

// ErrLeftovers marks the error of a Start that failed and could not clean up
// behind itself: the tunnel is partly there.
var ErrLeftovers = errors.New("parts of the tunnel are left on the hosts; apply or destroy again once they can be reached")

// completed fills in what the user left to the hosts.
func (t Tunnel) completed(ctx context.Context, from, to host.Host) (Tunnel, fromFacts, toFacts, error) {
	old, fresh, err := t.states(ctx, from, to)
	if err != nil {
		return t, old, fresh, err
	}
	if t.InitiateFrom == NewHost {
		l, err := t.askLine(ctx, from, to, old)
		if err != nil {
			return t, old, fresh, err
		}
		t = t.over(l)
	}
	target, err := to.Identity(ctx)
	if err != nil {
		return t, old, fresh, err
	}
	t.ciphers = fastestFirst(old.ciphers)
	if t.ToAddress == "" {
		t.ToAddress = target.Address
	}
	if t.ToPort == 0 {
		t.ToPort = target.Port
	}
	if len(fresh.hostKeys) == 0 {
		fresh.hostKeys = []string{target.HostKey}
	}
	if t.SourceAddresses == nil {
		source, err := from.Identity(ctx)
		if err != nil {
			return t, old, fresh, err
		}
		t.SourceAddresses = old.addresses
		if net.ParseIP(source.Address) != nil {
			t.SourceAddresses = append(t.SourceAddresses, source.Address)
		}
		t.SourceAddresses = unique(t.SourceAddresses)
		sort.Strings(t.SourceAddresses)
	}
	return t, old, fresh, nil
}

// stands reports whether exactly this tunnel runs already.
func (t Tunnel) stands(ctx context.Context, from, to host.Host, old fromFacts, fresh toFacts) (bool, error) {
	there := Tunnel{Name: t.Name}
	if err := there.parse(old.files[t.directory()+"/ssh_config"], fresh.keys); err != nil || there.Mode == "" {
		return false, nil //nolint:nilerr // a damaged definition is made anew
	}
	if t.line != nil {
		up, err := t.line.stands(ctx, to, from, t.line.near, t.line.far)
		if err != nil || !up {
			return false, err
		}
		there.line = t.line
	}
	if there.Mode != Transparent {
		return t.same(there) && t.status(old, fresh) == Running, nil
	}
	status, err := there.linkStatus(ctx, from, to, old, fresh)
	t.link = there.link
	return t.same(there) && status == Running && fresh.keys == t.authorizedKeys(old.files[t.directory()+"/id.pub"], fresh.version), err
}

// same reports whether two tunnels lead the same ports to the same host.
func (t Tunnel) same(other Tunnel) bool {
	if t.Mode == Transparent || other.Mode == Transparent {
		return other.Mode == t.Mode && other.InitiateFrom == t.InitiateFrom && t.ToAddress == other.ToAddress && t.ToPort == other.ToPort &&
			slices.Equal(t.sorted(), other.sorted())
	}
	return t.sshConfig() == other.sshConfig()
}

// mayTakeOver decides about files of a tunnel of that name. They are taken over
// when an apply that was interrupted may have left them: the same tunnel, or
// one that never started. A different one that runs belongs to somebody.
func (t Tunnel) mayTakeOver(from, to host.Host, old fromFacts, fresh toFacts) error {
	if !old.active {
		return nil
	}
	there := Tunnel{Name: t.Name}
	err := there.parse(old.files[t.directory()+"/ssh_config"], fresh.keys)
	if err == nil && there.Mode == Transparent {
		err = there.parseLink(old.files[t.directory()+"/link.conf"])
	}
	if err == nil && t.same(there) {
		return nil
	}
	return fmt.Errorf("host %q has a tunnel %q already, which relays ports %s to %s; import it (terraform import … %s/%s/%s), or choose another name",
		from.Name(), t.Name, ports(there.sorted()), there.ToAddress, from.Name(), to.Name(), t.Name)
}

// install writes what the tunnel needs to both hosts, starts it and tries it.
func (t Tunnel) install(ctx context.Context, from, to host.Host, old fromFacts, fresh toFacts) error {
	if t.line != nil {
		if err := t.layLine(ctx, from, to); err != nil {
			return err
		}
	}
	prepare := []string{t.Name}
	if !atLeast(fresh.version, 6, 5) {
		prepare = append(prepare, "rsa")
	}
	prepared, err := from.Run(ctx, host.Sh(fromPrepare, prepare...))
	if err != nil {
		return err
	}
	publicKey := strings.TrimSpace(string(prepared.Stdout))

	admit := host.Sh(toAdmit, t.account(), t.home(), fresh.nologin)
	admit.Stdin = strings.NewReader(t.authorizedKeys(publicKey, fresh.version))
	if _, err := to.Run(ctx, admit); err != nil {
		return err
	}
	if t.Mode == Transparent {
		if err := t.admitLink(ctx, to, fresh); err != nil {
			return err
		}
	}
	files := t.relayFiles(old.init, fresh.hostKeys)
	if err := write(ctx, from, files); err != nil {
		return err
	}
	// Plain relays that are new are started at once, for clients may be waiting;
	// what is wrong with their way is asked where they do not answer.
	atOnce := t.Mode != Transparent && t.Mode != overLine && t.line == nil && !old.active
	if !atOnce {
		if err := t.tryLogin(ctx, from, to); err != nil {
			return err
		}
	}
	if t.Mode == overLine {
		if _, err := to.Run(ctx, host.Sh(toHangup, t.account())); err != nil {
			return err
		}
	}
	start := []string{t.Name, old.init}
	if t.Mode == Transparent && old.active && t.supervised(old, files) {
		start = append(start, "again")
	}
	if _, err := from.Run(ctx, host.Sh(fromStart, start...)); err != nil {
		return err
	}
	switch t.Mode {
	case Transparent:
		return t.tryLink(ctx, from, to, old)
	case overLine:
		return t.tryLine(ctx, from, to, old.init)
	}
	if atOnce {
		return t.tryRelaysAndWay(ctx, from, to, old.init)
	}
	return t.tryRelays(ctx, from, to, old.init)
}

func write(ctx context.Context, to host.Host, files []textFile) error {
	for _, file := range files {
		if err := to.WriteFile(ctx, file.path, []byte(file.content), host.FileAttr{Mode: file.mode}); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the relays and removes all that the tunnel has on both hosts. What
// is gone already is no error. One host is cleaned up also when the other cannot
// be; one that is nil is left out.
//
// forwardsFor is what came to the old host while a transparent tunnel stood and
// may need forwarding, which was left on for it.
func (t Tunnel) Stop(ctx context.Context, from, to host.Host) (forwardsFor []string, err error) {
	var old, fresh error
	if from != nil {
		var stopped host.Result
		stopped, old = from.Run(ctx, host.Sh(fromStop, t.Name))
		for _, line := range strings.Split(string(stopped.Stdout), "\n") {
			if thing, ok := strings.CutPrefix(line, "forwards "); ok {
				forwardsFor = append(forwardsFor, thing)
			}
		}
	}
	if to != nil {
		_, fresh = to.Run(ctx, host.Sh(toDismiss, t.account(), t.home()))
	}
	return forwardsFor, errors.Join(old, fresh, t.cutLine(ctx, from, to))
}
