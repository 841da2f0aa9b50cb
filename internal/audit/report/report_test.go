package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func TestFiguresAreThoseOfTheAudit(t *testing.T) {
	t.Parallel()
	a, events := sample(), sampleEvents()
	_, page := render(t, a, "Move of web1 to web2", events)
	checkFigures(t, page, a, events)
	checkForm(t, page)
	shown := text(page.root)
	for _, want := range []string{
		"Move of web1 to web2", "web1 192.0.2.10 Debian GNU/Linux 9 (stretch), SysV init", "web2 2001:db8:40::25",
		"2 December 2026, 04:12:30 UTC", "14 errors, 16 warnings, 10 notices.",
		"286 things of the old host were compared with the new one, in 14 areas. It was not possible to compare 1 area and 3 other things.",
		"25 homes. 5 differ.", "−293", "−188.0 MiB", "old changed since", "new changed since", "both changed since", "no home", "/home/shop → /srv/shop",
		"503 Service Unavailable", "no answer the host closed the connection", "refused signed by itself", "expired 30 Nov 2026", "no TLS",
		"20 mailboxes. 3 differ.", "The downtime was 4 min 19 s in all. It came in 2 parts. The longest took 3 min 45 s.", "2 h 36 min",
		"The old host has no quota tools", "/home/nadia/nas: it is another file system (nfs4).",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// What differs is marked, by a sign and not by colour alone, and nothing else is.
func TestWhatDiffersIsMarked(t *testing.T) {
	t.Parallel()
	_, page := render(t, sample(), "", nil)
	var marked int
	for _, kind := range []struct{ key, figures string }{
		{"user", "files bytes folders messages"}, {"site", "status title certificate expires"},
	} {
		for _, figure := range strings.Fields(kind.figures) {
			older, newer := page.figures(t, kind.key, "old-"+figure), page.figures(t, kind.key, "new-"+figure)
			for of, value := range newer {
				cell := page.all(func(n *html.Node) bool { return is("data-"+kind.key, of)(n) && with("data-new-"+figure)(n) })[0]
				class, _ := attribute(cell, "class")
				sign := strings.Contains(text(cell), "≠")
				if differs := strings.HasSuffix(class, "differs"); differs != sign {
					t.Errorf("%s of %s has the colour of a difference: %v, and the sign: %v", figure, of, differs, sign)
				}
				if older[of] != value && !sign {
					t.Errorf("%s of %s is not marked: %s", figure, of, text(cell))
				}
				if kind.key == "user" && older[of] == value && sign {
					t.Errorf("%s of %s is marked: %s", figure, of, text(cell))
				}
				if sign {
					marked++
				}
			}
		}
	}
	if marked < 20 {
		t.Errorf("%d cells are marked", marked)
	}
	for user, want := range map[string]string{"alice": "9.4 GiB", "ines": "2.1 GiB old changed since", "mia": "640.0 MiB new changed since", "nadia": "3.1 GiB both changed since"} {
		cells := page.all(func(n *html.Node) bool { return is("data-user", user)(n) && with("data-brought-bytes")(n) })
		if len(cells) != 1 || text(cells[0]) != want {
			t.Errorf("what was brought to %s is not %q: %q", user, want, text(cells[0]))
		}
	}
}

// checkForm checks what every page keeps to: that it needs nothing but itself, and that
// people who do not see it can read it.
func checkForm(t *testing.T, d document) {
	t.Helper()
	allowed := map[string]bool{}
	for _, name := range strings.Fields(`html head meta title style body header main section h1 h2 h3 p div span a ul li dl dt dd b strong q bdi time wbr
		table caption colgroup col thead tbody tr th td details summary svg path rect line text`) {
		allowed[name] = true
	}
	attributes := map[string]bool{}
	for _, key := range strings.Fields(`aria-hidden aria-label aria-labelledby charset class colspan content d datetime height href http-equiv id lang name role
		overflow rowspan rx scope span text-anchor viewBox width x x1 x2 y y1 y2`) {
		attributes[key] = true
	}
	ids, level := map[string]bool{}, 0
	for _, n := range d.all(with("id")) {
		id, _ := attribute(n, "id")
		if ids[id] {
			t.Errorf("two elements have the id %q", id)
		}
		ids[id] = true
	}
	for _, n := range d.all(func(*html.Node) bool { return true }) {
		if !allowed[n.Data] {
			t.Errorf("the page has an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if !attributes[a.Key] && !strings.HasPrefix(a.Key, "data-") {
				t.Errorf("%s has an attribute %s=%q", n.Data, a.Key, a.Val)
			}
			if a.Key == "href" && (!strings.HasPrefix(a.Val, "#") || !ids[a.Val[1:]]) {
				t.Errorf("a link leads to %q", a.Val)
			}
			if a.Key == "aria-labelledby" && !ids[a.Val] {
				t.Errorf("%s is labelled by %q, which is not there", n.Data, a.Val)
			}
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			if now := int(n.Data[1] - '0'); now > level+1 {
				t.Errorf("a heading of level %d follows one of level %d: %s", now, level, text(n))
			} else {
				level = now
			}
			if text(n) == "" {
				t.Error("a heading is empty")
			}
		}
		if n.Data == "th" {
			if scope, _ := attribute(n, "scope"); scope == "" {
				t.Errorf("a heading of a table has no scope: %s", text(n))
			}
		}
		if n.Data == "table" && len(below(n, element("caption"))) != 1 {
			t.Errorf("a table has no caption: %.80s", text(n))
		}
	}
	for _, name := range []string{"title", "style", "h1", "main"} {
		if found := d.all(element(name)); len(found) != 1 || name == "title" && text(found[0]) == "" {
			t.Errorf("the page has %d elements %s, or an empty one", len(found), name)
		}
	}
	if root := d.all(element("html")); len(root) != 1 || root[0].Attr[0].Val != "en" {
		t.Error("the page does not say that it is in English")
	}
	if guard := d.all(is("http-equiv", "Content-Security-Policy")); len(guard) != 1 || !is("content", "default-src 'none'; style-src 'unsafe-inline'")(guard[0]) {
		t.Error("the page does not forbid itself to load anything")
	}
	for _, style := range d.all(element("style")) {
		for _, loads := range []string{"url(", "@import", "image(", "image-set(", "src", "expression"} {
			if strings.Contains(strings.ToLower(style.FirstChild.Data), loads) {
				t.Errorf("the style sheet has %q", loads)
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	area := audit.Area{Name: "cron", Title: "Cron jobs", Compared: 3}
	skipped := audit.Area{Name: "sudo", Title: "Sudo", Skipped: "There is no sudo."}
	finding := audit.Finding{Area: "cron", Severity: audit.Notice, Subject: "alice", Text: "It differs."}
	for name, c := range map[string]struct {
		audit audit.Audit
		want  []string
	}{
		"empty":    {audit.Audit{}, []string{"Nothing was compared.", "No area was asked for.", "It is not known when this was taken.", "Old and new host compared"}},
		"same":     {audit.Audit{Areas: []audit.Area{area}}, []string{"Nothing differs. 3 things of the old host were compared with the new one, in 1 area.", "Everything that was asked for was compared."}},
		"finding":  {audit.Audit{Areas: []audit.Area{area}, Findings: []audit.Finding{finding}}, []string{"1 notice.", "Old nothing New nothing"}},
		"skipped":  {audit.Audit{Areas: []audit.Area{skipped}}, []string{"Nothing was compared. It was not possible to compare 1 area.", "There is no sudo."}},
		"left out": {audit.Audit{Areas: []audit.Area{area}, NotCompared: []string{"a", "b"}}, []string{"Nothing differs. 3 things of the old host were compared with the new one, in 1 area. It was not possible to compare 2 things."}},
		// An area that nobody asked for, and a severity that there is not, hide nothing.
		"unknown": {audit.Audit{Findings: []audit.Finding{{Area: "moon", Severity: "dire", Subject: "alice"}}}, []string{"1 error.", "moon 1 error"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, page := render(t, c.audit, "", nil)
			checkForm(t, page)
			for _, want := range append(c.want, "No events were recorded.") {
				if !strings.Contains(text(page.root), want) {
					t.Errorf("the page does not say %q: %s", want, text(page.root))
				}
			}
		})
	}
}

func TestLongListsAreFoldedAway(t *testing.T) {
	t.Parallel()
	a := thousand()
	began := time.Now()
	source, page := render(t, a, "A thousand users", sampleEvents())
	if took := time.Since(began); took > pace.Limit(15*time.Second) {
		t.Errorf("writing and parsing took %s", took)
	} else {
		t.Logf("%d bytes, written and parsed in %s", len(source), took)
	}
	checkFigures(t, page, a, sampleEvents())
	checkForm(t, page)
	// In view are the first that differ; the others are folded away, those that differ first.
	for figure, want := range map[string]string{"old-files": "user0009", "old-messages": "user0009"} {
		var open, first int
		var folded []string
		for i, n := range page.all(with("data-" + figure)) {
			user, _ := attribute(n, "data-user")
			if inside(n, "details") {
				folded = append(folded, user)
				continue
			}
			if i == 0 && user == want {
				first++
			}
			if !strings.HasSuffix(user, "9") {
				t.Errorf("%s is in view and does not differ", user)
			}
			open++
		}
		if open != 50 || first != 1 || len(folded) != 950 || folded[0] != "user0509" || folded[50] != "user0000" {
			t.Errorf("%s: %d in view, first %v; %d folded away: %v", figure, open, first, len(folded), folded[:51])
		}
	}
	for _, area := range a.Areas[:10] {
		var open int
		for _, n := range page.all(is("data-area", area.Name)) {
			if with("data-subject")(n) && !inside(n, "details") {
				open++
			}
		}
		if open != 50 {
			t.Errorf("%d findings of %s are in view", open, area.Name)
		}
	}
	for _, want := range []string{"50 more that differ", "900 that are the same", "950 more"} {
		if !strings.Contains(text(page.root), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestFiftyRowsAreShown(t *testing.T) {
	t.Parallel()
	var a audit.Audit
	for i := range maxRows {
		a.Mailboxes = append(a.Mailboxes, audit.Mailbox{User: user(i)})
		a.NotCompared = append(a.NotCompared, user(i))
	}
	if _, page := render(t, a, "", nil); len(page.all(element("details"))) != 0 {
		t.Error("a list of 50 is folded away")
	}
	a.Mailboxes, a.NotCompared = append(a.Mailboxes, audit.Mailbox{User: "last"}), append(a.NotCompared, "last")
	_, page := render(t, a, "", nil)
	if folded := page.all(element("details")); len(folded) != 2 || !strings.HasPrefix(text(folded[0]), "51 that are the same") || !strings.HasPrefix(text(folded[1]), "1 more last") {
		t.Errorf("of lists of 51, %d are folded away", len(folded))
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestWriteSaysThatItCannot(t *testing.T) {
	t.Parallel()
	if err := Write(full{}, sample(), "", nil); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a page went to a full disk: %v", err)
	}
}
