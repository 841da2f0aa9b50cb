package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/machine"
	"github.com/cutover-dev/terraform-provider-cutover/internal/mail"
	"github.com/cutover-dev/terraform-provider-cutover/internal/mailqueue"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

// Host is one of the hosts, with what its domains are asked through.
type Host struct {
	host.Host
	Accounts *account.Directory
	Sites    *vhost.Sites
}

// facts are what is known of a host.
type facts struct {
	Host
	side     Side
	accounts *account.Snapshot
	machine  machine.Machine
	mail     mail.Mail
	queue    mailqueue.Queue
	sites    []vhost.Listed
	own      collected
	mails    places
	aliases  map[string]alias
	brought  map[string]*Amount // by passes, by home

	// failed is why an area is not known, by its name.
	failed map[string]string
	// unclear is what could not be read, by area, without the host's name.
	unclear map[string][]string
}

// lack notes that an area is not known because a question failed that the host has
// answered. A host that did not answer is an error of the whole.
func (f *facts) lack(area string, err error) error {
	if unreachable := new(host.UnreachableError); errors.As(err, &unreachable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f.failed[area] = err.Error()
	return nil
}

// domains asks a host all that does not depend on another answer.
func domains(ctx context.Context, h Host, areas func(string) bool) (*facts, error) {
	f := &facts{Host: h, failed: map[string]string{}, unclear: map[string][]string{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs []error
	ask := func(question func() error) {
		all.Go(func() {
			if err := question(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	ask(func() (err error) {
		f.accounts, err = h.Accounts.Snapshot(ctx)
		return err
	})
	ask(func() (err error) {
		f.machine, err = machine.Inspect(ctx, h)
		return err
	})
	lacks := func(area string, err error) error {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			return nil
		}
		return f.lack(area, err)
	}
	if areas(accounts) || areas(mailboxes) || areas(aliases) || areas(forwards) {
		ask(func() (err error) {
			f.mail, err = mail.Inspect(ctx, h)
			return errors.Join(lacks(mailboxes, err), lacks(aliases, err), lacks(forwards, err))
		})
	}
	if areas(queue) {
		ask(func() (err error) {
			f.queue, err = mailqueue.Read(ctx, h)
			return lacks(queue, err)
		})
	}
	if areas(sites) {
		ask(func() error {
			_, found, unclear, err := h.Sites.List(ctx, "")
			if errors.Is(err, vhost.ErrNoServer) {
				err = nil
			}
			mu.Lock()
			f.sites, f.unclear[sites] = found, hiddenSites(unclear)
			mu.Unlock()
			return lacks(sites, err)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	identity, err := h.Identity(ctx)
	if err != nil {
		return nil, err
	}
	f.side = Side{Name: h.Name(), Address: identity.Address, System: f.machine.OSName}
	f.unclear[queue] = f.queue.NotUnderstood
	for _, line := range f.mail.NotUnderstood {
		area := aliases
		if strings.HasPrefix(line, "Dovecot") {
			area = mailboxes
		}
		f.note(area, "%s", line)
	}
	return f, nil
}

// gather asks both hosts. What the new one is asked about are the users of the old one.
func gather(ctx context.Context, from, to Host, areas func(string) bool) (before, after *facts, err error) {
	found := make([]*facts, 2)
	if err := both(func(i int) (err error) {
		found[i], err = domains(ctx, []Host{from, to}[i], areas)
		return err
	}); err != nil {
		return nil, nil, err
	}
	before, after = found[0], found[1]
	people := before.people()
	if err := both(func(i int) (err error) {
		f := found[i]
		want := wanted{}
		for _, name := range people {
			user, there := f.accounts.User(name)
			if !there {
				continue
			}
			if areas(homes) {
				want.add("home", user.Home)
			}
			if areas(forwards) {
				for _, file := range f.dotFiles(user.Name) {
					want.add("dot", user.Home+"/"+file)
				}
			}
		}
		if areas(mailboxes) {
			if f.mails = f.placesOf(people); len(f.mails) == 0 && f.mail.Driver == "" && len(f.unclear[mailboxes]) > 0 {
				// Where its mail is, is not known: that is not to have none.
				f.failed[mailboxes] = "it is not known where mail is"
			}
			f.mails.want(want)
		}
		f.own, err = collect(ctx, f, want)
		return err
	}); err != nil {
		return nil, nil, err
	}
	return before, after, nil
}

// both does something for both hosts at once.
func both(do func(i int) error) error {
	errs := make([]error, 2)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// people are the users of a host, sorted.
func (f *facts) people() []string {
	var names []string
	for name := range f.accounts.People() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// of says of which host something is.
func (f *facts) of(text string) string { return fmt.Sprintf("host %q: %s", f.side.Name, text) }
