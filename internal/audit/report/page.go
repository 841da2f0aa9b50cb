package report

import (
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// page is what the template shows. All text in it is clean.
type page struct {
	Title    string
	Old, New side
	Taken    moment

	Verdict string // where there are no findings; else Counts are
	Counts  counts
	Scope   string // how much the verdict is about
	Whole   bool   // nothing was left out

	Areas       []area
	Homes       table[home]
	Sites       table[site]
	Mailboxes   table[mailbox]
	Timeline    timeline
	NotCompared []part[string]
}

type side struct{ Name, Address, System string }

// counts are findings by their severity.
type counts struct{ Errors, Warnings, Notices int }

func (c *counts) add(severity audit.Severity) {
	switch severity {
	case audit.Warning:
		c.Warnings++
	case audit.Notice:
		c.Notices++
	default:
		c.Errors++
	}
}

// All is how many findings there are.
func (c counts) All() int { return c.Errors + c.Warnings + c.Notices }

// Worst is the class of the worst severity, "same" where there is no finding.
func (c counts) Worst() string {
	switch {
	case c.Errors > 0:
		return string(audit.Error)
	case c.Warnings > 0:
		return string(audit.Warning)
	case c.Notices > 0:
		return string(audit.Notice)
	}
	return "same"
}

// count is how many findings have a severity.
type count struct {
	Class, Noun string
	N           int
	Text        string // "3 errors"
}

// List is what there is of each severity, the worst first.
func (c counts) List() []count {
	var all []count
	for _, kind := range []count{
		{Class: string(audit.Error), N: c.Errors}, {Class: string(audit.Warning), N: c.Warnings}, {Class: string(audit.Notice), N: c.Notices},
	} {
		if kind.N > 0 {
			kind.Text = counted(kind.N, kind.Class)
			_, kind.Noun, _ = strings.Cut(kind.Text, " ")
			all = append(all, kind)
		}
	}
	return all
}

// String is such as "3 errors, 2 warnings, 1 notice".
func (c counts) String() string {
	var parts []string
	for _, kind := range c.List() {
		parts = append(parts, kind.Text)
	}
	return strings.Join(parts, ", ")
}

// area is a part of the hosts with its findings.
type area struct {
	ID          string // of its findings on the page
	Name, Title string
	Compared    int
	ComparedText,
	Skipped string
	Counts counts
	Parts  []part[finding]
}

// Class says how the area came out.
func (a area) Class() string {
	if a.Skipped != "" && a.Counts.All() == 0 {
		return "skipped"
	}
	return a.Counts.Worst()
}

// Outcome says it in words, where there are no findings.
func (a area) Outcome() string {
	if a.Skipped != "" {
		return "not compared"
	}
	return "no difference"
}

// finding is a difference.
type finding struct {
	Area, Severity, Word string
	Subject, Old, New    string
	Text, Mend           string
}

func newFinding(f audit.Finding) finding {
	shown := finding{
		Area: name(f.Area), Severity: string(audit.Error), Word: "Error",
		Subject: name(f.Subject), Old: value(f.Old), New: value(f.New),
		Text: sentence(f.Text), Mend: sentence(f.Mend),
	}
	switch f.Severity {
	case audit.Warning:
		shown.Severity, shown.Word = string(audit.Warning), "Warning"
	case audit.Notice:
		shown.Severity, shown.Word = string(audit.Notice), "Notice"
	}
	return shown
}

func newPage(a audit.Audit, title string, events []audit.Event) page {
	p := page{
		Title: name(title),
		Old:   newSide(a.Old), New: newSide(a.New),
		Taken:     at(a.Taken, "2 January 2006, 15:04:05 UTC"),
		Areas:     newAreas(a),
		Homes:     newHomes(a.Homes),
		Sites:     newSites(a.Sites, a.Taken),
		Mailboxes: newMailboxes(a.Mailboxes),
		Timeline:  newTimeline(events),
	}
	if strings.TrimSpace(p.Title) == "" {
		p.Title = "Old and new host compared"
	}
	var left []string
	for _, what := range a.NotCompared {
		left = append(left, sentence(what))
	}
	p.NotCompared = parts(left, nil, "What could not be compared")
	for _, f := range a.Findings {
		p.Counts.add(f.Severity)
	}
	p.conclude(a)
	return p
}

func newSide(s audit.Side) side {
	return side{Name: name(s.Name), Address: name(s.Address), System: name(s.System)}
}

// conclude writes the verdict, and what it is about.
func (p *page) conclude(a audit.Audit) {
	var compared, skipped, things int
	for _, area := range a.Areas {
		if area.Skipped != "" {
			skipped++
			continue
		}
		compared++
		things += area.Compared
	}
	p.Whole = skipped == 0 && len(a.NotCompared) == 0
	switch {
	case p.Counts.All() > 0:
	case compared == 0:
		p.Verdict = "Nothing was compared."
	default:
		p.Verdict = "Nothing differs."
	}
	if compared > 0 {
		verb := "were"
		if things == 1 {
			verb = "was"
		}
		p.Scope = fmt.Sprintf("%s of the old host %s compared with the new one, in %s.", counted(things, "thing"), verb, counted(compared, "area"))
	}
	if p.Whole {
		return
	}
	var left []string
	if skipped > 0 {
		left = append(left, counted(skipped, "area"))
	}
	if n := len(a.NotCompared); n > 0 {
		left = append(left, counted(n, "other thing"))
	}
	if skipped == 0 {
		left[0] = counted(len(a.NotCompared), "thing")
	}
	p.Scope = strings.TrimSpace(p.Scope + " It was not possible to compare " + joined(left) + ".")
}

// newAreas puts the findings to their areas. A finding of an area that nobody asked for
// is shown, too.
func newAreas(a audit.Audit) []area {
	var areas []area
	index := map[string]int{}
	add := func(from audit.Area) {
		index[from.Name] = len(areas)
		title := name(from.Title)
		if strings.TrimSpace(title) == "" {
			title = name(from.Name)
		}
		areas = append(areas, area{
			ID: fmt.Sprintf("area-%d", len(areas)+1), Name: name(from.Name), Title: title,
			Compared: from.Compared, ComparedText: number(int64(from.Compared)), Skipped: sentence(from.Skipped),
		})
	}
	for _, from := range a.Areas {
		add(from)
	}
	findings := map[int][]finding{}
	for _, f := range a.Findings {
		if _, known := index[f.Area]; !known {
			add(audit.Area{Name: f.Area})
		}
		i := index[f.Area]
		areas[i].Counts.add(f.Severity)
		findings[i] = append(findings[i], newFinding(f))
	}
	for i := range areas {
		areas[i].Parts = parts(findings[i], nil, areas[i].Title)
	}
	return areas
}
