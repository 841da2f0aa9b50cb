// Package report is a stub while the page is made.
package report

import (
	"io"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// Write renders a.
func Write(_ io.Writer, _ audit.Audit, _ string, _ []audit.Event) error { return nil }
