package report

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// hostile is what somebody may have put into a page's title, a user's name or a crontab.
var hostile = map[string]string{
	"element":      `</title></style><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>`,
	"attribute":    `" onmouseover="alert(1)" style="background:url(http://evil.example)" x='y' `,
	"address":      `javascript:alert(1)`,
	"template":     `{{.Title}} ${x} <!-- --> ]]> &amp; &lt;script&gt; \u003cscript\u003e`,
	"style":        `*/ } body { background: url(//evil.example/x) } @import "//evil.example/y"; /*`,
	"reversed":     "invoice\u202egpj.exe \u2066isolated\u2069 \u200f\u061c",
	"invisible":    "a\u200bb\u00adc\ufeffd\u2060e\U000e0041f",
	"control":      "a\x00b\x1b[31mc\x07d\x7fe\u0085f\u2028g\r\n\th",
	"not UTF-8":    "M\xfcller \xff\xfe \xed\xa0\x80 \xc0\xaf",
	"long word":    strings.Repeat("W", 100000),
	"many marks":   "Z" + strings.Repeat("\u0336\u0310\u035c", 5000),
	"right":        "شركة الأمل — דואר",
	"only space":   " \t\n ",
	"foreign math": `<svg><style><img src=x onerror=alert(1)></style></svg><math><mtext></p><table>`,
}

// everywhere puts s into every text of an audit and something large into every number,
// with one element at least in every list.
func everywhere(s string) (audit.Audit, []audit.Event) {
	a := audit.Audit{
		Taken: taken, Areas: make([]audit.Area, 2), Findings: make([]audit.Finding, 3),
		Homes: make([]audit.Home, 2), Sites: make([]audit.Site, 2), Mailboxes: make([]audit.Mailbox, 1), NotCompared: make([]string, 2),
	}
	fill(reflect.ValueOf(&a).Elem(), s)
	a.Areas[1].Skipped = ""
	a.Homes[0].Brought = &audit.Amount{Files: math.MaxInt64, Bytes: math.MaxInt64}
	a.Homes[1].NewPath, a.Homes[1].New = "", audit.Amount{}
	a.Mailboxes[0].New = audit.Mails{}
	a.Sites[1].New = audit.Answer{Status: 200}
	for i := range a.Sites {
		a.Sites[i].TLS = true
	}
	return a, []audit.Event{{Name: s, Started: night(1, 0, 0), Finished: night(2, 0, 0), Downtime: true}, {Name: s}}
}

func fill(v reflect.Value, s string) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.CanInt():
		v.SetInt(math.MaxInt64 / 1000)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), s)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), s)
		}
	}
}

func TestHostileTextIsText(t *testing.T) {
	t.Parallel()
	for kind, s := range hostile {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a, events := everywhere(s)
			source, page := render(t, a, s, events)
			checkForm(t, page)
			if len(source) > 200000 {
				t.Errorf("the page has %d bytes", len(source))
			}
			if !utf8.ValidString(source) {
				t.Error("the page is not UTF-8")
			}
			for _, r := range source {
				if r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
					t.Fatalf("the page has a character %U", r)
				}
			}
			for _, n := range page.all(func(*html.Node) bool { return true }) {
				for child := range n.ChildNodes() {
					if child.Type == html.CommentNode {
						t.Errorf("the page has a comment %q", child.Data)
					}
				}
			}
			want := strings.Join(strings.Fields(clean(s, 40)), " ")
			want, _, _ = strings.Cut(want, "…")
			for place, found := range map[string][]*html.Node{
				"title": page.all(element("title")), "h1": page.all(element("h1")), "li": page.all(with("data-subject")), "event": page.all(with("data-event")),
				"td": page.all(with("data-old-title")), "th": page.all(is("role", "rowheader")), "left out": page.all(is("class", "left")),
			} {
				if len(found) == 0 || !strings.Contains(text(found[0]), want) {
					t.Errorf("%s does not show %q", place, want)
				}
			}
			for _, n := range page.all(with("data-subject")) {
				if got, _ := attribute(n, "data-subject"); got != clean(s, nameLimit) {
					t.Errorf("the attribute has %q", got)
				}
			}
		})
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                                       "",
		"alice":                                  "alice",
		"Bäckerei – “Anders”":                    "Bäckerei – “Anders”",
		"a\tb\r\nc\u2028d\u00a0e":                "a b  c d\u00a0e",
		"invoice\u202egpj.exe":                   "invoice[U+202E]gpj.exe",
		"\x00\x1b[0m":                            "[U+0000][U+001B][0m",
		"M\xfcller":                              "M[0xFC]ller",
		"\u200bx\ufeff":                          "[U+200B]x[U+FEFF]",
		"می\u200cخواهم":                          "می\u200cخواهم",
		"👩\u200d🔧":                               "👩\u200d🔧",
		"\ufffd":                                 "\ufffd",
		"e\u0301\u0301\u0301\u0301\u0301x\u0301": "e\u0301\u0301\u0301\u0301[U+0301]x\u0301",
		strings.Repeat("x", 20):                  strings.Repeat("x", 20),
		strings.Repeat("ü", 21):                  strings.Repeat("ü", 20) + "… (21 characters)",
		strings.Repeat("x", 1<<20):               strings.Repeat("x", 20) + "… (1,048,576 characters)",
		"0123456789abcd\u202e":                   "0123456789abcd… (15 characters)",
	} {
		limit := 20
		if len(s) < 40 && !strings.HasPrefix(s, "0") {
			limit = 40
		}
		if got := clean(s, limit); got != want {
			t.Errorf("%.40q: %q, want %q", s, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s, 100)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		if n := utf8.RuneCountInString(got); n > 140 {
			t.Errorf("%q is %d characters long", got, n)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) && r != zeroWidthJoiner && r != zeroWidthNonJoiner {
				t.Errorf("%q has a character %U", got, r)
			}
		}
	})
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "−1,234", 100000: "100,000"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", time.Microsecond: "less than 1 ms", 350 * time.Millisecond: "350 ms", 59900 * time.Millisecond: "1 min",
		252 * time.Second: "4 min 12 s", time.Hour + 3*time.Minute + 20*time.Second: "1 h 3 min", 59*time.Minute + 59*time.Second + 600*time.Millisecond: "1 h",
		26 * time.Hour: "1 d 2 h", 23*time.Hour + 59*time.Minute + 40*time.Second: "1 d", 1000 * day: "1,000 d",
	} {
		if got := duration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := change(100, 80, size); got != "−20\u00a0B" {
		t.Errorf("change: %q", got)
	}
}
