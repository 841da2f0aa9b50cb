package audit

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/machine"
	"github.com/cutover-dev/terraform-provider-cutover/internal/probe"
)

const (
	// patience is how long a service may take for an answer.
	patience = 10 * time.Second
	// atOnce bounds how many pages are asked for at the same time, on each host.
	atOnce = 8
	// soon is how long before its end a certificate is told of.
	soon = 14 * 24 * time.Hour
)

// siteKey is a name of a site at a port.
type siteKey struct {
	name string
	port int
	tls  bool
}

// unnamed is the name of the site that answers to every other one.
const unnamed = "(any other name)"

// String is the subject of a finding about it.
func (k siteKey) String() string { return fmt.Sprintf("%s:%d", k.name, k.port) }

// hiddenSites are those of package vhost's remarks that say that there may be sites or
// names that it does not know. The others are about lines that a cutover_vhost would not
// have: here the hosts are asked for their pages, whatever makes them.
func hiddenSites(remarks []string) []string {
	return slices.DeleteFunc(slices.Clone(remarks), func(remark string) bool {
		return !slices.ContainsFunc([]string{"is not understood", "are not understood", "are taken as true", "Apache has a site"}, func(words string) bool {
			return strings.Contains(remark, words)
		})
	})
}

// siteKeys are the names and ports of a host's sites. Names with a pattern are left out:
// nobody can ask for them.
func (f *facts) siteKeys() []siteKey {
	keys := map[siteKey]bool{}
	for _, site := range f.sites {
		names := append([]string{site.ServerName}, site.Aliases...)
		for _, name := range names {
			if name == "" {
				name = unnamed
			}
			if strings.Contains(name, "*") {
				continue
			}
			for _, port := range site.Ports {
				keys[siteKey{name, port, false}] = true
			}
			for _, port := range site.TLSPorts {
				keys[siteKey{name, port, true}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(keys), func(a, b siteKey) int {
		return strings.Compare(a.String(), b.String())
	})
}

// askSites asks both hosts for the pages of the old one's sites.
func askSites(ctx context.Context, before, after *facts) map[siteKey]*Site {
	answers := map[siteKey]*Site{}
	for _, key := range before.siteKeys() {
		answers[key] = &Site{Name: key.name, Port: key.port, TLS: key.tls}
	}
	_ = both(func(i int) error {
		f := []*facts{before, after}[i]
		slots := make(chan struct{}, atOnce)
		var all sync.WaitGroup
		for key, pair := range answers {
			into := []*Answer{&pair.Old, &pair.New}[i]
			slots <- struct{}{}
			all.Go(func() {
				*into = f.askSite(ctx, key)
				<-slots
			})
		}
		all.Wait()
		return nil
	})
	return answers
}

func (f *facts) askSite(ctx context.Context, key siteKey) Answer {
	address, listens := local(f.machine.Listeners, key.port)
	if !listens {
		return Answer{Problem: fmt.Sprintf("nothing listens on port %d", key.port)}
	}
	request := probe.Request{Protocol: "http", ServerName: key.name, SkipVerify: true}
	if key.name == unnamed {
		request.ServerName = "localhost"
	}
	if key.tls {
		request.Protocol = "https"
	}
	said, err := f.ask(ctx, address, key.port, request)
	answer := Answer{Status: said.Status, Title: said.Title}
	if location := said.Header["Location"]; len(location) > 0 {
		answer.Location = location[0]
	}
	if err != nil && said.Status == 0 {
		answer.Problem = err.Error()
	}
	if said.TLS != nil {
		answer.Certificate, answer.Expires, answer.CertificateProblem = said.TLS.Subject, said.TLS.NotAfter, said.TLS.Problem
	}
	return answer
}

// ask asks a service from the host itself, once.
func (f *facts) ask(ctx context.Context, address string, port int, request probe.Request) (probe.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := f.Dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return probe.Answer{}, err
	}
	defer func() { _ = conn.Close() }()
	return probe.Ask(ctx, conn, request)
}

// local is an address at which the host itself reaches a port.
func local(listeners []machine.Listener, port int) (address string, listens bool) {
	for _, l := range listeners {
		at, err := netip.ParseAddr(l.Address)
		if l.Port != port || err != nil {
			continue
		}
		switch {
		case at.IsLoopback():
			return l.Address, true
		case at == netip.IPv4Unspecified():
			return "127.0.0.1", true
		case at == netip.IPv6Unspecified() && address == "":
			address = "::1"
		case address == "":
			address = l.Address
		}
	}
	return address, address != ""
}

func (c *comparison) sites() {
	served := map[string]bool{}
	for _, site := range c.new.sites {
		for _, name := range append([]string{site.ServerName}, site.Aliases...) {
			served[strings.ToLower(name)] = true
		}
	}
	silent := map[int]bool{}
	for _, key := range slices.SortedFunc(maps.Keys(c.answers), func(a, b siteKey) int { return strings.Compare(a.String(), b.String()) }) {
		pair := *c.answers[key]
		c.audit.Sites = append(c.audit.Sites, pair)
		c.compared(1)
		if _, listens := local(c.new.machine.Listeners, key.port); !listens {
			// One finding instead of one for each site.
			if !silent[key.port] {
				c.find(Error, fmt.Sprintf("port %d", key.port), "", pair.New.Problem, "The new host serves no site on port %d.", key.port).
					mend("Start the web server there, and make the sites with cutover_vhost.")
			}
			silent[key.port] = true
			continue
		}
		if key.name != unnamed && len(c.new.sites) > 0 && !served[strings.ToLower(key.name)] {
			c.find(Error, key.String(), shown(pair.Old), shown(pair.New), "The new host has no site %s: another one answers for it.", key.name).
				mend("Make it with a cutover_vhost.")
			continue
		}
		c.page(key, pair.Old, pair.New)
		if key.tls {
			c.siteCertificate(key, pair.Old, pair.New)
		}
	}
}

// page compares what the hosts say to a site's name.
func (c *comparison) page(key siteKey, was, is Answer) {
	failed := func(a Answer) bool { return a.Status == 0 || a.Status >= 400 }
	severity, fact := Warning, ""
	switch {
	case failed(was) && failed(is):
		// It works on neither, and so it is nothing that the move has changed.
	case failed(is):
		severity, fact = Error, "%s does not work on the new host."
	case was.Status != is.Status:
		fact = "%s answers otherwise on the new host."
	case was.Location != is.Location:
		fact = "%s redirects to another place on the new host."
	case was.Title != is.Title:
		fact = "%s has a page with another title on the new host."
	}
	if fact != "" {
		c.find(severity, key.String(), shown(was), shown(is), fact, key).
			mend("Look into the error log of the new host's web server, and compare the two sites' configuration.")
	}
}

// shown is an answer in few words.
func shown(a Answer) string {
	switch {
	case a.Status == 0:
		return shorten(a.Problem)
	case a.Location != "":
		return shorten(fmt.Sprintf("%d to %s", a.Status, a.Location))
	case a.Title != "":
		return shorten(fmt.Sprintf("%d, %s", a.Status, a.Title))
	}
	return fmt.Sprint(a.Status)
}

func (c *comparison) siteCertificate(key siteKey, was, is Answer) {
	if was.Certificate == "" || is.Certificate == "" {
		return // there was no answer: that is a finding already
	}
	c.certificate(key.String()+"/certificate",
		certificate{was.Certificate, was.Expires, was.CertificateProblem}, certificate{is.Certificate, is.Expires, is.CertificateProblem})
}

// certificate is what a service shows for itself.
type certificate struct {
	subject string
	expires time.Time
	problem string // why a client would refuse it
}

func (c certificate) String() string {
	return fmt.Sprintf("%s, until %s", shorten(c.subject), c.expires.UTC().Format(time.DateOnly))
}

// certificate compares what a service shows on both hosts.
func (c *comparison) certificate(subject string, was, is certificate) {
	left := is.expires.Sub(c.audit.Taken)
	switch {
	case is.problem != "" && was.problem == "":
		c.find(Error, subject, was.String(), is.String(), "Clients refuse the certificate of the new host: %s.", is.problem).
			mend("Copy the certificate and its key from the old host, or have one issued for the new one.")
	case left < 0 && !was.expires.Before(c.audit.Taken):
		c.find(Error, subject, was.String(), is.String(), "The certificate of the new host has expired.").
			mend("Copy the certificate and its key from the old host, or have one issued for the new one.")
	case was.subject != is.subject:
		c.find(Warning, subject, was.String(), is.String(), "The new host shows a certificate for another name.").
			mend("Copy the certificate and its key from the old host, or have one issued for the new one.")
	case left >= 0 && left < soon:
		c.find(Warning, subject, was.String(), is.String(), "The certificate expires in %s.", plural(int64(left/(24*time.Hour)), "day")).
			mend("See that it is renewed on the new host before.")
	}
}
