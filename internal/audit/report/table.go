package report

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// maxRows is how long a list may be before a part of it is folded away.
const maxRows = 50

// part is a stretch of a list. It is folded away where it has a summary.
type part[T any] struct {
	Caption, Summary string
	Rows             []T
}

// parts splits a list that is longer than maxRows: rows that differ are first and in
// view, up to maxRows of them. With a nil differs all rows do.
func parts[T any](rows []T, differs func(T) bool, caption string) []part[T] {
	if len(rows) == 0 {
		return nil
	}
	if len(rows) <= maxRows {
		return []part[T]{{Caption: caption, Rows: rows}}
	}
	if differs == nil {
		return []part[T]{
			{Caption: caption, Rows: rows[:maxRows]},
			{Caption: caption + ", continued", Summary: number(int64(len(rows)-maxRows)) + " more", Rows: rows[maxRows:]},
		}
	}
	var different, same []T
	for _, row := range rows {
		if differs(row) {
			different = append(different, row)
		} else {
			same = append(same, row)
		}
	}
	var split []part[T]
	if n := min(len(different), maxRows); n > 0 {
		split = append(split, part[T]{Caption: caption + " that differ", Rows: different[:n]})
		different = different[n:]
	}
	if n := len(different); n > 0 {
		split = append(split, part[T]{Caption: caption + " that differ, continued", Summary: number(int64(n)) + " more that differ", Rows: different})
	}
	if n := len(same); n > 0 {
		split = append(split, part[T]{Caption: caption + " that are the same", Summary: number(int64(n)) + " that are the same", Rows: same})
	}
	return split
}

// table is what of one kind both hosts have, side by side.
type table[T any] struct {
	Parts   []part[T]
	Summary string
	Totals  []pair // in the order of the columns
}

func newTable[T any](rows []T, differs func(T) bool, caption, noun, plural string) table[T] {
	t := table[T]{Parts: parts(rows, differs, caption)}
	var different int
	for _, row := range rows {
		if differs(row) {
			different++
		}
	}
	switch n := len(rows); {
	case n == 0:
		t.Summary = "No " + noun + " was compared."
	case n == 1 && different == 0:
		t.Summary = "1 " + noun + ". It is the same on both hosts."
	case n == 1:
		t.Summary = "1 " + noun + ". It differs."
	case different == 0:
		t.Summary = number(int64(n)) + " " + plural + ". All are the same on both hosts."
	case different == n:
		t.Summary = number(int64(n)) + " " + plural + ". All differ."
	default:
		verb := "differ"
		if different == 1 {
			verb = "differs"
		}
		t.Summary = number(int64(n)) + " " + plural + ". " + number(int64(different)) + " " + verb + "."
	}
	return t
}

// pair is a number on both hosts.
type pair struct{ Old, New cell }

// cell is a number on one host.
type cell struct {
	Value   int64
	Text    string
	Missing string // what is said where the host has nothing to count
	Differs bool
	Change  string // from the old host to the new one
}

func newPair(older, newer int64, form func(int64) string) pair {
	return pair{
		Old: cell{Value: older, Text: form(older)},
		New: cell{Value: newer, Text: form(newer), Differs: older != newer, Change: change(older, newer, form)},
	}
}

// home is a row of the table of homes.
type home struct {
	User, Path   string
	Files, Bytes pair
	Brought      *brought
}

// brought is what the last pass had brought to a home.
type brought struct {
	Files, Bytes         int64
	FilesText, BytesText string
	Since                string // who has changed since: that decides what to do
}

func newHomes(homes []audit.Home) table[home] {
	var rows []home
	var before, after audit.Amount
	for _, h := range homes {
		row := home{
			User: name(h.User), Path: path(h),
			Files: newPair(h.Old.Files, h.New.Files, number), Bytes: newPair(h.Old.Bytes, h.New.Bytes, size),
		}
		for _, p := range []*pair{&row.Files, &row.Bytes} {
			p.missing(h.OldPath == "", h.NewPath == "")
		}
		if h.Brought != nil {
			row.Brought = newBrought(h)
		}
		rows = append(rows, row)
		before.Files, before.Bytes = before.Files+h.Old.Files, before.Bytes+h.Old.Bytes
		after.Files, after.Bytes = after.Files+h.New.Files, after.Bytes+h.New.Bytes
	}
	t := newTable(rows, home.differs, "Homes", "home", "homes")
	t.Totals = []pair{newPair(before.Files, after.Files, number), newPair(before.Bytes, after.Bytes, size)}
	return t
}

// missing says that a host has no home to count in.
func (p *pair) missing(older, newer bool) {
	if older {
		p.Old.Missing = "no home"
	}
	if newer {
		p.New.Missing = "no home"
	}
	if older != newer {
		p.New.Differs, p.New.Change = true, ""
	}
}

func path(h audit.Home) string {
	switch older, newer := name(h.OldPath), name(h.NewPath); {
	case older == newer:
		return older
	case newer == "":
		return older + " on the old host"
	case older == "":
		return newer + " on the new host"
	default:
		return older + " → " + newer
	}
}

func (h home) differs() bool { return h.Files.New.Differs || h.Bytes.New.Differs }

func newBrought(h audit.Home) *brought {
	b := &brought{
		Files: h.Brought.Files, Bytes: h.Brought.Bytes,
		FilesText: number(h.Brought.Files), BytesText: size(h.Brought.Bytes),
	}
	switch changedOld, changedNew := h.Old != *h.Brought, h.New != *h.Brought; {
	case changedOld && changedNew:
		b.Since = "both changed since"
	case changedOld:
		b.Since = "old changed since"
	case changedNew:
		b.Since = "new changed since"
	}
	return b
}

// mailbox is a row of the table of mailboxes.
type mailbox struct {
	User              string
	Folders, Messages pair
}

func (m mailbox) differs() bool { return m.Folders.New.Differs || m.Messages.New.Differs }

func newMailboxes(boxes []audit.Mailbox) table[mailbox] {
	var rows []mailbox
	var before, after audit.Mails
	for _, m := range boxes {
		rows = append(rows, mailbox{
			User:     name(m.User),
			Folders:  newPair(int64(m.Old.Folders), int64(m.New.Folders), number),
			Messages: newPair(m.Old.Messages, m.New.Messages, number),
		})
		before.Folders, before.Messages = before.Folders+m.Old.Folders, before.Messages+m.Old.Messages
		after.Folders, after.Messages = after.Folders+m.New.Folders, after.Messages+m.New.Messages
	}
	t := newTable(rows, mailbox.differs, "Mailboxes", "mailbox", "mailboxes")
	t.Totals = []pair{
		newPair(int64(before.Folders), int64(after.Folders), number),
		newPair(before.Messages, after.Messages, number),
	}
	return t
}

// site is a row of the table of sites.
type site struct {
	Host, Port string // Port begins with its colon
	TLS        bool
	Old, New   answer
}

// Name is the site with its port.
func (s site) Name() string { return s.Host + s.Port }

// answer is what a host said for a site. In the new host's, what differs is marked.
type answer struct {
	Status             int
	StatusText         string
	Title, Location    string
	Problem            string
	Certificate        string
	Expires            moment
	Expired            bool // when the audit was taken
	CertificateProblem string

	StatusDiffers, TitleDiffers, LocationDiffers, ProblemDiffers bool
	CertificateDiffers, ExpiresDiffers, TrustDiffers             bool
}

func newSites(sites []audit.Site, taken time.Time) table[site] {
	var rows []site
	for _, s := range sites {
		row := site{
			Host: name(strings.TrimSuffix(net.JoinHostPort(s.Name, ""), ":")), Port: ":" + strconv.Itoa(s.Port), TLS: s.TLS,
			Old: newAnswer(s.Old, taken), New: newAnswer(s.New, taken),
		}
		row.New.StatusDiffers = s.Old.Status != s.New.Status
		if s.Old.Status != 0 && s.New.Status != 0 {
			row.New.TitleDiffers = s.Old.Title != s.New.Title
			row.New.LocationDiffers = s.Old.Location != s.New.Location
		}
		row.New.ProblemDiffers = s.Old.Problem != s.New.Problem
		if s.TLS {
			row.New.CertificateDiffers = s.Old.Certificate != s.New.Certificate
			row.New.ExpiresDiffers = !s.Old.Expires.Equal(s.New.Expires)
			row.New.TrustDiffers = s.Old.CertificateProblem != s.New.CertificateProblem
		}
		rows = append(rows, row)
	}
	return newTable(rows, func(s site) bool { return s.New.AnswerDiffers() || s.New.CertDiffers() }, "Sites", "site", "sites")
}

func newAnswer(a audit.Answer, taken time.Time) answer {
	shown := answer{
		Status: a.Status, StatusText: "no answer",
		Title: name(a.Title), Location: name(a.Location), Problem: value(a.Problem),
		Certificate: name(a.Certificate), Expires: at(a.Expires, "2 Jan 2006"),
		Expired:            !a.Expires.IsZero() && !taken.IsZero() && a.Expires.Before(taken),
		CertificateProblem: value(a.CertificateProblem),
	}
	if a.Status != 0 {
		shown.StatusText = strconv.Itoa(a.Status)
		if text := http.StatusText(a.Status); text != "" {
			shown.StatusText += " " + text
		}
	}
	return shown
}

// AnswerDiffers is whether the page is another one.
func (a answer) AnswerDiffers() bool {
	return a.StatusDiffers || a.TitleDiffers || a.LocationDiffers || a.ProblemDiffers
}

// CertDiffers is whether the certificate is.
func (a answer) CertDiffers() bool { return a.CertificateDiffers || a.ExpiresDiffers || a.TrustDiffers }
