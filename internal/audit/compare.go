package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The areas, in the order of a report.
const (
	accounts     = "accounts"
	homes        = "homes"
	mailboxes    = "mailboxes"
	aliases      = "aliases"
	forwards     = "forwards"
	queue        = "queue"
	sites        = "sites"
	certificates = "certificates"
	cron         = "cron"
	sudo         = "sudo"
	ports        = "ports"
	services     = "services"
	databases    = "databases"
)

// areas are all areas with their titles, and what compares them.
var areas = []struct {
	name, title string
	compare     func(*comparison)
}{
	{accounts, "Accounts", (*comparison).accounts},
	{homes, "Homes", (*comparison).homes},
	{mailboxes, "Mailboxes", (*comparison).mailboxes},
	{aliases, "Aliases", (*comparison).aliases},
	{forwards, "Forwards and filters", (*comparison).forwards},
	{queue, "Mail queue", (*comparison).queue},
	{sites, "Sites", (*comparison).sites},
	{certificates, "Certificates", (*comparison).certificates},
	{cron, "Scheduled jobs", (*comparison).cron},
	{sudo, "Rules of sudo", (*comparison).sudo},
	{ports, "Ports", (*comparison).ports},
	{services, "Services", (*comparison).services},
	{databases, "Databases", (*comparison).databases},
}

// Areas are the names of all areas, in the order of a report.
var Areas = func() []string {
	var names []string
	for _, area := range areas {
		names = append(names, area.name)
	}
	return names
}()

// comparison is an audit that is being made.
type comparison struct {
	old, new *facts
	audit    *Audit
	answers  map[siteKey]*Site // of the sites, asked beforehand
	mails    []mailService     // likewise
}

// add begins the next area and compares it.
func (c *comparison) add(name, title string, compare func(*comparison)) {
	area := Area{Name: name, Title: title}
	for _, f := range []*facts{c.old, c.new} {
		if why := f.failed[name]; why != "" && area.Skipped == "" {
			area.Skipped = f.of(why)
		}
		for _, line := range f.unclear[name] {
			c.audit.NotCompared = append(c.audit.NotCompared, f.of(line))
		}
	}
	c.audit.Areas = append(c.audit.Areas, area)
	if area.Skipped != "" {
		c.audit.NotCompared = append(c.audit.NotCompared, area.Skipped)
		return
	}
	begin := len(c.audit.Findings)
	compare(c)
	slices.SortStableFunc(c.audit.Findings[begin:], func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(Severities, a.Severity), slices.Index(Severities, b.Severity)), cmp.Compare(a.Subject, b.Subject))
	})
}

// area is the one that is compared now.
func (c *comparison) area() *Area { return &c.audit.Areas[len(c.audit.Areas)-1] }

// compared counts things that were put side by side.
func (c *comparison) compared(n int) { c.area().Compared += n }

// notCompared notes what could not be put side by side.
func (c *comparison) notCompared(format string, v ...any) {
	c.audit.NotCompared = append(c.audit.NotCompared, fmt.Sprintf(format, v...))
}

// find adds a finding of the area that is compared now.
func (c *comparison) find(severity Severity, subject, was, is, format string, v ...any) *Finding {
	c.audit.Findings = append(c.audit.Findings, Finding{
		Area: c.area().Name, Severity: severity, Subject: subject, Old: was, New: is, Text: fmt.Sprintf(format, v...),
	})
	return &c.audit.Findings[len(c.audit.Findings)-1]
}

// mend says what to do about a finding.
func (f *Finding) mend(format string, v ...any) { f.Mend = fmt.Sprintf(format, v...) }

// plural is a number with its noun: "1 message", "2 messages".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shorten cuts a text for a cell of a table.
func shorten(text string) string {
	const most = 120
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// missing are those of the first list that the second lacks, sorted.
func missing(from, in []string) []string {
	lost := slices.DeleteFunc(slices.Clone(from), func(each string) bool { return slices.Contains(in, each) })
	slices.Sort(lost)
	return slices.Compact(lost)
}

func list(names []string) string { return strings.Join(names, ", ") }
