package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// keep is for people who want to look at the sample.
var keep = flag.String("keep", "", "directory to keep the sample in, with its pictures")

// browser runs a real browser without a screen.
type browser struct{ program string }

// findBrowser skips the test where the machine has no browser.
func findBrowser(t *testing.T) browser {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser, which -short leaves out")
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome"} {
		// What Ubuntu calls chromium is a snap, which may be there and not start.
		if err := exec.Command(name, "--version").Run(); err == nil {
			return browser{name}
		}
	}
	t.Skip("there is no chromium-headless-shell, chromium or google-chrome here; internal/lab/setup.sh installs one on Debian 12 and later")
	return browser{}
}

// run shows an address with some options, and returns what the browser printed.
func (b browser) run(t *testing.T, address string, options ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Limit(2*time.Minute))
	defer cancel()
	home := t.TempDir()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-component-update",
		"--disable-background-networking", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + filepath.Join(home, "profile"),
		// Nothing is ever found: a test must not depend on a network, nor disturb one.
		"--host-resolver-rules=MAP * ~NOTFOUND",
	}, options...)
	cmd := exec.CommandContext(ctx, b.program, append(args, address)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TZ=Asia/Tokyo")
	cmd.WaitDelay = 10 * time.Second // a renderer may hold on to the output
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s %s after %s: %v\n%s", b.program, strings.Join(options, " "), time.Since(began), err, stderr.String())
	}
	t.Logf("%s took %s", strings.Join(options, " "), time.Since(began).Round(time.Millisecond))
	return stdout.String()
}

// write makes a file of a page and returns its address.
func write(t *testing.T, name, page string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: file}).String()
}

func samplePage(t *testing.T) string {
	t.Helper()
	page, _ := render(t, sample(), "Move of web1 to web2", sampleEvents())
	return page
}

func hostilePage(t *testing.T) string {
	t.Helper()
	var all []string
	for _, s := range hostile {
		all = append(all, s)
	}
	slices.Sort(all)
	a, events := everywhere(strings.Join(all, " "))
	for _, s := range all {
		more, moreEvents := everywhere(s)
		a.Findings, a.Homes, a.Sites = append(a.Findings, more.Findings...), append(a.Homes, more.Homes...), append(a.Sites, more.Sites...)
		a.Areas, a.Mailboxes, a.NotCompared = append(a.Areas, more.Areas...), append(a.Mailboxes, more.Mailboxes...), append(a.NotCompared, more.NotCompared...)
		events = append(events, moreEvents...)
	}
	page, _ := render(t, a, strings.Join(all, " "), events)
	return page
}

func TestBrowserShowsTheFigures(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	address := write(t, "report.html", samplePage(t))
	page := parse(t, strings.NewReader(b.run(t, address, "--dump-dom")))
	checkFigures(t, page, sample(), sampleEvents())
	checkForm(t, page)
}

func TestBrowserShowsAThousandUsers(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	source, _ := render(t, thousand(), "A thousand users", sampleEvents())
	kept(t, "thousand.html", []byte(source))
	address := write(t, "report.html", source)
	began := time.Now()
	dumped := b.run(t, address, "--dump-dom", "--window-size=1400,900")
	if took := time.Since(began); took > pace.Limit(45*time.Second) {
		t.Errorf("the browser took %s", took)
	}
	checkFigures(t, parse(t, strings.NewReader(dumped)), thousand(), sampleEvents())
}

// asked are the addresses that a browser asked for, by its own log of what its network
// did. chromium.org/developers/design-documents/network-stack/netlog describes it.
func asked(t *testing.T, b browser, address string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "netlog.json")
	b.run(t, address, "--dump-dom", "--log-net-log="+file)
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte(`"constants"`)) {
		t.Fatalf("this is no log of a network: %.200s", log)
	}
	var found []string
	for _, match := range regexp.MustCompile(`"(?:url|host|original_url|location)":"((?:[^"\\]|\\.)*)"`).FindAllSubmatch(log, -1) {
		if at := string(match[1]); !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	return found
}

func TestBrowserLoadsNothing(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	// First that the log shows what is loaded, and that the page's own rule forbids it.
	const image = `<img src="http://evil.example/x.png">`
	seen := func(page string) []string {
		return slices.DeleteFunc(asked(t, b, write(t, "page.html", page)), func(at string) bool { return !strings.Contains(at, "evil.example") })
	}
	if got := seen("<!DOCTYPE html><title>x</title>" + image); len(got) == 0 {
		t.Fatal("the log does not show an image that was asked for")
	}
	page := hostilePage(t)
	kept(t, "hostile.html", []byte(page))
	if got := seen(strings.Replace(page, "</h1>", "</h1>"+image, 1)); len(got) != 0 {
		t.Errorf("the page may load %q", got)
	}
	for name, page := range map[string]string{"hostile": page, "sample": samplePage(t)} {
		for _, at := range asked(t, b, write(t, "page.html", page)) {
			if !strings.HasPrefix(at, "file://") {
				t.Errorf("the %s page asked for %q", name, at)
			}
		}
	}
}

// measured is what testdata/measure.js says of a page in a window.
type measured struct {
	Name                     string
	Window, Page, Body       float64
	Ground                   string
	Texts                    int
	LeastContrast, LeastSize float64
	Outside, Overflowing     []string
	Torn, Pale               []string
	Hosts                    [][2]float64
	Bars                     []struct {
		Downtime, Fill string
		Stripes, Edges int
	}
}

// measure shows pages by their names, each in windows of several widths.
func (b browser) measure(t *testing.T, pages map[string]string, widths []int, options ...string) []measured {
	t.Helper()
	script, err := os.ReadFile("testdata/measure.js")
	if err != nil {
		t.Fatal(err)
	}
	var frames strings.Builder
	for name, page := range pages {
		for _, width := range widths {
			fmt.Fprintf(&frames, `<iframe name="%s %d" srcdoc="%s" style="border:0;width:%dpx;height:900px"></iframe>`, name, width, html.EscapeString(page), width)
		}
	}
	address := write(t, "measure.html", `<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>x</title><script>`+
		string(script)+"</script><body>"+frames.String())
	dumped := parse(t, strings.NewReader(b.run(t, address, append(options, "--dump-dom", "--window-size=1600,1000")...)))
	results := dumped.all(is("id", "measured"))
	if len(results) != 1 {
		t.Fatalf("nothing was measured: %.500s", text(dumped.root))
	}
	var found []measured
	if err := json.Unmarshal([]byte(results[0].FirstChild.Data), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(pages)*len(widths) {
		t.Errorf("%d pages were measured, want %d times %d", len(found), len(pages), len(widths))
	}
	return found
}

// dark makes a browser prefer dark pages: 0 is kDark of Chromium's PreferredColorScheme.
const dark = "--blink-settings=preferredColorScheme=0"

func TestBrowserFitsThePageIntoItsWindow(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	empty, _ := render(t, audit.Audit{}, "", nil)
	pages := map[string]string{"sample": samplePage(t), "hostile": hostilePage(t), "empty": empty}
	grounds := map[string]bool{}
	for scheme, options := range map[string][]string{"light": nil, "dark": {dark}} {
		for _, m := range b.measure(t, pages, []int{320, 400, 600, 959, 961, 1024, 1400, 2200}, options...) {
			where := scheme + " " + m.Name
			if !strings.HasSuffix(m.Name, fmt.Sprintf(" %g", m.Window)) {
				t.Errorf("%s: the window is %g wide", where, m.Window)
			}
			if m.Page > m.Window || len(m.Outside) > 0 {
				t.Errorf("%s: the page is %g wide; outside of the window is %q", where, m.Page, m.Outside)
			}
			if len(m.Overflowing) > 0 {
				t.Errorf("%s: text is wider than its place: %q", where, m.Overflowing)
			}
			if len(m.Torn) > 0 && m.Window >= 400 && !strings.HasPrefix(m.Name, "hostile") {
				t.Errorf("%s: words are torn: %q", where, m.Torn)
			}
			if m.Texts < 20 || len(m.Pale) > 0 || m.LeastContrast < 4.5 {
				t.Errorf("%s: %d texts, the least contrast is %.2f: %q", where, m.Texts, m.LeastContrast, m.Pale)
			}
			if m.LeastSize < 12 {
				t.Errorf("%s: text is %g pixels high", where, m.LeastSize)
			}
			if m.Body > 1300 {
				t.Errorf("%s: the text is %g pixels wide", where, m.Body)
			}
			if beside := len(m.Hosts) == 2 && m.Hosts[0][1] == m.Hosts[1][1]; beside != (m.Window > 610) {
				t.Errorf("%s: the hosts are at %v", where, m.Hosts)
			}
			grounds[scheme+" "+m.Ground] = true
			checkColours(t, where, m)
		}
	}
	if len(grounds) != 2 || !grounds["light rgb(246, 247, 248)"] || !grounds["dark rgb(14, 17, 21)"] {
		t.Errorf("the grounds of the page are %v", grounds)
	}
}

// checkColours checks that downtime has a colour and a pattern of its own, and that each
// bar is seen, however short.
func checkColours(t *testing.T, where string, m measured) {
	t.Helper()
	fills := map[string]string{}
	for _, bar := range m.Bars {
		if bar.Fill == "" {
			continue // an event without a time
		}
		if bar.Edges != 1 {
			t.Errorf("%s: a bar has %d edges, without which one of no length would not be seen", where, bar.Edges)
		}
		if (bar.Stripes == 1) != (bar.Downtime == "true") {
			t.Errorf("%s: a bar with downtime %s has %d patterns", where, bar.Downtime, bar.Stripes)
		}
		if other, known := fills[bar.Downtime]; known && other != bar.Fill {
			t.Errorf("%s: bars with downtime %s are %s and %s", where, bar.Downtime, other, bar.Fill)
		}
		fills[bar.Downtime] = bar.Fill
	}
	if len(fills) == 2 && fills["true"] == fills["false"] {
		t.Errorf("%s: downtime has no colour of its own", where)
	}
}

var pageOfPDF = regexp.MustCompile(`/Type\s*/Page\b`)

func TestBrowserPrints(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	var short, long audit.Audit
	for i := range 1000 {
		box := audit.Mailbox{User: user(i)}
		long.Mailboxes = append(long.Mailboxes, box)
		if i < 2 {
			short.Mailboxes = append(short.Mailboxes, box)
		}
	}
	shortPage, _ := render(t, short, "Two mailboxes", nil)
	longPage, _ := render(t, long, "A thousand mailboxes, all folded away", nil)
	count := map[string]int{}
	for name, page := range map[string]string{"sample": samplePage(t), "short": shortPage, "long": longPage} {
		for _, scheme := range []string{"light", "dark"} {
			file := filepath.Join(t.TempDir(), name+".pdf")
			options := []string{"--print-to-pdf=" + file, "--no-pdf-header-footer"}
			if scheme == "dark" {
				options = append(options, dark)
			}
			b.run(t, write(t, "report.html", page), options...)
			pdf, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(pdf, []byte("%PDF-")) || len(pdf) < 5000 {
				t.Fatalf("%s: %d bytes are no PDF", name, len(pdf))
			}
			n := len(pageOfPDF.FindAll(pdf, -1))
			if before, known := count[name]; known && before != n {
				t.Errorf("%s has %d pages, and %d where the screen is dark", name, before, n)
			}
			count[name] = n
			if name == "sample" {
				kept(t, "sample-"+scheme+".pdf", pdf)
			}
		}
	}
	if count["short"] > 2 || count["sample"] < 3 || count["sample"] > 15 {
		t.Errorf("pages: %v", count)
	}
	// Paper unfolds: a thousand rows take their pages.
	if count["long"] < 15 {
		t.Errorf("a thousand rows took %d pages", count["long"])
	}
}

func TestBrowserDrawsThePage(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	page := samplePage(t)
	kept(t, "sample.html", []byte(page))
	address := write(t, "report.html", page)
	for _, c := range []struct {
		name          string
		width, height int
		options       []string
	}{
		{"sample-1400-light", 1400, 11200, nil}, {"sample-1400-dark", 1400, 11200, []string{dark}},
		{"sample-400-light", 400, 24000, nil}, {"sample-400-dark", 400, 24000, []string{dark}},
	} {
		file := filepath.Join(t.TempDir(), c.name+".png")
		b.run(t, address, append(c.options, "--screenshot="+file, fmt.Sprintf("--window-size=%d,%d", c.width, c.height))...)
		picture, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		drawn, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		// Text is drawn where a heading is: it has many colours, at its edges.
		colours := map[string]bool{}
		for x := range drawn.Bounds().Dx() {
			for y := 40; y < 160; y++ {
				colours[fmt.Sprint(drawn.At(x, y))] = true
			}
		}
		if len(colours) < 10 {
			t.Errorf("%s has %d colours at its top: is there a font?", c.name, len(colours))
		}
		kept(t, c.name+".png", picture)
	}
}

// kept writes a file for somebody to look at, where that was asked for.
func kept(t *testing.T, name string, content []byte) {
	t.Helper()
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, name), content, 0o644); err != nil {
		t.Error(err)
	}
}
