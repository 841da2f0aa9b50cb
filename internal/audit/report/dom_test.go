package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// document is a page that was parsed: by a browser that wrote it out again, or here.
type document struct{ root *html.Node }

func parse(t *testing.T, page io.Reader) document {
	t.Helper()
	root, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	return document{root}
}

// render writes a page and parses it.
func render(t *testing.T, a audit.Audit, title string, events []audit.Event) (string, document) {
	t.Helper()
	var page strings.Builder
	if err := Write(&page, a, title, events); err != nil {
		t.Fatal(err)
	}
	return page.String(), parse(t, strings.NewReader(page.String()))
}

// all are the elements that suit, in the order of the page.
func (d document) all(suits func(*html.Node) bool) []*html.Node { return below(d.root, suits) }

func below(n *html.Node, suits func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for child := range n.Descendants() {
		if child.Type == html.ElementNode && suits(child) {
			found = append(found, child)
		}
	}
	return found
}

func element(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return n.Data == name }
}

// with are the elements that have an attribute.
func with(key string) func(*html.Node) bool {
	return func(n *html.Node) bool { _, has := attribute(n, key); return has }
}

// is are the elements with an attribute of this value.
func is(key, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { v, has := attribute(n, key); return has && v == value }
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// text is what an element shows, its white space as a browser has it.
func text(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
			return
		}
		if n.Data == "style" {
			return
		}
		air := ""
		if n.Type == html.ElementNode && !inline(n) {
			air = " "
		}
		b.WriteString(air)
		for child := range n.ChildNodes() {
			walk(child)
		}
		b.WriteString(air)
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// inline is whether an element is part of a line.
func inline(n *html.Node) bool {
	switch n.Data {
	case "a", "b", "bdi", "q", "strong", "time", "wbr":
		return true
	case "span":
		class, _ := attribute(n, "class")
		return !slices.Contains([]string{"area-title", "change", "counts", "line", "line title", "line why", "path"}, class)
	}
	return false
}

// inside is whether n is in an element of that name.
func inside(n *html.Node, name string) bool {
	for above := range n.Ancestors() {
		if above.Data == name {
			return true
		}
	}
	return false
}

// figures are the values of one data- attribute, by the value of another that the same
// element has.
func (d document) figures(t *testing.T, key, figure string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, n := range d.all(with("data-" + figure)) {
		of, has := attribute(n, "data-"+key)
		if !has {
			continue
		}
		if _, twice := found[of]; twice {
			t.Errorf("data-%s of %q is on the page twice", figure, of)
		}
		found[of], _ = attribute(n, "data-"+figure)
	}
	return found
}

// checkFigures compares all figures of a page with the audit of which it was made.
func checkFigures(t *testing.T, d document, a audit.Audit, events []audit.Event) {
	t.Helper()
	want := map[string]map[string]string{} // "key figure": of what: the figure
	put := func(key, figure, of, value string) {
		name := key + " " + figure
		if want[name] == nil {
			want[name] = map[string]string{}
		}
		want[name][of] = value
	}
	whole := func(key, of string, figures map[string]int64) {
		for figure, n := range figures {
			put(key, figure, of, strconv.FormatInt(n, 10))
		}
	}
	var sum, newSum audit.Amount
	for _, h := range a.Homes {
		whole("user", h.User, map[string]int64{"old-files": h.Old.Files, "new-files": h.New.Files, "old-bytes": h.Old.Bytes, "new-bytes": h.New.Bytes})
		if h.Brought != nil {
			whole("user", h.User, map[string]int64{"brought-files": h.Brought.Files, "brought-bytes": h.Brought.Bytes})
		}
		sum.Files, sum.Bytes = sum.Files+h.Old.Files, sum.Bytes+h.Old.Bytes
		newSum.Files, newSum.Bytes = newSum.Files+h.New.Files, newSum.Bytes+h.New.Bytes
	}
	for _, m := range a.Mailboxes {
		whole("user", m.User, map[string]int64{
			"old-folders": int64(m.Old.Folders), "new-folders": int64(m.New.Folders), "old-messages": m.Old.Messages, "new-messages": m.New.Messages,
		})
	}
	for _, s := range a.Sites {
		site := fmt.Sprintf("%s:%d", s.Name, s.Port)
		for side, answer := range map[string]audit.Answer{"old": s.Old, "new": s.New} {
			put("site", side+"-status", site, strconv.Itoa(answer.Status))
			put("site", side+"-title", site, answer.Title)
			if s.TLS {
				put("site", side+"-certificate", site, answer.Certificate)
				put("site", side+"-expires", site, answer.Expires.UTC().Format(time.RFC3339))
			}
		}
	}
	for _, area := range a.Areas {
		if area.Skipped != "" {
			put("area", "skipped", area.Name, area.Skipped)
		} else {
			put("area", "compared", area.Name, strconv.Itoa(area.Compared))
		}
	}
	for _, e := range events {
		put("event", "seconds", e.Name, fmt.Sprintf("%.3f", e.Finished.Sub(e.Started).Seconds()))
		put("event", "downtime", e.Name, strconv.FormatBool(e.Downtime))
	}
	for name, values := range want {
		key, figure, _ := strings.Cut(name, " ")
		got := d.figures(t, key, figure)
		if len(got) != len(values) {
			t.Errorf("data-%s is on the page for %d, want %d", figure, len(got), len(values))
		}
		for of, value := range values {
			if got[of] != value {
				t.Errorf("data-%s of %q is %q, want %q", figure, of, got[of], value)
			}
		}
	}
	if len(a.Homes) > 0 {
		for figure, n := range map[string]int64{
			"total-old-files": sum.Files, "total-old-bytes": sum.Bytes, "total-new-files": newSum.Files, "total-new-bytes": newSum.Bytes,
		} {
			if found := d.all(is("data-"+figure, strconv.FormatInt(n, 10))); len(found) != 1 {
				t.Errorf("data-%s=%d is on the page %d times", figure, n, len(found))
			}
		}
	}
	checkFindings(t, d, a)
}

// checkFindings compares the findings and their numbers.
func checkFindings(t *testing.T, d document, a audit.Audit) {
	t.Helper()
	type key struct{ area, subject, severity string }
	want, count := map[key]audit.Finding{}, map[audit.Severity]int{}
	for _, f := range a.Findings {
		want[key{f.Area, f.Subject, string(f.Severity)}] = f
		count[f.Severity]++
	}
	shown := d.all(with("data-subject"))
	if len(shown) != len(a.Findings) {
		t.Errorf("%d findings are on the page, want %d", len(shown), len(a.Findings))
	}
	for _, n := range shown {
		area, _ := attribute(n, "data-area")
		subject, _ := attribute(n, "data-subject")
		severity, _ := attribute(n, "data-severity")
		f, known := want[key{area, subject, severity}]
		if !known {
			t.Errorf("%s %s %s is on the page and not in the audit", area, subject, severity)
			continue
		}
		for _, part := range []string{f.Subject, f.Text, f.Mend, f.Old, f.New, severity} {
			if !strings.Contains(strings.ToLower(text(n)), strings.ToLower(part)) {
				t.Errorf("%s %s does not say %q: %s", area, subject, part, text(n))
			}
		}
	}
	for severity, figure := range map[audit.Severity]string{audit.Error: "errors", audit.Warning: "warnings", audit.Notice: "notices"} {
		verdict := below(d.root, func(n *html.Node) bool {
			class, _ := attribute(n, "class")
			return strings.HasPrefix(class, "verdict ")
		})
		if len(verdict) != 1 {
			t.Fatalf("the page has %d verdicts", len(verdict))
		}
		if got, _ := attribute(verdict[0], "data-"+figure); got != strconv.Itoa(count[severity]) {
			t.Errorf("data-%s of the verdict is %q, want %d", figure, got, count[severity])
		}
	}
}
