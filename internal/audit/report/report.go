// Package report writes an audit as one page of HTML: for the owner of a domain, and to
// file away. The page needs nothing but itself and has no script, so it can be opened
// from a mail or in ten years. What came from the hosts is hostile text to it.
//
// It imports internal/audit, and internal/worker/order for the form of sizes.
package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

//go:embed report.html.tmpl report.css
var files embed.FS

// parsed is the page's template. The style sheet is a template without actions, so that
// it is part of the page's text and no value in it.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(files, "report.html.tmpl", "report.css"))
})

// Write renders a as a page. title is its heading; events are the timeline, in any order.
//
// Every figure is also in a data- attribute of the element that shows it: counts and
// bytes as integers, times as RFC 3339 in UTC, durations in seconds.
func Write(w io.Writer, a audit.Audit, title string, events []audit.Event) error {
	var page bytes.Buffer // the whole page or nothing of it
	if err := parsed().Execute(&page, newPage(a, title, events)); err != nil {
		return fmt.Errorf("rendering the report: %w", err)
	}
	_, err := w.Write(page.Bytes())
	return err
}
